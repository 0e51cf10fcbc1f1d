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

use deltawire::gateway::UsageTap;
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
    for mut piece in pieces {
        match way {
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
            other => {
                panic!("{other}: expected framing, next, all, tap, general-next or general-all")
            }
        }
    }
    black_box(completion.snapshot());
}
