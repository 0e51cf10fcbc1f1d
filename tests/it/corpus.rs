//! Every recorded chat stream, in every cut, against a fold over `serde_json::Value`.

use deltawire::completion::FinishedCompletion;
use deltawire::{ChunkDecoder, Outcome, Payload, Reassembler};

use crate::support::decoded::pieces;
use crate::support::fold::{facts, fold, payloads};
use crate::support::{Recording, recordings};

/// The result of one run over a stream, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Run {
    /// Offset and kind of each payload, and the chunk as it is serialised again.
    payloads: Vec<(u64, &'static str, String)>,
    malformed: Vec<(u64, String)>,
    finished: FinishedCompletion,
}

fn run(cut: &[&[u8]]) -> Run {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let (mut payloads, mut malformed) = (Vec::new(), Vec::new());
    for piece in cut {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            let (kind, text) = match event.payload() {
                Payload::Chunk(chunk) => ("chunk", serde_json::to_string(&chunk).unwrap()),
                Payload::Done => ("done", String::new()),
                Payload::Error(error) => {
                    ("error", format!("{:?} {:?}", error.message(), error.chunk()))
                }
                Payload::Malformed(error) => {
                    malformed.push((error.offset(), error.to_string()));
                    ("malformed", String::new())
                }
                Payload::Comment => {
                    let texts: Vec<_> = event.event().comments().collect();
                    ("comment", format!("{texts:?}"))
                }
                _ => continue,
            };
            payloads.push((event.offset(), kind, text));
            completion.push_payload(event.payload());
        }
    }
    let finished = completion.finish(decoder.finish());
    Run { payloads, malformed, finished }
}

fn recorded() -> Vec<Recording> {
    recordings("openai-chat")
}

#[test]
fn recordings_in_any_cut_have_the_same_events() {
    for recording in recorded() {
        let bytes = &recording.bytes;
        let whole = run(&[bytes]);
        assert_eq!(run(&bytes.chunks(1).collect::<Vec<_>>()), whole, "{}: bytes", recording.file);
        if let Some(lengths) = &recording.pieces {
            let cut = pieces(bytes, lengths);
            assert_eq!(run(&cut), whole, "{}: as recorded", recording.file);
        }
    }
}

#[test]
fn completion_of_a_recording_is_a_fold_over_its_values() {
    for recording in recorded() {
        let finished = run(&[&recording.bytes]).finished;
        let completion = serde_json::to_value(&finished.completion).unwrap();
        let expected = fold(&payloads(&recording.bytes));
        assert_eq!(
            facts(&completion).with_defaults(),
            expected.with_defaults(),
            "{}",
            recording.file
        );
        assert_eq!(finished.limit_exceeded, None, "{}", recording.file);
    }
}

#[test]
fn a_chunk_serialises_as_it_was_sent() {
    for recording in recorded() {
        let sent = payloads(&recording.bytes);
        let seen = run(&[&recording.bytes]).payloads;
        let seen: Vec<serde_json::Value> = seen
            .iter()
            .filter(|(_, kind, _)| *kind == "chunk")
            .map(|(_, _, text)| serde_json::from_str(text).unwrap())
            .collect();
        let chunks: Vec<_> = sent.into_iter().filter(|value| value["error"].is_null()).collect();
        assert_eq!(seen, chunks, "{}", recording.file);
    }
}

/// The only event of all recordings that can't be read.
///
/// - `nvidia-nim__llama-3.1-8b-instruct__text__6b77f5.sse` (feature `badjson`): a fixture written
///   by hand. Its last event is `data: [DATA]`, at byte 745. The payload begins 6 bytes later,
///   and the first byte that is no JSON is the `D`.
const MALFORMED: &[(&str, u64, &str)] = &[(
    "nvidia-nim__llama-3.1-8b-instruct__text__6b77f5.sse",
    752,
    "expected a JSON value at byte 752",
)];

#[test]
fn recorded_payload_is_malformed_only_if_it_is_no_json() {
    for recording in recorded() {
        let expected: Vec<_> = MALFORMED
            .iter()
            .filter(|(file, ..)| *file == recording.file)
            .map(|(_, offset, text)| (*offset, (*text).to_owned()))
            .collect();
        assert_eq!(run(&[&recording.bytes]).malformed, expected, "{}", recording.file);
        assert_eq!(recording.has("badjson"), !expected.is_empty(), "{}", recording.file);
    }
}

/// The outcome follows from the manifest's features and from which choices have finished.
#[test]
fn outcomes_of_recordings_are_those_of_the_manifest() {
    for recording in recorded() {
        let outcome = run(&[&recording.bytes]).finished.outcome;
        let has_error = ["error", "error_event", "error_field_line"]
            .iter()
            .any(|feature| recording.has(feature));
        let folded = fold(&payloads(&recording.bytes));
        let finished = folded.choices.iter().all(|choice| choice.finish_reason.is_some());
        let expected = match (has_error, finished, !recording.has("no_DONE")) {
            (true, ..) => Outcome::UpstreamError,
            (false, true, true) => Outcome::Complete,
            (false, true, false) => Outcome::FinishedWithoutDone,
            (false, false, true) => Outcome::DoneWithoutFinish,
            (false, false, false) => Outcome::Truncated,
        };
        assert_eq!(outcome, expected, "{}", recording.file);
    }
}
