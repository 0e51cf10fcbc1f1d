use std::time::Instant;

use deltawire::gateway::{Guard, Relay, RelayEnd, RelayGuard, RelayReport, Words};

/// Forwards a body with `[…]` in place of each of these words, and stops it at a forbidden one.
///
/// With the feature `regex`, a `Pattern` in place of `Words` finds a regular expression. If the report's
/// `must_abort` is true, the caller aborts the response.
fn redact<'a>(
    body: impl IntoIterator<Item = &'a [u8]>,
    words: &[&str],
    forbidden: &[&str],
    client: &mut Vec<u8>,
) -> RelayReport {
    // Log probabilities and the like repeat the text, and stop the stream unless they may pass.
    let guard = RelayGuard::new(Guard::new())
        .redact(Words::new(words), "[…]")
        .stop_at(Words::new(forbidden));
    let (mut relay, sent) = (Relay::builder().guard(guard).build(), Instant::now());
    for piece in body {
        if !relay.push(piece, sent.elapsed(), client).is_open() {
            break; // read no more from the upstream
        }
    }
    relay.finish(RelayEnd::Upstream, sent.elapsed(), client)
}
