use std::borrow::Cow;

use deltawire::Error;
use deltawire::gateway::request::{AskedBy, ChatRequest};
use deltawire::gateway::{Editor, Relay, RelayReport, UsageVisibility};

/// Requests the usage, and returns the relay for the answer.
///
/// A client that hasn't requested the usage doesn't receive it. If `must_abort` of the relay's report is
/// true, the caller aborts the response.
fn prepare(request: &[u8]) -> Result<(Cow<'_, [u8]>, Relay), Error> {
    let mut request = ChatRequest::read(request)?; // else status 400
    let mut relay = Relay::builder().measure();
    if request.ask_for_usage() == AskedBy::Gateway {
        let mut editor = Editor::new();
        editor.hide_usage(UsageVisibility::Removed);
        relay = relay.edit(editor);
    }
    Ok((request.edited(), relay.build()))
}

/// Returns the billed tokens: prompt and completion.
///
/// Without a usage, the number of deltas is an estimate. A stream that isn't whole isn't billed then.
fn billed(report: &RelayReport) -> Option<(u64, u64)> {
    let measured = report.latency.as_ref()?;
    let tokens = (measured.prompt_tokens.unwrap_or(0), measured.output_tokens);
    report.handling().may_be_billed.then_some(tokens)
}
