//! `Elements`: the tool call or detail that a delta continues, and the names of the reasoning.

use super::watched_text::WatchedTextKind;
use crate::chunk::schema::{function, reasoning_detail, tool_call};
use crate::completion::{Budget, Matching};
use crate::json::{OwnedArray, Value, ValueKind};

/// The elements of a stream, by the rules of a `Reassembler`.
///
/// The texts of an element are joined in the completion. A guard joins the same texts, so that no match
/// spans two of them. An element that can't be attributed with certainty is unknown, and so are all
/// later ones of its list.
#[derive(Clone)]
pub(super) struct Elements {
    choices: Vec<ChoiceElements>,
    /// The bytes that ids and names may still need.
    budget: Budget,
}

/// An element isn't certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unattributed;

/// The number of the element that contains a text, if it isn't the message itself.
pub(super) type ElementNumber = Result<Option<u64>, Unattributed>;

/// The elements of one choice.
#[derive(Clone)]
struct ChoiceElements {
    choice: u64,
    reasoning: Option<ReasoningNames>,
    calls: Vec<KnownCall>,
    /// The position of the call that the last delta continued.
    last_call: usize,
    details: OwnedArray,
    /// The further calls are unknown, or the further details.
    has_lost_calls: bool,
    has_lost_details: bool,
}

/// A tool call of a choice.
#[derive(Clone)]
struct KnownCall {
    index: Option<u64>,
    id: Box<str>,
    name: String,
    has_arguments: bool,
}

/// The most bytes of an id or name, which is compared with others.
const LONGEST_ID: usize = 1024;

/// The bytes of all ids and names.
const BUDGET: usize = 64 << 10;

/// The cost of a call besides its id and name.
const CALL_COST: usize = 128;

impl Elements {
    pub(super) const fn new() -> Self {
        Self { choices: Vec::new(), budget: Budget::new(BUDGET, u32::MAX) }
    }

    pub(super) fn reset(&mut self) {
        self.choices.clear();
        self.budget = Self::new().budget;
    }

    /// Returns the elements of a choice, which are added if they fit.
    fn choice(&mut self, choice: u64) -> Option<(&mut ChoiceElements, &mut Budget)> {
        let Self { choices, budget } = self;
        let known = choices.iter().position(|known| known.choice == choice);
        let position = match known {
            Some(position) => position,
            None if budget.try_reserve(CALL_COST) => {
                choices.push(ChoiceElements {
                    choice,
                    reasoning: None,
                    calls: Vec::new(),
                    last_call: 0,
                    details: OwnedArray::default(),
                    has_lost_calls: false,
                    has_lost_details: false,
                });
                choices.len() - 1
            }
            None => return None,
        };
        Some((choices.get_mut(position)?, budget))
    }

    /// Returns the number of the tool call that a delta continues.
    pub(super) fn call(&mut self, choice: u64, call: Value<'_>) -> ElementNumber {
        let (elements, budget) = self.choice(choice).ok_or(Unattributed)?;
        let call = CallDelta::of(call).ok_or(Unattributed)?;
        if elements.has_lost_calls {
            return Err(Unattributed);
        }
        let at = elements.call_at(&call, budget);
        elements.has_lost_calls = at.is_none();
        elements.last_call = at.ok_or(Unattributed)?;
        Ok(at.map(|at| at as u64))
    }

    /// Returns the number of the reasoning detail that a delta continues.
    ///
    /// One without an index has no number: a completion has each of these apart, and their texts
    /// together contain each of them.
    pub(super) fn detail(&mut self, choice: u64, detail: Value<'_>) -> ElementNumber {
        match detail.get(reasoning_detail::INDEX).filter(|index| !index.is_null()) {
            None => return Ok(None),
            Some(index) => index.as_u64().ok_or(Unattributed)?,
        };
        let (elements, budget) = self.choice(choice).ok_or(Unattributed)?;
        if elements.has_lost_details {
            return Err(Unattributed);
        }
        let at = elements.details.place(detail, Matching::Detail, budget);
        elements.has_lost_details = at.is_none();
        Ok(Some(at.ok_or(Unattributed)? as u64))
    }

    /// Returns true if a delta has its reasoning under the names of the deltas before.
    pub(super) fn continues_reasoning(&mut self, choice: u64, names: ReasoningNames) -> bool {
        let Some((elements, _)) = self.choice(choice) else { return false };
        *elements.reasoning.get_or_insert(names) == names
    }
}

/// The names under which a delta has a text of the reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReasoningNames {
    reasoning_content: bool,
    /// `reasoning`, or a part of the content.
    reasoning: bool,
}

/// The texts of the reasoning in a delta.
#[derive(Clone, Copy, Default)]
pub(super) struct ReasoningTexts<'a> {
    reasoning_content: Option<&'a str>,
    reasoning: Option<&'a str>,
    has_part: bool,
}

impl<'a> ReasoningTexts<'a> {
    /// Adds a text of any kind.
    #[inline]
    pub(super) const fn add(&mut self, kind: WatchedTextKind, text: &'a str, is_part: bool) {
        match kind {
            _ if text.is_empty() => {}
            WatchedTextKind::ReasoningContent => self.reasoning_content = Some(text),
            WatchedTextKind::Reasoning if is_part => self.has_part = true,
            WatchedTextKind::Reasoning => self.reasoning = Some(text),
            _ => {}
        }
    }

    /// Returns the names of the texts, or `None` if there is no text.
    pub(super) const fn names(&self) -> Option<ReasoningNames> {
        let Self { reasoning_content, reasoning, has_part } = self;
        let names = ReasoningNames {
            reasoning_content: reasoning_content.is_some(),
            reasoning: reasoning.is_some() || *has_part,
        };
        if names.reasoning_content || names.reasoning { Some(names) } else { None }
    }

    /// Returns true if two names have texts that differ: a completion joins them.
    pub(super) fn differ(&self) -> bool {
        self.reasoning_content.is_some_and(|text| {
            self.has_part || self.reasoning.is_some_and(|reasoning| reasoning != text)
        })
    }
}

/// The members of a tool call that decide which one it continues.
struct CallDelta<'a> {
    index: Option<u64>,
    id: &'a str,
    name: &'a str,
    has_arguments: bool,
}

impl<'a> CallDelta<'a> {
    /// Returns `None` for a call that can't be read.
    fn of(call: Value<'a>) -> Option<Self> {
        if call.kind() != ValueKind::Object {
            return None;
        }
        let mut delta = Self { index: None, id: "", name: "", has_arguments: false };
        for (name, value) in call.members() {
            match name {
                tool_call::INDEX if value.is_null() => delta.index = None,
                tool_call::INDEX => delta.index = Some(value.as_u64()?),
                tool_call::ID => delta.id = text(value),
                tool_call::FUNCTION => delta.add_function(value),
                _ => {}
            }
        }
        Some(delta)
    }

    fn add_function(&mut self, function: Value<'a>) {
        for (name, value) in function.members() {
            match name {
                function::NAME => self.name = text(value),
                function::ARGUMENTS => self.has_arguments = !text(value).is_empty(),
                _ => {}
            }
        }
    }
}

/// Returns a text, or that of a number; of any other value an empty one.
fn text(value: Value<'_>) -> &str {
    let number = || if value.kind() == ValueKind::Number { value.raw() } else { "" };
    value.as_str().unwrap_or_else(number)
}

impl ChoiceElements {
    /// Returns the position of the call that a delta continues, or of a new one.
    ///
    /// The rules are those of `completion::tool_call`. Returns `None` if a call isn't certain.
    fn call_at(&mut self, delta: &CallDelta<'_>, budget: &mut Budget) -> Option<usize> {
        if delta.id.len() > LONGEST_ID || delta.name.len() > LONGEST_ID {
            return None;
        }
        let known = match delta.index {
            Some(index) => self.of_index(index, delta),
            None if delta.id.is_empty() => {
                (!self.calls.is_empty() && delta.name.is_empty()).then_some(self.last_call)
            }
            None => {
                let mut of_id =
                    self.calls.iter().enumerate().filter(|(_, call)| *call.id == *delta.id);
                let first = of_id.next().map(|(at, _)| at);
                // Of several, the order of the calls decides, which changes with each new one.
                if of_id.next().is_some() {
                    return None;
                }
                first
            }
        };
        let at = known.unwrap_or(self.calls.len());
        if known.is_none() {
            if !budget.try_reserve(CALL_COST) {
                return None;
            }
            let (index, id, name) = (delta.index, Box::default(), String::new());
            self.calls.push(KnownCall { index, id, name, has_arguments: false });
        }
        let call = self.calls.get_mut(at)?;
        if call.id.is_empty() && !delta.id.is_empty() {
            if !budget.try_reserve(delta.id.len()) {
                return None;
            }
            call.id = delta.id.into();
        }
        if call.name != delta.name && !delta.name.is_empty() {
            // With complete arguments another call begins, and with others this one continues.
            let fits = (call.name.is_empty() || !call.has_arguments)
                && call.name.len() + delta.name.len() <= LONGEST_ID
                && budget.try_reserve(delta.name.len());
            if !fits {
                return None;
            }
            call.name.push_str(delta.name);
        }
        call.has_arguments |= delta.has_arguments;
        Some(at)
    }

    /// Returns the call of an index that a delta continues.
    fn of_index(&self, index: u64, delta: &CallDelta<'_>) -> Option<usize> {
        let of_index = |call: &&KnownCall| call.index == Some(index);
        let mut calls = self.calls.iter().enumerate().rev().filter(|(_, call)| of_index(call));
        let (latest, call) = calls.next()?;
        if delta.id.is_empty() || call.id.is_empty() || *call.id == *delta.id {
            return Some(latest);
        }
        let of_id = calls.find(|(_, call)| *call.id == *delta.id).map(|(at, _)| at);
        of_id.or_else(|| delta.name.is_empty().then_some(latest))
    }
}
