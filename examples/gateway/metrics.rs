//! The gateway's figures, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deltawire::gateway::{MeterUpdate, StreamReport};

/// Upper bounds of the histograms' buckets, in seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Default)]
pub(crate) struct Metrics {
    active: AtomicI64,
    refused: AtomicU64,
    outcomes: Mutex<BTreeMap<String, u64>>,
    first_token: Histogram,
    gaps: Histogram,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    events: AtomicU64,
    malformed: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Histogram {
    /// How many were in each bucket, and above the last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    fn observe(&self, time: Duration, times: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < time.as_secs_f64());
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(times, Relaxed);
        }
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds.saturating_mul(times), Relaxed);
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str, help: &str) -> fmt::Result {
        writeln!(f, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".into()]);
        let mut count = 0;
        for (bound, in_bucket) in bounds.zip(&self.counts) {
            count += in_bucket.load(Relaxed);
            writeln!(f, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
        }
        let sum = Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64();
        writeln!(f, "{name}_sum {sum}\n{name}_count {count}")
    }
}

impl Metrics {
    /// Counts a stream that begins.
    pub(crate) fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// Counts a piece of a stream.
    pub(crate) fn piece(&self, bytes: usize, tick: &MeterUpdate) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        if let Some(first) = tick.first {
            self.first_token.observe(first, 1);
        }
        if let Some(gap) = tick.gap {
            self.gaps.observe(gap, 1);
        }
        if tick.simultaneous > 0 {
            self.gaps.observe(Duration::ZERO, tick.simultaneous);
        }
    }

    /// Counts a stream that ends.
    pub(crate) fn end(&self, outcome: &str, seen: &StreamReport) {
        self.active.fetch_sub(1, Relaxed);
        self.events.fetch_add(seen.end.events, Relaxed);
        self.malformed.fetch_add(seen.end.malformed, Relaxed);
        if let Some(tokens) = seen.tokens {
            self.prompt_tokens.fetch_add(tokens.prompt.unwrap_or(0), Relaxed);
        }
        let completion = seen.tokens.and_then(|tokens| tokens.completion);
        self.completion_tokens.fetch_add(completion.unwrap_or(seen.deltas), Relaxed);
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// Counts a request that was turned down, or couldn't be passed on.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Returns the number of open streams.
    pub(crate) fn active(&self) -> i64 {
        self.active.load(Relaxed)
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = |name: &str, kind: &str, help: &str| {
            format!("# HELP gateway_{name} {help}\n# TYPE gateway_{name} {kind}\n")
        };
        let active = head("streams_active", "gauge", "Streams that are open.");
        writeln!(f, "{active}gateway_streams_active {}", self.active())?;
        write!(
            f,
            "{}",
            head("streams_total", "counter", "Streams that are over, by how they ended.")
        )?;
        for (outcome, count) in &*self.outcomes.lock().unwrap_or_else(PoisonError::into_inner) {
            writeln!(f, "gateway_streams_total{{outcome=\"{outcome}\"}} {count}")?;
        }
        let help = "From the request to the first output.";
        self.first_token.write(f, "gateway_time_to_first_token_seconds", help)?;
        let help = "Between two outputs of a stream.";
        self.gaps.write(f, "gateway_inter_token_seconds", help)?;
        write!(
            f,
            "{}",
            head("tokens_total", "counter", "Tokens, by the usage or else by events.")
        )?;
        for (kind, count) in
            [("prompt", &self.prompt_tokens), ("completion", &self.completion_tokens)]
        {
            writeln!(f, "gateway_tokens_total{{kind=\"{kind}\"}} {}", count.load(Relaxed))?;
        }
        for (name, help, count) in [
            ("events_total", "Events of streams.", &self.events),
            ("malformed_events_total", "Events that can't be read.", &self.malformed),
            ("stream_bytes_total", "Bytes that came from the upstream in streams.", &self.bytes),
            ("refused_total", "Requests that the gateway answered with an error.", &self.refused),
        ] {
            let count = count.load(Relaxed);
            writeln!(f, "{}gateway_{name} {count}", head(name, "counter", help))?;
        }
        Ok(())
    }
}
