//! `Observer`: what the events of a stream bring besides text, looked at where it may be.

use core::fmt;

use super::observe_plan::ObservePlan;
use crate::chunk::{
    ChatCompletionChunk, Choice, ChoiceTokens, ContentPart, TemplateCache, TemplateKey, Tokens,
};
use crate::completion::Limit;
use crate::completion::{Findings, LONGEST_REASON, NotWhole, Outcome};
use crate::decoder::{ChunkEvent, End, FailureBuffer, Payload, UpstreamFailure};
use crate::error::Error;
use crate::json::beginning;
use crate::limits::Limits;

/// Watches the events of a decoder: what [`UsageTap`](super::UsageTap) sees, for whoever has a
/// [`ChunkDecoder`](crate::ChunkDecoder) anyway, as an [`Editor`](super::Editor) takes one.
///
/// ```
/// use std::time::Duration;
/// use deltawire::ChunkDecoder;
/// use deltawire::gateway::{Editor, HiddenUsage, Meter, Observer};
///
/// let body = [
///     &b"data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"[..],
///     b"data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n",
/// ];
/// let (mut decoder, mut observer, mut meter) = (ChunkDecoder::new(), Observer::new(), Meter::new());
/// let mut editor = Editor::new();
/// editor.replace("model", "alias");
/// editor.hide_usage(HiddenUsage::Removed);
/// let mut out = Vec::new();
/// for piece in body {
///     let now = Duration::from_millis(5); // since the request was sent
///     let mut input = piece;
///     while let Some(event) = decoder.next(&mut input) {
///         observer.observe(&event);
///         let _ = editor.write(&event, &mut out);
///     }
///     meter.record_total(observer.deltas(), now);
///     // client.send(&out), out.clear()
/// }
/// let seen = observer.finish(decoder.finish());
/// assert_eq!(seen.tokens.unwrap().completion, Some(1)); // which the client hasn't seen
/// assert_eq!(out, b"data: {\"model\":\"alias\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n");
/// ```
pub struct Observer {
    most_choices: usize,
    plans: TemplateCache<ObservePlan>,
    seen: ObserverState,
}

/// Most choices that are searched one by one for an index.
const FEW_CHOICES: usize = 16;

/// Largest capacity, in choices, that a reset retains.
const KEPT_CHOICES: usize = 128;

/// What has been seen so far.
#[derive(Debug, Default)]
struct ObserverState {
    tokens: Option<Tokens>,
    /// The tokens are those of the member `usage` itself, which outranks its substitutes.
    own_usage: bool,
    choice_tokens: ChoiceTokens,
    /// The key of the chunk with the last usage.
    usage_key: Option<TemplateKey>,
    choices: Vec<SeenChoice>,
    /// Each index with the position of its choice, sorted. Empty up to `FEW_CHOICES` choices.
    places: Vec<(u64, usize)>,
    /// The indexes below 64 of the choices, as bits.
    known: u64,
    /// The buffer of the last error, which is the current event's if `news.error` is true.
    error: Option<Box<FailureBuffer>>,
    malformed: Option<Error>,
    deltas: u64,
    findings: Findings,
    /// [`Limit::Choices`], if the stream has more choices than are kept.
    limit_exceeded: Option<Limit>,
    news: EventFindings,
}

/// What the event at hand has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EventFindings {
    usage: bool,
    finish: bool,
    error: bool,
    malformed: bool,
}

/// A choice of a stream; see [`Observed`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenChoice {
    /// Its index.
    pub index: u64,
    /// Its last finish reason, of which the first 64 bytes are kept. `None` while it has none.
    pub finish_reason: Option<String>,
}

/// What an event has brought besides text; see [`Observer::observe`].
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

/// What a stream was; see [`Observer::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// How the stream ended, as [`Reassembler::finish`](crate::Reassembler::finish) has it.
    pub outcome: Outcome,
    /// The token counts, if there was a usage.
    pub tokens: Option<Tokens>,
    /// The choices in the order in which they came.
    pub choices: Vec<SeenChoice>,
    /// How many events brought output; see [`Observer::deltas`].
    pub deltas: u64,
    /// [`Limit::Choices`], if the stream had more choices than are kept.
    ///
    /// No other limit of a completion applies to an observer.
    pub limit_exceeded: Option<Limit>,
    /// The first finish reason that names a failure, if one does; see [`Outcome::FailedFinish`].
    pub failed_finish: Option<String>,
    /// What the decoder saw.
    pub end: End,
    not_whole: Option<NotWhole>,
}

impl Observed {
    /// Checks that the stream was whole: it ended well, and no part of it was lost.
    ///
    /// Call this before you cache the bytes of the stream, or bill by its observed values. The
    /// result equals that of [`Finished::whole`](crate::Finished::whole) for the same stream,
    /// unless a limit other than [`Limits::choices`] has left a part out of the completion.
    ///
    /// # Errors
    ///
    /// All defects of the stream, by name.
    pub fn whole(&self) -> Result<(), NotWhole> {
        self.not_whole.map_or(Ok(()), Err)
    }
}

impl Observer {
    /// An observer at the start of a stream, with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(&Limits::new())
    }

    /// An observer at the start of a stream that keeps no more choices than the limits allow.
    #[must_use]
    pub fn with_limits(limits: &Limits) -> Self {
        Self {
            most_choices: limits.choices,
            plans: TemplateCache::default(),
            seen: ObserverState::default(),
        }
    }

    /// Looks at the next event; gives what it brings besides text, if it brings any of it.
    pub fn observe(&mut self, event: &ChunkEvent<'_>) -> Option<Tapped<'_>> {
        self.observe_event(event).then(|| self.seen.tapped())
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

    /// Tells how the stream was, with what [`ChunkDecoder::finish`](crate::ChunkDecoder::finish)
    /// has said. The observer is then as after a [`reset`](Self::reset).
    pub fn finish(&mut self, end: End) -> Observed {
        let error = self.seen.error.take();
        let seen =
            core::mem::replace(&mut self.seen, ObserverState { error, ..ObserverState::default() });
        let reasons = seen.choices.iter().map(|choice| choice.finish_reason.is_some());
        let (outcome, not_whole) = seen.findings.verdict(reasons, &end, seen.limit_exceeded);
        self.reset();
        let ObserverState { tokens, choices, deltas, limit_exceeded, findings, .. } = seen;
        let failed_finish = findings.failed_finish.or_else(|| end.failed_finish.clone());
        Observed { outcome, tokens, choices, deltas, limit_exceeded, failed_finish, end, not_whole }
    }

    /// Makes the observer ready for another stream; keeps the limits and the buffers, nothing else.
    pub fn reset(&mut self) {
        self.plans = TemplateCache::default();
        let mut choices = core::mem::take(&mut self.seen.choices);
        choices.clear();
        if choices.capacity() > KEPT_CHOICES {
            choices = Vec::new();
        }
        let error = self.seen.error.take();
        self.seen = ObserverState { choices, error, ..ObserverState::default() };
    }

    /// What the last event has brought.
    pub(super) fn tapped(&self) -> Tapped<'_> {
        self.seen.tapped()
    }

    /// Looks at an event; says whether it has news.
    #[inline(never)]
    pub(super) fn observe_event(&mut self, event: &ChunkEvent<'_>) -> bool {
        match event.payload() {
            Payload::Chunk(chunk) if chunk.template_key().is_some() => {
                self.observe_templated(chunk)
            }
            _ => {
                self.seen.news = EventFindings::default();
                self.seen.observe_event(event, self.most_choices);
                self.seen.news != EventFindings::default()
            }
        }
    }

    /// Looks at a chunk that may be like an earlier one; says whether it has news.
    #[expect(clippy::inline_always, reason = "measured: a call costs a fifteenth of an event")]
    #[inline(always)]
    pub(super) fn observe_templated(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Self { most_choices, plans, seen } = self;
        seen.news = EventFindings::default();
        if let Some(key) = chunk.template_key() {
            let plan = plans.get_or_compute(key, |plan| {
                *plan = ObservePlan::new(chunk);
                seen.note_choices(chunk, *most_choices);
            });
            seen.apply_plan(plan, key, chunk, *most_choices);
        }
        seen.news != EventFindings::default()
    }
}

impl ObserverState {
    /// A chunk of which is known where its news are.
    #[expect(clippy::inline_always, reason = "it is a part of `observe_templated`")]
    #[inline(always)]
    fn apply_plan(
        &mut self,
        watch: &ObservePlan,
        key: TemplateKey,
        chunk: &ChatCompletionChunk<'_>,
        most: usize,
    ) {
        if watch.is_all {
            self.note_choices(chunk, most);
            return self.observe_chunk(chunk, most);
        }
        if let Some(nth) = watch.index {
            let index = chunk.slot_count(nth).unwrap_or(0);
            if index >= 64 || self.known & (1 << index) == 0 {
                self.note_choices(chunk, most);
            }
        }
        self.deltas += u64::from(watch.output.is_in(chunk));
        if watch.usage {
            self.news.usage = true;
            match (watch.counts, &mut self.tokens) {
                (Some(counts), Some(tokens)) if self.usage_key == Some(key) => {
                    counts.update(tokens, chunk);
                }
                _ => {
                    self.add_usage(chunk, most);
                    self.usage_key = Some(key);
                }
            }
        }
        if watch.finish.is_in(chunk) {
            self.finish(chunk, most);
        }
    }

    /// Any event.
    fn observe_event(&mut self, event: &ChunkEvent<'_>, most: usize) {
        match event.payload() {
            Payload::Chunk(chunk) => {
                self.note_choices(chunk, most);
                self.observe_chunk(chunk, most);
            }
            Payload::Error(error) => {
                match &mut self.error {
                    Some(buffer) => buffer.set(error, event.offset()),
                    None => self.error = Some(Box::new(FailureBuffer::new(error, event.offset()))),
                }
                self.findings.has_error = true;
                self.news.error = true;
                if let Some(chunk) = error.chunk() {
                    self.note_choices(&chunk, most);
                    self.observe_chunk(&chunk, most);
                }
            }
            Payload::Malformed(error) => {
                self.malformed = Some(*error);
                self.news.malformed = true;
            }
            Payload::Done | Payload::Other(_) | Payload::Comment | Payload::Ignored => {}
        }
    }

    /// All of a chunk.
    fn observe_chunk(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        let carries = chunk.carries();
        self.deltas += u64::from(carries.is_output());
        if carries.usage {
            self.news.usage = true;
            self.add_usage(chunk, most);
        }
        if carries.finish {
            self.finish(chunk, most);
        }
    }

    #[inline(never)]
    fn add_usage(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        self.usage_key = None;
        let is_own = chunk.has_own_usage();
        let Some(usage) = chunk.usage().filter(|_| is_own || !self.own_usage) else { return };
        self.own_usage |= is_own;
        let mut tokens = self.tokens.unwrap_or_default();
        tokens.update(&usage);
        for (index, usage) in chunk.usage_of_choices() {
            tokens = self.choice_tokens.update(index, &usage, most);
        }
        self.tokens = (!tokens.is_empty()).then_some(tokens);
    }

    /// Records the choices of a chunk, and any part of them that can't be kept.
    #[inline(never)]
    fn note_choices(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        self.findings.has_chunk = true;
        for choice in chunk.choices() {
            if choice.has_invalid_index() {
                self.findings.add_invalid_index(true);
            } else if self.choice(choice.index().unwrap_or(0), most).is_some() {
                self.note_delta(&choice);
            }
        }
    }

    /// Records any part of a delta that can't be kept.
    fn note_delta(&mut self, choice: &Choice<'_>) {
        let delta = choice.delta();
        if delta.is_content() && delta.content().is_some() {
            return;
        }
        self.findings.has_unknown_part |= delta.has_unknown_text() || delta.has_lost_member();
        for part in delta.content_parts().into_iter().flatten() {
            self.findings.has_unknown_part |= matches!(ContentPart::of(part), ContentPart::Unknown);
        }
        for call in delta.tool_calls() {
            if call.index().is_none() && call.has_invalid_index() {
                self.findings.add_invalid_index(false);
            }
        }
    }

    /// The choice of an index, begun if it is a new one; there are no more than `most`.
    fn choice(&mut self, index: u64, most: usize) -> Option<&mut SeenChoice> {
        let is_few = self.choices.len() <= FEW_CHOICES;
        let place = if is_few {
            self.choices.iter().position(|choice| choice.index == index)
        } else {
            let at = self.places.binary_search_by_key(&index, |(index, _)| *index);
            at.ok().and_then(|at| self.places.get(at)).map(|(_, at)| *at)
        };
        let at = match place {
            Some(at) => at,
            None if self.choices.len() < most => {
                self.known |= if index < 64 { 1 << index } else { 0 };
                self.choices.push(SeenChoice { index, finish_reason: None });
                if !is_few {
                    let before = self.places.partition_point(|(known, _)| *known < index);
                    self.places.insert(before, (index, self.choices.len() - 1));
                } else if self.choices.len() > FEW_CHOICES {
                    let places = self.choices.iter().enumerate();
                    self.places = places.map(|(at, choice)| (choice.index, at)).collect();
                    self.places.sort_unstable();
                }
                self.choices.len() - 1
            }
            None => {
                self.findings.lacks_choice = true;
                self.limit_exceeded = Some(Limit::Choices);
                return None;
            }
        };
        self.choices.get_mut(at)
    }

    /// Keeps the finish reasons of a chunk.
    #[cold]
    fn finish(&mut self, chunk: &ChatCompletionChunk<'_>, most: usize) {
        for choice in chunk.choices().filter(|choice| !choice.has_invalid_index()) {
            let Some(reason) = choice.finish_reason() else { continue };
            self.news.finish = true;
            let Some(seen) = self.choice(choice.index().unwrap_or(0), most) else { continue };
            let kept = beginning(reason, LONGEST_REASON);
            if seen.finish_reason.as_deref() != Some(kept) {
                seen.finish_reason = Some(kept.into());
            }
            self.findings.add_reason(reason);
        }
    }

    fn tapped(&self) -> Tapped<'_> {
        let EventFindings { usage, finish, error, malformed } = self.news;
        Tapped {
            tokens: self.tokens.filter(|_| usage),
            finished: finish.then_some(&*self.choices),
            error: self.error.as_deref().filter(|_| error).map(FailureBuffer::failure),
            malformed: self.malformed.filter(|_| malformed),
        }
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("deltas", &self.seen.deltas)
            .field("tokens", &self.seen.tokens)
            .finish_non_exhaustive()
    }
}
