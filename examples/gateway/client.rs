//! The client's side: its connection and the body of its request, both with a time limit.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::BoxError;
use super::patience::Patience;

/// Bytes by which HTTP/2 is told from HTTP/1.
const PREFACE: usize = 24;

/// A connection that fails when its client reads nothing, or too slowly, for too long.
///
/// The body of an answer can't detect this, because hyper doesn't poll it while the connection is
/// full. The failure closes the connection, and hyper then drops the body with its permit. It fails,
/// too, when the client doesn't send its first bytes in time, since hyper has no limit for those.
pub(crate) struct Connection {
    tcp: TcpStream,
    patience: Patience,
    /// Patience until the first bytes have arrived, and their number.
    opening: Patience,
    opened: usize,
}

impl Connection {
    pub(crate) const fn new(tcp: TcpStream, most: Duration, most_to_open: Duration) -> Self {
        let patience = Patience::new(most);
        Self { tcp, patience, opening: Patience::new(most_to_open), opened: 0 }
    }

    /// Counts the written bytes, and fails if the patience ends while the connection is full.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => self.patience.moved(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                ready!(self.patience.poll_over(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if self.opened >= PREFACE {
            return read;
        }
        self.opened += buffer.filled().len() - before;
        if read.is_pending() {
            ready!(self.opening.poll_over(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// The body of a request, which fails with [`TooSlow`] when its client sends too slowly.
pub(crate) struct Patient {
    inner: Incoming,
    patience: Patience,
}

impl Patient {
    pub(crate) const fn new(inner: Incoming, most: Duration) -> Self {
        Self { inner, patience: Patience::new(most) }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { inner, patience } = &mut *self;
        let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) else {
            ready!(patience.poll_over(context));
            return Poll::Ready(Some(Err(Box::new(TooSlow))));
        };
        if let Some(Ok(frame)) = &frame {
            patience.moved(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The error of a request whose client sends too slowly.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl TooSlow {
    /// Returns true if an error is a [`TooSlow`], or was caused by one.
    pub(crate) fn is_in(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        causes.any(<dyn std::error::Error>::is::<Self>)
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client sends too slowly")
    }
}

impl std::error::Error for TooSlow {}
