//! The gateway's own errors, in the form that clients of OpenAI read.

use std::borrow::Cow;

use bytes::Bytes;
use deltawire::Error;
use deltawire::completion::Handling;
use deltawire::gateway::StopReason;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use serde_json::json;

use super::Body;
use super::whole::Unread;

/// An error that replaces the upstream's answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
    /// Headers of the upstream's answer, such as `Retry-After`.
    headers: Option<Box<HeaderMap>>,
    code: Option<&'static str>,
    /// True if the rest of the request isn't read, so that the connection has to close.
    closes: bool,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), headers: None, code: None, closes: false }
    }

    pub(crate) fn bad_path() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the path isn't one")
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time")
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
        let (status, reason) = match unread {
            Unread::TooLarge => (StatusCode::BAD_GATEWAY, "the upstream's answer is too large"),
            Unread::TooSlow | Unread::Cut => {
                (StatusCode::BAD_GATEWAY, "the upstream's answer was cut")
            }
            Unread::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "too many answers are read"),
        };
        Self::new(status, reason)
    }

    /// Returns the error for an answer that a guard or an editor has stopped.
    pub(crate) fn stopped(reason: &StopReason) -> Self {
        let Handling { http_status, .. } = reason.handling();
        let status = StatusCode::from_u16(http_status).unwrap_or(StatusCode::BAD_GATEWAY);
        let code = Some(reason.as_str());
        Self { code, ..Self::new(status, "the upstream's answer can't be passed on") }
    }

    /// Replaces an upstream's answer that can't be read, and that may contain a hidden value.
    ///
    /// Preserves its other headers and its status, unless the status is a success.
    pub(crate) fn unreadable(head: Parts) -> Self {
        let status = if head.status.is_success() { StatusCode::BAD_GATEWAY } else { head.status };
        Self {
            headers: Some(Box::new(head.headers)),
            ..Self::new(status, "the upstream's answer can't be read")
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let Self { status, reason, headers, code, closes } = self;
        let mut headers = headers.map(|headers| *headers).unwrap_or_default();
        let is_clients = status.is_client_error();
        let kind = if is_clients { "invalid_request_error" } else { "gateway_error" };
        let error = json!({"message": reason, "type": kind, "code": code, "param": null});
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = Response::new(whole(json!({ "error": error }).to_string()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// The error for a request that can't be read, or that an upstream may read differently.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("the request can't be read: {error}"))
    }
}

/// Returns a body of these bytes.
pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}
