//! `ChatCompletionChunk<'_>` and its parts: what one event of a stream says, borrowed.

/// What all views have that are an object of the payload and nothing besides.
macro_rules! view_of_object {
    ($($view:ident),*) => {$(
        impl<'a> $view<'a> {
            /// The member `name`, whatever it is.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<$crate::json::Value<'a>> {
                self.0.get(name)
            }

            /// The whole object.
            #[must_use]
            pub const fn as_value(&self) -> $crate::json::Value<'a> {
                self.0
            }
        }

        /// The JSON text that was sent.
        impl core::fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

mod choice;
mod content_flags;
mod content_part;
mod index;
mod logprobs;
mod mismatch;
mod owned;
pub(crate) mod schema;
mod slots;
mod template_cache;
mod tokens;
mod tool_call;
mod upstream_error;
mod usage;
mod value_type;

pub use choice::{AudioDelta, Choice, Choices, Delta, FunctionDelta, StopReason};
pub use content_flags::Carries;
pub(crate) use content_part::{ContentPart, NEEDED, OddText, texts_of};
pub use logprobs::{Logprobs, TokenLogprob, TokenLogprobs};
pub use mismatch::Mismatch;
pub use owned::OwnedChatCompletionChunk;
pub(crate) use tokens::ChoiceTokens;
pub use tokens::Tokens;
pub use tool_call::{ToolCallDelta, ToolCalls};
pub use upstream_error::{ErrorCode, UpstreamError};
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};

pub(crate) use index::{ChunkBuffers, ChunkIndex};
pub(crate) use schema::{Level, Merge, is_identity, merge, origin};
pub(crate) use slots::Field;
pub(crate) use template_cache::{TemplateCache, TemplateKey};

use core::fmt;
use core::ops::Range;
use schema::top;

use crate::json::{Document, Kind, NodeId, Value};

/// One `chat.completion.chunk`, borrowed from the decoder.
///
/// Every JSON object that a stream sends as `data` is one; nothing is required of it. A member
/// that is absent, `null` or of another type than the schema's reads as `None`, one by one:
/// [`get`](Self::get) shows what was sent, and [`mismatches`](Self::mismatches) what was of
/// another type. Of members with the same name the last one counts. Absent, `null`, `""`, `[]`
/// and `{}` are told apart by `get`: `None`, or the [`Value`] that was sent.
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
    table: &'a ChunkIndex,
}

impl<'a> ChatCompletionChunk<'a> {
    #[inline]
    pub(crate) const fn new(document: Document<'a>, table: &'a ChunkIndex) -> Self {
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

    /// `obfuscation`: random text that hides how long the others are.
    #[must_use]
    pub fn obfuscation(&self) -> Option<&'a str> {
        self.document.string(self.table.top.obfuscation)
    }

    /// `prompt_token_ids`: the ids of the prompt's tokens (vLLM, in the first chunk).
    #[must_use]
    pub fn prompt_token_ids(&self) -> Option<impl Iterator<Item = u64> + use<'a>> {
        numbers(self.get(top::PROMPT_TOKEN_IDS)?)
    }

    /// `choices`, in the order in which they were sent; empty where there are none.
    #[must_use]
    pub fn choices(&self) -> Choices<'a> {
        Choices { chunk: *self, rows: self.table.choices.iter() }
    }

    /// Returns true if `choices` is present and not `null`, even if it is empty.
    pub(crate) const fn has_choices(&self) -> bool {
        self.table.top.choices != 0
    }

    /// Returns true if the object is a chunk.
    ///
    /// A chunk has `choices`, a `usage`, a `usage` in `x_groq`, or the `object` of a chunk or
    /// completion.
    pub(crate) fn is_chunk(&self) -> bool {
        let top = &self.table.top;
        let says_so = || {
            let object = self.object().unwrap_or_default();
            let x_groq = || self.x_groq().is_some_and(|x_groq| x_groq.get(top::USAGE).is_some());
            matches!(object, "chat.completion.chunk" | "chat.completion" | "text_completion")
                || x_groq()
        };
        top.choices != 0 || top.usage != 0 || says_so() || self.get(top::CHOICES).is_some()
    }

    /// `usage`, or the usage that a server puts in `x_groq` or in a choice instead.
    #[must_use]
    pub fn usage(&self) -> Option<Usage<'a>> {
        let top = self.table.top.usage;
        if self.has_own_usage() {
            return self.value(top).map(Usage::new);
        }
        let x_groq = self.value(self.table.top.x_groq).and_then(|x_groq| x_groq.get(top::USAGE));
        let in_choice = || self.table.choices.iter().find(|row| self.is_object(row.usage));
        x_groq
            .filter(|usage| self.is_object(usage.id))
            .or_else(|| in_choice().and_then(|row| self.value(row.usage)))
            .or_else(|| self.value(top).filter(|_| self.is_object(top)))
            .map(Usage::new)
    }

    /// Returns the index and usage of each choice with a usage, if the chunk has no other usage.
    pub(crate) fn usage_of_choices(&self) -> impl Iterator<Item = (u64, Usage<'a>)> {
        let groq_usage = self.x_groq().and_then(|x_groq| x_groq.get(top::USAGE));
        let is_other =
            self.has_own_usage() || groq_usage.is_some_and(|usage| self.is_object(usage.id));
        let choices = self.choices().filter(move |choice| !is_other && !choice.has_invalid_index());
        let this = *self;
        choices.filter(move |choice| this.is_object(choice.row.usage)).filter_map(move |choice| {
            Some((choice.index().unwrap_or(0), Usage::new(this.value(choice.row.usage)?)))
        })
    }

    /// `x_groq`, where Groq puts its own fields.
    #[must_use]
    pub fn x_groq(&self) -> Option<Value<'a>> {
        self.value(self.table.top.x_groq)
    }

    /// The error in this chunk, if there is one.
    ///
    /// It is an `error` member of the chunk or of a choice, or a chunk whose `object` is `error`.
    #[must_use]
    pub fn error(&self) -> Option<UpstreamError<'a>> {
        let error_at = |id| self.value(id).filter(UpstreamError::is_truthy_error);
        let says_so = || (self.object()? == "error").then(|| self.as_value());
        let in_choice = || self.table.choices.iter().find_map(|row| error_at(row.error));
        let error = error_at(self.table.top.error).or_else(says_so).or_else(in_choice)?;
        Some(UpstreamError::new(Some(error), b"", Some(*self)))
    }

    /// The member `name`, whatever it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// The members that OpenAI's schema doesn't have, but for `x_groq` and `error`, in the order
    /// in which they were sent; repeated names are repeated here.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        self.extra_of(&self.table.top.extras)
    }

    /// The whole chunk as the JSON value that it is.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.document, 0)
    }

    /// What kinds of things the chunk brings. Costs a look at its table.
    #[must_use]
    pub fn carries(&self) -> Carries {
        Carries {
            error: self.error().is_some(),
            usage: self.usage().is_some(),
            ..Carries::of_choices(self.document, self.table)
        }
    }

    /// The values whose type isn't the schema's, as `"content": 5`: they read as `None`.
    ///
    /// Looks through the whole chunk, `usage` and `logprobs` included, and allocates if there is
    /// such a value. No more than the first 256 are told.
    ///
    /// ```
    /// # use deltawire::{ChunkDecoder, Payload};
    /// let mut input = &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":5}}]}\n\n"[..];
    /// let mut decoder = ChunkDecoder::new();
    /// let event = decoder.next(&mut input).unwrap();
    /// let Payload::Chunk(chunk) = event.payload() else { panic!() };
    /// assert_eq!(chunk.choices().next().unwrap().delta().content(), None);
    /// let mismatch = chunk.mismatches().next().unwrap();
    /// assert_eq!((mismatch.path().as_str(), mismatch.value().raw()), ("choices[0].delta.content", "5"));
    /// ```
    pub fn mismatches(&self) -> impl Iterator<Item = Mismatch<'a>> + use<'a> {
        mismatch::mismatches(self)
    }

    /// The chunk with a memory of its own: for whoever must keep it beyond its event. Allocates
    /// what the chunk needs.
    #[must_use]
    pub fn into_owned(self) -> OwnedChatCompletionChunk {
        OwnedChatCompletionChunk::new(&self)
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

    /// Whether a member is there, not `null`, and no whole number.
    fn is_invalid_count(&self, id: NodeId) -> bool {
        let is_null = || self.document.kind(id) == Some(Kind::Null);
        id != 0 && !is_null() && Value::new(self.document, id).as_u64().is_none()
    }

    /// Whether the usage is the member `usage` itself, and has something.
    pub(crate) fn has_own_usage(&self) -> bool {
        let usage = self.table.top.usage;
        self.is_object(usage) && !Value::new(self.document, usage).is_empty_value()
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

/// The numbers of a list; `None` if it is no list, or one of its elements no count.
fn numbers(list: Value<'_>) -> Option<impl Iterator<Item = u64>> {
    let is_list = list.document.kind(list.id) == Some(Kind::Array);
    let all = || list.elements().all(|number| number.as_u64().is_some());
    (is_list && all()).then(|| list.elements().filter_map(|number| number.as_u64()))
}
