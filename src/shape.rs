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
use core::sync::atomic::{AtomicU64, Ordering};

use crate::chunk::{ChatCompletionChunk, Reading};
use crate::event::Event;
use crate::json::{Document, Hole, Kind, Learned, NodeId, Tape, Text};

/// Two know 93 to 96 of 100 events of recorded streams; more add a tenth of one.
const SHAPES: usize = 2;
/// Larger events aren't learned: what a stream holds stays small.
pub(crate) const LARGEST_EVENT: usize = 4096;
/// Most holes of a shape, and most that one event can make.
const MOST_HOLES: usize = 12;
const MOST_NEW_HOLES: usize = 6;
/// After so many events in a row that didn't fit, learning rests.
const PATIENCE: u32 = 5;
/// Longest rest, in events. It doubles from [`PATIENCE`] on.
const LONGEST_REST: u32 = 512;

/// The shapes of a stream.
pub(crate) struct Shapes {
    shapes: [Shape; SHAPES],
    /// The one that was learned last, or that an event fitted last.
    latest: usize,
    effort: Effort,
    numbers: Numbers,
    is_on: bool,
}

/// One shape, and what the general path reads an event into when it learns one.
#[derive(Default)]
pub(crate) struct Shape {
    pub(crate) reading: Reading,
    /// The event type, if it isn't `message`.
    pub(crate) event_type: String,
}

/// An event that fits.
#[derive(Clone, Copy)]
pub(crate) struct Fit {
    shape: usize,
    /// Its length.
    pub(crate) len: usize,
}

/// What there is to do when an event is learned.
pub(crate) struct Lesson<'s> {
    is_on: bool,
    latest: &'s mut usize,
    at: usize,
    numbers: &'s mut Numbers,
}

impl Lesson<'_> {
    /// Learns an event whose data are on the tape, if it is one line of data and perhaps its type:
    /// whatever else an event has may change what the stream says besides. Gives the number of its
    /// constants, or 0.
    pub(crate) fn learn(
        self,
        event: &Event<'_>,
        json: &str,
        tape: &mut Tape,
        event_type: &mut String,
    ) -> u64 {
        let Some((head, tail)) = surroundings(event).filter(|_| self.is_on) else { return 0 };
        tape.learn(head, json, tail);
        event_type.clear();
        if event.event_type() != "message" {
            event_type.push_str(event.event_type());
        }
        *self.latest = self.at;
        self.numbers.next()
    }
}

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

/// Why an event doesn't fit.
enum Misfit {
    /// There is more to come of it.
    Cut,
    Other,
}

impl Shapes {
    /// Allocates nothing.
    pub(crate) fn new() -> Self {
        Self {
            shapes: Default::default(),
            latest: 0,
            effort: Effort::default(),
            numbers: Numbers::default(),
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
        for shape in &mut self.shapes {
            shape.reading.tape.forget();
        }
        // From the first one on, as in the stream before: its buffers have the right sizes.
        self.latest = 0;
        self.effort = Effort::default();
    }

    /// The event that is `raw`, if it fits a shape.
    #[inline(never)]
    pub(crate) fn fit_whole(&mut self, raw: &[u8]) -> Option<Fit> {
        self.fit(raw).filter(|fit| fit.len == raw.len())
    }

    /// The event at the front of `input`, if all of it is there and fits a shape.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    pub(crate) fn fit(&mut self, input: &[u8]) -> Option<Fit> {
        // Comments and blank lines come between; a shape begins with `data` or `event`.
        if !matches!(input, [b'd' | b'e', ..]) || self.effort.rests() {
            return None;
        }
        match self.shapes.get_mut(self.latest)?.fit(input) {
            Ok(len) => {
                self.effort.paid();
                Some(Fit { shape: self.latest, len })
            }
            Err(Misfit::Cut) => None,
            Err(Misfit::Other) => self.fit_another(input),
        }
    }

    #[inline(never)]
    fn fit_another(&mut self, input: &[u8]) -> Option<Fit> {
        let other = self.other();
        match self.shapes.get_mut(other)?.fit(input) {
            Ok(len) => {
                self.latest = other;
                self.effort.paid();
                Some(Fit { shape: other, len })
            }
            Err(Misfit::Cut) => None,
            Err(Misfit::Other) => {
                self.effort.was_vain();
                None
            }
        }
    }

    /// What an event says that fits: where in its bytes the data stand, its type, and the chunk.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        fit: Fit,
        raw: &'a [u8],
    ) -> Option<(Range<usize>, &'a str, ChatCompletionChunk<'a>)> {
        let Shape { reading: Reading { tape, table }, event_type } = self.shapes.get(fit.shape)?;
        let Learned { text, json } = tape.learned();
        let data = json.start..raw.len().checked_sub(text.len() - json.end)?;
        let document = Document::new(tape, Text::Like(raw.get(data.clone())?));
        let event_type = if event_type.is_empty() { "message" } else { event_type };
        Some((data, event_type, ChatCompletionChunk::new(document, table)))
    }

    /// Where to read an event of so many bytes that fits none, and what to do if it can be learned;
    /// `None` if it is too large for a shape.
    pub(crate) fn place_for(&mut self, len: usize) -> Option<(&mut Shape, Lesson<'_>)> {
        if len > LARGEST_EVENT {
            return None;
        }
        let is_on = self.is_on && self.effort.rest == 0;
        let at = self.other();
        let Self { shapes, latest, numbers, .. } = self;
        let shape = shapes.get_mut(at)?;
        shape.reading.tape.forget();
        Some((shape, Lesson { is_on, latest, at, numbers }))
    }

    const fn other(&self) -> usize {
        SHAPES - 1 - self.latest
    }
}

impl Shape {
    /// Length of the event at the front of `input`, if it fits.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    fn fit(&mut self, input: &[u8]) -> Result<usize, Misfit> {
        self.reading.tape.empty_gaps();
        match self.compare(input, Place::default()) {
            Ok(len) => Ok(len),
            Err(difference) => self.fit_with_more_holes(input, difference),
        }
    }

    /// Makes holes of the leaves in which the event is the first to differ, if it fits then.
    #[cold]
    #[inline(never)]
    fn fit_with_more_holes(&mut self, input: &[u8], first: Difference) -> Result<usize, Misfit> {
        let mut difference = first;
        let mut fit = Err(Misfit::Other);
        for _ in 0..MOST_NEW_HOLES {
            if let Err(misfit) = self.open(input, &difference) {
                fit = Err(misfit);
                break;
            }
            match self.compare(input, difference.place) {
                Ok(len) => {
                    fit = Ok(len);
                    break;
                }
                Err(next) => difference = next,
            }
        }
        self.reading.tape.settle_gaps(fit.is_ok());
        fit
    }

    /// Compares the literals with `input`, and reads what is in the holes between them, from a place
    /// on; gives the length of the event.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    fn compare(&mut self, input: &[u8], from: Place) -> Result<usize, Difference> {
        let (Learned { text, json }, gaps, mut scratch) = self.reading.tape.gaps_to_fill();
        let mut learned = text.as_bytes().get(from.learned..).unwrap_or_default();
        let mut rest = input.get(from.input..).unwrap_or_default();
        let place = |gap: usize, learned: &[u8], rest: &[u8]| Place {
            gap,
            learned: text.len() - learned.len(),
            input: input.len() - rest.len(),
        };
        let count = gaps.len();
        for (nth, gap) in gaps.iter_mut().enumerate().skip(from.gap) {
            let (literal, behind) =
                learned.split_at_checked(gap.literal as usize).unwrap_or_default();
            let Some(value) = rest.strip_prefix(literal) else {
                return Err(Difference { place: place(nth, learned, rest), is_in_hole: false });
            };
            let at = (input.len() - value.len()).wrapping_sub(json.start);
            let Some(len) = gap.fill(value, at, &mut scratch) else {
                return Err(Difference { place: place(nth, learned, value), is_in_hole: true });
            };
            rest = value.get(len..).unwrap_or_default();
            learned = behind.get((gap.end - gap.start) as usize..).unwrap_or_default();
        }
        match rest.strip_prefix(learned) {
            Some(rest) if !learned.is_empty() => Ok(input.len() - rest.len()),
            _ => Err(Difference { place: place(count, learned, rest), is_in_hole: false }),
        }
    }

    /// Makes the leaf a hole in which the event differs.
    fn open(&mut self, input: &[u8], difference: &Difference) -> Result<(), Misfit> {
        let Reading { tape, table } = &mut self.reading;
        let Place { learned, input: at, .. } = difference.place;
        let rest = input.get(at..).unwrap_or_default();
        let literal = tape.learned().text.as_bytes().get(learned..).unwrap_or_default();
        let same = if difference.is_in_hole { 0 } else { shared_len(literal, rest) };
        let may_be_hole = !difference.is_in_hole && same < rest.len();
        let gap = if may_be_hole { gap_at(learned + same, tape) } else { None };
        // An `object` that is "error" makes the chunk one.
        let Some((id, hole, range)) = gap.filter(|(id, ..)| *id != table.top.object) else {
            let is_cut = memchr::memchr(b'\n', rest.get(same..).unwrap_or_default()).is_none();
            return Err(if is_cut { Misfit::Cut } else { Misfit::Other });
        };
        tape.add_gap(id, hole, range.start, range.end);
        Ok(())
    }
}

/// How far the comparison of an event has gone.
#[derive(Clone, Copy, Default)]
struct Place {
    /// So many gaps lie behind.
    gap: usize,
    /// Bytes of the learned event, and of the input.
    learned: usize,
    input: usize,
}

/// Where an event differs: before or in the gap at hand.
struct Difference {
    /// Of the literal, or of the hole, in which the difference is.
    place: Place,
    is_in_hole: bool,
}

/// The leaf at a position of the learned event as a hole, if it can be one and is none yet: which
/// it is, what may stand there, and where it stands in the data.
fn gap_at(position: usize, tape: &Tape) -> Option<(NodeId, Hole, Range<usize>)> {
    let learned = tape.learned();
    let json = learned.json().as_bytes();
    let position = position.checked_sub(learned.json.start)?;
    let (id, node) = tape.last_before(position)?;
    let range = node.start as usize..node.end as usize;
    let inside = match node.kind {
        Kind::String => range.start + 1..range.end - 1,
        _ => range.clone(),
    };
    // A difference at the end of a leaf is one of its length.
    let is_inside = (inside.start..=inside.end).contains(&position);
    let is_name = json.get(range.end..)?.trim_ascii_start().first() == Some(&b':');
    let may_have_more = tape.gaps().len() < MOST_HOLES;
    let is_hole = tape.gaps().iter().any(|gap| gap.id == id);
    if !is_inside || is_name || is_hole || !may_have_more {
        return None;
    }
    Some((id, Hole::of(node.kind, json.get(range)?)?, inside))
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

/// When to try, so that a stream in which nothing repeats costs little more than without shapes.
#[derive(Clone, Copy, Default)]
struct Effort {
    /// Events that didn't fit, in a row.
    vain: u32,
    /// So many events are not to be tried.
    rest: u32,
    /// How long the last rest was.
    last_rest: u32,
}

impl Effort {
    #[inline]
    const fn rests(&mut self) -> bool {
        let rests = self.rest > 0;
        self.rest -= rests as u32;
        rests
    }

    #[inline]
    const fn paid(&mut self) {
        if self.vain > 0 {
            *self = Self { vain: 0, rest: 0, last_rest: 0 };
        }
    }

    fn was_vain(&mut self) {
        self.vain += 1;
        if self.vain < PATIENCE {
            return;
        }
        self.rest = (self.last_rest * 2).clamp(PATIENCE, LONGEST_REST);
        self.last_rest = self.rest;
        // After a rest one event is learned, and the next one tried.
        self.vain = PATIENCE - 2;
    }
}

/// Numbers that no other decoder of the process gives out, so that a reassembler can tell by them
/// that a chunk has the constants of the one before.
#[derive(Clone, Copy, Default)]
pub(crate) struct Numbers {
    last: u64,
}

impl Numbers {
    /// Numbers are taken from the process in blocks.
    const BLOCK: u64 = 256;

    fn next(&mut self) -> u64 {
        self.last += 1;
        if self.last % Self::BLOCK == 1 {
            self.last = next_block() + 1;
        }
        self.last
    }
}

fn next_block() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(Numbers::BLOCK, Ordering::Relaxed)
}
