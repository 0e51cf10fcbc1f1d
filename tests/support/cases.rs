//! The number of cases of a property, and the place of its counterexamples.
//!
//! They are kept in `proptest-regressions`, committed with their fix, and tried first from then on.

use proptest::test_runner::{Config, FileFailurePersistence};

pub fn cases(regressions: &'static str, cases: u32) -> Config {
    let failures = FileFailurePersistence::Direct(regressions);
    Config { failure_persistence: Some(Box::new(failures)), cases, ..Config::default() }
}
