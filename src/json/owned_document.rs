//! `OwnedDocument`: a document that owns its tape and text.

use super::document::Document;
use super::known_text;
use super::tape::{ESCAPED, Kind, Tape};

/// A document that owns its tape and text, without patches.
#[derive(Clone)]
pub(crate) struct OwnedDocument {
    tape: Tape,
    text: Box<str>,
}

impl OwnedDocument {
    /// Copies a document, with its patches merged into the copy's tape.
    pub(crate) fn new(document: Document<'_>) -> Self {
        let document = document.full();
        let mut strings = document.tape.strings.clone();
        let values = document.patches.values.as_ref();
        let offset = values.map_or(0, |more| strings.append(&more.strings));
        let nodes = (0..document.len()).filter_map(|id| {
            let mut node = document.node(id)?;
            let is_escaped = node.kind == Kind::String && node.payload & ESCAPED != 0;
            if is_escaped && document.patch(id).is_some() {
                node.payload += offset;
            }
            Some(node)
        });
        let tape = Tape {
            nodes: nodes.collect(),
            strings,
            has_non_finite_numbers: document.tape.has_non_finite_numbers,
        };
        Self { tape, text: known_text(document.bytes).into() }
    }

    pub(crate) fn as_document(&self) -> Document<'_> {
        Document::new(&self.tape, &self.text)
    }
}
