//! The tests, as one program: its modules mirror `src`.
//!
//! Tests that count allocations are in `tests/alloc`. A module that needs a feature is left out
//! without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::unreachable,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares numbers that have the same digits"
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "serde")]
#[path = "../../benches/support/answers.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmarks use the rest")]
mod answers;
#[cfg(feature = "serde")]
#[path = "../bodies/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the bodies are public to the fuzz targets")]
mod bodies;
#[cfg(feature = "serde")]
#[path = "../../benches/support/cuts.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmarks use the rest")]
mod cuts;
#[cfg(feature = "serde")]
#[path = "../../benches/support/workloads.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmarks use the rest")]
mod workloads;

mod sse;

#[cfg(feature = "std")]
mod decoder;
#[cfg(feature = "std")]
mod shown;

#[cfg(all(
    feature = "serde",
    feature = "stream",
    feature = "tokio-codec",
    feature = "http-body",
    feature = "tower",
    feature = "regex"
))]
mod adapters;
#[cfg(feature = "serde")]
mod benchmarks;
#[cfg(feature = "serde")]
mod cases;
#[cfg(feature = "serde")]
mod chunk;
#[cfg(feature = "serde")]
mod completion;
#[cfg(feature = "serde")]
mod corpus;
#[cfg(feature = "serde")]
mod documented;
#[cfg(feature = "serde")]
mod faults;
#[cfg(feature = "serde")]
mod gateway;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "serde")]
mod laws;
#[cfg(feature = "serde")]
mod template;
