//! Parses the payloads of events of each kind, into reused buffers.

use super::bare_line::{BareLine, LineError, bare_line, ends_in_torn_line};
use super::payload::{ChunkEvent, Payload};
use super::summary::{Counts, LONGEST_REASON, Rest, ends_badly};
use super::torn::{ERROR_TYPE, begins_error};
use crate::chunk::schema::top;
use crate::chunk::{
    ChatCompletionChunk, ChunkBuffers, ChunkIndex, OtherObject, OwnedUpstreamError, UpstreamError,
};
use crate::error::{Error, ErrorKind};
use crate::json::{Document, JsonDeviations, Parser, Tape, Value, beginning};
use crate::limits::Limits;
use crate::patience::Patience;
use crate::sse::{BodyKind, Event, EventKind};
use crate::template::{MatchedEvent, Matcher, TemplateMatch, TemplateSet};

/// The parser of payloads, with its templates and buffers.
#[repr(C)] // The fields that a match reads are the last ones.
pub(super) struct PayloadParser {
    parser: Parser,
    /// `None` until a payload needs them, and again after enough matches.
    buffers: Option<Box<PayloadBuffers>>,
    pub(super) templates: Matcher<ChunkIndex>,
    /// Counts matches while there are `buffers`.
    patience: Patience,
}

/// The buffers of payloads that match no template.
#[derive(Default)]
struct PayloadBuffers {
    /// True if `reading` or `side` may be large.
    is_large: bool,
    small_payloads: u16,
    /// The buffers of the current payload.
    reading: ChunkBuffers,
    /// The buffers of a payload without the contents of its arrays, from which a template is made.
    without_arrays: ChunkBuffers,
    /// The buffers of an error in a line of its own, beside a chunk.
    side: Tape,
    /// The deviations of the current payload.
    deviations: JsonDeviations,
}

/// The size in bytes above which idle buffers are freed.
const KEPT_CAPACITY: usize = 32 << 10;
/// The number of consecutive small payloads after which large buffers are freed.
const SMALL_PAYLOADS: u16 = 64;

impl PayloadParser {
    pub(super) fn new(limits: &Limits, set: Option<&TemplateSet<ChunkIndex>>) -> Self {
        Self {
            patience: Patience::new(),
            templates: Matcher::new(set, limits),
            parser: Parser::new(limits),
            buffers: None,
        }
    }

    pub(super) const fn set_strict(&mut self, strict: bool) {
        self.parser.set_strict(strict);
    }

    /// Counts a match of so many bytes, and frees the buffers after enough in a row.
    #[inline]
    pub(super) fn shrink_if_idle(&mut self, payload: usize) {
        if self.patience.is_counting() {
            self.count_idle(payload);
        }
    }

    #[cold]
    #[inline(never)]
    fn count_idle(&mut self, payload: usize) {
        if self.patience.count() {
            self.buffers = None;
        } else if let Some(buffers) = &mut self.buffers {
            buffers.shrink_if_small(payload);
        }
    }

    /// Returns the line with an unknown field that is a failure, if the event has one.
    ///
    /// Before the first field, JSON is the body. Its failure is only counted in `end`, as a field may
    /// follow: see [`Counts::into_summary`].
    #[cold]
    fn bare_line<'a>(&mut self, event: &Event<'a>, end: &mut Counts) -> Option<BareLine<'a>> {
        let General { parser, buffers, .. } = self.general(event.raw().len());
        buffers.is_large = true;
        let found = bare_line(event, parser, &mut buffers.reading)?;
        let first = event.unknown_lines().next().unwrap_or_default().trim_ascii_start();
        if end.is_event_stream || !matches!(first, [b'{' | b'[', ..]) {
            return Some(found);
        }
        match found {
            BareLine::Error(line) => {
                let mut deviations = JsonDeviations::NONE;
                let error = text_error(line, (parser, &mut buffers.side), None, &mut deviations);
                note_error(end, &error, event.offset());
            }
            BareLine::Unread(_) => end.rest().malformed += 1,
        }
        None
    }

    /// Returns the parser and the buffers for a payload of so many bytes.
    #[inline]
    fn general(&mut self, payload: usize) -> General<'_> {
        self.patience.renew();
        let Self { templates, parser, buffers, .. } = self;
        let buffers = buffers.get_or_insert_default();
        buffers.shrink_if_small(payload);
        General { templates, parser, buffers }
    }
}

/// The parts of a [`PayloadParser`] whose buffers exist.
struct General<'p> {
    templates: &'p mut Matcher<ChunkIndex>,
    parser: &'p mut Parser,
    buffers: &'p mut PayloadBuffers,
}

impl PayloadBuffers {
    /// Frees large buffers once so many payloads in a row were small.
    #[inline]
    fn shrink_if_small(&mut self, payload: usize) {
        if self.is_large {
            self.shrink(payload);
        }
    }

    #[cold]
    fn shrink(&mut self, payload: usize) {
        let held = self.reading.held() + self.without_arrays.held() + self.side.held();
        if held < KEPT_CAPACITY {
            (self.is_large, self.small_payloads) = (false, 0);
            return;
        }
        let is_small = payload < held / 32;
        self.small_payloads = if is_small { self.small_payloads + 1 } else { 0 };
        if self.small_payloads >= SMALL_PAYLOADS {
            *self = Self { is_large: true, ..Self::default() };
        }
    }
}

/// Returns true if an event proves that the body is an event stream.
///
/// A comment does so only at the start: HTML and compressed bodies have lines that begin with a
/// colon.
pub(super) fn proves_event_stream(kind: EventKind, body: Option<BodyKind>) -> bool {
    match kind {
        EventKind::Message | EventKind::Undispatched | EventKind::TooLarge => true,
        EventKind::Comment => body.is_none(),
        EventKind::UnknownField | EventKind::BlankLine | EventKind::Skipped => false,
    }
}

/// Parses the payload of `event` and counts it in `end`.
///
/// `may_match_template` is true if the event wasn't yet compared with the templates.
pub(super) fn read<'a>(
    event: Event<'a>,
    readers: &'a mut PayloadParser,
    end: &mut Counts,
    may_match_template: bool,
) -> ChunkEvent<'a> {
    let mut deviations = &JsonDeviations::NONE;
    let payload = payload(&event, readers, &mut deviations, end, may_match_template);
    end.events += u64::from(event.kind() == EventKind::Message);
    note(end, &payload, deviations, event.offset());
    ChunkEvent { event, payload, deviations }
}

/// Counts a comment, as [`read`] does, in less time.
pub(super) fn read_comment<'a>(event: Event<'a>, end: &mut Counts) -> ChunkEvent<'a> {
    debug_assert_eq!(event.kind(), EventKind::Comment, "located as one");
    if !end.is_event_stream {
        end.is_event_stream = proves_event_stream(EventKind::Comment, end.body());
    }
    ChunkEvent { event, payload: Payload::Comment, deviations: &JsonDeviations::NONE }
}

/// Reads the payload of an event that no blank line has closed, and counts it in `end`.
///
/// Of a dropped event only `[DONE]`, a failure, the API and the kind of the body count.
#[cold]
pub(super) fn read_last<'a>(
    event: Event<'a>,
    readers: &'a mut PayloadParser,
    end: &mut Counts,
    is_dropped: bool,
) -> ChunkEvent<'a> {
    let mut deviations = &JsonDeviations::NONE;
    let is_line_torn = ends_in_torn_line(&event);
    let mut payload = payload(&event, readers, &mut deviations, end, false);
    let is_message = event.kind() == EventKind::Message;
    if is_message && matches!(payload, Payload::Malformed(_)) && begins_error(event.data()) {
        payload = Payload::Error(UpstreamError::new(None, event.data(), None));
    }
    let rest = match payload {
        Payload::Error(_) => Rest::Framing,
        _ if is_line_torn => Rest::Lost,
        Payload::Malformed(_) if is_message => Rest::Lost,
        Payload::Chunk(_) if is_dropped => Rest::Lost,
        Payload::Chunk(_) | Payload::Other(_) => Rest::None,
        Payload::Comment => Rest::Aside,
        _ => Rest::Framing,
    };
    end.rest().is_cut |= event.kind() != EventKind::BlankLine;
    end.rest().rest = rest;
    let is_torn = is_message && matches!(payload, Payload::Malformed(_));
    if !is_dropped {
        end.events += u64::from(is_message);
    }
    match payload {
        Payload::Malformed(_) if is_torn => {}
        Payload::Chunk(chunk) if is_dropped => note_reasons(end, &chunk),
        Payload::Other(object) if is_dropped => end.note_api(&object.0),
        _ => note(end, &payload, deviations, event.offset()),
    }
    ChunkEvent { event, payload, deviations }
}

/// Stores the first finish reason of a dropped chunk that names a failure.
fn note_reasons(end: &mut Counts, chunk: &ChatCompletionChunk<'_>) {
    let reasons = chunk.choices().filter_map(|choice| choice.finish_reason());
    let failed = reasons.into_iter().find(|reason| ends_badly(reason));
    end.rest().failed_finish = failed.map(|reason| beginning(reason, LONGEST_REASON).into());
}

/// Returns the payload of an event of any kind.
#[inline]
fn payload<'a>(
    event: &Event<'a>,
    readers: &'a mut PayloadParser,
    deviations: &mut &'a JsonDeviations,
    end: &mut Counts,
    may_match_template: bool,
) -> Payload<'a> {
    end.is_event_stream |= proves_event_stream(event.kind(), end.body());
    let bare_line = if event.has_unknown_lines() { readers.bare_line(event, end) } else { None };
    let error_line = match bare_line {
        Some(BareLine::Error(error)) => Some(error),
        _ => None,
    };
    let payload = match event.kind() {
        EventKind::Message => message(event, error_line, readers, deviations, may_match_template),
        EventKind::Undispatched => undispatched(event, error_line, readers, deviations),
        EventKind::Comment => Payload::Comment,
        EventKind::UnknownField => unknown(event, error_line, readers, deviations, end),
        EventKind::TooLarge => Payload::Malformed(
            event.error().unwrap_or(Error::new(ErrorKind::EventTooLarge, event.offset())),
        ),
        EventKind::BlankLine | EventKind::Skipped => Payload::Ignored,
    };
    match (bare_line, payload) {
        (Some(BareLine::Unread(_)), Payload::Error(_) | Payload::Malformed(_)) => payload,
        (Some(BareLine::Unread(error)), _) => {
            end.done += u64::from(matches!(payload, Payload::Done));
            Payload::Malformed(error)
        }
        _ => payload,
    }
}

/// Counts a payload in `end`.
#[inline]
fn note(end: &mut Counts, payload: &Payload<'_>, deviations: &JsonDeviations, offset: u64) {
    if !deviations.is_empty() {
        end.rest().deviations.add(*deviations);
    }
    match payload {
        Payload::Chunk(chunk) => {
            end.chunks += 1;
            end.count_after_done();
            // An object of another API is a chunk too, if it has a usage.
            if !chunk.has_choices() {
                end.note_api(chunk);
            }
        }
        Payload::Other(object) => {
            end.rest().others += 1;
            end.count_after_done();
            end.note_api(&object.0);
        }
        Payload::Done => end.done += 1,
        Payload::Error(error) => note_error(end, error, offset),
        Payload::Malformed(_) => end.rest().malformed += 1,
        Payload::Comment | Payload::Ignored => {}
    }
}

/// Returns the chunk of an event that matches a template.
pub(super) fn templated<'a>(
    templates: &'a Matcher<ChunkIndex>,
    matched: TemplateMatch,
    raw: &'a [u8],
) -> ChatCompletionChunk<'a> {
    let MatchedEvent { document, index, .. } = templates.read(matched, raw);
    ChatCompletionChunk::new(document, index)
}

/// Returns the payload of a dispatched event.
#[inline]
fn message<'a>(
    event: &Event<'a>,
    error_line: Option<LineError<'a>>,
    readers: &'a mut PayloadParser,
    deviations: &mut &'a JsonDeviations,
    may_match_template: bool,
) -> Payload<'a> {
    let data = event.data();
    let is_error = event.event_type() == ERROR_TYPE || error_line.is_some();
    if is_done(data) && !is_error {
        return Payload::Done;
    }
    let len = event.raw().len();
    if may_match_template && let Some(matched) = readers.templates.match_exact(event.raw()) {
        readers.shrink_if_idle(len);
        return Payload::Chunk(templated(&readers.templates, matched, event.raw()));
    }
    let General { templates, parser, buffers } = readers.general(len);
    let PayloadBuffers { reading, without_arrays, side, is_large, deviations: found, .. } = buffers;
    let may_learn = templates.record_miss(len);
    let ChunkBuffers { tape, index } = reading;
    let read = parser.parse_onto(tape, data);
    *found = read.map_or(JsonDeviations::NONE, |(_, deviations)| deviations);
    let filled = read.and_then(|(json, _)| {
        index.fill(Document::new(tape, json))?;
        Ok(json)
    });
    *is_large |= error_line.is_some() || reading.held() >= KEPT_CAPACITY;
    if let Ok(json) = filled {
        let ChunkBuffers { tape, index } = &*reading;
        let chunk = ChatCompletionChunk::new(Document::new(tape, json), index);
        if may_learn
            && !is_error
            && chunk.has_choices() // else its API is noted: see `note`
            && chunk.error().is_none()
            && found.is_empty()
            && let Some(matched) = templates.learn(event, json, reading, without_arrays)
        {
            return Payload::Chunk(templated(templates, matched, event.raw()));
        }
    }
    let ChunkBuffers { tape, index } = &*reading;
    let document = |json| Document::new(tape, json);
    let chunk = filled.map(|json| ChatCompletionChunk::new(document(json), index));
    let payload = match (error_line, chunk) {
        (Some(line), chunk) => Payload::Error(text_error(line, (parser, side), chunk.ok(), found)),
        (None, Ok(chunk)) => object(chunk, is_error),
        (None, Err(_)) if is_error => {
            let json = read.ok().map(|(json, _)| ChatCompletionChunk::new(document(json), index));
            Payload::Error(unread_error(json, data))
        }
        (None, Err(error)) => malformed(event, error),
    };
    *deviations = found;
    payload
}

/// Returns the payload of an event whose data have an error at an offset in them.
#[cold]
fn malformed<'a>(event: &Event<'_>, error: Error) -> Payload<'a> {
    let position = usize::try_from(error.offset()).unwrap_or(usize::MAX);
    Payload::Malformed(Error::new(error.kind(), event.data_offset(position)))
}

/// Returns the error of data that are no chunk, because they are no object or have too many choices.
#[cold]
fn unread_error<'a>(json: Option<ChatCompletionChunk<'a>>, data: &'a [u8]) -> UpstreamError<'a> {
    let value = json.map(|json| {
        let error = json.error().and_then(|error| error.as_value());
        error.unwrap_or_else(|| json.as_value())
    });
    UpstreamError::new(value, data, None)
}

/// Returns the payload of an object; it is an error if its event is.
#[inline]
fn object(object: ChatCompletionChunk<'_>, is_error: bool) -> Payload<'_> {
    match object.error() {
        Some(error) => Payload::Error(error),
        None if is_error => {
            Payload::Error(UpstreamError::new(Some(object.as_value()), b"", Some(object)))
        }
        None if !object.is_chunk() => Payload::Other(OtherObject(object)),
        None => Payload::Chunk(object),
    }
}

/// Returns the payload of an event without data.
///
/// Dynamo sends `event: error` with the message in a comment. Other servers send an error in a line
/// of its own.
#[cold]
fn undispatched<'a>(
    event: &Event<'a>,
    error_line: Option<LineError<'a>>,
    readers: &'a mut PayloadParser,
    deviations: &mut &'a JsonDeviations,
) -> Payload<'a> {
    if let Some(line) = error_line {
        return Payload::Error(line_error(event, line, readers, deviations));
    }
    if event.event_type() == ERROR_TYPE {
        let comment = event.comments().next().unwrap_or_default();
        return Payload::Error(UpstreamError::new(None, comment, None));
    }
    Payload::Ignored
}

/// Returns the payload of a line with an unknown field: `error: {…}`, a bare `{"error": …}`, or
/// other.
#[cold]
fn unknown<'a>(
    event: &Event<'a>,
    error_line: Option<LineError<'a>>,
    readers: &'a mut PayloadParser,
    deviations: &mut &'a JsonDeviations,
    end: &mut Counts,
) -> Payload<'a> {
    if let Some(line) = error_line {
        end.is_event_stream = true;
        return Payload::Error(line_error(event, line, readers, deviations));
    }
    if end.body().is_none() {
        let is_start = event.offset() == 0;
        let kind = if is_start { BodyKind::from_bytes } else { BodyKind::behind_start };
        end.rest().body = Some(kind(event.raw()));
    }
    Payload::Ignored
}

/// Reads the error in a line of the event.
fn line_error<'a>(
    event: &Event<'a>,
    line: LineError<'a>,
    readers: &'a mut PayloadParser,
    deviations: &mut &'a JsonDeviations,
) -> UpstreamError<'a> {
    let General { parser, buffers, .. } = readers.general(event.raw().len());
    let PayloadBuffers { side, is_large, deviations: found, .. } = buffers;
    (*is_large, *found) = (true, JsonDeviations::NONE);
    let error = text_error(line, (parser, side), None, found);
    *deviations = found;
    error
}

/// Reads the error in a line, beside a chunk.
fn text_error<'a>(
    LineError { text, node }: LineError<'a>,
    (parser, tape): (&mut Parser, &'a mut Tape),
    chunk: Option<ChatCompletionChunk<'a>>,
    deviations: &mut JsonDeviations,
) -> UpstreamError<'a> {
    let Ok((document, found)) = parser.parse(text, tape) else {
        return UpstreamError::new(None, text, chunk);
    };
    deviations.add(found);
    UpstreamError::new(Some(Value::new(document, node)), b"", chunk)
}

#[cold]
fn note_error(end: &mut Counts, error: &UpstreamError<'_>, offset: u64) {
    end.chunks += u64::from(error.chunk().is_some_and(|chunk| chunk.get(top::CHOICES).is_some()));
    end.count_after_done();
    let first = &mut end.rest().upstream_error;
    if first.is_none() {
        *first = Some(OwnedUpstreamError::of(error, offset));
    }
}

/// Returns true for `[DONE]`, with any ASCII white space around it.
#[inline]
pub(crate) fn is_done(data: &[u8]) -> bool {
    data.len() >= 6
        && data.first().is_some_and(|first| *first != b'{')
        && data.trim_ascii() == b"[DONE]"
}
