//! `UsageTap`: watches a stream that is forwarded, for usage, finish reasons, errors and the outcome.

use core::fmt;

use super::tokens::Tokens;
use super::watch::Watch;
use crate::chunk::ChatCompletionChunk;
use crate::decoder::{ChunkDecoder, ChunkEvent, End, Payload, UpstreamFailure};
use crate::error::Error;
use crate::limits::Limits;
use crate::reassemble::{Outcome, judge};
use crate::sse::SseDecoder;

/// Watches a stream that is forwarded.
///
/// It is shown the pieces of a body, whenever the caller likes, and tells what a gateway wants to
/// know of a stream that it only passes on: usage, finish reasons, errors, how many events brought
/// output, and in the end the [`Outcome`]. Nothing that it finds can change, delay or end what is
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
    most_choices: usize,
    watches: [Watch; 2],
    /// The one that was right last.
    latest: usize,
    seen: Seen,
}

/// What has been seen so far.
#[derive(Debug, Default)]
struct Seen {
    tokens: Option<Tokens>,
    /// The tokens are those of the member `usage` itself, which outranks its substitutes.
    own_usage: bool,
    /// The constants of the chunk with the last usage: one that is like it differs in leaves only.
    usage_like: (u64, usize),
    choices: Vec<SeenChoice>,
    /// The indexes below 64 of the choices, as bits.
    known: u64,
    error: Option<UpstreamFailure>,
    malformed: Option<Error>,
    deltas: u64,
    has_chunk: bool,
    has_error: bool,
    news: News,
}

/// What the event at hand has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct News {
    usage: bool,
    finish: bool,
    error: bool,
    malformed: bool,
}

/// A choice of a stream; see [`UsageTap`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenChoice {
    /// Its index.
    pub index: u64,
    /// Its last finish reason, of which the first 64 bytes are kept. `None` while it has none.
    pub finish_reason: Option<String>,
}

/// What an event has brought besides text; see [`UsageTap::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tapped<'t> {
    /// The token counts so far, if the event has a usage.
    pub tokens: Option<Tokens>,
    /// All choices so far, if one of them has a finish reason in this event.
    pub finished: Option<&'t [SeenChoice]>,
    /// The error that the server reports.
    pub error: Option<&'t UpstreamFailure>,
    /// Why the event can't be read.
    pub malformed: Option<Error>,
}

/// What a stream was; see [`UsageTap::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// How the stream ended, as [`Reassembler::finish`](crate::Reassembler::finish) has it.
    pub outcome: Outcome,
    /// The token counts, if there was a usage.
    pub tokens: Option<Tokens>,
    /// The choices in the order in which they came.
    pub choices: Vec<SeenChoice>,
    /// How many events brought output; see [`UsageTap::deltas`].
    pub deltas: u64,
    /// What the decoder saw.
    pub end: End,
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
        Self {
            decoder: ChunkDecoder::with_limits(limits),
            most_choices: limits.choices,
            watches: [Watch::default(); 2],
            latest: 0,
            seen: Seen::default(),
        }
    }

    /// Watches a whole piece; gives how many of its events brought output, as
    /// [`Meter::record`](super::Meter::record) wants it.
    pub fn push(&mut self, piece: &[u8]) -> u64 {
        let before = self.seen.deltas;
        let mut input = piece;
        self.step::<false>(&mut input);
        self.seen.deltas - before
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
        self.step::<true>(input).then(|| self.seen.tapped())
    }

    /// What the last event says, where the stream ended before the blank line that would close it;
    /// see [`ChunkDecoder::salvage`]. For whoever bills by a usage that is cut short by nothing but
    /// a line end.
    pub fn salvage(&mut self) -> Option<Tapped<'_>> {
        let Self { decoder, seen, most_choices, .. } = self;
        seen.news = News::default();
        seen.look_at(&decoder.salvage()?, *most_choices);
        (seen.news != News::default()).then(|| self.seen.tapped())
    }

    /// How many events so far brought output of the model: text, refusal, reasoning, a part of a
    /// tool call, or audio, as [`Carries::is_output`](crate::Carries::is_output) has it. A role
    /// alone is none, and neither is an empty text. Most servers send a token with each.
    #[must_use]
    pub const fn deltas(&self) -> u64 {
        self.seen.deltas
    }

    /// The token counts so far.
    #[must_use]
    pub const fn tokens(&self) -> Option<Tokens> {
        self.seen.tokens
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
        let seen = core::mem::take(&mut self.seen);
        let is_finished = |choice: &SeenChoice| choice.finish_reason.is_some();
        let finished = !seen.choices.is_empty() && seen.choices.iter().all(is_finished);
        let outcome = judge(finished, &end, seen.has_chunk, seen.has_error);
        self.reset();
        let Seen { tokens, choices, deltas, .. } = seen;
        Observed { outcome, tokens, choices, deltas, end }
    }

    /// Makes the tap ready for another stream; keeps the limits and the buffers, nothing else.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.watches = [Watch::default(); 2];
        let mut choices = core::mem::take(&mut self.seen.choices);
        choices.clear();
        self.seen = Seen { choices, ..Seen::default() };
    }

    /// Goes on to the next event that has news, or with `STOPS` false to the end; `false` where there
    /// is none.
    #[inline]
    fn step<const STOPS: bool>(&mut self, input: &mut &[u8]) -> bool {
        let Self { decoder, most_choices, watches, latest, seen } = self;
        seen.news = News::default();
        // By reference: an event that is moved is copied.
        while let Some(event) = &decoder.next(input) {
            match event.payload() {
                Payload::Chunk(chunk) if chunk.constants() != 0 => {
                    if !watches.get(*latest).is_some_and(|watch| watch.is_of(chunk)) {
                        *latest = 1 - *latest;
                        let watch = watches.get_mut(*latest).filter(|watch| !watch.is_of(chunk));
                        if let Some(watch) = watch {
                            *watch = Watch::new(chunk);
                            seen.note_choices(chunk, *most_choices);
                        }
                    }
                    let Some(watch) = watches.get(*latest) else { continue };
                    seen.look_by(watch, chunk, *most_choices);
                }
                _ => seen.look_at(event, *most_choices),
            }
            if STOPS && seen.news != News::default() {
                return true;
            }
        }
        false
    }
}

impl Seen {
    /// A chunk of which is known where its news are.
    #[inline]
    fn look_by(&mut self, watch: &Watch, chunk: &ChatCompletionChunk<'_>, most: usize) {
        if watch.is_all {
            return self.look(chunk, most);
        }
        if let Some(nth) = watch.index {
            let index = chunk.changed_count(nth).unwrap_or(0);
            if index >= 64 || self.known & (1 << index) == 0 {
                self.note_choices(chunk, most);
            }
        }
        self.deltas += u64::from(watch.output.is_in(chunk));
        if watch.usage {
            self.news.usage = true;
            match (watch.counts, &mut self.tokens) {
                (Some(counts), Some(tokens)) if self.usage_like == watch.of => {
                    counts.update(tokens, chunk);
                }
                _ => {
                    self.add_usage(chunk);
                    self.usage_like = watch.of;
                }
            }
        }
        if watch.finish.is_in(chunk) {
            self.finish(chunk, most);
        }
    }

    /// Any event.
    #[inline(never)]
    fn look_at(&mut self, event: &ChunkEvent<'_>, most: usize) {
        match event.payload() {
            Payload::Chunk(chunk) => {
                self.note_choices(chunk, most);
                self.look(chunk, most);
            }
            Payload::Error(error) => {
                self.error = Some(UpstreamFailure::of(error, event.offset()));
                self.has_error = true;
                self.news.error = true;
                if let Some(chunk) = error.chunk() {
                    self.note_choices(&chunk, most);
                    self.look(&chunk, most);
                }
            }
            Payload::Malformed(error) => {
                self.malformed = Some(*error);
                self.news.malformed = true;
            }
            Payload::Done | Payload::Comment | Payload::Ignored => {}
        }
    }

    /// All of a chunk.
    fn look(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        let carries = chunk.carries();
        self.deltas += u64::from(carries.is_output());
        if carries.usage {
            self.news.usage = true;
            self.add_usage(chunk);
        }
        if carries.finish {
            self.finish(chunk, most);
        }
    }

    #[inline(never)]
    fn add_usage(&mut self, chunk: &ChatCompletionChunk<'_>) {
        self.usage_like = (0, 0);
        let is_own = chunk.has_own_usage();
        let Some(usage) = chunk.usage().filter(|_| is_own || !self.own_usage) else { return };
        self.own_usage |= is_own;
        self.tokens.get_or_insert_default().update(&usage);
    }

    /// Takes note of the choices that a chunk has.
    #[inline(never)]
    fn note_choices(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        self.has_chunk = true;
        for choice in chunk.choices().filter(|choice| !choice.has_invalid_index()) {
            self.choice(choice.index().unwrap_or(0), most);
        }
    }

    /// The choice of an index, begun if it is a new one; there are no more than `most`.
    fn choice(&mut self, index: u64, most: usize) -> Option<&mut SeenChoice> {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() < most => {
                self.known |= if index < 64 { 1 << index } else { 0 };
                self.choices.push(SeenChoice { index, finish_reason: None });
                self.choices.len() - 1
            }
            None => return None,
        };
        self.choices.get_mut(at)
    }

    /// Keeps the finish reasons of a chunk.
    #[cold]
    fn finish(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        const LONGEST: usize = 64;
        for choice in chunk.choices().filter(|choice| !choice.has_invalid_index()) {
            let Some(reason) = choice.finish_reason() else { continue };
            let end = (0..=LONGEST).rev().find(|end| reason.is_char_boundary(*end));
            let reason = end.and_then(|end| reason.get(..end)).unwrap_or(reason);
            self.news.finish = true;
            let Some(seen) = self.choice(choice.index().unwrap_or(0), most) else { continue };
            if seen.finish_reason.as_deref() != Some(reason) {
                seen.finish_reason = Some(reason.into());
            }
        }
    }

    fn tapped(&self) -> Tapped<'_> {
        let News { usage, finish, error, malformed } = self.news;
        Tapped {
            tokens: self.tokens.filter(|_| usage),
            finished: finish.then_some(&*self.choices),
            error: self.error.as_ref().filter(|_| error),
            malformed: self.malformed.filter(|_| malformed),
        }
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
            .field("deltas", &self.seen.deltas)
            .field("tokens", &self.seen.tokens)
            .finish_non_exhaustive()
    }
}
