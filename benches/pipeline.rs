//! The whole job, stage by stage, on the project's own streams: `layer/workload/pieces`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deltawire::{ChunkDecoder, EventKind, Outcome, Reassembler, SseDecoder};

/// How often a stream is repeated, so that a run is no blink.
const TIMES: usize = 100;

fn stream(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    fs::read(folder.join(name).with_extension("sse")).unwrap()
}

fn framing(bytes: &[u8], piece: usize) -> usize {
    let mut decoder = SseDecoder::new();
    let mut messages = 0;
    for mut input in bytes.chunks(piece) {
        while let Some(event) = decoder.next(&mut input) {
            messages += usize::from(event.kind() == EventKind::Message);
        }
    }
    messages
}

fn pipeline(bytes: &[u8], piece: usize) -> Outcome {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    for mut input in bytes.chunks(piece) {
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
    }
    completion.finish(decoder.finish()).outcome
}

fn layers(criterion: &mut Criterion) {
    for (workload, events) in [("text", 23), ("tools", 14), ("reasoning", 12)] {
        let count = u64::try_from(events).unwrap();
        let bytes = stream(workload);
        for (pieces, size) in [("whole", usize::MAX), ("1460", 1460), ("128", 128)] {
            let mut group = criterion.benchmark_group("framing");
            group.throughput(Throughput::Elements(count * TIMES as u64));
            group.bench_function(BenchmarkId::new(workload, pieces), |bencher| {
                let repeated = bytes.repeat(TIMES);
                bencher.iter(|| assert_eq!(framing(&repeated, size), events * TIMES));
            });
            group.finish();
            let mut group = criterion.benchmark_group("pipeline");
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::new(workload, pieces), |bencher| {
                bencher.iter(|| assert_eq!(pipeline(&bytes, size), Outcome::Complete));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
