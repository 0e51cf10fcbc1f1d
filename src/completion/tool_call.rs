//! Tool calls: the call that a delta continues, its merge, and its end.
//!
//! `push_call` and `push_arguments`, for the plan of a template, append a piece of the arguments by
//! `Budgets::join`. `set_whole_call` replaces them, for whole messages.

use core::hash::Hasher;
use std::hash::DefaultHasher;

use super::budget::CompletionLimit;
use super::budgets::{Budgets, PendingSurrogate};
use super::change::Change;
use super::choice_state::{CallState, CallStates, ChoiceState, LastCall, LeftOut};
use super::message::ChoiceTarget;
use super::model::{FunctionCall, Message, ToolCall, push_doubling};
use super::object_scan::ObjectScan;
use crate::chunk::Level;
use crate::chunk::ToolCallDelta;
use crate::chunk::schema::{function, tool_call};
use crate::json::{Value, ValueKind};

/// The bytes of budget that a choice or tool call reserves besides its texts.
pub(super) const PART_COST: usize = 512;

/// The longest id of a tool call, in bytes: ids are compared with each other.
const LONGEST_ID: usize = 1024;

/// Merges a delta into the call that it continues, or into a new one.
pub(super) fn push_call(target: &mut ChoiceTarget<'_>, delta: &ToolCallDelta<'_>) {
    let index = delta.index();
    if index.is_none() {
        if delta.has_invalid_index() {
            return leave_out(target.state, LastCall::Invalid);
        }
        target.state.count(|counts| &mut counts.tool_calls_without_index, 1);
    }
    let id = delta.id_text().unwrap_or_default();
    let free = target.budget.texts.free();
    let Some(at) = call_at(target, delta, index, id) else { return };
    target.state.rare_mut().calls.last = LastCall::At(at);
    if !id.is_empty() {
        push_id(target, at, id);
    }
    let ChoiceTarget { message, state, budget, .. } = target;
    state.count(|counts| &mut counts.texts_of_another_type, delta.numbers_for_texts());
    let (Some(call), Some(known)) = (message.tool_calls.get_mut(at), state.call_mut(at)) else {
        return;
    };
    budget.first(&mut call.r#type, || delta.r#type());
    let mut start = None;
    if delta.has_function() {
        let function = call.function.get_or_insert_default();
        push_name(function, delta.name_text().unwrap_or_default(), budget);
        let (text, value) = (delta.arguments_text(), || delta.arguments_value());
        let arguments = &mut function.arguments;
        start = join_arguments(arguments, &mut known.arguments, budget, text, value);
        for (name, value) in delta.function_extra() {
            budget.keep(&mut function.extra, Level::Function, name, value);
        }
    }
    for (name, value) in delta.extra() {
        budget.keep(&mut call.extra, Level::ToolCall, name, value);
    }
    if start.is_some() || budget.texts.free() != free {
        state.is_snapshot = false;
        record_growth(target, at, start);
    }
}

/// Records that a call has grown; `start` is that of its new arguments, if there are any.
fn record_growth(target: &mut ChoiceTarget<'_>, at: usize, start: Option<usize>) {
    let ChoiceTarget { choice, state, changes, .. } = target;
    if let Some(known) = state.call_mut(at).filter(|_| start == Some(0)) {
        known.scan = ObjectScan::default();
    }
    state.rare_mut().calls.open(at, *choice, changes);
    changes.replace(start.map(|start| Change::Arguments { choice: *choice, call: at, start }));
}

/// Appends arguments to the call of the delta before; returns false if it isn't the one to continue.
pub(super) fn push_arguments<'a>(
    target: &mut ChoiceTarget<'_>,
    index: Option<u64>,
    text: &str,
    value: impl FnOnce() -> Option<Value<'a>>,
) -> bool {
    let ChoiceTarget { choice, message, state, budget, changes } = target;
    let Some((call, arguments, cut)) = continued_arguments(message, state, index) else {
        return false;
    };
    if let Some(start) = budget.join(arguments, cut, text, value) {
        changes.push(Change::Arguments { choice: *choice, call, start });
    }
    true
}

/// Returns the call that arguments of this index continue, if it is the one of the delta before.
///
/// Returns its position, its arguments and the half of a surrogate pair at their end. It is the one
/// of the first row of the table at [`call_at`], if it is the last call and its end isn't reported.
/// There is none behind a whole message, which a delta ends by [`push_call`].
pub(super) fn continued_arguments<'t>(
    message: &'t mut Message,
    state: &'t mut ChoiceState,
    index: Option<u64>,
) -> Option<(usize, &'t mut String, &'t mut PendingSurrogate)> {
    let is_snapshot = state.is_snapshot;
    let states = state.calls_mut()?;
    let at = states.last.position()?;
    let is_last = at + 1 == message.tool_calls.len() && states.open == Some(at);
    let (call, known) = (message.tool_calls.get_mut(at)?, states.list.get_mut(at)?);
    debug_assert_eq!(known.left_out, LeftOut::Nothing, "a plan merges nothing behind a limit");
    let goes_on = is_last && !is_snapshot && index.is_some() && known.index == index;
    let function = call.function.as_mut().filter(|_| goes_on)?;
    Some((at, &mut function.arguments, &mut known.arguments))
}

/// Merges a piece of arguments, or arguments that are an object; returns the start of the new text.
///
/// An empty object never replaces a text with content.
#[inline]
pub(super) fn join_arguments<'a>(
    kept: &mut String,
    cut: &mut PendingSurrogate,
    budget: &mut Budgets,
    text: Option<&str>,
    value: impl Fn() -> Option<Value<'a>>,
) -> Option<usize> {
    match text {
        Some(text) => budget.join(kept, cut, text, value),
        None => set_object(kept, cut, budget, value()?),
    }
}

/// Replaces arguments by those of a whole message; returns the start of the new text.
///
/// Empty ones never replace a text with content.
pub(super) fn set_arguments<'a>(
    kept: &mut String,
    cut: &mut PendingSurrogate,
    budget: &mut Budgets,
    text: Option<&str>,
    value: impl Fn() -> Option<Value<'a>>,
) -> Option<usize> {
    match text {
        Some(text) if text.is_empty() || text == kept => None,
        Some(text) => {
            *cut = PendingSurrogate::default();
            budget.set_text(kept, text).then_some(0)
        }
        None => set_object(kept, cut, budget, value()?),
    }
}

fn set_object(
    kept: &mut String,
    cut: &mut PendingSurrogate,
    budget: &mut Budgets,
    value: Value<'_>,
) -> Option<usize> {
    let is_object = value.kind() == ValueKind::Object;
    let is_other = is_object && value.raw() != kept;
    let replaces = is_other && (kept.is_empty() || !value.is_empty_value());
    replaces.then(|| budget.set_json(kept, cut, value))?
}

/// Stores the call at a position of a whole message.
pub(super) fn set_whole_call(target: &mut ChoiceTarget<'_>, at: usize, whole: &ToolCallDelta<'_>) {
    let free = target.budget.texts.free();
    let is_known = at < target.message.tool_calls.len();
    let at = if is_known { Some(at) } else { append(target, Some(at as u64)) };
    let Some(at) = at else { return };
    target.state.rare_mut().calls.last = LastCall::At(at);
    if let Some(id) = whole.id_text().filter(|id| !id.is_empty()) {
        push_id(target, at, id);
    }
    let ChoiceTarget { message, state, budget, .. } = target;
    state.count(|counts| &mut counts.texts_of_another_type, whole.numbers_for_texts());
    let (Some(call), Some(known)) = (message.tool_calls.get_mut(at), state.call_mut(at)) else {
        return;
    };
    budget.first(&mut call.r#type, || whole.r#type());
    let (extra, function_extra) = whole.extra_of_whole();
    for (name, value) in extra {
        budget.keep_whole(&mut call.extra, Level::ToolCall, name, value);
    }
    let (mut start, mut is_renamed) = (None, false);
    if whole.has_function() {
        let function = call.function.get_or_insert_default();
        is_renamed = set_name(function, whole.name_text().unwrap_or_default(), budget);
        let (text, value) = (whole.arguments_text(), || whole.arguments_value());
        let arguments = &mut function.arguments;
        start = set_arguments(arguments, &mut known.arguments, budget, text, value);
        for (name, value) in function_extra {
            budget.keep_whole(&mut function.extra, Level::Function, name, value);
        }
    }
    if start.is_some() || is_renamed || budget.texts.free() != free {
        record_growth(target, at, start);
    }
}

/// Returns the position of the call that a delta continues, or of a new one.
///
/// | index | id | continues |
/// |---|---|---|
/// | known | none or "" | the latest call of that index |
/// | known | one of a call of that index | that call |
/// | known | another one, and the latest call of that index has none | that latest call |
/// | known | another one, and a name | a new call: some bridges send all calls as index 0 |
/// | known | another one, without a name | the latest call of that index: some servers make up an id for each delta |
/// | new | any | a new call |
/// | absent | known | that call |
/// | absent | new | a new call |
/// | absent | none, with a name | a new call |
/// | absent | none | the call of the delta before |
///
/// Returns `None` if the call was left out, or is left out.
fn call_at(
    target: &mut ChoiceTarget<'_>,
    delta: &ToolCallDelta<'_>,
    index: Option<u64>,
    id: &str,
) -> Option<usize> {
    let ChoiceTarget { message, state, .. } = target;
    let custom_name = || delta.get(tool_call::CUSTOM)?.get(function::NAME)?.as_str();
    let has_name = || delta.name_text().or_else(custom_name).is_some_and(|name| !name.is_empty());
    let (calls, states) = (&message.tool_calls, &mut state.rare_mut().calls);
    let latest = index.and_then(|index| states.of_index(index).next());
    let by_id = match latest {
        _ if id.is_empty() => None,
        Some(at) if states.has_id(calls, at, id) => Some(at),
        None if index.is_some() => None,
        _ => states.of_id(calls, id, index),
    };
    let by_index = |at: &usize| id.is_empty() || !states.has_any_id(calls, *at) || !has_name();
    let known = by_id.or_else(|| latest.filter(by_index));
    let key = if by_id.is_some() { LeftOut::Id } else { LeftOut::Index };
    let last = match known {
        Some(at) if states.list.get(at).is_some_and(|known| known.left_out >= key) => {
            LastCall::OverLimit
        }
        Some(at) => LastCall::At(at),
        None if index.is_none() && id.is_empty() && !has_name() => states.last,
        None => LastCall::Nothing,
    };
    let is_by_name = match last {
        LastCall::At(at) if !begins_another(target, at, delta) => return Some(at),
        LastCall::At(_) => true,
        LastCall::Nothing => false,
        LastCall::OverLimit | LastCall::Invalid => {
            leave_out(target.state, last);
            return None;
        }
    };
    let began = append(target, index);
    let of_name = usize::from(is_by_name && began.is_some());
    target.state.count(|counts| &mut counts.tool_calls_by_name, of_name);
    let before = known.or(latest).filter(|_| began.is_none());
    if let Some(known) = before.and_then(|at| target.state.call_mut(at)) {
        known.left_out = known.left_out.max(key);
    }
    began
}

/// Leaves out the call of a delta, and later deltas that continue it.
fn leave_out(state: &mut ChoiceState, last: LastCall) {
    state.rare_mut().calls.last = last;
    let is_invalid = usize::from(last == LastCall::Invalid);
    state.count(|counts| &mut counts.invalid_tool_call_indexes, is_invalid);
}

/// Returns true if a delta for a tool call has another name, and the call's arguments are complete.
fn begins_another(target: &mut ChoiceTarget<'_>, at: usize, delta: &ToolCallDelta<'_>) -> bool {
    let ChoiceTarget { message, state, .. } = target;
    let function = message.tool_calls.get(at).and_then(|call| call.function.as_ref());
    let (Some(function), Some(known)) = (function, state.call_mut(at)) else { return false };
    let name = delta.name_text().unwrap_or_default();
    let is_other = !name.is_empty() && !function.name.is_empty() && name != function.name;
    is_other && known.scan.is_complete(function)
}

/// The most tool calls that a search for an id reads one by one.
const FEW_CALLS: usize = 16;

/// Returns the hash of an id that is too long to be stored.
fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    hasher.finish()
}

impl CallStates {
    /// Returns true if the tool call at a position has an id, stored or not.
    fn has_any_id(&self, calls: &[ToolCall], at: usize) -> bool {
        let is_long = self.list.get(at).is_some_and(|call| call.long_id.is_some());
        is_long || calls.get(at).is_some_and(|call| !call.id.is_empty())
    }

    /// Returns true if the tool call at a position has this id.
    fn has_id(&self, calls: &[ToolCall], at: usize, id: &str) -> bool {
        let long_id = || self.list.get(at).and_then(|call| call.long_id);
        let is_stored = calls.get(at).is_some_and(|call| call.id == id);
        is_stored || id.len() > LONGEST_ID && long_id() == Some(hash_of(id))
    }

    /// Returns the position of the latest tool call with this id, and with `index` if there is one.
    fn of_id(&mut self, calls: &[ToolCall], id: &str, index: Option<u64>) -> Option<usize> {
        let id_of = |at: usize| calls.get(at).map_or("", |call| call.id.as_str());
        let has_index = |call: &CallState| index.is_none() || call.index == index;
        if id.len() > LONGEST_ID {
            // Few ids are so long, and each call costs one comparison of numbers.
            let hash = Some(hash_of(id));
            return self.list.iter().rposition(|call| call.long_id == hash && has_index(call));
        }
        if calls.len() <= FEW_CALLS {
            return (0..calls.len())
                .rev()
                .find(|at| id_of(*at) == id && self.list.get(*at).is_some_and(has_index));
        }
        let known = &self.list;
        let key_of = |at: u32| known.get(at as usize).map(|call| (call.key(), at));
        let by_id = self.by_id.get_or_insert_with(|| {
            let with_ids = calls.iter().zip(0u32..).filter(|(call, _)| !call.id.is_empty());
            let mut by_id: Vec<_> = with_ids.map(|(_, at)| at).collect();
            by_id.sort_by(|one, other| {
                let ids = id_of(*one as usize).cmp(id_of(*other as usize));
                ids.then_with(|| key_of(*one).cmp(&key_of(*other)))
            });
            by_id
        });
        let end = by_id.partition_point(|at| {
            let ids = id_of(*at as usize).cmp(id);
            let is_before = || {
                index.is_none()
                    || known
                        .get(*at as usize)
                        .is_some_and(|call| call.key() <= (false, index.unwrap_or(0)))
            };
            ids.is_lt() || ids.is_eq() && is_before()
        });
        let at = *by_id.get(end.checked_sub(1)?)? as usize;
        let has_index = index.is_none() || known.get(at)?.index == index;
        (id_of(at) == id && has_index).then_some(at)
    }

    /// Adds the tool call at a position, which had no id before, to `by_id`.
    fn note_id(&mut self, calls: &[ToolCall], at: usize) {
        let id_of = |at: usize| calls.get(at).map_or("", |call| call.id.as_str());
        let known = &self.list;
        let (Some(by_id), Ok(new), false) =
            (&mut self.by_id, u32::try_from(at), id_of(at).is_empty())
        else {
            return;
        };
        let key_of = |at: u32| known.get(at as usize).map(|call| (call.key(), at));
        let place = by_id.partition_point(|before| {
            let ids = id_of(*before as usize).cmp(id_of(at));
            ids.then_with(|| key_of(*before).cmp(&key_of(new))).is_lt()
        });
        by_id.insert(place, new);
    }

    /// Returns the positions of the tool calls with this index, the last one first.
    fn of_index(&self, index: u64) -> impl Iterator<Item = usize> + use<'_> {
        let sorted = self.list.len() - self.late;
        let (sorted, late) = self.list.split_at_checked(sorted).unwrap_or_default();
        let end = sorted.partition_point(|call| call.key() <= (false, index));
        let is_it = move |call: &CallState| call.index == Some(index);
        let late = late.iter().enumerate().rev().filter(move |(_, call)| is_it(call));
        let late = late.map(|(at, _)| sorted.len() + at);
        let before = sorted.iter().take(end).enumerate().rev();
        late.chain(before.take_while(move |(_, call)| is_it(call)).map(|(at, _)| at))
    }
}

/// Appends a tool call, and returns its position until the end of the push sorts the calls.
fn append(target: &mut ChoiceTarget<'_>, index: Option<u64>) -> Option<usize> {
    let ChoiceTarget { choice, message, state, budget, changes } = target;
    let has_place = message.tool_calls.len() < budget.max_tool_calls();
    if !has_place {
        budget.texts.mark_exceeded(CompletionLimit::ToolCalls);
    }
    if !has_place || !budget.texts.try_reserve(PART_COST) {
        leave_out(state, LastCall::OverLimit);
        return None;
    }
    let call = CallState { index, ..CallState::default() };
    let states = &mut state.rare_mut().calls;
    if states.late > 0 || states.list.last().is_some_and(|last| last.key() > call.key()) {
        states.late += 1;
        changes.is_unordered = true;
    }
    // Both lists have the same length.
    let at = states.list.len();
    push_doubling(&mut message.tool_calls, ToolCall::default());
    states.list.push(call);
    changes.push(Change::ToolCallStarted { choice: *choice, call: at });
    Some(at)
}

/// Stores the id of the tool call at a position, unless it has one.
fn push_id(target: &mut ChoiceTarget<'_>, at: usize, id: &str) {
    let ChoiceTarget { message, state, budget, .. } = target;
    let (calls, states) = (&mut message.tool_calls, &mut state.rare_mut().calls);
    if states.has_any_id(calls, at) {
        let is_other = usize::from(!states.has_id(calls, at, id));
        return state.count(|counts| &mut counts.changed_tool_call_ids, is_other);
    }
    let (Some(call), Some(known)) = (calls.get_mut(at), states.list.get_mut(at)) else { return };
    if id.len() > LONGEST_ID {
        known.long_id = Some(hash_of(id));
        budget.texts.mark_exceeded(CompletionLimit::ToolCallId);
    } else {
        if budget.texts.try_reserve(id.len()) {
            call.id = String::from(id);
        }
        states.note_id(calls, at);
    }
}

/// Stores the name of a function.
///
/// A name comes whole, and may come again. Only a name that is cut before any argument is joined.
pub(super) fn push_name(function: &mut FunctionCall, name: &str, budget: &mut Budgets) {
    if function.name != name && (function.name.is_empty() || function.arguments.is_empty()) {
        budget.push_str(&mut function.name, name);
    }
}

/// Replaces the name of a function by that of a whole message, unless that is empty.
///
/// Returns true if the name is another one.
pub(super) fn set_name(function: &mut FunctionCall, name: &str, budget: &mut Budgets) -> bool {
    let is_other = !name.is_empty() && function.name != name;
    is_other && budget.set_text(&mut function.name, name)
}
