//! `Locate`: a decoder that finds an event first, and lends or owns it then.

use bytes::Bytes;
#[cfg(feature = "tokio-codec")]
use bytes::BytesMut;

use super::owned_chunk_event::OwnedChunkEvent;
use super::owned_event::OwnedEvent;
#[cfg(feature = "stream")]
use crate::decoder::ChunkEvent;
use crate::decoder::{ChunkDecoder, Place};
#[cfg(feature = "stream")]
use crate::sse::Event;
use crate::sse::{EventSpan, SseDecoder};

/// A decoder that finds an event first, and lends or owns it then.
pub(super) trait Locate {
    /// The position of an event in its piece, without a borrow of the piece.
    type Place;
    /// An event that borrows its piece or the decoder.
    #[cfg(feature = "stream")]
    type Event<'a>
    where
        Self: 'a;
    /// An event with its own memory.
    type Owned;

    /// Finds the next event of a piece. Consumes all of the piece if it returns `None`.
    fn find(&mut self, piece: &[u8]) -> Option<Self::Place>;

    /// Returns the number of bytes of the piece that the event consumes.
    fn taken(place: &Self::Place) -> usize;

    /// Returns the event that was found last. `raw` are the bytes of the piece that it consumes.
    #[cfg(feature = "stream")]
    fn lend<'a>(&'a mut self, place: Self::Place, raw: &'a [u8]) -> Self::Event<'a>;

    /// Returns the event that was found last as slices of `raw`, if it is whole there.
    fn own(&mut self, place: Self::Place, raw: &Bytes) -> Self::Owned;

    /// Returns a last event without its blank line.
    fn own_last(&mut self) -> Option<Self::Owned>;
}

/// Returns the next event of a codec's buffer. Leaves the bytes behind it in the buffer.
#[cfg(feature = "tokio-codec")]
pub(super) fn decode<D: Locate>(decoder: &mut D, buffer: &mut BytesMut) -> Option<D::Owned> {
    let Some(place) = decoder.find(buffer) else {
        // The decoder has consumed all of it.
        buffer.clear();
        return None;
    };
    let event = buffer.split_to(D::taken(&place)).freeze();
    Some(decoder.own(place, &event))
}

impl Locate for ChunkDecoder {
    type Place = Place;
    #[cfg(feature = "stream")]
    type Event<'a> = ChunkEvent<'a>;
    type Owned = OwnedChunkEvent;

    fn find(&mut self, piece: &[u8]) -> Option<Place> {
        Self::find(self, piece)
    }

    fn taken(place: &Place) -> usize {
        place.taken()
    }

    #[cfg(feature = "stream")]
    fn lend<'a>(&'a mut self, place: Place, raw: &'a [u8]) -> ChunkEvent<'a> {
        self.emit(place, raw)
    }

    fn own(&mut self, place: Place, raw: &Bytes) -> OwnedChunkEvent {
        let limits = *self.sse().limits();
        OwnedChunkEvent::new(&self.emit(place, raw), raw, &limits)
    }

    fn own_last(&mut self) -> Option<OwnedChunkEvent> {
        let limits = *self.sse().limits();
        Some(OwnedChunkEvent::new(&self.salvage()?, &Bytes::new(), &limits))
    }
}

impl Locate for SseDecoder {
    type Place = EventSpan;
    #[cfg(feature = "stream")]
    type Event<'a> = Event<'a>;
    type Owned = OwnedEvent;

    fn find(&mut self, piece: &[u8]) -> Option<EventSpan> {
        self.locate(piece)
    }

    fn taken(place: &EventSpan) -> usize {
        place.len
    }

    #[cfg(feature = "stream")]
    fn lend<'a>(&'a mut self, place: EventSpan, raw: &'a [u8]) -> Event<'a> {
        self.emit(place, raw)
    }

    fn own(&mut self, place: EventSpan, raw: &Bytes) -> OwnedEvent {
        OwnedEvent::new(&self.emit(place, raw), raw)
    }

    fn own_last(&mut self) -> Option<OwnedEvent> {
        Some(OwnedEvent::new(&self.salvage()?, &Bytes::new()))
    }
}
