//! `Templates`: the set of templates that decoders share.

use core::fmt;
use std::sync::OnceLock;

use crate::chunk::ChunkIndex;
use crate::template::TemplateSet;

/// The forms of events that decoders have seen, shared by the streams of an upstream.
///
/// Most events of a stream differ from an earlier one in a few values: a text, an id. A decoder
/// compares an event with these *templates*, and parses it only if none matches. So the first
/// event of a stream matches too, if two others were like it. The events that a decoder returns are
/// the same with any templates, and without.
///
/// A clone is the same set. Each decoder uses the set of the [`process`](Self::process) by default.
/// An upstream with a set of its own can't fill that of others.
///
/// # Limits
///
/// A set has at most 1 024 templates with 4 MiB, and 256 candidates with 1 MiB. The recordings of 98
/// upstreams and models need 300. An event of up to 4 KiB and 128 JSON names and values becomes a
/// candidate. Once a second event is like it, in the same stream or in another, it is a template.
/// Each stream publishes at most 32 templates. Those that no stream has begun to use for the longest
/// time are removed first. A decoder keeps the set as it was when it last looked, until its stream
/// ends.
///
/// A template contains no content, refusal, reasoning text, padding, id, model or fingerprint. Nor
/// does it contain an id, name or arguments of a call, or a number of the usage. Other values are in it as long as two
/// events have had the same; so are the first of two members with one name.
///
/// Matching needs no lock, and writes no memory that other threads read event by event. Publishing
/// tries a lock, and publishes nothing while another thread has it.
///
/// ```
/// use deltawire::{ChunkDecoder, Templates};
///
/// let templates = Templates::new(); // one for each upstream
/// let decoder = ChunkDecoder::new().with_templates(&templates);
/// # let _ = decoder;
/// ```
#[derive(Clone)]
pub struct Templates(Option<TemplateSet<ChunkIndex>>);

impl Templates {
    /// Creates an empty set. Allocates its bookkeeping.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(TemplateSet::new(false)))
    }

    /// Returns the set of the process, which [`ChunkDecoder::new`](crate::ChunkDecoder::new) uses.
    #[must_use]
    pub fn process() -> Self {
        Self::shared().clone()
    }

    /// Returns no set: a decoder parses each event.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Returns the set of the process, without a reference to count.
    pub(super) fn shared() -> &'static Self {
        static PROCESS: OnceLock<Templates> = OnceLock::new();
        PROCESS.get_or_init(|| Self(Some(TemplateSet::new(true))))
    }

    pub(super) const fn set(&self) -> Option<&TemplateSet<ChunkIndex>> {
        self.0.as_ref()
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the number of templates: their literals may contain values of members without a schema.
impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.0.as_ref().and_then(TemplateSet::len);
        f.debug_struct("Templates").field("len", &len).finish_non_exhaustive()
    }
}
