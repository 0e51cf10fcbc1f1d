//! `SseDecoder`: lines to events by the WHATWG rules; the one owner of bytes that wait for more.

mod event;
mod event_buffer;
mod line;
mod overflow;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
mod place;
mod rest;
mod single_line;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
pub(crate) use event::MESSAGE;
use event::StreamState;
#[cfg(feature = "std")]
pub(crate) use event::{DataLine, SseField};
pub use event::{Event, EventKind, is_event_stream};
use event_buffer::{DataBuffer, EventBuffer, LineEffect, append};
pub use line::{LineSpan, LineSplitter};
use overflow::{Discarding, LimitExceeded};
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub(crate) use place::Place;
pub use rest::SseEnd;
use single_line::SingleLineEvent;

/// Buffers above this size are given back when the events no longer need them.
const KEPT_CAPACITY: usize = 64 << 10;
/// Smaller limits count as this: so many bytes tell what a line is.
const LEAST_LIMIT: usize = 16;
/// How many small events in a row make a large buffer too large.
const SMALL_EVENTS: u32 = 64;

/// Decodes an event stream (WHATWG HTML, 9.2.5 and 9.2.6) from pieces cut anywhere.
///
/// [`next`](Self::next) takes bytes from the front of its input and gives one [`Event`] at a
/// time. An event that lies whole in the input is borrowed from it; only one that is cut is
/// copied, once, into the decoder.
///
/// ```text
///            next()                    next()               next()
/// input:     data: a\n\n: ping\n\nda   : ping\n\nda         \nda  →  Blank  →  None
///            ╰───┬────╯                ╰──┬──╯
/// event:      Message                  Comment              and the decoder keeps `da`
/// ```
///
/// ```
/// use deltawire::{EventKind, SseDecoder};
///
/// let mut decoder = SseDecoder::new();
/// let mut texts = Vec::new();
/// for piece in [&b"data: He"[..], b"llo\n", b"\n: ping\n\ndata: [DONE]\n\n"] {
///     let mut input = piece;
///     while let Some(event) = decoder.next(&mut input) {
///         if event.kind() == EventKind::Message {
///             texts.push(event.data_str()?.to_owned());
///         }
///     }
/// }
/// assert_eq!(texts, ["Hello", "[DONE]"]);
/// assert_eq!(decoder.finish().discarded_bytes, 0);
/// # Ok::<(), deltawire::Error>(())
/// ```
///
/// Nothing is allocated once the buffers have grown to the size of the cut events.
#[derive(Clone)]
pub struct SseDecoder {
    limits: Limits,
    /// Up to this many bytes of the block at hand no limit can be exceeded.
    limit_free_len: usize,
    splitter: LineSplitter,
    /// Where the block at hand begins in the stream.
    offset: u64,
    block: EventBuffer,
    /// The block's bytes, where earlier pieces began it.
    buffer: Vec<u8>,
    /// The block's data, where it comes in several lines.
    data_buffer: Vec<u8>,
    /// The block at hand has been given out: the next call begins another one.
    emitted: bool,
    /// Nothing is left over from the bytes before: the next byte begins an event.
    is_between_events: bool,
    discarding: Option<Discarding>,
    stream: StreamState,
    /// The event type, where it wasn't UTF-8.
    lossy_type: String,
    small_events: u32,
}

/// An event that was found, and what it takes of the input.
enum Found<'i> {
    SingleLineEvent(SingleLineEvent<'i>),
    Step(Step, &'i [u8]),
}

/// An event as lengths, before anything is borrowed.
struct Step {
    kind: EventKind,
    /// Bytes of the input that it takes.
    taken: usize,
    /// Its bytes are in the carry, not in the input.
    carried: bool,
    error: Option<Error>,
}

impl SseDecoder {
    /// A decoder at the start of a stream, with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// A decoder at the start of a stream.
    #[must_use]
    pub fn with_limits(mut limits: Limits) -> Self {
        for bytes in [&mut limits.line_bytes, &mut limits.event_bytes, &mut limits.comment_bytes] {
            *bytes = LEAST_LIMIT.max(*bytes);
        }
        Self {
            limit_free_len: limits.line_bytes.min(limits.event_bytes).min(limits.comment_bytes),
            limits,
            splitter: LineSplitter::new(),
            offset: 0,
            block: EventBuffer::default(),
            buffer: Vec::new(),
            data_buffer: Vec::new(),
            emitted: false,
            is_between_events: false,
            discarding: None,
            stream: StreamState::default(),
            lossy_type: String::new(),
            small_events: 0,
        }
    }

    /// Takes the next event from the front of `input`, and `input` forward past it.
    ///
    /// `None` means that all of `input` has been taken and more is needed. An event is given
    /// as soon as its last byte is there.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Event<'a>> {
        Some(match self.find(input)? {
            Found::SingleLineEvent(single_line) => self.emit_single_line(&single_line),
            Found::Step(step, taken) => self.emit(step, taken),
        })
    }

    /// Finds the next event at the front of `input`, and takes `input` forward past it.
    #[expect(clippy::inline_always, reason = "it is the body of `next`")]
    #[inline(always)]
    fn find<'i>(&mut self, input: &mut &'i [u8]) -> Option<Found<'i>> {
        let piece = *input;
        let mut first = None;
        if !self.is_between_events {
            self.begin();
        }
        if self.is_between_events {
            let (single_line, end) = self.single_line(piece);
            if let Some(single_line) = single_line {
                *input = single_line.rest;
                return Some(Found::SingleLineEvent(single_line));
            }
            if piece.is_empty() {
                return None;
            }
            self.is_between_events = false;
            if end.is_none() && piece.len() <= self.limit_free_len {
                self.block.len = piece.len();
                self.buffer_bytes(piece);
                *input = &[];
                return None;
            }
            first = Some(self.splitter.span_to(piece, end));
        } else if self.is_inside_a_line() {
            let span = self.splitter.next(piece)?;
            if self.buffer_partial_line(piece, &span) {
                *input = &[];
                return None;
            }
            if let Some(step) = self.finish_single_line(piece, &span) {
                let (taken, rest) = piece.split_at_checked(step.taken).unwrap_or((piece, &[]));
                *input = rest;
                return Some(Found::Step(step, taken));
            }
            first = Some(span);
        }
        let Some(step) = self.step(piece, first) else {
            *input = &[];
            return None;
        };
        let (taken, rest) = piece.split_at_checked(step.taken).unwrap_or((piece, &[]));
        *input = rest;
        Some(Found::Step(step, taken))
    }

    /// Makes the decoder ready for another stream; keeps the limits and the buffers, nothing
    /// else.
    pub fn reset(&mut self) {
        let mut fresh = Self::with_limits(self.limits);
        fresh.buffer = core::mem::take(&mut self.buffer);
        fresh.data_buffer = core::mem::take(&mut self.data_buffer);
        fresh.stream.last_event_id = core::mem::take(&mut self.stream.last_event_id);
        fresh.lossy_type = core::mem::take(&mut self.lossy_type);
        fresh.buffer.clear();
        fresh.data_buffer.clear();
        fresh.stream.last_event_id.clear();
        fresh.lossy_type.clear();
        *self = fresh;
    }

    /// The last event ID: the value of the latest `id` line in a closed block, or what
    /// [`set_last_event_id`](Self::set_last_event_id) was given.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.stream.last_event_id
    }

    /// Sets the last event ID with which a reconnected stream begins.
    pub fn set_last_event_id(&mut self, id: &str) {
        self.stream.last_event_id.clear();
        self.stream.last_event_id.push_str(id);
    }

    /// The reconnection time in milliseconds: the latest `retry` line so far.
    #[must_use]
    pub const fn reconnection_time(&self) -> Option<u64> {
        self.stream.reconnection_time
    }

    /// How many comments have been read, those inside of an unfinished event included: each
    /// is a sign of life.
    #[must_use]
    pub const fn comments(&self) -> u64 {
        self.stream.comments
    }

    /// The bytes that wait for the rest of their event, as they came.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        if self.emitted { &[] } else { &self.buffer }
    }

    /// How many bytes are held for the rest of their event: [`buffered`](Self::buffered), and
    /// data in several lines joined.
    #[must_use]
    pub fn buffered_len(&self) -> usize {
        if self.emitted { 0 } else { self.buffer.len() + self.data_buffer.len() }
    }

    /// Bytes of the stream that have been taken.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset + self.block.len as u64
    }

    /// The limits, as they are enforced.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Finds the next event; says what it takes without borrowing it. `first` is the first line
    /// of the piece, if it has been looked for.
    fn step(&mut self, piece: &[u8], mut first: Option<LineSpan>) -> Option<Step> {
        if let Some(discarding) = self.discarding {
            return self.skip(piece, discarding);
        }
        if first.is_none() && self.block.len == 0 && self.splitter.take_lf(piece) {
            return Some(self.alone(EventKind::Blank, 1));
        }
        let carried = self.buffer.len();
        let mut taken = 0;
        while let Some(span) =
            first.take().or_else(|| self.splitter.next(piece.get(taken..).unwrap_or_default()))
        {
            let at = carried + taken;
            if self.block.line_start >= self.block.len {
                self.block.line_start = (at + span.content_start()) - span.held().len();
            }
            self.block.len = at + span.len();
            if self.block.len + self.data_buffer.len() > self.limit_free_len
                && let Some(limit_exceeded) = self.limit_exceeded(piece, carried, at, &span)
            {
                return Some(self.cut(piece, carried, limit_exceeded));
            }
            if carried > 0 {
                self.buffer_bytes(piece.get(taken..taken + span.len()).unwrap_or_default());
            }
            taken += span.len();
            if !span.is_complete() {
                break;
            }
            let line = self.block.line_start..at + span.content_end();
            if self.exceeds_event_limit(piece, line.clone()) {
                let error = Some(ErrorKind::EventTooLarge);
                return Some(self.cut(piece, carried, LimitExceeded { at: line.end, error }));
            }
            let after = self.read_line(piece, line);
            if after == LineEffect::Continue {
                self.block.line_start = self.block.len;
                continue;
            }
            let kind = match after {
                LineEffect::Standalone(kind) => kind,
                LineEffect::Continue | LineEffect::Dispatch => self.block.kind(),
            };
            if kind == EventKind::Comment {
                taken += self.take_blank_line(piece.get(taken..).unwrap_or_default(), carried > 0);
            }
            return Some(self.step_of(kind, taken, carried > 0));
        }
        if carried == 0 {
            self.buffer_bytes(piece.get(..taken).unwrap_or_default());
        }
        None
    }

    /// Takes the blank line behind a comment, if it is at hand; gives its length.
    fn take_blank_line(&mut self, rest: &[u8], carried: bool) -> usize {
        let mut splitter = self.splitter.clone();
        let line = splitter.next(rest);
        let Some(blank) = line.filter(|line| line.is_complete() && line.content_end() == 0) else {
            return 0;
        };
        self.splitter = splitter;
        self.block.len += blank.len();
        if carried {
            self.buffer_bytes(rest.get(..blank.len()).unwrap_or_default());
        }
        blank.len()
    }

    /// Begins the next block once the last one has been given out.
    #[inline]
    fn begin(&mut self) {
        if !self.emitted {
            return;
        }
        self.emitted = false;
        self.offset += self.block.len as u64;
        if self.largest_capacity() > KEPT_CAPACITY {
            self.shrink();
        }
        // A look counts no events: while a buffer is large, all of them come by `step`.
        self.is_between_events = self.discarding.is_none()
            && self.splitter.is_between_lines()
            && self.largest_capacity() <= KEPT_CAPACITY;
        self.block = EventBuffer::default();
        self.limit_free_len = self.least_limit();
        self.buffer.clear();
        self.data_buffer.clear();
    }

    /// Up to this many bytes of a block, no limit can be exceeded.
    fn least_limit(&self) -> usize {
        let Limits { line_bytes, event_bytes, comment_bytes, .. } = self.limits;
        line_bytes.min(event_bytes).min(comment_bytes)
    }

    /// Gives large buffers back when the events have been small for a while.
    #[cold]
    fn shrink(&mut self) {
        if self.lossy_type.capacity() > KEPT_CAPACITY {
            // No server means to send another one.
            self.lossy_type = String::new();
        }
        let largest = self.largest_capacity();
        self.small_events = if self.block.len < largest / 8 { self.small_events + 1 } else { 0 };
        if self.small_events >= SMALL_EVENTS {
            self.buffer = Vec::new();
            self.data_buffer = Vec::new();
            self.small_events = 0;
        }
    }

    #[inline]
    fn largest_capacity(&self) -> usize {
        self.buffer.capacity().max(self.data_buffer.capacity()).max(self.lossy_type.capacity())
    }

    /// Whether a whole line is data that, joined with what came before it, goes over the limit.
    #[inline]
    fn exceeds_event_limit(&self, piece: &[u8], line: Range<usize>) -> bool {
        let bytes: &[u8] = if self.buffer.is_empty() { piece } else { &self.buffer };
        let end = line.end;
        let data_buffer = self.block.joined_len(bytes, line, self.data_buffer.len());
        data_buffer > 0 && end + 1 + data_buffer > self.limits.event_bytes
    }

    /// Reads a whole line of the block, which is in the carry, or else in `piece`.
    #[inline]
    fn read_line(&mut self, piece: &[u8], line: Range<usize>) -> LineEffect {
        let bytes: &[u8] = if self.buffer.is_empty() { piece } else { &self.buffer };
        self.block.read_line(bytes, line, &mut self.data_buffer, &mut self.stream, &self.limits)
    }

    /// Adds bytes to the carry, which grows by doubling but not past what the limits need.
    fn buffer_bytes(&mut self, bytes: &[u8]) {
        let most = self.limits.event_bytes.max(self.limits.comment_bytes);
        append(&mut self.buffer, bytes, most.saturating_sub(self.data_buffer.len()));
    }

    /// An event of `taken` bytes of the input that is no block.
    fn alone(&mut self, kind: EventKind, taken: usize) -> Step {
        self.block.len = taken;
        self.step_of(kind, taken, false)
    }

    #[inline]
    fn step_of(&mut self, kind: EventKind, taken: usize, carried: bool) -> Step {
        self.emitted = true;
        Step { kind, taken, carried, error: None }
    }

    /// Turns the lengths of `step` into an event; `taken` are its bytes of the input.
    #[inline]
    fn emit<'a>(&'a mut self, mut step: Step, taken: &'a [u8]) -> Event<'a> {
        let is_block = matches!(step.kind, EventKind::Message | EventKind::Undispatched);
        if is_block && (self.block.id.is_some() || self.block.event_type.is_some()) {
            step.error = self.close(if step.carried { None } else { Some(taken) });
            if step.error.is_some() {
                step.kind = EventKind::TooLarge;
            }
        }
        self.view(&step, taken)
    }

    /// Returns the event of `step`. Stores neither its id nor its type.
    #[inline]
    fn view<'a>(&'a self, step: &Step, taken: &'a [u8]) -> Event<'a> {
        let this = self;
        let closed = matches!(step.kind, EventKind::Message | EventKind::Undispatched);
        let raw = if step.carried { this.buffer.as_slice() } else { taken };
        let (data, data_start) = match &this.block.data {
            DataBuffer::Single(range) if closed => {
                (raw.get(range.clone()).unwrap_or_default(), Some(range.start))
            }
            DataBuffer::Joined if closed => (this.data_buffer.as_slice(), None),
            _ => (&[][..], Some(0)),
        };
        let event_type = match &this.block.event_type {
            Some(range) if closed => this.event_type(raw.get(range.clone()).unwrap_or_default()),
            _ => MESSAGE,
        };
        Event {
            kind: step.kind,
            offset: this.offset,
            raw,
            data,
            data_start,
            event_type,
            stream: &this.stream,
            marks: this.block.marks,
            error: step.error,
        }
    }

    /// Takes over the closed block's id, and its type if that isn't UTF-8, unless one of them is
    /// too long.
    fn close(&mut self, piece: Option<&[u8]>) -> Option<Error> {
        let (is_new_id, type_len) = match self.check(piece) {
            Ok(found) => found,
            Err(error) => return Some(error),
        };
        let Self { block, buffer, data_buffer, stream, lossy_type, .. } = self;
        if let Some(id) = block.id.clone().filter(|_| is_new_id) {
            let id = piece.unwrap_or(buffer).get(id).unwrap_or_default();
            set_lossy(&mut stream.last_event_id, id);
        }
        if type_len > KEPT_CAPACITY {
            // The limit knows what this event needs, not what an earlier one has left.
            buffer.shrink_to_fit();
            data_buffer.shrink_to_fit();
        }
        let bytes = piece.unwrap_or(buffer);
        let event_type = block.event_type.clone().filter(|_| type_len > 0);
        if let Some(event_type) = event_type.and_then(|event_type| bytes.get(event_type)) {
            set_lossy(lossy_type, event_type);
        }
        None
    }

    /// Checks that the id and type of the closed event block are within the limits.
    ///
    /// Returns true if the id is new, and the length of the text that replaces a type that isn't
    /// UTF-8. The length is 0 for any other type.
    fn check(&self, piece: Option<&[u8]>) -> Result<(bool, usize), Error> {
        let Self { block, buffer, data_buffer, stream, .. } = self;
        let bytes = piece.unwrap_or(buffer);
        let id = block.id.clone().map(|id| (id.start, bytes.get(id).unwrap_or_default()));
        let id = id.filter(|(_, id)| *id != stream.last_event_id.as_bytes());
        if let Some((at, id)) = id
            && lossy_len(id) > self.limits.id_bytes
        {
            return Err(Error::new(ErrorKind::IdTooLong, self.offset + at as u64));
        }
        let event_type = block.event_type.clone().and_then(|event_type| bytes.get(event_type));
        let event_type = event_type.filter(|text| core::str::from_utf8(text).is_err());
        let type_len = event_type.map_or(0, lossy_len);
        let len = block.line_start + 1 + data_buffer.len();
        if type_len > 0 && len + type_len > self.limits.event_bytes {
            return Err(Error::new(ErrorKind::EventTooLarge, self.offset));
        }
        Ok((id.is_some(), type_len))
    }

    fn event_type<'a>(&'a self, bytes: &'a [u8]) -> &'a str {
        match core::str::from_utf8(bytes) {
            Ok("") => MESSAGE,
            Ok(event_type) => event_type,
            Err(_) => &self.lossy_type,
        }
    }
}

/// How long `bytes` are where U+FFFD stands for what isn't UTF-8.
fn lossy_len(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|chunk| chunk.valid().len() + replacement(&chunk).len()).sum()
}

/// Makes `text` what the standard reads in `bytes`; allocates only where it has to grow.
fn set_lossy(text: &mut String, bytes: &[u8]) {
    text.clear();
    text.reserve_exact(lossy_len(bytes));
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(replacement(&chunk));
    }
}

fn replacement(chunk: &core::str::Utf8Chunk<'_>) -> &'static str {
    if chunk.invalid().is_empty() { "" } else { "\u{FFFD}" }
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows where the decoder stands, and no payload.
impl core::fmt::Debug for SseDecoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SseDecoder")
            .field("offset", &self.offset())
            .field("buffered_len", &self.buffered_len())
            .field("comments", &self.stream.comments)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
