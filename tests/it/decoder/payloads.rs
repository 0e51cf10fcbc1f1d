//! Payloads of a `ChunkDecoder`: `[DONE]`, errors in all their forms, and malformed ones.
//!
//! A malformed payload has the offset of its fault.

use deltawire::chunk::{ErrorCode, OwnedChatCompletionChunk};
use deltawire::sse::BodyKind;
use deltawire::{ChunkDecoder, ErrorKind, Limits, Payload, Reassembler};

use crate::support::{base64, vectors};

/// Returns kind and offset of each payload, except the ignored ones.
fn kinds(stream: &[u8]) -> Vec<(&'static str, u64)> {
    let mut decoder = ChunkDecoder::new();
    let mut input = stream;
    let mut kinds = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        let kind = match event.payload() {
            Payload::Chunk(_) => "chunk",
            Payload::Other(_) => "other",
            Payload::Done => "done",
            Payload::Error(_) => "error",
            Payload::Malformed(_) => "malformed",
            Payload::Comment => "comment",
            _ => continue,
        };
        kinds.push((kind, event.offset()));
    }
    kinds
}

fn malformed(stream: &[u8]) -> Option<(ErrorKind, u64)> {
    let mut decoder = ChunkDecoder::new();
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        if let Payload::Malformed(error) = event.payload() {
            return Some((error.kind(), error.offset()));
        }
    }
    None
}

#[test]
fn done_with_padding_is_done() {
    for done in ["[DONE]", " [DONE]", "[DONE] ", "\t[DONE]\t ", "  [DONE]"] {
        for end in ["\n", "\r\n", "\r"] {
            assert_eq!(kinds(format!("data:{done}{end}{end}").as_bytes()), [("done", 0)], "{done}");
            assert_eq!(kinds(format!("data: {done}{end}{end}").as_bytes()), [("done", 0)]);
        }
    }
    for other in ["[done]", "[DONE", "[DONE]]", "\"[DONE]\"", "DONE", "[DATA]"] {
        let kinds = kinds(format!("data: {other}\n\n").as_bytes());
        assert_eq!(kinds, [("malformed", 0)], "{other}");
    }
    let text = r#"{"choices":[{"delta":{"content":"[DONE] \"error\": \"usage\":{}"}}]}"#;
    assert_eq!(kinds(format!("data: {text}\n\n").as_bytes()), [("chunk", 0)]);
}

#[test]
fn errors_in_each_form_are_errors() {
    let object = r#"{"message":"m","code":502,"type":"t","param":"p"}"#;
    for stream in [
        format!("data: {{\"error\":{object}}}\n\n"),
        format!("event: error\ndata: {{\"error\":{object}}}\n\n"),
        format!("data: {{\"error\":{object},\"choices\":[{{\"delta\":{{}}}}]}}\n\n"),
        format!("data: {{\"object\":\"error\",{}\n\n", &object[1..]),
        format!("event: error\ndata: {object}\n\n"),
        format!("error: {object}\n\n"),
        format!("error: {{\"error\":{object}}}\n\n"),
        format!("data: {{}}\nerror: {object}\n\n"),
    ] {
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        let event = decoder.next(&mut input).unwrap();
        let Payload::Error(error) = event.payload() else { panic!("{stream}: {event:?}") };
        assert_eq!(error.message(), Some("m"), "{stream}");
        assert_eq!(error.code(), Some(ErrorCode::Number(502)), "{stream}");
        assert_eq!((error.r#type(), error.param()), (Some("t"), Some("p")), "{stream}");
        assert_eq!(error.chunk().is_some(), stream.contains("choices"), "{stream}");
        let end = decoder.finish();
        let kept = end.upstream_error.unwrap();
        assert_eq!((kept.message.as_deref(), kept.code.as_deref()), (Some("m"), Some("502")));
        assert_eq!(end.body, None, "{stream}");
    }
    for (stream, message) in [
        ("event: error\ndata: boom\n\n", "boom"),
        ("event: error\n: no responders\n\n", "no responders"),
        ("error: boom\n\n", "boom"),
        ("data: {\"error\":\"boom\"}\n\n", "boom"),
    ] {
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        let event = decoder.next(&mut input).unwrap();
        let Payload::Error(error) = event.payload() else { panic!("{stream}") };
        assert_eq!(error.message(), Some(message));
        let content_flags = event.payload().content_flags();
        assert!(content_flags.error && !content_flags.is_output(), "{stream}");
    }
    for none in ["null", "false", "0", "\"\""] {
        let stream = format!("data: {{\"error\":{none},\"choices\":[]}}\n\n");
        assert_eq!(kinds(stream.as_bytes()), [("chunk", 0)], "{none}");
    }
}

/// Events that are closed, and one that the end of the stream cuts.
#[test]
fn a_message_that_is_not_utf8_is_read_up_to_its_fault() {
    for (stream, message) in [
        (&b"error: b\xC3\n\n"[..], "b"),
        (b"event: error\ndata: {\"message\":\"b\xC3\"}\n\n", "{\"message\":\"b"),
        (b"{\"error\":{\"message\":\"b\xC3\n", "{\"error\":{\"message\":\"b"),
        (b"data: {\"error\":{\"message\":\"b\xC3", "{\"error\":{\"message\":\"b"),
    ] {
        let mut decoder = ChunkDecoder::new();
        let stream = [b"data: {}\n\n", stream].concat();
        let mut input = &stream[..];
        while decoder.next(&mut input).is_some() {}
        let error = decoder.finish().upstream_error.unwrap();
        assert_eq!(error.message.as_deref(), Some(message));
    }
}

#[test]
fn malformed_payload_has_the_offset_of_its_fault() {
    for (payload, kind, position) in [
        ("{not json}", ErrorKind::ExpectedName, 1),
        ("{\"a\":1", ErrorKind::UnexpectedEnd, 6),
        ("{\"a\":\"\\", ErrorKind::UnexpectedEnd, 7),
        ("{\"a\":\"\\u12", ErrorKind::UnexpectedEnd, 10),
        ("{\"a\":\"\\x\"}", ErrorKind::InvalidEscape, 6),
        ("{\"a\":\"\\u1\"", ErrorKind::InvalidEscape, 6),
        ("{\"a\":\"\u{1}\"}", ErrorKind::ControlCharacter, 6),
        ("{\"a\" 1}", ErrorKind::ExpectedColon, 5),
        ("{\"a\":01}", ErrorKind::ExpectedCommaOrEnd, 6),
        ("{\"a\":1.}", ErrorKind::InvalidNumber, 7),
        ("{\"a\":[1 2]}", ErrorKind::ExpectedCommaOrEnd, 8),
        ("{\"a\":trux}", ErrorKind::ExpectedValue, 8),
        ("{\"a\":-Inf}", ErrorKind::ExpectedValue, 9),
        ("{}{}", ErrorKind::TrailingData, 2),
        ("{},{}", ErrorKind::TrailingData, 2),
        ("[1]", ErrorKind::ExpectedObject, 0),
        ("12", ErrorKind::ExpectedObject, 0),
        (" [1]", ErrorKind::ExpectedObject, 1),
        ("\t\"x\"", ErrorKind::ExpectedObject, 1),
        ("", ErrorKind::UnexpectedEnd, 0),
    ] {
        let stream = format!("data: {payload}\n\n");
        assert_eq!(malformed(stream.as_bytes()), Some((kind, 6 + position)), "{payload}");
    }
    // Over two lines: the second line's bytes begin behind its name.
    let joined = b"data: {\"a\":\ndata: x}\n\n";
    assert_eq!(malformed(joined), Some((ErrorKind::ExpectedValue, 18)));
    let third = b"data:\ndata:\ndata: 12\n\n";
    assert_eq!(malformed(third), Some((ErrorKind::ExpectedObject, 18)));
    let owned = OwnedChatCompletionChunk::from_json(b"   [1]").unwrap_err();
    assert_eq!((owned.kind(), owned.offset()), (ErrorKind::ExpectedObject, 3));
    let invalid = b"data: {\"a\":\"\xFF\"}\n\n";
    assert_eq!(malformed(invalid), Some((ErrorKind::InvalidUtf8, 12)));
    let nested = |depth: usize| {
        format!("data: {{\"a\":{}{}}}\n\n", "[".repeat(depth - 1), "]".repeat(depth - 1))
    };
    assert_eq!(malformed(nested(128).as_bytes()), None);
    assert_eq!(malformed(nested(129).as_bytes()), Some((ErrorKind::TooDeep, 6 + 5 + 127)));
    assert_eq!(malformed(nested(100_000).as_bytes()), Some((ErrorKind::TooDeep, 6 + 5 + 127)));
}

/// At every place, in texts of every length: short and long texts are checked differently.
#[test]
fn text_that_is_no_utf8_is_found_at_every_place() {
    for len in (0..70).chain([127, 128, 129, 300]) {
        for at in 0..len {
            let mut text = vec![b'x'; len];
            text[at] = 0xFF;
            let stream = [b"data: {\"a\":\"", &text[..], b"\"}\n\n"].concat();
            assert_eq!(malformed(&stream), Some((ErrorKind::InvalidUtf8, 12 + at as u64)));
        }
    }
}

#[test]
fn a_malformed_event_does_not_touch_the_next() {
    let stream = b"data: {}\n\ndata: {\n\ndata: {}\n\n";
    assert_eq!(kinds(stream), [("other", 0), ("malformed", 10), ("other", 19)]);
    let mut decoder = ChunkDecoder::new();
    let mut input = &stream.repeat(2)[..];
    while decoder.next(&mut input).is_some() {}
    let end = decoder.finish();
    assert_eq!((end.events, end.others, end.malformed), (6, 4, 2));
}

#[test]
fn body_that_is_no_event_stream_has_its_kind() {
    for (body, expected) in [
        (&b"{\"error\":{}}"[..], BodyKind::Json),
        (b"\xEF\xBB\xBF [1]\n", BodyKind::Json),
        (b"<!DOCTYPE html>\n<p>\n", BodyKind::Html),
        (b"\x1F\x8B\x08\x00\n:x\n", BodyKind::Compressed),
        (b"\x28\xB5\x2F\xFD....", BodyKind::Compressed),
        (b"upstream connect error\n", BodyKind::Other),
    ] {
        let mut decoder = ChunkDecoder::new();
        let mut input = body;
        while decoder.next(&mut input).is_some() {}
        assert_eq!(decoder.finish().body, Some(expected));
    }
}

/// No error, and no text that describes one, repeats bytes of the stream.
#[test]
fn errors_of_payloads_repeat_no_text_of_the_stream() {
    let canary = "sk-canary";
    for payload in [
        format!("{{\"{canary}\" 1}}"),
        format!(
            "{{\"error\":{{\"message\":\"{canary}\",\"type\":\"{canary}\",\"code\":\"{canary}\"}}}}"
        ),
        format!("\"{canary}\""),
        canary.to_owned(),
    ] {
        for line in ["data: ", "error: ", "event: error\ndata: ", "id: "] {
            let stream = format!("{line}{payload}\n\ndata: {payload}");
            let mut decoder = ChunkDecoder::new();
            let mut input = stream.as_bytes();
            while let Some(event) = decoder.next(&mut input) {
                assert!(!format!("{:?}", event.event()).contains(canary), "{stream}");
                match event.payload() {
                    Payload::Malformed(error) => {
                        assert!(!format!("{error} {error:?} {event:?}").contains(canary));
                    }
                    Payload::Error(error) => {
                        assert!(!format!("{error:?} {event:?}").contains(canary), "{stream}");
                    }
                    _ => {}
                }
            }
            assert!(!format!("{decoder:?} {:?}", decoder.finish()).contains(canary), "{stream}");
        }
    }
}

/// The same in every vector there is, with the canary at many places of it.
#[test]
fn errors_of_vectors_repeat_no_text_of_the_stream() {
    const CANARY: &str = "sk-canary";
    for stream in every_vector() {
        let step = (stream.len() / 12).max(1);
        for at in (0..=stream.len()).step_by(step) {
            let (before, behind) = stream.split_at(at);
            let stream = [before, CANARY.as_bytes(), behind].concat();
            for strict in [false, true] {
                let mut limits = Limits::default();
                limits.max_line_bytes =
                    if strict { stream.len() / 2 } else { limits.max_line_bytes };
                let mut decoder = ChunkDecoder::with_limits(limits);
                decoder.set_strict(strict);
                let mut completion = Reassembler::new();
                let mut input = &stream[..];
                let mut shown = Vec::new();
                while let Some(event) = decoder.next(&mut input) {
                    completion.push_payload(event.payload());
                    shown.push(format!("{:?}", event.event()));
                    shown.push(match event.payload() {
                        // An object shows its JSON text: it is no error.
                        Payload::Chunk(_) | Payload::Other(_) => String::new(),
                        Payload::Malformed(error) => format!("{error} {error:?} {event:?}"),
                        payload => format!("{payload:?} {event:?}"),
                    });
                }
                shown.push(format!("{decoder:?}"));
                let finished = completion.finish(decoder.finish());
                shown.push(format!("{:?} {:?}", finished.end, finished.outcome));
                assert!(!shown.concat().contains(CANARY), "{}", String::from_utf8_lossy(&stream));
            }
        }
    }
}

/// Returns the streams of all vectors: framing, payloads, and streams of servers in the wild.
fn every_vector() -> Vec<Vec<u8>> {
    let event = |json: &[u8]| [b"data: ", json, b"\n\n"].concat();
    let mut streams = Vec::new();
    for (_, vector) in vectors("sse").into_iter().chain(vectors("json")) {
        if let Some(bytes) = vector["input_b64"].as_str() {
            let bytes = base64(bytes);
            streams.push(if vector["category"].is_string() { event(&bytes) } else { bytes });
        }
    }
    for (_, vector) in vectors("accumulate") {
        let chunks = vector["chunks"].as_array().unwrap().iter();
        streams.push(chunks.flat_map(|chunk| event(chunk.to_string().as_bytes())).collect());
    }
    for (_, row) in vectors("") {
        streams.extend(row["bytes"].as_str().map(|text| text.as_bytes().to_vec()));
    }
    streams
}

/// Events behind `[DONE]` are counted, errors too. A chunk counts, also beside an error.
#[test]
fn errors_are_counted_with_their_chunks() {
    let (error, both) = (r#"{"error":{"code":1}}"#, r#"{"error":{"code":2},"choices":[]}"#);
    let none = r#"{"choices":[]}"#;
    for (payloads, chunks, after_done) in [
        (&[error][..], 0, 0),
        (&[both], 1, 0),
        (&[both, both], 2, 0),
        (&["[DONE]", error], 0, 1),
        (&["[DONE]", error, error], 0, 2),
        (&[none, "[DONE]", none, both], 3, 2),
        (&[none, "[DONE]", none, none], 3, 2),
        (&["{}", "[DONE]", r#"{"a":1}"#, r#"{"b":[]}"#], 0, 2),
    ] {
        let events: Vec<_> = payloads.iter().map(|json| format!("data: {json}\n\n")).collect();
        let stream = events.concat();
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        while decoder.next(&mut input).is_some() {}
        let end = decoder.finish();
        assert_eq!((end.chunks, end.after_done), (chunks, after_done), "{payloads:?}");
        let code = payloads.iter().find(|json| json.contains("error")).map(|json| &json[17..18]);
        assert_eq!(end.upstream_error.and_then(|error| error.code).as_deref(), code);
    }
}

/// Reads a text as an error, with the code and type beside it.
#[test]
fn a_text_is_an_error_with_the_code_and_type_beside_it() {
    let stream = b"data: {\"error\":\"boom\",\"code\":502,\"type\":\"t\"}\n\n";
    let mut decoder = ChunkDecoder::new();
    let event = decoder.next(&mut &stream[..]).unwrap();
    let Payload::Error(error) = event.payload() else { panic!("{event:?}") };
    assert_eq!((error.message(), error.r#type()), (Some("boom"), Some("t")));
    assert_eq!(error.code(), Some(ErrorCode::Number(502)));
    assert_eq!(error.as_value().unwrap().raw(), "\"boom\"");
}

/// A `[DONE]` that breaks off counts, after any other event.
///
/// A byte order mark is one only at the start.
#[test]
fn done_without_its_blank_line_is_done() {
    for (stream, done) in [
        ("data: [DONE]", 1),
        ("\u{FEFF}data: [DONE]", 1),
        ("data: {}\n\ndata: [DONE]", 1),
        ("data: {}\n\n\u{FEFF}data: [DONE]", 0),
    ] {
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        while decoder.next(&mut input).is_some() {}
        assert_eq!(decoder.finish().done, done, "{stream:?}");
    }
}

#[test]
fn a_stream_continues_behind_an_id() {
    let mut decoder = ChunkDecoder::new();
    decoder.set_last_event_id("7");
    assert_eq!(decoder.sse().last_event_id(), "7");
    let event = decoder.next(&mut &b"data: {}\n\n"[..]).unwrap();
    assert_eq!(event.event().last_event_id(), "7");
}

/// A kind's name is its variant's, in the field's way of writing.
#[test]
fn each_kind_has_a_name_and_a_text_of_its_own() {
    use ErrorKind::{
        AmbiguousName, ControlCharacter, EventTooLarge, ExpectedBool, ExpectedColon,
        ExpectedCommaOrEnd, ExpectedName, ExpectedObject, ExpectedValue, FloatOutOfRange,
        IdTooLong, IntegerOutOfRange, InvalidEscape, InvalidNumber, InvalidUtf8, LineTooLong,
        LoneSurrogate, NonFiniteNumber, PayloadTooLarge, RepeatedName, TooDeep, TooManyValues,
        TrailingData, UnexpectedEnd,
    };
    let kinds = [
        LineTooLong,
        EventTooLarge,
        IdTooLong,
        InvalidUtf8,
        ExpectedObject,
        ExpectedBool,
        RepeatedName,
        AmbiguousName,
        ExpectedValue,
        ExpectedName,
        ExpectedColon,
        ExpectedCommaOrEnd,
        TrailingData,
        UnexpectedEnd,
        InvalidEscape,
        ControlCharacter,
        InvalidNumber,
        LoneSurrogate,
        NonFiniteNumber,
        IntegerOutOfRange,
        FloatOutOfRange,
        TooDeep,
        TooManyValues,
        PayloadTooLarge,
    ];
    for kind in kinds {
        let mut name = String::new();
        for letter in format!("{kind:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        assert_eq!(kind.as_str(), name);
    }
    let texts: std::collections::BTreeSet<_> = kinds.iter().map(ErrorKind::to_string).collect();
    assert_eq!(texts.len(), kinds.len());
}

#[test]
fn an_error_is_shown_with_its_place() {
    let stream = b"data: {}\n\ndata: [1]\n\n";
    let mut decoder = ChunkDecoder::new();
    let mut input = &stream[..];
    decoder.next(&mut input).unwrap();
    let event = decoder.next(&mut input).unwrap();
    let Payload::Malformed(error) = event.payload() else { panic!("{event:?}") };
    assert_eq!(error.to_string(), format!("{} at byte 16", ErrorKind::ExpectedObject));
}

/// The rest of an event over a limit is skipped: a stream that ends there is cut.
#[test]
fn a_stream_that_ends_in_a_skipped_event_is_cut() {
    let limits = Limits::new().with_max_event_bytes(64);
    for (end, is_cut) in [("", true), ("\n", true), ("\n\n", false)] {
        let stream = format!("data: {}{end}", "x".repeat(200));
        for size in [1, 50, 300] {
            let mut decoder = ChunkDecoder::with_limits(limits);
            for mut piece in stream.as_bytes().chunks(size) {
                while decoder.next(&mut piece).is_some() {}
            }
            assert_eq!(decoder.finish().is_cut, is_cut, "{end:?} in pieces of {size}");
        }
    }
}

/// The offset of a line without `data:` that can't be read is that of the byte in it.
#[test]
fn a_bare_line_that_is_unreadable_has_the_offset_of_its_byte() {
    for (before, line, kind) in [
        (": p\n\ndata: [DONE]\n", "{\"a\":}", ErrorKind::ExpectedValue),
        (": p\r\n\r\ndata: [DONE]\r\n", " \t{\"a\":}", ErrorKind::ExpectedValue),
        (": p\n\n", "{\"a\":}", ErrorKind::ExpectedValue),
        ("\u{feff}id: 1\n", "{\"a\":}", ErrorKind::ExpectedValue),
        ("id: 1\nother\n{}\n", "{\"a\"}", ErrorKind::ExpectedColon),
        ("id: 1\n", "[{\"error\":1}]", ErrorKind::ExpectedObject),
    ] {
        // The parser rejects the last byte, or the root.
        let in_line = if kind == ErrorKind::ExpectedObject { 0 } else { line.len() - 1 };
        let stream = format!("{before}{line}\n\n");
        let expected = Some((kind, (before.len() + in_line) as u64));
        assert_eq!(malformed(stream.as_bytes()), expected, "{stream}");
    }
}
