//! The bodies of answers on their way to the client.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deltawire::adapters::{BodyEnd, BodyObserver};
use deltawire::gateway::{Editor, Meter, Observed, Observer, Sniffed, Sniffer};
use deltawire::{ChatCompletion, ChunkDecoder, ChunkEvent, Reassembler};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use super::BoxError;
use super::metrics::Metrics;

/// What is known of a stream before its first byte.
pub(crate) struct Stream {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) model: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) with_message: bool,
    pub(crate) started: Instant,
}

/// Watches a stream, counts while it runs, and writes a line when it is over.
pub(crate) struct Watcher {
    stream: Stream,
    decoder: ChunkDecoder,
    observer: Observer,
    meter: Meter,
    /// Gathers the message, where the log is to have it.
    completion: Option<Reassembler>,
    /// Given back when the stream is over.
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    pub(crate) fn new(stream: Stream, permit: OwnedSemaphorePermit) -> Self {
        stream.metrics.begin();
        Self {
            decoder: ChunkDecoder::new(),
            observer: Observer::new(),
            meter: Meter::new(),
            completion: stream.with_message.then(Reassembler::new),
            stream,
            _permit: permit,
        }
    }

    /// Looks at the events of a piece, and gives each to `then`.
    fn read(&mut self, piece: &[u8], mut then: impl FnMut(&ChunkEvent<'_>)) {
        let Self { stream, decoder, observer, meter, completion, .. } = self;
        let mut input = piece;
        while let Some(event) = &decoder.next(&mut input) {
            observer.observe(event);
            if let Some(completion) = completion {
                completion.push_payload(event.payload());
            }
            then(event);
        }
        // One look at the clock: what a piece brings has come at once.
        let tick = meter.record_total(observer.deltas(), stream.started.elapsed());
        stream.metrics.piece(piece.len(), &tick);
    }

    /// Takes note of how the stream was.
    fn finish(&mut self, end: BodyEnd) {
        let seen = self.observer.finish(self.decoder.finish());
        let outcome = match end {
            // Clients close the connection at `[DONE]`, before the body is over.
            _ if seen.end.done > 0 => seen.outcome.as_str(),
            BodyEnd::Dropped => "client_left",
            BodyEnd::Failed => "upstream_left",
            _ => seen.outcome.as_str(),
        };
        self.stream.metrics.end(outcome, &seen);
        let message = self.completion.take().map(|mut it| it.finish(seen.end.clone()).completion);
        self.log(outcome, &seen, message);
    }

    /// One line for a stream. It has nothing that was said, unless that is asked for.
    fn log(&self, outcome: &str, seen: &Observed, message: Option<ChatCompletion>) {
        let Stream { model, request_id, started, .. } = &self.stream;
        let total = started.elapsed();
        let measured = self.meter.finish(seen, total);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let finish: Vec<_> = seen.choices.iter().map(|choice| &choice.finish_reason).collect();
        let error = seen.end.upstream_error.as_ref();
        let line = json!({
            "event": "stream",
            "outcome": outcome,
            "model": model,
            "request_id": request_id,
            "finish_reasons": finish,
            "first_token_ms": measured.time_to_first_token.map(milliseconds),
            "mean_gap_ms": measured.gaps.mean().map(milliseconds),
            "total_ms": milliseconds(total),
            "prompt_tokens": measured.prompt_tokens,
            "output_tokens": measured.output_tokens,
            "output_tokens_are_counted": !measured.is_from_usage,
            "events": seen.end.events,
            "malformed": seen.end.malformed,
            "bytes": seen.end.bytes,
            "upstream_error": error.map(|error| json!({"type": error.r#type, "code": error.code})),
            "completion": message,
        });
        let _unread = writeln!(io::stdout().lock(), "{line}");
    }
}

impl BodyObserver for Watcher {
    fn data(&mut self, piece: &[u8]) {
        self.read(piece, |_| {});
    }

    fn end(&mut self, end: BodyEnd) {
        self.finish(end);
    }
}

/// A stream in which something is changed. Events go out as soon as they are whole.
pub(crate) struct Edited<B: Body> {
    inner: B,
    watcher: Watcher,
    editor: Editor,
    /// What goes out next.
    out: Vec<u8>,
    /// What comes behind the last bytes.
    failure: Option<B::Error>,
    is_over: bool,
}

impl<B: Body> Edited<B> {
    pub(crate) fn new(inner: B, watcher: Watcher, editor: Editor) -> Self {
        Self { inner, watcher, editor, out: Vec::new(), failure: None, is_over: false }
    }

    /// Nothing more comes. What has come of an event that no blank line has closed is passed on.
    fn end(&mut self, end: BodyEnd) {
        if let Some(event) = self.watcher.decoder.salvage() {
            write(&mut self.editor, &event, &mut self.out);
        }
        self.is_over = true;
        self.watcher.finish(end);
    }
}

/// What can't be read is passed on as it came: the client can tell what it is, and it is counted.
/// Where a name must not get through at any price, this is the place to end the stream.
fn write(editor: &mut Editor, event: &ChunkEvent<'_>, out: &mut Vec<u8>) {
    let _passed_on = editor.write(event, out);
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Edited<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        while this.out.is_empty() && !this.is_over {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => {
                        let Self { watcher, editor, out, .. } = this;
                        watcher.read(&piece, |event| write(editor, event, out));
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => {
                    this.failure = Some(error);
                    this.end(BodyEnd::Failed);
                }
                None => this.end(BodyEnd::Complete),
            }
        }
        if this.out.is_empty() {
            return Poll::Ready(this.failure.take().map(Err));
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.out).into()))))
    }
}

impl<B: Body> Drop for Edited<B> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(BodyEnd::Dropped);
        }
    }
}

/// The upstream's body, with an end to its silence.
pub(crate) struct Idle {
    inner: Incoming,
    most: Duration,
    sleep: Pin<Box<Sleep>>,
    /// What has been looked at, and is still to be passed on.
    ahead: VecDeque<Result<Frame<Bytes>, BoxError>>,
}

impl Idle {
    pub(crate) fn new(inner: Incoming, most: Duration) -> Self {
        Self { inner, most, sleep: Box::pin(sleep(most)), ahead: VecDeque::new() }
    }

    /// Waits for the first bytes, which mostly tell what the body is.
    pub(crate) async fn sniff(&mut self) -> Sniffed {
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
        self.ahead = ahead;
        found
    }
}

impl Body for Idle {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { inner, most, sleep, ahead } = &mut *self;
        if let Some(frame) = ahead.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            let deadline = tokio::time::Instant::now() + *most;
            sleep.as_mut().reset(deadline);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Some(Err("the upstream says nothing".into())))
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

/// A body whose failure waits until what came before it has left: hyper closes the connection at an
/// error, and drops what it hasn't written yet.
pub(crate) struct Flushed<B: Body> {
    inner: B,
    failure: Option<B::Error>,
}

impl<B: Body> Flushed<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, failure: None }
    }
}

impl<B: Body<Error: Unpin> + Unpin> Body for Flushed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Err(failure)) => {
                self.failure = Some(failure);
                // Who gets nothing writes what there is, and comes back at once.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
