//! The nodes of a document, and how their texts are found.

/// Position of a node in its document. The root is 0; no member can be it, so 0 in a table of
/// members means that there is none.
pub(crate) type NodeId = u32;

use core::ops::Range;

use super::slot_kind::SlotKind;
use super::text;

/// One value of a document. A member is two nodes, its name and its value; an array or object
/// is followed by what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Where the value begins in the text, its quote or bracket included, and where it ends.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Of a string, the length of its text, or, with [`ESCAPED`], which of the unescaped texts
    /// it is. Of an array or object, the node behind all that it holds.
    pub(crate) extra: u32,
}

/// Marks a string that has escapes. A payload has less than 2 GiB, so no length has this bit.
pub(crate) const ESCAPED: u32 = 1 << 31;

/// Marks a count that has to be read.
pub(crate) const UNPARSED: u32 = u32::MAX;

/// Where an unescaped text stands among them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unescaped {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    /// A number beyond `f64`.
    Huge,
    /// `NaN`, `Infinity` or `-Infinity`, which are no JSON.
    NotFinite,
    String,
    Array,
    Object,
}

/// What has been read from a text. Reused from text to text.
#[derive(Clone, Debug, Default)]
#[repr(C)] // What a text needs that is like the learned one stands together.
pub(crate) struct Tape {
    pub(super) nodes: Vec<Node>,
    /// The text that was read, where others like it are to come.
    pub(super) learned: TemplateText,
    /// The leaves that may have another value in the text at hand than in the one that was read,
    /// in order.
    pub(super) slots: Vec<Slot>,
    /// Lengths of `text` and `unescaped` after the text was read; what is behind belongs to moved
    /// leaves.
    pub(super) kept: (usize, usize),
    /// The strings that have escapes, unescaped, one behind the other.
    pub(super) text: String,
    pub(super) unescaped: Vec<Unescaped>,
    /// There is a [`Kind::NotFinite`] among the nodes.
    pub(super) has_not_finite: bool,
}

/// A text that was read, and what stood around it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TemplateText {
    pub(crate) text: String,
    /// Where the JSON text is in it.
    pub(crate) json: Range<usize>,
    /// Another number for each text that was learned; 0 if none was.
    pub(crate) number: u64,
}

impl TemplateText {
    /// The JSON text.
    #[inline]
    pub(crate) fn json(&self) -> &str {
        self.text.get(self.json.clone()).unwrap_or_default()
    }
}

/// A leaf that may have another value in the text at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) id: NodeId,
    pub(crate) slot_kind: SlotKind,
    /// Where it stood in the text that was learned; of a string, what is between the quotes.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// How much of the learned text stands between the gap before and this one.
    pub(crate) literal: u32,
    /// The leaf as it is now. Of a count, `extra` is what it says, or [`UNPARSED`].
    pub(crate) now: Node,
    /// How far everything behind it has moved; backwards is a number that wraps around.
    pub(crate) shift: u32,
    /// The text at hand is the first that differs here. If it doesn't fit after all, the leaf stays
    /// as it was.
    pub(crate) is_new: bool,
}

impl Tape {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
        self.unescaped.clear();
        self.slots.clear();
        self.learned.number = 0;
        self.kept = (0, 0);
    }

    /// Copies the nodes and unescaped texts of `other` into its own buffers.
    ///
    /// Doesn't copy the learned text: [`learn`](Self::learn) sets it.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.clear();
        self.nodes.extend_from_slice(&other.nodes);
        self.text.push_str(&other.text);
        self.unescaped.extend_from_slice(&other.unescaped);
        self.kept = other.kept;
        self.has_not_finite = other.has_not_finite;
    }

    #[cold]
    fn unescaped(&self, node: Node) -> Option<&str> {
        let place = self.unescaped.get((node.extra & !ESCAPED) as usize)?;
        self.text.get(place.start as usize..place.end as usize)
    }

    /// A node as it is in the text at hand.
    #[inline(never)]
    fn resolve(&self, id: NodeId, mut node: Node) -> Node {
        let holds = matches!(node.kind, Kind::Array | Kind::Object);
        let behind = if holds { node.extra } else { id };
        let (mut before_start, mut before_end) = (0, 0);
        for slot in &self.slots {
            if slot.id == id {
                return slot.now;
            }
            if slot.id < id {
                before_start = slot.shift;
            }
            if slot.id < behind {
                before_end = slot.shift;
            }
        }
        if !holds {
            before_end = before_start;
        }
        node.start = node.start.wrapping_add(before_start);
        node.end = node.end.wrapping_add(before_end);
        node
    }

    /// Makes room for as many nodes as a chunk of this length mostly has, the first time.
    #[inline]
    pub(super) fn make_room(&mut self, len: usize) {
        const MOST: usize = 48;
        if self.nodes.capacity() == 0 {
            self.nodes.reserve_exact(MOST.min(len / 7));
        }
    }

    /// The last node that begins at or before a position in the text that was read.
    pub(crate) fn last_before(&self, position: usize) -> Option<(NodeId, Node)> {
        let behind = self.nodes.partition_point(|node| node.start as usize <= position);
        let id = behind.checked_sub(1)?;
        Some((NodeId::try_from(id).ok()?, *self.nodes.get(id)?))
    }

    /// The nodes as they were read.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The text that was learned.
    #[inline]
    pub(crate) const fn learned(&self) -> &TemplateText {
        &self.learned
    }

    /// The leaves that may have another value in another text.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Bytes that the buffers hold, roughly.
    pub(crate) fn held(&self) -> usize {
        self.text.capacity()
            + self.unescaped.capacity() * size_of::<Unescaped>()
            + self.nodes.capacity() * size_of::<Node>()
    }
}

/// The text of a document.
#[derive(Clone, Copy)]
pub(crate) enum Text<'a> {
    /// The text that was read.
    Read(&'a str),
    /// One that differs from the learned one in the gaps only. What isn't in a gap is the same in
    /// both, and is taken from the learned one, which is known to be UTF-8 and stands still.
    Like(&'a [u8]),
}

/// Where a leaf is to be read.
enum TextSource<'a> {
    Read(&'a str),
    Slot(&'a Slot),
}

/// A JSON text that has been read.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    /// Those of the tape, close at hand.
    nodes: &'a [Node],
    text: Text<'a>,
    tape: &'a Tape,
}

impl<'a> Document<'a> {
    #[inline]
    pub(crate) const fn new(tape: &'a Tape, text: Text<'a>) -> Self {
        Self { nodes: tape.nodes.as_slice(), text, tape }
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> Option<Node> {
        let node = self.nodes.get(id as usize)?;
        // A text that was read as a whole is the one that the nodes are of.
        match self.text {
            Text::Read(_) => Some(*node),
            Text::Like(_) => Some(self.tape.resolve(id, *node)),
        }
    }

    /// The leaves that may have another value than when the document was read.
    #[inline]
    pub(crate) fn slots(&self) -> &'a [Slot] {
        &self.tape.slots
    }

    /// The number of the learned text that this one is like, or is; 0 where none was learned.
    #[inline]
    pub(crate) const fn template_id(&self) -> u64 {
        self.tape.learned.number
    }

    /// Length of the text.
    #[inline]
    pub(crate) const fn text_len(&self) -> usize {
        match self.text {
            Text::Read(text) => text.len(),
            Text::Like(bytes) => bytes.len(),
        }
    }

    /// All of the text.
    fn text(&self) -> Option<&'a str> {
        match self.text {
            Text::Read(text) => Some(text),
            Text::Like(bytes) => text(bytes),
        }
    }

    /// Whether any value is a [`Kind::NotFinite`].
    pub(crate) const fn has_not_finite(&self) -> bool {
        self.tape.has_not_finite
    }

    /// How many nodes there are.
    #[expect(clippy::cast_possible_truncation, reason = "a text has less than 2 GiB")]
    pub(crate) const fn len(&self) -> NodeId {
        self.nodes.len() as NodeId
    }

    #[inline]
    pub(crate) fn kind(&self, id: NodeId) -> Option<Kind> {
        // A leaf that has another value is of the same kind.
        self.nodes.get(id as usize).map(|node| node.kind)
    }

    /// Where to read a leaf or a name: in the text that was read, or in a gap of the one at hand.
    #[inline]
    fn place(&self, id: NodeId) -> TextSource<'a> {
        match self.text {
            Text::Read(text) => TextSource::Read(text),
            Text::Like(_) => match self.tape.slots.iter().find(|slot| slot.id == id) {
                Some(slot) => TextSource::Slot(slot),
                None => TextSource::Read(self.tape.learned.json()),
            },
        }
    }

    /// The unescaped text of a string.
    #[inline]
    pub(crate) fn string(&self, id: NodeId) -> Option<&'a str> {
        let node = self.nodes.get(id as usize)?;
        if node.kind != Kind::String {
            return None;
        }
        match self.place(id) {
            TextSource::Read(text) if node.extra & ESCAPED == 0 => {
                let start = node.start as usize + 1;
                text.get(start..start + node.extra as usize)
            }
            TextSource::Read(_) => self.tape.unescaped(*node),
            TextSource::Slot(slot) => self.slot_text_in(slot),
        }
    }

    /// The text of a gap, if it is a string.
    #[inline]
    pub(crate) fn slot_text_in(&self, slot: &Slot) -> Option<&'a str> {
        let Node { kind: Kind::String, start, end, extra } = slot.now else { return None };
        if extra & ESCAPED != 0 {
            return self.tape.unescaped(slot.now);
        }
        self.slice(start + 1, end - 1)
    }

    /// A gap as it was sent.
    #[inline]
    pub(crate) fn slot_bytes(&self, slot: &Slot) -> &'a [u8] {
        let bytes = match self.text {
            Text::Read(text) => text.as_bytes(),
            Text::Like(bytes) => bytes,
        };
        bytes.get(slot.now.start as usize..slot.now.end as usize).unwrap_or_default()
    }

    /// The whole number that a gap holds, if it is one for counts.
    #[inline]
    pub(crate) fn slot_count_in(&self, slot: &Slot) -> Option<u64> {
        if slot.slot_kind != SlotKind::Count {
            return None;
        }
        if slot.now.extra != UNPARSED {
            return Some(u64::from(slot.now.extra));
        }
        // There are fewer than could overflow.
        let digits = self.slot_bytes(slot);
        Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit & 0xF)))
    }

    /// The name of the member whose value a node is.
    pub(crate) fn name_of(&self, value: NodeId) -> &'a str {
        let name = value.checked_sub(1).and_then(|id| self.nodes.get(id as usize));
        let text = |node: &Node| match self.constant(node.extra) {
            Some(text) => text.get(node.start as usize + 1..node.end as usize - 1),
            None => self.tape.unescaped(*node),
        };
        name.and_then(text).unwrap_or_default()
    }

    /// The name of a member, unescaped: enough to compare it.
    #[inline]
    fn name(&self, node: &Node) -> &'a [u8] {
        let Some(text) = self.constant(node.extra) else {
            return self.tape.unescaped(*node).unwrap_or_default().as_bytes();
        };
        let start = node.start as usize + 1;
        text.as_bytes().get(start..start + node.extra as usize).unwrap_or_default()
    }

    /// Where to read a name, unless it has escapes. No name is a gap.
    #[inline]
    fn constant(&self, extra: u32) -> Option<&'a str> {
        match self.text {
            _ if extra & ESCAPED != 0 => None,
            Text::Read(text) => Some(text),
            Text::Like(_) => Some(self.tape.learned.json()),
        }
    }

    /// A number that is written as a whole one and fits.
    #[inline]
    pub(crate) fn count(&self, id: NodeId) -> Option<u64> {
        if !matches!(self.kind(id)?, Kind::Number | Kind::Huge) {
            return None;
        }
        let number = self.raw(id);
        // Most are indexes.
        match number.as_bytes() {
            [digit @ b'0'..=b'9'] => Some(u64::from(digit - b'0')),
            _ => number.parse().ok(),
        }
    }

    /// The value as it was sent.
    #[inline]
    pub(crate) fn raw(&self, id: NodeId) -> &'a str {
        let Some(node) = self.nodes.get(id as usize) else { return "" };
        let is_leaf = !matches!(node.kind, Kind::Array | Kind::Object);
        let text = match self.text {
            Text::Like(_) if !is_leaf => {
                let node = self.tape.resolve(id, *node);
                self.slice(node.start, node.end)
            }
            _ => match self.place(id) {
                TextSource::Read(text) => text.get(node.start as usize..node.end as usize),
                TextSource::Slot(Slot { now, .. }) => self.slice(now.start, now.end),
            },
        };
        text.unwrap_or_default()
    }

    /// A part of the text at hand.
    #[inline]
    fn slice(&self, start: u32, end: u32) -> Option<&'a str> {
        let range = start as usize..end as usize;
        match self.text {
            Text::Read(text) => text.get(range),
            Text::Like(bytes) => text(bytes.get(range)?),
        }
    }

    /// The node behind a value and all that it holds.
    #[inline]
    pub(crate) fn behind(&self, id: NodeId) -> NodeId {
        match self.nodes.get(id as usize) {
            Some(Node { kind: Kind::Array | Kind::Object, extra, .. }) => *extra,
            _ => id + 1,
        }
    }

    /// The members of an object, as nodes: name and value.
    #[inline]
    pub(crate) fn members(self, id: NodeId) -> Members<'a> {
        let end = if self.kind(id) == Some(Kind::Object) { self.behind(id) } else { 0 };
        Members { document: self, next: id + 1, end }
    }

    /// The members of the object in a table's column; none where the column is 0.
    #[inline]
    pub(crate) fn members_in_column(self, id: NodeId) -> Members<'a> {
        if id == 0 { Members { document: self, next: 0, end: 0 } } else { self.members(id) }
    }

    /// The elements of an array.
    #[inline]
    pub(crate) fn elements(self, id: NodeId) -> Elements<'a> {
        let end = if self.kind(id) == Some(Kind::Array) { self.behind(id) } else { 0 };
        Elements { document: self, next: id + 1, end }
    }
}

pub(crate) struct Members<'a> {
    document: Document<'a>,
    next: NodeId,
    end: NodeId,
}

/// A member of an object: its name, and its value, whose name is the node before it.
pub(crate) struct Member<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: NodeId,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    #[expect(clippy::inline_always, reason = "measured: a call for each costs a twentieth")]
    #[inline(always)]
    fn next(&mut self) -> Option<Member<'a>> {
        if self.next >= self.end {
            return None;
        }
        let document = &self.document;
        let [name, node, ..] = document.nodes.get(self.next as usize..)? else { return None };
        let value = self.next + 1;
        self.next = match node.kind {
            Kind::Array | Kind::Object => node.extra,
            _ => value + 1,
        };
        Some(Member { name: document.name(name), value })
    }
}

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

/// A document with a memory of its own.
#[derive(Clone)]
pub(crate) struct OwnedDocument {
    tape: Tape,
    json: Box<str>,
}

impl OwnedDocument {
    /// It has nothing in common with another: no leaf of it has changed.
    pub(crate) fn new(document: Document<'_>) -> Self {
        let Tape { text, unescaped, has_not_finite, .. } = document.tape;
        let nodes = (0..document.len()).filter_map(|id| document.node(id)).collect();
        let tape = Tape {
            nodes,
            text: text.as_str().into(),
            unescaped: unescaped.clone(),
            has_not_finite: *has_not_finite,
            ..Tape::default()
        };
        Self { tape, json: document.text().unwrap_or_default().into() }
    }

    pub(crate) fn as_document(&self) -> Document<'_> {
        Document::new(&self.tape, Text::Read(&self.json))
    }
}
