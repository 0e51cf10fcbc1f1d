//! `Event<'_>`: an event, comment or line between events, with its bytes and fields.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::ops::Range;
use core::str;

use super::cold::Cold;
use super::line::{LineSpan, LineSplitter};
use crate::error::{Error, ErrorKind};
use crate::report::named;
use crate::slice::{bytes_between, bytes_in};

/// The event type of an event without an `event` field.
pub(crate) const MESSAGE: &str = "message";

/// The kind of an [`Event`].
///
/// The standard dispatches only [`Message`](Self::Message). The other kinds show the bytes that it
/// drops, so that every byte of the stream belongs to exactly one `Event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A dispatched event: lines with `data`, closed by a blank line.
    Message,
    /// An event that the standard doesn't dispatch, because it has fields but no `data`.
    Undispatched,
    /// A comment between events, with the blank line behind it if the same piece contains that.
    Comment,
    /// A line between events that isn't a field, such as `error: {"message": …}`.
    UnknownField,
    /// A blank line that closes no event, or the LF of a CRLF whose CR ended event and piece.
    BlankLine,
    /// An event that exceeds the limit of [`Event::error`].
    ///
    /// Its first bytes are in [`Event::raw`], and the rest follows as [`Skipped`](Self::Skipped). If
    /// only its `id` or its type is too long, `raw` has all of it and nothing follows.
    TooLarge,
    /// Bytes up to the end of an event or line that exceeded a limit, cut as the input is.
    Skipped,
}

impl EventKind {
    /// Returns the name of the kind, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Undispatched => "undispatched",
            Self::Comment => "comment",
            Self::UnknownField => "unknown_field",
            Self::BlankLine => "blank_line",
            Self::TooLarge => "too_large",
            Self::Skipped => "skipped",
        }
    }
}

named!(EventKind);

/// One event, comment or ignored line, borrowed from the input or from the decoder.
///
/// The [`raw`](Self::raw) bytes of all events of a stream, in order, are the stream.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub(super) raw: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) offset: u64,
    /// The cold state of the decoder, if it exists.
    ///
    /// It describes this event, unless this is a single-line event: see [`Self::in_buffers`].
    pub(super) cold: Option<&'a Cold>,
}

/// Length from which on checking UTF-8 with SIMD is faster than without.
#[cfg(feature = "std")]
const MIN_SIMD_LEN: usize = 64;

/// The start of a `data` line's value in the joined data and in the event's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataLine {
    pub(crate) in_data: usize,
    pub(crate) in_raw: usize,
}

/// Facts about an event that aren't fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventFlags {
    pub(crate) comments: bool,
    pub(crate) unknown: bool,
    pub(crate) truncated: bool,
    pub(crate) unterminated: bool,
    /// The event is skipped bytes of a comment.
    pub(crate) rest_of_comment: bool,
}

impl<'a> Event<'a> {
    /// Returns the kind of the event.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match (self.in_buffers(), self.raw) {
            (Some(cold), _) => cold.event.kind(),
            (None, [b':', ..]) => EventKind::Comment,
            (None, [b'\n', ..]) => EventKind::BlankLine,
            (None, _) => EventKind::Message,
        }
    }

    /// Returns the description of this event, or `None` if it is a single-line event.
    ///
    /// A single-line event is described by its bytes.
    #[inline]
    const fn in_buffers(&self) -> Option<&'a Cold> {
        match self.cold {
            Some(cold) if cold.event.len > 0 => Some(cold),
            _ => None,
        }
    }

    /// Returns the event's bytes as they were received, with all lines and line ends.
    #[inline]
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the line ends that are missing after [`raw`](Self::raw) to close the event.
    ///
    /// Only an event of [`SseDecoder::salvage`](crate::SseDecoder::salvage) may lack them.
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

    /// Returns the number of bytes from the start of the stream to [`raw`](Self::raw).
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the range of [`raw`](Self::raw) in the stream.
    #[must_use]
    pub const fn span(&self) -> Range<u64> {
        self.offset..self.offset + self.raw.len() as u64
    }

    /// Returns the event's `data`, in which LF joins the values of several lines.
    ///
    /// Empty unless this is a [`Message`](EventKind::Message).
    #[inline]
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Returns the event's `data` as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUtf8`] with the stream offset of the first byte that isn't UTF-8.
    #[inline]
    pub fn data_str(&self) -> Result<&'a str, Error> {
        #[cfg(feature = "std")]
        if self.data.len() >= MIN_SIMD_LEN
            && let Ok(text) = simdutf8::basic::from_utf8(self.data)
        {
            return Ok(text);
        }
        str::from_utf8(self.data).map_err(|error| {
            Error::new(ErrorKind::InvalidUtf8, self.data_offset(error.valid_up_to()))
        })
    }

    /// Returns the event's `data`; allocates only to replace invalid UTF-8 by U+FFFD.
    #[must_use]
    pub fn data_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.data)
    }

    /// Returns the value of the last `event` line, or `message`; U+FFFD replaces invalid UTF-8.
    #[must_use]
    pub const fn event_type(&self) -> &'a str {
        match self.own_type() {
            Some(event_type) if !event_type.is_empty() => event_type,
            _ => MESSAGE,
        }
    }

    /// Returns the value of the last `event` line, which may be empty; U+FFFD replaces invalid UTF-8.
    pub(crate) const fn own_type(&self) -> Option<&'a str> {
        match (self.in_buffers(), self.raw) {
            (Some(cold), _) => cold.event_type(self.raw),
            // A template may have a line with the type before the line with the data.
            (None, [b'e', ..]) => {
                Some(type_before_data(bytes_between(self.raw, 0, self.line_data_start())))
            }
            (None, _) => None,
        }
    }

    /// Returns the last event ID after this event, or the empty string if the stream had none.
    #[inline]
    #[must_use]
    pub fn last_event_id(&self) -> &'a str {
        self.cold.map_or("", |cold| &cold.stream.last_event_id)
    }

    /// Returns the latest reconnection time, in milliseconds, which is at most `u64::MAX`.
    #[inline]
    #[must_use]
    pub const fn reconnection_time(&self) -> Option<u64> {
        match self.cold {
            Some(cold) => cold.stream.reconnection_time,
            None => None,
        }
    }

    /// Returns the comments up to an exceeded limit, without their colon and one space after it.
    pub fn comments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.lines(self.flags().comments)
            .filter_map(|(_, line)| line.strip_prefix(b":"))
            .map(|text| text.strip_prefix(b" ").unwrap_or(text))
    }

    /// Returns true if [`unknown_lines`](Self::unknown_lines) isn't empty.
    #[must_use]
    pub const fn has_unknown_lines(&self) -> bool {
        self.flags().unknown
    }

    /// Returns the lines up to an exceeded limit that are neither field, comment nor blank.
    pub fn unknown_lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.placed_unknown_lines().map(|(_, line)| line)
    }

    /// Returns the [`unknown_lines`](Self::unknown_lines), each behind its start in `raw`.
    pub(crate) fn placed_unknown_lines(&self) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        self.lines(self.flags().unknown).filter(|(_, line)| {
            !matches!(line, [] | [b':', ..]) && SseField::of(line) == SseField::Unknown
        })
    }

    /// Returns true if the end of a comment or unknown line is missing, which exceeds a limit.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags().truncated
    }

    /// Returns true if no blank line closes this event of [`salvage`](crate::SseDecoder::salvage).
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.flags().unterminated
    }

    /// Returns true for skipped bytes, unless they are the rest of a comment, which clients ignore.
    #[cfg(feature = "std")]
    pub(crate) fn skips_content(&self) -> bool {
        self.kind() == EventKind::Skipped && !self.flags().rest_of_comment
    }

    /// Returns the limit that a [`TooLarge`](EventKind::TooLarge) event exceeds.
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        match self.in_buffers() {
            Some(cold) => cold.event.error,
            None => None,
        }
    }

    /// Returns the stream offset of `data()[position]`.
    ///
    /// A position behind the data continues the last line of data, up to an offset of [`u64::MAX`].
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
        let (start, in_line) = match self.data_start() {
            Some(start) => (start, position),
            None => self.in_joined_line(position),
        };
        (self.offset + start as u64).saturating_add(in_line as u64)
    }

    /// Returns the start of `data` in `raw`, or `None` if several lines were joined.
    ///
    /// Without data it is 0.
    pub(crate) const fn data_start(&self) -> Option<usize> {
        match self.in_buffers() {
            Some(cold) => cold.data_start(),
            None => Some(self.line_data_start()),
        }
    }

    /// Returns the start of the data of a single-line event: before them and the blank line.
    const fn line_data_start(&self) -> usize {
        let behind = match (self.raw, self.kind()) {
            ([.., b'\r', b'\n', b'\r', b'\n'], EventKind::Message) => 4,
            (_, EventKind::Message) => 2,
            _ => self.raw.len(),
        };
        debug_assert!(self.data.len() + behind <= self.raw.len(), "the data are in the event");
        self.raw.len().saturating_sub(self.data.len() + behind)
    }

    /// Returns the flags of the event.
    const fn flags(&self) -> EventFlags {
        match self.in_buffers() {
            Some(cold) => cold.event.flags,
            None => EventFlags {
                comments: matches!(self.raw, [b':', ..]),
                unknown: false,
                truncated: false,
                unterminated: false,
                rest_of_comment: false,
            },
        }
    }

    /// Returns the start in `raw` of the line of data with byte `position`, and its position there.
    #[cold]
    fn in_joined_line(&self, position: usize) -> (usize, usize) {
        // The LF that joins two lines belongs to the first one.
        let line = self.data_lines().take_while(|line| line.in_data <= position).last();
        line.map_or((0, 0), |line| (line.in_raw, position - line.in_data))
    }

    /// Returns the `data` lines of the event, in order.
    pub(crate) fn data_lines(&self) -> impl Iterator<Item = DataLine> + use<'a> {
        let mut in_data = 0;
        let mut lines = self.spans();
        core::iter::from_fn(move || {
            loop {
                let (_, start, line) = lines.next()?;
                if let SseField::Data(value) = SseField::of(line) {
                    let found = DataLine { in_data, in_raw: start + value };
                    in_data += line.len() - value + 1;
                    return Some(found);
                }
            }
        })
    }

    /// Returns the lines and their starts in `raw`, unless the caller excludes that there are `any`.
    fn lines(&self, any: bool) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let is_cut = self.kind() == EventKind::TooLarge;
        let lines = any.then(|| self.spans()).into_iter().flatten();
        lines
            .take_while(move |(span, ..)| span.is_complete() || !is_cut)
            .map(|(_, start, line)| (start, line))
    }

    /// Returns the lines of the event, with their spans and their starts in `raw`.
    fn spans(&self) -> impl Iterator<Item = (LineSpan, usize, &'a [u8])> + use<'a> {
        let (mut rest, mut splitter, mut at) = (self.raw, self.splitter(), 0);
        core::iter::from_fn(move || {
            let span = splitter.next(rest)?;
            let (start, line) = (at + span.content_start(), span.content(rest));
            at += span.len();
            rest = bytes_in(rest, span.len()..);
            Some((span, start, line))
        })
    }

    /// Returns the last line, if it has no end.
    #[cfg(feature = "std")]
    pub(crate) fn line_without_end(&self) -> Option<&'a [u8]> {
        let (span, _, line) = self.spans().last()?;
        (!span.is_complete()).then_some(line)
    }

    /// Returns a splitter for the event's bytes.
    pub(crate) fn splitter(&self) -> LineSplitter {
        if self.offset == 0 { LineSplitter::new() } else { LineSplitter::behind(b'\n') }
    }
}

/// Shows the framing and the length of the data, whose text may be personal.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind())
            .field("span", &self.span())
            .field("data_len", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Returns true if the essence of a content type is `text/event-stream` (WHATWG HTML, 9.2.2).
///
/// This is one content type. The values of several headers, or one with commas, are several.
///
/// ```
/// assert!(deltawire::sse::is_event_stream("text/event-stream; charset=utf-8"));
/// assert!(!deltawire::sse::is_event_stream("application/json"));
/// ```
#[must_use]
pub fn is_event_stream(content_type: &str) -> bool {
    has_essence(content_type.as_bytes())
}

/// Returns true if a header's value may be the content type of an event stream.
///
/// So it is if one of the types between its commas is that. Bytes that aren't ASCII are allowed.
#[cfg(feature = "tower")]
pub(crate) fn may_be_event_stream(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(has_essence)
}

fn has_essence(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// The field of a line by its name (WHATWG HTML, 9.2.6), with the start of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SseField {
    Data(usize),
    Event(usize),
    Id(usize),
    Retry(usize),
    /// A name that isn't in the standard, or the empty name of a comment.
    Unknown,
}

impl SseField {
    /// Returns the field of `line`; nine bytes of a longer line are enough to name it.
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

    /// Returns true if a torn `line` of this field, behind data, may be more data or no field.
    ///
    /// White space, a comment and data with a text are harmless.
    #[cfg(feature = "std")]
    pub(crate) fn is_torn_data_or_unknown(self, line: &[u8]) -> bool {
        match self {
            Self::Data(start) => bytes_in(line, start..).trim_ascii().is_empty(),
            Self::Unknown => !line.starts_with(b":") && !line.trim_ascii().is_empty(),
            Self::Event(_) | Self::Id(_) | Self::Retry(_) => false,
        }
    }
}

/// Returns the event type in the bytes before the data of a single-line event; may be empty.
const fn type_before_data(head: &[u8]) -> &str {
    let ([lines @ .., b'd', b'a', b't', b'a', b':', b' ']
    | [lines @ .., b'd', b'a', b't', b'a', b':']) = head
    else {
        return "";
    };
    let ([line @ .., b'\r', b'\n'] | [line @ .., b'\n']) = lines else { return "" };
    let ([b'e', b'v', b'e', b'n', b't', b':', b' ', value @ ..]
    | [b'e', b'v', b'e', b'n', b't', b':', value @ ..]) = line
    else {
        return "";
    };
    if let Ok(event_type) = str::from_utf8(value) {
        return event_type;
    }
    debug_assert!(false, "a template's type line is UTF-8");
    ""
}

/// Returns the start of the value of `line`, behind a colon and one space, if it has this name.
#[inline]
fn value(line: &[u8], name: &[u8]) -> Option<usize> {
    match line.strip_prefix(name)? {
        [] => Some(line.len()),
        [b':', b' ', ..] => Some(name.len() + 2),
        [b':', ..] => Some(name.len() + 1),
        _ => None,
    }
}
