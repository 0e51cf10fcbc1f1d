//! `scan`: checks whether a chunk or event may contain unwatched text.

use super::watched_text::{MessageMember, WatchedTextKind};
use crate::chunk::schema::{choice, content_part, delta, reasoning_detail, tool_call, top};
use crate::chunk::{ChatCompletionChunk, ContentPart, Level, Origin, origin, texts_of};
use crate::decoder::{ChunkEvent, Payload};
use crate::json::{Value, ValueKind};
use crate::sse::EventKind;

/// Harmless strings in nested objects: in a usage, in timings, in results of a filter.
const NESTED_STRINGS: &[&str] = &[tool_call::ID, top::SERVICE_TIER, "severity"];

/// Arrays whose elements are scanned.
const ARRAYS: &[&str] = &[top::PROMPT_FILTER_RESULTS];

/// Number of kinds of texts.
const KINDS: usize = WatchedTextKind::Arguments as usize + 1;

/// Maximum depth of nested objects. Deeper members are unwatched.
const MAX_DEPTH: usize = 8;

/// The author of a value, and of the names in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author {
    /// The server: its strings are harmless.
    Server,
    /// Not known: its strings may be output of the model.
    Unknown,
    /// The model, which may write names, numbers and booleans too.
    Model,
}

impl Author {
    /// Returns the author of a member that isn't watched.
    fn of(level: Level, name: &str, value: Value<'_>) -> Self {
        let origin = origin(level, name);
        let is_around_message = matches!(level, Level::Top | Level::Choice);
        // A completion has its texts in `message`.
        let is_copy =
            origin == Origin::Duplicate || level == Level::Choice && name == choice::DELTA;
        match value.kind() {
            ValueKind::Array | ValueKind::Object if is_copy || !is_around_message => Self::Model,
            _ if origin.is_output() => Self::Model,
            _ if origin.is_server() => Self::Server,
            _ => Self::Unknown,
        }
    }

    /// Returns the author of a member in an object.
    fn inside(self, name: &str) -> Self {
        match self {
            Self::Model => Self::Model,
            Self::Server | Self::Unknown if NESTED_STRINGS.contains(&name) => Self::Server,
            Self::Server | Self::Unknown => Self::Unknown,
        }
    }
}

/// The result of [`scan`] for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The chunk may contain unwatched text.
    Unknown,
    /// The chunk is harmless. Another chunk of its template may contain unwatched text.
    Harmless,
    /// All chunks of the template are harmless.
    AlwaysHarmless,
}

/// Returns true if an event has bytes in which no text can be watched.
pub(super) fn has_unwatched_bytes(event: &ChunkEvent<'_>) -> bool {
    match event.payload() {
        Payload::Malformed(_) | Payload::Error(_) => true,
        _ => {
            matches!(event.event().kind(), EventKind::Skipped | EventKind::UnknownField)
                || event.event().has_unknown_lines()
                // openai-python takes such an event for one of another API.
                || event.event().event_type().starts_with("thread.")
        }
    }
}

/// Checks all members of a chunk except its texts. A text that is no string is such a member.
///
/// The texts are in `member` of each choice.
pub(super) fn scan(chunk: &ChatCompletionChunk<'_>, member: MessageMember) -> Verdict {
    let mut scan = Scan { chunk, member, has_unwatched: false, is_variable: false };
    scan.chunk();
    match scan {
        Scan { has_unwatched: true, .. } => Verdict::Unknown,
        Scan { is_variable: true, .. } => Verdict::Harmless,
        Scan { .. } => Verdict::AlwaysHarmless,
    }
}

struct Scan<'l> {
    chunk: &'l ChatCompletionChunk<'l>,
    member: MessageMember,
    has_unwatched: bool,
    /// The chunk has a slot that may be unwatched with another value.
    is_variable: bool,
}

impl<'l> Scan<'l> {
    fn chunk(&mut self) {
        let mut choices = None;
        for (name, value) in self.chunk.as_value().members() {
            if name == top::CHOICES {
                self.once(&mut choices, value);
            } else {
                self.known(Level::Top, name, value);
            }
        }
        let Some(choices) = self.container(choices, ValueKind::Array) else { return };
        for choice in choices.elements() {
            self.choice(choice);
        }
    }

    fn choice(&mut self, choice: Value<'l>) {
        let delta = self.inside(choice, Level::Choice, self.member.name());
        let Some(delta) = self.container(delta, ValueKind::Object) else { return };
        let mut texts = [None; KINDS];
        let (mut parts, mut calls, mut call, mut details) = (None, None, None, None);
        for (name, value) in delta.members() {
            match (WatchedTextKind::from_delta(name), name) {
                (Some(WatchedTextKind::Content), _) if value.kind() == ValueKind::Array => {
                    self.seen(&mut texts, WatchedTextKind::Content, value);
                    // The type of a part decides which member is its text.
                    self.is_variable = true;
                    parts = Some(value);
                }
                (Some(kind), _) => self.text(&mut texts, kind, value),
                (None, delta::TOOL_CALLS) => self.once(&mut calls, value),
                (None, delta::FUNCTION_CALL) => self.once(&mut call, value),
                (None, delta::REASONING_DETAILS) => self.once(&mut details, value),
                (None, _) => self.known(Level::Delta, name, value),
            }
        }
        for part in parts.into_iter().flat_map(|parts| parts.elements()) {
            // Clients join a text of a part and the delta's own in either order, or not at all.
            let kind = self.part(part).filter(|kind| *kind != WatchedTextKind::Content);
            let own = kind.and_then(|kind| texts.get(kind as usize).copied().flatten());
            self.has_unwatched |= own.is_some_and(|text| !text.is_empty_value());
        }
        let details = self.container(details, ValueKind::Array);
        for detail in details.into_iter().flat_map(|details| details.elements()) {
            self.detail(detail);
        }
        let calls = self.container(calls, ValueKind::Array);
        for call in calls.into_iter().flat_map(|calls| calls.elements()) {
            let function = self.inside(call, Level::ToolCall, tool_call::FUNCTION);
            self.function(function);
        }
        self.function(call);
    }

    /// Checks a part of the content, and returns the kind of its text.
    ///
    /// Its members besides the text are checked as any other.
    fn part(&mut self, part: Value<'l>) -> Option<WatchedTextKind> {
        let part = match part.kind() {
            ValueKind::String => return Some(WatchedTextKind::Content),
            _ => self.object_or_text(part)?,
        };
        let (kind, watched) = match ContentPart::of(part) {
            ContentPart::Text(text) => (Some(WatchedTextKind::Content), Some(text.id)),
            ContentPart::Refusal(text) => (Some(WatchedTextKind::Refusal), Some(text.id)),
            ContentPart::Reasoning(texts) => (Some(WatchedTextKind::Reasoning), Some(texts.id)),
            ContentPart::Nothing | ContentPart::Unknown => (None, None),
        };
        let mut r#type = None;
        for (name, value) in part.members() {
            match name {
                content_part::TYPE => self.once(&mut r#type, value),
                // Clients that join parts by position take it for one.
                tool_call::INDEX => {
                    self.has_unwatched |= self.member == MessageMember::Delta && !value.is_null();
                }
                _ => {}
            }
            match value.kind() {
                _ if Some(value.id) != watched => self.known(Level::ContentPart, name, value),
                ValueKind::Array => value.elements().for_each(|text| self.text_of_part(text)),
                _ => self.text_of_part(value),
            }
        }
        kind
    }

    /// Checks a watched text of a part: a string, or an object that contains one.
    fn text_of_part(&mut self, value: Value<'l>) {
        if value.kind() == ValueKind::String {
            return;
        }
        let Some(object) = self.object_or_text(value) else { return };
        let watched = texts_of(object).next().map(|text| text.id);
        for (name, value) in object.members() {
            if Some(value.id) != watched {
                self.known(Level::ContentPart, name, value);
            }
        }
    }

    /// Returns an object. Any other value is a text of another type.
    fn object_or_text(&mut self, value: Value<'l>) -> Option<Value<'l>> {
        let is_object = value.kind() == ValueKind::Object;
        self.has_unwatched |= !is_object && !value.is_empty_value();
        is_object.then_some(value)
    }

    fn detail(&mut self, detail: Value<'l>) {
        let Some(detail) = self.container(Some(detail), ValueKind::Object) else { return };
        let (mut texts, mut index, mut id, mut r#type) = ([None; KINDS], None, None, None);
        for (name, value) in detail.members() {
            match name {
                reasoning_detail::INDEX => self.once(&mut index, value),
                reasoning_detail::ID => self.once(&mut id, value),
                reasoning_detail::TYPE => self.once(&mut r#type, value),
                _ => {}
            }
            match WatchedTextKind::from_detail(name) {
                Some(kind) => self.text(&mut texts, kind, value),
                None => self.known(Level::ReasoningDetail, name, value),
            }
        }
    }

    /// Checks the members of a choice or call. Returns the member `inner`, which contains texts.
    fn inside(&mut self, outer: Value<'l>, level: Level, inner: &str) -> Option<Value<'l>> {
        let outer = self.container(Some(outer), ValueKind::Object)?;
        let (mut found, mut index, mut id) = (None, None, None);
        for (name, value) in outer.members() {
            if name == inner {
                self.once(&mut found, value);
                continue;
            }
            match name {
                tool_call::INDEX => self.once(&mut index, value),
                tool_call::ID if level == Level::ToolCall => self.once(&mut id, value),
                _ => {}
            }
            self.known(level, name, value);
        }
        found
    }

    fn function(&mut self, function: Option<Value<'l>>) {
        let Some(function) = self.container(function, ValueKind::Object) else { return };
        let mut texts = [None; KINDS];
        for (name, value) in function.members() {
            match WatchedTextKind::from_function(name) {
                Some(kind) => self.text(&mut texts, kind, value),
                None => self.known(Level::Function, name, value),
            }
        }
    }

    /// Checks a member that the guard watches if it is a string.
    fn text(
        &mut self,
        seen: &mut [Option<Value<'l>>; KINDS],
        kind: WatchedTextKind,
        value: Value<'l>,
    ) {
        self.seen(seen, kind, value);
        self.has_unwatched |= value.kind() != ValueKind::String && !value.is_empty_value();
    }

    /// Stores a text. A second one of its kind is unwatched.
    fn seen(
        &mut self,
        seen: &mut [Option<Value<'l>>; KINDS],
        kind: WatchedTextKind,
        value: Value<'l>,
    ) {
        match seen.get_mut(kind as usize) {
            Some(seen) => self.once(seen, value),
            None => self.has_unwatched = true,
        }
    }

    /// Stores a member. A second one is unwatched: some readers use the first one, some the last.
    fn once(&mut self, seen: &mut Option<Value<'l>>, value: Value<'l>) {
        self.has_unwatched |= seen.replace(value).is_some();
    }

    /// Returns a value if it is of the expected kind, and checks it as any other member if not.
    fn container(&mut self, value: Option<Value<'l>>, kind: ValueKind) -> Option<Value<'l>> {
        let value = value?;
        if value.kind() == kind {
            return Some(value);
        }
        self.member("", Author::Unknown, value, 0);
        None
    }

    /// Checks a member that isn't watched, by its origin in the schema.
    fn known(&mut self, level: Level, name: &str, value: Value<'l>) {
        self.member(name, Author::of(level, name, value), value, MAX_DEPTH);
    }

    /// Checks a member that isn't watched.
    fn member(&mut self, name: &str, author: Author, value: Value<'l>, depth: usize) {
        if self.has_unwatched {
            return;
        }
        let is_harmless = match value.kind() {
            ValueKind::Null => true,
            ValueKind::Bool | ValueKind::NonFiniteNumber => author != Author::Model,
            // A reader with the tokenizer can convert a token's number to its text. Readers that ignore
            // the case of names take `Index` for an index.
            ValueKind::Number => {
                let is_index =
                    name.eq_ignore_ascii_case(tool_call::INDEX) && name != tool_call::INDEX;
                author != Author::Model && name != delta::TOKEN_ID && !is_index
            }
            ValueKind::String if author == Author::Server => true,
            ValueKind::String => {
                self.is_variable |= self.chunk.slots().any(|(_, node)| node == value.id);
                value.is_empty_value()
            }
            ValueKind::Array | ValueKind::Object if value.is_empty_value() => true,
            ValueKind::Array if depth > 0 && ARRAYS.contains(&name) => {
                for element in value.elements() {
                    self.has_unwatched |= element.kind() != ValueKind::Object;
                    self.member("", author, element, depth - 1);
                }
                true
            }
            ValueKind::Object if depth > 0 => {
                for (name, value) in value.members() {
                    self.member(name, author.inside(name), value, depth - 1);
                }
                true
            }
            ValueKind::Array | ValueKind::Object => false,
        };
        self.has_unwatched |= !is_harmless;
    }
}
