//! Answers on their way back to the client: relayed, edited, refused, or unchanged.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use deltawire::adapters::{RelayBody, RelayError};
use deltawire::completion::FinishedCompletion;
use deltawire::gateway::{Editor, Relay, RelayBuilder, UsageVisibility};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Body as _;
use hyper::header::{self, HeaderName};
use tokio::sync::OwnedSemaphorePermit;

use super::cache::Key;
use super::headers::{drop_hop_by_hop, is_encoded, text_of};
use super::idle::{Idle, Kind};
use super::record::Record;
use super::redact::Redaction;
use super::refusal::Refusal;
use super::state::Gateway;
use super::whole::{Whole, holding};
use super::{Body, BoxError};

/// Number of characters of a model's name that are logged.
const MODEL_CHARS: usize = 256;

/// The facts about a request that its answer needs.
pub(crate) struct Plan {
    /// The model, as the client calls it.
    pub(crate) model: Option<String>,
    /// True if that is an alias, which the answer has to have too.
    pub(crate) is_alias: bool,
    /// True if the client hasn't asked for the usage.
    pub(crate) hides_usage: bool,
    pub(crate) provider: Arc<str>,
    pub(crate) request_id: Option<String>,
    /// The key of the answer in the cache, and the result of the search for it.
    pub(crate) key: Option<Key>,
    pub(crate) cache: Option<&'static str>,
    pub(crate) started: Instant,
    /// Memory for a body that is held, and the permit, until the answer is over.
    pub(crate) memory: Option<OwnedSemaphorePermit>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Plan {
    pub(crate) fn set_model(&mut self, model: Option<&str>, is_alias: bool) {
        // An alias is whole, and another name is cut for the log.
        let most = if is_alias { usize::MAX } else { MODEL_CHARS };
        self.model = model.map(|name| name.chars().take(most).collect());
        self.is_alias = is_alias;
    }

    /// Returns the editor for an answer, if it needs edits.
    pub(crate) fn editor(&self, is_success: bool) -> Option<Editor> {
        let hides_usage = self.hides_usage && is_success;
        let mut editor = (self.is_alias || hides_usage).then(Editor::new)?;
        if let Some(alias) = self.model.as_ref().filter(|_| self.is_alias) {
            editor.replace("model", alias);
        }
        if hides_usage {
            editor.hide_usage(UsageVisibility::Removed);
        }
        Some(editor)
    }
}

impl Gateway {
    /// Passes the answer to a request for a chat completion on, with the edits of the plan.
    pub(crate) async fn pass_on(
        self: &Arc<Self>,
        answer: Response<Idle>,
        mut plan: Plan,
    ) -> Result<Response<Body>, Refusal> {
        let (mut head, mut body) = answer.into_parts();
        drop_hop_by_hop(&mut head.headers);
        let request_id = text_of(&head.headers, &HeaderName::from_static("x-request-id"));
        plan.request_id = request_id.map(str::to_owned);
        let kind = Kind::of(&head.headers, &mut body).await;
        let is_success = head.status.is_success();
        let hides = self.hides(&plan, is_success);
        let is_encoded = is_encoded(&head.headers);
        match kind {
            _ if hides && is_encoded && !body.is_end_stream() => Err(Refusal::unreadable(head)),
            Kind::EventStream => {
                head.headers.remove(header::CONTENT_LENGTH);
                Ok(Response::from_parts(head, self.relay_stream(body, plan)))
            }
            Kind::Json if hides || (is_success && !is_encoded) => {
                let answer = Whole::read(body, self.config.limits.max_answer_bytes, &self.memory);
                let Whole { bytes, memory } = answer.await.map_err(Refusal::of_answer)?;
                plan.memory = Some(memory);
                self.relay_whole(head, bytes, plan)
            }
            // An error page contains no model. A body with a success status may contain one.
            Kind::Other if hides && is_success && !body.is_end_stream() => {
                Err(Refusal::unreadable(head))
            }
            Kind::Json | Kind::Other => Ok(Response::from_parts(head, holding(body, plan))),
        }
    }

    /// Returns true if a part of an answer may have to be changed. Only a success has a usage.
    pub(crate) const fn hides(&self, plan: &Plan, is_success: bool) -> bool {
        plan.is_alias || (is_success && (plan.hides_usage || self.redaction.is_some()))
    }

    /// Returns the relay for an answer.
    pub(crate) fn rules(&self, plan: &Plan, is_success: bool) -> RelayBuilder {
        let guard = self.redaction.as_ref().filter(|_| is_success).map(Redaction::guard);
        let relay = plan.editor(is_success).into_iter().fold(Relay::builder(), RelayBuilder::edit);
        guard.into_iter().fold(relay, RelayBuilder::guard)
    }

    /// Returns the body of a stream, which is recorded at its end.
    pub(crate) fn relay_stream<B>(self: &Arc<Self>, body: B, plan: Plan) -> Body
    where
        B: hyper::body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let mut relay = self.rules(&plan, true).measure();
        if self.config.log_messages || plan.key.is_some() {
            relay = relay.collect();
        }
        self.metrics.active.inc();
        let (gateway, started) = (Arc::clone(self), plan.started);
        let body = RelayBody::new(body, relay.build(), move |report| {
            gateway.end(&Record::of_stream(&report, &plan), report.completion.as_ref(), &plan);
            gateway.metrics.active.dec();
        });
        body.with_start(started).map_err(RelayError::into_boxed).boxed_unsync()
    }

    /// Logs and counts an answer that is over, and keeps it for equal requests.
    pub(crate) fn end(&self, record: &Record, finished: Option<&FinishedCompletion>, plan: &Plan) {
        self.metrics.record(record, plan);
        let is_logged = self.config.log_messages;
        record.log(plan, finished.filter(|_| is_logged).map(|finished| &finished.completion));
        if let (Some(key), Some(finished)) = (&plan.key, finished)
            && record.may_be_cached
            && finished.handling().may_be_cached
        {
            self.cache.insert(key.clone(), &finished.completion);
        }
    }
}
