//! `Usage<'_>`: the token counts of a chunk.

use crate::json::{Value, ValueKind};

/// The `usage` of a chunk: token counts, each as far as the server sends it.
///
/// Servers that send it with every chunk send running totals: the last one counts, they are
/// never to be added up.
#[derive(Clone, Copy)]
pub struct Usage<'a>(Value<'a>);

impl<'a> Usage<'a> {
    pub(crate) const fn new(value: Value<'a>) -> Self {
        Self(value)
    }

    /// `prompt_tokens`
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        self.get("prompt_tokens")?.as_u64()
    }

    /// `completion_tokens`
    #[must_use]
    pub fn completion_tokens(&self) -> Option<u64> {
        self.get("completion_tokens")?.as_u64()
    }

    /// `total_tokens`
    #[must_use]
    pub fn total_tokens(&self) -> Option<u64> {
        self.get("total_tokens")?.as_u64()
    }

    /// `prompt_tokens_details`
    #[must_use]
    pub fn prompt_tokens_details(&self) -> Option<PromptTokensDetails<'a>> {
        Some(PromptTokensDetails(self.object("prompt_tokens_details")?))
    }

    /// `completion_tokens_details`
    #[must_use]
    pub fn completion_tokens_details(&self) -> Option<CompletionTokensDetails<'a>> {
        Some(CompletionTokensDetails(self.object("completion_tokens_details")?))
    }

    /// Tokens of the prompt that came from a cache, wherever the server says it:
    /// `prompt_tokens_details.cached_tokens`, `cached_tokens` (Together, Moonshot), or
    /// `prompt_cache_hit_tokens` (DeepSeek).
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = || self.prompt_tokens_details()?.cached_tokens();
        let count = |name| self.get(name)?.as_u64();
        details().or_else(|| count("cached_tokens")).or_else(|| count("prompt_cache_hit_tokens"))
    }

    /// Tokens of reasoning, wherever the server says it:
    /// `completion_tokens_details.reasoning_tokens`, or `reasoning_tokens` (SGLang, Perplexity).
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        let details = || self.completion_tokens_details()?.reasoning_tokens();
        details().or_else(|| self.get("reasoning_tokens")?.as_u64())
    }

    fn object(&self, name: &str) -> Option<Value<'a>> {
        self.get(name).filter(|value| value.kind() == ValueKind::Object)
    }
}

/// `prompt_tokens_details` of a usage.
#[derive(Clone, Copy)]
pub struct PromptTokensDetails<'a>(Value<'a>);

impl PromptTokensDetails<'_> {
    /// `cached_tokens`
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        self.get("cached_tokens")?.as_u64()
    }

    /// `audio_tokens`
    #[must_use]
    pub fn audio_tokens(&self) -> Option<u64> {
        self.get("audio_tokens")?.as_u64()
    }

    /// `text_tokens`
    #[must_use]
    pub fn text_tokens(&self) -> Option<u64> {
        self.get("text_tokens")?.as_u64()
    }

    /// `image_tokens`
    #[must_use]
    pub fn image_tokens(&self) -> Option<u64> {
        self.get("image_tokens")?.as_u64()
    }

    /// `cache_write_tokens`
    #[must_use]
    pub fn cache_write_tokens(&self) -> Option<u64> {
        self.get("cache_write_tokens")?.as_u64()
    }
}

/// `completion_tokens_details` of a usage.
#[derive(Clone, Copy)]
pub struct CompletionTokensDetails<'a>(Value<'a>);

impl CompletionTokensDetails<'_> {
    /// `reasoning_tokens`
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.get("reasoning_tokens")?.as_u64()
    }

    /// `audio_tokens`
    #[must_use]
    pub fn audio_tokens(&self) -> Option<u64> {
        self.get("audio_tokens")?.as_u64()
    }

    /// `text_tokens`
    #[must_use]
    pub fn text_tokens(&self) -> Option<u64> {
        self.get("text_tokens")?.as_u64()
    }

    /// `accepted_prediction_tokens`
    #[must_use]
    pub fn accepted_prediction_tokens(&self) -> Option<u64> {
        self.get("accepted_prediction_tokens")?.as_u64()
    }

    /// `rejected_prediction_tokens`
    #[must_use]
    pub fn rejected_prediction_tokens(&self) -> Option<u64> {
        self.get("rejected_prediction_tokens")?.as_u64()
    }
}

view_of_object!(Usage, PromptTokensDetails, CompletionTokensDetails);
