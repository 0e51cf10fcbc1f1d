//! A stream with shapes and without: every event is the same.
#![no_main]

#[path = "../bodies/shapes.rs"]
#[allow(dead_code)]
mod shapes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shapes::run(data));
