//! Reads a generated stream event by event, for callgrind to count: see `benches/instructions`.
//!
//! Arguments: workload, way, number of events.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::string_slice,
    reason = "a benchmark fails by panicking"
)]

#[path = "support/workloads.rs"]
#[expect(dead_code, reason = "only the bytes are needed")]
mod workloads;

use std::hint::black_box;
use std::time::Duration;

use deltawire::gateway::{
    Editor, Guard, Observer, Relay, RelayGuard, UsageTap, UsageVisibility, Words,
};
use deltawire::{ChunkDecoder, Reassembler, SseDecoder, Templates};
use workloads::{Workload, generate};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // `cargo bench` and `cargo bench -- --test` pass no workload, so they count nothing.
    let [workload, way, events] = &arguments[..] else { return };
    let events = events.parse().expect("a number of events");
    measured(&generate(workload, events, 1), way);
}

/// Runs the code that callgrind counts.
#[inline(never)]
fn measured(workload: &Workload, way: &str) {
    let mut start = 0;
    let pieces = workload.ends.iter().map(|end| {
        let piece = &workload.bytes[start..*end];
        start = *end;
        piece
    });
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let mut tap = UsageTap::new();
    let mut sse = SseDecoder::new();
    if way.starts_with("general") {
        decoder.set_templates(&Templates::none());
    }
    let mut hostile = HostileStream::new();
    let (mut observer, mut editor, mut guard, words) =
        (Observer::new(), editor(), Guard::new(), words());
    let (mut relay, mut out) = (relay(), Vec::new());
    for mut piece in pieces {
        match way {
            "next-beside-hostile" => {
                hostile.turn();
                while black_box(decoder.next(&mut piece)).is_some() {}
            }
            "framing" => while black_box(sse.next(&mut piece)).is_some() {},
            "next" | "general-next" => while black_box(decoder.next(&mut piece)).is_some() {},
            "all" | "general-all" => {
                while let Some(event) = decoder.next(&mut piece) {
                    completion.push_payload(event.payload());
                }
            }
            "tap" => {
                black_box(tap.push(piece));
            }
            "observe" => {
                while let Some(event) = decoder.next(&mut piece) {
                    black_box(observer.observe(&event));
                }
            }
            "edit" => {
                out.clear();
                while let Some(event) = decoder.next(&mut piece) {
                    let _ = black_box(editor.write(&event, &mut out));
                }
            }
            "guard" => {
                out.clear();
                while let Some(event) = decoder.next(&mut piece) {
                    let _ = black_box(guard.push(&event));
                    black_box(guard.redact(&words, MASK).expect("a short mask"));
                    guard.release_searched(&mut out);
                }
            }
            "relay" => {
                out.clear();
                let _ = black_box(relay.push(piece, Duration::ZERO, &mut out));
            }
            other => {
                panic!("{other} is none of the ways of benches/instructions")
            }
        }
    }
    black_box(completion.snapshot());
}

/// The text in place of a redacted word.
const MASK: &str = "***";

/// Returns the editor of most gateways.
fn editor() -> Editor {
    let mut editor = Editor::new();
    editor.replace("model", "our-model");
    editor.hide_usage(UsageVisibility::Removed);
    editor
}

/// Returns words that no stream contains.
fn words() -> Words {
    Words::new(["internal-project", "4111-1111"])
}

/// Returns a relay with the parts that the other ways have alone.
fn relay() -> Relay {
    let guard = RelayGuard::new(Guard::new()).redact(words(), MASK).pass_unwatched();
    Relay::builder().edit(editor()).guard(guard).collect().build()
}

/// A stream on the same set as the measured one, whose events are made to slow that down.
struct HostileStream {
    decoder: ChunkDecoder,
    turns: usize,
}

impl HostileStream {
    fn new() -> Self {
        Self { decoder: ChunkDecoder::new(), turns: 0 }
    }

    /// Decodes events of new kinds. Callgrind doesn't count it.
    ///
    /// Each comes twice, so that it is published. Some begin like those of the measured stream.
    #[inline(never)]
    fn turn(&mut self) {
        self.turns += 1;
        let turn = self.turns;
        if turn.is_multiple_of(30) {
            self.decoder = ChunkDecoder::new();
        }
        let odd = format!("data: {{\"id\":\"c\",\"k{turn}\":[],\"choices\":[]}}\n\n");
        let alike = format!(
            "data: {{\"id\":\"c{turn}\",\"object\":\"chat.completion.chunk\",\"created\":{turn},\"model\":\"m\",\"choices\":[],\"n\":{turn}}}\n\n"
        );
        for event in [&odd, &odd, &alike, &alike] {
            black_box(self.decoder.next(&mut event.as_bytes()));
        }
    }
}
