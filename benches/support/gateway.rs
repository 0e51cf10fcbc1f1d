//! The work of a gateway on every event besides reading it: watching, editing, guarding, collecting.

use std::collections::BTreeMap;
use std::time::Duration;

use deltawire::gateway::{
    Editor, Guard, Meter, Relay, RelayBuilder, RelayEnd, RelayGuard, RelayOutcome, UsageTap, Words,
};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, SseDecoder};
use memchr::memmem;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cuts::Cut;
use crate::harness::{Effort, Engine, compare};
use crate::report::Table;
use crate::streams::Stream;

/// The name of the model for the client.
const ALIAS: &str = "our-model";

/// The result of a run.
enum Answer {
    /// So many events, or events with output.
    Count(usize),
    /// The stream with another model.
    Stream(Vec<u8>),
}

/// Streams in which most events are like the one before.
const WORKLOADS: [&str; 6] = ["vllm", "openai", "openrouter", "continuous-usage", "tools", "n2"];

/// Measures each workload event by event, as most pieces come.
pub fn table(events: usize, effort: Effort) -> Table {
    let header = [
        "ns per event",
        "next",
        "tap",
        "tap ÷ next",
        "tap and meter",
        "model edited",
        "serde_json::Value",
        "÷ edited",
        "serde_json, raw members",
        "÷ edited",
        "relay, model edited",
        "relay, all parts",
        "÷ next",
    ];
    let mut table = Table::new(
        "gateway: a tap beside ChunkDecoder::next, an edited model beside serde_json, a relay",
        &header,
    );
    for name in WORKLOADS {
        let stream = Stream::generated(name, events, 0);
        let ranges = stream.ranges(Cut::Event);
        let pieces: Vec<_> = ranges.into_iter().map(|range| &stream.bytes[range]).collect();
        let mut engines = engines(&pieces);
        let (count, chunks) = (stream.ends.len(), stream.expected.chunks);
        let timings = compare(&mut engines, |answer| is_right(answer, count, chunks), effort);
        let prices: Vec<_> = timings
            .iter()
            .map(|timing| {
                let price = timing.price(count);
                price.unwrap_or_else(|| panic!("{} on {name} is wrong", timing.name))
            })
            .collect();
        let [next, tap, meter, edit, value, raw, relay, all] = prices[..] else {
            panic!("eight engines")
        };
        let ns = |price: f64| format!("{price:.1}");
        let ratio = |one: f64, other: f64| format!("{:.2}", one / other);
        table.rows.push(vec![
            name.to_owned(),
            ns(next),
            ns(tap),
            ratio(tap, next),
            ns(meter),
            ns(edit),
            ns(value),
            ratio(value, edit),
            ns(raw),
            ratio(raw, edit),
            ns(relay),
            ns(all),
            ratio(all, next),
        ]);
    }
    table
}

/// Returns true if a stream was read, or every chunk has the alias and `[DONE]` is at its end.
fn is_right(answer: &Answer, events: usize, chunks: usize) -> bool {
    match answer {
        // All but `[DONE]`, comments, and chunks without output: roles, ends, calls that begin.
        Answer::Count(count) => *count <= events && *count * 10 >= chunks * 9,
        Answer::Stream(stream) => {
            let alias = format!("\"model\":\"{ALIAS}\"");
            memmem::find_iter(stream, alias.as_bytes()).count() == chunks
                && stream.ends_with(b"data: [DONE]\n\n")
        }
    }
}

fn engines<'p>(pieces: &'p [&'p [u8]]) -> Vec<Engine<'p, Answer>> {
    vec![
        Engine::new("next", move || {
            let (mut decoder, mut events) = (ChunkDecoder::new(), 0);
            for piece in pieces {
                let mut input = *piece;
                while let Some(event) = &decoder.next(&mut input) {
                    std::hint::black_box(event);
                    events += 1;
                }
            }
            Answer::Count(events)
        }),
        Engine::new("tap", move || {
            let mut tap = UsageTap::new();
            Answer::Count(pieces.iter().map(|piece| tap.push(piece)).sum::<u64>() as usize)
        }),
        Engine::new("tap and meter", move || {
            let (mut tap, mut meter) = (UsageTap::new(), Meter::new());
            for (nth, piece) in pieces.iter().enumerate() {
                meter.record(tap.push(piece), Duration::from_millis(nth as u64));
            }
            Answer::Count(meter.gaps().count as usize + 1)
        }),
        Engine::new("edited", move || {
            let (mut decoder, mut editor) = (ChunkDecoder::new(), Editor::new());
            editor.replace("model", ALIAS);
            let mut out = Vec::new();
            for piece in pieces {
                let mut input = *piece;
                while let Some(event) = &decoder.next(&mut input) {
                    let _ = editor.write(event, &mut out);
                }
            }
            Answer::Stream(out)
        }),
        Engine::new("serde_json::Value", move || {
            Answer::Stream(rewritten(pieces, |data, out| {
                let mut chunk: Value = serde_json::from_slice(data).unwrap();
                chunk["model"] = ALIAS.into();
                serde_json::to_writer(out, &chunk).unwrap();
            }))
        }),
        Engine::new("serde_json, raw members", move || {
            let alias = serde_json::value::to_raw_value(ALIAS).unwrap();
            Answer::Stream(rewritten(pieces, |data, out| {
                let mut chunk: BTreeMap<&str, &RawValue> = serde_json::from_slice(data).unwrap();
                chunk.insert("model", &alias);
                serde_json::to_writer(out, &chunk).unwrap();
            }))
        }),
        Engine::new("relay, model edited", move || relayed(pieces, Relay::builder())),
        Engine::new("relay, all parts", move || {
            let words = Words::new(["internal-project", "4111-1111"]);
            let guard = RelayGuard::new(Guard::new()).redact(words, "***").pass_unwatched();
            relayed(pieces, Relay::builder().measure().guard(guard).collect())
        }),
    ]
}

/// Returns the stream that a relay writes with another model, besides its other parts.
fn relayed(pieces: &[&[u8]], builder: RelayBuilder) -> Answer {
    let mut editor = Editor::new();
    editor.replace("model", ALIAS);
    let (mut relay, mut out) = (builder.edit(editor).build(), Vec::new());
    let time = |nth: usize| Duration::from_millis(nth as u64);
    for (nth, piece) in pieces.iter().enumerate() {
        assert!(relay.push(piece, time(nth), &mut out).is_open());
    }
    let report = relay.finish(RelayEnd::Upstream, time(pieces.len()), &mut out);
    assert_eq!(report.outcome, RelayOutcome::Complete);
    Answer::Stream(out)
}

/// Returns the stream with each chunk written by `rewrite`; the framing is ours, the fastest.
fn rewritten(pieces: &[&[u8]], mut rewrite: impl FnMut(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    let (mut decoder, mut out) = (SseDecoder::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = &decoder.next(&mut input) {
            if event.kind() != EventKind::Message || event.data() == b"[DONE]" {
                out.extend_from_slice(event.raw());
                continue;
            }
            out.extend_from_slice(b"data: ");
            rewrite(event.data(), &mut out);
            out.extend_from_slice(b"\n\n");
        }
    }
    out
}
