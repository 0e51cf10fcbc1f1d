//! `UsageTap`: observes the bytes of a stream: usage, finish reasons, errors and the outcome.

use core::fmt;

use super::observe::{EventReport, Observer, StreamReport};
use crate::chunk::TokenCounts;
use crate::decoder::{ChunkDecoder, Peeked, Templates};
use crate::limits::Limits;
use crate::sse::SseDecoder;

/// Observes a forwarded stream: usage, finish reasons, errors, outputs and the outcome.
///
/// The caller passes it the pieces of a body, before or after they are forwarded. It owns no byte of
/// the body and returns no `Result`, so it can't change, delay or end the forwarded stream. At the
/// end it returns the [`Outcome`](crate::Outcome).
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
/// Of an event that matches a template it reads only the slots, which costs little more than
/// [`ChunkDecoder::next`]. Allocates only for usage, finish reasons, errors, defects, and choices
/// that aren't 0, 1 and so on.
pub struct UsageTap {
    decoder: ChunkDecoder,
    observer: Observer,
}

impl UsageTap {
    /// Creates a tap with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// Creates a tap with the given limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        let observer = Observer::with_limits(&limits);
        Self { decoder: ChunkDecoder::with_limits(limits), observer }
    }

    /// Sets the templates that the tap shares with others; see
    /// [`ChunkDecoder::with_templates`].
    #[must_use]
    pub fn with_templates(mut self, templates: &Templates) -> Self {
        self.decoder.set_templates(templates);
        self
    }

    /// Observes a whole piece. Returns the number of its events with output.
    ///
    /// Pass this number to [`Meter::record`](super::Meter::record).
    pub fn push(&mut self, piece: &[u8]) -> u64 {
        let before = self.deltas();
        let mut input = piece;
        self.step::<false>(&mut input);
        self.deltas() - before
    }

    /// Consumes `input` up to the next event with findings, and returns the findings.
    ///
    /// Findings are a usage, a finish reason, an error, or that the event can't be read. Returns
    /// `None` when all of `input` is consumed.
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
    pub fn next(&mut self, input: &mut &[u8]) -> Option<EventReport<'_>> {
        self.step::<true>(input).then(|| self.observer.tapped())
    }

    /// Returns the findings of a last event without its blank line; see [`ChunkDecoder::salvage`].
    ///
    /// Call this to bill by a usage that lacks only a line end.
    pub fn salvage(&mut self) -> Option<EventReport<'_>> {
        self.observer.observe(&self.decoder.salvage()?)
    }

    /// Returns the number of events with output of the model; see [`Observer::deltas`].
    #[must_use]
    pub const fn deltas(&self) -> u64 {
        self.observer.deltas()
    }

    /// Returns the token counts so far.
    #[must_use]
    pub const fn tokens(&self) -> Option<TokenCounts> {
        self.observer.tokens()
    }

    /// Returns the framing half, with the stream's bytes, comments and last event ID.
    #[must_use]
    pub const fn sse(&self) -> &SseDecoder {
        self.decoder.sse()
    }

    /// Returns the findings of the whole stream, and [resets](Self::reset) the tap.
    pub fn finish(&mut self) -> StreamReport {
        let end = self.decoder.finish();
        self.decoder.reset();
        self.observer.finish(end)
    }

    /// Prepares the tap for another stream. Retains only the limits and the buffers.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.observer.reset();
    }

    /// Observes events up to the next one with findings, or to the end if `STOPS` is false.
    ///
    /// Returns false at the end.
    #[inline]
    fn step<const STOPS: bool>(&mut self, input: &mut &[u8]) -> bool {
        let Self { decoder, observer } = self;
        while let Some(has_findings) = decoder.peek(input, |found| match found {
            Peeked::Like(chunk) => {
                chunk.template_key().is_some_and(|key| observer.observe_templated(key, chunk))
            }
            Peeked::Any(event) => observer.observe_event(event),
        }) {
            if has_findings && STOPS {
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
