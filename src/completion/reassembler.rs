//! `Reassembler`: merges the deltas of a stream into a `ChatCompletion`.

use smallvec::SmallVec;

use super::budget::CompletionLimit;
use super::budgets::Budgets;
use super::change::Change;
use super::choice_state::{CallState, ChoiceState, LastCall};
use super::incremental::{MergePlan, MergedTemplate, bit};
use super::message::{ChoiceTarget, push_delta};
use super::model::{ChatCompletion, CompletionChoice, push_doubling};
use super::order::sort_both;
use super::outcome::{Findings, FinishedCompletion, Irregularities, UnfinishedChoice, count};
use super::tail::{Newest, Tail};
use super::tail_extras::{Indexes, TailExtras};
use super::tool_call::PART_COST;
use super::whole::push_whole;
use crate::chunk::schema::{choice, top};
use crate::chunk::{ChatCompletionChunk, Choice, ChoiceTokens, Level, MessageText, Usage};
use crate::decoder::{Payload, StreamSummary};
use crate::json::Value;
use crate::limits::Limits;

/// Merges the chunks of a stream into the completion of an answer without streaming.
///
/// ```
/// use deltawire::{ChunkDecoder, Outcome, Reassembler};
///
/// let mut input = &br#"data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"He"}}]}
///
/// data: {"id":"c1","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":"stop"}]}
///
/// data: [DONE]
///
/// "#[..];
/// let mut decoder = ChunkDecoder::new();
/// let mut completion = Reassembler::new();
/// while let Some(event) = decoder.next(&mut input) {
///     completion.push_payload(event.payload());
/// }
/// let finished = completion.finish(decoder.finish());
/// assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Hello"));
/// assert_eq!(finished.outcome, Outcome::Complete);
/// ```
///
/// A push costs the size of the delta, and allocates only if a stored text has to grow. It needs no
/// decoder: it accepts any chunk, such as an
/// [`OwnedChatCompletionChunk`](crate::chunk::OwnedChatCompletionChunk).
#[derive(Clone, Debug)]
pub struct Reassembler {
    pub(super) newest: Newest,
    pub(super) budget: Budgets,
    pub(super) completion: ChatCompletion,
    /// The states of the choices: `states.len() == completion.choices.len()`.
    pub(super) states: SmallVec<[ChoiceState; 1]>,
    /// The template of the chunk that was merged in full last.
    pub(super) merged: MergedTemplate,
    pub(super) plan: MergePlan,
    /// `None` until a tail needs them.
    pub(super) extras: Option<Box<TailExtras>>,
    /// The indexes of the last two chunks that had more than a text, the last one first.
    ///
    /// A tail with indexes in slots, and without extras, is that of the last one.
    pub(super) latest: [Option<Indexes>; 2],
    /// The number of choices at the end that aren't sorted yet: `late_choices <= states.len()`.
    late_choices: usize,
    /// The usage of each choice; `None` unless the server sends one for each.
    choice_tokens: Option<Box<ChoiceTokens>>,
    pub(super) findings: Findings,
    invalid_choice_indexes: u32,
    usage_from: UsageFrom,
}

/// The most choices whose buffers a reset keeps.
const KEPT_CHOICES: usize = 128;

/// The member that the usage came from: `usage` itself outranks its substitutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UsageFrom {
    #[default]
    Substitute,
    Usage,
}

impl Default for Reassembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Reassembler {
    /// Creates an empty reassembler with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// Creates an empty reassembler. Allocates nothing.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            newest: Newest::default(),
            budget: Budgets::new(limits),
            completion: ChatCompletion::default(),
            states: SmallVec::new_const(),
            merged: MergedTemplate::default(),
            plan: MergePlan::default(),
            extras: None,
            latest: [None; 2],
            late_choices: 0,
            choice_tokens: None,
            findings: Findings::default(),
            invalid_choice_indexes: 0,
            usage_from: UsageFrom::default(),
        }
    }

    /// Merges the chunk of a payload, if it has one; a chunk beside an error too.
    ///
    /// `[DONE]` ends the tool calls.
    #[inline]
    pub fn push_payload(&mut self, payload: &Payload<'_>) {
        match payload {
            Payload::Chunk(chunk) => self.push(chunk),
            Payload::Comment => self.newest.changes.clear(),
            other => self.push_other(other),
        }
    }

    /// Merges a payload that isn't a chunk.
    fn push_other(&mut self, payload: &Payload<'_>) {
        self.newest.changes.clear();
        match payload {
            Payload::Error(error) => {
                if let Some(chunk) = error.chunk() {
                    self.push(&chunk);
                }
                self.findings.has_error = true;
            }
            Payload::Done => {
                self.end_tail();
                for (choice, state) in self.states.iter_mut().enumerate() {
                    state.end_calls(choice, &mut self.newest.changes);
                }
            }
            _ => {}
        }
    }

    /// Merges a chunk. [`changes`](Self::changes) returns its changes until the next push.
    pub fn push(&mut self, chunk: &ChatCompletionChunk<'_>) {
        if !self.push_one_text(chunk) {
            self.push_templated(chunk);
        }
    }

    #[inline(never)]
    fn push_templated(&mut self, chunk: &ChatCompletionChunk<'_>) {
        self.begin_push();
        if !self.is_begun(chunk) || !self.push_incremental(chunk) {
            let choices = self.push_full(chunk);
            self.merged.add(chunk, choices);
        }
        self.end_push();
        if self.findings.has_reason {
            self.note_continued(chunk);
        }
    }

    /// Records the choices with output behind their finish reasons. A chunk may have a choice twice.
    #[cold]
    fn note_continued(&mut self, chunk: &ChatCompletionChunk<'_>) {
        debug_assert_eq!(self.late_choices, 0, "`end_push` has sorted the choices");
        for choice in chunk.choices().filter(|choice| !choice.has_invalid_index()) {
            let (index, choices) = (choice.index().unwrap_or(0), &self.completion.choices);
            let at = choices.binary_search_by_key(&index, |choice| choice.index).ok();
            let is_finished =
                at.and_then(|at| choices.get(at)).is_some_and(|kept| kept.finish_reason.is_some());
            if choice.finish_reason().is_some() {
                self.findings.set_continued(index, false);
            } else if is_finished && choice.has_output() {
                self.findings.set_continued(index, true);
            }
        }
    }

    /// Joins the tail, and removes the changes of the push before.
    #[inline]
    pub(super) fn begin_push(&mut self) {
        self.end_tail();
        self.newest.changes.clear();
    }

    /// Removes void changes, and sorts choices and tool calls, at the end of a push.
    #[inline]
    pub(super) fn end_push(&mut self) {
        if self.newest.changes.has_void {
            self.newest.changes.has_void = false;
            self.newest.changes.remove_void(&mut self.states);
        }
        if self.newest.changes.is_unordered {
            self.put_in_order();
        }
    }

    #[cold]
    fn put_in_order(&mut self) {
        let Self { completion, states, late_choices, newest: Newest { changes, .. }, plan, .. } =
            self;
        changes.is_unordered = false;
        let moved: Vec<_> = completion
            .choices
            .iter_mut()
            .zip(&mut *states)
            .map(|(choice, state)| {
                let states = state.calls_mut()?;
                let late = core::mem::take(&mut states.late);
                let calls = &mut choice.message.tool_calls;
                let moved =
                    (late > 0).then(|| sort_both(calls, &mut states.list, late, CallState::key))?;
                if let LastCall::At(at) = &mut states.last {
                    *at = moved.place(*at);
                }
                states.open = states.open.map(|at| moved.place(at));
                for at in states.by_id.iter_mut().flatten() {
                    *at = u32::try_from(moved.place(*at as usize)).unwrap_or(*at);
                }
                Some(moved)
            })
            .collect();
        changes.move_calls(&moved);
        let late = core::mem::take(late_choices);
        if late > 0 {
            let moved = sort_both(states, &mut completion.choices, late, |choice| choice.index);
            changes.move_choices(&moved);
            // `MergePlan` contains positions of choices.
            *plan = MergePlan::default();
        }
    }

    /// Merges all of a chunk; returns the indexes of its choices, as bits.
    #[inline(never)]
    pub(super) fn push_full(&mut self, chunk: &ChatCompletionChunk<'_>) -> u64 {
        self.push_top(chunk, &[]);
        self.add_invalid_choices(chunk.lost_choices());
        chunk.choices().fold(0, |bits, choice| bits | self.push_choice(&choice))
    }

    /// Merges the members of a chunk besides its choices.
    ///
    /// `indexes` are those of the choices, if they aren't in the choices themselves.
    pub(super) fn push_top(&mut self, chunk: &ChatCompletionChunk<'_>, indexes: &[u64]) {
        self.findings.has_chunk = true;
        self.findings.has_error |= chunk.error().is_some();
        let Self { completion, budget, .. } = self;
        budget.first(&mut completion.id, || chunk.id());
        budget.first(&mut completion.model, || chunk.model());
        budget.last(&mut completion.service_tier, chunk.service_tier());
        budget.last(&mut completion.system_fingerprint, chunk.system_fingerprint());
        if completion.created.unwrap_or(0) == 0 {
            completion.created = chunk.created().or(completion.created);
        }
        for (name, value) in chunk.extra() {
            budget.keep(&mut completion.extra, Level::Top, name, value);
        }
        if let Some(x_groq) = chunk.x_groq() {
            budget.keep(&mut completion.extra, Level::Top, top::X_GROQ, x_groq);
        }
        self.push_usage(chunk, indexes);
    }

    /// Returns the completion so far. Joins the newest texts to the stored ones first.
    #[must_use]
    pub fn snapshot(&mut self) -> &ChatCompletion {
        self.join_tail();
        &self.completion
    }

    /// Returns the completion so far, and the [changes](Self::changes) of the last push.
    #[must_use]
    pub fn snapshot_with_changes(&mut self) -> (&ChatCompletion, &[Change]) {
        self.join_tail();
        (&self.completion, self.newest.changes.as_slice())
    }

    /// Returns the changes of the last push, in the order of the chunk.
    ///
    /// A caller reads the newest part of a text by them, or waits for the end of a tool call.
    ///
    /// ```
    /// # use deltawire::Reassembler;
    /// # use deltawire::chunk::OwnedChatCompletionChunk;
    /// # use deltawire::completion::Change;
    /// let mut completion = Reassembler::new();
    /// for json in [
    ///     r#"{"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
    ///     r#"{"choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
    /// ] {
    ///     completion.push(&OwnedChatCompletionChunk::from_json(json.as_bytes())?.as_chunk());
    /// }
    /// let [Change::Text { choice, text, start }] = completion.changes()[..] else { panic!() };
    /// let text = completion.snapshot().choices[choice].message.text(text).unwrap();
    /// assert_eq!((text, &text[start..]), ("Hello", "lo"));
    /// # Ok::<(), deltawire::Error>(())
    /// ```
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        self.newest.changes.as_slice()
    }

    /// Returns the limit that was exceeded first, if the completion lacks something for it.
    ///
    /// The completion keeps all that was merged before.
    #[must_use]
    pub fn limit_exceeded(&self) -> Option<CompletionLimit> {
        self.budget.texts.exceeded().or(self.budget.usage.exceeded())
    }

    /// Returns the counts of irregular parts of the chunks so far.
    #[must_use]
    pub fn irregularities(&self) -> Irregularities {
        let mut sum = Irregularities {
            invalid_choice_indexes: self.invalid_choice_indexes,
            replaced_values: self.budget.texts.replaced(),
            ..Irregularities::default()
        };
        for (choice, state) in self.completion.choices.iter().zip(&self.states) {
            sum.add(&state.irregularities());
            let choices = self.completion.choices.len() as u64;
            count(&mut sum.sparse_choice_indexes, usize::from(choice.index >= choices));
            let calls = state.calls().len() as u64;
            let sparse = state.calls().iter().filter(|call| call.index >= Some(calls)).count();
            count(&mut sum.sparse_tool_call_indexes, sparse);
        }
        sum
    }

    /// Returns the completion and the outcome of the stream, and [resets](Self::reset).
    ///
    /// Without a decoder, pass the default [`StreamSummary`], with `done` set if `[DONE]` came.
    pub fn finish(&mut self, end: StreamSummary) -> FinishedCompletion {
        self.end_tail();
        let (limit_exceeded, irregularities) = (self.limit_exceeded(), self.irregularities());
        let mut findings = core::mem::take(&mut self.findings);
        findings.has_invalid_index |= irregularities.invalid_tool_call_indexes > 0;
        findings.has_unknown_part = irregularities.unknown_content_parts > 0;
        let reasons = self.completion.choices.iter().map(|choice| choice.finish_reason.is_some());
        let (outcome, not_whole) = findings.verdict(reasons, &end, limit_exceeded);
        let pending = self.pending(findings.continued(&end));
        let mut completion = core::mem::take(&mut self.completion);
        completion.shrink_to_fit();
        completion.not_whole = not_whole.is_some();
        self.reset();
        let failed_finish = findings.failed_finish(&end).map(String::from);
        FinishedCompletion {
            completion,
            outcome,
            pending,
            limit_exceeded,
            irregularities,
            failed_finish,
            end,
            not_whole,
        }
    }

    /// Makes the reassembler ready for another stream; keeps the limits and buffers, nothing else.
    pub fn reset(&mut self) {
        let Self { completion, states, usage_from, budget, newest: Newest { changes, .. }, .. } =
            self;
        budget.reset();
        let mut choices = core::mem::take(&mut completion.choices);
        for mut choice in choices.drain(..) {
            for of in MessageText::ALL {
                budget.recycle(choice.message.text_mut(of).take());
            }
        }
        if choices.capacity() > KEPT_CHOICES {
            (choices, *states) = (Vec::new(), SmallVec::new_const());
        }
        *completion = ChatCompletion { choices, ..ChatCompletion::default() };
        states.clear();
        *usage_from = UsageFrom::default();
        self.choice_tokens = None;
        changes.reset();
        self.late_choices = 0;
        self.merged = MergedTemplate::default();
        (self.plan, self.newest.tail) = (MergePlan::default(), Tail::default());
        if let Some(extras) = &mut self.extras {
            **extras = TailExtras::default();
        }
        self.latest = [None; 2];
        self.invalid_choice_indexes = 0;
        self.findings = Findings::default();
    }

    /// Returns the unfinished choices, each with its current tool call.
    ///
    /// `continued` are the indexes of those with a finish reason.
    fn pending(&self, continued: &[u64]) -> Vec<UnfinishedChoice> {
        let choices = self.completion.choices.iter().zip(&self.states).enumerate();
        let is_continued =
            |choice: &CompletionChoice| continued.binary_search(&choice.index).is_ok();
        choices
            .filter(|(_, (choice, _))| choice.finish_reason.is_none() || is_continued(choice))
            .map(|(choice, (_, state))| UnfinishedChoice {
                choice,
                tool_call: state.current_call(),
            })
            .collect()
    }

    fn push_usage(&mut self, chunk: &ChatCompletionChunk<'_>, indexes: &[u64]) {
        let Some(usage) = chunk.usage() else { return };
        let own = chunk.has_own_usage();
        let from = if own { UsageFrom::Usage } else { UsageFrom::Substitute };
        if self.usage_from == UsageFrom::Usage && from == UsageFrom::Substitute {
            return;
        }
        let is_empty = usage.as_value().is_empty_value();
        self.usage_from = if is_empty { self.usage_from } else { from };
        let kept = self.completion.usage.get_or_insert_default();
        let most = self.budget.max_choices();
        let budget = &mut self.budget;
        kept.reserve_first(usage.as_value());
        let mut keep = |usage: &Usage<'_>| {
            for (name, value) in usage.as_value().members() {
                budget.keep(kept, Level::Usage, name, value);
            }
        };
        let mut has_usage = false;
        for (at, index, usage) in chunk.usage_of_choices() {
            keep(&usage);
            let index = indexes.get(at).copied().unwrap_or(index);
            self.choice_tokens.get_or_insert_default().update(index, &usage, most);
            has_usage = true;
        }
        if !has_usage {
            return keep(&usage);
        }
        let Some(tokens) = self.choice_tokens.as_ref().filter(|tokens| tokens.has_several()) else {
            return;
        };
        for (count, paths) in tokens.all().with_paths() {
            for path in paths {
                kept.set_count(path, count, &mut self.budget.usage);
            }
        }
    }

    /// Counts choices that are left out, since they aren't objects with a valid index.
    fn add_invalid_choices(&mut self, number: usize) {
        if number > 0 {
            count(&mut self.invalid_choice_indexes, number);
            self.findings.add_invalid_index(true);
        }
    }

    /// Merges a choice; returns its index as a bit, or 0 if it is left out.
    fn push_choice(&mut self, choice: &Choice<'_>) -> u64 {
        let index = match choice.index() {
            Some(index) => index,
            None if choice.has_invalid_index() => {
                self.add_invalid_choices(1);
                return 0;
            }
            None => 0,
        };
        let Some(at) = self.choice_at(index) else {
            self.findings.lacks_choice = true;
            return 0;
        };
        self.push_choice_at(at, choice, |target| {
            push_delta(target, &choice.delta());
            if choice.message().is_some() {
                push_whole(target, choice);
            }
            if choice.has_legacy_text() {
                target.state.count(|counts| &mut counts.unknown_content_parts, 1);
            }
        });
        bit(index)
    }

    /// Merges a choice into the stored one at a position, and its message by `push`.
    #[inline]
    pub(super) fn push_choice_at(
        &mut self,
        at: usize,
        choice: &Choice<'_>,
        push: impl FnOnce(&mut ChoiceTarget<'_>),
    ) {
        let Self { completion, states, budget, newest: Newest { changes, .. }, findings, .. } =
            self;
        let (Some(kept), Some(state)) = (completion.choices.get_mut(at), states.get_mut(at)) else {
            return;
        };
        let (was_finished, reason) = (kept.finish_reason.is_some(), choice.finish_reason());
        if let Some(reason) = reason {
            findings.add_reason(reason);
            budget.last_reason(&mut kept.finish_reason, reason);
        }
        if let Some(logprobs) = choice.logprobs() {
            push_logprobs(kept, || logprobs.as_value().members(), budget);
        }
        for (name, value) in choice.extra() {
            if name != choice::REASONING_LOGPROBS || budget.add_logprobs(value.members()) {
                budget.keep(&mut kept.extra, Level::Choice, name, value);
            }
        }
        let message = &mut kept.message;
        push(&mut ChoiceTarget { choice: at, message, state, budget, changes });
        let is_first = !was_finished && kept.finish_reason.is_some();
        if reason.is_some() {
            state.end_calls(at, changes);
        }
        if is_first {
            changes.push(Change::Finished { choice: at });
        }
    }

    /// Returns the position of the choice with this index.
    ///
    /// An index is a key: an unknown one adds one choice, for any number.
    fn choice_at(&mut self, index: u64) -> Option<usize> {
        let Self { completion, states, late_choices, budget, .. } = self;
        let sorted = completion.choices.len() - *late_choices;
        let (sorted, late) = completion.choices.split_at_checked(sorted).unwrap_or_default();
        let known = sorted.binary_search_by_key(&index, |choice| choice.index).ok();
        let in_late = || late.iter().position(|choice| choice.index == index);
        if let Some(at) = known.or_else(|| Some(sorted.len() + in_late()?)) {
            return Some(at);
        }
        if states.len() >= budget.max_choices() {
            budget.texts.mark_exceeded(CompletionLimit::Choices);
            return None;
        }
        Some(self.add_choice(index))
    }

    /// Adds a choice with a new index, and returns its position.
    pub(super) fn add_choice(&mut self, index: u64) -> usize {
        let Self {
            completion, states, late_choices, budget, newest: Newest { changes, .. }, ..
        } = self;
        // A choice over the budget is added all the same, so that its finish reason is stored.
        budget.texts.try_reserve(PART_COST);
        if *late_choices > 0 || completion.choices.last().is_some_and(|last| last.index > index) {
            *late_choices += 1;
            changes.is_unordered = true;
        }
        // Both lists have the same length.
        let at = states.len();
        let choice = CompletionChoice { index, ..CompletionChoice::default() };
        push_doubling(&mut completion.choices, choice);
        states.push(ChoiceState::default());
        changes.push(Change::ChoiceStarted { choice: at });
        at
    }
}

/// Appends the lists of tokens, which the legacy form has under other names, if all of them fit.
pub(super) fn push_logprobs<'a, I: Iterator<Item = (&'a str, Value<'a>)>>(
    choice: &mut CompletionChoice,
    lists: impl Fn() -> I,
    budget: &mut Budgets,
) {
    let kept = choice.logprobs.get_or_insert_default();
    let mut each = lists();
    if let (Some((name, value)), None) = (each.next(), each.next()) {
        // The usual list alone isn't looked for again.
        if budget.add_logprobs([(name, value)].into_iter()) {
            budget.keep(kept, Level::Logprobs, name, value);
        }
    } else if budget.add_logprobs(lists()) {
        for (name, value) in lists() {
            budget.keep(kept, Level::Logprobs, name, value);
        }
    }
}
