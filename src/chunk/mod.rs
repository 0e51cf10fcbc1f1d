//! `ChatCompletionChunk<'_>` and the views of its parts, borrowed from one event of a stream.

/// Implements the methods of views that contain one object of the payload and nothing else.
macro_rules! view_of_object {
    ($($view:ident),*) => {$(
        impl<'a> $view<'a> {
            /// Returns the member `name`, of any type; of members with the same name the last one.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<$crate::json::Value<'a>> {
                self.0.get(name)
            }

            /// Returns the whole object.
            #[must_use]
            pub const fn as_value(&self) -> $crate::json::Value<'a> {
                self.0
            }
        }

        /// Writes the JSON text as sent.
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
mod origin;
mod other_object;
mod owned;
mod owned_error;
pub(crate) mod path_name;
pub(crate) mod schema;
#[cfg(feature = "serde")]
mod serde;
mod slots;
mod template_cache;
mod text_member;
mod tokens;
mod tool_call;
mod upstream_error;
mod usage;
mod value_type;
mod whole_message;

pub(crate) use choice::is_reason;
use choice::loses_member;
pub use choice::{AudioDelta, Choice, Choices, Delta, FunctionDelta, StopReason};
pub use content_flags::ContentFlags;
pub(crate) use content_part::{ContentPart, NEEDED, REFERENCE_IDS, lost_texts, texts_of};
pub use logprobs::{Logprobs, TokenLogprob, TokenLogprobs};
pub use mismatch::Mismatch;
pub(crate) use origin::Origin;
pub use other_object::{Api, OtherObject};
pub use owned::OwnedChatCompletionChunk;
pub(crate) use owned_error::FailureBuffer;
pub use owned_error::OwnedUpstreamError;
pub(crate) use tokens::ChoiceTokens;
pub use tokens::TokenCounts;
pub use tool_call::{ToolCallDelta, ToolCalls};
pub use upstream_error::{ErrorCode, UpstreamError};
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};
pub(crate) use whole_message::WholeMessage;

pub(crate) use index::{ChunkBuffers, ChunkIndex};
pub(crate) use schema::{
    Level, Merge, MessageText, PerText, TextMember, is_identity, merge, origin,
};
pub(crate) use slots::Field;
pub(crate) use template_cache::{SharedCache, TemplateCache, TemplateKey};

use core::fmt;
use core::ops::Range;
use schema::{CHUNK_OBJECT, top};
use std::borrow::Cow;

use crate::json::{Document, Kind, NodeId, Value};

/// One `chat.completion.chunk`, borrowed from the decoder.
///
/// An object in the `data` of a stream is a chunk if it has `choices`, a usage, or the `object` of a
/// chunk or completion. No other member is required. Any other object is a
/// [`Payload::Other`](crate::Payload::Other). A member reads as `None` if it is absent, `null` or of another type than the schema's. [`get`](Self::get) returns
/// any member as sent, so that absent, `null`, `""`, `[]` and `{}` can be distinguished.
/// [`mismatches`](Self::mismatches) lists the values of another type. Of members with the same name
/// the last one counts.
///
/// A chunk is a copy of two references. Strings are slices, and each method reads its own members
/// only. Only [`mismatches`](Self::mismatches) and [`into_owned`](Self::into_owned) allocate.
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
    index: &'a ChunkIndex,
}

impl<'a> ChatCompletionChunk<'a> {
    #[inline]
    pub(crate) const fn new(document: Document<'a>, index: &'a ChunkIndex) -> Self {
        Self { document, index }
    }

    /// `id`: the completion's id, which most servers repeat in each chunk.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.string(self.index.top.id)
    }

    /// `object`: `chat.completion.chunk`, or another value of an inexact server.
    #[must_use]
    pub fn object(&self) -> Option<&'a str> {
        self.string(self.index.top.object)
    }

    /// `created`: the time of creation, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        self.value(self.index.top.created)?.as_u64()
    }

    /// `model`: the name of the model.
    #[must_use]
    pub fn model(&self) -> Option<&'a str> {
        self.string(self.index.top.model)
    }

    /// `system_fingerprint`: the server's configuration.
    #[must_use]
    pub fn system_fingerprint(&self) -> Option<&'a str> {
        self.string(self.index.top.system_fingerprint)
    }

    /// `service_tier`: `default`, `flex`, `priority` or another tier; the list is open.
    #[must_use]
    pub fn service_tier(&self) -> Option<&'a str> {
        self.string(self.index.top.service_tier)
    }

    /// `obfuscation`: random text that hides the length of the other texts.
    #[must_use]
    pub fn obfuscation(&self) -> Option<&'a str> {
        self.string(self.index.top.obfuscation)
    }

    /// `prompt_token_ids`: the ids of the prompt's tokens, in the first chunk (vLLM).
    #[must_use]
    pub fn prompt_token_ids(&self) -> Option<impl Iterator<Item = u64> + use<'a>> {
        numbers(self.get(top::PROMPT_TOKEN_IDS)?)
    }

    /// `choices`, in the order sent; empty if the member is absent or of another type.
    #[must_use]
    pub fn choices(&self) -> Choices<'a> {
        Choices { chunk: *self, rows: self.index.choices.iter() }
    }

    /// Returns the number of values in place of a choice that aren't objects.
    ///
    /// A non-empty `choices` that isn't an array is one.
    pub(crate) fn lost_choices(&self) -> usize {
        if self.index.mismatches.is_empty() {
            // The index notes each value of another type than the schema's.
            return 0;
        }
        let Some(choices) = self.value(self.index.top.choices) else { return 0 };
        let is_lost = |value: &Value<'_>| {
            !value.is_empty_value() && self.document.kind(value.id) != Some(Kind::Object)
        };
        match self.document.kind(choices.id) {
            Some(Kind::Array) => choices.elements().filter(is_lost).count(),
            _ => usize::from(!choices.is_empty_value()),
        }
    }

    /// Returns true if `choices` is present and not `null`, even if it is empty.
    pub(crate) const fn has_choices(&self) -> bool {
        self.index.top.choices != 0
    }

    /// Returns true if the object is a chunk.
    ///
    /// A chunk has `choices`, a `usage`, a `usage` in `x_groq`, or the `object` of a chunk or
    /// completion.
    pub(crate) fn is_chunk(&self) -> bool {
        let top = &self.index.top;
        let says_so = || {
            let object = self.object().unwrap_or_default();
            let x_groq = || self.x_groq().is_some_and(|x_groq| x_groq.get(top::USAGE).is_some());
            matches!(object, CHUNK_OBJECT | "chat.completion" | "text_completion") || x_groq()
        };
        top.choices != 0 || top.usage != 0 || says_so() || self.get(top::CHOICES).is_some()
    }

    /// `usage`: of the chunk, of `x_groq` or of a choice, in this order.
    ///
    /// An empty one counts only if there is no other.
    #[inline]
    #[must_use]
    pub fn usage(&self) -> Option<Usage<'a>> {
        let top = &self.index.top;
        let is_absent =
            top.usage | top.x_groq == 0 && self.index.choices.iter().all(|row| row.usage == 0);
        if is_absent { None } else { self.find_usage() }
    }

    fn find_usage(&self) -> Option<Usage<'a>> {
        let top = self.index.top.usage;
        if self.has_own_usage() {
            return self.value(top).map(Usage::new);
        }
        let in_x_groq = self.x_groq().and_then(|x_groq| x_groq.get(top::USAGE));
        let in_choices = || self.index.choices.iter().filter_map(|row| self.value(row.usage));
        let all = || in_x_groq.into_iter().chain(in_choices()).chain(self.value(top));
        let objects = || all().filter(|usage| self.is_object(usage.id));
        let with_content = objects().find(|usage| !usage.is_empty_value());
        with_content.or_else(|| objects().next()).map(Usage::new)
    }

    /// Returns position, index and usage of each choice with a usage, if the chunk has no other usage.
    pub(crate) fn usage_of_choices(&self) -> impl Iterator<Item = (usize, u64, Usage<'a>)> {
        let in_x_groq = self.x_groq().and_then(|x_groq| x_groq.get(top::USAGE));
        let is_other =
            self.has_own_usage() || in_x_groq.is_some_and(|usage| self.has_members(usage.id));
        let choices = self.choices().enumerate();
        let choices = choices.filter(move |(_, choice)| !is_other && !choice.has_invalid_index());
        let this = *self;
        choices.filter_map(move |(at, choice)| {
            let usage = this.value(choice.row.usage).filter(|usage| this.is_object(usage.id))?;
            Some((at, choice.index().unwrap_or(0), Usage::new(usage)))
        })
    }

    /// `x_groq`: an object with Groq's own members.
    #[must_use]
    pub fn x_groq(&self) -> Option<Value<'a>> {
        self.value(self.index.top.x_groq)
    }

    /// Returns the error in this chunk, if there is one.
    ///
    /// It is the `error` member of the chunk, of a choice or of `x_groq`, or a chunk whose `object` is
    /// `error`.
    #[must_use]
    #[inline]
    pub fn error(&self) -> Option<UpstreamError<'a>> {
        let is_absent = self.index.top.error | self.index.top.x_groq == 0
            && self.index.choices.iter().all(|row| row.error == 0)
            && !self.document.is_string(self.index.top.object, top::ERROR);
        if is_absent { None } else { self.find_error() }
    }

    fn find_error(&self) -> Option<UpstreamError<'a>> {
        let error_at = |id| self.value(id).filter(UpstreamError::is_truthy_error);
        let is_error = || self.document.is_string(self.index.top.object, top::ERROR);
        let says_so = || is_error().then(|| self.as_value());
        let in_choice = || self.index.choices.iter().find_map(|row| error_at(row.error));
        let in_x_groq = || self.x_groq()?.get(top::ERROR).filter(UpstreamError::is_truthy_error);
        let error = error_at(self.index.top.error).or_else(says_so).or_else(in_choice);
        let error = error.or_else(in_x_groq)?;
        Some(UpstreamError::new(Some(error), b"", Some(*self)))
    }

    /// Returns the member `name`, of any type; of members with the same name the last one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.as_value().get(name)
    }

    /// Returns the members outside the common schema, in the order sent.
    ///
    /// These are all but `id`, `object`, `created`, `model`, `choices`, `usage`,
    /// `system_fingerprint`, `service_tier`, `obfuscation`, `error` and `x_groq`. A repeated name
    /// occurs repeatedly.
    #[must_use]
    pub fn extra(&self) -> ExtraMembers<'a> {
        self.extra_of(&self.index.top.extras)
    }

    /// Returns the whole chunk as a JSON value.
    #[must_use]
    pub fn as_value(&self) -> Value<'a> {
        Value::new(self.document, 0)
    }

    /// Returns the kinds of content in the chunk.
    ///
    /// Reads the index of the chunk, and the parts of a `content` that is an array.
    #[must_use]
    pub fn content_flags(&self) -> ContentFlags {
        ContentFlags {
            error: self.error().is_some(),
            usage: self.usage().is_some(),
            ..ContentFlags::of_choices(self.document, self.index)
        }
    }

    /// Returns the values of another type than the schema's, such as `"content": 5`.
    ///
    /// They read as `None`. The search covers the whole chunk, `usage` and `logprobs` included. It
    /// allocates if there is such a value, and returns at most the first 256.
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

    /// Copies the chunk into memory of its own, so that it outlives its event. Allocates.
    #[must_use]
    pub fn into_owned(self) -> OwnedChatCompletionChunk {
        OwnedChatCompletionChunk::new(&self)
    }

    /// Returns the index of the [full](Document::full) document: its own one if no array is unread.
    fn full_index(&self) -> Cow<'a, ChunkIndex> {
        let mut index = Cow::Borrowed(self.index);
        if self.document.has_unread() {
            let filled = index.to_mut().fill(self.document.full());
            debug_assert!(filled.is_ok(), "a chunk that matches a template has few choices");
        }
        index
    }

    fn extra_of(&self, range: &Range<u32>) -> ExtraMembers<'a> {
        ExtraMembers { document: self.document, names: self.index.extras_in(range).iter() }
    }

    /// Returns the text in a column, if there is a string.
    #[inline]
    fn string(&self, id: NodeId) -> Option<&'a str> {
        if id == 0 { None } else { self.document.string(id) }
    }

    #[inline]
    fn value(&self, id: NodeId) -> Option<Value<'a>> {
        (id != 0).then(|| Value::new(self.document, id))
    }

    /// Returns true if a member is present, not `null`, and not a whole number.
    fn is_invalid_count(&self, id: NodeId) -> bool {
        let is_null = || self.document.kind(id) == Some(Kind::Null);
        id != 0 && !is_null() && Value::new(self.document, id).as_u64().is_none()
    }

    /// Returns true if the member `usage` is an object with members.
    pub(crate) fn has_own_usage(&self) -> bool {
        self.has_members(self.index.top.usage)
    }

    fn has_members(&self, id: NodeId) -> bool {
        self.is_object(id) && !Value::new(self.document, id).is_empty_value()
    }

    fn is_object(&self, id: NodeId) -> bool {
        id != 0 && self.document.kind(id) == Some(Kind::Object)
    }
}

/// Writes the JSON text as sent.
impl fmt::Debug for ChatCompletionChunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_value(), f)
    }
}

/// An iterator over names and values of members outside the common schema.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct ExtraMembers<'a> {
    document: Document<'a>,
    names: core::slice::Iter<'a, NodeId>,
}

impl<'a> Iterator for ExtraMembers<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = *self.names.next()?;
        Some((self.document.name_of(name + 1), Value::new(self.document, name + 1)))
    }
}

/// Returns the numbers of an array, or `None` if the value isn't an array of counts.
fn numbers(list: Value<'_>) -> Option<impl Iterator<Item = u64>> {
    let is_list = list.document.kind(list.id) == Some(Kind::Array);
    let all = || list.elements().all(|number| number.as_u64().is_some());
    (is_list && all()).then(|| list.elements().filter_map(|number| number.as_u64()))
}
