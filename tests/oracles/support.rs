//! The parts of `tests/support` that these tests use.

#[path = "../support/heap.rs"]
pub mod heap;
#[path = "../support/sent.rs"]
#[allow(dead_code, reason = "other suites use the rest of it")]
pub mod sent;
