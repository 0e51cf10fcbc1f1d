//! `ChunkDecoder`: events with their payload read; the one place that knows framing and JSON.

mod payload;
mod payload_parser;
mod summary;
mod torn;

pub use payload::{ChunkEvent, OtherObject, Payload};
pub use summary::{Api, Body, End, UpstreamFailure};
pub(crate) use summary::{FailureBuffer, LONGEST_REASON, ends_badly};

use core::fmt;

use crate::chunk::{ChatCompletionChunk, ChunkIndex};
use crate::json::Leniencies;
use crate::limits::Limits;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
use crate::sse::EventSpan;
use crate::sse::SseDecoder;
use crate::template::{MatchedEvent, TemplateMatch};
use payload_parser::{PayloadParser, read, read_last};
use summary::Rest;

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
    readers: PayloadParser,
    end: End,
    /// The stream has had a field or a comment, so it is one.
    is_event_stream: bool,
}

/// An event that was found, without the piece that it was found in.
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub(crate) enum Place {
    TemplateMatch(TemplateMatch),
    Framed(EventSpan, bool),
}

/// What [`ChunkDecoder::look`] has found.
pub(crate) enum Peeked<'l> {
    /// The chunk of an event that is like an earlier one.
    Like(&'l ChatCompletionChunk<'l>),
    Any(&'l ChunkEvent<'l>),
}

#[cfg(any(feature = "stream", feature = "tokio-codec"))]
impl Place {
    /// Bytes of the piece that the event takes.
    pub(crate) const fn taken(&self) -> usize {
        match self {
            Self::TemplateMatch(matched) => matched.len,
            Self::Framed(span, _) => span.len,
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
            readers: PayloadParser::new(&limits),
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
        if input.is_empty() { None } else { self.next_event(input) }
    }

    fn next_event<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<ChunkEvent<'a>> {
        let piece = *input;
        let (matched, may_match_template) = self.match_prefix(piece);
        if let Some(matched) = matched
            && let Some((raw, rest)) = piece.split_at_checked(matched.len)
        {
            *input = rest;
            return Some(self.emit_templated(matched, raw));
        }
        self.next_framed(input, may_match_template)
    }

    /// [`next`](Self::next) for whoever only looks at it: of an event that fits a shape nothing is made
    /// but the view of its chunk.
    #[expect(
        clippy::inline_always,
        reason = "measured: an event that is handed over costs a tenth"
    )]
    #[inline(always)]
    pub(crate) fn peek<R>(
        &mut self,
        input: &mut &[u8],
        at: impl FnOnce(Peeked<'_>) -> R,
    ) -> Option<R> {
        let piece = *input;
        if piece.is_empty() {
            return None;
        }
        let (matched, may_match_template) = self.match_prefix(piece);
        if let Some(matched) = matched
            && let Some((raw, rest)) = piece.split_at_checked(matched.len)
        {
            *input = rest;
            let (sse, MatchedEvent { document, index, .. }) = self.count_templated(matched, raw);
            let chunk = ChatCompletionChunk::new(document, index);
            sse.advance(raw.len());
            return Some(at(Peeked::Like(&chunk)));
        }
        self.next_framed(input, may_match_template).map(|event| at(Peeked::Any(&event)))
    }

    /// The next event, which fits no shape.
    #[inline(never)]
    fn next_framed<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        may_match_template: bool,
    ) -> Option<ChunkEvent<'a>> {
        let Self { sse, readers, end, is_event_stream } = self;
        let event = sse.next(input)?;
        Some(read(event, readers, (end, is_event_stream), may_match_template))
    }

    /// The shape that the event at the front of a piece fits, and whether an event that is cut may
    /// still fit one.
    #[expect(clippy::inline_always, reason = "it is a part of `next_event`")]
    #[inline(always)]
    fn match_prefix(&mut self, piece: &[u8]) -> (Option<TemplateMatch>, bool) {
        let is_on = self.readers.templates.is_on();
        let most = if is_on { self.sse.between_events() } else { None };
        let matched = most.and_then(|most| {
            self.readers.templates.match_prefix(piece.get(..most).unwrap_or(piece))
        });
        (matched, is_on && most.is_none())
    }

    /// [`next`](Self::next) in two halves, of which this one borrows nothing: for whoever has to
    /// know that there is an event before lending it out. Takes all of the piece if there is none.
    #[cfg(any(feature = "stream", feature = "tokio-codec"))]
    pub(crate) fn find(&mut self, piece: &[u8]) -> Option<Place> {
        if piece.is_empty() {
            return None;
        }
        let (matched, may_match_template) = self.match_prefix(piece);
        if let Some(matched) = matched {
            return Some(Place::TemplateMatch(matched));
        }
        self.sse.locate(piece).map(|span| Place::Framed(span, may_match_template))
    }

    /// The other half: the event whose place was found last, in the piece's first
    /// [`taken`](Place::taken) bytes.
    #[cfg(any(feature = "stream", feature = "tokio-codec"))]
    pub(crate) fn emit<'a>(&'a mut self, place: Place, taken: &'a [u8]) -> ChunkEvent<'a> {
        match place {
            Place::TemplateMatch(matched) => self.emit_templated(matched, taken),
            Place::Framed(span, may_match_template) => {
                let Self { sse, readers, end, is_event_stream } = self;
                let event = sse.emit(span, taken);
                read(event, readers, (end, is_event_stream), may_match_template)
            }
        }
    }

    /// The event that `raw` is, which fits a shape.
    #[inline]
    fn emit_templated<'a>(&'a mut self, matched: TemplateMatch, raw: &'a [u8]) -> ChunkEvent<'a> {
        let (sse, MatchedEvent { data, event_type, document, index }) =
            self.count_templated(matched, raw);
        let chunk = ChatCompletionChunk::new(document, index);
        let event = sse.emit_templated(raw, data, event_type);
        ChunkEvent { event, payload: Payload::Chunk(chunk), leniencies: Leniencies::default() }
    }

    /// Counts an event that fits a shape; gives its parts, and the framing half, which is to be told.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs a sixth of an event")]
    #[inline(always)]
    fn count_templated<'a>(
        &'a mut self,
        matched: TemplateMatch,
        raw: &'a [u8],
    ) -> (&'a mut SseDecoder, MatchedEvent<'a, ChunkIndex>) {
        let Self { sse, readers, end, is_event_stream } = self;
        readers.shrink_if_idle(raw.len());
        end.events += 1;
        end.chunks += 1;
        end.after_done += u64::from(end.done > 0);
        *is_event_stream = true;
        (sse, readers.templates.read(matched, raw))
    }

    /// The last event, where the stream ended before the blank line that would close it; see
    /// [`SseDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<ChunkEvent<'_>> {
        let Self { sse, readers, end, is_event_stream } = self;
        let event = sse.salvage()?;
        Some(read_last(event, readers, (end, is_event_stream), false))
    }

    /// Returns the counts and the state of the stream, at the end of the input.
    ///
    /// An unfinished last event is dropped, as the standard requires, with three exceptions:
    ///
    /// - An unfinished `[DONE]` counts, because it can't be anything else.
    /// - A failure counts, so that the end of the stream isn't clean. A failure is an error, a
    ///   finish reason that names one, or an event over a limit.
    /// - The [`api`](End::api) of an object that is no chunk is stored.
    ///
    /// Copies bytes of an unfinished event only to join its `data` lines and to store a failure.
    pub fn finish(&mut self) -> End {
        let framing = self.sse.finish();
        let Self { sse, readers, end, is_event_stream } = self;
        let mut end = end.clone();
        let mut is_event_stream = *is_event_stream;
        end.bytes = framing.bytes;
        end.discarded_bytes = framing.discarded_bytes;
        sse.peek_rest(|event| {
            read_last(*event, readers, (&mut end, &mut is_event_stream), true);
        });
        if sse.is_skipping() {
            end.is_cut = true;
            end.rest = end.rest.max(Rest::Aside);
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

    /// Whether events that are like earlier ones may be read by what they have in common, which is
    /// many times faster. At first they may.
    ///
    /// It can't be told from what the decoder gives: this is for tests, and for whoever wants to see
    /// for themselves.
    pub const fn set_shapes(&mut self, on: bool) {
        self.readers.templates.set_on(on);
    }

    /// Makes the decoder ready for another stream; keeps the limits, the settings and the buffers,
    /// nothing else.
    pub fn reset(&mut self) {
        self.sse.reset();
        self.readers.templates.reset();
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

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::{ChunkDecoder, ChunkEvent, Payload};

    /// Decodes events, each in a piece of its own; which of them fitted a shape.
    fn fits(decoder: &mut ChunkDecoder, events: &[String]) -> Vec<bool> {
        let mut fits = Vec::new();
        for event in events {
            decoder.sse.between_events();
            fits.push(decoder.readers.templates.match_prefix(event.as_bytes()).is_some());
            let event = decoder.next(&mut event.as_bytes());
            let payload = event.as_ref().map(ChunkEvent::payload);
            assert!(matches!(payload, Some(Payload::Chunk(_) | Payload::Done)), "{payload:?}");
        }
        fits
    }

    fn content(text: &str) -> String {
        format!("data: {{\"id\":\"c\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    }

    #[test]
    fn the_third_event_of_an_ordinary_stream_fits() {
        let role = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
        let events = [role.to_owned(), content("He"), content("llo"), content(""), content("é\\n")];
        let mut decoder = ChunkDecoder::new();
        assert_eq!(fits(&mut decoder, &events), [false, false, true, true, true]);
        decoder.reset();
        assert_eq!(fits(&mut decoder, &events), [false, false, true, true, true]);
        decoder.set_shapes(false);
        decoder.reset();
        assert_eq!(decoder.next(&mut content("a").as_bytes()).map(|event| event.offset()), Some(0));
    }

    /// Other line ends, no space, an event type, JSON with spaces: they are only other literals.
    #[test]
    fn any_framing_of_one_line_is_learned() {
        for frame in [
            |json: &str| format!("data: {json}\r\n\r\n"),
            |json: &str| format!("data:{json}\n\n"),
            |json: &str| format!("event: delta\ndata: {json}\n\n"),
            |json: &str| format!("event: delta\r\ndata: {json}\r\n\r\n"),
            |json: &str| format!("data: {} \n\n", json.replace(':', " : ").replace(',', ", ")),
        ] {
            let event = |text| frame(&format!("{{\"n\":{text},\"choices\":[]}}"));
            let events = ["1", "22", "3"].map(event);
            assert_eq!(fits(&mut ChunkDecoder::new(), &events), [false, true, true], "{events:?}");
        }
        // What an `id` or `retry` says outlives its event, and so does a comment's count.
        for (before, behind) in [
            ("", "id: 1\n"),
            ("", "retry: 5\n"),
            ("", ": ping\n"),
            ("", "data\n"),
            ("", "other\n"),
            ("id: 1\n", ""),
            ("retry: 5\n", ""),
            ("event: delta\nid: 1\n", ""),
        ] {
            let event =
                |number| format!("{before}data: {{\"n\":{number},\"choices\":[]}}\n{behind}\n");
            let events = [1, 2, 3].map(event);
            assert_eq!(fits(&mut ChunkDecoder::new(), &events), [false; 3], "{events:?}");
        }
    }

    #[test]
    fn two_shapes_in_turn_both_fit() {
        let other = |index| format!("data: {{\"choices\":[],\"x\":{index}}}\n\n");
        let events: Vec<_> = (0..9)
            .map(|number| if number % 2 == 0 { content("a") } else { other(number) })
            .collect();
        let fits = fits(&mut ChunkDecoder::new(), &events);
        assert_eq!(fits[..2], [false; 2]);
        assert_eq!(fits[2..], [true; 7]);
    }

    /// Holes that an event has made which doesn't fit in the end are taken back: a shape has few.
    #[test]
    fn holes_made_in_vain_are_taken_back() {
        let event = |changed: core::ops::Range<usize>, end: &str| {
            let leaves: Vec<_> = (0..16)
                .map(|at| format!("\"n{at}\":{}", u8::from(changed.contains(&at))))
                .collect();
            format!("data: {{{},{end},\"choices\":[]}}\n\n", leaves.join(","))
        };
        let plain = || event(0..0, "\"a\":[]");
        let mut events = vec![plain(); 10];
        events.push(event(0..6, "\"b\":{}"));
        events.extend(vec![plain(); 10]);
        events.push(event(6..12, "\"c\":0"));
        events.push(event(12..16, "\"a\":[]"));
        let found = fits(&mut ChunkDecoder::new(), &events);
        let expected = (0..events.len()).map(|at| !matches!(at, 0 | 10 | 21));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    /// A stream in which nothing repeats is soon left alone, now and then tried again, and shapes
    /// are back when it becomes an ordinary one.
    #[test]
    fn learning_rests_and_recovers() {
        let mut decoder = ChunkDecoder::new();
        let odd = |number: usize| {
            format!("data: {{\"k{number}\":[],\"n{}\":0,\"usage\":{{}}}}\n\n", number * 7)
        };
        let events: Vec<_> = (0..3000).map(odd).collect();
        assert!(!fits(&mut decoder, &events).contains(&true));
        let events: Vec<_> = (0..600).map(|number| content(&number.to_string())).collect();
        let fits = fits(&mut decoder, &events);
        assert!(fits[520..].iter().all(|fits| *fits));
        // While it rests an event isn't learned, and the next one, which is like it, doesn't fit.
        let rests = |count: usize| {
            let mut decoder = ChunkDecoder::new();
            let odd: Vec<_> = (0..count).map(odd).collect();
            self::fits(&mut decoder, &odd);
            self::fits(&mut decoder, &[content("a"), content("b")]) == [false, false]
        };
        assert!((100..140).any(rests) && !(0..5).any(rests));
    }
}
