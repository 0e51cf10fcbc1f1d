//! Answers on their way back to the client: watched, edited, refused, or unchanged.

use std::sync::Arc;
use std::time::Instant;

use deltawire::ErrorKind;
use deltawire::adapters::{BodyStep, ObservedBody};
use deltawire::gateway::SniffResult;
use deltawire::sse::BodyKind;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::response::Parts;
use hyper::{Response, Version};
use hyper_util::client::legacy::connect::Connect;
use tokio::sync::OwnedSemaphorePermit;

use super::Body;
use super::edited::Edited;
use super::forward::Gateway;
use super::headers::{drop_hop_by_hop, is_encoded, is_json, text_of};
use super::idle::{Flushed, Idle};
use super::refusal::{Refusal, unreadable, whole};
use super::request::{Plan, edit_answer};
use super::watch::{Stream, Watcher};
use super::whole::Whole;

/// Kind of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    EventStream,
    Json,
    Other,
}

impl Kind {
    /// Returns the kind of a body by its content type, or by its first bytes.
    ///
    /// Some servers omit the content type, or send `text/plain`. If the content type is neither an
    /// event stream nor JSON, the first bytes of a chat completion decide.
    async fn of(headers: &HeaderMap, body: &mut Idle, is_chat: bool) -> Self {
        match text_of(headers, &header::CONTENT_TYPE) {
            Some(name) if deltawire::sse::is_event_stream(name) => Self::EventStream,
            Some(name) if is_json(name) => Self::Json,
            _ if is_chat => match body.sniff().await {
                SniffResult::EventStream => Self::EventStream,
                SniffResult::NotAnEventStream(BodyKind::Json) => Self::Json,
                SniffResult::NotAnEventStream(_) | _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Gateway<C> {
    /// Passes an answer on, with the edits of the plan.
    ///
    /// The permit is released when the body of the answer is over.
    pub(crate) async fn pass_on(
        &self,
        answer: Response<Incoming>,
        plan: Plan,
        permit: OwnedSemaphorePermit,
        started: Instant,
    ) -> Result<Response<Body>, Refusal> {
        let (mut head, body) = answer.into_parts();
        head.version = Version::HTTP_11;
        drop_hop_by_hop(&mut head.headers);
        let over = tokio::time::Instant::from_std(started) + self.options.max_time;
        let mut body = Idle::new(body, self.options.idle, over);
        let kind = Kind::of(&head.headers, &mut body, plan.is_chat).await;
        let is_success = head.status.is_success();
        let hides = plan.hides(is_success);
        let is_encoded = is_encoded(&head.headers);
        match kind {
            Kind::EventStream if self.options.no_tap => {}
            _ if hides && is_encoded && !body.is_end_stream() => {
                self.metrics.refused();
                return Ok(unreadable(head));
            }
            Kind::EventStream => return Ok(self.watch(head, body, &plan, permit, started)),
            Kind::Json if hides => return self.edit(head, body, &plan, permit).await,
            // An error page contains no model. A body with a success status may contain one.
            Kind::Other if hides && is_success && !body.is_end_stream() => {
                self.metrics.refused();
                return Ok(unreadable(head));
            }
            Kind::Json | Kind::Other => {}
        }
        let holding = move |_: BodyStep<'_>| _ = &permit;
        let body = Flushed::new(ObservedBody::new(body, holding)).boxed_unsync();
        Ok(Response::from_parts(head, body))
    }

    /// Watches a stream, and edits it if the plan has an editor.
    fn watch(
        &self,
        mut head: Parts,
        body: Idle,
        plan: &Plan,
        permit: OwnedSemaphorePermit,
        started: Instant,
    ) -> Response<Body> {
        let request_id = text_of(&head.headers, &HeaderName::from_static("x-request-id"));
        let stream = Stream {
            metrics: Arc::clone(&self.metrics),
            model: plan.model.clone(),
            request_id: request_id.map(str::to_owned),
            with_message: self.options.log_messages,
            started,
        };
        let watcher = Watcher::new(stream, permit);
        let body = match plan.editor() {
            None => Flushed::new(ObservedBody::new(body, watcher)).boxed_unsync(),
            Some(editor) => {
                head.headers.remove(header::CONTENT_LENGTH);
                Flushed::new(Edited::new(body, watcher, editor)).boxed_unsync()
            }
        };
        Response::from_parts(head, body)
    }

    /// Edits an answer that isn't a stream.
    async fn edit(
        &self,
        mut head: Parts,
        body: Idle,
        plan: &Plan,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, Refusal> {
        let answer = Whole::read(body, self.options.max_request, &self.memory).await;
        let Whole { bytes, memory } = answer.map_err(Refusal::of_answer)?;
        let edited = match edit_answer(&bytes, plan) {
            Ok(edited) => edited.map_or(bytes, Into::into),
            // Some error bodies are lists, which have no members to edit.
            Err(error)
                if error.kind() == ErrorKind::ExpectedObject && !head.status.is_success() =>
            {
                bytes
            }
            Err(_) => {
                self.metrics.refused();
                return Ok(unreadable(head));
            }
        };
        head.headers.remove(header::CONTENT_LENGTH);
        let holding = move |_: BodyStep<'_>| _ = (&permit, &memory);
        Ok(Response::from_parts(head, ObservedBody::new(whole(edited), holding).boxed_unsync()))
    }
}
