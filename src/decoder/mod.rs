//! `ChunkDecoder`: frames a stream into events and parses their payloads.

mod bare_line;
mod payload;
mod payload_parser;
#[cfg(feature = "serde")]
mod serde;
mod summary;
mod templates;
mod torn;

pub use payload::{ChunkEvent, Payload};
pub(crate) use payload_parser::is_done;
pub use summary::StreamSummary;
pub(crate) use summary::{LONGEST_REASON, ends_badly};

use core::fmt;

use crate::chunk::{ChatCompletionChunk, ChunkIndex};
use crate::json::JsonDeviations;
use crate::limits::Limits;
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
use crate::sse::EventSpan;
use crate::sse::SseDecoder;
use crate::template::{MatchedEvent, TemplateMatch};
use payload_parser::{PayloadParser, read, read_comment, read_last};
use summary::{Counts, Rest};
pub use templates::Templates;

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
/// Allocates nothing once the buffers have the size of the events.
pub struct ChunkDecoder {
    parts: Parts,
}

/// The parts of a decoder.
#[repr(C)] // A match needs the end of the readers and the fields behind them.
struct Parts {
    /// The counts without `matched`.
    end: Counts,
    readers: PayloadParser,
    /// The number of events that have matched a template since `end` was last used.
    matched: u64,
    sse: SseDecoder,
}

impl Parts {
    /// Adds the matches to the counts, for an event that matches no template.
    #[inline]
    fn count_matches(&mut self) -> &mut Self {
        if self.matched > 0 {
            self.end.add_matches(core::mem::take(&mut self.matched));
        }
        self
    }

    /// Returns the counts so far.
    fn counts(&self) -> Counts {
        let mut counts = self.end.clone();
        counts.add_matches(self.matched);
        counts
    }
}

/// The position of an event in its piece, without a borrow of the piece.
#[cfg(any(feature = "stream", feature = "tokio-codec"))]
pub(crate) enum Place {
    TemplateMatch(TemplateMatch),
    Framed(EventSpan, bool),
}

/// The result of [`ChunkDecoder::peek`].
pub(crate) enum Peeked<'l> {
    /// The chunk of an event that matches a template.
    Like(&'l ChatCompletionChunk<'l>),
    Any(&'l ChunkEvent<'l>),
}

#[cfg(any(feature = "stream", feature = "tokio-codec"))]
impl Place {
    /// Returns the number of bytes of the piece that the event consumes.
    pub(crate) const fn taken(&self) -> usize {
        match self {
            Self::TemplateMatch(matched) => matched.len,
            Self::Framed(span, _) => span.len,
        }
    }
}

impl ChunkDecoder {
    /// Creates a decoder with the default [`Limits`]. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// Creates a decoder with limits. Allocates limits that aren't the default ones.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        let parts = Parts {
            end: Counts::default(),
            readers: PayloadParser::new(&limits, Templates::shared().set()),
            matched: 0,
            sse: SseDecoder::with_limits(limits),
        };
        Self { parts }
    }

    /// Consumes the next event from the front of `input`, and returns it.
    ///
    /// `None` means that all of `input` is consumed and the decoder needs more. Every byte of a
    /// stream belongs to one event: see [`Payload`]. The raw bytes of an event that is whole
    /// in `input` are not copied.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<ChunkEvent<'a>> {
        match input.first() {
            None => None,
            Some(b':') => self.next_comment(input),
            Some(_) => self.next_event(input),
        }
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

    /// Consumes the next event as [`next`](Self::next) does, but only borrows it to `at`.
    ///
    /// Of an event that matches a template, only the chunk is made.
    #[inline]
    pub(crate) fn peek<R>(
        &mut self,
        input: &mut &[u8],
        at: impl FnOnce(Peeked<'_>) -> R,
    ) -> Option<R> {
        let piece = *input;
        if let b':' = piece.first()? {
            return self.next_comment(input).map(|event| at(Peeked::Any(&event)));
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

    /// Returns the next event, whose first byte is a colon if it begins in the piece.
    ///
    /// A whole comment, such as a heartbeat, needs less work than another event.
    #[inline(never)]
    fn next_comment<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<ChunkEvent<'a>> {
        let len = self.parts.sse.count_comment(input);
        let Some((raw, rest)) = len.and_then(|len| input.split_at_checked(len)) else {
            return self.next_event(input);
        };
        *input = rest;
        let Parts { sse, end, .. } = self.parts.count_matches();
        Some(read_comment(sse.emit_comment(raw), end))
    }

    /// Returns the next event by the general path.
    #[inline(never)]
    fn next_framed<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        may_match_template: bool,
    ) -> Option<ChunkEvent<'a>> {
        let Parts { sse, readers, end, .. } = self.parts.count_matches();
        let event = sse.next(input)?;
        Some(read(event, readers, end, may_match_template))
    }

    /// Returns the match of the event at the front of a piece.
    ///
    /// Also returns true if an event that the piece only continues may match once it is whole.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 6 % of an event")]
    #[inline(always)]
    fn match_prefix(&mut self, piece: &[u8]) -> (Option<TemplateMatch>, bool) {
        let most = self.parts.sse.between_events(piece);
        let matched = most.and_then(|most| {
            self.parts.readers.templates.match_prefix(piece.get(..most).unwrap_or(piece))
        });
        (matched, most.is_none())
    }

    /// Finds the next event of a piece, and borrows nothing: the first half of
    /// [`next`](Self::next).
    ///
    /// [`emit`](Self::emit) is the second half. Returns `None` if the piece has no further event;
    /// the decoder has consumed all of it then.
    #[cfg(any(feature = "stream", feature = "tokio-codec"))]
    pub(crate) fn find(&mut self, piece: &[u8]) -> Option<Place> {
        if piece.is_empty() {
            return None;
        }
        let (matched, may_match_template) = self.match_prefix(piece);
        if let Some(matched) = matched {
            return Some(Place::TemplateMatch(matched));
        }
        self.parts.sse.locate(piece).map(|span| Place::Framed(span, may_match_template))
    }

    /// Returns the event that was found last, from the [`taken`](Place::taken) first bytes of its
    /// piece.
    #[cfg(any(feature = "stream", feature = "tokio-codec"))]
    pub(crate) fn emit<'a>(&'a mut self, place: Place, taken: &'a [u8]) -> ChunkEvent<'a> {
        match place {
            Place::TemplateMatch(matched) => self.emit_templated(matched, taken),
            Place::Framed(span, may_match_template) => {
                let Parts { sse, readers, end, .. } = self.parts.count_matches();
                let event = sse.emit(span, taken);
                read(event, readers, end, may_match_template)
            }
        }
    }

    /// Returns the event `raw`, which matches a template.
    #[inline]
    fn emit_templated<'a>(&'a mut self, matched: TemplateMatch, raw: &'a [u8]) -> ChunkEvent<'a> {
        let (sse, MatchedEvent { data, document, index }) = self.count_templated(matched, raw);
        let chunk = ChatCompletionChunk::new(document, index);
        let event = sse.emit_templated(raw, data);
        ChunkEvent { event, payload: Payload::Chunk(chunk), deviations: &JsonDeviations::NONE }
    }

    /// Counts an event that matches a template; returns its parts, and the framing half to advance.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 11 % of an event")]
    #[inline(always)]
    fn count_templated<'a>(
        &'a mut self,
        matched: TemplateMatch,
        raw: &'a [u8],
    ) -> (&'a mut SseDecoder, MatchedEvent<'a, ChunkIndex>) {
        let Parts { sse, readers, matched: count, .. } = &mut self.parts;
        readers.shrink_if_idle(raw.len());
        *count += 1;
        (sse, readers.templates.read(matched, raw))
    }

    /// Returns the last event, if the stream ended before the blank line that closes it.
    ///
    /// See [`SseDecoder::salvage`].
    pub fn salvage(&mut self) -> Option<ChunkEvent<'_>> {
        let Parts { sse, readers, end, .. } = self.parts.count_matches();
        let event = sse.salvage()?;
        Some(read_last(event, readers, end, false))
    }

    /// Returns true if a whole line was read that begins no event stream, and no field so far.
    pub(crate) fn has_body_line(&self) -> bool {
        let end = &self.parts.end;
        !end.is_event_stream && end.body().is_some()
    }

    /// Returns true if the rest ends inside of a line that a client must not read as a whole one.
    pub(crate) fn rest_ends_in_torn_line(&mut self) -> bool {
        self.parts.sse.rest_ends_in_torn_line()
    }

    /// Returns the counts and the state of the stream, at the end of the input.
    ///
    /// An unfinished last event is dropped, as the standard requires, with three exceptions:
    ///
    /// - An unfinished `[DONE]` counts.
    /// - A failure counts, so that the end of the stream isn't clean. A failure is an error, a
    ///   finish reason that names one, or an event over a limit.
    /// - The [`api`](StreamSummary::api) of an object that is no chunk is stored.
    ///
    /// A last line without its end may be the first part of a failure or of more data. Behind whole
    /// data it is a [cut](crate::completion::Defect::CutEvent), with [`salvage`](Self::salvage) too.
    /// White space, comments, `id`, `retry` and types that don't begin `error` are harmless.
    ///
    /// Copies bytes of an unfinished event only to join its `data` lines and to store a failure.
    pub fn finish(&mut self) -> StreamSummary {
        let framing = self.parts.sse.finish();
        let mut counts = self.parts.counts();
        let Parts { sse, readers, .. } = &mut self.parts;
        sse.peek_rest(|event| {
            read_last(*event, readers, &mut counts, true);
        });
        let mut end = counts.into_summary();
        end.bytes = framing.bytes;
        end.discarded_bytes = framing.discarded_bytes;
        if sse.is_skipping() {
            end.is_cut = true;
            end.rest = end.rest.max(Rest::Aside);
        }
        end
    }

    /// Sets whether deviations from interoperable JSON (RFC 8259) are errors. Off by default.
    ///
    /// Real streams contain values that common JSON parsers reject. By default the decoder reads
    /// such a chunk, and counts each deviation in [`JsonDeviations`]. A strict decoder reports the
    /// event as [`Payload::Malformed`], with the offset of the deviation.
    ///
    /// ```
    /// use deltawire::{ChunkDecoder, ErrorKind, Payload};
    ///
    /// let stream = b"data: {\"logprob\": NaN}\n\n";
    /// let mut decoder = ChunkDecoder::new();
    /// let event = decoder.next(&mut &stream[..]).unwrap();
    /// assert_eq!(event.deviations().non_finite_numbers, 1);
    ///
    /// decoder.set_strict(true);
    /// let event = decoder.next(&mut &stream[..]).unwrap();
    /// let Payload::Malformed(error) = event.payload() else { panic!() };
    /// assert_eq!((error.kind(), error.offset()), (ErrorKind::NonFiniteNumber, 24 + 18));
    /// ```
    pub const fn set_strict(&mut self, strict: bool) {
        self.parts.readers.set_strict(strict);
    }

    /// Sets the templates that the decoder shares with others, at the start of a stream.
    ///
    /// By default they are those of the process. The events are the same with any [`Templates`].
    #[must_use]
    pub fn with_templates(mut self, templates: &Templates) -> Self {
        self.set_templates(templates);
        self
    }

    /// Sets the templates as [`with_templates`](Self::with_templates) does, and forgets the bound values.
    pub fn set_templates(&mut self, templates: &Templates) {
        self.parts.readers.templates.set_templates(templates.set());
    }

    /// Makes the decoder ready for another stream.
    ///
    /// The limits, the settings and the allocated buffers stay.
    pub fn reset(&mut self) {
        self.parts.sse.reset();
        self.parts.readers.templates.reset();
        self.parts.end.reset();
        self.parts.matched = 0;
    }

    /// Returns the framing half, for its counts and states.
    #[must_use]
    pub const fn sse(&self) -> &SseDecoder {
        &self.parts.sse
    }

    /// Sets the last event ID with which a reconnected stream begins (WHATWG HTML, 9.2).
    pub fn set_last_event_id(&mut self, id: &str) {
        self.parts.sse.set_last_event_id(id);
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
            .field("sse", &self.parts.sse)
            .field("end", &self.parts.counts().into_summary())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::{ChunkDecoder, ChunkEvent, Payload, Templates};

    /// Creates a decoder with templates of its own.
    fn alone() -> ChunkDecoder {
        ChunkDecoder::new().with_templates(&Templates::new())
    }

    /// Decodes events, each in a piece of its own; returns for each if it matches a template.
    fn fits(decoder: &mut ChunkDecoder, events: &[String]) -> Vec<bool> {
        let mut fits = Vec::new();
        for event in events {
            decoder.parts.sse.between_events(event.as_bytes());
            fits.push(decoder.parts.readers.templates.match_prefix(event.as_bytes()).is_some());
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
        let mut decoder = alone();
        assert_eq!(fits(&mut decoder, &events), [false, false, true, true, true]);
        // The next stream has the content of the first, and the third also the role of the second.
        decoder.reset();
        assert_eq!(fits(&mut decoder, &events), [false, true, true, true, true]);
        decoder.reset();
        assert_eq!(fits(&mut decoder, &events), [true; 5]);
        decoder.set_templates(&Templates::none());
        decoder.reset();
        assert_eq!(decoder.next(&mut content("a").as_bytes()).map(|event| event.offset()), Some(0));
    }

    /// Learns events whose texts are too long for a slot, and reads them as they are.
    #[test]
    fn a_text_too_long_for_a_slot_is_read_as_it_is() {
        for text in ["é".repeat(1500), "e".repeat(3000), "é\\n".repeat(900), "\\n".repeat(1900)] {
            let mut decoder = alone();
            for event in [content(&text), content("a"), content(&text), content("b")] {
                let value: serde_json::Value = serde_json::from_str(&event[6..]).unwrap();
                let mut input = event.as_bytes();
                let event = decoder.next(&mut input).unwrap();
                let Payload::Chunk(chunk) = event.payload() else { panic!("{event:?}") };
                let content = chunk.choices().next().and_then(|choice| choice.delta().content());
                assert_eq!(content, value["choices"][0]["delta"]["content"].as_str());
            }
        }
    }

    /// Tests other line ends, no space, an event type and JSON with spaces.
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
            assert_eq!(fits(&mut alone(), &events), [false, false, true], "{events:?}");
        }
        // The effect of an `id` or `retry` outlives its event, and so does a comment's count.
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
            assert_eq!(fits(&mut alone(), &events), [false; 3], "{events:?}");
        }
    }

    /// An event fits if its values only begin with those that the stream has bound, and the reverse.
    #[test]
    fn bound_values_that_begin_alike_fit() {
        let event = |id: &str, created: u32, role: bool| {
            let delta = if role { r#""role":"assistant""# } else { r#""content":"x""# };
            format!(
                "data: {{\"id\":\"{id}\",\"created\":{created},\"choices\":[{{\"delta\":{{{delta}}}}}]}}\n\n"
            )
        };
        let mut decoder = alone();
        for role in [true, false] {
            let known = [event("a", 1, role), event("a", 1, role)];
            assert_eq!(fits(&mut decoder, &known), [false, true]);
        }
        let values =
            [("a", 12), ("ab", 12), ("a", 1), ("", 1), ("abc", 123), ("abc", 12), ("a", 12)];
        let events: Vec<_> = (0..42)
            .map(|at: usize| event(values[at % 7].0, values[at % 7].1, (at / 3).is_multiple_of(2)))
            .collect();
        assert!(fits(&mut decoder, &events).iter().all(|fits| *fits));
    }

    #[test]
    fn two_templates_in_turn_both_fit() {
        let other = |index| format!("data: {{\"choices\":[],\"x\":{index}}}\n\n");
        let events: Vec<_> = (0..9)
            .map(|number| if number % 2 == 0 { content("a") } else { other(number) })
            .collect();
        // The first event of a kind is known, the second one publishes its template.
        let fits = fits(&mut alone(), &events);
        assert_eq!(fits[..4], [false; 4]);
        assert_eq!(fits[4..], [true; 5]);
    }

    /// Tests that slots of an event that doesn't match in the end are removed again.
    #[test]
    fn slots_of_an_event_that_does_not_match_are_removed() {
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
        events.push(event(12..16, "\"a\":[]"));
        let found = fits(&mut alone(), &events);
        let expected = (0..events.len()).map(|at| !matches!(at, 0 | 10 | 21 | 22));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    /// Tests that learning pauses while nothing repeats, and resumes in an ordinary stream.
    #[test]
    fn learning_pauses_and_recovers() {
        let mut decoder = alone();
        let odd = |number: usize| {
            format!("data: {{\"k{number}\":[],\"n{}\":0,\"usage\":{{}}}}\n\n", number * 7)
        };
        let events: Vec<_> = (0..3000).map(odd).collect();
        assert!(!fits(&mut decoder, &events).contains(&true));
        let events: Vec<_> = (0..600).map(|number| content(&number.to_string())).collect();
        let fits = fits(&mut decoder, &events);
        assert!(fits[520..].iter().all(|fits| *fits));
        // During a pause an event isn't learned, so the next one, which is like it, doesn't match.
        let rests = |count: usize| {
            let mut decoder = alone();
            let odd: Vec<_> = (0..count).map(odd).collect();
            self::fits(&mut decoder, &odd);
            self::fits(&mut decoder, &[content("a"), content("b")]) == [false, false]
        };
        assert!((100..140).any(rests) && !(0..5).any(rests));
    }

    /// The templates that streams share have nothing of their values: no text, id, name or count.
    #[test]
    fn no_value_of_a_stream_is_in_the_shared_templates() {
        let events = |mark: &str, number: u32| {
            let head = format!(
                r#""id":"{mark}-id","object":"chat.completion.chunk","created":{number},"model":"{mark}/é\n""#
            );
            let tail = format!(r#""system_fingerprint":"{mark}-fp","obfuscation":"{mark}-pad""#);
            [
                r#"[{"index":0,"delta":{"role":"assistant","content":""}}]"#.to_owned(),
                format!(r#"[{{"index":0,"delta":{{"content":"{mark}-text"}}}}]"#),
                format!(r#"[{{"index":0,"delta":{{"reasoning_content":"{mark}-\"thought\""}}}}]"#),
                format!(r#"[{{"index":0,"delta":{{"reasoning":"{mark}-thought","refusal":"{mark}-no"}}}}]"#),
                format!(
                    r#"[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"id":"{mark}-call","type":"function","function":{{"name":"{mark}-name","arguments":"{mark}-{{"}}}}]}}}}]"#
                ),
                format!(r#"[],"usage":{{"prompt_tokens":{number},"completion_tokens_details":{{"reasoning_tokens":{number}}}}}"#),
            ]
            .map(|choices| format!("data: {{{head},\"choices\":{choices},{tail}}}\n\n"))
        };
        let templates = Templates::new();
        // A member without a schema is a literal until it differs between streams.
        for mark in ["secret", "other", "third"] {
            let event = format!(
                "data: {{\"id\":\"c\",\"choices\":[{{\"delta\":{{\"thinking\":\"{mark}\"}}}}]}}\n\n"
            );
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            for _ in 0..2 {
                assert!(decoder.next(&mut event.as_bytes()).is_some());
            }
        }
        for (mark, number) in [("secret", 123_454_321), ("SECRET", 987_656_789)] {
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            for event in events(mark, number) {
                assert!(decoder.next(&mut event.repeat(2).as_bytes()).is_some());
            }
            let stored = templates.set().unwrap().stored().to_lowercase();
            assert!(
                stored.contains("chat.completion.chunk") && stored.contains("reasoning_content")
            );
            for value in ["secret", "12345", "98765"] {
                assert!(!stored.contains(value), "{value} is in {stored}");
            }
        }
        assert!(format!("{templates:?}").len() < 64);
        assert_eq!(templates.set().unwrap().len(), Some(7));
    }

    /// Another leaf of one template costs a full set none of the others.
    #[test]
    fn a_full_set_is_not_thinned_for_a_wider_template() {
        let templates = Templates::new();
        let event = |number: usize, text: &str| {
            format!("data: {{\"choices\":[],\"k{number}\":\"{text}\"}}\n\n")
        };
        let read = |number: usize, text: &str| {
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            for _ in 0..2 {
                assert!(decoder.next(&mut event(number, text).as_bytes()).is_some());
            }
        };
        let len = || templates.set().unwrap().len().unwrap();
        (0..1024).for_each(|number| read(number, "a"));
        assert_eq!(len(), 1024);
        read(7, "b");
        assert_eq!(len(), 1024);
        read(1024, "a");
        assert!(len() <= 513, "{}", len());
    }

    /// Publishes large events of many kinds: their bytes fill a set before their number does.
    #[test]
    fn the_bytes_of_a_set_are_bounded() {
        let templates = Templates::new();
        let set = templates.set().unwrap();
        let (text, mut largest) = ("x".repeat(2000), 0);
        for kind in 0..1000 {
            let event = format!("data: {{\"choices\":[],\"k{kind}\":[\"{text}\"]}}\n\n");
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            for _ in 0..2 {
                assert!(decoder.next(&mut event.as_bytes()).is_some());
            }
            largest = largest.max(set.held());
            assert!(set.held() <= 4 << 20, "{} bytes of {:?} kinds", set.held(), set.len());
        }
        assert!(
            largest > 3 << 20 && set.len().unwrap() < 600,
            "{largest} bytes of {:?}",
            set.len()
        );
    }

    /// Returns the recorded chat streams, with their names.
    fn recordings() -> Vec<(String, Vec<u8>)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
        let Ok(manifest) = std::fs::read_to_string(folder.join("MANIFEST.tsv")) else {
            assert!(std::env::var_os("DELTAWIRE_REQUIRE_SHARED").is_none(), "{}", folder.display());
            return Vec::new();
        };
        let rows = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let chats = rows.filter(|row| row[1] == "openai-chat");
        chats.map(|row| (row[0].to_owned(), std::fs::read(folder.join(row[0])).unwrap())).collect()
    }

    /// Of the events of recorded streams that are seen for the second time, most match a template.
    #[test]
    fn recorded_streams_match_the_templates_of_their_first_pass() {
        let (templates, streams) = (Templates::new(), recordings());
        let decode = |bytes: &[u8], each: &mut dyn FnMut(&mut ChunkDecoder, &[u8])| {
            let mut decoder = ChunkDecoder::new().with_templates(&templates);
            let mut sse = crate::SseDecoder::new();
            let mut input = bytes;
            while let Some(event) = sse.next(&mut input) {
                each(&mut decoder, event.raw());
            }
        };
        for (_, bytes) in &streams {
            decode(bytes, &mut |decoder, raw| _ = decoder.next(&mut &*raw));
        }
        let (mut all, mut matched) = (0, 0);
        for (_, bytes) in &streams {
            decode(bytes, &mut |decoder, mut raw| {
                let parts = &mut decoder.parts;
                let most = parts.sse.between_events(raw);
                let is_match =
                    most.is_some() && parts.readers.templates.match_prefix(raw).is_some();
                let event = decoder.next(&mut raw);
                if !matches!(event.map(|event| *event.payload()), Some(Payload::Chunk(_))) {
                    return;
                }
                (all, matched) = (all + 1, matched + u32::from(is_match));
            });
        }
        if all > 0 {
            let share = |part: u32| f64::from(part) / f64::from(all);
            assert!(share(matched) > 0.99, "{matched} of {all}");
        }
    }
}
