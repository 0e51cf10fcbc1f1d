//! A stream with edits, which lets no event through that can't be edited.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use deltawire::adapters::BodyEnd;
use deltawire::chunk::{ErrorCode, UpstreamError};
use deltawire::gateway::{Editor, RewriteOutcome, SseEvent};
use deltawire::{ChunkEvent, Payload};
use hyper::body::{Body, Frame};
use serde_json::{Value, json};

use super::refusal;
use super::watch::{Ending, Watcher};

/// A stream with edits, which sends each event as soon as it is complete.
///
/// An event that can't be read may contain a hidden value. An error event replaces it, and ends the
/// stream.
pub(crate) struct Edited<B: Body> {
    inner: B,
    watcher: Watcher,
    editor: Editor,
    /// Bytes that are sent next.
    out: Vec<u8>,
    /// The frame behind the last bytes: trailers, or a failure.
    last: Option<Result<Frame<Bytes>, B::Error>>,
    is_over: bool,
}

impl<B: Body> Edited<B> {
    pub(crate) fn new(inner: B, watcher: Watcher, editor: Editor) -> Self {
        Self { inner, watcher, editor, out: Vec::new(), last: None, is_over: false }
    }

    /// Edits the events of a piece.
    fn read(&mut self, piece: &[u8]) {
        let Self { watcher, editor, out, .. } = self;
        let flow = watcher.read(piece, |event| write(editor, event, out));
        if let ControlFlow::Break(error) = flow {
            self.is_over = true;
            let is_done = self.watcher.finish(Ending::Unreadable);
            self.say(&error, is_done);
        }
    }

    /// Ends the stream with its body.
    ///
    /// A last event without its blank line is passed on if it can be edited.
    fn end(&mut self, end: BodyEnd) {
        self.is_over = true;
        let Self { watcher, editor, out, .. } = self;
        let flow = match end {
            BodyEnd::Dropped => ControlFlow::Continue(()),
            _ => watcher.salvage(|event| write(editor, event, out)),
        };
        let is_done = watcher.finish(Ending::Body(end));
        // A body that fails or is dropped needs no error event.
        if let (ControlFlow::Break(error), BodyEnd::Complete) = (flow, end) {
            self.say(&error, is_done);
        }
    }

    /// Writes an error event, unless `[DONE]` was read before.
    fn say(&mut self, error: &Value, is_done: bool) {
        if !is_done {
            // Only an event type or an id can be refused, and this event has neither.
            let _written = SseEvent::new(&error.to_string()).write(&mut self.out);
        }
    }
}

/// Writes an event with its edits, or breaks with an error for the client.
///
/// Breaks at an event that can't be read, and at a line that is no field. The editor doesn't edit
/// such a line, and an error or a page with the content type of a stream begins with one.
fn write(editor: &mut Editor, event: &ChunkEvent<'_>, out: &mut Vec<u8>) -> ControlFlow<Value> {
    let start = out.len();
    let edit = editor.write(event, out);
    if edit != RewriteOutcome::Unreadable && !event.event().has_unknown_lines() {
        return ControlFlow::Continue(());
    }
    out.truncate(start);
    ControlFlow::Break(match event.payload() {
        Payload::Error(error) if error.as_value().is_some() => upstream_error(error),
        _ => unreadable(),
    })
}

fn unreadable() -> Value {
    refusal::error("the upstream sent an event that can't be read", "gateway_error")
}

/// Returns the upstream's error, without the other members of its event.
fn upstream_error(error: &UpstreamError<'_>) -> Value {
    let message = error.message().unwrap_or("the upstream reports an error");
    let code = error.code().map(|code| match code {
        ErrorCode::String(code) => json!(code),
        ErrorCode::Number(code) => json!(code),
    });
    let kind = error.r#type().unwrap_or("upstream_error");
    json!({"error": {"message": message, "type": kind, "code": code, "param": null}})
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Edited<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        while !this.is_over && this.out.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => this.read(&piece),
                    // Trailers end the body: no frame is polled behind them.
                    Err(trailers) => {
                        this.last = Some(Ok(trailers));
                        this.end(BodyEnd::Complete);
                    }
                },
                Some(Err(error)) => {
                    this.last = Some(Err(error));
                    this.end(BodyEnd::Failed);
                }
                None => this.end(BodyEnd::Complete),
            }
        }
        if this.out.is_empty() {
            return Poll::Ready(this.last.take());
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
