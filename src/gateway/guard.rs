//! `Guard`: holds events back until a gateway has checked their text.

use core::fmt;
use core::ops::Range;
use std::collections::VecDeque;

use super::allowlist::Verdict;
use super::elements::Elements;
use super::text_segment::{TextSegment, move_segments};
use super::watched_text::{GuardedText, PerSearch, WatchedText, WatchedTextId};
use crate::chunk::TemplateCache;
use crate::output_buffer::OutputBuffer;
use crate::slice::{bytes_in, text_in};

/// Holds events back until a gateway has checked the text in them.
///
/// Such checks are searches for words that may be cut over several deltas, for patterns, or models
/// that judge a sentence at a time.
///
/// Each text of a stream, such as the content of a choice, is one string: an overlap of released
/// text, followed by the held text. Ranges of held text can be replaced. A released event is
/// written with its new text, and any other event is copied byte for byte.
///
/// [`redact`](Self::redact) and [`stop_at`](Self::stop_at) search the texts with a
/// [`Finder`](super::Finder), and hold a text back while its end may become a match. With any other
/// check, a gateway looks at the texts itself:
///
/// ```
/// use deltawire::gateway::{Guard, PushResult};
/// use deltawire::{ChunkDecoder, ChunkEvent, Payload};
///
/// /// Holds an event until its texts have been looked at, and releases what may go.
/// fn look(event: &ChunkEvent<'_>, word: &str, guard: &mut Guard, out: &mut Vec<u8>) {
///     let mut pushed = guard.push(event);
///     if pushed == PushResult::Full {
///         // It has been looked at, but a word may begin at its end: else end the stream.
///         guard.release_all(out);
///         pushed = guard.push(event);
///     }
///     match pushed {
///         PushResult::Text | PushResult::NoText => {}
///         // More than may be held: let it pass unseen, or end the stream.
///         PushResult::TooLarge => {
///             guard.release_all(out);
///             out.extend_from_slice(event.raw());
///         }
///         // It has members that no text shows, such as log probabilities: likewise.
///         _ => {}
///     }
///     let find = |guard: &Guard| {
///         guard.texts().find_map(|text| {
///             let start = text.text.rfind(word)?;
///             (start >= text.unreleased_from).then_some((text.id, start))
///         })
///     };
///     while let Some((id, start)) = find(guard) {
///         if !guard.replace(id, start..start + word.len(), "[…]") {
///             break; // a longer text has no room: end the stream
///         }
///     }
///     guard.release(word.len() - 1, out); // it may begin in the last bytes
/// }
///
/// fn forward<'a>(body: impl IntoIterator<Item = &'a [u8]>, word: &str) -> Vec<u8> {
///     let (mut decoder, mut guard, mut out) = (ChunkDecoder::new(), Guard::new(), Vec::new());
///     for piece in body {
///         let mut input = piece;
///         while let Some(event) = decoder.next(&mut input) {
///             look(&event, word, &mut guard, &mut out);
///         }
///         // client.send(&out), out.clear()
///     }
///     // A last event that no blank line closes, if it can be read: then it is closed here. A `Relay`
///     // doesn't close one with a torn line behind its data.
///     let last = decoder.salvage().filter(|last| !matches!(last.payload(), Payload::Malformed(_)));
///     if let Some(event) = &last {
///         look(event, word, &mut guard, &mut out);
///     }
///     guard.release_all(&mut out);
///     out.extend_from_slice(last.map_or(b"", |last| last.missing_end()));
///     out
/// }
///
/// let stream = br#"data: {"choices":[{"index":0,"delta":{"content":"my se"}}]}
///
/// data: {"choices":[{"index":0,"delta":{"content":"cret is"}}]}
///
/// data: [DONE]
///
/// "#;
/// let expected = r#"data: {"choices":[{"index":0,"delta":{"content":"my […]"}}]}
///
/// data: {"choices":[{"index":0,"delta":{"content":" is"}}]}
///
/// data: [DONE]
///
/// "#;
/// assert_eq!(String::from_utf8(forward([&stream[..]], "secret")).unwrap(), expected);
/// ```
///
/// Texts are content, refusal, reasoning, its details, and the names and arguments of called
/// functions, if they are strings. So are the texts of a content in parts. An event with any other
/// member that isn't known to be harmless is [`Unwatched`](super::PushResult::Unwatched): the caller decides
/// how to handle it.
///
/// # What is harmless
///
/// Members are harmless if this list contains their name and their kind of value. A member that a
/// server adds later is unwatched until the list contains it.
///
/// | where | what |
/// |---|---|
/// | anywhere | `null`, `""`, `[]`, `{}` |
/// | anywhere, except in [objects of the model](#objects-of-the-model) | `true`, `false`, numbers but `token_id`, and neither in place of a text |
/// | the chunk | strings: `id`, `object`, `model`, `system_fingerprint`, `service_tier`, `obfuscation`, `p`, `provider`, `generationId` |
/// | a choice | strings: `finish_reason`, `native_finish_reason`, `stop_reason`, `matched_stop` |
/// | a delta | strings: `role`, `channel`; `id` and `type` of tool calls; `type` of parts; `type`, `id`, `format`, `signature` and `data` of reasoning details |
/// | deeper | objects of harmless members, such as `usage`, `timings` and `content_filter_results`, with the strings `id`, `service_tier` and `severity`; the array `prompt_filter_results` of such objects |
/// | the stream | comments, blank lines, events without data, `[DONE]`; the values of `id:`, `event:` and `retry:`, of an event with data too |
///
/// So these are unwatched:
///
/// - arguments that are an object, audio, other parts of a content, a whole `message`, and citations;
/// - a text with half a surrogate pair, whose other half may be in another event. A text that is written
///   again has U+FFFD in its place;
/// - a refusal or reasoning that the delta and a part of its content both have, since their order is
///   open;
/// - reasoning under other names than in the deltas of its choice before: a client may read one name
///   alone, also if it is empty. Details beside the reasoning are such a name;
/// - `reasoning_content` and `reasoning` with different texts in one delta, since some readers join them;
/// - a tool call or reasoning detail that isn't certain to continue one text, and all later ones of its
///   list: see [below](#elements-of-one-index);
/// - a choice whose place belongs to another one: see [below](#clients-that-join-by-position);
/// - a part of a content with an `index`;
/// - a text that returns to a form which it has left, since a client may read one form alone: see
///   [below](#forms-of-a-text);
/// - the texts of a chunk with one `index` in two choices, since some clients read the first choice alone;
/// - an event whose `event:` begins with `thread.`, which openai-python takes for one of another API;
/// - a number under another spelling of `index`, such as `Index`;
/// - a choice, tool call or reasoning detail with an index above 2⁵³ − 1, which readers in JavaScript
///   take for another one;
/// - `logprobs` and `token_ids`, which repeat the text token by token;
/// - errors, which may quote the output of the model;
/// - lines that are no field, inside an event too;
/// - bytes over a limit, also those of a comment;
/// - events that can't be read;
/// - `choices`, `delta`, `index` or a text that occurs twice in its object: readers interpret that
///   differently;
/// - a second `id` of a tool call or reasoning detail, and a second `type` of a detail or part: they
///   decide where a text belongs.
///
/// # Elements of one index
///
/// Some servers send several tool calls under one index, with other ids. Most clients join them by the
/// index, and others tell them apart by id. So all calls of one index share a text, in the order of their
/// deltas, and a match may span two calls. A delta isn't certain if a client joins its piece with one
/// that isn't the last piece of this text:
///
/// - it has the id of a call before the last one;
/// - it has no id, behind a piece of another call than the first one of the index;
/// - it has an index, behind a piece without one.
///
/// All reasoning details of a choice share one text, since some clients join them. A detail isn't certain
/// if it continues an index behind the text of another one, or if it changes from `text` to `summary` or
/// back. The details and the reasoning are searched apart.
///
/// # Forms of a text
///
/// Some clients skip a chunk, a choice or an element of a form that they don't read. These are forms:
///
/// - another `object` of the chunk, or another `event` line of its event;
/// - a choice without an index;
/// - a content that is a string or an array of parts, and a part of another `type` than `text`;
/// - a reasoning detail of another `type` than `reasoning.text` for its `text`, or `reasoning.summary` for
///   its `summary`.
///
/// A text may have any form, and may change it once. A client that skips lines which don't begin with
/// `data: `, with the space, doesn't follow the standard, and may join other texts than the guard.
///
/// # Clients that join by position
///
/// openai-python before 3.57 stores the first list of a message as it comes. It merges a later element of
/// index *i* into the one at position *i*, or appends the element if there is none. It finds choices in the
/// same way. So an element isn't certain if this client joins its piece with another text, or skips a
/// piece. An example is a call of index 0 after one of index 1. The texts of such a choice are searched,
/// and unwatched.
///
/// A client that ignores the index of choices joins the texts of all of them. LangChain reads the first
/// choice of each chunk. The guard searches each choice apart.
///
/// # Objects of the model
///
/// The names of members aren't searched, since the server writes them. The model may write the names in
/// some objects: tokens in `top_logprobs`, parameters in arguments. Such an object is harmless only
/// if each value in it is `null` or empty. These are:
///
/// - an object anywhere in a delta, unless its own members are in the table;
/// - `logprobs`, `reasoning_logprobs`, `top_logprobs` and `message` of a choice;
/// - the `delta` in a choice of a whole completion.
///
/// # Bounds
///
/// The held bytes are bounded, and the guard releases nothing by itself to stay within the bound.
/// It rejects an event or a replacement that exceeds the bound. It also stores the overlap of each
/// text, of at most 256 texts. Buffers grow by doubling and contain some released bytes, so the
/// heap holds up to four times the sum, and 4 KiB for each text. The ids and names of tool calls and
/// details need up to 256 KiB more. Calls that don't fit are unwatched. A piece of bytes over a limit
/// that is held alone isn't bounded: it needs twice its length until it is released.
///
/// An event whose replacement can't be written is dropped. Its original bytes are never released.
#[derive(Clone)]
pub struct Guard {
    pub(super) most_bytes: usize,
    overlap: usize,
    /// The searches that are used.
    pub(super) searches: PerSearch<bool>,
    /// Some released bytes, followed by the bytes of `events`: `raw_from <= raw.len()`.
    pub(super) raw: Vec<u8>,
    raw_from: usize,
    pub(super) events: VecDeque<HeldEvent>,
    /// The texts of the held events, in the order of the events.
    pub(super) segments: VecDeque<TextSegment>,
    /// The position in `segments` of the last one of each text in the first event, if that is held back.
    ///
    /// So its other segments aren't read again in each release.
    last_of_first: Vec<usize>,
    pub(super) texts: Vec<WatchedText>,
    /// Number of bytes of held text: the sum of `end - start` of `segments`.
    pub(super) text_bytes: usize,
    /// The cost that isn't counted: the sum of `uncounted` of `events`.
    pub(super) uncounted: usize,
    /// Number of events that the guard has accepted.
    pub(super) accepted: u64,
    pub(super) elements: Elements,
    pub(super) verdicts: TemplateCache<Verdict>,
}

/// An event that is held: the number of its bytes in `raw`, and of its `segments`.
#[derive(Clone, Copy)]
pub(super) struct HeldEvent {
    pub(super) len: usize,
    /// The part of its cost that doesn't count: `uncounted <= len + EVENT_COST`.
    pub(super) uncounted: usize,
    pub(super) segments: usize,
}

/// Maximum number of texts of a stream.
pub(super) const MAX_TEXTS: usize = 256;

/// Costs of an event and of a text in it, besides their bytes.
pub(super) const EVENT_COST: usize = 64;
pub(super) const SEGMENT_COST: usize = 64;

impl Guard {
    /// Creates a guard that holds up to 256 KiB, with an overlap of 256 bytes. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_bounds(256 << 10, 256)
    }

    /// Creates a guard that holds up to `most_bytes`, with an overlap of `overlap` bytes.
    ///
    /// The bound counts the bytes of the held events and of the texts in them, and 64 for each
    /// event and each text in it. Bytes over a limit and blank lines belong to the held event before.
    /// If nothing is held, they and comments are accepted in any length, and aren't counted. Neither is
    /// the LF behind a CR that ends an event, nor the overlap of each released text. So with a release
    /// after each push, the bound doesn't depend on how the body was cut.
    ///
    /// Choose an overlap as long as the longest match. A match may begin in the released part of a text
    /// that has ended and continues. It is found if it begins in the overlap.
    #[must_use]
    pub const fn with_bounds(most_bytes: usize, overlap: usize) -> Self {
        Self {
            most_bytes,
            overlap,
            searches: PerSearch { stop: false, redact: false },
            raw: Vec::new(),
            raw_from: 0,
            events: VecDeque::new(),
            segments: VecDeque::new(),
            last_of_first: Vec::new(),
            texts: Vec::new(),
            text_bytes: 0,
            uncounted: 0,
            accepted: 0,
            elements: Elements::new(),
            verdicts: TemplateCache::new(Verdict::Unknown, Verdict::Unknown),
        }
    }

    /// Returns a guard with the same bounds that holds nothing.
    pub(super) const fn empty(&self) -> Self {
        Self::with_bounds(self.most_bytes, self.overlap)
    }

    /// Returns the texts so far, in the order of their first pieces.
    pub fn texts(&self) -> impl Iterator<Item = GuardedText<'_>> {
        self.texts.iter().map(WatchedText::shown)
    }

    /// Replaces a range of held text, in bytes of [`GuardedText::text`].
    ///
    /// If the range spans several events, the first one contains all of the new text.
    ///
    /// Returns false and changes nothing in each of these cases:
    ///
    /// - A part of the range is released.
    /// - The range ends within a character or beyond the text.
    /// - A longer text exceeds the bound. Release some events, or discard all.
    #[must_use = "what has been released can't be replaced"]
    pub fn replace(&mut self, id: WatchedTextId, range: Range<usize>, with: &str) -> bool {
        let budget = self.free_bytes();
        let Some(position) = self.texts.iter().position(|text| text.id == id) else { return false };
        let Some(text) = self.texts.get_mut(position) else { return false };
        let shown = text.shown();
        if range.start < shown.unreleased_from || shown.text.get(range.clone()).is_none() {
            return false;
        }
        let Some(text_bytes) = (self.text_bytes - range.len()).checked_add(with.len()) else {
            return false;
        };
        if text_bytes.saturating_sub(self.text_bytes) > budget {
            return false;
        }
        let range = range.start + text.hidden..range.end + text.hidden;
        let (start, end) = (range.start + text.dropped, range.end + text.dropped);
        let own = self.segments.iter_mut().filter(|segment| segment.text == position);
        if !move_segments(own, start..end, start + with.len()) {
            return false;
        }
        let last = text_in(&text.text, range.clone()).chars().next_back();
        text.text.replace_range(range, with);
        text.move_searches(core::slice::from_ref(&(start..end)), with.len(), |_| last);
        self.text_bytes = text_bytes;
        true
    }

    /// Appends released events to `out`, from the front.
    ///
    /// Stops at the first event with text among the last `keep` bytes of its text so far. With
    /// `keep` 0 all events are released.
    ///
    /// A text that has ended holds no event back. It has ended in each of these cases:
    ///
    /// - Another text of its choice continues, and that one began no earlier than the last piece of
    ///   this one. An example is the content after the reasoning, or a tool call.
    /// - More than 32 events with other texts of its choice have followed its last piece. Comments
    ///   and events of other choices don't count.
    /// - Its choice or the stream has finished. A finish reason beside an index that is no count ends
    ///   no text, since its choice isn't known.
    ///
    /// A text that continues nevertheless is held again from there, for example if reasoning and
    /// content alternate. The part before is released, and a match may span this end: see
    /// [`redact`](Self::redact). An event without text is released as soon as all events before it
    /// are, so call this after each push.
    pub fn release(&mut self, keep: usize, out: &mut impl OutputBuffer) {
        self.release_by(|_| keep, out);
    }

    /// Releases events like [`release`](Self::release), with a `keep` for each text.
    pub fn release_by(
        &mut self,
        mut keep: impl FnMut(WatchedTextId) -> usize,
        out: &mut impl OutputBuffer,
    ) {
        out.with_vec(|out| self.release_unless_kept(|text| keep(text.id), out));
    }

    /// Releases events up to the first one with a part of the last `keep` bytes of a text.
    pub(super) fn release_unless_kept(
        &mut self,
        mut keep: impl FnMut(&WatchedText) -> usize,
        out: &mut Vec<u8>,
    ) {
        let (mut segments, mut events) = (0, 0);
        for held in &self.events {
            if self.last_of_first.is_empty() {
                let own = self.segments.iter().skip(segments).take(held.segments);
                last_of_texts(own.enumerate(), &mut self.last_of_first);
            }
            let is_kept = |position: &usize| {
                let Some(segment) = self.segments.get(segments + position) else { return false };
                let text = self.texts.get(segment.text).filter(|text| !text.is_over);
                text.is_some_and(|text| {
                    text.released < segment.end && text.end() - segment.end < keep(text)
                })
            };
            if self.last_of_first.iter().any(is_kept) {
                break;
            }
            self.last_of_first.clear();
            segments += held.segments;
            events += 1;
        }
        self.write(events, out);
    }

    /// Releases all events, and appends them to `out`.
    pub fn release_all(&mut self, out: &mut impl OutputBuffer) {
        self.last_of_first.clear();
        out.with_vec(|out| self.write(self.events.len(), out));
    }

    /// Discards the held events and their text. The overlap remains.
    pub fn discard(&mut self) {
        self.raw.clear();
        self.raw_from = 0;
        self.events.clear();
        self.segments.clear();
        self.last_of_first.clear();
        (self.text_bytes, self.uncounted) = (0, 0);
        for text in &mut self.texts {
            text.discard();
            text.forget(self.overlap);
        }
    }

    /// Prepares the guard for another stream: discards all events and texts. Retains the buffers.
    pub fn reset(&mut self) {
        self.discard();
        self.texts.clear();
        self.accepted = 0;
        self.elements.reset();
        self.searches = PerSearch { stop: false, redact: false };
        self.verdicts = TemplateCache::new(Verdict::Unknown, Verdict::Unknown);
    }

    /// Returns the number of held bytes, as [`with_bounds`](Self::with_bounds) counts them.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let bytes = self.raw.len() - self.raw_from + self.text_bytes;
        let all = bytes + EVENT_COST * self.events.len() + SEGMENT_COST * self.segments.len();
        all - self.uncounted
    }

    /// Returns the number of bytes that may be held in addition.
    pub(super) fn free_bytes(&self) -> usize {
        self.most_bytes - self.held_bytes()
    }

    /// Returns true if no event is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Writes the first events, and removes them.
    ///
    /// An event with a replacement that can't be written is dropped.
    fn write(&mut self, events: usize, out: &mut Vec<u8>) {
        let Self { raw, raw_from, texts, segments, overlap, .. } = self;
        for held in self.events.drain(..events) {
            let event = bytes_in(raw, *raw_from..*raw_from + held.len);
            *raw_from += held.len;
            self.uncounted -= held.uncounted;
            let (start, mut rest) = (out.len(), Some(0));
            for segment in segments.drain(..held.segments) {
                self.text_bytes -= segment.end - segment.start;
                let text = texts.get_mut(segment.text);
                if segment.is_changed {
                    let write = |(rest, text): (usize, &&mut WatchedText)| {
                        segment.write(event, rest, text, out)
                    };
                    rest = rest.zip(text.as_ref()).and_then(write);
                }
                if let Some(text) = text {
                    text.released = segment.end;
                    text.forget(*overlap);
                }
            }
            let rest = rest.and_then(|rest| event.get(rest..));
            debug_assert!(rest.is_some(), "a replacement is outside of its event or text");
            match rest {
                Some(rest) => out.extend_from_slice(rest),
                None => out.truncate(start),
            }
        }
        if *raw_from > raw.len() / 2 {
            raw.drain(..*raw_from);
            *raw_from = 0;
        }
        // A piece that isn't counted may be longer than all others.
        if raw.capacity() / 4 > self.most_bytes {
            raw.shrink_to(self.most_bytes);
        }
    }
}

/// Appends the position of the last segment of each text to `last`.
fn last_of_texts<'s>(
    segments: impl DoubleEndedIterator<Item = (usize, &'s TextSegment)>,
    last: &mut Vec<usize>,
) {
    let mut is_found = [false; MAX_TEXTS];
    for (position, segment) in segments.rev() {
        let is_found = is_found.get_mut(segment.text);
        debug_assert!(is_found.is_some(), "the number of texts is bounded");
        if is_found.is_some_and(|is_found| !core::mem::replace(is_found, true)) {
            last.push(position);
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows no text.
impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("events", &self.events.len())
            .field("held_bytes", &self.held_bytes())
            .field("texts", &self.texts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::{EVENT_COST, Guard, GuardedText, SEGMENT_COST, TextSegment, WatchedTextId};
    use crate::decoder::ChunkDecoder;
    use crate::gateway::assemble;
    use crate::gateway::{PushResult, WatchedTextKind};
    use proptest::prelude::*;

    fn push(guard: &mut Guard, event: &str) -> PushResult {
        let mut decoder = ChunkDecoder::new();
        guard.push(&decoder.next(&mut event.as_bytes()).unwrap())
    }

    fn delta(delta: &str) -> String {
        format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n")
    }

    const CONTENT: WatchedTextId =
        WatchedTextId { choice: 0, kind: WatchedTextKind::Content, element: None };

    #[test]
    fn push_result_is_that_of_the_events_kind() {
        for (event, expected) in [
            (delta(r#"{"content":"a"}"#), PushResult::Text),
            (delta(r#"{"reasoning":"a","content":""}"#), PushResult::Text),
            (delta(r#"{"role":"assistant","content":""}"#), PushResult::NoText),
            (delta(r#"{"content":null}"#), PushResult::NoText),
            ("data: [DONE]\n\n".to_owned(), PushResult::NoText),
            (": ping\n\n".to_owned(), PushResult::NoText),
            (delta(r#"{"content":"a","content":"b"}"#), PushResult::Unwatched),
            (delta(r#"{"content":[{"type":"text","text":"a"}, "b"]}"#), PushResult::Text),
            (delta(r#"{"content":[{"type":"text","text":""}]}"#), PushResult::NoText),
            (
                delta(
                    r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}],"closed":true}]}"#,
                ),
                PushResult::Text,
            ),
            (delta(r#"{"content":[{"type":"refusal","refusal":"a"}]}"#), PushResult::Text),
            (delta(r#"{"content":[{"type":"text","text":"a","new":"b"}]}"#), PushResult::Unwatched),
            (
                delta(r#"{"content":[{"type":"text","text":"a","text":"b"}]}"#),
                PushResult::Unwatched,
            ),
            (
                delta(r#"{"content":[{"type":"text","text":"a","thinking":"b"}]}"#),
                PushResult::Unwatched,
            ),
            (
                delta(
                    r#"{"content":[{"type":"thinking","thinking":[{"text":"a","content":"b"}]}]}"#,
                ),
                PushResult::Unwatched,
            ),
            (
                delta(r#"{"content":[{"type":"thinking","thinking":[["a"]]}]}"#),
                PushResult::Unwatched,
            ),
            (
                delta(r#"{"content":[{"type":"image_url","image_url":{"url":"a"}}]}"#),
                PushResult::Unwatched,
            ),
            (delta(r#"{"content":[],"content":[]}"#), PushResult::Unwatched),
            (delta(r#"{"reasoning":"a","content":[{"thinking":"b"}]}"#), PushResult::Unwatched),
            (
                delta(r#"{"content":[{"type":"refusal","refusal":"a"}],"refusal":"b"}"#),
                PushResult::Unwatched,
            ),
            (delta(r#"{"content":[{"thinking":"b"},"c"],"reasoning":null}"#), PushResult::Text),
            (
                delta(r#"{"tool_calls":[{"index":0,"id":"c","type":"function"}]}"#),
                PushResult::NoText,
            ),
            (delta(r#"{"tool_calls":[{"function":{"arguments":"a"}}]}"#), PushResult::Text),
            (delta(r#"{"tool_calls":[{"function":{"name":"a"}}]}"#), PushResult::Text),
            (delta(r#"{"function_call":{"name":"f","arguments":""}}"#), PushResult::Text),
            (delta(r#"{"tool_calls":[{"function":{"new":"a"}}]}"#), PushResult::Unwatched),
            (
                delta(r#"{"reasoning_details":[{"type":"t","text":"a","index":0}]}"#),
                PushResult::Text,
            ),
            (delta(r#"{"reasoning_details":[{"summary":"a","format":null}]}"#), PushResult::Text),
            (delta(r#"{"reasoning_details":[{"data":"a","id":"b"}]}"#), PushResult::NoText),
            (delta(r#"{"reasoning_details":[{"new":"a"}]}"#), PushResult::Unwatched),
            (delta(r#"{"reasoning_details":[{"text":1}]}"#), PushResult::Unwatched),
            (delta(r#"{"reasoning_details":["a"]}"#), PushResult::Unwatched),
            (delta(r#"{"reasoning_details":[{"text":"a","index":"0"}]}"#), PushResult::Unwatched),
            (
                delta(r#"{"reasoning_details":[{"index":0,"text":"a","index":1}]}"#),
                PushResult::Unwatched,
            ),
            (delta(r#"{"content":1}"#), PushResult::Unwatched),
            (delta(r#"{"thinking":1}"#), PushResult::Unwatched),
            (delta(r#"{},"text":1"#), PushResult::Unwatched),
            (delta(r#"{},"logprobs":{"content":[{}]}"#), PushResult::Unwatched),
            (delta(r#"{},"index":-1"#), PushResult::NoText),
            (delta(r#"{"content":"a"},"index":-1"#), PushResult::Unwatched),
            ("data: {\n\n".to_owned(), PushResult::Unwatched),
            ("event: error\ndata: {\n\n".to_owned(), PushResult::Unwatched),
            ("error: a\n".to_owned(), PushResult::Unwatched),
            ("{\"content\":\"a\"}\n".to_owned(), PushResult::Unwatched),
            (delta(r#"{"content":"a\ud83d"}"#), PushResult::Unwatched),
            (delta(r#"{"content":"\ude00a"}"#), PushResult::Unwatched),
            (delta(r#"{"content":"\ud83d\ude00"}"#), PushResult::Text),
            (delta(r#"{"content":"\ufffd"}"#), PushResult::Text),
            ("event: ping\n\n".to_owned(), PushResult::NoText),
            (
                "id: a\nevent: b\nretry: 5\ndata: {\"choices\":[]}\n\n".to_owned(),
                PushResult::NoText,
            ),
        ] {
            // Each one is the first of its stream.
            assert_eq!(push(&mut Guard::new(), &event), expected, "{event}");
        }
    }

    #[test]
    fn a_number_in_place_of_a_text_of_a_part_is_unwatched() {
        let mut guard = Guard::new();
        for (event, expected) in [
            (delta(r#"{"content":[{"type":"text","text":1}]}"#), PushResult::Unwatched),
            (delta(r#"{"content":[{"type":"refusal","refusal":1}]}"#), PushResult::Unwatched),
            (delta(r#"{"content":[{"type":"thinking","thinking":1}]}"#), PushResult::Unwatched),
            (
                delta(r#"{"content":[{"type":"thinking","thinking":["a",1]}]}"#),
                PushResult::Unwatched,
            ),
            (
                delta(r#"{"content":[{"type":"thinking","thinking":[{"summary":1}]}]}"#),
                PushResult::Unwatched,
            ),
            (delta(r#"{"content":[{"type":"text","text":"a","n":1}]}"#), PushResult::Text),
            (delta(r#"{"content":["a",1]}"#), PushResult::Unwatched),
            (delta(r#"{"content":["a",true]}"#), PushResult::Unwatched),
            (delta(r#"{"content":["a",null]}"#), PushResult::Text),
        ] {
            assert_eq!(push(&mut guard, &event), expected, "{event}");
        }
    }

    /// A text that has ended holds no event. An event without text waits only for earlier events.
    #[test]
    fn a_text_that_is_over_holds_nothing() {
        let [reasoning, content, both] = [
            r#"{"reasoning":"a"}"#,
            r#"{"content":"a"}"#,
            r#"{"reasoning":"a","reasoning_content":"a"}"#,
        ]
        .map(delta);
        let call =
            |name: &str| delta(&format!(r#"{{"tool_calls":[{{"index":0,"function":{name}}}]}}"#));
        let (name, arguments) = (call(r#"{"name":"f"}"#), call(r#"{"arguments":"a"}"#));
        let both_of_call = call(r#"{"name":"f","arguments":"a"}"#);
        let finish = delta(r#"{},"finish_reason":"stop""#);
        let other = |event: &str| event.replace("{\"choices\":[{", "{\"choices\":[{\"index\":1,");
        let (ping, done) = (": ping\n\n".to_owned(), "data: [DONE]\n\n".to_owned());
        let mut by_turns = vec![&content, &reasoning];
        by_turns.extend([&content; 41]);
        for (events, held) in [
            (vec![&ping], 0),
            (vec![&content], 1),
            (vec![&content, &ping], 2),
            (vec![&reasoning, &content], 1),
            (vec![&both, &both], 2),
            (vec![&both, &content], 1),
            (vec![&content, &name], 1),
            (vec![&name, &arguments], 1),
            (vec![&content, &finish], 0),
            (vec![&content, &done], 0),
            (vec![&name, &arguments, &finish], 0),
            (vec![&content, &other(&content)], 2),
            (vec![&content, &other(&finish)], 2),
            (vec![&other(&reasoning), &content, &other(&content)], 2),
            // The content continues after it has ended.
            (vec![&content, &reasoning, &content], 2),
            // A text that others interrupt for too long has ended: the last 41 events are content.
            (by_turns, 41),
        ] {
            let (mut guard, mut out) = (Guard::new(), Vec::new());
            for event in &events {
                let _ = push(&mut guard, event);
                guard.release(1000, &mut out);
            }
            assert_eq!(guard.events.len(), held, "{events:?}");
        }
        // Two texts began together, and one of them continues.
        for events in [[&both_of_call, &arguments], [&both, &reasoning]] {
            let (mut guard, mut out) = (Guard::new(), Vec::new());
            for event in events {
                let _ = push(&mut guard, event);
                guard.release(1, &mut out);
                assert_eq!(guard.events.len(), 1, "{events:?}");
            }
        }
        let (mut guard, mut out) = (Guard::new(), Vec::new());
        for event in [&content, &other(&content)] {
            let _ = push(&mut guard, event);
        }
        guard.release_by(|id| usize::from(id.choice != 0), &mut out);
        assert_eq!(guard.events.len(), 1);
    }

    #[test]
    fn known_members_are_harmless() {
        for harmless in [
            r#"{"id":"a","object":"a","created":1,"model":"a","system_fingerprint":"a","choices":[]}"#,
            r#"{"service_tier":"a","obfuscation":"a","p":"a","provider":"a","choices":null}"#,
            r#"{"usage":{"prompt_tokens":1,"service_tier":"a","details":{"x":1.5}},"timings":{"n":1}}"#,
            r#"{"x_groq":{"id":"a","usage":{"queue_time":0.2}},"new":null,"newer":"","newest":[]}"#,
            r#"{"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"a"}}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"a","channel":"a"},"finish_reason":"a","native_finish_reason":"a"}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"stop_reason":"a","matched_stop":"a","seed":5,"logprobs":null}]}"#,
            r#"{"choices":[{"logprobs":{"content":null},"content_filter_results":{"hate":{"filtered":false,"severity":"a"}}}]}"#,
            r#"{"choices":[{"delta":null},null,{"delta":{"content":null,"tool_calls":[],"new":true}}]}"#,
            r#"{"id":"a","id":"a","choices":[{"finish_reason":"a","finish_reason":"a"}]}"#,
        ] {
            let pushed = push(&mut Guard::new(), &format!("data: {harmless}\n\n"));
            assert_eq!(pushed, PushResult::NoText, "{harmless}");
        }
    }

    /// `a` is output of the model. In each place it is watched, or the event is unwatched.
    #[test]
    fn other_members_are_unwatched() {
        for unwatched in [
            // Repeated names: some readers use the first one, some the last.
            r#"{"choices":[{"delta":{"content":"a"}}],"choices":[]}"#,
            r#"{"choices":[{"delta":{"content":"a"},"delta":{}}]}"#,
            r#"{"choices":[{"delta":{"content":"a"},"delta":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a"},"index":1}]}"#,
            r#"{"choices":[{"delta":{"content":"a","content":null}}]}"#,
            r#"{"choices":[{"delta":{"content":null,"content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"content":"a","cont\u0065nt":""}}]}"#,
            r#"{"choices":[{"logprobs":{"content":[{"token":"a"}]},"logprobs":null}]}"#,
            r#"{"choices":[{"message":{"content":"a"},"message":null}]}"#,
            r#"{"choices":[{"text":"a","text":""}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"id":"c","id":"d","function":{"arguments":"a"}}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"index":0,"id":"c","id":"d","text":"a"}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"index":0,"type":"t","type":"s","text":"a"}]}}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"text","type":"thinking","text":"a"}]}}]}"#,
            // Of another type.
            r#"{"choices":"a"}"#,
            r#"{"choices":["a"]}"#,
            r#"{"choices":{"delta":{"content":"a"}}}"#,
            r#"{"choices":[[{"delta":{"content":"a"}}]]}"#,
            r#"{"choices":[{"delta":"a"}]}"#,
            r#"{"choices":[{"delta":[{"content":"a"}]}]}"#,
            r#"{"choices":[{"delta":{"content":{"text":"a"}}}]}"#,
            r#"{"choices":[{"delta":{"refusal":["a"]}}]}"#,
            r#"{"choices":[{"index":"a","delta":{}}]}"#,
            r#"{"created":"a"}"#,
            r#"{"model":["a"]}"#,
            // Calls of any form.
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"x":"a"}}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"a","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"a"},"function":{}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":"a"}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"custom":{"input":"a"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":["a"]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":{"function":{"arguments":"a"}}}}]}"#,
            r#"{"choices":[{"delta":{"function_call":{"arguments":{"x":"a"}}}}]}"#,
            // Under other names, known and unknown.
            r#"{"content":"a"}"#,
            r#"{"citations":["a"]}"#,
            r#"{"usage":{"note":"a"}}"#,
            r#"{"x_groq":{"debug":{"output_tokens":["a"]}}}"#,
            r#"{"error":{"failed_generation":"a"}}"#,
            r#"{"object":"error","message":"a"}"#,
            r#"{"choices":[{"content":"a"}]}"#,
            r#"{"choices":[{"text":"a"}]}"#,
            r#"{"choices":[{"token_ids":[97]}]}"#,
            r#"{"choices":[{"logprobs":{"tokens":["a"]}}]}"#,
            r#"{"choices":[{"delta":{"token_id":97}}]}"#,
            r#"{"choices":[{"delta":{"thinking":"a"}}]}"#,
            r#"{"choices":[{"delta":{"Content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"annotations":[{"title":"a"}]}}]}"#,
            r#"{"choices":[{"delta":{"audio":{"transcript":"a"}}}]}"#,
            r#"{"choices":[{"delta":{"new":{"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":1}}}}}}}}}}}]}"#,
        ] {
            let pushed = push(&mut Guard::new(), &format!("data: {unwatched}\n\n"));
            assert_eq!(pushed, PushResult::Unwatched, "{unwatched}");
        }
    }

    /// The model writes the names `a`: tokens, and parameters of tools.
    #[test]
    fn an_object_with_names_of_the_model_is_unwatched_unless_its_values_are_empty() {
        for object in [
            r#"{"choices":[{"top_logprobs":@}]}"#,
            r#"{"choices":[{"logprobs":{"top_logprobs":@}}]}"#,
            r#"{"choices":[{"logprobs":@}]}"#,
            r#"{"choices":[{"reasoning_logprobs":@}]}"#,
            r#"{"choices":[{"message":{"function_call":{"arguments":@}}}]}"#,
            r#"{"choices":[{"delta":{"new":@}}]}"#,
            r#"{"choices":[{"delta":{"audio":@}}]}"#,
            r#"{"choices":[{"delta":{"role":@}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"custom":@}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"id":@}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"new":@}}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"arguments":@}]}}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"tool_use","input":@}]}}]}"#,
        ] {
            for (value, expected) in [
                (r#"{"a":-0.1}"#, PushResult::Unwatched),
                (r#"{"a":true}"#, PushResult::Unwatched),
                (r#"{"id":"a"}"#, PushResult::Unwatched),
                (r#"{"x":{"a":1}}"#, PushResult::Unwatched),
                (r#"{"a":null,"x":"","y":[],"z":{"a":null}}"#, PushResult::NoText),
                ("null", PushResult::NoText),
                ("{}", PushResult::NoText),
            ] {
                let event = format!("data: {}\n\n", object.replace('@', value));
                assert_eq!(push(&mut Guard::new(), &event), expected, "{event}");
            }
        }
        let body = |choice: &str| format!(r#"{{"choices":[{{"message":{{}},{choice}}}]}}"#);
        for choice in [
            r#""top_logprobs":{"a":-0.1}"#,
            r#""logprobs":{"top_logprobs":{"a":-0.1}}"#,
            r#""delta":{"function_call":{"arguments":{"a":1}}}"#,
        ] {
            let pushed = Guard::new().push_completion(body(choice).as_bytes());
            assert_eq!(pushed, Ok(PushResult::Unwatched), "{choice}");
        }
        // A number alone is a log probability, as Together sends it.
        let number = r#"data: {"choices":[{"logprobs":-0.1,"x":{"n":1}}]}"#;
        assert_eq!(push(&mut Guard::new(), &format!("{number}\n\n")), PushResult::NoText);
    }

    /// The verdict on a template doesn't hide the text in a slot of one chunk.
    #[test]
    fn a_text_in_a_slot_of_one_chunk_is_watched() {
        for name in ["text", "new", "content"] {
            let (mut guard, mut decoder) = (Guard::new(), ChunkDecoder::new());
            for (number, text) in ["", "a", "", "b", "", "", "c", ""].into_iter().enumerate() {
                let event = format!(
                    "data: {{\"id\":\"{number}\",\"choices\":[{{\"delta\":{{\"{name}\":\"{text}\"}}}}]}}\n\n"
                );
                let pushed = guard.push(&decoder.next(&mut event.as_bytes()).unwrap());
                let expected = match (text, name) {
                    ("", _) => PushResult::NoText,
                    (_, "content") => PushResult::Text,
                    _ => PushResult::Unwatched,
                };
                assert_eq!(pushed, expected, "{event}");
            }
        }
    }

    #[test]
    fn an_event_beyond_the_bound_of_a_guard_is_refused() {
        let event = delta(r#"{"content":"a"}"#);
        let cost = event.len() + EVENT_COST + SEGMENT_COST + 1;
        let mut guard = Guard::with_bounds(2 * cost, 0);
        assert_eq!(push(&mut guard, &event), PushResult::Text);
        assert_eq!(push(&mut guard, &event), PushResult::Text);
        assert_eq!(push(&mut guard, &event), PushResult::Full);
        assert_eq!(guard.held_bytes(), 2 * cost);
        assert_eq!(guard.texts().next().map(|text| text.text), Some("aa"));
        let mut out = Vec::new();
        guard.release(1, &mut out);
        assert_eq!(out, event.as_bytes());
        assert_eq!(push(&mut guard, &event), PushResult::Text);
        guard.discard();
        assert!(guard.is_empty() && guard.held_bytes() == 0);
        assert_eq!(push(&mut Guard::with_bounds(cost - 1, 0), &event), PushResult::TooLarge);
    }

    /// A rejected event leaves no text behind, and a replacement counts by its own length.
    #[test]
    fn texts_of_held_events_count_towards_the_bound() {
        let small = delta(r#"{"content":"a"}"#);
        let large = delta(&format!(r#"{{"content":"b","reasoning":"{}"}}"#, "c".repeat(200)));
        let small_cost = small.len() + EVENT_COST + SEGMENT_COST + 1;
        let large_cost = large.len() + EVENT_COST + 2 * SEGMENT_COST + 201;
        let mut guard = Guard::with_bounds(large_cost + small_cost - 1, 0);
        assert_eq!(push(&mut guard, &small), PushResult::Text);
        assert_eq!(push(&mut guard, &large), PushResult::Full);
        assert_eq!(guard.held_bytes(), small_cost);
        let texts: Vec<_> = guard.texts().map(|text| text.text.to_owned()).collect();
        assert_eq!(texts, ["a"]);
        let room = large_cost - 1;
        assert!(!guard.replace(CONTENT, 0..1, &"x".repeat(room + 2)));
        assert!(guard.replace(CONTENT, 0..1, &"x".repeat(room + 1)));
        assert_eq!(guard.held_bytes(), small_cost + room);
        assert!(!guard.replace(CONTENT, 0..0, "y") && guard.replace(CONTENT, 0..room, ""));
        assert_eq!(push(&mut guard, &small), PushResult::Text);
        let mut out = Vec::new();
        guard.release_all(&mut out);
        assert_eq!(out, [delta(r#"{"content":"x"}"#), small].concat().as_bytes());
        assert_eq!(guard.held_bytes(), 0);
        assert_eq!(push(&mut Guard::with_bounds(large_cost, 0), &large), PushResult::Text);
        assert_eq!(push(&mut Guard::with_bounds(large_cost - 1, 0), &large), PushResult::TooLarge);
    }

    #[test]
    fn what_has_been_released_cannot_be_replaced() {
        let mut guard = Guard::new();
        let _ = push(&mut guard, &delta(r#"{"content":"one "}"#));
        let mut out = Vec::new();
        guard.release_all(&mut out);
        let _ = push(&mut guard, &delta(r#"{"content":"two"}"#));
        let text = guard.texts().next().unwrap();
        assert_eq!((text.text, text.unreleased_from), ("one two", 4));
        assert!(!guard.replace(CONTENT, 3..5, "x"));
        assert!(!guard.replace(CONTENT, 4..8, "x"));
        assert!(!guard.replace(WatchedTextId { choice: 1, ..CONTENT }, 4..5, "x"));
        assert!(guard.replace(CONTENT, 4..7, "é"));
        assert!(!guard.replace(CONTENT, 5..6, "x"));
        out.clear();
        guard.release_all(&mut out);
        assert_eq!(out, delta(r#"{"content":"é"}"#).as_bytes());
    }

    /// With a broken invariant, a release build drops the event, and a debug build panics.
    #[test]
    #[cfg_attr(debug_assertions, should_panic = "a replacement is outside of its event or text")]
    fn a_broken_replacement_drops_its_event() {
        let event = delta(r#"{"content":"secret"}"#);
        let wrong: [fn(&mut TextSegment); 2] =
            [|segment| segment.span.end = 1000, |segment| segment.text = 1];
        for break_segment in wrong {
            let mut guard = Guard::new();
            let _ = (push(&mut guard, &event), push(&mut guard, ": ping\n\n"));
            assert!(guard.replace(CONTENT, 0..6, "***"));
            break_segment(&mut guard.segments[0]);
            let mut out = Vec::new();
            guard.release_all(&mut out);
            assert_eq!(out, b": ping\n\n");
            assert_eq!(guard.held_bytes(), 0);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64, bool, String),
        Comment,
        Replace(usize, usize, usize, String),
        Release(usize),
        Discard,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0u64..2, any::<bool>(), "[ab\"é\n]{0,4}").prop_map(|(choice, is_content, text)| Step::Push(choice, is_content, text)),
            1 => Just(Step::Comment),
            4 => (any::<usize>(), any::<usize>(), any::<usize>(), "[xyé]{0,5}").prop_map(|(text, start, len, with)| Step::Replace(text, start, len, with)),
            3 => (0usize..8).prop_map(Step::Release),
            1 => Just(Step::Discard),
        ];
        proptest::collection::vec(step, 0..30)
    }

    /// Returns an event with a content or reasoning, whose members and lines depend on the choice.
    fn event_with(choice: u64, is_content: bool, text: &str) -> String {
        let name = if is_content { "content" } else { "reasoning" };
        let text = serde_json::to_string(text).unwrap();
        if choice == 0 {
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"{name}\":{text}}}\ndata: ,\"index\":0}}]}}\n\n"
            )
        } else {
            format!(
                "data: {{\"choices\":[{{\"index\":{choice}, \"delta\": {{ \"{name}\" : {text} }}}}]}}\n\n"
            )
        }
    }

    /// Returns the key of a text in the model: its choice, and true for a content.
    fn key(id: WatchedTextId) -> (u64, bool) {
        (id.choice, id.kind == WatchedTextKind::Content)
    }

    /// Asserts that a text ends as the expected one, and that its released part is in the output.
    fn check_text(text: GuardedText<'_>, expected: &str, out: &[u8]) {
        assert!(expected.ends_with(text.text));
        assert!(text.text.is_char_boundary(text.unreleased_from));
        let released = expected.len() - (text.text.len() - text.unreleased_from);
        assert_eq!(said(out, text.id), expected.get(..released).unwrap());
    }

    /// Returns the text of a stream with an id.
    fn said(stream: &[u8], id: WatchedTextId) -> String {
        let completion = assemble([stream]).completion;
        let message = completion.choice(id.choice).map(|choice| choice.message.clone());
        let message = message.unwrap_or_default();
        let text = match id.kind {
            WatchedTextKind::Content => message.content,
            _ => message.reasoning,
        };
        text.unwrap_or_default()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

        /// The released text equals the text that the guard has shown.
        ///
        /// Without a replacement the released bytes equal the pushed bytes.
        #[test]
        fn released_text_is_the_text_that_was_shown(steps in steps(), overlap in 0usize..6) {
            let mut guard = Guard::with_bounds(1 << 20, overlap);
            let (mut decoder, mut stream, mut out) = (ChunkDecoder::new(), Vec::new(), Vec::new());
            // The expected texts, including held text, and the number of changes.
            let mut model = std::collections::BTreeMap::<(u64, bool), String>::new();
            let mut changes = 0;
            // The choices begin in the order of their indexes.
            let start = b"data: {\"choices\":[{\"index\":0},{\"index\":1}]}\n\n";
            let _ = guard.push(&decoder.next(&mut &start[..]).unwrap());
            stream.extend_from_slice(start);
            for step in steps {
                match step {
                    Step::Push(choice, is_content, text) => {
                        let event = event_with(choice, is_content, &text);
                        let event_bytes = event.as_bytes();
                        let pushed = guard.push(&decoder.next(&mut &*event_bytes).unwrap());
                        prop_assert_eq!(pushed, if text.is_empty() { PushResult::NoText } else { PushResult::Text });
                        stream.extend_from_slice(event_bytes);
                        model.entry((choice, is_content)).or_default().push_str(&text);
                    }
                    Step::Comment => {
                        let _ = guard.push(&decoder.next(&mut &b": ping\n\n"[..]).unwrap());
                        stream.extend_from_slice(b": ping\n\n");
                    }
                    Step::Replace(position, start, len, with) => {
                        let texts: Vec<_> = guard.texts().map(|text| (text.id, text.text.to_owned(), text.unreleased_from)).collect();
                        if texts.is_empty() { continue; }
                        let (id, text, unreleased_from) = &texts[position % texts.len()];
                        let start = start % (text.len() + 2);
                        let end = start + len % 5;
                        let is_there = text.get(start..end).is_some() && start >= *unreleased_from;
                        let is_replaced = guard.replace(*id, start..end, &with);
                        if unreleased_from < &text.len() || !is_there { prop_assert_eq!(is_replaced, is_there); }
                        if is_replaced {
                            let whole = model.get_mut(&key(*id)).unwrap();
                            let dropped = whole.len() - text.len();
                            whole.replace_range(dropped + start..dropped + end, &with);
                            changes += 1;
                        }
                    }
                    Step::Release(keep) => guard.release(keep, &mut out),
                    Step::Discard => {
                        if changes > 0 || !guard.is_empty() { changes += 1; }
                        for text in guard.texts() {
                            let whole = model.get_mut(&key(text.id)).unwrap();
                            whole.truncate(whole.len() - (text.text.len() - text.unreleased_from));
                        }
                        guard.discard();
                    }
                }
                for text in guard.texts() {
                    check_text(text, &model[&key(text.id)], &out);
                }
            }
            guard.release_all(&mut out);
            for text in guard.texts() {
                prop_assert_eq!(&said(&out, text.id), &model[&key(text.id)]);
                prop_assert!(text.text.len() <= overlap);
            }
            if changes == 0 {
                prop_assert_eq!(out, stream);
            }
        }
    }
}
