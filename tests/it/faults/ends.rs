//! Ends of streams that each reader judges alike, whole and cut, with templates and without.

use std::time::Duration;

use deltawire::completion::ChatCompletion;
use deltawire::gateway::{Relay, RelayEnd, UsageTap, assemble};
use deltawire::{ChunkDecoder, Outcome, Reassembler, Templates};

use crate::support::faults::{DONE, push_all};

/// Returns the outcome of a stream, on which all readers agree.
fn outcome(stream: &str) -> Outcome {
    let (stream, warm) = (stream.as_bytes(), Templates::new());
    let finished = assemble([stream]);
    assert_eq!(finished.whole().is_err(), finished.completion.not_whole);
    for templates in [&Templates::none(), &Templates::new(), &warm, &warm] {
        for size in [1, 7, stream.len()] {
            let context = (size, String::from_utf8_lossy(stream));
            let pieces = || stream.chunks(size);
            assert_eq!(assemble(pieces()), finished, "{context:?}");
            let mut decoder = ChunkDecoder::new().with_templates(templates);
            let mut completion = Reassembler::new();
            pieces().for_each(|piece| push_all(&mut completion, &mut decoder, piece));
            assert_eq!(completion.finish(decoder.finish()), finished, "{context:?}");
            let mut tap = UsageTap::new().with_templates(templates);
            pieces().for_each(|piece| _ = tap.push(piece));
            let seen = tap.finish();
            let mut relay = Relay::builder().templates(templates).collect().build();
            let (now, mut out) = (Duration::from_secs(1), Vec::new());
            for piece in pieces() {
                assert!(relay.push(piece, now, &mut out).is_open(), "{context:?}");
            }
            let relayed = relay.finish(RelayEnd::Upstream, now, &mut out);
            assert_eq!(relayed.completion.as_ref(), Some(&finished), "{context:?}");
            assert_eq!(relayed.stream, seen, "{context:?}");
            assert_eq!((seen.outcome, seen.whole()), (finished.outcome, finished.whole()));
            let reasons = finished.completion.choices.iter().map(|choice| &choice.finish_reason);
            assert!(seen.choices.iter().map(|choice| &choice.finish_reason).eq(reasons));
        }
    }
    finished.outcome
}

/// Returns the events of texts, each with the members of its choice.
fn texts(members: &str) -> String {
    let text = |text| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}{members}}}]}}\n\n"
        )
    };
    ["a", "bc", "d", "efg", "h", "i"].map(text).concat()
}

/// Returns the event of an empty delta with a finish reason, as JSON.
fn end(reason: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":{reason}}}]}}\n\n")
}

/// The string `null` in place of a finish reason is none, as `""` is.
#[test]
fn the_string_null_is_no_finish_reason() {
    for none in [r#""null""#, r#""""#, r#""n\u0075ll""#] {
        let texts = texts(&format!(",\"finish_reason\":{none}"));
        for behind in ["", &*end(none)] {
            let cut = format!("{texts}{behind}");
            assert_eq!(outcome(&cut), Outcome::Truncated, "{none}");
            assert_eq!(outcome(&(cut + DONE)), Outcome::DoneWithoutFinish, "{none}");
        }
        let whole = format!("{texts}{}", end("\"stop\""));
        assert_eq!(outcome(&whole), Outcome::FinishedWithoutDone, "{none}");
        // A later one doesn't replace the reason.
        let whole = format!("{whole}{}{DONE}", end(none));
        assert_eq!(outcome(&whole), Outcome::Complete, "{none}");
        let reason = &assemble([whole.as_bytes()]).completion.choices[0].finish_reason;
        assert_eq!(reason.as_deref(), Some("stop"));
        let mut decoder = ChunkDecoder::new();
        let mut input = texts.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            assert!(!event.payload().content_flags().finish, "{none}");
        }
        let json = format!("{{\"choices\":[{{\"message\":{{}},\"finish_reason\":{none}}}]}}");
        let read = ChatCompletion::from_json(json.as_bytes()).unwrap();
        assert_eq!(read.choices[0].finish_reason, None);
    }
    for reason in [r#""NULL""#, r#""nulls""#] {
        let stream = texts("") + &end(reason) + DONE;
        assert_eq!(outcome(&stream), Outcome::Complete, "{reason}");
    }
}

/// Groq's SDK documents `error` in `x_groq` as the reason why a stream was stopped early.
#[test]
fn an_error_in_x_groq_is_one() {
    let x_groq = |error: &str| format!("],\"x_groq\":{{\"id\":\"r\",\"error\":{error}}}}}");
    let with = |event: &str, error: &str| event.replace("]}\n\n", &(x_groq(error) + "\n\n"));
    let stop = end("\"stop\"");
    for behind in ["", DONE] {
        let failed = texts("") + &with(&stop, "\"over capacity\"") + behind;
        assert_eq!(outcome(&failed), Outcome::UpstreamError, "{failed}");
        let error = assemble([failed.as_bytes()]).end.upstream_error.unwrap();
        assert_eq!(error.message.as_deref(), Some("over capacity"));
        let texts = texts("");
        for (none, error) in [("\"\"", "\"x\""), ("null", "\"boom\""), ("\"\"", "\"boom\"")] {
            // In each event, then in the last text only.
            let (first, last) = texts.split_at(texts.rfind("data:").unwrap());
            let stream = with(first, none) + &with(last, error) + &stop + behind;
            assert_eq!(outcome(&stream), Outcome::UpstreamError, "{stream}");
            let stream = with(&texts, none) + &with(&stop, none) + behind;
            let expected =
                if behind.is_empty() { Outcome::FinishedWithoutDone } else { Outcome::Complete };
            assert_eq!(outcome(&stream), expected, "{stream}");
        }
    }
    let alone = "data: {\"x_groq\":{\"error\":\"boom\"}}\n\n";
    assert_eq!(outcome(&(texts("") + &stop + alone)), Outcome::UpstreamError);
}

/// Models of Ollama send `stop` before the answer, so that a stream may be cut behind it.
#[test]
fn output_behind_the_finish_reason_is_not_finished() {
    let (stop, text) = (end("\"stop\""), texts(""));
    let one = |members: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{{members}}}}}]}}\n\n")
    };
    let call = r#""tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]"#;
    let more = [
        text.clone(),
        one(r#""content":"a""#),
        one(r#""reasoning":"a""#),
        one(r#""refusal":"a""#),
        one(call),
        one(r#""content":[{"type":"text","text":"a"}]"#),
    ];
    for more in more {
        for stream in [format!("{stop}{more}"), format!("{text}{stop}{more}")] {
            assert_eq!(outcome(&stream), Outcome::Truncated, "{stream}");
            let pending = &assemble([stream.as_bytes()]).pending;
            assert_eq!(pending.len(), 1, "{stream}");
            assert_eq!(outcome(&(stream.clone() + DONE)), Outcome::Complete, "{stream}");
            assert_eq!(outcome(&(stream + &stop)), Outcome::FinishedWithoutDone);
        }
    }
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n";
    for behind in [usage, &stop, &one(""), &one(r#""role":"assistant","content":"""#), ": ping\n\n"]
    {
        let stream = format!("{text}{stop}{}", behind.repeat(3));
        assert_eq!(outcome(&stream), Outcome::FinishedWithoutDone, "{stream}");
    }
    // The reason and the last output are in one chunk.
    let last = texts(r#","finish_reason":"stop""#);
    assert_eq!(outcome(&last), Outcome::FinishedWithoutDone);
    assert_eq!(outcome(&(last.clone() + &text)), Outcome::Truncated);
    // Each choice has its own end.
    let second = |stream: &str| stream.replace("\"index\":0", "\"index\":1");
    let both = format!("{text}{}{stop}", second(&text));
    let rest = second(&text) + &second(&stop);
    assert_eq!(outcome(&format!("{both}{rest}")), Outcome::FinishedWithoutDone);
    assert_eq!(outcome(&format!("{both}{text}{rest}")), Outcome::Truncated);
    assert_eq!(outcome(&format!("{both}{rest}{text}{stop}")), Outcome::FinishedWithoutDone);
    let twice = |first: &str, last: &str| {
        format!("data: {{\"choices\":[{{\"index\":0{first}}},{{\"index\":0{last}}}]}}\n\n")
    };
    let (ended, output) = (r#","finish_reason":"stop""#, r#","delta":{"content":"a"}"#);
    assert_eq!(outcome(&twice(ended, output)), Outcome::Truncated);
    assert_eq!(outcome(&twice(output, ended)), Outcome::FinishedWithoutDone);
}
