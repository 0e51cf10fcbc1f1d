//! `Event<'_>`: one piece of an event stream as it was framed, with its bytes.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::ops::Range;
use core::str;

use super::line::LineSplitter;
use crate::error::{Error, ErrorKind};

/// The event type of an event without an `event` field.
pub(crate) const MESSAGE: &str = "message";

/// What an [`Event`] is.
///
/// Only [`Message`](Self::Message) is what the standard dispatches. The other kinds make
/// visible what it drops, so that every byte of the stream belongs to exactly one `Event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A dispatched event: a block of lines with `data`, closed by a blank line.
    Message,
    /// A block that the standard doesn't dispatch since it has no `data`: only `event`, `id`
    /// or `retry`, perhaps with comments.
    Undispatched,
    /// A comment between events. Servers send them as keep-alives, with a blank line behind it
    /// that belongs to this event where the piece that ends the comment has it too.
    Comment,
    /// A line between events that is no field, such as `error: {"message": …}`.
    Unknown,
    /// A blank line that closes nothing, or the LF of a CRLF whose CR, the last byte of its
    /// piece, has already ended an event.
    Blank,
    /// An event that goes over a limit; [`Event::error`] says which. Its first bytes are in
    /// [`Event::raw`], the rest follows as [`Skipped`](Self::Skipped). Where only its `id` or its
    /// type is too long, all of it is in `raw` and nothing follows.
    TooLarge,
    /// Bytes up to the end of something that went over a limit: of a [`TooLarge`](Self::TooLarge)
    /// event, a comment or an unknown line. They come as the input is cut.
    Skipped,
}

/// One event, comment or ignored line, borrowed from the input or from the decoder.
///
/// The [`raw`](Self::raw) bytes of all events of a stream, in order, are the stream.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub(crate) kind: EventKind,
    pub(crate) offset: u64,
    pub(crate) raw: &'a [u8],
    pub(crate) data: &'a [u8],
    /// Where `data` begins in `raw`; `None` where it was joined from several lines.
    pub(crate) data_start: Option<usize>,
    pub(crate) event_type: &'a str,
    pub(crate) stream: &'a StreamState,
    pub(crate) flags: EventFlags,
    pub(crate) error: Option<Error>,
}

/// From this length on, checking UTF-8 with SIMD is faster than without.
#[cfg(feature = "std")]
const SIMD_PAYS: usize = 64;

/// What the stream has said that outlives an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) last_event_id: String,
    pub(crate) reconnection_time: Option<u64>,
    pub(crate) comments: u64,
}

/// The beginning of a `data` line's value, in the joined data and in the event's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataLine {
    pub(crate) in_data: usize,
    pub(crate) in_raw: usize,
}

/// What an event has besides its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventFlags {
    pub(crate) comments: bool,
    pub(crate) unknown: bool,
    pub(crate) truncated: bool,
    pub(crate) unterminated: bool,
}

impl<'a> Event<'a> {
    /// What this is.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// The event's bytes as they came, all lines and line ends included.
    #[inline]
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the line ends that are missing after [`raw`](Self::raw) to close the event.
    ///
    /// An event of [`SseDecoder::salvage`](crate::SseDecoder::salvage) may lack them. Empty if a
    /// blank line closes the event.
    #[must_use]
    pub fn missing_end(&self) -> &'static [u8] {
        let without_end = |raw: &'a [u8]| {
            let rest = raw.strip_suffix(b"\n").unwrap_or(raw);
            let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
            (rest.len() < raw.len()).then_some(rest)
        };
        match without_end(self.raw) {
            Some(rest) if rest.is_empty() || without_end(rest).is_some() => b"",
            // A carriage return and a line feed after it are one line end.
            Some(_) if self.raw.ends_with(b"\n") => b"\n",
            _ => b"\n\n",
        }
    }

    /// Where [`raw`](Self::raw) begins: bytes from the start of the stream.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The range of [`raw`](Self::raw) in the stream.
    #[must_use]
    pub const fn span(&self) -> Range<u64> {
        self.offset..self.offset + self.raw.len() as u64
    }

    /// The event's `data`, the values of several lines joined by LF. Empty unless this is a
    /// [`Message`](EventKind::Message).
    #[inline]
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The event's `data` as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUtf8`] with the stream offset of the first byte that isn't UTF-8.
    #[inline]
    pub fn data_str(&self) -> Result<&'a str, Error> {
        #[cfg(feature = "std")]
        if self.data.len() >= SIMD_PAYS
            && let Ok(text) = simdutf8::basic::from_utf8(self.data)
        {
            return Ok(text);
        }
        str::from_utf8(self.data).map_err(|error| {
            Error::new(ErrorKind::InvalidUtf8, self.data_offset(error.valid_up_to()))
        })
    }

    /// The event's `data` as the standard decodes it: what isn't UTF-8 is U+FFFD. Allocates
    /// only in that case.
    #[must_use]
    pub fn data_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.data)
    }

    /// The event type: the value of the last `event` line, else `message`. What isn't UTF-8
    /// is U+FFFD.
    #[inline]
    #[must_use]
    pub const fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// The last event ID when this was read, from this event or an earlier one. Empty while
    /// there was none.
    #[inline]
    #[must_use]
    pub fn last_event_id(&self) -> &'a str {
        &self.stream.last_event_id
    }

    /// The reconnection time when this was read, in milliseconds, from the latest `retry` line
    /// so far. A number beyond `u64` counts as `u64::MAX`.
    #[inline]
    #[must_use]
    pub const fn reconnection_time(&self) -> Option<u64> {
        self.stream.reconnection_time
    }

    /// The comments in this event, without their colon and one space after it. Of a
    /// [`TooLarge`](EventKind::TooLarge) event, those that were read before its limit.
    pub fn comments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.lines(self.flags.comments)
            .filter_map(|line| line.strip_prefix(b":"))
            .map(|text| text.strip_prefix(b" ").unwrap_or(text))
    }

    /// Whether [`unknown_lines`](Self::unknown_lines) has any.
    #[must_use]
    pub const fn has_unknown_lines(&self) -> bool {
        self.flags.unknown
    }

    /// The lines in this event that are neither field nor comment nor blank. Of a
    /// [`TooLarge`](EventKind::TooLarge) event, those that were read before its limit.
    pub fn unknown_lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.lines(self.flags.unknown).filter(|line| {
            !matches!(line, [] | [b':', ..]) && SseField::of(line) == SseField::Unknown
        })
    }

    /// Whether a comment or unknown line was longer than
    /// [`Limits::comment_bytes`](crate::Limits::comment_bytes), and only its start is here.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags.truncated
    }

    /// Whether the stream ended before the blank line that would have closed this event.
    /// Only [`salvage`](crate::SseDecoder::salvage) gives such events.
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.flags.unterminated
    }

    /// Which limit a [`TooLarge`](EventKind::TooLarge) event went over.
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        self.error
    }

    /// The stream offset of `data()[position]`.
    ///
    /// ```
    /// use deltawire::SseDecoder;
    ///
    /// let mut decoder = SseDecoder::new();
    /// let event = decoder.next(&mut &b"data: ab\ndata: cd\n\n"[..]).unwrap();
    /// assert_eq!(event.data(), b"ab\ncd");
    /// assert_eq!(event.data_offset(4), 16); // the `d`
    /// ```
    #[must_use]
    pub fn data_offset(&self, position: usize) -> u64 {
        let in_raw = match self.data_start {
            Some(start) => start + position,
            None => self.joined_offset(position),
        };
        self.offset + in_raw as u64
    }

    /// Where byte `position` of data that was joined from several lines stands in `raw`.
    #[cold]
    fn joined_offset(&self, position: usize) -> usize {
        // The LF that joins two lines belongs to the first one.
        let line = self.data_lines().take_while(|line| line.in_data <= position).last();
        line.map_or(0, |line| line.in_raw + (position - line.in_data))
    }

    /// Returns the `data` lines of the event, in order.
    pub(crate) fn data_lines(&self) -> impl Iterator<Item = DataLine> + use<'a> {
        let (mut in_data, mut at) = (0, 0);
        let (raw, mut splitter) = (self.raw, self.splitter());
        core::iter::from_fn(move || {
            loop {
                let rest = raw.get(at..).unwrap_or_default();
                let span = splitter.next(rest)?;
                let line_start = at + span.content_start();
                at += span.len();
                let line = span.content(rest);
                if let SseField::Data(value) = SseField::of(line) {
                    let found = DataLine { in_data, in_raw: line_start + value };
                    in_data += line.len() - value + 1;
                    return Some(found);
                }
            }
        })
    }

    fn lines(&self, any: bool) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = if any { self.raw } else { &[] };
        let mut splitter = self.splitter();
        let cut = self.kind == EventKind::TooLarge;
        core::iter::from_fn(move || {
            let span = splitter.next(rest).filter(|span| span.is_complete() || !cut)?;
            let line = span.content(rest);
            rest = rest.get(span.len()..).unwrap_or_default();
            Some(line)
        })
    }

    pub(crate) fn splitter(&self) -> LineSplitter {
        if self.offset == 0 { LineSplitter::new() } else { LineSplitter::behind(b'\n') }
    }
}

/// Shows the framing, and of the text its length only: it may be personal.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("span", &self.span())
            .field("data_len", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Whether a body of this `Content-Type` is an event stream (WHATWG HTML, 9.2.2): its essence is
/// `text/event-stream`, whatever parameters follow.
///
/// ```
/// assert!(deltawire::is_event_stream("text/event-stream; charset=utf-8"));
/// assert!(!deltawire::is_event_stream("application/json"));
/// ```
#[must_use]
pub fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case("text/event-stream")
}

/// What a line is, by its name (WHATWG HTML, 9.2.6). The numbers are where the value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SseField {
    Data(usize),
    Event(usize),
    Id(usize),
    Retry(usize),
    /// A name that the standard doesn't know, or an empty one: that is a comment.
    Unknown,
}

impl SseField {
    /// Reads the name of `line`. More than eight bytes of a longer line decide it as well.
    #[inline]
    pub(crate) fn of(line: &[u8]) -> Self {
        match line.first() {
            Some(b'd') => value(line, b"data").map_or(Self::Unknown, Self::Data),
            Some(b'e') => value(line, b"event").map_or(Self::Unknown, Self::Event),
            Some(b'i') => value(line, b"id").map_or(Self::Unknown, Self::Id),
            Some(b'r') => value(line, b"retry").map_or(Self::Unknown, Self::Retry),
            _ => Self::Unknown,
        }
    }
}

/// Where the value of `line` begins, if `name` is its name: behind a colon and one space.
#[inline]
fn value(line: &[u8], name: &[u8]) -> Option<usize> {
    match line.strip_prefix(name)? {
        [] => Some(line.len()),
        [b':', b' ', ..] => Some(name.len() + 2),
        [b':', ..] => Some(name.len() + 1),
        _ => None,
    }
}
