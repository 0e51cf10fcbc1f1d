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
