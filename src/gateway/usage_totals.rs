//! `UsageTotals`: the token counts of a stream, from the usages of its chunks.

use crate::chunk::{ChatCompletionChunk, ChoiceTokens, TokenCounts};

/// The token counts of a stream so far.
#[derive(Clone, Debug, Default)]
pub(super) struct UsageTotals {
    pub(super) tokens: Option<TokenCounts>,
    /// The counts are those of the member `usage` itself, which outranks its substitutes.
    is_own: bool,
    choices: ChoiceTokens,
}

impl UsageTotals {
    /// Replaces the counts that the usage of a chunk contains.
    ///
    /// Stores the counts of at most `max_choices` choices that have a usage of their own.
    pub(super) fn update(&mut self, chunk: &ChatCompletionChunk<'_>, max_choices: usize) {
        let is_own = chunk.has_own_usage();
        let Some(usage) = chunk.usage().filter(|_| is_own || !self.is_own) else { return };
        self.is_own |= is_own;
        let mut tokens = self.tokens.unwrap_or_default();
        let mut of_choices = chunk.usage_of_choices().peekable();
        if of_choices.peek().is_none() {
            tokens.update(&usage);
        } else {
            for (_, index, usage) in of_choices {
                tokens.update(&usage);
                self.choices.update(index, &usage, max_choices);
            }
            if self.choices.has_several() {
                tokens.replace(self.choices.all());
            }
        }
        self.tokens = (!tokens.is_empty()).then_some(tokens);
    }
}
