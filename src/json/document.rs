//! `Document`: a JSON text with its tape, and patches for the leaves that differ from the tape.

use core::ops::Range;

use super::block::copy_block;
use super::patch::{NO_COUNT, NO_PATCHES, Patch, Patches, UNPARSED};
use super::tape::{COUNT, ESCAPED, Kind, Node, NodeId, Nodes, Strings, Tape};
use super::{known_text, text};
use crate::slice::{bytes_in, text_in};

/// The tape of no text.
static NO_NODES: Tape =
    Tape { nodes: Nodes::new(), strings: Strings::new(), has_non_finite_numbers: false };

/// A JSON text with its tape.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    pub(super) tape: &'a Tape,
    /// The text of the tape; `bytes` differs from it in the patched leaves only.
    text: &'a str,
    /// The document's own bytes: those of `text` if there are no patches.
    pub(super) bytes: &'a [u8],
    pub(super) patches: &'a Patches,
}

impl<'a> Document<'a> {
    /// Returns a document without nodes.
    pub(crate) const fn empty() -> Self {
        Self::new(&NO_NODES, "")
    }

    /// Creates the document of the text from which the tape was read.
    #[inline]
    pub(crate) const fn new(tape: &'a Tape, text: &'a str) -> Self {
        Self { tape, text, bytes: text.as_bytes(), patches: &NO_PATCHES }
    }

    /// Creates the document of `bytes`, which differ from `text` in the patched leaves only.
    #[inline]
    pub(crate) const fn patched(
        tape: &'a Tape,
        text: &'a str,
        bytes: &'a [u8],
        patches: &'a Patches,
    ) -> Self {
        Self { tape, text, bytes, patches }
    }

    /// Returns true if `other` is this document or its [full](Self::full) one.
    ///
    /// Their bytes are at the same place. No two documents of an event share bytes otherwise.
    pub(crate) fn is(&self, other: &Document<'_>) -> bool {
        core::ptr::eq(self.bytes, other.bytes)
    }

    /// Returns the tape and the text of a document without patches.
    pub(crate) fn unpatched(self) -> (&'a Tape, &'a str) {
        debug_assert!(self.patches.list.is_empty(), "{} leaves differ", self.patches.list.len());
        (self.tape, self.text)
    }

    /// Returns a node with its position in the document's own bytes.
    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> Option<Node> {
        let node = self.tape.nodes.get(id)?;
        Some(if self.patches.list.is_empty() { *node } else { self.resolve(id, *node) })
    }

    #[inline(never)]
    fn resolve(&self, id: NodeId, mut node: Node) -> Node {
        let behind = if node.kind.is_container() { node.payload } else { id };
        let (mut before_start, mut before_end) = (0, 0);
        for patch in self.patches.list.iter() {
            if patch.id() == id {
                return patch.value();
            }
            if patch.id() < id {
                before_start = patch.shift();
            }
            if patch.id() < behind {
                before_end = patch.shift();
            }
        }
        if !node.kind.is_container() {
            before_end = before_start;
        } else if id == 0 {
            // White space before the last bracket is behind all nodes.
            before_end = self.patches.list.last().map_or(0, Patch::shift);
        }
        node.start = node.start.wrapping_add(before_start);
        node.end = node.end.wrapping_add(before_end);
        node
    }

    /// Returns the patched leaves.
    #[inline]
    pub(crate) fn patches(&self) -> &'a [Patch] {
        &self.patches.list
    }

    /// Returns the positions of the patches at which consumers don't look: a bit for each.
    #[inline]
    pub(crate) const fn silent_patches(&self) -> u32 {
        self.patches.silent
    }

    /// Returns the ids of the template and of the bound values to which the patches belong.
    ///
    /// The first is 0 without a template, and the second without bound values.
    #[inline]
    pub(crate) const fn base(&self) -> (u64, u64) {
        (self.patches.template, self.patches.binding)
    }

    /// Returns the length of the document's own bytes.
    #[inline]
    pub(crate) const fn text_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns true if any value is a [`Kind::NonFiniteNumber`].
    pub(crate) const fn has_non_finite_numbers(&self) -> bool {
        self.tape.has_non_finite_numbers
    }

    /// Returns the number of nodes.
    #[expect(clippy::cast_possible_truncation, reason = "a text has less than 2 GiB")]
    pub(crate) const fn len(&self) -> NodeId {
        self.tape.nodes.len() as NodeId
    }

    #[inline]
    pub(crate) fn kind(&self, id: NodeId) -> Option<Kind> {
        self.tape.nodes.get(id).map(|node| node.kind)
    }

    /// Returns the node that begins at a position of a document without patches.
    pub(super) fn node_at(&self, position: u32) -> Option<NodeId> {
        let (id, node) = self.tape.last_before(position as usize)?;
        (node.start == position && self.patches.list.is_empty()).then_some(id)
    }

    #[inline]
    pub(super) fn patch(&self, id: NodeId) -> Option<&'a Patch> {
        // The patches are in the order of their leaves.
        let not_before = self.patches.list.iter().find(|patch| patch.id() >= id);
        not_before.filter(|patch| patch.id() == id)
    }

    /// Returns the unescaped text of a string.
    #[inline]
    pub(crate) fn string(&self, id: NodeId) -> Option<&'a str> {
        let node = self.tape.nodes.get(id)?;
        if node.kind != Kind::String {
            return None;
        }
        match self.patch(id) {
            Some(patch) => self.patched_text(patch),
            None => Some(self.unpatched_text(node)),
        }
    }

    /// Returns true if the value is a string with this text.
    #[inline]
    pub(crate) fn is_string(&self, id: NodeId, text: &str) -> bool {
        let Some(node) = self.tape.nodes.get(id) else { return false };
        let may_be = node.payload & ESCAPED != 0 || node.payload as usize == text.len();
        node.kind == Kind::String
            && (may_be || self.patch(id).is_some())
            && self.string(id) == Some(text)
    }

    /// Returns the unescaped text of a string without a patch, such as a name.
    #[inline]
    fn unpatched_text(&self, node: &Node) -> &'a str {
        if node.payload & ESCAPED != 0 {
            return self.tape.strings.get(*node);
        }
        let start = node.start as usize + 1;
        text_in(self.text, start..start + node.payload as usize)
    }

    /// Returns the unescaped text of a patched leaf, if it is a string.
    #[inline]
    pub(crate) fn patched_text(&self, patch: &Patch) -> Option<&'a str> {
        let Node { kind: Kind::String, start, end, payload } = patch.value() else {
            return None;
        };
        if payload & ESCAPED != 0 {
            debug_assert!(self.patches.values.is_some(), "an escaped value has a string");
            return Some(self.patches.values.as_ref()?.strings.get(patch.value()));
        }
        text(bytes_in(self.bytes, start as usize + 1..end as usize - 1))
    }

    /// Passes the unescaped text of a patched leaf to `with`, if it is a string.
    ///
    /// A short text is checked in a block of fixed size, with the bytes behind it. That has no branch
    /// that depends on its length (`cargo bench --bench compare`, `vllm`).
    #[inline]
    pub(crate) fn with_patched_text<R>(
        &self,
        patch: &Patch,
        with: impl FnOnce(&str) -> R,
    ) -> Option<R> {
        /// Words of this size are checked at once.
        #[repr(align(16))]
        struct Block([u8; 16]);

        let Range { start, end } = patch.value_range();
        let block = self.bytes.get(start..).and_then(<[u8]>::first_chunk);
        if let Some(block) = block
            && end - start <= block.len()
            && matches!(patch.kind, Kind::String)
            && !patch.is_escaped()
            && let block = Block(*block)
            && let Ok(text) = core::str::from_utf8(&block.0)
            && let Some(text) = text.get(..end - start)
        {
            return Some(with(text));
        }
        self.patched_text(patch).map(with)
    }

    /// Copies the text of a patched leaf to the front of `block`; returns its length.
    ///
    /// Copies a whole block, so the bytes behind the text are any. Returns `None` if the leaf isn't a
    /// string without escapes, if its text is longer than a block, or if the document ends earlier.
    #[inline]
    pub(crate) fn copy_patched_text<const N: usize>(
        &self,
        patch: &Patch,
        block: &mut [u8; N],
    ) -> Option<usize> {
        let (start, len) = patch.short_string(N)?;
        if patch.is_escaped() {
            return None;
        }
        *block = *self.bytes.get(start..)?.first_chunk()?;
        Some(len)
    }

    /// Copies as `copy_patched_text`, also a text with escapes, or at the end of the document.
    pub(crate) fn copy_any_patched_text<const N: usize>(
        &self,
        patch: &Patch,
        block: &mut [u8; N],
    ) -> Option<usize> {
        if patch.is_escaped() {
            return self.patches.values.as_ref()?.strings.copy(patch.value(), block);
        }
        self.copy_patched_json(patch, block)
    }

    /// Copies a string as sent, without its quotes, as `copy_any_patched_text` does.
    #[inline]
    pub(crate) fn copy_patched_json<const N: usize>(
        &self,
        patch: &Patch,
        block: &mut [u8; N],
    ) -> Option<usize> {
        let (start, len) = patch.short_string(N)?;
        copy_block(self.bytes, start, block)?;
        Some(len)
    }

    /// Returns the bytes of a patched leaf, as sent.
    #[inline]
    pub(crate) fn patched_bytes(&self, patch: &Patch) -> &'a [u8] {
        let Node { start, end, .. } = patch.value();
        bytes_in(self.bytes, start as usize..end as usize)
    }

    /// Returns the value of a patched leaf, if it is a count.
    #[inline]
    pub(crate) fn patched_count(&self, patch: &Patch) -> Option<u64> {
        match patch.value() {
            Node { kind: Kind::Number, payload: UNPARSED, .. } => {
                let digits = self.patched_bytes(patch).iter();
                Some(digits.fold(0, |count, digit| count * 10 + u64::from(digit & 0xF)))
            }
            Node { kind: Kind::Number, payload: count, .. } if count != NO_COUNT => {
                Some(u64::from(count))
            }
            _ => None,
        }
    }

    /// Returns the name of the member whose value is this node; empty for an element.
    pub(crate) fn name_of(&self, value: NodeId) -> &'a str {
        let name = value.checked_sub(1).and_then(|id| self.tape.nodes.get(id));
        name.filter(|name| name.kind == Kind::String).map_or("", |name| self.unpatched_text(name))
    }

    /// Returns the unescaped name of a member, as bytes to compare.
    #[inline]
    fn name(&self, node: &Node) -> &'a [u8] {
        if node.payload & ESCAPED != 0 {
            return self.tape.strings.bytes(*node);
        }
        let start = node.start as usize + 1;
        bytes_in(self.text.as_bytes(), start..start + node.payload as usize)
    }

    /// Returns true if a value is a whole number that fits in an `u64`.
    #[inline]
    pub(crate) fn is_count(&self, id: NodeId) -> bool {
        let node = self.tape.nodes.get(id);
        let is_marked = node.is_some_and(|node| (node.kind, node.payload) == (Kind::Number, COUNT));
        is_marked && self.patches.list.is_empty() || self.count(id).is_some()
    }

    /// Returns the value of a number written as a whole one, if it fits.
    #[inline]
    pub(crate) fn count(&self, id: NodeId) -> Option<u64> {
        let node = self.tape.nodes.get(id)?;
        if !matches!(node.kind, Kind::Number | Kind::Huge) {
            return None;
        }
        // Most counts are an `index` of one digit, or known since the event has matched.
        let known = match self.patch(id) {
            Some(patch) => self.patched_count(patch),
            None => match self.text.as_bytes().get(node.start as usize..node.end as usize) {
                Some([digit @ b'0'..=b'9']) => Some(u64::from(digit - b'0')),
                _ => None,
            },
        };
        debug_assert!(known.is_none() || known == self.parsed_count(id), "a count is its digits");
        known.or_else(|| self.parsed_count(id))
    }

    #[inline(never)]
    fn parsed_count(&self, id: NodeId) -> Option<u64> {
        self.raw(id).parse().ok()
    }

    /// Returns the length of the value as sent.
    #[inline]
    pub(crate) fn raw_len(&self, id: NodeId) -> usize {
        let node = match self.patch(id) {
            Some(patch) => Some(patch.value()),
            None if self.kind(id).is_some_and(Kind::is_container) => self.node(id),
            None => self.tape.nodes.get(id).copied(),
        };
        node.map_or(0, |Node { start, end, .. }| (end - start) as usize)
    }

    /// Returns the value as sent.
    #[inline]
    pub(crate) fn raw(&self, id: NodeId) -> &'a str {
        let Some(node) = self.tape.nodes.get(id) else { return "" };
        match self.node_of_patch(id, node) {
            Some(Node { start, end, .. }) => {
                known_text(bytes_in(self.bytes, start as usize..end as usize))
            }
            None => text_in(self.text, node.start as usize..node.end as usize),
        }
    }

    /// Returns the value as sent, without a check of its text.
    #[inline]
    pub(crate) fn raw_bytes(&self, id: NodeId) -> &'a [u8] {
        let Some(node) = self.tape.nodes.get(id) else { return &[] };
        match self.node_of_patch(id, node) {
            Some(Node { start, end, .. }) => bytes_in(self.bytes, start as usize..end as usize),
            None => bytes_in(self.text.as_bytes(), node.start as usize..node.end as usize),
        }
    }

    /// Returns the node of a value, if it is another one than that of the tape.
    #[inline]
    fn node_of_patch(&self, id: NodeId, node: &Node) -> Option<Node> {
        if self.patches.list.is_empty() {
            None
        } else if node.kind.is_container() {
            Some(self.resolve(id, *node))
        } else {
            self.patch(id).map(Patch::value)
        }
    }

    /// Returns the node behind a value and its contents.
    #[inline]
    pub(crate) fn behind(&self, id: NodeId) -> NodeId {
        match self.tape.nodes.get(id) {
            Some(node) if node.kind.is_container() => node.payload,
            _ => id + 1,
        }
    }

    /// Returns the members of an object.
    #[inline]
    pub(crate) fn members(self, id: NodeId) -> Members<'a> {
        let end = if self.kind(id) == Some(Kind::Object) { self.behind(id) } else { 0 };
        Members { document: self, nodes: self.tape.nodes(), next: id + 1, end }
    }

    /// Returns the members of the object in a column of an index; none if the column is 0.
    #[inline]
    pub(crate) fn members_in_column(self, id: NodeId) -> Members<'a> {
        if id == 0 {
            Members { document: self, nodes: &[], next: 0, end: 0 }
        } else {
            self.members(id)
        }
    }

    /// Returns the elements of an array.
    #[inline]
    pub(crate) fn elements(self, id: NodeId) -> Elements<'a> {
        let end = if self.kind(id) == Some(Kind::Array) { self.behind(id) } else { 0 };
        Elements { document: self, next: id + 1, end }
    }
}

/// The members of an object.
pub(crate) struct Members<'a> {
    document: Document<'a>,
    nodes: &'a [Node],
    next: NodeId,
    end: NodeId,
}

/// A member of an object: its unescaped name, and its value.
///
/// The node of the name is before that of the value.
pub(crate) struct Member<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: NodeId,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        if self.next >= self.end {
            return None;
        }
        let [name, node, ..] = self.nodes.get(self.next as usize..)? else { return None };
        let value = self.next + 1;
        self.next = if node.kind.is_container() { node.payload } else { value + 1 };
        Some(Member { name: self.document.name(name), value })
    }
}

/// The elements of an array.
#[derive(Clone)]
pub(crate) struct Elements<'a> {
    document: Document<'a>,
    next: NodeId,
    end: NodeId,
}

impl Iterator for Elements<'_> {
    type Item = NodeId;

    #[inline]
    fn next(&mut self) -> Option<NodeId> {
        if self.next >= self.end {
            return None;
        }
        let element = self.next;
        self.next = self.document.behind(element);
        Some(element)
    }
}
