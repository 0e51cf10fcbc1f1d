//! The texts of a stream that a guard watches: which there are, what is here of them, and where a chunk
//! has them.

use crate::chunk::Choice;
use crate::json::Value;

/// Which text of a stream: see [`Guard::texts`](super::Guard::texts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TextId {
    /// The index of the choice.
    pub choice: u64,
    /// Which text of the choice.
    pub kind: TextKind,
    /// The index of the tool call, for a text of one. Calls that a server sends under one index share
    /// its texts, also where their ids differ; those without an index share the texts of `None`, with
    /// the older `function_call`.
    pub call: Option<u64>,
}

/// Which text of a choice, by its name in the delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextKind {
    /// `content`
    Content,
    /// `refusal`
    Refusal,
    /// `reasoning_content`. Some servers send the same text as `reasoning` besides.
    ReasoningContent,
    /// `reasoning`
    Reasoning,
    /// `tool_calls[].function.name`, or that of `function_call`.
    FunctionName,
    /// `tool_calls[].function.arguments`, or those of `function_call`: the text of a JSON object, piece
    /// by piece, with its own escapes.
    Arguments,
}

impl TextKind {
    /// The text of a member of a delta.
    pub(super) fn of_delta(name: &str) -> Option<Self> {
        match name {
            "content" => Some(Self::Content),
            "refusal" => Some(Self::Refusal),
            "reasoning_content" => Some(Self::ReasoningContent),
            "reasoning" => Some(Self::Reasoning),
            _ => None,
        }
    }

    /// The text of a member of a function.
    pub(super) fn of_function(name: &str) -> Option<Self> {
        match name {
            "name" => Some(Self::FunctionName),
            "arguments" => Some(Self::Arguments),
            _ => None,
        }
    }
}

/// A text of a stream, as far as it is here.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct GuardedText<'g> {
    /// Which one it is.
    pub id: TextId,
    /// The overlap, and what is held.
    pub text: &'g str,
    /// Where in `text` that begins what is held.
    pub held_from: usize,
}

/// What a text may hold in vain, so that its buffer isn't made anew for each event.
const SPARE_BYTES: usize = 4 << 10;

/// A text, as far as it is here.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) id: TextId,
    /// How much of it isn't here any more, and how much of what is isn't shown.
    pub(super) gone: usize,
    pub(super) hidden: usize,
    /// How much of it has been released.
    pub(super) released: usize,
    pub(super) text: String,
    /// The numbers of the first and the last event that brought some of it; 0 if none has.
    pub(super) began: u64,
    pub(super) last_event: u64,
    /// Nothing is expected of it any more, so that what is held of it may go.
    pub(super) is_over: bool,
}

impl Text {
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

    /// Hides what has been released but for the overlap. What is hidden goes when it is the larger
    /// part, so that a byte is moved a few times at most.
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

/// For so many events a text is kept that others of its choice interrupt.
const INTERRUPTED: u64 = 32;

/// Ends the texts of the same choice that have brought nothing since a text began, which goes on, or
/// for too long.
pub(super) fn end_others(texts: &mut [Text], going_on: usize) {
    let Some(&Text { id, began, last_event: now, .. }) = texts.get(going_on) else { return };
    for text in texts.iter_mut().filter(|text| text.id.choice == id.choice) {
        let is_left = text.last_event <= began || now - text.last_event > INTERRUPTED;
        text.is_over |= text.last_event < now && is_left;
    }
}

/// A text in a choice.
pub(super) struct TextAt<'a> {
    pub(super) id: TextId,
    pub(super) value: Value<'a>,
    pub(super) text: &'a str,
}

/// Calls `each` with the texts of a choice that are strings, repeated names included, in the order in
/// which they were sent. Ends with the first `None`.
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
