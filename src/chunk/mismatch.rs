//! `Mismatch<'_>`: a value of another type than the schema's, and where it is.

use core::fmt::Write as _;

use super::ChatCompletionChunk;
use super::index::{MOST_MISMATCHES, ValueType};
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
enum TypeSpec {
    Is(ValueType),
    /// A list, and its elements.
    Each(&'static TypeSpec),
    /// An object, and those of its members that have a type.
    With(&'static [(&'static str, TypeSpec)]),
    /// A text, or a list of such parts.
    TextOrEach(&'static TypeSpec),
}

const PROMPT_DETAILS: TypeSpec = TypeSpec::With(&[
    ("cached_tokens", TypeSpec::Is(ValueType::Count)),
    ("audio_tokens", TypeSpec::Is(ValueType::Count)),
    ("text_tokens", TypeSpec::Is(ValueType::Count)),
    ("image_tokens", TypeSpec::Is(ValueType::Count)),
    ("cache_write_tokens", TypeSpec::Is(ValueType::Count)),
]);

const COMPLETION_DETAILS: TypeSpec = TypeSpec::With(&[
    ("reasoning_tokens", TypeSpec::Is(ValueType::Count)),
    ("audio_tokens", TypeSpec::Is(ValueType::Count)),
    ("text_tokens", TypeSpec::Is(ValueType::Count)),
    ("accepted_prediction_tokens", TypeSpec::Is(ValueType::Count)),
    ("rejected_prediction_tokens", TypeSpec::Is(ValueType::Count)),
]);

const USAGE: TypeSpec = TypeSpec::With(&[
    ("prompt_tokens", TypeSpec::Is(ValueType::Count)),
    ("completion_tokens", TypeSpec::Is(ValueType::Count)),
    ("total_tokens", TypeSpec::Is(ValueType::Count)),
    ("prompt_tokens_details", PROMPT_DETAILS),
    ("completion_tokens_details", COMPLETION_DETAILS),
    ("cached_tokens", TypeSpec::Is(ValueType::Count)),
    ("prompt_cache_hit_tokens", TypeSpec::Is(ValueType::Count)),
    ("reasoning_tokens", TypeSpec::Is(ValueType::Count)),
]);

const TOP_TOKEN: TypeSpec = TypeSpec::With(&[
    ("token", TypeSpec::Is(ValueType::String)),
    ("logprob", TypeSpec::Is(ValueType::Number)),
    ("bytes", TypeSpec::Each(&TypeSpec::Is(ValueType::Byte))),
]);

const TOKEN: TypeSpec = TypeSpec::With(&[
    ("token", TypeSpec::Is(ValueType::String)),
    ("logprob", TypeSpec::Is(ValueType::Number)),
    ("bytes", TypeSpec::Each(&TypeSpec::Is(ValueType::Byte))),
    ("top_logprobs", TypeSpec::Each(&TOP_TOKEN)),
]);

const TOP: TypeSpec = TypeSpec::With(&[
    ("usage", USAGE),
    ("x_groq", TypeSpec::With(&[("usage", USAGE)])),
    ("prompt_token_ids", TypeSpec::Each(&TypeSpec::Is(ValueType::Count))),
]);

const CHOICE: TypeSpec = TypeSpec::With(&[
    (
        "logprobs",
        TypeSpec::With(&[("content", TypeSpec::Each(&TOKEN)), ("refusal", TypeSpec::Each(&TOKEN))]),
    ),
    ("stop_reason", TypeSpec::Is(ValueType::StringOrInteger)),
    ("token_ids", TypeSpec::Each(&TypeSpec::Is(ValueType::Count))),
    ("usage", USAGE),
    ("delta", DELTA),
]);

const DELTA: TypeSpec = TypeSpec::With(&[
    (
        "content",
        TypeSpec::TextOrEach(&TypeSpec::With(&[
            ("text", TypeSpec::Is(ValueType::String)),
            ("thinking", TypeSpec::Is(ValueType::StringOrArray)),
        ])),
    ),
    (
        "function_call",
        TypeSpec::With(&[
            ("name", TypeSpec::Is(ValueType::String)),
            ("arguments", TypeSpec::Is(ValueType::String)),
        ]),
    ),
    (
        "audio",
        TypeSpec::With(&[
            ("id", TypeSpec::Is(ValueType::String)),
            ("data", TypeSpec::Is(ValueType::String)),
            ("transcript", TypeSpec::Is(ValueType::String)),
            ("expires_at", TypeSpec::Is(ValueType::Count)),
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
        if is_effective(document, id) {
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
fn check(document: Document<'_>, id: NodeId, shape: &TypeSpec, ids: &mut Vec<NodeId>) {
    if ids.len() >= 2 * MOST_MISMATCHES {
        return;
    }
    let expected = match shape {
        TypeSpec::Is(expected) => *expected,
        TypeSpec::Each(_) => ValueType::Array,
        TypeSpec::With(_) => ValueType::Object,
        TypeSpec::TextOrEach(_) => ValueType::StringOrArray,
    };
    if !expected.allows(document, id) {
        ids.push(id);
        return;
    }
    match shape {
        TypeSpec::Is(_) => {}
        TypeSpec::Each(shape) | TypeSpec::TextOrEach(shape) => {
            for element in document.elements(id) {
                check(document, element, shape, ids);
            }
        }
        TypeSpec::With(members) => {
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
fn is_effective(document: Document<'_>, id: NodeId) -> bool {
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
