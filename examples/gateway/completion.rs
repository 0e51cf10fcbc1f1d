//! Answers that aren't streams: whole completions, and other JSON.

use bytes::Bytes;
use deltawire::ErrorKind;
use deltawire::gateway::{CompletionError, RelayedCompletion};
use hyper::Response;
use hyper::header;
use hyper::http::response::Parts;

use super::Body;
use super::answer::Plan;
use super::record::Record;
use super::refusal::{Refusal, whole};
use super::state::Gateway;
use super::whole::holding;

impl Gateway {
    /// Returns an answer that isn't a stream, with the edits of the plan.
    pub(crate) fn relay_whole(
        &self,
        mut head: Parts,
        answer: Bytes,
        plan: Plan,
    ) -> Result<Response<Body>, Refusal> {
        let is_success = head.status.is_success();
        let (mut relay, mut edited) = (self.rules(&plan, is_success).build(), Vec::new());
        head.headers.remove(header::CONTENT_LENGTH);
        match relay.write_completion(&answer, &mut edited) {
            Ok(written) => {
                let record = Record::of_completion(&written, &plan);
                self.end(&record, Some(&written.finished), &plan);
            }
            Err(CompletionError::Stopped(reason)) => return Err(Refusal::stopped(&reason)),
            Err(_) if !self.hides(&plan, is_success) => edited = answer.into(),
            Err(_) if self.redaction.is_some() && is_success => {
                return Err(Refusal::unreadable(head));
            }
            // Any other object, such as an error. Some errors are lists, which have no members.
            Err(_) => {
                let mut editor = plan.editor(is_success).unwrap_or_default();
                match editor.write_completion(&answer, &mut edited) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ExpectedObject && !is_success => {
                        edited = answer.into();
                    }
                    Err(_) => return Err(Refusal::unreadable(head)),
                }
            }
        }
        Ok(Response::from_parts(head, holding(whole(edited), plan)))
    }
}

impl Record {
    pub(crate) fn of_completion(written: &RelayedCompletion, plan: &Plan) -> Self {
        let RelayedCompletion { finished, redactions, .. } = written;
        let choices = finished.completion.choices.iter();
        let reasons = choices.filter_map(|choice| choice.finish_reason.as_deref());
        Self {
            outcome: finished.outcome.as_str(),
            is_error: finished.whole().is_err(),
            may_be_cached: finished.handling().may_be_cached,
            finish_reasons: reasons.collect::<Vec<_>>().join(","),
            tokens: finished.completion.tokens().unwrap_or_default(),
            first_token: None,
            per_token: None,
            duration: plan.started.elapsed().as_secs_f64(),
            redactions: *redactions,
            stream: None,
        }
    }
}
