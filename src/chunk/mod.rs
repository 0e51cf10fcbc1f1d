//! `ChatCompletionChunk<'_>` and its parts: what one event of a stream says, borrowed.

mod table;
mod upstream_error;
mod usage;

pub use upstream_error::{ErrorCode, UpstreamError};
pub use usage::Usage;

pub(crate) use table::Table;

use core::fmt;
use core::ops::Range;

use crate::json::{Document, Kind, NodeId, Value};
use table::{CallRow, ChoiceRow, DeltaRow};

/// One `chat.completion.chunk`, borrowed from the decoder.
///
/// Every JSON object that a stream sends as `data` is one; nothing is required of it. A member
/// that is absent, `null` or of another type than the schema's reads as `None`, one by one:
/// [`get`](Self::get) shows what was sent, and [`mismatches`](Self::mismatches) what was of
/// another type. Of members with the same name the last one counts.
///
/// Reading it costs what is read: strings are slices, nothing is allocated.
///
/// ```
/// use deltawire::{ChunkDecoder, Payload};
///
/// let mut input = &br#"data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}
///
/// "#[..];
/// let mut decoder = ChunkDecoder::new();
/// let event = decoder.next(&mut input).unwrap();
/// let Payload::Chunk(chunk) = event.payload() else { panic!() };
/// let choice = chunk.choices().next().unwrap();
/// assert_eq!(choice.delta().content(), Some("Hi"));
/// assert_eq!(chunk.model(), None);
/// ```
#[derive(Clone, Copy)]
pub struct ChatCompletionChunk<'a> {
    document: Document<'a>,
    table: &'a Table,
}

impl<'a> ChatCompletionChunk<'a> {
    pub(crate) const fn new(document: Document<'a>, table: &'a Table) -> Self {
        Self { document, table }
    }

    /// `id`: the same in all chunks of a stream, mostly.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.document.string(self.table.top.id)
    }

    /// `object`: `chat.completion.chunk` where the server is exact.
    #[must_use]
    pub fn object(&self) -> Option<&'a str> {
        self.document.string(self.table.top.object)
    }

    /// `created`: seconds since 1970.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        self.value(self.table.top.created)?.as_u64()
    }

    /// `model`: the model that answers.
    #[must_use]
    pub fn model(&self) -> Option<&'a str> {
        self.document.string(self.table.top.model)
    }

    /// `system_fingerprint`
    #[must_use]
    pub fn system_fingerprint(&self) -> Option<&'a str> {
        self.document.string(self.table.top.system_fingerprint)
    }

    /// `service_tier`: `default`, `flex`, `priority` … The list grows.
    #[must_use]
    pub fn service_tier(&self) -> Option<&'a str> {
        self.document.string(self.table.top.service_tier)
    }

    /// `choices`, in the order in which they were sent; empty where there are none.
    #[must_use]
    pub fn choices(&self) -> Choices<'a> {
        Choices { chunk: *self, rows: self.table.choices.iter() }
    }

    /// `usage`, or the usage that a server puts in `x_groq` or in a choice instead.
    #[must_use]
    pub fn usage(&self) -> Option<Usage<'a>> {
        let top = self.table.top.usage;
        let usage = if self.is_object(top) {
            self.value(top)
        } else {
            let x_groq = self.value(self.table.top.x_groq).and_then(|x_groq| x_groq.get("usage"));
            let in_choice = || self.table.choices.iter().find(|row| self.is_object(row.usage));
            x_groq.or_else(|| in_choice().and_then(|row| self.value(row.usage)))
        };
        usage.filter(|usage| self.is_object(usage.id)).map(Usage::new)
    }

    /// `x_groq`, where Groq puts its own fields.
    #[must_use]
    pub fn x_groq(&self) -> Option<Value<'a>> {
        self.value(self.table.top.x_groq)
    }

    /// The error that this chunk carries, if it carries one: an `error` member, or an object
    /// that says of itself that it is an error.
    #[must_use]
    pub fn error(&self) -> Option<UpstreamError<'a>> {
        let error = self.value(self.table.top.error).filter(UpstreamError::is_one);
        let error = match error {
            None if self.object() == Some("error") => Some(self.as_value()),
            error => error,
        };
        error.map(|error| UpstreamError::new(Some(error), b"", Some(*self)))
    }

    /// The member `name`, whatever it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// The members that have no method here, in the order in which they were sent.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        self.extra_of(&self.table.top.extras)
    }

    /// The whole chunk as the JSON value that it is.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.document, 0)
    }

    /// The values whose type isn't the schema's, as `"content": 5`. They read as `None`.
    pub fn mismatches(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let document = self.document;
        self.table.mismatches.iter().map(move |id| Value::new(document, *id))
    }

    fn extra_of(&self, range: &Range<u32>) -> Extra<'a> {
        let range = range.start as usize..range.end as usize;
        let names = self.table.extras.get(range).unwrap_or_default();
        Extra { document: self.document, names: names.iter() }
    }

    #[inline]
    fn value(&self, id: NodeId) -> Option<Value<'a>> {
        (id != 0).then(|| Value::new(self.document, id))
    }

    fn is_object(&self, id: NodeId) -> bool {
        id != 0 && self.document.kind(id) == Some(Kind::Object)
    }
}

/// The JSON text that was sent.
impl fmt::Debug for ChatCompletionChunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}

/// Gives back what was sent, unknown members included, numbers by their text.
#[cfg(feature = "serde")]
impl serde::Serialize for ChatCompletionChunk<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_value().serialize(serializer)
    }
}

/// Members without a method of their own: names and values.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct Extra<'a> {
    document: Document<'a>,
    names: core::slice::Iter<'a, NodeId>,
}

impl<'a> Iterator for Extra<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = *self.names.next()?;
        Some((self.document.string(name).unwrap_or_default(), Value::new(self.document, name + 1)))
    }
}

/// The choices of a chunk; see [`ChatCompletionChunk::choices`].
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct Choices<'a> {
    chunk: ChatCompletionChunk<'a>,
    rows: core::slice::Iter<'a, ChoiceRow>,
}

impl<'a> Iterator for Choices<'a> {
    type Item = Choice<'a>;

    #[inline]
    fn next(&mut self) -> Option<Choice<'a>> {
        Some(Choice { chunk: self.chunk, row: self.rows.next()? })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for Choices<'_> {}

/// One of a chunk's `choices`.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    chunk: ChatCompletionChunk<'a>,
    row: &'a ChoiceRow,
}

impl<'a> Choice<'a> {
    /// `index`: which answer this belongs to. `None` where it is absent, which means 0.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.chunk.value(self.row.index)?.as_u64()
    }

    /// `delta`: what is new. Empty where it is absent or `null`.
    #[must_use]
    pub fn delta(&self) -> Delta<'a> {
        Delta { chunk: self.chunk, row: &self.row.delta }
    }

    /// `finish_reason`: `stop`, `length`, `tool_calls` … The list grows. Some servers send ""
    /// while they haven't finished; that is `None` here.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.finish_reason).filter(|reason| !reason.is_empty())
    }

    /// `logprobs`
    #[must_use]
    pub fn logprobs(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.logprobs)
    }

    /// `message`: the whole message so far, or a copy of the delta, from servers that send it
    /// besides.
    #[must_use]
    pub fn message(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.message)
    }

    /// The member `name`, whatever it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// The members that have no method here, in the order in which they were sent.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        self.chunk.extra_of(&self.row.extras)
    }

    /// The whole choice as the JSON value that it is.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.chunk.document, self.row.node)
    }
}

impl fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}

/// What a chunk adds to one choice.
#[derive(Clone, Copy)]
pub struct Delta<'a> {
    chunk: ChatCompletionChunk<'a>,
    row: &'a DeltaRow,
}

impl<'a> Delta<'a> {
    /// `role`
    #[must_use]
    pub fn role(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.role)
    }

    /// `content`, where it is a string. Where it is a list of parts, see
    /// [`content_parts`](Self::content_parts).
    #[inline]
    #[must_use]
    pub fn content(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.content)
    }

    /// `content`, where it is a list of parts, as Mistral sends it.
    #[must_use]
    pub fn content_parts(&self) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
        let content = self.chunk.value(self.row.content)?;
        (self.chunk.document.kind(content.id) == Some(Kind::Array)).then(|| content.elements())
    }

    /// `refusal`
    #[must_use]
    pub fn refusal(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.refusal)
    }

    /// The reasoning text, under whichever name the server has for it: `reasoning_content` or
    /// `reasoning`. Where both are sent, they are the same text, and this is it once.
    #[must_use]
    pub fn reasoning_text(&self) -> Option<&'a str> {
        self.reasoning_content().filter(|text| !text.is_empty()).or_else(|| self.reasoning())
    }

    /// `reasoning_content`
    #[must_use]
    pub fn reasoning_content(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.reasoning_content)
    }

    /// `reasoning`
    #[must_use]
    pub fn reasoning(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.reasoning)
    }

    /// `reasoning_details`, which mostly repeats `reasoning`, part by part.
    #[must_use]
    pub fn reasoning_details(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.reasoning_details)
    }

    /// `tool_calls`: parts of calls, keyed by their index.
    #[must_use]
    pub fn tool_calls(&self) -> ToolCalls<'a> {
        let calls = self.row.calls.start as usize..self.row.calls.end as usize;
        let rows = self.chunk.table.calls.get(calls).unwrap_or_default();
        ToolCalls { chunk: self.chunk, rows: rows.iter() }
    }

    /// `function_call`, the deprecated form of a single tool call.
    #[must_use]
    pub fn function_call(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.function_call)
    }

    /// `audio`
    #[must_use]
    pub fn audio(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.audio)
    }

    /// The member `name`, whatever it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value()?.get(name)
    }

    /// The members that have no method here, in the order in which they were sent.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        self.chunk.extra_of(&self.row.extras)
    }

    /// The whole delta as the JSON value that it is, unless it is absent.
    #[must_use]
    pub fn as_value(&self) -> Option<Value<'a>> {
        self.chunk.value(self.row.node)
    }
}

impl fmt::Debug for Delta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}

/// The tool calls of a delta; see [`Delta::tool_calls`].
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct ToolCalls<'a> {
    chunk: ChatCompletionChunk<'a>,
    rows: core::slice::Iter<'a, CallRow>,
}

impl<'a> Iterator for ToolCalls<'a> {
    type Item = ToolCallDelta<'a>;

    #[inline]
    fn next(&mut self) -> Option<ToolCallDelta<'a>> {
        Some(ToolCallDelta { chunk: self.chunk, row: self.rows.next()? })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for ToolCalls<'_> {}

/// What a delta adds to one tool call.
#[derive(Clone, Copy)]
pub struct ToolCallDelta<'a> {
    chunk: ChatCompletionChunk<'a>,
    row: &'a CallRow,
}

impl<'a> ToolCallDelta<'a> {
    /// `index`: which call this belongs to. Some servers leave it out.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.chunk.value(self.row.index)?.as_u64()
    }

    /// `id`
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.id)
    }

    /// `type`: `function`, or `custom`.
    #[must_use]
    pub fn r#type(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.kind)
    }

    /// `function.name`
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.name)
    }

    /// `function.arguments`: a part of a JSON text.
    #[must_use]
    pub fn arguments(&self) -> Option<&'a str> {
        self.chunk.document.string(self.row.arguments)
    }

    /// `function.arguments`, where a server sends them whole, as a JSON object.
    #[must_use]
    pub fn arguments_object(&self) -> Option<Value<'a>> {
        let object = self.chunk.is_object(self.row.arguments);
        object.then(|| Value::new(self.chunk.document, self.row.arguments))
    }

    /// The member `name`, whatever it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// The members that have no method here, in the order in which they were sent.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        self.chunk.extra_of(&self.row.extras)
    }

    /// The whole part as the JSON value that it is.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.chunk.document, self.row.node)
    }
}

impl fmt::Debug for ToolCallDelta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}
