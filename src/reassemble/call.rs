//! Tool calls: which call a delta goes on with, what it adds, and when the call is done.

use super::CallState;
use super::budget::{Budget, CutPair};
use super::change::Change;
use super::completion::{FunctionCall, ToolCall};
use super::delta::Target;
use super::rules::Level;
use crate::chunk::ToolCallDelta;
use crate::json::{Limit, Value};

/// What one more choice or tool call costs besides its texts, for the bound on memory.
pub(super) const PART_COST: usize = 512;

/// Longest id of a tool call: ids are compared with each other.
const LONGEST_ID: usize = 1024;

/// Adds to the call that the delta goes on with, or begins another one.
pub(super) fn push_call(target: &mut Target<'_>, delta: &ToolCallDelta<'_>) {
    let irregular = &mut target.state.irregular;
    if delta.has_invalid_index() {
        irregular.invalid_tool_call_indexes += 1;
        return;
    }
    irregular.tool_calls_without_index += u32::from(delta.index().is_none());
    let Some(at) = call_at(target, delta) else { return };
    let Target { choice, message, state, budget, changes } = target;
    let (Some(call), Some(known)) = (message.tool_calls.get_mut(at), state.calls.get_mut(at))
    else {
        return;
    };
    state.last_call = at;
    known.is_done = false;
    if let Some(id) = delta.id().filter(|id| !id.is_empty()) {
        if call.id.is_empty() {
            push_id(&mut call.id, id, budget);
        } else {
            state.irregular.changed_tool_call_ids += u32::from(call.id != id);
        }
    }
    budget.first(&mut call.r#type, delta.r#type());
    if delta.has_function() {
        let function = call.function.get_or_insert_default();
        push_name(function, delta.name().unwrap_or_default(), budget);
        let start = if let Some(text) = delta.arguments() {
            let value = || delta.get("function")?.get("arguments");
            budget.join(&mut function.arguments, &mut known.arguments, text, value)
        } else if let Some(arguments) = delta.arguments_object() {
            known.arguments = CutPair::default();
            let mut json = String::new();
            arguments.write_json(&mut json);
            replace(&mut function.arguments, &json, budget)
        } else {
            None
        };
        changes.extend(start.map(|start| Change::Arguments { choice: *choice, call: at, start }));
        for (name, value) in delta.function_extra() {
            budget.keep(&mut function.extra, Level::Function, name, value);
        }
    }
    for (name, value) in delta.extra() {
        budget.keep(&mut call.extra, Level::ToolCall, name, value);
    }
}

/// Takes over a call of a whole message, the `at`th.
pub(super) fn push_whole_call<'t>(target: &mut Target<'_>, at: usize, whole: Value<'t>) {
    if target.message.tool_calls.len() <= at && insert(target, at, Some(at as u64)).is_none() {
        return;
    }
    let Target { choice, message, budget, changes, .. } = target;
    let Some(call) = message.tool_calls.get_mut(at) else { return };
    let text = |object: Value<'t>, name: &str| object.get(name).and_then(|text| text.as_str());
    if let Some(id) = text(whole, "id").filter(|_| call.id.is_empty()) {
        push_id(&mut call.id, id, budget);
    }
    budget.first(&mut call.r#type, text(whole, "type"));
    let Some(whole) = whole.get("function") else { return };
    let function = call.function.get_or_insert_default();
    if function.name.is_empty() {
        budget.push_str(&mut function.name, text(whole, "name").unwrap_or_default());
    }
    let arguments = whole.get("arguments");
    let arguments = arguments.map(|arguments| arguments.as_str().unwrap_or(arguments.raw()));
    if let Some(arguments) = arguments.filter(|arguments| **arguments != function.arguments) {
        let start = replace(&mut function.arguments, arguments, budget);
        changes.extend(start.map(|start| Change::Arguments { choice: *choice, call: at, start }));
    }
}

/// Which call a delta belongs to.
///
/// | index | id | goes on with |
/// |---|---|---|
/// | known | none, "" or the call's own | the latest call of that index |
/// | known | another one, and a name | a new call: some bridges send all calls as index 0 |
/// | known | another one, without a name | the latest call of that index: some servers make up an id for each delta |
/// | new | any | a new call |
/// | absent | known | that call |
/// | absent | new | a new call |
/// | absent | none, with a name | a new call |
/// | absent | none | the call of the delta before |
fn call_at(target: &mut Target<'_>, delta: &ToolCallDelta<'_>) -> Option<usize> {
    let Target { message, state, .. } = target;
    let id = delta.id().unwrap_or_default();
    let has_name = delta.name().is_some_and(|name| !name.is_empty());
    let calls = &message.tool_calls;
    let index = delta.index();
    let known = match index {
        Some(_) => state.calls.iter().rposition(|kept| kept.index == index).filter(|at| {
            let kept = calls.get(*at).map_or("", |call| call.id.as_str());
            id.is_empty() || kept.is_empty() || kept == id || !has_name
        }),
        None if id.is_empty() => (!calls.is_empty() && !has_name).then_some(state.last_call),
        None => calls.iter().rposition(|call| call.id == id),
    };
    if known.is_some() {
        return known;
    }
    let at = match index {
        Some(_) => state.calls.iter().rposition(|kept| kept.index <= index).map_or(0, |at| at + 1),
        None => calls.len(),
    };
    insert(target, at, index)
}

/// Begins a call at a position. The one that went on before it is done.
fn insert(target: &mut Target<'_>, at: usize, index: Option<u64>) -> Option<usize> {
    let Target { choice, message, state, budget, changes } = target;
    if message.tool_calls.len() >= budget.limits.tool_calls {
        budget.room.leave_out(Limit::ToolCalls);
    }
    if !budget.room.take(PART_COST) {
        return None;
    }
    let choice = *choice;
    if let Some(before) = state.calls.get_mut(state.last_call).filter(|before| !before.is_done) {
        before.is_done = true;
        changes.push(Change::ToolCallDone { choice, call: state.last_call });
    }
    message.tool_calls.insert(at, ToolCall::default());
    state.calls.insert(at, CallState { index, ..CallState::default() });
    changes.push(Change::ToolCallStarted { choice, call: at });
    Some(at)
}

fn push_id(kept: &mut String, id: &str, budget: &mut Budget) {
    if id.len() > LONGEST_ID {
        budget.room.leave_out(Limit::ToolCallId);
    }
    budget.push_str(kept, id);
}

/// The whole, again: it replaces what came before.
fn replace(kept: &mut String, text: &str, budget: &mut Budget) -> Option<usize> {
    budget.room.give_back(kept.len());
    kept.clear();
    budget.push_str(kept, text)
}

/// A name comes whole, and may come again; only one that is cut before any argument is joined.
pub(super) fn push_name(function: &mut FunctionCall, name: &str, budget: &mut Budget) {
    if function.name != name && (function.name.is_empty() || function.arguments.is_empty()) {
        budget.push_str(&mut function.name, name);
    }
}
