//! `RelayError`: the error that makes a server abort a relayed response.

use core::convert::Infallible;
use core::error::Error;
use core::fmt;

use crate::gateway::RelayOutcome;

/// The error at the end of a relayed body or stream that wasn't whole.
///
/// A server aborts the response then, so that no client takes its end for that of a whole stream.
/// `E` is the error type of the upstream's body. `Display` writes no text of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayError<E> {
    /// Reading the upstream's body has failed.
    Upstream(E),
    /// The client has received a part of an event, to which no end can be added.
    ///
    /// See [`RelayReport::must_abort`](crate::gateway::RelayReport::must_abort). The outcome is that
    /// of the report.
    Aborted(RelayOutcome),
}

impl<E> RelayError<E> {
    /// Returns the upstream's error by value.
    #[must_use]
    pub fn into_upstream(self) -> Option<E> {
        match self {
            Self::Upstream(error) => Some(error),
            Self::Aborted(_) => None,
        }
    }

    /// Returns the error with its type erased: the upstream's own one, or an [`Aborted`](Self::Aborted).
    ///
    /// A boxed error doesn't implement [`Error`] itself. So a body with such errors needs this method,
    /// such as `body.map_err(RelayError::into_boxed)` with http-body-util. Allocates an error that
    /// isn't boxed.
    pub fn into_boxed(self) -> Box<dyn Error + Send + Sync>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        match self {
            Self::Upstream(error) => error.into(),
            Self::Aborted(outcome) => Box::new(RelayError::<Infallible>::Aborted(outcome)),
        }
    }
}

impl<E> fmt::Display for RelayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(_) => f.write_str("reading the upstream's body has failed"),
            Self::Aborted(outcome) => {
                write!(f, "relayed stream has ended inside of an event, as {outcome}")
            }
        }
    }
}

impl<E: Error + 'static> Error for RelayError<E> {
    /// Returns the upstream's error.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Upstream(error) => Some(error),
            Self::Aborted(_) => None,
        }
    }
}
