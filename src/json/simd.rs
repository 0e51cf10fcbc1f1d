//! The one file that names simd-json: a strict, fast reader whose buffers are all reused.

use std::mem;

use simd_json::{Buffers, INPUT_PADDING, Node as TapeNode, StaticNode, Tape, fill_tape_padded};

use super::node::{Kind, Node, NodeId};

pub(crate) struct Simd {
    buffers: Buffers,
    /// Empty between two calls: a tape borrows the text that it was read from.
    tape: Tape<'static>,
}

impl Simd {
    /// Allocates nothing.
    pub(crate) fn new(depth: usize) -> Self {
        Self { buffers: Buffers::with_max_depth(0, depth), tape: Tape(Vec::new()) }
    }

    /// Reads `json` into `nodes` and leaves its strings unescaped in `text`; says whether
    /// simd-json took it. If not, the contents of both mean nothing.
    pub(crate) fn read(
        &mut self,
        json: &[u8],
        text: &mut Vec<u8>,
        nodes: &mut Vec<Node>,
        open: &mut Vec<NodeId>,
    ) -> bool {
        text.clear();
        text.extend_from_slice(json);
        text.resize(json.len() + INPUT_PADDING, b' ');
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let taken = fill_tape_padded(text, json.len(), &mut self.buffers, &mut tape).is_ok();
        if taken {
            index(json, &tape, self.buffers.structural_indexes(), nodes, open);
        }
        self.tape = tape.reset();
        taken
    }
}

/// Walks the tape beside the structural indexes, which say where each value stands:
///
/// ```text
/// json        {  "a"  :  [  1  ,  "x"  ]  }
/// structural  0  1    4  5  6  7  8    11 12     brackets, colons, commas, first bytes of values
/// tape        o  a       a  1     x              values in the same order, names among them
/// ```
#[expect(
    clippy::cast_possible_truncation,
    reason = "a text has less than 4 GiB and more bytes than nodes, so positions fit in u32"
)]
fn index(
    json: &[u8],
    tape: &Tape<'_>,
    structurals: &[u32],
    nodes: &mut Vec<Node>,
    open: &mut Vec<NodeId>,
) {
    let mut structurals = structurals.iter().copied();
    for value in &tape.0 {
        let start = loop {
            let Some(at) = structurals.next() else { return };
            match json.get(at as usize) {
                Some(b':' | b',') => {}
                Some(b'}' | b']') => close(at + 1, nodes, open),
                _ => break at,
            }
        };
        let (kind, extra) = match value {
            TapeNode::String(text) => (Kind::String, text.len() as u32),
            TapeNode::Object { .. } => (Kind::Object, 0),
            TapeNode::Array { .. } => (Kind::Array, 0),
            TapeNode::Static(StaticNode::Null) => (Kind::Null, 0),
            TapeNode::Static(StaticNode::Bool(true)) => (Kind::True, 0),
            TapeNode::Static(StaticNode::Bool(false)) => (Kind::False, 0),
            TapeNode::Static(_) => (Kind::Number, 0),
        };
        let end = match kind {
            Kind::Object | Kind::Array => {
                open.push(nodes.len() as u32);
                start
            }
            _ => {
                let next = structurals.clone().next().unwrap_or(json.len() as u32);
                trimmed_end(json, start, next)
            }
        };
        nodes.push(Node { kind, start, end, extra });
    }
    for at in structurals {
        if let Some(b'}' | b']') = json.get(at as usize) {
            close(at + 1, nodes, open);
        }
    }
}

/// Ends the innermost open array or object at `end`.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer nodes than bytes")]
fn close(end: u32, nodes: &mut [Node], open: &mut Vec<NodeId>) {
    let behind = nodes.len() as u32;
    if let Some(node) = open.pop().and_then(|id| nodes.get_mut(id as usize)) {
        node.end = end;
        node.extra = behind;
    }
}

/// Where the value ends that begins at `start`, when only white space may stand between it and
/// `next`.
fn trimmed_end(json: &[u8], start: u32, next: u32) -> u32 {
    let mut end = next;
    while end > start && matches!(json.get(end as usize - 1), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        end -= 1;
    }
    end
}
