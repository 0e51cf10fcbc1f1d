//! `Patch`: a leaf of a document that differs from its tape, and the patches of one document.

use core::ops::Range;

use super::full::SlotValues;
use super::patch_list::PatchList;
use super::tape::{Kind, Node, NodeId};

/// A leaf of a document that differs from the leaf in the text that the tape was read from.
///
/// Its kind is the same: [`Document::kind`] reads the tape. `start <= end <= bytes.len()` for the
/// bytes of the document, which are at most [`LONGEST_PATCHED`]. So a patch has 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    /// The number in place of the payload of a [`Node`].
    ///
    /// For a number it is the value if that is a small count, else [`UNPARSED`] or [`NO_COUNT`]. For
    /// a string with escapes it counts the strings of the patches. For an array it is the number of
    /// its elements.
    payload: u32,
    id: u16,
    /// The leaf in the document's own bytes.
    start: u16,
    end: u16,
    /// The distance by which all bytes behind the leaf have moved.
    shift: i16,
    pub(super) kind: Kind,
}

/// The longest document with patches, in bytes.
pub(crate) const LONGEST_PATCHED: usize = i16::MAX as usize;

/// The payload of a count that has to be parsed: it has at most 18 digits.
pub(crate) const UNPARSED: u32 = u32::MAX;
/// The payload of a number that is no count.
pub(crate) const NO_COUNT: u32 = u32::MAX - 1;

#[expect(clippy::cast_possible_truncation, reason = "a document with patches is short")]
impl Patch {
    /// The patch in a place without one.
    pub(crate) const NONE: Self = Self::new(0, Kind::Null);

    /// Creates the patch of a leaf, without a value.
    pub(crate) const fn new(id: NodeId, kind: Kind) -> Self {
        debug_assert!(id <= u16::MAX as NodeId, "a document with patches has few nodes");
        Self { payload: 0, id: id as u16, start: 0, end: 0, shift: 0, kind }
    }

    /// Sets the value, its position, and the distance by which the bytes behind it have moved.
    ///
    /// The distance wraps around if they have moved to the front.
    #[inline]
    pub(crate) const fn set(&mut self, start: u32, end: u32, payload: u32, shift: u32) {
        debug_assert!(start <= end && end as usize <= LONGEST_PATCHED, "a value has a length");
        (self.start, self.end, self.payload) = (start as u16, end as u16, payload);
        self.shift = shift as i16;
    }

    /// Sets the shift for a leaf that ends at a position of another text, without its quote.
    pub(crate) const fn move_from(&mut self, end: u32) {
        self.shift = (self.end as u32).wrapping_sub(self.quote()).wrapping_sub(end) as i16;
    }

    /// Moves the leaf, and all behind it, by a distance that wraps around.
    #[inline]
    pub(crate) const fn move_by(&mut self, distance: u32) {
        self.start = self.start.wrapping_add(distance as u16);
        self.end = self.end.wrapping_add(distance as u16);
        self.shift = self.shift.wrapping_add(distance as i16);
    }

    #[inline]
    pub(crate) const fn id(&self) -> NodeId {
        self.id as NodeId
    }

    /// Returns the leaf in the document's own bytes.
    #[inline]
    pub(crate) const fn value(&self) -> Node {
        let Self { kind, start, end, payload, .. } = *self;
        Node { kind, start: start as u32, end: end as u32, payload }
    }

    /// Returns the number to add to positions behind the leaf; it wraps around.
    #[inline]
    pub(super) const fn shift(&self) -> u32 {
        (self.shift as i32).cast_unsigned()
    }

    /// Returns the length of a string's quote.
    #[inline]
    const fn quote(&self) -> u32 {
        if matches!(self.kind, Kind::String) { 1 } else { 0 }
    }

    /// Returns the range of the value, without the quotes of a string.
    #[inline]
    pub(crate) fn value_range(&self) -> Range<usize> {
        let (start, end, quote) = (u32::from(self.start), u32::from(self.end), self.quote());
        debug_assert!(start + quote <= end.wrapping_sub(quote), "a string has two quotes");
        (start + quote) as usize..end.wrapping_sub(quote) as usize
    }

    /// Returns the start and the length of a string as sent, without its quotes.
    ///
    /// Returns `None` if it is longer than `most`, or if the value is no string.
    #[inline]
    pub(super) fn short_string(&self, most: usize) -> Option<(usize, usize)> {
        let Range { start, end } = self.value_range();
        let len = end.wrapping_sub(start);
        (len <= most && matches!(self.kind, Kind::String)).then_some((start, len))
    }

    /// Returns true if the value is a string with escapes.
    pub(crate) const fn is_escaped(&self) -> bool {
        self.value().is_escaped()
    }

    /// Returns true if the value is an array, whose contents aren't on the tape.
    pub(crate) const fn is_array(&self) -> bool {
        matches!(self.kind, Kind::Array)
    }
}

/// The patches of one document, in the order of their leaves: `list[n].id() < list[n + 1].id()`.
///
/// Reused from document to document.
#[derive(Clone, Debug, Default)]
#[repr(C)] // The ids are next to the fields behind the patches.
pub(crate) struct Patches {
    pub(crate) list: PatchList,
    /// The values that aren't parts of the document's bytes; `None` until there is one.
    pub(crate) values: Option<Box<SlotValues>>,
    /// The id of the template that the patches belong to; 0 if there is none.
    pub(crate) template: u64,
    /// The id of the bound values; 0 if there are none.
    pub(crate) binding: u64,
    /// The patches at which consumers don't look, by their positions in the list: a bit for each.
    ///
    /// Their values are bound in the stream, or white space.
    pub(crate) silent: u32,
    /// `values` are empty, and no array is unread: most events need nothing behind the pointer.
    pub(crate) is_idle: bool,
}

/// The patches of a document that was read in full.
pub(super) static NO_PATCHES: Patches = Patches {
    template: 0,
    binding: 0,
    silent: 0,
    list: PatchList::new(),
    values: None,
    is_idle: false,
};

impl Patches {
    /// Removes the patches; the buffers stay.
    pub(crate) fn clear(&mut self) {
        (self.template, self.binding, self.silent) = (0, 0, 0);
        self.list.clear();
        self.is_idle = false;
        if let Some(values) = &mut self.values {
            values.reset();
        }
    }
}
