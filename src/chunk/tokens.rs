//! `TokenCounts`: the token counts of a stream, stored beyond their chunk.

use super::usage::{CACHED, COMPLETION, CountPaths, PROMPT, REASONING, TOTAL, Usage};

/// The token counts of a stream, as far as the server has sent them.
///
/// See [`Usage`] for the members from which each count is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenCounts {
    /// Tokens of the prompt: `prompt_tokens`.
    pub prompt: Option<u64>,
    /// Tokens of the completion: `completion_tokens`.
    pub completion: Option<u64>,
    /// Tokens of prompt and completion: `total_tokens`.
    pub total: Option<u64>,
    /// Tokens of the prompt that were read from a cache.
    pub cached: Option<u64>,
    /// Tokens of the completion that are reasoning.
    pub reasoning: Option<u64>,
}

impl TokenCounts {
    /// Returns true if no count is present.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Replaces each count that a later usage contains.
    ///
    /// Counts are totals so far: of each, the last one counts.
    pub fn update(&mut self, usage: &Usage<'_>) {
        self.replace(Self::from(*usage));
    }

    /// Replaces each count that later ones contain.
    pub(crate) fn replace(&mut self, later: Self) {
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

    /// Returns each count with the paths from which it is read.
    pub(crate) fn with_paths(self) -> impl Iterator<Item = (u64, CountPaths)> {
        let Self { prompt, completion, total, cached, reasoning } = self;
        [
            (prompt, PROMPT),
            (completion, COMPLETION),
            (total, TOTAL),
            (cached, CACHED),
            (reasoning, REASONING),
        ]
        .into_iter()
        .filter_map(|(count, paths)| Some((count?, paths)))
    }

    /// Returns the part of the total that is the prompt, if it is known.
    fn prompt_of_total(&self) -> Option<u64> {
        self.prompt.or_else(|| self.total?.checked_sub(self.completion?))
    }
}

impl From<Usage<'_>> for TokenCounts {
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

/// The token counts of a stream's choices, where each has a usage of its own (Moonshot).
#[derive(Clone, Debug, Default)]
pub(crate) struct ChoiceTokens {
    by_choice: Vec<(u64, TokenCounts)>,
}

impl ChoiceTokens {
    /// Replaces the counts of a choice by those of a later usage. Stores at most `most` choices.
    ///
    /// The search for a choice is linear.
    pub(crate) fn update(&mut self, index: u64, usage: &Usage<'_>, most: usize) {
        let has_space = self.by_choice.len() < most;
        match self.by_choice.iter_mut().find(|(choice, _)| *choice == index) {
            Some((_, tokens)) => tokens.update(usage),
            None if has_space => self.add(index, usage),
            None => {}
        }
    }

    /// Adds the counts of a choice that has none yet.
    pub(crate) fn add(&mut self, index: u64, usage: &Usage<'_>) {
        self.by_choice.push((index, TokenCounts::from(*usage)));
    }

    /// Returns the counts of all choices, which share one prompt.
    ///
    /// Prompt and cached tokens are the largest count, completion and reasoning tokens the sum. The
    /// total is the sum of the totals, in which the prompt counts once. Looks at each stored choice.
    pub(crate) fn all(&self) -> TokenCounts {
        let tokens = || self.by_choice.iter().map(|(_, tokens)| tokens);
        let most = |of: fn(&TokenCounts) -> Option<u64>| tokens().filter_map(of).max();
        let sum = |of: fn(&TokenCounts) -> Option<u64>| {
            tokens().filter_map(of).reduce(u64::saturating_add)
        };
        let mut all = TokenCounts {
            prompt: most(|tokens| tokens.prompt),
            completion: sum(|tokens| tokens.completion),
            total: most(|tokens| tokens.total),
            cached: most(|tokens| tokens.cached),
            reasoning: sum(|tokens| tokens.reasoning),
        };
        if self.has_several() && all.total.is_some() {
            all.total = Some(self.total());
        }
        all
    }

    /// Returns the prompt and, for each choice, the rest of its total or its completion.
    ///
    /// Of both, the larger one counts: some totals lack a part, and some contain further tokens.
    fn total(&self) -> u64 {
        let tokens = || self.by_choice.iter().map(|(_, tokens)| tokens);
        let prompt = tokens().filter_map(TokenCounts::prompt_of_total).max().unwrap_or(0);
        let rest = |tokens: &TokenCounts| {
            let prompt = tokens.prompt_of_total().unwrap_or(prompt);
            tokens.total.unwrap_or(0).saturating_sub(prompt).max(tokens.completion.unwrap_or(0))
        };
        tokens().map(rest).fold(prompt, u64::saturating_add)
    }

    /// Returns true if no choice has a usage.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_choice.is_empty()
    }

    /// Returns true if more than one choice has a usage.
    pub(crate) fn has_several(&self) -> bool {
        self.by_choice.len() > 1
    }
}
