//! The shortest gateway that watches, renames, hides, redacts, caches and converts, with axum.
//!
//! ```sh
//! cargo run -p deltawire-cli --features serve -- serve tests/streams/*.sse &
//! cargo run -p deltawire-demo --example minimal_gateway -- http://127.0.0.1:8081 text 127.0.0.1:8080 &
//! curl -N -d '{"model":"large","stream":true}' http://127.0.0.1:8080/v1/chat/completions
//! ```
//!
//! A client receives a stream or a completion, as it asked for, of an upstream that sends either.

#![expect(clippy::print_stderr, reason = "the shortest log")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use deltawire::Reassembler;
use deltawire::adapters::{ChunkStream, RelayStream};
use deltawire::completion::{ChatCompletion, FinishedCompletion};
use deltawire::gateway::request::{AskedBy, ChatRequest};
use deltawire::gateway::{
    Editor, Guard, Relay, RelayEnd, RelayGuard, Replay, UsageVisibility, Words,
};
use deltawire::sse::is_event_stream;

const ALIAS: &str = "large"; // as clients call the model
const SECRETS: [&str; 2] = ["brown fox", "hunter2"]; // which clients don't see
const MOST_BYTES: usize = 8 << 20; // of a completion that isn't streamed
const EVENT_STREAM: (HeaderName, &str) = (header::CONTENT_TYPE, "text/event-stream");
const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

struct Gateway {
    client: reqwest::Client,
    url: String,
    model: String,
    key: String,
    /// Answers as the upstream sent them, by request.
    cache: Mutex<HashMap<Bytes, Arc<ChatCompletion>>>,
}

type Refusal = (StatusCode, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, model, listen] = &arguments[..] else { return Err("UPSTREAM MODEL ADDRESS".into()) };
    let client = reqwest::Client::builder().read_timeout(Duration::from_secs(60)).build()?;
    let (url, model) = (format!("{url}/v1/chat/completions"), model.clone());
    let key = std::env::var("OPENAI_API_KEY").unwrap_or_default();
    let gateway = Arc::new(Gateway { client, url, model, key, cache: Mutex::default() });
    let app = axum::Router::new().route("/v1/chat/completions", post(chat)).with_state(gateway);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn chat(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Result<Response, Refusal> {
    let start = Instant::now();
    let mut request = ChatRequest::read(&body).map_err(|error| refuse(400, error))?;
    let (is_stream, mut editor) = (request.is_stream(), Editor::new());
    if request.model() == Some(ALIAS) {
        request.set_model(&gateway.model);
        editor.replace("model", ALIAS);
    }
    if request.ask_for_usage() == AskedBy::Gateway {
        editor.hide_usage(UsageVisibility::Removed);
    }
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(SECRETS), "[redacted]");
    let relay = Relay::builder().measure().edit(editor).guard(guard).collect().build();
    if let Some(cached) = gateway.cache().get(&body).cloned() {
        return answer(&cached, is_stream, relay);
    }
    let sent = gateway.client.post(&gateway.url).header(JSON.0, JSON.1).bearer_auth(&gateway.key);
    let sent = sent.body(request.edited().into_owned()).send().await;
    let mut sent = sent.map_err(|error| refuse(502, error.without_url()))?;
    if !sent.status().is_success() {
        return Err((sent.status(), "the upstream refuses the request".to_owned()));
    }
    let kind = sent.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let finished = if !kind.is_some_and(is_event_stream) {
        let mut json = Vec::new();
        while let Some(piece) = sent.chunk().await.map_err(|error| refuse(502, error))? {
            json.extend_from_slice(&piece);
            if json.len() > MOST_BYTES {
                return Err(refuse(502, "the upstream's answer is too large"));
            }
        }
        let read = Relay::builder().build().write_completion(&json, &mut Vec::new());
        read.map_err(|error| refuse(502, error))?.finished
    } else if is_stream {
        let relayed = RelayStream::new(sent.bytes_stream(), relay, move |report| {
            let first = report.latency.and_then(|latency| latency.time_to_first_token);
            eprintln!("{}, {:?}, first token {first:?}", report.outcome, report.stream.tokens);
            if report.handling().may_be_cached {
                gateway.keep(body, report.completion);
            }
        });
        return Ok(([EVENT_STREAM], Body::from_stream(relayed.with_start(start))).into_response());
    } else {
        let mut completion = Reassembler::new();
        let mut chunks = ChunkStream::new(sent.bytes_stream());
        while let Some(event) = chunks.next().await {
            completion.push_payload(event.map_err(|error| refuse(502, error))?.payload());
        }
        completion.finish(chunks.finish())
    };
    eprintln!("{}, {:?}", finished.outcome, finished.completion.tokens());
    finished.whole().map_err(|error| refuse(finished.handling().http_status, error))?;
    let response = answer(&finished.completion, is_stream, relay);
    gateway.keep(body, Some(finished));
    response
}

/// Returns a completion as the client asked for it, by the rules of a relay.
fn answer(whole: &ChatCompletion, is_stream: bool, mut relay: Relay) -> Result<Response, Refusal> {
    let (mut body, mut out) = (Vec::new(), Vec::new());
    if is_stream {
        Replay::new(whole).write_all(&mut body);
        let _seen_at_the_end = relay.push(&body, Duration::ZERO, &mut out);
        relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
        return Ok(([EVENT_STREAM], out).into_response());
    }
    whole.write_json(&mut body);
    relay.write_completion(&body, &mut out).map_err(|error| refuse(502, error))?;
    Ok(([JSON], out).into_response())
}

impl Gateway {
    fn cache(&self) -> MutexGuard<'_, HashMap<Bytes, Arc<ChatCompletion>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer if it was whole.
    fn keep(&self, request: Bytes, finished: Option<FinishedCompletion>) {
        let mut cache = self.cache();
        let finished = finished.filter(|finished| finished.handling().may_be_cached);
        if let Some(finished) = finished.filter(|_| cache.len() < 1000) {
            cache.insert(request, Arc::new(finished.completion));
        }
    }
}

fn refuse(status: u16, error: impl ToString) -> Refusal {
    (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), error.to_string())
}
