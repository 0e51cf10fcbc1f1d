//! `deltawire serve`: an upstream that replays recorded streams, and misbehaves on demand.

mod body;
mod generated;
mod recording;
mod wishes;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use body::{Step, Steps};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use recording::{Recording, Recordings};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;
pub(crate) use wishes::Wishes;

use crate::output::{Failure, say};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";

/// Most bytes of a request.
const MOST_BYTES: usize = 64 << 20;

/// The arguments of `serve`.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) files: Vec<PathBuf>,
    /// The defaults for all requests.
    pub(crate) wishes: Wishes,
}

/// The state that all requests share.
struct Server {
    recordings: Recordings,
    wishes: Wishes,
}

/// Serves until the process ends; returns only with a failure.
pub(crate) fn serve(options: Options) -> Result<u8, Failure> {
    let recordings = Recordings::read(&options.files)?;
    let server = Arc::new(Server { recordings, wishes: options.wishes });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let listen = |error| Failure { file: options.listen.to_string(), error, is_of_input: false };
    let ended: io::Result<Infallible> = runtime.map_err(listen)?.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        say(&format!("deltawire: listening on http://{}", listener.local_addr()?));
        accept(listener, server).await
    });
    ended.map(|never| match never {}).map_err(listen)
}

async fn accept(listener: TcpListener, server: Arc<Server>) -> io::Result<Infallible> {
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            // Without file descriptors, for example.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _late = connection.set_nodelay(true);
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        tokio::spawn(async move {
            let connection = TokioIo::new(connection);
            let _left = http1::Builder::new().serve_connection(connection, service).await;
        });
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Steps> {
        let wishes = match self.wishes.with(&request) {
            Ok(wishes) => wishes,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
        };
        if let Some(status) = wishes.status {
            return refuse(status, "this status was asked for");
        }
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/v1/chat/completions") => {}
            (&Method::GET, "/v1/models") => return self.models(),
            _ => return refuse(StatusCode::NOT_FOUND, "expected POST /v1/chat/completions"),
        }
        let body = Limited::new(request.into_body(), MOST_BYTES).collect().await;
        let asked: Option<Map<String, Value>> =
            body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
        match asked {
            Some(asked) => self.complete(&asked, &wishes),
            None => refuse(StatusCode::BAD_REQUEST, "expected a JSON object of at most 64 MiB"),
        }
    }

    fn complete(&self, asked: &Map<String, Value>, wishes: &Wishes) -> Response<Steps> {
        let is_true =
            |value: Option<&Value>| value.is_some_and(|value| *value == Value::Bool(true));
        let with_usage =
            is_true(asked.get("stream_options").and_then(|options| options.get("include_usage")));
        if let Some(count) = wishes.generate {
            let steps = generated::steps(wishes, count, with_usage);
            return with_type(Response::new(Steps::new(steps)), EVENT_STREAM);
        }
        let model = asked.get("model").and_then(Value::as_str).unwrap_or_default();
        let recording = match &wishes.recording {
            Some(name) => self.recordings.named(name),
            None => self.recordings.of_model(model),
        };
        match recording {
            None => refuse(StatusCode::NOT_FOUND, "expected the name of a recording"),
            Some(recording) if is_true(asked.get("stream")) => {
                stream(recording, with_usage, wishes)
            }
            Some(recording) => whole(recording.completion()),
        }
    }

    /// Lists the recordings as models.
    fn models(&self) -> Response<Steps> {
        let model = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "file"});
        let models: Vec<_> = self.recordings.names().map(model).collect();
        whole(json!({"object": "list", "data": models}).to_string().into())
    }
}

fn stream(recording: &Recording, with_usage: bool, wishes: &Wishes) -> Response<Steps> {
    let mut response = Response::new(Steps::new(recording.steps(with_usage, wishes)));
    if wishes.gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    match wishes.r#type.as_deref() {
        Some("none") => response,
        kind => with_type(response, kind.unwrap_or(EVENT_STREAM)),
    }
}

fn whole(json: Vec<u8>) -> Response<Steps> {
    with_type(Response::new(Steps::new([Step::Send(json.into())])), JSON)
}

fn with_type(mut response: Response<Steps>, kind: &str) -> Response<Steps> {
    if let Ok(kind) = HeaderValue::from_str(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

fn refuse(status: StatusCode, reason: &str) -> Response<Steps> {
    let error =
        json!({"error": {"message": reason, "type": "upstream_error", "code": status.as_u16()}});
    let mut response = whole(error.to_string().into());
    *response.status_mut() = status;
    response
}
