//! The body of an answer over HTTP/2, which ends when its client reads nothing for too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;

use super::{Body, BoxError};

/// A body that a task reads.
///
/// The window of a stream stops hyper from polling its body, while the connection is open for other
/// streams. So neither the body nor the connection can detect a client that doesn't read. The task
/// does: it drops the body with its permit, and the stream fails.
struct Paced(Receiver<Result<Frame<Bytes>, BoxError>>);

/// Returns a body for a client that reads each piece within a time.
pub(crate) fn paced(mut body: Body, most: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let (sender, frames) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = sender.closed() => return,
            };
            let Some(frame) = frame else { return };
            if !matches!(timeout(most, sender.send(frame)).await, Ok(Ok(()))) {
                break;
            }
        }
        drop(body);
        let _left = sender.send(Err("the client reads too slowly".into())).await;
    });
    Paced(frames).boxed_unsync()
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(context)
    }
}
