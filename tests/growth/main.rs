//! Work grows linearly with a peer's bytes, in every public call that the bytes reach.
//!
//! Each consumer reads each kind of input at four sizes, each twice the one before. For eight times
//! the bytes, requested memory and allocations may grow 24 times, since buffers double. Time may
//! grow as much, because of caches and other work on the machine. Quadratic work grows 64 times.
//!
//! A fast consumer also reads 64 times the bytes. The bound is the same by the byte: three times
//! the time.
//!
//! The cost of a byte has a bound too, in bytes of an ordinary stream that is decoded and
//! reassembled. This bound detects work that is quadratic in a limit. A table lists linear work
//! that costs more, with the reason.
//!
//! The clock measures each time first. A time above its bound is measured again, at last by the
//! kernel's count of the thread's busy time.
//!
//! It is a program of its own, because no other test may run beside it while it measures time.
//!
//! With `DELTAWIRE_GROWTH=file` the test writes all figures to a file, the costliest first.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking, and its figures are rough"
)]

#[path = "../support/mod.rs"]
mod support;

mod consumers;
mod kinds;

use std::fmt;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use consumers::Consumer;
use kinds::Kind;
use support::clock;
use support::heap::{self, Heap};

#[global_allocator]
static HEAP: Heap = Heap;

/// Bytes of the smallest input; fewer in an unoptimised build, which is slower.
const LEAST: usize = 8 << 10;

/// Bytes of a thread's stack, for completions with deeply nested objects.
const STACK: usize = 256 << 20;

/// Largest growth of requested memory and of allocations for eight times the bytes.
const MOST_HEAP: f64 = 24.0;

/// Largest growth of the time for eight times the bytes.
///
/// A growth below [`ENOUGH`] isn't measured again.
const MOST_TIME: f64 = 24.0;
const ENOUGH: f64 = 16.0;

/// Seconds for the largest input: a faster consumer also reads one that is eight times as large.
///
/// A consumer also reads it if its time grows by a factor from [`MAY_BE_MORE`] to [`MOST_TIME`].
const FAST: f64 = 0.002;
const MAY_BE_MORE: f64 = 12.0;

/// Largest cost of a byte, in bytes of an ordinary stream.
const MOST_COST: f64 = 100.0;

/// Linear work that costs more: consumer, kind, largest cost of a byte, reason.
///
/// An empty name matches any. Each bound is about 1.5 times the measured cost, since processors differ
/// by a third.
const COSTLIER: &[(&str, &str, f64, &str)] = &[
    ("", "blank lines", 1000.0, "each byte is an event"),
    ("", "blank lines of all kinds", 1000.0, "each byte is an event"),
    ("", "empty comments", 400.0, "each two bytes are an event"),
    ("", "unknown lines", 320.0, "there are two events in six bytes"),
    ("", "line ends of one CR", 200.0, "an event has ten bytes"),
    ("", "unknown lines in one event", 160.0, "each two bytes are a line"),
    ("ChunkEvent, shown", "", 2000.0, "a text of 200 bytes is written for each event"),
    (
        "SseEvent, written",
        "comments behind the data of one event",
        160.0,
        "each two bytes become an event",
    ),
    ("ChunkCodec, pieces", "", 160.0, "what is cut is copied, and each chunk read again"),
    ("OwnedChunkStream, pieces", "", 160.0, "what is cut is copied, and each chunk read again"),
    ("Replay, 8 bytes", "", 160.0, "34 bytes are written for each"),
    ("ChatCompletion, written and read", "", 160.0, "serde_json looks at the text first"),
    ("ChatCompletion, each payload read", "", 160.0, "serde_json looks at the text first"),
    ("", "reasoning details in one event", 200.0, MEMBERS),
    ("", "reasoning details that descend", 200.0, MEMBERS),
    ("", "an object that becomes a list and an object", 200.0, MEMBERS),
    ("", "an object that is merged", 200.0, MEMBERS),
    ("", "200 unknown members in each event", 200.0, MEMBERS),
    ("", "an unknown member in each event", 200.0, MEMBERS),
    ("", "unknown members in one event", 200.0, MEMBERS),
    ("", "unknown members of one choice", 200.0, MEMBERS),
    ("", "unknown members of one delta", 200.0, MEMBERS),
    ("", "usage with many members", 200.0, MEMBERS),
    ("", "a completion with many members", 200.0, MEMBERS),
    ("", "choices that descend", 120.0, "a new text or choice comes in few bytes"),
    ("", "choices that descend in one event", 120.0, "a new text or choice comes in few bytes"),
    ("", "calls that descend", 120.0, "a call moves all that come behind it"),
    ("", "calls that descend in one event", 120.0, "a call comes in few bytes"),
    ("", "a completion with choices that descend", 120.0, "a choice comes in few bytes"),
    ("Editor::edit, each content", "", 120.0, "each text is replaced"),
    ("Editor, by path", "", 300.0, "six rules look at each value, and change or add many"),
    (
        "ChatCompletion, read and replayed",
        "",
        160.0,
        "a chunk is written for each choice of few bytes",
    ),
    ("ChatCompletion, compared", "", 160.0, "elements are compared member by member"),
    ("Guard, released at once", "", 160.0, TEXTS),
    ("Guard, 16 bytes kept", "", 160.0, TEXTS),
    ("Guard, discarded", "", 240.0, TEXTS),
    ("Guard, replaced and released", "", 240.0, "each text is replaced in each event"),
    (
        "Guard, words redacted",
        "",
        600.0,
        "each byte is a match, and each word is searched behind it",
    ),
    (
        "Guard, words redacted and kept",
        "",
        600.0,
        "each byte is a match, and each word is searched behind it",
    ),
    ("Relay, all parts", "", 300.0, "a guard and an editor write what is cut in small pieces"),
];

const TEXTS: &str = "up to 256 texts, calls or details are looked through for each event";
const MEMBERS: &str = "up to 256 members, or 128 elements, are looked through for each";

/// Pairs that aren't measured: consumer, kind, reason.
const SKIPPED: &[(&str, &str, &str)] = &[
    ("Spans, each member", "", "each name is looked for among all members, as its caller asks"),
    (
        "Reassembler::irregularities, each event",
        "calls of 128 choices",
        "each call looks at all calls",
    ),
    ("Guard, replaced and kept", "", "each replacement moves all that is held behind it"),
    (
        "Guard, replaced and released",
        "content parts of which the last is open, then comments",
        "each replacement moves all that is held, and the last part holds it",
    ),
    (
        "Guard, replaced and kept within its bounds",
        "",
        "each replacement moves what is held behind it, up to the bound",
    ),
];

fn is_row(consumer: &Consumer, kind: &Kind, of: &str, with: &str) -> bool {
    (of.is_empty() || of == consumer.name) && (with.is_empty() || with == kind.name)
}

/// Figures of a consumer and a kind.
struct Figures {
    consumer: &'static str,
    kind: &'static str,
    bytes: [usize; 4],
    /// Bytes requested from the allocator at each size.
    requested: [usize; 4],
    allocations: [usize; 4],
    /// Growth of the time for eight times the bytes.
    time: f64,
    /// Cost of a byte at the largest size, in bytes of an ordinary stream.
    cost: f64,
    faults: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumer, kind, bytes, requested, allocations, time, cost, faults } = self;
        write!(f, "{consumer} | {kind} | {time:.1} | {cost:.1} | ")?;
        write!(f, "{:.1} | ", growth(requested, bytes, 1))?;
        write!(f, "{:.1} | ", requested[3] as f64 / bytes[3] as f64)?;
        write!(f, "{allocations:?} | {bytes:?} | {}", faults.join("; "))
    }
}

/// Returns the growth of a count for eight times the bytes.
///
/// The smallest count is at least one for each `per` bytes.
fn growth(counts: &[usize; 4], bytes: &[usize; 4], per: usize) -> f64 {
    let times = bytes[3] as f64 / bytes[0] as f64;
    counts[3] as f64 / counts[0].max(bytes[0] / per) as f64 * 8.0 / times
}

/// Returns the least time of several runs, in seconds.
fn least(runs: u32, mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..runs).map(run).min().unwrap_or(Duration::MAX).as_secs_f64()
}

/// The ordinary stream, and the seconds for a byte of it.
struct Ordinary {
    stream: Vec<u8>,
    seconds: f64,
}

impl Ordinary {
    fn new() -> Self {
        let stream = kinds::ordinary(8 * LEAST);
        let mut ordinary = Self { stream, seconds: f64::INFINITY };
        for _ in 0..5 {
            ordinary.seconds = ordinary.seconds.min(ordinary.now());
        }
        ordinary
    }

    /// Measures the seconds for a byte again, since the machine may be slower than before.
    fn now(&self) -> f64 {
        let read = || drop(deltawire::gateway::assemble([&self.stream[..]]));
        clock::seconds(read) / self.stream.len() as f64
    }
}

/// Returns the growth of the time for eight times the bytes; `first` is the first time of `large`.
fn time(read: fn(&[u8]), small: &[u8], large: &[u8], first: f64) -> f64 {
    let times = large.len() as f64 / small.len() as f64 / 8.0;
    let time = first / least(5, || read(small)) / times;
    if time < ENOUGH {
        return time;
    }
    let again = least(3, || read(large)) / least(10, || read(small)) / times;
    if again < ENOUGH {
        return again;
    }
    clock::ratio(|| read(small), || read(large), ENOUGH * times) / times
}

/// Returns the panic of a consumer, if it panics.
fn panic_of(read: fn(&[u8]), input: &[u8]) -> Option<String> {
    let panic = catch_unwind(|| read(input)).err()?;
    let text = panic.downcast_ref::<String>().map_or("no text", |text| text.as_str());
    Some(format!("panics at {} bytes: {text}", input.len()))
}

fn measure(consumer: &Consumer, kind: &Kind, inputs: &Inputs, ordinary: &Ordinary) -> Figures {
    let read = consumer.read;
    let mut faults = Vec::new();
    let (mut requested, mut allocations, mut seconds) = ([0; 4], [0; 4], [0.0; 4]);
    for (at, input) in inputs.doubled.iter().enumerate() {
        let before = (heap::requested(), heap::allocations());
        seconds[at] = least(1, || faults.extend(panic_of(read, input)));
        requested[at] = heap::requested() - before.0;
        allocations[at] = heap::allocations() - before.1;
    }
    let bytes = inputs.doubled.each_ref().map(Vec::len);
    let rows = COSTLIER.iter().filter(|(of, with, ..)| is_row(consumer, kind, of, with));
    let most = rows.map(|(.., most, _)| *most).fold(MOST_COST, f64::max);
    let (mut longer, mut cost) = (0.0, 0.0);
    if faults.is_empty() {
        let [small, .., large] = &inputs.doubled;
        longer = time(read, small, large, seconds[3]);
        let is_open = seconds[3] < FAST || (MAY_BE_MORE..MOST_TIME).contains(&longer);
        if let Some(far) = inputs.far.as_ref().filter(|_| is_open) {
            let first = least(1, || faults.extend(panic_of(read, far)));
            longer = longer.max(time(read, small, far, first));
        }
        cost = seconds[3] / bytes[3] as f64 / ordinary.seconds;
        for _ in 0..3 {
            if cost > most {
                let busy = clock::seconds(|| read(large)) / bytes[3] as f64;
                cost = cost.min(busy / ordinary.now());
            }
        }
    }
    for (what, found, most) in [
        ("times as long for 8 times the bytes", longer, MOST_TIME),
        ("times the cost of an ordinary byte", cost, most),
        ("times the bytes of the allocator", growth(&requested, &bytes, 1), MOST_HEAP),
        ("times the allocations", growth(&allocations, &bytes, 64), MOST_HEAP),
    ] {
        if found > most {
            faults.push(format!("{found:.1} {what}"));
        }
    }
    let (consumer, kind) = (consumer.name, kind.name);
    Figures { consumer, kind, bytes, requested, allocations, time: longer, cost, faults }
}

/// The inputs of one kind.
struct Inputs {
    /// Inputs of four sizes, each twice the one before.
    doubled: [Vec<u8>; 4],
    /// An input of eight times the largest of these sizes, if the kind allows it.
    far: Option<Vec<u8>>,
}

impl Inputs {
    fn of(kind: &Kind) -> Self {
        let least = LEAST.min(kind.most / 8);
        let doubled = [1, 2, 4, 8].map(|times| (kind.make)(times * least));
        let far = (64 * least <= kind.most).then(|| (kind.make)(64 * least));
        Self { doubled, far }
    }
}

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "measures time: cargo test --release --all-features --test growth"
)]
fn work_grows_with_the_bytes() {
    let ordinary = Ordinary::new();
    let streams = kinds::streams().map(|kind| (kind, consumers::STREAMS));
    let whole = kinds::WHOLE.iter().map(|kind| (kind, consumers::WHOLE));
    let rows = Mutex::new(streams.chain(whole).collect::<Vec<_>>().into_iter());
    let found = Mutex::new(Vec::new());
    let suspects = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some((kind, consumers)) = rows.lock().unwrap().next() else { break };
            let inputs = Inputs::of(kind);
            for consumer in consumers {
                let is_skipped =
                    SKIPPED.iter().any(|(of, with, _)| is_row(consumer, kind, of, with));
                if !is_skipped {
                    let figures = measure(consumer, kind, &inputs, &ordinary);
                    if figures.faults.is_empty() {
                        found.lock().unwrap().push(figures);
                    } else {
                        suspects.lock().unwrap().push((consumer, kind));
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let spawn = || thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        (0..threads).for_each(|_| drop(spawn().unwrap()));
    });
    let mut found = found.into_inner().unwrap();
    // The machine is less busy now, so a fault by chance doesn't occur again.
    let again = || {
        for (consumer, kind) in suspects.into_inner().unwrap() {
            let inputs = Inputs::of(kind);
            let mut figures = measure(consumer, kind, &inputs, &ordinary);
            for _ in 0..5 {
                if !figures.faults.is_empty() {
                    // Other work on the machine lasts for a while.
                    thread::sleep(Duration::from_secs(1));
                    figures = measure(consumer, kind, &inputs, &ordinary);
                }
            }
            found.push(figures);
        }
    };
    thread::scope(|scope| {
        let spawned = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, again);
        spawned.unwrap().join().unwrap();
    });
    found.sort_by(|one, other| other.cost.total_cmp(&one.cost));
    if let Some(path) = std::env::var_os("DELTAWIRE_GROWTH") {
        let table: Vec<_> = found.iter().map(ToString::to_string).collect();
        std::fs::write(path, table.join("\n") + "\n").unwrap();
    }
    let faults: Vec<_> = found.iter().filter(|figures| !figures.faults.is_empty()).collect();
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} of {} (consumer | kind | time for 8 times the bytes | cost by the byte | \
         growth of what is asked of the allocator | that by the byte | allocations | bytes | faults)\n{}",
        faults.len(),
        found.len(),
        lines.join("\n")
    );
}
