//! `CompletionFailure`: a completion that isn't whole, as an error.

use core::error::Error;
use core::fmt;

use super::model::ChatCompletion;
use super::outcome::{FinishedCompletion, NotWhole};

/// A completion that isn't whole; see [`FinishedCompletion::into_result`].
///
/// `Display` writes the outcome, and the source of the error the defects. Neither contains a text of
/// the completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionFailure {
    finished: Box<FinishedCompletion>,
    not_whole: NotWhole,
}

impl CompletionFailure {
    /// Returns the completion of all chunks, with its outcome.
    #[must_use]
    pub const fn finished(&self) -> &FinishedCompletion {
        &self.finished
    }

    /// Returns the completion of all chunks, with its outcome, by value.
    #[must_use]
    pub fn into_finished(self) -> FinishedCompletion {
        *self.finished
    }

    /// Returns the defects.
    #[must_use]
    pub const fn not_whole(&self) -> NotWhole {
        self.not_whole
    }
}

impl fmt::Display for CompletionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream ended as {}", self.finished.outcome)
    }
}

impl Error for CompletionFailure {
    /// Returns the [`NotWhole`], whose `Display` writes the defects.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.not_whole)
    }
}

impl FinishedCompletion {
    /// Returns the completion if it is [whole](Self::whole).
    ///
    /// ```
    /// use deltawire::completion::{ChatCompletion, CompletionFailure};
    /// use deltawire::gateway::assemble;
    ///
    /// fn read(body: &[u8]) -> Result<ChatCompletion, CompletionFailure> {
    ///     assemble([body]).into_result()
    /// }
    ///
    /// let failure = read(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n").unwrap_err();
    /// assert_eq!(failure.to_string(), "stream ended as truncated");
    /// let completion = &failure.finished().completion; // all that has arrived
    /// assert_eq!(completion.choices[0].message.content.as_deref(), Some("Hi"));
    /// ```
    ///
    /// # Errors
    ///
    /// If the completion isn't whole, the error contains all of it. Allocates then.
    pub fn into_result(self) -> Result<ChatCompletion, CompletionFailure> {
        match self.not_whole {
            None => Ok(self.completion),
            Some(not_whole) => Err(CompletionFailure { finished: Box::new(self), not_whole }),
        }
    }
}
