//! OpenAI's `ChatCompletionChunk`, as the documentation of Scrypted and of LangChain.js has it.

use deltawire::chunk::StopReason;

use super::{mismatches, with_chunk};

const CHUNK: &str = r#"{
    "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000,
    "model": "gpt-4o-mini-2024-07-18", "service_tier": "default",
    "system_fingerprint": "fp_1", "obfuscation": "x7",
    "choices": [{
        "index": 1,
        "delta": {
            "role": "assistant", "content": "Hé\n", "refusal": "no",
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function",
                 "function": {"name": "get_weather", "arguments": "{\"city\":"}},
                {"index": 1, "function": {"arguments": "}"}}
            ],
            "function_call": {"name": "old", "arguments": "{}"},
            "audio": {"id": "audio_1", "data": "AAAA", "transcript": "hi", "expires_at": 1760000600}
        },
        "finish_reason": "tool_calls",
        "logprobs": {
            "content": [{
                "token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169],
                "top_logprobs": [
                    {"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169]},
                    {"token": "Ho", "logprob": -3.5, "bytes": null}
                ]
            }],
            "refusal": [{"token": "no", "logprob": -1e-7, "bytes": null, "top_logprobs": []}]
        }
    }],
    "usage": {
        "prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33,
        "prompt_tokens_details": {
            "cached_tokens": 1, "audio_tokens": 2, "text_tokens": 3, "image_tokens": 4,
            "cache_write_tokens": 5
        },
        "completion_tokens_details": {
            "reasoning_tokens": 6, "audio_tokens": 7, "text_tokens": 8,
            "accepted_prediction_tokens": 9, "rejected_prediction_tokens": 10
        }
    }
}"#;

#[test]
fn members_at_the_top_have_their_values() {
    with_chunk(CHUNK, |chunk| {
        assert_eq!(chunk.id(), Some("chatcmpl-1"));
        assert_eq!(chunk.object(), Some("chat.completion.chunk"));
        assert_eq!(chunk.created(), Some(1_760_000_000));
        assert_eq!(chunk.model(), Some("gpt-4o-mini-2024-07-18"));
        assert_eq!(chunk.service_tier(), Some("default"));
        assert_eq!(chunk.system_fingerprint(), Some("fp_1"));
        assert_eq!(chunk.obfuscation(), Some("x7"));
        assert_eq!(chunk.choices().len(), 1);
        assert!(chunk.error().is_none());
        assert_eq!(chunk.extra().count(), 0);
        assert_eq!(mismatches(&chunk), [""; 0]);
    });
}

#[test]
fn members_of_choice_and_delta_have_their_values() {
    with_chunk(CHUNK, |chunk| {
        let choice = chunk.choices().next().unwrap();
        assert_eq!(choice.index(), Some(1));
        assert_eq!(choice.finish_reason(), Some("tool_calls"));
        let delta = choice.delta();
        assert_eq!(delta.role(), Some("assistant"));
        assert_eq!(delta.content(), Some("Hé\n"));
        assert_eq!(delta.refusal(), Some("no"));
        let call = delta.function_call().unwrap();
        assert_eq!((call.name(), call.arguments()), (Some("old"), Some("{}")));
        let audio = delta.audio().unwrap();
        assert_eq!((audio.id(), audio.data()), (Some("audio_1"), Some("AAAA")));
        assert_eq!((audio.transcript(), audio.expires_at()), (Some("hi"), Some(1_760_000_600)));
        assert_eq!((choice.extra().count(), delta.extra().count()), (0, 0));
    });
}

#[test]
fn tool_calls_have_their_values() {
    with_chunk(CHUNK, |chunk| {
        let delta = chunk.choices().next().unwrap().delta();
        assert_eq!(delta.tool_calls().len(), 2);
        let calls: Vec<_> = delta
            .tool_calls()
            .map(|call| (call.index(), call.id(), call.r#type(), call.name(), call.arguments()))
            .collect();
        let first = (Some(0), Some("call_1"), Some("function"), Some("get_weather"));
        let (index, id, kind, name) = first;
        assert_eq!(calls[0], (index, id, kind, name, Some("{\"city\":")));
        assert_eq!(calls[1], (Some(1), None, None, None, Some("}")));
        assert!(delta.tool_calls().all(|call| call.extra().next().is_none()));
    });
}

#[test]
fn logprobs_have_their_values() {
    with_chunk(CHUNK, |chunk| {
        let logprobs = chunk.choices().next().unwrap().logprobs().unwrap();
        let content: Vec<_> = logprobs.content().collect();
        assert_eq!((content[0].token(), content[0].logprob()), (Some("Hé"), Some(-0.25)));
        assert_eq!(content[0].bytes().unwrap().collect::<Vec<_>>(), "Hé".as_bytes());
        let top: Vec<_> =
            content[0].top_logprobs().map(|top| (top.token(), top.logprob())).collect();
        assert_eq!(top, [(Some("Hé"), Some(-0.25)), (Some("Ho"), Some(-3.5))]);
        assert!(content[0].top_logprobs().nth(1).unwrap().bytes().is_none());
        let refusal: Vec<_> = logprobs.refusal().collect();
        assert_eq!((refusal.len(), refusal[0].logprob()), (1, Some(-1e-7)));
        assert_eq!(refusal[0].as_value().get("logprob").unwrap().raw(), "-1e-7");
    });
}

#[test]
fn usage_has_its_counts() {
    with_chunk(CHUNK, |chunk| {
        let usage = chunk.usage().unwrap();
        assert_eq!(usage.prompt_tokens(), Some(11));
        assert_eq!(usage.completion_tokens(), Some(22));
        assert_eq!(usage.total_tokens(), Some(33));
        let prompt = usage.prompt_tokens_details().unwrap();
        assert_eq!(prompt.cached_tokens(), Some(1));
        assert_eq!(prompt.audio_tokens(), Some(2));
        assert_eq!(prompt.text_tokens(), Some(3));
        assert_eq!(prompt.image_tokens(), Some(4));
        assert_eq!(prompt.cache_write_tokens(), Some(5));
        let completion = usage.completion_tokens_details().unwrap();
        assert_eq!(completion.reasoning_tokens(), Some(6));
        assert_eq!(completion.audio_tokens(), Some(7));
        assert_eq!(completion.text_tokens(), Some(8));
        assert_eq!(completion.accepted_prediction_tokens(), Some(9));
        assert_eq!(completion.rejected_prediction_tokens(), Some(10));
        assert_eq!((usage.cached_tokens(), usage.reasoning_tokens()), (Some(1), Some(6)));
    });
}

/// Scrypted's documentation lists five values, LangChain.js's three; the list grows.
#[test]
fn service_tiers_are_open() {
    for tier in ["auto", "default", "flex", "scale", "priority", "fast", "on_demand"] {
        let json = format!(r#"{{"choices":[],"service_tier":"{tier}"}}"#);
        with_chunk(&json, |chunk| assert_eq!(chunk.service_tier(), Some(tier)));
    }
    with_chunk(r#"{"choices":[],"service_tier":null,"usage":null}"#, |chunk| {
        assert_eq!(chunk.service_tier(), None);
        assert!(chunk.get("service_tier").unwrap().is_null());
        assert!(chunk.usage().is_none());
        assert_eq!(mismatches(&chunk), [""; 0]);
    });
}

#[test]
fn finish_reasons_are_open() {
    for reason in ["stop", "length", "tool_calls", "content_filter", "function_call", "abort"] {
        let json = format!(r#"{{"choices":[{{"index":0,"finish_reason":"{reason}"}}]}}"#);
        with_chunk(&json, |chunk| {
            assert_eq!(chunk.choices().next().unwrap().finish_reason(), Some(reason));
        });
    }
}

/// The usage chunk of `stream_options.include_usage`: no choices at all.
#[test]
fn usage_chunk_without_choices_has_its_counts() {
    let json = r#"{"id":"c","object":"chat.completion.chunk","choices":[],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    with_chunk(json, |chunk| {
        assert_eq!(chunk.choices().len(), 0);
        assert_eq!(chunk.usage().unwrap().total_tokens(), Some(3));
        assert!(chunk.usage().unwrap().prompt_tokens_details().is_none());
        let content_flags = chunk.content_flags();
        assert!(content_flags.usage && !content_flags.is_output() && !content_flags.finish);
    });
}

#[test]
fn a_stop_reason_is_not_openais() {
    with_chunk(CHUNK, |chunk| {
        assert_eq!(chunk.choices().next().unwrap().stop_reason(), None::<StopReason<'_>>);
    });
}
