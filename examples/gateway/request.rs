//! What the gateway changes in a request, and what follows from that for the answer.

use bytes::Bytes;
use deltawire::gateway::{Editor, HiddenUsage};
use serde_json::{Map, Value, json};

use super::options::Options;

/// What has to be done with the answer.
#[derive(Default)]
pub(crate) struct Plan {
    /// The model, as the client calls it.
    pub(crate) model: Option<String>,
    /// The same, if it is an alias: the answer has to say it.
    pub(crate) alias: Option<String>,
    /// The client hasn't asked for the usage.
    hide_usage: bool,
}

impl Plan {
    /// What is changed in the events of the answer, if anything is.
    pub(crate) fn editor(&self) -> Option<Editor> {
        if self.alias.is_none() && !self.hide_usage {
            return None;
        }
        let mut editor = Editor::new();
        if let Some(alias) = &self.alias {
            editor.replace("model", alias);
        }
        if self.hide_usage {
            editor.hide_usage(HiddenUsage::Removed);
        }
        Some(editor)
    }
}

/// Puts the upstream's name for the model into the body of a request, and asks for the usage of a
/// stream. A body that needs no change, or can't be read, stays as it is: the upstream will say so.
pub(crate) fn prepare(body: Bytes, options: &Options) -> (Bytes, Plan) {
    let mut plan = Plan::default();
    let Ok(mut request) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        return (body, plan);
    };
    let mut is_changed = false;
    plan.model = request.get("model").and_then(Value::as_str).map(str::to_owned);
    let names = plan.model.as_deref();
    if let Some((name, model)) = options.aliases.iter().find(|(name, _)| names == Some(name)) {
        request.insert("model".into(), json!(model));
        plan.alias = Some(name.clone());
        is_changed = true;
    }
    let is_stream = request.get("stream").and_then(Value::as_bool).unwrap_or(false);
    if is_stream && !options.no_tap {
        let stream_options = request.entry("stream_options").or_insert(Value::Null);
        if stream_options.is_null() {
            *stream_options = json!({});
        }
        // What is no object is the client's mistake, and the upstream's to complain about.
        if let Value::Object(stream_options) = stream_options
            && stream_options.get("include_usage") != Some(&Value::Bool(true))
        {
            stream_options.insert("include_usage".into(), Value::Bool(true));
            plan.hide_usage = true;
            is_changed = true;
        }
    }
    let changed = is_changed.then(|| serde_json::to_vec(&request).ok()).flatten();
    (changed.map_or(body, Bytes::from), plan)
}

/// Puts the alias into an answer that is no stream.
pub(crate) fn rename(body: Bytes, alias: &str) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<Map<String, Value>>(&body) else { return body };
    match answer.get_mut("model") {
        Some(model) => *model = json!(alias),
        None => return body,
    }
    serde_json::to_vec(&answer).map_or(body, Bytes::from)
}
