//! The bodies of the fuzz targets, over the project's own streams, on stable.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "the bodies are public to the fuzz targets")]

#[path = "../fuzz/bodies/parse_chunk.rs"]
mod parse_chunk;

use std::fs;
use std::path::Path;

/// The payloads of all streams in `tests/streams`.
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let streams = files.filter(|file| file.extension().is_some_and(|kind| kind == "sse"));
    let seeds: Vec<_> = streams
        .flat_map(|file| {
            fs::read(file).unwrap().split(|byte| *byte == b'\n').map(Vec::from).collect::<Vec<_>>()
        })
        .filter_map(|line| line.strip_prefix(b"data: ").map(Vec::from))
        .collect();
    assert!(seeds.len() > 50);
    seeds
}

#[test]
fn parse_chunk_over_the_seeds_and_every_prefix_of_some() {
    for seed in seeds() {
        parse_chunk::run(&seed);
    }
    for seed in seeds().iter().step_by(9) {
        for end in 0..seed.len() {
            parse_chunk::run(&seed[..end]);
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
        b"\xEF\xBB\xBF{}",
        b"{\"a\":\"\xFF\"}",
    ] {
        parse_chunk::run(finding);
    }
}
