//! The busy time of the current thread, so that other work of the machine counts little.

use std::fs;
use std::time::Duration;

/// Returns the kernel's figure, or elsewhere than on Linux the time of day.
///
/// The time of day is enough for a bound with a wide margin, and for `growth`, beside which no
/// other test runs. The other tests of a ratio are ignored there.
fn busy() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(
        || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        Duration::from_nanos,
    )
}

/// Returns the seconds of `work`: a mean over many runs, as the kernel counts in milliseconds.
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

/// Returns the time of `large` divided by that of `small`.
///
/// This is the least of some tries, or the first that is at most `enough`.
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
