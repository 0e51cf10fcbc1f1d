//! `Tape`: the nodes of a JSON text, and its strings with escapes, unescaped.

use smallvec::SmallVec;

use super::known_text;
use crate::slice::{bytes_in, items_in, items_in_mut};

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
    /// - an array or object: the node behind its contents;
    /// - a number: [`COUNT`] if it is known to be one.
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

/// Marks a whole number from 0 to `u64::MAX`. One of many digits may have no mark.
pub(crate) const COUNT: u32 = 1;

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

/// Strings with escapes, unescaped and concatenated. There may be spaces behind each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    /// UTF-8, as each string in it.
    pub(super) text: Vec<u8>,
    pub(super) places: SmallVec<[Place; 2]>,
}

/// The bytes of a string in the text of [`Strings`]: `start <= end <= text.len()`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Strings {
    pub(super) const fn new() -> Self {
        Self { text: Vec::new(), places: SmallVec::new_const() }
    }

    /// Returns true if there is no string, or only empty ones.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        // Most texts have no escape and leave both empty.
        if !self.is_empty() {
            self.text.clear();
            self.places.clear();
        }
    }

    /// Returns the text of a node that is marked as [`ESCAPED`].
    #[cold]
    pub(crate) fn get(&self, node: Node) -> &str {
        known_text(self.bytes(node))
    }

    /// Copies the text of a node to the front of `block`, if it is short; returns its length.
    ///
    /// Copies a whole block, if there is one in [padded](Self::pad) strings.
    #[inline(never)]
    pub(super) fn copy<const N: usize>(&self, node: Node, block: &mut [u8; N]) -> Option<usize> {
        let Place { start, end } = *self.places.get((node.payload & !ESCAPED) as usize)?;
        let len = (end - start) as usize;
        if len > N {
            return None;
        }
        *block = *self.text.get(start as usize..)?.first_chunk()?;
        Some(len)
    }

    /// Adds bytes behind the last string, so that a block of 32 bytes can be copied from its start.
    #[inline]
    pub(super) fn pad(&mut self) {
        self.text.extend_from_slice(&[b' '; 32]);
    }

    /// Returns the text of a node that is marked as [`ESCAPED`], as bytes.
    #[cold]
    pub(super) fn bytes(&self, node: Node) -> &[u8] {
        let place = self.places.get((node.payload & !ESCAPED) as usize);
        debug_assert!(place.is_some(), "each string with escapes has a place");
        bytes_in(&self.text, place.map_or(0..0, |place| place.start as usize..place.end as usize))
    }

    /// Appends the strings of `other`; returns the position of the first of them.
    #[expect(clippy::cast_possible_truncation, reason = "all texts have less than 4 GiB")]
    pub(super) fn append(&mut self, other: &Self) -> u32 {
        let (first, offset) = (self.places.len() as u32, self.text.len() as u32);
        self.text.extend_from_slice(&other.text);
        let moved = |place: &Place| Place { start: place.start + offset, end: place.end + offset };
        self.places.extend(other.places.iter().map(moved));
        debug_assert!(self.places.iter().all(|place| place.end as usize <= self.text.len()));
        first
    }

    fn held(&self) -> usize {
        self.text.capacity() + self.places.capacity() * size_of::<Place>()
    }
}

/// The nodes of a tape: `list[..len]`. Those behind them have no meaning.
///
/// So a push is a store into a slice, whose position and length are in registers. A `Vec` that may
/// grow in each push is in memory, and each push loads both.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    list: Vec<Node>,
    len: usize,
}

impl Nodes {
    pub(super) const fn new() -> Self {
        Self { list: Vec::new(), len: 0 }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, kind: Kind, start: u32, end: u32, payload: u32) {
        // Field by field: a whole node, which the cold call takes too, would be stored twice.
        if let Some(node) = self.list.get_mut(self.len) {
            (node.kind, node.start, node.end, node.payload) = (kind, start, end, payload);
        } else {
            self.list = with_more(core::mem::take(&mut self.list), kind, start, end, payload);
        }
        self.len += 1;
    }

    /// Returns a node; `id` is that of a node, or the list is empty.
    #[inline]
    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        debug_assert!((id as usize) < self.len || self.list.is_empty(), "{id} is no node");
        self.list.get(id as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        debug_assert!((id as usize) < self.len || self.list.is_empty(), "{id} is no node");
        self.list.get_mut(id as usize)
    }

    /// Returns the node of an open array or object, unless `id` is [`NodeId::MAX`].
    #[inline]
    pub(super) fn outer(&self, id: NodeId) -> Option<&Node> {
        self.list.get(id as usize)
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Node] {
        items_in(&self.list, ..self.len)
    }
}

impl Clone for Nodes {
    fn clone(&self) -> Self {
        self.as_slice().iter().copied().collect()
    }
}

impl FromIterator<Node> for Nodes {
    fn from_iter<I: IntoIterator<Item = Node>>(nodes: I) -> Self {
        let list: Vec<_> = nodes.into_iter().collect();
        Self { len: list.len(), list }
    }
}

/// Adds a node, and behind it nodes without meaning: an eighth of the list.
///
/// As many as the capacity allows would be memory that no text needs.
#[cold]
#[inline(never)]
fn with_more(mut list: Vec<Node>, kind: Kind, start: u32, end: u32, payload: u32) -> Vec<Node> {
    list.push(Node { kind, start, end, payload });
    let len = list.capacity().min(list.len() + list.len() / 8 + 32);
    list.resize(len, Node { kind: Kind::Null, start: 0, end: 0, payload: 0 });
    list
}

/// The nodes of one JSON text. Reused from text to text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    pub(super) nodes: Nodes,
    pub(super) strings: Strings,
    /// True if a node is of [`Kind::NonFiniteNumber`].
    pub(super) has_non_finite_numbers: bool,
}

impl Tape {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.nodes.len = 0;
        self.strings.clear();
    }

    /// Returns the deepest nesting of arrays and objects.
    pub(crate) fn depth(&self) -> usize {
        let mut ends = Vec::new();
        let mut deepest = 0;
        for (id, node) in self.nodes().iter().enumerate() {
            while ends.pop_if(|end| *end as usize <= id).is_some() {}
            if node.kind.is_container() {
                ends.push(node.payload);
                deepest = deepest.max(ends.len());
            }
        }
        deepest
    }

    /// Removes the value of a string: its text becomes `x` as often as its bytes in the JSON text.
    ///
    /// Does nothing if there is no such node, or if it is no string.
    pub(crate) fn blank(&mut self, id: NodeId) {
        if id as usize >= self.nodes.len() {
            return;
        }
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.kind != Kind::String {
            return;
        }
        if node.payload & ESCAPED != 0
            && let Some(place) = self.strings.places.get((node.payload & !ESCAPED) as usize)
        {
            let range = place.start as usize..place.end as usize;
            items_in_mut(&mut self.strings.text, range).fill(b'x');
        }
        node.payload = (node.end - node.start).saturating_sub(2);
    }

    /// Copies a tape without the contents of some arrays, and without the strings in them.
    ///
    /// `arrays` are in order, and none contains another.
    #[expect(clippy::cast_possible_truncation, reason = "a tape has less than 4 Gi nodes")]
    pub(crate) fn copy_without_contents(&mut self, other: &Self, arrays: &[NodeId]) {
        self.clear();
        self.has_non_finite_numbers = other.has_non_finite_numbers;
        let contents = |array: &NodeId| {
            let behind = other.nodes.get(*array).map_or(0, |node| node.payload);
            array + 1..behind
        };
        let removed = |id: NodeId| {
            let before = arrays.iter().map(contents).take_while(|contents| contents.end <= id);
            before.map(|contents| contents.end - contents.start).sum::<NodeId>()
        };
        let mut ranges = arrays.iter().map(contents).peekable();
        for (id, node) in (0..).zip(other.nodes()) {
            let Node { kind, start, end, mut payload } = *node;
            while ranges.next_if(|contents| contents.end <= id).is_some() {}
            if ranges.peek().is_some_and(|contents| contents.contains(&id)) {
                continue;
            }
            if kind.is_container() {
                payload -= removed(payload);
            } else if node.is_escaped() {
                let Strings { text, places } = &mut self.strings;
                let start = text.len() as u32;
                text.extend_from_slice(other.strings.bytes(*node));
                payload = ESCAPED | places.len() as u32;
                places.push(Place { start, end: text.len() as u32 });
            }
            self.nodes.push(kind, start, end, payload);
        }
    }

    /// Reserves the nodes of an ordinary chunk of this length in bytes, if the buffer is new.
    #[inline]
    pub(super) fn reserve_for(&mut self, len: usize) {
        const MOST: usize = 48;
        if self.nodes.list.capacity() == 0 {
            self.nodes.list.reserve_exact(MOST.min(len / 7));
        }
    }

    /// Returns the last node that begins at or before a position in the text.
    pub(crate) fn last_before(&self, position: usize) -> Option<(NodeId, Node)> {
        let behind = self.nodes().partition_point(|node| node.start as usize <= position);
        let id = behind.checked_sub(1)?;
        Some((NodeId::try_from(id).ok()?, *self.nodes().get(id)?))
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        self.nodes.as_slice()
    }

    /// Returns the capacity of the buffers, roughly, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.strings.held() + self.nodes.list.capacity() * size_of::<Node>()
    }
}
