//! `Room`: how much more a completion may keep, and for which limit something was left out.

/// A limit of a completion, for which something is left out; see [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::choices`](crate::Limits::choices): more choices are left out.
    Choices,
    /// [`Limits::tool_calls`](crate::Limits::tool_calls): more tool calls are left out.
    ToolCalls,
    /// [`Limits::members`](crate::Limits::members): more members are left out.
    Members,
    /// [`Limits::completion_bytes`](crate::Limits::completion_bytes): no text is added any more,
    /// so that what is kept has no holes. Finish reasons and usage still are.
    CompletionBytes,
    /// [`Limits::logprob_entries`](crate::Limits::logprob_entries): no more of them are kept.
    LogprobEntries,
    /// An id of a tool call is longer than 1 024 bytes, and left out.
    ToolCallId,
}

impl Limit {
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

/// How much more may be kept, and for which limit something was left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    bytes: usize,
    /// Most members of one object.
    members: usize,
    exceeded: Option<Limit>,
    /// Something didn't fit: nothing does from then on.
    closed: bool,
    /// The number of values that others replaced without a known rule.
    replaced: u32,
}

impl Room {
    pub(crate) const fn new(bytes: usize, members: usize) -> Self {
        Self { bytes, members, exceeded: None, closed: false, replaced: 0 }
    }

    /// Takes room for `bytes` more. Once something didn't fit, nothing does: what is kept is what
    /// came first, without holes.
    #[inline]
    pub(crate) fn try_reserve(&mut self, bytes: usize) -> bool {
        self.replace(0, bytes)
    }

    /// Takes room for `after` bytes in place of `before`.
    #[inline]
    pub(crate) fn replace(&mut self, before: usize, after: usize) -> bool {
        let free = self.bytes.saturating_add(before);
        if self.closed || free < after {
            self.closed = true;
            self.mark_exceeded(Limit::CompletionBytes);
            return false;
        }
        self.bytes = free - after;
        true
    }

    /// Whether an object with so many members may have one more; if not, takes note of it.
    pub(super) fn has_member(&mut self, count: usize) -> bool {
        let fits = count < self.members;
        if !fits {
            self.mark_exceeded(Limit::Members);
        }
        fits
    }

    /// Returns true if a value didn't fit before.
    ///
    /// Nothing fits then, so that the cost of a further value isn't needed.
    #[inline]
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes note that something was left out.
    pub(crate) fn mark_exceeded(&mut self, limit: Limit) {
        self.exceeded = self.exceeded.or(Some(limit));
    }

    /// Counts a value that a different one replaced.
    pub(crate) const fn count_replaced(&mut self) {
        self.replaced = self.replaced.saturating_add(1);
    }

    pub(crate) const fn replaced(&self) -> u32 {
        self.replaced
    }

    /// Whether nothing was left out so far, and there is room for `bytes` more.
    #[inline]
    pub(crate) const fn is_free(&self, bytes: usize) -> bool {
        self.exceeded.is_none() && self.bytes >= bytes
    }

    /// The limit for which something was left out first.
    pub(crate) const fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }
}

/// Makes `kept` the text that `write` writes, of `len` bytes. A buffer that is much larger than that
/// is not kept: the room counts lengths.
pub(crate) fn rewrite(kept: &mut String, len: usize, write: impl FnOnce(&mut String)) {
    kept.clear();
    if kept.capacity() > 256 && kept.capacity() / 2 > len {
        *kept = String::with_capacity(len);
    }
    write(kept);
}

#[cfg(test)]
mod tests {
    use super::{Limit, Room};

    #[test]
    fn room_is_taken_to_the_last_byte() {
        let mut room = Room::new(10, 1);
        assert!(room.try_reserve(4) && room.try_reserve(6));
        assert!(room.replace(6, 6) && room.replace(6, 2) && room.try_reserve(4));
        assert_eq!(room.exceeded(), None);
        assert!(!room.try_reserve(1));
        // Nothing fits any more, however small it is.
        assert!(!room.try_reserve(0));
        assert_eq!(room.exceeded(), Some(Limit::CompletionBytes));
    }
}
