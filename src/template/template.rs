//! `Template`: an event that the general path has read, and the comparison of other events with it.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use smallvec::SmallVec;

use super::bound::{EventBefore, head_literals};
use super::ids::next_id;
use super::slot::{Slot, SlotKind, fill_run, new_slot};
use super::tuning::{LARGEST_EVENT, LONGEST_HEAD, MOST_LEAVES, MOST_NEW_SLOTS};
use super::{Index, Leaf};
use crate::json::{self, DEEPEST_PLAIN, Document, MOST_PATCHES, Patch, Patches, Tape, ValuePlace};
use crate::slice::{bytes_in, items_in, items_in_mut, text_in};

/// One template. It never changes, so streams and threads share it.
///
/// The *head* of an event ends with the last bound leaf that has no slot before it.
#[repr(C)] // The fields that a match reads are adjacent.
pub(super) struct Template<I> {
    /// The bytes of the event, with other bytes in place of the values that may differ.
    pub(super) text: Box<str>,
    /// The leaves that may differ, in the order of the text: `leaves.len() <= MOST_LEAVES`.
    pub(super) leaves: Box<[Slot]>,
    /// The end of the last of them in the text; 0 without one.
    leaves_end: usize,
    /// The number of leaves of the head; 0 without a head.
    pub(super) head_leaves: usize,
    /// The JSON text in it: `json.start <= json.end <= text.len()`.
    pub(super) json: Range<usize>,
    /// Identifies the template in the process; never 0.
    pub(super) id: u64,
    tape: Tape,
    index: I,
    /// The leaves at which consumers don't look, by their positions: a bit for each.
    silent: u32,
    /// A number that templates with the same names and kinds of values have in common.
    pub(super) structure: u64,
    /// The deepest nesting of its arrays and objects.
    depth: usize,
    /// The literals and the leaves of the head: see [`head_literals`](super::bound::head_literals).
    pub(super) head_literals: Box<[u8]>,
    /// A patch without a value for each leaf.
    empty_patches: Box<[Patch]>,
    /// True if a leaf behind the head is bound.
    pub(super) has_runs: bool,
    /// True if a leaf is an array.
    has_array: bool,
    /// True if a stream has begun to use the template since the set was last full.
    is_used: AtomicBool,
}

/// The parts of an event from which a template is made.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a, I> {
    /// The bytes before the JSON text.
    pub(super) before: &'a str,
    pub(super) json: &'a str,
    /// The bytes behind it.
    pub(super) behind: &'a str,
    pub(super) tape: &'a Tape,
    pub(super) index: &'a I,
}

/// The patches of an event, for the leaves of its template.
pub(super) type Values = SmallVec<[Patch; MOST_LEAVES]>;

/// Each leaf has a patch.
const _: () = assert!(MOST_LEAVES <= MOST_PATCHES);

/// The leaves of a template that may differ, in their order.
pub(super) type Leaves = SmallVec<[Slot; MOST_LEAVES]>;

/// An event that fits a template with any bound values.
pub(super) struct Fit {
    /// The length of the event in bytes.
    pub(super) len: usize,
    /// True if all leaves of the head have the values of the event before, and are its head.
    pub(super) has_same_head: bool,
}

/// An event that matches: the range of its data, its document and its index.
pub(crate) struct MatchedEvent<'a, I> {
    pub(crate) data: Range<usize>,
    pub(crate) document: Document<'a>,
    pub(crate) index: &'a I,
}

/// The literal or the value in which an event differs.
struct Divergence {
    /// Positions: `text <= template.text.len()` and `input <= input.len()`.
    text: usize,
    input: usize,
    is_in_value: bool,
}

impl<I: Index> Template<I> {
    /// Makes a template of an event.
    pub(super) fn new(sample: Sample<'_, I>) -> Option<Self> {
        let Sample { before, json, behind, tape, index } = sample;
        let document = Document::new(tape, json);
        let leaves = leaves_of(index, document, tape, json)?;
        let mut text = String::with_capacity(before.len() + json.len() + behind.len());
        for part in [before, json, behind] {
            text.push_str(part);
        }
        Self {
            text: text.into(),
            leaves: leaves.as_slice().into(),
            leaves_end: 0,
            head_leaves: 0,
            json: before.len()..before.len() + json.len(),
            id: 0,
            tape: tape.clone(),
            index: index.clone(),
            silent: 0,
            structure: structure(before, document),
            depth: tape.depth(),
            head_literals: Box::default(),
            empty_patches: Box::default(),
            has_runs: false,
            has_array: false,
            is_used: AtomicBool::new(false),
        }
        .finished()
    }

    /// Returns the template with other leaves that may differ.
    pub(super) fn with_leaves(&self, leaves: &[Slot]) -> Option<Self> {
        let Self { text, json, tape, index, structure, depth, .. } = self;
        Self {
            text: text.clone(),
            leaves: leaves.into(),
            json: json.clone(),
            tape: tape.clone(),
            index: index.clone(),
            structure: *structure,
            depth: *depth,
            head_literals: Box::default(),
            empty_patches: Box::default(),
            is_used: AtomicBool::new(false),
            ..*self
        }
        .finished()
    }

    /// Returns the template with a bound leaf as a slot.
    pub(super) fn without_bound(&self, leaf: usize) -> Option<Self> {
        let mut leaves = self.leaves.clone();
        leaves.get_mut(leaf)?.is_bound = false;
        self.with_leaves(&leaves)
    }

    /// Returns the leaves that may differ.
    pub(super) const fn leaves(&self) -> &[Slot] {
        &self.leaves
    }

    /// Overwrites the values that may differ, and sets the literals, the head and a new id.
    fn finished(mut self) -> Option<Self> {
        self.id = next_id()?;
        let mut text = core::mem::take(&mut self.text).into_string().into_bytes();
        let start = self.json.start;
        for leaf in &self.leaves {
            let range = start + leaf.start as usize..start + leaf.end as usize;
            items_in_mut(&mut text, range).fill(leaf.filler());
            self.tape.blank(leaf.id);
        }
        // Whole values were overwritten by ASCII bytes.
        self.text = json::known_text(&text).into();
        self.leaves_end = measure(start, &mut self.leaves);
        count_runs(&mut self.leaves);
        let in_head = |leaf: &&Slot| leaf.is_bound && start + leaf.end as usize <= LONGEST_HEAD;
        self.head_leaves = self.leaves.iter().take_while(in_head).count();
        let (head, behind) = self.leaves.split_at_checked(self.head_leaves)?;
        self.head_literals = head_literals(self.text.as_bytes(), head);
        self.empty_patches = self.leaves.iter().map(Slot::empty_patch).collect();
        self.has_runs = behind.iter().any(|leaf| leaf.is_bound);
        self.has_array = self.leaves.iter().any(|leaf| leaf.kind == SlotKind::Array);
        let bits = (0_u32..).zip(&self.leaves).filter(|(_, leaf)| leaf.is_silent());
        self.silent = bits.fold(0, |bits, (bit, _)| bits | 1 << bit);
        Some(self)
    }

    /// Returns the literals, each with the leaf behind it; the last one has none.
    pub(super) fn literals(&self) -> impl Iterator<Item = (&[u8], Option<&Slot>)> {
        self.leaves.iter().map(Some).chain([None]).map(move |leaf| {
            let last = self.leaves_end..self.text.len();
            let literal =
                leaf.map_or(last, |leaf| leaf.literal_start as usize..leaf.literal_end as usize);
            (bytes_in(self.text.as_bytes(), literal), leaf)
        })
    }

    /// Returns true if a decoder with these limits reads the events of the template.
    ///
    /// The contents of an array in a slot are as many and as deep as an event can have.
    pub(super) fn is_within(&self, most_nodes: usize, most_depth: usize) -> bool {
        let (nodes, depth) = if self.has_array { (LARGEST_EVENT, DEEPEST_PLAIN) } else { (0, 0) };
        self.tape.nodes().len() + nodes <= most_nodes && self.depth + depth <= most_depth
    }

    /// Returns the memory of the template, roughly, in bytes.
    pub(super) fn held(&self) -> usize {
        let leaves = self.leaves.len() * (size_of::<Slot>() + size_of::<Patch>());
        // The tree stores the literals too.
        let texts = 2 * self.text.len() + self.head_literals.len();
        size_of::<Self>() + texts + leaves + self.tape.held() + self.index.held()
    }

    /// Records that a stream uses the template. Writes only if no other stream has.
    pub(super) fn set_used(&self) {
        if !self.is_used() {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    pub(super) fn set_unused(&self) {
        self.is_used.store(false, Ordering::Relaxed);
    }

    /// Compares an event with any bound values.
    ///
    /// Appends the patches of the event to `values`, which are empty. The first ones are copied from the event before,
    /// as far as both events are alike. A value with escapes can't be bound.
    pub(super) fn fit(
        &self,
        input: &[u8],
        before: &EventBefore<'_, I>,
        values: &mut Values,
        place: &mut ValuePlace<'_>,
    ) -> Option<Fit> {
        let known = self.known_leaves(input, before);
        let kept = known.patches.len();
        values.extend_from_slice(&self.empty_patches);
        for ((patch, known), leaf) in values.iter_mut().zip(known.patches).zip(&self.leaves) {
            *patch = *known;
            patch.move_from(leaf.end);
        }
        let last = known.patches.last();
        let start = last.map_or(0, |last| self.json.start + last.value_range().end);
        let leaves = items_in(&self.leaves, kept..);
        let pattern = self.pattern(leaves);
        let others = items_in_mut(values, kept..);
        let rest = fill_leaves::<false>(pattern, input, start, &[], others, place).ok()?;
        let len = input.len() - strip(rest, self.last_literal())?.len();
        let mut leaves = self.leaves.iter().zip(&*values).skip(kept);
        let is_escaped = leaves.any(|(leaf, patch)| leaf.is_bound && patch.is_escaped());
        (!is_escaped).then_some(Fit { len, has_same_head: known.has_same_head })
    }

    /// Makes the patches those of this template.
    pub(super) fn set_patches(&self, patches: &mut Patches, values: &[Patch]) {
        debug_assert_eq!(values.len(), self.leaves.len(), "a patch for each leaf");
        (patches.template, patches.silent) = (self.id, self.silent);
        patches.list.replace(values);
    }

    /// Compares an event with the template; returns its length if it matches.
    ///
    /// The patches are those of the template and of the bound values. The event has to have these.
    #[inline(never)]
    pub(super) fn compare(
        &self,
        input: &[u8],
        bound: &[u8],
        head_len: usize,
        patches: &mut Patches,
    ) -> Option<usize> {
        debug_assert_eq!(self.id, patches.template, "the patches are those of the template");
        let (head, runs) = bound.split_at_checked(head_len)?;
        strip(input, head)?;
        patches.clear_values();
        let Patches { list, values, is_idle, .. } = patches;
        let place = &mut ValuePlace::new(values, is_idle);
        let list = list.get_mut(self.head_leaves..)?;
        let pattern = self.pattern(self.leaves.get(self.head_leaves..)?);
        let rest = fill_leaves::<true>(pattern, input, head_len, runs, list, place).ok()?;
        let len = input.len() - strip(rest, self.last_literal())?.len();
        self.read_arrays(bytes_in(input, ..len), patches);
        Some(len)
    }

    /// Reads the arrays of an event that matches, if the consumer has looked into one before.
    #[inline]
    pub(super) fn read_arrays(&self, raw: &[u8], patches: &mut Patches) {
        if patches.wants_full() {
            patches.read_full(bytes_in(raw, self.data(raw)));
        }
    }

    /// Returns the range of the JSON text in an event that matches.
    #[inline]
    const fn data(&self, raw: &[u8]) -> Range<usize> {
        self.json.start..raw.len().saturating_sub(self.text.len() - self.json.end)
    }

    /// Returns the pattern with some of the leaves, or with more than the template has.
    #[inline]
    fn pattern<'t>(&'t self, leaves: &'t [Slot]) -> Pattern<'t> {
        Pattern { text: self.text.as_bytes(), leaves, json_start: self.json.start }
    }

    /// Returns the bytes behind the last leaf. They aren't empty, because an event ends with a line.
    #[inline]
    fn last_literal(&self) -> &[u8] {
        bytes_in(self.text.as_bytes(), self.leaves_end..)
    }

    /// Returns the leaves with which the event matches: those of the template and new ones.
    ///
    /// A new one is a leaf in which the event is the first to differ; it is bound if `is_bound`. A
    /// bound leaf of which the event has a value with escapes is a slot.
    pub(super) fn leaves_for(&self, input: &[u8], is_bound: bool) -> Option<Leaves> {
        let mut leaves = Leaves::from_slice(&self.leaves);
        for _ in 0..=MOST_NEW_SLOTS {
            let end = measure(self.json.start, &mut leaves);
            let mut list: Values = leaves.iter().map(Slot::empty_patch).collect();
            let pattern = self.pattern(&leaves);
            let divergence = match fill_leaves::<false>(
                pattern,
                input,
                0,
                &[],
                &mut list,
                &mut ValuePlace::new(&mut None, &mut false),
            ) {
                Ok(rest) if rest == bytes_in(self.text.as_bytes(), end..) => {
                    for (leaf, patch) in leaves.iter_mut().zip(&list) {
                        leaf.is_bound &= !patch.is_escaped();
                    }
                    return Some(leaves);
                }
                Ok(rest) => {
                    Divergence { text: end, input: input.len() - rest.len(), is_in_value: false }
                }
                Err(divergence) => divergence,
            };
            let mut leaf = self.diverging_leaf(input, &divergence, &leaves)?;
            leaf.is_bound = is_bound && !self.index.varies(leaf.id);
            leaves.insert(leaves.partition_point(|other| other.id < leaf.id), leaf);
        }
        None
    }

    /// Returns the leaf in which the event differs, if it can become a slot.
    fn diverging_leaf(&self, input: &[u8], at: &Divergence, leaves: &[Slot]) -> Option<Slot> {
        if at.is_in_value || leaves.len() == MOST_LEAVES {
            return None;
        }
        let text = bytes_in(self.text.as_bytes(), at.text..);
        let position = at.text + shared_len(text, bytes_in(input, at.input..));
        let json = text_in(&self.text, self.json.clone());
        let position = position.checked_sub(self.json.start)?;
        if let Some(padding) = Slot::padding(&self.tape, json)
            && padding.start as usize == position
        {
            return leaves.iter().all(|leaf| leaf.id != padding.id).then_some(padding);
        }
        let (leaf, node) = self.tape.last_before(position)?;
        let slot = new_slot(&self.tape, json, leaf)?;
        // A difference behind the last byte of a leaf is a difference in its length.
        let is_inside = (slot.start as usize..=slot.end as usize).contains(&position);
        let behind = bytes_in(json.as_bytes(), node.end as usize..);
        let is_name = behind.trim_ascii_start().first() == Some(&b':');
        let is_new = leaves.iter().all(|slot| slot.id != leaf);
        let is_fixed = || self.index.is_fixed(Document::new(&self.tape, json), leaf);
        (is_inside && !is_name && is_new && !is_fixed()).then_some(slot)
    }

    /// Returns the parts of the event `raw`, which was the last one to match.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 2 % of an event")]
    #[inline(always)]
    pub(super) fn read<'a>(&'a self, raw: &'a [u8], patches: &'a Patches) -> MatchedEvent<'a, I> {
        let Self { text, json, tape, index, .. } = self;
        let data = self.data(raw);
        let bytes = bytes_in(raw, data.clone());
        // The framing behind the JSON text does no harm, because it has no node.
        let document = Document::patched(tape, text_in(text, json.start..), bytes, patches);
        MatchedEvent { data, document, index }
    }
}

#[cfg(test)]
impl<I> Template<I> {
    /// Returns all that the template stores of its event.
    pub(super) fn stored(&self) -> String {
        let head = String::from_utf8_lossy(&self.head_literals);
        format!("{}\n{:?}\n{:?}\n{head}\n", self.text, self.tape, self.leaves)
    }
}

/// The bytes and the leaves of a template from a leaf on, and the position of its JSON text.
struct Pattern<'t> {
    text: &'t [u8],
    leaves: &'t [Slot],
    json_start: usize,
}

/// Compares literals and fills the leaves behind them, from the position `start` of an event on.
///
/// With `HAS_RUNS`, the runs of the event have to be `runs`. Returns the rest of the event.
/// `json_start` is the position of the JSON text in the event.
#[expect(clippy::inline_always, reason = "`vllm next`: a call costs 12 % of an event")]
#[inline(always)]
fn fill_leaves<'a, const HAS_RUNS: bool>(
    Pattern { text, leaves, json_start }: Pattern<'_>,
    input: &'a [u8],
    start: usize,
    mut runs: &[u8],
    mut list: &mut [Patch],
    values: &mut ValuePlace<'_>,
) -> Result<&'a [u8], Divergence> {
    debug_assert_eq!(list.len(), leaves.len(), "a patch for each leaf");
    let mut leaves = leaves.iter();
    let mut rest = bytes_in(input, start..);
    while let Some(leaf) = leaves.next() {
        let diverge = |rest: &[u8], is_in_value| {
            let (text, input) = (leaf.literal_start as usize, input.len() - rest.len());
            Divergence { text, input, is_in_value }
        };
        // A literal outside of the text is a difference too: that costs less than an empty slice.
        let literal = text.get(leaf.literal_start as usize..leaf.literal_end as usize);
        debug_assert!(literal.is_some(), "a literal is in the text");
        let Some(value) = literal.and_then(|literal| strip(rest, literal)) else {
            return Err(diverge(rest, false));
        };
        let position = (input.len() - value.len()).wrapping_sub(json_start);
        let filled = if HAS_RUNS && leaf.run > 0 {
            let run = usize::from(leaf.run);
            leaves = items_in(leaves.as_slice(), run - 1..).iter();
            list.split_off_mut(..run)
                .and_then(|patches| fill_run(value, position, patches, &mut runs))
        } else {
            list.split_off_first_mut().and_then(|patch| leaf.fill(value, position, patch, values))
        };
        debug_assert!(filled.is_none_or(|len| len <= value.len()), "a value is in the input");
        let Some(behind) = filled.and_then(|len| value.get(len..)) else {
            return Err(diverge(value, true));
        };
        rest = behind;
    }
    Ok(rest)
}

/// Returns the bytes behind `literal`, if `bytes` begins with it.
#[inline]
fn strip<'b>(bytes: &'b [u8], literal: &[u8]) -> Option<&'b [u8]> {
    let (front, behind) = bytes.split_at_checked(literal.len())?;
    (front == literal).then_some(behind)
}

/// Sets the literals before the leaves; returns the end of the last leaf.
///
/// `json_start` is the position of the JSON text.
#[expect(clippy::cast_possible_truncation, reason = "an event has at most 4 KiB")]
fn measure(json_start: usize, leaves: &mut [Slot]) -> usize {
    let mut end = 0;
    for leaf in leaves {
        let start = json_start as u32 + leaf.start;
        debug_assert!(end <= start && leaf.start <= leaf.end, "leaves are in order");
        (leaf.literal_start, leaf.literal_end) = (end, start);
        end = json_start as u32 + leaf.end;
    }
    end as usize
}

/// Sets the number of bound leaves from each leaf up to the next slot.
fn count_runs(leaves: &mut [Slot]) {
    let mut run = 0;
    for leaf in leaves.iter_mut().rev() {
        run = if leaf.is_bound { run + 1 } else { 0 };
        leaf.run = run;
    }
}

/// Returns the leaves of an event that differ from event to event, or from stream to stream.
///
/// Returns `None` if one of them can't be a leaf that differs: the template would contain its value.
fn leaves_of<I: Index>(
    index: &I,
    document: Document<'_>,
    tape: &Tape,
    json: &str,
) -> Option<Leaves> {
    let (mut leaves, mut has_all) = (Leaves::new(), true);
    index.each_leaf(document, |leaf, kind| match new_slot(tape, json, leaf) {
        Some(mut slot) if leaves.len() < MOST_LEAVES => {
            let node = document.node(leaf);
            slot.is_bound = kind == Leaf::Bound && node.is_some_and(|node| !node.is_escaped());
            leaves.push(slot);
        }
        _ => has_all = false,
    });
    leaves.sort_unstable_by_key(|leaf| leaf.id);
    leaves.extend(Slot::padding(tape, json).filter(|padding| padding.start < padding.end));
    (has_all && leaves.len() <= MOST_LEAVES).then_some(leaves)
}

/// Returns the number of equal bytes at the front of two texts. Compares eight at a time.
pub(super) fn shared_len(one: &[u8], other: &[u8]) -> usize {
    let (words, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let same = words.iter().zip(others).take_while(|(one, other)| one == other).count() * 8;
    let bytes = bytes_in(one, same..).iter().zip(bytes_in(other, same..));
    same + bytes.take_while(|(one, other)| one == other).count()
}

/// Returns a number that events with the same names and kinds of values have in common.
pub(super) fn structure(before: &str, document: Document<'_>) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3; // FNV-1a
    let add = |hash: u64, number: u64| (hash ^ number).wrapping_mul(PRIME);
    (0..document.len()).fold(before.len() as u64, |hash, id| {
        let hash = add(hash, document.kind(id).map_or(0, |kind| kind as u64));
        document.members(id).fold(hash, |hash, member| {
            member.name.iter().fold(hash, |hash, byte| add(hash, u64::from(*byte)))
        })
    })
}
