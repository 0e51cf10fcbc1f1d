//! `RewriteOutcome`: how an editor has written an event; `WrittenEvent`: the same for a relay.

use crate::report::named;

/// The result of [`Editor::write`](super::Editor::write) for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "an event that can't be read is passed on as it is"]
#[non_exhaustive]
pub enum RewriteOutcome {
    /// The event is copied, since no rule changes it.
    Unchanged,
    /// The event is written with changes.
    Changed,
    /// Nothing is written.
    ///
    /// The event contained only the usage that is hidden, or is the rest of its line end. An event
    /// with a change that can't be written is dropped, too. That would be a bug of this crate.
    Dropped,
    /// The written event may still contain a value that a rule changes.
    ///
    /// An event without readable members is copied: it is malformed, exceeds a limit, or is an
    /// error that is no object. Any other event is written with its object changed by the rules. But
    /// it has another line that clients read although it is no field: `error: …` or a JSON object,
    /// also behind white space.
    ///
    /// A comment over a limit is [`Unchanged`](Self::Unchanged), since clients ignore it. So is each
    /// event of an editor that changes no value: it has no rules, and the event has no edits.
    Unreadable,
}

impl RewriteOutcome {
    /// Returns the name of the result, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Unreadable => "unreadable",
        }
    }
}

named!(RewriteOutcome);

/// The bytes that an editor has appended for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenBytes {
    /// None: the event is passed on as it came.
    Raw,
    /// The event with its edits.
    Edited,
    /// The `id` and `retry` lines of an event whose chunk is dropped.
    State,
    /// None: the event is dropped.
    Dropped,
}

/// An event that an editor has written.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenEvent {
    pub(super) bytes: WrittenBytes,
    /// The event may still contain a value that a rule changes.
    pub(super) is_unreadable: bool,
}

impl WrittenEvent {
    /// Returns the result for the caller of an editor.
    #[inline]
    pub(super) const fn outcome(self) -> RewriteOutcome {
        match self.bytes {
            _ if self.is_unreadable => RewriteOutcome::Unreadable,
            WrittenBytes::Raw => RewriteOutcome::Unchanged,
            WrittenBytes::Edited | WrittenBytes::State => RewriteOutcome::Changed,
            WrittenBytes::Dropped => RewriteOutcome::Dropped,
        }
    }
}
