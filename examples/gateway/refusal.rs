//! The gateway's own errors, in the form that clients of OpenAI read.

use std::borrow::Cow;

use bytes::Bytes;
use deltawire::Error;
use deltawire::gateway::{RelayOutcome, StopReason};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::Body;
use super::whole::Unread;

/// An error that replaces the upstream's answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
    /// True if the rest of the request isn't read, so that the connection has to close.
    closes: bool,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), closes: false }
    }

    /// Returns the error for an answer that has ended before its first byte was passed on.
    pub(crate) fn ended(outcome: &RelayOutcome, reason: &'static str) -> Self {
        Self::new(status(outcome), reason)
    }

    /// Returns the error for a request whose body wasn't read.
    pub(crate) fn of_request(unread: Unread) -> Self {
        let (status, reason) = match unread {
            Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"),
            Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request comes too slowly"),
            Unread::Cut => (StatusCode::BAD_REQUEST, "the request was cut"),
            Unread::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "too many requests are read"),
        };
        Self { closes: true, ..Self::new(status, reason) }
    }

    /// Returns the error for an upstream's answer whose body wasn't read.
    pub(crate) fn of_answer(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => {
                let outcome = RelayOutcome::Stopped(StopReason::TooLarge);
                Self::ended(&outcome, "the upstream's answer is too large")
            }
            Unread::TooSlow | Unread::Cut => {
                Self::ended(&RelayOutcome::Cut, "the upstream's answer was cut")
            }
            Unread::NoMemory => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "too many answers are read")
            }
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let kind =
            if self.status.is_client_error() { "invalid_request_error" } else { "gateway_error" };
        let mut response = Response::new(whole(error(&self.reason, kind).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The error for a request that can't be read, or that an upstream may read differently.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("the request can't be read: {error}"))
    }
}

/// Replaces an upstream's answer that can't be read, and that may contain a hidden value.
///
/// Preserves its other headers, such as `Retry-After` and the request's id. Preserves its status,
/// unless the status is a success.
pub(crate) fn unreadable(mut head: Parts) -> Response<Body> {
    if head.status.is_success() {
        head.status = status(&RelayOutcome::Stopped(StopReason::Unreadable));
    }
    head.headers.remove(header::CONTENT_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let error = error("the upstream's answer can't be read", "gateway_error");
    Response::from_parts(head, whole(error.to_string()))
}

/// Returns the status of an answer that has ended before its first byte was passed on.
fn status(outcome: &RelayOutcome) -> StatusCode {
    let status = StatusCode::from_u16(outcome.handling().http_status);
    status.unwrap_or(StatusCode::BAD_GATEWAY)
}

/// Returns the error object for an answer or an event.
pub(crate) fn error(message: &str, kind: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "code": null, "param": null}})
}

/// Returns a body of these bytes.
pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}
