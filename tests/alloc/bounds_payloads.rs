//! Memory and work of payloads and completions: bounds, and no allocation in steady state.
//!
//! Also events without any effect.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use deltawire::gateway::{Observer, UsageTap};
use deltawire::{ChunkDecoder, ErrorKind, Limits, Payload, Reassembler, Templates};

use crate::support::events::event;
use crate::support::heap;

fn limits(change: impl Fn(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// Feeds a stream to a decoder and a reassembler, and returns the kinds of malformed events.
fn feed(decoder: &mut ChunkDecoder, completion: &mut Reassembler, stream: &str) -> Vec<ErrorKind> {
    let mut malformed = Vec::new();
    let mut input = stream.as_bytes();
    while let Some(event) = decoder.next(&mut input) {
        if let Payload::Malformed(error) = event.payload() {
            malformed.push(error.kind());
        }
        completion.push_payload(event.payload());
    }
    malformed
}

#[test]
fn decoding_allocates_nothing_in_steady_state() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    for name in ["text", "tools", "reasoning", "n2", "usage", "refusal"] {
        let stream = fs::read(folder.join(name).with_extension("sse")).unwrap();
        for size in [stream.len(), 1460, 100, 7] {
            let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
            let mut pass = || {
                let mut chunks = 0;
                for mut input in stream.chunks(size) {
                    while let Some(event) = decoder.next(&mut input) {
                        chunks += usize::from(matches!(event.payload(), Payload::Chunk(_)));
                    }
                }
                decoder.reset();
                chunks
            };
            let chunks = pass();
            // Buffers take turns: in three more passes each has had the largest event.
            (0..3).for_each(|_| assert_eq!(pass(), chunks));
            let before = heap::allocations();
            assert_eq!(pass(), chunks);
            assert_eq!(heap::allocations() - before, 0, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn reassembling_allocates_only_for_text_that_grows() {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let usage = |number: usize| {
        event(&format!(
            r#"{{"id":"c","model":"m","provider":"p","choices":[{{"index":0,"delta":{{"role":"assistant","content":"x"}},"native_finish_reason":null}}],"usage":{{"completion_tokens":{number}}}}}"#
        ))
    };
    feed(&mut decoder, &mut completion, &(100..200).map(usage).collect::<String>());
    let stream: String = (200..999).map(usage).collect();
    let before = heap::allocations();
    feed(&mut decoder, &mut completion, &stream);
    // 100 bytes of text grow to 899 by doubling.
    assert!(heap::allocations() - before <= 4, "{}", heap::allocations() - before);
    let content = completion.snapshot().choices[0].message.content.as_deref();
    assert_eq!(content.map(str::len), Some(899));
}

#[test]
fn a_payload_of_many_values_costs_no_more_than_they_may() {
    let limits = limits(|limits| limits.max_json_values = 10_000);
    let many = |element: &str, count: usize| vec![element; count].join(",");
    for (name, json, error) in [
        ("numbers", format!(r#"{{"choices":[{}]}}"#, many("0", 9_000)), None),
        ("more numbers", format!(r#"{{"choices":[{}]}}"#, many("0", 500_000)), Some(())),
        ("arrays", format!(r#"{{"a":[{}]}}"#, many("[]", 500_000)), Some(())),
        ("choices", format!(r#"{{"choices":[{}]}}"#, many("{}", 4_000)), None),
        ("more choices", format!(r#"{{"choices":[{}]}}"#, many("{}", 5_000)), Some(())),
        (
            "calls",
            format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{}]}}}}]}}"#, many("{}", 5_000)),
            Some(()),
        ),
        ("text", format!(r#"{{"a":"{}"}}"#, ",".repeat(500_000)), None),
        ("late escape", format!(r#"{{"a":"{}","b":"\n"}}"#, ",".repeat(500_000)), None),
        ("escapes", format!(r#"{{"a":"{}"}}"#, "\\n,".repeat(200_000)), None),
    ] {
        let stream = event(&json);
        let before = heap::live();
        heap::reset_peak();
        let mut decoder = ChunkDecoder::with_limits(limits);
        let mut completion = Reassembler::with_limits(limits);
        let malformed = feed(&mut decoder, &mut completion, &stream);
        let expected: &[_] = if error.is_some() { &[ErrorKind::TooManyValues] } else { &[] };
        assert_eq!(malformed, expected, "{name}");
        // The text unescaped, if it has escapes, and the cost of each value.
        let text = if json.contains('\\') && name != "late escape" { json.len() } else { 0 };
        let most = text + 64 * 10_000 + 4096 * 256 + (64 << 10);
        let peak = (heap::peak() - before) as usize;
        assert!(peak <= most, "{name}: {peak} bytes, {most} allowed");
    }
}

/// An empty choice and an empty call have the largest index for their bytes.
#[test]
fn memory_of_many_choices_and_calls_is_within_the_docs() {
    let many = |count: usize| vec!["{}"; count].join(",");
    for count in [100, 2049, 4096, 4097] {
        let choices = format!(r#"{{"choices":[{}]}}"#, many(count));
        let delta = format!(r#"{{"delta":{{"tool_calls":[{}]}}}}"#, many(count));
        let calls = format!(r#"{{"choices":[{delta}]}}"#);
        let both = format!(r#"{{"choices":[{},{delta}]}}"#, many(count - 1));
        for (json, values) in [(choices, count), (calls, count), (both, 2 * count)] {
            let limits = Limits::new()
                .with_max_event_bytes(32 << 10)
                .with_max_line_bytes(32 << 10)
                .with_max_id_bytes(1 << 10)
                .with_max_json_values(values + 8);
            let stream = event(&json);
            let before = heap::live();
            heap::reset_peak();
            let mut decoder = ChunkDecoder::with_limits(limits).with_templates(&Templates::none());
            let mut events = 0;
            for mut piece in stream.as_bytes().chunks(4096) {
                while let Some(event) = decoder.next(&mut piece) {
                    events += 1;
                    let is_chunk = matches!(event.payload(), Payload::Chunk(_));
                    assert_eq!(is_chunk, count <= 4096, "{count}");
                }
            }
            let of_sse = 2 * (32 << 10) + (3 << 10) + (64 << 10);
            let most = of_sse + (32 << 10) + 96 * (values + 8) + (768 << 10);
            let peak = (heap::moving_peak() - before) as usize;
            assert!(events == 1 && peak <= most, "{count}: {peak} bytes, {most} allowed");
        }
    }
}

/// A string with escapes is held unescaped besides its payload.
///
/// It is never longer than the payload, even if the text has grown to it.
#[test]
fn an_unescaped_text_is_no_longer_than_its_payload() {
    let json = format!(r#"{{"a":"{}"}}"#, "\\n0123456789".repeat(6000));
    let stream = event(&json);
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = ChunkDecoder::new();
    decoder.next(&mut stream.as_bytes()).unwrap();
    let peak = (heap::peak() - before) as usize;
    assert!((json.len() * 9 / 10..json.len() + (8 << 10)).contains(&peak), "{peak}");
}

/// Large texts, many values, many members, in a line of data or in one that is an error.
#[test]
fn large_payloads_are_forgotten() {
    let many = |element: &str, count: usize| vec![element; count].join(",");
    let numbers = format!(r#"{{"choices":[],"a":[{}]}}"#, many("1", 1 << 19));
    let small = event(r#"{"choices":[]}"#).repeat(100);
    let other = event(r#"{"id":"c","created":1}"#).repeat(100);
    for (name, large, least) in [
        ("numbers", event(&numbers), 8 << 20),
        ("few numbers", event(&format!(r#"{{"a":[{}]}}"#, many("1", 3000))), 40 << 10),
        ("escapes", event(&format!(r#"{{"a":[{}]}}"#, many(r#""\n""#, 1400))), 30 << 10),
        ("text", event(&format!(r#"{{"a":"{}"}}"#, "\\n-".repeat(40_000))), 80_000),
        ("choices", event(&format!(r#"{{"choices":[{}]}}"#, many("{}", 1000))), 100 << 10),
        (
            "calls",
            event(&format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{}]}}}}]}}"#,
                many("{}", 1000)
            )),
            40 << 10,
        ),
        ("error lines", format!("error: [{}]\n\n", many("1", 8000)), 100 << 10),
        ("errors besides", format!("data: {{}}\nerror: {numbers}\n\n"), 8 << 20),
        ("error types", format!("event: error\nerror: {numbers}\n\n"), 8 << 20),
    ] {
        // A small event matches a template from the start, so that no other path is used. Or its
        // template is learned while the buffers are large.
        for (templates, behind) in [(true, &small), (true, &other), (false, &small)] {
            let before = heap::live();
            let mut decoder = ChunkDecoder::new();
            decoder.set_templates(&if templates { Templates::new() } else { Templates::none() });
            for stream in [&small, &large] {
                feed(&mut decoder, &mut Reassembler::new(), stream);
            }
            assert!(heap::live() > before + least, "{name}: {}", heap::live() - before);
            feed(&mut decoder, &mut Reassembler::new(), behind);
            assert!(heap::live() < before + (16 << 10), "{name}: {}", heap::live() - before);
        }
    }
}

/// Large payloads, and now and then small ones between them, don't cost a buffer each.
///
/// Nor do others with many small ones between them.
#[test]
fn large_payloads_are_not_forgotten_while_they_come() {
    let many = |element: &str, count: usize| vec![element; count].join(",");
    for (name, large, small) in [
        ("large", format!(r#"{{"choices":[],"a":[{}]}}"#, many("1", 10_000)), 30),
        ("values", format!(r#"{{"choices":[],"a":[{}]}}"#, many("1", 200)), 300),
        ("escapes", format!(r#"{{"choices":[],"a":[{}]}}"#, many(r#""\n""#, 200)), 300),
        ("unknown", format!(r#"{{"choices":[{}]}}"#, many(r#"{"index":"a","b":1}"#, 100)), 300),
    ] {
        let stream = event(&large) + &event(r#"{"choices":[]}"#).repeat(small);
        let mut decoder = ChunkDecoder::new();
        decoder.set_templates(&Templates::none());
        let mut pass = || {
            let before = heap::allocations();
            let mut input = stream.as_bytes();
            while decoder.next(&mut input).is_some() {}
            heap::allocations() - before
        };
        assert!(pass() > 0);
        for _ in 0..20 {
            assert_eq!(pass(), 0, "{name}");
        }
    }
}

#[test]
fn a_decoder_in_mid_stream_is_small() {
    let stream =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams/text.sse"));
    let stream = stream.unwrap();
    let templates = Templates::new();
    let in_mid_stream = || {
        let mut decoder = ChunkDecoder::new().with_templates(&templates);
        for mut input in stream.as_bytes().chunks(1000) {
            while decoder.next(&mut input).is_some() {}
        }
        decoder
    };
    // The first streams fill the templates that the others share.
    (0..3).for_each(|_| drop(in_mid_stream()));
    let before = heap::live();
    let decoder = in_mid_stream();
    assert!(heap::live() - before <= 2 << 10, "{}", heap::live() - before);
    drop(decoder);
}

/// The heap of a completion is its choice and its texts, each allocated once.
#[test]
fn a_completion_in_mid_stream_is_small() {
    assert!(size_of::<Reassembler>() <= 600, "{}", size_of::<Reassembler>());
    let chunk = |delta: &str| {
        event(&format!(
            r#"{{"id":"chatcmpl-1","model":"m1","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
        ))
    };
    let mut stream = chunk(r#"{"role":"assistant","content":""}"#);
    stream +=
        &(10..30).map(|token| chunk(&format!(r#"{{"content":"t{token}"}}"#))).collect::<String>();
    let two_choices = (0..20).map(|token| {
        let delta = format!(r#"{{"content":"t{token}"}}"#);
        let index = token % 2;
        event(&format!(
            r#"{{"id":"chatcmpl-1","model":"m1","choices":[{{"index":{index},"delta":{delta},"finish_reason":null}}]}}"#
        ))
    });
    // Streams with two choices add a slot for the index.
    for before in [String::new(), two_choices.collect()] {
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        for _ in 0..3 {
            feed(&mut decoder, &mut Reassembler::new(), &before);
        }
        // Once the templates are there, the decoder allocates nothing, and has given back its buffers.
        for _ in 0..9 {
            feed(&mut decoder, &mut Reassembler::new(), &stream);
        }
        let (live, allocations) = (heap::live(), heap::allocations());
        let mut completion = Reassembler::new();
        feed(&mut decoder, &mut completion, &stream);
        // Id, model, role, content, choices.
        assert_eq!(heap::allocations() - allocations, 5);
        let texts = ["chatcmpl-1", "m1", "assistant"].map(str::len).iter().sum::<usize>() + 192;
        let choice = size_of::<deltawire::completion::CompletionChoice>();
        assert_eq!((heap::live() - live) as usize, texts + choice);
    }
}

/// Id, model, choices, role, content and finish reason, behind streams of any kind.
#[cfg(feature = "serde")]
#[test]
fn a_short_stream_allocates_six_times() {
    use crate::workloads::{NAMES, generate};

    let templates = Templates::new();
    let allocations = |name, seed| {
        let stream = generate(name, 21, seed);
        // Streams of a thread share the view of a set.
        let _other = ChunkDecoder::new().with_templates(&templates);
        let before = heap::allocations();
        let mut decoder = ChunkDecoder::new().with_templates(&templates);
        let mut completion = Reassembler::new();
        let mut start = 0;
        for end in stream.ends {
            let mut event = &stream.bytes[std::mem::replace(&mut start, end)..end];
            while let Some(event) = decoder.next(&mut event) {
                completion.push_payload(event.payload());
            }
        }
        heap::allocations() - before
    };
    for name in NAMES.into_iter().filter(|name| *name != "huge") {
        (0..3).for_each(|seed| _ = allocations(name, seed));
        (0..2).for_each(|seed| _ = allocations("vllm", seed));
        assert_eq!(allocations("vllm", 11), 6, "after {name}");
    }
}

/// Makes the event of a choice. `rest` is inserted behind its delta.
fn chunk_of(index: usize, delta: &str, rest: &str) -> String {
    event(&format!(
        r#"{{"id":"chatcmpl-1","choices":[{{"index":{index},"delta":{delta}{rest}}}]}}"#
    ))
}

/// A tap has no heap until there is a usage, a finish reason or an error.
#[test]
fn a_tap_in_mid_stream_is_small() {
    assert!(size_of::<Observer>() <= 104, "{}", size_of::<Observer>());
    let text = |index, token| chunk_of(index, &format!(r#"{{"content":"t{token}"}}"#), "");
    let usage = |token: usize| {
        let usage =
            format!(r#"}}],"usage":{{"prompt_tokens":1,"completion_tokens":{token}}},"x":[{{"#);
        chunk_of(0, &format!(r#"{{"content":"t{token}"}}"#), &usage)
    };
    let streams = [
        ("one choice", (0..1000).map(|token| text(0, token)).collect::<String>(), 0),
        ("two choices", (0..1000).map(|token| text(token % 2, token)).collect(), 0),
        ("usage", (0..1000).map(usage).collect(), 256),
    ];
    for (name, stream, most) in streams {
        let templates = Templates::new();
        let in_mid_stream = || {
            let mut tap = UsageTap::new().with_templates(&templates);
            stream.split_inclusive("\n\n").for_each(|event| _ = tap.push(event.as_bytes()));
            tap
        };
        // The first streams fill the templates that the others share.
        (0..3).for_each(|_| drop(in_mid_stream()));
        let before = heap::live();
        let mut tap = in_mid_stream();
        let held = heap::live() - before;
        assert!(held <= most, "{name}: {held} bytes");
        if most == 0 {
            let all = size_of::<UsageTap>() + held as usize;
            assert!(all <= 656, "{name}: {all} bytes");
        }
        let seen = tap.finish();
        assert_eq!(seen.deltas, 1000, "{name}");
        assert_eq!(seen.tokens.and_then(|tokens| tokens.completion), (most > 0).then_some(999));
        assert_eq!(seen.choices.len(), if name == "two choices" { 2 } else { 1 });
    }
}

/// A tap that is reset retains its buffers: the next stream allocates its finish reasons.
#[test]
fn a_tap_that_is_reset_allocates_finish_reasons_only() {
    let mut stream = String::new();
    for token in 0..50 {
        stream += &chunk_of(token % 2, &format!(r#"{{"content":"t{token}"}}"#), "");
    }
    for index in [1, 0] {
        stream += &chunk_of(index, "{}", r#","finish_reason":"stop""#);
    }
    stream += &event(r#"{"choices":[],"usage":{"completion_tokens":50}}"#);
    let mut tap = UsageTap::new().with_templates(&Templates::new());
    let mut pass = || {
        let before = heap::allocations();
        stream.split_inclusive("\n\n").for_each(|event| _ = tap.push(event.as_bytes()));
        assert_eq!((tap.deltas(), tap.tokens().unwrap().completion), (50, Some(50)));
        tap.reset();
        heap::allocations() - before
    };
    (0..20).for_each(|_| _ = pass());
    assert_eq!([pass(), pass()], [2, 2]);
}

/// A peer sends many skeletons, with all kinds of differences.
#[test]
fn templates_hold_little() {
    let event_of = |number: usize| {
        let mut json = format!(r#"{{"id":"chatcmpl-{number}","object":"chat.completion.chunk""#);
        let names = "abcdefghijklmnopqrstuvwxyz";
        for at in 0..26 {
            let at = (at * 7 + number / 3) % 26;
            let name = names.get(at..=at).unwrap();
            let value = ["1", "\"x\"", "null", "[]", "\"\\n\"", "{}"][(number / 5 + at) % 6];
            write!(json, r#","{name}{}":{value}"#, number % 2).unwrap();
        }
        event(&format!("{json},\"n\":{number}}}"))
    };
    let (mut decoder, before) =
        (ChunkDecoder::new().with_templates(&Templates::new()), heap::live());
    for number in 0..5_000 {
        let event = event_of(number);
        assert!((290..340).contains(&event.len()), "{}", event.len());
        decoder.next(&mut event.as_bytes()).unwrap();
        let held = heap::live() - before - event.capacity().cast_signed();
        assert!(held <= (256 + 64 + 8) << 10, "{held} bytes after {number} events");
    }
}

/// Short events of many values or choices are not learned.
///
/// Of those that alternate, one is held at a time.
#[test]
fn templates_of_many_values_are_not_held() {
    let many = |element: &str, count: usize| vec![element; count].join(",");
    // A value costs 16 bytes, a choice 100 and a call 50 besides; a buffer that grows may have half
    // of it free.
    for (name, json, most) in [
        ("values", format!(r#"{{"choices":[],"@":[{}]}}"#, many("1", 1500)), 2 * 16 * 1510),
        ("choices", format!(r#"{{"@":1,"choices":[{}]}}"#, many("{}", 60)), 2 * 116 * 60),
        (
            "calls",
            format!(r#"{{"@":1,"choices":[{{"delta":{{"tool_calls":[{}]}}}}]}}"#, many("{}", 60)),
            2 * 66 * 60,
        ),
    ] {
        let events = ["a", "bc", "def"].map(|name| event(&json.replace('@', name)));
        let before = heap::live();
        let mut decoder = ChunkDecoder::new();
        for event in events.iter().cycle().take(12) {
            decoder.next(&mut event.as_bytes()).unwrap();
        }
        let held = heap::live() - before;
        assert!(held <= most, "{name}: {held} bytes, {most} allowed");
    }
}

/// A text that fits a slot, except for its end, is freed.
#[test]
fn texts_that_do_not_fit_are_forgotten() {
    let chunk =
        |text: &str| event(&format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#));
    let odd = "y".repeat(220);
    let texts = ["He", "llo", &format!("{odd}\\n\\ud83d"), &format!("{odd}\\x")].map(chunk);
    let (mut decoder, before) = (ChunkDecoder::new(), heap::live());
    for _ in 0..5_000 {
        for text in &texts {
            decoder.next(&mut text.as_bytes()).unwrap();
        }
    }
    assert!(heap::live() - before <= 8 << 10, "{}", heap::live() - before);
}

/// A matching event allocates nothing, once the longest value was there.
#[test]
fn events_that_fit_allocate_nothing() {
    let text = |len: usize| "x\\n\u{e9}".repeat(len);
    let chunk = |len: usize| {
        event(&format!(
            r#"{{"n":{len},"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}"#,
            text(len)
        ))
    };
    let mut decoder = ChunkDecoder::new();
    for len in [1, 2, 300] {
        decoder.next(&mut chunk(len).as_bytes()).unwrap();
    }
    for len in 0..300 {
        let event = chunk(len);
        let before = heap::allocations();
        assert!(decoder.next(&mut event.as_bytes()).is_some());
        assert_eq!(heap::allocations(), before, "{len}");
    }
}

/// Makes the event of a number.
type Make<'m> = Box<dyn Fn(usize) -> String + 'm>;

/// Streams that try to make a completion hold more than it may; each in its own way.
#[test]
fn a_completion_holds_no_more_than_it_may() {
    const LIMIT: usize = 1 << 20;
    let big = "x".repeat(100_000);
    let delta = |delta: &str| event(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#));
    let streams: Vec<(&str, Make<'_>)> = vec![
        ("content", Box::new(|_| delta(&format!(r#"{{"content":"{big}"}}"#)))),
        (
            "ids",
            Box::new(|number| {
                delta(&format!(r#"{{"tool_calls":[{{"index":{number},"id":"{big}"}}]}}"#))
            }),
        ),
        (
            "roles",
            Box::new(|number| {
                event(&format!(
                    r#"{{"choices":[{{"index":{number},"delta":{{"role":"{big}"}}}}]}}"#
                ))
            }),
        ),
        (
            "finish reasons",
            Box::new(|number| {
                event(&format!(
                    r#"{{"choices":[{{"index":{number},"finish_reason":"{number}{big}"}}]}}"#
                ))
            }),
        ),
        (
            "usage",
            Box::new(|number| {
                let mut names = String::new();
                (0..300).for_each(|name| write!(names, r#","k{name}":1"#).unwrap());
                event(&format!(r#"{{"usage":{{"d{number}":{{"big":"{big}"{names}}}}}}}"#))
            }),
        ),
        (
            "new members",
            Box::new(|number| {
                event(&format!(r#"{{"usage":null,"choices":[],"member{number}":"{big}"}}"#))
            }),
        ),
        (
            "details",
            Box::new(|_| {
                delta(&format!(
                    r#"{{"reasoning_details":[{{"type":"reasoning.text","text":"{big}"}}]}}"#
                ))
            }),
        ),
        ("choices", Box::new(|number| event(&format!(r#"{{"choices":[{{"index":{number}}}]}}"#)))),
        ("calls", Box::new(|number| delta(&format!(r#"{{"tool_calls":[{{"index":{number}}}]}}"#)))),
        (
            "logprobs",
            Box::new(|_| {
                event(&format!(
                    r#"{{"choices":[{{"logprobs":{{"content":[{}0]}}}}]}}"#,
                    "0,".repeat(50_000)
                ))
            }),
        ),
    ];
    let limits = limits(|limits| {
        limits.max_completion_bytes = LIMIT;
        limits.max_choices = 10_000;
        limits.max_tool_calls = 10_000;
    });
    for (name, make) in streams {
        let before = heap::live();
        let templates = Templates::none();
        let mut decoder = ChunkDecoder::with_limits(limits).with_templates(&templates);
        let mut completion = Reassembler::with_limits(limits);
        for number in 0..3000 {
            feed(&mut decoder, &mut completion, &make(number));
            if completion.limit_exceeded().is_some() {
                break;
            }
        }
        assert!(completion.limit_exceeded().is_some(), "{name}");
        drop(decoder);
        let held = (heap::live() - before) as usize;
        // Strings grow by doubling.
        assert!(held <= 2 * LIMIT + (64 << 10), "{name}: {held} bytes held");
    }
}

/// Texts grow by doubling, but a finished completion holds only its bytes.
#[test]
fn a_finished_completion_holds_its_bytes_only() {
    // Each text has 3 400 bytes in parts of 100: by doubling that is a buffer of 6 400.
    let part = "x".repeat(100);
    // The first comparison of a thread makes its buffers.
    let _ = ChunkDecoder::new().next(&mut &b"data: {}\n\n"[..]);
    for delta in [
        r#""delta":{"content":"@"}"#,
        r#""delta":{"refusal":"@"}"#,
        r#""delta":{"reasoning":"@"}"#,
        r#""delta":{"reasoning_details":[{"index":0,"text":"@"}]}"#,
        r#""delta":{"audio":{"data":"@"}}"#,
        r#""delta":{"function_call":{"arguments":"@"}}"#,
        r#""delta":{"tool_calls":[{"index":0,"function":{"arguments":"@"}}]}"#,
        r#""delta":{"tool_calls":[{"index":0,"function":{"thought_signature":"s"}}],"x":["@"]}"#,
        r#""logprobs":{"content":[{"token":"@"}]}"#,
        r#""token_ids":["@"]"#,
    ] {
        let stream = event(&format!(r#"{{"choices":[{{"index":0,{delta}}}]}}"#))
            .replace('@', &part)
            .repeat(34);
        let before = heap::live();
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut completion = Reassembler::new();
        feed(&mut decoder, &mut completion, &stream);
        let finished = completion.finish(deltawire::StreamSummary::default());
        drop((completion, decoder));
        let held = (heap::live() - before) as usize;
        assert!(held < 5_200, "{delta}: {held}");
        drop(finished);
    }
}

/// The parser's buffers are freed after 64 matches in a row, and then later and later.
#[test]
fn the_buffers_of_the_parser_are_freed_after_more_and_more_matches() {
    let read = |decoder: &mut ChunkDecoder, event: &[u8]| {
        assert!(decoder.next(&mut &event[..]).is_some());
    };
    let content = event(r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#);
    let malformed = event("{]");
    let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
    for _ in 0..3 {
        read(&mut decoder, content.as_bytes());
    }
    let before = heap::live();
    for _ in 0..64 {
        read(&mut decoder, content.as_bytes());
    }
    assert!(heap::live() < before - 200);
    let mut allocations = 0;
    for round in 0..20 {
        read(&mut decoder, malformed.as_bytes());
        for _ in 0..300 {
            read(&mut decoder, content.as_bytes());
        }
        assert!(round < 5 || heap::allocations() == allocations);
        allocations = heap::allocations();
    }
}

/// The buffers after a reset are enough for a stream like the one before.
#[test]
fn buffers_are_kept_over_a_reset() {
    let delta = |delta: &str| event(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#));
    let texts = ["content", "refusal", "reasoning"]
        .map(|name| delta(&format!(r#"{{"{name}":"{}"}}"#, "x".repeat(500))).repeat(20));
    let stream = texts.concat();
    let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
    let mut pass = || {
        let before = heap::allocations();
        feed(&mut decoder, &mut completion, &stream);
        decoder.reset();
        completion.reset();
        heap::allocations() - before
    };
    let passes: Vec<_> = std::iter::repeat_with(&mut pass).take(4).collect();
    assert_eq!(pass(), 0, "{passes:?}");
}

/// Nothing is appended behind something that was left out.
#[test]
fn kept_buffers_have_no_holes() {
    let limits = limits(|limits| limits.max_completion_bytes = 1000);
    let mut decoder = ChunkDecoder::with_limits(limits);
    let mut completion = Reassembler::with_limits(limits);
    let content =
        |text: &str| event(&format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#));
    let stream = content("first") + &content(&"x".repeat(2000)) + &content("last");
    feed(&mut decoder, &mut completion, &stream);
    assert!(completion.limit_exceeded().is_some());
    let kept = completion.snapshot().choices[0].message.content.as_deref();
    assert_eq!(kept, Some("first"));
}

/// Elements that are looked for in a list: the work is bounded for each of them.
#[test]
fn looking_for_list_elements_is_cheap() {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let mut members = String::new();
    (0..200).for_each(|name| write!(members, r#""k{name}":1,"#).unwrap());
    let details = |element: &dyn Fn(usize) -> String, count: usize| {
        let elements: Vec<_> = (0..count).map(element).collect();
        event(&format!(
            r#"{{"choices":[{{"delta":{{"reasoning_details":[{}]}}}}]}}"#,
            elements.join(",")
        ))
    };
    feed(
        &mut decoder,
        &mut completion,
        &details(&|at| format!("{{{members}\"index\":{at}}}"), 256),
    );
    let start = std::time::Instant::now();
    feed(&mut decoder, &mut completion, &details(&|_| r#"{"index":999}"#.to_owned(), 40_000));
    assert!(start.elapsed().as_secs() < 3, "{:?}", start.elapsed());
}

/// An unfinished event has no effect, and `finish` can be called again.
#[test]
fn finish_changes_nothing() {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let left = "id: 2\nretry: 7\ndata: [DONE]\n: c";
    feed(&mut decoder, &mut completion, &format!("id: 1\ndata: {{}}\n\n{left}"));
    let comments = decoder.sse().comments();
    let end = decoder.finish();
    assert_eq!(decoder.finish(), end);
    assert_eq!(end.discarded_bytes, left.len() as u64);
    assert_eq!(end.done, 1);
    assert_eq!(decoder.sse().last_event_id(), "1");
    assert_eq!(decoder.sse().comments(), comments);
}

/// Values that replace each other, grow and shrink, and change their kind.
///
/// The held bytes stay within the limit. The limit is reported only if bytes are held.
#[test]
fn what_is_replaced_is_held_no_longer() {
    const LIMIT: usize = 1 << 20;
    let large = "x".repeat(LIMIT * 9 / 10);
    let small = "x".repeat(60_000);
    let nans = format!("[{}0]", "NaN,".repeat(50_000));
    for (name, one, other) in [
        ("member", format!(r#"{{"m@":"{large}"}}"#), r#"{"m@":1}"#.to_owned()),
        ("NaN", format!(r#"{{"m":{nans}}}"#), r#"{"m":1}"#.to_owned()),
        (
            "kinds",
            format!(r#"{{"usage":{{"a":{{"b":"{small}"}}}}}}"#),
            r#"{"usage":{"a":1}}"#.to_owned(),
        ),
        (
            "arguments",
            format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":@,"function":{{"arguments":"{large}"}}}}]}}}}]}}"#
            ),
            r#"{"choices":[{"delta":{"tool_calls":[{"index":@,"function":{"arguments":{"a":1}}}]}}]}"#
                .to_owned(),
        ),
    ] {
        let limits = limits(|limits| limits.max_completion_bytes = LIMIT);
        let mut decoder = ChunkDecoder::new();
        let before = heap::live();
        let mut completion = Reassembler::with_limits(limits);
        for round in 0..50 {
            for json in [&one, &other] {
                let stream = event(&json.replace('@', &round.to_string()));
                let mut input = stream.as_bytes();
                while let Some(event) = decoder.next(&mut input) {
                    completion.push_payload(event.payload());
                }
            }
        }
        drop(decoder);
        assert_eq!(completion.limit_exceeded(), None, "{name}");
        let held = (heap::live() - before) as usize;
        assert!(held < LIMIT / 4, "{name}: {held} bytes held");
        let finished = completion.finish(deltawire::StreamSummary::default());
        drop(finished);
    }
}
