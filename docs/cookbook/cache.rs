use std::sync::Arc;
use std::time::{Duration, Instant};

use deltawire::completion::ChatCompletion;
use deltawire::gateway::{
    Editor, Guard, Relay, RelayEnd, RelayGuard, RelayReport, Replay, UsageVisibility, Words,
};

/// Returns a relay with the client's rules. A stored answer needs them as a fresh one does.
fn rules(alias: &str, words: &[&str]) -> Relay {
    let mut editor = Editor::new();
    editor.replace("model", alias);
    editor.hide_usage(UsageVisibility::Removed); // if the client hasn't requested it
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(words), "[…]");
    Relay::builder().edit(editor).guard(guard).collect().build()
}

/// Forwards a body. If the report's `must_abort` is true, the caller aborts the response.
fn fill<'a>(
    body: impl IntoIterator<Item = &'a [u8]>,
    mut relay: Relay,
    client: &mut Vec<u8>,
) -> RelayReport {
    let sent = Instant::now();
    for piece in body {
        if !relay.push(piece, sent.elapsed(), client).is_open() {
            break; // read no more from the upstream
        }
    }
    relay.finish(RelayEnd::Upstream, sent.elapsed(), client)
}

/// Returns the completion of a stream, as the upstream sent it, if a cache may store it.
fn stored(report: RelayReport) -> Option<Arc<ChatCompletion>> {
    let may_be_cached = report.handling().may_be_cached;
    report.completion.filter(|_| may_be_cached).map(|finished| Arc::new(finished.completion))
}

/// Writes a stored completion as a stream, through a relay with the rules of this client.
fn hit(stored: &ChatCompletion, mut relay: Relay, client: &mut Vec<u8>) -> RelayReport {
    let (mut cached, mut event) = (Replay::new(stored), Vec::new());
    while cached.write_next(&mut event) {
        if !relay.push(&event, Duration::ZERO, client).is_open() {
            break;
        }
        event.clear();
    }
    relay.finish(RelayEnd::Upstream, Duration::ZERO, client) // as for `fill`
}
