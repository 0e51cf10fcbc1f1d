//! A gateway for streaming chat completions: a reverse proxy on hyper that watches all streams.
//!
//! It is made to be copied from. The files are:
//!
//! - here: the process, and the server;
//! - `gateway/options.rs`: the command line;
//! - `gateway/forward.rs`: requests on their way to the upstream;
//! - `gateway/path.rs`: one spelling for each path, before it is compared or forwarded;
//! - `gateway/headers.rs`: headers of one connection only, and headers that describe a body;
//! - `gateway/request.rs`: the changes of a request, and their consequences for the answer;
//! - `gateway/json.rs`: edits of JSON texts by position, without a tree;
//! - `gateway/answer.rs`: answers on their way back: watched, edited, refused, or unchanged;
//! - `gateway/edited.rs`: streams with edits;
//! - `gateway/watch.rs`: streams that are counted and logged;
//! - `gateway/idle.rs`: time limits for the upstream's body;
//! - `gateway/client.rs`, `gateway/patience.rs`: time limits for a client;
//! - `gateway/whole.rs`: bodies that are read whole, in bounded memory;
//! - `gateway/refusal.rs`: the gateway's own errors;
//! - `gateway/metrics.rs`: the figures for Prometheus.

#[path = "gateway/answer.rs"]
mod answer;
#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/edited.rs"]
mod edited;
#[path = "gateway/forward.rs"]
mod forward;
#[path = "gateway/headers.rs"]
mod headers;
#[path = "gateway/idle.rs"]
mod idle;
#[path = "gateway/json.rs"]
mod json;
#[path = "gateway/metrics.rs"]
mod metrics;
#[path = "gateway/options.rs"]
mod options;
#[path = "gateway/path.rs"]
mod path;
#[path = "gateway/patience.rs"]
mod patience;
#[path = "gateway/refusal.rs"]
mod refusal;
#[path = "gateway/request.rs"]
mod request;
#[path = "gateway/watch.rs"]
mod watch;
#[path = "gateway/whole.rs"]
mod whole;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use client::Connection;
use forward::Gateway;
use metrics::Metrics;
use options::Options;
use refusal::Refusal;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            let printed = io::stdout().write_all(options::HELP.as_bytes());
            return if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => {
            say(&format!("gateway: {error}\nTry --help."));
            return ExitCode::from(2);
        }
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        runtime.worker_threads(threads);
    }
    let served = runtime.enable_all().build().and_then(|runtime| runtime.block_on(run(options)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("gateway: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard error, and ignores a failure.
fn say(line: &str) {
    let _unread = writeln!(io::stderr(), "{line}");
}

async fn run(options: Options) -> io::Result<()> {
    let mut tcp = HttpConnector::new();
    // An event is small, and must not wait for the next one.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(options.idle));
    if options.upstream.scheme_str() == Some("https") {
        tcp.enforce_http(false);
        let tls = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?;
        serve(options, tls.https_only().enable_http1().wrap_connector(tcp)).await
    } else {
        serve(options, tcp).await
    }
}

/// Serves until it is told to stop, and then until the open streams have ended, or their time is over.
async fn serve<C>(options: Options, connector: C) -> io::Result<()>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind(options.listen).await?;
    let metrics = Arc::<Metrics>::default();
    let (mut figures, mut figures_at) = (None, None);
    if let Some(address) = options.metrics {
        let listener = TcpListener::bind(address).await?;
        figures_at = Some(listener.local_addr()?);
        figures = Some(tokio::spawn(show(listener, Arc::clone(&metrics), options.client_idle)));
    }
    say(&format!("gateway: listening on http://{}", listener.local_addr()?));
    if let Some(address) = figures_at {
        say(&format!("gateway: figures at http://{address}/metrics"));
    }
    let gateway = Arc::new(Gateway::new(options, metrics, connector));
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop());
    loop {
        let tcp = tokio::select! {
            tcp = accept(&listener) => tcp,
            () = &mut stop => break,
        };
        let of_service = Arc::clone(&gateway);
        let service = service_fn(move |request| {
            let gateway = Arc::clone(&of_service);
            async move { Ok::<_, Infallible>(gateway.answer(request).await) }
        });
        let connection = TokioIo::new(Connection::new(tcp, gateway.options.client_idle));
        let connection =
            http(gateway.options.request_timeout).serve_connection(connection, service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that leaves is an error to hyper; the log of its stream has the meaning.
            let _left = connection.await;
        });
    }
    drop(listener);
    let grace = gateway.options.grace;
    say(&format!("gateway: stopping, {} streams are open", gateway.metrics.active()));
    if timeout(grace, open.shutdown()).await.is_err() {
        say(&format!("gateway: {} streams cut off", gateway.metrics.active()));
    }
    if let Some(figures) = figures {
        figures.abort();
    }
    Ok(())
}

/// Serves the figures on an address of their own, which clients needn't reach.
async fn show(listener: TcpListener, metrics: Arc<Metrics>, patience: Duration) {
    loop {
        let tcp = accept(&listener).await;
        let metrics = Arc::clone(&metrics);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let response = if request.uri().path() == "/metrics" {
                let mut response = Response::new(refusal::whole(metrics.to_string()));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            } else {
                let nothing = Refusal::new(StatusCode::NOT_FOUND, "there is only /metrics");
                nothing.into_response()
            };
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = TokioIo::new(Connection::new(tcp, patience));
        let connection = http(patience).serve_connection(connection, service);
        tokio::spawn(async move {
            let _left = connection.await;
        });
    }
}

/// Waits for the next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        if let Ok((tcp, _)) = listener.accept().await {
            let _late = tcp.set_nodelay(true);
            return tcp;
        }
        // No file descriptor is free, or the client has left: the next attempt may succeed.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns an HTTP server with a time limit for the head of a request.
fn http(head_time: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_time);
    http
}

/// Waits for a signal to stop.
async fn stop() {
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
