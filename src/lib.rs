#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

mod error;
mod limits;
#[cfg(feature = "std")]
mod output_buffer;
mod patience;
mod report;
mod slice;
pub mod sse;

#[cfg(all(feature = "std", any(doc, doctest)))]
pub mod _cookbook;
#[cfg(any(feature = "stream", feature = "tokio-codec", feature = "http-body"))]
pub mod adapters;
#[cfg(feature = "std")]
pub mod chunk;
#[cfg(feature = "std")]
pub mod completion;
#[cfg(feature = "std")]
mod decoder;
#[cfg(feature = "std")]
pub mod gateway;
#[cfg(feature = "std")]
pub mod json;
#[cfg(feature = "std")]
mod template;

#[cfg(feature = "std")]
pub use completion::outcome::Outcome;
#[cfg(feature = "std")]
pub use completion::reassembler::Reassembler;
#[cfg(feature = "std")]
pub use decoder::{ChunkDecoder, ChunkEvent, Payload, StreamSummary, Templates};
pub use error::{Error, ErrorKind};
pub use limits::Limits;
#[cfg(feature = "std")]
pub use output_buffer::OutputBuffer;
pub use sse::decoder::SseDecoder;
