//! What a gateway does with the events of a stream besides reading them.
//!
//! | task | with |
//! |---|---|
//! | watch a stream that is forwarded: usage, errors, the outcome | [`UsageTap`] |
//! | change a chunk and copy the rest: an alias for `model`, no `usage` | [`Editor`] |
//! | know where a value stands in the bytes of an event | [`Spans`] |
//! | write events and chunks of one's own | [`SseEvent`], [`ChunkParts`], [`write_comment`] |

mod edit;
mod encode;
mod parts;
mod spans;
mod tap;
mod tokens;
mod watch;
mod write;

pub use edit::{Edited, Editor, EventEdit, HiddenUsage};
pub use encode::{DONE, EncodeError, SseEvent, write_comment};
pub use parts::{ChoiceParts, ChunkParts, ToolCallParts, UsageParts};
pub use spans::Spans;
pub use tap::{Observed, SeenChoice, Tapped, UsageTap};
pub use tokens::Tokens;
