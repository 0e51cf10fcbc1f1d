//! Ray Serve LLM and vLLM: `ChatCompletionStreamResponse`.

use deltawire::chunk::StopReason;

use super::{mismatches, with_chunk};

#[test]
fn only_model_and_choices_are_required() {
    with_chunk(r#"{"model":"m","choices":[{"index":0,"delta":{}}]}"#, |chunk| {
        assert_eq!(chunk.model(), Some("m"));
        assert_eq!((chunk.id(), chunk.object(), chunk.created()), (None, None, None));
        let choice = chunk.choices().next().unwrap();
        assert_eq!(choice.index(), Some(0));
        assert_eq!((choice.finish_reason(), choice.stop_reason()), (None, None));
        assert!(choice.logprobs().is_none());
        let delta = choice.delta();
        assert_eq!((delta.role(), delta.content(), delta.reasoning_text()), (None, None, None));
        assert_eq!(delta.tool_calls().len(), 0);
        assert!(delta.as_value().is_some());
        assert_eq!(mismatches(&chunk), [""; 0]);
    });
}

const FIRST: &str = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,
    "model":"meta-llama/Llama-3.1-8B","choices":[{"index":0,
    "delta":{"role":"assistant","content":"","reasoning_content":null,"tool_calls":[]},
    "logprobs":null,"finish_reason":null,"stop_reason":null,"token_ids":[1,2]}],
    "prompt_token_ids":[128000,9906],"prompt_text":"Hello","system_fingerprint":"vllm-1"}"#;

#[test]
fn first_chunk_has_its_prompt_and_no_output() {
    with_chunk(FIRST, |chunk| {
        assert_eq!(chunk.prompt_token_ids().unwrap().collect::<Vec<_>>(), [128_000, 9906]);
        assert_eq!(chunk.get("prompt_text").unwrap().as_str(), Some("Hello"));
        assert_eq!(chunk.system_fingerprint(), Some("vllm-1"));
        let choice = chunk.choices().next().unwrap();
        assert_eq!(choice.token_ids().unwrap().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(choice.stop_reason(), None);
        assert!(choice.get("stop_reason").unwrap().is_null());
        let delta = choice.delta();
        assert_eq!((delta.role(), delta.content()), (Some("assistant"), Some("")));
        assert_eq!(delta.reasoning_content(), None);
        assert!(delta.get("reasoning_content").unwrap().is_null());
        assert_eq!(delta.tool_calls().len(), 0);
        let content_flags = chunk.content_flags();
        assert!(content_flags.is_role_only() && !content_flags.is_output());
    });
}

#[test]
fn reasoning_by_its_old_and_its_new_name() {
    for (name, text) in [("reasoning_content", "old"), ("reasoning", "new")] {
        let json = format!(r#"{{"choices":[{{"index":0,"delta":{{"{name}":"{text}"}}}}]}}"#);
        with_chunk(&json, |chunk| {
            let delta = chunk.choices().next().unwrap().delta();
            assert_eq!(delta.reasoning_text(), Some(text));
            let (old, new) = (delta.reasoning_content(), delta.reasoning());
            assert_eq!(old.or(new), Some(text));
            assert_eq!(old.is_some(), name == "reasoning_content");
            assert!(chunk.content_flags().reasoning && chunk.content_flags().is_output());
        });
    }
}

#[test]
fn a_stop_reason_is_an_integer_or_a_string() {
    for (sent, expected) in [
        ("128001", Some(StopReason::Integer(128_001))),
        ("\"</s>\"", Some(StopReason::String("</s>"))),
        ("null", None),
    ] {
        let json = format!(
            r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop","stop_reason":{sent}}}]}}"#
        );
        with_chunk(&json, |chunk| {
            let choice = chunk.choices().next().unwrap();
            assert_eq!(choice.stop_reason(), expected);
            assert_eq!(choice.get("stop_reason").unwrap().raw(), sent);
        });
    }
}

/// Defaults: -9999.0 for a log probability that isn't known, `null` for bytes.
#[test]
fn logprobs_have_fillers() {
    let json = r#"{"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{"content":[
        {"token":"x","logprob":-9999.0,"bytes":null,"top_logprobs":[]},
        {"token":"y"}]}}]}"#;
    with_chunk(json, |chunk| {
        let logprobs = chunk.choices().next().unwrap().logprobs().unwrap();
        let tokens: Vec<_> = logprobs.content().collect();
        assert_eq!(tokens[0].logprob(), Some(-9999.0));
        assert_eq!(tokens[0].get("logprob").unwrap().raw(), "-9999.0");
        assert!(tokens[0].bytes().is_none() && tokens[0].get("bytes").is_some());
        assert_eq!((tokens[1].token(), tokens[1].logprob()), (Some("y"), None));
        assert!(tokens[1].bytes().is_none() && tokens[1].get("bytes").is_none());
        assert_eq!(logprobs.refusal().count(), 0);
        assert_eq!(mismatches(&chunk), [""; 0]);
    });
}

#[test]
fn tool_calls_beside_extra_members_have_their_values() {
    let json = r#"{"model":"m","choices":[{"index":0,"delta":{"tool_calls":[
        {"index":0,"id":"chatcmpl-tool-1","type":"function","function":{"name":"f","arguments":""}}]},
        "routed_experts":"AAAA"}],"metrics":{"queue_time_ms":1.5}}"#;
    with_chunk(json, |chunk| {
        let choice = chunk.choices().next().unwrap();
        let call = choice.delta().tool_calls().next().unwrap();
        assert_eq!((call.id(), call.name()), (Some("chatcmpl-tool-1"), Some("f")));
        assert_eq!(call.arguments(), Some(""));
        let extra: Vec<_> = choice.extra().map(|(name, value)| (name, value.raw())).collect();
        assert_eq!(extra, [("routed_experts", "\"AAAA\"")]);
        let extra: Vec<_> = chunk.extra().map(|(name, _)| name).collect();
        assert_eq!(extra, ["metrics"]);
        assert_eq!(chunk.get("metrics").unwrap().get("queue_time_ms").unwrap().as_f64(), Some(1.5));
    });
}

#[test]
fn usage_with_cached_tokens() {
    for (details, expected) in [(r#"{"cached_tokens":7}"#, Some(7)), ("null", None)] {
        let json = format!(
            r#"{{"choices":[],"usage":{{"prompt_tokens":9,"total_tokens":9,"completion_tokens":null,
            "prompt_tokens_details":{details}}}}}"#
        );
        with_chunk(&json, |chunk| {
            let usage = chunk.usage().unwrap();
            assert_eq!(usage.prompt_tokens(), Some(9));
            assert_eq!(usage.completion_tokens(), None);
            let details = usage.prompt_tokens_details();
            assert_eq!(details.and_then(|details| details.cached_tokens()), expected);
            assert_eq!(usage.cached_tokens(), expected);
            assert_eq!(mismatches(&chunk), [""; 0]);
        });
    }
}
