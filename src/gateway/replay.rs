//! `Replay` writes a completion as a stream; `assemble` reads a whole stream as a completion.

use crate::chunk::schema::{delta, top};
use core::fmt;

use super::chunk_page::{ChunkPage, MAX_COST, PageCursor, Rule, is_readable};
use super::chunk_writer::Envelope;
use super::deltas::{DeltaText, begin, finish, piece_len, write_call, write_choice};
use super::encode::{DONE, write_error};
use super::json_write;
use crate::chunk::Level;
use crate::completion::{ChatCompletion, CompletionChoice, FinishedCompletion, Reassembler};
use crate::decoder::ChunkDecoder;
use crate::json::writer::{self, ArrayWriter, ObjectWriter, string_len};
use crate::slice::{bytes_in, text_in};

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
///     // send `out` and clear it, and wait a little, or gather all of it
/// }
/// assert_eq!(assemble([&out[..]]).completion, completion);
/// ```
///
/// With the feature `serde` the completion may also be read from JSON:
///
/// ```
/// # #[cfg(feature = "serde")] {
/// use deltawire::completion::ChatCompletion;
/// use deltawire::gateway::Replay;
///
/// let json = r#"{"id":"1","object":"chat.completion","created":2,"model":"m","choices":[
///     {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
/// let completion: ChatCompletion = serde_json::from_str(json)?;
/// let mut out = Vec::new();
/// Replay::new(&completion).write_all(&mut out);
/// assert!(out.ends_with(b"data: [DONE]\n\n"));
/// # }
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Every chunk repeats the id, the model and the other members that OpenAI repeats, with up to 256
/// bytes of text. A text beyond that budget is in the first chunk only. A choice begins with its
/// role. Its reasoning, content, refusal and tool calls follow in deltas of
/// [`delta_bytes`](Self::set_delta_bytes), and its finish reason is last. The first delta of a
/// choice contains its log probabilities and its members that have no field. The first chunk
/// contains such members of the completion. The usage and `x_groq`, if present, have a chunk of
/// their own.
///
/// The stream is a few times as long as the completion's JSON: in deltas of 32 bytes at most 16
/// times, and 64 KiB more. If very many choices or tool calls are almost empty, several of them
/// share a chunk.
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
/// The stream of a completion that a [`Reassembler`] made is reassembled to an equal one. Only
/// `x_groq` is then the last of the members that have no field. The stream of any other completion
/// is reassembled to one with the same JSON, with these exceptions:
///
/// - Members that a `Reassembler` doesn't store are lost, and a `reasoning` beside the
///   `reasoning_content`.
/// - Empty strings become absent, such as `id`, `model`, `role`, `service_tier`, `finish_reason` or
///   the type and name of a call. So do members of the completion that are `null`.
/// - Choices with the same index become one, and so do elements of lists that are merged by their
///   index. Such elements that are no objects become `{}`. Choices are sorted by their index.
/// - A usage in `x_groq` becomes the usage if there is no other.
/// - White space between the elements of a list is lost, and line feeds in a value that would make
///   its event too large.
///
/// A top-level `error` becomes an error in mid-stream: the outcome is
/// [`UpstreamError`](crate::Outcome::UpstreamError).
pub struct Replay<'c> {
    completion: &'c ChatCompletion,
    delta_bytes: usize,
    max_cost: usize,
    /// Position of the choice that is written: `choice <= completion.choices.len()`.
    choice: usize,
    step: ReplayState,
    /// Bytes that the stream may be longer than its completion: `credit <= MAX_CREDIT`.
    ///
    /// Below `LOW_CREDIT`, choices and tool calls share events.
    credit: usize,
    /// A value was omitted that no decoder with the default limits reads.
    lacks_value: bool,
}

/// The next part of the stream, of the current choice if it has one.
#[derive(Clone, Debug)]
enum ReplayState {
    /// The first delta of a choice, or the only chunk of a completion without choices.
    ///
    /// A cursor selects the members that the earlier chunks lack.
    Begin(Option<PageCursor>),
    /// The text at this position, from this byte on.
    Text {
        text: usize,
        from: usize,
    },
    /// The members of a tool call that its first chunk lacks.
    Call {
        text: usize,
        from: usize,
        cursor: PageCursor,
    },
    Finish,
    Usage(PageCursor),
    Done,
    End,
}

/// The part of a text that isn't written yet.
struct RestOfText<'c> {
    choice: &'c CompletionChoice,
    target: DeltaText<'c>,
    rest: &'c str,
    /// No delta with this tool call is written yet.
    is_new_call: bool,
}

impl<'c> Replay<'c> {
    /// Creates a replay from the beginning, in deltas of up to 32 bytes.
    #[must_use]
    pub const fn new(completion: &'c ChatCompletion) -> Self {
        Self {
            completion,
            delta_bytes: 32,
            max_cost: MAX_COST,
            choice: 0,
            step: ReplayState::Begin(None),
            credit: MAX_CREDIT,
            lacks_value: false,
        }
    }

    /// Sets the maximum number of bytes of text in a delta. A longer character is still whole.
    ///
    /// `usize::MAX` writes each text at once, except texts of more than 4 MiB.
    pub const fn set_delta_bytes(&mut self, bytes: usize) {
        self.delta_bytes = if bytes < MAX_COST { bytes } else { MAX_COST };
    }

    /// Appends the next event. Returns false if none is left.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        while out.len() == before {
            if matches!(self.step, ReplayState::End) {
                return false;
            }
            if self.credit >= LOW_CREDIT || !self.write_several(out) {
                self.step = self.advance(out);
            }
        }
        true
    }

    /// Appends all events that are left.
    pub fn write_all(mut self, out: &mut Vec<u8>) {
        while self.write_next(out) {}
    }

    /// Appends the event of the current state, if it has one. Returns the next state.
    fn advance(&mut self, out: &mut Vec<u8>) -> ReplayState {
        match core::mem::replace(&mut self.step, ReplayState::End) {
            ReplayState::Begin(cursor) => self.write_begin(cursor, out),
            ReplayState::Text { text, from } => self.write_piece(text, from, out),
            ReplayState::Call { text, from, cursor } => {
                self.write_rest_of_call(text, from, cursor, out)
            }
            ReplayState::Finish => self.write_finish(out),
            ReplayState::Usage(cursor) => self.write_usage(cursor, out),
            ReplayState::Done => {
                self.write_end(out);
                ReplayState::End
            }
            ReplayState::End => ReplayState::End,
        }
    }

    fn current_choice(&self) -> Option<&'c CompletionChoice> {
        self.completion.choices.get(self.choice)
    }

    /// Returns the rest of a text of the current choice, or `None` after the last text.
    fn rest_of_text(&self, text: usize, from: usize) -> Option<RestOfText<'c>> {
        let choice = self.current_choice()?;
        let (target, whole) = DeltaText::find(&choice.message, text)?;
        let is_new_call = from == 0 && matches!(target, DeltaText::Call(..));
        Some(RestOfText { choice, target, rest: text_in(whole, from..), is_new_call })
    }

    fn write_begin(&mut self, cursor: Option<PageCursor>, out: &mut Vec<u8>) -> ReplayState {
        let start = out.len();
        let page = self.write_page(cursor, out, Self::write_first_chunk);
        self.pay(LEAST_CHOICE + page.bytes, out.len() - start);
        match (page.rest(), self.current_choice()) {
            (Some(cursor), _) => ReplayState::Begin(Some(cursor)),
            (None, Some(_)) => ReplayState::Text { text: 0, from: 0 },
            (None, None) => ReplayState::Usage(PageCursor::default()),
        }
    }

    fn write_piece(&mut self, text: usize, from: usize, out: &mut Vec<u8>) -> ReplayState {
        let Some(rest_of_text) = self.rest_of_text(text, from) else { return ReplayState::Finish };
        let RestOfText { choice, target, rest, is_new_call } = rest_of_text;
        if rest.is_empty() && !is_new_call {
            return ReplayState::Text { text: text + 1, from: 0 };
        }
        let start = out.len();
        let len = piece_len(rest, self.delta_bytes);
        let mut page = ChunkPage::new(None, self.max_cost);
        self.write_chunk(false, out, |out| {
            target.write(choice.index, text_in(rest, ..len), is_new_call, &mut page, out);
        });
        // The caller chose the number of pieces, so only the last one counts.
        if len == rest.len() {
            self.pay(LEAST_CALL + len + page.bytes, out.len() - start);
        }
        after_piece(text, from + len, page.rest())
    }

    fn write_rest_of_call(
        &mut self,
        text: usize,
        from: usize,
        cursor: PageCursor,
        out: &mut Vec<u8>,
    ) -> ReplayState {
        let Some(RestOfText { choice, target, .. }) = self.rest_of_text(text, from) else {
            return ReplayState::Finish;
        };
        let page = self.write_page(Some(cursor), out, |replay, page, out| {
            replay.write_chunk(page.is_alone, out, |out| {
                target.write(choice.index, "", true, page, out);
            });
        });
        after_piece(text, from, page.rest())
    }

    fn write_finish(&mut self, out: &mut Vec<u8>) -> ReplayState {
        let start = out.len();
        if let Some(choice) = self.current_choice().filter(|choice| choice.finish_reason.is_some())
        {
            let cursor = Some(PageCursor::default());
            let page = self.write_page(cursor, out, |replay, page, out| {
                replay.write_chunk(page.is_alone, out, |out| finish(choice, page, out));
            });
            self.pay(page.bytes, out.len() - start);
        }
        self.next_choice()
    }

    fn write_usage(&mut self, cursor: PageCursor, out: &mut Vec<u8>) -> ReplayState {
        let ChatCompletion { usage, extra, .. } = self.completion;
        let x_groq = extra.get(top::X_GROQ);
        if usage.is_none() && x_groq.is_none() {
            return ReplayState::Done;
        }
        let page = self.write_page(Some(cursor), out, |replay, page, out| {
            let mut chunk = replay.begin_chunk(page.is_alone, out);
            chunk.raw(top::CHOICES, "[]");
            // The usage is written first: it outranks the usage that `x_groq` may contain.
            if let Some(usage) = usage {
                page.object(top::USAGE, usage, Rule::At(Level::Usage), &mut chunk);
            }
            let x_groq = x_groq.map(|x_groq| (top::X_GROQ, x_groq));
            page.members(Rule::At(Level::Top), x_groq.into_iter(), &mut chunk);
            end(chunk);
        });
        page.rest().map_or(ReplayState::Done, ReplayState::Usage)
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        let choices = &self.completion.choices;
        let is_finished = |choice: &CompletionChoice| choice.finish_reason.is_some();
        let is_done = !choices.is_empty() && choices.iter().all(is_finished);
        if self.lacks_value || is_done {
            let is_whole = !self.lacks_value && !self.completion.not_whole;
            if is_whole {
                out.extend_from_slice(DONE);
            } else {
                let message = "The completion is not whole.";
                write_error(message, "incomplete_completion", "not_whole", out);
            }
        }
    }

    /// Appends an event that `write` fills from a cursor on, within the budget of a chunk.
    ///
    /// An oversized value is alone in its event. A value that no decoder with the default limits
    /// reads even then is omitted.
    fn write_page(
        &mut self,
        cursor: Option<PageCursor>,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&Self, &mut ChunkPage, &mut Vec<u8>),
    ) -> ChunkPage {
        let start = out.len();
        let mut page = ChunkPage::new(cursor.clone(), self.max_cost);
        write(self, &mut page, out);
        if !page.is_oversized {
            return page;
        }
        for has_index in [true, false] {
            out.truncate(start);
            page = ChunkPage::alone(cursor.clone(), self.max_cost, has_index);
            write(self, &mut page, out);
            let is_read = |out: &[u8]| is_readable(bytes_in(out, start..));
            if is_read(out) || (json_write::join_lines(out, start) && is_read(out)) {
                return page;
            }
        }
        out.truncate(start);
        self.lacks_value = true;
        page
    }

    /// Counts an event of `written` bytes, `own` of which are the completion's.
    fn pay(&mut self, own: usize, written: usize) {
        let credit = self.credit.saturating_add(own.saturating_mul(CREDIT_PER_BYTE));
        self.credit = credit.saturating_sub(written).min(MAX_CREDIT);
    }

    /// Selects the next choice. Returns the state after the current one.
    fn next_choice(&mut self) -> ReplayState {
        self.choice += 1;
        match self.current_choice() {
            Some(_) => ReplayState::Begin(None),
            None => ReplayState::Usage(PageCursor::default()),
        }
    }

    /// Appends an event with several small choices or tool calls. Returns false if none is next.
    #[cold]
    fn write_several(&mut self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let mut chunk = self.begin_chunk(false, out);
        let mut choices = ArrayWriter::begin(chunk.name(top::CHOICES));
        while choices.buffer_len() - start < SHARED_BYTES {
            let mut next = None;
            choices.attempt(|out| {
                let before = out.len();
                next = self.write_small(out);
                next.is_some() && out.len() > before
            });
            let Some(next) = next else { break };
            self.step = next;
        }
        let is_written = !choices.is_empty;
        choices.end();
        end(chunk);
        if !is_written {
            out.truncate(start);
        }
        is_written
    }

    /// Appends the choice of the current state if it is small. Returns the next state.
    fn write_small(&mut self, out: &mut Vec<u8>) -> Option<ReplayState> {
        let choice = self.current_choice()?;
        match self.step {
            ReplayState::Begin(None) if self.choice > 0 => {
                let mut page = ChunkPage::new(None, SHARED_BYTES.min(self.max_cost));
                begin(choice, &mut page, out);
                page.rest().is_none().then_some(ReplayState::Text { text: 0, from: 0 })
            }
            ReplayState::Text { text, from } => {
                let Some(rest_of_text) = self.rest_of_text(text, from) else {
                    return Some(ReplayState::Finish);
                };
                let RestOfText { target, rest, is_new_call, .. } = rest_of_text;
                if rest.len() > self.small_len() {
                    return None;
                }
                let mut next = text + 1;
                if is_new_call {
                    next = self.write_calls(choice, text, out)?;
                } else if !rest.is_empty() {
                    let mut page = ChunkPage::new(None, self.max_cost);
                    target.write(choice.index, rest, false, &mut page, out);
                }
                Some(ReplayState::Text { text: next, from: 0 })
            }
            ReplayState::Finish => {
                if let Some(reason) = &choice.finish_reason {
                    if reason.len() > SHARED_BYTES {
                        return None;
                    }
                    let mut page = ChunkPage::new(Some(PageCursor::default()), self.max_cost);
                    finish(choice, &mut page, out);
                }
                Some(self.next_choice())
            }
            _ => None,
        }
    }

    /// Returns the maximum length of a text that shares its event.
    fn small_len(&self) -> usize {
        self.delta_bytes.min(SHARED_BYTES)
    }

    /// Appends a choice with the small tool calls from `text` on. Returns the text after them.
    ///
    /// Returns `None` if the first one isn't small.
    fn write_calls(
        &self,
        choice: &CompletionChoice,
        text: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut next = text;
        write_choice(choice.index, false, out, |delta| {
            let mut calls = ArrayWriter::begin(delta.name(delta::TOOL_CALLS));
            let start = calls.buffer_len();
            let mut is_small = true;
            while is_small && calls.buffer_len() - start < SHARED_BYTES {
                let Some((DeltaText::Call(position, call), arguments)) =
                    DeltaText::find(&choice.message, next)
                else {
                    break;
                };
                calls.attempt(|out| {
                    let mut page = ChunkPage::new(None, SHARED_BYTES.min(self.max_cost));
                    is_small = arguments.len() <= self.small_len() && {
                        write_call(position, call, arguments, true, &mut page, out);
                        page.rest().is_none()
                    };
                    is_small
                });
                next += usize::from(is_small);
            }
            calls.end();
        });
        (next > text).then_some(next)
    }

    /// Appends a chunk with the beginning of the current choice.
    ///
    /// The chunk of the first choice also contains members of the completion.
    fn write_first_chunk(&self, page: &mut ChunkPage, out: &mut Vec<u8>) {
        let has_members = self.choice == 0;
        let mut chunk = self.begin_chunk(page.is_alone, out);
        if has_members {
            for (name, text, is_repeated) in self.repeated_texts() {
                page.text(name, text.filter(|_| !is_repeated), &mut chunk);
            }
        }
        writer::array(self.current_choice(), chunk.name(top::CHOICES), |choice, out| {
            begin(choice, page, out);
        });
        if has_members {
            let members = self.completion.extra.iter().filter(|(name, _)| *name != top::X_GROQ);
            page.members(Rule::At(Level::Top), members, &mut chunk);
        }
        end(chunk);
    }

    /// Appends a chunk with a choice that `write_choice` writes.
    fn write_chunk(
        &self,
        is_alone: bool,
        out: &mut Vec<u8>,
        write_choice: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut chunk = self.begin_chunk(is_alone, out);
        let mut choices = ArrayWriter::begin(chunk.name(top::CHOICES));
        choices.element(write_choice);
        choices.end();
        end(chunk);
    }

    /// Begins an event, with the members that all chunks repeat unless its value `is_alone`.
    fn begin_chunk<'o>(&self, is_alone: bool, out: &'o mut Vec<u8>) -> ObjectWriter<'o> {
        out.extend_from_slice(b"data: ");
        if is_alone { ObjectWriter::begin(out) } else { self.envelope().begin(out) }
    }

    /// Returns the members that all chunks repeat.
    fn envelope(&self) -> Envelope<'c> {
        let texts = self.repeated_texts();
        let [id, model, service_tier, system_fingerprint] =
            texts.map(|(_, text, is_repeated)| text.filter(|_| is_repeated));
        let created = self.completion.created;
        Envelope { id, created, model, service_tier, system_fingerprint }
    }

    /// Returns the texts that chunks may repeat: name, text, and true if every chunk repeats it.
    fn repeated_texts(&self) -> [(&'static str, Option<&'c str>, bool); 4] {
        let ChatCompletion { id, model, service_tier, system_fingerprint, .. } = self.completion;
        let mut budget = REPEATED_BYTES;
        [
            (top::ID, Some(id.as_deref().unwrap_or_default())),
            (top::MODEL, Some(model.as_deref().unwrap_or_default())),
            (top::SERVICE_TIER, service_tier.as_deref()),
            (top::SYSTEM_FINGERPRINT, system_fingerprint.as_deref()),
        ]
        .map(|(name, text)| {
            let value = text.unwrap_or_default();
            let is_short = value.len() < REPEATED_BYTES;
            let len = if is_short { string_len(value) } else { usize::MAX };
            let is_repeated = len <= budget;
            budget -= if is_repeated { len } else { 0 };
            (name, text, is_repeated)
        })
    }
}

/// Returns the state after a piece of a text that ends at `end`.
fn after_piece(text: usize, end: usize, rest: Option<PageCursor>) -> ReplayState {
    match rest {
        Some(cursor) => ReplayState::Call { text, from: end, cursor },
        None => ReplayState::Text { text: text + usize::from(end == 0), from: end },
    }
}

/// Maximum number of bytes of the texts that every chunk repeats, with escapes and quotes.
const REPEATED_BYTES: usize = 256 + 4 * 2;

/// Credit for each byte of a completion, in bytes.
///
/// A replay starts with `MAX_CREDIT`. Below `LOW_CREDIT`, several choices or tool calls share an
/// event.
const CREDIT_PER_BYTE: usize = 12;
const MAX_CREDIT: usize = 64 << 10;
const LOW_CREDIT: usize = 2 << 10;

/// Least number of bytes in the JSON of a choice, and of a tool call.
const LEAST_CHOICE: usize = 12;
const LEAST_CALL: usize = 3;

/// Maximum number of bytes of an event that several choices share, before its last one.
const SHARED_BYTES: usize = 4 << 10;

fn end(chunk: ObjectWriter<'_>) {
    chunk.end().extend_from_slice(b"\n\n");
}

impl fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("step", &self.step).finish_non_exhaustive()
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
                replay.credit = 0;
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
            r#"{"choices":[{"delta":{"audio":{"id":"x","data":"QUJD","new":[1,2]},"executed_tools":[{"index":1,"x":1},{"index":0}]},"logprobs":{"content":[7, 8 ,9]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"index":0,"text":"a"},{"text":"b"},{"index":1,"type":"t","data":"c"}]},"reasoning_logprobs":{"content":[1,2],"x":[]}}]}"#,
            r#"{"choices":[{"index":3,"delta":{},"logprobs":{},"new":{"a":1}}],"warnings":[{"a":1},{"b":2}],"other":[1,2]}"#,
            r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0,"a":1},{"prompt_index":1}],"usage":{"a":1}}"#,
        ];
        let events = lists.map(|chunk| format!("data: {chunk}\n\n"));
        let completion = assemble(events.iter().map(String::as_bytes)).completion;
        let mut chunks = Vec::new();
        for cost in [usize::MAX, 300, 100, 40, 1] {
            let mut replay = Replay::new(&completion);
            replay.max_cost = cost;
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
