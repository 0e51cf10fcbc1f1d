//! `Relay`: observes, measures, edits, guards and collects one stream, over one decode.

use core::fmt;
use core::time::Duration;

#[cfg(feature = "bytes")]
use bytes::Bytes;

use super::byte_edit::Place;
use super::encode::write_error;
use super::latency::Meter;
use super::observe::Observer;
use super::output::Output;
#[cfg(feature = "bytes")]
use super::output::Slices;
use super::relay_builder::RelayBuilder;
use super::relay_guard::{RelayGuard, StopReason};
use super::relay_report::{Received, RelayEnd, RelayOutcome, RelayReport};
use super::rewrite::{Editor, KEPT_CAPACITY, WrittenParts};
use super::rewrite_outcome::WrittenBytes;
use super::spans::value_range;
use crate::completion::Reassembler;
use crate::decoder::{ChunkDecoder, ChunkEvent, Payload, StreamSummary, is_done};
use crate::output_buffer::OutputBuffer;
use crate::report::named;
use crate::sse::BodyKind;

/// Forwards one stream to a client.
///
/// It observes, measures, edits, guards and collects the stream, in any combination. The bytes of the
/// upstream's body go in, cut anywhere. The bytes for the client are appended to a buffer. Each event
/// is decoded once for all parts. An event that no part changes is written as it came.
///
/// ```
/// use std::time::Duration;
/// use deltawire::gateway::{Editor, Guard, Relay, RelayEnd, RelayGuard, RelayOutcome, UsageVisibility, Words};
///
/// let mut editor = Editor::new();
/// editor.replace("model", "our-alias");
/// editor.hide_usage(UsageVisibility::Removed); // if the client hasn't asked for it
/// let guard = RelayGuard::new(Guard::new()).redact(Words::new(["secret"]), "[…]");
/// let mut relay = Relay::builder().measure().edit(editor).guard(guard).collect().build();
///
/// let body = [
///     &b"data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a sec\"}}]}\n\nda"[..],
///     b"ta: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ret\"},\"finish_reason\":\"stop\"}]}\n\n",
///     b"data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
/// ];
/// let mut out = Vec::new();
/// for (piece, seconds) in body.iter().zip(1..) {
///     let flow = relay.push(piece, Duration::from_secs(seconds), &mut out); // since the request
///     // client.send(&out), out.clear(); if the guard has stopped the stream, end it
///     assert!(flow.is_open());
/// }
/// let report = relay.finish(RelayEnd::Upstream, Duration::from_secs(4), &mut out);
///
/// assert_eq!(report.outcome, RelayOutcome::Complete);
/// assert_eq!(report.stream.tokens.unwrap().completion, Some(2)); // which the client hasn't seen
/// assert_eq!(report.latency.unwrap().time_to_first_token, Some(Duration::from_secs(1)));
/// assert_eq!(report.redactions, 1);
/// let expected = r#"data: {"model":"our-alias","choices":[{"index":0,"delta":{"content":"a […]"}}]}
///
/// data: {"model":"our-alias","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}
///
/// data: [DONE]
///
/// "#;
/// assert_eq!(String::from_utf8(out).unwrap(), expected);
/// ```
///
/// # Written bytes
///
/// Without an editor and a guard, each piece is written at once, before it is decoded. With one of
/// them, an event is written when it is whole and the guard releases it. An event that can't be read
/// may contain a value that a rule hides, and so may a line that is no field. So an event with one of
/// them stops the stream: [`pass_unreadable`](RelayBuilder::pass_unreadable) lets it pass. Use a
/// [`Sniffer`](super::Sniffer) before, for bodies that are no event stream.
///
/// # The end
///
/// [`finish`](Self::finish) writes the right end for each [`RelayEnd`]. A stream that the upstream
/// or the gateway has cut gets an error event and no `[DONE]`. So no client takes it for a whole one.
/// Inside of an event nothing can be added: then the response has to be aborted, see
/// [`must_abort`](RelayReport::must_abort). So it is for a body that is no event stream.
///
/// # Memory
///
/// That of its parts: a decoder, an [`Observer`], and those of the editor, the guard and the
/// [`Reassembler`] if they are used. All are bounded by [`Limits`](crate::Limits) and by the guard.
pub struct Relay {
    decoder: ChunkDecoder,
    pub(super) stages: Stages,
}

/// The parts of a relay besides the decoder.
pub(super) struct Stages {
    pub(super) observer: Observer,
    pub(super) meter: Option<Meter>,
    /// Boxed, like the next two, since most relays lack some of them.
    pub(super) editor: Option<Box<Editor>>,
    pub(super) guard: Option<Box<RelayGuard>>,
    pub(super) completion: Option<Box<Reassembler>>,
    /// The bytes of an edited event, for the guard.
    pub(super) edited: Vec<u8>,
    /// The message of the error event of a stream that isn't whole.
    pub(super) message: Box<str>,
    pub(super) passes_unreadable: bool,
    /// The client has received the first part of an event or line over a limit, and not its rest.
    pub(super) is_open: bool,
    /// The client has received `[DONE]`, which ends the stream for it.
    pub(super) is_done: bool,
    /// A chunk behind `[DONE]` has a choice, which no client reads.
    pub(super) has_late_choice: bool,
    /// The reason for which the relay has stopped the stream.
    pub(super) stopped: Option<StopReason>,
}

/// The state of a relay behind a piece; see [`Relay::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a stream that the relay has stopped is to be ended"]
pub enum RelayFlow {
    /// The stream is open.
    Open,
    /// The guard or the editor has stopped the stream.
    ///
    /// Read no more from the upstream, and finish the relay. Any [`RelayEnd`] but
    /// [`ClientGone`](RelayEnd::ClientGone) leads to the same report.
    Stopped,
}

impl RelayFlow {
    /// Returns the name of the state, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Stopped => "stopped",
        }
    }

    /// Returns true if the stream is open.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open)
    }
}

named!(RelayFlow);

impl Relay {
    /// Returns a builder of a relay that forwards and observes.
    pub fn builder() -> RelayBuilder {
        RelayBuilder::new()
    }

    pub(super) const fn new(decoder: ChunkDecoder, stages: Stages) -> Self {
        Self { decoder, stages }
    }

    /// Consumes a piece of the upstream's body, and appends the bytes for the client to `out`.
    ///
    /// `now` is the time since the request. Once the guard or the editor has stopped the stream, pieces
    /// are ignored.
    pub fn push(&mut self, piece: &[u8], now: Duration, out: &mut impl OutputBuffer) -> RelayFlow {
        out.with_vec(|out| self.append(piece, now, out))
    }

    /// Consumes a piece as [`push`](Self::push) does.
    fn append(&mut self, piece: &[u8], now: Duration, out: &mut Vec<u8>) -> RelayFlow {
        self.push_to(piece, now, out)
    }

    /// Consumes a piece of the upstream's body as [`push`](Self::push) does, without copies.
    ///
    /// Bytes that no part changes are slices of the piece, as long as possible. Edited events and
    /// events that were cut are buffers of their own. So are all bytes of a relay with a guard, which
    /// stores the events. A slice keeps all of its piece alive.
    ///
    /// ```
    /// use std::time::Duration;
    /// use bytes::Bytes;
    /// use deltawire::gateway::Relay;
    ///
    /// let (mut relay, mut out) = (Relay::builder().measure().build(), Vec::new());
    /// let piece = Bytes::from_static(b"data: {\"choices\":[]}\n\n");
    /// let flow = relay.push_bytes(&piece, Duration::ZERO, &mut out);
    /// assert!(flow.is_open());
    /// assert_eq!(out[0].as_ptr(), piece.as_ptr());
    /// ```
    #[cfg(feature = "bytes")]
    pub fn push_bytes(
        &mut self,
        piece: &Bytes,
        now: Duration,
        out: &mut impl Extend<Bytes>,
    ) -> RelayFlow {
        let mut slices = Slices::new(piece, out);
        let flow = self.push_to(piece, now, &mut slices);
        slices.flush();
        flow
    }

    fn push_to(&mut self, piece: &[u8], now: Duration, out: &mut impl Output) -> RelayFlow {
        let Self { decoder, stages } = self;
        if stages.stopped.is_some() {
            return RelayFlow::Stopped;
        }
        if !stages.writes_events() {
            out.pass(piece);
        }
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            if let Err(reason) = stages.push(&event, out) {
                // The events behind it are lost to the client, and to the report.
                stages.stopped = Some(reason);
                break;
            }
            stages.is_done |= matches!(event.payload(), Payload::Done);
            stages.is_open = decoder.sse().is_skipping() && !stages.is_held();
        }
        if let Some(meter) = &mut stages.meter {
            let _ = meter.record_total(stages.observer.deltas(), now);
        }
        if stages.stopped.is_some() { RelayFlow::Stopped } else { RelayFlow::Open }
    }

    /// Stops the stream, whose bytes can't be read, so that [`finish`](Self::finish) reports that.
    #[cfg(feature = "tower")]
    pub(crate) fn stop_unreadable(&mut self) {
        self.stages.stopped = Some(StopReason::Unreadable);
    }

    /// Returns the observer, for the counts so far.
    #[must_use]
    pub const fn observer(&self) -> &Observer {
        &self.stages.observer
    }

    /// Returns the meter, if the relay has one.
    #[must_use]
    pub const fn meter(&self) -> Option<&Meter> {
        self.stages.meter.as_ref()
    }

    /// Ends the stream: appends its end to `out`, and returns the report.
    ///
    /// The relay is ready for another stream then, with the same parts. `now` is the time since the
    /// request.
    ///
    /// | end | written |
    /// |---|---|
    /// | [`Upstream`](RelayEnd::Upstream), not cut | the held events; the blank line of a last event that lacks only that |
    /// | [`Upstream`](RelayEnd::Upstream), cut, or [`UpstreamFailed`](RelayEnd::UpstreamFailed) | the held events, and an error event |
    /// | [`Stopped`](RelayEnd::Stopped), or stopped by the guard or the editor | an error event; held events are discarded |
    /// | [`ClientGone`](RelayEnd::ClientGone) | nothing |
    ///
    /// To a body that is no event stream, such as JSON, nothing is added. If its upstream ends, the
    /// outcome is [`RelayOutcome::Other`]: the client finds a cut by the format of the body. If the
    /// upstream fails or the gateway stops it, the response has to be aborted. A body of which the client
    /// has nothing gets an error event, as one that the guard or the editor has stopped.
    ///
    /// A stream is cut if it lacks its end, or if its last event does. A stream that has its end and isn't
    /// whole gets no error event: see [`RelayOutcome::Other`]. The client reads the failure as the upstream
    /// sent it.
    ///
    /// A last event is dropped if its last line may be the first part of an `id`, `event` or `retry`
    /// field. With its blank line, the client would store that part. Behind data, any line may be the
    /// first part of a failure, except white space, a comment and data with a text. The stream is cut
    /// then, unless the event has no data. That applies to a `[DONE]` too, and to one in an event that
    /// reports an error.
    ///
    /// Clients read no further than `[DONE]`. Behind it no error event is written, and nothing has to be
    /// aborted. The guard and the editor stop the stream there without an error. A stream that was whole
    /// up to its `[DONE]` is complete, also if its upstream fails or the gateway stops it behind that. It
    /// isn't complete if a choice follows, which the report contains and no client reads.
    ///
    /// A client that closes behind `[DONE]`, before the upstream has ended, is reported as
    /// [`ClientGone`](RelayOutcome::ClientGone). It isn't known whether it has read the last bytes.
    /// [`RelayReport::stream`] shows if the upstream's stream was whole.
    pub fn finish(
        &mut self,
        end: RelayEnd,
        now: Duration,
        out: &mut impl OutputBuffer,
    ) -> RelayReport {
        out.with_vec(|out| self.append_end(end, now, out))
    }

    /// Ends the stream as [`finish`](Self::finish) does.
    fn append_end(&mut self, end: RelayEnd, now: Duration, out: &mut Vec<u8>) -> RelayReport {
        let Self { decoder, stages } = self;
        let has_rest = decoder.sse().buffered_len() > 0;
        let has_body_line = decoder.has_body_line();
        let mut is_unfinished = has_rest && !stages.writes_events();
        let ends_here = matches!(end, RelayEnd::Upstream | RelayEnd::UpstreamFailed);
        let may_be_whole = ends_here || !has_rest;
        let mut missing_end = None;
        if ends_here && stages.stopped.is_none() {
            let mut is_done = false;
            // The client would read a part of a line as a whole one, so such a last event is lost.
            if !decoder.rest_ends_in_torn_line()
                && let Some(last) = decoder.salvage()
            {
                missing_end = stages.push_last(&last, out);
                is_done = matches!(last.payload(), Payload::Done);
            }
            is_unfinished &= missing_end.is_none();
            stages.release_last(out);
            stages.is_done |= is_done && stages.stopped.is_none();
            stages.is_open = decoder.sse().is_skipping() && !stages.is_held();
        }
        if let Some(meter) = &mut stages.meter {
            let _ = meter.record_total(stages.observer.deltas(), now);
        }
        let summary = decoder.finish();
        decoder.reset();
        // A first line without its end may be the first part of a field's name.
        let is_other_body =
            summary.body.is_some_and(|kind| has_body_line || kind != BodyKind::Other);
        let is_stopped = stages.stopped.is_some();
        if !is_stopped && !is_other_body {
            out.extend_from_slice(missing_end.unwrap_or_default());
        }
        let is_forwarded = !stages.writes_events() || has_body_line || missing_end.is_some();
        let is_inside_event = core::mem::take(&mut stages.is_open)
            || is_unfinished
            || is_other_body && is_forwarded && !is_stopped;
        let is_lost = has_rest && stages.writes_events() && missing_end.is_none();
        let is_done = core::mem::take(&mut stages.is_done);
        let may_be_whole = may_be_whole && !(is_other_body && is_lost);
        let received = Received { may_be_whole, is_done, is_other_body };
        let mut report = stages.finish(end, received, summary, now);
        if report.outcome.is_error() && !is_done && end != RelayEnd::ClientGone {
            report.must_abort = is_inside_event;
            if !is_inside_event {
                write_error(&stages.message, "gateway_error", report.outcome.as_str(), out);
            }
        }
        report
    }
}

impl Stages {
    /// Returns true if events are written one by one, and not as the pieces that arrive.
    const fn writes_events(&self) -> bool {
        self.editor.is_some() || self.guard.is_some()
    }

    /// Returns true if the guard holds the last event.
    fn is_held(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| !guard.is_empty())
    }

    /// Passes an event through all parts. Returns true if the guard holds it, or has released it.
    fn push(&mut self, event: &ChunkEvent<'_>, out: &mut impl Output) -> Result<bool, StopReason> {
        self.has_late_choice |= self.is_done && has_choice(event);
        let Self { observer, editor, guard, completion, edited, .. } = self;
        observer.observe_event(event);
        if let Some(completion) = completion {
            completion.push_payload(event.payload());
        }
        let Some(editor) = editor else {
            let Some(guard) = guard else { return Ok(false) };
            guard.push(event, out.buffer())?;
            return Ok(true);
        };
        edited.clear();
        let passes_unreadable = self.passes_unreadable;
        // A line that is no field isn't edited, and may contain a value that a rule hides.
        let has_rules = !editor.rules.is_empty();
        if has_rules && !passes_unreadable && event.event().has_unknown_lines() {
            return Err(StopReason::Unreadable);
        }
        let edit = editor.edit(event);
        let written = if guard.is_some() { edit.write_to(edited) } else { edit.write_to(out) };
        if written.is_unreadable && !passes_unreadable {
            debug_assert!(
                written.bytes == WrittenBytes::Raw,
                "an event with such a line isn't edited"
            );
            return Err(StopReason::Unreadable);
        }
        let Some(guard) = guard else {
            if written.bytes == WrittenBytes::Raw {
                out.pass(event.raw());
            }
            return Ok(false);
        };
        match written.bytes {
            WrittenBytes::Raw => guard.push(event, out.buffer())?,
            WrittenBytes::State => guard.push_without_chunk(edited, out.buffer())?,
            WrittenBytes::Dropped => return Ok(false),
            WrittenBytes::Edited => {
                let found = WrittenParts::default();
                let find = |value| {
                    let place = |range| editor.written_place(event, range, edited, &found);
                    value_range(value).map_or(Place::Unknown, place)
                };
                guard.push_written(event, edited, find, out.buffer())?;
                edited.clear();
                edited.shrink_to(KEPT_CAPACITY);
            }
        }
        Ok(true)
    }

    /// Passes the last event on, which no blank line closes. Drops a cut one.
    ///
    /// A `[DONE]` beside an error is dropped too: a client would end at it, and not read the error.
    ///
    /// Returns the line ends that close the event, or `None` if no part of it is written.
    fn push_last(&mut self, event: &ChunkEvent<'_>, out: &mut Vec<u8>) -> Option<&'static [u8]> {
        match event.payload() {
            Payload::Malformed(_) => return None,
            Payload::Error(_) if is_done(event.event().data()) => return None,
            _ => {}
        }
        let start = out.len();
        let pushed = self.push(event, out);
        let is_held = pushed.unwrap_or_else(|reason| {
            self.stopped = Some(reason);
            false
        });
        let is_written = is_held || !self.writes_events() || out.len() > start;
        is_written.then(|| event.missing_end())
    }

    /// Releases all held events at the end of the upstream's body.
    fn release_last(&mut self, out: &mut Vec<u8>) {
        if self.stopped.is_none()
            && let Some(guard) = &mut self.guard
            && let Err(reason) = guard.release_last(out)
        {
            self.stopped = Some(reason);
        }
    }

    /// Returns the report, and prepares the parts for another stream.
    fn finish(
        &mut self,
        end: RelayEnd,
        mut received: Received,
        summary: StreamSummary,
        now: Duration,
    ) -> RelayReport {
        let completion = self.completion.as_mut().map(|parts| parts.finish(summary.clone()));
        let stream = self.observer.finish(summary);
        received.may_be_whole |= received.is_done;
        received.may_be_whole &= !core::mem::take(&mut self.has_late_choice);
        let outcome = match self.stopped.take().filter(|_| !received.is_done) {
            Some(reason) => RelayOutcome::Stopped(reason),
            None => RelayOutcome::of(end, received, &stream),
        };
        let latency = self.meter.as_ref().map(|meter| meter.finish(&stream, now));
        self.meter = self.meter.as_ref().map(|_| Meter::new());
        let redactions = self.guard.as_deref_mut().map_or(0, RelayGuard::reset);
        if let Some(editor) = &mut self.editor {
            editor.begin_stream();
        }
        RelayReport { outcome, stream, latency, completion, redactions, must_abort: false }
    }
}

/// Returns true if an event is a chunk with a choice.
fn has_choice(event: &ChunkEvent<'_>) -> bool {
    matches!(event.payload(), Payload::Chunk(chunk) if chunk.choices().next().is_some())
}

/// Shows no text.
impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("decoder", &self.decoder)
            .field("observer", &self.stages.observer)
            .field("guard", &self.stages.guard)
            .field("stopped", &self.stages.stopped)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// A relay is moved several times until it is part of a body, and lasts as long as a stream.
    #[test]
    fn parts_that_a_relay_lacks_need_no_memory() {
        let parts = size_of::<Editor>() + size_of::<RelayGuard>() + size_of::<Reassembler>();
        assert!(parts > 1300, "{parts}");
        assert!(size_of::<Relay>() <= 968, "{}", size_of::<Relay>());
        assert!(size_of::<RelayBuilder>() <= 160, "{}", size_of::<RelayBuilder>());
    }
}
