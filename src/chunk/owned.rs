//! `OwnedChatCompletionChunk`: a chunk that is kept beyond its event.

use core::fmt;

use super::ChatCompletionChunk;
use super::table::Table;
use crate::json::OwnedDocument;

/// A [`ChatCompletionChunk`] with a memory of its own: see
/// [`into_owned`](ChatCompletionChunk::into_owned).
#[derive(Clone)]
pub struct OwnedChatCompletionChunk {
    document: OwnedDocument,
    table: Table,
}

impl OwnedChatCompletionChunk {
    pub(super) fn new(chunk: &ChatCompletionChunk<'_>) -> Self {
        Self { document: OwnedDocument::new(chunk.document), table: chunk.table.clone() }
    }

    /// The chunk.
    #[must_use]
    pub fn as_chunk(&self) -> ChatCompletionChunk<'_> {
        ChatCompletionChunk::new(self.document.as_document(), &self.table)
    }
}

impl fmt::Debug for OwnedChatCompletionChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_chunk(), f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for OwnedChatCompletionChunk {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_chunk().serialize(serializer)
    }
}
