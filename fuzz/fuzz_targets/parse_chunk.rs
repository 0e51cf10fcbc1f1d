//! A payload: the view agrees with `serde_json`, and cuts change nothing.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/bodies/mod.rs"]
mod bodies;
#[allow(dead_code)]
#[path = "../support.rs"]
mod support;

#[global_allocator]
static HEAP: support::heap::Heap = support::heap::Heap;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::parse_chunk::run(data));
