//! Edits of a request for a chat completion, and the edits of the answer that follow from them.

use std::borrow::Cow;

use deltawire::Error;
use deltawire::gateway::request::{AskedBy, ChatRequest};
use deltawire::gateway::{Editor, UsageVisibility};
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

/// Replaces an alias in a request with the upstream's model, and requests the usage of a stream.
///
/// Returns the edited body, which is borrowed without edits, and the plan for the answer. Makes all
/// edits, or refuses the request.
pub(crate) fn prepare<'a>(
    body: &'a [u8],
    options: &Options,
) -> Result<(Cow<'a, [u8]>, Plan), Error> {
    let mut plan = Plan { is_chat: true, ..Plan::default() };
    if options.no_tap && options.aliases.is_empty() {
        return Ok((body.into(), plan));
    }
    let mut request = ChatRequest::read(body)?;
    plan.model = request.model().map(|name| name.chars().take(MODEL_CHARS).collect());
    let alias = options.aliases.iter().find(|(alias, _)| request.model() == Some(alias));
    if let Some((alias, model)) = alias {
        request.set_model(model);
        plan.alias = Some(alias.clone());
    }
    if !options.no_tap {
        plan.hide_usage = request.ask_for_usage() == AskedBy::Gateway;
    }
    Ok((request.edited(), plan))
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
