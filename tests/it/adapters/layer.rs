//! A service whose event streams are relayed, and whose other responses pass.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use deltawire::adapters::{RelayError, RelayLayer, RelayService};
use deltawire::gateway::{Editor, Relay, RelayOutcome, RelayReport, StopReason};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::support::script::{Script, Step, poll, poll_body};

const EVENT: &str = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// A service that answers with one head and a body of one piece, and stores the requests' encodings.
#[derive(Clone)]
struct Upstream {
    head: Vec<(&'static str, &'static str)>,
    status: u16,
    steps: Vec<Step>,
    encodings: Rc<RefCell<Vec<Option<String>>>>,
    ready: bool,
}

impl Upstream {
    fn new(head: &[(&'static str, &'static str)]) -> Self {
        Self {
            head: head.to_vec(),
            status: 200,
            steps: vec![Step::Piece(EVENT.into())],
            encodings: Rc::default(),
            ready: true,
        }
    }
}

impl Service<Request<()>> for Upstream {
    type Response = Response<Script>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Script>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let encoding = request.headers().get("accept-encoding");
        let encoding = encoding.map(|value| value.to_str().unwrap().to_owned());
        self.encodings.borrow_mut().push(encoding);
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.head {
            response = response.header(*name, *value);
        }
        ready(Ok(response.body(Script::new(self.steps.clone())).unwrap()))
    }
}

/// The response to a client, and the reports.
#[derive(Debug)]
struct Seen {
    status: u16,
    headers: Vec<(String, String)>,
    exact: Option<u64>,
    body: String,
    error: Option<RelayError<&'static str>>,
    reports: Vec<RelayReport>,
}

fn ask(upstream: &Upstream, request: Request<()>) -> Seen {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&reports);
    let layer = RelayLayer::new(move |request: &Parts| {
        let mut editor = Editor::new();
        editor.replace("model", "alias");
        let relay = Relay::builder().measure().edit(editor).build();
        let reports = Rc::clone(&seen);
        let then = move |report| reports.borrow_mut().push(report);
        (request.uri.path() == "/relayed").then_some((relay, then))
    });
    let mut service: RelayService<_, _> = layer.clone().layer(upstream.clone()).clone();
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(
        Service::<Request<()>>::poll_ready(&mut service, &mut context).is_ready(),
        upstream.ready
    );
    let Poll::Ready(Ok(response)) = poll(service.call(request)) else { panic!("pending") };
    let (head, mut body) = response.into_parts();
    assert!(!format!("{body:?} {service:?}", service = service.get_ref().status).contains("data"));
    let exact = body.size_hint().exact();
    let (mut text, mut error) = (Vec::new(), None);
    loop {
        match poll_body(&mut body) {
            Poll::Pending => {}
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(found))) => error = Some(found),
            Poll::Ready(Some(Ok(frame))) => text.extend_from_slice(frame.data_ref().unwrap()),
        }
    }
    drop(body);
    let headers = head.headers.iter();
    let text_of = |value: &http::HeaderValue| str::from_utf8(value.as_bytes()).unwrap().to_owned();
    let reports = reports.borrow().clone();
    Seen {
        status: head.status.as_u16(),
        headers: headers.map(|(name, value)| (name.to_string(), text_of(value))).collect(),
        exact,
        body: String::from_utf8(text).unwrap(),
        error,
        reports,
    }
}

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).header("accept-encoding", "gzip, br").body(()).unwrap()
}

fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn an_event_stream_is_relayed() {
    for content_type in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        let upstream = Upstream::new(&[
            ("content-type", content_type),
            ("content-length", "1234"),
            ("content-encoding", "Identity"),
            ("x-request-id", "7"),
        ]);
        let seen = ask(&upstream, request("/relayed"));
        assert_eq!((seen.status, seen.exact, seen.error), (200, None, None));
        assert_eq!(seen.body, EVENT.replace("\"m\"", "\"alias\""));
        let expected = [
            ("content-encoding", "Identity"),
            ("content-type", content_type),
            ("x-request-id", "7"),
        ];
        assert_eq!(pairs(&seen.headers), expected);
        assert_eq!(*upstream.encodings.borrow(), [Some("identity".to_owned())]);
        assert_eq!(seen.reports.len(), 1);
        assert_eq!(seen.reports[0].outcome, RelayOutcome::Complete);
        assert!(seen.reports[0].latency.as_ref().unwrap().total_time > Duration::ZERO);
    }
}

/// A value may have bytes above ASCII (RFC 9110, 5.5), and clients read several values (WHATWG Fetch).
#[test]
fn a_response_that_may_be_an_event_stream_is_relayed() {
    for content_types in [
        &["text/event-stream; x=é"][..],
        &["text/plain", "text/event-stream"],
        &["text/event-stream", "text/plain"],
        &["text/event-stream,text/event-stream"],
        &["text/plain; x=é , TEXT/event-stream ;charset=utf-8"],
        &["", "é", "text/event-stream"],
    ] {
        let head: Vec<_> = content_types.iter().map(|value| ("content-type", *value)).collect();
        let seen = ask(&Upstream::new(&head), request("/relayed"));
        assert_eq!(seen.body, EVENT.replace("\"m\"", "\"alias\""), "{content_types:?}");
        assert_eq!(seen.reports.len(), 1, "{content_types:?}");
    }
    for content_type in
        ["text/event-stream-é", "text/event-streams", "text/plain;text/event-stream"]
    {
        let seen = ask(&Upstream::new(&[("content-type", content_type)]), request("/relayed"));
        assert_eq!((&*seen.body, seen.reports.len()), (EVENT, 0), "{content_type}");
    }
}

/// Their meaning is that of no content (RFC 9110, 15.3.5 and 15.3.6).
#[test]
fn a_response_without_content_passes() {
    for status in [204, 205] {
        let mut upstream = Upstream::new(&[("content-type", "text/event-stream"), ("etag", "1")]);
        (upstream.status, upstream.steps) = (status, vec![]);
        let seen = ask(&upstream, request("/relayed"));
        assert_eq!((seen.status, &*seen.body, seen.exact), (status, "", Some(0)));
        assert_eq!(pairs(&seen.headers), upstream.head);
        assert_eq!(seen.reports.len(), 0);
        // With a body, contrary to RFC 9110, 15.3.5, it may contain a hidden value.
        let mut upstream = Upstream::new(&[("content-type", "text/event-stream")]);
        upstream.status = status;
        assert_eq!(ask(&upstream, request("/relayed")).reports.len(), 1);
    }
}

/// They name the bytes of the upstream's body (RFC 9530; RFC 9110, 8.8.1), not those of the relay.
#[test]
fn digests_of_a_relayed_body_are_removed() {
    let names = ["content-digest", "repr-digest", "digest", "content-md5", "etag"];
    let head: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
    let passed = Upstream::new(&head);
    assert_eq!(ask(&passed, request("/relayed")).headers.len(), names.len());
    let stream = [&head[..], &head, &[("content-type", "text/event-stream")]].concat();
    let seen = ask(&Upstream::new(&stream), request("/relayed"));
    assert_eq!(pairs(&seen.headers), [("content-type", "text/event-stream")]);
    assert_eq!(seen.reports.len(), 1);
}

/// Fails closed: nothing of a body that the relay can't read leaves.
#[test]
fn a_compressed_stream_is_refused() {
    for encoding in ["gzip", "identity, br", "x"] {
        let upstream = Upstream::new(&[
            ("content-type", "text/event-stream"),
            ("content-encoding", "identity"),
            ("content-encoding", encoding),
            ("content-length", "1234"),
        ]);
        let seen = ask(&upstream, request("/relayed"));
        assert_eq!(seen.status, 502);
        assert_eq!(pairs(&seen.headers), [("content-type", "application/json")]);
        let json: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(json["error"]["code"], StopReason::Unreadable.as_str());
        assert_eq!(seen.exact, Some(seen.body.len() as u64));
        let outcomes: Vec<_> = seen.reports.iter().map(|report| report.outcome.clone()).collect();
        assert_eq!(outcomes, [RelayOutcome::Stopped(StopReason::Unreadable)]);
    }
}

/// Head, length and bytes of all other responses are those of the service. So is its error.
#[test]
fn responses_of_other_types_pass() {
    let stream = [("content-encoding", "gzip"), ("content-type", "text/event-stream")];
    let json = [("content-length", "99"), ("content-type", "application/json")];
    let head = Request::builder().method(Method::HEAD).uri("/relayed").body(()).unwrap();
    let mut failed = Upstream::new(&stream);
    failed.status = 429;
    for (upstream, request, headers, encoding) in [
        (Upstream::new(&stream), request("/other"), stream, Some("gzip, br")),
        (Upstream::new(&json), request("/relayed"), json, Some("identity")),
        (failed, request("/relayed"), stream, Some("identity")),
        (Upstream::new(&stream), head, stream, None),
    ] {
        let seen = ask(&upstream, request);
        assert_eq!((seen.status, &*seen.body), (upstream.status, EVENT));
        assert_eq!(seen.exact, Some(EVENT.len() as u64));
        assert_eq!(pairs(&seen.headers), headers);
        assert_eq!(seen.reports.len(), 0);
        assert_eq!(upstream.encodings.borrow()[0].as_deref(), encoding);
    }
    let mut broken = Upstream::new(&json);
    broken.steps = vec![Step::Piece(Bytes::from_static(b"{")), Step::Fail("reset")];
    let seen = ask(&broken, request("/relayed"));
    assert_eq!((&*seen.body, seen.error), ("{", Some(RelayError::Upstream("reset"))));
}

#[test]
fn readiness_is_that_of_the_service() {
    let mut upstream = Upstream::new(&[("content-type", "text/event-stream")]);
    upstream.ready = false;
    // `ask` compares the two.
    ask(&upstream, request("/relayed"));
}
