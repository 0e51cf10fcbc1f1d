//! `RelayResponseBody`: the body of a response that is relayed, passed unchanged or refused.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::relay_body::{DIGESTS, RelayBody};
use super::relay_error::RelayError;
use crate::gateway::{Relay, RelayEnd, RelayReport};
use crate::sse::may_be_event_stream;

pin_project! {
    #[project = Projected]
    enum Kind<B: Body, F: FnOnce(RelayReport)> {
        Passed { #[pin] body: B },
        Relayed { #[pin] body: RelayBody<B, F> },
        /// Without bytes once they are returned.
        Refused { bytes: Bytes },
    }
}

pin_project! {
    /// The body of a response of a [`RelayService`](super::RelayService).
    ///
    /// It is a [`RelayBody`] for a relayed response. Otherwise its frames are those of the inner body,
    /// and its errors are [`RelayError::Upstream`].
    pub struct RelayResponseBody<B: Body, F: FnOnce(RelayReport)> {
        #[pin]
        kind: Kind<B, F>,
    }
}

/// Returns a response whose body is relayed, if it is an event stream.
pub(super) fn respond<B: Body, F: FnOnce(RelayReport)>(
    response: Response<B>,
    relayed: Option<(Relay, F)>,
    start: Instant,
) -> Response<RelayResponseBody<B, F>> {
    let (mut head, body) = response.into_parts();
    let kind = match relayed.filter(|_| is_stream(&head, &body)) {
        None => Kind::Passed { body },
        Some((relay, then)) if is_identity(&head.headers) => {
            // The relay may change the bytes.
            head.headers.remove(CONTENT_LENGTH);
            for name in DIGESTS {
                head.headers.remove(name);
            }
            Kind::Relayed { body: RelayBody::new(body, relay, then).with_start(start) }
        }
        Some((relay, then)) => {
            drop(body);
            head.status = StatusCode::BAD_GATEWAY;
            head.headers.clear();
            let json = HeaderValue::from_static("application/json");
            head.headers.insert(CONTENT_TYPE, json);
            Kind::Refused { bytes: refuse(relay, then, start) }
        }
    };
    Response::from_parts(head, RelayResponseBody { kind })
}

/// Returns true if a response may be a stream of events.
fn is_stream<B: Body>(head: &response::Parts, body: &B) -> bool {
    let is_without = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    let is_empty = || body.is_end_stream() || body.size_hint().exact() == Some(0);
    let has_content = !(is_without && is_empty());
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    head.status.is_success()
        && has_content
        && types.any(|value| may_be_event_stream(value.as_bytes()))
}

/// Returns true if no encoding is applied to the body.
fn is_identity(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    })
}

/// Hands over the report of a stream that wasn't read, and returns its error in JSON.
fn refuse(mut relay: Relay, then: impl FnOnce(RelayReport), start: Instant) -> Bytes {
    let mut event = Vec::new();
    relay.stop_unreadable();
    then(relay.finish(RelayEnd::Stopped, start.elapsed(), &mut event));
    let json = event.strip_prefix(b"data: ").map(<[u8]>::trim_ascii_end);
    debug_assert!(json.is_some(), "a stopped relay writes an error event");
    Bytes::copy_from_slice(json.unwrap_or_default())
}

impl<B: Body, F: FnOnce(RelayReport)> Body for RelayResponseBody<B, F> {
    type Data = Bytes;
    type Error = RelayError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().kind.project() {
            Projected::Relayed { body } => body.poll_frame(context),
            Projected::Passed { body } => body.poll_frame(context).map(|frame| {
                let bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
                frame.map(|frame| {
                    frame.map(|frame| frame.map_data(bytes)).map_err(RelayError::Upstream)
                })
            }),
            Projected::Refused { bytes } => {
                let bytes = core::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passed { body } => body.is_end_stream(),
            Kind::Relayed { body } => body.is_end_stream(),
            Kind::Refused { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passed { body } => body.size_hint(),
            Kind::Relayed { body } => body.size_hint(),
            Kind::Refused { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// Shows no text.
impl<B: Body, F: FnOnce(RelayReport)> fmt::Debug for RelayResponseBody<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passed { .. } => "passed",
            Kind::Relayed { .. } => "relayed",
            Kind::Refused { .. } => "refused",
        };
        f.debug_struct("RelayResponseBody").field("kind", &kind).finish_non_exhaustive()
    }
}
