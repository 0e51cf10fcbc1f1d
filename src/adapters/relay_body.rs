//! `RelayBody`: an HTTP body that relays the body of an upstream.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::relay_engine::{RelayEngine, Upstream};
use super::relay_error::RelayError;
use crate::gateway::{Relay, RelayEnd, RelayReport};

pin_project! {
    /// A body that passes the body of an upstream through a [`Relay`].
    ///
    /// Bytes that the relay doesn't change are slices of the upstream's pieces. `then` receives the
    /// report exactly once, however the body ends. It may be called while the body is being dropped.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use deltawire::adapters::RelayBody;
    /// use deltawire::gateway::{Editor, Relay};
    /// use http_body::Body;
    ///
    /// fn relayed<B: Body<Data = Bytes>>(upstream: B) -> impl Body<Data = Bytes> {
    ///     let mut editor = Editor::new();
    ///     editor.replace("model", "our-alias");
    ///     let relay = Relay::builder().measure().edit(editor).build();
    ///     RelayBody::new(upstream, relay, |report| {
    ///         // metrics.record(report.outcome.as_str(), report.stream.tokens)
    ///     })
    /// }
    /// ```
    ///
    /// # The end
    ///
    /// | end | the body returns | report |
    /// |---|---|---|
    /// | the upstream ends | the relay's last bytes, the upstream's trailers without digests, the end | [`RelayEnd::Upstream`] |
    /// | the upstream fails | an error event unless `[DONE]` was sent, then [`RelayError::Upstream`] | [`RelayEnd::UpstreamFailed`] |
    /// | the upstream fails behind a whole stream with its `[DONE]` | the end | complete |
    /// | the guard, the editor or [`stop`](Self::stop) ends the stream | an error event unless `[DONE]` was sent, then the end | [`RelayEnd::Stopped`] |
    /// | one of these inside of an event of which the client has a part | [`RelayError::Aborted`] or [`RelayError::Upstream`] | [`must_abort`](RelayReport::must_abort) |
    /// | the body is dropped before its last bytes are read | nothing more | [`RelayEnd::ClientGone`] |
    ///
    /// The upstream's body is dropped as soon as the relay has ended, which closes its connection if it
    /// wasn't read to its end. `then` is called before the last bytes are returned, since a server polls
    /// no further if [`is_end_stream`](Body::is_end_stream) is true. It is exact, and false as long as
    /// bytes, trailers or an error follow.
    ///
    /// A body that is dropped behind `[DONE]`, before the upstream has ended, is reported as
    /// [`RelayEnd::ClientGone`]. It isn't known whether the client has read the last bytes.
    ///
    /// hyper closes the connection at an error, and drops bytes that it hasn't written yet. So the body
    /// is pending once between its last bytes and an error, with a wake. A client that reads slowly may
    /// lose the error event nevertheless. It never sees a clean end.
    ///
    /// The trailers `Content-Digest`, `Repr-Digest`, `Digest`, `Content-MD5` and `ETag` are removed: they
    /// name the upstream's bytes.
    ///
    /// # Pressure and memory
    ///
    /// The upstream's body is polled only if no bytes wait for the client. So the body stores the relay
    /// and the bytes of one piece.
    ///
    /// # Time
    ///
    /// The relay measures since the body was created. Set the time of the request by
    /// [`with_start`](Self::with_start).
    pub struct RelayBody<B: Body, F: FnOnce(RelayReport)> {
        // `None` once the relay has ended.
        #[pin]
        inner: Option<B>,
        engine: RelayEngine<B::Error, F>,
        // `trailers.is_none()` while the upstream is read.
        trailers: Option<Frame<Bytes>>,
    }
}

impl<B: Body, F: FnOnce(RelayReport)> RelayBody<B, F> {
    /// Creates a body that relays `inner`, and calls `then` with the report at the end.
    #[must_use]
    pub fn new(inner: B, relay: Relay, then: F) -> Self {
        Self { inner: Some(inner), engine: RelayEngine::new(relay, then), trailers: None }
    }

    /// Sets the time of the request, from which the relay measures.
    #[must_use]
    pub fn with_start(mut self, start: Instant) -> Self {
        self.engine.set_start(start);
        self
    }

    /// Returns the relay, for the counts so far.
    #[must_use]
    pub const fn relay(&self) -> &Relay {
        self.engine.relay()
    }

    /// Stops the stream, for a time limit or a shutdown: see [`RelayEnd::Stopped`].
    ///
    /// Drops the upstream's body. Waiting bytes and an error event follow, and then the end. Does
    /// nothing once the relay has ended. The caller has to wake the task that polls the body.
    pub fn stop(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.engine.end(RelayEnd::Stopped);
        this.inner.set(None);
    }
}

/// The headers and trailers that name the upstream's bytes, and not those of the relay.
pub(super) const DIGESTS: [&str; 5] =
    ["content-digest", "repr-digest", "digest", "content-md5", "etag"];

/// Polls a body. Stores trailers, which are the last frame of a body.
fn read<B: Body>(
    mut body: Pin<&mut B>,
    context: &mut Context<'_>,
    trailers: &mut Option<Frame<Bytes>>,
) -> Poll<Upstream<B::Error>> {
    let frame = match ready!(body.as_mut().poll_frame(context)) {
        Some(Ok(frame)) => frame.map_data(|mut data| data.copy_to_bytes(data.remaining())),
        Some(Err(error)) => return Poll::Ready(Upstream::Failed(error)),
        None => return Poll::Ready(Upstream::End),
    };
    Poll::Ready(match frame.into_data() {
        Ok(bytes) => Upstream::Piece { bytes, is_last: body.is_end_stream() },
        Err(mut frame) => {
            if let Some(fields) = frame.trailers_mut() {
                for name in DIGESTS {
                    fields.remove(name);
                }
            }
            *trailers = Some(frame);
            Upstream::End
        }
    })
}

impl<B: Body, F: FnOnce(RelayReport)> Body for RelayBody<B, F> {
    type Data = Bytes;
    type Error = RelayError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let trailers = this.trailers;
        let polled =
            this.engine.poll(this.inner, context, |body, context| read(body, context, trailers));
        Poll::Ready(match ready!(polled) {
            Some(Ok(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Err(error)) => {
                *trailers = None;
                Some(Err(error))
            }
            None => trailers.take().map(Ok),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none() && self.engine.is_end()
    }

    /// Returns the number of waiting bytes as the lower bound. It is exact if only they follow.
    fn size_hint(&self) -> SizeHint {
        let (waiting, is_all) = self.engine.waiting();
        let waiting = waiting.iter().map(|bytes| bytes.len() as u64).sum();
        if is_all {
            return SizeHint::with_exact(waiting);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(waiting);
        hint
    }
}

/// Shows no text.
impl<B: Body, F: FnOnce(RelayReport)> fmt::Debug for RelayBody<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayBody").field("engine", &self.engine).finish_non_exhaustive()
    }
}
