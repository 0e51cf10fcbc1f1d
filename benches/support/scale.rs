//! Long streams, and several threads.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::cuts::Cut;
use crate::pipelines::{Answer, EachPipeline, Pipeline, each_pipeline, in_running_process};
use crate::report::Table;
use crate::streams::Stream;

/// Runs each pipeline in turn, as often as `times`, and returns the median of each.
fn in_turn(
    pipelines: &EachPipeline<fn(usize) -> Duration>,
    size: usize,
    times: usize,
) -> Vec<(&'static str, Duration)> {
    let mut samples = vec![Vec::new(); pipelines.len()];
    for _ in 0..times {
        for (samples, (_, measure)) in samples.iter_mut().zip(pipelines) {
            samples.push(measure(size));
        }
    }
    let medians = samples.into_iter().zip(pipelines).map(|(mut samples, (name, _))| {
        samples.sort();
        (*name, samples[samples.len() / 2])
    });
    medians.collect()
}

fn price(time: Duration, events: usize) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e9 / events as f64)
}

/// Measures streams of so many events.
pub fn length(counts: &[usize]) -> Table {
    let mut table = Table::new("scaling: ns per event by events a stream", &["pipeline"]);
    let columns = counts.iter().map(|count| {
        let times = (200_000 / count).clamp(3, 500);
        in_turn(&each_pipeline!(long_stream), *count, times)
    });
    for (column, count) in columns.zip(counts) {
        table.header.push(count.to_string());
        for (at, (name, time)) in column.into_iter().enumerate() {
            if table.rows.len() == at {
                table.rows.push(vec![name.to_owned()]);
            }
            table.rows[at].push(price(time, *count));
        }
    }
    table
}

fn long_stream<P: Pipeline>(events: usize) -> Duration {
    /// Words of the part that is fed again and again.
    const WORDS: usize = 97;
    let mut stream = Stream::generated("vllm", WORDS + 2, 1);
    let ranges = stream.ranges(Cut::Event);
    let (role, words, end) = (&ranges[..1], &ranges[1..=WORDS], &ranges[WORDS + 1..]);
    let times = events / ranges.len();
    let start = Instant::now();
    let mut pipeline = P::new(&in_running_process());
    let words = words.iter().cycle().take(WORDS * times);
    for range in role.iter().chain(words).chain(end) {
        pipeline.feed(&stream.bytes[range.clone()]);
    }
    let end = pipeline.end();
    let time = start.elapsed();
    stream.expected.chunks = WORDS * times + 2;
    let content = &mut stream.expected.choices[0].content;
    *content = content.repeat(times);
    assert!(end.is_right(&stream), "{}", P::NAME);
    time
}

/// Runs so many threads, each with its own streams.
pub fn threads(counts: &[usize], times: usize) -> Table {
    let mut table = Table::new(
        "scaling: ns per event of a thread, by threads, each with its own streams",
        &["pipeline"],
    );
    for count in counts {
        table.header.push(count.to_string());
        let column = in_turn(&each_pipeline!(side_by_side), *count, times);
        for (at, (name, time)) in column.into_iter().enumerate() {
            if table.rows.len() == at {
                table.rows.push(vec![name.to_owned()]);
            }
            table.rows[at].push(price(time, STREAMS * 1001));
        }
    }
    table
}

/// Streams of a thread.
const STREAMS: usize = 50;

/// Returns the time of the slowest thread.
fn side_by_side<P: Pipeline>(threads: usize) -> Duration {
    let begin = Barrier::new(threads);
    let run = |seed| {
        let stream = Stream::generated("vllm", 1000, seed);
        let ranges = stream.ranges(Cut::Event);
        begin.wait();
        let start = Instant::now();
        let decoders = in_running_process();
        let ends = (0..STREAMS).map(|_| {
            let mut pipeline = P::new(&decoders);
            for range in &ranges {
                pipeline.feed(&stream.bytes[range.clone()]);
            }
            pipeline.end()
        });
        let ends: Vec<_> = ends.collect();
        let time = start.elapsed();
        assert!(ends.iter().all(|end| end.is_right(&stream)), "{}", P::NAME);
        time
    };
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads as u64).map(|seed| scope.spawn(move || run(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    })
}
