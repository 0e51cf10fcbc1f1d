//! `Document::full`: the document with the contents of its unread arrays.
//!
//! An *unread* array is the value of a slot. The matching of its template has checked it, and put none
//! of its contents on the tape. A consumer that looks into it needs them, so the whole text is read,
//! once for each event.

use std::sync::OnceLock;

use super::document::Document;
use super::patch::{Patch, Patches};
use super::tape::{Kind, Node, NodeId, Strings, Tape};
use super::value::Value;
use super::{Parser, TEXT_LIMITS, known_text};

/// The values of slots that aren't parts of the document's bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotValues {
    /// The strings with escapes.
    pub(crate) strings: Strings,
    /// The tape of the whole text, if an array is unread and a consumer has looked into one.
    full: OnceLock<Box<Tape>>,
    /// The tape of an event before, to be reused: its consumer looks into unread arrays.
    spare: Option<Box<Tape>>,
}

impl SlotValues {
    /// Removes the values of the event before; the buffers of the strings stay.
    fn clear(&mut self) {
        self.strings.clear();
        if self.full.get().is_some() {
            self.spare = self.full.take();
        }
    }

    /// Forgets the stream so far.
    pub(super) fn reset(&mut self) {
        self.clear();
        self.spare = None;
    }
}

/// The place to which the slots of an event add their values.
pub(crate) struct ValuePlace<'p> {
    values: &'p mut Option<Box<SlotValues>>,
    is_idle: &'p mut bool,
}

impl<'p> ValuePlace<'p> {
    /// Lends the fields of [`Patches`].
    #[inline]
    pub(crate) const fn new(
        values: &'p mut Option<Box<SlotValues>>,
        is_idle: &'p mut bool,
    ) -> Self {
        Self { values, is_idle }
    }

    /// Returns the values, to which one is added.
    #[inline]
    pub(crate) fn get(&mut self) -> &mut SlotValues {
        *self.is_idle = false;
        self.values.get_or_insert_default()
    }
}

impl Patches {
    /// Removes the values of the event before that aren't parts of its bytes.
    #[inline]
    pub(crate) fn clear_values(&mut self) {
        if let Some(values) = self.values.as_mut().filter(|_| !self.is_idle) {
            // The next event may keep the patches of this one. If it has a string with escapes, the next
            // one often has such a string, too.
            let is_idle = values.strings.is_empty() && !self.list.iter().any(Patch::is_array);
            self.is_idle = is_idle;
            values.clear();
        }
    }

    /// Returns true if the consumer has looked into an unread array of an event before.
    #[inline]
    pub(crate) fn wants_full(&self) -> bool {
        !self.is_idle && self.values.as_ref().is_some_and(|values| values.spare.is_some())
    }

    /// Reads the whole text of an event with an unread array, in the memory of one before.
    ///
    /// Does nothing unless the consumer has looked into such an array before.
    #[cold]
    pub(crate) fn read_full(&mut self, json: &[u8]) {
        if !self.list.iter().any(Patch::is_array) {
            return;
        }
        debug_assert!(!self.is_idle, "the values may change");
        if let Some(values) = &mut self.values
            && let Some(mut tape) = values.spare.take()
        {
            read_onto(&mut tape, json);
            let stored = values.full.set(tape);
            debug_assert!(stored.is_ok(), "an event begins without a full tape");
        }
    }

    /// Returns the tape of the whole text, which it reads if it is the first to ask.
    #[cold]
    fn full(&self, json: &[u8]) -> Option<&Tape> {
        debug_assert!(!self.is_idle, "the values may change");
        Some(self.values.as_ref()?.full.get_or_init(|| {
            let mut tape = Box::default();
            read_onto(&mut tape, json);
            tape
        }))
    }
}

/// Reads the text of an event that matches a template.
fn read_onto(tape: &mut Tape, json: &[u8]) {
    let read = Parser::new(&TEXT_LIMITS).parse_onto(tape, json);
    debug_assert!(read.is_ok(), "the matching has checked the array");
}

impl<'a> Document<'a> {
    /// Returns true if the contents of an array aren't on the tape.
    pub(crate) fn has_unread(&self) -> bool {
        self.patches().iter().any(Patch::is_array)
    }

    /// Returns the patch of an unread array; `None` for any other value.
    pub(crate) fn unread(&self, id: NodeId) -> Option<&'a Patch> {
        // No array with contents has a patch.
        if self.kind(id) == Some(Kind::Array) && self.behind(id) == id + 1 {
            self.patch(id)
        } else {
            None
        }
    }

    /// Returns the document with the contents of all arrays: this one if all are read.
    ///
    /// Allocates if an array is unread and no other call has read the event.
    pub(crate) fn full(self) -> Self {
        if !self.has_unread() {
            return self;
        }
        match self.patches.full(self.bytes) {
            Some(tape) => Self::new(tape, known_text(self.bytes)),
            None => Self::empty(),
        }
    }
}

impl<'a> Value<'a> {
    /// Returns the value in the [full](Document::full) document.
    pub(crate) fn in_full(self) -> Self {
        let full = self.document.full();
        let Some(Node { start, .. }) = self.document.node(self.id) else { return self };
        // Each node begins at a position of its own.
        match full.node_at(start) {
            Some(id) => Self::new(full, id),
            None => self,
        }
    }

    /// Returns true if the value is an unread array.
    pub(crate) fn is_unread(&self) -> bool {
        self.document.unread(self.id).is_some()
    }

    /// Returns the number of elements of an array; 0 for any other value.
    pub(crate) fn count_elements(&self) -> usize {
        match self.document.unread(self.id) {
            Some(array) => array.value().payload as usize,
            None => self.elements().count(),
        }
    }

    /// Returns the elements of an unread array as sent, without its brackets.
    ///
    /// Commas without white space are between the elements.
    pub(crate) fn unread_elements(&self) -> Option<&'a str> {
        let raw = self.is_unread().then(|| self.raw())?;
        raw.strip_prefix('[')?.strip_suffix(']')
    }
}
