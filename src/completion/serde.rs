//! `Serialize` and `Deserialize` of completions, as OpenAI's `chat.completion`.
//!
//! The reports about completions have `Serialize` only.

use serde::ser::{Serialize, SerializeSeq as _, Serializer};

use super::handling::Handling;
use super::json_members::{JsonMembers, Part};
use super::model::{ChatCompletion, CompletionChoice, FunctionCall, Message, ToolCall};
use super::outcome::{FinishedCompletion, Irregularities, NotWhole, UnfinishedChoice};
use crate::json::deserialize_by_parser;
use crate::report::report;

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::True => serializer.serialize_bool(true),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Value(value) => value.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::Array(list) => list.serialize(serializer),
            Self::Choices(choices) => choices.serialize(serializer),
            Self::Message(message) => message.serialize(serializer),
            Self::ToolCalls(calls) => calls.serialize(serializer),
            Self::Function(function) => function.serialize(serializer),
        }
    }
}

macro_rules! serialize_members {
    ($($type:ty),+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.json_members())
            }
        }
    )+};
}

serialize_members!(ChatCompletion, CompletionChoice, Message, ToolCall, FunctionCall);
deserialize_by_parser!(ChatCompletion, CompletionChoice, Message, ToolCall, FunctionCall);

/// Serializes the names of the defects, as a list.
impl Serialize for NotWhole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.defects().count()))?;
        self.defects().try_for_each(|defect| list.serialize_element(&defect))?;
        list.end()
    }
}

report!(FinishedCompletion {
    completion,
    outcome,
    pending,
    limit_exceeded,
    irregularities,
    failed_finish,
    end,
    not_whole,
});

report!(UnfinishedChoice { choice, tool_call });

/// Serializes the counts by their names.
impl Serialize for Irregularities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

report!(Handling { http_status, may_be_cached, may_be_billed, may_be_retried });
