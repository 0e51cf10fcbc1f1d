//! `Observer`: collects usage, finish reasons and errors from the events of a stream.

use core::fmt;

use super::observe_plan::ObservePlan;
use super::usage_totals::UsageTotals;
use crate::chunk::{
    ChatCompletionChunk, Choice, FailureBuffer, OwnedUpstreamError, TemplateCache, TemplateKey,
    TokenCounts,
};
use crate::completion::CompletionLimit;
use crate::completion::{Findings, LONGEST_REASON, NotWhole, Outcome};
use crate::decoder::{ChunkEvent, Payload, StreamSummary};
use crate::error::Error;
use crate::json::beginning;
use crate::limits::Limits;

/// Observes the events of a decoder as a [`UsageTap`](super::UsageTap) observes the bytes of a body.
///
/// Use it with a [`ChunkDecoder`](crate::ChunkDecoder) whose events have other consumers, such as an
/// [`Editor`](super::Editor).
///
/// ```
/// use std::time::Duration;
/// use deltawire::ChunkDecoder;
/// use deltawire::gateway::{Editor, Meter, Observer, UsageVisibility};
///
/// let body = [
///     &b"data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"[..],
///     b"data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n",
/// ];
/// let (mut decoder, mut observer, mut meter) = (ChunkDecoder::new(), Observer::new(), Meter::new());
/// let mut editor = Editor::new();
/// editor.replace("model", "alias");
/// editor.hide_usage(UsageVisibility::Removed);
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
    plans: TemplateCache<ObservePlan>,
    state: ObserverState,
}

/// Maximum number of choices that are searched without an index.
const FEW_CHOICES: usize = 16;

/// Largest capacity, in choices, that a reset retains.
const KEPT_CHOICES: usize = 128;

/// The findings of the stream so far.
#[derive(Debug, Default)]
struct ObserverState {
    max_choices: usize,
    usage: UsageTotals,
    /// The key of the chunk with the last usage.
    usage_key: Option<TemplateKey>,
    choices: Vec<ChoiceReport>,
    /// Each index and the position of its choice, sorted: `positions.len() == choices.len()`.
    ///
    /// Empty up to `FEW_CHOICES` choices.
    positions: Vec<(u64, usize)>,
    /// The indexes below 64 of the choices, as bits.
    known_indexes: u64,
    /// The buffer of the last error, which is the current event's if `news.error` is true.
    error: Option<Box<FailureBuffer>>,
    malformed: Option<Error>,
    deltas: u64,
    findings: Findings,
    /// [`CompletionLimit::Choices`], if the stream has more choices than are stored.
    limit_exceeded: Option<CompletionLimit>,
    news: EventFindings,
}

/// The findings of the current event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EventFindings {
    usage: bool,
    finish: bool,
    error: bool,
    malformed: bool,
}

/// A choice of a stream; see [`StreamReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChoiceReport {
    /// The index of the choice.
    pub index: u64,
    /// Its last finish reason, truncated to 64 bytes. `None` while it has none.
    pub finish_reason: Option<String>,
}

/// The findings of an event besides text; see [`Observer::observe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventReport<'t> {
    /// The token counts so far, if the event has a usage.
    pub tokens: Option<TokenCounts>,
    /// All choices so far, if one of them has a finish reason in this event.
    pub finished: Option<&'t [ChoiceReport]>,
    /// The error that the server reports.
    pub error: Option<&'t OwnedUpstreamError>,
    /// The reason for which the event can't be read.
    pub malformed: Option<Error>,
}

/// The findings of a whole stream; see [`Observer::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// How the stream ended, as [`Reassembler::finish`](crate::Reassembler::finish) returns it.
    pub outcome: Outcome,
    /// The token counts, if there was a usage.
    pub tokens: Option<TokenCounts>,
    /// The choices in the order of their first chunks.
    pub choices: Vec<ChoiceReport>,
    /// Number of events with output; see [`Observer::deltas`].
    pub deltas: u64,
    /// [`CompletionLimit::Choices`], if the stream had more choices than are stored.
    ///
    /// No other limit of a completion applies to an observer.
    pub limit_exceeded: Option<CompletionLimit>,
    /// The first finish reason that names a failure; see [`Outcome::FailedFinish`].
    pub failed_finish: Option<String>,
    /// The findings of the decoder.
    pub end: StreamSummary,
    not_whole: Option<NotWhole>,
}

impl StreamReport {
    /// Checks that the stream was whole: it ended well, and no part of it was lost.
    ///
    /// Call this before you cache the bytes of the stream, or bill by its observed values. The
    /// result equals that of [`FinishedCompletion::whole`](crate::completion::FinishedCompletion::whole) for the same stream,
    /// unless a limit other than [`Limits::max_choices`] has excluded a part of the completion.
    ///
    /// # Errors
    ///
    /// All defects of the stream, by name.
    pub fn whole(&self) -> Result<(), NotWhole> {
        self.not_whole.map_or(Ok(()), Err)
    }
}

impl Observer {
    /// Creates an observer with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(&Limits::new())
    }

    /// Creates an observer that stores at most [`Limits::max_choices`] choices.
    #[must_use]
    pub fn with_limits(limits: &Limits) -> Self {
        let state = ObserverState { max_choices: limits.max_choices, ..ObserverState::default() };
        Self { plans: TemplateCache::default(), state }
    }

    /// Observes the next event. Returns its findings besides text, if it has any.
    pub fn observe(&mut self, event: &ChunkEvent<'_>) -> Option<EventReport<'_>> {
        self.observe_event(event).then(|| self.tapped())
    }

    /// Returns the number of events with output of the model.
    ///
    /// Output is text, refusal, reasoning, a part of a tool call, or audio, as
    /// [`ContentFlags::is_output`](crate::chunk::ContentFlags::is_output) defines it. A role alone is no output, and
    /// neither is an empty text. Most servers send one token in each such event.
    #[must_use]
    pub const fn deltas(&self) -> u64 {
        self.state.deltas
    }

    /// Returns the token counts so far.
    #[must_use]
    pub const fn tokens(&self) -> Option<TokenCounts> {
        self.state.usage.tokens
    }

    /// Returns the findings of the whole stream, and [resets](Self::reset) the observer.
    ///
    /// `end` is the result of [`ChunkDecoder::finish`](crate::ChunkDecoder::finish).
    pub fn finish(&mut self, end: StreamSummary) -> StreamReport {
        let (max_choices, error) = (self.state.max_choices, self.state.error.take());
        let next = ObserverState { max_choices, error, ..ObserverState::default() };
        let state = core::mem::replace(&mut self.state, next);
        let reasons = state.choices.iter().map(|choice| choice.finish_reason.is_some());
        let (outcome, not_whole) = state.findings.verdict(reasons, &end, state.limit_exceeded);
        self.reset();
        let ObserverState { usage, choices, deltas, limit_exceeded, findings, .. } = state;
        let failed_finish = findings.failed_finish.map(String::from);
        let failed_finish = failed_finish.or_else(|| end.failed_finish.clone());
        let tokens = usage.tokens;
        StreamReport {
            outcome,
            tokens,
            choices,
            deltas,
            limit_exceeded,
            failed_finish,
            end,
            not_whole,
        }
    }

    /// Prepares the observer for another stream. Retains only the limits and the buffers.
    pub fn reset(&mut self) {
        self.plans = TemplateCache::default();
        let ObserverState { max_choices, choices, error, .. } = &mut self.state;
        let (max_choices, error) = (*max_choices, error.take());
        let mut choices = core::mem::take(choices);
        choices.clear();
        if choices.capacity() > KEPT_CHOICES {
            choices = Vec::new();
        }
        self.state = ObserverState { max_choices, choices, error, ..ObserverState::default() };
    }

    /// Returns the findings of the last event.
    pub(super) fn tapped(&self) -> EventReport<'_> {
        let state = &self.state;
        let EventFindings { usage, finish, error, malformed } = state.news;
        EventReport {
            tokens: state.usage.tokens.filter(|_| usage),
            finished: finish.then_some(&*state.choices),
            error: state.error.as_deref().filter(|_| error).map(FailureBuffer::failure),
            malformed: state.malformed.filter(|_| malformed),
        }
    }

    /// Observes an event. Returns true if it has findings besides text.
    #[inline(never)]
    pub(super) fn observe_event(&mut self, event: &ChunkEvent<'_>) -> bool {
        if let Payload::Chunk(chunk) = event.payload()
            && let Some(key) = chunk.template_key()
        {
            return self.observe_templated(key, chunk);
        }
        self.state.news = EventFindings::default();
        self.state.observe_event(event);
        self.state.news != EventFindings::default()
    }

    /// Observes a chunk that matched a template. Returns true if it has findings besides text.
    #[expect(clippy::inline_always, reason = "4 % of `benches/instructions vllm`, tap")]
    #[inline(always)]
    pub(super) fn observe_templated(
        &mut self,
        key: TemplateKey,
        chunk: &ChatCompletionChunk<'_>,
    ) -> bool {
        let Self { plans, state } = self;
        state.news = EventFindings::default();
        let plan = plans.get_or_compute(key, |plan| {
            *plan = ObservePlan::new(chunk);
            state.note_choices(chunk);
        });
        state.apply_plan(plan, key, chunk);
        state.news != EventFindings::default()
    }
}

impl ObserverState {
    /// Observes a chunk with the plan of its template.
    #[expect(clippy::inline_always, reason = "4 % of `benches/instructions vllm`, tap")]
    #[inline(always)]
    fn apply_plan(
        &mut self,
        plan: &ObservePlan,
        key: TemplateKey,
        chunk: &ChatCompletionChunk<'_>,
    ) {
        if plan.is_incomplete {
            self.note_choices(chunk);
            return self.observe_chunk(chunk);
        }
        if let Some(slot) = plan.index {
            let index = chunk.slot_count(slot).unwrap_or(0);
            if index >= 64 || self.known_indexes & (1 << index) == 0 {
                self.note_choices(chunk);
            }
        }
        self.deltas += u64::from(plan.output.is_in(chunk));
        if plan.has_usage {
            self.news.usage = true;
            match (plan.counts, &mut self.usage.tokens) {
                (Some(counts), Some(tokens)) if self.usage_key == Some(key) => {
                    counts.update(tokens, chunk);
                }
                _ => {
                    self.add_usage(chunk);
                    self.usage_key = Some(key);
                }
            }
        }
        if plan.finish.is_in(chunk) {
            self.finish(chunk);
        }
    }

    fn observe_event(&mut self, event: &ChunkEvent<'_>) {
        match event.payload() {
            Payload::Chunk(chunk) => {
                self.note_choices(chunk);
                self.observe_chunk(chunk);
            }
            Payload::Error(error) => {
                match &mut self.error {
                    Some(buffer) => buffer.set(error, event.offset()),
                    None => self.error = Some(Box::new(FailureBuffer::new(error, event.offset()))),
                }
                self.findings.has_error = true;
                self.news.error = true;
                if let Some(chunk) = error.chunk() {
                    self.note_choices(&chunk);
                    self.observe_chunk(&chunk);
                }
            }
            Payload::Malformed(error) => {
                self.malformed = Some(*error);
                self.news.malformed = true;
            }
            Payload::Done | Payload::Other(_) | Payload::Comment | Payload::Ignored => {}
        }
    }

    /// Observes all of a chunk, except its choices.
    fn observe_chunk(&mut self, chunk: &ChatCompletionChunk<'_>) {
        let content_flags = chunk.content_flags();
        self.deltas += u64::from(content_flags.is_output());
        if content_flags.usage {
            self.news.usage = true;
            self.add_usage(chunk);
        }
        if content_flags.finish {
            self.finish(chunk);
        }
    }

    #[inline(never)]
    fn add_usage(&mut self, chunk: &ChatCompletionChunk<'_>) {
        self.usage_key = None;
        self.usage.update(chunk, self.max_choices);
    }

    /// Records the choices of a chunk, and any part of them that a completion can't store.
    #[inline(never)]
    fn note_choices(&mut self, chunk: &ChatCompletionChunk<'_>) {
        self.findings.has_chunk = true;
        if chunk.lost_choices() > 0 {
            self.findings.add_invalid_index(true);
        }
        for choice in chunk.choices() {
            if choice.has_invalid_index() {
                self.findings.add_invalid_index(true);
            } else if self.choice(choice.index().unwrap_or(0)).is_some() {
                self.note_delta(&choice);
            }
        }
    }

    /// Records any part of a delta or a whole message that a completion can't store.
    fn note_delta(&mut self, choice: &Choice<'_>) {
        if let Some(whole) = choice.whole_message() {
            self.findings.has_unknown_part |= whole.has_unknown_part();
        }
        let delta = choice.delta();
        if delta.is_content() && delta.content().is_some() {
            return;
        }
        self.findings.has_unknown_part |= delta.has_unknown_text() || delta.has_lost_member();
        for call in delta.tool_calls() {
            if call.index().is_none() && call.has_invalid_index() {
                self.findings.add_invalid_index(false);
            }
        }
    }

    /// Returns the choice of an index, or a new one if `max_choices` allows it.
    fn choice(&mut self, index: u64) -> Option<&mut ChoiceReport> {
        let len = self.choices.len();
        let found = if len <= FEW_CHOICES {
            self.choices.iter().position(|choice| choice.index == index)
        } else {
            debug_assert_eq!(self.positions.len(), len);
            let found = self.positions.binary_search_by_key(&index, |(index, _)| *index);
            found.ok().and_then(|found| self.positions.get(found)).map(|(_, position)| *position)
        };
        if found.is_none() && len >= self.max_choices {
            self.findings.lacks_choice = true;
            self.limit_exceeded = Some(CompletionLimit::Choices);
            return None;
        }
        if found.is_none() {
            self.known_indexes |= if index < 64 { 1 << index } else { 0 };
            self.choices.push(ChoiceReport { index, finish_reason: None });
            if len > FEW_CHOICES {
                let before = self.positions.partition_point(|(known, _)| *known < index);
                self.positions.insert(before, (index, len));
            } else if len == FEW_CHOICES {
                let choices = self.choices.iter().enumerate();
                self.positions =
                    choices.map(|(position, choice)| (choice.index, position)).collect();
                self.positions.sort_unstable();
            }
        }
        self.choices.get_mut(found.unwrap_or(len))
    }

    /// Stores the finish reasons of a chunk.
    #[cold]
    fn finish(&mut self, chunk: &ChatCompletionChunk<'_>) {
        for choice in chunk.choices().filter(|choice| !choice.has_invalid_index()) {
            let Some(reason) = choice.finish_reason() else { continue };
            self.news.finish = true;
            let index = choice.index().unwrap_or(0);
            let Some(seen) = self.choice(index) else { continue };
            let stored = beginning(reason, LONGEST_REASON);
            if seen.finish_reason.as_deref() != Some(stored) {
                seen.finish_reason = Some(stored.into());
            }
            self.findings.add_reason(reason);
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
            .field("deltas", &self.deltas())
            .field("tokens", &self.tokens())
            .finish_non_exhaustive()
    }
}
