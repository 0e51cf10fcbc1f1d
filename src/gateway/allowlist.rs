//! `scan`: returns whether a chunk has members that may carry unwatched text to a client.

use super::watched_text::TextKind;
use crate::chunk::{ChatCompletionChunk, Level, origin};
use crate::json::{Value, ValueKind};

/// Members deeper down: in a usage, in timings, in what a filter has found.
const INSIDE: &[&str] = &["id", "service_tier", "severity"];

/// Arrays whose elements are looked through.
const ARRAYS: &[&str] = &["prompt_filter_results"];

/// Number of kinds of texts.
const KINDS: usize = TextKind::Arguments as usize + 1;

/// How deep is looked; what is deeper isn't known.
const DEEPEST: usize = 8;

/// Whether a chunk says something besides its texts, as far as a client may read it as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may.
    Unknown,
    /// It doesn't; another chunk of the same constants may.
    Harmless,
    /// It doesn't, and neither does any chunk that differs in its leaves only.
    AlwaysHarmless,
}

/// What a chunk says besides its texts. Texts of another type than a string are no texts.
pub(super) fn scan(chunk: &ChatCompletionChunk<'_>) -> Verdict {
    let mut look = Scan { chunk, is_more: false, has_empty: false };
    look.chunk();
    match look {
        Scan { is_more: true, .. } => Verdict::Unknown,
        Scan { has_empty: true, .. } => Verdict::Harmless,
        Scan { .. } => Verdict::AlwaysHarmless,
    }
}

struct Scan<'l> {
    chunk: &'l ChatCompletionChunk<'l>,
    is_more: bool,
    /// There is a leaf that is harmless only as long as it is empty.
    has_empty: bool,
}

impl<'l> Scan<'l> {
    fn chunk(&mut self) {
        let mut choices = None;
        for (name, value) in self.chunk.as_value().members() {
            if name == "choices" {
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
        let delta = self.inside(choice, Level::Choice, "delta");
        let Some(delta) = self.container(delta, ValueKind::Object) else { return };
        let mut texts = [None; KINDS];
        let (mut calls, mut call) = (None, None);
        for (name, value) in delta.members() {
            match (TextKind::of_delta(name), name) {
                (Some(kind), _) => self.text(&mut texts, kind, value),
                (None, "tool_calls") => self.once(&mut calls, value),
                (None, "function_call") => self.once(&mut call, value),
                (None, _) => self.known(Level::Delta, name, value),
            }
        }
        let calls = self.container(calls, ValueKind::Array);
        for call in calls.into_iter().flat_map(|calls| calls.elements()) {
            let function = self.inside(call, Level::ToolCall, "function");
            self.function(function);
        }
        self.function(call);
    }

    /// Checks the members of a choice or call, and returns the member `inner`, which has texts.
    fn inside(&mut self, outer: Value<'l>, level: Level, inner: &str) -> Option<Value<'l>> {
        let outer = self.container(Some(outer), ValueKind::Object)?;
        let (mut found, mut index) = (None, None);
        for (name, value) in outer.members() {
            if name == inner {
                self.once(&mut found, value);
                continue;
            }
            if name == "index" {
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
            match TextKind::of_function(name) {
                Some(kind) => self.text(&mut texts, kind, value),
                None => self.known(Level::Function, name, value),
            }
        }
    }

    /// Checks a member that the guard watches if it is a string.
    fn text(&mut self, seen: &mut [Option<Value<'l>>; KINDS], kind: TextKind, value: Value<'l>) {
        if let Some(seen) = seen.get_mut(kind as usize) {
            self.once(seen, value);
        }
        self.is_more |= value.kind() != ValueKind::String && !value.is_empty_value();
    }

    /// Of members with the same name some readers take the first, some the last.
    fn once(&mut self, seen: &mut Option<Value<'l>>, value: Value<'l>) {
        self.is_more |= seen.replace(value).is_some();
    }

    /// A value that is looked into, if it is of the kind that it should be.
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
        self.member(name, origin(level, name).is_server(), value, DEEPEST);
    }

    /// Checks a member that isn't watched. `is_known` is true if its strings are the server's own.
    fn member(&mut self, name: &str, is_known: bool, value: Value<'l>, deeper: usize) {
        if self.is_more {
            return;
        }
        let is_harmless = match value.kind() {
            ValueKind::Null | ValueKind::Bool | ValueKind::NotFinite => true,
            // A token's number is its text to whoever has the tokenizer.
            ValueKind::Number => name != "token_id",
            ValueKind::String if is_known => true,
            ValueKind::String => {
                self.has_empty |= self.chunk.slots().any(|leaf| leaf == value.id);
                value.is_empty_value()
            }
            ValueKind::Array | ValueKind::Object if value.is_empty_value() => true,
            ValueKind::Array if deeper > 0 && ARRAYS.contains(&name) => {
                for element in value.elements() {
                    self.is_more |= element.kind() != ValueKind::Object;
                    self.member("", false, element, deeper - 1);
                }
                true
            }
            ValueKind::Object if deeper > 0 => {
                for (name, value) in value.members() {
                    self.member(name, INSIDE.contains(&name), value, deeper - 1);
                }
                true
            }
            ValueKind::Array | ValueKind::Object => false,
        };
        self.is_more |= !is_harmless;
    }
}
