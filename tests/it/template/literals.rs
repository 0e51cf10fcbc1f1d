//! Chunks whose template another stream has had: merged as without templates.
//!
//! The oracle is a decoder without templates, whose chunks are merged in full.

use deltawire::completion::Change;
use deltawire::{ChunkDecoder, Payload, Reassembler, Templates};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Members, of which a chunk has none or one. `#` is a text of the chunk's own, `@` one of the stream.
const TOP: [&[&str]; 7] = [
    &[r#""id":"@","#, r#""id":"@","#, r#""id":"","#, r#""id":null,"#],
    &[r#""created":5,"#, r#""created":0,"#],
    &[r#""model":"@","#, r#""model":"m","#],
    &[
        r#""system_fingerprint":"@","#,
        r#""system_fingerprint":"f","#,
        r#""system_fingerprint":"","#,
    ],
    &[r#""service_tier":"x","#, r#""service_tier":"y","#],
    &[r#""provider":"p","#, r#""provider":"q","#, r#""provider":"","#, r#""provider":null,"#],
    &[r#""usage":null,"#, r#""usage":{"prompt_tokens":5},"#],
];
const CHOICE: [&[&str]; 5] = [
    &[r#""index":0,"#, r#""index":1,"#],
    &[r#""logprobs":null,"#, r#""logprobs":{},"#, r#""logprobs":{"content":[]},"#],
    &[r#""stop_reason":null,"#, r#""stop_reason":7,"#],
    &[r#""finish_reason":null,"#, r#""finish_reason":null,"#, r#""finish_reason":"stop","#],
    &[r#""message":null,"#],
];
const DELTA: [&[&str]; 8] = [
    &[r#""role":"assistant","#, r#""role":"tool","#, r#""role":"","#],
    &[
        r##""content":"#","##,
        r##""content":"#","##,
        r##""content":"#","##,
        r#""content":"","#,
        r#""content":null,"#,
    ],
    &[r#""refusal":null,"#, r#""refusal":"","#, r##""refusal":"#","##],
    &[r#""reasoning":"","#, r##""reasoning":"#","##, r#""reasoning":null,"#],
    &[r#""reasoning_content":"","#, r##""reasoning_content":"#","##],
    &[r#""reasoning_details":[],"#, r##""reasoning_details":[{"index":0,"text":"#"}],"##],
    &[
        r#""annotations":[],"#,
        r#""annotations":[1],"#,
        r#""x":"a","#,
        r#""x":"b","#,
        r#""x":null,"#,
    ],
    &[
        r#""tool_calls":[],"#,
        r#""tool_calls":[{"index":0,"id":"@","type":"function","function":{"name":"f","arguments":""}}],"#,
        r##""tool_calls":[{"index":0,"function":{"arguments":"#"}}],"##,
        r##""tool_calls":[{"index":0,"type":"function","function":{"name":"","arguments":"#"}}],"##,
        r##""tool_calls":[{"index":1,"id":"","function":{"arguments":"#"},"x":1}],"##,
    ],
];

/// Generates a few of the members: a chunk with many is mostly merged in full.
fn members(rows: &'static [&'static [&'static str]]) -> impl Strategy<Value = String> {
    let row = |row: &&'static [&'static str]| {
        prop_oneof![3 => Just(""), 1 => select(row.to_vec())].boxed()
    };
    rows.iter().map(row).collect::<Vec<_>>().prop_map(|members| members.concat())
}

/// Generates the form of a chunk.
fn form() -> impl Strategy<Value = String> {
    (members(&TOP), members(&CHOICE), members(&DELTA)).prop_map(|(top, choice, delta)| {
        let delta = delta.trim_end_matches(',');
        format!("data: {{{top}\"choices\":[{{{choice}\"delta\":{{{delta}}}}}]}}\n\n")
    })
}

/// Returns the changes of each chunk of a stream, its completion, and its end.
fn run(stream: &[String], decoder: ChunkDecoder) -> (Vec<Vec<Change>>, String) {
    let (mut decoder, mut completion) = (decoder, Reassembler::new());
    let mut changes = Vec::new();
    for event in stream {
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        assert!(matches!(event.payload(), Payload::Chunk(_)), "{event:?}");
        completion.push_payload(event.payload());
        changes.push(completion.changes().to_vec());
    }
    let finished = completion.finish(decoder.finish());
    let json = serde_json::to_string(&finished.completion).unwrap();
    let whole = finished.whole().err().map(|error| error.to_string());
    let rest = (finished.outcome, finished.irregularities, finished.pending, whole);
    (changes, format!("{json} {rest:?}"))
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/literals.txt", 2000))]

    /// The streams take their chunks from a few forms, so that all but the first know the templates.
    #[test]
    fn a_chunk_of_a_known_template_is_merged_as_in_full(
        forms in vec(form(), 1..5),
        streams in vec(vec((any::<prop::sample::Index>(), vec("[a-z]{0,3}", 1..4)), 1..7), 4..9),
    ) {
        let templates = Templates::new();
        for (number, picks) in streams.iter().enumerate() {
            let stream: Vec<_> = picks
                .iter()
                .flat_map(|(form, texts)| texts.iter().map(|text| (form.get(&forms), text)))
                .map(|(form, text)| {
                    form.replace('#', text).replace('@', if number % 3 == 0 { "one" } else { "other" })
                })
                .collect();
            let shared = run(&stream, ChunkDecoder::new().with_templates(&templates));
            let alone = run(&stream, ChunkDecoder::new().with_templates(&Templates::none()));
            prop_assert_eq!(shared, alone, "{:#?}", stream);
        }
    }
}
