//! `Serialize` and `Deserialize` of completions, as OpenAI's `chat.completion`.
//!
//! OpenAI's required members are always written, the others if they were sent. The reports about
//! completions have `Serialize` only.

use serde::ser::{Serialize, SerializeMap, SerializeSeq as _, Serializer};

use super::handling::Handling;
use super::model::{ChatCompletion, CompletionChoice, FunctionCall, Message, ToolCall};
use super::outcome::{FinishedCompletion, Irregularities, NotWhole, UnfinishedChoice};
use crate::chunk::schema::{choice, delta, function, tool_call, top};
use crate::json::{OwnedObject, deserialize_by_parser};
use crate::report::report;

fn some<M: SerializeMap, T: Serialize>(
    map: &mut M,
    name: &str,
    value: Option<T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}

fn list<M: SerializeMap, T: Serialize>(
    map: &mut M,
    name: &str,
    values: &[T],
) -> Result<(), M::Error> {
    some(map, name, (!values.is_empty()).then_some(values))
}

fn members<M: SerializeMap>(map: &mut M, object: &OwnedObject) -> Result<(), M::Error> {
    object.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
}

impl Serialize for ChatCompletion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(top::ID, &self.id)?;
        map.serialize_entry(top::OBJECT, "chat.completion")?;
        map.serialize_entry(top::CREATED, &self.created)?;
        map.serialize_entry(top::MODEL, &self.model)?;
        map.serialize_entry(top::CHOICES, &self.choices)?;
        some(&mut map, top::USAGE, self.usage.as_ref())?;
        some(&mut map, top::SERVICE_TIER, self.service_tier.as_ref())?;
        some(&mut map, top::SYSTEM_FINGERPRINT, self.system_fingerprint.as_ref())?;
        some(&mut map, top::NOT_WHOLE, self.not_whole.then_some(true))?;
        members(&mut map, &self.extra)?;
        map.end()
    }
}

impl Serialize for CompletionChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(choice::INDEX, &self.index)?;
        map.serialize_entry(choice::MESSAGE, &self.message)?;
        map.serialize_entry(choice::LOGPROBS, &self.logprobs)?;
        map.serialize_entry(choice::FINISH_REASON, &self.finish_reason)?;
        members(&mut map, &self.extra)?;
        map.end()
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            role,
            content,
            refusal,
            reasoning,
            reasoning_name,
            reasoning_details,
            tool_calls,
            function_call,
            audio,
            extra,
        } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(delta::ROLE, role.as_deref().unwrap_or("assistant"))?;
        map.serialize_entry(delta::CONTENT, content)?;
        some(&mut map, reasoning_name.as_str(), reasoning.as_ref())?;
        let details = Some(reasoning_details).filter(|details| !details.is_empty());
        some(&mut map, delta::REASONING_DETAILS, details)?;
        map.serialize_entry(delta::REFUSAL, refusal)?;
        list(&mut map, delta::TOOL_CALLS, tool_calls)?;
        some(&mut map, delta::FUNCTION_CALL, function_call.as_ref())?;
        some(&mut map, delta::AUDIO, audio.as_ref())?;
        members(&mut map, extra)?;
        map.end()
    }
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(tool_call::ID, &self.id)?;
        map.serialize_entry(tool_call::TYPE, self.r#type.as_deref().unwrap_or("function"))?;
        some(&mut map, tool_call::FUNCTION, self.function.as_ref())?;
        members(&mut map, &self.extra)?;
        map.end()
    }
}

impl Serialize for FunctionCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(function::NAME, &self.name)?;
        map.serialize_entry(function::ARGUMENTS, &self.arguments)?;
        members(&mut map, &self.extra)?;
        map.end()
    }
}

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

report!(Irregularities {
    invalid_choice_indexes,
    invalid_tool_call_indexes,
    sparse_choice_indexes,
    sparse_tool_call_indexes,
    tool_calls_without_index,
    changed_tool_call_ids,
    tool_calls_by_name,
    texts_of_another_type,
    replaced_values,
    unknown_content_parts,
});

report!(Handling { http_status, may_be_cached, may_be_billed, may_be_retried });
