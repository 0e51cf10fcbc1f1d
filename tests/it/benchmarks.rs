//! The generated workloads have their stated contents, and decode to them in any pieces.

use deltawire::{ChunkDecoder, Outcome, Reassembler};

use crate::cuts::{CUTS, Cut};
use crate::workloads::{Expected, NAMES, Workload, generate};

/// Returns the result of a stream, in the generator's words.
fn run<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Expected {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    for mut input in pieces {
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
    }
    let comments = decoder.sse().comments() as usize;
    let finished = completion.finish(decoder.finish());
    assert_eq!(finished.outcome, Outcome::Complete);
    assert_eq!(finished.end.malformed, 0);
    Expected { comments, ..crate::answers::said(&finished) }
}

#[test]
fn each_workload_is_decoded_as_it_was_generated() {
    for name in NAMES {
        for (events, seed) in [(2, 1), (150, 7), (151, 99)] {
            let Workload { bytes, ends, expected, .. } = generate(name, events, seed);
            assert_eq!(ends.last(), Some(&bytes.len()));
            for cut in CUTS {
                if name == "huge" && matches!(cut, Cut::Size(size) if size < 1460) {
                    continue;
                }
                let ranges = cut.ranges(bytes.len(), &ends, &[]);
                if cut == Cut::Event {
                    assert!(ranges.iter().map(|range| range.end).eq(ends.iter().copied()));
                }
                let pieces = ranges.into_iter().map(|range| &bytes[range]);
                assert_eq!(run(pieces), expected, "{name}, {cut}");
            }
        }
    }
}

#[test]
fn a_seed_makes_the_same_stream_and_another_one_another() {
    for name in NAMES {
        let bytes = |seed| generate(name, 50, seed).bytes;
        assert_eq!(bytes(3), bytes(3), "{name}");
        assert_ne!(bytes(3), bytes(4), "{name}");
    }
}

#[test]
fn the_sizes_are_those_of_real_streams() {
    let median = |name| {
        let Workload { ends, .. } = generate(name, 500, 5);
        let mut sizes: Vec<_> = ends.windows(2).map(|ends| ends[1] - ends[0]).collect();
        sizes.sort_unstable();
        sizes[sizes.len() / 2]
    };
    assert!((240..=248).contains(&median("vllm")), "{}", median("vllm"));
    assert!(median("openai") > 300);
    assert!(median("logprobs") > 600);
    assert_eq!(generate("mixed-shapes", 0, 1).ends.len(), 21);
    assert!(generate("huge", 0, 1).bytes.len() >= 10 << 20);
    let tools = String::from_utf8(generate("tools", 500, 5).bytes).unwrap();
    let parts: Vec<_> = tools.lines().filter(|line| line.contains("\"arguments\":\"")).collect();
    let escaped = parts.iter().filter(|line| line.contains(r#"\""#)).count();
    assert!((45..=55).contains(&(escaped * 100 / parts.len())), "{escaped} of {}", parts.len());
    let cjk = generate("cjk-escaped", 100, 5);
    assert!(cjk.bytes.is_ascii() && cjk.expected.choices[0].content.contains('世'));
}
