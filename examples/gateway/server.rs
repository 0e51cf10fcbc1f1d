//! The server: connections in HTTP/1 and HTTP/2, the figures beside it, and a graceful end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
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
    let answer = move |request: Request<Incoming>| {
        let gateway = Arc::clone(&of_service);
        async move {
            let version = request.version();
            let answer = gateway.answer(request).await;
            if version < Version::HTTP_2 {
                return answer;
            }
            answer.map(|body| paced(body, gateway.config.limits.client_idle_seconds))
        }
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
    let page = move |request: Request<Incoming>| {
        let page = page(&of_service, &request);
        async move { page }
    };
    accept(&listener, &gateway.config.limits, &GracefulShutdown::new(), page).await;
}

/// Accepts connections, and answers their requests by `answer`.
async fn accept<A, F>(listener: &TcpListener, limits: &Limits, open: &GracefulShutdown, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Limits { request_seconds, client_idle_seconds, .. } = *limits;
    loop {
        let tcp = next(listener).await;
        let connection = Connection::new(tcp, client_idle_seconds, request_seconds);
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let http = http(request_seconds, client_idle_seconds);
        let connection = http.serve_connection(TokioIo::new(connection), service).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that leaves is an error to hyper; the log of its stream has the meaning.
            let _left = connection.await;
        });
    }
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

/// Returns an HTTP server with time limits for the head of a request, and for idle connections.
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
