//! `StreamSummary`: the counts and the state of a stream at its end; `Counts`: those so far.

use crate::chunk::{Api, ChatCompletionChunk, OwnedUpstreamError};
use crate::json::JsonDeviations;
use crate::sse::BodyKind;

/// The counts and the state of a stream; see [`ChunkDecoder::finish`](crate::ChunkDecoder::finish).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSummary {
    /// The length of the stream in bytes.
    pub bytes: u64,
    /// Bytes of a last event that no blank line closes. WHATWG HTML 9.2 discards it.
    ///
    /// 0 if [`salvage`](crate::ChunkDecoder::salvage) has read it. Not counted are bytes that the
    /// decoder has already returned, because their event or line is over a limit.
    pub discarded_bytes: u64,
    /// True if the stream ended inside an event or a line, comments included.
    ///
    /// A call of [`salvage`](crate::ChunkDecoder::salvage) does not change this.
    pub is_cut: bool,
    /// Dispatched events, `[DONE]` included.
    pub events: u64,
    /// Events that are chunks.
    pub chunks: u64,
    /// Events with a JSON object that isn't a chunk; see [`Payload::Other`](crate::Payload::Other).
    pub others: u64,
    /// Events that can't be read.
    ///
    /// A line of JSON before the first field is one too, once a field follows, though its payload is
    /// [`Payload::Ignored`](crate::Payload::Ignored).
    ///
    /// An event that the end of the stream cuts short isn't counted, with or without a call of
    /// [`salvage`](crate::ChunkDecoder::salvage).
    pub malformed: u64,
    /// The number of `[DONE]`, including one that lacks its blank line at the end.
    pub done: u64,
    /// Chunks, other objects and errors after the first `[DONE]`.
    pub after_done: u64,
    /// The deviations from interoperable JSON (RFC 8259) in all payloads.
    pub deviations: JsonDeviations,
    /// The first error that the server reported, also in a line before the first field.
    pub upstream_error: Option<OwnedUpstreamError>,
    /// The kind of the body, if it isn't an event stream.
    pub body: Option<BodyKind>,
    /// The first API other than chat completions to which an event belongs.
    pub api: Option<Api>,
    /// The kind of the unfinished rest at the end of the stream.
    pub(super) rest: Rest,
    /// The finish reason of a dropped last chunk, if it names a failure.
    pub(crate) failed_finish: Option<String>,
}

/// The counts and the state of a stream so far.
///
/// An ordinary event is counted apart: see [`add_matches`](Self::add_matches). The rest of the summary
/// is allocated when a field of it first differs from its default.
#[derive(Clone, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) chunks: u64,
    pub(super) done: u64,
    after_done: u64,
    /// The stream has had a field or a comment, so it is an event stream.
    pub(super) is_event_stream: bool,
    /// The other fields; those with the names of a count are 0.
    rest: Option<Box<StreamSummary>>,
}

impl Counts {
    /// Makes the counts those of another stream, and keeps their allocation.
    pub(super) fn reset(&mut self) {
        let mut rest = self.rest.take();
        if let Some(rest) = &mut rest {
            **rest = StreamSummary::default();
        }
        *self = Self { rest, ..Self::default() };
    }

    /// Returns the summary's other fields, to change them.
    #[cold]
    #[inline(never)]
    pub(super) fn rest(&mut self) -> &mut StreamSummary {
        self.rest.get_or_insert_default()
    }

    /// Counts so many chunks that have matched a template since the last other event.
    pub(super) fn add_matches(&mut self, matches: u64) {
        self.events += matches;
        self.chunks += matches;
        self.after_done += if self.done > 0 { matches } else { 0 };
        self.is_event_stream |= matches > 0;
    }

    /// Counts a chunk, another object or an error, if it is behind `[DONE]`.
    #[inline]
    pub(super) fn count_after_done(&mut self) {
        self.after_done += u64::from(self.done > 0);
    }

    /// Returns the kind of the body, if a line has named it.
    pub(super) fn body(&self) -> Option<BodyKind> {
        self.rest.as_ref()?.body
    }

    /// Stores the API of an object, unless an earlier object had one.
    pub(super) fn note_api(&mut self, object: &ChatCompletionChunk<'_>) {
        if self.rest.as_ref().is_none_or(|rest| rest.api.is_none())
            && let Some(api) = Api::of(object)
        {
            self.rest().api = Some(api);
        }
    }

    /// Returns the summary of the stream so far.
    pub(super) fn into_summary(self) -> StreamSummary {
        let Self { events, chunks, done, after_done, is_event_stream, rest } = self;
        let mut summary = rest.map(|rest| *rest).unwrap_or_default();
        debug_assert!(summary.events == 0 && summary.chunks == 0);
        debug_assert!(summary.done == 0 && summary.after_done == 0);
        (summary.events, summary.chunks) = (events, chunks);
        (summary.done, summary.after_done) = (done, after_done);
        if is_event_stream {
            summary.body = None;
        } else {
            // Only lines of JSON can have failed, and they are the body.
            (summary.malformed, summary.upstream_error) = (0, None);
        }
        summary
    }
}

/// The kind of the rest of a stream that no blank line closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// No bytes, or an event with a readable payload.
    #[default]
    None,
    /// A comment, or skipped bytes over a limit. No continuation of them adds content.
    Aside,
    /// Any other rest without content, or a failure that is counted.
    Framing,
    /// An event that is cut short, or a dropped chunk.
    Lost,
}

/// The most bytes stored of a finish reason that names a failure, or that exceeds the budget.
pub(crate) const LONGEST_REASON: usize = 64;

/// Returns true if a finish reason names a failure of the answer. An unknown reason names none.
pub(crate) fn ends_badly(reason: &str) -> bool {
    const FAILURES: [&str; 12] = [
        "abort",
        "aborted",
        "cancel",
        "canceled",
        "cancelled",
        "error",
        "failed",
        "insufficient_system_resource",
        "not_finished",
        "time_limit",
        "timeout",
        "user_cancel",
    ];
    const BEGINNINGS: [&str; 3] = ["error_", "function_call_filter", "malformed_"];
    let is = |text: Option<&str>, failure: &str| {
        text.is_some_and(|text| text.eq_ignore_ascii_case(failure))
    };
    let begins_with = |prefix: &&str| is(reason.get(..prefix.len()), prefix);
    let ends_in = |suffix: &str| {
        let start = reason.len().checked_sub(suffix.len());
        is(start.and_then(|start| reason.get(start..)), suffix)
    };
    FAILURES.iter().any(|failure| is(Some(reason), failure))
        || ends_in("_error")
        || BEGINNINGS.iter().any(begins_with)
}

impl StreamSummary {
    /// Returns true if a part of the answer may be missing at the end.
    ///
    /// After `[DONE]`, only `Rest::Lost` can be such a part.
    pub(crate) fn is_event_cut(&self) -> bool {
        let is_rest = self.discarded_bytes > 0 || self.rest != Rest::None;
        self.rest == Rest::Lost || self.is_cut && is_rest && self.done == 0
    }

    /// Returns true if there were comments and blank lines only.
    pub(crate) fn is_empty(&self) -> bool {
        let is_cut = self.is_cut && self.rest != Rest::Aside;
        self.events == 0 && self.malformed == 0 && !is_cut
    }
}
