//! The choice between upstreams: the next one answers if the first one fails at the beginning.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use deltawire::gateway::request::ChatRequest;
use hyper::{Response, StatusCode};

use super::Body;
use super::answer::Plan;
use super::idle::Idle;
use super::refusal::{Refusal, whole};
use super::state::Gateway;
use super::upstream::{Head, Upstream};

/// The result of asking all upstreams but the last one.
#[expect(clippy::large_enum_variant, reason = "an answer is moved once")]
pub(crate) enum Asked<'g> {
    Answered(Response<Idle>),
    /// The last upstream, whose answer is passed on in any case, and the body of its request.
    Last(&'g Upstream, Body),
}

impl Gateway {
    /// Sends a request to the upstreams in turn, up to the first good answer, or the last upstream.
    ///
    /// Nothing has been sent to the client yet. `bytes` is the body of the request.
    pub(crate) async fn ask(
        &self,
        head: &Head,
        bytes: &Bytes,
        mut request: ChatRequest<'_>,
        plan: &mut Plan,
    ) -> Result<Asked<'_>, Refusal> {
        let mut upstreams = self.candidates(request.model()).into_iter().peekable();
        while let Some((upstream, model)) = upstreams.next() {
            if let Some(model) = model {
                request.set_model(model);
            }
            let body = match request.edited() {
                Cow::Owned(edited) => whole(edited),
                Cow::Borrowed(_) => whole(bytes.clone()),
            };
            plan.provider = Arc::clone(&upstream.name);
            if upstreams.peek().is_none() {
                return Ok(Asked::Last(upstream, body));
            }
            let mut answer = upstream.send(head.clone(), body, plan.started).await;
            if is_good(&mut answer).await {
                return answer.map(Asked::Answered);
            }
            let status = answer.ok().map(|answer| answer.status().as_u16());
            tracing::warn!(gen_ai.provider.name = &*upstream.name, status, "fallback");
            self.metrics.fallback(&upstream.name);
        }
        Err(Refusal::new(StatusCode::BAD_GATEWAY, "there is no upstream"))
    }

    /// Returns true if a model of a request is an alias.
    pub(crate) fn is_alias(&self, model: Option<&str>) -> bool {
        model.is_some_and(|model| self.upstreams.iter().any(|one| one.model(model).is_some()))
    }

    /// Returns the upstreams that have an alias for a model, else all, with their own name of it.
    fn candidates(&self, model: Option<&str>) -> Vec<(&Upstream, Option<&str>)> {
        let all = self.upstreams.iter();
        let all = all.map(|upstream| (upstream, model.and_then(|model| upstream.model(model))));
        let named: Vec<_> = all.clone().filter(|(_, name)| name.is_some()).collect();
        if named.is_empty() { all.collect() } else { named }
    }
}

/// Returns true if an answer has begun well, so that it is passed on.
async fn is_good(answer: &mut Result<Response<Idle>, Refusal>) -> bool {
    let Ok(answer) = answer else { return false };
    let status = answer.status();
    let may_be_retried = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    !may_be_retried && (!status.is_success() || answer.body_mut().begins().await)
}
