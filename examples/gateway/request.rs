//! Edits of a request for a chat completion, and the edits of the answer that follow from them.

use std::fmt;

use deltawire::Error;
use deltawire::gateway::{Editor, UsageVisibility};
use deltawire::json::{Value, ValueKind};
use serde_json::json;

use super::json::{self, Edits, Object};
use super::options::Options;

/// Number of characters of a model's name that are logged.
const MODEL_CHARS: usize = 256;

/// The changes that the answer needs.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// True if the request is for a chat completion.
    pub(crate) is_chat: bool,
    /// The model, as the client calls it.
    pub(crate) model: Option<String>,
    /// The same, if it is an alias: the answer has to say it.
    pub(crate) alias: Option<String>,
    /// The client hasn't asked for the usage.
    pub(crate) hide_usage: bool,
}

impl Plan {
    /// Returns true if an answer may contain a value that must not reach the client.
    ///
    /// Only an answer with a success status has a usage.
    pub(crate) const fn hides(&self, is_success: bool) -> bool {
        self.alias.is_some() || (self.hide_usage && is_success)
    }

    /// Returns the editor for the events of the answer, if they need edits.
    pub(crate) fn editor(&self) -> Option<Editor> {
        if !self.hides(true) {
            return None;
        }
        let mut editor = Editor::new();
        if let Some(alias) = &self.alias {
            editor.replace("model", alias);
        }
        if self.hide_usage {
            editor.hide_usage(UsageVisibility::Removed);
        }
        Some(editor)
    }
}

/// Reason to refuse a request that an upstream may read differently than the gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unsafe {
    Unreadable(Error),
    Repeated(&'static str),
    StreamOptions,
}

impl From<Error> for Unsafe {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the request can't be read: {error}"),
            Self::Repeated(name) => write!(f, "the request has {name} more than once"),
            Self::StreamOptions => f.write_str("stream_options has to be an object"),
        }
    }
}

/// Replaces an alias in a request with the upstream's model, and requests the usage of a stream.
///
/// Returns the edited body, or `None` if there are no edits, and the plan for the answer. Makes all
/// edits, or refuses the request.
pub(crate) fn prepare(body: &[u8], options: &Options) -> Result<(Option<Vec<u8>>, Plan), Unsafe> {
    let mut plan = Plan { is_chat: true, ..Plan::default() };
    if options.no_tap && options.aliases.is_empty() {
        return Ok((None, plan));
    }
    let object = Object::read(body)?;
    let mut edits = Edits::default();
    let model = only(object.value(), "model")?;
    let name = model.and_then(|model| model.as_str());
    plan.model = name.map(|name| name.chars().take(MODEL_CHARS).collect());
    let alias = options.aliases.iter().find(|(alias, _)| name == Some(alias));
    if let Some((value, (alias, model))) = model.zip(alias) {
        edits.replace(value, json!(model).to_string());
        plan.alias = Some(alias.clone());
    }
    let is_stream = only(object.value(), "stream")?.and_then(|stream| stream.as_bool());
    if is_stream == Some(true) && !options.no_tap {
        plan.hide_usage = ask_for_usage(object.value(), &mut edits)?;
    }
    drop(object);
    Ok((edits.apply(body), plan))
}

/// Adds an edit that requests the usage, or returns false if the client requests it.
fn ask_for_usage(request: Value<'_>, edits: &mut Edits) -> Result<bool, Unsafe> {
    let Some(asked) = only(request, "stream_options")? else {
        edits.add(request, "\"stream_options\":{\"include_usage\":true}");
        return Ok(true);
    };
    match asked.kind() {
        ValueKind::Object => {}
        ValueKind::Null => {
            edits.replace(asked, "{\"include_usage\":true}".into());
            return Ok(true);
        }
        _ => return Err(Unsafe::StreamOptions),
    }
    match only(asked, "include_usage")? {
        Some(include) if include.as_bool() == Some(true) => return Ok(false),
        Some(include) => edits.replace(include, "true".into()),
        None => edits.add(asked, "\"include_usage\":true"),
    }
    Ok(true)
}

/// Returns the value of the member of this name, or an error if the name is repeated.
fn only<'a>(object: Value<'a>, name: &'static str) -> Result<Option<Value<'a>>, Unsafe> {
    json::only(object, name).map_err(|json::Repeated| Unsafe::Repeated(name))
}

/// Replaces the model in an answer that isn't a stream with the alias, and hides the usage.
///
/// Returns `None` if there are no edits.
pub(crate) fn edit_answer(answer: &[u8], plan: &Plan) -> Result<Option<Vec<u8>>, Error> {
    let object = Object::read(answer)?;
    let mut edits = Edits::default();
    if let Some(alias) = &plan.alias {
        for model in json::members(object.value(), "model") {
            edits.replace(model, json!(alias).to_string());
        }
    }
    if plan.hide_usage {
        for usage in json::members(object.value(), "usage") {
            edits.replace(usage, "null".into());
        }
    }
    drop(object);
    Ok(edits.apply(answer))
}
