//! `OwnedChatCompletionChunk`: a chunk that is kept beyond its event.

use core::fmt;

use super::ChatCompletionChunk;
use super::index::ChunkIndex;
use crate::error::{Error, ErrorKind};
use crate::json::{Kind, OwnedDocument, Parser, Tape};
use crate::limits::Limits;

/// A [`ChatCompletionChunk`] with a memory of its own: see
/// [`into_owned`](ChatCompletionChunk::into_owned).
#[derive(Clone)]
pub struct OwnedChatCompletionChunk {
    document: OwnedDocument,
    table: ChunkIndex,
}

impl OwnedChatCompletionChunk {
    pub(super) fn new(chunk: &ChatCompletionChunk<'_>) -> Self {
        Self { document: OwnedDocument::new(chunk.document), table: chunk.table.clone() }
    }

    /// Reads a chunk that doesn't come from a stream: a JSON object. Within the default
    /// [`Limits`].
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and at which byte of it.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::read(json, &Limits::new())
    }

    /// Reads a chunk within limits.
    pub(crate) fn read(json: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut tape = Tape::default();
        let (document, _) = Parser::new(limits).parse(json, &mut tape)?;
        if document.kind(0) != Some(Kind::Object) {
            return Err(Error::new(ErrorKind::ExpectedObject, 0));
        }
        let mut table = ChunkIndex::default();
        table.fill(document)?;
        Ok(Self { document: OwnedDocument::new(document), table })
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

/// From a JSON text, as `serde_json` has it: other formats have none.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for OwnedChatCompletionChunk {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Self::from_json(json.get().as_bytes()).map_err(serde::de::Error::custom)
    }
}
