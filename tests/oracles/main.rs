//! Oracles in Rust: `json`, and `differential` as a long run. See `README.md` beside this file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "a part may be public to the others")]

mod differential;
#[path = "../support/heap.rs"]
mod heap;
mod json;
mod made;
#[path = "../support/sent.rs"]
#[allow(dead_code, reason = "other suites use the rest of it")]
mod sent;
mod shared;
#[path = "../../fuzz/bodies/simd.rs"]
mod simd;

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;
