//! The server: connections in HTTP/1 and HTTP/2, the figures beside it, and a graceful end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::client::Connection;
use super::config::{Config, Limits};
use super::paced::paced;
use super::refusal::{Refusal, whole};
use super::state::Gateway;
use super::{Body, BoxError, say};

/// Streams of an HTTP/2 connection at a time.
const STREAMS_PER_CONNECTION: u32 = 100;

/// Media type of the figures.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// First bytes of a connection in HTTP/2.
const PREFACE: &[u8] = b"PRI ";

/// An answer to come. It is boxed, so that its state is freed while the body of the answer lasts.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serves until a signal, and then until the open streams have ended, or their time is over.
pub(crate) async fn run(config: Config) -> Result<(), BoxError> {
    let (listen, metrics) = (config.listen, config.metrics);
    let gateway = Arc::new(Gateway::new(config)?);
    let listener = TcpListener::bind(listen).await?;
    let figures = match metrics {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    say(&format!("gateway: listening on http://{}", listener.local_addr()?));
    let figures = figures.map(|listener| {
        if let Ok(address) = listener.local_addr() {
            say(&format!("gateway: figures at http://{address}/metrics"));
        }
        tokio::spawn(serve_figures(listener, Arc::clone(&gateway)))
    });
    let open = GracefulShutdown::new();
    let limits = &gateway.config.limits;
    let of_service = Arc::clone(&gateway);
    let answer = move |request: Request<Incoming>| -> Answer {
        let gateway = Arc::clone(&of_service);
        Box::pin(async move {
            let version = request.version();
            let answer = gateway.answer(request).await;
            if version < Version::HTTP_2 {
                return Ok(answer);
            }
            Ok(answer.map(|body| paced(body, gateway.config.limits.client_idle_seconds)))
        })
    };
    tokio::select! {
        () = accept(&listener, limits, &open, answer) => {}
        () = stop() => {}
    }
    drop(listener);
    say(&format!("gateway: stopping, {} streams are open", gateway.metrics.active.get()));
    if timeout(limits.grace_seconds, open.shutdown()).await.is_err() {
        say(&format!("gateway: {} streams cut off", gateway.metrics.active.get()));
    }
    if let Some(figures) = figures {
        figures.abort();
    }
    Ok(())
}

/// Serves the figures on an address of their own, which clients needn't reach.
async fn serve_figures(listener: TcpListener, gateway: Arc<Gateway>) {
    let of_service = Arc::clone(&gateway);
    let page = move |request: Request<Incoming>| -> Answer {
        let page = page(&of_service, &request);
        Box::pin(async move { Ok(page) })
    };
    accept(&listener, &gateway.config.limits, &GracefulShutdown::new(), page).await;
}

/// Accepts connections, and answers their requests by `answer`.
async fn accept<A>(listener: &TcpListener, limits: &Limits, open: &GracefulShutdown, answer: A)
where
    A: Fn(Request<Incoming>) -> Answer + Clone + Send + 'static,
{
    loop {
        let tcp = next(listener).await;
        let answer = answer.clone();
        let open = open.watcher();
        let (head_time, idle) = (limits.request_seconds, limits.client_idle_seconds);
        tokio::spawn(async move {
            let Ok(is_http1) = timeout(head_time, is_http1(&tcp)).await else { return };
            let tcp = TokioIo::new(Connection::new(tcp, idle, head_time));
            let service = service_fn(answer);
            // A client that leaves is an error to hyper; the log of its stream has the meaning. A task of
            // its own for the connection frees this one, whose state would last as long.
            if is_http1 {
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(head_time);
                tokio::spawn(open.watch(http.serve_connection(tcp, service)));
            } else {
                let http = http(head_time, idle);
                let connection = http.serve_connection(tcp, service).into_owned();
                tokio::spawn(open.watch(connection));
            }
        });
    }
}

/// Returns true if the first bytes of a client aren't those of HTTP/2.
///
/// The server for both versions needs twice the buffers for a connection in HTTP/1.
async fn is_http1(tcp: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    let read = tcp.peek(&mut first).await.unwrap_or_default();
    !first.get(..read).is_some_and(|first| PREFACE.starts_with(first))
}

/// Waits for the next connection.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        if let Ok((tcp, _)) = listener.accept().await {
            let _late = tcp.set_nodelay(true);
            return tcp;
        }
        // No file descriptor is free, or the client has left: the next attempt may succeed.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns a server for both versions, with time limits for heads of requests and idle connections.
fn http(head_time: Duration, idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(head_time);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .keep_alive_interval(idle)
        .keep_alive_timeout(idle);
    http
}

/// Answers a request for the figures.
fn page(gateway: &Gateway, request: &Request<Incoming>) -> Response<Body> {
    if request.uri().path() != "/metrics" {
        return Refusal::new(StatusCode::NOT_FOUND, "there is only /metrics").into_response();
    }
    let mut response = Response::new(whole(gateway.metrics.page()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    response
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
