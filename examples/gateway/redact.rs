//! Patterns whose matches don't reach clients.

use std::sync::Arc;

use deltawire::gateway::{Guard, Pattern, RelayGuard};
use regex::Regex;

use super::BoxError;
use super::config::RedactConfig;

pub(crate) struct Redaction {
    /// All streams share the pattern, with the buffers of its searches.
    pattern: Arc<Pattern>,
    mask: String,
    passes_unwatched: bool,
}

impl Redaction {
    pub(crate) fn new(config: &RedactConfig) -> Result<Self, BoxError> {
        if config.patterns.is_empty() {
            return Err("expected patterns to redact".into());
        }
        for pattern in &config.patterns {
            Regex::new(pattern)?;
        }
        let patterns: Vec<_> = config.patterns.iter().map(|one| format!("(?:{one})")).collect();
        let pattern = Pattern::new(Regex::new(&patterns.join("|"))?, config.most_bytes);
        Ok(Self {
            pattern: Arc::new(pattern),
            mask: config.mask.clone(),
            passes_unwatched: config.pass_unwatched,
        })
    }

    /// Returns the guard for one answer.
    pub(crate) fn guard(&self) -> RelayGuard {
        let guard = RelayGuard::new(Guard::new()).redact(Arc::clone(&self.pattern), &self.mask);
        if self.passes_unwatched { guard.pass_unwatched() } else { guard }
    }
}
