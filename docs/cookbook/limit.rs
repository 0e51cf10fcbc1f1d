use std::time::{Duration, Instant};

use deltawire::Limits;
use deltawire::gateway::{Relay, RelayEnd, RelayReport};

/// Forwards a body within bounds: memory, deltas of output, and time.
///
/// If the report's `must_abort` is true, the caller aborts the response.
fn limit<'a>(
    body: impl IntoIterator<Item = &'a [u8]>,
    max_deltas: u64,
    max_time: Duration,
    client: &mut Vec<u8>,
) -> RelayReport {
    let limits = Limits::new().with_max_event_bytes(1 << 20).with_max_completion_bytes(4 << 20);
    let mut relay = Relay::builder().limits(limits).collect().build();
    let (sent, mut end) = (Instant::now(), RelayEnd::Upstream);
    for piece in body {
        let _open = relay.push(piece, sent.elapsed(), client);
        if relay.observer().deltas() > max_deltas || sent.elapsed() > max_time {
            end = RelayEnd::Stopped; // close the connection of the upstream
            break;
        }
    }
    // A stream that is cut or stopped ends with an error event, and no `[DONE]`. Inside of an event no
    // error event can follow, and `must_abort` is true.
    relay.finish(end, sent.elapsed(), client)
}
