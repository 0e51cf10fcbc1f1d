use std::sync::Arc;
use std::time::Duration;

use deltawire::completion::ChatCompletion;
use deltawire::gateway::Replay;

/// Appends the events that are due at a time since the first one. Returns false after the last.
fn write_due(
    replay: &mut Replay<Arc<ChatCompletion>>,
    elapsed: Duration,
    bytes_per_second: u32,
    out: &mut Vec<u8>,
) -> bool {
    let due = elapsed.as_millis() * u128::from(bytes_per_second) / 1000;
    while replay.text_bytes() as u128 <= due {
        if !replay.write_next(out) {
            return false;
        }
    }
    true
}
