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

use super::Reassembler;
use super::change::{Change, Changes};
use super::message::TextOf;
use crate::chunk::{ChatCompletionChunk, TemplateKey};
use crate::json::text;
use crate::slice::bytes_in;

/// The most bytes of a tail: the texts of about fifteen events.
const CAPACITY: usize = 96;

/// The size of the block that is copied for a short text.
const BLOCK: usize = 32;

/// The plan of a template that adds one text only, as most do, and the end of that text.
///
/// A new text doesn't end in half a surrogate pair, since that is a deviation.
#[derive(Clone)]
#[repr(C)] // The plan and the first bytes are adjacent.
pub(super) struct Tail {
    /// The template; `None` without a plan.
    key: Option<TemplateKey>,
    /// The length of the stored text.
    stored: usize,
    /// The position of the choice.
    choice: u32,
    slot: u8,
    of: TextOf,
    /// The number of bytes: `len <= CAPACITY`, and 0 without a plan.
    len: u8,
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
            slot: 0,
            of: TextOf::default(),
            len: 0,
            bytes: [0; CAPACITY],
        }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, stored, choice, slot, of, .. } = self;
        f.debug_struct("Tail")
            .field("key", key)
            .field("stored", stored)
            .field("choice", choice)
            .field("slot", slot)
            .field("of", of)
            .field("text", &String::from_utf8_lossy(self.bytes()))
            .finish()
    }
}

impl Tail {
    /// Makes a plan: chunks with this key add the text in `slot` only.
    ///
    /// `stored` is the length of the text that they continue.
    pub(super) fn plan(
        &mut self,
        key: Option<TemplateKey>,
        choice: usize,
        (slot, of): (u8, TextOf),
        stored: usize,
    ) {
        debug_assert_eq!(self.len, 0, "the tail before has joined its text");
        if let Ok(choice) = u32::try_from(choice) {
            (self.key, self.choice, self.slot, self.of) = (key, choice, slot, of);
            self.stored = stored;
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
        let start = self.stored + usize::from(self.len) - len;
        (len > 0).then(|| self.of.change(self.choice as usize, start))
    }

    /// Adds the text of a chunk, if a block contains it; returns its length.
    ///
    /// A block has no branch that depends on the length (`cargo bench --bench compare`, `vllm`).
    #[expect(clippy::cast_possible_truncation, reason = "a block has less than 256 bytes")]
    #[inline]
    pub(super) fn push(&mut self, chunk: &ChatCompletionChunk<'_>) -> Option<usize> {
        if !self.is_of(chunk) {
            return None;
        }
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

impl Reassembler {
    /// Merges a chunk that adds one text only, of any length; returns false if it isn't known to be.
    #[inline(never)]
    pub(super) fn push_text(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        if !self.newest.tail.is_of(chunk) {
            return false;
        }
        let Some(text) = chunk.slot_text(self.newest.tail.slot.into()) else { return false };
        if CAPACITY - usize::from(self.newest.tail.len) < text.len().max(BLOCK) {
            self.join_tail();
        }
        if self.newest.tail.key.is_none() {
            return false;
        }
        let change = if self.newest.tail.push_str(text) {
            self.newest.tail.change(text.len())
        } else {
            let Tail { choice, of, .. } = self.newest.tail;
            self.append(text).map(|start| of.change(choice as usize, start))
        };
        self.newest.changes.set(change);
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
        let choice = completion.choices.get_mut(tail.choice as usize);
        let stored = choice.and_then(|choice| tail.of.text(&mut choice.message).as_mut());
        let (text, stored) = (text(tail.bytes()), stored.filter(|it| it.len() == tail.stored));
        debug_assert!(text.is_some() && stored.is_some(), "a tail continues a text");
        let start = if let (Some(text), Some(stored)) = (text, stored) {
            budget.push_str(stored, text);
            let start = budget.push_str(stored, more);
            tail.stored = stored.len();
            start
        } else {
            budget.texts.close();
            None
        };
        tail.len = 0;
        if !budget.texts.is_free(CAPACITY) {
            tail.key = None;
        }
        start
    }
}
