//! Templates on against templates off: the results are the same.

use deltawire::gateway::UsageTap;
use deltawire::{ChunkDecoder, Limits, Templates};
use proptest::prelude::*;
use serde_json::Value;

use crate::bodies::templates::{TEMPLATES, compare, compare_with};
use crate::support::decoded::pieces;
use crate::support::{recordings, vectors};

/// Compares a stream in several cuts.
fn in_cuts(stream: &[u8], sizes: &[usize]) {
    for size in sizes {
        let pieces: Vec<_> = stream.chunks(*size).collect();
        compare(&pieces, &Limits::new());
    }
}

#[test]
fn recordings_in_any_pieces_are_read_as_without_templates() {
    for recording in recordings("openai-chat") {
        in_cuts(&recording.bytes, &[usize::MAX, 4096, 1460, 128, 16]);
        if recording.bytes.len() < 200_000 {
            in_cuts(&recording.bytes, &[1]);
        }
        if let Some(lengths) = &recording.pieces {
            compare(&pieces(&recording.bytes, lengths), &Limits::new());
        }
    }
}

/// Each stream of the vectors three times: a template of the first one is there for the next.
#[test]
fn vectors_that_repeat_are_read_as_without_templates() {
    for (_, vector) in vectors("accumulate") {
        let Value::Array(chunks) = &vector["chunks"] else { continue };
        let events: Vec<_> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        let stream = events.concat();
        in_cuts(stream.repeat(3).as_bytes(), &[usize::MAX, 100]);
    }
    let Some(folder) = crate::support::shared("vectors") else { return };
    let text = std::fs::read_to_string(folder.join("pathologies.jsonl")).unwrap();
    let mut streams = 0;
    for row in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let variants = row["variants"].as_array().into_iter().flatten();
        for stream in variants.chain(Some(&row["bytes"])).filter_map(Value::as_str) {
            in_cuts(stream.repeat(3).as_bytes(), &[usize::MAX, 100]);
            streams += 1;
        }
    }
    assert!(streams > 50, "{streams}");
}

#[test]
fn generated_streams_are_read_as_without_templates() {
    for name in crate::workloads::NAMES.into_iter().filter(|name| *name != "huge") {
        let stream = crate::workloads::generate(name, 300, 11);
        in_cuts(&stream.bytes, &[usize::MAX, 1460, 100]);
        let mut start = 0;
        let events =
            stream.ends.iter().map(|end| &stream.bytes[std::mem::replace(&mut start, *end)..*end]);
        compare(&events.collect::<Vec<_>>(), &Limits::new());
    }
}

/// Makes events that teach a template, with slots for their differences.
fn lesson(template: &str) -> Vec<u8> {
    let mut events = Vec::new();
    for (from, to) in [
        ("", ""),
        ("He", "llo"),
        ("17", "18"),
        ("So", "what"),
        ("\"ab\"", "\"c\""),
        ("}\n\n", "   }\n\n"),
        ("}\r\n\r\n", " }\r\n\r\n"),
    ] {
        events.extend_from_slice(template.replace(from, to).as_bytes());
    }
    events
}

/// Returns streams of several upstreams: recorded ones of moderate length, and made ones.
fn streams() -> Vec<Vec<u8>> {
    let recorded = recordings("openai-chat").into_iter().map(|recording| recording.bytes);
    let recorded = recorded.filter(|bytes| bytes.len() < 40_000);
    recorded.chain(TEMPLATES.map(lesson)).collect()
}

/// A decoder that is used for one stream after the other, each with settings of its own.
struct Reused {
    templates: Templates,
    limits: Limits,
    strict: bool,
    decoder: ChunkDecoder,
}

impl Reused {
    fn new(templates: &Templates) -> Self {
        let (templates, limits) = (templates.clone(), Limits::new());
        let decoder = ChunkDecoder::with_limits(limits).with_templates(&templates);
        Self { templates, limits, strict: false, decoder }
    }

    /// Decodes a stream, and compares it with a decoder without templates.
    ///
    /// The choice decides on the limits, the strictness, the pieces, and whether the decoder is made
    /// anew; only one without other limits is used again.
    fn run(&mut self, stream: &[u8], choice: u64) {
        let limits = match choice % 8 {
            0 => Limits::new().with_max_json_values(40),
            1 => Limits::new().with_max_json_depth(5),
            2 => Limits::new().with_max_event_bytes(600),
            _ => Limits::new(),
        };
        if limits != self.limits || (choice >> 3).is_multiple_of(4) {
            self.limits = limits;
            self.decoder = ChunkDecoder::with_limits(limits).with_templates(&self.templates);
            self.strict = false;
        } else {
            self.decoder.reset();
        }
        self.strict = (choice >> 5).is_multiple_of(4);
        self.decoder.set_strict(self.strict);
        let size = [usize::MAX, 1460, 300, 100][(choice >> 7) as usize % 4];
        let pieces: Vec<_> = stream.chunks(size.min(stream.len().max(1))).collect();
        compare_with(&pieces, &self.limits, self.strict, &mut self.decoder);
    }
}

/// Law 2 for one set that decoders of several upstreams and settings share in turn.
#[test]
fn a_set_that_decoders_share_in_turn_changes_nothing() {
    let streams = streams();
    let templates = Templates::new();
    let mut decoders: Vec<_> = (0..5).map(|_| Reused::new(&templates)).collect();
    let mut choice = 7_u64;
    for _ in 0..1500 {
        choice =
            choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = choice >> 33;
        let stream = &streams[random as usize % streams.len()];
        decoders[(random >> 7) as usize % 5].run(stream, random >> 11);
    }
}

/// Law 2 for one set that threads fill and read at the same time.
#[test]
fn a_set_that_threads_share_changes_nothing() {
    let (streams, templates) = (streams(), Templates::new());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (streams, templates) = (&streams, &templates);
            scope.spawn(move || {
                let mut decoder = Reused::new(templates);
                for round in 0..250 {
                    let random = (round * 4 + thread).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
                    // Each stream is first read by all threads at about the same time.
                    let stream = &streams[(round as usize * 7) % streams.len()];
                    decoder.run(stream, random);
                }
            });
        }
    });
}

/// Every change of one byte, at every place of an event that matches a template.
///
/// The change is another byte, one more, or one less.
#[test]
fn events_with_any_byte_changed_are_read_as_without_templates() {
    let others = *b"\"\\\n\r,:{}[]0519-.eE tx\0\x1F\x7F\x80\xC3\xFF";
    for template in TEMPLATES {
        let before = lesson(template);
        for at in 0..template.len() {
            let edited = |taken: usize, put: &[u8]| {
                let mut event = template.as_bytes().to_vec();
                event.splice(at..at + taken, put.iter().copied());
                event
            };
            let mut events = vec![edited(1, b"")];
            for byte in others {
                events.push(edited(1, &[byte]));
                events.push(edited(0, &[byte]));
            }
            let mut stream = before.clone();
            for event in events {
                stream.extend_from_slice(&event);
                stream.extend_from_slice(template.as_bytes());
            }
            compare(&[&stream], &Limits::new());
        }
    }
}

/// Streams in which a different value changes the meaning of the rest.
#[test]
fn value_that_differs_changes_the_meaning_of_the_rest() {
    let big = "x".repeat(300);
    for events in [
        // An `error` that was none is one.
        vec![r#"{"error":"","choices":[]}"#, r#"{"error":"boom","choices":[]}"#],
        vec![r#"{"error":0}"#, r#"{"error":5}"#],
        vec![r#"{"object":"chunk"}"#, r#"{"object":"error"}"#],
        // A repeated name, of which the last one brings nothing.
        vec![
            r#"{"usage":{"a":5,"a":"s"}}"#,
            r#"{"usage":{"a":5,"a":"t"}}"#,
            r#"{"usage":{"a":5,"a":""}}"#,
        ],
        // A message beside an empty delta is a whole one, if empty.
        vec![
            r#"{"choices":[{"index":0,"delta":{"reasoning":"a"},"message":{}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning":"b"},"message":{}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning":""},"message":{}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"X"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"message":{"content":"XYZ"}}]}"#,
        ],
        // An empty content is said of each choice.
        vec![
            r#"{"choices":[{"index":1,"delta":{"content":""}}]}"#,
            r#"{"choices":[{"index":2,"delta":{"content":""}}]}"#,
            r#"{"choices":[{"index":3,"delta":{"content":""}}]}"#,
        ],
        // Texts that are empty when they first differ.
        vec![
            r#"{"choices":[{"index":0,"delta":{"content":"a","refusal":"a","reasoning":"a"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a","refusal":"","reasoning":"a"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a","refusal":"b","reasoning":"a"}}]}"#,
        ],
        vec![
            r#"{"choices":[{"index":0,"delta":{"refusal":"a"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"refusal":""}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"refusal":"b"}}]}"#,
        ],
        // Constants of one name take turns in the budget.
        vec![
            r#"{"foo":"a long first value","foo":"x","choices":[{"delta":{"content":"aaaaaaaa"}}]}"#,
            r#"{"foo":"a long first value","foo":"x","choices":[{"delta":{"content":"bbbbbbbb"}}]}"#,
            r#"{"foo":"a long first value","foo":"x","choices":[{"delta":{"content":"cccccccc"}}]}"#,
        ],
        // Half a pair, and its other half.
        vec![
            r#"{"choices":[{"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"content":"b"}}]}"#,
            r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#,
            r#"{"choices":[{"delta":{"content":"\ude00"}}]}"#,
            r#"{"choices":[{"delta":{"content":"\ufffd"}}]}"#,
        ],
        vec![r#"{"n":1,"choices":[]}"#, r#"{"n":2,"choices":[]}"#, &big],
    ] {
        let stream: Vec<_> = events.iter().map(|json| format!("data: {json}\n\n")).collect();
        let stream = stream.concat();
        in_cuts(stream.as_bytes(), &[usize::MAX, 7]);
        for most in (0..1200).step_by(3) {
            let mut limits = Limits::new();
            limits.max_completion_bytes = most;
            compare(&[stream.as_bytes()], &limits);
        }
    }
}

/// The equal parts of each event are merged each time.
///
/// A joined text grows by them, and other values stay, beside all other differences. `#` is a
/// number, `%` another one for each three, `?` a text that is empty each third time.
#[test]
fn values_that_stay_are_merged_each_time() {
    let many = (0..40).map(|name| format!(r#""k{name}":1,"#)).collect::<Vec<_>>().concat();
    let choice = |choice: &str| format!(r#"{{"choices":[{{"index":0,{choice}}}]}}"#);
    let delta = |delta: &str| choice(&format!(r#""delta":{{{delta}}}"#));
    for event in [
        choice(r#""delta":{"content":"c#"},"logprobs":{"content":[{"token":"a"}]}"#),
        choice(r#""delta":{"content":"c#"},"message":{"content":"m"}"#),
        choice(r#""delta":{"content":"c#"},"rank":%"#),
        choice(r#""delta":{"content":"c#"},"token_ids":[1]"#),
        // A repeated name merges with the value of the one before it.
        choice(
            r#""delta":{"content":"c#"},"content_filter_results":{"h":{"s":1},"h":5,"h":{"filtered":true}}"#,
        ),
        choice(
            r#""delta":{"content":"c#"},"content_filter_results":{"n":{"h":{"s":1},"h":5,"h":{"filtered":true}}}"#,
        ),
        r#"{"choices":[{"index":"x","delta":{"content":"c#"}}]}"#.to_owned(),
        delta(r#""content":"c#","function_call":{"arguments":"a"}"#),
        delta(r#""content":"c#","audio":{"data":"a","transcript":"t"}"#),
        delta(r#""content":"c#","annotations":[{"a":1}]"#),
        delta(r#""content":"c","refusal":"r#""#),
        delta(r#""content":"c#","refusal":"r""#),
        delta(r#""reasoning":"r#","reasoning_content":"c""#),
        delta(r#""reasoning":"r","reasoning_content":"c#""#),
        delta(
            r#""reasoning":"r#","reasoning_content":"c","reasoning_details":[{"index":0,"type":"t","text":"d#"}]"#,
        ),
        delta(r#""reasoning_details":[{"index":0,"type":"t","text":"a","summary":"b#"}]"#),
        delta(r#""reasoning_details":[{"index":0,"type":"t","text":"a#","summary":"b"}]"#),
        delta(r#""reasoning_details":[{"index":0,"type":"t","text":"","x":{"a":"v#"}}]"#),
        delta(r#""reasoning_details":[{"index":0,"type":"t","x":{"text":"v#"}}]"#),
        delta(r#""reasoning_details":[{"index":"a","type":"t","text":"v#"}]"#),
        delta(r#""reasoning_details":[{"index":0,"text":"v#"},{"index":1,"text":"w"}]"#),
        delta(
            r#""tool_calls":[{"index":0,"custom":{"name":"n","input":"i"},"function":{"arguments":"v#"}}]"#,
        ),
        delta(r#""tool_calls":[{"index":0,"x":"v#","function":{"arguments":"c"}}]"#),
        delta(r#""tool_calls":[{"index":0,"function":{"x":"v#","arguments":"c"}}]"#),
        delta(r#""tool_calls":[{"index":0,"function":{"name":"n#","arguments":"c"}}]"#),
        delta(r#""tool_calls":[{"index":%,"function":{"arguments":"c#"}}]"#),
        r#"{"id":"?","created":%,"choices":[{"delta":{"content":"c"}}]}"#.to_owned(),
        r#"{"choices":[],"usage":{"cached_tokens":5,"prompt_tokens_details":{"cached_tokens":#}}}"#
            .to_owned(),
        r#"{"choices":[],"usage":{"total_tokens":#,"note":"?"}}"#.to_owned(),
        format!(r#"{{"choices":[],"usage":{{"total_tokens":#,{many}"total_tokens":5}}}}"#),
    ] {
        let events: Vec<_> = (0..12)
            .map(|number: usize| {
                let text = if number.is_multiple_of(3) { "" } else { "text" };
                let event = event.replace('#', &number.to_string()).replace('?', text);
                format!("data: {}\n\n", event.replace('%', &(number / 3).to_string()))
            })
            .collect();
        in_cuts(events.concat().as_bytes(), &[usize::MAX, 7]);
    }
}

/// Returns the event with these bound values, with slots before, between and behind them.
fn event_with_runs(layout: usize, values: &[&str; 4], number: u32) -> String {
    let [id, model, tier, fingerprint] = values;
    let text = format!(r#""choices":[{{"index":0,"delta":{{"content":"t{number}"}}}}]"#);
    let usage = format!(r#""usage":{{"total_tokens":{number}}}"#);
    let run = format!(r#""id":"{id}","model":"{model}","service_tier":"{tier}""#);
    let last = format!(r#""system_fingerprint":"{fingerprint}""#);
    let json = match layout % 5 {
        0 => format!("{text},{run},{last}"),
        1 => format!("{text},{run},{usage},{last}"),
        2 => format!("{last},{text},{run},{usage}"),
        3 => {
            format!(r#"{last},{text},"created":17,{run},{usage},"object":"chat.completion.chunk""#)
        }
        _ => format!("{usage},{last},{text},{run}"),
    };
    format!("data: {{{json}}}\n\n")
}

/// Bound values of the same length in all, but divided in another way, are other values.
#[test]
fn a_run_that_is_divided_in_another_way_differs() {
    for layout in 0..5 {
        let mut stream = String::new();
        let divisions = [["ab", "c", "d"], ["a", "bc", "d"], ["ab", "", "cd"], ["", "abc", "d"]];
        for (number, [id, model, tier]) in (0..).zip(divisions.iter().cycle().take(24)) {
            for copy in 0..=number % 3 {
                stream += &event_with_runs(layout, &[id, model, tier, "fp"], number * 7 + copy);
            }
        }
        in_cuts(stream.as_bytes(), &[usize::MAX, 100]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    /// Law 2 for bound values behind slots: each may change, at the front, inside and at the end of a run.
    #[test]
    fn bound_values_behind_slots_that_change_are_read(
        layouts in prop::collection::vec(0..5_usize, 1..4),
        changes in prop::collection::vec((0..6_usize, 0..4_usize, 0..9_usize, 1..4_u32), 1..24),
    ) {
        const VALUES: [&str; 9] = ["", "a", "ab", "bc", "c", "abc", "é", r"\n", "b"];
        let (templates, mut number) = (Templates::new(), 0);
        for _ in 0..2 {
            let mut values = ["ab", "c", "d", "fp"];
            let mut events = Vec::new();
            for (layout, member, value, copies) in &changes {
                values[*member] = VALUES[*value];
                for _ in 0..*copies {
                    events.push(event_with_runs(layouts[layout % layouts.len()], &values, number));
                    number += 3;
                }
            }
            let pieces: Vec<_> = events.iter().map(String::as_bytes).collect();
            let limits = Limits::new();
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            compare_with(&pieces, &limits, false, &mut decoder);
        }
    }
}

/// Returns an event whose head begins like that of others, with these values.
fn event_with_head(kind: usize, [id, model]: [&str; 2], number: u32) -> String {
    let head = match kind / 2 {
        0 => format!(r#""id":"{id}","model":"{model}""#),
        1 => format!(r#""id":"{id}","system_fingerprint":"{model}""#),
        2 => format!(r#""id":"{id}","created":{number},"model":"{model}""#),
        3 => format!(r#""model":"{id}","id":"{model}""#),
        4 => format!(r#""id":"{id}""#),
        5 => format!(r#""id":"{id}","created":{},"system_fingerprint":"{model}""#, number / 4),
        _ => format!(r#""id":"{id}","created":-{}.5,"model":"{model}""#, number / 4),
    };
    let delta = if kind.is_multiple_of(2) { "content" } else { "refusal" };
    format!("data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{{\"{delta}\":\"t\"}}}}]}}\n\n")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    /// Law 2 for templates in any order, whose heads have values and literals in common.
    #[test]
    fn heads_that_begin_alike_change_nothing(
        streams in prop::collection::vec(
            prop::collection::vec((0..14_usize, 0..6_usize, 0..6_usize), 1..40),
            1..4,
        ),
    ) {
        const VALUES: [&str; 6] = ["a", "ab", "a", "", "abc", r"\n"];
        let templates = Templates::new();
        let (mut number, mut values) = (0, ["a", "b"]);
        for kinds in streams.iter().cycle().take(streams.len() * 2) {
            let mut events = Vec::new();
            for (kind, member, value) in kinds {
                if let Some(place) = values.get_mut(*member) {
                    *place = VALUES[*value];
                }
                events.push(event_with_head(*kind, values, number));
                number += 1;
            }
            let pieces: Vec<_> = events.iter().map(String::as_bytes).collect();
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            compare_with(&pieces, &Limits::new(), false, &mut decoder);
        }
    }
}

/// A name that comes twice in an object needs budget for its longer value, for a while, each time.
#[test]
fn repeated_name_needs_budget_for_its_longer_value() {
    let long = "y".repeat(300);
    let mut limits = Limits::new();
    limits.max_completion_bytes = 32 * 4096 + 4000;
    for event in [
        r#"{"x":"LONG","x":1,"choices":[{"delta":{"content":"TEXT"}}]}"#,
        r#"{"sglext":{"x":"LONG","x":1},"choices":[{"delta":{"content":"TEXT"}}]}"#,
        r#"{"x_groq":{"x":"LONG","x":1},"choices":[{"delta":{"content":"TEXT"}}]}"#,
        r#"{"choices":[{"x":"LONG","x":1,"delta":{"content":"TEXT"}}]}"#,
        r#"{"choices":[{"delta":{"x":"LONG","x":1,"content":"TEXT"}}]}"#,
        r#"{"choices":[{"logprobs":{"content":"LONG","content":1},"delta":{"content":"TEXT"}}]}"#,
    ] {
        let event = |text: String| {
            format!("data: {}\n\n", event.replace("LONG", &long).replace("TEXT", &text))
        };
        let few = (0..4).map(|number| event(format!("c{number}")));
        let many = (0..84).map(|_| event("t".repeat(1600)));
        let last = (0..30).map(|_| event("u".repeat(20)));
        let events: Vec<_> = few.chain(many).chain(last).collect();
        let pieces: Vec<_> = events.iter().map(String::as_bytes).collect();
        compare(&pieces, &limits);
    }
}

/// The type of a matching event is the one in its line, or none.
#[test]
fn event_type_of_a_matching_event_is_that_of_its_line() {
    let lines = ["", "event:\n", "event: \r\n", "event:delta\n", "event: message\n", "event:  m\n"];
    for line in lines {
        for other in lines {
            let event =
                |line: &str, number| format!("{line}data: {{\"n\":{number},\"choices\":[]}}\n\n");
            let events: Vec<_> = (0..4).map(|number| event(line, number)).collect();
            let others: Vec<_> = (0..4).map(|number| event(other, number)).collect();
            in_cuts([events, others].concat().concat().as_bytes(), &[usize::MAX, 9]);
        }
    }
}

/// Halves of a surrogate pair meet however the events before them were pushed.
#[test]
fn halves_meet_behind_events_that_fit() {
    for member in ["content", "reasoning"] {
        for texts in [
            ["a", "b", "c", r"d\ud83d", r"\ude00e", "f", "g", "h"],
            ["a", "b", "c", r"\ud83d", "", r"\ude00", "g", "h"],
            ["a", "b", "c", r"\ud83d", "", "", "\u{FFFD}", r"\ude00"],
            ["a", "b", "c\u{FFFD}", r"\ude00", r"\ud83d", r"\ude00", "g", "h"],
        ] {
            let event = |text: &&str| {
                format!("data: {{\"choices\":[{{\"delta\":{{\"{member}\":\"{text}\"}}}}]}}\n\n")
            };
            let stream: String = texts.iter().map(event).collect();
            in_cuts(stream.as_bytes(), &[usize::MAX, 9]);
        }
    }
}

/// Every limit, at every value around the size of the events.
#[test]
fn limits_of_any_size_are_enforced_as_without_templates() {
    for template in TEMPLATES {
        let stream = [lesson(template), template.repeat(3).into_bytes()].concat();
        for most in (0..template.len() + 40).chain([usize::MAX]) {
            let set: [fn(&mut Limits) -> &mut usize; 5] = [
                |limits| &mut limits.max_line_bytes,
                |limits| &mut limits.max_event_bytes,
                |limits| &mut limits.max_comment_bytes,
                |limits| &mut limits.max_json_values,
                |limits| &mut limits.max_completion_bytes,
            ];
            for limit in set {
                let mut limits = Limits::new();
                *limit(&mut limits) = most;
                compare(&[&stream], &limits);
            }
        }
        for most in 0..8 {
            let set: [fn(&mut Limits) -> &mut usize; 5] = [
                |limits| &mut limits.max_json_depth,
                |limits| &mut limits.max_choices,
                |limits| &mut limits.max_tool_calls,
                |limits| &mut limits.max_members,
                |limits| &mut limits.max_logprob_entries,
            ];
            for limit in set {
                let mut limits = Limits::new();
                *limit(&mut limits) = most;
                compare(&[&stream], &limits);
            }
        }
    }
}

/// Compares streams of JSON texts that decoders of one set read, one after the other.
fn in_turn(streams: &[&[String]]) {
    let templates = Templates::new();
    for stream in streams {
        let pieces: Vec<_> = stream.iter().map(String::as_bytes).collect();
        let mut decoder = ChunkDecoder::new().with_templates(&templates);
        compare_with(&pieces, &Limits::new(), false, &mut decoder);
    }
}

/// A template that binds nothing comes between two of another that binds its first value.
#[test]
fn bound_values_behind_a_template_without_any_are_compared() {
    let bound = |id: &str| {
        format!("data: {{\"id\":\"{id}\",\"choices\":[{{\"delta\":{{\"content\":\"t\"}}}}]}}\n\n")
    };
    // An id with escapes is a slot. The literal before it is another one.
    let escaped = |id: &str| format!("data:{{\"id\":\"{id}\",\"choices\":[]}}\n\n");
    let first = [bound("abcdef"), bound("abcdef"), escaped(r"\u0061"), escaped(r"\u0062")];
    let last = [bound("ABCDEF"), bound("ABCDEF"), escaped(r"\u0041"), bound("ABCDEF")];
    in_turn(&[&first, &last]);
    // The first leaf is another member, whose value ends at the same position.
    let padding = |pad: &str| format!("data: {{\"obfuscation\":\"{pad}\",\"choices\":[]}}\n\n");
    let first = [bound("abcdef"), bound("abcdef"), padding("a"), padding("b")];
    for len in 0..12 {
        let id = "ABCDEFGHIJ";
        in_turn(&[&first, &[bound(id), bound(id), padding(&"p".repeat(len)), bound(id)]]);
    }
}

/// A stream's id and fingerprint change, and joined they are the same text.
#[test]
fn bound_values_with_equal_joined_texts_differ() {
    let event = |id: &str, last: &str| {
        format!(
            "data: {{\"id\":\"{id}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"t\"}}}}],\"system_fingerprint\":\"{last}\"}}\n\n"
        )
    };
    let first = [event("x", "y"), event("x", "y")];
    let last = [("ab", "cd"), ("ab", "cd"), ("a", "bcd"), ("abc", "d"), ("", "abcd")];
    in_turn(&[&first, &last.map(|(id, last)| event(id, last))]);
}

/// The choices of a stream end one after the other, each for another reason.
#[test]
fn finish_reasons_that_follow_each_other_are_each_read() {
    let reasons = ["stop", "length", "tool_calls", "content_filter", "\\u0073top", "stop"];
    let event = |index: usize, reason: &str| {
        format!(
            "data: {{\"id\":\"a\",\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
        )
    };
    let stream: Vec<_> =
        reasons.iter().enumerate().map(|(index, reason)| event(index, reason)).collect();
    let short = [event(0, "stop")];
    in_turn(&[&short, &stream, &short, &stream, &stream]);
    let templates = Templates::new();
    for _ in 0..4 {
        let mut tap = UsageTap::new().with_templates(&templates);
        for event in &stream {
            let _ = tap.push(event.as_bytes());
        }
        let choices = tap.finish().choices;
        let found: Vec<_> =
            choices.iter().filter_map(|choice| choice.finish_reason.as_deref()).collect();
        assert_eq!(
            found,
            reasons.map(|reason| if reason.starts_with('\\') { "stop" } else { reason })
        );
    }
}

/// An empty text in place of a container is no value. Any other is a part that is lost.
///
/// A legacy text is one too, if it isn't empty. The templates of one stream are there for the next.
#[test]
fn texts_in_place_of_containers_are_lost_in_each_stream() {
    let choice = |rest: &str| format!(r#""choices":[{{"index":0,{rest}}}]"#);
    let delta = |rest: &str| choice(&format!(r#""delta":{{"content":"t",{rest}}}"#));
    for members in [
        r#""choices":"@""#.to_owned(),
        r#""choices":["@"]"#.to_owned(),
        choice(r#""delta":"@""#),
        choice(r#""text":"@","logprobs":null"#),
        choice(r#""text":"@","delta":{}"#),
        choice(r#""text":"@","delta":{"content":null}"#),
        choice(r#""text":"@","delta":{"content":""}"#),
        choice(r#""text":"@","delta":{"content":"@"}"#),
        choice(r#""text":"t","delta":{"content":"@"}"#),
        choice(r#""text":"t","delta":{"content":"","reasoning":"@"}"#),
        choice(r#""text":"t","delta":{"unknown":"@"}"#),
        choice(r#""message":{"tool_calls":"@"}"#),
        choice(r#""message":"@""#),
        choice(r#""logprobs":"@","delta":{}"#),
        delta(r#""tool_calls":"@""#),
        delta(r#""tool_calls":["@"]"#),
        delta(r#""tool_calls":[{"index":0,"function":"@"}]"#),
        delta(r#""tool_calls":[{"index":0,"function":{"name":"f"}},{"index":1,"function":"@"}]"#),
        delta(r#""function_call":"@""#),
        delta(r#""audio":"@""#),
        delta(r#""reasoning_details":"@""#),
        delta(r#""reasoning_details":["@"]"#),
        delta(r#""reasoning_details":"@","reasoning_details":[]"#),
        delta(r#""reasoning_details":["@"],"reasoning_details":[]"#),
        delta(r#""function_call":"@","function_call":{}"#),
        delta(r#""tool_calls":"@","tool_calls":[],"reasoning_details":[]"#),
        delta(r#""audio":"@","audio":{},"reasoning_details":[]"#),
        delta(r#""reasoning_details":[{"type":"@","text":"a"}]"#),
        delta(r#""annotations":"@""#),
        delta(r#""images":"@""#),
        delta(r#""tool_calls":[{"index":0,"custom":"@"}]"#),
        delta(r#""tool_calls":[{"index":0,"custom":{"input":"@"}}]"#),
    ] {
        let event =
            |text: &str| format!("data: {{\"id\":\"a\",{}}}\n\n", members.replace('@', text));
        let end = r#"{"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let end = format!("data: {end}\n\ndata: [DONE]\n\n");
        for texts in [
            ["", "x", "", "y", ""],
            ["x", "", "y", "", ""],
            ["", "", "", "", "x"],
            ["a", "b", "c", "", "d"],
        ] {
            let stream: Vec<_> = texts.into_iter().map(event).chain([end.clone()]).collect();
            in_turn(&[&stream, &stream, &stream]);
            let report = |templates: &Templates| {
                let mut tap = UsageTap::new().with_templates(templates);
                for event in &stream {
                    let _ = tap.push(event.as_bytes());
                }
                tap.finish()
            };
            let (templates, expected) = (Templates::new(), report(&Templates::none()));
            for _ in 0..3 {
                assert_eq!(report(&templates), expected, "{members} {texts:?}");
            }
        }
    }
}

/// The arguments of a call are numbers, which differ from event to event.
#[test]
fn arguments_that_are_numbers_are_merged_in_each_event() {
    for numbers in [["5", "6", "7", "8"], ["\"\"", "1.5", "2.5", "3.5"]] {
        let stream = numbers.map(|number| {
            let call =
                format!(r#"{{"index":0,"id":"c","function":{{"name":"f","arguments":{number}}}}}"#);
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n"
            )
        });
        in_turn(&[&stream, &stream, &stream]);
        let stream =
            stream.map(|event| event.replace(r#""id":"c","#, "").replace(r#""name":"f","#, ""));
        in_turn(&[&stream, &stream, &stream]);
    }
}

/// The last leaf of the head is the white space before the last bracket, or none.
#[test]
fn white_space_that_is_bound_behind_a_number_is_compared() {
    let event = |spaces: &str, end: &str| {
        format!(
            "data: {{\"id\":\"a1\",\"choices\":[{{\"index\":0,\"delta\":{{}}}}],\"created\":5{spaces}}}{end}"
        )
    };
    let [short, wide, short_crlf, wide_crlf] =
        [("", "\n\n"), ("  ", "\n\n"), ("", "\r\n\r\n"), ("  ", "\r\n\r\n")]
            .map(|(spaces, end)| [event(spaces, end)]);
    let both = [event("  ", "\n\n"), event("  ", "\r\n\r\n")];
    in_turn(&[&short, &wide, &short_crlf, &wide_crlf, &both]);
}

/// A stream's own template is replaced by one that the limits of its decoder don't allow.
#[test]
fn a_template_beyond_the_limits_replaces_that_of_a_stream() {
    let text = |text: &str| {
        format!(
            "data: {{\"id\":\"a\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":{{\"content\":[1]}}}}]}}\n\n"
        )
    };
    let templates = Templates::new();
    let mut other = ChunkDecoder::new().with_templates(&templates);
    for event in ["x", "y", "z"].map(text) {
        assert!(other.next(&mut event.as_bytes()).is_some());
    }
    // The stream has published as many templates as it may, so it continues with its own one.
    let mut stream = Vec::new();
    for number in 0..33 {
        let delta = r#"{"content":"x","refusal":"y"}"#;
        stream.extend(vec![
            format!("data: {{\"id\":\"a\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}],\"k{number}\":1}}\n\n");
            12
        ]);
    }
    // A text that is too long for a slot is never learned.
    stream.extend(["c".repeat(2100), "hello".to_owned()].map(|content| text(&content)));
    let pieces: Vec<_> = stream.iter().map(String::as_bytes).collect();
    let limits = Limits::new().with_max_json_values(1000);
    let mut decoder = ChunkDecoder::with_limits(limits).with_templates(&templates);
    compare_with(&pieces, &limits, false, &mut decoder);
}

/// Of an object without choices the API is noted, also if its template is that of another stream.
#[test]
fn the_api_of_a_known_event_is_noted() {
    for json in [
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
        r#"{"type":"message-end","usage":{"output_tokens":5}}"#,
        r#"{"type":"response.completed","usage":{"output_tokens":5}}"#,
        r#"{"object":"thread.run","usage":{"total_tokens":5}}"#,
        r#"{"candidates":[],"usage":{"total_tokens":5}}"#,
    ] {
        let event = [format!("data: {json}\n\n")];
        in_turn(&[&event, &event, &event]);
    }
}

/// Of two contents the first differs too. The last one counts.
#[test]
fn a_content_that_another_one_replaces_differs() {
    for member in ["content", "refusal", "reasoning", "role"] {
        let event = |first: &str, last: &str| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"{member}\":\"{first}\",\"{member}\":\"{last}\"}}}}]}}\n\n"
            )
        };
        let texts = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j"), ("k", "l")];
        in_turn(&[&texts.map(|(first, last)| event(first, last))]);
    }
}

/// Templates of which each begins like all the ones before need no deep stack.
#[test]
fn templates_that_begin_alike_need_little_stack() {
    let publish = || {
        let templates = Templates::new();
        for stream in 0..125 {
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            for number in 0..8 {
                let name = "a".repeat(stream * 8 + number);
                let event = format!("data: {{\"choices\":[],\"{name}b\":[]}}\n\n");
                for _ in 0..2 {
                    assert!(decoder.next(&mut event.as_bytes()).is_some());
                }
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(publish).unwrap();
    thread.join().unwrap();
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/templates.txt", 600))]

    /// Streams of events that are edited on and on, as the fuzz target makes them.
    #[test]
    fn edited_streams_are_read_as_without_templates(script in proptest::collection::vec(any::<u8>(), 2..200)) {
        crate::bodies::templates::run(&script);
    }

    /// Streams of several templates in any order, each with values of its own, in any cut.
    #[test]
    fn templates_in_any_order_and_cut_change_nothing(
        events in proptest::collection::vec((0..TEMPLATES.len(), "[a-zé\\\\n]{0,9}", 0u32..2000, 0..4u8), 1..80),
        size in 1usize..900,
    ) {
        let stream: String = events
            .iter()
            .map(|(which, text, number, index)| {
                TEMPLATES[*which].replace("He", text).replace("So", text).replace("17", &number.to_string()).replace("\"index\":0", &format!("\"index\":{index}"))
            })
            .collect();
        in_cuts(stream.as_bytes(), &[size]);
    }
}
