//! [`SseDecoder::next`] in two halves, the first of which borrows nothing: for whoever has to know that
//! there is an event before lending it out.

use core::ops::Range;

use super::event::{Event, EventKind};
use super::single_line::SingleLineEvent;
use super::{Found, SseDecoder, Step};

/// An event that was found, without the piece that it was found in.
pub(crate) struct Place {
    /// Bytes of the piece that it takes.
    pub(crate) taken: usize,
    of: PlaceOf,
}

enum PlaceOf {
    /// What it is, and where its data stand.
    SingleLineEvent(EventKind, Range<usize>),
    Step(Step),
}

impl SseDecoder {
    /// Finds the next event at the front of a piece. The decoder has taken all of the piece if there
    /// is none.
    pub(crate) fn find_place(&mut self, piece: &[u8]) -> Option<Place> {
        let mut input = piece;
        let of = match self.find(&mut input)? {
            Found::SingleLineEvent(SingleLineEvent { kind, data, data_start, .. }) => {
                PlaceOf::SingleLineEvent(kind, data_start..data_start + data.len())
            }
            Found::Step(step, _) => PlaceOf::Step(step),
        };
        Some(Place { taken: piece.len() - input.len(), of })
    }

    /// Gives the event whose place was found last; `raw` is the part of the piece that it takes.
    pub(crate) fn emit_found<'a>(&'a mut self, place: Place, raw: &'a [u8]) -> Event<'a> {
        match place.of {
            PlaceOf::SingleLineEvent(kind, data) => {
                let data_start = data.start;
                let data = raw.get(data).unwrap_or_default();
                self.emit_single_line(&SingleLineEvent { kind, raw, data, data_start, rest: &[] })
            }
            PlaceOf::Step(step) => self.emit(step, raw),
        }
    }
}
