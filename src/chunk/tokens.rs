//! `Tokens`: the token counts of a stream, kept beyond their chunk.

use super::Usage;

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

/// The token counts of the choices of a stream, where each has a usage of its own (Moonshot).
#[derive(Clone, Debug, Default)]
pub(crate) struct ChoiceTokens {
    by_choice: Vec<(u64, Tokens)>,
}

impl ChoiceTokens {
    /// Takes over what a later usage of a choice says, of at most so many choices; returns the counts
    /// of all of them: the prompt's once, those of the completions added up.
    pub(crate) fn update(&mut self, index: u64, usage: &Usage<'_>, most: usize) -> Tokens {
        if let Some((_, tokens)) = self.by_choice.iter_mut().find(|(known, _)| *known == index) {
            tokens.update(usage);
        } else if self.by_choice.len() < most {
            self.by_choice.push((index, Tokens::from(*usage)));
        }
        let tokens = || self.by_choice.iter().map(|(_, tokens)| tokens);
        let most = |of: fn(&Tokens) -> Option<u64>| tokens().filter_map(of).max();
        let sum =
            |of: fn(&Tokens) -> Option<u64>| tokens().filter_map(of).reduce(u64::saturating_add);
        let mut all = Tokens {
            prompt: most(|tokens| tokens.prompt),
            completion: sum(|tokens| tokens.completion),
            total: most(|tokens| tokens.total),
            cached: most(|tokens| tokens.cached),
            reasoning: sum(|tokens| tokens.reasoning),
        };
        if self.has_several() && all.total.is_some() {
            all.total = Some(all.prompt.unwrap_or(0).saturating_add(all.completion.unwrap_or(0)));
        }
        all
    }

    /// Returns true if more than one choice has a usage.
    pub(crate) const fn has_several(&self) -> bool {
        self.by_choice.len() > 1
    }
}
