//! Texts of a stream that a guard watches: their ids, stored parts, and places in a chunk.

use crate::chunk::Choice;
use crate::json::Value;

/// The identity of a text of a stream; see [`Guard::texts`](super::Guard::texts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TextId {
    /// The index of the choice.
    pub choice: u64,
    /// The kind of the text.
    pub kind: TextKind,
    /// The index of the tool call, for a text of a tool call.
    ///
    /// Tool calls with the same index share their texts, even if their ids differ. Tool calls
    /// without an index share the texts of `None`, with the older `function_call`.
    pub call: Option<u64>,
}

/// The kind of a text of a choice, by its name in the delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextKind {
    /// `content`
    Content,
    /// `refusal`
    Refusal,
    /// `reasoning_content`. Some servers also send the same text as `reasoning`.
    ReasoningContent,
    /// `reasoning`
    Reasoning,
    /// `tool_calls[].function.name`, or `function_call.name`.
    FunctionName,
    /// `tool_calls[].function.arguments`, or `function_call.arguments`.
    ///
    /// This is the text of a JSON object, piece by piece, with its own escapes.
    Arguments,
}

impl TextKind {
    /// Returns the kind of the text that the member `name` of a delta contains.
    pub(super) fn of_delta(name: &str) -> Option<Self> {
        match name {
            "content" => Some(Self::Content),
            "refusal" => Some(Self::Refusal),
            "reasoning_content" => Some(Self::ReasoningContent),
            "reasoning" => Some(Self::Reasoning),
            _ => None,
        }
    }

    /// Returns the kind of the text that the member `name` of a function contains.
    pub(super) fn of_function(name: &str) -> Option<Self> {
        match name {
            "name" => Some(Self::FunctionName),
            "arguments" => Some(Self::Arguments),
            _ => None,
        }
    }
}

/// The part of a text of a stream that a guard stores: the overlap and the held text.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct GuardedText<'g> {
    /// The identity of the text.
    pub id: TextId,
    /// The overlap, followed by the held text.
    pub text: &'g str,
    /// The position in `text` at which the held text begins.
    pub held_from: usize,
}

/// Spare bytes that a text may hold, so that its buffer isn't allocated again for each event.
const SPARE_BYTES: usize = 4 << 10;

/// A text of a stream, with the part of it that a guard stores.
#[derive(Clone)]
pub(super) struct WatchedText {
    pub(super) id: TextId,
    /// Number of bytes removed from its front, and of the hidden bytes at the front of `text`.
    pub(super) gone: usize,
    pub(super) hidden: usize,
    /// Number of bytes of it that have been released.
    pub(super) released: usize,
    pub(super) text: String,
    /// The numbers of the first and the last event with a piece of it; 0 if there is none.
    pub(super) began: u64,
    pub(super) last_event: u64,
    /// The text has ended: no further piece is expected, so its held events may be released.
    pub(super) is_over: bool,
}

impl WatchedText {
    pub(super) const fn new(id: TextId) -> Self {
        let (gone, hidden, released, began, last_event, is_over) = (0, 0, 0, 0, 0, false);
        Self { id, gone, hidden, released, text: String::new(), began, last_event, is_over }
    }

    pub(super) fn shown(&self) -> GuardedText<'_> {
        GuardedText {
            id: self.id,
            text: self.text.get(self.hidden..).unwrap_or_default(),
            held_from: self.released - self.gone - self.hidden,
        }
    }

    /// Hides the released text except the overlap.
    ///
    /// Hidden text is removed when it is the larger part, so that a byte is moved a few times at
    /// most.
    pub(super) fn forget(&mut self, overlap: usize) {
        let released = self.released - self.gone;
        let least = released.saturating_sub(overlap);
        let from = (least..released).find(|at| self.text.is_char_boundary(*at));
        self.hidden = from.unwrap_or(released);
        if self.hidden > self.text.len() / 2 {
            self.text.drain(..self.hidden);
            self.gone += self.hidden;
            self.hidden = 0;
        }
        let least = 2 * (self.text.len() - self.hidden);
        if self.text.capacity() > SPARE_BYTES + 2 * least {
            self.text.shrink_to(least);
        }
    }
}

/// Number of events for which a text is kept while other texts of its choice interrupt it.
const INTERRUPTED: u64 = 32;

/// Ends other texts of a choice when the text `going_on` continues.
///
/// A text ends if its last piece came no later than the first one of `going_on`, or too many events
/// ago.
pub(super) fn end_others(texts: &mut [WatchedText], going_on: usize) {
    let Some(&WatchedText { id, began, last_event: now, .. }) = texts.get(going_on) else { return };
    for text in texts.iter_mut().filter(|text| text.id.choice == id.choice) {
        let is_left = text.last_event <= began || now - text.last_event > INTERRUPTED;
        text.is_over |= text.last_event < now && is_left;
    }
}

/// A text in a choice, with its identity and its value.
pub(super) struct TextAt<'a> {
    pub(super) id: TextId,
    pub(super) value: Value<'a>,
    pub(super) text: &'a str,
}

/// Calls `each` for the texts of a choice that are strings, in the order in which they were sent.
///
/// Texts with repeated names are included. The first `None` ends the calls.
pub(super) fn each_text<'a>(
    choice: &Choice<'a>,
    mut each: impl FnMut(TextAt<'a>) -> Option<()>,
) -> Option<()> {
    let index = choice.index().unwrap_or(0);
    let mut add = |kind, call, value: Value<'a>| match value.as_str() {
        Some(text) => each(TextAt { id: TextId { choice: index, kind, call }, value, text }),
        None => Some(()),
    };
    let Some(delta) = choice.delta().as_value() else { return Some(()) };
    for (name, value) in delta.members() {
        match (TextKind::of_delta(name), name) {
            (Some(kind), _) => add(kind, None, value)?,
            (None, "tool_calls") => {
                for call in value.elements() {
                    let index = call.get("index").and_then(|index| index.as_u64());
                    for (_, function) in call.members().filter(|(name, _)| *name == "function") {
                        for (name, value) in function.members() {
                            TextKind::of_function(name)
                                .map_or(Some(()), |kind| add(kind, index, value))?;
                        }
                    }
                }
            }
            (None, "function_call") => {
                for (name, value) in value.members() {
                    TextKind::of_function(name).map_or(Some(()), |kind| add(kind, None, value))?;
                }
            }
            (None, _) => {}
        }
    }
    Some(())
}
