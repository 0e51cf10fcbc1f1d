//! `ChoiceState`: the state of one choice between two chunks, besides its message.

use super::budgets::PendingSurrogate;
use super::change::{Change, Changes};
use super::outcome::Irregularities;

#[derive(Clone, Debug, Default)]
pub(super) struct ChoiceState {
    /// The choice's index.
    pub(super) index: u64,
    /// The states of the tool calls: `calls.len() == message.tool_calls.len()`.
    pub(super) calls: Vec<CallState>,
    /// The number of tool calls at the end that aren't sorted yet: `late_calls <= calls.len()`.
    pub(super) late_calls: usize,
    /// The positions of the tool calls with an id, sorted by id; `None` until a search needs them.
    pub(super) calls_by_id: Option<Vec<u32>>,
    /// The position of the call that the last delta continued.
    pub(super) last_call: usize,
    pub(super) content: PendingSurrogate,
    pub(super) refusal: PendingSurrogate,
    pub(super) reasoning: PendingSurrogate,
    pub(super) function_call: PendingSurrogate,
    /// The server sends the message whole with each chunk.
    pub(super) is_snapshot: bool,
    /// The texts with void changes; all false between two pushes.
    pub(super) is_void: VoidTexts,
    pub(super) irregular: Irregularities,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VoidTexts {
    pub(super) content: bool,
    pub(super) refusal: bool,
    pub(super) reasoning: bool,
}

impl ChoiceState {
    /// Marks all calls as done, and records a change for each that wasn't.
    pub(super) fn end_calls(&mut self, choice: usize, changes: &mut Changes) {
        for (call, known) in self.calls.iter_mut().enumerate().filter(|(_, known)| !known.is_done) {
            known.is_done = true;
            changes.push(Change::ToolCallDone { choice, call });
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct CallState {
    pub(super) index: Option<u64>,
    pub(super) arguments: PendingSurrogate,
    /// The length of the arguments when they were last parsed.
    pub(super) parsed_len: usize,
    /// A change has reported that the call is done.
    pub(super) is_done: bool,
    /// True if the arguments have void changes; see [`ChoiceState::is_void`].
    pub(super) is_void: bool,
}

impl CallState {
    /// Returns the sort key: tool calls are sorted by index, and those without one are last.
    pub(super) const fn key(&self) -> (bool, u64) {
        match self.index {
            Some(index) => (false, index),
            None => (true, 0),
        }
    }
}
