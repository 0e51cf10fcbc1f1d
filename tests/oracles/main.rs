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
mod json;
mod made;
mod shared;
#[path = "../bodies/simd.rs"]
mod simd;
mod support;

#[global_allocator]
static HEAP: support::heap::Heap = support::heap::Heap;
