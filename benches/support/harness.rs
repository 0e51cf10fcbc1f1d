//! Times engines against each other: in one process, in turn, round by round, medians.
//!
//! A machine's speed drifts. In a round every engine meets the same machine, and the median ignores
//! the rounds in which something else ran. Read the ratios.

use std::time::{Duration, Instant};

/// An engine: it does a workload and returns its time and its answer.
pub struct Engine<'e, A> {
    pub name: String,
    pub run: Box<dyn FnMut() -> (Duration, A) + 'e>,
}

impl<'e, A> Engine<'e, A> {
    /// Makes an engine of which the whole run is timed.
    pub fn new(name: impl Into<String>, mut run: impl FnMut() -> A + 'e) -> Self {
        let timed = move || {
            let start = Instant::now();
            let answer = run();
            (start.elapsed(), answer)
        };
        Self { name: name.into(), run: Box::new(timed) }
    }
}

/// The cost of an engine.
#[derive(Clone, Debug)]
pub struct Timing {
    pub name: String,
    /// Median of the rounds, for the whole workload; `None` where the answer was wrong.
    pub median: Option<Duration>,
    /// The middle half of the rounds, as a part of the median; `None` of a single run.
    pub spread: Option<f64>,
}

impl Timing {
    /// Returns the median as nanoseconds for each of so many items.
    pub fn price(&self, items: usize) -> Option<f64> {
        self.median.map(|median| median.as_secs_f64() * 1e9 / items as f64)
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    /// An engine that needs longer than this for one run is timed once.
    pub patience: Duration,
    /// No round begins later than this.
    pub budget: Duration,
}

impl Effort {
    /// Answers alone.
    pub const TEST: Self = Self::rounds(0);

    /// Sets the number of rounds, for any duration.
    pub const fn rounds(rounds: usize) -> Self {
        Self { rounds, patience: Duration::from_millis(50), budget: Duration::MAX }
    }
}

/// Runs every engine once for its answer, then all of them in turn.
///
/// An engine with a wrong answer is not timed. Answers are checked between the runs, and dropped
/// there.
pub fn compare<A>(
    engines: &mut [Engine<'_, A>],
    is_right: impl Fn(&A) -> bool,
    effort: Effort,
) -> Vec<Timing> {
    let timed = |engine: &mut Engine<'_, A>| {
        let (time, answer) = (engine.run)();
        (time, is_right(&answer))
    };
    let first: Vec<_> = engines.iter_mut().map(timed).collect();
    let mut samples = vec![Vec::new(); engines.len()];
    let start = Instant::now();
    for _ in 0..effort.rounds {
        for (at, engine) in engines.iter_mut().enumerate() {
            if first[at].1 && first[at].0 <= effort.patience {
                let (elapsed, is_right) = timed(engine);
                assert!(is_right, "{} has changed its answer", engine.name);
                samples[at].push(elapsed);
            }
        }
        if start.elapsed() > effort.budget {
            break;
        }
    }
    let timings = engines.iter().zip(samples).zip(first);
    let timings = timings.map(|((engine, mut samples), (first, is_right))| {
        let is_single = samples.is_empty();
        if is_single {
            samples.push(first);
        }
        samples.sort();
        let at = |part: f64| samples[((samples.len() - 1) as f64 * part).round() as usize];
        let spread = at(0.75).saturating_sub(at(0.25)).as_secs_f64() / at(0.5).as_secs_f64();
        Timing {
            name: engine.name.clone(),
            median: is_right.then(|| at(0.5)),
            spread: (is_right && !is_single).then_some(spread),
        }
    });
    timings.collect()
}
