//! Functions of a gateway for requests, and for the events of a stream besides reading them.
//!
//! | task | with |
//! |---|---|
//! | forward a stream, with any of the parts below over one decode | [`Relay`] |
//! | edit and guard a whole completion by the same rules | [`Relay::write_completion`] |
//! | observe a forwarded stream: usage, errors, the outcome | [`UsageTap`], or [`Observer`] with a decoder |
//! | measure time to first token and gaps between tokens | [`Meter`] |
//! | read a request, set its model, request the usage | [`request`] |
//! | change a chunk and copy the rest: an alias for `model`, no `usage` | [`Editor`] |
//! | replace, add, rename or remove values by path, in chunks and whole completions | [`EditRule`] |
//! | find a value in the bytes of an event | [`Spans`] |
//! | write own events and chunks | [`SseEvent`], [`ChunkWriter`], [`write_comment`] |
//! | convert a completion to a stream, for caches or from an upstream without streaming | [`Replay`] |
//! | convert a stream to a completion, and to its JSON | [`assemble`], [`ChatCompletion::write_json`](crate::completion::ChatCompletion::write_json) |
//! | hold events back until their text is checked | [`Guard`] |
//! | redact words and patterns, or stop at them | [`Guard::redact`], [`Guard::stop_at`] with a [`Finder`]: [`Words`], or `Pattern` (feature `regex`) |
//! | distinguish a stream from an error page or a whole completion | [`Sniffer`] |
//! | decide on status, cache, bill and retry | [`Handling`] |
//!
//! # Reports as data
//!
//! With the feature `serde`, all reports implement `Serialize`, for lines of a log:
//!
//! - A member has the name of its field, and is always present. An absent value is `null`.
//! - An enum is its name: the text of its `as_str`. A value inside of the enum is a member beside it.
//!   `found` is the [`WatchedTextId`] of [`StopReason::Found`]. `api` and `body` are those of an
//!   [`Outcome`](crate::Outcome).
//! - A time is a number of seconds, and its member ends in `_seconds`.
//! - `not_whole` is `null` or the list of the defects.
//! - The message of an upstream's error isn't written. Only [`RelayReport::completion`] and
//!   [`RelayedCompletion::finished`] contain a text of the completion.
//!
//! ```
//! # #[cfg(feature = "serde")] {
//! use deltawire::gateway::UsageTap;
//!
//! let mut tap = UsageTap::new();
//! tap.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
//! let line = serde_json::to_string(&tap.finish())?;
//! assert!(line.starts_with(concat!(
//!     r#"{"outcome":"complete","tokens":null,"choices":[{"index":0,"finish_reason":"stop"}],"#,
//!     r#""deltas":1,"limit_exceeded":null,"failed_finish":null,"end":{"bytes":"#,
//! )));
//! # }
//! # Ok::<(), serde_json::Error>(())
//! ```

/// Generates methods that set a field and return the changed value.
macro_rules! setters {
    ($($(#[doc = $doc:literal])* $field:ident($argument:ident: $type:ty) = $value:expr;)*) => {$(
        $(#[doc = $doc])*
        #[must_use]
        pub const fn $field(mut self, $argument: $type) -> Self {
            self.$field = $value;
            self
        }
    )*};
}

mod allowlist;
mod byte_edit;
mod chunk_page;
mod chunk_writer;
mod deltas;
mod edit_path;
mod edit_plan;
mod edit_rule;
mod edit_value;
mod elements;
mod encode;
mod event_edit;
mod finder;
mod guard;
mod guard_completion;
mod guard_push;
mod guard_search;
mod json_write;
mod latency;
mod observe;
mod observe_plan;
mod output;
#[cfg(feature = "regex")]
mod pattern;
mod positions;
mod push_result;
mod relay;
mod relay_builder;
mod relay_completion;
mod relay_failure;
mod relay_guard;
mod relay_report;
mod replay;
mod replay_writer;
pub mod request;
mod rewrite;
mod rewrite_outcome;
#[cfg(feature = "serde")]
mod serde;
mod sniff;
mod spans;
mod tap;
mod text_form;
mod text_segment;
mod usage_totals;
mod watched_text;

pub use crate::chunk::TokenCounts;
pub use crate::completion::Handling;
pub use chunk_writer::{ChoiceWriter, ChunkWriter, ToolCallWriter, UsageWriter};
pub use edit_path::{PathError, PathErrorKind};
pub use edit_rule::EditRule;
pub use edit_value::EditValue;
pub use encode::{DONE, EncodeError, SseEvent, write_comment};
pub use event_edit::EventEdit;
pub use finder::{Finder, Words};
pub use guard::Guard;
pub use guard_search::{RedactionTooLong, TextMatch};
pub use latency::{InterTokenLatency, LatencyReport, Meter, MeterUpdate};
pub use observe::{ChoiceReport, EventReport, Observer, StreamReport};
#[cfg(feature = "regex")]
pub use pattern::Pattern;
pub use push_result::PushResult;
pub use relay::{Relay, RelayFlow};
pub use relay_builder::RelayBuilder;
pub use relay_completion::{CompletionError, RelayedCompletion};
pub use relay_failure::RelayFailure;
pub use relay_guard::{RelayGuard, StopReason};
pub use relay_report::{RelayEnd, RelayOutcome, RelayReport};
pub use replay::{Replay, assemble};
pub use rewrite::{Editor, UsageVisibility};
pub use rewrite_outcome::RewriteOutcome;
pub use sniff::{SniffResult, Sniffer};
pub use spans::Spans;
pub use tap::UsageTap;
pub use watched_text::{GuardedText, WatchedTextId, WatchedTextKind};
