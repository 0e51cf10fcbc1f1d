//! `SseDecoder`: pieces to events by the WHATWG rules, and the buffer of an unfinished event.
//!
//! The decoder is a state machine. `locate` consumes the bytes of one event from a piece and
//! returns their positions, an [`EventSpan`]. `emit` returns the [`Event`] that borrows them.
//!
//! A gateway has thousands of streams, so a decoder is small, and an event finds it in no cache.
//! A whole single-line event touches only [`Hot`]. Any other event needs [`Cold`], which is
//! allocated when first needed.
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
//! | `AtStart` | `event.len == 0` | the first byte of a line, and no buffer is large | by `begin`, `BetweenEvents` |
//! | | | an event, or the LF of an earlier CR | `Emitted` |
//! | | | anything else | `InLine` or `BetweenLines` |
//! | `InLine` | `line_start < event.len == buffer.len()` | as from `AtStart` | as from `AtStart` |
//! | `BetweenLines` | `0 < line_start == event.len == buffer.len()` | as from `AtStart` | as from `AtStart` |
//! | `Discarding` | `event.len == 0` | any piece, up to the end of the exceeding event | `Emitted` |
//! | `Emitted` | `event` and the buffers describe the event of the caller | the next call | by `begin` |
//!
//! Without a cold state, `event` and the buffers are empty. `Emitted`, `InLine` and `BetweenLines`
//! have one.
//!
//! A new state needs a row here, an arm in `has_valid_state` and in `General::locate`, and a function
//! that enters it. Only `begin` leaves `Emitted`. The hot path compares the state with
//! `BetweenEvents` once, so another state costs it nothing.

use alloc::boxed::Box;

use super::cold::Cold;
use super::discard::Discarding;
use super::emit::EventSpan;
use super::event::Event;
use super::general::General;
use super::line::LineSplitter;
use crate::limits::{Limits, MOST_JSON_DEPTH};
use crate::patience::Patience;
use crate::slice::bytes_in;

/// Smaller limits are raised to this one, so that a line's field is known before its limit.
const MIN_LIMIT: usize = 16;

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
    pub(super) head: Head,
}

/// The limits of most decoders.
static DEFAULT_LIMITS: Limits = Limits::new();

/// The state of a decoder.
#[derive(Clone)]
#[repr(C)] // A single-line event reads the first two fields, so they are adjacent.
pub(super) struct Head {
    pub(super) hot: Hot,
    /// `None` until an event isn't a whole single line, and again after enough that are.
    pub(super) cold: Option<Box<Cold>>,
    /// Number of comments in finished events.
    pub(super) comments: u64,
    /// `None` for the default limits, which a process has once.
    limits: Option<Box<Limits>>,
}

/// The state that a single-line event reads and writes.
#[derive(Clone)]
pub(super) struct Hot {
    /// Stream offset of the first byte of the event that is unfinished, emitted or next.
    pub(super) offset: u64,
    /// An event of `event.len + data_buffer.len() <= limit_free_len` bytes exceeds no limit.
    pub(super) limit_free_len: usize,
    /// Counts single-line events while the cold state contains more than the state of the stream.
    pub(super) patience: Patience,
    pub(super) state: State,
    pub(super) splitter: LineSplitter,
}

impl Hot {
    /// Returns the state at the start of a stream.
    const fn new(limit_free_len: usize, patience: Patience) -> Self {
        Self {
            offset: 0,
            limit_free_len,
            patience,
            state: State::AtStart,
            splitter: LineSplitter::new(),
        }
    }
}

/// State of an [`SseDecoder`]; the module's head has the transitions.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// The next byte begins the stream or an event, or ends the one before.
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

    /// Creates a decoder at the start of a stream. Allocates limits that aren't the default ones.
    #[must_use]
    pub fn with_limits(mut limits: Limits) -> Self {
        for bytes in
            [&mut limits.max_line_bytes, &mut limits.max_event_bytes, &mut limits.max_comment_bytes]
        {
            *bytes = MIN_LIMIT.max(*bytes);
        }
        limits.max_json_depth = limits.max_json_depth.min(MOST_JSON_DEPTH);
        let hot = Hot::new(least_limit(&limits), Patience::new());
        let limits = (limits != DEFAULT_LIMITS).then(|| Box::new(limits));
        Self { head: Head { hot, cold: None, comments: 0, limits } }
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
        let limit_free_len = least_limit(self.limits());
        let Head { hot, cold, comments, .. } = &mut self.head;
        *hot = Hot::new(limit_free_len, hot.patience);
        *comments = 0;
        match cold {
            Some(cold) => {
                cold.reset();
                hot.patience.renew();
            }
            None => hot.patience.end(),
        }
    }

    /// Returns the last event ID, which an `id` line or [`set_last_event_id`] has set.
    ///
    /// [`set_last_event_id`]: Self::set_last_event_id
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.head.cold.as_ref().map_or("", |cold| &cold.stream.last_event_id)
    }

    /// Sets the last event ID with which a reconnected stream begins.
    pub fn set_last_event_id(&mut self, id: &str) {
        if id.is_empty() && self.head.cold.is_none() {
            return;
        }
        let General { cold, .. } = self.general();
        cold.stream.last_event_id.clear();
        cold.stream.last_event_id.push_str(id);
    }

    /// Returns the reconnection time in milliseconds: the value of the latest `retry` line.
    #[must_use]
    pub const fn reconnection_time(&self) -> Option<u64> {
        match &self.head.cold {
            Some(cold) => cold.stream.reconnection_time,
            None => None,
        }
    }

    /// Returns the number of comments so far, including those in an unfinished event.
    #[must_use]
    pub const fn comments(&self) -> u64 {
        let unfinished = match &self.head.cold {
            Some(cold) => cold.event.comments,
            None => 0,
        };
        self.head.comments + unfinished
    }

    /// Returns the stored bytes of an unfinished event, as they were received.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        self.unfinished().map_or(&[], |cold| &cold.buffer)
    }

    /// Returns the number of stored bytes: [`buffered`](Self::buffered), and joined `data` lines.
    #[must_use]
    pub fn buffered_len(&self) -> usize {
        self.unfinished().map_or(0, |cold| cold.buffer.len() + cold.data_buffer.len())
    }

    /// Returns the cold state, unless it describes the event that the caller has.
    fn unfinished(&self) -> Option<&Cold> {
        self.head.cold.as_deref().filter(|_| !matches!(self.head.hot.state, State::Emitted(_)))
    }

    /// Returns the number of bytes of the stream that were consumed.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        let read = match &self.head.cold {
            Some(cold) => cold.event.len as u64,
            None => 0,
        };
        self.head.hot.offset + read
    }

    /// Returns the limits as the decoder enforces them.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        match &self.head.limits {
            Some(limits) => limits,
            None => &DEFAULT_LIMITS,
        }
    }

    /// Locates the next event at the front of `piece`, for [`emit`](Self::emit).
    ///
    /// Consumes all of `piece` if it returns `None`.
    #[inline]
    pub(crate) fn locate(&mut self, piece: &[u8]) -> Option<EventSpan> {
        let mut line_end = None;
        if self.between_events(piece).is_some() {
            let span;
            (span, line_end) = self.locate_single_line(piece);
            if span.is_some() {
                return span;
            }
        }
        if piece.is_empty() {
            return None;
        }
        self.locate_general(piece, line_end).map(EventSpan::in_buffers)
    }

    /// Locates an event that isn't a whole single line, and returns its length in the piece.
    #[inline(never)]
    fn locate_general(&mut self, piece: &[u8], line_end: Option<usize>) -> Option<usize> {
        self.general().locate(piece, line_end)
    }

    /// Begins the next event, or its discarded rest, if the caller has the one before.
    ///
    /// `piece` are the next bytes of the stream.
    #[inline(never)]
    pub(super) fn begin(&mut self, piece: &[u8]) {
        let Head { hot, cold, comments, limits } = &mut self.head;
        if let State::Emitted(discarding) = hot.state {
            debug_assert!(cold.is_some(), "the cold state describes an emitted event");
            if let Some(cold) = cold {
                hot.offset += cold.event.len as u64;
                *comments += cold.event.comments;
                cold.clear_event();
            }
            hot.limit_free_len = least_limit(limits.as_deref().unwrap_or(&DEFAULT_LIMITS));
            hot.patience.renew();
            hot.state = discarding.map_or(State::AtStart, State::Discarding);
        }
        if matches!(hot.state, State::AtStart)
            && cold.as_ref().is_none_or(|cold| cold.is_small())
            && hot.splitter.begin_line(piece)
        {
            hot.state = State::BetweenEvents;
        }
    }

    /// Counts a single-line event, and frees the cold state after enough of them in a row.
    #[cold]
    #[inline(never)]
    pub(super) fn count_idle(&mut self) {
        let Head { hot, cold, .. } = &mut self.head;
        if hot.patience.count() && cold.as_mut().is_some_and(|cold| !cold.release()) {
            *cold = None;
        }
    }

    /// Returns the decoder for the general path, with its cold state.
    #[inline]
    pub(super) fn general(&mut self) -> General<'_> {
        let Head { hot, cold, limits, .. } = &mut self.head;
        General {
            hot,
            cold: cold.get_or_insert_default(),
            limits: limits.as_deref().unwrap_or(&DEFAULT_LIMITS),
        }
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
            .field("comments", &self.comments())
            .field("limits", self.limits())
            .finish_non_exhaustive()
    }
}
