//! The results of a pipeline, in the generator's words.

use deltawire::completion::FinishedCompletion;
use deltawire::json::OwnedValue;
use serde_json::Value;

use crate::workloads::{Choice, Expected};

/// Returns the contents of a completion. Comments are for the decoder to count.
pub fn said(finished: &FinishedCompletion) -> Expected {
    let choices = finished.completion.choices.iter().map(|choice| {
        let message = &choice.message;
        let calls = message.tool_calls.iter().map(|call| {
            let function = call.function.clone().unwrap_or_default();
            (call.id.clone(), function.name, function.arguments)
        });
        let logprobs = choice.logprobs.as_ref().and_then(|logprobs| logprobs.get("content"));
        let tokens = logprobs.and_then(OwnedValue::as_raw).map(serde_json::from_str::<Value>);
        let tokens = tokens.map(Result::unwrap);
        Choice {
            content: message.content.clone().unwrap_or_default(),
            reasoning: message.reasoning.clone().unwrap_or_default(),
            calls: calls.collect(),
            logprobs: tokens.as_ref().and_then(Value::as_array).map_or(0, Vec::len),
            finish_reason: choice.finish_reason.clone().unwrap_or_default(),
        }
    });
    let usage = finished.completion.usage.as_ref();
    Expected {
        chunks: usize::try_from(finished.end.chunks).unwrap(),
        comments: 0,
        choices: choices.collect(),
        total_tokens: usage.and_then(|usage| usage.get("total_tokens")?.as_u64()),
    }
}
