//! `PieceReader`: finds the events in the pieces of a stream, and lends or owns each of them.

use core::fmt;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_core::Stream;

use super::locate::Locate;
use crate::slice::bytes_in;

/// The state that all streams of events have besides the body.
pub(super) struct PieceReader<D> {
    pub(super) decoder: D,
    /// The current piece, and the number of its emitted bytes: `emitted <= piece.len()`.
    piece: Bytes,
    emitted: usize,
    is_at_end: bool,
}

/// Shows the decoder, but no payload.
impl<D: fmt::Debug> fmt::Debug for PieceReader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceReader")
            .field("decoder", &self.decoder)
            .field("is_at_end", &self.is_at_end)
            .finish_non_exhaustive()
    }
}

impl<D: Locate> PieceReader<D> {
    pub(super) fn new(decoder: D) -> Self {
        Self { decoder, piece: Bytes::new(), emitted: 0, is_at_end: false }
    }

    /// Finds the next event, which is then at the front of the rest of the piece.
    ///
    /// A repeated call before the event is emitted finds it again.
    pub(super) fn poll_find<S, B, E>(
        &mut self,
        mut body: Pin<&mut S>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<D::Place, E>>>
    where
        S: Stream<Item = Result<B, E>>,
        B: Into<Bytes>,
    {
        loop {
            if let Some(place) = self.decoder.find(bytes_in(&self.piece, self.emitted..)) {
                return Poll::Ready(Some(Ok(place)));
            }
            // The decoder has consumed all of it.
            (self.piece, self.emitted) = (Bytes::new(), 0);
            if self.is_at_end {
                return Poll::Ready(None);
            }
            match ready!(body.as_mut().poll_next(context)) {
                Some(Ok(piece)) => self.piece = piece.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_at_end = true,
            }
        }
    }

    /// Returns the event that was found.
    pub(super) fn lend(&mut self, place: D::Place) -> D::Event<'_> {
        let event = self.advance(&place);
        self.decoder.lend(place, bytes_in(&self.piece, event))
    }

    /// Returns the event that was found, as slices of the piece.
    pub(super) fn own(&mut self, place: D::Place) -> D::Owned {
        let event = self.advance(&place);
        self.decoder.own(place, &self.piece.slice(event))
    }

    /// Returns the range in the piece of the event that was found, and advances past it.
    fn advance(&mut self, place: &D::Place) -> Range<usize> {
        let start = self.emitted;
        self.emitted += D::taken(place);
        debug_assert!(self.emitted <= self.piece.len());
        start..self.emitted
    }

    /// Returns true if there are no more events.
    pub(super) fn is_over(&self) -> bool {
        self.is_at_end && self.emitted == self.piece.len()
    }

    /// Returns the decoder and the rest of the current piece.
    pub(super) fn into_parts(self) -> (D, Bytes) {
        let Self { decoder, mut piece, emitted, .. } = self;
        piece.advance(emitted);
        (decoder, piece)
    }
}
