//! `MergePlan`: what there is to do for a chunk that has the constants of the one before it.
//!
//! Most of a chunk has been said before, and saying it twice changes nothing: the first id stays
//! the first, the last model is the same. What is left are the leaves that differ, and texts, which
//! are added each time.

use super::change::Change;
use super::list::{ElementKey, Matching};
use super::message::{ChoiceTarget, push_content, push_reasoning, push_reasoning_text, push_texts};
use super::model::ReasoningName;
use super::room::Room;
use super::tool_call::{push_arguments, push_call};
use super::{ChatCompletion, CompletionChoice, Message, Reassembler};
use crate::chunk::schema::{delta, reasoning_detail};
use crate::chunk::{
    ChatCompletionChunk, Choice, Delta, Extra, Field, Level, Merge, ToolCallDelta, is_identity,
    merge,
};
use crate::json::{Json, JsonList, JsonObject, NodeId, Value, ValueKind};
use crate::template::LARGEST_EVENT;

/// More leaves than a chunk can have that have changed.
const MOST_CHANGED: usize = 16;

/// Room that a byte of a chunk may take at most: a member costs more than its text.
const COST: usize = 32;

/// What the last chunk has in common with others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Constants {
    /// The number of its constants, or 0.
    pub(super) number: u64,
    /// The indexes, as bits, of the choices for which they have been pushed since.
    choices: u64,
}

impl Constants {
    /// Takes note of a chunk that has been pushed as a whole.
    pub(super) fn add(&mut self, chunk: &ChatCompletionChunk<'_>) {
        let number = chunk.template_id();
        if number != self.number {
            *self = Self { number, choices: 0 };
        }
        if number == 0 {
            return;
        }
        for choice in chunk.choices() {
            self.choices |= bit(choice.index().unwrap_or(0));
        }
    }
}

/// The bit of an index; 0 if there is none.
#[inline]
fn bit(index: u64) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1u64.checked_shl(index)).unwrap_or(0)
}

/// What to do again for each chunk of the same constants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MergePlan {
    /// The number of the constants, and how many leaves had changed: more may change later.
    of: (u64, usize),
    /// There is more than is listed here: a whole push it is.
    is_all: bool,
    /// An id or a time has changed, of which the first counts.
    firsts: bool,
    /// The index of the choice, if there is one; and where it was found last.
    choice: Option<Index>,
    at: usize,
    /// Which of the changed leaves is the content.
    content: Option<usize>,
    /// The choice has something besides: texts that aren't the changed content, reasoning, calls.
    more: bool,
    texts: bool,
    reasoning: Reasoning,
    calls: Calls,
    usage: ChangedUsage,
}

/// Which of the changed leaves are numbers of the usage, and each one's place among the members that
/// are kept.
#[derive(Clone, Copy, Debug, Default)]
struct ChangedUsage {
    places: [Option<u8>; MOST_CHANGED],
    has_some: bool,
}

/// Chunks in which nothing differs but one text, as most do: where it is, and where it goes. The text so
/// far doesn't end in half a surrogate pair, and what is added doesn't either: it would be a leniency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SingleTextPlan {
    /// As [`MergePlan::of`].
    of: (u64, usize),
    nth: usize,
    /// Position of the choice.
    at: usize,
    /// It is the reasoning, not the content.
    is_reasoning: bool,
}

/// An index: the same in all chunks, or one of the leaves that have changed.
#[derive(Clone, Copy, Debug)]
enum Index {
    Constant(u64),
    Changed(usize),
}

impl Index {
    #[inline]
    fn of(self, chunk: &ChatCompletionChunk<'_>) -> Option<u64> {
        match self {
            Self::Constant(index) => Some(index),
            Self::Changed(nth) => chunk.slot_count(nth),
        }
    }
}

/// What to do for reasoning.
#[derive(Clone, Copy, Debug, Default)]
enum Reasoning {
    #[default]
    Nothing,
    /// One changed text, or one changed text in the only one of the details, or both.
    Changed {
        text: Option<(usize, ReasoningName)>,
        detail: Option<Detail>,
    },
    Everything,
}

/// The changed leaves in reasoning details.
#[derive(Clone, Copy)]
enum ChangedDetails {
    Nothing,
    One(NodeId),
    Several,
}

impl ChangedDetails {
    const fn and(self, leaf: NodeId) -> Self {
        match self {
            Self::Nothing => Self::One(leaf),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// What to do for tool calls.
#[derive(Clone, Copy, Debug, Default)]
enum Calls {
    #[default]
    Nothing,
    /// The arguments of the only call have changed.
    Arguments {
        nth: usize,
        index: Index,
    },
    Everything,
}

/// A detail whose text has changed, by its leaves; and where it was found last: of which choice, which of
/// the details that are kept, and which member of it.
#[derive(Clone, Copy, Debug)]
struct Detail {
    text: NodeId,
    index: NodeId,
    r#type: Option<NodeId>,
    id: Option<NodeId>,
    found: Option<(usize, usize, usize)>,
}

impl MergePlan {
    /// `usage` is what is kept of it so far.
    #[cold]
    fn new(chunk: &ChatCompletionChunk<'_>, usage: Option<&JsonObject>) -> Self {
        let index = |choice: Choice<'_>| Index::Constant(choice.index().unwrap_or(0));
        let mut again = Self {
            of: of(chunk),
            is_all: chunk.choices().len() > 1 || chunk.error().is_some(),
            choice: chunk.choices().next().map(index),
            ..Self::default()
        };
        let (mut text, mut details) = (None, ChangedDetails::Nothing);
        let call = chunk.choices().next().and_then(|choice| choice.delta().tool_calls().next());
        let mut call_index = call.and_then(|call| call.index()).map(Index::Constant);
        let (mut arguments, mut other_calls) = (None, false);
        for (nth, leaf) in chunk.slots().enumerate() {
            match chunk.field_of(leaf) {
                Field::Id | Field::Created => again.firsts = true,
                Field::Obfuscation => {}
                Field::ChoiceIndex => again.choice = Some(Index::Changed(nth)),
                Field::Content => again.content = Some(nth),
                Field::Refusal => again.texts = true,
                Field::Reasoning => text = text.or(Some((nth, ReasoningName::Reasoning))),
                Field::ReasoningContent => text = Some((nth, ReasoningName::ReasoningContent)),
                Field::ReasoningDetail => details = details.and(leaf),
                Field::CallIndex => call_index = Some(Index::Changed(nth)),
                Field::Arguments => arguments = Some(nth),
                Field::ToolCalls => other_calls = true,
                Field::Usage => again.is_all |= !again.usage.add(nth, chunk.value_at(leaf), usage),
                Field::Other => again.is_all = true,
            }
        }
        again.is_all |= !are_idempotent(Level::Top, chunk.extra());
        again.is_all |= chunk.usage().is_some_and(|usage| !all_differ(usage.as_value()));
        again.is_all |= chunk.x_groq().is_some_and(|x_groq| !all_differ(x_groq));
        for choice in chunk.choices() {
            again.add(&choice);
            again.reasoning = Reasoning::of(&choice.delta(), text, details);
        }
        if again.texts {
            again.content = None;
        }
        let has_reasoning = !matches!(again.reasoning, Reasoning::Nothing);
        again.calls = match (call, arguments, call_index) {
            (None, ..) => Calls::Nothing,
            (Some(call), Some(nth), Some(index)) if !other_calls && is_continuation(&call) => {
                Calls::Arguments { nth, index }
            }
            _ => Calls::Everything,
        };
        again.more = again.texts || has_reasoning || !matches!(again.calls, Calls::Nothing);
        again
    }

    fn add(&mut self, choice: &Choice<'_>) {
        let delta = choice.delta();
        let has = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        self.texts |= self.content.is_none() && has(delta.content()) || has(delta.refusal());
        self.is_all |= delta.odd_content().is_some()
            || delta.odd_refusal().is_some()
            || delta.odd_reasoning().iter().any(Option::is_some)
            || delta.has_lost_member()
            || choice.finish_reason().is_some()
            || choice.logprobs().is_some_and(|logprobs| !adds_nothing(logprobs.as_value()))
            || choice.has_invalid_index()
            || choice.message().is_some_and(|message| !message.is_null())
            || delta.content_parts().is_some()
            || delta.function_call().is_some()
            || delta.audio().is_some()
            || !are_idempotent(Level::Choice, choice.extra())
            || !are_idempotent(Level::Delta, delta.extra());
    }

    /// What there is to do if only one text of the choice has changed: nothing, where half a
    /// surrogate pair is pending.
    #[inline]
    fn text_only(&self, target: &ChoiceTarget<'_>) -> Option<SingleTextPlan> {
        if self.usage.has_some || self.texts || !matches!(self.choice, Some(Index::Constant(_))) {
            return None;
        }
        let (nth, is_reasoning, cut) = match (self.content, self.reasoning, self.calls) {
            (Some(nth), Reasoning::Nothing, Calls::Nothing) => (nth, false, target.state.content),
            (None, Reasoning::Changed { text: Some((nth, _)), detail: None }, Calls::Nothing) => {
                (nth, true, target.state.reasoning)
            }
            _ => return None,
        };
        if cut.may_join("") {
            return Some(SingleTextPlan::default());
        }
        Some(SingleTextPlan { of: self.of, nth, at: target.choice, is_reasoning })
    }

    /// Adds what the choice has besides its content.
    fn push_rest(&mut self, target: &mut ChoiceTarget<'_>, chunk: &ChatCompletionChunk<'_>) {
        let Some(choice) = chunk.choices().next() else { return };
        let delta = choice.delta();
        if self.texts {
            push_texts(target, &delta);
        }
        match &mut self.reasoning {
            Reasoning::Nothing => {}
            Reasoning::Changed { text, detail } => {
                let text = text.and_then(|(nth, name)| Some((chunk.slot_text(nth)?, name)));
                let start = text.and_then(|text| push_reasoning_text(target, &delta, text));
                if let Some(detail) = detail {
                    detail.push(target, chunk);
                }
                let choice = target.choice;
                target.changes.extend(start.map(|start| Change::Reasoning { choice, start }));
            }
            Reasoning::Everything => push_reasoning(target, &delta),
        }
        let everything = match self.calls {
            Calls::Nothing => false,
            Calls::Everything => true,
            Calls::Arguments { nth, index } => {
                let text = chunk.slot_text(nth).unwrap_or_default();
                !push_arguments(target, index.of(chunk), text)
            }
        };
        if everything {
            delta.tool_calls().for_each(|call| push_call(target, &call));
        }
    }
}

impl Reasoning {
    /// What to do for the reasoning of a delta, of which `text` and the leaves `details` have
    /// changed.
    fn of(
        delta: &Delta<'_>,
        text: Option<(usize, ReasoningName)>,
        details: ChangedDetails,
    ) -> Self {
        let has_one_text = delta.reasoning().is_none() || delta.reasoning_content().is_none();
        let has_text = delta.reasoning().or(delta.reasoning_content()).is_some();
        let mut elements = delta.reasoning_details().into_iter().flat_map(|list| list.elements());
        match (elements.next(), elements.next(), details) {
            (None, None, ChangedDetails::Nothing) if !has_text => Self::Nothing,
            (None, None, ChangedDetails::Nothing) if has_one_text && text.is_some() => {
                Self::Changed { text, detail: None }
            }
            (Some(element), None, ChangedDetails::One(leaf))
                if has_one_text && has_text == text.is_some() =>
            {
                match Detail::of(element, leaf) {
                    Some(detail) => Self::Changed { text, detail: Some(detail) },
                    None => Self::Everything,
                }
            }
            _ => Self::Everything,
        }
    }
}

impl ChangedUsage {
    /// Adds the `nth` of the changed leaves; only if it is a number that is kept.
    fn add(&mut self, nth: usize, leaf: Value<'_>, usage: Option<&JsonObject>) -> bool {
        let name = leaf.document.name_of(leaf.id);
        let is_number = leaf.kind() == ValueKind::Number;
        let is_it = |(known, kept): (&str, &Json)| known == name && kept.as_text().is_some();
        let at = usage.and_then(|usage| usage.iter().position(is_it));
        let at = at.filter(|_| is_number).and_then(|at| u8::try_from(at).ok());
        let (Some(place), true) = (self.places.get_mut(nth), at.is_some()) else { return false };
        *place = at;
        self.has_some = true;
        true
    }
}

impl Detail {
    /// Of an element in which a leaf has changed; if that is a text which is joined, and the others
    /// stay as they are.
    fn of(element: Value<'_>, leaf: NodeId) -> Option<Self> {
        let is_idempotent =
            |(name, value): (&str, Value<'_>)| match merge(Level::ReasoningDetail, name) {
                Merge::Concat => value.id == leaf || value.is_empty_value(),
                _ => value.id != leaf && is_idempotent(Level::ReasoningDetail, name, value),
            };
        let is_member = element.members().any(|(_, value)| value.id == leaf);
        let index = element
            .get(reasoning_detail::INDEX)
            .filter(|index| index.kind() == ValueKind::Number)?;
        let [r#type, id] = [reasoning_detail::TYPE, reasoning_detail::ID]
            .map(|name| element.get(name).map(|value| value.id));
        let detail = Self { text: leaf, index: index.id, r#type, id, found: None };
        (is_member && element.members().all(is_idempotent)).then_some(detail)
    }

    /// Its index and type are constants, so it is the same detail of a choice each time.
    fn push(&mut self, target: &mut ChoiceTarget<'_>, chunk: &ChatCompletionChunk<'_>) {
        let ChoiceTarget { choice, message, budget, .. } = target;
        let (kept, room) = (&mut message.reasoning_details, &mut budget.room);
        let text = chunk.value_at(self.text);
        let is_known = self.found.is_some_and(|(found, at, nth)| {
            found == *choice
                && kept.last_at(at).is_some_and(|kept| kept.concat_nth(nth, text, room))
        });
        if !is_known {
            let found = self.find(kept, chunk, room);
            self.found = found.map(|(at, nth)| (*choice, at, nth));
        }
    }

    /// Adds the text; gives which detail and member it is of.
    #[cold]
    fn find(
        &self,
        kept: &mut JsonList,
        chunk: &ChatCompletionChunk<'_>,
        room: &mut Room,
    ) -> Option<(usize, usize)> {
        let value = |id: Option<NodeId>| id.map(|id| chunk.value_at(id));
        let key = ElementKey::new(chunk.value_at(self.index), value(self.r#type), value(self.id));
        let at = kept.place(key, Matching::Detail, room)?;
        let kept = kept.at(at)?;
        let name = chunk.value_at(self.text - 1).as_str().unwrap_or_default();
        kept.concat(name, chunk.value_at(self.text), room);
        Some((at, kept.position(name)?))
    }
}

/// What a list of things to do belongs to.
#[inline]
fn of(chunk: &ChatCompletionChunk<'_>) -> (u64, usize) {
    (chunk.template_id(), chunk.slots().len())
}

/// Whether a part of a tool call only goes on with it.
fn is_continuation(call: &ToolCallDelta<'_>) -> bool {
    let is_empty = |text: Option<&str>| text.is_none_or(str::is_empty);
    call.index().is_some()
        && is_empty(call.id_text())
        && is_empty(call.name_text())
        && are_idempotent(Level::ToolCall, call.extra())
        && are_idempotent(Level::Function, call.function_extra())
}

/// Whether members stay as they are when they come once more, and take no room for a while either.
fn are_idempotent(level: Level, extra: Extra<'_>) -> bool {
    names_are_unique(|| extra.clone().map(|(name, _)| name))
        && extra.clone().all(|(name, value)| is_idempotent(level, name, value))
}

/// Returns true if a member changes nothing when it is sent once more.
fn is_idempotent(level: Level, name: &str, value: Value<'_>) -> bool {
    value.is_empty_value()
        || match merge(level, name) {
            Merge::Ignore => true,
            Merge::KeepFirst | Merge::Replace | Merge::Object | Merge::FilterResults => {
                all_differ(value)
            }
            Merge::Accumulate => match value.kind() {
                ValueKind::String => is_identity(name),
                ValueKind::Array | ValueKind::Object => false,
                _ => true,
            },
            _ => false,
        }
}

/// Whether the lists are empty. Some servers say with each chunk that it has no logprobs.
fn adds_nothing(logprobs: Value<'_>) -> bool {
    all_differ(logprobs) && logprobs.members().all(|(_, list)| list.elements().next().is_none())
}

/// Whether no object in a value has a name twice. Else what a member has in the end isn't all that it
/// brings.
fn all_differ(value: Value<'_>) -> bool {
    let Value { document, id, .. } = value;
    (id..document.behind(id))
        .all(|id| names_are_unique(|| document.members(id).map(|member| member.name)))
}

/// Whether these are few, and none of them comes twice.
fn names_are_unique<N: PartialEq, I: Iterator<Item = N>>(names: impl Fn() -> I) -> bool {
    const MOST: usize = 32;
    let is_first = |(at, name): (usize, N)| names().take(at).all(|earlier| earlier != name);
    names().nth(MOST).is_none() && names().enumerate().all(is_first)
}

impl Reassembler {
    /// Adds a chunk that has the constants of the one before it, if that is less than adding all
    /// of it.
    #[inline]
    pub(super) fn push_incremental(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        if self.again.of != of(chunk) {
            self.again = MergePlan::new(chunk, self.completion.usage.as_ref());
        }
        let is_settled = self.has_room(chunk) && (!self.again.firsts || self.has_firsts());
        is_settled && !self.again.is_all && self.push_changed(chunk)
    }

    /// Adds a chunk of the constants of the one before it in which only one text differs.
    #[inline]
    pub(super) fn push_single_text(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let SingleTextPlan { of: known, nth, at, is_reasoning } = self.text_only;
        let Self { completion, budget, changes, .. } = self;
        // Nothing but the text takes room. Once something was left out, anything may find some now.
        if known != of(chunk) || budget.room.exceeded().is_some() {
            return false;
        }
        let Some(kept) = completion.choices.get_mut(at) else { return false };
        let Message { content, reasoning, .. } = &mut kept.message;
        let kept = if is_reasoning { reasoning } else { content };
        let (Some(kept), Some(text)) = (kept, chunk.slot_text(nth)) else { return false };
        if let Some(start) = budget.push_str(kept, text) {
            let choice = at;
            changes.push(if is_reasoning {
                Change::Reasoning { choice, start }
            } else {
                Change::Content { choice, start }
            });
        }
        true
    }

    #[inline]
    fn push_changed(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Self { completion, states, budget, changes, last, again, text_only, .. } = self;
        if let Some(index) = again.choice {
            let Some(index) = index.of(chunk) else { return false };
            if last.choices & bit(index) == 0 {
                return false;
            }
            let is_it = |kept: &CompletionChoice| kept.index == index;
            let at = match completion.choices.get(again.at) {
                Some(kept) if is_it(kept) => Some(again.at),
                _ => completion.choices.iter().position(is_it),
            };
            let Some(at) = at else { return false };
            let (Some(kept), Some(state)) = (completion.choices.get_mut(at), states.get_mut(at))
            else {
                return false;
            };
            again.at = at;
            let message = &mut kept.message;
            let mut target = ChoiceTarget { choice: at, message, state, budget, changes };
            let text = again.content.and_then(|nth| chunk.slot_text(nth));
            let content = || chunk.choices().next()?.delta().get(delta::CONTENT);
            if let Some(text) = text {
                push_content(&mut target, text, content);
            }
            if again.more {
                again.push_rest(&mut target, chunk);
            }
            if let Some(known) = again.text_only(&target) {
                *text_only = known;
            }
        }
        if again.usage.has_some
            && let Some(kept) = &mut completion.usage
        {
            let places = again.usage.places.iter().enumerate();
            for (nth, at) in places.filter_map(|(nth, at)| Some((nth, (*at)?))) {
                let number = chunk.slot_number(nth);
                kept.replace_number(at.into(), number, &mut budget.usage_room);
            }
        }
        true
    }

    /// Whether nothing has been left out that may find room now, and there is room for all that the
    /// chunk has, were it pushed as a whole.
    #[inline]
    fn has_room(&self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let has_usage_room = || self.budget.usage_room.is_free(COST * chunk.json_len());
        self.budget.room.is_free(COST * LARGEST_EVENT)
            && (self.completion.usage.is_none() || has_usage_room())
    }

    /// Whether there are the id and the time of which the first one counts.
    fn has_firsts(&self) -> bool {
        let ChatCompletion { id, created, .. } = &self.completion;
        id.is_some() && created.is_some_and(|created| created != 0)
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::{Calls, Index, Reasoning, Reassembler, SingleTextPlan};
    use crate::chunk::ChatCompletionChunk;
    use crate::decoder::{ChunkDecoder, ChunkEvent, Payload};

    /// How much of a chunk was added.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Added {
        Whole,
        Changed,
        Text,
    }

    /// As [`Reassembler::push`].
    fn push(completion: &mut Reassembler, chunk: &ChatCompletionChunk<'_>) -> Added {
        completion.changes.clear();
        if completion.push_single_text(chunk) {
            return Added::Text;
        }
        let constants = chunk.template_id();
        if constants != 0
            && constants == completion.last.number
            && completion.push_incremental(chunk)
        {
            return Added::Changed;
        }
        completion.text_only = SingleTextPlan::default();
        completion.push_full(chunk);
        completion.last.add(chunk);
        completion.end_push();
        Added::Whole
    }

    /// What was added of the last of some events that are alike: `#` is a number, `%` 0 and 1 by
    /// turns.
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

    fn delta(delta: &str) -> String {
        format!(r#"{{"id":"c","created":5,"choices":[{{"index":0,"delta":{{{delta}}}}}]}}"#)
    }

    /// Of the streams that servers send, no more is added than what has changed.
    #[test]
    fn only_what_has_changed_is_added() {
        for (event, expected) in [
            (delta(r#""content":"c#""#), Added::Text),
            (delta(r#""role":"assistant","content":"c#","refusal":null"#), Added::Text),
            (delta(r#""content":"","reasoning_content":"r#""#), Added::Text),
            (delta(r#""reasoning":"r#""#), Added::Text),
            (delta(r#""content":"c#","tool_calls":[],"annotations":[],"x":1"#), Added::Text),
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
                Added::Changed,
            ),
            (
                r#"{"choices":[{"delta":{"content":"c#"}}],"usage":{"prompt_tokens":5,"completion_tokens":#,"prompt_tokens_details":{"cached_tokens":0}}}"#
                    .to_owned(),
                Added::Changed,
            ),
        ] {
            assert_eq!(last_of(&event).0, expected, "{event}");
        }
    }

    /// A detail's text and a call's arguments, without the rest of the detail or the call.
    #[test]
    fn details_and_calls_are_gone_on_with() {
        let (added, completion) = last_of(&delta(
            r#""reasoning":"r#","reasoning_details":[{"type":"t","text":"r#","index":0,"signature":null}]"#,
        ));
        assert_eq!(added, Added::Changed);
        let Reasoning::Changed { text: Some(_), detail: Some(_) } = completion.again.reasoning
        else {
            panic!("{:?}", completion.again);
        };
        let (added, completion) = last_of(&delta(
            r#""tool_calls":[{"index":0,"function":{"arguments":"a#","x":1},"y":null}]"#,
        ));
        assert_eq!(added, Added::Changed);
        let Calls::Arguments { index: Index::Constant(0), .. } = completion.again.calls else {
            panic!("{:?}", completion.again);
        };
        let (added, completion) =
            last_of(&delta(r#""tool_calls":[{"index":%,"function":{"arguments":"a#"}}]"#));
        assert_eq!(added, Added::Changed);
        let Calls::Arguments { index: Index::Changed(_), .. } = completion.again.calls else {
            panic!("{:?}", completion.again);
        };
    }
}
