//! `Tail`: the newest bytes of a text, which join the stored text together.
//!
//! A gateway holds many streams, so a choice, its text and the end of that text are in no cache. A
//! chunk that adds one text only stores it here, next to its plan. The tail joins the stored text
//! once it is full, or once something else reads or changes the completion.
//!
//! While there is a plan:
//!
//! - the stored text exists, has `stored` bytes, and doesn't end in half a surrogate pair;
//! - no limit was exceeded, and the budget has [`CAPACITY`] free bytes, which the join reserves;
//! - the last push recorded at most one change, without a buffer.

use core::fmt;

use super::change::{Change, Changes};
use super::{ChatCompletion, Reassembler};
use crate::chunk::{ChatCompletionChunk, MessageText, TemplateKey};
use crate::json::text;
use crate::slice::bytes_in;

/// The most bytes of a tail: the texts of about fifteen events.
const CAPACITY: usize = 96;

/// The size of the block that is copied for a short text.
const BLOCK: usize = 32;

/// The only text that a chunk adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OneText {
    Of(MessageText),
    /// The arguments of the last tool call.
    Arguments,
}

/// Where a chunk has its only text, and where the completion has the text that it continues.
pub(super) struct TextPlace {
    pub(super) slot: u8,
    pub(super) of: OneText,
    /// The positions of the choice, and of its tool call.
    pub(super) choice: usize,
    pub(super) call: usize,
}

/// The plan of a template that adds one text only, as most do, and the end of that text.
///
/// A new text doesn't end in half a surrogate pair, since that is a deviation.
#[derive(Clone)]
#[repr(C)] // The plan and the first bytes are adjacent.
pub(super) struct Tail {
    /// The template; `None` without a plan.
    key: Option<TemplateKey>,
    /// The length of the stored text.
    stored: u32,
    /// The positions of the choice, and of its tool call.
    choice: u32,
    call: u32,
    slot: u8,
    of: OneText,
    /// The number of bytes: `len <= CAPACITY`, and 0 without a plan.
    len: u8,
    /// True if the merge plan with the same key has more of the chunk: usage, or an index.
    has_more: bool,
    bytes: [u8; CAPACITY],
}

/// The fields of a reassembler that most pushes read and write.
#[derive(Clone, Debug, Default)]
#[repr(C)] // The first change, the plan and the first bytes are adjacent.
pub(super) struct Newest {
    pub(super) changes: Changes,
    pub(super) tail: Tail,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            key: None,
            stored: 0,
            choice: 0,
            call: 0,
            slot: 0,
            of: OneText::Of(MessageText::Content),
            len: 0,
            has_more: false,
            bytes: [0; CAPACITY],
        }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, stored, choice, call, slot, of, has_more, .. } = self;
        f.debug_struct("Tail")
            .field("key", key)
            .field("stored", stored)
            .field("choice", choice)
            .field("call", call)
            .field("slot", slot)
            .field("of", of)
            .field("has_more", has_more)
            .field("text", &String::from_utf8_lossy(self.bytes()))
            .finish()
    }
}

impl Tail {
    /// Makes a plan: chunks with this key add a text.
    ///
    /// `stored` is the length of the text that they continue.
    pub(super) fn plan(
        &mut self,
        key: Option<TemplateKey>,
        text: TextPlace,
        stored: usize,
        has_more: bool,
    ) {
        debug_assert_eq!(self.len, 0, "the tail before has joined its text");
        let TextPlace { slot, of, choice, call } = text;
        if let (Ok(choice), Ok(call), Some(stored)) =
            (u32::try_from(choice), u32::try_from(call), stored_len(stored))
        {
            (self.key, self.slot, self.of) = (key, slot, of);
            (self.choice, self.call, self.stored) = (choice, call, stored);
            self.has_more = has_more;
        }
    }

    /// Returns the stored text.
    fn stored<'c>(&self, completion: &'c mut ChatCompletion) -> Option<&'c mut String> {
        let message = &mut completion.choices.get_mut(self.choice as usize)?.message;
        match self.of {
            OneText::Of(of) => message.text_mut(of).as_mut(),
            OneText::Arguments => {
                let call = message.tool_calls.get_mut(self.call as usize)?;
                Some(&mut call.function.as_mut()?.arguments)
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        bytes_in(&self.bytes, ..usize::from(self.len))
    }

    /// Returns true if the plan is that of the chunk's template.
    #[inline]
    fn is_of(&self, chunk: &ChatCompletionChunk<'_>) -> bool {
        self.key.is_some() && self.key == chunk.template_key()
    }

    /// Returns the change by the last text, of `len` bytes; `None` if it is empty.
    #[inline]
    pub(super) fn change(&self, len: usize) -> Option<Change> {
        let start = self.stored as usize + usize::from(self.len) - len;
        (len > 0).then(|| self.change_from(start))
    }

    /// Returns the change of a text that is new from `start` on.
    #[inline]
    fn change_from(&self, start: usize) -> Change {
        let (choice, call) = (self.choice as usize, self.call as usize);
        match self.of {
            OneText::Of(of) => Change::Text { choice, text: of, start },
            OneText::Arguments => Change::Arguments { choice, call, start },
        }
    }

    /// Adds the text of a chunk, if a block contains it; returns its length.
    ///
    /// A block has no branch that depends on the length (`cargo bench --bench compare`, `vllm`).
    #[expect(clippy::cast_possible_truncation, reason = "a block has less than 256 bytes")]
    #[inline]
    pub(super) fn push(&mut self, chunk: &ChatCompletionChunk<'_>) -> Option<usize> {
        let block: &mut [u8; BLOCK] =
            self.bytes.get_mut(usize::from(self.len)..)?.first_chunk_mut()?;
        let len = chunk.copy_slot_text(self.slot.into(), block)?;
        self.len += len as u8;
        Some(len)
    }

    /// Adds a text; returns false if it doesn't fit.
    #[expect(clippy::cast_possible_truncation, reason = "a tail has less than 256 bytes")]
    fn push_str(&mut self, text: &str) -> bool {
        let free = self.bytes.get_mut(usize::from(self.len)..);
        let Some(free) = free.and_then(|free| free.get_mut(..text.len())) else { return false };
        free.copy_from_slice(text.as_bytes());
        self.len += text.len() as u8;
        true
    }
}

/// Returns the length of a stored text, unless a tail may exceed the largest one.
fn stored_len(len: usize) -> Option<u32> {
    u32::try_from(len.checked_add(CAPACITY)?).ok()?;
    u32::try_from(len).ok()
}

impl Reassembler {
    /// Merges a chunk by the plan of the tail; returns false if it has another template.
    #[inline]
    pub(super) fn push_one_text(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Newest { changes, tail } = &mut self.newest;
        if !tail.is_of(chunk) {
            return false;
        }
        if tail.has_more {
            return self.push_text_and_more(chunk);
        }
        let Some(len) = tail.push(chunk) else { return self.push_text(chunk) };
        changes.set(tail.change(len));
        true
    }

    /// Merges a chunk whose text no block contains; returns false if it needs another plan.
    #[inline(never)]
    fn push_text(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let tail = &self.newest.tail;
        let Some(text) = chunk.slot_text(tail.slot.into()) else { return false };
        if CAPACITY - usize::from(tail.len) < text.len().max(BLOCK) {
            self.join_tail();
        }
        let tail = &mut self.newest.tail;
        if tail.key.is_none() {
            return false;
        }
        let change = if tail.push_str(text) {
            tail.change(text.len())
        } else {
            self.append(text).map(|start| self.newest.tail.change_from(start))
        };
        self.newest.changes.set(change);
        true
    }

    /// Merges a chunk that has more than the text; returns false if it needs another plan.
    #[inline(never)]
    fn push_text_and_more(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        if !self.plan.continues(chunk) || !self.has_usage_budget(chunk) {
            return false;
        }
        let Newest { changes, tail } = &mut self.newest;
        match tail.push(chunk) {
            Some(len) => changes.set(tail.change(len)),
            None if self.push_text(chunk) => {}
            None => return false,
        }
        let Self { completion, plan, budget, .. } = self;
        plan.push_usage(completion, chunk, budget);
        true
    }

    /// Joins the tail to the stored text.
    #[inline]
    pub(super) fn join_tail(&mut self) {
        if self.newest.tail.len > 0 {
            self.append("");
        }
    }

    /// Joins the tail to the stored text, and removes the plan.
    pub(super) fn end_tail(&mut self) {
        self.join_tail();
        self.newest.tail.key = None;
    }

    /// Appends the tail and `more` to the stored text; returns the start of `more`.
    ///
    /// Removes the plan if the budget is too small for another tail.
    #[inline(never)]
    fn append(&mut self, more: &str) -> Option<usize> {
        let Self { newest: Newest { tail, .. }, completion, budget, .. } = self;
        let stored = tail.stored(completion).filter(|it| it.len() == tail.stored as usize);
        let text = text(tail.bytes());
        debug_assert!(text.is_some() && stored.is_some(), "a tail continues a text");
        let (mut start, mut len) = (None, None);
        if let (Some(text), Some(stored)) = (text, stored) {
            budget.push_str(stored, text);
            start = budget.push_str(stored, more);
            len = stored_len(stored.len());
        } else {
            budget.texts.close();
        }
        tail.len = 0;
        match len.filter(|_| budget.texts.is_free(CAPACITY)) {
            Some(len) => tail.stored = len,
            None => tail.key = None,
        }
        start
    }
}
