//! The merge rules as a plain fold over `serde_json::Value`.
//!
//! It makes a `chat.completion` of `chat.completion.chunk` objects. It is slow, allocates, and is
//! written against the schema's page alone. It shares no code with the crate.

use serde_json::{Map, Value, json};

/// One choice, folded.
#[derive(Debug, Default, PartialEq)]
pub struct Choice {
    pub index: u64,
    pub role: Option<String>,
    pub content: Option<String>,
    pub refusal: Option<String>,
    /// Under `reasoning_content` or `reasoning`, or in Mistral's thinking parts.
    pub reasoning: Option<String>,
    /// id, type, name, arguments
    pub calls: Vec<(String, String, String, String)>,
    /// name, arguments
    pub function_call: Option<(String, String)>,
    pub finish_reason: Option<String>,
    /// How many tokens have log probabilities.
    pub logprobs: usize,
    calls_at: Vec<Value>,
}

/// A completion, folded.
#[derive(Debug, Default, PartialEq)]
pub struct Folded {
    pub id: Option<String>,
    pub created: Option<u64>,
    pub model: Option<String>,
    pub choices: Vec<Choice>,
    pub usage: Value,
    pub service_tier: Option<String>,
    pub system_fingerprint: Option<String>,
}

/// Returns the `data` values of a stream whose framing is plain, as JSON; stops at `[DONE]`.
pub fn payloads(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("\r\n", "\n");
    text.split("\n\n")
        .flat_map(|block| block.lines())
        .filter_map(|line| line.strip_prefix("data:"))
        .take_while(|data| data.trim() != "[DONE]")
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

pub fn fold(chunks: &[Value]) -> Folded {
    let mut folded = Folded::default();
    let mut usage = Value::Null;
    let mut groq_usage = Value::Null;
    for chunk in chunks {
        folded.id = folded.id.or(nonempty(&chunk["id"]));
        folded.model = folded.model.or(nonempty(&chunk["model"]));
        for (kept, name) in [
            (&mut folded.service_tier, "service_tier"),
            (&mut folded.system_fingerprint, "system_fingerprint"),
        ] {
            *kept = nonempty(&chunk[name]).or(kept.take());
        }
        // The first that isn't 0; 0 where no other came.
        let created = folded.created.filter(|time| *time != 0).or(chunk["created"].as_u64());
        folded.created = created.or(folded.created);
        deep_last(&mut usage, &chunk["usage"]);
        deep_last(&mut groq_usage, &chunk["x_groq"]["usage"]);
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            fold_choice(&mut folded, choice);
        }
    }
    folded.choices.sort_by_key(|choice| choice.index);
    for choice in &mut folded.choices {
        // Calls without an index keep the order of the stream.
        if choice.calls_at.iter().all(Value::is_u64) {
            let mut calls: Vec<_> = choice.calls_at.iter().zip(choice.calls.drain(..)).collect();
            calls.sort_by_key(|(at, _)| at.as_u64());
            choice.calls = calls.into_iter().map(|(_, call)| call).collect();
        }
    }
    folded.usage = if usage.is_null() { groq_usage } else { usage };
    folded
}

fn fold_choice(folded: &mut Folded, choice: &Value) {
    let index = choice["index"].as_u64().unwrap_or(0);
    if !folded.choices.iter().any(|known| known.index == index) {
        folded.choices.push(Choice { index, ..Choice::default() });
    }
    let kept = folded.choices.iter_mut().find(|known| known.index == index).unwrap();
    let delta = &choice["delta"];
    let reason = nonempty(&choice["finish_reason"]).filter(|reason| reason != "null");
    kept.finish_reason = reason.or(kept.finish_reason.take());
    kept.logprobs += choice["logprobs"]["content"].as_array().map_or(0, Vec::len);
    kept.role = kept.role.take().or(nonempty(&delta["role"]));
    concat(&mut kept.content, &delta["content"]);
    for part in delta["content"].as_array().into_iter().flatten() {
        concat(&mut kept.content, &part["text"]);
        for thought in part["thinking"].as_array().into_iter().flatten() {
            concat(&mut kept.reasoning, &thought["text"]);
        }
    }
    concat(&mut kept.refusal, &delta["refusal"]);
    concat(&mut kept.reasoning, &delta["reasoning_content"]);
    if delta["reasoning_content"] != delta["reasoning"] {
        concat(&mut kept.reasoning, &delta["reasoning"]);
    }
    let call = delta["function_call"].as_object();
    if let Some(call) = call.filter(|call| !call.is_empty()) {
        let (name, arguments) = kept.function_call.get_or_insert_default();
        let part = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
        fold_name(name, part("name"), arguments);
        arguments.push_str(part("arguments"));
    }
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        fold_call(kept, call);
    }
}

fn fold_call(choice: &mut Choice, call: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (id, name) = (text(&call["id"]), text(&call["function"]["name"]));
    let key = call["index"].clone();
    let known = choice.calls_at.iter().rposition(|at| *at == key && !key.is_null());
    let continues = known.filter(|at| {
        let (kept, ..) = &choice.calls[*at];
        id.is_empty() || kept.is_empty() || *kept == id
    });
    let at = continues.unwrap_or_else(|| {
        choice.calls_at.push(key);
        choice.calls.push(Default::default());
        choice.calls.len() - 1
    });
    let kept = &mut choice.calls[at];
    if kept.0.is_empty() {
        kept.0 = id;
    }
    if kept.1.is_empty() {
        kept.1 = text(&call["type"]);
    }
    fold_name(&mut kept.2, &name, &kept.3);
    kept.3.push_str(&text(&call["function"]["arguments"]));
}

/// Stores the first name; one that differs comes before any argument, and is its other part.
fn fold_name(kept: &mut String, name: &str, arguments: &str) {
    if kept.is_empty() || kept != name && arguments.is_empty() {
        kept.push_str(name);
    }
}

fn nonempty(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn concat(kept: &mut Option<String>, value: &Value) {
    if let Some(text) = value.as_str() {
        kept.get_or_insert_default().push_str(text);
    }
}

fn deep_last(kept: &mut Value, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            if !kept.is_object() {
                *kept = Value::Object(Map::new());
            }
            for (name, value) in members {
                deep_last(&mut kept[name], value);
            }
        }
        leaf => *kept = leaf.clone(),
    }
}

/// Reads the same facts from a completion as it is serialised.
pub fn facts(completion: &Value) -> Folded {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let choices = completion["choices"].as_array().unwrap().iter().map(|choice| {
        let message = &choice["message"];
        let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
            let part = |value: &Value| text(value).unwrap_or_default();
            let function = &call["function"];
            (
                part(&call["id"]),
                part(&call["type"]),
                part(&function["name"]),
                part(&function["arguments"]),
            )
        });
        Choice {
            index: choice["index"].as_u64().unwrap(),
            role: text(&message["role"]),
            content: text(&message["content"]),
            refusal: text(&message["refusal"]),
            reasoning: text(&message["reasoning_content"]).or(text(&message["reasoning"])),
            calls: calls.collect(),
            function_call: message["function_call"].as_object().map(|call| {
                let part = |name| call.get(name).and_then(Value::as_str).unwrap_or_default();
                (part("name").to_owned(), part("arguments").to_owned())
            }),
            finish_reason: text(&choice["finish_reason"]),
            logprobs: choice["logprobs"]["content"].as_array().map_or(0, Vec::len),
            calls_at: Vec::new(),
        }
    });
    Folded {
        id: text(&completion["id"]),
        created: completion["created"].as_u64(),
        model: text(&completion["model"]),
        choices: choices.collect(),
        usage: completion["usage"].clone(),
        service_tier: text(&completion["service_tier"]),
        system_fingerprint: text(&completion["system_fingerprint"]),
    }
}

impl Folded {
    /// Adds the members of an answer without streaming that the chunks lack.
    pub fn with_defaults(mut self) -> Self {
        for choice in &mut self.choices {
            choice.role.get_or_insert_with(|| "assistant".to_owned());
            choice.calls_at.clear();
            for call in &mut choice.calls {
                if call.1.is_empty() {
                    "function".clone_into(&mut call.1);
                }
            }
        }
        self.usage = without_nulls(self.usage);
        self
    }
}

/// Drops members that are null: absent and null are alike once merged.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Null => json!(null),
        leaf => leaf,
    }
}
