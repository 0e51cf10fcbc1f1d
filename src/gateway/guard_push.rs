//! `Guard::push`: adds an event and its texts to a guard, or rejects it.

use core::ops::Range;

use super::allowlist::{Verdict, has_unwatched_bytes, scan};
use super::byte_edit::Place;
use super::elements::{ElementNumber, LARGEST_INDEX, ReasoningTexts, Unattributed};
use super::guard::{EVENT_COST, Guard, HeldEvent, MAX_TEXTS, SEGMENT_COST};
use super::push_result::PushResult;
use super::spans::{Spans, object_of, value_range};
use super::text_form::{ChunkForm, Holder, TextForm};
use super::text_segment::TextSegment;
use super::watched_text::{
    ElementList, Found, FoundText, MessageMember, WatchedText, WatchedTextId, each_text,
    end_others, has_half_character,
};
use crate::chunk::{ChatCompletionChunk, Choice};
use crate::decoder::{ChunkEvent, Payload};
use crate::json::Value;
use crate::sse::EventKind;

/// The result of adding the texts of a choice.
#[derive(Clone, Copy, Default)]
struct AddedTexts {
    has_text: bool,
    has_unwatched: bool,
}

/// The most that a byte of JSON costs as a text: the shortest text is `"",`.
const MOST_COST: usize = SEGMENT_COST / 3 + 1;

/// The bytes that the texts of an event may cost.
struct TextBudget<'c, 'e> {
    /// The bytes for the further texts, and for all of them.
    left: usize,
    all: usize,
    /// All texts are known to fit.
    fits: bool,
    chunk: &'c ChatCompletionChunk<'e>,
    member: MessageMember,
    form: ChunkForm,
}

impl TextBudget<'_, '_> {
    /// Returns true if all texts of the event fit.
    fn is_enough(&mut self) -> bool {
        let len = || value_range(self.chunk.as_value()).map_or(usize::MAX, |range| range.len());
        self.fits = self.fits
            || len() <= self.all / MOST_COST
            || cost_of_texts(self.chunk, self.member) <= self.all;
        self.fits
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
        if chunk.is_none() && self.is_part(event.event().kind()) {
            return self.push_part(written).with_unwatched(has_unwatched_bytes(event));
        }
        let is_done = matches!(event.payload(), Payload::Done);
        let form = ChunkForm::of(chunk.as_ref(), event.event().own_type());
        let held = self.hold(chunk.as_ref(), MessageMember::Delta, form, is_done, written, find);
        held.with_unwatched(has_unwatched_bytes(event))
    }

    /// Holds the bytes `written` as an event without texts.
    pub(super) fn push_without_chunk(&mut self, written: &[u8]) -> PushResult {
        let find = |_: Value<'_>| Place::Unknown;
        self.hold(None, MessageMember::Delta, ChunkForm::of(None, None), false, written, find)
    }

    /// Returns true for an event that is cut as the input is.
    ///
    /// A comment may lack its blank line, which is counted with it or not at all.
    fn is_part(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Skipped | EventKind::BlankLine => true,
            EventKind::Comment => self.events.is_empty(),
            _ => false,
        }
    }

    /// Holds bytes that are cut as the input is, as a part of the last held event.
    ///
    /// With an event for each piece, the bound would depend on the pieces. If nothing is held, the bytes
    /// wait for no text and aren't counted: else the bound would depend on the length of a piece.
    #[cold]
    fn push_part(&mut self, written: &[u8]) -> PushResult {
        let free = self.free_bytes();
        if let Some(last) = self.events.back_mut() {
            let held = self.raw.get(self.raw.len() - last.len..).unwrap_or_default();
            let (before, after) = (uncounted_end(held, b""), uncounted_end(held, written));
            if (written.len() + before).saturating_sub(after) > free {
                return PushResult::Full;
            }
            last.len += written.len();
            last.uncounted = last.uncounted + after - before;
            self.uncounted = self.uncounted + after - before;
        } else {
            let (len, uncounted) = (written.len(), written.len() + EVENT_COST);
            self.events.push_back(HeldEvent { len, uncounted, segments: 0 });
            self.uncounted += uncounted;
        }
        self.raw.extend_from_slice(written);
        self.accepted += 1;
        PushResult::NoText
    }

    /// Holds an event, or a body, that is released as the bytes `written`.
    ///
    /// The texts are in `member` of each choice of its `chunk`.
    pub(super) fn hold<'e>(
        &mut self,
        chunk: Option<&ChatCompletionChunk<'e>>,
        member: MessageMember,
        form: ChunkForm,
        is_done: bool,
        written: &[u8],
        find: impl Fn(Value<'e>) -> Place,
    ) -> PushResult {
        let uncounted = uncounted_end(written, b"");
        let counted = written.len() - uncounted;
        let Some(left) = self.free_bytes().checked_sub(counted + EVENT_COST) else {
            return self.rejection(chunk, member, counted);
        };
        let (texts, segments) = (self.texts.len(), self.segments.len());
        let (mut has_text, mut is_unwatched, mut has_others) = (false, false, false);
        if let Some(chunk) = chunk {
            if member == MessageMember::Delta && self.elements.is_new() {
                self.elements.begin(chunk);
            }
            let mut budget = TextBudget { left, all: left, fits: false, chunk, member, form };
            for (choice, position) in chunk.choices().zip(0..) {
                let Some(added) = self.add(&find, (&choice, position), &mut budget) else {
                    self.take_back(texts, segments);
                    return self.rejection(Some(chunk), member, counted);
                };
                has_text |= added.has_text;
                is_unwatched |= added.has_unwatched;
                has_others |= position > 0;
            }
            is_unwatched |= self.has_unwatched_content(chunk, member);
            let is_of_stream = member == MessageMember::Delta;
            is_unwatched |= has_others && has_text && is_of_stream && has_repeated_index(chunk);
        }
        is_unwatched |= !self.end_texts(is_done, chunk, segments);
        self.raw.extend_from_slice(written);
        let segments = self.segments.len() - segments;
        self.events.push_back(HeldEvent { len: written.len(), uncounted, segments });
        self.uncounted += uncounted;
        debug_assert!(self.held_bytes() <= self.most_bytes, "the budget was checked");
        let pushed = if has_text { PushResult::Text } else { PushResult::NoText };
        pushed.with_unwatched(is_unwatched)
    }

    /// Marks the texts that an event continues or ends. Its segments are those from `new` on.
    ///
    /// A piece of another text of the same choice, a finish reason and `[DONE]` end a text. Returns false
    /// if a client may skip a piece before one of the event.
    #[inline]
    fn end_texts(
        &mut self,
        is_done: bool,
        chunk: Option<&ChatCompletionChunk<'_>>,
        new: usize,
    ) -> bool {
        let mut continues_forms = true;
        self.accepted += 1;
        let now = self.accepted;
        let Self { segments, texts, .. } = self;
        let new = || segments.iter().skip(new).filter(|segment| segment.start < segment.end);
        for segment in new() {
            if let Some(text) = texts.get_mut(segment.text) {
                text.continue_at(now);
                continues_forms &= text.continues_form(segment.form);
            }
        }
        let has_others = texts.len() > 1;
        for segment in new().filter(|_| has_others) {
            end_others(texts, segment.text);
        }
        let choices = chunk.into_iter().flat_map(ChatCompletionChunk::choices);
        for choice in choices.filter(|choice| choice.finish_reason().is_some()) {
            // It may be any choice.
            if choice.has_invalid_index() {
                continue;
            }
            let index = choice.index().unwrap_or(0);
            let own = texts.iter_mut().filter(|text| text.id.choice == index);
            own.for_each(|text| text.is_over = true);
        }
        if is_done {
            for text in texts {
                text.is_over = true;
            }
        }
        continues_forms
    }

    /// Adds the texts of a choice at a position, or returns `None` if they exceed the budget.
    fn add<'e>(
        &mut self,
        find: &impl Fn(Value<'e>) -> Place,
        (choice, position): (&Choice<'e>, u64),
        budget: &mut TextBudget<'_, 'e>,
    ) -> Option<AddedTexts> {
        let (member, chunk, own_index) = (budget.member, budget.form, choice.index());
        let (index, is_choice_known) = match member {
            MessageMember::Message => (position, true),
            MessageMember::Delta => {
                let index = own_index.unwrap_or(0);
                (index, index <= LARGEST_INDEX && !choice.has_invalid_index())
            }
        };
        let is_apart = !is_choice_known
            || self.elements.is_choice_known(index)
            || self.add_choice(choice, index, budget)?;
        let (mut added, mut reasoning) = (AddedTexts::default(), ReasoningTexts::default());
        // The number of the element that contains the next texts.
        let mut element: ElementNumber = Err(Unattributed);
        each_text(choice, member, |found| {
            let FoundText { kind, of, value, text } = match found {
                Found::Text(text) => text,
                Found::Element { list, position, .. } if member == MessageMember::Message => {
                    element = Ok((list == ElementList::ToolCalls).then_some(position));
                    return Some(());
                }
                Found::Element { list, value, position } => {
                    reasoning.has_details |= list == ElementList::ReasoningDetails;
                    let choice = is_choice_known.then_some(index);
                    element = self.element_of(choice, list, (value, position), budget)?;
                    return Some(());
                }
            };
            budget.left = budget.left.checked_sub(SEGMENT_COST + text.len())?;
            added.has_unwatched |= has_half_character(value, text);
            let span = match find(value) {
                Place::At(span) => Some(span),
                Place::Removed => return Some(()),
                Place::Unknown => None,
            };
            reasoning.add(kind, text, of == Holder::Part);
            let element = if of.is_element() { element } else { Ok(None) };
            let id = element.map(|element| WatchedTextId { choice: index, kind, element });
            let id = id.ok().filter(|_| is_choice_known);
            match id.and_then(|id| self.text_position(id)).zip(span) {
                Some((position, span)) => {
                    let form = TextForm { of, has_index: own_index.is_some(), chunk };
                    self.add_text(position, span, text, form)?;
                    added.has_text |= !text.is_empty();
                    added.has_unwatched |= !is_apart && !text.is_empty();
                }
                None => added.has_unwatched |= !text.is_empty(),
            }
            Some(())
        })?;
        let of_stream = (member == MessageMember::Delta && is_choice_known).then_some(index);
        added.has_unwatched |= self.has_unwatched_reasoning(&reasoning, of_stream);
        Some(added)
    }

    /// Returns true if clients differ in which texts of the reasoning they join.
    ///
    /// `choice` is that of a stream, and its deltas have the same names.
    #[inline]
    fn has_unwatched_reasoning(
        &mut self,
        reasoning: &ReasoningTexts<'_>,
        choice: Option<u64>,
    ) -> bool {
        if reasoning.differ() {
            return true;
        }
        let Some(names) = reasoning.names() else { return false };
        !choice.is_none_or(|choice| self.elements.continues_reasoning(choice, names))
    }

    /// Adds a message of a choice, or returns `None` if the texts exceed the budget.
    ///
    /// Returns false if a client may join its texts with those of another choice.
    #[inline(never)]
    fn add_choice(
        &mut self,
        choice: &Choice<'_>,
        index: u64,
        budget: &mut TextBudget<'_, '_>,
    ) -> Option<bool> {
        if budget.member == MessageMember::Message {
            return Some(true);
        }
        // A rejected event may come again: the client has its choice once.
        if !budget.is_enough() {
            return None;
        }
        let has_text = each_text(choice, MessageMember::Delta, |found| match found {
            Found::Text(FoundText { text: "", .. }) => Some(()),
            Found::Element { .. } | Found::Text(_) => None,
        });
        Some(self.elements.add_choice(index, has_text.is_none()))
    }

    /// Returns the number of an element of a delta, or `None` if the texts exceed the budget.
    #[inline(never)]
    fn element_of(
        &mut self,
        choice: Option<u64>,
        list: ElementList,
        (value, position): (Value<'_>, u64),
        budget: &mut TextBudget<'_, '_>,
    ) -> Option<ElementNumber> {
        // A rejected event may come again: it must not begin its elements twice.
        if !budget.is_enough() {
            return None;
        }
        Some(match (choice, list) {
            (None, _) => Err(Unattributed),
            (Some(choice), ElementList::ToolCalls) => self.elements.call(choice, value, position),
            (Some(choice), ElementList::ReasoningDetails) => {
                self.elements.detail(choice, value, position)
            }
        })
    }

    /// Adds a piece to the text at a position. `span` is its place in the event.
    #[inline]
    fn add_text(
        &mut self,
        position: usize,
        span: Range<usize>,
        piece: &str,
        form: TextForm,
    ) -> Option<()> {
        let watched = self.texts.get_mut(position)?;
        let start = watched.end();
        watched.text.push_str(piece);
        self.text_bytes += piece.len();
        let (end, is_changed) = (start + piece.len(), false);
        debug_assert!(span.start < span.end, "a string has quotes");
        self.segments.push_back(TextSegment { text: position, start, end, span, form, is_changed });
        Some(())
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
        counted: usize,
    ) -> PushResult {
        let cost = counted + EVENT_COST + chunk.map_or(0, |chunk| cost_of_texts(chunk, member));
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
    #[inline]
    fn text_position(&mut self, id: WatchedTextId) -> Option<usize> {
        let known = self.texts.iter().position(|text| text.id == id);
        if known.is_none() && self.texts.len() < MAX_TEXTS {
            self.texts.push(WatchedText::new(id));
            return Some(self.texts.len() - 1);
        }
        known
    }
}

/// Returns true if two choices of a chunk have one index: some clients read the first one alone.
fn has_repeated_index(chunk: &ChatCompletionChunk<'_>) -> bool {
    let indexes = || chunk.choices().map(|choice| choice.index().unwrap_or(0));
    if indexes().is_sorted_by(|one, next| one < next) {
        return false;
    }
    let mut sorted: Vec<u64> = indexes().collect();
    sorted.sort_unstable();
    !sorted.is_sorted_by(|one, next| one < next)
}

/// Returns the length of the LF behind the CR at which an event ends: the LF may come apart.
///
/// `more` follows the bytes of the event.
fn uncounted_end(event: &[u8], more: &[u8]) -> usize {
    let is_end = match more {
        [] => event.ends_with(b"\r\n"),
        [b'\n'] => event.ends_with(b"\r"),
        more => more.ends_with(b"\r\n"),
    };
    usize::from(is_end)
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
