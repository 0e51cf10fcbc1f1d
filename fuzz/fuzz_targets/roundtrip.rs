//! A payload is read, written again, and kept beyond its event.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/bodies/mod.rs"]
mod bodies;
#[allow(dead_code)]
#[path = "../support.rs"]
mod support;

#[global_allocator]
static HEAP: support::heap::Heap = support::heap::Heap;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::roundtrip::run(data));
