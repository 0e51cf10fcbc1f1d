//! The assertions of the fuzz targets, as plain functions from bytes.
//!
//! The targets run them, and so does `tests/alloc/fuzz_bodies.rs`, over the seeds and all findings.
//!
//! The oracles are those of the other tests in `crate::support`, and share no code with the crate.

pub mod input;
pub mod parse_chunk;
pub mod reassemble;
pub mod roundtrip;
pub mod simd;
pub mod sse_split;
pub mod templates;
