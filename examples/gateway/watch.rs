//! A stream that is counted while it runs, and logged when it is over.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deltawire::adapters::{BodyEnd, BodyObserver};
use deltawire::completion::ChatCompletion;
use deltawire::gateway::{Meter, Observer, StreamReport};
use deltawire::{ChunkDecoder, ChunkEvent, Outcome, Payload, Reassembler};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::metrics::Metrics;

/// Facts about a stream before its first byte.
pub(crate) struct Stream {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) model: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) with_message: bool,
    pub(crate) started: Instant,
}

/// Cause of a stream's end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The body ended.
    Body(BodyEnd),
    /// The gateway ended the stream, at an event that can't be edited.
    Unreadable,
}

/// A watcher of one stream, which counts while it runs, and writes a line when it is over.
pub(crate) struct Watcher {
    stream: Stream,
    decoder: ChunkDecoder,
    observer: Observer,
    meter: Meter,
    /// Reassembles the message, if the log includes it.
    completion: Option<Reassembler>,
    /// Permit, released when the stream is over.
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

    /// Counts the events of a piece, and passes each to `then` until that breaks.
    pub(crate) fn read<T>(
        &mut self,
        piece: &[u8],
        mut then: impl FnMut(&ChunkEvent<'_>) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let Self { stream, decoder, observer, meter, completion, .. } = self;
        let (mut input, mut flow) = (piece, ControlFlow::Continue(()));
        while flow.is_continue()
            && let Some(event) = &decoder.next(&mut input)
        {
            observer.observe(event);
            if let Some(completion) = completion {
                completion.push_payload(event.payload());
            }
            flow = then(event);
        }
        // All events of a piece arrive at one time.
        let tick = meter.record_total(observer.deltas(), stream.started.elapsed());
        stream.metrics.piece(piece.len(), &tick);
        flow
    }

    /// Passes the last event of a stream to `then` if its blank line is missing.
    ///
    /// Counts this event if it can be read.
    pub(crate) fn salvage<T>(
        &mut self,
        then: impl FnOnce(&ChunkEvent<'_>) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let Self { stream, decoder, observer, meter, completion, .. } = self;
        let Some(event) = &decoder.salvage() else { return ControlFlow::Continue(()) };
        if !matches!(event.payload(), Payload::Malformed(_)) {
            observer.observe(event);
            if let Some(completion) = completion {
                completion.push_payload(event.payload());
            }
            let tick = meter.record_total(observer.deltas(), stream.started.elapsed());
            stream.metrics.piece(0, &tick);
        }
        then(event)
    }

    /// Counts and logs the end of the stream, and returns true if it had a `[DONE]`.
    pub(crate) fn finish(&mut self, ending: Ending) -> bool {
        let seen = self.observer.finish(self.decoder.finish());
        let outcome = outcome(ending, &seen);
        self.stream.metrics.end(outcome, &seen);
        let message = self.completion.take().map(|mut it| it.finish(seen.end.clone()).completion);
        self.log(outcome, &seen, message);
        seen.end.done > 0
    }

    /// Logs one line for a stream, with the message only if the options request it.
    fn log(&self, outcome: &str, seen: &StreamReport, message: Option<ChatCompletion>) {
        let Stream { model, request_id, started, .. } = &self.stream;
        let total = started.elapsed();
        let measured = self.meter.finish(seen, total);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let finish: Vec<_> = seen.choices.iter().map(|choice| &choice.finish_reason).collect();
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
            "not_whole": seen.whole().err(),
            "upstream_error": seen.end.upstream_error,
            "completion": message,
        });
        let _unread = writeln!(io::stdout().lock(), "{line}");
    }
}

/// Returns the name of a stream's outcome.
///
/// The outcome of the events has priority over the end of the connection: a client that leaves
/// after an error leaves because of the error.
fn outcome(ending: Ending, seen: &StreamReport) -> &'static str {
    use Outcome::{DoneWithoutFinish, Empty, FinishedWithoutDone, MalformedEvent, Truncated};

    match (ending, seen.outcome) {
        // Clients close the connection at `[DONE]`, before the body is over.
        (Ending::Body(_), outcome) if seen.end.done > 0 => outcome.as_str(),
        (Ending::Body(BodyEnd::Dropped), Truncated | Empty | FinishedWithoutDone) => "client_left",
        // An event that the broken connection cuts is malformed.
        (
            Ending::Body(BodyEnd::Failed),
            Truncated | Empty | FinishedWithoutDone | MalformedEvent,
        ) => "upstream_left",
        (
            Ending::Unreadable,
            Truncated | Empty | FinishedWithoutDone | DoneWithoutFinish | MalformedEvent,
        ) => "unreadable",
        (_, outcome) => outcome.as_str(),
    }
}

impl BodyObserver for Watcher {
    fn data(&mut self, piece: &[u8]) {
        let _to_its_end = self.read(piece, |_| ControlFlow::<()>::Continue(()));
    }

    fn end(&mut self, end: BodyEnd) {
        if end != BodyEnd::Dropped {
            let _last = self.salvage(|_| ControlFlow::<()>::Continue(()));
        }
        self.finish(Ending::Body(end));
    }
}
