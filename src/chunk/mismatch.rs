//! `Mismatch<'_>`: a value of another type than the schema's, and where it is.

use core::fmt::Write as _;

use super::ChatCompletionChunk;
use super::table::Type;
use crate::json::{Document, Kind, Member, NodeId, Value};

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

/// All mismatches of a chunk, in the order in which they were sent. The table has found those of
/// its columns; what it doesn't look into is looked into here.
pub(super) fn of<'a>(
    chunk: &ChatCompletionChunk<'a>,
) -> impl Iterator<Item = Mismatch<'a>> + use<'a> {
    let document = chunk.document;
    let mut ids = chunk.table.mismatches.clone();
    if let Some(usage) = chunk.usage() {
        check_usage(document, usage.as_value().id, &mut ids);
    }
    for row in &chunk.table.choices {
        for member in document.members_in_column(row.logprobs) {
            if matches!(member.name, b"content" | b"refusal") {
                check_tokens(document, member.value, &mut ids);
            }
        }
    }
    // `NaN` and `1e400` are wrong wherever they stand.
    let nodes = (0..).zip(document.nodes);
    let odd = nodes.filter(|(_, node)| matches!(node.kind, Kind::NotFinite | Kind::Huge));
    ids.extend(odd.map(|(id, _)| id));
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(move |id| Mismatch { document, id })
}

/// The counts that OpenAI's schema has.
fn check_usage(document: Document<'_>, usage: NodeId, ids: &mut Vec<NodeId>) {
    for Member { name, value, .. } in document.members(usage) {
        let expected = match name {
            b"prompt_tokens" | b"completion_tokens" | b"total_tokens" => Type::Count,
            b"prompt_tokens_details" | b"completion_tokens_details" => {
                for count in document.members(value) {
                    note(document, count.value, Type::Count, ids);
                }
                Type::Object
            }
            _ => continue,
        };
        note(document, value, expected, ids);
    }
}

fn check_tokens(document: Document<'_>, list: NodeId, ids: &mut Vec<NodeId>) {
    note(document, list, Type::Array, ids);
    for token in document.elements(list) {
        note(document, token, Type::Object, ids);
        for Member { name, value, .. } in document.members(token) {
            let expected = match name {
                b"token" => Type::String,
                b"logprob" => Type::Number,
                b"bytes" => Type::Array,
                // As deep as the schema goes: the likeliest tokens have none of their own.
                b"top_logprobs" => {
                    for top in document.elements(value) {
                        note(document, top, Type::Object, ids);
                    }
                    Type::Array
                }
                _ => continue,
            };
            note(document, value, expected, ids);
        }
    }
}

fn note(document: Document<'_>, id: NodeId, expected: Type, ids: &mut Vec<NodeId>) {
    if !document.node(id).is_some_and(|node| expected.allows(document, node)) {
        ids.push(id);
    }
}
