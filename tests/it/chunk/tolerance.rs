//! Empty values, accepted deviations, and the cost of a wrong type: its own field.

use deltawire::json::JsonDeviations;
use deltawire::json::ValueKind;
use deltawire::{ErrorKind, Payload};

use super::{mismatches, with_chunk, with_event};

/// `get` returns the value that was sent; the typed methods return `None` for an unreadable one.
#[test]
fn absent_null_and_empty_contents_differ() {
    for (sent, kind, content) in [
        ("", None, None),
        (r#""content":null"#, Some(ValueKind::Null), None),
        (r#""content":"""#, Some(ValueKind::String), Some("")),
        (r#""content":[]"#, Some(ValueKind::Array), None),
        (r#""content":{}"#, Some(ValueKind::Object), None),
    ] {
        with_chunk(&format!(r#"{{"choices":[{{"delta":{{{sent}}}}}]}}"#), |chunk| {
            let delta = chunk.choices().next().unwrap().delta();
            assert_eq!(delta.get("content").map(|content| content.kind()), kind, "{sent}");
            assert_eq!(delta.content(), content, "{sent}");
            assert_eq!(delta.content_parts().is_some(), kind == Some(ValueKind::Array));
            assert_eq!(mismatches(&chunk).len(), usize::from(sent.ends_with("{}")), "{sent}");
            assert!(!chunk.content_flags().is_output());
        });
    }
    for (sent, kind) in [
        ("{}", None),
        (r#"{"delta":null}"#, Some(ValueKind::Null)),
        (r#"{"delta":{}}"#, Some(ValueKind::Object)),
    ] {
        with_chunk(&format!(r#"{{"choices":[{sent}]}}"#), |chunk| {
            let delta = chunk.choices().next().unwrap().delta();
            assert_eq!(delta.as_value().map(|delta| delta.kind()), kind);
            assert_eq!(delta.content(), None);
        });
    }
}

/// Methods that return a value as it was sent return none for `null`; `get` returns it.
#[test]
fn null_is_no_value() {
    let json = r#"{"x_groq":null,"choices":[{"message":null,"delta":{"reasoning_details":null}}]}"#;
    with_chunk(json, |chunk| {
        let choice = chunk.choices().next().unwrap();
        let values = [chunk.x_groq(), choice.message(), choice.delta().reasoning_details()];
        assert!(values.iter().all(Option::is_none));
        let sent =
            [chunk.get("x_groq"), choice.get("message"), choice.delta().get("reasoning_details")];
        assert!(sent.iter().all(|value| value.is_some_and(|value| value.is_null())));
        assert!(mismatches(&chunk).is_empty());
    });
}

#[test]
fn only_an_object_is_required() {
    for json in [r#"{"choices":null}"#, r#"{"choices":[]}"#, r#"{"usage":{}}"#] {
        with_event(json, |event| {
            let Payload::Chunk(chunk) = event.payload() else { panic!("{json}") };
            assert_eq!(chunk.choices().len(), 0, "{json}");
        });
    }
    for json in ["{}", r#"{"usage":null}"#, r#"{"type":"ping"}"#] {
        with_event(json, |event| {
            let Payload::Other(other) = event.payload() else { panic!("{json}") };
            assert_eq!(other.as_value().raw(), json);
        });
    }
    for json in ["[]", "null", "5", "\"{}\"", "true"] {
        with_event(json, |event| {
            let Payload::Malformed(error) = event.payload() else { panic!("{json}") };
            assert_eq!((error.kind(), error.offset()), (ErrorKind::ExpectedObject, 6), "{json}");
        });
    }
}

/// Each field with each value that isn't of its type.
///
/// The field is `None`, the mismatch has its text, and all the others are there.
#[test]
fn a_wrong_type_costs_its_own_field() {
    let fields = [
        ("id", r#"{"id":@,"model":"m"}"#, "5"),
        ("object", r#"{"object":@,"model":"m"}"#, "[]"),
        ("created", r#"{"created":@,"model":"m"}"#, "\"1760000000\""),
        ("created", r#"{"created":@,"model":"m"}"#, "-1"),
        ("created", r#"{"created":@,"model":"m"}"#, "1.5"),
        ("created", r#"{"created":@,"model":"m"}"#, "18446744073709551616"),
        ("service_tier", r#"{"service_tier":@,"model":"m"}"#, "{}"),
        ("system_fingerprint", r#"{"system_fingerprint":@,"model":"m"}"#, "false"),
        ("obfuscation", r#"{"obfuscation":@,"model":"m"}"#, "1"),
        ("choices", r#"{"choices":@,"model":"m"}"#, "{}"),
        ("choices[0]", r#"{"choices":[@],"model":"m"}"#, "5"),
        ("usage", r#"{"usage":@,"model":"m"}"#, "[1]"),
        ("usage.prompt_tokens", r#"{"usage":{"prompt_tokens":@},"model":"m"}"#, "\"a\""),
        (
            "usage.prompt_tokens_details.cached_tokens",
            r#"{"usage":{"prompt_tokens_details":{"cached_tokens":@}},"model":"m"}"#,
            "1.5",
        ),
        ("choices[0].index", r#"{"choices":[{"index":@}],"model":"m"}"#, "\"0\""),
        ("choices[0].index", r#"{"choices":[{"index":@}],"model":"m"}"#, "-1"),
        ("choices[0].delta", r#"{"choices":[{"delta":@}],"model":"m"}"#, "\"x\""),
        ("choices[0].finish_reason", r#"{"choices":[{"finish_reason":@}],"model":"m"}"#, "1"),
        ("choices[0].logprobs", r#"{"choices":[{"logprobs":@}],"model":"m"}"#, "-0.5"),
        (
            "choices[0].logprobs.content[1].logprob",
            r#"{"choices":[{"logprobs":{"content":[{},{"logprob":@}]}}],"model":"m"}"#,
            "NaN",
        ),
        (
            "choices[0].logprobs.content[0].token",
            r#"{"choices":[{"logprobs":{"content":[{"token":@}]}}],"model":"m"}"#,
            "7",
        ),
        ("choices[0].delta.role", r#"{"choices":[{"delta":{"role":@}}],"model":"m"}"#, "0"),
        ("choices[0].delta.content", r#"{"choices":[{"delta":{"content":@}}],"model":"m"}"#, "1e3"),
        ("choices[0].delta.refusal", r#"{"choices":[{"delta":{"refusal":@}}],"model":"m"}"#, "[]"),
        (
            "choices[0].delta.tool_calls",
            r#"{"choices":[{"delta":{"tool_calls":@}}],"model":"m"}"#,
            "{}",
        ),
        (
            "choices[0].delta.tool_calls[0]",
            r#"{"choices":[{"delta":{"tool_calls":[@]}}],"model":"m"}"#,
            "\"f\"",
        ),
        (
            "choices[0].delta.tool_calls[0].index",
            r#"{"choices":[{"delta":{"tool_calls":[{"index":@}]}}],"model":"m"}"#,
            "\"0\"",
        ),
        (
            "choices[0].delta.tool_calls[0].function.arguments",
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":@}}]}}],"model":"m"}"#,
            "[1]",
        ),
    ];
    for (path, template, sent) in fields {
        with_chunk(&template.replace('@', sent), |chunk| {
            let found: Vec<_> =
                chunk.mismatches().map(|found| (found.path(), found.value().raw())).collect();
            assert_eq!(found, [(path.to_owned(), sent)], "{template}");
            assert_eq!(chunk.model(), Some("m"), "{template}");
            assert_eq!((chunk.id(), chunk.object(), chunk.created()), (None, None, None));
            assert_eq!((chunk.service_tier(), chunk.system_fingerprint()), (None, None));
            assert_eq!(chunk.obfuscation(), None);
            for choice in chunk.choices() {
                assert_eq!((choice.index(), choice.finish_reason()), (None, None));
                let delta = choice.delta();
                assert_eq!((delta.role(), delta.content(), delta.refusal()), (None, None, None));
                for call in delta.tool_calls() {
                    assert_eq!((call.index(), call.arguments()), (None, None));
                }
            }
            let usage = chunk.usage();
            assert_eq!(
                usage.and_then(|usage| usage.prompt_tokens().or(usage.cached_tokens())),
                None
            );
        });
    }
}

/// The same for values that are read on demand, and for lists: a wrong element costs the list.
#[test]
fn a_wrong_type_is_noted_wherever_there_is_a_method() {
    for (path, json) in [
        ("prompt_token_ids", r#"{"prompt_token_ids":"abc"}"#),
        ("choices[0].token_ids[1]", r#"{"choices":[{"token_ids":[1,"x",3]}]}"#),
        ("choices[0].token_ids", r#"{"choices":[{"token_ids":{}}]}"#),
        ("choices[0].stop_reason", r#"{"choices":[{"stop_reason":true}]}"#),
        (
            "choices[0].delta.function_call.name",
            r#"{"choices":[{"delta":{"function_call":{"name":5}}}]}"#,
        ),
        (
            "choices[0].delta.audio.expires_at",
            r#"{"choices":[{"delta":{"audio":{"expires_at":"x"}}}]}"#,
        ),
        ("choices[0].delta.content[0]", r#"{"choices":[{"delta":{"content":["x"]}}]}"#),
        ("choices[0].delta.content[0].text", r#"{"choices":[{"delta":{"content":[{"text":7}]}}]}"#),
        (
            "choices[0].logprobs.content[0].bytes[1]",
            r#"{"choices":[{"logprobs":{"content":[{"bytes":[1,300,2]}]}}]}"#,
        ),
        (
            "choices[0].logprobs.content[0].top_logprobs[0].token",
            r#"{"choices":[{"logprobs":{"content":[{"top_logprobs":[{"token":5}]}]}}]}"#,
        ),
        ("usage.cached_tokens", r#"{"usage":{"cached_tokens":"7"}}"#),
        ("usage.reasoning_tokens", r#"{"usage":{"reasoning_tokens":-1}}"#),
        ("x_groq.usage", r#"{"x_groq":{"usage":5}}"#),
    ] {
        with_chunk(json, |chunk| {
            assert_eq!(mismatches(&chunk), [path], "{json}");
            assert!(chunk.prompt_token_ids().is_none());
            for choice in chunk.choices() {
                assert!(choice.token_ids().is_none() && choice.stop_reason().is_none(), "{json}");
                let token = choice.logprobs().and_then(|logprobs| logprobs.content().next());
                assert!(token.is_none_or(|token| token.bytes().is_none()), "{json}");
            }
        });
    }
    // A member without a method has no type, and a name has a meaning in its place only.
    for json in [
        r#"{"usage":{"prompt_tokens_details":{"foo":"bar"},"x":[]},"x":5}"#,
        r#"{"content":"x","refusal":[1],"token_ids":5,"choices":[{"delta":{}}]}"#,
        r#"{"usage":{"prompt_tokens":"x","prompt_tokens":5},"created":NaN,"created":1}"#,
        r#"{"choices":[{"logprobs":{"content":5,"content":[]}}],"x":[NaN],"x":[]}"#,
    ] {
        with_chunk(json, |chunk| assert_eq!(mismatches(&chunk), [""; 0], "{json}"));
    }
}

/// Hostile chunks: their cost grows with their size.
#[test]
fn mismatches_are_returned_up_to_a_number() {
    let many = "0,".repeat(200_000);
    let rows = "{},".repeat(4000);
    let same = r#""index":"a","#.repeat(100_000);
    for json in [
        format!(r#"{{"choices":[{many}0]}}"#),
        format!(r#"{{"content":[{many}0],"choices":[{rows}{{}}]}}"#),
        format!(r#"{{"choices":[{many}{{{same}"index":"a"}}]}}"#),
        format!(r#"{{"x":[{}0]}}"#, "NaN,".repeat(200_000)),
    ] {
        let start = std::time::Instant::now();
        with_chunk(&json, |chunk| {
            let paths = mismatches(&chunk);
            assert!(paths.len() <= 256, "{}", paths.len());
        });
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
    }
}

/// Of members with the same name the last one counts, and its type.
#[test]
fn the_last_of_members_with_the_same_name_counts() {
    let many = r#""x":1,"#.repeat(40);
    for filler in ["", &many] {
        let json = format!(
            r#"{{"id":5,"id":"a",{filler}"id":"b","model":"m","model":7,"choices":[{{"index":1}}],
            "choices":[{{"index":0,"delta":{{"content":"a","content":"b"}}}}]}}"#
        );
        with_chunk(&json, |chunk| {
            assert_eq!((chunk.id(), chunk.model()), (Some("b"), None));
            assert_eq!(chunk.get("id").unwrap().as_str(), Some("b"));
            assert_eq!(chunk.choices().len(), 1);
            let choice = chunk.choices().next().unwrap();
            assert_eq!((choice.index(), choice.delta().content()), (Some(0), Some("b")));
            assert_eq!(mismatches(&chunk), ["model"]);
        });
    }
}

#[test]
fn numbers_are_kept_by_their_text() {
    for (text, small, float) in [
        ("0", Some(0), Some(0.0)),
        ("18446744073709551615", Some(u64::MAX), Some(18_446_744_073_709_551_615.0)),
        ("18446744073709551616", None, Some(18_446_744_073_709_551_616.0)),
        ("-9223372036854775809", None, Some(-9_223_372_036_854_775_809.0)),
        ("0.10000000000000000555", None, Some(0.1)),
        ("1E-7", None, Some(1e-7)),
        ("1e400", None, None),
        ("-1e400", None, None),
    ] {
        with_event(&format!(r#"{{"choices":[],"n":{text}}}"#), |event| {
            let Payload::Chunk(chunk) = event.payload() else { panic!("{text}") };
            let number = chunk.get("n").unwrap();
            assert_eq!((number.kind(), number.raw()), (ValueKind::Number, text));
            assert_eq!((number.as_u64(), number.as_f64()), (small, float), "{text}");
            let huge = usize::from(float.is_none());
            assert_eq!(mismatches(chunk).len(), huge, "{text}");
            assert_eq!(event.deviations().floats_out_of_range as usize, huge);
            assert_eq!(
                event.deviations().integers_out_of_range > 0,
                text.len() == 20 && small.is_none()
            );
        });
    }
}

/// Python servers send them in log probabilities.
#[test]
fn what_is_not_finite_is_none_and_noted() {
    for word in ["NaN", "Infinity", "-Infinity"] {
        let json = format!(
            r#"{{"choices":[{{"delta":{{"content":"x"}},"logprobs":{{"content":[
            {{"token":"x","logprob":{word},"top_logprobs":[{{"token":"y","logprob":{word}}}]}}]}}}}]}}"#
        );
        with_event(&json, |event| {
            let Payload::Chunk(chunk) = event.payload() else { panic!("{word}") };
            let choice = chunk.choices().next().unwrap();
            assert_eq!(choice.delta().content(), Some("x"));
            let token = choice.logprobs().unwrap().content().next().unwrap();
            assert_eq!((token.token(), token.logprob()), (Some("x"), None));
            assert_eq!(token.get("logprob").unwrap().raw(), word);
            assert_eq!(
                mismatches(chunk),
                [
                    "choices[0].logprobs.content[0].logprob",
                    "choices[0].logprobs.content[0].top_logprobs[0].logprob"
                ]
            );
            assert_eq!(event.deviations().non_finite_numbers, 2);
        });
    }
}

#[test]
fn half_a_surrogate_pair_is_replaced_and_reported() {
    let json = r#"{"choices":[{"delta":{"content":"a\ud83d","role":"\ude00\ud83d\ude00"}}]}"#;
    with_event(json, |event| {
        let Payload::Chunk(chunk) = event.payload() else { panic!() };
        let delta = chunk.choices().next().unwrap().delta();
        assert_eq!(delta.content(), Some("a\u{FFFD}"));
        assert_eq!(delta.role(), Some("\u{FFFD}😀"));
        assert_eq!(delta.get("content").unwrap().raw(), r#""a\ud83d""#);
        assert_eq!(event.deviations().lone_surrogates, 2);
    });
}

#[test]
fn leniencies_are_counted_for_the_stream_and_refused_when_strict() {
    let stream = "data: {\"a\":[NaN,\"\\ud83d\"]}\n\ndata: {\"a\":1e400}\n\n\
        data: {\"a\":99999999999999999999}\n\ndata: {\"a\":1}\n\n";
    let mut decoder = deltawire::ChunkDecoder::new();
    let mut input = stream.as_bytes();
    while decoder.next(&mut input).is_some() {}
    let end = decoder.finish();
    let JsonDeviations {
        lone_surrogates,
        non_finite_numbers,
        integers_out_of_range,
        floats_out_of_range,
        ..
    } = end.deviations;
    assert_eq!(
        [lone_surrogates, non_finite_numbers, integers_out_of_range, floats_out_of_range],
        [1; 4]
    );
    assert_eq!((end.others, end.malformed), (4, 0));
    decoder.reset();
    decoder.set_strict(true);
    let mut input = stream.as_bytes();
    let mut errors = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        if let Payload::Malformed(error) = event.payload() {
            assert_eq!(
                stream.as_bytes()[usize::try_from(error.offset()).unwrap()..].first(),
                match error.kind() {
                    ErrorKind::NonFiniteNumber => Some(&b'N'),
                    ErrorKind::FloatOutOfRange => Some(&b'1'),
                    _ => Some(&b'9'),
                }
            );
            errors.push(error.kind());
        }
    }
    assert_eq!(
        errors,
        [ErrorKind::NonFiniteNumber, ErrorKind::FloatOutOfRange, ErrorKind::IntegerOutOfRange]
    );
    let end = decoder.finish();
    assert_eq!((end.others, end.deviations), (1, JsonDeviations::default()));
    // An error in a line of its own is read in the same way.
    for stream in ["error: {\"code\":NaN}\n\n", "data: {}\nerror: {\"code\":NaN}\n\n"] {
        let mut decoder = deltawire::ChunkDecoder::new();
        let event = decoder.next(&mut stream.as_bytes()).unwrap();
        assert!(matches!(event.payload(), Payload::Error(_)));
        assert_eq!(event.deviations().non_finite_numbers, 1);
        assert_eq!(decoder.finish().deviations.non_finite_numbers, 1);
    }
}

#[test]
fn nesting_is_capped_while_reading() {
    for (depth, taken) in [(128, true), (129, false), (100_000, false)] {
        // The chunk itself is one level.
        let json = format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        with_event(&json, |event| match event.payload() {
            Payload::Other(_) => assert!(taken, "{depth}"),
            Payload::Malformed(error) => {
                assert!(!taken, "{depth}");
                assert_eq!((error.kind(), error.offset()), (ErrorKind::TooDeep, 6 + 5 + 127));
            }
            payload => panic!("{payload:?}"),
        });
    }
}

/// More of them than the limit of `ErrorKind::TooManyValues`: the first of these is the place.
#[test]
fn choices_and_calls_are_capped() {
    for (before, behind) in
        [(r#"{"choices":["#, "]}"), (r#"{"choices":[{"delta":{"tool_calls":["#, "]}}]}")]
    {
        for count in [4096, 4097] {
            let rows = vec!["{}"; count].join(",");
            with_event(&format!("{before}{rows}{behind}"), |event| match event.payload() {
                Payload::Chunk(_) => assert_eq!(count, 4096),
                Payload::Malformed(error) => {
                    let at = "data: ".len() + before.len() + 4096 * "{},".len();
                    let expected = (4097, ErrorKind::TooManyValues, at as u64);
                    assert_eq!((count, error.kind(), error.offset()), expected);
                }
                payload => panic!("{payload:?}"),
            });
        }
    }
}

#[test]
fn a_chunk_that_is_owned_is_the_same() {
    let json =
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"a\n\"b\" 😀\ud83d"}}],"x":1.50}"#;
    let owned = with_chunk(json, |chunk| {
        assert_eq!(chunk.id(), Some("c"));
        chunk.into_owned()
    });
    let copy = owned.clone();
    drop(owned);
    let chunk = copy.as_chunk();
    let delta = chunk.choices().next().unwrap().delta();
    assert_eq!(delta.content(), Some("a\n\"b\" 😀\u{FFFD}"));
    assert_eq!(chunk.get("x").unwrap().raw(), "1.50");
    assert_eq!(serde_json::to_string(&copy).unwrap(), json);
    assert_eq!(format!("{copy:?}"), json);
}

#[test]
fn parts_that_a_chunk_carries_are_listed() {
    let cases: [(&str, &[&str]); 21] = [
        (r#"{"choices":[{"delta":{"role":"assistant"}}]}"#, &["role"]),
        (r#"{"choices":[{"delta":{"role":"","content":""}}]}"#, &[]),
        (r#"{"choices":[{"delta":{"content":" "}}]}"#, &["content"]),
        (r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]}"#, &["content"]),
        (r#"{"choices":[{"text":"a"}]}"#, &["content"]),
        (r#"{"choices":[{"delta":{"refusal":"no"}}]}"#, &["refusal"]),
        (r#"{"choices":[{"delta":{"reasoning":"r"}}]}"#, &["reasoning"]),
        (r#"{"choices":[{"delta":{"reasoning_details":[{}]}}]}"#, &["reasoning"]),
        (r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]}}]}"#, &["tool_call"]),
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"a":1}}}]}}]}"#,
            &["tool_call"],
        ),
        (r#"{"choices":[{"delta":{"tool_calls":[{},{"id":"","function":{"name":""}}]}}]}"#, &[]),
        (
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":"t"}]}}]}"#,
            &["reasoning"],
        ),
        (r#"{"choices":[{"delta":{"content":[{"type":"text","text":""}]}}]}"#, &[]),
        (
            r#"{"choices":[{"delta":{"content":{"a":1},"role":["x"],"reasoning":["x"],"audio":"abc",
            "function_call":{}},"finish_reason":{"x":1}}]}"#,
            &["reasoning"],
        ),
        (r#"{"choices":[{"delta":{"function_call":{"name":"f"}}}]}"#, &["tool_call"]),
        (r#"{"choices":[{"delta":{"audio":{"id":"a"}}}]}"#, &["audio"]),
        (r#"{"choices":[{"delta":{"reasoning_details":[],"content":[],"audio":{}}}]}"#, &[]),
        (r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{}}}]}}]}"#, &[]),
        (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, &["finish"]),
        (r#"{"choices":[{"delta":{},"finish_reason":""}],"usage":{}}"#, &["usage"]),
        (
            r#"{"choices":[{"delta":{"content":"a"}},{"finish_reason":"stop"}]}"#,
            &["content", "finish"],
        ),
    ];
    for (json, expected) in cases {
        with_chunk(json, |chunk| {
            let content_flags = chunk.content_flags();
            let flags = [
                (content_flags.done, "done"),
                (content_flags.error, "error"),
                (content_flags.usage, "usage"),
                (content_flags.role, "role"),
                (content_flags.content, "content"),
                (content_flags.refusal, "refusal"),
                (content_flags.reasoning, "reasoning"),
                (content_flags.tool_call, "tool_call"),
                (content_flags.audio, "audio"),
                (content_flags.finish, "finish"),
            ];
            let set: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
            assert_eq!(set, expected, "{json}");
            assert_eq!(content_flags.is_role_only(), set == ["role"], "{json}");
        });
    }
    for (json, done, error) in
        [("[DONE]", true, false), (r#"{"error":{"code":5},"usage":{}}"#, false, true)]
    {
        with_event(json, |event| {
            let content_flags = event.payload().content_flags();
            assert_eq!((content_flags.done, content_flags.error), (done, error));
            // The chunk alone has the same result.
            if let Payload::Error(failure) = event.payload() {
                assert!(failure.chunk().unwrap().content_flags().error);
            }
        });
    }
}

/// Where both names are sent and one is empty, as in Ray Serve's first chunks, the other one counts.
#[test]
fn reasoning_is_read_under_either_name() {
    for (delta, text) in [
        (r#"{"reasoning_content":"","reasoning":"a"}"#, Some("a")),
        (r#"{"reasoning_content":"a","reasoning":""}"#, Some("a")),
        (r#"{"reasoning_content":"a","reasoning":"a"}"#, Some("a")),
        (r#"{"reasoning_content":"a"}"#, Some("a")),
        (r#"{"reasoning_content":null,"reasoning":"a"}"#, Some("a")),
        (r#"{"reasoning_content":""}"#, Some("")),
        (r#"{"reasoning_content":null}"#, None),
    ] {
        with_chunk(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#), |chunk| {
            assert_eq!(chunk.choices().next().unwrap().delta().reasoning_text(), text, "{delta}");
        });
    }
}

/// Of too many those are told that were sent first.
#[test]
fn the_first_mismatches_in_order() {
    for count in [255, 256, 257, 700] {
        let json =
            format!(r#"{{"choices":[{{"token_ids":[{}]}}]}}"#, vec!["\"x\""; count].join(","));
        with_chunk(&json, |chunk| {
            let expected: Vec<_> =
                (0..count.min(256)).map(|at| format!("choices[0].token_ids[{at}]")).collect();
            assert_eq!(mismatches(&chunk), expected);
        });
    }
    // However they are found.
    let prompt = vec!["\"x\""; 200].join(",");
    let choices = vec!["5"; 400].join(",");
    let json = format!(r#"{{"prompt_token_ids":[{prompt}],"choices":[{choices}]}}"#);
    with_chunk(&json, |chunk| {
        let prompt = (0..200).map(|at| format!("prompt_token_ids[{at}]"));
        let expected: Vec<_> = prompt.chain((0..56).map(|at| format!("choices[{at}]"))).collect();
        assert_eq!(mismatches(&chunk), expected);
    });
}
