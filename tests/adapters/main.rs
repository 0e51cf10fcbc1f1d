//! The adapters emit the events of the decoder, in any cut, also between pauses and errors.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod events;
mod layer;
mod observed;
mod outputs;
mod relayed;
mod script;
mod slices;
mod sse;

use support::heap::Heap;

#[global_allocator]
static HEAP: Heap = Heap;
