//! `ChatCompletion` and its parts: the provider's answer as it is without streaming.

use alloc::borrow::Cow;

use crate::chunk::schema::{REASONING_TEXTS, content_part, delta};
use crate::chunk::{MessageText, TextMember};
use crate::error::ErrorKind;
use crate::json::{Kind, OwnedArray, OwnedObject, OwnedValue, Parser, Tape};
use crate::limits::Limits;
use crate::report::named;

/// A whole `chat.completion`, as OpenAI defines it.
///
/// Members of other providers are in `extra`, under their own names. A field is `None` or empty if
/// the stream didn't contain it. [`write_json`](Self::write_json) follows OpenAI's definition, and so
/// does `serde_json` with the feature `serde`. [`from_json`](Self::from_json) reads the result back.
///
/// # Round trip
///
/// A completion that [`from_json`](Self::from_json) reads is written as the same JSON again, and
/// equals the completion that is read from that. There are two exceptions. Of several members with
/// the same name in one object, which a server may send, only the last value is written. Names may
/// be written with other escapes.
///
/// A completion that is read back need not equal the completion that was written. The reason is
/// that `==` also compares details that the JSON lacks:
///
/// | stored | read back |
/// |---|---|
/// | no [`role`](Message::role), no [`type`](ToolCall::type) of a call | `assistant`, `function`, as they are written |
/// | [`OwnedValue::Raw`](crate::json::OwnedValue::Raw) of an object | [`OwnedValue::Object`](crate::json::OwnedValue::Object) |
/// | [`OwnedValue::Array`](crate::json::OwnedValue::Array) | [`OwnedValue::Raw`](crate::json::OwnedValue::Raw) |
/// | elements of [`reasoning_details`](Message::reasoning_details), by their index | the same elements without keys: none are merged |
///
/// Of JSON from elsewhere, all members of objects are stored, in their order and with their
/// spelling. Members without a field are in `extra`. Not stored are:
///
/// - the value of `object`, which is always written as `chat.completion`;
/// - the difference between `null`, an empty array and an absent member, if the member has a field;
/// - the order of members with a field, which come first;
/// - white space.
///
/// A top-level `error` is in `extra` like any other member. No [`Reassembler`](crate::Reassembler)
/// stores one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatCompletion {
    /// The first `id` that isn't empty.
    pub id: Option<String>,
    /// The first `created` that isn't 0: seconds since 1970.
    pub created: Option<u64>,
    /// The first `model` that isn't empty.
    pub model: Option<String>,
    /// The choices; a [`Reassembler`](crate::Reassembler) sorts them by their indexes.
    pub choices: Vec<CompletionChoice>,
    /// The token counts.
    pub usage: Option<OwnedObject>,
    /// The last `service_tier`.
    pub service_tier: Option<String>,
    /// The last `system_fingerprint`.
    pub system_fingerprint: Option<String>,
    /// True if a part of the answer is missing, or may be missing.
    ///
    /// [`FinishedCompletion::whole`](super::FinishedCompletion::whole) returns the defects. The field is written as
    /// `"not_whole": true`, so that a cache can't lose it. If all choices have a finish reason, a
    /// [`Replay`](crate::gateway::Replay) of the completion ends with an error.
    pub not_whole: bool,
    /// Members of the chunks that have no field here.
    pub extra: OwnedObject,
}

/// One answer of a completion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionChoice {
    /// The index of the choice.
    pub index: u64,
    /// The message.
    pub message: Message,
    /// The last `finish_reason`; `None` if the choice is unfinished.
    pub finish_reason: Option<String>,
    /// The log probabilities: arrays, each with the tokens of all chunks.
    pub logprobs: Option<OwnedObject>,
    /// Members of the choices that have no field here.
    pub extra: OwnedObject,
}

/// The message of a choice.
// A new field needs a value in `tests` below. They fail while a writer or a reader lacks the field.
//
// A new text with a field, whose pieces are joined, has these places. The compiler names those with
// a star once `each_text` has the text. Unit tests name those with a plus.
// - `chunk/schema.rs`: the row of the delta+, and in `each_text` the text and its member;
// - here: the field*, its arms in `text`* and `text_mut`*, its value in `tests`*;
// - `chunk/choice.rs`: a method of `Delta`, and the docs of `Delta::extra`;
// - `docs/wire.md`: the row+.
// The row is behind that of `reasoning_details`, in whose order messages are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The first `role` that isn't empty.
    pub role: Option<String>,
    /// The text; `None` if the stream contained no text, not even an empty one.
    pub content: Option<String>,
    /// The text of the refusal.
    pub refusal: Option<String>,
    /// The reasoning, under any of the servers' names.
    pub reasoning: Option<String>,
    /// The name of the reasoning in the stream and in the written completion.
    pub reasoning_name: ReasoningName,
    /// `reasoning_details`: text, summary and data joined for each index and type.
    pub reasoning_details: OwnedArray,
    /// The tool calls; a [`Reassembler`](crate::Reassembler) sorts them by their indexes.
    pub tool_calls: Vec<ToolCall>,
    /// The single call of the deprecated form.
    pub function_call: Option<FunctionCall>,
    /// The audio: its members, merged.
    pub audio: Option<OwnedObject>,
    /// Members of the deltas that have no field here.
    pub extra: OwnedObject,
}

impl Message {
    /// Returns the reasoning text, under any of the servers' names.
    ///
    /// This is [`reasoning`](Self::reasoning), or a text in [`extra`](Self::extra):
    /// `reasoning_text`, `thinking`, or the text in an object of these names. It is empty only if all
    /// of them are. Allocates if a text in `extra` has escapes.
    #[must_use]
    pub fn reasoning_text(&self) -> Option<Cow<'_, str>> {
        let own = || self.reasoning.as_deref().map(Cow::Borrowed);
        let stored = REASONING_TEXTS.iter().filter_map(|name| self.extra.get(name));
        let mut texts = own().into_iter().chain(stored.flat_map(texts_in));
        let first = texts.next()?;
        Some(if first.is_empty() {
            texts.find(|text| !text.is_empty()).unwrap_or(first)
        } else {
            first
        })
    }
}

/// Returns the texts of a reasoning member: its value, or the texts in it.
fn texts_in(kept: &OwnedValue) -> impl Iterator<Item = Cow<'_, str>> {
    let names = [delta::CONTENT, content_part::TEXT].into_iter();
    kept.as_str().into_iter().chain(names.filter_map(|name| kept.get(name)?.as_str()))
}

/// The name of the reasoning member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasoningName {
    /// `reasoning_content`, as at DeepSeek, xAI and older vLLM.
    #[default]
    ReasoningContent,
    /// `reasoning`, as at OpenRouter, Groq and newer vLLM.
    Reasoning,
}

impl ReasoningName {
    /// Returns the name of the member.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReasoningContent => delta::REASONING_CONTENT,
            Self::Reasoning => delta::REASONING,
        }
    }

    /// Returns the name of the reasoning that a member is; `None` for another text.
    pub(super) const fn of(member: TextMember) -> Option<Self> {
        match member {
            TextMember::ReasoningContent => Some(Self::ReasoningContent),
            TextMember::Reasoning => Some(Self::Reasoning),
            _ => None,
        }
    }
}

named!(ReasoningName);

/// A tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// The id; empty if the server sent none.
    pub id: String,
    /// The type; it is written as `function` if the server sent none.
    pub r#type: Option<String>,
    /// The function, if the call is one of a function.
    pub function: Option<FunctionCall>,
    /// Members of the call without a field here, such as `custom`.
    pub extra: OwnedObject,
}

/// The name and the arguments of a called function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionCall {
    /// The name of the function.
    pub name: String,
    /// The arguments as the model wrote them.
    ///
    /// They should be a JSON text, but may be cut or invalid: see
    /// [`arguments_state`](Self::arguments_state).
    pub arguments: String,
    /// Members of the function that have no field here.
    pub extra: OwnedObject,
}

/// The state of a function's arguments: see [`FunctionCall::arguments_state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArgumentsState {
    /// No arguments: the call has none, or the stream ended before them.
    Empty,
    /// One JSON object.
    Complete,
    /// The beginning of a JSON text.
    Incomplete,
    /// A JSON object with another one behind it.
    ///
    /// The server has joined the arguments of several calls.
    Several,
    /// Any other text.
    ///
    /// A text over the default [`json_depth`](Limits::max_json_depth) or
    /// [`json_values`](Limits::max_json_values) is invalid too. It isn't read to its end.
    Invalid,
}

impl ArgumentsState {
    /// Returns the name of the state, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Several => "several",
            Self::Invalid => "invalid",
        }
    }
}

named!(ArgumentsState);

impl FunctionCall {
    /// Returns the state of the arguments, so that half an object isn't used as a whole one.
    ///
    /// A call that `max_tokens` cuts short may have a finish reason all the same. Reads all
    /// arguments within the default [`Limits`]. Allocates up to 64 bytes for each name and value,
    /// and up to the length of the arguments besides.
    #[must_use]
    pub fn arguments_state(&self) -> ArgumentsState {
        let json = self.arguments.trim_matches([' ', '\t', '\n', '\r']);
        if json.is_empty() {
            return ArgumentsState::Empty;
        }
        match Parser::new(&Limits::new()).parse(json.as_bytes(), &mut Tape::default()) {
            Ok((document, deviations)) => {
                let is_object = document.kind(0) == Some(Kind::Object);
                let is_json = deviations.non_finite_numbers == 0;
                if is_object && is_json {
                    ArgumentsState::Complete
                } else {
                    ArgumentsState::Invalid
                }
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEnd => ArgumentsState::Incomplete,
            Err(error) => {
                let behind = usize::try_from(error.offset()).ok().and_then(|at| json.get(at..));
                let several = error.kind() == ErrorKind::TrailingData
                    && json.starts_with('{')
                    && behind.is_some_and(|behind| behind.starts_with('{'));
                if several { ArgumentsState::Several } else { ArgumentsState::Invalid }
            }
        }
    }
}

impl ChatCompletion {
    /// Frees the memory that the texts don't need.
    pub(super) fn shrink_to_fit(&mut self) {
        self.extra.shrink_to_fit();
        self.usage.iter_mut().for_each(OwnedObject::shrink_to_fit);
        self.choices.shrink_to_fit();
        for choice in &mut self.choices {
            choice.extra.shrink_to_fit();
            choice.logprobs.iter_mut().for_each(OwnedObject::shrink_to_fit);
            choice.message.shrink_to_fit();
        }
    }

    /// Returns the choice with this index.
    #[must_use]
    pub fn choice(&self, index: u64) -> Option<&CompletionChoice> {
        self.choices.iter().find(|choice| choice.index == index)
    }
}

/// The spare bytes of a text that are kept: to free fewer costs a copy of the text.
const SPARE_BYTES: usize = 192;

/// Frees the memory that a text doesn't need, unless it is little.
fn shrink_text(text: &mut String) {
    if text.capacity() - text.len() >= SPARE_BYTES {
        text.shrink_to_fit();
    }
}

/// Appends to a list whose buffer begins with one element and doubles.
///
/// Most lists of choices and tool calls have one element, and `Vec` begins with four.
pub(super) fn push_doubling<T>(list: &mut Vec<T>, element: T) {
    if list.capacity() == 0 {
        *list = Vec::with_capacity(1);
    } else if list.len() == list.capacity() {
        list.reserve_exact(list.len());
    }
    list.push(element);
}

impl Message {
    /// Returns a text, or `None` if the stream didn't contain it.
    #[must_use]
    #[inline]
    pub fn text(&self, text: MessageText) -> Option<&str> {
        let text = match text {
            MessageText::Content => &self.content,
            MessageText::Refusal => &self.refusal,
            MessageText::Reasoning => &self.reasoning,
        };
        text.as_deref()
    }

    /// Returns the field of a text, to change it.
    #[inline]
    pub(crate) const fn text_mut(&mut self, text: MessageText) -> &mut Option<String> {
        match text {
            MessageText::Content => &mut self.content,
            MessageText::Refusal => &mut self.refusal,
            MessageText::Reasoning => &mut self.reasoning,
        }
    }

    fn shrink_to_fit(&mut self) {
        for text in MessageText::ALL {
            self.text_mut(text).iter_mut().for_each(shrink_text);
        }
        let Self { reasoning_details, tool_calls, function_call, audio, extra, .. } = self;
        tool_calls.shrink_to_fit();
        for call in tool_calls.iter_mut() {
            call.extra.shrink_to_fit();
        }
        let functions = tool_calls.iter_mut().filter_map(|call| call.function.as_mut());
        for function in functions.chain(function_call) {
            shrink_text(&mut function.arguments);
            function.extra.shrink_to_fit();
        }
        reasoning_details.shrink_to_fit();
        audio.iter_mut().for_each(OwnedObject::shrink_to_fit);
        extra.shrink_to_fit();
    }
}

#[cfg(test)]
#[cfg(feature = "serde")]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod tests {
    use super::{ChatCompletion, CompletionChoice, FunctionCall, Message, ReasoningName, ToolCall};
    use crate::gateway::{Replay, assemble};
    use crate::json::{OwnedArray, OwnedObject};

    /// Makes a value of all its fields, none of which has its default.
    ///
    /// A new field doesn't compile until it is listed with a value.
    macro_rules! filled {
        ($Type:ident { $($field:ident: $value:expr,)* }) => {{
            let filled = $Type { $($field: $value,)* };
            let default = $Type::default();
            $(assert!(filled.$field != default.$field, "{} has its default", stringify!($field));)*
            filled
        }};
    }

    fn object(json: &str) -> OwnedObject {
        serde_json::from_str(json).unwrap()
    }

    fn filled_function() -> FunctionCall {
        filled!(FunctionCall {
            name: "f".into(),
            arguments: "{\"a\":1}".into(),
            extra: object(r#"{"of_function":[1]}"#),
        })
    }

    fn filled_message() -> Message {
        let call = filled!(ToolCall {
            id: "call_1".into(),
            r#type: Some("other".into()),
            function: Some(filled_function()),
            extra: object(r#"{"of_call":{"a":1}}"#),
        });
        let details = r#"[{"index":0,"type":"reasoning.text","text":"detail"}]"#;
        filled!(Message {
            role: Some("tool".into()),
            content: Some("content".into()),
            refusal: Some("refusal".into()),
            reasoning: Some("reasoning".into()),
            reasoning_name: ReasoningName::Reasoning,
            reasoning_details: serde_json::from_str::<OwnedArray>(details).unwrap(),
            tool_calls: vec![call],
            // No `Reassembler` stores other members of a `function_call`.
            function_call: Some(FunctionCall { extra: object("{}"), ..filled_function() }),
            audio: Some(object(r#"{"id":"audio_1","data":"AAAA"}"#)),
            extra: object(r#"{"of_message":"a"}"#),
        })
    }

    /// Returns a completion in which no field has its default.
    pub(crate) fn filled_completion() -> ChatCompletion {
        let choice = filled!(CompletionChoice {
            index: 7,
            message: filled_message(),
            finish_reason: Some("stop".into()),
            logprobs: Some(object(r#"{"content":[{"token":"a"}]}"#)),
            extra: object(r#"{"of_choice":true}"#),
        });
        filled!(ChatCompletion {
            id: Some("c1".into()),
            created: Some(5),
            model: Some("m".into()),
            choices: vec![choice],
            usage: Some(object(r#"{"prompt_tokens":1,"prompt_tokens_details":{"a":2}}"#)),
            service_tier: Some("flex".into()),
            system_fingerprint: Some("fp".into()),
            not_whole: true,
            extra: object(r#"{"of_completion":1.50,"x_groq":{"id":"q"}}"#),
        })
    }

    /// Tests that `serde`, `from_json`, `Replay` and `Reassembler` know each field.
    #[test]
    fn every_field_survives_a_round_trip() {
        let completion = filled_completion();
        let json = serde_json::to_string(&completion).unwrap();
        assert_eq!(ChatCompletion::from_json(json.as_bytes()).unwrap(), completion);
        assert_eq!(serde_json::from_str::<ChatCompletion>(&json).unwrap(), completion);

        let mut stream = Vec::new();
        Replay::new(&completion).write_all(&mut stream);
        let merged = assemble([&stream[..]]).completion;
        assert_eq!(serde_json::to_string(&merged).unwrap(), json);
    }
}
