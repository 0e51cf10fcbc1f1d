//! Requests on their way to the upstream.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use deltawire::gateway::{RelayOutcome, StopReason};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Body;
use super::client::{Patient, TooSlow};
use super::headers::drop_hop_by_hop;
use super::metrics::Metrics;
use super::options::Options;
use super::path::Path;
use super::refusal::{Refusal, whole};
use super::request::{self, Plan};
use super::whole::{Memory, Unread, Whole};

/// The state that all requests share.
pub(crate) struct Gateway<C> {
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    /// Memory for the bodies that are held.
    pub(crate) memory: Memory,
    client: Client<C, Body>,
    streams: Arc<Semaphore>,
}

impl<C: Connect + Clone + Send + Sync + 'static> Gateway<C> {
    pub(crate) fn new(options: Options, metrics: Arc<Metrics>, connector: C) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(connector),
            metrics,
            streams: Arc::new(Semaphore::new(options.max_streams.min(Semaphore::MAX_PERMITS))),
            memory: Memory::new(options.max_memory),
            options,
        }
    }

    /// Answers a request with the upstream's answer, or with the gateway's own error.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.forward(request).await.unwrap_or_else(|refusal| {
            self.metrics.refused();
            refusal.into_response()
        })
    }

    /// Sends a request to the upstream, and passes its answer on.
    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let started = Instant::now();
        let (mut head, body) = request.into_parts();
        let path = Path::normalise(head.uri.path()).ok_or_else(bad_path)?;
        if !path.is_forwarded() {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here but /v1/"));
        }
        head.uri = self.upstream_uri(&path, head.uri.query())?;
        head.version = Version::HTTP_11;
        drop_hop_by_hop(&mut head.headers);
        head.headers.remove(header::HOST);
        // The gateway's own server sends `100 Continue` to the client.
        head.headers.remove(header::EXPECT);
        let body = Patient::new(body, self.options.request_timeout);
        let is_chat = head.method == Method::POST && path.is_chat();
        let (body, plan, permit, memory) = if is_chat {
            if self.streams.available_permits() == 0 {
                return Err(too_many());
            }
            // The permit is acquired after the body is read, so that a slow client holds none.
            let Whole { bytes, memory } = self.read(body).await?;
            let (edited, plan) = request::prepare(&bytes, &self.options)?;
            let edited = match edited {
                Cow::Owned(edited) => edited.into(),
                Cow::Borrowed(_) => bytes,
            };
            expect_identity(&mut head.headers);
            (whole(edited), plan, self.permit()?, Some(memory))
        } else {
            (body.boxed_unsync(), Plan::default(), self.permit()?, None)
        };
        let answer = self.client.request(Request::from_parts(head, body));
        let answer = timeout(self.options.idle, answer).await;
        let answer = answer
            .map_err(|_| {
                let outcome = RelayOutcome::Stopped(StopReason::Gateway);
                Refusal::ended(&outcome, "the upstream doesn't answer")
            })?
            .map_err(|error| {
                if TooSlow::is_in(&error) {
                    return Refusal::of_request(Unread::TooSlow);
                }
                Refusal::ended(&RelayOutcome::Cut, "the upstream can't be reached")
            })?;
        drop(memory);
        self.pass_on(answer, plan, permit, started).await
    }

    /// Reads the whole body of a request.
    async fn read(&self, body: Patient) -> Result<Whole, Refusal> {
        let body = Whole::read(body, self.options.max_request, &self.memory).await;
        body.map_err(Refusal::of_request)
    }

    /// Acquires a permit for one stream.
    fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| too_many())
    }

    /// Returns the upstream's address with the path and the query of a request.
    fn upstream_uri(&self, path: &Path, query: Option<&str>) -> Result<Uri, Refusal> {
        let base = &self.options.upstream;
        let mut path = format!("{}{}", base.path().trim_end_matches('/'), path.as_str());
        if let Some(query) = query {
            path.push('?');
            path.push_str(query);
        }
        let mut parts = base.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|_| bad_path())?);
        Uri::from_parts(parts).map_err(|_| bad_path())
    }
}

/// Requests an uncompressed answer, since a compressed one can't be watched.
///
/// Removes the length of the request too, since the gateway may edit the body.
fn expect_identity(headers: &mut HeaderMap) {
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(header::CONTENT_LENGTH);
}

fn too_many() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time")
}

fn bad_path() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "the path isn't one")
}
