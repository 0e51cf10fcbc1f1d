//! The assertions of the fuzz targets, as plain functions from bytes.
//!
//! The targets run them, and so does `tests/fuzz_bodies.rs`, over the seeds and all findings.
//!
//! The oracles are those of the other tests, and share no code with the crate.

#[path = "../../tests/support/decoded.rs"]
pub mod decoded;
#[path = "../../tests/support/fold.rs"]
pub mod fold;
#[path = "../../tests/support/framed.rs"]
pub mod framed;
#[path = "../../tests/support/heap.rs"]
pub mod heap;
#[path = "../../tests/support/oracle.rs"]
pub mod oracle;
#[path = "../../tests/support/sent.rs"]
pub mod sent;

pub mod input;
pub mod parse_chunk;
pub mod reassemble;
pub mod roundtrip;
pub mod simd;
pub mod sse_split;
pub mod templates;
