//! `ObservePlan`: selects the slots of a template that an observer has to read.

use core::num::NonZeroU64;

use crate::chunk::schema::{choice, delta, function, tool_call, usage};
use crate::chunk::{
    ChatCompletionChunk, Choice, Field, Level, SharedCache, TextMember, TokenCounts, origin,
};
use crate::json::{Value, ValueKind};

/// The findings of all chunks of a template, and the slots that contain others.
///
/// A stream stores two plans, so that they are packed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservePlan {
    /// Where the chunks have output of the model, and finish reasons.
    pub(super) output: Presence,
    pub(super) finish: Presence,
    pub(super) usage: UsagePlan,
    /// The slot that is the index of the only choice.
    pub(super) index: SlotNumber,
    /// The slots aren't enough: all of a chunk has to be read.
    pub(super) is_incomplete: bool,
}

/// The usage of the chunks of a template.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum UsagePlan {
    #[default]
    Absent,
    /// All of the usage has to be read.
    Whole,
    /// The slots of the usage are all counts of its own.
    Slots(UsageSlots),
}

/// The number of a slot of a template, or none, in one byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotNumber(u8);

impl SlotNumber {
    const NONE: Self = Self(u8::MAX);

    fn new(slot: u8) -> Self {
        debug_assert!(slot < Self::NONE.0, "a template has fewer slots");
        Self(slot)
    }

    /// Returns the number of the slot, if there is one.
    #[inline]
    pub(super) fn get(self) -> Option<usize> {
        (self.0 != Self::NONE.0).then_some(usize::from(self.0))
    }
}

impl Default for SlotNumber {
    fn default() -> Self {
        Self::NONE
    }
}

/// Where chunks of a template have a text of some kind.
///
/// The bits of the slots that are such a text, and [`ALWAYS`](Self::ALWAYS).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence(u32);

impl Presence {
    /// The template itself contains such a text.
    const ALWAYS: u32 = 1 << 31;

    /// Returns true if a chunk of the template has such a text that isn't empty.
    #[inline]
    pub(super) fn is_in(self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let mut slots = self.0;
        let mut is_in = slots & Self::ALWAYS != 0;
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
                debug_assert!(slot < 31, "a template has fewer slots");
                self.0 |= 1 << slot;
            }
            None => self.add_always(!text.is_empty_value()),
        }
    }

    /// Records that the template itself contains such a text, if `has_text` is true.
    const fn add_always(&mut self, has_text: bool) {
        if has_text {
            self.0 |= Self::ALWAYS;
        }
    }
}

/// The slots that are counts of a usage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageSlots {
    prompt: SlotNumber,
    completion: SlotNumber,
    total: SlotNumber,
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
            *count = SlotNumber::new(slot);
        }
        chunk.has_own_usage().then_some(slots)
    }

    /// Replaces the counts that the slots of a chunk contain; returns false if one isn't digits.
    #[expect(clippy::inline_always, reason = "2 % of `benches/instructions continuous-usage`, tap")]
    #[inline(always)]
    pub(super) fn update(self, tokens: &mut TokenCounts, chunk: &ChatCompletionChunk<'_>) -> bool {
        let update = |slot: SlotNumber, count: &mut Option<u64>| {
            let Some(slot) = slot.get() else { return true };
            let later = chunk.slot_count(slot);
            *count = later.or(*count);
            later.is_some()
        };
        update(self.prompt, &mut tokens.prompt)
            && update(self.completion, &mut tokens.completion)
            && update(self.total, &mut tokens.total)
    }
}

thread_local! {
    /// The plans that depend on the template alone.
    static PLANS: SharedCache<ObservePlan> = const { SharedCache::new() };
}

impl ObservePlan {
    /// Returns the plan for the template of a chunk: the one that this thread has made, or a new one.
    #[cold]
    pub(super) fn of(template: NonZeroU64, chunk: &ChatCompletionChunk<'_>) -> Self {
        SharedCache::get(&PLANS, template).unwrap_or_else(|| {
            let plan = Self::new(chunk);
            if chunk.binds_usual_columns() {
                SharedCache::share(&PLANS, template, plan);
            }
            plan
        })
    }

    /// Makes the plan for the template of a chunk.
    #[cold]
    fn new(chunk: &ChatCompletionChunk<'_>) -> Self {
        let usage = match UsageSlots::from_chunk(chunk) {
            Some(slots) => UsagePlan::Slots(slots),
            None if chunk.usage().is_some() => UsagePlan::Whole,
            None => UsagePlan::Absent,
        };
        let mut plan = Self { usage, ..Self::default() };
        let choices = chunk.choices().len();
        for (slot, node) in chunk.slots() {
            match chunk.field_of(node) {
                Field::ChoiceIndex if choices == 1 => plan.index = SlotNumber::new(slot),
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
        let is_slot = |text: &Value<'_>| chunk.slots().any(|(_, node)| node == text.id);
        let reason = choice.get(choice::FINISH_REASON);
        let reason = reason.filter(|text| is_slot(text) || choice.finish_reason().is_some());
        self.finish.add(chunk, reason);
        self.output.add(chunk, choice.get(choice::TEXT));
        let delta = choice.delta();
        let is = |value: Option<Value<'_>>, kind| {
            value.is_some_and(|value| value.kind() == kind && !value.is_empty_value())
        };
        let is_odd = |value: Option<Value<'_>>| {
            value.is_some_and(|value| value.kind() != ValueKind::String && !value.is_empty_value())
        };
        for name in TextMember::ALL.map(TextMember::as_str) {
            self.output.add(chunk, delta.get(name));
            self.is_incomplete |= is_odd(delta.get(name));
        }
        // A text is lost beside a delta that is empty.
        self.is_incomplete |= choice.get(choice::TEXT).is_some();
        self.is_incomplete |= choice.message().is_some();
        self.is_incomplete |= is(delta.get(delta::FUNCTION_CALL), ValueKind::Object);
        self.output.add_always(is(delta.get(delta::REASONING_DETAILS), ValueKind::Array));
        self.output.add_always(is(delta.get(delta::AUDIO), ValueKind::Object));
        for (name, value) in delta.extra() {
            if origin(Level::Delta, name).is_output() {
                self.output.add(chunk, Some(value));
                self.output.add_always(is_odd(Some(value)));
            }
        }
        for call in delta.tool_calls() {
            self.output.add(chunk, call.get(tool_call::ID));
            self.is_incomplete |=
                call.get(tool_call::CUSTOM).is_some_and(|custom| !custom.is_empty_value());
            let Some(function) = call.get(tool_call::FUNCTION) else { continue };
            self.output.add(chunk, function.get(function::NAME));
            self.output.add(chunk, function.get(function::ARGUMENTS));
            self.output.add_always(is(function.get(function::ARGUMENTS), ValueKind::Object));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::chunk::Level;
    use crate::chunk::schema::rows;
    use crate::completion::Reassembler;
    use crate::decoder::{ChunkDecoder, Templates};
    use crate::gateway::Observer;

    /// Compares an observer with a reassembler, for each member of a choice and of a delta.
    #[test]
    fn each_member_ends_a_stream_as_in_a_completion() {
        let members = [Level::Choice, Level::Delta].into_iter().flat_map(|level| {
            rows(level).iter().map(move |row| (level, row.name)).chain([(level, "unknown")])
        });
        for (level, name) in members {
            for value in ["\"length\"", "\"\"", "7", "null", r#"{"a":1}"#, "[1]"] {
                let member = format!(",\"{name}\":{value}");
                let at = |here| if here == level { member.as_str() } else { "" };
                let templates = Templates::new();
                // The second stream begins with the templates of the first one.
                for text in ["a", "b"] {
                    let event = format!(
                        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"{}}}{}}}]}}\n\n",
                        at(Level::Delta),
                        at(Level::Choice)
                    );
                    let stream = event.repeat(4) + "data: [DONE]\n\n";
                    let mut decoder = ChunkDecoder::new().with_templates(&templates);
                    let (mut observer, mut completion) = (Observer::new(), Reassembler::new());
                    let mut input = stream.as_bytes();
                    while let Some(event) = decoder.next(&mut input) {
                        observer.observe(&event);
                        completion.push_payload(event.payload());
                    }
                    let end = decoder.finish();
                    let finished = completion.finish(end.clone());
                    let report = observer.finish(end);
                    assert_eq!(report.outcome, finished.outcome, "{level:?} {member}");
                    let stored = finished.completion.choices.iter();
                    assert!(
                        stored
                            .map(|choice| &choice.finish_reason)
                            .eq(report.choices.iter().map(|choice| &choice.finish_reason)),
                        "{level:?} {member}"
                    );
                }
            }
        }
    }
}
