//! `SseDecoder`: pieces to events by the WHATWG rules, and the buffer of an unfinished event.
//!
//! The decoder is a state machine. `locate` consumes the bytes of one event from a piece and
//! returns their positions, an [`EventSpan`]. `emit` returns the [`Event`] that borrows them.
//!
//! ```text
//!             ╭───╮ single-line event
//!             ▼   │
//!      ╭─► BetweenEvents ─┬── unfinished line ──► InLine ◄── unfinished line ──╮
//!      │                  │                         │                          │
//!      ├─► AtStart ───────┤                         │ finished line            │
//!      │                  │                         ▼                          │
//!   Emitted               ╰── finished lines ──► BetweenLines ─────────────────╯
//!    ▲ │
//!    │ ╰─► Discarding ──╮
//!    ╰──────────────────┴─ from each state: the end of an event, an exceeded limit
//! ```
//!
//! | state | invariant | input | next state |
//! |---|---|---|---|
//! | `BetweenEvents` | `event.len == 0`, and the next byte begins a line | a single-line event | `BetweenEvents` |
//! | | | anything else | as from `AtStart` |
//! | `AtStart` | `event.len == 0` | an event, or the LF of an earlier CR | `Emitted` |
//! | | | anything else | `InLine` or `BetweenLines` |
//! | `InLine` | `line_start < event.len == buffer.len()` | as from `AtStart` | as from `AtStart` |
//! | `BetweenLines` | `0 < line_start == event.len == buffer.len()` | as from `AtStart` | as from `AtStart` |
//! | `Discarding` | `event.len == 0` | any piece, up to the end of the exceeding event | `Emitted` |
//! | `Emitted` | `event` and the buffers describe the event of the caller | the next call | by `begin` |
//!
//! A new state needs a row here, an arm in `has_valid_state` and in `locate_by_state`, and a function
//! that enters it. Only `begin` leaves `Emitted`. The hot path compares the state with
//! `BetweenEvents` once, so another state costs it nothing.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::discard::{Discarding, LimitExceeded};
use super::emit::EventSpan;
use super::event::{Event, EventKind, StreamState};
use super::event_buffer::{EventBuffer, append};
use super::line::{LineSpan, LineSplitter};
use crate::error::ErrorKind;
use crate::limits::Limits;
use crate::slice::bytes_in;

/// Capacity up to which a buffer is kept while the events don't need it.
pub(super) const IDLE_CAPACITY: usize = 64 << 10;
/// Smaller limits are raised to this one, so that a line's field is known before its limit.
const MIN_LIMIT: usize = 16;
/// Number of small events in a row after which large buffers are freed.
const SMALL_EVENTS: u32 = 64;

/// Decodes an event stream (WHATWG HTML, 9.2.5 and 9.2.6) from pieces cut anywhere.
///
/// [`next`](Self::next) consumes bytes from the front of its input and returns one [`Event`] at a
/// time. An event that lies whole in the input is borrowed from it. An event that is cut is
/// copied once, into the decoder.
///
/// ```text
///            next()                    next()               next()
/// input:     data: a\n\n: ping\n\nda   : ping\n\nda         \nda  →  Blank  →  None
///            ╰───┬────╯                ╰──┬──╯
/// event:      Message                  Comment              and the decoder keeps `da`
/// ```
///
/// ```
/// use deltawire::sse::EventKind;
/// use deltawire::SseDecoder;
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
    pub(super) limits: Limits,
    /// An event of `event.len + data_buffer.len() <= limit_free_len` bytes exceeds no limit.
    pub(super) limit_free_len: usize,
    pub(super) splitter: LineSplitter,
    /// Stream offset of the first byte of `event`.
    pub(super) offset: u64,
    pub(super) state: State,
    pub(super) event: EventBuffer,
    /// The bytes of `event` if an earlier piece contains its start, else empty.
    pub(super) buffer: Vec<u8>,
    /// The data of `event` if several lines contain it, else empty.
    pub(super) data_buffer: Vec<u8>,
    pub(super) stream: StreamState,
    /// The event type with U+FFFD, if its bytes aren't UTF-8.
    pub(super) lossy_type: String,
    /// Number of small events in a row while a buffer is large: `small_events < SMALL_EVENTS`.
    small_events: u32,
}

/// State of an [`SseDecoder`]; the module's head has the transitions.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// The next byte begins an event or ends the one before, or a large buffer is idle.
    AtStart,
    /// The next byte begins an event, and no buffer is large.
    BetweenEvents,
    /// The next byte continues a line of `event`.
    InLine,
    /// The next byte begins a line of `event`, or belongs to the end of the line before.
    BetweenLines,
    /// The caller has `event`. The next byte is to be discarded, or begins another event.
    Emitted(Option<Discarding>),
    /// The next byte belongs to an event or a line that exceeded a limit.
    Discarding(Discarding),
}

impl SseDecoder {
    /// Creates a decoder at the start of a stream, with the default [`Limits`]; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// Creates a decoder at the start of a stream.
    #[must_use]
    pub fn with_limits(mut limits: Limits) -> Self {
        for bytes in
            [&mut limits.max_line_bytes, &mut limits.max_event_bytes, &mut limits.max_comment_bytes]
        {
            *bytes = MIN_LIMIT.max(*bytes);
        }
        Self {
            limit_free_len: least_limit(&limits),
            limits,
            splitter: LineSplitter::new(),
            offset: 0,
            state: State::AtStart,
            event: EventBuffer::default(),
            buffer: Vec::new(),
            data_buffer: Vec::new(),
            stream: StreamState::default(),
            lossy_type: String::new(),
            small_events: 0,
        }
    }

    /// Consumes the next event from the front of `input`, and returns it.
    ///
    /// Returns an event as soon as its last byte is read. Returns `None` after consuming all of
    /// `input`, when the next event needs more bytes.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Event<'a>> {
        let piece = *input;
        let Some(span) = self.locate(piece) else {
            *input = &[];
            return None;
        };
        *input = bytes_in(piece, span.len..);
        let raw = bytes_in(piece, ..span.len);
        Some(self.emit(span, raw))
    }

    /// Prepares the decoder for another stream; keeps only the limits and the buffers' capacity.
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

    /// Returns the last event ID, which an `id` line or [`set_last_event_id`] has set.
    ///
    /// [`set_last_event_id`]: Self::set_last_event_id
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.stream.last_event_id
    }

    /// Sets the last event ID with which a reconnected stream begins.
    pub fn set_last_event_id(&mut self, id: &str) {
        self.stream.last_event_id.clear();
        self.stream.last_event_id.push_str(id);
    }

    /// Returns the reconnection time in milliseconds: the value of the latest `retry` line.
    #[must_use]
    pub const fn reconnection_time(&self) -> Option<u64> {
        self.stream.reconnection_time
    }

    /// Returns the number of comments so far, including those in an unfinished event.
    #[must_use]
    pub const fn comments(&self) -> u64 {
        self.stream.comments
    }

    /// Returns the stored bytes of an unfinished event, as they were received.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        if matches!(self.state, State::Emitted(_)) { &[] } else { &self.buffer }
    }

    /// Returns the number of stored bytes: [`buffered`](Self::buffered), and joined `data` lines.
    #[must_use]
    pub fn buffered_len(&self) -> usize {
        let is_emitted = matches!(self.state, State::Emitted(_));
        if is_emitted { 0 } else { self.buffer.len() + self.data_buffer.len() }
    }

    /// Returns the number of bytes of the stream that were consumed.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset + self.event.len as u64
    }

    /// Returns the limits as the decoder enforces them.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Locates the next event at the front of `piece`, for [`emit`](Self::emit).
    ///
    /// Consumes all of `piece` if it returns `None`.
    #[inline]
    pub(crate) fn locate(&mut self, piece: &[u8]) -> Option<EventSpan> {
        let mut line_end = None;
        if self.between_events().is_some() {
            let span;
            (span, line_end) = self.locate_single_line(piece);
            if span.is_some() {
                return span;
            }
        }
        if piece.is_empty() {
            return None;
        }
        self.locate_by_state(piece, line_end).map(EventSpan::in_buffers)
    }

    /// Locates an event that isn't a single line in `piece`, and returns its length in the piece.
    ///
    /// `line_end` is the first line's end in `piece` between two events.
    #[inline]
    fn locate_by_state(&mut self, piece: &[u8], line_end: Option<usize>) -> Option<usize> {
        debug_assert!(self.has_valid_state());
        let line = match self.state {
            State::BetweenEvents => self.splitter.span_to(piece, line_end),
            State::InLine => self.splitter.next(piece)?,
            _ => return self.locate_from_line_start(piece),
        };
        let len = self.event.len + piece.len() + self.data_buffer.len();
        if !line.is_complete() && len <= self.limit_free_len {
            self.event.len += piece.len();
            self.buffer_bytes(piece);
            self.state = State::InLine;
            return None;
        }
        let len = self.finish_single_line(piece, &line);
        len.or_else(|| self.locate_lines(piece, Some(line)))
    }

    /// Locates an event in a state that has no unfinished line.
    fn locate_from_line_start(&mut self, piece: &[u8]) -> Option<usize> {
        match self.state {
            State::Discarding(discarding) => Some(self.discard(piece, discarding)),
            State::AtStart if self.splitter.take_lf(piece) => {
                Some(self.end_lone(EventKind::BlankLine, 1, None))
            }
            _ => self.locate_lines(piece, None),
        }
    }

    /// Locates the next event line by line, and returns its length in the piece.
    ///
    /// `first_line` is the first line of the piece, if its end has been searched.
    fn locate_lines(&mut self, piece: &[u8], mut first_line: Option<LineSpan>) -> Option<usize> {
        let buffered = self.buffer.len();
        let mut len = 0;
        while let Some(line) =
            first_line.take().or_else(|| self.splitter.next(bytes_in(piece, len..)))
        {
            let start = buffered + len;
            if self.event.line_start == self.event.len {
                self.event.line_start = start + line.content_start() - line.held().len();
            }
            self.event.len = start + line.len();
            if self.event.len + self.data_buffer.len() > self.limit_free_len
                && let Some(exceeded) = self.limit_exceeded(piece, buffered, &line)
            {
                return Some(self.cut(piece, buffered, exceeded));
            }
            if buffered > 0 {
                self.buffer_bytes(bytes_in(piece, len..len + line.len()));
            }
            len += line.len();
            if !line.is_complete() {
                break;
            }
            let range = self.event.line_start..start + line.content_end();
            if self.exceeds_event_limit(piece, range.clone()) {
                let error = Some(ErrorKind::EventTooLarge);
                let exceeded = LimitExceeded { position: range.end, error };
                return Some(self.cut(piece, buffered, exceeded));
            }
            if !self.read_line(piece, range) {
                self.event.line_start = self.event.len;
                continue;
            }
            if self.event.kind() == EventKind::Comment
                && matches!(piece.get(len), Some(b'\n' | b'\r'))
                && let Some(blank_line) = self.splitter.next(bytes_in(piece, len..))
            {
                if buffered > 0 {
                    self.buffer_bytes(bytes_in(piece, len..len + blank_line.len()));
                }
                len += blank_line.len();
                self.event.len += blank_line.len();
            }
            self.state = State::Emitted(None);
            return Some(len);
        }
        debug_assert_eq!(len, piece.len());
        if buffered == 0 {
            self.buffer_bytes(piece);
        }
        let is_in_line = self.event.line_start < self.event.len;
        self.state = if is_in_line { State::InLine } else { State::BetweenLines };
        None
    }

    /// Begins the next event, or its discarded rest, if the caller has the one before.
    #[inline(never)]
    pub(super) fn begin(&mut self) {
        let State::Emitted(discarding) = self.state else { return };
        self.offset += self.event.len as u64;
        if self.largest_capacity() > IDLE_CAPACITY {
            self.shrink_if_idle();
        }
        let is_between =
            self.splitter.is_between_lines() && self.largest_capacity() <= IDLE_CAPACITY;
        self.state = match discarding {
            Some(discarding) => State::Discarding(discarding),
            None if is_between => State::BetweenEvents,
            None => State::AtStart,
        };
        self.event = EventBuffer::default();
        self.limit_free_len = least_limit(&self.limits);
        self.buffer.clear();
        self.data_buffer.clear();
    }

    /// Returns true if the fields have the invariant of the state.
    fn has_valid_state(&self) -> bool {
        let EventBuffer { len, line_start, .. } = self.event;
        let buffered = self.buffer.len();
        match self.state {
            State::AtStart | State::BetweenEvents | State::Discarding(_) => {
                len == 0 && line_start == 0 && buffered == 0 && self.data_buffer.is_empty()
            }
            State::InLine => line_start < len && len == buffered,
            State::BetweenLines => 0 < line_start && line_start == len && len == buffered,
            State::Emitted(_) => false,
        }
    }

    /// Frees large buffers after [`SMALL_EVENTS`] small events in a row.
    #[cold]
    fn shrink_if_idle(&mut self) {
        if self.lossy_type.capacity() > IDLE_CAPACITY {
            // A large event type is rare, so its buffer isn't kept for another one.
            self.lossy_type = String::new();
        }
        let largest = self.largest_capacity();
        self.small_events = if self.event.len < largest / 8 { self.small_events + 1 } else { 0 };
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

    /// Returns true if joining the data of a finished `line` exceeds the limit of the event.
    #[inline]
    pub(super) fn exceeds_event_limit(&self, piece: &[u8], line: Range<usize>) -> bool {
        let bytes = self.bytes(piece);
        let end = line.end;
        let joined_len = self.event.joined_len(bytes, line, self.data_buffer.len());
        joined_len > 0 && end + 1 + joined_len > self.limits.max_event_bytes
    }

    /// Returns the bytes of the event, of which `piece` has all unless an earlier piece has some.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, piece: &'a [u8]) -> &'a [u8] {
        if self.buffer.is_empty() { piece } else { &self.buffer }
    }

    /// Reads a finished line of the event; returns true if the line ends it.
    #[inline]
    pub(super) fn read_line(&mut self, piece: &[u8], line: Range<usize>) -> bool {
        let bytes: &[u8] = if self.buffer.is_empty() { piece } else { &self.buffer };
        self.event.read_line(bytes, line, &mut self.data_buffer, &mut self.stream, &self.limits)
    }

    /// Appends bytes to the buffer, whose capacity stays within the limits.
    pub(super) fn buffer_bytes(&mut self, bytes: &[u8]) {
        let limit = self.limits.max_event_bytes.max(self.limits.max_comment_bytes);
        append(&mut self.buffer, bytes, limit.saturating_sub(self.data_buffer.len()));
    }
}

/// Returns the length up to which nothing exceeds a limit.
fn least_limit(limits: &Limits) -> usize {
    limits.max_line_bytes.min(limits.max_event_bytes).min(limits.max_comment_bytes)
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the decoder's position and no payload.
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
