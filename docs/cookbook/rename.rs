use std::borrow::Cow;

use deltawire::Error;
use deltawire::gateway::request::ChatRequest;
use deltawire::gateway::{Editor, Relay};

/// Replaces an alias by the upstream's own name for the model, and returns the relay for the answer.
///
/// If `must_abort` of the relay's report is true, the caller aborts the response.
fn rename<'r>(
    request: &'r [u8],
    alias: &str,
    model: &str,
) -> Result<(Cow<'r, [u8]>, Relay), Error> {
    let mut request = ChatRequest::read(request)?; // else status 400
    let mut relay = Relay::builder();
    if request.model() == Some(alias) {
        request.set_model(model);
        let mut editor = Editor::new();
        editor.replace("model", alias);
        relay = relay.edit(editor);
    }
    // `Relay::push` edits a stream, and `Relay::write_completion` a whole completion.
    Ok((request.edited(), relay.build()))
}
