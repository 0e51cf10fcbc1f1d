//! `Tail`: the newest bytes of a text, which join the stored text together.
//!
//! A gateway holds many streams, so a choice, its text and the end of that text are in no cache. A
//! chunk that adds one text only stores it here, next to its plan. The tail joins the stored text
//! once it is full, or once something else reads or changes the completion.
//!
//! While there is a plan:
//!
//! - the stored text exists, has `stored` bytes, and doesn't end in half a surrogate pair;
//! - no choice has a finish reason, behind which output is recorded;
//! - no limit was exceeded, and the budget has [`FREE`] free bytes, which the joins reserve;
//! - the last push recorded at most one change, without a buffer.

use core::fmt;

use super::budgets::Budgets;
use super::change::{Change, Changes};
use super::{ChatCompletion, Reassembler};
use crate::chunk::{ChatCompletionChunk, MessageText, TemplateKey};
use crate::json::{OwnedValue, text};
use crate::slice::bytes_in;

/// The most bytes of a tail: the texts of about fifteen events.
pub(super) const CAPACITY: usize = 96;

/// The free bytes of budget that a plan needs: there are at most two tails.
pub(super) const FREE: usize = 2 * CAPACITY;

/// The size of the block that is copied for a short text.
const BLOCK: usize = 32;

/// The only text that a chunk adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OneText {
    Of(MessageText),
    /// The arguments of the last tool call.
    Arguments,
    /// A member of the last reasoning detail, as JSON: only the second text of a chunk is one.
    Detail,
}

/// Where a chunk has its only text, and where the completion has the text that it continues.
pub(super) struct TextPlace {
    pub(super) slot: u8,
    pub(super) of: OneText,
    /// The positions of the choice, and of its tool call or the member of its detail.
    pub(super) choice: usize,
    pub(super) part: usize,
    /// The length of the stored text.
    pub(super) stored: usize,
}

/// The plan of a template that adds one text only, as most do, and the end of that text.
///
/// A new text doesn't end in half a surrogate pair, since that is a deviation.
#[derive(Clone)]
#[repr(C)] // The plan and the first bytes are adjacent.
pub(super) struct Tail {
    /// The template; `None` without a plan.
    pub(super) key: Option<TemplateKey>,
    /// The length of the stored text.
    stored: u32,
    /// The positions of the choice, and of its tool call or the member of its detail.
    choice: u32,
    part: u32,
    slot: u8,
    of: OneText,
    /// The number of bytes: `len <= CAPACITY`, and 0 without a plan.
    len: u8,
    /// True if the chunk has more than the text: see [`TailExtras`](super::tail_extras::TailExtras).
    pub(super) has_more: bool,
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
            part: 0,
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
        let Self { key, stored, choice, part, slot, of, has_more, .. } = self;
        f.debug_struct("Tail")
            .field("key", key)
            .field("stored", stored)
            .field("choice", choice)
            .field("part", part)
            .field("slot", slot)
            .field("of", of)
            .field("has_more", has_more)
            .field("text", &String::from_utf8_lossy(self.bytes()))
            .finish()
    }
}

impl Tail {
    /// Makes a plan: chunks with this key add a text. Returns false if the text is too long.
    pub(super) fn plan(&mut self, key: Option<TemplateKey>, text: &TextPlace) -> bool {
        debug_assert_eq!(self.len, 0, "the tail before has joined its text");
        let TextPlace { slot, of, choice, part, stored } = *text;
        let small = |number: usize| u32::try_from(number).ok();
        if let (Some(choice), Some(part), Some(stored)) =
            (small(choice), small(part), stored_len(stored))
        {
            (self.key, self.slot, self.of) = (key, slot, of);
            (self.choice, self.part, self.stored) = (choice, part, stored);
            self.has_more = false;
        }
        self.key.is_some()
    }

    /// Edits the stored text, which may grow by `more` bytes; does nothing if there is none.
    fn edit_stored(
        &self,
        completion: &mut ChatCompletion,
        more: usize,
        edit: impl FnOnce(&mut String),
    ) -> Option<()> {
        let message = &mut completion.choices.get_mut(self.choice as usize)?.message;
        match self.of {
            OneText::Of(of) => edit(message.text_mut(of).as_mut()?),
            OneText::Arguments => {
                let call = message.tool_calls.get_mut(self.part as usize)?;
                edit(&mut call.function.as_mut()?.arguments);
            }
            OneText::Detail => {
                let detail = message.reasoning_details.elements.last_mut()?;
                match &mut detail.object.members.get_mut(self.part as usize)?.value {
                    OwnedValue::Raw(json) => json.edit(more, edit),
                    OwnedValue::Object(_) | OwnedValue::Array(_) => return None,
                }
            }
        }
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        bytes_in(&self.bytes, ..usize::from(self.len))
    }

    /// Returns true if the plan is that of the chunk's template.
    #[inline]
    pub(super) fn is_of(&self, chunk: &ChatCompletionChunk<'_>) -> bool {
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
        debug_assert_ne!(self.of, OneText::Detail, "no change is that of a detail");
        let (choice, call) = (self.choice as usize, self.part as usize);
        match self.of {
            OneText::Of(of) => Change::Text { choice, text: of, start },
            OneText::Arguments | OneText::Detail => Change::Arguments { choice, call, start },
        }
    }

    /// Adds the text of a chunk, if a block contains it; returns its length.
    #[inline]
    pub(super) fn push(&mut self, chunk: &ChatCompletionChunk<'_>) -> Option<usize> {
        let len = self.copy(chunk)?;
        self.grow(len);
        Some(len)
    }

    /// Copies the text of a chunk behind the bytes, if a block contains it; returns its length.
    ///
    /// A block has no branch that depends on the length (`cargo bench --bench compare`, `vllm`).
    #[inline]
    pub(super) fn copy(&mut self, chunk: &ChatCompletionChunk<'_>) -> Option<usize> {
        let block: &mut [u8; BLOCK] =
            self.bytes.get_mut(usize::from(self.len)..)?.first_chunk_mut()?;
        chunk.copy_slot_text(self.slot.into(), block)
    }

    /// Copies as [`copy`](Self::copy), also a text with escapes or at the end of the chunk.
    #[inline]
    pub(super) fn copy_short(&mut self, chunk: &ChatCompletionChunk<'_>) -> Option<usize> {
        let block: &mut [u8; BLOCK] =
            self.bytes.get_mut(usize::from(self.len)..)?.first_chunk_mut()?;
        chunk.copy_any_slot_text(self.slot.into(), block)
    }

    /// Copies the text of a chunk as it was sent, as [`copy`](Self::copy) does.
    #[inline]
    pub(super) fn copy_json(&mut self, chunk: &ChatCompletionChunk<'_>) -> Option<usize> {
        let block: &mut [u8; BLOCK] =
            self.bytes.get_mut(usize::from(self.len)..)?.first_chunk_mut()?;
        chunk.copy_slot_json(self.slot.into(), block)
    }

    /// Copies a text of any length behind the bytes, if it fits; returns its length.
    pub(super) fn copy_long(&mut self, text: &[u8]) -> Option<usize> {
        let free = self.bytes.get_mut(usize::from(self.len)..)?;
        free.get_mut(..text.len())?.copy_from_slice(text);
        Some(text.len())
    }

    /// Adds the next bytes, which were copied.
    #[expect(clippy::cast_possible_truncation, reason = "a tail has less than 256 bytes")]
    #[inline]
    pub(super) const fn grow(&mut self, len: usize) {
        self.len += len as u8;
        debug_assert!(self.len as usize <= CAPACITY, "copied bytes are in the tail");
    }

    /// Returns the position of the slot of the text.
    pub(super) fn slot(&self) -> usize {
        self.slot.into()
    }

    /// Returns true if a block fits, and a text of `len` bytes.
    pub(super) fn has_room(&self, len: usize) -> bool {
        CAPACITY - usize::from(self.len) >= len.max(BLOCK)
    }

    /// Joins the bytes, and `more`, to the stored text; returns the start of `more`.
    ///
    /// Removes the plan if the text is too long for another tail.
    #[inline(never)]
    pub(super) fn join(
        &mut self,
        more: &str,
        completion: &mut ChatCompletion,
        budget: &mut Budgets,
    ) -> Option<usize> {
        let (mut start, mut len, mut is_joined) = (None, None, false);
        if let Some(text) = text(self.bytes()) {
            self.edit_stored(completion, text.len() + more.len(), |stored| {
                if stored.len() != self.stored as usize {
                    return;
                }
                let quote = if self.of == OneText::Detail { stored.pop() } else { None };
                budget.push_str(stored, text);
                start = budget.push_str(stored, more);
                stored.extend(quote);
                (len, is_joined) = (stored_len(stored.len()), true);
            });
        }
        debug_assert!(is_joined, "a tail continues a text");
        if !is_joined {
            budget.texts.close();
        }
        self.len = 0;
        match len {
            Some(len) => self.stored = len,
            None => self.key = None,
        }
        start
    }

    /// Joins the bytes to the stored text.
    #[inline]
    pub(super) fn settle(&mut self, completion: &mut ChatCompletion, budget: &mut Budgets) {
        if self.len > 0 {
            self.join("", completion, budget);
        }
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
        let Some(len) = tail.push(chunk) else { return self.push_short(chunk) };
        changes.set(tail.change(len));
        true
    }

    /// Merges a chunk whose text has escapes, or is at the end of the chunk.
    #[inline(never)]
    fn push_short(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Newest { changes, tail } = &mut self.newest;
        let Some(len) = tail.copy_short(chunk) else { return self.push_text(chunk) };
        tail.grow(len);
        changes.set(tail.change(len));
        true
    }

    /// Merges a chunk whose text no block contains; returns false if it needs another plan.
    #[inline(never)]
    fn push_text(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let tail = &self.newest.tail;
        let Some(text) = chunk.slot_text(tail.slot.into()) else { return false };
        if !tail.has_room(text.len()) {
            self.join_tail();
        }
        let Self { newest: Newest { changes, tail }, completion, budget, .. } = self;
        if tail.key.is_none() {
            return false;
        }
        let change = if let Some(len) = tail.copy_long(text.as_bytes()) {
            tail.grow(len);
            tail.change(len)
        } else {
            tail.join(text, completion, budget).map(|start| tail.change_from(start))
        };
        changes.set(change);
        self.end_if_full();
        true
    }

    /// Joins the tails to the stored texts.
    #[inline]
    pub(super) fn join_tail(&mut self) {
        let Self { newest: Newest { tail, .. }, completion, budget, .. } = self;
        if tail.has_more {
            self.join_extras();
        } else if tail.len > 0 {
            tail.join("", completion, budget);
            self.end_if_full();
        }
    }

    /// Removes the plan if the budget is too small for other tails.
    pub(super) fn end_if_full(&mut self) {
        let Newest { tail, .. } = &mut self.newest;
        if tail.len == 0 && !self.budget.texts.is_free(FREE) {
            tail.key = None;
        }
    }

    /// Joins the tails to the stored texts, and removes the plan.
    #[inline]
    pub(super) fn end_tail(&mut self) {
        self.join_tail();
        self.newest.tail.key = None;
        self.newest.tail.has_more = false;
    }
}
