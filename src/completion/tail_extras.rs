//! `TailExtras`: the parts of a tail's chunks besides the text.
//!
//! - Choices or calls with an index in a slot: the chunk continues the text of that index. Where two
//!   choices take turns, each has a tail.
//! - The text of a reasoning detail, which most servers send beside the same reasoning. It has a
//!   tail too.
//! - Counts of the usage. The newest ones replace the stored ones when the tails join their texts.

use core::num::NonZeroU16;

use super::budget::Budget;
use super::budgets::Budgets;
use super::incremental::has_usage_budget;
use super::tail::{Newest, OneText, Tail, TextPlace};
use super::tool_call::continued_arguments;
use super::usage_plan::UsagePlan;
use super::{ChatCompletion, Reassembler, tail};
use crate::chunk::{ChatCompletionChunk, MessageText};
use crate::json::OwnedObject;
use crate::slice::bytes_in;

/// The most counts of a usage that aren't stored at once.
const MOST_COUNTS: usize = 8;

/// The indexes of a choice and of a tool call, which is 0 without a call, each plus 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Indexes {
    choice: NonZeroU16,
    call: NonZeroU16,
}

impl Indexes {
    /// Returns `None` if an index is too large for a tail.
    #[inline]
    pub(super) fn new(choice: u64, call: u64) -> Option<Self> {
        let small = |index: u64| NonZeroU16::new(u16::try_from(index).ok()?.checked_add(1)?);
        Some(Self { choice: small(choice)?, call: small(call)? })
    }

    fn choice(self) -> u64 {
        u64::from(self.choice.get()) - 1
    }

    fn call(self) -> u64 {
        u64::from(self.call.get()) - 1
    }
}

/// The parts of a tail that most streams lack, with one choice, one call, and text only.
#[derive(Clone, Debug, Default)]
pub(super) struct TailExtras {
    has_index: bool,
    has_detail: bool,
    has_usage: bool,
    /// The indexes of the texts of both tails, if there are indexes in slots.
    indexes: Option<Indexes>,
    other_indexes: Option<Indexes>,
    /// The tail of a detail, or of another choice.
    other: Tail,
    counts: Counts,
}

/// The newest counts of a usage: `list[..len]`.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// 0 if the usage has other numbers too, which are stored at once.
    len: usize,
    /// True if the counts aren't stored yet.
    has_new: bool,
    list: [Count; MOST_COUNTS],
}

/// A count in a slot, with its position among the stored members.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    count: u64,
    slot: usize,
    position: usize,
}

impl Counts {
    /// Makes the list of the counts of a chunk, unless its usage has other numbers.
    fn plan(&mut self, usage: Option<&UsagePlan>, chunk: &ChatCompletionChunk<'_>) {
        let mut slots = usage.into_iter().flat_map(UsagePlan::slots);
        (self.len, self.has_new) = (0, false);
        let are_counts = slots.all(|(slot, position)| {
            let place = self.list.get_mut(self.len).filter(|_| chunk.slot_count(slot).is_some());
            let Some(place) = place else { return false };
            (place.slot, place.position) = (slot, position);
            self.len += 1;
            true
        });
        if !are_counts {
            self.len = 0;
        }
    }

    /// Replaces the counts by those of a chunk; returns false if the chunk has other numbers.
    #[inline]
    fn push(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        for place in self.list.iter_mut().take(self.len) {
            let Some(count) = chunk.slot_count(place.slot) else { return false };
            place.count = count;
        }
        self.has_new = true;
        true
    }

    /// Stores the counts.
    fn settle(&mut self, usage: Option<&mut OwnedObject>, budget: &mut Budget) {
        let has_new = core::mem::take(&mut self.has_new);
        let Some(usage) = usage.filter(|_| has_new) else { return };
        for Count { count, position, .. } in self.list.iter().take(self.len) {
            usage.replace_number(*position, digits(*count, &mut [0; 20]), budget);
        }
    }
}

/// Writes a count to the end of a buffer.
fn digits(count: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let (mut rest, mut start) = (count, buffer.len());
    for digit in buffer.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        (rest, start) = (rest / 10, start - 1);
        if rest == 0 {
            break;
        }
    }
    bytes_in(buffer, start..)
}

impl Tail {
    /// Copies the text of a chunk, of any length, behind the bytes; returns its length.
    #[inline]
    fn copy_text(
        &mut self,
        chunk: &ChatCompletionChunk<'_>,
        completion: &mut ChatCompletion,
        budget: &mut Budgets,
    ) -> Option<usize> {
        let copied = self.copy(chunk).or_else(|| self.copy_short(chunk));
        copied.or_else(|| self.copy_any(chunk.slot_text(self.slot())?, completion, budget))
    }

    /// Copies the text of a detail as [`copy_text`](Self::copy_text) does, as it was sent.
    #[inline]
    fn copy_detail(
        &mut self,
        chunk: &ChatCompletionChunk<'_>,
        completion: &mut ChatCompletion,
        budget: &mut Budgets,
    ) -> Option<usize> {
        let copied = self.copy_json(chunk);
        copied.or_else(|| self.copy_any(chunk.slot_json(self.slot())?, completion, budget))
    }

    /// Copies a text that no block contains behind the bytes, as [`copy`](Self::copy) does.
    ///
    /// Joins the bytes to the stored text first if they leave too little space.
    #[inline(never)]
    fn copy_any(
        &mut self,
        text: &str,
        completion: &mut ChatCompletion,
        budget: &mut Budgets,
    ) -> Option<usize> {
        if !self.has_room(text.len()) {
            self.settle(completion, budget);
            if self.key.is_none() || !budget.texts.is_free(tail::FREE) {
                return None;
            }
        }
        self.copy_long(text.as_bytes())
    }
}

impl Reassembler {
    /// Merges a chunk that has more than the text; returns false if it needs another plan.
    #[inline(never)]
    pub(super) fn push_text_and_more(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Self { newest: Newest { changes, tail }, extras, plan, completion, budget, .. } = self;
        let Some(extras) = extras.as_deref_mut() else { return self.push_text_of_index(chunk) };
        let TailExtras { has_index, has_detail, has_usage, other, counts, .. } = extras;
        debug_assert_eq!(plan.key, tail.key, "the plan of the tail");
        // A count that is pushed twice is the same.
        let mut may_push = || has_usage_budget(budget, chunk) && counts.push(chunk);
        if *has_usage && !may_push() {
            return false;
        }
        let indexes = if *has_index { plan.indexes(chunk) } else { extras.indexes };
        if indexes.is_none() {
            return false;
        }
        let (text, detail) = if indexes == extras.indexes {
            (tail, has_detail.then_some(other))
        } else if indexes == extras.other_indexes && other.key.is_some() && !*has_detail {
            (other, None)
        } else {
            return false;
        };
        let Some(len) = text.copy_text(chunk, completion, budget) else { return false };
        if let Some(detail) = detail {
            let Some(len) = detail.copy_detail(chunk, completion, budget) else { return false };
            detail.grow(len);
        }
        text.grow(len);
        changes.set(text.change(len));
        if *has_usage && counts.len == 0 {
            plan.push_usage(completion, chunk, budget);
        }
        true
    }

    /// Merges a chunk that has an index beside the text; returns false if the index is another.
    fn push_text_of_index(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Self { newest: Newest { changes, tail }, plan, latest, completion, budget, .. } = self;
        let indexes = plan.indexes(chunk);
        if indexes.is_none() || indexes != latest[0] {
            return false;
        }
        let Some(len) = tail.copy_text(chunk, completion, budget) else { return false };
        tail.grow(len);
        changes.set(tail.change(len));
        true
    }

    /// Joins the tails to the stored texts, and stores the counts.
    #[inline(never)]
    pub(super) fn join_extras(&mut self) {
        let Self { newest: Newest { tail, .. }, extras, completion, budget, .. } = self;
        tail.settle(completion, budget);
        if let Some(extras) = extras {
            extras.other.settle(completion, budget);
            if extras.has_detail && extras.other.key.is_none() {
                tail.key = None;
            }
            extras.counts.settle(completion.usage.as_mut(), &mut budget.usage);
        }
        self.end_if_full();
    }

    /// Makes the plan of a tail for chunks like one that has been merged, if it has one text only.
    ///
    /// There is none while half a surrogate pair is pending, or behind a finish reason. `choice` is the
    /// position of the choice.
    #[inline]
    pub(super) fn plan_tail(&mut self, chunk: &ChatCompletionChunk<'_>, choice: usize) {
        let Self { newest: Newest { changes, .. }, plan, budget, .. } = self;
        // The end of the push may move choices and calls.
        let is_moved = changes.needs_buffer() || changes.is_unordered;
        let is_behind = is_moved || self.findings.has_reason;
        if plan.shared.only_text.is_none() || is_behind || !budget.texts.is_free(tail::FREE) {
            return;
        }
        let has_index = plan.has_index_slot();
        if has_index || plan.detail().is_some() || plan.usage().is_some() {
            return self.plan_extras(chunk, choice, has_index);
        }
        let Some(indexes) = plan.indexes(chunk) else { return };
        if let Some(text) = self.text_place(choice, indexes.call()) {
            self.newest.tail.plan(self.plan.key, &text);
        }
    }

    /// Makes the plan of a tail for chunks that have more than the text.
    #[inline(never)]
    fn plan_extras(&mut self, chunk: &ChatCompletionChunk<'_>, choice: usize, has_index: bool) {
        let Some(indexes) = self.plan.indexes(chunk) else { return };
        let [last, before] = self.latest;
        self.latest = [Some(indexes), last];
        let other_indexes = last.filter(|last| has_index && *last != indexes);
        // Where more than two choices or calls take turns, tails would be planned in vain.
        let takes_turns = other_indexes.is_some();
        if takes_turns && before != Some(indexes) {
            return;
        }
        let has_detail = self.plan.detail().is_some();
        let Some(text) = self.text_place(choice, indexes.call()) else { return };
        let other = match other_indexes {
            None if has_detail => self.detail_place(choice),
            Some(other) if !has_detail => self.turn_place(choice, other),
            _ => None,
        };
        if other.is_none() && (has_detail || takes_turns) {
            return;
        }
        let Self { newest: Newest { tail, .. }, plan, extras, .. } = self;
        let usage = plan.usage();
        if extras.is_none() && other.is_none() && usage.is_none() {
            tail.has_more = tail.plan(plan.key, &text);
            return;
        }
        let extras = extras.get_or_insert_default();
        (extras.has_index, extras.has_detail) = (has_index, has_detail);
        extras.has_usage = usage.is_some();
        extras.counts.plan(usage, chunk);
        (extras.indexes, extras.other_indexes) = (Some(indexes), other_indexes);
        extras.other.key = None;
        if other.is_none_or(|other| extras.other.plan(plan.key, &other)) {
            tail.has_more = tail.plan(plan.key, &text);
        }
    }

    /// Returns the place of the text that a next chunk continues; `call` is the index of its call.
    fn text_place(&mut self, choice: usize, call: u64) -> Option<TextPlace> {
        let Self { plan, completion, states, .. } = self;
        let (slot, of) = plan.shared.only_text?;
        let message = &mut completion.choices.get_mut(choice)?.message;
        let state = states.get_mut(choice)?;
        let (part, stored) = match of {
            OneText::Of(of) if state.pending.of(of).may_join("") => return None,
            // A tail doesn't end the snapshots.
            OneText::Of(MessageText::Content) if state.is_snapshot => return None,
            OneText::Of(of) => (0, message.text(of)?.len()),
            OneText::Arguments => {
                let (call, arguments, cut) = continued_arguments(message, state, Some(call))?;
                (call, Some(arguments.len()).filter(|_| !cut.may_join(""))?)
            }
            OneText::Detail => return None,
        };
        Some(TextPlace { slot, of, choice, part, stored })
    }

    /// Returns the place of the detail that the plan continues.
    fn detail_place(&mut self, choice: usize) -> Option<TextPlace> {
        let message = &mut self.completion.choices.get_mut(choice)?.message;
        self.plan.detail()?.text_place(choice, message)
    }

    /// Returns the place of the text of another choice, with which a choice takes turns.
    fn turn_place(&mut self, choice: usize, indexes: Indexes) -> Option<TextPlace> {
        let index = indexes.choice();
        let other = self.completion.choices.iter().position(|choice| choice.index == index)?;
        if other == choice || !self.merged.has_choice(index) {
            return None;
        }
        self.text_place(other, indexes.call())
    }
}
