//! A payload: the view agrees with `serde_json`, and cuts change nothing.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/bodies/mod.rs"]
mod bodies;

#[global_allocator]
static HEAP: bodies::heap::Heap = bodies::heap::Heap;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::parse_chunk::run(data));
