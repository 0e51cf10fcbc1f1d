//! Time limits for the upstream's body, and its kind.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use deltawire::gateway::{SniffResult, Sniffer};
use deltawire::sse::BodyKind;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap};
use tokio::time::{Instant, Sleep, sleep_until};

use super::BoxError;
use super::headers::{is_json, text_of};

/// Kind of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EventStream,
    Json,
    Other,
}

impl Kind {
    /// Returns the kind of a body by its first bytes, unless its content type is that of JSON.
    ///
    /// Some servers send streams as `text/plain`, and errors or pages with the type of a stream.
    pub(crate) async fn of(headers: &HeaderMap, body: &mut Idle) -> Self {
        let name = text_of(headers, &header::CONTENT_TYPE).unwrap_or_default();
        if is_json(name) {
            return Self::Json;
        }
        match body.sniff().await {
            SniffResult::EventStream => Self::EventStream,
            SniffResult::NotAnEventStream(BodyKind::Json) => Self::Json,
            // Nothing that is known: the relay reads it as the stream that it is called.
            SniffResult::NotAnEventStream(BodyKind::Other)
                if deltawire::sse::is_event_stream(name) =>
            {
                Self::EventStream
            }
            SniffResult::NotAnEventStream(_) | _ => Self::Other,
        }
    }
}

/// The upstream's body, with a limit for its silence and one for its total time.
pub(crate) struct Idle {
    inner: Incoming,
    most: Duration,
    /// Deadline of the whole body.
    over: Instant,
    /// Start of the current wait. `None` while the upstream isn't the one that is waited for.
    since: Option<Instant>,
    /// Timer, allocated at the first wait. It isn't moved by each frame, but when it fires.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Frames that were read ahead, and that are still to be passed on.
    ahead: VecDeque<Result<Frame<Bytes>, BoxError>>,
}

impl Idle {
    pub(crate) fn new(inner: Incoming, most: Duration, over: Instant) -> Self {
        Self { inner, most, over, since: None, sleep: None, ahead: VecDeque::new() }
    }

    /// Reads up to the first byte. Returns false if the body fails or ends before it.
    pub(crate) async fn begins(&mut self) -> bool {
        let mut ahead = VecDeque::new();
        while let Some(frame) = self.frame().await {
            let piece = frame.as_ref().map(Frame::data_ref);
            let (has_failed, has_begun) =
                (piece.is_err(), matches!(piece, Ok(Some(piece)) if !piece.is_empty()));
            ahead.push_back(frame);
            if has_failed || has_begun {
                ahead.append(&mut self.ahead);
                self.ahead = ahead;
                return has_begun;
            }
        }
        self.ahead = ahead;
        false
    }

    /// Reads the first bytes, and returns the kind of body that they indicate.
    async fn sniff(&mut self) -> SniffResult {
        let (mut sniffer, mut ahead) = (Sniffer::new(), VecDeque::new());
        let found = loop {
            let Some(frame) = self.frame().await else { break sniffer.finish() };
            let found = match frame.as_ref().map(Frame::data_ref) {
                Ok(Some(piece)) => sniffer.push(piece),
                _ => Some(sniffer.finish()),
            };
            ahead.push_back(frame);
            if let Some(found) = found {
                break found;
            }
        };
        ahead.append(&mut self.ahead);
        self.ahead = ahead;
        found
    }

    /// Waits for the end of the time, which frames since the last call have extended.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = self.over.min(since + self.most);
        loop {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Body for Idle {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(frame) = this.ahead.pop_front() {
            if this.ahead.is_empty() {
                this.ahead = VecDeque::new();
            }
            return Poll::Ready(Some(frame));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            this.since = None;
            if frame.is_some() && Instant::now() >= this.over {
                return Poll::Ready(Some(Err("the answer takes too long".into())));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.poll_over(context));
        Poll::Ready(Some(Err("the upstream is silent, or takes too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let pieces = self.ahead.iter().flatten().filter_map(Frame::data_ref);
        let ahead = pieces.map(|piece| piece.len() as u64).sum::<u64>();
        let rest = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}
