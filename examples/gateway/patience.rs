//! How long a peer may make the gateway wait: bounded in time, and in bytes per second.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A peer that moves fewer bytes per second uses up the gateway's patience.
const BYTES_PER_SECOND: u64 = 4096;

/// Counts the time that the gateway waits for a peer.
///
/// Waiting uses up the time that is left, and bytes restore it. So neither a peer that stops nor one
/// that moves a byte now and then is waited for much longer than `most`.
pub(crate) struct Patience {
    most: Duration,
    left: Duration,
    /// When the current wait began.
    since: Option<Instant>,
    /// Allocated at the first wait.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(crate) const fn new(most: Duration) -> Self {
        Self { most, left: most, since: None, sleep: None }
    }

    /// Waits for the peer; is ready when no time is left.
    pub(crate) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let deadline = *self.since.get_or_insert(now) + self.left;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }

    /// Ends the wait: the peer has moved bytes.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND);
        self.left = self.left.saturating_add(earned).min(self.most);
    }
}
