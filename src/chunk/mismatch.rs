//! `Mismatch<'_>`: a value of another type than the schema's, and where it is.

use core::fmt::Write as _;

use super::ChatCompletionChunk;
use super::table::{MOST_MISMATCHES, Type};
use crate::json::{Document, Kind, NodeId, Value};

/// A value whose type isn't the schema's, as `"content": 5`: it reads as `None`.
#[derive(Clone, Copy)]
pub struct Mismatch<'a> {
    document: Document<'a>,
    id: NodeId,
}

impl<'a> Mismatch<'a> {
    /// The value, as it was sent.
    #[must_use]
    pub const fn value(&self) -> Value<'a> {
        Value::new(self.document, self.id)
    }

    /// Where it is, as `choices[0].delta.content`. Allocates.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        let mut at = 0;
        while at < self.id {
            let Some((step, next)) = self.step(at) else { break };
            match step {
                Step::Name(name) => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(name);
                }
                Step::Position(position) => {
                    // Writing to a string can't fail.
                    let _ = write!(path, "[{position}]");
                }
            }
            at = next;
        }
        path
    }

    /// From an array or object to what holds the value inside of it.
    fn step(&self, at: NodeId) -> Option<(Step<'a>, NodeId)> {
        let document = self.document;
        let holds = |id: &NodeId| (*id..document.behind(*id)).contains(&self.id);
        if document.kind(at) == Some(Kind::Array) {
            let (position, id) = document.elements(at).enumerate().find(|(_, id)| holds(id))?;
            return Some((Step::Position(position), id));
        }
        let member = document.members(at).find(|member| holds(&member.value))?;
        Some((Step::Name(document.string(member.value - 1)?), member.value))
    }
}

enum Step<'a> {
    Name(&'a str),
    Position(usize),
}

/// The path, not the value: that may be personal.
impl core::fmt::Debug for Mismatch<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mismatch")
            .field("path", &self.path())
            .field("kind", &self.value().kind())
            .finish_non_exhaustive()
    }
}

/// What the schema says of a part that is read only when it is asked for.
enum Shape {
    Is(Type),
    /// A list, and its elements.
    Each(&'static Shape),
    /// An object, and those of its members that have a type.
    With(&'static [(&'static str, Shape)]),
    /// A text, or a list of such parts.
    TextOrEach(&'static Shape),
}

const PROMPT_DETAILS: Shape = Shape::With(&[
    ("cached_tokens", Shape::Is(Type::Count)),
    ("audio_tokens", Shape::Is(Type::Count)),
    ("text_tokens", Shape::Is(Type::Count)),
    ("image_tokens", Shape::Is(Type::Count)),
    ("cache_write_tokens", Shape::Is(Type::Count)),
]);

const COMPLETION_DETAILS: Shape = Shape::With(&[
    ("reasoning_tokens", Shape::Is(Type::Count)),
    ("audio_tokens", Shape::Is(Type::Count)),
    ("text_tokens", Shape::Is(Type::Count)),
    ("accepted_prediction_tokens", Shape::Is(Type::Count)),
    ("rejected_prediction_tokens", Shape::Is(Type::Count)),
]);

const USAGE: Shape = Shape::With(&[
    ("prompt_tokens", Shape::Is(Type::Count)),
    ("completion_tokens", Shape::Is(Type::Count)),
    ("total_tokens", Shape::Is(Type::Count)),
    ("prompt_tokens_details", PROMPT_DETAILS),
    ("completion_tokens_details", COMPLETION_DETAILS),
    ("cached_tokens", Shape::Is(Type::Count)),
    ("prompt_cache_hit_tokens", Shape::Is(Type::Count)),
    ("reasoning_tokens", Shape::Is(Type::Count)),
]);

const TOP_TOKEN: Shape = Shape::With(&[
    ("token", Shape::Is(Type::String)),
    ("logprob", Shape::Is(Type::Number)),
    ("bytes", Shape::Each(&Shape::Is(Type::Byte))),
]);

const TOKEN: Shape = Shape::With(&[
    ("token", Shape::Is(Type::String)),
    ("logprob", Shape::Is(Type::Number)),
    ("bytes", Shape::Each(&Shape::Is(Type::Byte))),
    ("top_logprobs", Shape::Each(&TOP_TOKEN)),
]);

const TOP: Shape = Shape::With(&[
    ("usage", USAGE),
    ("x_groq", Shape::With(&[("usage", USAGE)])),
    ("prompt_token_ids", Shape::Each(&Shape::Is(Type::Count))),
]);

const CHOICE: Shape = Shape::With(&[
    (
        "logprobs",
        Shape::With(&[("content", Shape::Each(&TOKEN)), ("refusal", Shape::Each(&TOKEN))]),
    ),
    ("stop_reason", Shape::Is(Type::StringOrInteger)),
    ("token_ids", Shape::Each(&Shape::Is(Type::Count))),
    ("usage", USAGE),
    ("delta", DELTA),
]);

const DELTA: Shape = Shape::With(&[
    (
        "content",
        Shape::TextOrEach(&Shape::With(&[
            ("text", Shape::Is(Type::String)),
            ("thinking", Shape::Is(Type::StringOrArray)),
        ])),
    ),
    (
        "function_call",
        Shape::With(&[("name", Shape::Is(Type::String)), ("arguments", Shape::Is(Type::String))]),
    ),
    (
        "audio",
        Shape::With(&[
            ("id", Shape::Is(Type::String)),
            ("data", Shape::Is(Type::String)),
            ("transcript", Shape::Is(Type::String)),
            ("expires_at", Shape::Is(Type::Count)),
        ]),
    ),
]);

/// The first mismatches of a chunk, in the order in which they were sent. The table has found
/// those of its columns; what it doesn't look into is looked into here.
pub(super) fn of<'a>(
    chunk: &ChatCompletionChunk<'a>,
) -> impl Iterator<Item = Mismatch<'a>> + use<'a> {
    let document = chunk.document;
    let mut ids = chunk.table.mismatches.clone();
    check(document, 0, &TOP, &mut ids);
    for row in &chunk.table.choices {
        check(document, row.node, &CHOICE, &mut ids);
    }
    // `NaN` and `1e400` are wrong wherever they stand.
    let odd = (0..document.len())
        .filter(|id| matches!(document.kind(*id), Some(Kind::NotFinite | Kind::Huge)));
    for id in odd.take(MOST_MISMATCHES) {
        if counts(document, id) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(MOST_MISMATCHES);
    ids.into_iter().map(move |id| Mismatch { document, id })
}

/// Holds a value, and what the shape says is in it, against the shape. Of members with the same
/// name the last one counts. The depth is the shape's.
fn check(document: Document<'_>, id: NodeId, shape: &Shape, ids: &mut Vec<NodeId>) {
    if ids.len() >= 2 * MOST_MISMATCHES {
        return;
    }
    let expected = match shape {
        Shape::Is(expected) => *expected,
        Shape::Each(_) => Type::Array,
        Shape::With(_) => Type::Object,
        Shape::TextOrEach(_) => Type::StringOrArray,
    };
    if !expected.allows(document, id) {
        ids.push(id);
        return;
    }
    match shape {
        Shape::Is(_) => {}
        Shape::Each(shape) | Shape::TextOrEach(shape) => {
            for element in document.elements(id) {
                check(document, element, shape, ids);
            }
        }
        Shape::With(members) => {
            let value = Value::new(document, id);
            for (name, shape) in *members {
                if let Some(member) = value.get(name) {
                    check(document, member.id, shape, ids);
                }
            }
        }
    }
}

/// Whether no later member of the same name stands for the value, or for what holds it.
fn counts(document: Document<'_>, id: NodeId) -> bool {
    let mut at = 0;
    while at < id {
        let holds = |at: NodeId| (at..document.behind(at)).contains(&id);
        if document.kind(at) == Some(Kind::Array) {
            let Some(element) = document.elements(at).find(|element| holds(*element)) else {
                return false;
            };
            at = element;
            continue;
        }
        let mut members = document.members(at).skip_while(|member| !holds(member.value));
        let Some(member) = members.next() else { return false };
        if members.any(|later| later.name == member.name) {
            return false;
        }
        at = member.value;
    }
    true
}
