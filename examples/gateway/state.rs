//! The state that all requests share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BoxError;
use super::cache::Answers;
use super::config::Config;
use super::metrics::Metrics;
use super::redact::Redaction;
use super::refusal::Refusal;
use super::upstream::Upstream;
use super::whole::Memory;

/// The gateway: its configuration, and everything that is bounded for all requests together.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) metrics: Metrics,
    pub(crate) cache: Answers,
    pub(crate) redaction: Option<Redaction>,
    /// Memory for the bodies that are held.
    pub(crate) memory: Memory,
    streams: Arc<Semaphore>,
}

impl Gateway {
    pub(crate) fn new(config: Config) -> Result<Self, BoxError> {
        let limits = &config.limits;
        Ok(Self {
            upstreams: Upstream::all(&config)?,
            metrics: Metrics::new(),
            cache: Answers::new(config.cache.max_bytes)?,
            redaction: config.redact.as_ref().map(Redaction::new).transpose()?,
            memory: Memory::new(limits.max_memory_bytes),
            streams: Arc::new(Semaphore::new(limits.max_streams.min(Semaphore::MAX_PERMITS))),
            config,
        })
    }

    /// Returns true if no further request is accepted.
    pub(crate) fn is_full(&self) -> bool {
        self.streams.available_permits() == 0
    }

    /// Acquires a permit for one stream.
    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Refusal::too_many())
    }
}
