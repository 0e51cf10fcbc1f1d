//! A relayed body in a server of hyper: a failure arrives behind its error event, and never as an end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use deltawire::adapters::RelayBody;
use deltawire::gateway::{Relay, RelayReport};
use hyper::body::{Body, Frame};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// A body of frames that are there at once.
struct Frames(VecDeque<io::Result<&'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.0.pop_front();
        Poll::Ready(
            next.map(|next| next.map(|text| Frame::data(Bytes::from_static(text.as_bytes())))),
        )
    }
}

/// Returns all bytes that a client receives until the connection is closed.
fn ask(address: SocketAddr) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut received = Vec::new();
    // A reset behind the last bytes is an error too.
    let _end = stream.read_to_end(&mut received);
    String::from_utf8(received).unwrap()
}

/// Serves one response, and returns its bytes.
fn serve<B>(make: impl Fn() -> B) -> String
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::thread::spawn(move || ask(address));
        let (stream, _) = listener.accept().await.unwrap();
        let respond = |_: Request<hyper::body::Incoming>| {
            let response = Response::new(make());
            async move { Ok::<_, io::Error>(response) }
        };
        let _end =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond)).await;
        client.join().unwrap()
    })
}

fn frames(fails: bool) -> Frames {
    let failure = fails.then(|| Err(io::Error::other("reset")));
    Frames([Ok(STOP)].into_iter().chain(failure).collect())
}

fn relayed(fails: bool) -> RelayBody<Frames, fn(RelayReport)> {
    RelayBody::new(frames(fails), Relay::builder().build(), drop)
}

#[test]
fn a_failure_arrives_behind_its_error_event() {
    let received = serve(|| relayed(true));
    let (event, error) = (received.find(STOP.trim_end()), received.find("\"code\":\"cut\""));
    assert!(event.unwrap() < error.unwrap(), "{received}");
    assert!(!received.ends_with("0\r\n\r\n"), "a clean end: {received}");
    // Without the pause of a relayed body, hyper closes the connection and drops its buffer.
    let received = serve(|| frames(true));
    assert!(!received.contains("data: "), "{received}");
}

#[test]
fn a_whole_stream_ends_cleanly() {
    let received = serve(|| relayed(false));
    assert!(received.contains(STOP.trim_end()) && received.ends_with("0\r\n\r\n"), "{received}");
    assert!(!received.contains("error"), "{received}");
}
