//! Texts of a stream that a guard watches: their ids, their stored parts, and how chunks have them.

use core::fmt;
use core::ops::Range;

use super::text_segment::Masked;
use crate::chunk::schema::{choice, delta, function, reasoning_detail, tool_call};
use crate::chunk::{Choice, ContentPart, texts_of};
use crate::json::Value;
use crate::report::named;
use crate::slice::text_in;

/// The identity of a text of a stream; see [`Guard::texts`](super::Guard::texts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WatchedTextId {
    /// The index of the choice; 0 if it has none.
    ///
    /// It is the position in `choices` for those of a whole completion, whose choices may lack an
    /// index or share one.
    pub choice: u64,
    /// The kind of the text.
    pub kind: WatchedTextKind,
    /// The index of the tool call or reasoning detail that contains the text.
    ///
    /// It is the position in the list for those of a whole message. In a stream it is the index:
    /// those with the same one share their texts, even if their ids differ. Those without an index
    /// share the texts of `None`, and tool calls without one do so with the older `function_call`.
    pub element: Option<u64>,
}

/// The kind of a text of a choice, by its name in the delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchedTextKind {
    /// `content`, or the texts of its parts if it is an array.
    Content,
    /// `refusal`, or that of a part of the content.
    Refusal,
    /// `reasoning_content`. Some servers also send the same text as `reasoning`.
    ReasoningContent,
    /// `reasoning`, or that of a part of the content, such as `thinking`.
    Reasoning,
    /// `reasoning_details[].text`, which repeats the reasoning at most servers.
    ReasoningDetail,
    /// `reasoning_details[].summary`
    ReasoningSummary,
    /// `tool_calls[].function.name`, or `function_call.name`.
    FunctionName,
    /// `tool_calls[].function.arguments`, or `function_call.arguments`.
    ///
    /// This is the text of a JSON object, in pieces, with its own escapes.
    Arguments,
}

impl WatchedTextKind {
    /// Returns the name of the kind: that of its member in the delta, or one with its list.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => delta::CONTENT,
            Self::Refusal => delta::REFUSAL,
            Self::ReasoningContent => delta::REASONING_CONTENT,
            Self::Reasoning => delta::REASONING,
            Self::ReasoningDetail => "reasoning_detail",
            Self::ReasoningSummary => "reasoning_detail_summary",
            Self::FunctionName => "function_name",
            Self::Arguments => function::ARGUMENTS,
        }
    }

    /// Returns the kind of the text that the member `name` of a delta contains.
    pub(super) fn from_delta(name: &str) -> Option<Self> {
        match name {
            delta::CONTENT => Some(Self::Content),
            delta::REFUSAL => Some(Self::Refusal),
            delta::REASONING_CONTENT => Some(Self::ReasoningContent),
            delta::REASONING => Some(Self::Reasoning),
            _ => None,
        }
    }

    /// Returns the kind of the text that the member `name` of a reasoning detail contains.
    pub(super) fn from_detail(name: &str) -> Option<Self> {
        match name {
            reasoning_detail::TEXT => Some(Self::ReasoningDetail),
            reasoning_detail::SUMMARY => Some(Self::ReasoningSummary),
            _ => None,
        }
    }

    /// Returns the kind of the text that the member `name` of a function contains.
    pub(super) fn from_function(name: &str) -> Option<Self> {
        match name {
            function::NAME => Some(Self::FunctionName),
            function::ARGUMENTS => Some(Self::Arguments),
            _ => None,
        }
    }
}

named!(WatchedTextKind);

/// A value for each of the two searches of a guard.
#[derive(Clone, Copy)]
pub(super) struct PerSearch<T> {
    pub(super) stop: T,
    pub(super) redact: T,
}

impl PerSearch<usize> {
    /// Returns the ends of searched parts, if a text ends at a position.
    pub(super) fn up_to(self, end: usize) -> Self {
        Self { stop: self.stop.min(end), redact: self.redact.min(end) }
    }
}

/// The part of a text that a guard stores: the overlap, followed by the held text.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct GuardedText<'g> {
    /// The identity of the text.
    pub id: WatchedTextId,
    /// The overlap, followed by the held text.
    pub text: &'g str,
    /// The position in `text` at which the held text begins.
    pub unreleased_from: usize,
}

/// Shows only the length of the text.
impl fmt::Debug for GuardedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedText")
            .field("id", &self.id)
            .field("text_len", &self.text.len())
            .field("unreleased_from", &self.unreleased_from)
            .finish()
    }
}

/// Bytes that a text's buffer may exceed its need by, so that it isn't allocated for each event.
const SPARE_BYTES: usize = 4 << 10;

/// A text of a stream, with the part of it that a guard stores.
///
/// Positions count from the start of the text. The stored part begins at `dropped`:
/// `dropped + hidden <= released <= dropped + text.len()`.
#[derive(Clone)]
pub(super) struct WatchedText {
    pub(super) id: WatchedTextId,
    /// Number of bytes removed from its front, and of the hidden bytes at the front of `text`.
    pub(super) dropped: usize,
    pub(super) hidden: usize,
    /// Number of bytes of it that are released.
    pub(super) released: usize,
    pub(super) text: String,
    /// The ends of the parts that were searched.
    pub(super) searched: PerSearch<usize>,
    /// The numbers of the first and the last event with a piece of it; 0 if there is none.
    pub(super) began: u64,
    pub(super) last_event: u64,
    /// The text has ended: no further piece is expected, so its held events may be released.
    pub(super) is_over: bool,
}

impl WatchedText {
    pub(super) const fn new(id: WatchedTextId) -> Self {
        let (dropped, hidden, released, began, last_event, is_over) = (0, 0, 0, 0, 0, false);
        let searched = PerSearch { stop: 0, redact: 0 };
        Self {
            id,
            dropped,
            hidden,
            released,
            text: String::new(),
            searched,
            began,
            last_event,
            is_over,
        }
    }

    /// Returns the position at which the text ends.
    pub(super) const fn end(&self) -> usize {
        self.dropped + self.text.len()
    }

    /// Returns the text in a range, or `None` if the guard doesn't store all of it.
    pub(super) fn range(&self, range: Range<usize>) -> Option<&str> {
        let start = range.start.checked_sub(self.dropped)?;
        self.text.get(start..range.end.checked_sub(self.dropped)?)
    }

    pub(super) fn shown(&self) -> GuardedText<'_> {
        let text = text_in(&self.text, self.hidden..);
        GuardedText {
            id: self.id,
            text,
            unreleased_from: self.released - self.dropped - self.hidden,
        }
    }

    /// Replaces ranges of held text, which are in order and apart.
    ///
    /// Copies the text behind the start of the first range only.
    pub(super) fn mask(&mut self, ranges: &[Range<usize>], mask: &str) {
        let Some(first) = ranges.first() else { return };
        debug_assert!(self.released <= first.start, "a released text remains");
        let changed = self.range(first.start..self.end()).unwrap_or_default().to_owned();
        let in_changed = |range: Range<usize>| text_in(&changed, range);
        self.text.truncate(first.start - self.dropped);
        let mut rest = first.start;
        for range in ranges {
            self.text.push_str(in_changed(rest - first.start..range.start - first.start));
            self.text.push_str(mask);
            rest = range.end;
        }
        self.text.push_str(in_changed(rest - first.start..changed.len()));
        self.move_searches(ranges, mask.len());
    }

    /// Moves the ends of the searched parts, if ranges are replaced by texts of `mask` bytes.
    pub(super) fn move_searches(&mut self, ranges: &[Range<usize>], mask: usize) {
        let PerSearch { stop, redact } = &mut self.searched;
        for searched in [stop, redact] {
            *searched = Masked::new(ranges, mask).moved(*searched).position;
        }
    }

    /// Hides the released text except the overlap.
    ///
    /// Hidden text is removed when it is the larger part, so that a byte is moved a few times at
    /// most.
    pub(super) fn forget(&mut self, overlap: usize) {
        debug_assert!(self.dropped <= self.released && self.released <= self.end());
        let released = self.released - self.dropped;
        let least = released.saturating_sub(overlap);
        let from = (least..released).find(|start| self.text.is_char_boundary(*start));
        self.hidden = from.unwrap_or(released);
        if self.hidden > self.text.len() / 2 {
            self.text.drain(..self.hidden);
            self.dropped += self.hidden;
            self.hidden = 0;
        }
        let least = 2 * (self.text.len() - self.hidden);
        if self.text.capacity() > SPARE_BYTES + 2 * least {
            self.text.shrink_to(least);
        }
    }
}

/// Number of events for which a text is held while other texts of its choice interrupt it.
const INTERRUPTED: u64 = 32;

/// Ends the other texts of a choice when the text `continued` continues.
///
/// A text ends if its last piece came no later than the first one of `continued`, or too many
/// events ago.
pub(super) fn end_others(texts: &mut [WatchedText], continued: usize) {
    let Some(&WatchedText { id, began, last_event: now, .. }) = texts.get(continued) else {
        return;
    };
    for text in texts.iter_mut().filter(|text| text.id.choice == id.choice) {
        let is_left = text.last_event <= began || now - text.last_event > INTERRUPTED;
        text.is_over |= text.last_event < now && is_left;
    }
}

/// The member of a choice that contains its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageMember {
    /// `delta`, in a stream.
    Delta,
    /// `message`, in a whole completion.
    Message,
}

impl MessageMember {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Delta => choice::DELTA,
            Self::Message => choice::MESSAGE,
        }
    }

    /// Returns the member of a choice.
    fn of<'a>(self, choice: &Choice<'a>) -> Option<Value<'a>> {
        match self {
            Self::Delta => choice.delta().as_value(),
            Self::Message => choice.message(),
        }
    }
}

/// A text in a message, with its identity and its value.
pub(super) struct FoundText<'a> {
    pub(super) id: WatchedTextId,
    /// False for a text of a choice or element whose index is present and no whole number.
    pub(super) has_valid_index: bool,
    pub(super) value: Value<'a>,
    pub(super) text: &'a str,
}

/// Returns true if a text begins or ends with half of a surrogate pair, which is U+FFFD in `text`.
pub(super) fn has_half_character(value: Value<'_>, text: &str) -> bool {
    let is_replaced = text.starts_with(char::REPLACEMENT_CHARACTER)
        || text.ends_with(char::REPLACEMENT_CHARACTER);
    is_replaced && value.lone_surrogates_at_ends() != (None, None)
}

/// Passes each text that is a string to `each`, in the order of the members.
///
/// The choice has the position `at` in its list. Texts with repeated names are included. The first
/// `None` ends the calls.
pub(super) fn each_text<'a>(
    choice: &Choice<'a>,
    at: u64,
    member: MessageMember,
    mut each: impl FnMut(FoundText<'a>) -> Option<()>,
) -> Option<()> {
    let Some(message) = member.of(choice) else { return Some(()) };
    let (choice, is_known) = match member {
        MessageMember::Message => (at, true),
        MessageMember::Delta => (choice.index().unwrap_or(0), !choice.has_invalid_index()),
    };
    let mut add = |kind: Option<WatchedTextKind>, of: Element, value: Value<'a>| {
        let Some((kind, text)) = kind.zip(value.as_str()) else { return Some(()) };
        let id = WatchedTextId { choice, kind, element: of.index };
        each(FoundText { id, has_valid_index: is_known && of.is_valid, value, text })
    };
    for (name, value) in message.members() {
        match name {
            delta::CONTENT => each_content(value, &mut add)?,
            delta::REASONING_DETAILS => {
                for (detail, position) in value.elements().zip(0..) {
                    let of = Element::of(detail, reasoning_detail::INDEX, position, member);
                    for (name, value) in detail.members() {
                        add(WatchedTextKind::from_detail(name), of, value)?;
                    }
                }
            }
            delta::TOOL_CALLS => {
                for (call, position) in value.elements().zip(0..) {
                    let of = Element::of(call, tool_call::INDEX, position, member);
                    let is_function = |member: &(&str, _)| member.0 == tool_call::FUNCTION;
                    for (_, function) in call.members().filter(is_function) {
                        each_of_function(function, of, &mut add)?;
                    }
                }
            }
            delta::FUNCTION_CALL => each_of_function(value, Element::NONE, &mut add)?,
            _ => add(WatchedTextKind::from_delta(name), Element::NONE, value)?,
        }
    }
    Some(())
}

/// The element of a list that contains a text.
#[derive(Clone, Copy)]
struct Element {
    index: Option<u64>,
    /// The index is absent, `null` or a whole number.
    is_valid: bool,
}

impl Element {
    const NONE: Self = Self { index: None, is_valid: true };

    fn of(element: Value<'_>, name: &str, position: u64, member: MessageMember) -> Self {
        if member == MessageMember::Message {
            return Self { index: Some(position), is_valid: true };
        }
        match element.get(name).filter(|index| !index.is_null()) {
            Some(index) => {
                let index = index.as_u64();
                Self { index, is_valid: index.is_some() }
            }
            None => Self::NONE,
        }
    }
}

/// Passes the name and the arguments of a function to `add`.
fn each_of_function<'a>(
    function: Value<'a>,
    of: Element,
    add: &mut impl FnMut(Option<WatchedTextKind>, Element, Value<'a>) -> Option<()>,
) -> Option<()> {
    let mut members = function.members();
    members.try_for_each(|(name, value)| add(WatchedTextKind::from_function(name), of, value))
}

/// Passes the content to `add`, or the texts of its parts.
fn each_content<'a>(
    content: Value<'a>,
    add: &mut impl FnMut(Option<WatchedTextKind>, Element, Value<'a>) -> Option<()>,
) -> Option<()> {
    add(Some(WatchedTextKind::Content), Element::NONE, content)?;
    for part in content.elements() {
        match ContentPart::of(part) {
            ContentPart::Text(text) => add(Some(WatchedTextKind::Content), Element::NONE, text)?,
            ContentPart::Refusal(text) => add(Some(WatchedTextKind::Refusal), Element::NONE, text)?,
            ContentPart::Reasoning(reasoning) => {
                for text in texts_of(reasoning) {
                    add(Some(WatchedTextKind::Reasoning), Element::NONE, text)?;
                }
            }
            ContentPart::Reference(_) | ContentPart::Nothing | ContentPart::Unknown => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::WatchedTextKind;
    use crate::chunk::Level;
    use crate::chunk::schema::{rows, texts};

    /// Tests that a guard watches each text with a column, and all members of a function.
    #[test]
    fn each_text_of_the_schema_is_watched() {
        for row in rows(Level::Delta) {
            let is_text = texts().any(|name| name == row.name);
            assert_eq!(WatchedTextKind::from_delta(row.name).is_some(), is_text, "{}", row.name);
        }
        for row in rows(Level::Function) {
            assert!(WatchedTextKind::from_function(row.name).is_some(), "{}", row.name);
        }
    }
}
