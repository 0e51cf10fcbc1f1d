//! Streams of pieces, codecs and bodies, each behind its feature.
//!
//! | you have | feature | with |
//! |---|---|---|
//! | a stream of pieces, and read its chunks one by one | `stream` | [`ChunkStream`] |
//! | a stream of pieces, and want one of events that can be kept or sent elsewhere | `stream` | [`EventStream`] |
//! | an `AsyncRead` | `tokio-codec` | [`EventCodec`] in a `FramedRead` |
//! | an `http_body::Body` that is forwarded | `http-body` | [`ObservedBody`] |
//!
//! None of them needs a runtime, spawns a task, or reads ahead of what it is asked for. Errors of the
//! transport pass through with their type, in their place among the events.

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
