//! What a gateway does with the events of a stream besides reading them.
//!
//! | task | with |
//! |---|---|
//! | watch a stream that is forwarded: usage, errors, the outcome | [`UsageTap`], or [`Observer`] beside a decoder |
//! | time to first token, gaps between tokens | [`Meter`] |
//! | change a chunk and copy the rest: an alias for `model`, no `usage` | [`Editor`] |
//! | know where a value stands in the bytes of an event | [`Spans`] |
//! | write events and chunks of one's own | [`SseEvent`], [`ChunkParts`], [`write_comment`] |
//! | a completion as a stream, for caches, and back | [`Replay`], [`assemble`] |
//! | hold events back until their text has been looked at | [`Guard`] |
//! | tell a stream from an error page or a whole completion | [`Sniffer`] |

mod allowlist;
mod chunk_page;
mod chunk_writer;
mod deltas;
mod encode;
mod guard;
mod json_write;
mod latency;
mod observe;
mod observe_plan;
mod replay;
mod rewrite;
mod slices;
mod sniff;
mod spans;
mod tap;
mod watched_text;

pub use crate::chunk::Tokens;
pub use chunk_writer::{ChoiceParts, ChunkParts, ToolCallParts, UsageParts};
pub use encode::{DONE, EncodeError, SseEvent, write_comment};
pub use guard::{Guard, Pushed};
pub use latency::{Gaps, Measured, Meter, Tick};
pub use observe::{Observed, Observer, SeenChoice, Tapped};
pub use replay::{Replay, assemble};
pub use rewrite::{Edited, Editor, EventEdit, HiddenUsage};
pub use sniff::{Sniffed, Sniffer};
pub use spans::Spans;
pub use tap::UsageTap;
pub use watched_text::{GuardedText, TextId, TextKind};
