//! Requests on their way to an upstream: read, checked, and edited for the answer that follows.

use std::sync::Arc;
use std::time::Instant;

use deltawire::gateway::request::{AskedBy, ChatRequest};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::Body;
use super::answer::Plan;
use super::client::Patient;
use super::fallback::Asked;
use super::headers::drop_hop_by_hop;
use super::path::Path;
use super::refusal::Refusal;
use super::state::Gateway;
use super::upstream::Head;
use super::whole::{Whole, holding};

impl Gateway {
    /// Answers a request with an upstream's answer, or with the gateway's own error.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.forward(request).await.unwrap_or_else(|refusal| {
            self.metrics.refused.inc();
            refusal.into_response()
        })
    }

    async fn forward(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let path = Path::normalise(parts.uri.path()).ok_or_else(Refusal::bad_path)?;
        if !path.is_forwarded() {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here but /v1/"));
        }
        let is_chat = parts.method == Method::POST && path.is_chat();
        drop_hop_by_hop(&mut parts.headers);
        let mut head = Head::new(parts, path.as_str());
        let body = Patient::new(body, self.config.limits.request_seconds);
        if is_chat && self.config.watch {
            head.expect_identity();
            return self.chat(head, body, started).await;
        }
        let permit = self.permit()?;
        let upstream = self.upstreams.first().ok_or_else(Refusal::bad_path)?;
        let mut answer = upstream.send(head, body.boxed_unsync(), started).await?;
        drop_hop_by_hop(answer.headers_mut());
        Ok(answer.map(|body| holding(body, permit)))
    }

    /// Forwards a request for a chat completion. Its answer is watched, and edited by the plan.
    async fn chat(
        self: &Arc<Self>,
        head: Head,
        body: Patient,
        started: Instant,
    ) -> Result<Response<Body>, Refusal> {
        if self.is_full() {
            return Err(Refusal::too_many());
        }
        // The permit is acquired after the body is read, so that a slow client holds none.
        let read = Whole::read(body, self.config.limits.max_request_bytes, &self.memory).await;
        let Whole { bytes, memory } = read.map_err(Refusal::of_request)?;
        let mut request = ChatRequest::read(&bytes)?;
        let mut plan = Plan {
            model: None,
            is_alias: false,
            hides_usage: request.ask_for_usage() == AskedBy::Gateway,
            provider: "".into(),
            request_id: None,
            key: self.cache.key(&head, &bytes),
            cache: None,
            started,
            memory: None,
            _permit: self.permit()?,
        };
        plan.set_model(request.model(), self.is_alias(request.model()));
        if let Some(found) = self.look_up(&mut plan) {
            return self.replay(&found, plan, request.is_stream());
        }
        let asked = self.ask(&head, &bytes, request, &mut plan).await?;
        // Nothing of the request is held while the last upstream answers, and while the answer begins.
        drop(bytes);
        let answer = match asked {
            Asked::Answered(answer) => {
                drop(head);
                answer
            }
            Asked::Last(upstream, body) => upstream.send(head, body, started).await?,
        };
        // The key of the cache shares the memory of the request.
        plan.memory = Some(memory).filter(|_| plan.key.is_some());
        self.pass_on(answer, plan).await
    }
}
