//! Server-Sent Events by the rules of WHATWG HTML, 9.2: lines, events, and their decoder.
//!
//! | task | with |
//! |---|---|
//! | decode the events of a stream | [`SseDecoder`] |
//! | split a stream into lines | [`LineSplitter`] |
//! | recognise an event stream by its media type | [`is_event_stream`] |
//! | name the kind of any other body | [`BodyKind`] |

mod body_kind;
pub(crate) mod cold;
pub(crate) mod decoder;
mod discard;
mod emit;
mod event;
mod event_buffer;
mod general;
mod line;
mod rest;
#[cfg(feature = "serde")]
mod serde;
mod single_line;

pub use body_kind::BodyKind;
#[cfg(feature = "std")]
pub(crate) use decoder::SseDecoder;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub(crate) use emit::EventSpan;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub(crate) use event::MESSAGE;
#[cfg(feature = "tower")]
pub(crate) use event::may_be_event_stream;
#[cfg(feature = "std")]
pub(crate) use event::{DataLine, SseField};
pub use event::{Event, EventKind, is_event_stream};
pub use line::{LineSpan, LineSplitter};
pub use rest::SseEnd;
