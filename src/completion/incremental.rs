//! `MergePlan`: the fields that a chunk with the template of the one before it adds.
//!
//! The first chunk of a template is merged in full. Most members of the next one are literals, and
//! merging them again changes nothing: the first id stays, the last model is the same. A plan lists
//! the rest: slots, and fields whose merge isn't idempotent. They are merged by the functions of the
//! full merge. A chunk with a field that no plan lists is merged in full.

use super::budgets::Budgets;
use super::detail_plan::Detail;
use super::idempotent::{
    are_idempotent, are_listed_logprobs, has_unique_names, is_continuation, is_idempotent,
    names_are_unique,
};
use super::message::{ChoiceTarget, push_reasoning, push_reasoning_texts, push_text, push_texts};
use super::model::ReasoningName;
use super::reassembler::push_logprobs;
use super::shared_plans::{
    Calls, ChoiceIndex, RarePlan, Reasoning, SharedPlan, share_plan, shared_plan,
};
use super::tail::{Newest, OneText};
use super::tail_extras::Indexes;
use super::tool_call::{push_arguments, push_call};
use super::usage_plan::UsagePlan;
use super::{ChatCompletion, CompletionChoice, Reassembler};
use crate::chunk::schema::delta;
use crate::chunk::{
    ChatCompletionChunk, Choice, Delta, Field, Level, Merge, MessageText, TemplateKey, TextMember,
    ToolCallDelta, is_identity, merge,
};
use crate::json::{NodeId, OwnedObject, Value, ValueKind};
use crate::template::LARGEST_EVENT;

/// The most bytes of budget that a byte of a chunk reserves: a member costs more than its text.
const COST: usize = 32;

/// Returns true if there is budget for the usage of a chunk merged in full.
#[inline]
pub(super) fn has_usage_budget(budget: &Budgets, chunk: &ChatCompletionChunk<'_>) -> bool {
    budget.usage.is_free(COST * chunk.json_len())
}

/// The template of the chunk that was merged in full last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MergedTemplate {
    key: Option<TemplateKey>,
    /// The indexes, as bits, of the choices for which it has been merged.
    choices: u64,
}

impl MergedTemplate {
    /// Returns true if the chunk has been merged for the choice with an index.
    pub(super) fn has_choice(&self, index: u64) -> bool {
        self.choices & bit(index) != 0
    }

    /// Returns true if the chunk has this template.
    pub(super) fn is_of(&self, chunk: &ChatCompletionChunk<'_>) -> bool {
        self.key.is_some() && self.key == chunk.template_key()
    }

    /// Stores the template of a chunk that has been merged in full; `choices` are its indexes.
    pub(super) fn add(&mut self, chunk: &ChatCompletionChunk<'_>, choices: u64) {
        let key = chunk.template_key();
        if key != self.key {
            *self = Self { key, choices: 0 };
        }
        self.choices |= choices;
    }
}

/// Returns the bit of an index; 0 if it has none.
#[inline]
pub(super) fn bit(index: u64) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1u64.checked_shl(index)).unwrap_or(0)
}

/// The fields that each chunk of a template adds to the completion of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct MergePlan {
    pub(super) key: Option<TemplateKey>,
    /// The position of the choice in the completion, if there is a choice.
    position: u32,
    pub(super) shared: SharedPlan,
    /// `None` if no plan so far has such fields.
    rare: Option<Box<RarePlan>>,
}

/// The slots in reasoning details.
#[derive(Clone, Copy)]
enum DetailSlots {
    Nothing,
    One(u8, NodeId),
    Several,
}

impl DetailSlots {
    const fn and(self, slot: u8, leaf: NodeId) -> Self {
        match self {
            Self::Nothing => Self::One(slot, leaf),
            Self::One(..) | Self::Several => Self::Several,
        }
    }
}

impl MergePlan {
    /// Makes a plan without slots, in the memory of the plan before.
    fn without_slots(chunk: &ChatCompletionChunk<'_>, before: Self) -> Self {
        let rare = before.reset_rare();
        let choice = chunk.choices().next();
        let literal = |choice: Choice<'_>| ChoiceIndex::literal(choice.index().unwrap_or(0));
        let index = choice.and_then(literal);
        let shared = SharedPlan {
            is_full: chunk.choices().len() > 1
                || choice.is_some() != index.is_some()
                || chunk.lost_choices() > 0
                || chunk.error().is_some()
                || !are_idempotent(Level::Top, chunk.extra())
                || chunk.usage().is_some_and(|usage| !has_unique_names(usage.as_value()))
                || chunk.x_groq().is_some_and(|x_groq| !has_unique_names(x_groq)),
            choice: index,
            ..SharedPlan::default()
        };
        Self { key: chunk.template_key(), shared, rare, ..Self::default() }
    }

    /// Returns the memory for rare fields, which are none.
    fn reset_rare(mut self) -> Option<Box<RarePlan>> {
        if let Some(rare) = &mut self.rare {
            **rare = RarePlan::default();
        }
        self.rare
    }

    /// Returns the plan for the template of a chunk; `usage` is the stored one.
    ///
    /// Reuses the memory of the plan before.
    fn of(chunk: &ChatCompletionChunk<'_>, usage: Option<&OwnedObject>, before: Self) -> Self {
        let Some(key) = chunk.template_key() else { return Self::new(chunk, usage, before) };
        if let Some((shared, rare_fields)) = shared_plan(key.template()) {
            let mut rare = before.reset_rare();
            if let Some(fields) = rare_fields {
                **rare.get_or_insert_default() = fields;
            }
            return Self { key: Some(key), shared, rare, ..Self::default() };
        }
        let plan = Self::new(chunk, usage, before);
        // A number of the usage has a position in the completion.
        let has_usage = chunk.usage_slots().next().is_some();
        if !has_usage && chunk.binds_usual_columns() {
            let rare = plan.rare.as_deref().filter(|rare| !rare.is_empty());
            share_plan(key.template(), (plan.shared, rare.copied()));
        }
        plan
    }

    /// Makes the plan for the template of a chunk; `usage` is the stored one.
    ///
    /// Reuses the memory of the plan before.
    #[cold]
    fn new(chunk: &ChatCompletionChunk<'_>, usage: Option<&OwnedObject>, before: Self) -> Self {
        let mut plan = Self::without_slots(chunk, before);
        let (mut text, mut details) = (None, DetailSlots::Nothing);
        let call = chunk.choices().next().and_then(|choice| choice.delta().tool_calls().next());
        let mut call_index = call.and_then(|call| call.index()).and_then(ChoiceIndex::literal);
        let (mut arguments, mut other_calls) = (None, false);
        for (slot, leaf) in chunk.slots() {
            match chunk.field_of(leaf) {
                Field::Id | Field::Created => plan.shared.has_firsts = true,
                Field::Logprobs => plan.shared.has_logprobs = true,
                // A message beside a role is ignored, else the plan is full.
                Field::Obfuscation | Field::Message => {}
                Field::ChoiceIndex => plan.shared.choice = Some(ChoiceIndex::Slot(slot)),
                Field::Text(TextMember::Content) => plan.shared.content = Some(slot),
                Field::Text(member) => match ReasoningName::of(member) {
                    Some(ReasoningName::Reasoning) if text.is_some() => {}
                    Some(name) => text = Some((slot, name)),
                    None => plan.shared.has_texts = true,
                },
                Field::ReasoningDetail => details = details.and(slot, leaf),
                Field::CallIndex => call_index = Some(ChoiceIndex::Slot(slot)),
                Field::Arguments if chunk.value_at(leaf).kind() == ValueKind::String => {
                    arguments = Some(slot);
                }
                Field::Arguments => other_calls = true,
                Field::ToolCalls => other_calls = true,
                Field::Usage => {
                    let plan_of_usage = &mut plan.rare_mut().usage;
                    plan.shared.is_full |= !plan_of_usage.add(slot, chunk.value_at(leaf), usage);
                }
                Field::DeltaMember => {
                    plan.shared.is_full |= !plan.add_member_text(chunk.value_at(leaf));
                }
                Field::Other => plan.shared.is_full = true,
            }
        }
        for choice in chunk.choices() {
            plan.add(&choice);
            let (reasoning, detail) = Reasoning::new(&choice.delta(), text, details);
            plan.shared.reasoning = reasoning;
            if detail.is_some() {
                plan.rare_mut().detail = detail;
            }
        }
        if plan.shared.has_texts {
            plan.shared.content = None;
        }
        let calls = Calls::new(call, arguments.filter(|_| !other_calls), call_index);
        let has_calls = !matches!(calls, Calls::Nothing);
        plan.shared.calls = calls;
        plan.shared.only_text = plan.only_text();
        plan.shared.has_more = plan.shared.has_texts
            || plan.shared.merges_reasoning()
            || has_calls
            || plan.member_texts().next().is_some();
        plan
    }

    /// Adds the text of a delta member in a slot; returns false if it isn't a text that is joined.
    fn add_member_text(&mut self, leaf: Value<'_>) -> bool {
        let name = leaf.document.name_of(leaf.id);
        let is_joined = match merge(Level::Delta, name) {
            Merge::Concat => true,
            Merge::Accumulate => !is_identity(name),
            _ => false,
        };
        let free = self.rare_mut().member_texts.iter_mut().find(|text| text.is_none());
        match free {
            Some(text) if is_joined && leaf.kind() == ValueKind::String => *text = Some(leaf.id),
            _ => return false,
        }
        true
    }

    fn rare_mut(&mut self) -> &mut RarePlan {
        self.rare.get_or_insert_default()
    }

    /// Returns the reasoning detail whose text the plan merges.
    pub(super) fn detail(&self) -> Option<&Detail> {
        self.rare.as_ref()?.detail.as_ref()
    }

    fn member_texts(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        self.rare.iter().flat_map(|rare| rare.member_texts).flatten()
    }

    fn add(&mut self, choice: &Choice<'_>) {
        let delta = choice.delta();
        let has = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let mut plain = TextMember::ALL.into_iter().filter(|member| member.is_plain());
        self.shared.has_texts |= self.shared.content.is_none() && has(delta.content())
            || plain.any(|member| has(delta.text(member)));
        self.shared.is_full |= !delta.has_only_strings()
            || delta.has_lost_member()
            || choice.finish_reason().is_some()
            || choice.logprobs().is_some_and(|logprobs| !are_listed_logprobs(logprobs.as_value()))
            || choice.has_invalid_index()
            || choice.has_text()
            || choice.message().is_some_and(|message| !message.is_null()) && !has(delta.role())
            || delta.function_call().is_some()
            || delta.audio().is_some()
            || !are_idempotent(Level::Choice, choice.extra())
            || !names_are_unique(|| delta.extra().map(|(name, _)| name))
            || !delta.extra().all(|(name, value)| {
                self.member_texts().any(|text| text == value.id)
                    || is_idempotent(Level::Delta, name, value)
            });
    }

    /// Returns the slot of the only text that the chunk adds.
    ///
    /// It may add usage besides, and the same text in a reasoning detail.
    fn only_text(&self) -> Option<(u8, OneText)> {
        let has_more = self.member_texts().next().is_some();
        let has_more = has_more || self.shared.has_texts || self.shared.has_logprobs;
        if has_more || self.shared.choice.is_none() {
            return None;
        }
        match (self.shared.content, self.shared.reasoning, self.shared.calls) {
            (Some(slot), Reasoning::Nothing, Calls::Nothing) => {
                Some((slot, OneText::Of(MessageText::Content)))
            }
            (None, Reasoning::Slots { text: Some((slot, _)) }, Calls::Nothing) => {
                Some((slot, OneText::Of(MessageText::Reasoning)))
            }
            (None, Reasoning::Nothing, Calls::Arguments { slot, .. }) => {
                Some((slot, OneText::Arguments))
            }
            _ => None,
        }
    }

    /// Returns true if the index of the choice, or of its call, is in a slot.
    pub(super) const fn has_index_slot(&self) -> bool {
        matches!(self.shared.choice, Some(ChoiceIndex::Slot(_)))
            || matches!(self.shared.calls, Calls::Arguments { index: ChoiceIndex::Slot(_), .. })
    }

    /// Returns the plan of the usage, if it has numbers in slots.
    #[inline]
    pub(super) fn usage(&self) -> Option<&UsagePlan> {
        Some(&self.rare.as_ref()?.usage).filter(|usage| usage.has_some())
    }

    /// Returns the indexes of the choice of a chunk, and of its call with arguments.
    #[inline]
    pub(super) fn indexes(&self, chunk: &ChatCompletionChunk<'_>) -> Option<Indexes> {
        let call = match self.shared.calls {
            Calls::Arguments { index, .. } => index.resolve(chunk)?,
            Calls::Nothing | Calls::Everything => 0,
        };
        Indexes::new(self.shared.choice?.resolve(chunk)?, call)
    }

    /// Replaces the numbers of the usage.
    #[inline]
    pub(super) fn push_usage(
        &self,
        completion: &mut ChatCompletion,
        chunk: &ChatCompletionChunk<'_>,
        budget: &mut Budgets,
    ) {
        if let Some(plan) = self.usage()
            && let Some(usage) = &mut completion.usage
        {
            plan.push(usage, chunk, &mut budget.usage);
        }
    }

    /// Merges the fields of the choice besides its content.
    fn push_rest(&mut self, target: &mut ChoiceTarget<'_>, chunk: &ChatCompletionChunk<'_>) {
        let Some(choice) = chunk.choices().next() else { return };
        let delta = choice.delta();
        if self.shared.has_texts {
            push_texts(target, &delta);
        }
        match self.shared.reasoning {
            Reasoning::Nothing => {}
            Reasoning::Slots { text } => {
                let text =
                    text.and_then(|(slot, name)| Some((chunk.slot_text(slot.into())?, name)));
                push_reasoning_texts(target, &delta, text);
                if let Some(detail) = self.rare.as_mut().and_then(|rare| rare.detail.as_mut()) {
                    detail.push(target, chunk);
                }
            }
            Reasoning::Everything => push_reasoning(target, &delta),
        }
        if let Some(rare) = &self.rare {
            for text in rare.member_texts.into_iter().flatten() {
                let value = chunk.value_at(text);
                let name = value.document.name_of(text);
                target.budget.keep(&mut target.message.extra, Level::Delta, name, value);
            }
        }
        let everything = match self.shared.calls {
            Calls::Nothing => false,
            Calls::Everything => true,
            Calls::Arguments { slot, index } => {
                let value = || delta.tool_calls().next()?.arguments_value();
                let index = index.resolve(chunk);
                let push = |text: &str| push_arguments(target, index, text, value);
                let pushed = chunk.with_slot_text(slot.into(), push);
                debug_assert!(pushed.is_some(), "the slot of arguments is a string");
                pushed != Some(true)
            }
        };
        if everything {
            delta.tool_calls().for_each(|call| push_call(target, &call));
        }
    }
}

impl Calls {
    /// Returns the calls of a chunk: the first one, the slot of its arguments and its index.
    fn new(call: Option<ToolCallDelta<'_>>, slot: Option<u8>, index: Option<ChoiceIndex>) -> Self {
        match (call, slot, index) {
            (None, ..) => Self::Nothing,
            (Some(call), Some(slot), Some(index)) if is_continuation(&call) => {
                Self::Arguments { slot, index }
            }
            _ => Self::Everything,
        }
    }
}

impl Reasoning {
    /// Returns the reasoning that a delta adds, and its detail; `text` and `details` are the slots.
    fn new(
        delta: &Delta<'_>,
        text: Option<(u8, ReasoningName)>,
        details: DetailSlots,
    ) -> (Self, Option<Detail>) {
        let has_one_text = delta.reasoning().is_none() || delta.reasoning_content().is_none();
        let has_text = delta.reasoning().or(delta.reasoning_content()).is_some();
        let mut elements = delta.reasoning_details().into_iter().flat_map(|list| list.elements());
        match (elements.next(), elements.next(), details) {
            (None, None, DetailSlots::Nothing) if !has_text => (Self::Nothing, None),
            (None, None, DetailSlots::Nothing) if has_one_text && text.is_some() => {
                (Self::Slots { text }, None)
            }
            (Some(element), None, DetailSlots::One(slot, leaf))
                if has_one_text && has_text == text.is_some() =>
            {
                match Detail::new(element, slot, leaf) {
                    Some(detail) => (Self::Slots { text }, Some(detail)),
                    None => (Self::Everything, None),
                }
            }
            _ => (Self::Everything, None),
        }
    }
}

impl Reassembler {
    /// Makes the plan that of a chunk.
    fn make_plan(&mut self, chunk: &ChatCompletionChunk<'_>) {
        if self.plan.key != chunk.template_key() {
            let before = core::mem::take(&mut self.plan);
            self.plan = MergePlan::of(chunk, self.completion.usage.as_ref(), before);
        }
    }

    /// Returns true if a chunk needs no full merge, unless it has a field that no plan lists.
    ///
    /// The chunk merged in full before has the same template, or the completion has the literals.
    pub(super) fn is_begun(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        if self.merged.is_of(chunk) {
            return true;
        }
        let Some(key) = chunk.template_key().filter(|_| self.merged.key.is_some()) else {
            return false;
        };
        // Making a plan costs half of a full merge, so one that no stream shares isn't made.
        if shared_plan(key.template()).is_none() {
            return false;
        }
        self.make_plan(chunk);
        let index = self.plan.shared.choice.and_then(|index| index.resolve(chunk));
        let is_begun = !self.plan.shared.is_full && self.has_literals(chunk, index);
        if is_begun {
            self.merged.add(chunk, index.map_or(0, bit));
        }
        is_begun
    }

    /// Merges a chunk by the plan of its template; returns false if it needs the full merge.
    ///
    /// [`is_begun`](Self::is_begun) must have returned true for the chunk.
    #[inline]
    pub(super) fn push_incremental(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        self.make_plan(chunk);
        let may_merge =
            self.has_budget(chunk) && (!self.plan.shared.has_firsts || self.has_firsts());
        may_merge && !self.plan.shared.is_full && self.push_planned(chunk)
    }

    #[inline]
    fn push_planned(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Self {
            completion, states, budget, newest: Newest { changes, .. }, merged, plan, ..
        } = self;
        let mut merged_choice = None;
        if let Some(index) = plan.shared.choice {
            let Some(index) = index.resolve(chunk) else { return false };
            if !merged.has_choice(index) {
                return false;
            }
            let has_index = |stored: &CompletionChoice| stored.index == index;
            let mut position = plan.position as usize;
            if !completion.choices.get(position).is_some_and(has_index) {
                let Some(found) = completion.choices.iter().position(has_index) else {
                    return false;
                };
                position = found;
                plan.position = u32::try_from(found).unwrap_or(u32::MAX);
            }
            let (Some(stored), Some(state)) =
                (completion.choices.get_mut(position), states.get_mut(position))
            else {
                return false;
            };
            if plan.shared.has_logprobs
                && let Some(logprobs) = chunk.choices().next().and_then(|choice| choice.logprobs())
            {
                let lists = || logprobs.as_value().members().filter(|(_, list)| list.is_unread());
                push_logprobs(stored, lists, budget);
            }
            let message = &mut stored.message;
            let mut target = ChoiceTarget { choice: position, message, state, budget, changes };
            let content = || chunk.choices().next()?.delta().get(delta::CONTENT);
            if let Some(slot) = plan.shared.content {
                let push = |text: &str| push_text(&mut target, MessageText::Content, text, content);
                chunk.with_slot_text(slot.into(), push);
            }
            if plan.shared.has_more {
                plan.push_rest(&mut target, chunk);
            }
            merged_choice = Some(position);
        }
        plan.push_usage(completion, chunk, budget);
        if let Some(choice) = merged_choice {
            self.plan_tail(chunk, choice);
        }
        true
    }

    /// Returns true if nothing was left out, and there is budget for the chunk merged in full.
    #[inline]
    fn has_budget(&self, chunk: &ChatCompletionChunk<'_>) -> bool {
        self.budget.texts.is_free(COST * LARGEST_EVENT)
            && (self.completion.usage.is_none() || has_usage_budget(&self.budget, chunk))
    }

    /// Returns true if the completion has an id and a time, of which the first ones count.
    fn has_firsts(&self) -> bool {
        let ChatCompletion { id, created, .. } = &self.completion;
        id.is_some() && created.is_some_and(|created| created != 0)
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::{Calls, ChoiceIndex, RarePlan, Reasoning, Reassembler};
    use crate::chunk::ChatCompletionChunk;
    use crate::chunk::TextMember;
    use crate::decoder::{ChunkDecoder, ChunkEvent, Payload};

    /// How much of a chunk was added.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Added {
        Whole,
        Changed,
        /// One text, and numbers of the usage.
        Text,
    }

    /// Pushes a chunk as [`Reassembler::push`] does; returns the merge that it took.
    fn push(completion: &mut Reassembler, chunk: &ChatCompletionChunk<'_>) -> Added {
        if completion.push_one_text(chunk) {
            return Added::Text;
        }
        completion.begin_push();
        if completion.is_begun(chunk) && completion.push_incremental(chunk) {
            return Added::Changed;
        }
        let choices = completion.push_full(chunk);
        completion.merged.add(chunk, choices);
        completion.end_push();
        Added::Whole
    }

    /// Returns the merge of the last of ten events, with a number for `#`, and 0 and 1 for `%`.
    fn last_of(event: &str) -> (Added, Reassembler) {
        let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
        let mut added = Added::Whole;
        for number in 10..20 {
            let json = event.replace('#', &number.to_string());
            let stream = format!("data: {}\n\n", json.replace('%', &(number % 2).to_string()));
            let event = decoder.next(&mut stream.as_bytes());
            let Some(Payload::Chunk(chunk)) = event.as_ref().map(ChunkEvent::payload) else {
                panic!("{stream}");
            };
            added = push(&mut completion, chunk);
        }
        (added, completion)
    }

    fn rare(completion: &Reassembler) -> RarePlan {
        completion.plan.rare.as_deref().copied().unwrap_or_default()
    }

    fn delta(delta: &str) -> String {
        format!(r#"{{"id":"c","created":5,"choices":[{{"index":0,"delta":{{{delta}}}}}]}}"#)
    }

    /// Merges only the slots of streams that servers send.
    #[test]
    fn a_chunk_of_a_plan_adds_its_slots_only() {
        for (event, expected) in [
            (delta(r#""content":"c#""#), Added::Text),
            (delta(r#""role":"assistant","content":"c#","refusal":null"#), Added::Text),
            (delta(r#""content":"","reasoning_content":"r#""#), Added::Text),
            (delta(r#""reasoning":"r#""#), Added::Text),
            (delta(r#""reasoning_text":"r#""#), Added::Changed),
            (delta(r#""content":"c#","thinking":"t#""#), Added::Changed),
            (delta(r#""content":"c#","tool_calls":[],"annotations":[],"x":1"#), Added::Text),
            (delta(r#""content":"c#","x":{"y":null,"z":[]}"#), Added::Text),
            (delta(r#""content":"c#","x":{"y":{"z":1}}"#), Added::Whole),
            (
                delta(r#""role":"assistant","content":"c#""#)
                    .replace("}]}", r#","message":{"content":"c#"}}]}"#),
                Added::Text,
            ),
            (
                delta(r#""content":"c#""#).replace("}]}", r#","message":{"content":"c#"}}]}"#),
                Added::Whole,
            ),
            (
                r#"{"id":"c","provider":"p","choices":[{"delta":{"content":"c#"},"logprobs":{"content":[]},"token_ids":[],"native_finish_reason":null}]}"#
                    .to_owned(),
                Added::Text,
            ),
            (r#"{"choices":[{"delta":{"content":"c#"},"logprobs":null}]}"#.to_owned(), Added::Text),
            (delta(r#""content":"c#","reasoning":"r#""#), Added::Changed),
            (delta(r#""content":"c#","refusal":"r#""#), Added::Changed),
            (
                r#"{"id":"c#","created":#,"choices":[{"delta":{"content":"c#"}}]}"#.to_owned(),
                Added::Text,
            ),
            (
                r#"{"id":"c","choices":[{"index":%,"delta":{"content":"c#"}}]}"#.to_owned(),
                Added::Text,
            ),
            (
                r#"{"choices":[{"delta":{"content":"c#"}}],"usage":{"prompt_tokens":5,"completion_tokens":#,"prompt_tokens_details":{"cached_tokens":0}}}"#
                    .to_owned(),
                Added::Text,
            ),
            // Chunks that no plan lists in full.
            (
                r#"{"id":"c","choices":[{"index":0,"delta":{"content":"c#"}},{"index":1,"delta":{"content":"d#"}}]}"#
                    .to_owned(),
                Added::Whole,
            ),
            (
                r#"{"choices":[{"index":4294967296,"delta":{"content":"c#"}}]}"#.to_owned(),
                Added::Whole,
            ),
            (r#"{"choices":[5,{"index":0,"delta":{"content":"c#"}}]}"#.to_owned(), Added::Whole),
            (
                r#"{"choices":[{"delta":{"content":"c#"}}],"usage":{"x":1,"x":2}}"#.to_owned(),
                Added::Whole,
            ),
            (
                r#"{"choices":[{"delta":{"content":"c#"}}],"x_groq":{"x":1,"x":2}}"#.to_owned(),
                Added::Whole,
            ),
        ] {
            assert_eq!(last_of(&event).0, expected, "{event}");
        }
    }

    /// Tests that no text with a column needs the full merge.
    #[test]
    fn each_text_of_the_schema_is_merged_by_a_plan() {
        for name in TextMember::ALL.map(TextMember::as_str) {
            let (added, _) = last_of(&delta(&format!(r#""{name}":"t#""#)));
            assert_ne!(added, Added::Whole, "{name}");
        }
    }

    /// A detail's text and a call's arguments, without the rest of the detail or the call.
    #[test]
    fn details_and_calls_of_a_plan_are_continued() {
        let (added, completion) = last_of(&delta(
            r#""reasoning":"r#","reasoning_details":[{"type":"t","text":"r#","index":0,"signature":null}]"#,
        ));
        assert_eq!(added, Added::Text);
        let Reasoning::Slots { text: Some(_) } = completion.plan.shared.reasoning else {
            panic!("{:?}", completion.plan);
        };
        assert!(rare(&completion).detail.is_some());
        let (added, completion) = last_of(&delta(
            r#""tool_calls":[{"index":0,"function":{"arguments":"a#","x":1},"y":null}]"#,
        ));
        assert_eq!(added, Added::Text);
        let Calls::Arguments { index: ChoiceIndex::Literal(0), .. } = completion.plan.shared.calls
        else {
            panic!("{:?}", completion.plan);
        };
        let (added, completion) =
            last_of(&delta(r#""tool_calls":[{"index":%,"function":{"arguments":"a#"}}]"#));
        assert_eq!(added, Added::Changed);
        let Calls::Arguments { index: ChoiceIndex::Slot(_), .. } = completion.plan.shared.calls
        else {
            panic!("{:?}", completion.plan);
        };
    }
}
