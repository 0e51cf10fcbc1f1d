//! `Guard::push`: adds an event and its texts to a guard, or rejects it.

use super::allowlist::{Verdict, has_unwatched_bytes, scan};
use super::byte_edit::Place;
use super::elements::{ElementNumber, ReasoningTexts, Unattributed};
use super::guard::{EVENT_COST, Guard, HeldEvent, SEGMENT_COST};
use super::push_result::PushResult;
use super::spans::{Spans, object_of};
use super::text_segment::TextSegment;
use super::watched_text::{
    ElementList, Found, FoundText, Holder, MessageMember, WatchedText, WatchedTextId, each_text,
    end_others, has_half_character,
};
use crate::chunk::{ChatCompletionChunk, Choice};
use crate::decoder::{ChunkEvent, Payload};
use crate::json::Value;

/// The result of adding the texts of a choice.
#[derive(Clone, Copy, Default)]
struct AddedTexts {
    has_text: bool,
    has_unwatched: bool,
}

/// Maximum number of texts of a stream.
const MAX_TEXTS: usize = 256;

/// The room for the texts of an event.
struct Room<'c, 'e> {
    /// The bytes for the further texts, and for all of them.
    left: usize,
    all: usize,
    /// All texts are known to fit.
    is_enough: bool,
    chunk: &'c ChatCompletionChunk<'e>,
    member: MessageMember,
}

impl Room<'_, '_> {
    /// Returns `None` if the texts of the event don't fit.
    fn check(&mut self) -> Option<()> {
        self.is_enough = self.is_enough || cost_of_texts(self.chunk, self.member) <= self.all;
        self.is_enough.then_some(())
    }
}

impl Guard {
    /// Holds the next event of the stream, of any kind, if the bound allows it.
    pub fn push(&mut self, event: &ChunkEvent<'_>) -> PushResult {
        let spans = Spans::of(event);
        let find = |value| spans.as_ref().and_then(|spans| spans.find(value)).into();
        self.push_written(event, event.raw(), find)
    }

    /// Holds an event as [`push`](Self::push) does, but releases it as the bytes `written`.
    ///
    /// `find` returns the place of a string of the event in these bytes. A text of an unknown place is
    /// unwatched, and a removed text is none.
    pub(super) fn push_written<'e>(
        &mut self,
        event: &ChunkEvent<'e>,
        written: &[u8],
        find: impl Fn(Value<'e>) -> Place,
    ) -> PushResult {
        let chunk = object_of(event);
        let is_done = matches!(event.payload(), Payload::Done);
        let held = self.hold(chunk.as_ref(), MessageMember::Delta, is_done, written, find);
        held.with_unwatched(has_unwatched_bytes(event))
    }

    /// Holds an event, or a body, that is released as the bytes `written`.
    ///
    /// The texts are in `member` of each choice of its `chunk`.
    pub(super) fn hold<'e>(
        &mut self,
        chunk: Option<&ChatCompletionChunk<'e>>,
        member: MessageMember,
        is_done: bool,
        written: &[u8],
        find: impl Fn(Value<'e>) -> Place,
    ) -> PushResult {
        let room = self.most_bytes - self.held_bytes();
        let Some(left) = room.checked_sub(written.len() + EVENT_COST) else {
            return self.rejection(chunk, member, written.len());
        };
        let (texts, segments) = (self.texts.len(), self.segments.len());
        let (mut has_text, mut is_unwatched) = (false, false);
        if let Some(chunk) = chunk {
            let mut room = Room { left, all: left, is_enough: false, chunk, member };
            for choice in chunk.choices() {
                let Some(added) = self.add(&find, &choice, &mut room) else {
                    self.take_back(texts, segments);
                    return self.rejection(Some(chunk), member, written.len());
                };
                has_text |= added.has_text;
                is_unwatched |= added.has_unwatched;
            }
            is_unwatched |= self.has_unwatched_content(chunk, member);
        }
        self.end_texts(is_done, chunk, segments);
        self.raw.extend_from_slice(written);
        let segments = self.segments.len() - segments;
        self.events.push_back(HeldEvent { len: written.len(), segments });
        debug_assert!(self.held_bytes() <= self.most_bytes, "the budget was checked");
        let pushed = if has_text { PushResult::Text } else { PushResult::NoText };
        pushed.with_unwatched(is_unwatched)
    }

    /// Marks the texts that an event continues or ends. Its segments are those from `new` on.
    ///
    /// A piece of another text of the same choice, a finish reason and `[DONE]` end a text.
    #[inline]
    fn end_texts(&mut self, is_done: bool, chunk: Option<&ChatCompletionChunk<'_>>, new: usize) {
        self.accepted += 1;
        let now = self.accepted;
        let Self { segments, texts, .. } = self;
        let new = || segments.iter().skip(new).filter(|segment| segment.start < segment.end);
        for segment in new() {
            if let Some(text) = texts.get_mut(segment.text) {
                text.continue_at(now);
            }
        }
        let has_others = texts.len() > 1;
        for segment in new().filter(|_| has_others) {
            end_others(texts, segment.text);
        }
        let choices = chunk.into_iter().flat_map(ChatCompletionChunk::choices);
        for choice in choices.filter(|choice| choice.finish_reason().is_some()) {
            let index = choice.index().unwrap_or(0);
            let own = texts.iter_mut().filter(|text| text.id.choice == index);
            own.for_each(|text| text.is_over = true);
        }
        if is_done {
            for text in texts {
                text.is_over = true;
            }
        }
    }

    /// Adds the texts of a choice, or returns `None` if they exceed the room.
    fn add<'e>(
        &mut self,
        find: &impl Fn(Value<'e>) -> Place,
        choice: &Choice<'e>,
        room: &mut Room<'_, 'e>,
    ) -> Option<AddedTexts> {
        let (index, member) = (choice.index().unwrap_or(0), room.member);
        let is_choice_known = !choice.has_invalid_index();
        let (mut added, mut reasoning) = (AddedTexts::default(), ReasoningTexts::default());
        // The number of the element that contains the next texts.
        let mut element: ElementNumber = Err(Unattributed);
        each_text(choice, member, |found| {
            let FoundText { kind, of, value, text } = match found {
                Found::Text(text) => text,
                Found::Element { position, .. } if member == MessageMember::Message => {
                    element = Ok(Some(position));
                    return Some(());
                }
                Found::Element { list, value, .. } => {
                    // A rejected event may come again: it must not begin its elements twice.
                    room.check()?;
                    element = match list {
                        _ if !is_choice_known => Err(Unattributed),
                        ElementList::ToolCalls => self.elements.call(index, value),
                        ElementList::ReasoningDetails => self.elements.detail(index, value),
                    };
                    return Some(());
                }
            };
            room.left = room.left.checked_sub(SEGMENT_COST + text.len())?;
            added.has_unwatched |= has_half_character(value, text);
            let span = match find(value) {
                Place::At(span) => Some(span),
                Place::Removed => return Some(()),
                Place::Unknown => None,
            };
            reasoning.add(kind, text, of == Holder::Part);
            let element = if of == Holder::Element { element } else { Ok(None) };
            let known = element.ok().filter(|_| is_choice_known);
            let id = known.map(|element| WatchedTextId { choice: index, kind, element });
            let position = id.and_then(|id| self.text_position(id));
            let Some((position, span)) = position.zip(span) else {
                added.has_unwatched |= !text.is_empty();
                return Some(());
            };
            let watched = self.texts.get_mut(position)?;
            let start = watched.end();
            watched.text.push_str(text);
            self.text_bytes += text.len();
            let (end, is_changed) = (start + text.len(), false);
            debug_assert!(span.start < span.end, "a string has quotes");
            self.segments.push_back(TextSegment { text: position, start, end, span, is_changed });
            added.has_text |= !text.is_empty();
            Some(())
        })?;
        if let Some(names) = reasoning.names() {
            let is_stream = member == MessageMember::Delta && is_choice_known;
            added.has_unwatched |=
                reasoning.differ() || is_stream && !self.elements.continues_reasoning(index, names);
        }
        Some(added)
    }

    /// Truncates the texts and segments to their numbers before a rejected event.
    #[cold]
    fn take_back(&mut self, texts: usize, segments: usize) {
        while self.segments.len() > segments {
            let Some(TextSegment { text, start, end, .. }) = self.segments.pop_back() else {
                break;
            };
            let Some(watched) = self.texts.get_mut(text) else { continue };
            watched.text.truncate(start - watched.dropped);
            self.text_bytes -= end - start;
        }
        self.texts.truncate(texts);
    }

    /// Returns the reason for which an event isn't held.
    #[cold]
    fn rejection(
        &self,
        chunk: Option<&ChatCompletionChunk<'_>>,
        member: MessageMember,
        written: usize,
    ) -> PushResult {
        let cost = written + EVENT_COST + chunk.map_or(0, |chunk| cost_of_texts(chunk, member));
        if cost > self.most_bytes { PushResult::TooLarge } else { PushResult::Full }
    }

    /// Returns true if a chunk may contain text that the guard doesn't watch.
    #[inline]
    fn has_unwatched_content(
        &mut self,
        chunk: &ChatCompletionChunk<'_>,
        member: MessageMember,
    ) -> bool {
        let key = chunk.template_key().filter(|_| member == MessageMember::Delta);
        let Some(key) = key else { return scan(chunk, member) == Verdict::Unknown };
        let verdict = self.verdicts.get_or_compute(key, |verdict| *verdict = Verdict::Unknown);
        // The values of the slots may change any other verdict.
        if *verdict != Verdict::AlwaysHarmless {
            *verdict = scan(chunk, member);
        }
        *verdict == Verdict::Unknown
    }

    /// Returns the position of a text, which is added if the number of texts allows it.
    fn text_position(&mut self, id: WatchedTextId) -> Option<usize> {
        let known = self.texts.iter().position(|text| text.id == id);
        if known.is_none() && self.texts.len() < MAX_TEXTS {
            self.texts.push(WatchedText::new(id));
            return Some(self.texts.len() - 1);
        }
        known
    }
}

/// Returns the cost of the texts in a chunk.
fn cost_of_texts(chunk: &ChatCompletionChunk<'_>, member: MessageMember) -> usize {
    let mut cost = 0;
    for choice in chunk.choices() {
        each_text(&choice, member, |found| {
            if let Found::Text(FoundText { text, .. }) = found {
                cost += SEGMENT_COST + text.len();
            }
            Some(())
        });
    }
    cost
}
