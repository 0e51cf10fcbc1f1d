//! `EventCodec`: events of an `AsyncRead`, by tokio-util's `Decoder`.

use std::io;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::owned::OwnedEvent;
use crate::decoder::{ChunkDecoder, End};

/// Decodes [`OwnedEvent`]s in a [`FramedRead`](tokio_util::codec::FramedRead).
///
/// ```
/// use deltawire::adapters::EventCodec;
/// use tokio_util::codec::Decoder as _;
///
/// // FramedRead::new(reader, EventCodec::new()) does this:
/// let (mut codec, mut buffer) = (EventCodec::new(), "data: [DONE]\n\ndata: {".into());
/// let event = codec.decode(&mut buffer)?.unwrap();
/// assert_eq!(event.data().as_ref(), b"[DONE]");
/// assert!(codec.decode(&mut buffer)?.is_none() && buffer.is_empty());
/// assert_eq!(codec.finish().discarded_bytes, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Events are slices of the buffer where they lay whole in it; the beginning of one that is cut goes
/// into the decoder, and is never looked at twice. Bytes behind the event at hand stay in the buffer.
/// Decoding doesn't fail: the error is there for those of the reader.
///
/// At the end of the reader an event that no blank line closes is dropped, as the standard has it;
/// [`salvage`](Self::salvage) gives it all the same. A reset makes the codec ready for a stream that
/// follows in the same connection.
#[derive(Debug, Default)]
pub struct EventCodec {
    decoder: ChunkDecoder,
}

impl EventCodec {
    /// At the start of a stream, with the default [`Limits`](crate::Limits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a decoder that has limits or settings of its own.
    #[must_use]
    pub const fn with_decoder(decoder: ChunkDecoder) -> Self {
        Self { decoder }
    }

    /// The last event, where the stream ended before the blank line that would close it; see
    /// [`ChunkDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<OwnedEvent> {
        OwnedEvent::salvage(&mut self.decoder)
    }

    /// Tells at the end how the stream was; see [`ChunkDecoder::finish`].
    pub fn finish(&mut self) -> End {
        self.decoder.finish()
    }

    /// Makes the codec ready for another stream; keeps the limits, the settings and the buffers.
    pub fn reset(&mut self) {
        self.decoder.reset();
    }

    /// The decoder, for what it tells of the stream, such as the last event ID.
    #[must_use]
    pub const fn decoder(&self) -> &ChunkDecoder {
        &self.decoder
    }
}

impl Decoder for EventCodec {
    type Item = OwnedEvent;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<OwnedEvent>, io::Error> {
        let Some(place) = self.decoder.find(buffer) else {
            // The decoder has taken all of it.
            buffer.clear();
            return Ok(None);
        };
        let taken = buffer.split_to(place.taken()).freeze();
        Ok(Some(OwnedEvent::take(&mut self.decoder, place, &taken)))
    }
}
