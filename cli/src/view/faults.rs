//! The faults of a stream as messages for a person.

use std::path::Path;

use deltawire::Outcome;
use deltawire::completion::{Defect, FinishedCompletion};

use super::report::{BodyError, BodyHead};
use crate::output::{name, say};

/// Prints the faults of a stream on standard error: file, offset, and the expected bytes.
pub(crate) fn complain(file: &Path, finished: &FinishedCompletion, head: &BodyHead) {
    let end = &finished.end;
    let complain = |offset: u64, what: &str| {
        say(&format!("deltawire: {}: byte {offset}: {what}", name(file)));
    };
    if finished.limit_exceeded.is_some() {
        complain(end.bytes, "expected a completion within the limits; the rest was left out");
    }
    match finished.outcome {
        Outcome::Complete => {
            let not_whole = finished.whole().err().filter(|_| finished.limit_exceeded.is_none());
            if let Some(not_whole) = not_whole {
                let defects: Vec<_> = not_whole.defects().map(Defect::as_str).collect();
                let defects = defects.join(", ");
                complain(end.bytes, &format!("expected a whole completion, got {defects}"));
            }
        }
        Outcome::FinishedWithoutDone => complain(end.bytes, "expected [DONE]"),
        Outcome::DoneWithoutFinish => complain(end.bytes, "expected a finish_reason"),
        Outcome::Truncated => complain(end.bytes, "expected a finish_reason and [DONE]"),
        Outcome::FailedFinish => {
            let reason = finished.failed_finish.as_deref().unwrap_or_default();
            complain(end.bytes, &format!("expected a whole answer, got finish_reason {reason:?}"));
        }
        Outcome::MalformedEvent => {
            complain(end.bytes, "expected events that can be read; a part may be missing");
        }
        Outcome::UpstreamError => {
            let error = end.upstream_error.as_ref();
            let message = error.and_then(|error| error.message.as_deref()).unwrap_or("no message");
            let offset = error.map_or(0, |error| error.offset);
            complain(offset, &format!("expected a chunk, got an error: {message}"));
        }
        Outcome::Empty => complain(0, "expected an event, got nothing"),
        Outcome::AnotherApi(api) => {
            complain(0, &format!("expected chunks, got events of another API: {}", api.as_str()));
        }
        Outcome::NotAnEventStream(_) if head.completion(finished).is_some() => {
            complain(0, "expected an event stream, got a completion that wasn't streamed");
        }
        Outcome::NotAnEventStream(body) => {
            let error = head.error();
            let message = error.as_ref().map(BodyError::message);
            let message = message.map_or_else(String::new, |message| format!(": {message}"));
            let what = format!("expected an event stream, got something else: {body:?}{message}");
            complain(0, &what);
        }
        other => complain(end.bytes, other.as_str()),
    }
}
