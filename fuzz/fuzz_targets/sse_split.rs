//! A stream in pieces: the framing agrees with the standard's text and with the limits.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/bodies/mod.rs"]
mod bodies;
#[allow(dead_code)]
#[path = "../support.rs"]
mod support;

#[global_allocator]
static HEAP: support::heap::Heap = support::heap::Heap;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::sse_split::run(data));
