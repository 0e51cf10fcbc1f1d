//! A stream in pieces: the framing agrees with the standard's text and with the limits.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/bodies/mod.rs"]
mod bodies;

#[global_allocator]
static HEAP: bodies::heap::Heap = bodies::heap::Heap;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::sse_split::run(data));
