//! Templates: the common parts of events, so that only the differing parts are read.
//!
//! A *template* is an event that the general path has read: its bytes with the framing, its tape and
//! its index. Its *leaves* are the values that may differ in another event. The bytes between them
//! are its *literals*. A leaf is a *slot*, whose value differs from event to event, or *bound*: a
//! stream has one value.
//!
//! ```text
//! template  data: {"id":"xx","choices":[{"delta":{"content":"xx"}}]}\n\n
//! event     data: {"id":"c1","choices":[{"delta":{"content":"llo!"}}]}\n\n
//!           ╰────────┬─────╯╰───────────── literal ───────╯╰┬─╯╰ literal ╯
//!                  head: ends with the bound value         slot
//! ```
//!
//! A template never changes, and streams share it ([`TemplateSet`]). So it has other bytes in place
//! of the values of its leaves. A stream ([`Matcher`]) stores which template it matched last, its
//! bound values, and the values of the current event. The bound values begin with the *head* of its
//! events, which is compared as a whole. Behind it, each *run* of bound values between two slots is
//! compared as a whole too. A run begins and ends with a bound value.
//!
//! An event matches if its literals are the same bytes and its bound values are those of the stream.
//! Each slot has to have a value that fits. The last literal ends the event, so no line end is searched. Tape
//! and index of the template are those of the event too. A [`Patch`](crate::json::Patch) for each
//! leaf contains the event's own value and position. In the example, positions count in the JSON text:
//!
//! | | template | event | patch |
//! |---|---|---|---|
//! | `id`, without quotes | 7..9 | 7..9 | value 6..10, shift 0 |
//! | `content`, without quotes | 43..45 | 43..47 | value 42..48, shift 2 |
//! | the end of `choices` | 49 | 51 | moved by the last shift before it |
//! | the name `"id"` | 1..5 | 1..5 | not moved |
//!
//! An event that doesn't match the last template is compared with those that have [followed](followers)
//! it before. Then it is searched in a [`tree`] of all templates. Its bound values may be others.
//!
//! # Leaves
//!
//! The index names the values that differ by the schema: they are leaves from the start. So one event
//! is enough to learn from. Another leaf is added when an event of the same structure first differs
//! in it. It becomes a slot if both events are of one stream that has not published the template. The
//! index of a choice or call, and a finish reason, always do. Any other becomes a bound leaf. White
//! space before the last bracket is a slot too, although it is no leaf of the document.
//!
//! An array may be a leaf, if it is a [plain](crate::json::plain_array) one. Its contents aren't on the
//! tape of the template, so arrays of any length fit. A consumer that looks into one reads the
//! [full](Document::full) document.
//!
//! A template with another leaf is another template, with an id of its own. If a bound value differs
//! in several events of one stream, this stream continues with a template of its own. In that the
//! leaf is a slot.
//!
//! # Publication
//!
//! A stream *offers* an event that matches nothing to the set, where it is a candidate. The second
//! event that matches it, of any stream, publishes it. A decoder looks at a published view of the
//! set, and looks for a newer one only when an event matches nothing. The set is bounded. When it is
//! full, or its tree too high, the templates that no stream has begun to use since the last time are
//! removed.
//!
//! # Invariants
//!
//! 1. A member whose merge isn't idempotent is in a slot, or consumers merge the chunk in full.
//! 2. The value of a leaf has the kind that the schema's type allows, and no deviation.
//! 3. Names never differ, nor do leaves that decide the kind of the payload or whether a part of it is
//!    lost ([`Index::is_fixed`]).
//! 4. The same ids of template and binding mean the same literals and bound values. Ids are unique in
//!    the process.
//! 5. The patches are in the order of the leaves of the template that matched last.
//! 6. A template, its tree and a candidate contain no value of a leaf.
//! 7. An array that is a leaf has no contents on the tape, and no event has it empty.
//!
//! # To add a slot kind
//!
//! Add it to [`SlotKind`](slot::SlotKind) with its `ALL`, `for_leaf`, `skipped_len`, `filler`,
//! `empty_patch` and `Slot::fill`, which takes each kind but `Text` and `Padding` for a number. A
//! value that fits must read like that of the template, for the parser and for the schema's types.
//! `Document::kind` returns the kind of the template's leaf, so values of one slot have one kind. For
//! a slot of `true` and `false`, these would have to be one [`Kind`](crate::json::Kind). Add an event
//! to `TEMPLATES` in `tests/bodies/templates.rs`, values to `lesson` in `tests/it/template/streams.rs`, and the kind to
//! the unit tests of `slot.rs`.

mod bound;
mod followers;
mod ids;
mod learning;
mod local;
mod matcher;
mod published;
mod set;
mod slot;
mod surroundings;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod template;
mod tree;

pub(crate) use local::Locals;
pub(crate) use matcher::{Matcher, TemplateMatch};
pub(crate) use set::TemplateSet;
pub(crate) use template::MatchedEvent;
pub(crate) use tuning::{LARGEST_EVENT, MOST_LEAVES};

use smallvec::SmallVec;

use crate::json::{Document, Kind, NodeId, Tape, plain_array};

/// The bounds of templates, tuned with `cargo bench --bench compare` (`corpus`, `corpus-cold`).
mod tuning {
    /// The largest event that is compared or learned, in bytes, so that a set stores little.
    pub(crate) const LARGEST_EVENT: usize = 4096;
    /// The largest number of nodes of a learned event, and of rows in its index.
    pub(super) const MOST_NODES: usize = 128;
    pub(super) const MOST_ROWS: usize = 8;
    /// The largest number of leaves of a template that may differ, and of those that one event adds.
    pub(crate) const MOST_LEAVES: usize = 24;
    pub(super) const MOST_NEW_SLOTS: usize = 6;
    /// The bytes of bound values that are stored without an allocation.
    pub(super) const USUAL_BOUND: usize = 184;
    /// The longest head, in bytes.
    pub(super) const LONGEST_HEAD: usize = 512;
    /// The bounds of a set: templates, and their bytes.
    ///
    /// An upstream has up to 20 kinds of events. The recordings of 98 upstreams and models have 300.
    pub(super) const MOST_TEMPLATES: usize = 1024;
    pub(super) const MOST_HELD: usize = 4 << 20;
    /// The events of a set that one stream has read, and that wait for another one like them.
    pub(super) const MOST_CANDIDATES: usize = 256;
    pub(super) const MOST_HELD_CANDIDATES: usize = 1 << 20;
    /// The wrong guesses in a row that a stream may make about its next template: at first, at most.
    pub(super) const FIRST_GUESSES: u8 = 2;
    pub(super) const MOST_GUESSES: u8 = 4;
    /// The earlier views of a set that are kept until a stream publishes, so that it frees them.
    pub(super) const MOST_RETIRED: usize = 8;
    /// The templates of one structure with which an event is compared.
    pub(super) const MOST_ALIKE: usize = 4;
    /// The literals with which a walk through the templates of a set compares an event.
    pub(super) const MOST_STEPS: u32 = 128;
    /// The nodes of the longest path of a set: a tree is made and dropped by recursion.
    ///
    /// The recordings have paths of 35 nodes.
    pub(super) const MOST_HEIGHT: u32 = 64;
    /// The heads in a row with few events each after which a value becomes a slot, and few events.
    pub(super) const MOST_BINDINGS: u8 = 3;
    pub(super) const FEW_HITS: u32 = 4;
    /// The templates that one stream can publish: more than an honest one has kinds of events.
    pub(super) const MOST_PUBLISHED: u8 = 32;
    /// The events in excess of the published ones that a stream can offer to others.
    pub(super) const MOST_OFFERED: u8 = 16;
}

/// The index that the general path makes of a document, with the facts that templates need.
pub(crate) trait Index: Clone + Default + 'static {
    /// Returns an index without members.
    fn empty() -> &'static Self;

    /// Returns the number of rows.
    fn rows(&self) -> usize;

    /// Returns the capacity of the buffers, roughly, in bytes.
    fn held(&self) -> usize;

    /// Returns true if a leaf decides the kind of the payload, or whether a part of it is lost.
    fn is_fixed(&self, document: Document<'_>, leaf: NodeId) -> bool;

    /// Removes and returns the views that this thread has used last; none if the thread ends.
    fn take_locals() -> Locals<Self>;

    /// Stores these views again.
    fn store_locals(locals: Locals<Self>);

    /// Returns true if a leaf differs from event to event, in all streams in which it differs.
    fn varies(&self, leaf: NodeId) -> bool;

    /// Makes the index that of a document. Returns false if the document has none.
    fn refill(&mut self, document: Document<'_>) -> bool;

    /// Passes each leaf whose value isn't the same in all streams to `add`, in any order.
    ///
    /// An array that isn't empty may be a leaf too, with all its contents.
    fn each_leaf(&self, document: Document<'_>, add: impl FnMut(NodeId, Leaf));
}

/// The way in which the values of a leaf differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// They differ from event to event.
    Varying,
    /// They differ from stream to stream.
    Bound,
}

/// The buffers into which a payload is read. Reused from payload to payload.
#[derive(Clone, Default)]
pub(crate) struct Buffers<I> {
    pub(crate) tape: Tape,
    pub(crate) index: I,
}

impl<I: Index> Buffers<I> {
    /// Fills `others` from these without the contents of the arrays that can be slots.
    ///
    /// Returns false if there is no such array.
    fn remove_arrays(&self, json: &str, others: &mut Self) -> bool {
        let document = Document::new(&self.tape, json);
        // An event with more arrays has too many leaves for a template.
        let mut arrays: SmallVec<[NodeId; MOST_LEAVES]> = SmallVec::new();
        self.index.each_leaf(document, |leaf, _| {
            if arrays.len() < MOST_LEAVES
                && document.kind(leaf) == Some(Kind::Array)
                && plain_array(document.raw(leaf).as_bytes()).is_some()
            {
                arrays.push(leaf);
            }
        });
        if arrays.is_empty() {
            return false;
        }
        arrays.sort_unstable();
        let Self { tape, index } = others;
        tape.copy_without_contents(&self.tape, &arrays);
        index.refill(Document::new(tape, json))
    }

    /// Returns the capacity of the buffers, roughly, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.tape.held() + self.index.held()
    }
}
