//! Oracles in Rust. See `README.md` beside this file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "a part may be public to the others")]

mod json;
#[path = "../support/sent.rs"]
#[allow(dead_code, reason = "other suites use the rest of it")]
mod sent;
mod shared;
#[path = "../../fuzz/bodies/simd.rs"]
mod simd;
