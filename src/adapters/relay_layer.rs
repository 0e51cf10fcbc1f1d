//! `RelayLayer`: relays the event streams among the responses of a service.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Instant;

use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Method, Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::relay_response::{RelayResponseBody, respond};
use crate::gateway::{Relay, RelayReport};

/// A layer that relays the event streams among the responses of a service.
///
/// For each request `make` returns a relay and the receiver of its report, or `None` for a request
/// whose response isn't relayed. It sees the head of the request only. An outer layer passes facts from
/// the body as extensions of the request, such as [`AskedBy`](crate::gateway::request::AskedBy).
///
/// ```
/// use deltawire::adapters::RelayLayer;
/// use deltawire::gateway::request::AskedBy;
/// use deltawire::gateway::{Editor, Relay, RelayReport, UsageVisibility};
/// use http::request::Parts;
///
/// let layer = RelayLayer::new(|request: &Parts| {
///     let mut editor = Editor::new();
///     editor.replace("model", "our-alias");
///     if request.extensions.get() == Some(&AskedBy::Gateway) {
///         editor.hide_usage(UsageVisibility::Removed);
///     }
///     let relay = Relay::builder().measure().edit(editor).build();
///     let then = |report: RelayReport| println!("{}", report.outcome);
///     (request.uri.path() == "/v1/chat/completions").then_some((relay, then))
/// });
/// // tower::ServiceBuilder::new().layer(layer).service(client)
/// ```
///
/// # Responses
///
/// The request of a relayed response gets `Accept-Encoding: identity`, since a relay can't read another
/// encoding.
///
/// | response | becomes | report |
/// |---|---|---|
/// | `Content-Type: text/event-stream` and a status of success | that of a [`RelayBody`](super::RelayBody), without `Content-Length` and digests | that of the body, since the request |
/// | the same with a `Content-Encoding` other than `identity` | status 502 with the relay's error in JSON | stopped as [`Unreadable`](crate::gateway::StopReason::Unreadable) |
/// | any other one, any one to `HEAD`, or one with status 204 or 205 and without a body | the same | none |
///
/// If one of several types may be an event stream, the response is relayed. They are in several
/// `Content-Type` headers, or between commas. The removed digests are `Content-Digest`,
/// `Repr-Digest`, `Digest`, `Content-MD5` and `ETag`, which name the upstream's bytes.
///
/// A compressed stream may contain a value that the relay hides, so it doesn't leave. The same is true
/// of a whole completion with another `Content-Type`, which passes unchanged: see
/// [`Relay::write_completion`].
///
/// `then` isn't called if the service fails, or if its future is dropped.
#[derive(Clone, Copy)]
pub struct RelayLayer<M> {
    make: M,
}

impl<M> RelayLayer<M> {
    /// Creates a layer with the function that makes the relay of a request.
    #[must_use]
    pub const fn new<F>(make: M) -> Self
    where
        M: Fn(&request::Parts) -> Option<(Relay, F)>,
        F: FnOnce(RelayReport),
    {
        Self { make }
    }
}

impl<S, M: Clone> Layer<S> for RelayLayer<M> {
    type Service = RelayService<S, M>;

    fn layer(&self, inner: S) -> RelayService<S, M> {
        RelayService { inner, make: self.make.clone() }
    }
}

impl<M> fmt::Debug for RelayLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayLayer").finish_non_exhaustive()
    }
}

/// A service whose event streams are relayed; see [`RelayLayer`].
#[derive(Clone, Copy)]
pub struct RelayService<S, M> {
    inner: S,
    make: M,
}

impl<S, M> RelayService<S, M> {
    /// Returns the inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, to be changed.
    #[must_use]
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service by value.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, M, F, A, B> Service<Request<A>> for RelayService<S, M>
where
    S: Service<Request<A>, Response = Response<B>>,
    M: Fn(&request::Parts) -> Option<(Relay, F)>,
    F: FnOnce(RelayReport),
    B: Body,
{
    type Response = Response<RelayResponseBody<B, F>>;
    type Error = S::Error;
    type Future = RelayFuture<S::Future, F>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> RelayFuture<S::Future, F> {
        let start = Instant::now();
        let (mut head, body) = request.into_parts();
        let relayed = if head.method == Method::HEAD { None } else { (self.make)(&head) };
        if relayed.is_some() {
            head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let inner = self.inner.call(Request::from_parts(head, body));
        RelayFuture { inner, start, relayed }
    }
}

impl<S: fmt::Debug, M> fmt::Debug for RelayService<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a response of a [`RelayService`].
    pub struct RelayFuture<T, F> {
        #[pin]
        inner: T,
        start: Instant,
        relayed: Option<(Relay, F)>,
    }
}

impl<T, F, B, E> Future for RelayFuture<T, F>
where
    T: Future<Output = Result<Response<B>, E>>,
    F: FnOnce(RelayReport),
    B: Body,
{
    type Output = Result<Response<RelayResponseBody<B, F>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        Poll::Ready(Ok(respond(response, this.relayed.take(), *this.start)))
    }
}

impl<T, F> fmt::Debug for RelayFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayFuture").finish_non_exhaustive()
    }
}
