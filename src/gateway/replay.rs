//! `Replay` writes a completion as a stream; `assemble` reads a whole stream as a completion.

use core::borrow::Borrow;
use core::fmt;

use super::replay_writer::{ReplayState, ReplayWriter};
use crate::completion::{ChatCompletion, FinishedCompletion, Reassembler};
use crate::decoder::ChunkDecoder;
use crate::error::Error;
use crate::output_buffer::OutputBuffer;

/// Returns the completion of a whole stream in any pieces.
///
/// For a stream that is still arriving, a [`ChunkDecoder`] and a [`Reassembler`] do the same piece
/// by piece.
///
/// ```
/// use deltawire::Outcome;
///
/// let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
/// let finished = deltawire::gateway::assemble([&body[..]]);
/// assert_eq!(finished.outcome, Outcome::Complete);
/// assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Hi"));
/// ```
pub fn assemble<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> FinishedCompletion {
    let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
    for piece in pieces {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
    }
    completion.finish(decoder.finish())
}

/// Writes a completion as a stream of events.
///
/// Use it for a cache, or if a client requests a stream from an upstream that doesn't stream.
///
/// ```
/// use deltawire::gateway::{Replay, assemble};
///
/// let body = b"data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";
/// let completion = assemble([&body[..]]).completion;
///
/// let mut out = Vec::new();
/// let mut replay = Replay::new(&completion);
/// while replay.write_next(&mut out) {
///     // send `out` and clear it, or gather all of it
/// }
/// assert_eq!(assemble([&out[..]]).completion, completion);
/// ```
///
/// A replay borrows its completion or owns it, for a body that outlives the caller. It is created
/// from a `&ChatCompletion`, a `ChatCompletion`, a `Box` or an `Arc`.
/// [`from_json`](Replay::from_json) reads it from JSON.
///
/// # Pacing
///
/// The caller decides when the next event is written. [`text_bytes`](Self::text_bytes) grows with
/// the text, so that a client sees an answer as if a model wrote it. English has about four bytes
/// for each token.
///
/// ```
/// # use deltawire::gateway::assemble;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use deltawire::completion::ChatCompletion;
/// use deltawire::gateway::Replay;
///
/// /// Appends the events that are due at a time since the first one. Returns false after the last.
/// fn write_due(
///     replay: &mut Replay<Arc<ChatCompletion>>,
///     elapsed: Duration,
///     bytes_per_second: u32,
///     out: &mut Vec<u8>,
/// ) -> bool {
///     let due = elapsed.as_millis() * u128::from(bytes_per_second) / 1000;
///     while replay.text_bytes() as u128 <= due {
///         if !replay.write_next(out) {
///             return false;
///         }
///     }
///     true
/// }
///
/// # let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"How are you?\"},\"finish_reason\":\"stop\"}]}\n\n";
/// # let cached = Arc::new(assemble([&body[..]]).completion);
/// let mut replay = Replay::new(Arc::clone(&cached));
/// replay.set_delta_bytes(4);
/// let (mut out, mut elapsed) = (Vec::new(), Duration::ZERO);
/// while write_due(&mut replay, elapsed, 200, &mut out) {
///     // send and clear `out`, sleep
///     elapsed += Duration::from_millis(50);
/// }
/// # assert_eq!((replay.text_bytes(), elapsed.as_millis()), (12, 100));
/// # assert_eq!(assemble([&out[..]]).completion, *cached);
/// ```
///
/// # Rules of a client
///
/// A replay writes all of the completion: the upstream's name of the model, the usage, and each word. For a
/// client that hasn't requested the usage, push its events through a [`Relay`](super::Relay) whose editor
/// has [`hide_usage`](super::Editor::hide_usage). The chunk of the usage is dropped, with its `x_groq` and the
/// id in it. A completion may have counts in `x_groq` only: a rule removes those, and the id stays.
///
/// ```
/// # use deltawire::gateway::assemble;
/// use std::time::Duration;
/// use deltawire::gateway::{EditRule, Editor, Relay, RelayEnd, Replay, UsageVisibility};
///
/// # let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\"x_groq\":{\"id\":\"req_1\",\"usage\":{\"total_tokens\":2}}}\n\ndata: [DONE]\n\n";
/// # let mut cached = assemble([&body[..]]).completion;
/// # for (has_usage, has_id) in [(true, false), (false, true)] {
/// # if !has_usage { cached.usage = None; }
/// let mut editor = Editor::with_rules([EditRule::remove("$.x_groq.usage")?]);
/// editor.hide_usage(UsageVisibility::Removed);
/// let mut relay = Relay::builder().edit(editor).build();
/// let (mut replay, mut event, mut out) = (Replay::new(&cached), Vec::new(), Vec::new());
/// while replay.write_next(&mut event) {
///     let flow = relay.push(&event, Duration::ZERO, &mut out);
///     assert!(flow.is_open()); // a guard may stop it
///     event.clear();
/// }
/// let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
/// assert_eq!(report.outcome.as_str(), "complete");
/// # let out = String::from_utf8(out).unwrap();
/// # assert!(!out.contains("usage") && !out.contains("total_tokens"), "{out}");
/// # assert_eq!((cached.usage.is_some(), out.contains("req_1")), (has_usage, has_id), "{out}");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Form of the stream
///
/// Every chunk repeats the id, the model and the other members that OpenAI repeats, with up to 256
/// bytes of text. A text beyond that budget is in the first chunk only. A choice begins with its
/// role. Its reasoning, content, refusal and tool calls follow in deltas of
/// [`delta_bytes`](Self::set_delta_bytes), and its finish reason is last. The first delta of a
/// choice contains its log probabilities and its members that have no field. The first chunk
/// contains such members of the completion. The usage and `x_groq`, if present, have a chunk of
/// their own.
///
/// The stream is a few times as long as the completion's JSON: in deltas of 32 bytes at most 20
/// times, and 64 KiB more. If very many choices or tool calls are almost empty, several of them
/// share a chunk. Each smaller delta adds up to 550 bytes to its text. So deltas of one character
/// make a text up to 550 times as long.
///
/// The cost of a value is its number of bytes, and 16 for each name or value in it. A value that
/// was joined or merged from many chunks, such as log probabilities, may cost more than 4 MiB. It
/// then continues in further chunks, and a decoder with the default [`Limits`](crate::Limits) reads
/// them all. A value that was sent whole is written whole. If it costs more, it is alone in its
/// chunk and nothing is repeated there. Such a decoder may be unable to read a value of a completion
/// from JSON even then. The replay omits that value, and the stream ends with the error `not_whole`.
///
/// `[DONE]` is written only if the completion has choices and all of them have a finish reason. So a
/// truncated completion remains truncated when it is replayed. A completion with all finish reasons
/// may [not be whole](ChatCompletion::not_whole). Its stream then ends with an error instead of
/// `[DONE]`, with the code `not_whole`.
///
/// The stream of a completion that a [`Reassembler`] made of deltas is reassembled to an equal one.
/// Only white space and the place of `x_groq` may differ. Values without a field, such as log
/// probabilities, are written without white space. Their numbers and strings have the spelling in
/// which they were sent. `x_groq` becomes the last of the members that have no field. The stream of any other completion,
/// also of one with whole messages, is reassembled to one with the same JSON, with these exceptions:
///
/// - Members that a `Reassembler` doesn't store are lost, and a `reasoning` beside the
///   `reasoning_content`.
/// - Empty strings become absent, such as `id`, `model`, `role`, `service_tier`, `finish_reason` or
///   the type and name of a call. So do members of the completion that are `null`.
/// - Choices with the same index become one, and so do elements of lists that are merged by their
///   `index` or `id`. Such elements that are no objects become `{}`. Choices are sorted by their index.
/// - Elements of `thinking_blocks` up to one with a `signature` become one. Members with the same name
///   become one.
/// - A usage in `x_groq` becomes the usage if there is no other, and so does the sum of those of the
///   choices.
///
/// A top-level `error` becomes an error in mid-stream: the outcome is
/// [`UpstreamError`](crate::Outcome::UpstreamError).
pub struct Replay<C> {
    completion: C,
    state: ReplayState,
}

impl<C: Borrow<ChatCompletion>> Replay<C> {
    /// Creates a replay from the beginning, in deltas of up to 32 bytes.
    ///
    /// The completion is borrowed or owned: `&completion`, `completion`, an `Arc` of a cache.
    #[must_use]
    pub const fn new(completion: C) -> Self {
        Self { completion, state: ReplayState::new() }
    }

    /// Sets the maximum number of bytes of text in a delta. A longer character is still whole.
    ///
    /// Each delta adds up to 550 bytes to its text.
    /// `usize::MAX` writes each text at once, except texts of more than 4 MiB.
    pub const fn set_delta_bytes(&mut self, bytes: usize) {
        self.state.set_delta_bytes(bytes);
    }

    /// Returns the number of bytes of text that are written so far.
    ///
    /// Text is content, refusal, reasoning and arguments of calls, without escapes. See
    /// [pacing](#pacing).
    #[must_use]
    pub const fn text_bytes(&self) -> usize {
        self.state.text_bytes
    }

    /// Appends the next event. Returns false if none is left.
    pub fn write_next(&mut self, out: &mut impl OutputBuffer) -> bool {
        out.with_vec(|out| self.append_next(out))
    }

    fn append_next(&mut self, out: &mut Vec<u8>) -> bool {
        let Self { completion, state } = self;
        ReplayWriter { completion: (*completion).borrow(), state }.write_next(out)
    }

    /// Appends all events that are left.
    pub fn write_all(mut self, out: &mut impl OutputBuffer) {
        out.with_vec(|out| while self.append_next(out) {});
    }
}

impl Replay<ChatCompletion> {
    /// Creates a replay of a completion in JSON, such as the answer of an upstream without streaming.
    ///
    /// ```
    /// use deltawire::ErrorKind;
    /// use deltawire::gateway::Replay;
    ///
    /// let answer = br#"{"id":"1","object":"chat.completion","created":2,"model":"m","choices":[
    ///     {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    /// let mut out = Vec::new();
    /// Replay::from_json(answer)?.write_all(&mut out);
    /// assert!(out.ends_with(b"data: [DONE]\n\n"));
    ///
    /// let failure = br#"{"error":{"message":"Rate limit reached","code":429}}"#;
    /// assert_eq!(Replay::from_json(failure).unwrap_err().kind(), ErrorKind::ExpectedChoices);
    /// # Ok::<(), deltawire::Error>(())
    /// ```
    ///
    /// The body of an error is no completion, and no stream begins with it: forward it with the
    /// upstream's status. An `error` beside `choices`, or in a choice, is written as it is. The
    /// [outcome](crate::Outcome) of the stream is then `UpstreamError`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ChatCompletion::from_json`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        ChatCompletion::from_json(json).map(Self::new)
    }
}

impl<C> fmt::Debug for Replay<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("text_bytes", &self.state.text_bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Replay, assemble};
    use crate::decoder::ChunkDecoder;

    /// Choices and tool calls that share events are reassembled unchanged.
    ///
    /// A piece that isn't the last of its text has an event of its own.
    #[test]
    fn several_go_into_one_chunk() {
        let completion = assemble([
            &br#"data: {"choices":[{"index":0,"delta":{"role":"a","content":"Hi","refusal":"no","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":1,"x":[1,2]},{"index":2,"custom":{"input":"i"}}]},"finish_reason":"x","logprobs":{"content":[1]}},{"index":7,"delta":{"reasoning":"r","tool_calls":[{"index":0,"function":{"arguments":"0123456789"}}]},"finish_reason":"y"},{"index":8}]}"#[..],
            b"\n\n",
        ])
        .completion;
        for (delta_bytes, chunks) in [(32, 2), (4, 5)] {
            let mut replay = Replay::new(&completion);
            replay.set_delta_bytes(delta_bytes);
            let mut out = Vec::new();
            while replay.write_next(&mut out) {
                replay.state.credit = 0;
            }
            let again = assemble([&out[..]]);
            assert_eq!((again.end.malformed, again.completion), (0, completion.clone()));
            assert_eq!(again.end.chunks, chunks);
        }
    }

    /// A completion is reassembled unchanged, for each maximum cost of a chunk.
    #[test]
    fn lists_go_on_in_further_chunks() {
        let lists = [
            r#"{"choices":[{"delta":{"role":"assistant","content":"Hi"},"logprobs":{"content":[{"token":"a]","bytes":[97,93]},{"token":"\\\"","top_logprobs":[]}],"refusal":null}}]}"#,
            r#"{"choices":[{"delta":{"annotations":[{"a":[1,2]},{"b":"}"}],"images":[],"new":[1,2,3]},"token_ids":[1,2,3]}]}"#,
            r#"{"choices":[{"delta":{"audio":{"id":"x","data":"QUJD","new":[1,2]},"executed_tools":[{"index":1,"x":1},{"index":0}]},"logprobs":{"content":[7,8,9]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"index":0,"text":"a"},{"text":"b"},{"index":1,"type":"t","data":"c"}]},"reasoning_logprobs":{"content":[1,2],"x":[]}}]}"#,
            r#"{"choices":[{"index":3,"delta":{},"logprobs":{},"new":{"a":1}}],"warnings":[{"a":1},{"b":2}],"other":[1,2]}"#,
            r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0,"a":1},{"prompt_index":1}],"usage":{"a":1}}"#,
        ];
        let events = lists.map(|chunk| format!("data: {chunk}\n\n"));
        let completion = assemble(events.iter().map(String::as_bytes)).completion;
        let mut chunks = Vec::new();
        for cost in [usize::MAX, 300, 100, 40, 1] {
            let mut replay = Replay::new(&completion);
            replay.state.max_cost = cost;
            let mut out = Vec::new();
            replay.write_all(&mut out);
            let again = assemble([&out[..]]);
            assert_eq!(again.completion, completion, "{cost}");
            assert_eq!(again.end.malformed, 0, "{cost}");
            chunks.push(again.end.chunks);
            let mut decoder = ChunkDecoder::new();
            let mut input = &out[..];
            while let Some(event) = decoder.next(&mut input) {
                // A value that exceeds the budget is alone.
                assert!(event.raw().len() < 240 + cost.min(1000), "{event:?}");
            }
        }
        // One chunk for each of 39 members, elements and parts of them. The others are for the
        // beginnings of the two choices, the content and the usage.
        assert!(chunks.is_sorted() && chunks.last() == Some(&43), "{chunks:?}");
    }
}
