//! `ChunkDecoder`: events with their payload read; the one place that knows framing and JSON.

use core::fmt;

use crate::chunk::{Carries, ChatCompletionChunk, Table, UpstreamError};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventKind};
use crate::json::{Kind, Leniencies, Parser, Value};
use crate::limits::Limits;
use crate::sse::SseDecoder;

/// Decodes a stream of chat completion chunks from pieces cut anywhere.
///
/// ```
/// use deltawire::{ChunkDecoder, Payload};
///
/// let mut decoder = ChunkDecoder::new();
/// let mut text = String::new();
/// for piece in [&b"data: {\"choices\":[{\"del"[..], b"ta\":{\"content\":\"Hi\"}}]}\n\ndata: [DO", b"NE]\n\n"] {
///     let mut input = piece;
///     while let Some(event) = decoder.next(&mut input) {
///         match event.payload() {
///             Payload::Chunk(chunk) => {
///                 for choice in chunk.choices() {
///                     text.push_str(choice.delta().content().unwrap_or_default());
///                 }
///             }
///             Payload::Done => text.push('.'),
///             Payload::Error(error) => panic!("the upstream failed: {error:?}"),
///             Payload::Malformed(error) => panic!("{error}"), // the next event is read normally
///             _ => {} // keep-alives, blank lines
///         }
///     }
/// }
/// assert_eq!(text, "Hi.");
/// assert!(decoder.finish().done > 0);
/// ```
///
/// Nothing is allocated once the buffers have grown to the size of the events.
pub struct ChunkDecoder {
    sse: SseDecoder,
    readers: Readers,
    end: End,
    /// The stream has had a field or a comment, so it is one.
    is_event_stream: bool,
}

/// What reads payloads, with all its buffers.
struct Readers {
    parser: Parser,
    table: Table,
    /// For errors in lines of their own, beside a chunk.
    side: Parser,
    limits: Limits,
    is_strict: bool,
    small_payloads: u32,
}

/// Buffers above this size are given back when the payloads no longer need them.
const KEPT_CAPACITY: usize = 256 << 10;
/// How many small payloads in a row make large buffers too large.
const SMALL_PAYLOADS: u32 = 64;

impl Readers {
    fn new(limits: &Limits) -> Self {
        Self {
            parser: Parser::new(limits),
            table: Table::default(),
            side: Parser::new(limits),
            limits: *limits,
            is_strict: false,
            small_payloads: 0,
        }
    }

    const fn set_strict(&mut self, strict: bool) {
        self.is_strict = strict;
        self.parser.set_strict(strict);
        self.side.set_strict(strict);
    }

    /// Gives large buffers back when the payloads have been small for a while.
    fn settle(&mut self, payload: usize) {
        let held = self.parser.held() + self.table.held() + self.side.held();
        if held < KEPT_CAPACITY {
            return;
        }
        self.small_payloads = if payload < held / 32 { self.small_payloads + 1 } else { 0 };
        if self.small_payloads >= SMALL_PAYLOADS {
            let is_strict = self.is_strict;
            *self = Self::new(&self.limits);
            self.set_strict(is_strict);
        }
    }
}

/// What one event of a stream says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// A chunk.
    Chunk(ChatCompletionChunk<'a>),
    /// The `[DONE]` that ends a stream.
    Done,
    /// An error that the server reports. The chunk that it came with, if any, is
    /// [`UpstreamError::chunk`].
    Error(UpstreamError<'a>),
    /// An event that can't be read; the next one is read normally.
    Malformed(Error),
    /// A comment, which servers send as a keep-alive.
    Comment,
    /// Nothing that a client has to do with: blank lines, blocks without data, unknown lines,
    /// and what is left of an event that went over a limit.
    Ignored,
}

impl Payload<'_> {
    /// What kinds of things the payload brings. Costs a look at the chunk's table.
    #[must_use]
    pub fn carries(&self) -> Carries {
        let mut carries = Carries::default();
        match self {
            Self::Chunk(chunk) => return chunk.carries(),
            Self::Error(error) => {
                carries = error.chunk().map(|chunk| chunk.carries()).unwrap_or_default();
                carries.error = true;
            }
            Self::Done => carries.done = true,
            Self::Malformed(_) | Self::Comment | Self::Ignored => {}
        }
        carries
    }
}

/// An event with its payload.
#[derive(Clone, Copy)]
pub struct ChunkEvent<'a> {
    event: Event<'a>,
    payload: Payload<'a>,
    leniencies: Leniencies,
}

impl<'a> ChunkEvent<'a> {
    /// What the event says.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> Payload<'a> {
        self.payload
    }

    /// The event as it was framed.
    #[inline]
    #[must_use]
    pub const fn event(&self) -> &Event<'a> {
        &self.event
    }

    /// The event's bytes as they came; see [`Event::raw`].
    #[inline]
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.event.raw()
    }

    /// Where the event begins: bytes from the start of the stream.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.event.offset()
    }

    /// What of the payload was let pass though it isn't quite JSON; see
    /// [`ChunkDecoder::set_strict`].
    #[must_use]
    pub const fn leniencies(&self) -> Leniencies {
        self.leniencies
    }
}

impl fmt::Debug for ChunkEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkEvent")
            .field("event", &self.event)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

/// What [`ChunkDecoder::finish`] tells about a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// Length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closed: by the standard it is dropped.
    pub discarded_bytes: u64,
    /// Whether the stream ended inside of an event or line, comments included.
    pub is_cut: bool,
    /// Dispatched events, `[DONE]` included.
    pub events: u64,
    /// Events that are chunks.
    pub chunks: u64,
    /// Events that can't be read.
    pub malformed: u64,
    /// How often `[DONE]` came, one that lacks its blank line at the end included.
    pub done: u64,
    /// Chunks and errors behind the first `[DONE]`.
    pub after_done: u64,
    /// What was let pass in all payloads though it isn't quite JSON.
    pub leniencies: Leniencies,
    /// The first error that the server reported.
    pub upstream_error: Option<UpstreamFailure>,
    /// What the body is instead, if it is no event stream.
    pub body: Option<Body>,
}

impl End {
    /// Whether there was nothing but comments and blank lines, if that.
    pub(crate) fn is_empty(&self) -> bool {
        self.events == 0 && self.malformed == 0 && !self.is_cut
    }
}

/// An [`UpstreamError`] that is kept.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamFailure {
    /// Where its event begins: bytes from the start of the stream.
    pub offset: u64,
    /// The message. It may quote prompts and keys.
    pub message: Option<String>,
    /// The code; a number as its text.
    pub code: Option<String>,
    /// The type.
    pub r#type: Option<String>,
    /// The parameter of the request that is at fault.
    pub param: Option<String>,
}

/// Shows no text: messages quote prompts and keys.
impl fmt::Debug for UpstreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamFailure").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// What a body is that is no event stream, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Body {
    /// A JSON text: an error, or a completion that wasn't streamed.
    Json,
    /// HTML or XML, mostly an error page.
    Html,
    /// Compressed, with gzip or zstd.
    Compressed,
    /// Something else.
    Other,
}

impl Body {
    /// What a body that begins with `bytes` looks like.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match text.trim_ascii_start() {
            [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Compressed,
            [b'{' | b'[' | b'"', ..] => Self::Json,
            [b'<', ..] => Self::Html,
            _ => Self::Other,
        }
    }
}

impl ChunkDecoder {
    /// A decoder at the start of a stream, with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// A decoder at the start of a stream.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            sse: SseDecoder::with_limits(limits),
            readers: Readers::new(&limits),
            end: End::default(),
            is_event_stream: false,
        }
    }

    /// Takes the next event from the front of `input`, and `input` forward past it.
    ///
    /// `None` means that all of `input` has been taken and more is needed. Whatever the server
    /// sends is an event: see [`Payload`].
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<ChunkEvent<'a>> {
        let Self { sse, readers, end, is_event_stream } = self;
        let event = sse.next(input)?;
        Some(read(event, readers, end, is_event_stream))
    }

    /// The last event, where the stream ended before the blank line that would close it; see
    /// [`SseDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<ChunkEvent<'_>> {
        let Self { sse, readers, end, is_event_stream } = self;
        let event = sse.salvage()?;
        Some(read(event, readers, end, is_event_stream))
    }

    /// Tells at the end of the input how the stream was.
    ///
    /// What an unfinished last event says is dropped, as the standard has it, with one
    /// exception: an unfinished `[DONE]` counts, for it can't be anything else.
    pub fn finish(&mut self) -> End {
        let framing = self.sse.finish();
        let mut end = self.end.clone();
        end.bytes = framing.bytes;
        end.discarded_bytes = framing.discarded_bytes;
        let mut is_event_stream = self.is_event_stream;
        let left = self.sse.buffered();
        let is_start = self.sse.offset() == left.len() as u64;
        // A decoder of its own looks at what is left as if it were complete: in the stream's
        // decoder it must not take effect. Only the start of a stream may have a byte order mark.
        let mut decoder = SseDecoder::with_limits(*self.sse.limits());
        for mut input in [if is_start { &b""[..] } else { b"\n" }, left, b"\n\n"] {
            while let Some(event) = decoder.next(&mut input) {
                match event.kind() {
                    EventKind::Message if is_done(event.data()) => end.done += 1,
                    EventKind::Unknown if end.body.is_none() => end.body = Some(Body::of(left)),
                    _ => {}
                }
                is_event_stream |= says_event_stream(&event, end.body);
                end.is_cut |= event.kind() != EventKind::Blank;
            }
        }
        if is_event_stream {
            end.body = None;
        }
        end
    }

    /// Whether payloads must be JSON to the letter of RFC 8259, with numbers and strings that
    /// every reader takes. At first they needn't.
    ///
    /// Real streams have what many JSON readers turn down: each of [`Leniencies`] is let pass and
    /// counted, and the chunk can be read. In a strict decoder it makes its event
    /// [`Payload::Malformed`], with its offset.
    ///
    /// ```
    /// use deltawire::{ChunkDecoder, ErrorKind, Payload};
    ///
    /// let stream = b"data: {\"logprob\": NaN}\n\n";
    /// let mut decoder = ChunkDecoder::new();
    /// let event = decoder.next(&mut &stream[..]).unwrap();
    /// assert_eq!(event.leniencies().not_finite, 1);
    ///
    /// decoder.set_strict(true);
    /// let event = decoder.next(&mut &stream[..]).unwrap();
    /// let Payload::Malformed(error) = event.payload() else { panic!() };
    /// assert_eq!((error.kind(), error.offset()), (ErrorKind::NotFinite, 24 + 18));
    /// ```
    pub const fn set_strict(&mut self, strict: bool) {
        self.readers.set_strict(strict);
    }

    /// Makes the decoder ready for another stream; keeps the limits, the strictness and the
    /// buffers, nothing else.
    pub fn reset(&mut self) {
        self.sse.reset();
        self.end = End::default();
        self.is_event_stream = false;
    }

    /// The framing half, for what it tells of the stream.
    #[must_use]
    pub const fn sse(&self) -> &SseDecoder {
        &self.sse
    }

    /// Sets the last event ID with which a reconnected stream begins.
    pub fn set_last_event_id(&mut self, id: &str) {
        self.sse.set_last_event_id(id);
    }
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkDecoder")
            .field("sse", &self.sse)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Whether an event shows that the body is an event stream. A comment does only where nothing
/// came before it that is none: HTML and compressed bodies have lines that begin with a colon.
fn says_event_stream(event: &Event<'_>, body: Option<Body>) -> bool {
    match event.kind() {
        EventKind::Message | EventKind::Undispatched | EventKind::TooLarge => true,
        EventKind::Comment => body.is_none(),
        EventKind::Unknown | EventKind::Blank | EventKind::Skipped => false,
    }
}

/// Reads the payload of `event` and takes note of it in `end`.
fn read<'a>(
    event: Event<'a>,
    readers: &'a mut Readers,
    end: &mut End,
    is_event_stream: &mut bool,
) -> ChunkEvent<'a> {
    let mut leniencies = Leniencies::default();
    *is_event_stream |= says_event_stream(&event, end.body);
    let payload = match event.kind() {
        EventKind::Message => {
            end.events += 1;
            message(&event, readers, &mut leniencies)
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
        Payload::Chunk(_) => {
            end.chunks += 1;
            end.after_done += u64::from(end.done > 0);
        }
        Payload::Done => end.done += 1,
        Payload::Error(error) => note_error(end, &error, event.offset()),
        Payload::Malformed(_) => end.malformed += 1,
        Payload::Comment | Payload::Ignored => {}
    }
    ChunkEvent { event, payload, leniencies }
}

/// What the data of a dispatched event says.
#[inline]
fn message<'a>(
    event: &Event<'a>,
    readers: &'a mut Readers,
    leniencies: &mut Leniencies,
) -> Payload<'a> {
    let data = event.data();
    let is_error = event.event_type() == "error";
    if is_done(data) && !is_error {
        return Payload::Done;
    }
    readers.settle(data.len());
    let Readers { parser, side, table, .. } = readers;
    let error_line = event.has_unknown_lines().then(|| error_line(event)).flatten();
    let is_error = is_error || error_line.is_some();
    let read = parser.parse(data).map(|(document, found)| {
        *leniencies = found;
        document
    });
    let chunk = match read {
        Ok(document) if document.kind(0) == Some(Kind::Object) => {
            table.fill(document).map(|()| ChatCompletionChunk::new(document, table))
        }
        Ok(_) => Err(Error::new(ErrorKind::ExpectedObject, 0)),
        Err(error) => Err(error),
    };
    if let Some(text) = error_line {
        return Payload::Error(text_error(text, side, chunk.ok(), leniencies));
    }
    match chunk {
        Ok(chunk) => match chunk.error() {
            Some(error) => Payload::Error(error),
            None if is_error => {
                Payload::Error(UpstreamError::new(Some(chunk.as_value()), b"", Some(chunk)))
            }
            None => Payload::Chunk(chunk),
        },
        Err(_) if is_error => {
            let value = read.ok().map(|document| Value::new(document, 0));
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
    if let Some(text) = error_line(event) {
        return Payload::Error(text_error(text, &mut readers.side, None, leniencies));
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
    let Readers { side, .. } = readers;
    if let Some(text) = error_line(event) {
        *is_event_stream = true;
        return Payload::Error(text_error(text, side, None, leniencies));
    }
    if end.body.is_none() {
        end.body = Some(Body::of(event.raw()));
    }
    let line = event.unknown_lines().next().unwrap_or_default();
    if *is_event_stream
        && line.starts_with(b"{")
        && let Ok((document, found)) = side.parse(line)
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
    parser: &'a mut Parser,
    chunk: Option<ChatCompletionChunk<'a>>,
    leniencies: &mut Leniencies,
) -> UpstreamError<'a> {
    let Ok((document, found)) = parser.parse(text) else {
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
        let code = error.get("code");
        let text =
            code.and_then(|code| code.as_str().or_else(|| code.as_i64().map(|_| code.raw())));
        end.upstream_error = Some(UpstreamFailure {
            offset,
            message: error.message().map(Into::into),
            code: text.map(Into::into),
            r#type: error.r#type().map(Into::into),
            param: error.param().map(Into::into),
        });
    }
}

/// `[DONE]`, with the white space that servers put around it.
#[inline]
fn is_done(data: &[u8]) -> bool {
    data.len() >= 6
        && data.first().is_some_and(|first| *first != b'{')
        && data.trim_ascii() == b"[DONE]"
}
