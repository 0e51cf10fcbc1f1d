//! `Mismatch<'_>`: a value of another type than the schema's, and its path.

use core::fmt::Write as _;

use super::ChatCompletionChunk;
use super::index::MOST_MISMATCHES;
use super::path_name::push_name;
use super::schema::Level;
use super::value_type::ValueType;
use crate::json::{Document, Kind, NodeId, Value};

/// A value of another type than the schema's, such as `"content": 5`: it reads as `None`.
#[derive(Clone, Copy)]
pub struct Mismatch<'a> {
    document: Document<'a>,
    id: NodeId,
}

impl<'a> Mismatch<'a> {
    /// Returns the value as sent.
    #[must_use]
    pub const fn value(&self) -> Value<'a> {
        Value::new(self.document, self.id)
    }

    /// Returns the path of the value, such as `choices[0].delta.content`. Allocates.
    ///
    /// It is a path of RFC 9535 without the `$` for the root. A name with other characters than
    /// letters, digits and `_` is in brackets and quotes, such as `timings['p50.ms']`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        let mut at = 0;
        while at < self.id {
            let Some((step, next)) = self.step(at) else { break };
            match step {
                Step::Name(name) => push_name(&mut path, name),
                Step::Position(position) => {
                    // Writing to a string can't fail.
                    let _ = write!(path, "[{position}]");
                }
            }
            at = next;
        }
        path
    }

    /// Returns the step from an array or object to its element or member that contains the value.
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

/// Shows the path and the kind: the value may be personal.
impl core::fmt::Debug for Mismatch<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mismatch")
            .field("path", &self.path())
            .field("kind", &self.value().kind())
            .finish_non_exhaustive()
    }
}

/// Returns the first mismatches of a chunk, in the order in which they were sent.
///
/// The index contains those of its columns; this function searches the other members.
pub(super) fn mismatches<'a>(
    chunk: &ChatCompletionChunk<'a>,
) -> impl Iterator<Item = Mismatch<'a>> + use<'a> {
    let document = chunk.document.full();
    let index = chunk.full_index();
    let mut ids = index.mismatches.clone();
    let mut check = |level, id| {
        ValueType::ObjectOf(level).find_mismatches(document, id, 2 * MOST_MISMATCHES, &mut ids);
    };
    check(Level::Top, 0);
    index.choices.iter().for_each(|choice| check(Level::Choice, choice.node));
    // `NaN` and `1e400` are mismatches anywhere.
    let odd = (0..document.len())
        .filter(|id| matches!(document.kind(*id), Some(Kind::NonFiniteNumber | Kind::Huge)));
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

/// Returns true if no later member of the same name replaces the value, or a value around it.
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

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use crate::decoder::{ChunkDecoder, ChunkEvent, Payload};

    /// Names that would read as another path without brackets.
    #[test]
    fn a_path_names_one_value() {
        for (json, path) in [
            (r#"{"choices":[],"a":NaN}"#, "a"),
            (r#"{"choices":[],"":NaN}"#, "['']"),
            (r#"{"choices":[],"":{"b":NaN}}"#, "[''].b"),
            (r#"{"choices":[],"a.b":NaN}"#, "['a.b']"),
            (r#"{"choices":[],"a":{"b[0]":[NaN]}}"#, "a['b[0]'][0]"),
            (r#"{"choices":[],"1a":{"é_1":NaN}}"#, "['1a'].é_1"),
            (r#"{"choices":[],"it's\\\n\u001f":NaN}"#, r"['it\'s\\\n\u001f']"),
            (r#"{"choices":[{"delta":{"content":5}}]}"#, "choices[0].delta.content"),
        ] {
            let (mut decoder, stream) = (ChunkDecoder::new(), format!("data: {json}\n\n"));
            let event = decoder.next(&mut stream.as_bytes());
            let Some(Payload::Chunk(chunk)) = event.as_ref().map(ChunkEvent::payload) else {
                panic!("{json}");
            };
            let paths: Vec<_> = chunk.mismatches().map(|mismatch| mismatch.path()).collect();
            assert_eq!(paths, [path], "{json}");
        }
    }
}
