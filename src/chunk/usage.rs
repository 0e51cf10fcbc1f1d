//! `Usage<'_>`: the token counts of a chunk.

use core::fmt;

use crate::json::Value;

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

    /// `prompt_tokens_details.cached_tokens`
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        self.get("prompt_tokens_details")?.get("cached_tokens")?.as_u64()
    }

    /// `completion_tokens_details.reasoning_tokens`
    #[must_use]
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.get("completion_tokens_details")?.get("reasoning_tokens")?.as_u64()
    }

    /// The member `name`, whatever it is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.get(name)
    }

    /// The whole object.
    #[must_use]
    pub const fn as_value(&self) -> Value<'a> {
        self.0
    }
}

impl fmt::Debug for Usage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
