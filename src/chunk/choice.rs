//! `Choice<'_>` and `Delta<'_>`: the members of a chunk's `choices`.

use super::schema::{REASONING_TEXTS, audio, choice, delta, function, tool_call};
use core::fmt;

use super::schema::{ChoiceFields, DeltaFields, TextMember};
use super::tool_call::number_text;
use super::{
    ChatCompletionChunk, ContentFlags, ContentPart, ExtraMembers, Logprobs, ToolCalls, lost_texts,
    numbers, texts_of,
};
use crate::json::{Kind, NodeId, Value, ValueKind};

/// The choices of a chunk; see [`ChatCompletionChunk::choices`].
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct Choices<'a> {
    pub(super) chunk: ChatCompletionChunk<'a>,
    pub(super) rows: core::slice::Iter<'a, ChoiceFields>,
}

impl<'a> Iterator for Choices<'a> {
    type Item = Choice<'a>;

    #[inline]
    fn next(&mut self) -> Option<Choice<'a>> {
        Some(Choice { chunk: self.chunk, row: self.rows.next()? })
    }

    fn nth(&mut self, n: usize) -> Option<Choice<'a>> {
        Some(Choice { chunk: self.chunk, row: self.rows.nth(n)? })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for Choices<'_> {}

/// One of a chunk's `choices`.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    pub(super) chunk: ChatCompletionChunk<'a>,
    pub(super) row: &'a ChoiceFields,
}

impl<'a> Choice<'a> {
    /// `index`: the number of the answer; `None` if it is absent, which means 0.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.chunk.value(self.row.index)?.as_u64()
    }

    /// Returns true if `index` is present and not a count.
    pub(crate) fn has_invalid_index(&self) -> bool {
        self.chunk.is_invalid_count(self.row.index)
    }

    /// `delta`: the new members of the message; empty if it is absent or `null`.
    #[must_use]
    pub fn delta(&self) -> Delta<'a> {
        Delta { chunk: self.chunk, row: &self.row.delta_fields }
    }

    /// `finish_reason`: `stop`, `length`, `tool_calls` or another reason; the list is open.
    ///
    /// `None` also for `""` and `"null"`, which some servers send in all but the last chunk.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&'a str> {
        self.chunk.string(self.row.finish_reason).filter(|reason| is_reason(reason))
    }

    /// Returns true if the choice has output of the model, as [`ContentFlags`] defines it.
    pub(crate) fn has_output(&self) -> bool {
        let ChatCompletionChunk { document, index } = self.chunk;
        let mut content_flags = ContentFlags::default();
        content_flags.add_choice(document, index, self.row);
        content_flags.is_output()
    }

    /// `logprobs`, if they are an object.
    #[must_use]
    pub fn logprobs(&self) -> Option<Logprobs<'a>> {
        let object = self.chunk.is_object(self.row.logprobs);
        object.then(|| Logprobs::new(Value::new(self.chunk.document, self.row.logprobs)))
    }

    /// `stop_reason`: the stop string or stop token that ended the text (vLLM, Ray Serve, NIM).
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason<'a>> {
        let reason = self.get(choice::STOP_REASON)?;
        let string = reason.as_str().map(StopReason::String);
        string.or_else(|| reason.as_i64().map(StopReason::Integer))
    }

    /// `token_ids`: the ids of the tokens in this delta (vLLM, Fireworks).
    #[must_use]
    pub fn token_ids(&self) -> Option<impl Iterator<Item = u64> + use<'a>> {
        numbers(self.get(choice::TOKEN_IDS)?)
    }

    /// `text`: the text of a legacy `text_completion`, or a copy of the delta's `content`
    /// (Together).
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.chunk.string(self.row.text)
    }

    /// Returns true if `text` has content, of any type.
    pub(crate) fn has_text(&self) -> bool {
        self.chunk.value(self.row.text).is_some_and(|text| !text.is_empty_value())
    }

    /// Returns true if the choice has a text, and neither its delta nor its message more than a role.
    ///
    /// A legacy completion has such choices. Their text isn't merged.
    pub(crate) fn has_legacy_text(&self) -> bool {
        self.has_text()
            && self.delta().as_value().is_none_or(has_role_only)
            && self.message().is_none_or(has_role_only)
    }

    /// `message`: the whole message so far, or a copy of the delta, from servers that send both.
    #[must_use]
    pub fn message(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.message)
    }

    /// Returns the member `name`, of any type; of members with the same name the last one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// Returns the members outside the common schema, in the order sent.
    ///
    /// These are all but `index`, `delta`, `finish_reason`, `logprobs`, `message`, `usage`, `text`
    /// and `error`. A repeated name occurs repeatedly.
    #[must_use]
    pub fn extra(&self) -> ExtraMembers<'a> {
        self.chunk.extra_of(&self.row.extras)
    }

    /// Returns the whole choice as a JSON value.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.chunk.document, self.row.node)
    }
}

/// Returns true if a text in place of a finish reason is one: neither `""` nor `"null"`.
pub(crate) fn is_reason(text: &str) -> bool {
    !matches!(text, "" | "null")
}

/// Returns true if a message has no content, or is an object in which only a role has some.
fn has_role_only(message: Value<'_>) -> bool {
    let mut members = message.members();
    let is_role = |(name, value): (&str, Value<'_>)| name == delta::ROLE || value.is_empty_value();
    message.is_empty_value() || message.kind() == ValueKind::Object && members.all(is_role)
}

impl fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}

/// The stop string or stop token that ended a choice: see [`Choice::stop_reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason<'a> {
    /// A stop string of the request.
    String(&'a str),
    /// The id of a stop token.
    Integer(i64),
}

/// The addition of a chunk to one choice.
#[derive(Clone, Copy)]
pub struct Delta<'a> {
    pub(super) chunk: ChatCompletionChunk<'a>,
    pub(super) row: &'a DeltaFields,
}

impl<'a> Delta<'a> {
    /// `role`, such as `assistant`.
    #[must_use]
    pub fn role(&self) -> Option<&'a str> {
        self.chunk.string(self.row.role)
    }

    /// `content`, if it is a string.
    ///
    /// If it is an array, see [`content_parts`](Self::content_parts).
    #[inline]
    #[must_use]
    pub fn content(&self) -> Option<&'a str> {
        self.chunk.string(self.row.content)
    }

    /// `content`, if it is an array of parts, as Mistral sends it.
    #[must_use]
    pub fn content_parts(&self) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
        let content = self.chunk.value(self.row.content)?;
        (self.chunk.document.kind(content.id) == Some(Kind::Array)).then(|| content.elements())
    }

    /// Returns the text of a member, if it is a string.
    #[inline]
    pub(crate) fn text(&self, member: TextMember) -> Option<&'a str> {
        self.chunk.string(self.row.text(member))
    }

    /// Returns the value of a text, of any type.
    pub(crate) fn text_value(&self, member: TextMember) -> Option<Value<'a>> {
        self.chunk.value(self.row.text(member))
    }

    /// Returns a text that isn't a string. Parts of a content aren't one.
    #[inline]
    pub(crate) fn odd_text(&self, member: TextMember) -> Option<Value<'a>> {
        let odd = self.odd(self.row.text(member));
        odd.filter(|value| member != TextMember::Content || value.kind() != ValueKind::Array)
    }

    /// Returns true if the delta has a text besides its content and its reasoning.
    #[inline]
    pub(crate) fn has_plain_text(&self) -> bool {
        self.row.has_plain_text()
    }

    /// Returns true if no text is another value than a string.
    pub(crate) fn has_only_strings(&self) -> bool {
        self.row.texts().into_iter().all(|text| self.odd(text).is_none())
    }

    /// Returns true if a value in place of a text has content that isn't read as a text.
    ///
    /// The texts are `content`, each of its parts, and the other joined texts. A number counts as a
    /// text.
    pub(crate) fn has_unknown_text(&self) -> bool {
        let is_unknown_part = |part| ContentPart::of(part).lost_values(part) > 0;
        let has_unknown_part = || self.content_parts().into_iter().flatten().any(is_unknown_part);
        let is_unknown_text = |member| {
            self.odd_text(member).is_some_and(|value| match value.kind() {
                ValueKind::Number => false,
                ValueKind::Object if member == TextMember::Content => is_unknown_part(value),
                _ => lost_texts(value) > 0,
            })
        };
        TextMember::ALL.into_iter().any(is_unknown_text) || has_unknown_part()
    }

    /// Returns true if the value of a member can't be stored in a [`Message`](crate::completion::Message).
    ///
    /// Such a value has another type than the schema's. The members are tool calls, their texts,
    /// audio and reasoning details.
    pub(crate) fn has_lost_member(&self) -> bool {
        let DeltaFields { function_call, reasoning_details, .. } = self.row;
        if self.chunk.index.mismatches.is_empty() && *function_call | *reasoning_details == 0 {
            // The index has checked the types of all other columns.
            return false;
        }
        self.as_value().is_some_and(loses_member)
    }

    /// Returns a member that is present and isn't a string.
    #[inline]
    fn odd(&self, id: NodeId) -> Option<Value<'a>> {
        if id == 0 || self.chunk.document.kind(id) == Some(Kind::String) {
            return None;
        }
        Some(Value::new(self.chunk.document, id))
    }

    /// Returns true if the delta has no members but a role and a content.
    #[inline]
    pub(crate) fn is_content(&self) -> bool {
        self.row.is_content()
    }

    /// `refusal`: a fragment of the model's refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<&'a str> {
        self.chunk.string(self.row.refusal)
    }

    /// Returns the reasoning text, under any of the servers' names.
    ///
    /// Of `reasoning_content`, `reasoning`, `reasoning_text` and `thinking`, it is the first text
    /// that isn't empty. Strings under the first two names come before all others. An object or
    /// array counts by its first such text.
    #[must_use]
    pub fn reasoning_text(&self) -> Option<&'a str> {
        let has_content = |text: &&str| !text.is_empty();
        let strings = || [self.reasoning_content(), self.reasoning()].into_iter().flatten();
        let others = || {
            let names =
                [delta::REASONING_CONTENT, delta::REASONING].into_iter().chain(REASONING_TEXTS);
            let values = names.filter_map(|name| self.get(name));
            values.flat_map(texts_of).filter_map(|text| text.as_str())
        };
        let text = strings().find(has_content).or_else(|| others().find(has_content));
        text.or_else(|| strings().next()).or_else(|| others().next())
    }

    /// Returns true if the delta has `reasoning_content`, `reasoning` or `reasoning_details`.
    #[inline]
    pub(crate) const fn has_reasoning(&self) -> bool {
        self.row.has_reasoning()
    }

    /// `reasoning_content`: a fragment of the reasoning.
    #[must_use]
    pub fn reasoning_content(&self) -> Option<&'a str> {
        self.chunk.string(self.row.reasoning_content)
    }

    /// `reasoning`: a fragment of the reasoning, under another name.
    #[must_use]
    pub fn reasoning(&self) -> Option<&'a str> {
        self.chunk.string(self.row.reasoning)
    }

    /// `reasoning_details`, an array; most servers also send its texts in `reasoning`.
    #[must_use]
    pub fn reasoning_details(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.reasoning_details)
    }

    /// `tool_calls`: fragments of tool calls, each with the index of its call.
    #[must_use]
    pub fn tool_calls(&self) -> ToolCalls<'a> {
        let rows = self.chunk.index.calls_in(&self.row.calls);
        ToolCalls { chunk: self.chunk, rows: rows.iter() }
    }

    /// `function_call`: a fragment of a single call, in the deprecated form.
    #[must_use]
    pub fn function_call(&self) -> Option<FunctionDelta<'a>> {
        let object = self.chunk.is_object(self.row.function_call);
        object.then(|| FunctionDelta(Value::new(self.chunk.document, self.row.function_call)))
    }

    /// `audio`, if it is an object.
    #[must_use]
    pub fn audio(&self) -> Option<AudioDelta<'a>> {
        let object = self.chunk.is_object(self.row.audio);
        object.then(|| AudioDelta(Value::new(self.chunk.document, self.row.audio)))
    }

    /// Returns the member `name`, of any type; of members with the same name the last one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value()?.get(name)
    }

    /// Returns the members outside the common schema, in the order sent.
    ///
    /// These are all but `role`, `content`, `refusal`, `reasoning_content`, `reasoning`,
    /// `reasoning_details`, `tool_calls`, `function_call` and `audio`. A repeated name occurs
    /// repeatedly.
    #[must_use]
    pub fn extra(&self) -> ExtraMembers<'a> {
        self.chunk.extra_of(&self.row.extras)
    }

    /// Returns the whole delta as a JSON value, or `None` if it is absent or `null`.
    #[must_use]
    pub fn as_value(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.node)
    }
}

/// Returns true if the value of a member of a delta can't be stored.
///
/// See [`has_lost_member`](Delta::has_lost_member).
pub(super) fn loses_member(delta: Value<'_>) -> bool {
    let is = |value: Value<'_>, kind| value.is_empty_value() || value.kind() == kind;
    let is_list = |value: Value<'_>| {
        let are_objects = || value.elements().all(|element| is(element, ValueKind::Object));
        is(value, ValueKind::Array) && are_objects()
    };
    let is_text = |value: Value<'_>| {
        value.is_empty_value() || matches!(value.kind(), ValueKind::String | ValueKind::Number)
    };
    let is_function = |function: Value<'_>| {
        let is_whole = |value: Value<'_>| value.kind() == ValueKind::Object;
        is(function, ValueKind::Object)
            && function.get(function::NAME).is_none_or(is_text)
            && function.get(function::ARGUMENTS).is_none_or(|it| is_text(it) || is_whole(it))
    };
    let is_call = |call: Value<'_>| {
        call.get(tool_call::ID).is_none_or(is_text)
            && call.get(tool_call::FUNCTION).is_none_or(is_function)
    };
    !is(delta, ValueKind::Object)
        || delta.members().any(|(name, value)| match name {
            delta::TOOL_CALLS => !is_list(value) || !value.elements().all(is_call),
            delta::REASONING_DETAILS => !is_list(value),
            delta::FUNCTION_CALL => !is_function(value),
            delta::AUDIO => !is(value, ValueKind::Object),
            _ => false,
        })
}

/// A fragment of a `function_call`.
#[derive(Clone, Copy)]
pub struct FunctionDelta<'a>(Value<'a>);

impl<'a> FunctionDelta<'a> {
    /// `name`: the name of the function.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.0.get(function::NAME)?.as_str()
    }

    /// `arguments`: a fragment of a JSON text.
    #[must_use]
    pub fn arguments(&self) -> Option<&'a str> {
        self.0.get(function::ARGUMENTS)?.as_str()
    }

    /// Returns the name; of a number, its text as sent.
    pub(crate) fn name_text(&self) -> Option<&'a str> {
        self.name().or_else(|| number_text(self.0.get(function::NAME)?))
    }

    /// Returns the arguments; of a number, its text as sent.
    pub(crate) fn arguments_text(&self) -> Option<&'a str> {
        self.arguments().or_else(|| number_text(self.0.get(function::ARGUMENTS)?))
    }

    /// Returns the arguments, of any type.
    pub(crate) fn arguments_value(&self) -> Option<Value<'a>> {
        self.0.get(function::ARGUMENTS)
    }

    /// Returns how many of name and arguments are numbers.
    pub(crate) fn numbers_for_texts(&self) -> usize {
        let values =
            [function::NAME, function::ARGUMENTS].into_iter().filter_map(|name| self.0.get(name));
        values.filter_map(number_text).count()
    }
}

/// A fragment of an `audio` answer.
#[derive(Clone, Copy)]
pub struct AudioDelta<'a>(Value<'a>);

impl<'a> AudioDelta<'a> {
    /// `id`: the id of the audio, which a later request can refer to.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.0.get(tool_call::ID)?.as_str()
    }

    /// `data`: a fragment of the audio in base64, of any length.
    #[must_use]
    pub fn data(&self) -> Option<&'a str> {
        self.0.get(audio::DATA)?.as_str()
    }

    /// `transcript`: a fragment of the spoken text.
    #[must_use]
    pub fn transcript(&self) -> Option<&'a str> {
        self.0.get(audio::TRANSCRIPT)?.as_str()
    }

    /// `expires_at`: the time at which the id expires, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.0.get(audio::EXPIRES_AT)?.as_u64()
    }
}

impl fmt::Debug for Delta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_value() {
            Some(value) => fmt::Debug::fmt(&value, f),
            None => f.write_str("null"),
        }
    }
}

view_of_object!(FunctionDelta, AudioDelta);
