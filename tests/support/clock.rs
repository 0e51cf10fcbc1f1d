//! How long the thread at hand has been busy, so that what else the machine does counts little.

use std::fs;
use std::time::Duration;

/// From the kernel, where it tells; else it is the time that has passed.
fn busy() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(
        || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        Duration::from_nanos,
    )
}

/// Seconds that `work` takes: the mean of as many times as are needed to be sure of it, for the
/// kernel counts in milliseconds.
pub fn seconds(mut work: impl FnMut()) -> f64 {
    let start = busy();
    for times in 1u32.. {
        work();
        let spent = busy().saturating_sub(start);
        if spent > Duration::from_millis(60) {
            return spent.as_secs_f64() / f64::from(times);
        }
    }
    f64::INFINITY
}

/// How many times as long `large` takes as `small` does: the least of some tries, the first that is
/// no more than `enough`.
pub fn ratio(mut small: impl FnMut(), mut large: impl FnMut(), enough: f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..4 {
        let small = seconds(&mut small);
        least = least.min(seconds(&mut large) / small);
        if least < enough {
            break;
        }
    }
    least
}
