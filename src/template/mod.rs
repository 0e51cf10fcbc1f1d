//! Templates: the common parts of a stream's events, so that only the differing parts are read.
//!
//! A *template* is an event that the general path has read: its bytes with the framing, its tape and
//! its index. The values that may differ in another event are its *slots*. The bytes between slots
//! are its *literals*.
//!
//! ```text
//! template  data: {"id":"c1","choices":[{"delta":{"content":"He"}}]}\n\n
//! event     data: {"id":"c1","choices":[{"delta":{"content":"llo!"}}]}\n\n
//!           ╰─────────────────── literal ───────────────────╯╰┬─╯╰ literal ╯
//!                                                             slot
//! ```
//!
//! An event matches if its literals are the same bytes and each slot has a value that fits.
//! The last literal ends the event, so no line end is searched. Tape and index of the template are
//! those of the event too. A [`Patch`](crate::json::Patch) for each slot contains the event's own
//! value and position. In the example, positions count in the JSON text:
//!
//! | | template | event | patch |
//! |---|---|---|---|
//! | `content`, without quotes | 43..45 | 43..47 | value 42..48, shift 2 |
//! | the end of `choices` | 49 | 51 | moved by the last shift before it |
//! | the name `"id"` | 1..5 | 1..5 | not moved |
//!
//! # Slots
//!
//! The index names the leaves that differ from event to event by the schema: they are slots from
//! the start. Another leaf becomes a slot when an event first differs in it, if the whole event
//! then matches. The template gets a new id with its new slot, so consumers never see a template
//! change.
//!
//! # Invariants
//!
//! 1. A member whose merge isn't idempotent is in a slot, or consumers merge the chunk in full.
//! 2. The value of a slot has the kind that the schema's type allows, and no deviation.
//! 3. Names and leaves that decide the kind of the payload ([`Index::is_fixed`]) are never slots.
//! 4. The same id means the same literals. Ids are unique in the process.
//! 5. `slots` are in the order of their leaves, and `patches.list.len() == slots.len()` for a match.
//!
//! # To add a slot kind
//!
//! Add it to [`SlotKind`], `for_leaf`, `empty_patch` and `Slot::fill`, which takes each kind but
//! `Text` for a number. A value that fits must read like that of the template, for the parser and for
//! the schema's types. `Document::kind` returns the kind of the template's leaf, so values of one slot
//! have one kind. Add values to `lesson` in `tests/templates.rs`, and the kind to the unit tests of
//! `slot.rs`.

mod ids;
mod learning;
mod slot;
mod surroundings;

use core::ops::Range;

use crate::json::{self, Document, Kind, NodeId, Patches, Tape};
use crate::slice::{bytes_in, items_in, items_in_mut, text_in};
use crate::sse::Event;
use ids::TemplateIds;
use learning::LearningBudget;
use slot::{Slot, SlotKind};
use surroundings::{event_type_in, surroundings};

/// The bounds of templates, tuned with `cargo bench --bench pipeline` (`corpus`, `mixed-shapes`).
mod tuning {
    /// The templates of a stream: two match 93 to 96 of 100 events of the recordings.
    pub(super) const TEMPLATES: usize = 2;
    /// The largest event that is compared or learned, in bytes, so that a stream stores little.
    pub(crate) const LARGEST_EVENT: usize = 4096;
    /// The largest number of nodes of a learned event, and of rows in its index.
    pub(super) const MOST_NODES: usize = 128;
    pub(super) const MOST_ROWS: usize = 8;
    /// The capacity in bytes from which a template copies the buffers: a larger event made them
    /// grow.
    pub(super) const MOST_HELD: usize = 8 << 10;
    /// The largest number of slots of a template, and of slots that one event adds.
    pub(super) const MOST_SLOTS: usize = 12;
    pub(super) const MOST_NEW_SLOTS: u32 = 6;
    /// The cost of a slot that is added without a match, in units of the learning budget.
    pub(super) const SLOT_COST: u32 = 500;
}
pub(crate) use tuning::LARGEST_EVENT;
use tuning::{MOST_HELD, MOST_NEW_SLOTS, MOST_NODES, MOST_ROWS, MOST_SLOTS, SLOT_COST, TEMPLATES};

/// The index that the general path makes of a document, with the facts that templates need.
pub(crate) trait Index: Default {
    /// Returns the number of rows.
    fn rows(&self) -> usize;

    /// Returns the capacity of the buffers, roughly, in bytes.
    fn held(&self) -> usize;

    /// Copies the contents of `other` into its own buffers.
    fn copy_from(&mut self, other: &Self);

    /// Returns true if the value of a leaf decides the kind of the payload.
    fn is_fixed(&self, leaf: NodeId) -> bool;

    /// Passes each leaf that differs from event to event to `add`, in any order.
    fn each_varying(&self, document: Document<'_>, add: impl FnMut(NodeId));
}

/// The buffers into which a payload is read. Reused from payload to payload.
#[derive(Clone, Default)]
pub(crate) struct Buffers<I> {
    pub(crate) tape: Tape,
    pub(crate) index: I,
}

impl<I: Index> Buffers<I> {
    /// Returns the capacity of the buffers, roughly, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.tape.held() + self.index.held()
    }

    fn copy_from(&mut self, other: &Self) {
        self.tape.copy_from(&other.tape);
        self.index.copy_from(&other.index);
    }
}

/// The templates of a stream, and the match of its current event.
#[repr(C)] // The parts that a match touches are adjacent, up to the slots of the first template.
pub(crate) struct Templates<I> {
    is_on: bool,
    learning: LearningBudget,
    /// The template that was learned or matched last: `latest < TEMPLATES`.
    latest: usize,
    /// The values of the slots in the current event.
    patches: Patches,
    templates: [Template<I>; TEMPLATES],
    ids: TemplateIds,
    /// The slots of a template before an event added others.
    slots_before: Vec<Slot>,
}

/// One template.
#[derive(Default)]
#[repr(C)]
struct Template<I> {
    /// The bytes of the event; empty if the template is unused.
    text: String,
    /// The JSON text in it: `0 <= json.start <= json.end <= text.len()`.
    json: Range<usize>,
    /// `slots[n].end <= slots[n + 1].start`, and `slots.len() <= MOST_SLOTS`.
    slots: Vec<Slot>,
    /// The id of the template with these slots; 0 if the template is unused.
    id: u64,
    /// The event type in the text: `start <= end <= json.start`; empty if it is the default.
    event_type: Range<u32>,
    buffers: Buffers<I>,
}

/// An event that matches a template.
#[derive(Clone, Copy)]
pub(crate) struct TemplateMatch {
    template: usize,
    /// The length of the event in bytes.
    pub(crate) len: usize,
}

/// An event that matches: the range of its data, its type, its document and its index.
pub(crate) struct MatchedEvent<'a, I> {
    pub(crate) data: Range<usize>,
    pub(crate) event_type: &'a str,
    pub(crate) document: Document<'a>,
    pub(crate) index: &'a I,
}

/// An event that doesn't match.
struct Miss {
    /// True if the event continues behind the input.
    is_cut: bool,
    /// The cost of the comparison, in units of the learning budget.
    cost: u32,
}

impl<I: Index> Templates<I> {
    /// Creates an empty set of templates. Allocates nothing.
    pub(crate) fn new() -> Self {
        Self {
            is_on: true,
            learning: LearningBudget::default(),
            latest: 0,
            patches: Patches::default(),
            templates: Default::default(),
            ids: TemplateIds::default(),
            slots_before: Vec::new(),
        }
    }

    pub(crate) const fn set_on(&mut self, on: bool) {
        self.is_on = on;
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Removes the templates; their buffers stay allocated.
    pub(crate) fn reset(&mut self) {
        for template in &mut self.templates {
            template.text.clear();
            (template.json, template.event_type) = (0..0, 0..0);
            template.slots.clear();
            template.id = 0;
        }
        (self.patches.base, self.latest) = (0, 0);
        self.patches.list.clear();
        self.learning = LearningBudget::default();
    }

    /// Returns the match of the event `raw`, if it has one.
    #[inline(never)]
    pub(crate) fn match_exact(&mut self, raw: &[u8]) -> Option<TemplateMatch> {
        if raw.len() > LARGEST_EVENT {
            None
        } else {
            self.match_prefix(raw).filter(|matched| matched.len == raw.len())
        }
    }

    /// Returns the match of the event at the front of `input`, if all of it is in `input`.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 3 % of an event")]
    #[inline(always)]
    pub(crate) fn match_prefix(&mut self, input: &[u8]) -> Option<TemplateMatch> {
        // A template begins with `data` or `event`; comments and blank lines don't.
        if !matches!(input, [b'd' | b'e', ..]) || self.learning.is_paused() {
            return None;
        }
        let input = input.get(..LARGEST_EVENT).unwrap_or(input);
        match self.match_one(self.latest, input) {
            Ok(len) => {
                self.learning.credit_hit(len);
                Some(TemplateMatch { template: self.latest, len })
            }
            Err(miss) => self.match_other(input, &miss),
        }
    }

    #[inline(never)]
    fn match_other(&mut self, input: &[u8], miss: &Miss) -> Option<TemplateMatch> {
        self.learning.debit(miss.cost);
        if miss.is_cut {
            return None;
        }
        let other = self.other();
        match self.match_one(other, input) {
            Ok(len) => {
                self.latest = other;
                self.learning.credit_hit(len);
                Some(TemplateMatch { template: other, len })
            }
            Err(miss) => {
                self.learning.debit(miss.cost);
                None
            }
        }
    }

    /// Returns the length of the event at the front of `input`, if it matches one template.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 6 % of an event")]
    #[inline(always)]
    fn match_one(&mut self, template: usize, input: &[u8]) -> Result<usize, Miss> {
        let [first, second] = &self.templates;
        let matched = if template == 0 { first } else { second };
        matched.prepare(&mut self.patches);
        match matched.compare(input, Cursor::default(), &mut self.patches) {
            Ok(len) => Ok(len),
            Err(divergence) => self.match_adding_slots(template, input, divergence),
        }
    }

    /// Adds slots for the leaves in which the event is the first to differ, if it matches then.
    #[cold]
    #[inline(never)]
    fn match_adding_slots(
        &mut self,
        template: usize,
        input: &[u8],
        first: Divergence,
    ) -> Result<usize, Miss> {
        let Self { templates, patches, ids, slots_before, .. } = self;
        let [one, two] = templates;
        let template = if template == 0 { one } else { two };
        let (mut divergence, mut new_slots) = (first, 0);
        let matched = loop {
            let slot = match template.diverging_leaf(input, &divergence) {
                Ok(slot) => slot,
                Err(miss) => {
                    break Err(Miss {
                        cost: miss.cost.saturating_add(SLOT_COST * new_slots),
                        ..miss
                    });
                }
            };
            if new_slots == 0 {
                slots_before.clone_from(&template.slots);
            }
            let at = template.add_slot(slot);
            new_slots += 1;
            if new_slots > MOST_NEW_SLOTS {
                let cost = LearningBudget::cost(divergence.cursor.input) + SLOT_COST * new_slots;
                break Err(Miss { is_cut: false, cost });
            }
            // The slots before the new one are filled already.
            patches.list.insert(at.min(patches.list.len()), slot.empty_patch());
            match template.compare(input, divergence.cursor, patches) {
                Ok(len) => break Ok(len),
                Err(next) => divergence = next,
            }
        };
        if matched.is_ok()
            && let Some(id) = ids.next()
        {
            (template.id, patches.base) = (id, id);
        } else if new_slots > 0 {
            core::mem::swap(&mut template.slots, slots_before);
            template.replace_patches(patches);
        }
        matched
    }

    /// Returns the parts of the event `raw`, which was the last one to match.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 2 % of an event")]
    #[inline(always)]
    pub(crate) fn read<'a>(&'a self, matched: TemplateMatch, raw: &'a [u8]) -> MatchedEvent<'a, I> {
        let [first, second] = &self.templates;
        let Template { text, json, event_type, buffers, .. } =
            if matched.template == 0 { first } else { second };
        let data = json.start..raw.len().saturating_sub(text.len() - json.end);
        let bytes = bytes_in(raw, data.clone());
        let event_type = if event_type.is_empty() {
            crate::sse::MESSAGE
        } else {
            // The type is in the first literal, so these are the bytes of the sample.
            json::known_text(bytes_in(raw, event_type.start as usize..event_type.end as usize))
        };
        // The framing behind the JSON text does no harm, because it has no node.
        let sample = text_in(text, json.start..);
        let document = Document::patched(&buffers.tape, sample, bytes, &self.patches);
        MatchedEvent { data, event_type, document, index: &buffers.index }
    }

    /// Credits an event of so many bytes that the general path reads.
    pub(crate) fn record_miss(&mut self, len: usize) {
        self.learning.credit_miss(len);
    }

    /// Replaces the template that isn't the latest by an event that the general path has read.
    ///
    /// Swaps `buffers` with those of the template, or copies them if they are large. Returns the
    /// match of the event itself. Learns only an event of one line of data and perhaps its type:
    /// any other line may affect later events.
    pub(crate) fn learn(
        &mut self,
        event: &Event<'_>,
        json: &str,
        buffers: &mut Buffers<I>,
    ) -> Option<TemplateMatch> {
        let len = event.raw().len();
        let is_small = len <= LARGEST_EVENT
            && buffers.tape.nodes().len() <= MOST_NODES
            && buffers.index.rows() <= MOST_ROWS;
        if !self.is_on || !is_small || self.learning.is_paused() {
            return None;
        }
        let (head, tail) = surroundings(event)?;
        let id = self.ids.next()?;
        let latest = self.other();
        let template = self.templates.get_mut(latest)?;
        self.latest = latest;
        self.learning.debit_bytes(len);
        if buffers.held() > MOST_HELD {
            template.buffers.copy_from(buffers);
        } else {
            core::mem::swap(&mut template.buffers, buffers);
        }
        template.learn(head, json, tail, id);
        template.event_type = event_type_in(head, event.event_type());
        debug_assert!(template.event_type.end as usize <= template.json.start, "a line before");
        let mut matched = template.match_sample(event.raw(), &mut self.patches);
        debug_assert!(matched == Some(len), "a sample matches its own template");
        if matched.is_none() {
            // Without slots the template has the bytes of the sample.
            template.slots.clear();
            matched = template.match_sample(event.raw(), &mut self.patches);
        }
        matched.map(|len| TemplateMatch { template: latest, len })
    }

    const fn other(&self) -> usize {
        TEMPLATES - 1 - self.latest
    }
}

impl<I: Index> Template<I> {
    /// Makes the template from the parts of an event; its buffers are those of the event.
    fn learn(&mut self, head: &str, json: &str, tail: &str, id: u64) {
        self.id = id;
        self.text.clear();
        self.text.reserve(head.len() + json.len() + tail.len());
        for part in [head, json, tail] {
            self.text.push_str(part);
        }
        self.json = head.len()..head.len() + json.len();
        debug_assert!(self.json.end <= self.text.len() && self.text.len() <= LARGEST_EVENT);
        self.slots.clear();
        let Self { slots, buffers: Buffers { tape, index }, .. } = self;
        index.each_varying(Document::new(tape, json), |leaf| {
            if slots.len() < MOST_SLOTS {
                slots.extend(new_slot(tape, json, leaf));
            }
        });
        slots.sort_unstable_by_key(|slot| slot.id);
        self.measure_literals();
    }

    /// Matches the sample itself; returns its length.
    fn match_sample(&self, sample: &[u8], patches: &mut Patches) -> Option<usize> {
        patches.strings.clear();
        self.replace_patches(patches);
        self.compare(sample, Cursor::default(), patches).ok()
    }

    /// Sets the patches to those of this template, without values; [`compare`](Self::compare) sets
    /// these.
    #[inline]
    fn prepare(&self, patches: &mut Patches) {
        patches.strings.clear();
        if patches.base != self.id {
            self.replace_patches(patches);
        }
    }

    #[cold]
    fn replace_patches(&self, patches: &mut Patches) {
        patches.base = self.id;
        patches.list.clear();
        patches.list.extend(self.slots.iter().map(Slot::empty_patch));
    }

    /// Compares literals with `input` and fills the slots between them, from a cursor on.
    ///
    /// Returns the length of the event.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 12 % of an event")]
    #[inline(always)]
    fn compare(
        &self,
        input: &[u8],
        from: Cursor,
        patches: &mut Patches,
    ) -> Result<usize, Divergence> {
        let Self { text, json, slots, .. } = self;
        let Patches { list, strings, .. } = patches;
        debug_assert_eq!(list.len(), slots.len(), "a patch for each slot");
        let mut sample = bytes_in(text.as_bytes(), from.text..);
        let mut rest = bytes_in(input, from.input..);
        let diverge = |slot: NodeId, is_in_slot: bool, sample: &[u8], rest: &[u8]| Divergence {
            cursor: Cursor {
                slot: slots.partition_point(|other| other.id < slot),
                text: text.len() - sample.len(),
                input: input.len() - rest.len(),
            },
            is_in_slot,
        };
        let slots_left = items_in(slots, from.slot..).iter();
        for (slot, patch) in slots_left.zip(items_in_mut(list, from.slot..)) {
            // A sample that ends early is a difference too: that costs less than an empty slice.
            debug_assert!(slot.literal as usize <= sample.len(), "a literal is in the sample");
            let parts = sample.split_at_checked(slot.literal as usize);
            let matched =
                parts.and_then(|(literal, behind)| Some((rest.strip_prefix(literal)?, behind)));
            let Some((value, behind)) = matched else {
                return Err(diverge(slot.id, false, sample, rest));
            };
            let start = (input.len() - value.len()).wrapping_sub(json.start);
            let Some(len) = slot.fill(value, start, patch, strings) else {
                return Err(diverge(slot.id, true, sample, value));
            };
            debug_assert!(len <= value.len(), "a value is in the input");
            debug_assert!(
                (slot.end - slot.start) as usize <= behind.len(),
                "a slot is in the sample"
            );
            let (Some(behind_value), Some(behind_slot)) =
                (value.get(len..), behind.get((slot.end - slot.start) as usize..))
            else {
                return Err(diverge(slot.id, true, sample, value));
            };
            (rest, sample) = (behind_value, behind_slot);
        }
        match rest.strip_prefix(sample) {
            Some(rest) if !sample.is_empty() => Ok(input.len() - rest.len()),
            _ => Err(diverge(NodeId::MAX, false, sample, rest)),
        }
    }

    /// Returns the leaf in which the event differs, as a slot.
    ///
    /// Fails if the leaf can't be one.
    fn diverging_leaf(&self, input: &[u8], divergence: &Divergence) -> Result<Slot, Miss> {
        let Cursor { text: position, input: start, .. } = divergence.cursor;
        let rest = bytes_in(input, start..);
        let literal = bytes_in(self.text.as_bytes(), position..);
        let same = if divergence.is_in_slot { 0 } else { shared_len(literal, rest) };
        let is_leaf = !divergence.is_in_slot && same < rest.len();
        let slot = if is_leaf { self.slot_at(position + same) } else { None };
        slot.ok_or_else(|| {
            let line_end = memchr::memchr(b'\n', bytes_in(rest, same..));
            // The check of a slot's value costs more per byte than the comparison of a literal.
            let in_slot = 4 * line_end.unwrap_or(rest.len());
            let bytes = start + if divergence.is_in_slot { in_slot } else { same };
            Miss { is_cut: line_end.is_none(), cost: LearningBudget::cost(bytes) }
        })
    }

    /// Returns the leaf at a position of the text as a slot, if it can become one.
    fn slot_at(&self, position: usize) -> Option<Slot> {
        if self.id == 0 {
            return None;
        }
        let Buffers { tape, index } = &self.buffers;
        let json = text_in(&self.text, self.json.clone());
        let position = position.checked_sub(self.json.start)?;
        let (leaf, node) = tape.last_before(position)?;
        let slot = new_slot(tape, json, leaf)?;
        // A difference behind the last byte of a leaf is a difference in its length.
        let is_inside = (slot.start as usize..=slot.end as usize).contains(&position);
        let behind = bytes_in(json.as_bytes(), node.end as usize..);
        let is_name = behind.trim_ascii_start().first() == Some(&b':');
        let is_new = self.slots.iter().all(|slot| slot.id != leaf);
        let may_be_added = is_new && self.slots.len() < MOST_SLOTS && !index.is_fixed(leaf);
        (is_inside && !is_name && may_be_added).then_some(slot)
    }

    /// Adds a slot; returns its position.
    fn add_slot(&mut self, slot: Slot) -> usize {
        let at = self.slots.partition_point(|other| other.id < slot.id);
        self.slots.insert(at, slot);
        self.measure_literals();
        at
    }

    /// Sets the lengths of the literals.
    #[expect(clippy::cast_possible_truncation, reason = "an event has at most 4 KiB")]
    fn measure_literals(&mut self) {
        let head = self.json.start as u32;
        let mut end = 0;
        for slot in &mut self.slots {
            debug_assert!(end <= head + slot.start && slot.start <= slot.end, "slots are in order");
            slot.literal = head + slot.start - end;
            end = head + slot.end;
        }
    }
}

/// The state of a comparison.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The number of slots before the cursor.
    slot: usize,
    /// Positions: `text <= template.text.len()` and `input <= input.len()`.
    text: usize,
    input: usize,
}

/// The literal or slot in which an event differs.
struct Divergence {
    cursor: Cursor,
    is_in_slot: bool,
}

/// Returns a leaf as a slot, if a slot can have its value.
fn new_slot(tape: &Tape, json: &str, leaf: NodeId) -> Option<Slot> {
    let node = *tape.nodes().get(leaf as usize)?;
    let raw = bytes_in(json.as_bytes(), node.start as usize..node.end as usize);
    let kind = SlotKind::for_leaf(node.kind, raw)?;
    let quote = u32::from(node.kind == Kind::String);
    debug_assert!(node.start + quote <= node.end - quote, "a string has two quotes");
    Some(Slot { id: leaf, kind, start: node.start + quote, end: node.end - quote, literal: 0 })
}

/// Returns the number of equal bytes at the front of two texts. Compares eight at a time.
fn shared_len(one: &[u8], other: &[u8]) -> usize {
    let (words, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let same = words.iter().zip(others).take_while(|(one, other)| one == other).count() * 8;
    let bytes = bytes_in(one, same..).iter().zip(bytes_in(other, same..));
    same + bytes.take_while(|(one, other)| one == other).count()
}
