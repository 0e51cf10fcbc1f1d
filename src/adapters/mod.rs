//! Adapters for streams of pieces, codecs and HTTP bodies, each with its feature.
//!
//! | source | feature | adapter |
//! |---|---|---|
//! | a stream of pieces, whose chunks are read one by one | `stream` | [`ChunkStream`] |
//! | a stream of pieces, as a stream of events that can be stored or sent elsewhere | `stream` | [`EventStream`] |
//! | an `AsyncRead` | `tokio-codec` | [`EventCodec`] in a `FramedRead` |
//! | a forwarded `http_body::Body`, which is observed | `http-body` | [`ObservedBody`] |
//! | a forwarded `http_body::Body`, by a [`Relay`](crate::gateway::Relay) | `http-body` | [`RelayBody`] |
//! | a forwarded stream of pieces, by a [`Relay`](crate::gateway::Relay) | `stream` | [`RelayStream`] |
//!
//! No adapter needs a runtime, spawns a task or reads ahead. Errors of the transport keep their type
//! and their place among the events.

#[cfg(feature = "http-body")]
mod body;
#[cfg(feature = "tokio-codec")]
mod codec;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
mod owned;
#[cfg(feature = "http-body")]
mod relay_body;
#[cfg(any(feature = "stream", feature = "http-body"))]
mod relay_engine;
#[cfg(any(feature = "stream", feature = "http-body"))]
mod relay_error;
#[cfg(feature = "stream")]
mod relay_stream;
#[cfg(feature = "stream")]
mod stream;

#[cfg(feature = "http-body")]
pub use body::{BodyEnd, BodyObserver, BodyStep, ObservedBody, TapThen};
#[cfg(feature = "tokio-codec")]
pub use codec::EventCodec;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub use owned::{OwnedEvent, OwnedPayload};
#[cfg(feature = "http-body")]
pub use relay_body::RelayBody;
#[cfg(any(feature = "stream", feature = "http-body"))]
pub use relay_error::RelayError;
#[cfg(feature = "stream")]
pub use relay_stream::RelayStream;
#[cfg(feature = "stream")]
pub use stream::{ChunkStream, EventStream};
