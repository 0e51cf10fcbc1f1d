//! `Usage<'_>`: the token counts of a chunk.

use super::schema::{completion_details, prompt_details, usage};
use crate::json::{Value, ValueKind};

/// The paths of members in a usage from which a count is read: the first one that is a count.
pub(crate) type CountPaths = &'static [&'static [&'static str]];

pub(super) const PROMPT: CountPaths = &[&[usage::PROMPT_TOKENS], &["input_tokens"]];
pub(super) const COMPLETION: CountPaths = &[&[usage::COMPLETION_TOKENS], &["output_tokens"]];
pub(super) const TOTAL: CountPaths = &[&[usage::TOTAL_TOKENS]];
pub(super) const CACHED: CountPaths = &[
    &[usage::PROMPT_TOKENS_DETAILS, prompt_details::CACHED_TOKENS],
    &["input_tokens_details", prompt_details::CACHED_TOKENS],
    &[prompt_details::CACHED_TOKENS],
    &["prompt_cache_hit_tokens"],
    &["cache_read_input_tokens"],
];
pub(super) const REASONING: CountPaths = &[
    &[usage::COMPLETION_TOKENS_DETAILS, completion_details::REASONING_TOKENS],
    &["output_tokens_details", completion_details::REASONING_TOKENS],
    &[completion_details::REASONING_TOKENS],
];

/// The `usage` of a chunk: the token counts that the server sends.
///
/// Counts are totals so far: of several usages the last one counts, and they are never summed. A
/// count may also be written as `7.0`, `1e1` or `"7"`.
#[derive(Clone, Copy)]
pub struct Usage<'a>(Value<'a>);

impl<'a> Usage<'a> {
    pub(crate) const fn new(value: Value<'a>) -> Self {
        Self(value)
    }

    /// `prompt_tokens`, or `input_tokens` (Anthropic's name).
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        self.count(PROMPT)
    }

    /// `completion_tokens`, or `output_tokens`.
    #[must_use]
    pub fn completion_tokens(&self) -> Option<u64> {
        self.count(COMPLETION)
    }

    /// `total_tokens`: prompt and completion.
    #[must_use]
    pub fn total_tokens(&self) -> Option<u64> {
        self.count(TOTAL)
    }

    /// `prompt_tokens_details`, or `input_tokens_details`.
    #[must_use]
    pub fn prompt_tokens_details(&self) -> Option<PromptTokensDetails<'a>> {
        let object = self.object(usage::PROMPT_TOKENS_DETAILS);
        Some(PromptTokensDetails(object.or_else(|| self.object("input_tokens_details"))?))
    }

    /// `completion_tokens_details`, or `output_tokens_details`.
    #[must_use]
    pub fn completion_tokens_details(&self) -> Option<CompletionTokensDetails<'a>> {
        let object = self.object(usage::COMPLETION_TOKENS_DETAILS);
        Some(CompletionTokensDetails(object.or_else(|| self.object("output_tokens_details"))?))
    }

    /// Returns the number of prompt tokens that were read from a cache, under any server's name.
    ///
    /// It is `cached_tokens` of `prompt_tokens_details` or `input_tokens_details`. Otherwise it is
    /// `cached_tokens` (Together, Moonshot), `prompt_cache_hit_tokens` (DeepSeek) or
    /// `cache_read_input_tokens` (Anthropic) of the usage itself.
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        self.count(CACHED)
    }

    /// Returns the number of reasoning tokens, under any server's name.
    ///
    /// It is `reasoning_tokens` of `completion_tokens_details` or `output_tokens_details`.
    /// Otherwise it is `reasoning_tokens` (SGLang, Perplexity) of the usage itself.
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.count(REASONING)
    }

    /// Returns the first count among the members at these paths.
    fn count(&self, paths: CountPaths) -> Option<u64> {
        let at = |path: &&[&str]| path.iter().try_fold(self.0, |value, name| value.get(name));
        paths.iter().find_map(|path| count(at(path)?))
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
    /// `cached_tokens`: tokens that were read from a cache.
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        count(self.get(prompt_details::CACHED_TOKENS)?)
    }

    /// `audio_tokens`: tokens of audio.
    #[must_use]
    pub fn audio_tokens(&self) -> Option<u64> {
        count(self.get("audio_tokens")?)
    }

    /// `text_tokens`: tokens of text.
    #[must_use]
    pub fn text_tokens(&self) -> Option<u64> {
        count(self.get("text_tokens")?)
    }

    /// `image_tokens`: tokens of images.
    #[must_use]
    pub fn image_tokens(&self) -> Option<u64> {
        count(self.get("image_tokens")?)
    }

    /// `cache_write_tokens`: tokens that were written to a cache.
    #[must_use]
    pub fn cache_write_tokens(&self) -> Option<u64> {
        count(self.get("cache_write_tokens")?)
    }
}

/// `completion_tokens_details` of a usage.
#[derive(Clone, Copy)]
pub struct CompletionTokensDetails<'a>(Value<'a>);

impl CompletionTokensDetails<'_> {
    /// `reasoning_tokens`: tokens of reasoning.
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        count(self.get(completion_details::REASONING_TOKENS)?)
    }

    /// `audio_tokens`: tokens of audio.
    #[must_use]
    pub fn audio_tokens(&self) -> Option<u64> {
        count(self.get("audio_tokens")?)
    }

    /// `text_tokens`: tokens of text.
    #[must_use]
    pub fn text_tokens(&self) -> Option<u64> {
        count(self.get("text_tokens")?)
    }

    /// `accepted_prediction_tokens`: tokens of the predicted output that are in the completion.
    #[must_use]
    pub fn accepted_prediction_tokens(&self) -> Option<u64> {
        count(self.get("accepted_prediction_tokens")?)
    }

    /// `rejected_prediction_tokens`: tokens of the predicted output that aren't in the completion.
    #[must_use]
    pub fn rejected_prediction_tokens(&self) -> Option<u64> {
        count(self.get("rejected_prediction_tokens")?)
    }
}

view_of_object!(Usage, PromptTokensDetails, CompletionTokensDetails);
