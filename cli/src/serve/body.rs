//! The body of an answer, as steps in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

/// A step of sending a body.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Keeps the connection open, and sends nothing more.
    Stall,
    /// Closes the connection.
    Abort,
}

impl Step {
    /// Lets the last bytes leave before the connection is closed.
    pub(crate) const FLUSH: Self = Self::Wait(Duration::from_millis(50));
}

/// A body whose steps are made one after the other, each when it is due.
pub(crate) struct Steps {
    steps: Box<dyn Iterator<Item = Step> + Send + Sync>,
    sleep: Option<Pin<Box<Sleep>>>,
    stalls: bool,
}

impl Steps {
    pub(crate) fn new<S>(steps: S) -> Self
    where
        S: IntoIterator<Item = Step>,
        S::IntoIter: Send + Sync + 'static,
    {
        Self { steps: Box::new(steps.into_iter()), sleep: None, stalls: false }
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        while !self.stalls {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(context));
                self.sleep = None;
            }
            match self.steps.next() {
                Some(Step::Send(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Some(Step::Wait(time)) if time.is_zero() => {}
                Some(Step::Wait(time)) => self.sleep = Some(Box::pin(sleep(time))),
                Some(Step::Stall) => self.stalls = true,
                Some(Step::Abort) => {
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
                }
                None => return Poll::Ready(None),
            }
        }
        // Nothing wakes the task but the connection, which polls again.
        Poll::Pending
    }
}
