//! `ObservePlan`: selects the slots of a template that an observer has to read.

use crate::chunk::schema::{choice, delta, function, texts, tool_call, usage};
use crate::chunk::{ChatCompletionChunk, Choice, Field, Level, TokenCounts, origin};
use crate::json::{Value, ValueKind};

/// The findings of all chunks of a template, and the slots that contain others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservePlan {
    /// Where the chunks have output of the model, and finish reasons.
    pub(super) output: Presence,
    pub(super) finish: Presence,
    pub(super) has_usage: bool,
    /// The slots of the usage, if they are all counts of its own.
    pub(super) counts: Option<UsageSlots>,
    /// The slot that is the index of the only choice.
    pub(super) index: Option<usize>,
    /// The slots aren't enough: all of a chunk has to be read.
    pub(super) is_incomplete: bool,
}

/// Where chunks of a template have a text of some kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    /// The template itself contains such a text.
    always: bool,
    /// The slots that are such a text, as bits.
    slots: u32,
}

impl Presence {
    /// Returns true if a chunk of the template has such a text that isn't empty.
    #[inline]
    pub(super) fn is_in(self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let mut slots = self.slots;
        let mut is_in = self.always;
        while slots != 0 && !is_in {
            is_in = chunk.has_slot_text(slots.trailing_zeros() as usize);
            slots &= slots - 1;
        }
        is_in
    }

    /// Adds a text.
    fn add(&mut self, chunk: &ChatCompletionChunk<'_>, text: Option<Value<'_>>) {
        let Some(text) = text.filter(|text| text.kind() == ValueKind::String) else { return };
        match chunk.slots().find(|(_, node)| *node == text.id) {
            Some((slot, _)) => {
                debug_assert!(slot < 32, "a template has fewer slots");
                self.slots |= 1 << slot;
            }
            None => self.always |= !text.is_empty_value(),
        }
    }
}

/// The slots that are counts of a usage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageSlots {
    prompt: Option<u8>,
    completion: Option<u8>,
    total: Option<u8>,
}

impl UsageSlots {
    /// Returns the slots of a chunk's usage, or `None` if one of them isn't such a count.
    fn from_chunk(chunk: &ChatCompletionChunk<'_>) -> Option<Self> {
        let mut slots = Self::default();
        for (name, id) in chunk.usage_slots() {
            let count = match name {
                usage::PROMPT_TOKENS => &mut slots.prompt,
                usage::COMPLETION_TOKENS => &mut slots.completion,
                usage::TOTAL_TOKENS => &mut slots.total,
                _ => return None,
            };
            // A member of the usage itself, and the last one of its name.
            if chunk.usage()?.get(name).is_none_or(|value| value.id != id) {
                return None;
            }
            let (slot, _) = chunk.slots().find(|(_, node)| *node == id)?;
            // If the slot is another kind of number, or a string, each usage is read as a whole.
            chunk.slot_count(usize::from(slot))?;
            *count = Some(slot);
        }
        chunk.has_own_usage().then_some(slots)
    }

    /// Replaces the counts that the slots of a chunk contain.
    #[expect(clippy::inline_always, reason = "2 % of `benches/instructions continuous-usage`, tap")]
    #[inline(always)]
    pub(super) fn update(self, tokens: &mut TokenCounts, chunk: &ChatCompletionChunk<'_>) {
        let update = |slot: Option<u8>, count: &mut Option<u64>| {
            if let Some(later) = slot.and_then(|slot| chunk.slot_count(usize::from(slot))) {
                *count = Some(later);
            }
        };
        update(self.prompt, &mut tokens.prompt);
        update(self.completion, &mut tokens.completion);
        update(self.total, &mut tokens.total);
    }
}

impl ObservePlan {
    /// Returns the plan for the template of a chunk.
    #[cold]
    pub(super) fn new(chunk: &ChatCompletionChunk<'_>) -> Self {
        let mut plan = Self {
            has_usage: chunk.usage().is_some(),
            counts: UsageSlots::from_chunk(chunk),
            ..Self::default()
        };
        let choices = chunk.choices().len();
        for (slot, node) in chunk.slots() {
            match chunk.field_of(node) {
                Field::ChoiceIndex if choices == 1 => plan.index = Some(usize::from(slot)),
                Field::ChoiceIndex => plan.is_incomplete = true,
                _ => {}
            }
        }
        for choice in chunk.choices() {
            plan.add(chunk, &choice);
        }
        plan
    }

    /// Adds the output of a choice, as [`ContentFlags`](crate::chunk::ContentFlags) defines it.
    fn add(&mut self, chunk: &ChatCompletionChunk<'_>, choice: &Choice<'_>) {
        self.finish.add(chunk, choice.get(choice::FINISH_REASON));
        self.output.add(chunk, choice.get(choice::TEXT));
        let delta = choice.delta();
        let is = |value: Option<Value<'_>>, kind| {
            value.is_some_and(|value| value.kind() == kind && !value.is_empty_value())
        };
        let is_odd = |value: Option<Value<'_>>| {
            value.is_some_and(|value| value.kind() != ValueKind::String && !value.is_empty_value())
        };
        for name in texts() {
            self.output.add(chunk, delta.get(name));
            self.is_incomplete |= is_odd(delta.get(name));
        }
        self.is_incomplete |= choice.message().is_some();
        self.is_incomplete |= is(delta.get(delta::FUNCTION_CALL), ValueKind::Object);
        self.output.always |= is(delta.get(delta::REASONING_DETAILS), ValueKind::Array);
        self.output.always |= is(delta.get(delta::AUDIO), ValueKind::Object);
        for (name, value) in delta.extra() {
            if origin(Level::Delta, name).is_output() {
                self.output.add(chunk, Some(value));
                self.output.always |= is_odd(Some(value));
            }
        }
        for call in delta.tool_calls() {
            self.output.add(chunk, call.get(tool_call::ID));
            self.is_incomplete |=
                call.get(tool_call::CUSTOM).is_some_and(|custom| !custom.is_empty_value());
            let Some(function) = call.get(tool_call::FUNCTION) else { continue };
            self.output.add(chunk, function.get(function::NAME));
            self.output.add(chunk, function.get(function::ARGUMENTS));
            self.output.always |= is(function.get(function::ARGUMENTS), ValueKind::Object);
        }
    }
}
