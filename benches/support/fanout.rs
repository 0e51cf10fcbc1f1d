//! Many streams at once: an event of each, in an order that changes.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;

use crate::cuts::Cut;
use crate::harness::{Effort, Engine, compare};
use crate::heap::counted;
use crate::pipelines::{Answer, EachPipeline, Pipeline, each_pipeline, in_running_process};
use crate::report::{Row, Table, Verdict};
use crate::streams::Stream;
use crate::workloads::Random;

/// The workloads: a name, and the number of streams that are open at once.
pub const FANOUTS: [(&str, usize); 4] =
    [("fanout-1", 1), ("fanout-100", 100), ("fanout-10000", 10_000), ("fanout-100000", 100_000)];

/// Events of a stream at the start of which the time isn't taken: there buffers grow.
const WARM_UP: usize = 4;
/// Events of a stream in all, `[DONE]` included.
const EVENTS: usize = 21;
/// Events that arrive together: 16 KB, less than a first-level cache.
const BATCH: usize = 64;
/// Streams of a run, at least. Fewer at once follow each other.
const STREAMS: usize = 1000;
/// Streams of different texts.
const KINDS: u64 = 64;

/// Times each pipeline with so many streams at once.
pub fn rows(workload: &'static str, count: usize, effort: Effort) -> Vec<Row> {
    let fan = Fan::new(count);
    let repeats = STREAMS.div_ceil(count);
    let pipelines: EachPipeline<Run> = each_pipeline!(run);
    let mut engines = pipelines.map(|(name, run)| {
        let fan = &fan;
        Engine { name: name.to_owned(), run: Box::new(move || run(fan, repeats)) }
    });
    let timings = compare(&mut engines, |wrong| *wrong == 0, effort);
    let rows = timings.iter().map(|timing| {
        let price = timing.price(repeats * count * (EVENTS - WARM_UP));
        Row {
            workload,
            pieces: "shuffled".to_owned(),
            engine: timing.name.clone(),
            verdict: Verdict::Timed {
                ns_per_event: price.unwrap_or_else(|| panic!("{} is wrong", timing.name)),
                spread: timing.spread,
            },
        }
    });
    rows.collect()
}

/// Runs a fan so many times.
type Run = fn(&Fan, usize) -> (Duration, usize);

/// Returns the time behind the warm-up, and the number of wrong answers.
fn run<P: Pipeline>(fan: &Fan, repeats: usize) -> (Duration, usize) {
    let (mut times, mut wrong) = (Vec::new(), 0);
    for _ in 0..repeats {
        let ids = fan.ids();
        let (pipelines, of_batches) = fan.feed::<P>(ids.clone());
        times.extend(of_batches);
        let answers = pipelines.into_iter().map(P::end).zip(ids);
        wrong += answers.filter(|(end, id)| !end.is_right(&fan.kind(*id).stream)).count();
    }
    (undisturbed(times), wrong)
}

/// Returns the sum of times of batches, with the median in place of each that is far above it.
///
/// Other work ran in a batch that took so long.
fn undisturbed(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let median = times[times.len() / 2];
    times.into_iter().map(|time| if time > 4 * median { median } else { time }).sum()
}

/// Measures the bytes of a stream at its end, for so many streams at once.
pub fn bytes(counts: &[usize]) -> Table {
    let mut table = Table::new(
        "fanout: bytes that a stream of vllm holds at its end, by streams at once",
        &["pipeline"],
    );
    let pipelines: EachPipeline<fn(&Fan) -> isize> = each_pipeline!(held);
    table.rows = pipelines.iter().map(|(name, _)| vec![(*name).to_owned()]).collect();
    for count in counts {
        table.header.push(count.to_string());
        let fan = Fan::new(*count);
        for (row, (_, held)) in table.rows.iter_mut().zip(pipelines) {
            row.push(held(&fan).to_string());
        }
    }
    table
}

/// Returns the bytes that each stream holds at its end, its own size and text included.
fn held<P: Pipeline>(fan: &Fan) -> isize {
    // A stream before it allocates the state that all streams of the process share.
    let one = Fan::new(1);
    one.feed::<P>(one.ids());
    let ((pipelines, _), usage) = counted(|| fan.feed::<P>(fan.ids()));
    usage.live / pipelines.len() as isize
}

/// The number of ids so far: no two streams of the process have the same one.
static IDS: AtomicU64 = AtomicU64::new(0);

/// So many streams, and the order of their events.
struct Fan {
    kinds: Vec<Kind>,
    count: usize,
    /// Events by their number in the stream, and their streams: all first events, all second, ….
    steps: Vec<(u8, u32)>,
}

/// A stream, and the events that it consists of.
struct Kind {
    stream: Stream,
    events: Vec<Event>,
}

struct Event {
    range: Range<usize>,
    /// Where the digits of the id are.
    id: Option<Range<usize>>,
}

impl Fan {
    /// Makes streams of the median length of recorded ones, and of the most common kind.
    fn new(count: usize) -> Self {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let mut order: Vec<_> = (0..count as u32).collect();
        let mut steps = Vec::with_capacity(EVENTS * count);
        for event in 0..EVENTS as u8 {
            // Fisher and Yates.
            for at in (1..count).rev() {
                order.swap(at, random.below(at + 1));
            }
            steps.extend(order.iter().map(|stream| (event, *stream)));
        }
        Self { kinds: (0..KINDS).map(Kind::new).collect(), count, steps }
    }

    /// Returns an id for each stream.
    fn ids(&self) -> Range<u64> {
        let count = self.count as u64;
        let start = IDS.fetch_add(count, Ordering::Relaxed);
        start..start + count
    }

    fn kind(&self, id: u64) -> &Kind {
        &self.kinds[(id % KINDS) as usize]
    }

    /// Returns the pipelines at the ends of their streams, and the times of batches behind the warm-up.
    fn feed<P: Pipeline>(&self, ids: Range<u64>) -> (Vec<P>, Vec<Duration>) {
        let decoders = in_running_process();
        let mut pipelines: Vec<P> = (0..self.count).map(|_| P::new(&decoders)).collect();
        let mut batch = Batch::default();
        let mut feed = |steps: &[(u8, u32)]| {
            batch.write(self, steps, ids.start);
            batch.feed(&mut pipelines)
        };
        let (warm_up, timed) = self.steps.split_at(WARM_UP * self.count);
        for steps in warm_up.chunks(BATCH) {
            feed(steps);
        }
        let of_batches = timed.chunks(BATCH).map(feed).collect();
        (pipelines, of_batches)
    }
}

/// Events that arrive together, with the ids of their streams.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Streams, and where their events are.
    pieces: Vec<(usize, Range<usize>)>,
}

impl Batch {
    fn write(&mut self, fan: &Fan, steps: &[(u8, u32)], first_id: u64) {
        self.bytes.clear();
        self.pieces.clear();
        for (event, at) in steps {
            let start = self.bytes.len();
            let id = first_id + u64::from(*at);
            fan.kind(id).write(usize::from(*event), id, &mut self.bytes);
            self.pieces.push((*at as usize, start..self.bytes.len()));
        }
    }

    /// Returns the time that the pipelines need.
    fn feed<P: Pipeline>(&self, pipelines: &mut [P]) -> Duration {
        let start = Instant::now();
        for (at, range) in &self.pieces {
            pipelines[*at].feed(&self.bytes[range.clone()]);
        }
        start.elapsed()
    }
}

impl Kind {
    fn new(seed: u64) -> Self {
        /// The text before the digits.
        const BEFORE: &[u8] = b"\"id\":\"chatcmpl-";
        let stream = Stream::generated("vllm", EVENTS - 1, seed);
        let events = stream.ranges(Cut::Event).into_iter().map(|range| {
            let id = memmem::find(&stream.bytes[range.clone()], BEFORE).map(|at| at + BEFORE.len());
            Event { range, id: id.map(|at| at..at + 16) }
        });
        let events: Vec<_> = events.collect();
        assert_eq!(events.iter().filter(|event| event.id.is_some()).count(), EVENTS - 1);
        Self { stream, events }
    }

    /// Appends an event, with half of its id's digits replaced.
    fn write(&self, event: usize, id: u64, out: &mut Vec<u8>) {
        let Event { range, id: digits } = &self.events[event];
        let start = out.len();
        out.extend_from_slice(&self.stream.bytes[range.clone()]);
        if let Some(digits) = digits {
            // The multiplier is odd, so that other ids have other digits.
            let mut id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for digit in &mut out[start..][digits.clone()] {
                *digit = b"0123456789abcdef"[(id >> 60) as usize];
                id <<= 4;
            }
        }
    }
}
