//! Whole completions: `Reassembler` merges the deltas of a stream, and [`ChatCompletion`] stores them.

mod accumulate;
mod budget;
mod budgets;
mod change;
mod choice_state;
mod detail_plan;
mod failure;
mod from_json;
mod handling;
mod idempotent;
mod incremental;
mod json_members;
mod list;
mod literals;
mod merge;
mod message;
mod model;
mod object_scan;
mod order;
pub(crate) mod outcome;
pub(crate) mod reassembler;
#[cfg(feature = "serde")]
mod serde;
mod shared_plans;
mod tail;
mod tail_extras;
mod tokens;
mod tool_call;
mod usage_plan;
mod whole;
mod whole_completion;

pub use crate::chunk::schema::MessageText;
pub(crate) use budget::Budget;
pub use budget::CompletionLimit;
pub use change::Change;
pub use failure::CompletionFailure;
pub use handling::Handling;
pub(crate) use list::{ElementKey, Matching};
pub use model::{
    ArgumentsState, ChatCompletion, CompletionChoice, FunctionCall, Message, ReasoningName,
    ToolCall,
};
pub use outcome::{Defect, FinishedCompletion, Irregularities, NotWhole, UnfinishedChoice};
pub(crate) use outcome::{Findings, LONGEST_REASON, Outcome};
pub(crate) use reassembler::Reassembler;
pub(crate) use whole_completion::read_whole;

#[cfg(test)]
#[cfg(feature = "serde")]
pub(crate) use model::tests::filled_completion;
