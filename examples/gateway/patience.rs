//! A limit on the wait for a peer, in time and in bytes per second.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes per second below which a peer uses up the gateway's patience.
const BYTES_PER_SECOND: u64 = 4096;

/// A count of the time that the gateway may still wait for a peer.
///
/// Waiting uses up the remaining time, and bytes restore it. So the gateway waits hardly longer
/// than `most`, for a peer that stops and for one that moves single bytes.
pub(crate) struct Patience {
    most: Duration,
    left: Duration,
    /// Start of the current wait.
    since: Option<Instant>,
    /// Timer, allocated at the first wait.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(crate) const fn new(most: Duration) -> Self {
        Self { most, left: most, since: None, sleep: None }
    }

    /// Waits for the peer, and is ready when no time remains.
    pub(crate) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let deadline = *self.since.get_or_insert(now) + self.left;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }

    /// Ends the wait, and restores time for the bytes that the peer has moved.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND);
        self.left = self.left.saturating_add(earned).min(self.most);
    }
}
