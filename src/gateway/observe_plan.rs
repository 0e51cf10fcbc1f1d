//! `ObservePlan`: which leaves of chunks that have much in common have to be looked at.

use crate::chunk::{ChatCompletionChunk, Choice, Field, Level, Tokens, origin};
use crate::json::{Value, ValueKind};

/// What chunks with the same constants bring, but for the leaves in which they differ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservePlan {
    /// Where the output of the model is, and where finish reasons are.
    pub(super) output: Place,
    pub(super) finish: Place,
    /// There is usage.
    pub(super) usage: bool,
    /// Nothing of the usage has changed but these counts: which of the leaves they are.
    pub(super) counts: Option<UsageSlots>,
    /// Which of the changed leaves is the index of the only choice.
    pub(super) index: Option<usize>,
    /// The leaves don't say it: look at all of the chunk.
    pub(super) is_all: bool,
}

/// Where something is: in what is the same in all chunks, or in some of the leaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    always: bool,
    /// Bits, by the number of the leaf.
    leaves: u32,
}

impl Place {
    #[inline]
    pub(super) fn is_in(self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let mut leaves = self.leaves;
        let mut is_in = self.always;
        while leaves != 0 && !is_in {
            is_in = chunk.has_slot_text(leaves.trailing_zeros() as usize);
            leaves &= leaves - 1;
        }
        is_in
    }

    /// Adds a text.
    fn add(&mut self, chunk: &ChatCompletionChunk<'_>, text: Option<Value<'_>>) {
        let Some(text) = text.filter(|text| text.kind() == ValueKind::String) else { return };
        match chunk.slots().position(|leaf| leaf == text.id) {
            Some(nth) => self.leaves |= 1 << nth,
            None => self.always |= !text.is_empty_value(),
        }
    }
}

/// The counts of a usage that are leaves, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageSlots {
    prompt: Option<u8>,
    completion: Option<u8>,
    total: Option<u8>,
}

impl UsageSlots {
    /// `None` where something else of the usage has changed.
    fn of(chunk: &ChatCompletionChunk<'_>) -> Option<Self> {
        let mut counts = Self::default();
        for (name, id) in chunk.usage_slots() {
            let count = match name {
                "prompt_tokens" => &mut counts.prompt,
                "completion_tokens" => &mut counts.completion,
                "total_tokens" => &mut counts.total,
                _ => return None,
            };
            // A member of the usage itself, and of those with the same name the one that counts.
            let usage = chunk.usage()?;
            if usage.get(name).is_none_or(|value| value.id != id) {
                return None;
            }
            let nth = chunk.slots().position(|leaf| leaf == id)?;
            // If the leaf is another kind of number, or a string, each usage is read as a whole.
            chunk.slot_count(nth)?;
            *count = u8::try_from(nth).ok();
        }
        chunk.has_own_usage().then_some(counts)
    }

    /// Takes over the counts of a chunk that is like the one with the last usage.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    pub(super) fn update(self, tokens: &mut Tokens, chunk: &ChatCompletionChunk<'_>) {
        let count = |nth: Option<u8>, kept: &mut Option<u64>| {
            if let Some(count) = nth.and_then(|nth| chunk.slot_count(usize::from(nth))) {
                *kept = Some(count);
            }
        };
        count(self.prompt, &mut tokens.prompt);
        count(self.completion, &mut tokens.completion);
        count(self.total, &mut tokens.total);
    }
}

impl ObservePlan {
    /// For chunks with the constants of this one.
    #[cold]
    pub(super) fn new(chunk: &ChatCompletionChunk<'_>) -> Self {
        let mut watch = Self {
            usage: chunk.usage().is_some(),
            counts: UsageSlots::of(chunk),
            ..Self::default()
        };
        let choices = chunk.choices().len();
        for (nth, leaf) in chunk.slots().enumerate() {
            match chunk.field_of(leaf) {
                Field::ChoiceIndex if choices == 1 => watch.index = Some(nth),
                Field::ChoiceIndex => watch.is_all = true,
                _ => {}
            }
        }
        for choice in chunk.choices() {
            watch.add(chunk, &choice);
        }
        watch
    }

    /// Adds what a choice brings, as [`Carries`](crate::Carries) has it.
    fn add(&mut self, chunk: &ChatCompletionChunk<'_>, choice: &Choice<'_>) {
        self.finish.add(chunk, choice.get("finish_reason"));
        self.output.add(chunk, choice.get("text"));
        let delta = choice.delta();
        for name in ["content", "refusal", "reasoning_content", "reasoning"] {
            self.output.add(chunk, delta.get(name));
        }
        let is = |value: Option<Value<'_>>, kind| {
            value.is_some_and(|value| value.kind() == kind && !value.is_empty_value())
        };
        let is_odd = |value: Option<Value<'_>>| {
            value.is_some_and(|value| value.kind() != ValueKind::String && !value.is_empty_value())
        };
        self.is_all |= is_odd(delta.get("content")) || is_odd(choice.message());
        self.is_all |= ["refusal", "reasoning_content", "reasoning"]
            .into_iter()
            .any(|name| is_odd(delta.get(name)));
        self.is_all |= is(delta.get("function_call"), ValueKind::Object);
        self.output.always |= is(delta.get("reasoning_details"), ValueKind::Array);
        self.output.always |= is(delta.get("audio"), ValueKind::Object);
        for (name, value) in delta.extra() {
            if origin(Level::Delta, name).is_output() {
                self.output.add(chunk, Some(value));
                self.output.always |= is_odd(Some(value));
            }
        }
        for call in delta.tool_calls() {
            self.output.add(chunk, call.get("id"));
            self.is_all |= call.get("custom").is_some_and(|custom| !custom.is_empty_value());
            let Some(function) = call.get("function") else { continue };
            self.output.add(chunk, function.get("name"));
            self.output.add(chunk, function.get("arguments"));
            self.output.always |= is(function.get("arguments"), ValueKind::Object);
        }
    }
}
