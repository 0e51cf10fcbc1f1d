//! `RelayFailure`: the report of a stream that wasn't complete, as an error.

use core::error::Error;
use core::fmt;

use super::relay_report::{RelayOutcome, RelayReport};

/// The report of a stream that isn't complete; see [`RelayReport::into_result`].
///
/// `Display` writes the outcomes of the relay and of the upstream's stream, and no text of it.
#[derive(Clone, Debug)]
pub struct RelayFailure {
    report: Box<RelayReport>,
}

impl RelayFailure {
    /// Returns the report. Its outcome isn't [`RelayOutcome::Complete`].
    #[must_use]
    pub const fn report(&self) -> &RelayReport {
        &self.report
    }

    /// Returns the report by value.
    #[must_use]
    pub fn into_report(self) -> RelayReport {
        *self.report
    }
}

impl fmt::Display for RelayFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RelayReport { outcome, stream, .. } = &*self.report;
        write!(f, "relayed stream ended as {outcome}, and the upstream's as {}", stream.outcome)
    }
}

impl Error for RelayFailure {
    /// Returns the [`NotWhole`](crate::completion::NotWhole) of the upstream's stream, if it has defects.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.report.stream.not_whole {
            Some(not_whole) => Some(not_whole),
            None => None,
        }
    }
}

impl RelayReport {
    /// Returns the report if the stream was [complete](RelayOutcome::Complete).
    ///
    /// ```
    /// use std::time::Duration;
    /// use deltawire::gateway::{Relay, RelayEnd, RelayOutcome};
    ///
    /// let (mut relay, mut out) = (Relay::builder().build(), Vec::new());
    /// let piece = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    /// let _ = relay.push(piece, Duration::from_secs(1), &mut out);
    /// let report = relay.finish(RelayEnd::Upstream, Duration::from_secs(2), &mut out);
    ///
    /// let failure = report.into_result().unwrap_err();
    /// assert_eq!(failure.report().outcome, RelayOutcome::Cut);
    /// assert_eq!(failure.to_string(), "relayed stream ended as cut, and the upstream's as truncated");
    /// ```
    ///
    /// # Errors
    ///
    /// If the outcome is another one, the error contains the report. Allocates then.
    pub fn into_result(self) -> Result<Self, RelayFailure> {
        match self.outcome {
            RelayOutcome::Complete => Ok(self),
            _ => Err(RelayFailure { report: Box::new(self) }),
        }
    }
}
