//! `Outcome`: the end of a stream, and the defects of its completion.
//!
//! A failure never counts as success.

use core::fmt;

use super::budget::CompletionLimit;
use super::model::ChatCompletion;
use crate::chunk::Api;
pub(crate) use crate::decoder::LONGEST_REASON;
use crate::decoder::{StreamSummary, ends_badly};
use crate::json::beginning;
use crate::report::named;
use crate::sse::BodyKind;

/// A completion, with the outcome of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedCompletion {
    /// The completion of all chunks, for any outcome.
    pub completion: ChatCompletion,
    /// The kind of the stream's end.
    pub outcome: Outcome,
    /// The choices that aren't finished; empty if all choices are.
    pub pending: Vec<UnfinishedChoice>,
    /// The first limit that the completion exceeded, if there is one.
    pub limit_exceeded: Option<CompletionLimit>,
    /// The counts of irregular chunks.
    pub irregularities: Irregularities,
    /// The first finish reason that names a failure; see [`Outcome::FailedFinish`].
    pub failed_finish: Option<String>,
    /// The counts of the decoder.
    pub end: StreamSummary,
    pub(super) not_whole: Option<NotWhole>,
}

impl FinishedCompletion {
    /// Checks that the completion is whole, before it is cached or billed by its text.
    ///
    /// The stream of a whole completion ended well, and the completion has no [`Defect`].
    ///
    /// ```
    /// use deltawire::completion::Defect;
    /// use deltawire::gateway::assemble;
    /// use deltawire::Outcome;
    ///
    /// let stream = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    /// assert!(assemble([&stream[..]]).whole().is_ok());
    ///
    /// let torn = [b"data: {\"choices\":[{\"delta\":{\"cont\n\n", &stream[..]].concat();
    /// let finished = assemble([&torn[..]]);
    /// let not_whole = finished.whole().unwrap_err();
    /// assert_eq!(finished.outcome, Outcome::MalformedEvent);
    /// assert_eq!(not_whole.defects().collect::<Vec<_>>(), [Defect::MalformedEvent]);
    /// ```
    ///
    /// # Errors
    ///
    /// Returns all defects of the completion.
    pub fn whole(&self) -> Result<(), NotWhole> {
        self.not_whole.map_or(Ok(()), Err)
    }
}

/// A choice without a finish reason.
///
/// Without `[DONE]`, also a choice with output behind its last finish reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnfinishedChoice {
    /// The position of the choice in the completion's `choices`.
    pub choice: usize,
    /// The position of the unfinished call in the message's `tool_calls`.
    ///
    /// Its arguments may be cut short: see
    /// [`FunctionCall::arguments_state`](super::FunctionCall::arguments_state).
    pub tool_call: Option<usize>,
}

/// The counts of irregular chunks. None of these irregularities ends the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Irregularities {
    /// Choices that aren't objects, or whose index isn't a whole number from 0 to `u64::MAX`.
    ///
    /// The reassembler leaves them out.
    pub invalid_choice_indexes: u32,
    /// Fragments of tool calls with such an index, and those behind one that continue its call.
    ///
    /// They are left out.
    pub invalid_tool_call_indexes: u32,
    /// Choices whose index is beyond their number, so that others are missing.
    pub sparse_choice_indexes: u32,
    /// Tool calls whose index is beyond their number.
    pub sparse_tool_call_indexes: u32,
    /// Fragments of tool calls without an index, which their id or name assigns to a call.
    pub tool_calls_without_index: u32,
    /// Fragments of tool calls with another id than their call, which keeps its own.
    pub changed_tool_call_ids: u32,
    /// Tool calls that began because another name followed complete arguments.
    pub tool_calls_by_name: u32,
    /// Strings that the server sent as numbers, such as ids and names of tool calls.
    ///
    /// The reassembler stores the digits as sent.
    pub texts_of_another_type: u32,
    /// Values that replaced another value, in unknown members of a delta or in content parts.
    ///
    /// In a known member whose values are joined, a value of another type counts too. It is left out
    /// beside a joined value, or a value to join replaces it.
    pub replaced_values: u32,
    /// Content parts of an unknown kind or with an unknown member, and values of an unexpected type.
    ///
    /// Such a value is in place of a text, tool call, function, arguments, audio or reasoning
    /// details, and has another type than the schema's. The `text` of a choice without other content
    /// counts, too, as in a legacy completion. The reassembler leaves these values out.
    pub unknown_content_parts: u32,
}

/// Adds to a count, which stays at its largest value.
pub(super) fn count(sum: &mut u32, number: usize) {
    *sum = sum.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
}

impl Irregularities {
    /// Returns each count with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> {
        [
            ("invalid_choice_indexes", self.invalid_choice_indexes),
            ("invalid_tool_call_indexes", self.invalid_tool_call_indexes),
            ("sparse_choice_indexes", self.sparse_choice_indexes),
            ("sparse_tool_call_indexes", self.sparse_tool_call_indexes),
            ("tool_calls_without_index", self.tool_calls_without_index),
            ("changed_tool_call_ids", self.changed_tool_call_ids),
            ("tool_calls_by_name", self.tool_calls_by_name),
            ("texts_of_another_type", self.texts_of_another_type),
            ("replaced_values", self.replaced_values),
            ("unknown_content_parts", self.unknown_content_parts),
        ]
        .into_iter()
    }

    pub(super) const fn add(&mut self, other: &Self) {
        macro_rules! add {
            ($($field:ident),*) => {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            };
        }
        add!(
            invalid_choice_indexes,
            invalid_tool_call_indexes,
            sparse_choice_indexes,
            sparse_tool_call_indexes,
            tool_calls_without_index,
            changed_tool_call_ids,
            tool_calls_by_name,
            texts_of_another_type,
            replaced_values,
            unknown_content_parts
        );
    }
}

/// The kind of a stream's end.
///
/// A choice may be left out because its index is invalid, or because of
/// [`Limits::max_choices`](crate::Limits::max_choices). It counts as a choice without a finish reason. If
/// several outcomes apply, the last one in this list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All choices finished, and the stream contained `[DONE]`.
    Complete,
    /// All choices finished, but there was no `[DONE]`. Some servers never send it.
    ///
    /// No output of a choice follows its last finish reason.
    FinishedWithoutDone,
    /// All choices finished, but an event couldn't be read, or was over a limit.
    ///
    /// A part of the answer may be missing. [`StreamSummary::malformed`](crate::StreamSummary::malformed) counts such
    /// events.
    MalformedEvent,
    /// There was no `[DONE]`, and a choice isn't finished, or there is no choice.
    ///
    /// Such a choice has no finish reason, or output behind its last one.
    Truncated,
    /// The stream contained `[DONE]`, but a choice has no finish reason, or there is no choice.
    DoneWithoutFinish,
    /// There was no event.
    Empty,
    /// A finish reason names a failure.
    ///
    /// These reasons do, in upper or lower case: `abort`, `aborted`, `cancel`, `canceled`, `cancelled`,
    /// `error`, `failed`, `insufficient_system_resource`, `not_finished`, `time_limit`, `timeout` and
    /// `user_cancel`. So does any that ends in `_error`, or begins with `error_`,
    /// `function_call_filter` or `malformed_`.
    FailedFinish,
    /// The events belong to another API, and none has a choice. Their completeness isn't checked.
    AnotherApi(Api),
    /// The body isn't an event stream.
    NotAnEventStream(BodyKind),
    /// The server reported an error. The completion contains the chunks before it.
    UpstreamError,
}

impl Outcome {
    /// Returns the name of the outcome, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::FinishedWithoutDone => "finished_without_done",
            Self::MalformedEvent => "malformed_event",
            Self::Truncated => "truncated",
            Self::DoneWithoutFinish => "done_without_finish",
            Self::Empty => "empty",
            Self::FailedFinish => "failed_finish",
            Self::AnotherApi(_) => "another_api",
            Self::NotAnEventStream(_) => "not_an_event_stream",
            Self::UpstreamError => "upstream_error",
        }
    }
}

named!(Outcome);

/// A reason why a completion isn't whole; see [`NotWhole`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Defect {
    /// There is no completion.
    ///
    /// The outcome is [`Empty`](Outcome::Empty), [`AnotherApi`](Outcome::AnotherApi) or
    /// [`NotAnEventStream`](Outcome::NotAnEventStream).
    NoCompletion,
    /// A choice has no finish reason, or there is no choice.
    ///
    /// Without `[DONE]`, a choice with output behind its last finish reason is unfinished, too.
    Unfinished,
    /// The server reported an error.
    UpstreamError,
    /// A finish reason names a failure.
    FailedFinish,
    /// An event couldn't be read, or was over a limit.
    MalformedEvent,
    /// The stream ended inside an event that may contain a part of the answer.
    ///
    /// Without `[DONE]`, any unfinished event counts, except a chunk or another object that
    /// [`salvage`](crate::ChunkDecoder::salvage) has read. A torn line behind the data counts for each
    /// event: see [`ChunkDecoder::finish`](crate::ChunkDecoder::finish).
    CutEvent,
    /// A part of the completion was left out because of a limit.
    LimitExceeded,
    /// A choice, or a fragment of a tool call, was left out because its index is invalid.
    InvalidIndex,
    /// A content part, or a value in place of a text or object, was left out: its kind is unknown.
    ///
    /// So was the `text` of a choice without other content, as in a legacy completion.
    UnknownContentPart,
    /// A whole completion has the mark [`not_whole`](ChatCompletion::not_whole).
    MarkedNotWhole,
}

impl Defect {
    const ALL: [Self; 10] = [
        Self::NoCompletion,
        Self::Unfinished,
        Self::UpstreamError,
        Self::FailedFinish,
        Self::MalformedEvent,
        Self::CutEvent,
        Self::LimitExceeded,
        Self::InvalidIndex,
        Self::UnknownContentPart,
        Self::MarkedNotWhole,
    ];

    /// Returns the name of the defect, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCompletion => "no_completion",
            Self::Unfinished => "unfinished",
            Self::UpstreamError => "upstream_error",
            Self::FailedFinish => "failed_finish",
            Self::MalformedEvent => "malformed_event",
            Self::CutEvent => "cut_event",
            Self::LimitExceeded => "limit_exceeded",
            Self::InvalidIndex => "invalid_index",
            Self::UnknownContentPart => "unknown_content_part",
            Self::MarkedNotWhole => "marked_not_whole",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

named!(Defect);

/// One or more [`Defect`]s of a completion that isn't whole; see [`FinishedCompletion::whole`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotWhole {
    /// The bits of the defects; at least one is set.
    defects: u16,
}

impl NotWhole {
    fn new(defects: impl IntoIterator<Item = Defect>) -> Option<Self> {
        let defects = defects.into_iter().fold(0, |bits, defect| bits | defect.bit());
        (defects != 0).then_some(Self { defects })
    }

    /// Returns the defects, each once.
    pub fn defects(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.into_iter().filter(move |defect| self.contains(*defect))
    }

    /// Returns true if `defect` is one of the defects.
    #[must_use]
    pub const fn contains(self, defect: Defect) -> bool {
        self.defects & defect.bit() != 0
    }
}

impl fmt::Debug for NotWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.defects()).finish()
    }
}

impl fmt::Display for NotWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the completion is not whole")?;
        for (nth, defect) in self.defects().enumerate() {
            write!(f, "{} {defect}", if nth == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for NotWhole {}

/// Facts about the chunks of a stream, in addition to the completion.
///
/// A reassembler and an observer store the same findings, so that they return the same outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) has_chunk: bool,
    pub(crate) has_error: bool,
    /// A choice was left out.
    pub(crate) lacks_choice: bool,
    pub(crate) has_invalid_index: bool,
    pub(crate) has_unknown_part: bool,
    /// A whole completion is marked as not whole.
    pub(crate) is_marked: bool,
    /// A choice has a finish reason.
    pub(crate) has_reason: bool,
    odd_ends: Option<Box<OddEnds>>,
}

/// The facts about finish reasons that most streams don't have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OddEnds {
    /// The first finish reason that names a failure.
    failed: Option<Box<str>>,
    /// The indexes of the choices with output behind their last finish reason, sorted.
    continued: Vec<u64>,
}

impl Findings {
    /// Records output of a choice that has a finish reason, or another finish reason.
    #[cold]
    pub(crate) fn set_continued(&mut self, index: u64, is_continued: bool) {
        let Some(OddEnds { continued, .. }) = self.odd_ends.as_deref_mut() else {
            if is_continued {
                self.odd_ends.get_or_insert_default().continued.push(index);
            }
            return;
        };
        match (continued.binary_search(&index), is_continued) {
            (Err(at), true) => continued.insert(at, index),
            (Ok(_), false) => continued.retain(|known| *known != index),
            (Ok(_), true) | (Err(_), false) => {}
        }
    }

    /// Returns the indexes of the choices that output without an end behind it makes unfinished.
    pub(crate) fn continued(&self, end: &StreamSummary) -> &[u64] {
        let odd_ends = self.odd_ends.as_deref().filter(|_| end.done == 0);
        odd_ends.map_or(&[], |odd_ends| &odd_ends.continued)
    }

    /// Stores the first finish reason that names a failure.
    pub(crate) fn add_reason(&mut self, reason: &str) {
        self.has_reason = true;
        if ends_badly(reason) {
            let first = &mut self.odd_ends.get_or_insert_default().failed;
            first.get_or_insert_with(|| beginning(reason, LONGEST_REASON).into());
        }
    }

    /// Records that a choice, or a fragment of a tool call, has an invalid index.
    pub(crate) const fn add_invalid_index(&mut self, is_choice: bool) {
        self.has_invalid_index = true;
        self.lacks_choice |= is_choice;
    }

    /// Returns the first finish reason that names a failure, that of a dropped last chunk included.
    pub(crate) fn failed_finish<'f>(&'f self, end: &'f StreamSummary) -> Option<&'f str> {
        let failed = self.odd_ends.as_deref().and_then(|odd_ends| odd_ends.failed.as_deref());
        failed.or(end.failed_finish.as_deref())
    }

    /// Returns the outcome of the stream, and its defects if there are any.
    ///
    /// `reasons` contains a value for each stored choice, true if it has a finish reason. `end` is
    /// the result of the decoder, or the default without one. `limit` is the exceeded limit of the
    /// completion.
    pub(crate) fn verdict(
        &self,
        mut reasons: impl Iterator<Item = bool>,
        end: &StreamSummary,
        limit: Option<CompletionLimit>,
    ) -> (Outcome, Option<NotWhole>) {
        let (mut has_choice, mut all_finished) = (self.lacks_choice, !self.lacks_choice);
        for has_reason in &mut reasons {
            has_choice = true;
            all_finished &= has_reason;
        }
        let finished = has_choice && all_finished && self.continued(end).is_empty();
        let outcome = self.outcome(has_choice, finished, end);
        let no_completion = matches!(
            outcome,
            Outcome::Empty | Outcome::AnotherApi(_) | Outcome::NotAnEventStream(_)
        );
        let defects = [
            (Defect::NoCompletion, no_completion),
            (Defect::Unfinished, !finished && !no_completion),
            (Defect::UpstreamError, self.has_error || end.upstream_error.is_some()),
            (Defect::FailedFinish, self.failed_finish(end).is_some()),
            (Defect::MalformedEvent, end.malformed > 0),
            (Defect::CutEvent, end.is_event_cut() && !no_completion),
            (Defect::LimitExceeded, limit.is_some()),
            (Defect::InvalidIndex, self.has_invalid_index),
            (Defect::UnknownContentPart, self.has_unknown_part),
            (Defect::MarkedNotWhole, self.is_marked),
        ];
        let holds = defects.into_iter().filter(|(_, holds)| *holds);
        (outcome, NotWhole::new(holds.map(|(defect, _)| defect)))
    }

    fn outcome(&self, has_choice: bool, finished: bool, end: &StreamSummary) -> Outcome {
        if end.upstream_error.is_some() || self.has_error {
            return Outcome::UpstreamError;
        }
        if let Some(body) = end.body {
            return Outcome::NotAnEventStream(body);
        }
        if let Some(api) = end.api
            && !has_choice
        {
            return Outcome::AnotherApi(api);
        }
        if self.failed_finish(end).is_some() {
            return Outcome::FailedFinish;
        }
        match (finished, end.done > 0) {
            (true, _) if end.malformed > 0 => Outcome::MalformedEvent,
            (true, true) => Outcome::Complete,
            (true, false) => Outcome::FinishedWithoutDone,
            (false, true) => Outcome::DoneWithoutFinish,
            (false, false) if end.is_empty() && !self.has_chunk => Outcome::Empty,
            (false, false) => Outcome::Truncated,
        }
    }
}
