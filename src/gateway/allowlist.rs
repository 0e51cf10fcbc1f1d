//! `scan`: checks whether a chunk has members that may contain unwatched text.

use super::watched_text::WatchedTextKind;
use crate::chunk::schema::{choice, delta, tool_call, top};
use crate::chunk::{ChatCompletionChunk, Level, origin};
use crate::json::{Value, ValueKind};

/// Harmless strings in nested objects: in a usage, in timings, in results of a filter.
const NESTED_STRINGS: &[&str] = &[tool_call::ID, top::SERVICE_TIER, "severity"];

/// Arrays whose elements are scanned.
const ARRAYS: &[&str] = &[top::PROMPT_FILTER_RESULTS];

/// Number of kinds of texts.
const KINDS: usize = WatchedTextKind::Arguments as usize + 1;

/// Maximum depth of nested objects. Deeper members are unwatched.
const MAX_DEPTH: usize = 8;

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

/// Checks all members of a chunk except its texts. A text that is no string is such a member.
pub(super) fn scan(chunk: &ChatCompletionChunk<'_>) -> Verdict {
    let mut scan = Scan { chunk, has_unwatched: false, has_empty: false };
    scan.chunk();
    match scan {
        Scan { has_unwatched: true, .. } => Verdict::Unknown,
        Scan { has_empty: true, .. } => Verdict::Harmless,
        Scan { .. } => Verdict::AlwaysHarmless,
    }
}

struct Scan<'l> {
    chunk: &'l ChatCompletionChunk<'l>,
    has_unwatched: bool,
    /// The chunk has a slot that is harmless only while it is empty.
    has_empty: bool,
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
        let delta = self.inside(choice, Level::Choice, choice::DELTA);
        let Some(delta) = self.container(delta, ValueKind::Object) else { return };
        let mut texts = [None; KINDS];
        let (mut calls, mut call) = (None, None);
        for (name, value) in delta.members() {
            match (WatchedTextKind::from_delta(name), name) {
                (Some(kind), _) => self.text(&mut texts, kind, value),
                (None, delta::TOOL_CALLS) => self.once(&mut calls, value),
                (None, delta::FUNCTION_CALL) => self.once(&mut call, value),
                (None, _) => self.known(Level::Delta, name, value),
            }
        }
        let calls = self.container(calls, ValueKind::Array);
        for call in calls.into_iter().flat_map(|calls| calls.elements()) {
            let function = self.inside(call, Level::ToolCall, tool_call::FUNCTION);
            self.function(function);
        }
        self.function(call);
    }

    /// Checks the members of a choice or call. Returns the member `inner`, which contains texts.
    fn inside(&mut self, outer: Value<'l>, level: Level, inner: &str) -> Option<Value<'l>> {
        let outer = self.container(Some(outer), ValueKind::Object)?;
        let (mut found, mut index) = (None, None);
        for (name, value) in outer.members() {
            if name == inner {
                self.once(&mut found, value);
                continue;
            }
            if name == tool_call::INDEX {
                self.once(&mut index, value);
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
        match seen.get_mut(kind as usize) {
            Some(seen) => self.once(seen, value),
            None => self.has_unwatched = true,
        }
        self.has_unwatched |= value.kind() != ValueKind::String && !value.is_empty_value();
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
        self.member("", false, value, 0);
        None
    }

    /// Checks a member that isn't watched, by its origin in the schema.
    fn known(&mut self, level: Level, name: &str, value: Value<'l>) {
        self.member(name, origin(level, name).is_server(), value, MAX_DEPTH);
    }

    /// Checks a member that isn't watched. `is_known` is true if its strings are the server's own.
    fn member(&mut self, name: &str, is_known: bool, value: Value<'l>, depth: usize) {
        if self.has_unwatched {
            return;
        }
        let is_harmless = match value.kind() {
            ValueKind::Null | ValueKind::Bool | ValueKind::NonFiniteNumber => true,
            // A reader with the tokenizer can convert a token's number to its text.
            ValueKind::Number => name != delta::TOKEN_ID,
            ValueKind::String if is_known => true,
            ValueKind::String => {
                self.has_empty |= self.chunk.slots().any(|(_, node)| node == value.id);
                value.is_empty_value()
            }
            ValueKind::Array | ValueKind::Object if value.is_empty_value() => true,
            ValueKind::Array if depth > 0 && ARRAYS.contains(&name) => {
                for element in value.elements() {
                    self.has_unwatched |= element.kind() != ValueKind::Object;
                    self.member("", false, element, depth - 1);
                }
                true
            }
            ValueKind::Object if depth > 0 => {
                for (name, value) in value.members() {
                    self.member(name, NESTED_STRINGS.contains(&name), value, depth - 1);
                }
                true
            }
            ValueKind::Array | ValueKind::Object => false,
        };
        self.has_unwatched |= !is_harmless;
    }
}
