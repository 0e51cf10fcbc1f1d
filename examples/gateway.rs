//! A gateway for streaming chat completions: a reverse proxy on hyper that watches what it forwards.
//!
//! It is made to be copied from. What each file is for:
//!
//! - here: the server, and the way of a request to the upstream and back;
//! - `gateway/request.rs`: what is changed in a request, and what follows from that for the answer;
//! - `gateway/relay.rs`: the bodies of answers: watched, edited, or left alone;
//! - `gateway/metrics.rs`: what Prometheus reads;
//! - `gateway/options.rs`: the command line.

#[path = "gateway/metrics.rs"]
mod metrics;
#[path = "gateway/options.rs"]
mod options;
#[path = "gateway/relay.rs"]
mod relay;
#[path = "gateway/request.rs"]
mod request;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use deltawire::adapters::{BodyStep, ObservedBody};
use deltawire::gateway::Sniffed;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use metrics::Metrics;
use options::Options;
use relay::{Edited, Flushed, Idle, Stream, Watcher};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);

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

/// Writes a line to standard error. Where it can't be written to, nobody reads it.
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

/// What all requests share.
struct Gateway<C> {
    options: Options,
    client: Client<C, Body>,
    metrics: Arc<Metrics>,
    streams: Arc<Semaphore>,
}

/// Serves until it is told to stop, and then until the open streams have ended, or their time is over.
async fn serve<C>(options: Options, connector: C) -> io::Result<()>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind(options.listen).await?;
    say(&format!("gateway: listening on http://{}", listener.local_addr()?));
    let gateway = Arc::new(Gateway {
        client: Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector),
        metrics: Arc::default(),
        streams: Arc::new(Semaphore::new(options.max_streams)),
        options,
    });
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop());
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            () = &mut stop => break,
        };
        // Out of file descriptors, or gone already: the next one may be better off.
        let Ok((connection, _)) = connection else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _late = connection.set_nodelay(true);
        let gateway = Arc::clone(&gateway);
        let service = service_fn(move |request| {
            let gateway = Arc::clone(&gateway);
            async move { Ok::<_, Infallible>(gateway.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(connection), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that leaves is an error to hyper; what it means is in the log of its stream.
            let _left = connection.await;
        });
    }
    drop(listener);
    let grace = gateway.options.grace;
    say(&format!("gateway: stopping, {} streams are open", gateway.metrics.active()));
    if timeout(grace, open.shutdown()).await.is_err() {
        say(&format!("gateway: {} streams cut off", gateway.metrics.active()));
    }
    Ok(())
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

impl<C: Connect + Clone + Send + Sync + 'static> Gateway<C> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if path == "/metrics" && request.method() == Method::GET {
            let mut response = Response::new(whole(self.metrics.to_string()));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            return response;
        }
        if !path.starts_with("/v1/") {
            return refuse(StatusCode::NOT_FOUND, "there is nothing here but /v1/ and /metrics");
        }
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            self.metrics.refused();
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time");
        };
        match self.forward(request, permit).await {
            Ok(response) => response,
            Err((status, reason)) => {
                self.metrics.refused();
                refuse(status, reason)
            }
        }
    }

    /// Asks the upstream, and passes its answer on.
    async fn forward(
        &self,
        request: Request<Incoming>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, (StatusCode, &'static str)> {
        let started = Instant::now();
        let is_chat =
            request.method() == Method::POST && request.uri().path() == "/v1/chat/completions";
        let (mut head, body) = request.into_parts();
        head.uri = self.upstream_uri(&head.uri)?;
        drop_hop_by_hop(&mut head.headers);
        head.headers.remove(header::HOST);
        let (body, plan) = if is_chat {
            let body = Limited::new(body, self.options.max_request).collect().await;
            let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large or was cut");
            let body = body.map_err(|_| too_large)?.to_bytes();
            let (body, plan) = request::prepare(body, &self.options);
            // What is compressed can't be watched. The length is set anew.
            let identity = HeaderValue::from_static("identity");
            head.headers.insert(header::ACCEPT_ENCODING, identity);
            head.headers.remove(header::CONTENT_LENGTH);
            (whole(body), plan)
        } else {
            (body.map_err(Into::into).boxed_unsync(), request::Plan::default())
        };
        let answer = self.client.request(Request::from_parts(head, body));
        let answer = timeout(self.options.idle, answer).await;
        let answer = answer
            .map_err(|_| (StatusCode::GATEWAY_TIMEOUT, "the upstream doesn't answer"))?
            .map_err(|_| (StatusCode::BAD_GATEWAY, "the upstream can't be reached"))?;
        let (mut head, body) = answer.into_parts();
        drop_hop_by_hop(&mut head.headers);
        let mut body = Idle::new(body, self.options.idle);
        let json = Sniffed::NotAnEventStream(deltawire::Body::Json);
        let kind = match text_of(&head.headers, &header::CONTENT_TYPE) {
            Some(name) if deltawire::is_event_stream(name) => Some(Sniffed::EventStream),
            Some(name) if name.starts_with("application/json") => Some(json),
            // Servers forget to say it, or say `text/plain`.
            _ if is_chat => Some(body.sniff().await),
            _ => None,
        };
        let body = if kind == Some(Sniffed::EventStream) && !self.options.no_tap {
            let request_id = text_of(&head.headers, &HeaderName::from_static("x-request-id"));
            let stream = Stream {
                metrics: Arc::clone(&self.metrics),
                model: plan.model.clone(),
                request_id: request_id.map(str::to_owned),
                with_message: self.options.log_messages,
                started,
            };
            let watcher = Watcher::new(stream, permit);
            match plan.editor() {
                None => Flushed::new(ObservedBody::new(body, watcher)).boxed_unsync(),
                Some(editor) => {
                    head.headers.remove(header::CONTENT_LENGTH);
                    Flushed::new(Edited::new(body, watcher, editor)).boxed_unsync()
                }
            }
        } else if let Some(alias) = plan.alias.as_deref().filter(|_| kind == Some(json)) {
            let body = Limited::new(body, self.options.max_request).collect().await;
            let failed = (StatusCode::BAD_GATEWAY, "the upstream's answer is too large or was cut");
            let body = body.map_err(|_| failed)?.to_bytes();
            head.headers.remove(header::CONTENT_LENGTH);
            whole(request::rename(body, alias))
        } else {
            // The permit is given back when the body is dropped.
            let holding = move |_: BodyStep<'_>| _ = &permit;
            Flushed::new(ObservedBody::new(body, holding)).boxed_unsync()
        };
        Ok(Response::from_parts(head, body))
    }

    /// The path of a request behind the upstream's address.
    fn upstream_uri(&self, uri: &Uri) -> Result<Uri, (StatusCode, &'static str)> {
        let base = &self.options.upstream;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = format!("{}{path}", base.path().trim_end_matches('/'));
        let mut parts = base.clone().into_parts();
        let bad = |_| (StatusCode::BAD_REQUEST, "the path isn't one");
        parts.path_and_query = Some(path.parse().map_err(bad)?);
        Uri::from_parts(parts).map_err(|_| (StatusCode::BAD_REQUEST, "the path isn't one"))
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Removes what is between two neighbours and not for those behind them (RFC 9110, 7.6.1).
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|names| names.to_str().ok());
    let named: Vec<_> = named.flat_map(|names| names.split(',').map(str::trim)).collect();
    let named: Vec<HeaderName> = named.iter().filter_map(|name| name.parse().ok()).collect();
    let keep_alive = HeaderName::from_static("keep-alive");
    for name in named.iter().chain([
        &header::CONNECTION,
        &keep_alive,
        &header::PROXY_AUTHENTICATE,
        &header::PROXY_AUTHORIZATION,
        &header::TE,
        &header::TRAILER,
        &header::TRANSFER_ENCODING,
        &header::UPGRADE,
    ]) {
        headers.remove(name);
    }
}

fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An error of the gateway's own, in the form that clients know.
fn refuse(status: StatusCode, reason: &str) -> Response<Body> {
    let error = serde_json::json!({"error": {"message": reason, "type": "gateway_error", "code": null, "param": null}});
    let mut response = Response::new(whole(error.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
