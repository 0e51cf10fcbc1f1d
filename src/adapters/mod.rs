//! Adapters for streams of pieces, codecs and HTTP bodies, each with its feature.
//!
//! | source | feature | adapter |
//! |---|---|---|
//! | a stream of pieces, whose chunks are read one by one | `stream` | [`ChunkStream`] |
//! | a stream of pieces, as a stream of events that can be stored or sent elsewhere | `stream` | [`EventStream`] |
//! | an `AsyncRead` | `tokio-codec` | [`EventCodec`] in a `FramedRead` |
//! | a forwarded `http_body::Body` | `http-body` | [`ObservedBody`] |
//!
//! No adapter needs a runtime, spawns a task or reads ahead. Errors of the transport keep their type
//! and their place among the events.

#[cfg(feature = "http-body")]
mod body;
#[cfg(feature = "tokio-codec")]
mod codec;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
mod owned;
#[cfg(feature = "stream")]
mod stream;

#[cfg(feature = "http-body")]
pub use body::{BodyEnd, BodyObserver, BodyStep, ObservedBody, TapThen};
#[cfg(feature = "tokio-codec")]
pub use codec::EventCodec;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub use owned::{OwnedEvent, OwnedPayload};
#[cfg(feature = "stream")]
pub use stream::{ChunkStream, EventStream};
