//! `SseCodec`: decodes and encodes Server-Sent Events as tokio-util's `Decoder` and `Encoder`.

use core::error::Error;
use core::fmt;
use std::io;

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::locate::{Locate as _, decode};
use super::owned_event::OwnedEvent;
use crate::gateway::{EncodeError, SseEvent};
use crate::sse::{SseDecoder, SseEnd};

/// Decodes [`OwnedEvent`]s of any dialect, and encodes [`SseEvent`]s.
///
/// ```
/// use deltawire::adapters::SseCodec;
/// use deltawire::gateway::SseEvent;
/// use tokio_util::codec::{Decoder as _, Encoder as _};
///
/// // Framed::new(io, SseCodec::new()) does this:
/// let (mut codec, mut buffer) = (SseCodec::new(), bytes::BytesMut::new());
/// codec.encode(SseEvent::new("two\nlines").id("7"), &mut buffer)?;
/// assert_eq!(buffer, "id: 7\ndata: two\ndata: lines\n\n");
///
/// let event = codec.decode(&mut buffer)?.unwrap();
/// assert_eq!(event.data(), "two\nlines");
/// assert_eq!(codec.decoder().last_event_id(), "7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An event that is whole in the buffer is a slice of it. The decoder stores the beginning of an event
/// that is cut, so that no byte is read twice. Bytes after the current event remain in the buffer.
/// Decoding never fails: the error type is that of the reader.
///
/// At the end of the reader an event without its blank line is dropped, as the standard requires.
/// [`salvage`](Self::salvage) returns it nevertheless. A reset prepares the codec for another stream in
/// the same connection.
#[derive(Debug, Default)]
pub struct SseCodec {
    decoder: SseDecoder,
    /// The encoded event, empty between two calls.
    encoded: Vec<u8>,
}

/// The capacity of `encoded` that a codec retains.
const KEPT_CAPACITY: usize = 4096;

impl SseCodec {
    /// Creates a codec with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a codec with the limits and the last event ID of a decoder.
    #[must_use]
    pub const fn with_decoder(decoder: SseDecoder) -> Self {
        Self { decoder, encoded: Vec::new() }
    }

    /// Returns a last event without its blank line; see [`SseDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<OwnedEvent> {
        self.decoder.own_last()
    }

    /// Returns the length of the stream and of its unfinished rest; see [`SseDecoder::finish`].
    pub fn finish(&mut self) -> SseEnd {
        self.decoder.finish()
    }

    /// Prepares the codec for another stream. Retains the limits and the buffers.
    pub fn reset(&mut self) {
        self.decoder.reset();
    }

    /// Returns the decoder, which stores values of the stream such as the last event ID.
    #[must_use]
    pub const fn decoder(&self) -> &SseDecoder {
        &self.decoder
    }
}

impl Decoder for SseCodec {
    type Item = OwnedEvent;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<OwnedEvent>, io::Error> {
        Ok(decode(&mut self.decoder, buffer))
    }
}

/// The error of encoding an event, or of the writer.
#[derive(Debug)]
#[non_exhaustive]
pub enum SseCodecError {
    /// The event can't be written. Nothing of it is in the buffer.
    Event(EncodeError),
    /// The writer has failed.
    Io(io::Error),
}

impl fmt::Display for SseCodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event(_) => "the event can't be written",
            Self::Io(_) => "the writer has failed",
        })
    }
}

impl Error for SseCodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Event(error) => Some(error),
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for SseCodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<EncodeError> for SseCodecError {
    fn from(error: EncodeError) -> Self {
        Self::Event(error)
    }
}

impl Encoder<SseEvent<'_>> for SseCodec {
    type Error = SseCodecError;

    fn encode(&mut self, event: SseEvent<'_>, buffer: &mut BytesMut) -> Result<(), SseCodecError> {
        event.write(&mut self.encoded)?;
        buffer.extend_from_slice(&self.encoded);
        self.encoded.clear();
        self.encoded.shrink_to(KEPT_CAPACITY);
        Ok(())
    }
}
