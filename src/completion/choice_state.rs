//! `ChoiceState`: the state of one choice between two chunks, besides its message.

use smallvec::SmallVec;

use super::budgets::PendingSurrogate;
use super::change::{Change, Changes};
use super::object_scan::ObjectScan;
use super::outcome::{Irregularities, count};
use crate::chunk::PerText;

#[derive(Clone, Debug, Default)]
pub(super) struct ChoiceState {
    /// The halves of surrogate pairs at the ends of the texts.
    pub(super) pending: PerText<PendingSurrogate>,
    /// A whole message is stored, and no content or tool call has come by deltas since.
    pub(super) is_snapshot: bool,
    /// The rest; `None` until it is needed.
    rare: Option<Box<RareState>>,
}

/// The state that a choice has only with tool calls, irregular parts or replaced texts.
#[derive(Clone, Debug, Default)]
pub(super) struct RareState {
    pub(super) calls: CallStates,
    pub(super) function_call: PendingSurrogate,
    /// The texts with void changes; all false between two pushes.
    pub(super) is_void: PerText<bool>,
    irregular: Irregularities,
}

/// The states of a choice's tool calls.
#[derive(Clone, Debug, Default)]
pub(super) struct CallStates {
    /// One state for each call: `list.len() == message.tool_calls.len()`.
    pub(super) list: SmallVec<[CallState; 1]>,
    /// The number of tool calls at the end that aren't sorted yet: `late <= list.len()`.
    pub(super) late: usize,
    /// The call that the last delta continued.
    pub(super) last: LastCall,
    /// The position of the call that grew last, unless a change has reported its end.
    pub(super) open: Option<usize>,
    /// The positions of the tool calls with an id, sorted by id; `None` until a search needs them.
    pub(super) by_id: Option<Vec<u32>>,
}

/// The call that a delta continued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LastCall {
    /// There was no delta with a call.
    #[default]
    Nothing,
    At(usize),
    /// A call that a limit left out.
    OverLimit,
    /// A call that was left out because its index is invalid.
    Invalid,
}

impl LastCall {
    /// Returns the position of the call, unless it was left out.
    pub(super) const fn position(self) -> Option<usize> {
        match self {
            Self::At(at) => Some(at),
            Self::Nothing | Self::OverLimit | Self::Invalid => None,
        }
    }
}

impl ChoiceState {
    /// Returns the rare state, which is made if it is absent.
    pub(super) fn rare_mut(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    /// Returns the states of the tool calls, if any has begun.
    pub(super) fn calls_mut(&mut self) -> Option<&mut CallStates> {
        Some(&mut self.rare.as_mut()?.calls)
    }

    /// Returns the states of the tool calls.
    pub(super) fn calls(&self) -> &[CallState] {
        self.rare.as_ref().map_or(&[], |rare| &rare.calls.list)
    }

    /// Returns the state of the tool call at a position.
    pub(super) fn call_mut(&mut self, at: usize) -> Option<&mut CallState> {
        self.calls_mut()?.list.get_mut(at)
    }

    /// Returns the position of the call whose end isn't reported, or else of the last one.
    pub(super) fn current_call(&self) -> Option<usize> {
        let calls = &self.rare.as_ref()?.calls;
        calls.open.or_else(|| calls.last.position())
    }

    /// Returns the counts of irregular parts.
    pub(super) fn irregularities(&self) -> Irregularities {
        self.rare.as_ref().map_or_else(Irregularities::default, |rare| rare.irregular)
    }

    /// Adds to a count of irregular parts.
    pub(super) fn count(&mut self, of: fn(&mut Irregularities) -> &mut u32, number: usize) {
        if number > 0 {
            count(of(&mut self.rare_mut().irregular), number);
        }
    }

    /// Adds the counts of irregular parts of another state.
    pub(super) fn add_irregularities(&mut self, other: &Self) {
        if let Some(other) = &other.rare {
            self.rare_mut().irregular.add(&other.irregular);
        }
    }

    /// Records the end of the open call, if there is one.
    pub(super) fn end_calls(&mut self, choice: usize, changes: &mut Changes) {
        if let Some(call) = self.calls_mut().and_then(|calls| calls.open.take()) {
            changes.push(Change::ToolCallDone { choice, call });
        }
    }
}

impl CallStates {
    /// Makes the call at a position the open one, and records the end of the one before.
    pub(super) fn open(&mut self, at: usize, choice: usize, changes: &mut Changes) {
        debug_assert!(at < self.list.len(), "an open call is in the list");
        if let Some(call) = self.open.replace(at).filter(|before| *before != at) {
            changes.push(Change::ToolCallDone { choice, call });
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct CallState {
    pub(super) index: Option<u64>,
    /// The scan for the end of the arguments, by which another name begins another call.
    pub(super) scan: ObjectScan,
    pub(super) arguments: PendingSurrogate,
    /// The keys of this call that a later one has, which a limit left out.
    pub(super) left_out: LeftOut,
    /// The hash of an id that is too long to be stored.
    pub(super) long_id: Option<u64>,
    /// True if the arguments have void changes; see [`RareState::is_void`].
    pub(super) is_void: bool,
}

/// The keys by which a delta continues a call that was left out, and not an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeftOut {
    #[default]
    Nothing,
    /// The index. The id still continues the earlier call.
    Index,
    /// The index and the id.
    Id,
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
