//! `Tape`: the nodes of a JSON text, and its strings with escapes, unescaped.

use crate::slice::text_in;

/// The position of a node in its document.
///
/// The root is 0. No member is the root, so 0 in an index marks an absent member.
pub(crate) type NodeId = u32;

/// One value of a document.
///
/// A member is two nodes, its name and its value. An array or object is followed by its contents.
/// `start <= end <= text.len()`; for an array or object `id < payload <= nodes.len()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The bytes of the value in the text, with its quotes or brackets.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// A number whose meaning depends on the kind:
    ///
    /// - a string without escapes: the length of its text;
    /// - a string with escapes: [`ESCAPED`] and its position among the [`Strings`];
    /// - an array or object: the node behind its contents.
    pub(crate) payload: u32,
}

impl Node {
    /// Returns true if the value is a string with escapes.
    pub(crate) const fn is_escaped(&self) -> bool {
        matches!(self.kind, Kind::String) && self.payload & ESCAPED != 0
    }
}

/// Marks a string with escapes. A payload has less than 2 GiB, so no length has this bit.
pub(crate) const ESCAPED: u32 = 1 << 31;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    /// A number beyond the range of `f64`.
    Huge,
    /// `NaN`, `Infinity` or `-Infinity`, which are no JSON.
    NonFiniteNumber,
    String,
    Array,
    Object,
}

impl Kind {
    /// Returns true if the value is an array or object.
    #[inline]
    pub(crate) const fn is_container(self) -> bool {
        matches!(self, Self::Array | Self::Object)
    }
}

/// Strings with escapes, unescaped and concatenated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    pub(super) text: String,
    pub(super) places: Vec<Place>,
}

/// The bytes of a string in the text of [`Strings`]: `start <= end <= text.len()`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Strings {
    pub(super) const fn new() -> Self {
        Self { text: String::new(), places: Vec::new() }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        // Most texts have no escape and leave both empty.
        if !self.text.is_empty() {
            self.text.clear();
            self.places.clear();
        }
    }

    /// Returns the text of a node that is marked as [`ESCAPED`].
    #[cold]
    pub(super) fn get(&self, node: Node) -> &str {
        let place = self.places.get((node.payload & !ESCAPED) as usize);
        debug_assert!(place.is_some(), "each string with escapes has a place");
        text_in(&self.text, place.map_or(0..0, |place| place.start as usize..place.end as usize))
    }

    /// Appends the strings of `other`; returns the position of the first of them.
    #[expect(clippy::cast_possible_truncation, reason = "all texts have less than 4 GiB")]
    pub(super) fn append(&mut self, other: &Self) -> u32 {
        let (first, offset) = (self.places.len() as u32, self.text.len() as u32);
        self.text.push_str(&other.text);
        let moved = |place: &Place| Place { start: place.start + offset, end: place.end + offset };
        self.places.extend(other.places.iter().map(moved));
        debug_assert!(self.places.iter().all(|place| place.end as usize <= self.text.len()));
        first
    }

    fn held(&self) -> usize {
        self.text.capacity() + self.places.capacity() * size_of::<Place>()
    }
}

/// The nodes of one JSON text. Reused from text to text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    pub(super) nodes: Vec<Node>,
    pub(super) strings: Strings,
    /// True if a node is of [`Kind::NonFiniteNumber`].
    pub(super) has_non_finite_numbers: bool,
}

impl Tape {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.strings.clear();
    }

    /// Returns the deepest nesting of arrays and objects.
    pub(crate) fn depth(&self) -> usize {
        let mut ends = Vec::new();
        let mut deepest = 0;
        for (id, node) in self.nodes.iter().enumerate() {
            while ends.pop_if(|end| *end as usize <= id).is_some() {}
            if node.kind.is_container() {
                ends.push(node.payload);
                deepest = deepest.max(ends.len());
            }
        }
        deepest
    }

    /// Removes the value of a string: its text becomes `x` as often as its bytes in the JSON text.
    pub(crate) fn blank(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        if node.kind != Kind::String {
            return;
        }
        if node.payload & ESCAPED != 0
            && let Some(place) = self.strings.places.get((node.payload & !ESCAPED) as usize)
        {
            let range = place.start as usize..place.end as usize;
            let blank = "x".repeat(range.len());
            debug_assert!(self.strings.text.get(range.clone()).is_some(), "a place is a text");
            if self.strings.text.get(range.clone()).is_some() {
                self.strings.text.replace_range(range, &blank);
            }
        }
        node.payload = (node.end - node.start).saturating_sub(2);
    }

    /// Reserves the nodes of an ordinary chunk of this length in bytes, if the buffer is new.
    #[inline]
    pub(super) fn reserve_for(&mut self, len: usize) {
        const MOST: usize = 48;
        if self.nodes.capacity() == 0 {
            self.nodes.reserve_exact(MOST.min(len / 7));
        }
    }

    /// Returns the last node that begins at or before a position in the text.
    pub(crate) fn last_before(&self, position: usize) -> Option<(NodeId, Node)> {
        let behind = self.nodes.partition_point(|node| node.start as usize <= position);
        let id = behind.checked_sub(1)?;
        Some((NodeId::try_from(id).ok()?, *self.nodes.get(id)?))
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the capacity of the buffers, roughly, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.strings.held() + self.nodes.capacity() * size_of::<Node>()
    }
}
