//! `ChunkCodec`: decodes the events of an `AsyncRead` as tokio-util's `Decoder`.

use std::io;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::locate::{Locate as _, decode};
use super::owned_chunk_event::OwnedChunkEvent;
use crate::decoder::{ChunkDecoder, StreamSummary};

/// Decodes [`OwnedChunkEvent`]s in a [`FramedRead`](tokio_util::codec::FramedRead).
///
/// ```
/// use deltawire::adapters::ChunkCodec;
/// use tokio_util::codec::Decoder as _;
///
/// // FramedRead::new(reader, ChunkCodec::new()) does this:
/// let (mut codec, mut buffer) = (ChunkCodec::new(), "data: [DONE]\n\ndata: {".into());
/// let event = codec.decode(&mut buffer)?.unwrap();
/// assert_eq!(event.event().data(), "[DONE]");
/// assert!(codec.decode(&mut buffer)?.is_none() && buffer.is_empty());
/// assert_eq!(codec.finish().discarded_bytes, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// An event that is whole in the buffer is a slice of it. The decoder stores the beginning of an
/// event that is cut, so that no byte is read twice. Bytes after the current event remain in the
/// buffer. Decoding never fails: the error type is that of the reader.
///
/// At the end of the reader an event without its blank line is dropped, as the standard requires.
/// [`salvage`](Self::salvage) returns it nevertheless. A reset prepares the codec for another stream
/// in the same connection.
#[derive(Debug, Default)]
pub struct ChunkCodec {
    decoder: ChunkDecoder,
}

impl ChunkCodec {
    /// Creates a codec with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a codec with the limits and settings of a decoder.
    #[must_use]
    pub const fn with_decoder(decoder: ChunkDecoder) -> Self {
        Self { decoder }
    }

    /// Returns a last event without its blank line; see [`ChunkDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<OwnedChunkEvent> {
        self.decoder.own_last()
    }

    /// Returns the summary of the stream at its end; see [`ChunkDecoder::finish`].
    pub fn finish(&mut self) -> StreamSummary {
        self.decoder.finish()
    }

    /// Prepares the codec for another stream. Retains the limits, the settings and the buffers.
    pub fn reset(&mut self) {
        self.decoder.reset();
    }

    /// Returns the decoder, which stores values of the stream such as the last event ID.
    #[must_use]
    pub const fn decoder(&self) -> &ChunkDecoder {
        &self.decoder
    }
}

impl Decoder for ChunkCodec {
    type Item = OwnedChunkEvent;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<OwnedChunkEvent>, io::Error> {
        Ok(decode(&mut self.decoder, buffer))
    }
}
