//! Texts of a stream that a guard watches: their ids, their stored parts, and how chunks have them.

use core::fmt;
use core::ops::Range;

use super::text_form::{Holder, TextForm};
use super::text_segment::Masked;
use crate::chunk::schema::{
    REASONING_DETAIL_TYPES, choice, content_part, delta, each_text, function, reasoning_detail,
    tool_call,
};
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
    /// The number of the tool call that contains the text.
    ///
    /// In a whole message it is the position in the list. In a stream the calls are numbered in the
    /// order in which they begin. Those of one index have one number and share their texts, since some
    /// clients join them. So it may differ from the position in the completion. A call without an index
    /// has the number of the call that a completion merges it into. All reasoning details of a choice
    /// share the texts of `None`, since some clients join them, too. All other texts, those of
    /// `function_call` too, have `None`.
    pub element: Option<u64>,
}

/// Defines `WatchedTextKind`: a variant for each text of the schema, and those of elements.
macro_rules! watched_text_kind {
    (
        texts $texts:tt
        members { $($(#[$doc:meta])* $Member:ident $CONST:ident $column:ident => $Of:ident;)* }
    ) => {
        /// The kind of a text of a choice, by its name in the delta.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum WatchedTextKind {
            $($(#[$doc])* $Member,)*
            /// `reasoning_details[].text`, which repeats the reasoning at most servers.
            ReasoningDetail,
            /// `reasoning_details[].summary`
            ReasoningSummary,
            /// `tool_calls[].function.name`, or `function_call.name`.
            FunctionName,
            /// `tool_calls[].function.arguments`, or `function_call.arguments`.
            ///
            /// This is the text of a JSON object, in pieces, with its own escapes. They aren't
            /// decoded: a finder for `secret` doesn't find `s\u0065cret`, and one for `a"b` has to
            /// find `a\"b`. A mask is written into this text, so one with a quote or a backslash
            /// damages the object.
            Arguments,
        }

        impl WatchedTextKind {
            /// Returns all kinds.
            pub fn all() -> impl Iterator<Item = Self> {
                let of_delta = [$(Self::$Member),*].into_iter();
                let of_details = [Self::ReasoningDetail, Self::ReasoningSummary];
                of_delta.chain(of_details).chain([Self::FunctionName, Self::Arguments])
            }

            /// Returns the name of the kind: that of its member in the delta, or one with its list.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Member => delta::$CONST,)*
                    Self::ReasoningDetail => "reasoning_detail",
                    Self::ReasoningSummary => "reasoning_detail_summary",
                    Self::FunctionName => "function_name",
                    Self::Arguments => function::ARGUMENTS,
                }
            }

            /// Returns the kind of the text that the member `name` of a delta contains.
            pub(super) fn from_delta(name: &str) -> Option<Self> {
                match name {
                    $(delta::$CONST => Some(Self::$Member),)*
                    _ => None,
                }
            }
        }
    };
}
each_text!(watched_text_kind);

impl WatchedTextKind {
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

/// The progress of a search in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The position from which the text is searched next.
    pub(super) next: usize,
    /// The last character of a replaced part, if the text in its place ends at `next`.
    pub(super) before: Option<char>,
    /// The end of the text when it was searched to its end, since it was over.
    pub(super) end: usize,
}

impl Progress {
    const NONE: Self = Self { next: 0, before: None, end: 0 };

    /// Returns the progress in a text that is truncated to end at a position.
    fn up_to(self, end: usize) -> Self {
        let Self { next, before, .. } = self;
        let before = before.filter(|_| next <= end);
        Self { next: next.min(end), before, end: self.end.min(end) }
    }

    /// Moves the positions up to which the text was searched.
    #[inline]
    pub(super) fn move_to(&mut self, next: usize, end: usize) {
        let before = self.before.filter(|_| self.next == next);
        *self = Self { next, before, end };
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
    /// The progress of the searches.
    pub(super) searched: PerSearch<Progress>,
    /// The numbers of the first and the last event with a piece of it; 0 if there is none.
    pub(super) began: u64,
    pub(super) last_event: u64,
    /// The number of later events with another text of its choice, and that of the last of them.
    pub(super) interrupted: u32,
    pub(super) interrupted_by: u64,
    /// The text has ended: no further piece is expected, so its held events may be released.
    pub(super) is_over: bool,
    /// The form of the last piece, and whether the text has pieces of another form.
    pub(super) form: Option<TextForm>,
    pub(super) has_other_form: bool,
}

impl WatchedText {
    pub(super) const fn new(id: WatchedTextId) -> Self {
        Self {
            id,
            dropped: 0,
            hidden: 0,
            released: 0,
            text: String::new(),
            searched: PerSearch { stop: Progress::NONE, redact: Progress::NONE },
            began: 0,
            last_event: 0,
            interrupted: 0,
            interrupted_by: 0,
            is_over: false,
            form: None,
            has_other_form: false,
        }
    }

    /// Adds the form of a piece. Returns false if the text returns to a form that it has left.
    ///
    /// A client that reads this form alone skips the text between.
    #[inline]
    pub(super) fn continues_form(&mut self, form: TextForm) -> bool {
        match self.form.replace(form) {
            Some(last) if last != form => !core::mem::replace(&mut self.has_other_form, true),
            _ => true,
        }
    }

    /// Continues the text by a piece in an event.
    pub(super) fn continue_at(&mut self, event: u64) {
        self.began = if self.began == 0 { event } else { self.began };
        (self.last_event, self.interrupted, self.is_over) = (event, 0, false);
    }

    /// Discards the held text.
    pub(super) fn discard(&mut self) {
        self.text.truncate(self.released - self.dropped);
        let PerSearch { stop, redact } = &mut self.searched;
        let end = self.dropped + self.text.len();
        (*stop, *redact) = (stop.up_to(end), redact.up_to(end));
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
        let last = |range: &Range<usize>| {
            in_changed(range.start - first.start..range.end - first.start).chars().next_back()
        };
        self.move_searches(ranges, mask.len(), last);
    }

    /// Moves the positions of the searches, if ranges are replaced by texts of `mask` bytes.
    ///
    /// `last` returns the last character of a replaced range.
    pub(super) fn move_searches(
        &mut self,
        ranges: &[Range<usize>],
        mask: usize,
        last: impl Fn(&Range<usize>) -> Option<char>,
    ) {
        let PerSearch { stop, redact } = &mut self.searched;
        for Progress { next, before, end } in [stop, redact] {
            // Behind a range that was searched to its end, only the rest is searched again.
            let searched = ranges.partition_point(|range| range.end <= *end);
            if let Some(range) = ranges.get(..searched).and_then(<[_]>::last) {
                *next = range.end.max(*next);
            }
            let around = ranges.get(ranges.partition_point(|range| range.end < *next));
            if let Some(range) = around.filter(|range| range.start < *next) {
                *before = last(range);
            }
            *next = Masked::new(ranges, mask).moved(*next).position;
            *end = Masked::new(ranges, mask).moved(*end).position;
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

/// Number of events with other texts of its choice for which a text is held.
const INTERRUPTED: u32 = 32;

/// Ends the other texts of a choice when the text `continued` continues.
///
/// A text ends if its last piece came no later than the first one of `continued`. It also ends if too
/// many events with other texts of the choice followed it.
pub(super) fn end_others(texts: &mut [WatchedText], continued: usize) {
    let Some(&WatchedText { id, began, last_event: now, .. }) = texts.get(continued) else {
        return;
    };
    for text in texts.iter_mut().filter(|text| text.id.choice == id.choice) {
        if text.is_over || text.last_event == now {
            continue;
        }
        text.interrupted += u32::from(text.interrupted_by != now);
        text.interrupted_by = now;
        text.is_over |= text.last_event <= began || text.interrupted > INTERRUPTED;
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

/// A text or an element of a message.
pub(super) enum Found<'a> {
    /// An element of a list, whose texts follow.
    Element {
        list: ElementList,
        value: Value<'a>,
        position: u64,
    },
    Text(FoundText<'a>),
}

/// A list of a message whose elements have texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementList {
    ToolCalls,
    ReasoningDetails,
}

/// A text in a message, with its kind and its value.
pub(super) struct FoundText<'a> {
    pub(super) kind: WatchedTextKind,
    pub(super) of: Holder,
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
/// An element of a list comes before its texts. Texts with repeated names are included. The first
/// `None` ends the calls.
pub(super) fn each_text<'a>(
    choice: &Choice<'a>,
    member: MessageMember,
    mut each: impl FnMut(Found<'a>) -> Option<()>,
) -> Option<()> {
    use ElementList::{ReasoningDetails, ToolCalls};
    let Some(message) = member.of(choice) else { return Some(()) };
    for (name, value) in message.members() {
        match name {
            delta::CONTENT => each_content(value, &mut each)?,
            delta::REASONING_DETAILS => {
                for (value, position) in value.elements().zip(0..) {
                    each(Found::Element { list: ReasoningDetails, value, position })?;
                    each_of_detail(value, &mut each)?;
                }
            }
            delta::TOOL_CALLS => {
                for (value, position) in value.elements().zip(0..) {
                    each(Found::Element { list: ToolCalls, value, position })?;
                    let is_function = |member: &(&str, _)| member.0 == tool_call::FUNCTION;
                    for (_, function) in value.members().filter(is_function) {
                        each_of_function(function, Holder::Element, &mut each)?;
                    }
                }
            }
            delta::FUNCTION_CALL => each_of_function(value, Holder::Message, &mut each)?,
            _ => {
                let kind = WatchedTextKind::from_delta(name);
                each_string(kind, Holder::Message, value, &mut each)?;
            }
        }
    }
    Some(())
}

/// Passes a value to `each` if it is a string of a watched kind.
fn each_string<'a>(
    kind: Option<WatchedTextKind>,
    of: Holder,
    value: Value<'a>,
    each: &mut impl FnMut(Found<'a>) -> Option<()>,
) -> Option<()> {
    let Some((kind, text)) = kind.zip(value.as_str()) else { return Some(()) };
    each(Found::Text(FoundText { kind, of, value, text }))
}

/// Passes the texts of a reasoning detail to `each`.
fn each_of_detail<'a>(
    detail: Value<'a>,
    each: &mut impl FnMut(Found<'a>) -> Option<()>,
) -> Option<()> {
    let r#type = detail.get(reasoning_detail::TYPE).and_then(|r#type| r#type.as_str());
    let [of_text, of_summary] = REASONING_DETAIL_TYPES;
    let mut members = detail.members();
    members.try_for_each(|(name, value)| {
        let own = if name == reasoning_detail::TEXT { of_text } else { of_summary };
        let of = if r#type == Some(own) { Holder::Element } else { Holder::OtherElement };
        each_string(WatchedTextKind::from_detail(name), of, value, each)
    })
}

/// Passes the name and the arguments of a function to `each`.
fn each_of_function<'a>(
    function: Value<'a>,
    of: Holder,
    each: &mut impl FnMut(Found<'a>) -> Option<()>,
) -> Option<()> {
    let mut members = function.members();
    members.try_for_each(|(name, value)| {
        each_string(WatchedTextKind::from_function(name), of, value, each)
    })
}

/// Passes the content to `each`, or the texts of its parts.
fn each_content<'a>(
    content: Value<'a>,
    each: &mut impl FnMut(Found<'a>) -> Option<()>,
) -> Option<()> {
    each_string(Some(WatchedTextKind::Content), Holder::Message, content, each)?;
    for part in content.elements() {
        let mut of_part = |of, kind, text| each_string(Some(kind), of, text, each);
        match ContentPart::of(part) {
            ContentPart::Text(text) => {
                let r#type = part.get(content_part::TYPE);
                let is_text = text.id == part.id
                    || r#type.is_some_and(|r#type| r#type.as_str() == Some(content_part::TEXT));
                let of = if is_text { Holder::Part } else { Holder::OtherPart };
                of_part(of, WatchedTextKind::Content, text)?;
            }
            ContentPart::Refusal(text) => of_part(Holder::Part, WatchedTextKind::Refusal, text)?,
            ContentPart::Reasoning(reasoning) => {
                for text in texts_of(reasoning) {
                    of_part(Holder::Part, WatchedTextKind::Reasoning, text)?;
                }
            }
            ContentPart::Nothing | ContentPart::Unknown => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::WatchedTextKind;
    use crate::chunk::schema::rows;
    use crate::chunk::{Level, TextMember};

    /// Tests that a guard watches each text with a column, and all members of a function.
    #[test]
    fn each_text_of_the_schema_is_watched() {
        for row in rows(Level::Delta) {
            let is_text = TextMember::ALL.iter().any(|member| member.as_str() == row.name);
            assert_eq!(WatchedTextKind::from_delta(row.name).is_some(), is_text, "{}", row.name);
        }
        for row in rows(Level::Function) {
            assert!(WatchedTextKind::from_function(row.name).is_some(), "{}", row.name);
        }
    }
}
