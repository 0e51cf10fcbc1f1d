//! Payloads of events: what each kind of event says, and the buffers to read it into.

use memchr::memchr_iter;

use super::end::{Api, Body, End, UpstreamFailure};
use super::payload::{ChunkEvent, OtherObject, Payload};
use crate::chunk::{ChatCompletionChunk, Reading, UpstreamError};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventKind};
use crate::json::{Document, Kind, Leniencies, Parser, Tape, Text, Value};
use crate::limits::Limits;
use crate::shape::Shapes;

/// What reads payloads, with all its buffers.
#[repr(C)] // Beside the shapes stands what is looked at with them.
pub(super) struct Readers {
    /// `reading` or `side` may hold much.
    is_large: bool,
    small_payloads: u32,
    pub(super) shapes: Shapes,
    parser: Parser,
    /// What the payload at hand is read into, unless it fits a shape.
    reading: Reading,
    /// For errors in lines of their own, beside a chunk.
    side: Tape,
}

/// Buffers above this size are given back when the payloads no longer need them.
const KEPT_CAPACITY: usize = 32 << 10;
/// How many small payloads in a row make large buffers too large.
const SMALL_PAYLOADS: u32 = 64;

impl Readers {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            parser: Parser::new(limits),
            shapes: Shapes::new(),
            reading: Reading::default(),
            side: Tape::default(),
            is_large: false,
            small_payloads: 0,
        }
    }

    pub(super) const fn set_strict(&mut self, strict: bool) {
        self.parser.set_strict(strict);
    }

    /// Gives large buffers back when the payloads have been small for a while.
    #[inline]
    pub(super) fn settle(&mut self, payload: usize) {
        if self.is_large {
            self.shrink(payload);
        }
    }

    #[cold]
    fn shrink(&mut self, payload: usize) {
        let held = self.reading.held() + self.side.held();
        if held < KEPT_CAPACITY {
            (self.is_large, self.small_payloads) = (false, 0);
            return;
        }
        let is_small = payload < held / 32;
        self.small_payloads = if is_small { self.small_payloads + 1 } else { 0 };
        if self.small_payloads >= SMALL_PAYLOADS {
            (self.reading, self.side) = (Reading::default(), Tape::default());
            self.small_payloads = 0;
        }
    }
}

/// Whether an event shows that the body is an event stream. A comment does only where nothing
/// came before it that is none: HTML and compressed bodies have lines that begin with a colon.
pub(super) fn says_event_stream(event: &Event<'_>, body: Option<Body>) -> bool {
    match event.kind() {
        EventKind::Message | EventKind::Undispatched | EventKind::TooLarge => true,
        EventKind::Comment => body.is_none(),
        EventKind::Unknown | EventKind::Blank | EventKind::Skipped => false,
    }
}

/// Reads the payload of `event` and takes note of it in `end`. `is_untried` says that the event may
/// fit a shape.
pub(super) fn read<'a>(
    event: Event<'a>,
    readers: &'a mut Readers,
    (end, is_event_stream): (&mut End, &mut bool),
    is_untried: bool,
) -> ChunkEvent<'a> {
    let mut leniencies = Leniencies::default();
    *is_event_stream |= says_event_stream(&event, end.body);
    let payload = match event.kind() {
        EventKind::Message => {
            end.events += 1;
            message(&event, readers, &mut leniencies, is_untried)
        }
        EventKind::Undispatched => undispatched(&event, readers, &mut leniencies),
        EventKind::Comment => Payload::Comment,
        EventKind::Unknown => unknown(&event, readers, &mut leniencies, (end, is_event_stream)),
        EventKind::TooLarge => Payload::Malformed(
            event.error().unwrap_or(Error::new(ErrorKind::EventTooLarge, event.offset())),
        ),
        EventKind::Blank | EventKind::Skipped => Payload::Ignored,
    };
    if !leniencies.is_empty() {
        end.leniencies.add(leniencies);
    }
    match payload {
        Payload::Chunk(chunk) => {
            end.chunks += 1;
            end.after_done += u64::from(end.done > 0);
            // A usage makes a chunk of it, be it another API's.
            if end.api.is_none() && !chunk.has_choices() {
                end.api = Api::of(&chunk);
            }
        }
        Payload::Other(object) => {
            end.others += 1;
            end.after_done += u64::from(end.done > 0);
            end.api = end.api.or_else(|| Api::of(&object.0));
        }
        Payload::Done => end.done += 1,
        Payload::Error(error) => note_error(end, &error, event.offset()),
        Payload::Malformed(_) => end.malformed += 1,
        Payload::Comment | Payload::Ignored => {}
    }
    ChunkEvent { event, payload, leniencies }
}

/// Takes note in `end` of what counts of an event that no blank line has closed: `[DONE]`, an error,
/// and that there is no event stream. Returns true if the stream is cut there.
#[cold]
pub(super) fn read_rest(
    event: &Event<'_>,
    readers: &mut Readers,
    (end, is_event_stream): (&mut End, &mut bool),
) -> bool {
    let mut leniencies = Leniencies::default();
    *is_event_stream |= says_event_stream(event, end.body);
    let payload = match event.kind() {
        EventKind::Message if may_count(event) => message(event, readers, &mut leniencies, false),
        EventKind::Undispatched => undispatched(event, readers, &mut leniencies),
        EventKind::Unknown => unknown(event, readers, &mut leniencies, (end, is_event_stream)),
        _ => Payload::Ignored,
    };
    match payload {
        Payload::Done => end.done += 1,
        Payload::Error(error) => note_error(end, &error, event.offset()),
        Payload::Malformed(_) | Payload::Ignored if begins_error(event.data()) => {
            note_error(end, &UpstreamError::new(None, b"", None), event.offset());
        }
        _ => {}
    }
    event.kind() != EventKind::Blank
}

/// Returns true if an event that no blank line has closed may be `[DONE]` or an error: no other is worth
/// reading.
fn may_count(event: &Event<'_>) -> bool {
    let data = event.data();
    let has = |first: u8, rest: &[u8]| {
        memchr_iter(first, data)
            .any(|at| data.get(at + 1..).is_some_and(|text| text.starts_with(rest)))
    };
    let is_object = data.trim_ascii_end().ends_with(b"}");
    is_done(data)
        || event.event_type() == "error"
        || event.has_unknown_lines()
        || is_object && (has(b'e', b"rror") || has(b'\\', b"u00"))
}

/// Returns true if a JSON text that ends too early begins with an error.
fn begins_error(json: &[u8]) -> bool {
    let tokens = [&b"{"[..], b"\"error\"", b":"];
    let value = tokens
        .into_iter()
        .try_fold(json, |text, token| text.trim_ascii_start().strip_prefix(token))
        .map_or(&b""[..], <[u8]>::trim_ascii_start);
    let may_be = |none: &[u8]| none.starts_with(value) || value.starts_with(none);
    !value.is_empty() && ![&b"null"[..], b"false", b"\"\"", b"0"].into_iter().any(may_be)
}

/// What the data of a dispatched event says.
#[inline]
fn message<'a>(
    event: &Event<'a>,
    readers: &'a mut Readers,
    leniencies: &mut Leniencies,
    is_untried: bool,
) -> Payload<'a> {
    let data = event.data();
    let is_error = event.event_type() == "error";
    let error_line = event.has_unknown_lines().then(|| error_line(event)).flatten();
    let is_error = is_error || error_line.is_some();
    if is_done(data) && !is_error {
        return Payload::Done;
    }
    readers.settle(data.len());
    let Readers { parser, shapes, reading, side, is_large, .. } = readers;
    if is_untried && let Some(fit) = shapes.fit_whole(event.raw()) {
        let (_, _, chunk) = shapes.read(fit, event.raw());
        return Payload::Chunk(chunk);
    }
    shapes.pass(event.raw().len());
    let Reading { tape, table } = reading;
    let read = parser.parse_onto(tape, data);
    *leniencies = read.map_or_else(|_| Leniencies::default(), |(_, found)| found);
    let filled = read.and_then(|(json, _)| {
        let document = Document::new(tape, Text::Read(json));
        match document.kind(0) {
            Some(Kind::Object) => table.fill(document).map(|()| json),
            _ => Err(Error::new(ErrorKind::ExpectedObject, 0)),
        }
    });
    *is_large |= error_line.is_some() || reading.held() >= KEPT_CAPACITY;
    let mut reading = reading;
    if let Ok(json) = filled {
        let Reading { tape, table } = &*reading;
        let chunk = ChatCompletionChunk::new(Document::new(tape, Text::Read(json)), table);
        if !is_error && chunk.is_chunk() && chunk.error().is_none() && leniencies.is_empty() {
            reading = shapes.learn(event, json, reading);
        }
    }
    let Reading { tape, table } = &*reading;
    let document = |json| Document::new(tape, Text::Read(json));
    let chunk = filled.map(|json| ChatCompletionChunk::new(document(json), table));
    if let Some(text) = error_line {
        return Payload::Error(text_error(text, (parser, side), chunk.ok(), leniencies));
    }
    match chunk {
        Ok(chunk) => match chunk.error() {
            Some(error) => Payload::Error(error),
            None if is_error => {
                Payload::Error(UpstreamError::new(Some(chunk.as_value()), b"", Some(chunk)))
            }
            None if !chunk.is_chunk() => Payload::Other(OtherObject(chunk)),
            None => Payload::Chunk(chunk),
        },
        Err(_) if is_error => {
            let value = read.ok().map(|(json, _)| Value::new(document(json), 0));
            Payload::Error(UpstreamError::new(value, data, None))
        }
        Err(error) => {
            let position = usize::try_from(error.offset()).unwrap_or(usize::MAX);
            Payload::Malformed(Error::new(error.kind(), event.data_offset(position)))
        }
    }
}

/// `event: error` without data, as Dynamo sends it with the message in a comment, or an error in
/// a line of its own.
#[cold]
fn undispatched<'a>(
    event: &Event<'a>,
    readers: &'a mut Readers,
    leniencies: &mut Leniencies,
) -> Payload<'a> {
    let Readers { parser, side, is_large, .. } = readers;
    if let Some(text) = error_line(event) {
        *is_large = true;
        return Payload::Error(text_error(text, (parser, side), None, leniencies));
    }
    if event.event_type() == "error" {
        let comment = event.comments().next().unwrap_or_default();
        return Payload::Error(UpstreamError::new(None, comment, None));
    }
    Payload::Ignored
}

/// A line that is no field: `error: {…}`, a bare `{"error": …}`, or nothing of ours.
#[cold]
fn unknown<'a>(
    event: &Event<'a>,
    readers: &'a mut Readers,
    leniencies: &mut Leniencies,
    (end, is_event_stream): (&mut End, &mut bool),
) -> Payload<'a> {
    let Readers { parser, side, is_large, .. } = readers;
    *is_large = true;
    if let Some(text) = error_line(event) {
        *is_event_stream = true;
        return Payload::Error(text_error(text, (parser, side), None, leniencies));
    }
    if end.body.is_none() {
        end.body = Some(Body::of(event.raw()));
    }
    let line = event.unknown_lines().next().unwrap_or_default();
    if *is_event_stream
        && line.starts_with(b"{")
        && let Ok((document, found)) = parser.parse(line, side)
    {
        let line = Value::new(document, 0);
        if let Some(error) = line.get("error").filter(UpstreamError::is_one) {
            *leniencies = found;
            return Payload::Error(UpstreamError::new(Some(error), b"", None));
        }
    }
    Payload::Ignored
}

/// What an `error:` line says, unless that is nothing.
fn error_line<'a>(event: &Event<'a>) -> Option<&'a [u8]> {
    event
        .unknown_lines()
        .filter_map(|line| line.strip_prefix(b"error:"))
        .map(<[u8]>::trim_ascii)
        .find(|text| !matches!(*text, b"" | b"null" | b"false" | b"0" | b"\"\""))
}

/// The error that a text says, with or without a name of its own inside.
fn text_error<'a>(
    text: &'a [u8],
    (parser, tape): (&mut Parser, &'a mut Tape),
    chunk: Option<ChatCompletionChunk<'a>>,
    leniencies: &mut Leniencies,
) -> UpstreamError<'a> {
    let Ok((document, found)) = parser.parse(text, tape) else {
        return UpstreamError::new(None, text, chunk);
    };
    leniencies.add(found);
    let value = Value::new(document, 0);
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    UpstreamError::new(Some(error), b"", chunk)
}

#[cold]
fn note_error(end: &mut End, error: &UpstreamError<'_>, offset: u64) {
    end.chunks += u64::from(error.chunk().is_some_and(|chunk| chunk.get("choices").is_some()));
    end.after_done += u64::from(end.done > 0);
    if end.upstream_error.is_none() {
        end.upstream_error = Some(UpstreamFailure::of(error, offset));
    }
}

/// `[DONE]`, with the white space that servers put around it.
#[inline]
pub(super) fn is_done(data: &[u8]) -> bool {
    data.len() >= 6
        && data.first().is_some_and(|first| *first != b'{')
        && data.trim_ascii() == b"[DONE]"
}
