//! Baseten: `ChatCompletionStreamResponse`, a closed schema with usage on every chunk.

use super::{mismatches, with_chunk};

#[test]
fn only_model_and_choices_are_required() {
    with_chunk(r#"{"model":"m","choices":[]}"#, |chunk| {
        assert_eq!((chunk.model(), chunk.choices().len()), (Some("m"), 0));
        assert_eq!((chunk.id(), chunk.object(), chunk.created()), (None, None, None));
        assert!(chunk.usage().is_none());
    });
}

/// Each chunk has the totals so far: they are to be read, and never to be added up.
#[test]
fn usage_is_on_every_chunk() {
    for total in [10, 11, 12] {
        let json = format!(
            r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[
            {{"index":0,"delta":{{"role":"assistant","content":"x"}},"logprobs":null,
            "finish_reason":null,"stop_reason":null}}],"usage":{{"prompt_tokens":9,
            "completion_tokens":{},"total_tokens":{total},
            "prompt_tokens_details":{{"cached_tokens":8,"audio_tokens":null}},
            "completion_tokens_details":{{"reasoning_tokens":2,"audio_tokens":null}}}}}}"#,
            total - 9
        );
        with_chunk(&json, |chunk| {
            assert_eq!(chunk.object(), Some("chat.completion.chunk"));
            let usage = chunk.usage().unwrap();
            assert_eq!(usage.prompt_tokens(), Some(9));
            assert_eq!(usage.completion_tokens(), Some(total - 9));
            assert_eq!(usage.total_tokens(), Some(total));
            assert_eq!(usage.prompt_tokens_details().unwrap().cached_tokens(), Some(8));
            assert_eq!(usage.prompt_tokens_details().unwrap().audio_tokens(), None);
            let details = usage.completion_tokens_details().unwrap();
            assert_eq!((details.reasoning_tokens(), details.audio_tokens()), (Some(2), None));
            let content_flags = chunk.content_flags();
            assert!(
                content_flags.usage
                    && content_flags.content
                    && content_flags.role
                    && !content_flags.finish
            );
            assert_eq!(chunk.extra().count(), 0);
            assert_eq!(mismatches(&chunk), [""; 0]);
        });
    }
}

#[test]
fn members_of_choice_delta_and_tool_call_have_their_values() {
    let json = r#"{"model":"m","choices":[{"index":2,"delta":{"role":"assistant","content":null,
        "tool_calls":[{"index":0,"id":"call_1","type":"function",
        "function":{"name":"f","arguments":"{}"}}]},
        "logprobs":{"content":[{"token":"a","logprob":-1.5,"bytes":[97],"top_logprobs":[]}]},
        "finish_reason":"tool_calls","stop_reason":42}]}"#;
    with_chunk(json, |chunk| {
        let choice = chunk.choices().next().unwrap();
        assert_eq!((choice.index(), choice.finish_reason()), (Some(2), Some("tool_calls")));
        assert_eq!(choice.get("stop_reason").unwrap().as_u64(), Some(42));
        let delta = choice.delta();
        assert_eq!((delta.role(), delta.content()), (Some("assistant"), None));
        let call = delta.tool_calls().next().unwrap();
        assert_eq!(
            (call.index(), call.id(), call.r#type()),
            (Some(0), Some("call_1"), Some("function"))
        );
        assert_eq!((call.name(), call.arguments()), (Some("f"), Some("{}")));
        let token = choice.logprobs().unwrap().content().next().unwrap();
        assert_eq!((token.token(), token.logprob()), (Some("a"), Some(-1.5)));
    });
}

/// The schema is closed, the engines behind it aren't.
#[test]
fn what_the_schema_does_not_have_is_kept_all_the_same() {
    with_chunk(r#"{"model":"m","choices":[],"new":{"a":[1.50]}}"#, |chunk| {
        let extra: Vec<_> = chunk.extra().map(|(name, value)| (name, value.raw())).collect();
        assert_eq!(extra, [("new", r#"{"a":[1.50]}"#)]);
    });
}
