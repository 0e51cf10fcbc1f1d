//! `Replay`: a whole completion as a stream again; `assemble`: a whole stream as a completion.

use core::fmt;

use super::chunk_page::{ChunkPage, MOST_COST, PageCursor, Rule, is_readable};
use super::deltas::{DeltaText, begin, delta, finish, piece_len, text_of, with_delta, write_call};
use super::encode::DONE;
use super::json_write::{self, ObjectWriter};
use crate::chunk::Level;
use crate::completion::{ChatCompletion, CompletionChoice, Finished, Reassembler};
use crate::decoder::ChunkDecoder;

/// The completion of a whole stream that is at hand, in any pieces; while it still comes in, a
/// [`ChunkDecoder`] and a [`Reassembler`] do the same piece by piece.
///
/// ```
/// use deltawire::Outcome;
///
/// let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
/// let finished = deltawire::gateway::assemble([&body[..]]);
/// assert_eq!(finished.outcome, Outcome::Complete);
/// assert_eq!(finished.completion.choices[0].message.content.as_deref(), Some("Hi"));
/// ```
pub fn assemble<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Finished {
    let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
    for piece in pieces {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
    }
    completion.finish(decoder.finish())
}

/// Writes a completion as a stream of events: from a cache, or for a client that asked for a stream
/// when the upstream doesn't stream.
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
/// A completion that was read from JSON, which takes the feature `serde`, goes in as well:
///
/// ```
/// # #[cfg(feature = "serde")] {
/// use deltawire::{ChatCompletion, gateway::Replay};
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
/// bytes of text. A text without room is in the first chunk only. A choice begins with its role.
/// Its reasoning, content, refusal and tool calls follow in deltas of
/// [`delta_bytes`](Self::set_delta_bytes), and its finish reason is last. The first delta of a
/// choice contains its log probabilities and its members that have no field. The first chunk
/// contains such members of the completion. The usage and `x_groq`, if present, have a chunk of
/// their own.
///
/// The stream is a few times as long as the completion's JSON: in deltas of 32 bytes at most 16
/// times, and 64 KiB more. If very many choices or tool calls are almost empty, several of them
/// share a chunk.
///
/// A value that was joined or merged from many chunks, such as log probabilities, may cost more
/// than 4 MiB: its bytes, and 16 for each name or value. It then continues in further chunks, and a
/// decoder with the default [`Limits`](crate::Limits) reads them all. A value that was sent whole
/// is written whole; if it costs more, it is alone in its chunk and nothing is repeated there. Such
/// a decoder may be unable to read a value of a completion from JSON even then. The replay omits
/// that value, and the stream ends with the error `not_whole`.
///
/// `[DONE]` is written only if the completion has choices and all of them have a finish reason: a
/// truncated completion remains truncated when it is replayed. A completion with all finish reasons
/// may [not be whole](ChatCompletion::not_whole). Its stream then ends with an error instead of
/// `[DONE]`, with the code `not_whole`.
///
/// Reassembled, the stream of a completion that a [`Reassembler`] made gives an equal one, but that
/// `x_groq` stands last among the members that have no field. One that was read from JSON or made by
/// hand gives one that writes the same JSON, but for what a stream can't say or says otherwise:
///
/// - members that a `Reassembler` doesn't keep, and a `reasoning` beside the `reasoning_content`;
/// - strings that are empty and not absent, such as `id`, `model`, `role`, `service_tier`,
///   `finish_reason` or the type and name of a call, and members of the completion that are `null`;
/// - choices, and elements of lists that are merged by their index: those of the same index become
///   one, elements that are no objects `{}`, and choices come in the order of their index;
/// - a usage in `x_groq`, which is the usage where there is no other;
/// - white space between the elements of a list, and line feeds in a value that would make its
///   event too large.
///
/// A top-level `error` becomes an error in mid-stream: the outcome is
/// [`UpstreamError`](crate::Outcome::UpstreamError).
pub struct Replay<'c> {
    completion: &'c ChatCompletion,
    delta_bytes: usize,
    most_cost: usize,
    step: ReplayState,
    /// Credit in bytes, which `pay` counts.
    ///
    /// Below `LEAST_SAVED`, choices and tool calls share events.
    saved: usize,
    /// A value was omitted that no decoder with the default limits reads.
    lacks: bool,
}

/// What is to be written next. Numbers are positions.
#[derive(Clone, Debug)]
enum ReplayState {
    /// The first delta of a choice, or the only chunk of a completion without choices.
    ///
    /// With a cursor, the members that had no room in it.
    Begin(usize, Option<PageCursor>),
    /// More of a choice's texts, from a byte of one of them on.
    Text {
        choice: usize,
        text: usize,
        from: usize,
    },
    /// The members of a tool call that had no room in its first chunk.
    Call {
        choice: usize,
        text: usize,
        from: usize,
        cursor: PageCursor,
    },
    Finish(usize),
    Usage(PageCursor),
    Done,
    End,
}

impl<'c> Replay<'c> {
    /// A replay from the beginning, in deltas of up to 32 bytes.
    #[must_use]
    pub const fn new(completion: &'c ChatCompletion) -> Self {
        Self {
            completion,
            delta_bytes: 32,
            most_cost: MOST_COST,
            step: ReplayState::Begin(0, None),
            saved: MOST_SAVED,
            lacks: false,
        }
    }

    /// Sets how many bytes of text a delta has at most; a character is never cut, so that one may be
    /// longer. `usize::MAX` writes each text at once, but for those of more than 4 MiB.
    pub const fn set_delta_bytes(&mut self, bytes: usize) {
        self.delta_bytes = if bytes < MOST_COST { bytes } else { MOST_COST };
    }

    /// Appends the next event; `false` where there is none.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        while out.len() == before {
            if matches!(self.step, ReplayState::End) {
                return false;
            }
            if self.saved >= LEAST_SAVED || !self.write_several(out) {
                self.step = self.advance(out);
            }
        }
        true
    }

    /// Appends all events that are left.
    pub fn write_all(mut self, out: &mut Vec<u8>) {
        while self.write_next(out) {}
    }

    /// Writes what is to be written next, if there is anything, and says what comes then.
    fn advance(&mut self, out: &mut Vec<u8>) -> ReplayState {
        let completion = self.completion;
        let choices = &completion.choices;
        let start = out.len();
        match core::mem::replace(&mut self.step, ReplayState::End) {
            ReplayState::Begin(at, cursor) => {
                let choice = choices.get(at);
                let portion = self.portion(cursor, out, |replay, portion, out| {
                    replay.begin(choice, at == 0, portion, out);
                });
                self.pay(LEAST_CHOICE + portion.bytes, out.len() - start);
                match (portion.rest(), choice) {
                    (Some(cursor), _) => ReplayState::Begin(at, Some(cursor)),
                    (None, Some(_)) => ReplayState::Text { choice: at, text: 0, from: 0 },
                    (None, None) => ReplayState::Usage(PageCursor::default()),
                }
            }
            ReplayState::Text { choice: at, text, from } => {
                let Some(choice) = choices.get(at) else {
                    return ReplayState::Usage(PageCursor::default());
                };
                let Some((part, whole)) = text_of(&choice.message, text) else {
                    return ReplayState::Finish(at);
                };
                let rest = whole.get(from..).unwrap_or_default();
                let begins = from == 0 && matches!(part, DeltaText::Call(..));
                if rest.is_empty() && !begins {
                    return ReplayState::Text { choice: at, text: text + 1, from: 0 };
                }
                let len = piece_len(rest, self.delta_bytes);
                let piece = rest.get(..len).unwrap_or_default();
                let mut portion = ChunkPage::new(None, self.most_cost);
                self.chunk(false, out, |out| {
                    delta(choice.index, part, (piece, begins), &mut portion, out);
                });
                // The caller chose the number of pieces, so only the last one counts.
                if len == rest.len() {
                    self.pay(LEAST_CALL + len + portion.bytes, out.len() - start);
                }
                after_piece((at, text), (from, len), portion.rest())
            }
            ReplayState::Call { choice: at, text, from, cursor } => {
                let choice = choices.get(at);
                let called = choice.and_then(|choice| text_of(&choice.message, text));
                let (Some(choice), Some((part, _))) = (choice, called) else {
                    return ReplayState::Finish(at);
                };
                let portion = self.portion(Some(cursor), out, |replay, portion, out| {
                    replay.chunk(portion.is_alone, out, |out| {
                        delta(choice.index, part, ("", true), portion, out);
                    });
                });
                after_piece((at, text), (0, from), portion.rest())
            }
            ReplayState::Finish(at) => {
                let Some(choice) = choices.get(at) else {
                    return ReplayState::Usage(PageCursor::default());
                };
                if choice.finish_reason.is_some() {
                    let cursor = Some(PageCursor::default());
                    let portion = self.portion(cursor, out, |replay, portion, out| {
                        replay.chunk(portion.is_alone, out, |out| finish(choice, portion, out));
                    });
                    self.pay(portion.bytes, out.len() - start);
                }
                self.after(at)
            }
            ReplayState::Usage(cursor) => {
                let x_groq = completion.extra.get("x_groq");
                if completion.usage.is_none() && x_groq.is_none() {
                    return ReplayState::Done;
                }
                let portion = self.portion(Some(cursor), out, |replay, portion, out| {
                    let mut chunk = replay.begin_chunk(portion.is_alone, out);
                    chunk.raw("choices", "[]");
                    // The usage is written first: it outranks the usage that `x_groq` may contain.
                    if let Some(usage) = &completion.usage {
                        portion.inside("usage", usage, Rule::At(Level::Usage), &mut chunk);
                    }
                    let x_groq = x_groq.map(|x_groq| ("x_groq", x_groq));
                    portion.members(Rule::At(Level::Top), x_groq.into_iter(), &mut chunk);
                    end(chunk);
                });
                portion.rest().map_or(ReplayState::Done, ReplayState::Usage)
            }
            ReplayState::Done => {
                let is_finished = |choice: &CompletionChoice| choice.finish_reason.is_some();
                let is_done = !choices.is_empty() && choices.iter().all(is_finished);
                if self.lacks || is_done {
                    let is_whole = !self.lacks && !completion.not_whole;
                    out.extend_from_slice(if is_whole { DONE } else { NOT_WHOLE });
                }
                ReplayState::End
            }
            ReplayState::End => ReplayState::End,
        }
    }

    /// Appends an event that `write` fills from a cursor on, as far as it has room.
    ///
    /// An oversized value is alone in its event. A value that no decoder with the default limits
    /// reads even then is omitted.
    fn portion(
        &mut self,
        cursor: Option<PageCursor>,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&Self, &mut ChunkPage, &mut Vec<u8>),
    ) -> ChunkPage {
        let start = out.len();
        let mut portion = ChunkPage::new(cursor.clone(), self.most_cost);
        write(self, &mut portion, out);
        if !portion.is_oversized {
            return portion;
        }
        for has_index in [true, false] {
            out.truncate(start);
            portion = ChunkPage::alone(cursor.clone(), self.most_cost, has_index);
            write(self, &mut portion, out);
            let reads = |out: &[u8]| is_readable(out.get(start..).unwrap_or_default());
            if reads(out) || (json_write::join_lines(out, start) && reads(out)) {
                return portion;
            }
        }
        out.truncate(start);
        self.lacks = true;
        portion
    }

    /// Counts an event of `written` bytes, `own` of which are the completion's.
    fn pay(&mut self, own: usize, written: usize) {
        let saved = self.saved.saturating_add(own.saturating_mul(SAVED));
        self.saved = saved.saturating_sub(written).min(MOST_SAVED);
    }

    /// Returns the step after a choice.
    fn after(&self, at: usize) -> ReplayState {
        if at + 1 < self.completion.choices.len() {
            ReplayState::Begin(at + 1, None)
        } else {
            ReplayState::Usage(PageCursor::default())
        }
    }

    /// Appends an event with several small choices or tool calls; returns false if none is next.
    #[cold]
    fn write_several(&mut self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let mut chunk = self.envelope(out);
        let choices = chunk.name("choices");
        choices.push(b'[');
        let first = choices.len();
        while choices.len() - start < SEVERAL {
            let before = choices.len();
            if before > first {
                choices.push(b',');
            }
            let begins = choices.len();
            let next = self.write_small(choices);
            if next.is_none() || choices.len() == begins {
                choices.truncate(before);
            }
            let Some(next) = next else { break };
            self.step = next;
        }
        let is_written = choices.len() > first;
        choices.push(b']');
        end(chunk);
        if !is_written {
            out.truncate(start);
        }
        is_written
    }

    /// Appends the choice of the current step if it is small, and returns the step after it.
    fn write_small(&self, out: &mut Vec<u8>) -> Option<ReplayState> {
        let choices = &self.completion.choices;
        match self.step {
            ReplayState::Begin(at @ 1.., None) => {
                let mut portion = ChunkPage::new(None, SEVERAL.min(self.most_cost));
                begin(choices.get(at)?, &mut portion, out);
                let is_whole = portion.rest().is_none();
                is_whole.then_some(ReplayState::Text { choice: at, text: 0, from: 0 })
            }
            ReplayState::Text { choice: at, text, from } => {
                let choice = choices.get(at)?;
                let Some((part, whole)) = text_of(&choice.message, text) else {
                    return Some(ReplayState::Finish(at));
                };
                let rest = whole.get(from..).unwrap_or_default();
                let begins = from == 0 && matches!(part, DeltaText::Call(..));
                if rest.len() > self.delta_bytes.min(SEVERAL) {
                    return None;
                }
                let next = ReplayState::Text { choice: at, text: text + 1, from: 0 };
                if begins {
                    let text = self.write_calls(choice, text, out)?;
                    return Some(ReplayState::Text { choice: at, text, from: 0 });
                }
                if !rest.is_empty() {
                    let mut portion = ChunkPage::new(None, self.most_cost);
                    delta(choice.index, part, (rest, false), &mut portion, out);
                }
                Some(next)
            }
            ReplayState::Finish(at) => {
                let choice = choices.get(at)?;
                if let Some(reason) = &choice.finish_reason {
                    if reason.len() > SEVERAL {
                        return None;
                    }
                    let mut portion = ChunkPage::new(Some(PageCursor::default()), self.most_cost);
                    finish(choice, &mut portion, out);
                }
                Some(self.after(at))
            }
            _ => None,
        }
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
        with_delta(choice.index, false, out, |delta| {
            let calls = delta.name("tool_calls");
            calls.push(b'[');
            let start = calls.len();
            while calls.len() - start < SEVERAL {
                let Some((DeltaText::Call(at, call), arguments)) = text_of(&choice.message, next)
                else {
                    break;
                };
                if arguments.len() > self.delta_bytes.min(SEVERAL) {
                    break;
                }
                let before = calls.len();
                if before > start {
                    calls.push(b',');
                }
                let mut portion = ChunkPage::new(None, SEVERAL.min(self.most_cost));
                write_call(at, call, (arguments, true), &mut portion, calls);
                if portion.rest().is_some() {
                    calls.truncate(before);
                    break;
                }
                next += 1;
            }
            calls.push(b']');
        });
        (next > text).then_some(next)
    }

    /// Appends a chunk with the beginning of a choice, and with the completion's members if it is the
    /// first one, as far as they have room.
    fn begin(
        &self,
        choice: Option<&CompletionChoice>,
        has_members: bool,
        portion: &mut ChunkPage,
        out: &mut Vec<u8>,
    ) {
        let mut chunk = self.begin_chunk(portion.is_alone, out);
        if has_members {
            let texts = self.texts().into_iter().zip(self.repeated());
            for ((name, text), is_repeated) in texts {
                if let Some(text) = text.filter(|_| !is_repeated) {
                    portion.text(name, text, &mut chunk);
                }
            }
        }
        let choices = chunk.name("choices");
        choices.push(b'[');
        if let Some(choice) = choice {
            begin(choice, portion, choices);
        }
        choices.push(b']');
        if has_members {
            let members = self.completion.extra.iter().filter(|(name, _)| *name != "x_groq");
            portion.members(Rule::At(Level::Top), members, &mut chunk);
        }
        end(chunk);
    }

    /// Appends a chunk with one choice.
    fn chunk(&self, is_alone: bool, out: &mut Vec<u8>, choice: impl FnOnce(&mut Vec<u8>)) {
        let mut chunk = self.begin_chunk(is_alone, out);
        let choices = chunk.name("choices");
        choices.push(b'[');
        choice(choices);
        choices.push(b']');
        end(chunk);
    }

    /// Begins an event, with the members that all chunks repeat unless its value `is_alone`.
    fn begin_chunk<'o>(&self, is_alone: bool, out: &'o mut Vec<u8>) -> ObjectWriter<'o> {
        if is_alone { ObjectWriter::begin(data(out)) } else { self.envelope(out) }
    }

    /// Begins an event with what all chunks have.
    fn envelope<'o>(&self, out: &'o mut Vec<u8>) -> ObjectWriter<'o> {
        let [id, others @ ..] = self.texts();
        let [has_id, has_others @ ..] = self.repeated();
        let mut chunk = ObjectWriter::begin(data(out));
        chunk.string_if("id", id.1.filter(|_| has_id));
        chunk.string("object", "chat.completion.chunk");
        if let Some(created) = self.completion.created {
            chunk.number("created", created);
        }
        for ((name, text), _) in others.into_iter().zip(has_others).filter(|(_, has)| *has) {
            chunk.string_if(name, text);
        }
        chunk
    }

    /// Returns the texts of the completion that chunks may repeat, with their names.
    fn texts(&self) -> [(&'static str, Option<&'c str>); 4] {
        let ChatCompletion { id, model, service_tier, system_fingerprint, .. } = self.completion;
        [
            ("id", Some(id.as_deref().unwrap_or_default())),
            ("model", Some(model.as_deref().unwrap_or_default())),
            ("service_tier", service_tier.as_deref()),
            ("system_fingerprint", system_fingerprint.as_deref()),
        ]
    }

    /// Returns, for each of these texts, true if every chunk repeats it.
    fn repeated(&self) -> [bool; 4] {
        let mut room = MOST_REPEATED;
        self.texts().map(|(_, text)| {
            let text = text.unwrap_or_default();
            let len =
                if text.len() < MOST_REPEATED { json_write::string_len(text) } else { usize::MAX };
            let is_repeated = len <= room;
            room -= if is_repeated { len } else { 0 };
            is_repeated
        })
    }
}

/// Returns the step after a piece of a text.
fn after_piece(
    (choice, text): (usize, usize),
    (from, len): (usize, usize),
    rest: Option<PageCursor>,
) -> ReplayState {
    let from = from + len;
    match rest {
        Some(cursor) => ReplayState::Call { choice, text, from, cursor },
        None => ReplayState::Text { choice, text: text + usize::from(len == 0), from },
    }
}

/// Most bytes of the texts that every chunk repeats, with their escapes and quotes.
const MOST_REPEATED: usize = 256 + 4 * 2;

/// Credit for each byte of a completion, in bytes.
///
/// A replay starts with `MOST_SAVED`, which is also the largest credit. Below `LEAST_SAVED`,
/// several choices or tool calls share an event.
const SAVED: usize = 12;
const MOST_SAVED: usize = 64 << 10;
const LEAST_SAVED: usize = 2 << 10;

/// Least number of bytes in the JSON of a choice, and of a tool call.
const LEAST_CHOICE: usize = 12;
const LEAST_CALL: usize = 3;

/// Most bytes of an event that several choices or tool calls share, before its last one.
const SEVERAL: usize = 4 << 10;

/// The event that ends the stream of a completion that isn't whole.
const NOT_WHOLE: &[u8] = b"data: {\"error\":{\"message\":\"The completion is not whole.\",\
    \"type\":\"incomplete_completion\",\"param\":null,\"code\":\"not_whole\"}}\n\n";

/// Begins an event.
fn data(out: &mut Vec<u8>) -> &mut Vec<u8> {
    out.extend_from_slice(b"data: ");
    out
}

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
                replay.saved = 0;
            }
            let again = assemble([&out[..]]);
            assert_eq!((again.end.malformed, again.completion), (0, completion.clone()));
            assert_eq!(again.end.chunks, chunks);
        }
    }

    /// Wherever a chunk has no more room, what is joined again is the same, in as many chunks as it
    /// takes.
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
            replay.most_cost = cost;
            let mut out = Vec::new();
            replay.write_all(&mut out);
            let again = assemble([&out[..]]);
            assert_eq!(again.completion, completion, "{cost}");
            assert_eq!(again.end.malformed, 0, "{cost}");
            chunks.push(again.end.chunks);
            let mut decoder = ChunkDecoder::new();
            let mut input = &out[..];
            while let Some(event) = decoder.next(&mut input) {
                // What costs more than there is room for is alone.
                assert!(event.raw().len() < 240 + cost.min(1000), "{event:?}");
            }
        }
        // One chunk for each of 39 members, elements and parts of them, for the beginning of each
        // of the two choices, for the content, and for the usage.
        assert!(chunks.is_sorted() && chunks.last() == Some(&43), "{chunks:?}");
    }
}
