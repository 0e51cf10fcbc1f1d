//! The nodes of a document, and how their texts are found.

/// Position of a node in its document. The root is 0; no member can be it, so 0 in a table of
/// members means that there is none.
pub(crate) type NodeId = u32;

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

/// A JSON text that has been read.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    pub(crate) nodes: &'a [Node],
    /// The strings that have escapes, unescaped, one behind the other.
    pub(crate) text: &'a str,
    pub(crate) unescaped: &'a [Unescaped],
    pub(crate) json: &'a str,
}

impl<'a> Document<'a> {
    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> Option<&'a Node> {
        self.nodes.get(id as usize)
    }

    #[inline]
    pub(crate) fn kind(&self, id: NodeId) -> Option<Kind> {
        self.node(id).map(|node| node.kind)
    }

    /// The unescaped text of a string.
    #[inline]
    pub(crate) fn string(&self, id: NodeId) -> Option<&'a str> {
        let node = self.node(id)?;
        if node.kind != Kind::String {
            return None;
        }
        if node.extra & ESCAPED != 0 {
            return self.unescaped(node);
        }
        let start = node.start as usize + 1;
        self.json.get(start..start + node.extra as usize)
    }

    /// The unescaped bytes of a string, or nothing: enough to compare a name.
    #[inline]
    pub(crate) fn string_bytes(&self, node: &Node) -> &'a [u8] {
        if node.extra & ESCAPED != 0 {
            return self.unescaped(node).unwrap_or_default().as_bytes();
        }
        let start = node.start as usize + 1;
        self.json.as_bytes().get(start..start + node.extra as usize).unwrap_or_default()
    }

    #[cold]
    fn unescaped(&self, node: &Node) -> Option<&'a str> {
        let place = self.unescaped.get((node.extra & !ESCAPED) as usize)?;
        self.text.get(place.start as usize..place.end as usize)
    }

    /// The value as it was sent.
    #[inline]
    pub(crate) fn raw(&self, id: NodeId) -> &'a str {
        self.node(id).map_or("", |node| self.raw_of(node))
    }

    #[inline]
    pub(crate) fn raw_of(&self, node: &Node) -> &'a str {
        self.json.get(node.start as usize..node.end as usize).unwrap_or_default()
    }

    /// The node behind a value and all that it holds.
    #[inline]
    pub(crate) fn behind(&self, id: NodeId) -> NodeId {
        match self.node(id) {
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
    pub(crate) node: &'a Node,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        if self.next >= self.end {
            return None;
        }
        let nodes = self.document.nodes.get(self.next as usize..)?;
        let [name, node, ..] = nodes else { return None };
        let value = self.next + 1;
        self.next = match node.kind {
            Kind::Array | Kind::Object => node.extra,
            _ => value + 1,
        };
        Some(Member { name: self.document.string_bytes(name), value, node })
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
    nodes: Box<[Node]>,
    text: Box<str>,
    unescaped: Box<[Unescaped]>,
    json: Box<str>,
}

impl OwnedDocument {
    pub(crate) fn new(document: Document<'_>) -> Self {
        let Document { nodes, text, unescaped, json } = document;
        Self {
            nodes: nodes.into(),
            text: text.into(),
            unescaped: unescaped.into(),
            json: json.into(),
        }
    }

    pub(crate) fn as_document(&self) -> Document<'_> {
        Document {
            nodes: &self.nodes,
            text: &self.text,
            unescaped: &self.unescaped,
            json: &self.json,
        }
    }
}
