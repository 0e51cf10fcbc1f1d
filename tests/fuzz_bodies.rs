//! The bodies of the fuzz targets, over the seeds and over all that was found, on stable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::unreachable,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, unreachable_pub, reason = "the bodies are public to the fuzz targets")]
#![allow(clippy::duplicate_mod, reason = "the bodies have parts of `support` of their own")]

#[path = "bodies/mod.rs"]
mod bodies;
#[path = "support/cases.rs"]
mod cases;
mod support;

use std::fs;
use std::path::Path;

use bodies::heap::Heap;
use bodies::{parse_chunk, reassemble, roundtrip, simd, sse_split, templates};
use proptest::prelude::*;
use support::{base64, recordings, vectors};

#[global_allocator]
static HEAP: Heap = Heap;

/// Reads the streams in `tests/streams`.
fn streams() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let streams = files.filter(|file| file.extension().is_some_and(|kind| kind == "sse"));
    let streams: Vec<_> = streams.map(|file| fs::read(file).unwrap()).collect();
    assert!(streams.len() >= 8);
    streams
}

/// Returns their payloads.
fn payloads() -> Vec<Vec<u8>> {
    let streams = streams();
    let lines = streams.iter().flat_map(|stream| stream.split(|byte| *byte == b'\n'));
    let payloads: Vec<_> =
        lines.filter_map(|line| line.strip_prefix(b"data: ").map(Vec::from)).collect();
    assert!(payloads.len() > 50);
    payloads
}

/// Returns streams as the input of a target, whole and in pieces.
fn inputs() -> Vec<Vec<u8>> {
    let headers: [&[u8]; 3] = [b"\0\0", b"\0\x03\x01\x40\x07", b"\0\x01\xFF"];
    let streams = streams();
    let inputs = streams.iter().flat_map(|stream| headers.map(|header| [header, stream].concat()));
    inputs.collect()
}

#[test]
fn memory_is_counted() {
    let before = bodies::heap::live();
    let bytes = vec![0u8; 1000];
    assert_eq!(bodies::heap::live() - before, 1000);
    drop(bytes);
}

#[test]
fn parse_chunk_over_the_seeds_and_every_prefix_of_some() {
    for payload in payloads() {
        parse_chunk::run(&payload);
    }
    for payload in payloads().iter().step_by(9) {
        for end in 0..payload.len() {
            parse_chunk::run(&payload[..end]);
        }
    }
}

/// Found by the fuzzer, or likely to be.
#[test]
fn parse_chunk_over_findings() {
    for finding in [
        &b""[..],
        b"[DONE]",
        b" [DONE] ",
        b"{}",
        b"[]",
        b"null",
        b"{\"choices\":[null,1,[],{}]}",
        b"{\"choices\":{\"index\":0}}",
        b"{\"choices\":[{\"delta\":{\"tool_calls\":[null,{\"function\":7}]}}]}",
        b"{\"choices\":[{\"logprobs\":{\"content\":[{\"logprob\":NaN}]}}]}",
        b"{\"a\":\"\\ud83d\",\"b\":\"\\ude00\\ud83d\\ude00\"}",
        b"{\"a\":18446744073709551616,\"b\":1e400,\"c\":-0}",
        b"{\"error\":0}",
        b"{\"choices\":[{\"error\":{}}]}",
        b"{\"choices\":[{\"error\":{}}],\"choices\":[{\"error\":0}]}",
        b"\xEF\xBB\xBF{}",
        b"{\"a\":\"\xFF\"}",
        b"{\"a\":\n[1,\r2]}",
        b"{\"a\":\n\"\xFF\"}",
    ] {
        parse_chunk::run(finding);
    }
}

/// Each payload of the recordings, and each JSON text of the vectors as it is and as a member.
#[test]
fn parse_chunk_over_recorded_payloads_and_the_vectors() {
    let mut payloads: Vec<_> = recordings("openai-chat").iter().flat_map(data_lines).collect();
    // Most of them are like the one before; the stride is odd, so it meets all kinds.
    payloads = payloads.into_iter().step_by(7).collect();
    for (_, vector) in vectors("json") {
        // A few are too long to be stored there.
        let Some(text) = vector["input_b64"].as_str().map(base64) else { continue };
        payloads.push([b"{\"choices\":[],\"x\":", &*text, b"}"].concat());
        payloads.push(text);
    }
    let accepts = |payload: &Vec<u8>| simd::check(payload, || None);
    let accepted = payloads.iter().filter(|payload| accepts(payload)).count();
    assert!(payloads.is_empty() || accepted > 1000, "simd-json accepts {accepted}");
    for payload in &payloads {
        parse_chunk::run(payload);
    }
}

/// Returns the bytes behind `data: ` of each line that begins so.
fn data_lines(recording: &support::Recording) -> Vec<Vec<u8>> {
    let lines = recording.bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.strip_prefix(b"data: ").map(Vec::from)).collect()
}

#[test]
fn sse_split_over_the_seeds() {
    for input in &inputs() {
        sse_split::run(input);
    }
}

#[test]
fn reassemble_over_the_seeds() {
    for input in &inputs() {
        reassemble::run(input);
    }
}

#[test]
fn roundtrip_over_the_seeds() {
    for payload in &payloads() {
        roundtrip::run(payload);
    }
    for input in &inputs() {
        roundtrip::run(input);
    }
}

#[test]
fn templates_over_the_seeds() {
    for payload in &payloads() {
        templates::run(payload);
    }
}

/// Makes bytes like those of a new fuzzer, with the settings of a target.
fn scripts(settings: std::ops::Range<u8>) -> impl Strategy<Value = Vec<u8>> {
    let rest = proptest::collection::vec(any::<u8>(), 0..400);
    (settings, 0..4u8, rest)
        .prop_map(|(settings, count, rest)| [&[settings, count], &rest[..]].concat())
}

proptest! {
    #![proptest_config(cases::cases("proptest-regressions/fuzz_bodies.txt", 400))]

    #[test]
    fn parse_chunk_over_made_payloads(script in scripts(0..255)) {
        let json = bodies::input::chunk(&mut bodies::input::Choices::new(&script));
        parse_chunk::run(json.as_bytes());
    }

    #[test]
    fn sse_split_over_made_streams(script in scripts(0..8)) {
        sse_split::run(&script);
    }

    #[test]
    fn reassemble_over_made_streams(script in scripts(0..8)) {
        reassemble::run(&script);
    }

    #[test]
    fn roundtrip_over_made_streams(script in scripts(0..255)) {
        roundtrip::run(&script);
    }
}
