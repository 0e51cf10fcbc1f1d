//! Reads completions back from JSON, as `serde_json` has it.

use serde::de::{Deserialize, Deserializer, Error};

use super::completion::{
    ChatCompletion, CompletionChoice, FunctionCall, Message, ReasoningName, ToolCall,
};
use crate::json::JsonObject;

impl<'de> Deserialize<'de> for ChatCompletion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = JsonObject::deserialize(deserializer)?;
        object.take::<serde::de::IgnoredAny, D::Error>("object")?;
        Ok(Self {
            id: object.take("id")?,
            created: object.take("created")?,
            model: object.take("model")?,
            choices: object.take("choices")?.unwrap_or_default(),
            usage: object.take("usage")?,
            service_tier: object.take("service_tier")?,
            system_fingerprint: object.take("system_fingerprint")?,
            extra: object,
        })
    }
}

impl<'de> Deserialize<'de> for CompletionChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = JsonObject::deserialize(deserializer)?;
        let index = object.take("index")?;
        Ok(Self {
            index: index.ok_or_else(|| D::Error::missing_field("index"))?,
            message: object.take("message")?.unwrap_or_default(),
            finish_reason: object.take("finish_reason")?,
            logprobs: object.take("logprobs")?,
            extra: object,
        })
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = JsonObject::deserialize(deserializer)?;
        let by_content = object.take(ReasoningName::ReasoningContent.as_str())?;
        // Where both are there, only one has a field; the other is kept as any other member.
        let (reasoning, reasoning_name) = match by_content {
            Some(text) => (Some(text), ReasoningName::ReasoningContent),
            None => (object.take(ReasoningName::Reasoning.as_str())?, ReasoningName::Reasoning),
        };
        let reasoning_name =
            if reasoning.is_some() { reasoning_name } else { ReasoningName::default() };
        Ok(Self {
            role: object.take("role")?,
            content: object.take("content")?,
            refusal: object.take("refusal")?,
            reasoning,
            reasoning_name,
            reasoning_details: object.take("reasoning_details")?.unwrap_or_default(),
            tool_calls: object.take("tool_calls")?.unwrap_or_default(),
            function_call: object.take("function_call")?,
            audio: object.take("audio")?,
            extra: object,
        })
    }
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = JsonObject::deserialize(deserializer)?;
        Ok(Self {
            id: object.take("id")?.unwrap_or_default(),
            r#type: object.take("type")?,
            function: object.take("function")?,
            extra: object,
        })
    }
}

impl<'de> Deserialize<'de> for FunctionCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = JsonObject::deserialize(deserializer)?;
        Ok(Self {
            name: object.take("name")?.unwrap_or_default(),
            arguments: object.take("arguments")?.unwrap_or_default(),
            extra: object,
        })
    }
}
