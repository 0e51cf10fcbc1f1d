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

pub(crate) use kept::{Full, merge_element};
pub use kept::{Json, JsonObject};
pub(crate) use node::{Document, Kind, NodeId};
pub(crate) use reader::Leniencies;
pub use value::{Value, ValueKind};

use crate::error::{Error, ErrorKind};
use node::Node;

/// Reads JSON texts, one after the other, into the same buffers.
#[derive(Default)]
pub(crate) struct Parser {
    /// A copy of the text in which strings are unescaped in place, and padding.
    text: Vec<u8>,
    nodes: Vec<Node>,
    /// The arrays and objects that are open while reading.
    open: Vec<NodeId>,
    simd: simd::Simd,
}

impl Parser {
    /// Reads `json`. What was read is there as [`document`](Self::document) until the next call.
    pub(crate) fn parse(&mut self, json: &[u8], depth: usize) -> Result<Leniencies, Error> {
        self.nodes.clear();
        self.open.clear();
        if u32::try_from(json.len()).is_err() {
            return Err(Error::new(ErrorKind::PayloadTooLarge, 0));
        }
        let Self { text, nodes, open, simd } = self;
        if simd.read(json, depth, text, nodes, open) {
            return Ok(Leniencies::default());
        }
        nodes.clear();
        open.clear();
        text.clear();
        text.extend_from_slice(json);
        reader::read(json, depth, text, nodes, open)
    }

    /// What was read from `json`, which must be the text of the last call of `parse`.
    pub(crate) fn document<'a>(&'a self, json: &'a [u8]) -> Document<'a> {
        Document { nodes: &self.nodes, text: &self.text, json }
    }
}
