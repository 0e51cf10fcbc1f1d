//! `Carries`: what kinds of things a chunk brings, without reading any of them.

use super::table::{ChoiceRow, Table};
use crate::json::{Document, Kind, NodeId};

/// What kinds of things a payload brings: enough to tell the time to the first token, the time
/// between tokens, and whether to look closer.
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
/// let first = decoder.next(&mut input).unwrap().payload().carries();
/// assert!(first.role && !first.is_output());
/// let second = decoder.next(&mut input).unwrap().payload().carries();
/// assert!(second.content && second.is_output());
/// ```
///
/// Empty strings, empty lists and `null` bring nothing. It costs a look at each choice's table,
/// and nothing is read for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Carries {
    /// The `[DONE]` that ends a stream.
    pub done: bool,
    /// An error of the upstream.
    pub error: bool,
    /// A usage object, in whichever place.
    pub usage: bool,
    /// A role.
    pub role: bool,
    /// Text, or parts of a content.
    pub content: bool,
    /// Text of a refusal.
    pub refusal: bool,
    /// Reasoning, or details of it.
    pub reasoning: bool,
    /// A part of a tool call or function call.
    pub tool_call: bool,
    /// Audio.
    pub audio: bool,
    /// A finish reason.
    pub finish: bool,
}

impl Carries {
    /// Whether the model has produced something: the first such chunk has the first token.
    #[must_use]
    pub const fn is_output(&self) -> bool {
        self.content || self.refusal || self.reasoning || self.tool_call || self.audio
    }

    /// Whether there is a role and nothing else, as in the first chunk of many servers.
    #[must_use]
    pub fn is_role_only(&self) -> bool {
        *self == Self { role: true, ..Self::default() }
    }

    /// Of a chunk; its error and usage aside.
    pub(super) fn of_choices(document: Document<'_>, table: &Table) -> Self {
        let mut carries = Self::default();
        for choice in &table.choices {
            carries.add(document, choice);
        }
        carries
    }

    fn add(&mut self, document: Document<'_>, choice: &ChoiceRow) {
        let some = |id| brings(document, id);
        let ChoiceRow { delta, .. } = choice;
        self.role |= some(delta.role);
        self.content |= some(delta.content) || some(choice.text);
        self.refusal |= some(delta.refusal);
        self.reasoning |=
            some(delta.reasoning_content) || some(delta.reasoning) || some(delta.reasoning_details);
        self.tool_call |= !delta.calls.is_empty() || some(delta.function_call);
        self.audio |= some(delta.audio);
        self.finish |= some(choice.finish_reason);
    }
}

/// Whether a member is there and not `null`, and not empty.
fn brings(document: Document<'_>, id: NodeId) -> bool {
    id != 0
        && document.node(id).is_some_and(|node| match node.kind {
            Kind::String => node.extra > 0,
            Kind::Array | Kind::Object => node.extra > id + 1,
            Kind::Null => false,
            Kind::True | Kind::False | Kind::Number | Kind::Huge | Kind::NotFinite => false,
        })
}
