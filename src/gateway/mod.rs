//! What a gateway does with the events of a stream besides reading them.
//!
//! | task | with |
//! |---|---|
//! | write events and chunks of one's own | [`SseEvent`], [`ChunkParts`], [`write_comment`] |

mod encode;
mod parts;
mod write;

pub use encode::{DONE, EncodeError, SseEvent, write_comment};
pub use parts::{ChoiceParts, ChunkParts, ToolCallParts, UsageParts};
