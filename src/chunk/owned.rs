//! `OwnedChatCompletionChunk`: a chunk that outlives its event.

use core::fmt;

use super::ChatCompletionChunk;
use super::index::ChunkIndex;
use crate::error::Error;
use crate::json::{OwnedDocument, Parser, Tape};
use crate::limits::Limits;

/// A [`ChatCompletionChunk`] that owns its memory.
///
/// See [`into_owned`](ChatCompletionChunk::into_owned).
#[derive(Clone)]
pub struct OwnedChatCompletionChunk {
    document: OwnedDocument,
    index: ChunkIndex,
}

impl OwnedChatCompletionChunk {
    pub(super) fn new(chunk: &ChatCompletionChunk<'_>) -> Self {
        let index = chunk.full_index().into_owned();
        Self { document: OwnedDocument::new(chunk.document), index }
    }

    /// Reads a chunk from a JSON object, within the default [`Limits`]. Allocates.
    ///
    /// # Errors
    ///
    /// Returns the error in the JSON text, with its offset in bytes.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::read(json, &Limits::new())
    }

    /// Reads a chunk within limits.
    pub(crate) fn read(json: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut tape = Tape::default();
        let (document, _) = Parser::new(limits).parse(json, &mut tape)?;
        let mut index = ChunkIndex::default();
        index.fill(document)?;
        Ok(Self { document: OwnedDocument::new(document), index })
    }

    /// Returns the chunk, borrowed.
    #[must_use]
    pub fn as_chunk(&self) -> ChatCompletionChunk<'_> {
        ChatCompletionChunk::new(self.document.as_document(), &self.index)
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

/// Deserializes from a JSON text, which only `serde_json` has.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for OwnedChatCompletionChunk {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Self::from_json(json.get().as_bytes()).map_err(serde::de::Error::custom)
    }
}
