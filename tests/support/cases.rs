//! How often properties are tried, and where what was found against them is kept: in
//! `proptest-regressions`, to be committed with what mends it, and tried first from then on.

use proptest::test_runner::{Config, FileFailurePersistence};

pub fn cases(regressions: &'static str, cases: u32) -> Config {
    let failures = FileFailurePersistence::Direct(regressions);
    Config { failure_persistence: Some(Box::new(failures)), cases, ..Config::default() }
}
