//! `UsageTap`: watches a stream that is forwarded, for usage, finish reasons, errors and the outcome.

use core::fmt;

use super::observe::{Observed, Observer, Tapped};
use crate::chunk::Tokens;
use crate::decoder::{ChunkDecoder, Peeked};
use crate::limits::Limits;
use crate::sse::SseDecoder;

/// Watches a stream that is forwarded.
///
/// It is shown the pieces of a body, whenever the caller likes, and tells what a gateway wants to
/// know of a stream that it only passes on: usage, finish reasons, errors, how many events brought
/// output, and in the end the [`Outcome`](crate::Outcome). Nothing that it finds can change, delay or end what is
/// forwarded: it owns no byte of it, and nothing here is a `Result`.
///
/// ```
/// use deltawire::Outcome;
/// use deltawire::gateway::UsageTap;
///
/// let body = [
///     &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\nda"[..],
///     b"ta: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
/// ];
/// let mut tap = UsageTap::new();
/// for piece in body {
///     // forward(piece), before or after
///     tap.push(piece);
/// }
/// let seen = tap.finish();
/// assert_eq!(seen.outcome, Outcome::Complete);
/// assert_eq!(seen.tokens.unwrap().completion, Some(1));
/// assert_eq!(seen.choices[0].finish_reason.as_deref(), Some("stop"));
/// ```
///
/// Of an event that is like an earlier one of its stream nothing is looked at but the leaves that
/// have changed: that costs little more than [`ChunkDecoder::next`]. Nothing is allocated but for
/// errors and finish reasons.
pub struct UsageTap {
    decoder: ChunkDecoder,
    observer: Observer,
}

impl UsageTap {
    /// A tap at the start of a stream, with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// A tap at the start of a stream.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        let observer = Observer::with_limits(&limits);
        Self { decoder: ChunkDecoder::with_limits(limits), observer }
    }

    /// Watches a whole piece; gives how many of its events brought output, as
    /// [`Meter::record`](super::Meter::record) wants it.
    pub fn push(&mut self, piece: &[u8]) -> u64 {
        let before = self.deltas();
        let mut input = piece;
        self.step::<false>(&mut input);
        self.deltas() - before
    }

    /// Watches the front of `input` up to the next event that brings a usage, a finish reason or an
    /// error, or can't be read, and takes `input` forward past it.
    ///
    /// `None` means that all of `input` has been taken.
    ///
    /// ```
    /// use deltawire::gateway::UsageTap;
    ///
    /// let mut tap = UsageTap::new();
    /// let mut input = &b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"error\":{\"code\":502}}\n\n"[..];
    /// let tapped = tap.next(&mut input).unwrap();
    /// assert_eq!(tapped.error.unwrap().code.as_deref(), Some("502"));
    /// assert!(tap.next(&mut input).is_none());
    /// ```
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Tapped<'_>> {
        self.step::<true>(input).then(|| self.observer.tapped())
    }

    /// What the last event says, where the stream ended before the blank line that would close it;
    /// see [`ChunkDecoder::salvage`]. For whoever bills by a usage that is cut short by nothing but
    /// a line end.
    pub fn salvage(&mut self) -> Option<Tapped<'_>> {
        self.observer.observe(&self.decoder.salvage()?)
    }

    /// How many events so far brought output of the model; see [`Observer::deltas`].
    #[must_use]
    pub const fn deltas(&self) -> u64 {
        self.observer.deltas()
    }

    /// The token counts so far.
    #[must_use]
    pub const fn tokens(&self) -> Option<Tokens> {
        self.observer.tokens()
    }

    /// The framing half, for what it tells of the stream: bytes, comments, the last event ID.
    #[must_use]
    pub const fn sse(&self) -> &SseDecoder {
        self.decoder.sse()
    }

    /// Tells at the end of the input how the stream was. The tap is then as after a
    /// [`reset`](Self::reset).
    pub fn finish(&mut self) -> Observed {
        let end = self.decoder.finish();
        self.decoder.reset();
        self.observer.finish(end)
    }

    /// Makes the tap ready for another stream; keeps the limits and the buffers, nothing else.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.observer.reset();
    }

    /// Goes on to the next event that has news, or with `STOPS` false to the end; `false` where there
    /// is none.
    #[inline]
    fn step<const STOPS: bool>(&mut self, input: &mut &[u8]) -> bool {
        let Self { decoder, observer } = self;
        while let Some(has_news) = decoder.peek(input, |found| match found {
            Peeked::Like(chunk) => observer.observe_templated(chunk),
            Peeked::Any(event) => observer.observe_event(event),
        }) {
            if has_news && STOPS {
                return true;
            }
        }
        false
    }
}

impl Default for UsageTap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for UsageTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageTap")
            .field("decoder", &self.decoder)
            .field("observer", &self.observer)
            .finish()
    }
}
