//! The job layer by layer, on all workloads: `layer/workload/pieces`. Each bench asserts its answer.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "a benchmark fails by panicking"
)]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/streams.rs"]
mod streams;
#[path = "support/view.rs"]
mod view;
#[path = "support/workloads.rs"]
mod workloads;

use std::hint::black_box;
use std::time::Duration;

use answers::said;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use cuts::{CUTS, Cut};
use deltawire::chunk::{ChatCompletionChunk, OwnedChatCompletionChunk};
use deltawire::completion::FinishedCompletion;
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, Payload, Reassembler, SseDecoder, StreamSummary};
use streams::{Stream, Workload};
use view::Read;
use workloads::{Expected, NAMES};

/// Events of a generated workload.
const EVENTS: usize = 500;

fn framing<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> (usize, usize) {
    let mut decoder = SseDecoder::new();
    let (mut events, mut len) = (0, 0);
    for mut input in pieces {
        while let Some(event) = decoder.next(&mut input) {
            if event.kind() == EventKind::Message {
                (events, len) = (events + 1, len + event.data().len());
            }
        }
    }
    (events, len)
}

fn pipeline<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> FinishedCompletion {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    for mut input in pieces {
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
    }
    completion.finish(decoder.finish())
}

/// Returns chunks that are read already.
fn owned(stream: &Stream) -> Vec<OwnedChatCompletionChunk> {
    let (mut decoder, mut input) = (ChunkDecoder::new(), &stream.bytes[..]);
    let mut chunks = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        match event.payload() {
            Payload::Chunk(chunk) => chunks.push(chunk.into_owned()),
            Payload::Error(error) => {
                chunks.extend(error.chunk().map(ChatCompletionChunk::into_owned));
            }
            _ => {}
        }
    }
    chunks
}

fn reassemble(chunks: &[OwnedChatCompletionChunk]) -> FinishedCompletion {
    let mut completion = Reassembler::new();
    for chunk in chunks {
        completion.push(&chunk.as_chunk());
    }
    completion.finish(StreamSummary::default())
}

/// Runs `job` on all streams of a workload.
///
/// Its result is checked in full once, since the check takes longer than the job, and every time
/// as `brief`.
fn bench<T>(
    criterion: &mut Criterion,
    layer: &str,
    (workload, cut): (&Workload, Cut),
    mut job: impl FnMut(usize) -> T,
    is_right: impl Fn(&T, &Stream) -> bool,
    brief: impl Fn(&T) -> usize,
) {
    let streams = &workload.streams;
    let answers: Vec<_> = (0..streams.len()).map(&mut job).collect();
    assert!(
        answers.iter().zip(streams).all(|(answer, stream)| is_right(answer, stream)),
        "{layer}/{}/{cut}",
        workload.name
    );
    let expected: usize = answers.iter().map(&brief).sum();
    drop(answers);
    let mut group = criterion.benchmark_group(layer);
    group.throughput(Throughput::Elements(workload.events() as u64));
    group.bench_function(BenchmarkId::new(workload.name, cut), |bencher| {
        bencher.iter(|| {
            let answers = (0..streams.len()).map(|at| brief(&black_box(job(at))));
            assert_eq!(answers.sum::<usize>(), expected);
        });
    });
    group.finish();
}

/// Returns the bytes of the texts of a completion.
fn text(finished: &FinishedCompletion) -> usize {
    let choices = finished.completion.choices.iter();
    choices.map(|choice| choice.message.content.as_ref().map_or(0, String::len)).sum()
}

fn layers(criterion: &mut Criterion) {
    let generated = NAMES.map(|name| Workload::generated(name, EVENTS));
    for workload in generated.into_iter().chain(Workload::recorded()) {
        for cut in CUTS.into_iter().filter(|cut| workload.has(*cut)) {
            let ranges: Vec<_> = workload.streams.iter().map(|stream| stream.ranges(cut)).collect();
            let pieces = |at: usize| {
                let stream = &workload.streams[at];
                ranges[at].iter().map(|range| &stream.bytes[range.clone()])
            };
            let case = (&workload, cut);
            bench(
                criterion,
                "framing",
                case,
                |at| framing(pieces(at)),
                |framed, stream| *framed == stream.framed,
                |framed| framed.1,
            );
            bench(
                criterion,
                "pipeline",
                case,
                |at| pipeline(pieces(at)),
                |finished, stream| {
                    said(finished) == Expected { comments: 0, ..stream.expected.clone() }
                },
                text,
            );
            if !matches!(cut, Cut::Whole | Cut::Event) {
                continue;
            }
            bench(
                criterion,
                "chunk",
                case,
                |at| Read::stream(ChunkDecoder::new(), pieces(at)),
                Read::is_right,
                |read| read.around,
            );
        }
        let chunks: Vec<_> = workload.streams.iter().map(owned).collect();
        bench(
            criterion,
            "reassemble",
            (&workload, Cut::Whole),
            |at| reassemble(&chunks[at]),
            |finished, stream| {
                said(finished) == Expected { chunks: 0, comments: 0, ..stream.expected.clone() }
            },
            text,
        );
    }
}

/// Returns settings for more than 200 cases: each is short.
fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
}

criterion_group!(name = benches; config = config(); targets = layers);
criterion_main!(benches);
