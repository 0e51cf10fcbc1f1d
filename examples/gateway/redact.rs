//! Patterns whose matches don't reach clients.

use std::ops::Range;
use std::sync::Arc;

use deltawire::gateway::{Finder, Guard, Pattern, RelayGuard};
use regex::Regex;

use super::BoxError;
use super::config::RedactConfig;

/// A pattern that all streams share, with the buffers of its searches.
#[derive(Clone)]
struct Shared(Arc<Pattern>);

impl Finder for Shared {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        self.0.find(text, from)
    }

    fn open_len(&self, text: &str) -> usize {
        self.0.open_len(text)
    }
}

pub(crate) struct Redaction {
    pattern: Shared,
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
            pattern: Shared(Arc::new(pattern)),
            mask: config.mask.clone(),
            passes_unwatched: config.pass_unwatched,
        })
    }

    /// Returns the guard for one answer.
    pub(crate) fn guard(&self) -> RelayGuard {
        let guard = RelayGuard::new(Guard::new()).redact(self.pattern.clone(), &self.mask);
        if self.passes_unwatched { guard.pass_unwatched() } else { guard }
    }
}
