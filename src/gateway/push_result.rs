//! `PushResult`: how a guard has received an event.

use crate::report::named;

/// The result of [`Guard::push`](super::Guard::push) for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "an event that wasn't taken is lost"]
#[non_exhaustive]
pub enum PushResult {
    /// The event is held and contains text to check.
    Text,
    /// The event is held and contains nothing to check: keep-alives, roles, usage, `[DONE]`.
    NoText,
    /// The event is held and contains a value that isn't [harmless](super::Guard#what-is-harmless).
    ///
    /// The value isn't among the texts, but the event may also contain texts. Check
    /// [`ChunkEvent::payload`](crate::ChunkEvent::payload).
    Unwatched,
    /// The event isn't held, since it and the held events would exceed the bound.
    ///
    /// Release or discard held events, and push it again.
    Full,
    /// The event isn't held, since it alone exceeds the bound.
    ///
    /// Forward it unchecked, or end the stream.
    TooLarge,
}

impl PushResult {
    /// Returns the result for an event that is held, if it contains an unwatched value.
    pub(super) const fn with_unwatched(self, is_unwatched: bool) -> Self {
        match self {
            Self::Text | Self::NoText if is_unwatched => Self::Unwatched,
            result => result,
        }
    }

    /// Returns the name of the result, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::NoText => "no_text",
            Self::Unwatched => "unwatched",
            Self::Full => "full",
            Self::TooLarge => "too_large",
        }
    }
}

named!(PushResult);
