//! JSON texts to documents: a flat list of nodes over the text, in buffers that are reused.
//!
//! Two readers fill the same list. `simd` reads what the grammar allows, fast. What it turns
//! down goes to `reader`, small and careful, which decides: it knows the few leniencies that
//! real streams need, and says at which byte a text is wrong.

mod kept;
mod node;
mod reader;
mod simd;
mod value;

pub use kept::{Json, JsonList, JsonObject};
pub(crate) use kept::{Key, Room};
pub(crate) use node::{Document, Kind, NodeId};
pub(crate) use reader::Leniencies;
pub use value::{Value, ValueKind};

use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use node::Node;

/// Reads JSON texts, one after the other, into the same buffers.
pub(crate) struct Parser {
    bounds: Bounds,
    /// A copy of the text in which strings are unescaped in place, and padding.
    text: Vec<u8>,
    nodes: Vec<Node>,
    /// The arrays and objects that are open while reading.
    open: Vec<NodeId>,
    simd: simd::Simd,
}

/// How much a text may have.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    depth: usize,
    values: usize,
}

impl Parser {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            bounds: Bounds { depth: limits.json_depth, values: limits.json_values },
            text: Vec::new(),
            nodes: Vec::new(),
            open: Vec::new(),
            simd: simd::Simd::new(limits.json_depth),
        }
    }

    /// Reads `json`. What was read is there as [`document`](Self::document) until the next call.
    pub(crate) fn parse(&mut self, json: &[u8]) -> Result<Leniencies, Error> {
        self.nodes.clear();
        self.open.clear();
        if u32::try_from(json.len()).is_err() {
            return Err(Error::new(ErrorKind::PayloadTooLarge, 0));
        }
        let Self { bounds, text, nodes, open, simd } = self;
        if has_at_most(bounds.values, json) && simd.read(json, text, nodes, open) {
            return Ok(Leniencies::default());
        }
        nodes.clear();
        open.clear();
        text.clear();
        text.extend_from_slice(json);
        reader::read(json, *bounds, text, nodes, open)
    }

    /// What was read from `json`, which must be the text of the last call of `parse`.
    pub(crate) fn document<'a>(&'a self, json: &'a [u8]) -> Document<'a> {
        Document { nodes: &self.nodes, text: &self.text, json }
    }

    /// Bytes that the buffers hold, roughly.
    pub(crate) fn held(&self) -> usize {
        self.text.capacity() + self.nodes.capacity() * size_of::<Node>()
    }
}

/// Whether `json` certainly has no more than so many names and values: the root, and one behind
/// each bracket, colon and comma, some of which may stand in strings.
fn has_at_most(values: usize, json: &[u8]) -> bool {
    json.len() / 2 < values
        || json.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count() < values
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{Bounds, Node, Parser, reader};
    use crate::limits::Limits;

    /// What a reader has made of a text: the nodes, and the unescaped text of each string.
    type Read = Option<(Vec<Node>, Vec<Vec<u8>>)>;

    fn strings(nodes: &[Node], text: &[u8]) -> Vec<Vec<u8>> {
        let of = |node: &Node| {
            let start = node.start as usize + 1;
            text.get(start..start + node.extra as usize).unwrap_or_default().to_vec()
        };
        nodes.iter().filter(|node| node.kind == super::Kind::String).map(of).collect()
    }

    fn by_simd(json: &[u8], depth: usize) -> Read {
        let mut parser = Parser::new(&Limits { json_depth: depth, ..Limits::new() });
        let Parser { text, nodes, open, simd, .. } = &mut parser;
        simd.read(json, text, nodes, open).then(|| (nodes.clone(), strings(nodes, text)))
    }

    /// By the careful reader, as far as it needs no leniency.
    fn by_reader(json: &[u8], depth: usize) -> Read {
        let (mut text, mut nodes, mut open) = (json.to_vec(), Vec::new(), Vec::new());
        let bounds = Bounds { depth, values: usize::MAX };
        let leniencies = reader::read(json, bounds, &mut text, &mut nodes, &mut open).ok()?;
        let strings = strings(&nodes, &text);
        (leniencies == super::Leniencies::default()).then_some((nodes, strings))
    }

    /// simd-json turns down numbers that don't fit its types; the reader keeps their text.
    fn has_large_number(json: &[u8]) -> bool {
        let digits =
            json.split(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        digits
            .into_iter()
            .any(|number| number.len() > 15 || number.contains(&b'e') || number.contains(&b'E'))
    }

    /// Texts of JSON's own tokens: some are JSON, most nearly so.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let token = proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\"a\"",
            "\"\\n\"",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"é😀\"",
            "\\",
            "0",
            "-1",
            "12.5",
            "1e5",
            "true",
            "false",
            "null",
            " ",
            "\n",
            "\t",
            "\"a\":",
            "{\"b\":",
            "[1,",
            "],",
            "},",
            "x",
            "\u{0}",
            "-",
            "01",
        ]);
        vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes())
    }

    /// JSON.
    fn values() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i32>().prop_map(|value| value.to_string()),
            "[0-9]{1,3}\\.[0-9]{1,4}",
            "\"[a-zé😀 ]{0,9}\"",
            "\"(\\\\[nrtbf/\\\\\"]|\\\\u00[0-9a-f]{2}|x){0,6}\"",
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let spaces = "[ \n]{0,2}";
            prop_oneof![
                (vec(inner.clone(), 0..6), spaces)
                    .prop_map(|(values, space)| format!("[{}{space}]", values.join(","))),
                (vec(("\"[a-c]{0,3}\"", inner), 0..6), spaces).prop_map(|(members, space)| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(name, value)| format!("{name}{space}:{value}"))
                        .collect();
                    format!("{{{space}{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

        /// Both readers make the same of what both take, and take the same but for large numbers.
        #[test]
        fn the_readers_agree(text in prop_oneof![texts(), values().prop_map(String::into_bytes)], depth in 0usize..6) {
            for depth in [depth, 128] {
                let (fast, careful) = (by_simd(&text, depth), by_reader(&text, depth));
                if fast.is_some() || !has_large_number(&text) {
                    prop_assert_eq!(fast, careful, "{:?} {}", String::from_utf8_lossy(&text), depth);
                }
            }
        }
    }
}
