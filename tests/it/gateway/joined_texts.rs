//! How clients join the texts of a stream, each written for itself: the oracles of guards.

use std::collections::BTreeMap;

use serde_json::Value;

/// The arguments of tool calls as two clients join them, in the order of the calls.
#[derive(Default)]
pub(super) struct ClientCalls {
    /// openai-node and openai-python: by index.
    openai: BTreeMap<(u64, u64), String>,
    /// LangChain: the first call with the same index, and the same id unless one has none.
    langchain: Vec<(u64, Option<u64>, Option<String>, String)>,
}

impl ClientCalls {
    pub(super) fn push(&mut self, choice: u64, delta: &Value) {
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64();
            let id = call["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
            let text = call["function"]["arguments"].as_str().unwrap_or_default();
            if let Some(index) = index {
                self.openai.entry((choice, index)).or_default().push_str(text);
            }
            let continued = self.langchain.iter_mut().find(|(of, known, known_id, _)| {
                let may_lack_id = index.is_some() && (known_id.is_none() || id.is_none());
                let is_same_id = id.is_some() && *known_id == id;
                *of == choice && *known == index && (may_lack_id || is_same_id)
            });
            match continued {
                Some((.., known_id, known)) => {
                    *known_id = known_id.take().or(id);
                    known.push_str(text);
                }
                None => self.langchain.push((choice, index, id, text.to_owned())),
            }
        }
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.openai.values().chain(self.langchain.iter().map(|call| &call.3))
    }
}

/// The messages as openai-python before 3.57 joins them: choices and elements of lists by position.
#[derive(Default)]
pub(super) struct PositionClient {
    /// The message of each choice, if a chunk has come.
    messages: Option<Vec<Value>>,
    has_failed: bool,
}

/// The client raises an exception.
struct Exception;

impl PositionClient {
    pub(super) fn push(&mut self, chunk: &Value) {
        let choices = chunk["choices"].as_array().unwrap();
        if !self.has_failed {
            self.has_failed = self.push_choices(choices).is_err();
        }
    }

    fn push_choices(&mut self, choices: &[Value]) -> Result<(), Exception> {
        let position = |choice: &Value| usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        let Some(messages) = &mut self.messages else {
            let mut messages = vec![Value::Null; choices.len()];
            for choice in choices {
                *messages.get_mut(position(choice)).ok_or(Exception)? = choice["delta"].clone();
            }
            self.messages = Some(messages);
            return Ok(());
        };
        for choice in choices {
            match messages.get_mut(position(choice)) {
                Some(message) => merge(message, &choice["delta"])?,
                None => messages.push(choice["delta"].clone()),
            }
        }
        Ok(())
    }

    /// Returns all texts of the messages, in any order.
    pub(super) fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for message in self.messages.iter().flatten() {
            strings(message, &mut texts);
        }
        texts
    }
}

/// Adds the members of a delta to an object.
fn merge(object: &mut Value, delta: &Value) -> Result<(), Exception> {
    let members = object.as_object_mut().ok_or(Exception)?;
    for (name, value) in delta.as_object().into_iter().flatten() {
        let known = members.entry(name).or_insert(Value::Null);
        if known.is_null() || name == "index" || name == "type" {
            *known = value.clone();
            continue;
        }
        match (known, value) {
            (Value::String(known), Value::String(more)) => known.push_str(more),
            (known @ Value::Object(_), Value::Object(_)) => merge(known, value)?,
            (Value::Array(known), Value::Array(more)) => merge_lists(known, more)?,
            _ => {}
        }
    }
    Ok(())
}

fn merge_lists(known: &mut Vec<Value>, more: &[Value]) -> Result<(), Exception> {
    if known.iter().all(|value| value.is_string() || value.is_number()) {
        known.extend_from_slice(more);
        return Ok(());
    }
    for value in more {
        let index = value.as_object().and_then(|object| object.get("index")).ok_or(Exception)?;
        let index = usize::try_from(index.as_u64().ok_or(Exception)?).unwrap();
        match known.get_mut(index) {
            Some(known) => merge(known, value)?,
            None => known.push(value.clone()),
        }
    }
    Ok(())
}

/// Returns all strings of a value but ids and types.
fn strings<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, out)),
        Value::Object(members) => {
            for (name, value) in members {
                if name != "id" && name != "type" {
                    strings(value, out);
                }
            }
        }
        _ => {}
    }
}

/// Replaces each text of a delta by one that occurs only once.
pub(super) fn with_own_texts(delta: &mut Value, number: &mut usize) {
    let replace = |(name, value): (&String, &mut Value), number: &mut usize| match value {
        Value::String(text) if name != "id" && name != "type" && !text.is_empty() => {
            *number += 1;
            *text = format!("<{number}>");
        }
        _ => with_own_texts(value, number),
    };
    match delta {
        Value::Object(members) => members.iter_mut().for_each(|member| replace(member, number)),
        Value::Array(values) => {
            let no_name = String::new();
            for value in values {
                replace((&no_name, value), number);
            }
        }
        _ => {}
    }
}
