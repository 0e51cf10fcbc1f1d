use std::sync::Arc;
use std::time::Instant;

use deltawire::completion::ChatCompletion;
use deltawire::gateway::{Relay, RelayEnd, Replay};

/// Forwards a body. Returns its completion if a cache may store it.
fn fill<'a>(
    body: impl IntoIterator<Item = &'a [u8]>,
    client: &mut Vec<u8>,
) -> Option<Arc<ChatCompletion>> {
    let (mut relay, sent) = (Relay::builder().collect().build(), Instant::now());
    for piece in body {
        let _open = relay.push(piece, sent.elapsed(), client);
    }
    let report = relay.finish(RelayEnd::Upstream, sent.elapsed(), client);
    let may_be_cached = report.handling().may_be_cached;
    report.completion.filter(|_| may_be_cached).map(|finished| Arc::new(finished.completion))
}

/// Writes a stored completion as a stream.
///
/// `Replay::write_next` writes one event, for a caller that paces them.
fn hit(stored: &Arc<ChatCompletion>, client: &mut Vec<u8>) {
    Replay::new(Arc::clone(stored)).write_all(client);
}
