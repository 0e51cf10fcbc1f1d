//! Times engines against each other: in one process, in turn, round by round, medians.
//!
//! A machine's speed drifts; in a round every engine meets the same machine, and the median of
//! the rounds forgets the ones in which something else ran. Read the ratios.

use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Something that does a workload and gives its answer.
pub struct Engine<'e, A> {
    pub name: String,
    pub run: Box<dyn FnMut() -> A + 'e>,
}

impl<'e, A> Engine<'e, A> {
    pub fn new(name: impl Into<String>, run: impl FnMut() -> A + 'e) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// What an engine needed.
#[derive(Clone, Debug)]
pub struct Timing {
    pub name: String,
    /// Median of the rounds, for the whole workload; `None` where the answer was wrong.
    pub median: Option<Duration>,
    /// The middle half of the rounds, as a part of the median.
    pub spread: f64,
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    /// An engine that needs longer than this for one run is timed once.
    pub patience: Duration,
}

/// Runs every engine once for its answer, then all of them in turn. An engine with a wrong
/// answer is not timed.
pub fn compare<A: PartialEq + Debug>(
    engines: &mut [Engine<'_, A>],
    expected: &A,
    effort: Effort,
) -> Vec<Timing> {
    let mut samples: Vec<Vec<Duration>> = Vec::new();
    let mut is_right = Vec::new();
    for engine in engines.iter_mut() {
        let start = Instant::now();
        let answer = (engine.run)();
        samples.push(vec![start.elapsed()]);
        is_right.push(answer == *expected);
    }
    for round in 0..effort.rounds {
        for (at, engine) in engines.iter_mut().enumerate() {
            if !is_right[at] || samples[at][0] > effort.patience {
                continue;
            }
            let start = Instant::now();
            black_box((engine.run)());
            let elapsed = start.elapsed();
            // The first run was for the answer, and warmed up.
            if round == 0 {
                samples[at].clear();
            }
            samples[at].push(elapsed);
        }
    }
    let timings =
        engines.iter().zip(samples).zip(is_right).map(|((engine, mut samples), right)| {
            samples.sort();
            let at = |part: f64| samples[((samples.len() - 1) as f64 * part).round() as usize];
            let spread = at(0.75).saturating_sub(at(0.25)).as_secs_f64() / at(0.5).as_secs_f64();
            Timing { name: engine.name.clone(), median: right.then(|| at(0.5)), spread }
        });
    timings.collect()
}
