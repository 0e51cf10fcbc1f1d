//! The tests that count allocations, as one program: its allocator counts those of each thread.
//!
//! A module that needs a feature is left out without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::unreachable,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "serde")]
#[path = "../bodies/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the bodies are public to the fuzz targets")]
mod bodies;
#[cfg(feature = "serde")]
#[path = "../../benches/support/workloads.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmarks use the rest")]
mod workloads;

mod bounds;

#[cfg(feature = "std")]
mod bounds_payloads;
#[cfg(feature = "std")]
mod hostile;

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
mod faults;
#[cfg(feature = "serde")]
mod fuzz_bodies;
#[cfg(feature = "serde")]
mod gateway;
#[cfg(feature = "serde")]
mod laws;

#[global_allocator]
static HEAP: support::heap::Heap = support::heap::Heap;
