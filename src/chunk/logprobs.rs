//! `Logprobs<'_>`: the log probabilities of a choice's tokens, found on demand.

use super::numbers;
use super::schema::{logprobs, token_logprob};
use crate::json::{Value, ValueElements};

/// The `logprobs` of a choice.
///
/// The lists of an ordinary event are read on demand. The first look into one allocates, and the
/// decoder reuses the memory for the events behind it.
///
/// The parallel arrays of the legacy form (`tokens`, `token_logprobs`, from Together and Fireworks)
/// are available by [`get`](Self::get).
#[derive(Clone, Copy)]
pub struct Logprobs<'a>(Value<'a>);

impl<'a> Logprobs<'a> {
    pub(super) const fn new(value: Value<'a>) -> Self {
        Self(value)
    }

    /// `content`: the tokens of the content; empty if it is absent or `null`.
    #[must_use]
    pub fn content(&self) -> TokenLogprobs<'a> {
        TokenLogprobs::of(self.get(logprobs::CONTENT))
    }

    /// `refusal`: the tokens of the refusal; empty if it is absent or `null`.
    #[must_use]
    pub fn refusal(&self) -> TokenLogprobs<'a> {
        TokenLogprobs::of(self.get(logprobs::REFUSAL))
    }
}

/// An iterator over tokens with their log probabilities.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "an iterator over what can be shown")]
pub struct TokenLogprobs<'a>(Option<ValueElements<'a>>);

impl<'a> TokenLogprobs<'a> {
    fn of(list: Option<Value<'a>>) -> Self {
        Self(list.map(|list| list.elements()))
    }
}

impl<'a> Iterator for TokenLogprobs<'a> {
    type Item = TokenLogprob<'a>;

    fn next(&mut self) -> Option<TokenLogprob<'a>> {
        self.0.as_mut()?.next().map(TokenLogprob)
    }
}

/// One token with its log probability.
#[derive(Clone, Copy)]
pub struct TokenLogprob<'a>(Value<'a>);

impl<'a> TokenLogprob<'a> {
    /// `token`: the text of the token.
    #[must_use]
    pub fn token(&self) -> Option<&'a str> {
        self.get(token_logprob::TOKEN)?.as_str()
    }

    /// `logprob`: the log probability of the token.
    ///
    /// vLLM sends -9999.0 for a very unlikely token. Python servers also send `NaN` and
    /// `-Infinity`, which are `None` here and a mismatch of the chunk.
    #[must_use]
    pub fn logprob(&self) -> Option<f64> {
        self.get(token_logprob::LOGPROB)?.as_f64()
    }

    /// `bytes`: the token's bytes in UTF-8, which may be a part of a character.
    ///
    /// `None` if it is absent, `null`, or not an array of bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<impl Iterator<Item = u8> + use<'a>> {
        let list = self.get(token_logprob::BYTES)?;
        let bytes = || numbers(list).map(|bytes| bytes.map(|byte| u8::try_from(byte).ok()));
        let all = bytes()?.all(|byte| byte.is_some());
        if all { Some(bytes()?.flatten()) } else { None }
    }

    /// `top_logprobs`: the likeliest tokens at this position; empty if it is absent or `null`.
    #[must_use]
    pub fn top_logprobs(&self) -> TokenLogprobs<'a> {
        TokenLogprobs::of(self.get(token_logprob::TOP_LOGPROBS))
    }
}

view_of_object!(Logprobs, TokenLogprob);
