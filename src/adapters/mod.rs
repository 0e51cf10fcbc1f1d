//! Adapters for streams of pieces, codecs and HTTP bodies, each with its feature.
//!
//! | source | feature | adapter |
//! |---|---|---|
//! | a stream of pieces, whose chunks are read one by one | `stream` | [`ChunkStream`] |
//! | a stream of pieces, as a stream of chunks that can be stored or sent elsewhere | `stream` | [`OwnedChunkStream`] |
//! | a stream of pieces, whose events of any dialect are read one by one | `stream` | [`SseStream`] |
//! | a stream of pieces, as a stream of events of any dialect | `stream` | [`OwnedSseStream`] |
//! | an `AsyncRead` of chunks | `tokio-codec` | [`ChunkCodec`] in a `FramedRead` |
//! | an `AsyncRead` or `AsyncWrite` of events of any dialect | `tokio-codec` | [`SseCodec`] in a `Framed` |
//! | a forwarded `http_body::Body`, which is observed | `http-body` | [`ObservedBody`] |
//! | a forwarded `http_body::Body`, by a [`Relay`](crate::gateway::Relay) | `http-body` | [`RelayBody`] |
//! | a forwarded stream of pieces, by a [`Relay`](crate::gateway::Relay) | `stream` | [`RelayStream`] |
//! | the responses of a service | `tower` | [`RelayLayer`] |
//!
//! No adapter needs a runtime, spawns a task or reads ahead. Errors of the transport keep their type
//! and their place among the events.

#[cfg(feature = "http-body")]
mod body;
#[cfg(feature = "tokio-codec")]
mod chunk_codec;
#[cfg(feature = "stream")]
mod lent_streams;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
mod locate;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
mod owned_chunk_event;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
mod owned_event;
#[cfg(feature = "stream")]
mod owned_streams;
#[cfg(feature = "stream")]
mod pieces;
#[cfg(feature = "http-body")]
mod relay_body;
#[cfg(any(feature = "stream", feature = "http-body"))]
mod relay_engine;
#[cfg(any(feature = "stream", feature = "http-body"))]
mod relay_error;
#[cfg(feature = "tower")]
mod relay_layer;
#[cfg(feature = "tower")]
mod relay_response;
#[cfg(feature = "stream")]
mod relay_stream;
#[cfg(feature = "tokio-codec")]
mod sse_codec;

#[cfg(feature = "http-body")]
pub use body::{BodyEnd, BodyObserver, BodyStep, ObservedBody, TapThen};
#[cfg(feature = "tokio-codec")]
pub use chunk_codec::ChunkCodec;
#[cfg(feature = "stream")]
pub use lent_streams::{ChunkStream, SseStream};
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub use owned_chunk_event::{OwnedChunkEvent, OwnedPayload};
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub use owned_event::OwnedEvent;
#[cfg(feature = "stream")]
pub use owned_streams::{OwnedChunkStream, OwnedSseStream};
#[cfg(feature = "http-body")]
pub use relay_body::RelayBody;
#[cfg(any(feature = "stream", feature = "http-body"))]
pub use relay_error::RelayError;
#[cfg(feature = "tower")]
pub use relay_layer::{RelayFuture, RelayLayer, RelayService};
#[cfg(feature = "tower")]
pub use relay_response::RelayResponseBody;
#[cfg(feature = "stream")]
pub use relay_stream::RelayStream;
#[cfg(feature = "tokio-codec")]
pub use sse_codec::{SseCodec, SseCodecError};
