//! An axum handler that relays an upstream, with another name for its model and the usage hidden.
//!
//! ```sh
//! cargo run -p deltawire-cli --features serve -- serve tests/streams/*.sse &
//! cargo run -p deltawire-demo --example axum -- http://127.0.0.1:8081 text &
//! curl -N -d '{"model":"large","stream":true}' http://127.0.0.1:8080/v1/chat/completions
//! ```

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use deltawire::adapters::RelayStream;
use deltawire::gateway::request::{AskedBy, ChatRequest};
use deltawire::gateway::{Editor, Relay, RelayReport, UsageVisibility};
use deltawire::sse::is_event_stream;

/// The upstream, and the name of the model `large` there.
struct Upstream {
    client: reqwest::Client,
    url: String,
    model: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(model)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum UPSTREAM MODEL".into());
    };
    let upstream = Arc::new(Upstream { client: reqwest::Client::new(), url, model });
    let app = axum::Router::new().route("/v1/chat/completions", post(chat)).with_state(upstream);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(listener, app).await?)
}

type Refusal = (StatusCode, String);

async fn chat(
    State(upstream): State<Arc<Upstream>>,
    body: axum::body::Bytes,
) -> Result<Response, Refusal> {
    let start = Instant::now();
    let bad_request = |error: deltawire::Error| (StatusCode::BAD_REQUEST, error.to_string());
    // The client isn't to see the upstream's URL.
    let bad_gateway =
        |error: reqwest::Error| (StatusCode::BAD_GATEWAY, error.without_url().to_string());
    let mut request = ChatRequest::read(&body).map_err(bad_request)?;
    if request.model() != Some("large") || !request.is_stream() {
        return Err((StatusCode::BAD_REQUEST, "only streams of the model `large`".to_owned()));
    }
    request.set_model(&upstream.model);
    let mut editor = Editor::new();
    editor.replace("model", "large");
    if request.ask_for_usage() == AskedBy::Gateway {
        editor.hide_usage(UsageVisibility::Removed);
    }
    let asked = upstream.client.post(format!("{}/v1/chat/completions", upstream.url));
    let asked = asked.header(header::CONTENT_TYPE, "application/json");
    let asked = asked.body(request.edited().into_owned()).send();
    let answer = asked.await.and_then(reqwest::Response::error_for_status).map_err(bad_gateway)?;
    let content_type = answer.headers().get(header::CONTENT_TYPE);
    if !content_type.and_then(|value| value.to_str().ok()).is_some_and(is_event_stream) {
        return Err((StatusCode::BAD_GATEWAY, "the upstream doesn't stream".to_owned()));
    }
    let relay = Relay::builder().measure().edit(editor).build();
    let relayed = RelayStream::new(answer.bytes_stream(), relay, log).with_start(start);
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(relayed)).into_response())
}

/// Logs a stream by its report, also if the client has left.
fn log(report: RelayReport) {
    let tokens = report.stream.tokens.and_then(|tokens| tokens.completion);
    let first = report.latency.and_then(|latency| latency.time_to_first_token);
    let line = format!("{}: {tokens:?} tokens, the first one after {first:?}\n", report.outcome);
    let _unread = std::io::stderr().write_all(line.as_bytes());
}
