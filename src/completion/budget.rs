//! `Budget`: the bytes that a completion may still store, and the first limit that it exceeded.

use crate::report::named;

/// A limit that a completion exceeded; see [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompletionLimit {
    /// [`Limits::max_choices`](crate::Limits::max_choices): further choices are left out.
    Choices,
    /// [`Limits::max_tool_calls`](crate::Limits::max_tool_calls): further tool calls are left out.
    ///
    /// Fragments that continue them are left out, too.
    ToolCalls,
    /// [`Limits::max_members`](crate::Limits::max_members): further members are left out.
    Members,
    /// [`Limits::max_completion_bytes`](crate::Limits::max_completion_bytes): no further text is stored.
    ///
    /// So no text lacks a part in its middle. Finish reasons and usage are still stored.
    CompletionBytes,
    /// [`Limits::max_logprob_entries`](crate::Limits::max_logprob_entries): further entries are left out.
    ///
    /// The lists of a chunk are left out as a whole, so that parallel arrays stay parallel.
    LogprobEntries,
    /// An id of a tool call is longer than 1 024 bytes and is left out.
    ToolCallId,
}

impl CompletionLimit {
    /// Returns the limit's name, in lower case with underscores.
    ///
    /// The field of [`Limits`](crate::Limits) has the same name, if there is one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Choices => "choices",
            Self::ToolCalls => "tool_calls",
            Self::Members => "members",
            Self::CompletionBytes => "completion_bytes",
            Self::LogprobEntries => "logprob_entries",
            Self::ToolCallId => "tool_call_id",
        }
    }
}

named!(CompletionLimit);

/// The bytes that may still be stored, and the first limit that was exceeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    bytes: usize,
    /// The largest number of members of one object.
    members: u32,
    exceeded: Option<CompletionLimit>,
    /// True once a value didn't fit: no further value fits then.
    closed: bool,
    /// See [`count_replaced`](Self::count_replaced).
    replaced: u32,
}

impl Budget {
    pub(crate) const fn new(bytes: usize, members: u32) -> Self {
        Self { bytes, members, exceeded: None, closed: false, replaced: 0 }
    }

    /// Returns the number of free bytes.
    pub(super) const fn free(&self) -> usize {
        self.bytes
    }

    /// Reserves `bytes`; returns true if they fit.
    ///
    /// Once a value doesn't fit, no further value fits: the stored values are the first of the
    /// stream.
    #[inline]
    pub(crate) fn try_reserve(&mut self, bytes: usize) -> bool {
        self.replace(0, bytes)
    }

    /// Reserves `after` bytes in place of `before`; returns true if they fit.
    #[inline]
    pub(crate) fn replace(&mut self, before: usize, after: usize) -> bool {
        let free = self.bytes.saturating_add(before);
        if self.closed || free < after {
            self.close();
            return false;
        }
        self.bytes = free - after;
        true
    }

    /// Lets no further value fit.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.mark_exceeded(CompletionLimit::CompletionBytes);
    }

    /// Returns true if an object with `count` members may have one more; else records the limit.
    pub(super) fn has_member(&mut self, count: usize) -> bool {
        let fits = count < self.members as usize;
        if !fits {
            self.mark_exceeded(CompletionLimit::Members);
        }
        fits
    }

    /// Returns the largest number of members of one object.
    pub(super) const fn max_members(&self) -> u32 {
        self.members
    }

    /// Returns true if a value didn't fit before.
    ///
    /// No value fits then, so that its cost isn't needed.
    #[inline]
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Records a limit, unless another one was exceeded before.
    pub(crate) fn mark_exceeded(&mut self, limit: CompletionLimit) {
        self.exceeded = self.exceeded.or(Some(limit));
    }

    /// Counts a value that a different one replaced, or that was left out beside one.
    pub(crate) const fn count_replaced(&mut self) {
        self.replaced = self.replaced.saturating_add(1);
    }

    /// Adds the exceeded limit and the replaced values of another budget.
    pub(super) fn add_findings(&mut self, other: &Self) {
        self.exceeded = self.exceeded.or(other.exceeded);
        self.replaced = self.replaced.saturating_add(other.replaced);
    }

    pub(crate) const fn replaced(&self) -> u32 {
        self.replaced
    }

    /// Returns true if no limit was exceeded, and `bytes` more fit.
    #[inline]
    pub(crate) const fn is_free(&self, bytes: usize) -> bool {
        self.exceeded.is_none() && self.bytes >= bytes
    }

    /// Returns the first limit that was exceeded.
    pub(crate) const fn exceeded(&self) -> Option<CompletionLimit> {
        self.exceeded
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, CompletionLimit};

    #[test]
    fn a_budget_fits_to_the_last_byte() {
        let mut budget = Budget::new(10, 1);
        assert!(budget.try_reserve(4) && budget.try_reserve(6));
        assert!(budget.replace(6, 6) && budget.replace(6, 2) && budget.try_reserve(4));
        assert_eq!(budget.exceeded(), None);
        assert!(!budget.try_reserve(1));
        // No further value fits, even an empty one.
        assert!(!budget.try_reserve(0));
        assert_eq!(budget.exceeded(), Some(CompletionLimit::CompletionBytes));
    }
}
