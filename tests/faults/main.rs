//! Regression tests by kind of fault: the cost of a peer's bytes, and failures reported as success.
//!
//! `tests/README.md` lists the tests of each fault.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod costs;
mod memory;
mod outcomes;
mod replays;

use deltawire::{ChunkDecoder, Limits, Reassembler};
use support::heap::{self, Heap};

#[global_allocator]
static HEAP: Heap = Heap;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Returns the result of `work`, the bytes that it adds at its peak, and the bytes that remain.
fn memory<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = heap::live();
    heap::reset_peak();
    let made = work();
    let (peak, held) = (heap::peak() - before, heap::live() - before);
    (made, peak.max(0) as usize, held.max(0) as usize)
}

fn event(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

/// Returns an event with a delta for choice 0.
fn delta(members: &str) -> Vec<u8> {
    event(&format!(r#"{{"choices":[{{"index":0,"delta":{{{members}}}}}]}}"#))
}

fn nested(depth: usize, inner: &str) -> String {
    [&r#"{"a":"#.repeat(depth), inner, &"}".repeat(depth)].concat()
}

fn push_all(completion: &mut Reassembler, decoder: &mut ChunkDecoder, stream: &[u8]) {
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
}

/// Bytes of a small stack; more in an unoptimised build, where a level needs more.
const SMALL_STACK: usize = if cfg!(debug_assertions) { 2 << 20 } else { 256 << 10 };

/// Runs `work` on a thread with a small stack, whose overflow aborts the test.
fn on_a_small_stack(bytes: usize, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap();
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::new();
    change(&mut limits);
    limits
}

const FINISHED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
