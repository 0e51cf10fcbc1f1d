//! `Observer`: collects usage, finish reasons and errors from the events of a stream.

use core::fmt;

use super::observe_plan::{ObservePlan, UsagePlan};
use super::usage_totals::UsageTotals;
use crate::chunk::{
    ChatCompletionChunk, Choice, FailureBuffer, OwnedUpstreamError, TemplateCache, TemplateKey,
    TokenCounts,
};
use crate::completion::{CompletionLimit, Findings, Handling, LONGEST_REASON, NotWhole, Outcome};
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
///
/// `known_indexes` alone represents choices that are usual: 0, 1 and so on in this order, without a
/// finish reason. Once there is any other, `rare` lists all of them.
#[derive(Debug, Default)]
struct ObserverState {
    /// The indexes below 64 of the choices, as bits.
    known_indexes: u64,
    deltas: u64,
    /// The findings that most events, and many streams, don't have.
    rare: Option<Box<RareState>>,
    max_choices: u32,
    news: EventFindings,
    /// [`Findings::has_chunk`], which each stream has.
    has_chunk: bool,
    /// [`Findings::has_reason`], which each chunk needs.
    has_reason: bool,
}

/// The part of an observer's state that is made when it is first needed.
#[derive(Debug, Default)]
struct RareState {
    usage: UsageTotals,
    /// The key of the chunk with the last usage.
    usage_key: Option<TemplateKey>,
    /// All choices, or none if [`ObserverState::known_indexes`] represents them.
    choices: Vec<ChoiceReport>,
    /// Each index and the position of its choice, sorted: `positions.len() == choices.len()`.
    ///
    /// Empty up to `FEW_CHOICES` choices.
    positions: Vec<(u64, usize)>,
    /// The buffer of the last error, which is the current event's if it has [`EventFindings::ERROR`].
    error: Option<Box<FailureBuffer>>,
    malformed: Option<Error>,
    /// The findings of the stream, except `has_chunk`.
    findings: Findings,
    /// [`CompletionLimit::Choices`], if the stream has more choices than are stored.
    limit_exceeded: Option<CompletionLimit>,
}

/// The kinds of findings of the current event, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EventFindings(u8);

impl EventFindings {
    const USAGE: Self = Self(1);
    const FINISH: Self = Self(1 << 1);
    const ERROR: Self = Self(1 << 2);
    const MALFORMED: Self = Self(1 << 3);

    const fn add(&mut self, kind: Self) {
        self.0 |= kind.0;
    }

    const fn has(self, kind: Self) -> bool {
        self.0 & kind.0 != 0
    }
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
    pub(super) not_whole: Option<NotWhole>,
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

    /// Returns the consequences of the outcome, and of the facts of the stream.
    ///
    /// A stream that isn't whole has no status 200 and isn't cached. A stream that is neither whole
    /// nor has a usage isn't billed. A stream with output of the model isn't retried.
    #[must_use]
    pub fn handling(&self) -> Handling {
        self.limited(self.outcome.handling())
    }

    /// Removes the permissions that the facts of the stream don't allow.
    pub(super) const fn limited(&self, handling: Handling) -> Handling {
        let is_whole = self.not_whole.is_none();
        let handling = handling.limited(is_whole, self.tokens.is_some());
        Handling { may_be_retried: handling.may_be_retried && self.deltas == 0, ..handling }
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
        // More choices than that would take 128 GiB.
        let max_choices = u32::try_from(limits.max_choices).unwrap_or(u32::MAX);
        let state = ObserverState { max_choices, ..ObserverState::default() };
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
        match &self.state.rare {
            Some(rare) => rare.usage.tokens,
            None => None,
        }
    }

    /// Returns the findings of the whole stream, and [resets](Self::reset) the observer.
    ///
    /// `end` is the result of [`ChunkDecoder::finish`](crate::ChunkDecoder::finish).
    pub fn finish(&mut self, end: StreamSummary) -> StreamReport {
        let (tokens, deltas, state) = (self.tokens(), self.deltas(), &mut self.state);
        let choices = state.take_choices();
        let rare = state.rare.as_deref_mut();
        let (mut findings, limit_exceeded): (Findings, _) = rare
            .map(|rare| (core::mem::take(&mut rare.findings), rare.limit_exceeded))
            .unwrap_or_default();
        findings.has_chunk = state.has_chunk;
        self.reset();
        let reasons = choices.iter().map(|choice| choice.finish_reason.is_some());
        let (outcome, not_whole) = findings.verdict(reasons, &end, limit_exceeded);
        let failed_finish = findings.failed_finish(&end).map(String::from);
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
        let ObserverState { max_choices, rare, .. } = &mut self.state;
        let (max_choices, mut rare) = (*max_choices, rare.take());
        if let Some(rare) = &mut rare {
            rare.reset();
        }
        self.state = ObserverState { rare, max_choices, ..ObserverState::default() };
    }

    /// Returns the findings of the last event.
    pub(super) fn tapped(&self) -> EventReport<'_> {
        let ObserverState { news, rare, .. } = &self.state;
        debug_assert!(rare.is_some() || *news == EventFindings::default(), "`rare` has them");
        let having = |kind| rare.as_deref().filter(|_| news.has(kind));
        EventReport {
            tokens: having(EventFindings::USAGE).and_then(|rare| rare.usage.tokens),
            finished: having(EventFindings::FINISH).map(|rare| &*rare.choices),
            error: having(EventFindings::ERROR)
                .and_then(|rare| rare.error.as_deref())
                .map(FailureBuffer::failure),
            malformed: having(EventFindings::MALFORMED).and_then(|rare| rare.malformed),
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
            *plan = ObservePlan::of(key.template(), chunk);
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
        if let Some(slot) = plan.index.get() {
            let index = chunk.slot_count(slot).unwrap_or(0);
            if index >= 64 || self.known_indexes & (1 << index) == 0 {
                self.note_choices(chunk);
            }
        }
        self.deltas += u64::from(plan.output.is_in(chunk));
        if !matches!(plan.usage, UsagePlan::Absent) {
            self.news.add(EventFindings::USAGE);
            let is_updated = if let UsagePlan::Slots(counts) = plan.usage
                && let Some(rare) = &mut self.rare
                && rare.usage_key == Some(key)
                && let Some(tokens) = &mut rare.usage.tokens
            {
                counts.update(tokens, chunk)
            } else {
                false
            };
            if !is_updated {
                self.add_usage(chunk, Some(key));
            }
        }
        if self.has_reason || plan.finish.is_in(chunk) {
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
                let rare = self.rare();
                match &mut rare.error {
                    Some(buffer) => buffer.set(error, event.offset()),
                    None => rare.error = Some(Box::new(FailureBuffer::new(error, event.offset()))),
                }
                rare.findings.has_error = true;
                self.news.add(EventFindings::ERROR);
                if let Some(chunk) = error.chunk() {
                    self.note_choices(&chunk);
                    self.observe_chunk(&chunk);
                }
            }
            Payload::Malformed(error) => {
                self.rare().malformed = Some(*error);
                self.news.add(EventFindings::MALFORMED);
            }
            Payload::Done | Payload::Other(_) | Payload::Comment | Payload::Ignored => {}
        }
    }

    /// Observes all of a chunk, except its choices.
    fn observe_chunk(&mut self, chunk: &ChatCompletionChunk<'_>) {
        let content_flags = chunk.content_flags();
        self.deltas += u64::from(content_flags.is_output());
        if content_flags.usage {
            self.news.add(EventFindings::USAGE);
            self.add_usage(chunk, None);
        }
        if self.has_reason || content_flags.finish {
            self.finish(chunk);
        }
    }

    /// Adds the usage of a chunk. `key` is that of its template, if its slots may be read alone.
    #[inline(never)]
    fn add_usage(&mut self, chunk: &ChatCompletionChunk<'_>, key: Option<TemplateKey>) {
        let max_choices = self.max_choices as usize;
        let rare = self.rare();
        rare.usage_key = key;
        rare.usage.update(chunk, max_choices);
    }

    #[inline]
    fn rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    /// Records the choices of a chunk, and any part of them that a completion can't store.
    #[inline(never)]
    fn note_choices(&mut self, chunk: &ChatCompletionChunk<'_>) {
        self.has_chunk = true;
        if chunk.lost_choices() > 0 {
            self.rare().findings.add_invalid_index(true);
        }
        for choice in chunk.choices() {
            if choice.has_invalid_index() {
                self.rare().findings.add_invalid_index(true);
            } else if self.note_index(choice.index().unwrap_or(0)) {
                self.note_delta(&choice);
            }
        }
    }

    /// Records any part of a delta or a whole message that a completion can't store.
    fn note_delta(&mut self, choice: &Choice<'_>) {
        let has_unknown_message = || choice.whole_message()?.has_unknown_part().then_some(());
        if choice.has_legacy_text() || has_unknown_message().is_some() {
            self.rare().findings.has_unknown_part = true;
        }
        let delta = choice.delta();
        if delta.is_content() && delta.content().is_some() {
            return;
        }
        if delta.has_unknown_text() || delta.has_lost_member() {
            self.rare().findings.has_unknown_part = true;
        }
        for call in delta.tool_calls() {
            if call.index().is_none() && call.has_invalid_index() {
                self.rare().findings.add_invalid_index(false);
            }
        }
    }

    /// Adds the choice of an index if there is none. Returns false if `max_choices` forbids it.
    fn note_index(&mut self, index: u64) -> bool {
        if index < 64 && self.known_indexes & (1 << index) != 0 {
            return true;
        }
        let is_listed = self.rare.as_ref().is_some_and(|rare| !rare.choices.is_empty());
        let next = self.known_indexes.trailing_ones();
        if !is_listed && index == u64::from(next) && next < self.max_choices.min(64) {
            self.known_indexes |= 1 << next;
            return true;
        }
        self.listed_choice(index).is_some()
    }

    /// Returns the choice of an index, or a new one if `max_choices` allows it. Lists the choices.
    fn listed_choice(&mut self, index: u64) -> Option<&mut ChoiceReport> {
        let max_choices = self.max_choices as usize;
        let rare = self.rare.get_or_insert_default();
        if rare.choices.is_empty() {
            let usual = usual_choices(self.known_indexes);
            rare.choices.reserve_exact(usual.len().max(1));
            rare.choices.extend(usual);
            rare.sort_positions();
        }
        let position = rare.position(index);
        if position.is_none() && rare.choices.len() >= max_choices {
            rare.findings.lacks_choice = true;
            rare.limit_exceeded = Some(CompletionLimit::Choices);
            return None;
        }
        if position.is_none() {
            self.known_indexes |= if index < 64 { 1 << index } else { 0 };
            rare.push(index);
        }
        let last = rare.choices.len().checked_sub(1)?;
        rare.choices.get_mut(position.unwrap_or(last))
    }

    /// Returns all choices, and removes them.
    fn take_choices(&mut self) -> Vec<ChoiceReport> {
        match &mut self.rare {
            Some(rare) if !rare.choices.is_empty() => core::mem::take(&mut rare.choices),
            _ => usual_choices(self.known_indexes).collect(),
        }
    }

    /// Stores the finish reasons of a chunk, and the choices with output behind theirs.
    #[cold]
    fn finish(&mut self, chunk: &ChatCompletionChunk<'_>) {
        for choice in chunk.choices().filter(|choice| !choice.has_invalid_index()) {
            let (index, reason) = (choice.index().unwrap_or(0), choice.finish_reason());
            if reason.is_some() {
                self.news.add(EventFindings::FINISH);
            }
            let Some(seen) = self.listed_choice(index) else { continue };
            let Some(reason) = reason else {
                if seen.finish_reason.is_some() && choice.has_output() {
                    self.rare().findings.set_continued(index, true);
                }
                continue;
            };
            let stored = beginning(reason, LONGEST_REASON);
            if seen.finish_reason.as_deref() != Some(stored) {
                seen.finish_reason = Some(stored.into());
            }
            self.has_reason = true;
            let findings = &mut self.rare().findings;
            findings.add_reason(reason);
            findings.set_continued(index, false);
        }
    }
}

impl RareState {
    /// Removes the findings, and retains the buffers.
    fn reset(&mut self) {
        let (mut choices, error) = (core::mem::take(&mut self.choices), self.error.take());
        choices.clear();
        if choices.capacity() > KEPT_CHOICES {
            choices = Vec::new();
        }
        *self = Self { choices, error, ..Self::default() };
    }

    /// Returns the position of the choice of an index.
    fn position(&self, index: u64) -> Option<usize> {
        if self.choices.len() <= FEW_CHOICES {
            return self.choices.iter().position(|choice| choice.index == index);
        }
        debug_assert_eq!(self.positions.len(), self.choices.len());
        let found = self.positions.binary_search_by_key(&index, |(index, _)| *index);
        found.ok().and_then(|found| self.positions.get(found)).map(|(_, position)| *position)
    }

    /// Adds a choice of a new index.
    fn push(&mut self, index: u64) {
        let len = self.choices.len();
        self.choices.push(ChoiceReport { index, finish_reason: None });
        if len > FEW_CHOICES {
            let before = self.positions.partition_point(|(known, _)| *known < index);
            self.positions.insert(before, (index, len));
        } else {
            self.sort_positions();
        }
    }

    /// Makes the sorted positions, if the choices are more than a few.
    fn sort_positions(&mut self) {
        if self.choices.len() > FEW_CHOICES {
            let choices = self.choices.iter().enumerate();
            self.positions = choices.map(|(position, choice)| (choice.index, position)).collect();
            self.positions.sort_unstable();
        }
    }
}

/// Returns the choices that known indexes alone represent.
fn usual_choices(known_indexes: u64) -> impl ExactSizeIterator<Item = ChoiceReport> {
    let count = known_indexes.trailing_ones();
    debug_assert_eq!(count, known_indexes.count_ones(), "other choices are listed");
    (0..count).map(|index| ChoiceReport { index: index.into(), finish_reason: None })
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
