//! A stream that isn't recorded, with the time of each chunk.

use std::time::SystemTime;

use super::body::Step;
use super::wishes::{Stop, Wishes};

/// Returns the steps of sending `count` events of text, each made when it is due.
pub(crate) fn steps(
    wishes: &Wishes,
    count: usize,
    with_usage: bool,
) -> impl Iterator<Item = Step> + Send + Sync + 'static {
    let (id, gap, wait) = (wishes.id.clone(), wishes.gap, wishes.wait);
    let null = if with_usage { ",\"usage\":null" } else { "" };
    let first = r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#;
    let last = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#;
    let first = chunk(&id, first, null);
    let mut end = chunk(&id, last, null);
    if with_usage {
        let total = count.saturating_add(9);
        let usage = format!(
            ",\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{count},\"total_tokens\":{total}}}"
        );
        end += &chunk(&id, "", &usage);
    }
    end += "data: [DONE]\n\n";
    let middle = (0..count).flat_map(move |number| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = format!("{id}:{number}:{} ", now.as_nanos());
        let choice = format!(
            "{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":null,\"finish_reason\":null}}"
        );
        [Step::Send(chunk(&id, &choice, null).into()), Step::Wait(gap)]
    });
    let steps = [Step::Wait(wait), Step::Send(first.into())].into_iter().chain(middle);
    stopped(steps.chain([Step::Send(end.into())]), wishes.stop)
}

/// Returns an event with these choices, and further members.
fn chunk(id: &str, choices: &str, members: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"generated\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{choices}]{members}}}\n\n"
    )
}

/// Stops before the event that would send more bytes than may be sent.
fn stopped(
    steps: impl Iterator<Item = Step> + Send + Sync + 'static,
    stop: Option<Stop>,
) -> impl Iterator<Item = Step> + Send + Sync + 'static {
    let most = stop.map_or(usize::MAX, Stop::at);
    let mut sent = 0_usize;
    let fits = move |step: &Step| {
        sent = sent.saturating_add(if let Step::Send(piece) = step { piece.len() } else { 0 });
        sent <= most
    };
    let ends = match stop {
        Some(Stop::Cut(_)) => vec![Step::FLUSH, Step::Abort],
        Some(Stop::Stall(_)) => vec![Step::Stall],
        Some(Stop::End(_)) | None => Vec::new(),
    };
    steps.take_while(fits).chain(ends)
}
