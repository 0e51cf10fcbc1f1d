//! `ChunkDecoder`: events with their payload read; the one place that knows framing and JSON.

use core::fmt;

use crate::chunk::{ChatCompletionChunk, Table, UpstreamError};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventKind};
use crate::json::{Document, Kind, Leniencies, Parser, Value};
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
#[derive(Default)]
pub struct ChunkDecoder {
    sse: SseDecoder,
    parser: Parser,
    table: Table,
    end: End,
    /// The stream has had a field or a comment, so it is one.
    is_event_stream: bool,
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

    /// Escaped halves of surrogate pairs whose other half isn't beside them: each reads as
    /// U+FFFD.
    #[must_use]
    pub const fn lone_surrogates(&self) -> u32 {
        self.leniencies.lone_surrogates
    }

    /// How often the payload has `NaN`, `Infinity` or `-Infinity`, which are no JSON.
    #[must_use]
    pub const fn not_finite(&self) -> u32 {
        self.leniencies.not_finite
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
    /// The first error that the server reported.
    pub upstream_error: Option<UpstreamFailure>,
    /// What the body is instead, if it is no event stream.
    pub body: Option<Body>,
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
        match bytes.trim_ascii_start() {
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
        Self::default()
    }

    /// A decoder at the start of a stream.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { sse: SseDecoder::with_limits(limits), ..Self::default() }
    }

    /// Takes the next event from the front of `input`, and `input` forward past it.
    ///
    /// `None` means that all of `input` has been taken and more is needed. Whatever the server
    /// sends is an event: see [`Payload`].
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<ChunkEvent<'a>> {
        let Self { sse, parser, table, end, is_event_stream } = self;
        let depth = sse.limits().json_depth;
        let event = sse.next(input)?;
        Some(read(event, parser, table, end, is_event_stream, depth))
    }

    /// The last event, where the stream ended before the blank line that would close it; see
    /// [`SseDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<ChunkEvent<'_>> {
        let Self { sse, parser, table, end, is_event_stream } = self;
        let depth = sse.limits().json_depth;
        let event = sse.salvage()?;
        Some(read(event, parser, table, end, is_event_stream, depth))
    }

    /// Tells at the end of the input how the stream was.
    ///
    /// What an unfinished last event says is dropped, as the standard has it, with one
    /// exception: an unfinished `[DONE]` counts, for it can't be anything else.
    pub fn finish(&mut self) -> End {
        let framing = self.sse.finish();
        self.end.bytes = framing.bytes;
        self.end.discarded_bytes = framing.discarded_bytes;
        if let Some(event) = self.sse.salvage() {
            if event.kind() == EventKind::Message {
                self.is_event_stream = true;
                self.end.done += u64::from(is_done(event.data()));
            }
            if self.end.body.is_none() {
                self.end.body = Some(Body::of(event.raw()));
            }
        }
        if self.is_event_stream {
            self.end.body = None;
        }
        self.end.clone()
    }

    /// Makes the decoder ready for another stream; keeps the limits and the buffers, nothing
    /// else.
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

impl fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkDecoder")
            .field("sse", &self.sse)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Reads the payload of `event` and takes note of it in `end`.
fn read<'a>(
    event: Event<'a>,
    parser: &'a mut Parser,
    table: &'a mut Table,
    end: &mut End,
    is_event_stream: &mut bool,
    depth: usize,
) -> ChunkEvent<'a> {
    let mut leniencies = Leniencies::default();
    let payload = match event.kind() {
        EventKind::Message => {
            *is_event_stream = true;
            end.events += 1;
            message(&event, parser, table, depth, &mut leniencies)
        }
        EventKind::Undispatched => {
            *is_event_stream = true;
            undispatched(&event)
        }
        EventKind::Comment => {
            *is_event_stream = true;
            Payload::Comment
        }
        EventKind::Unknown => {
            if end.body.is_none() {
                end.body = Some(Body::of(event.raw()));
            }
            unknown(&event, parser, depth)
        }
        EventKind::TooLarge => Payload::Malformed(
            event.error().unwrap_or(Error::new(ErrorKind::EventTooLarge, event.offset())),
        ),
        EventKind::Blank | EventKind::Skipped => Payload::Ignored,
    };
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
    parser: &'a mut Parser,
    table: &'a mut Table,
    depth: usize,
    leniencies: &mut Leniencies,
) -> Payload<'a> {
    let data = event.data();
    if is_done(data) {
        return Payload::Done;
    }
    let is_error = event.event_type() == "error";
    match parser.parse(data, depth) {
        Ok(found) => *leniencies = found,
        Err(_) if is_error => return Payload::Error(UpstreamError::new(None, data, None)),
        Err(error) => {
            let position = usize::try_from(error.offset()).unwrap_or(usize::MAX);
            return Payload::Malformed(Error::new(error.kind(), event.data_offset(position)));
        }
    }
    let document = parser.document(data);
    if document.kind(0) != Some(Kind::Object) {
        if is_error {
            return Payload::Error(UpstreamError::new(Some(Value::new(document, 0)), b"", None));
        }
        return Payload::Malformed(Error::new(ErrorKind::ExpectedObject, event.data_offset(0)));
    }
    table.fill(document);
    let chunk = ChatCompletionChunk::new(document, table);
    match chunk.error() {
        Some(error) => Payload::Error(error),
        None if is_error => {
            Payload::Error(UpstreamError::new(Some(chunk.as_value()), b"", Some(chunk)))
        }
        None => Payload::Chunk(chunk),
    }
}

/// `event: error` without data: Dynamo sends the message as a comment.
#[cold]
fn undispatched<'a>(event: &Event<'a>) -> Payload<'a> {
    if event.event_type() == "error" {
        return Payload::Error(UpstreamError::new(
            None,
            event.comments().next().unwrap_or_default(),
            None,
        ));
    }
    Payload::Ignored
}

/// `error: {…}`, with or without a name of its own inside.
#[cold]
fn unknown<'a>(event: &Event<'a>, parser: &'a mut Parser, depth: usize) -> Payload<'a> {
    let line = event.unknown_lines().next().unwrap_or_default();
    let Some(text) = line.strip_prefix(b"error:").map(<[u8]>::trim_ascii) else {
        return Payload::Ignored;
    };
    if parser.parse(text, depth).is_err() {
        return Payload::Error(UpstreamError::new(None, text, None));
    }
    let document: Document<'a> = parser.document(text);
    let value = Value::new(document, 0);
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    Payload::Error(UpstreamError::new(Some(error), b"", None))
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
