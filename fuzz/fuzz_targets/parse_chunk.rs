//! A payload: the view agrees with `serde_json::Value`, and cuts change nothing.
#![no_main]

#[path = "../bodies/parse_chunk.rs"]
mod parse_chunk;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parse_chunk::run(data));
