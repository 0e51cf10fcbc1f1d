//! `Tokens`: the token counts of a stream, kept beyond their chunk.

use crate::chunk::Usage;

/// The token counts of a stream, as far as the server has said them; see [`Usage`] for where each
/// is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// `prompt_tokens`
    pub prompt: Option<u64>,
    /// `completion_tokens`
    pub completion: Option<u64>,
    /// `total_tokens`
    pub total: Option<u64>,
    /// Tokens of the prompt that came from a cache.
    pub cached: Option<u64>,
    /// Tokens of the completion that are reasoning.
    pub reasoning: Option<u64>,
}

impl Tokens {
    /// Returns true if no count is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over what a later usage says: totals so far, of which the last one of each counts.
    pub fn update(&mut self, usage: &Usage<'_>) {
        let later = Self::from(*usage);
        for (kept, later) in [
            (&mut self.prompt, later.prompt),
            (&mut self.completion, later.completion),
            (&mut self.total, later.total),
            (&mut self.cached, later.cached),
            (&mut self.reasoning, later.reasoning),
        ] {
            *kept = later.or(*kept);
        }
    }
}

impl From<Usage<'_>> for Tokens {
    fn from(usage: Usage<'_>) -> Self {
        Self {
            prompt: usage.prompt_tokens(),
            completion: usage.completion_tokens(),
            total: usage.total_tokens(),
            cached: usage.cached_tokens(),
            reasoning: usage.reasoning_tokens(),
        }
    }
}
