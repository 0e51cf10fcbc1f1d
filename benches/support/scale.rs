//! Many streams at once, long streams, and several threads.

use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::accumulate::{AsyncOpenAi, SerdeJson, SonicRs};
use crate::cuts::Cut;
use crate::heap::counted;
use crate::pipelines::{Answer, Deltawire, Pipeline, SseCore, in_running_process};
use crate::report::Table;
use crate::streams::Stream;

/// A name, and a measurement of some size.
type Measurement<T> = (&'static str, fn(usize) -> T);

/// The same measurement of all pipelines that can be fed piece by piece.
macro_rules! pipelines {
    ($measure:ident) => {
        [
            (<Deltawire<true>>::NAME, $measure::<Deltawire<true>>),
            (<Deltawire<false>>::NAME, $measure::<Deltawire<false>>),
            (<SseCore<SerdeJson>>::NAME, $measure::<SseCore<SerdeJson>>),
            (<SseCore<SonicRs>>::NAME, $measure::<SseCore<SonicRs>>),
            (<SseCore<AsyncOpenAi>>::NAME, $measure::<SseCore<AsyncOpenAi>>),
        ]
    };
}

/// Runs each pipeline in turn, as often as `times`, and returns the median of each.
fn in_turn(
    pipelines: &[Measurement<Duration>],
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

/// Events of a stream at the start of which the time isn't taken: there buffers grow.
const WARM_UP: usize = 4;
/// Events of a stream in all, `[DONE]` included.
const EVENTS: usize = 21;

/// Streams of which the bytes are counted, at most: that takes a run of its own.
const COUNTED: usize = 10_000;

/// Feeds so many streams in turn, an event each, at least as often as `times`.
pub fn fanout(counts: &[usize], times: usize) -> Table {
    let mut table = Table::new(
        "fanout: streams of vllm fed in turn, one event each; bytes are all that a stream holds",
        &["pipeline", "streams", "ns per event", "bytes"],
    );
    for count in counts {
        let times = (50_000 / count).clamp(times, 500);
        let prices = in_turn(&pipelines!(fan_out), *count, times);
        let counted: [Measurement<isize>; 5] = pipelines!(held);
        for ((name, time), (_, held)) in prices.into_iter().zip(counted) {
            table.rows.push(vec![
                name.to_owned(),
                count.to_string(),
                price(time, count * (EVENTS - WARM_UP)),
                held((*count).min(COUNTED)).to_string(),
            ]);
        }
    }
    table
}

/// Returns the time behind the warm-up.
fn fan_out<P: Pipeline>(count: usize) -> Duration {
    let fan = Fan::new();
    let (pipelines, time) = fan.feed::<P>(count);
    for (at, pipeline) in pipelines.into_iter().enumerate() {
        assert!(pipeline.end().is_right(fan.kind(at)), "{}", P::NAME);
    }
    time
}

/// Returns the bytes that a stream holds at its end, its own size included.
fn held<P: Pipeline>(count: usize) -> isize {
    let fan = Fan::new();
    let ((pipelines, _), usage) = counted(|| fan.feed::<P>(count));
    usage.live / pipelines.len() as isize
}

/// Some streams, and where their events are.
struct Fan(Vec<(Stream, Vec<Range<usize>>)>);

impl Fan {
    /// Makes a stream of the median length of recorded ones, and of the most common kind.
    fn new() -> Self {
        let kinds = (0..8).map(|seed| {
            let stream = Stream::generated("vllm", EVENTS - 1, seed);
            let ranges = stream.ranges(Cut::Event);
            assert_eq!(ranges.len(), EVENTS);
            (stream, ranges)
        });
        Self(kinds.collect())
    }

    fn kind(&self, at: usize) -> &Stream {
        &self.0[at % self.0.len()].0
    }

    /// Returns so many pipelines at the ends of their streams, and the time behind the warm-up.
    fn feed<P: Pipeline>(&self, count: usize) -> (Vec<P>, Duration) {
        let decoders = in_running_process();
        let mut pipelines: Vec<P> = (0..count).map(|_| P::new(&decoders)).collect();
        let mut start = Instant::now();
        for event in 0..EVENTS {
            if event == WARM_UP {
                start = Instant::now();
            }
            for (at, pipeline) in pipelines.iter_mut().enumerate() {
                let (stream, ranges) = &self.0[at % self.0.len()];
                pipeline.feed(&stream.bytes[ranges[event].clone()]);
            }
        }
        (pipelines, start.elapsed())
    }
}

/// Measures streams of so many events.
pub fn length(counts: &[usize]) -> Table {
    let mut table = Table::new("scaling: ns per event by events a stream", &["pipeline"]);
    let columns = counts.iter().map(|count| {
        let times = (200_000 / count).clamp(3, 500);
        in_turn(&pipelines!(long_stream), *count, times)
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
        let column = in_turn(&pipelines!(side_by_side), *count, times);
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
