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

    /// `prompt_tokens`, or `input_tokens` where a server uses Anthropic's names.
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        self.count(&["prompt_tokens", "input_tokens"])
    }

    /// `completion_tokens`, or `output_tokens`.
    #[must_use]
    pub fn completion_tokens(&self) -> Option<u64> {
        self.count(&["completion_tokens", "output_tokens"])
    }

    /// `total_tokens`
    #[must_use]
    pub fn total_tokens(&self) -> Option<u64> {
        self.count(&["total_tokens"])
    }

    /// `prompt_tokens_details`, or `input_tokens_details`.
    #[must_use]
    pub fn prompt_tokens_details(&self) -> Option<PromptTokensDetails<'a>> {
        let object = self.object("prompt_tokens_details");
        Some(PromptTokensDetails(object.or_else(|| self.object("input_tokens_details"))?))
    }

    /// `completion_tokens_details`, or `output_tokens_details`.
    #[must_use]
    pub fn completion_tokens_details(&self) -> Option<CompletionTokensDetails<'a>> {
        let object = self.object("completion_tokens_details");
        Some(CompletionTokensDetails(object.or_else(|| self.object("output_tokens_details"))?))
    }

    /// Tokens of the prompt that were read from a cache, under any of the servers' names.
    ///
    /// They are `prompt_tokens_details.cached_tokens`, or the same in `input_tokens_details`;
    /// `cached_tokens` (Together, Moonshot), `prompt_cache_hit_tokens` (DeepSeek), or
    /// `cache_read_input_tokens` (Anthropic).
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        let details =
            || self.in_details(&["prompt_tokens_details", "input_tokens_details"], "cached_tokens");
        let flat = ["cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"];
        details().or_else(|| self.count(&flat))
    }

    /// Tokens of reasoning, under any of the servers' names.
    ///
    /// They are `completion_tokens_details.reasoning_tokens`, or the same in
    /// `output_tokens_details`; or `reasoning_tokens` (SGLang, Perplexity).
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        let details = ["completion_tokens_details", "output_tokens_details"];
        let details = || self.in_details(&details, "reasoning_tokens");
        details().or_else(|| self.count(&["reasoning_tokens"]))
    }

    /// Returns the first of these members that is a count.
    fn count(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| count(self.get(name)?))
    }

    fn in_details(&self, details: &[&str], name: &str) -> Option<u64> {
        details.iter().find_map(|details| count(self.object(details)?.get(name)?))
    }

    fn object(&self, name: &str) -> Option<Value<'a>> {
        self.get(name).filter(|value| value.kind() == ValueKind::Object)
    }
}

/// The number up to which every whole number has its own `f64`: 2^53.
const MOST: f64 = 9_007_199_254_740_992.0;

/// Returns a count, which some servers write as `7.0`, `1e1` or `"7"`.
fn count(value: Value<'_>) -> Option<u64> {
    if let Some(count) = value.as_u64() {
        return Some(count);
    }
    let text = match value.kind() {
        ValueKind::Number => value.raw(),
        ValueKind::String => value.as_str()?.trim_ascii(),
        _ => return None,
    };
    if let Ok(count) = text.parse() {
        return Some(count);
    }
    let number: f64 = text.parse().ok()?;
    let is_count = (0.0..=MOST).contains(&number) && number.fract() == 0.0;
    // A number that is a count is whole and at most `MOST`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at before")]
    is_count.then_some(number as u64)
}

/// `prompt_tokens_details` of a usage.
#[derive(Clone, Copy)]
pub struct PromptTokensDetails<'a>(Value<'a>);

impl PromptTokensDetails<'_> {
    /// `cached_tokens`
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        count(self.get("cached_tokens")?)
    }

    /// `audio_tokens`
    #[must_use]
    pub fn audio_tokens(&self) -> Option<u64> {
        count(self.get("audio_tokens")?)
    }

    /// `text_tokens`
    #[must_use]
    pub fn text_tokens(&self) -> Option<u64> {
        count(self.get("text_tokens")?)
    }

    /// `image_tokens`
    #[must_use]
    pub fn image_tokens(&self) -> Option<u64> {
        count(self.get("image_tokens")?)
    }

    /// `cache_write_tokens`
    #[must_use]
    pub fn cache_write_tokens(&self) -> Option<u64> {
        count(self.get("cache_write_tokens")?)
    }
}

/// `completion_tokens_details` of a usage.
#[derive(Clone, Copy)]
pub struct CompletionTokensDetails<'a>(Value<'a>);

impl CompletionTokensDetails<'_> {
    /// `reasoning_tokens`
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        count(self.get("reasoning_tokens")?)
    }

    /// `audio_tokens`
    #[must_use]
    pub fn audio_tokens(&self) -> Option<u64> {
        count(self.get("audio_tokens")?)
    }

    /// `text_tokens`
    #[must_use]
    pub fn text_tokens(&self) -> Option<u64> {
        count(self.get("text_tokens")?)
    }

    /// `accepted_prediction_tokens`
    #[must_use]
    pub fn accepted_prediction_tokens(&self) -> Option<u64> {
        count(self.get("accepted_prediction_tokens")?)
    }

    /// `rejected_prediction_tokens`
    #[must_use]
    pub fn rejected_prediction_tokens(&self) -> Option<u64> {
        count(self.get("rejected_prediction_tokens")?)
    }
}

view_of_object!(Usage, PromptTokensDetails, CompletionTokensDetails);
