//! Shapes: what the events of a stream have in common, learned once, so that only what differs has
//! to be read.
//!
//! A shape is an event that was read by the general path, framing included. All of it is one
//! literal at first; a leaf in which another event differs becomes a hole:
//!
//! ```text
//! learned   data: {"id":"c1","choices":[{"index":0,"delta":{"content":"He"}}]}\n\n
//! another   data: {"id":"c1","choices":[{"index":0,"delta":{"content":"llo"}}]}\n\n
//!           ╰──────────────────────── literal ─────────────────────╯╰┬╯╰─ literal ─╯
//!                                                                  hole
//! ```
//!
//! An event fits if its literals are the same bytes and its holes have values that the general
//! path would take without a word. The last literal is the end of the event, so that no line end is
//! looked for either. What the general path made of the learned event, its nodes and its table, is
//! then right for this one too, but for where things stand: the tape has that.
//!
//! A shape can make an event cheaper, never different: whatever doesn't fit goes the general path.

use core::ops::Range;
#[cfg(target_has_atomic = "64")]
use core::sync::atomic::{AtomicU64, Ordering};

use crate::chunk::{ChatCompletionChunk, ChunkBuffers, LARGEST_EVENT};
use crate::json::{self, Document, Kind, NodeId, SlotKind, Tape, TemplateText, Text};
use crate::sse::Event;

/// Two know 93 to 96 of 100 events of recorded streams; more add a tenth of one.
const TEMPLATES: usize = 2;
/// Events of more values, or of more choices and tool calls, aren't learned: what a stream holds
/// stays small.
const MOST_NODES: usize = 128;
const MOST_ROWS: usize = 8;
/// Buffers that hold more were those of another event: a shape doesn't take them over.
const MOST_HELD: usize = 8 << 10;
/// Most holes of a shape, and most that one event can make.
const MOST_SLOTS: usize = 12;
const MOST_NEW_SLOTS: u32 = 6;

/// What a hole costs that was made in vain, as [`LearningBudget`] counts.
const SLOT_COST: u32 = 500;

/// The shapes of a stream.
#[repr(C)] // What an event needs that fits stands together, from here into the tape of the first shape.
pub(crate) struct Templates {
    is_on: bool,
    learning: LearningBudget,
    /// The one that was learned last, or that an event fitted last.
    latest: usize,
    templates: [Template; TEMPLATES],
    numbers: TemplateIds,
}

/// One shape: an event as the general path has read it.
#[derive(Default)]
#[repr(C)]
struct Template {
    /// Where the event type stands in the learned text, if there is one.
    event_type: Range<u32>,
    reading: ChunkBuffers,
}

/// An event that fits.
#[derive(Clone, Copy)]
pub(crate) struct TemplateMatch {
    template: usize,
    /// Its length.
    pub(crate) len: usize,
}

/// Where the data of an event that fits are, its type, and its chunk.
pub(crate) type MatchedEvent<'a> = (Range<usize>, &'a str, ChatCompletionChunk<'a>);

/// What stands before and behind the data of an event, if that is no more than its type.
fn surroundings<'a>(event: &Event<'a>) -> Option<(&'a str, &'a str)> {
    let (head, rest) = event.raw().split_at_checked(event.data_start?)?;
    let head = core::str::from_utf8(head).ok()?;
    let type_line = head.strip_suffix(' ').unwrap_or(head).strip_suffix("data:")?;
    let tail = match rest.get(event.data().len()..)? {
        b"\n\n" => "\n\n",
        b"\r\n\r\n" => "\r\n\r\n",
        _ => return None,
    };
    is_type_line(type_line).then_some((head, tail))
}

/// An event that doesn't fit.
struct Miss {
    /// There is more to come of it.
    is_cut: bool,
    /// What it has cost to see that.
    cost: u32,
}

impl Templates {
    /// Allocates nothing.
    pub(crate) fn new() -> Self {
        Self {
            templates: Default::default(),
            latest: 0,
            learning: LearningBudget::default(),
            numbers: TemplateIds::default(),
            is_on: true,
        }
    }

    pub(crate) const fn set_on(&mut self, on: bool) {
        self.is_on = on;
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Forgets what was learned; keeps the buffers.
    pub(crate) fn reset(&mut self) {
        for template in &mut self.templates {
            template.reading.tape.forget();
        }
        // From the first one on, as in the stream before: its buffers have the right sizes.
        self.latest = 0;
        self.learning = LearningBudget::default();
    }

    /// The event that is `raw`, if it fits a shape.
    #[inline(never)]
    pub(crate) fn match_exact(&mut self, raw: &[u8]) -> Option<TemplateMatch> {
        // No more of an event is looked at.
        if raw.len() > LARGEST_EVENT {
            None
        } else {
            self.match_prefix(raw).filter(|matched| matched.len == raw.len())
        }
    }

    /// The event at the front of `input`, if all of it is there and fits a shape.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    pub(crate) fn match_prefix(&mut self, input: &[u8]) -> Option<TemplateMatch> {
        // Comments and blank lines come between; a shape begins with `data` or `event`.
        if !matches!(input, [b'd' | b'e', ..]) || self.learning.is_paused() {
            return None;
        }
        let input = input.get(..LARGEST_EVENT).unwrap_or(input);
        match self.templates.get_mut(self.latest)?.match_prefix(input) {
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
        match self.templates.get_mut(other)?.match_prefix(input) {
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

    /// What an event says that fits: where in its bytes the data stand, its type, and the chunk.
    #[inline]
    pub(crate) fn read<'a>(&'a self, matched: TemplateMatch, raw: &'a [u8]) -> MatchedEvent<'a> {
        let [first, second] = &self.templates;
        let Template { event_type, reading } = if matched.template == 0 { first } else { second };
        let ChunkBuffers { tape, table } = reading;
        let TemplateText { text, json, .. } = tape.learned();
        let data = json.start..raw.len().saturating_sub(text.len() - json.end);
        let json = raw.get(data.clone()).unwrap_or_default();
        let event_type = if event_type.is_empty() {
            "message"
        } else {
            // The same bytes as in the learned event.
            let range = event_type.start as usize..event_type.end as usize;
            raw.get(range).and_then(json::text).unwrap_or_default()
        };
        (data, event_type, ChatCompletionChunk::new(Document::new(tape, Text::Like(json)), table))
    }

    /// The general path has read an event that fits no shape.
    pub(crate) fn record_miss(&mut self, len: usize) {
        self.learning.credit_miss(len);
    }

    /// Learns an event that the general path has read, in place of the shape that wasn't the latest;
    /// gives its reading, which is then in use here, and `reading` is another one. Only if it is one
    /// line of data and perhaps its type: whatever else an event has may change what the stream says
    /// besides.
    pub(crate) fn learn<'s>(
        &'s mut self,
        event: &Event<'_>,
        json: &str,
        reading: &'s mut ChunkBuffers,
    ) -> &'s mut ChunkBuffers {
        let is_small = event.raw().len() <= LARGEST_EVENT
            && reading.tape.nodes().len() <= MOST_NODES
            && reading.table.rows() <= MOST_ROWS;
        let is_worthwhile = self.is_on && is_small && !self.learning.is_paused();
        let at = self.other();
        let (Some((head, tail)), true) = (surroundings(event), is_worthwhile) else {
            return reading;
        };
        let Some(template) = self.templates.get_mut(at) else { return reading };
        self.latest = at;
        self.learning.debit_bytes(event.raw().len());
        if reading.held() > MOST_HELD {
            template.reading.copy_from(reading);
        } else {
            core::mem::swap(&mut template.reading, reading);
        }
        let learned = &mut template.reading;
        learned.tape.learn((head, json, tail), self.numbers.next());
        template.event_type = event_type_in(head, event.event_type());
        learned
    }

    const fn other(&self) -> usize {
        TEMPLATES - 1 - self.latest
    }
}

impl Template {
    /// Length of the event at the front of `input`, if it fits.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    fn match_prefix(&mut self, input: &[u8]) -> Result<usize, Miss> {
        self.reading.tape.truncate_scratch();
        match self.compare(input, Cursor::default()) {
            Ok(len) => Ok(len),
            Err(divergence) => self.match_adding_slots(input, divergence),
        }
    }

    /// Makes holes of the leaves in which the event is the first to differ, if it fits then.
    #[cold]
    #[inline(never)]
    fn match_adding_slots(&mut self, input: &[u8], first: Divergence) -> Result<usize, Miss> {
        let mut divergence = first;
        let mut new_slots: u32 = 0;
        let matched = loop {
            if let Err(miss) = self.add_slot_at(input, &divergence) {
                break Err(Miss { cost: miss.cost.saturating_add(SLOT_COST * new_slots), ..miss });
            }
            new_slots += 1;
            if new_slots > MOST_NEW_SLOTS {
                let cost = LearningBudget::cost(divergence.place.input) + SLOT_COST * new_slots;
                break Err(Miss { is_cut: false, cost });
            }
            match self.compare(input, divergence.place) {
                Ok(len) => break Ok(len),
                Err(next) => divergence = next,
            }
        };
        self.reading.tape.settle_slots(matched.is_ok());
        matched
    }

    /// Compares the literals with `input`, and reads what is in the holes between them, from a place
    /// on; gives the length of the event.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    fn compare(&mut self, input: &[u8], from: Cursor) -> Result<usize, Divergence> {
        let (TemplateText { text, json, .. }, slots, mut scratch) = self.reading.tape.slots_mut();
        let mut learned = text.as_bytes().get(from.learned..).unwrap_or_default();
        let mut rest = input.get(from.input..).unwrap_or_default();
        let place = |slot: usize, learned: &[u8], rest: &[u8]| Cursor {
            slot,
            learned: text.len() - learned.len(),
            input: input.len() - rest.len(),
        };
        let count = slots.len();
        for (nth, slot) in slots.iter_mut().enumerate().skip(from.slot) {
            let (literal, behind) =
                learned.split_at_checked(slot.literal as usize).unwrap_or_default();
            let Some(value) = rest.strip_prefix(literal) else {
                return Err(Divergence { place: place(nth, learned, rest), is_in_slot: false });
            };
            let at = (input.len() - value.len()).wrapping_sub(json.start);
            let Some(len) = slot.fill(value, at, &mut scratch) else {
                return Err(Divergence { place: place(nth, learned, value), is_in_slot: true });
            };
            rest = value.get(len..).unwrap_or_default();
            learned = behind.get((slot.end - slot.start) as usize..).unwrap_or_default();
        }
        match rest.strip_prefix(learned) {
            Some(rest) if !learned.is_empty() => Ok(input.len() - rest.len()),
            _ => Err(Divergence { place: place(count, learned, rest), is_in_slot: false }),
        }
    }

    /// Makes the leaf a hole in which the event differs.
    fn add_slot_at(&mut self, input: &[u8], divergence: &Divergence) -> Result<(), Miss> {
        let ChunkBuffers { tape, table } = &mut self.reading;
        let Cursor { learned, input: at, .. } = divergence.place;
        let rest = input.get(at..).unwrap_or_default();
        let literal = tape.learned().text.as_bytes().get(learned..).unwrap_or_default();
        let same = if divergence.is_in_slot { 0 } else { shared_len(literal, rest) };
        let may_be_slot = !divergence.is_in_slot && same < rest.len();
        let slot = if may_be_slot { slot_at(learned + same, tape) } else { None };
        let Some((id, slot_kind, range)) = slot.filter(|(id, ..)| !table.decides(*id)) else {
            let line_end = memchr::memchr(b'\n', rest.get(same..).unwrap_or_default());
            // A text that doesn't fit has been looked at more closely than a literal.
            let in_slot = 4 * line_end.unwrap_or(rest.len());
            let bytes = at + if divergence.is_in_slot { in_slot } else { same };
            return Err(Miss { is_cut: line_end.is_none(), cost: LearningBudget::cost(bytes) });
        };
        tape.add_slot(id, slot_kind, range.start, range.end);
        Ok(())
    }
}

/// How far the comparison of an event has gone.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// So many gaps lie behind.
    slot: usize,
    /// Bytes of the learned event, and of the input.
    learned: usize,
    input: usize,
}

/// Where an event differs: before or in the gap at hand.
struct Divergence {
    /// Of the literal, or of the hole, in which the divergence is.
    place: Cursor,
    is_in_slot: bool,
}

/// The leaf at a position of the learned event as a hole, if it can be one and is none yet: which
/// it is, what may stand there, and where it stands in the data.
fn slot_at(position: usize, tape: &Tape) -> Option<(NodeId, SlotKind, Range<usize>)> {
    let learned = tape.learned();
    let json = learned.json().as_bytes();
    let position = position.checked_sub(learned.json.start)?;
    let (id, node) = tape.last_before(position)?;
    let range = node.start as usize..node.end as usize;
    let inside = match node.kind {
        Kind::String => range.start + 1..range.end - 1,
        _ => range.clone(),
    };
    // A divergence at the end of a leaf is one of its length.
    let is_inside = (inside.start..=inside.end).contains(&position);
    let is_name = json.get(range.end..)?.trim_ascii_start().first() == Some(&b':');
    let may_have_more = tape.slots().len() < MOST_SLOTS;
    let is_slot = tape.slots().iter().any(|slot| slot.id == id);
    if !is_inside || is_name || is_slot || !may_have_more {
        return None;
    }
    Some((id, SlotKind::for_leaf(node.kind, json.get(range)?)?, inside))
}

/// How many bytes two texts begin with alike. Eight at a time: mostly they are many.
fn shared_len(one: &[u8], other: &[u8]) -> usize {
    let (words, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let same = words.iter().zip(others).take_while(|(one, other)| one == other).count() * 8;
    let (one, other) = (one.get(same..), other.get(same..));
    let bytes = one.unwrap_or_default().iter().zip(other.unwrap_or_default());
    same + bytes.take_while(|(one, other)| one == other).count()
}

/// Whether this is nothing, or one line that is an event type.
fn is_type_line(head: &str) -> bool {
    let line = head.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    head.is_empty()
        || line.is_some_and(|line| line.starts_with("event:") && !line.contains(['\r', '\n']))
}

/// Where the event type stands in what is before the data; nowhere if that doesn't say it.
#[expect(clippy::cast_possible_truncation, reason = "an event that is learned has up to 4 KiB")]
fn event_type_in(head: &str, event_type: &str) -> Range<u32> {
    let value = head.strip_prefix("event:").unwrap_or_default();
    let value = value.strip_prefix(' ').unwrap_or(value);
    let start = head.len() - value.len();
    // Where the line is empty, or there is none, the type is `message`.
    let len = if value.starts_with(event_type) { event_type.len() } else { 0 };
    start as u32..(start + len) as u32
}

/// Whether to try, so that a stream in which nothing repeats costs little more than without shapes:
/// an account, roughly in instructions. What fits saves more than it earns here, and what is read by
/// the general path allows for a part of what that takes.
#[derive(Clone, Copy)]
struct LearningBudget {
    balance: i32,
    is_resting: bool,
}

impl LearningBudget {
    /// Enough for the first events of an ordinary stream, each of another kind.
    const START: i32 = 10_000;
    const MOST: i32 = 20_000;
    const MOST_EARNED: i32 = 512;
    /// After a rest, enough to learn one event and try the next.
    const ENOUGH: i32 = 4_000;

    /// What it has cost to compare so many bytes in vain.
    fn cost(bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(300)
    }

    /// Whether not to try the event at hand.
    #[inline]
    const fn is_paused(self) -> bool {
        self.is_resting
    }

    /// An event of so many bytes fits.
    #[inline]
    fn credit_hit(&mut self, len: usize) {
        if self.balance < Self::MOST {
            self.add(i32::try_from(len).unwrap_or(i32::MAX).saturating_mul(4));
        }
    }

    /// An event of so many bytes was read by the general path, which takes more than 15 for each, but
    /// for those in long texts.
    fn credit_miss(&mut self, len: usize) {
        self.add(i32::try_from(len).unwrap_or(i32::MAX).min(Self::MOST_EARNED));
        self.is_resting &= self.balance < Self::ENOUGH;
    }

    fn debit_bytes(&mut self, len: usize) {
        self.debit(Self::cost(len));
    }

    fn debit(&mut self, cost: u32) {
        self.balance = self.balance.saturating_sub(i32::try_from(cost).unwrap_or(i32::MAX));
        self.is_resting |= self.balance < 0;
    }

    fn add(&mut self, sum: i32) {
        self.balance = self.balance.saturating_add(sum).min(Self::MOST);
    }
}

impl Default for LearningBudget {
    fn default() -> Self {
        Self { balance: Self::START, is_resting: false }
    }
}

/// Numbers that no other decoder of the process gives out, so that a reassembler can tell by them
/// that a chunk has the constants of the one before.
#[derive(Clone, Copy, Default)]
pub(crate) struct TemplateIds {
    last: u64,
}

impl TemplateIds {
    /// Numbers are taken from the process in blocks.
    const BLOCK: u64 = 256;

    /// The next number. Where the platform can't count so far it is 0: every chunk is pushed as a
    /// whole then.
    #[cfg(not(target_has_atomic = "64"))]
    const fn next(&mut self) -> u64 {
        self.last
    }

    /// The next number.
    #[cfg(target_has_atomic = "64")]
    fn next(&mut self) -> u64 {
        if self.last.is_multiple_of(Self::BLOCK) {
            self.last = Self::next_block();
        }
        self.last += 1;
        self.last
    }

    #[cfg(target_has_atomic = "64")]
    fn next_block() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(Self::BLOCK, Ordering::Relaxed)
    }
}
