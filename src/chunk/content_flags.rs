//! `ContentFlags`: the kinds of content in a chunk, found without a look at their texts.

use super::choice::is_reason;
use super::content_part::{ContentPart, texts_of};
use super::index::ChunkIndex;
use super::origin::Origin;
use super::schema::{ChoiceFields, Level, TextMember, origin};
use super::schema::{function, tool_call};
use crate::json::{Document, Kind, NodeId, Value};

/// The kinds of content in a payload.
///
/// They are enough to measure the time to the first token and the time between tokens.
///
/// ```
/// use deltawire::{ChunkDecoder, Payload};
///
/// let stream = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}
///
/// data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}
///
/// "#;
/// let mut decoder = ChunkDecoder::new();
/// let mut input = stream.as_bytes();
/// let first = decoder.next(&mut input).unwrap().payload().content_flags();
/// assert!(first.role && !first.is_output());
/// let second = decoder.next(&mut input).unwrap().payload().content_flags();
/// assert!(second.content && second.is_output());
/// ```
///
/// Empty strings, empty arrays, empty objects and `null` don't count. Output is every value that a
/// [`Reassembler`](crate::Reassembler) stores as the model's. It includes texts sent as numbers,
/// and members of a delta outside OpenAI's schemas, such as `thinking_blocks` and `images`. The
/// cost is a look at the index of each choice; only the parts of a `content` are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentFlags {
    /// The `[DONE]` that ends a stream.
    pub done: bool,
    /// An error of the upstream.
    pub error: bool,
    /// A usage object, in the chunk, in `x_groq` or in a choice.
    pub usage: bool,
    /// A role.
    pub role: bool,
    /// Text, or parts of a `content`.
    pub content: bool,
    /// Text of a refusal.
    pub refusal: bool,
    /// Reasoning, or its details.
    pub reasoning: bool,
    /// A fragment of a tool call or function call.
    pub tool_call: bool,
    /// Audio.
    pub audio: bool,
    /// Images.
    pub image: bool,
    /// A finish reason.
    pub finish: bool,
}

impl ContentFlags {
    /// Returns true if the model has produced output.
    ///
    /// The first such chunk has the first token.
    #[must_use]
    pub const fn is_output(&self) -> bool {
        self.content || self.refusal || self.reasoning || self.tool_call || self.audio || self.image
    }

    /// Returns true if there is a role and nothing else, as in the first chunk of many servers.
    #[must_use]
    pub fn is_role_only(&self) -> bool {
        *self == Self { role: true, ..Self::default() }
    }

    /// Returns the flags of the choices of a chunk: all but its error and its usage.
    pub(super) fn of_choices(document: Document<'_>, index: &ChunkIndex) -> Self {
        let mut content_flags = Self::default();
        for choice in &index.choices {
            content_flags.add_choice(document, index, choice);
        }
        content_flags
    }

    /// Adds the flags of a choice.
    pub(super) fn add_choice(
        &mut self,
        document: Document<'_>,
        index: &ChunkIndex,
        choice: &ChoiceFields,
    ) {
        self.add(document, choice);
        self.add_extras(document, index, choice);
        let calls = index.calls_in(&choice.delta_fields.calls);
        self.tool_call |= calls.iter().any(|call| {
            let some = |id| is_present_and_nonempty(document, id, Kind::String);
            let object =
                is_present_and_nonempty(document, call.function_fields.arguments, Kind::Object);
            some(call.id)
                || some(call.function_fields.name)
                || some(call.function_fields.arguments)
                || object
                || brings_custom(document, call.node)
        });
    }

    fn add(&mut self, document: Document<'_>, choice: &ChoiceFields) {
        let text = |id| is_present_and_nonempty(document, id, Kind::String);
        // A number, object or array in place of a string counts too.
        let odd = |id| {
            text(id)
                || [Kind::Number, Kind::Object, Kind::Array]
                    .into_iter()
                    .any(|kind| is_present_and_nonempty(document, id, kind))
        };
        let delta = &choice.delta_fields;
        self.role |= text(delta.role);
        self.content |= text(delta.content) || text(choice.text);
        for member in TextMember::ALL {
            // A content has parts, which may be of another origin.
            if member != TextMember::Content && odd(delta.text(member)) {
                self.set(member.origin());
            }
        }
        self.reasoning |= is_present_and_nonempty(document, delta.reasoning_details, Kind::Array);
        self.audio |= is_present_and_nonempty(document, delta.audio, Kind::Object);
        let reason = || document.string(choice.finish_reason);
        self.finish |= text(choice.finish_reason) && reason().is_some_and(is_reason);
        self.content |= is_present_and_nonempty(document, delta.content, Kind::Number);
        let parts = document.elements(delta.content);
        let single =
            is_present_and_nonempty(document, delta.content, Kind::Object).then_some(delta.content);
        for part in parts.chain(single).map(|part| Value::new(document, part)) {
            match ContentPart::of(part) {
                ContentPart::Text(text) => self.content |= !text.is_empty_value(),
                ContentPart::Refusal(text) => self.refusal |= !text.is_empty_value(),
                ContentPart::Reasoning(value) => {
                    self.reasoning |= texts_of(value).any(|text| !text.is_empty_value());
                }
                ContentPart::Nothing | ContentPart::Unknown => {}
            }
        }
        if is_present_and_nonempty(document, delta.function_call, Kind::Object) {
            let call = Value::new(document, delta.function_call);
            self.tool_call |= [function::NAME, function::ARGUMENTS].into_iter().any(|name| {
                call.get(name)
                    .is_some_and(|value| is_present_and_nonempty(document, value.id, Kind::String))
            });
        }
    }
}

impl ContentFlags {
    /// Adds the members of a delta without a column, by their origin.
    ///
    /// Adds a whole message too, where the delta has no content.
    fn add_extras(&mut self, document: Document<'_>, index: &ChunkIndex, choice: &ChoiceFields) {
        for name in index.extras_in(&choice.delta_fields.extras) {
            let value = Value::new(document, name + 1);
            if !value.is_empty_value() {
                self.set(origin(Level::Delta, document.name_of(name + 1)));
            }
        }
        let delta = Value::new(document, choice.delta_fields.node);
        let has_delta = choice.delta_fields.node != 0
            && delta.members().any(|(_, value)| !value.is_empty_value());
        if choice.message != 0 && !has_delta {
            for (name, value) in Value::new(document, choice.message).members() {
                if !value.is_empty_value() {
                    self.set(origin(Level::Delta, name));
                }
            }
        }
    }

    const fn set(&mut self, origin: Origin) {
        match origin {
            Origin::Content => self.content = true,
            Origin::Refusal => self.refusal = true,
            Origin::Reasoning => self.reasoning = true,
            Origin::ToolCall => self.tool_call = true,
            Origin::Audio => self.audio = true,
            Origin::Image => self.image = true,
            Origin::Server | Origin::Padding | Origin::Duplicate | Origin::Unknown => {}
        }
    }
}

/// Returns true if a call is one of a custom tool, with a name or a fragment of its input.
#[cold]
fn brings_custom(document: Document<'_>, call: NodeId) -> bool {
    let Some(custom) = Value::new(document, call).get(tool_call::CUSTOM) else { return false };
    [function::NAME, "input"].into_iter().any(|name| {
        custom
            .get(name)
            .is_some_and(|value| is_present_and_nonempty(document, value.id, Kind::String))
    })
}

/// Returns true if a member is present, of this kind, and not empty.
fn is_present_and_nonempty(document: Document<'_>, id: NodeId, kind: Kind) -> bool {
    id != 0
        && document.node(id).is_some_and(|node| {
            node.kind == kind
                && match kind {
                    Kind::Array | Kind::Object => node.payload > id + 1,
                    Kind::String => node.payload > 0,
                    _ => true,
                }
        })
}
