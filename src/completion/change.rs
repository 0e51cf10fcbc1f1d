//! `Change`: an addition of the last chunk, for a caller that reads the completion while it grows.

use core::fmt;

use smallvec::SmallVec;

use super::choice_state::ChoiceState;
use super::order::Moved;
use crate::chunk::MessageText;

/// One change by a [`push`](super::Reassembler::push).
///
/// [`changes`](super::Reassembler::changes) returns those of the last push. Positions are those of
/// choices and calls in [`snapshot`](super::Reassembler::snapshot) after the push. Choices and
/// calls are in the order of their indexes, so one that begins late may move others by one.
///
/// `start` is the offset of the new text in the text after the push: in bytes, at a character
/// boundary. If a cut surrogate pair was joined, the new text begins with the whole character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A choice has begun, before the choices from this position on, if there are any.
    ChoiceStarted {
        /// The position of the choice.
        choice: usize,
    },
    /// A text of the message has grown; [`Message::text`](super::Message::text) returns it.
    Text {
        /// The position of the choice.
        choice: usize,
        /// The text, such as the content.
        text: MessageText,
        /// The offset of the new text.
        start: usize,
    },
    /// A tool call has begun, before the calls from this position on, if there are any.
    ToolCallStarted {
        /// The position of the choice.
        choice: usize,
        /// The position of the call.
        call: usize,
    },
    /// The arguments of a tool call have grown, or were replaced: then `start` is 0.
    Arguments {
        /// The position of the choice.
        choice: usize,
        /// The position of the call.
        call: usize,
        /// The offset of the new text.
        start: usize,
    },
    /// A tool call has ended.
    ///
    /// Another call has grown, the choice has finished, or `[DONE]` has followed. If the call grows
    /// after all, its next end is reported too. At the end of a cut stream,
    /// [`pending`](super::FinishedCompletion::pending) contains the unfinished calls.
    ///
    /// A call grows when a delta or whole message begins it, adds to it, or replaces its arguments or
    /// name. It also grows with another value that is replaced by one of another length. An empty or
    /// repeated value isn't stored, so it ends no call.
    ToolCallDone {
        /// The position of the choice.
        choice: usize,
        /// The position of the call.
        call: usize,
    },
    /// A choice has its first finish reason.
    Finished {
        /// The position of the choice.
        choice: usize,
    },
}

/// The changes of a push so far.
///
/// During the push, positions follow the order of arrival of choices and tool calls. The end of the
/// push replaces them by the positions after it.
#[derive(Clone, Default)]
#[repr(C)] // The first change is the last field: see `Newest`.
pub(super) struct Changes {
    /// A buffer for pushes with several changes, once there was one.
    several: Option<Box<SeveralChanges>>,
    /// True if the buffer isn't empty, or is large.
    has_several: bool,
    /// True if a text was replaced: earlier changes of it are void.
    pub(super) has_void: bool,
    /// True if a choice or tool call is behind one with a higher index.
    pub(super) is_unordered: bool,
    /// The first change. Most pushes have no other, and need no buffer.
    first: Option<Change>,
}

#[derive(Clone, Default)]
struct SeveralChanges {
    /// All changes, the first one included; empty if there is one at most.
    list: SmallVec<[Change; 2]>,
    /// The number of consecutive pushes that needed little of a large buffer.
    small_pushes: u32,
}

/// The number of changes up to which the buffer never shrinks.
///
/// A larger buffer shrinks after `SMALL_PUSHES` pushes in a row with at most so many changes.
const KEPT_CHANGES: usize = 1024;
const SMALL_PUSHES: u32 = 64;

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_slice(), f)
    }
}

impl SeveralChanges {
    /// Removes all changes; returns true if the buffer is large.
    fn clear(&mut self) -> bool {
        if self.list.capacity() > KEPT_CHANGES {
            let is_small = self.list.len() <= KEPT_CHANGES;
            self.small_pushes = if is_small { self.small_pushes + 1 } else { 0 };
            if self.small_pushes >= SMALL_PUSHES {
                *self = Self::default();
            }
        }
        self.list.clear();
        self.list.capacity() > KEPT_CHANGES
    }
}

impl Changes {
    /// Removes all changes, at the beginning of a push.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.first = None;
        if self.has_several {
            self.clear_several();
        }
    }

    /// Replaces the change of a push by that of the next one: neither needs a buffer.
    #[inline]
    pub(super) const fn set(&mut self, change: Option<Change>) {
        debug_assert!(!self.needs_buffer() && !self.has_void && !self.is_unordered, "one change");
        self.first = change;
    }

    /// Returns true if the buffer isn't empty, or is large.
    pub(super) const fn needs_buffer(&self) -> bool {
        self.has_several
    }

    #[cold]
    fn clear_several(&mut self) {
        self.has_several = self.several.as_mut().is_some_and(|several| several.clear());
    }

    /// Resets all fields, and frees a large buffer.
    pub(super) fn reset(&mut self) {
        let several = self.several.take();
        let mut several = several.filter(|several| several.list.capacity() <= KEPT_CHANGES);
        if let Some(several) = &mut several {
            several.list.clear();
        }
        *self = Self { several, ..Self::default() };
    }

    pub(super) fn as_slice(&self) -> &[Change] {
        match &self.several {
            Some(several) if !several.list.is_empty() => &several.list,
            _ => self.first.as_slice(),
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Change] {
        match &mut self.several {
            Some(several) if !several.list.is_empty() => &mut several.list,
            _ => self.first.as_mut_slice(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, change: Change) {
        if self.first.is_none() {
            self.first = Some(change);
        } else {
            self.push_next(change);
        }
    }

    /// Adds a change that isn't the first one.
    #[cold]
    fn push_next(&mut self, change: Change) {
        self.has_several = true;
        let list = &mut self.several.get_or_insert_default().list;
        if list.is_empty() {
            list.extend(self.first);
        }
        list.push(change);
    }

    /// Adds the change of a text that is new from a position on.
    ///
    /// A text that is new from its beginning on may have been replaced: earlier changes of it are
    /// void.
    pub(super) fn replace(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        self.has_void |= self.first.is_some() && change == change.at_its_start();
        self.push(change);
    }

    /// Removes the changes of each text that precede its last new beginning.
    #[cold]
    pub(super) fn remove_void(&mut self, states: &mut [ChoiceState]) {
        // A change is void for another one, so there are several.
        let Some(several) = &mut self.several else { return };
        several.list.reverse();
        several.list.retain(|change| {
            let Some(is_void) = change.void_mark(states) else { return true };
            let keeps = !*is_void;
            *is_void |= *change == change.at_its_start();
            keeps
        });
        several.list.reverse();
        for change in &several.list {
            if let Some(is_void) = change.void_mark(states) {
                *is_void = false;
            }
        }
    }

    /// Updates the positions of moved tool calls. `moved` contains an entry for each choice.
    #[cold]
    pub(super) fn move_calls(&mut self, moved: &[Option<Moved>]) {
        for change in self.as_mut_slice() {
            if let Change::ToolCallStarted { choice, call }
            | Change::Arguments { choice, call, .. }
            | Change::ToolCallDone { choice, call } = change
                && let Some(Some(moved)) = moved.get(*choice)
            {
                *call = moved.place(*call);
            }
        }
    }

    /// Updates the positions of moved choices.
    #[cold]
    pub(super) fn move_choices(&mut self, moved: &Moved) {
        for change in self.as_mut_slice() {
            let choice = change.choice_mut();
            *choice = moved.place(*choice);
        }
    }
}

impl Change {
    /// Returns the same change with `start` 0, as if all of the text were new.
    const fn at_its_start(mut self) -> Self {
        if let Self::Text { start, .. } | Self::Arguments { start, .. } = &mut self {
            *start = 0;
        }
        self
    }

    const fn choice_mut(&mut self) -> &mut usize {
        let (Self::ChoiceStarted { choice }
        | Self::Text { choice, .. }
        | Self::ToolCallStarted { choice, .. }
        | Self::Arguments { choice, .. }
        | Self::ToolCallDone { choice, .. }
        | Self::Finished { choice }) = self;
        choice
    }

    /// Returns the mark that earlier changes of the same text are void, or `None` without a text.
    fn void_mark<'s>(&self, states: &'s mut [ChoiceState]) -> Option<&'s mut bool> {
        match *self {
            Self::Text { choice, text, .. } => {
                Some(states.get_mut(choice)?.rare_mut().is_void.of(text))
            }
            Self::Arguments { choice, call, .. } => {
                Some(&mut states.get_mut(choice)?.call_mut(call)?.is_void)
            }
            _ => None,
        }
    }
}
