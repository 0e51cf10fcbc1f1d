//! Members that change nothing when they are merged again.

use crate::chunk::{ExtraMembers, Level, Merge, ToolCallDelta, is_identity, merge};
use crate::json::{Value, ValueKind};

/// Returns true if a part of a tool call only continues the call.
pub(super) fn is_continuation(call: &ToolCallDelta<'_>) -> bool {
    let is_empty = |text: Option<&str>| text.is_none_or(str::is_empty);
    call.index().is_some()
        && is_empty(call.id_text())
        && is_empty(call.name_text())
        && are_idempotent(Level::ToolCall, call.extra())
        && are_idempotent(Level::Function, call.function_extra())
}

/// Returns true if merging the members again changes nothing, and reserves nothing for a while.
pub(super) fn are_idempotent(level: Level, extra: ExtraMembers<'_>) -> bool {
    names_are_unique(|| extra.clone().map(|(name, _)| name))
        && extra.clone().all(|(name, value)| is_idempotent(level, name, value))
}

/// Returns true if merging a member again changes nothing.
pub(super) fn is_idempotent(level: Level, name: &str, value: Value<'_>) -> bool {
    value.is_empty_value()
        || match merge(level, name) {
            Merge::Ignore => true,
            Merge::KeepFirst | Merge::Replace | Merge::Object | Merge::FilterResults => {
                has_unique_names(value)
            }
            Merge::Accumulate => match value.kind() {
                ValueKind::String => is_identity(name),
                ValueKind::Array => false,
                ValueKind::Object => {
                    has_unique_names(value)
                        && value.members().all(|(_, value)| value.is_empty_value())
                }
                _ => true,
            },
            _ => false,
        }
}

/// Returns true if each list is empty, as some servers send it with each chunk, or in a slot.
pub(super) fn are_listed_logprobs(logprobs: Value<'_>) -> bool {
    has_unique_names(logprobs)
        && logprobs.members().all(|(_, list)| list.is_unread() || list.is_empty_value())
}

/// Returns true if no object in a value has a name twice.
///
/// Otherwise the last value of a member isn't all that the member merges.
pub(super) fn has_unique_names(value: Value<'_>) -> bool {
    let Value { document, id, .. } = value;
    (id..document.behind(id))
        .all(|id| names_are_unique(|| document.members(id).map(|member| member.name)))
}

/// Returns true if there are at most 32 names, and none comes twice.
pub(super) fn names_are_unique<N: PartialEq, I: Iterator<Item = N>>(names: impl Fn() -> I) -> bool {
    const MOST: usize = 32;
    let is_first = |(at, name): (usize, N)| names().take(at).all(|earlier| earlier != name);
    names().nth(MOST).is_none() && names().enumerate().all(is_first)
}
