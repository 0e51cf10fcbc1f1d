//! `Replay`: a whole completion as a stream again; `assemble`: a whole stream as a completion.

use core::fmt;

use super::encode::DONE;
use super::portion::{Cursor, MOST_COST, Portion};
use super::write::{self, Object};
use crate::chunk::Level;
use crate::decoder::ChunkDecoder;
use crate::reassemble::{
    ChatCompletion, CompletionChoice, Finished, FunctionCall, Message, Reassembler, ToolCall,
};

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
/// Every chunk has the id, the model and what else OpenAI repeats; one of these that has more than 256
/// bytes is in the first chunk only, so that what is written stays within a small factor of the
/// completion. Each choice begins with its role,
/// goes on with its reasoning, content, refusal and tool calls in deltas of
/// [`delta_bytes`](Self::set_delta_bytes), and ends with its finish reason. Log probabilities and
/// members that have no field come with the choice's first delta, those of the completion with the
/// first chunk, and the usage, if there is one, with a chunk of its own.
///
/// Lists that were joined from many chunks, such as log probabilities, go on in further chunks where
/// one has more than 4 MiB, or 262 144 names and values: a decoder with the default
/// [`Limits`](crate::Limits) reads them all. A single value that was sent whole is written whole, and
/// alone in its chunk if it is larger than that.
///
/// `[DONE]` is only written where all choices have a finish reason: what was cut short doesn't look
/// complete when it is replayed. A completion that [isn't whole](ChatCompletion::not_whole) though all
/// of them have one ends with an error in its place, whose code is `not_whole`.
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
/// - white space between the elements of a list.
///
/// A top-level `error` becomes an error in mid-stream: the outcome is
/// [`UpstreamError`](crate::Outcome::UpstreamError).
pub struct Replay<'c> {
    completion: &'c ChatCompletion,
    delta_bytes: usize,
    most_cost: usize,
    step: Step,
}

/// What is to be written next. Numbers are positions.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The first delta of a choice, or the only chunk where there is none; with a cursor what had no
    /// room in it.
    Begin(usize, Option<Cursor>),
    /// More of a choice's texts, from a byte of one of them on.
    Text {
        choice: usize,
        text: usize,
        from: usize,
    },
    Finish(usize),
    Usage,
    Done,
    End,
}

impl<'c> Replay<'c> {
    /// A replay from the beginning, in deltas of up to 32 bytes.
    #[must_use]
    pub const fn new(completion: &'c ChatCompletion) -> Self {
        Self { completion, delta_bytes: 32, most_cost: MOST_COST, step: Step::Begin(0, None) }
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
            if matches!(self.step, Step::End) {
                return false;
            }
            self.step = self.advance(out);
        }
        true
    }

    /// Appends all events that are left.
    pub fn write_all(mut self, out: &mut Vec<u8>) {
        while self.write_next(out) {}
    }

    /// Writes what is to be written next, if there is anything, and says what comes then.
    fn advance(&self, out: &mut Vec<u8>) -> Step {
        let choices = &self.completion.choices;
        match self.step {
            Step::Begin(at, cursor) => {
                let (choice, before) = (choices.get(at), out.len());
                let mut portion = Portion::new(cursor, self.most_cost);
                self.begin(choice, at == 0, &mut portion, out);
                if portion.is_oversized {
                    // It may need all that a decoder reads: nothing stands beside it.
                    out.truncate(before);
                    portion = Portion::alone(cursor, self.most_cost);
                    self.begin(choice, at == 0, &mut portion, out);
                }
                match (portion.rest(), choice) {
                    (Some(cursor), _) => Step::Begin(at, Some(cursor)),
                    (None, Some(_)) => Step::Text { choice: at, text: 0, from: 0 },
                    (None, None) => Step::Usage,
                }
            }
            Step::Text { choice: at, text, from } => {
                let Some(choice) = choices.get(at) else { return Step::Usage };
                let Some((part, whole)) = text_of(&choice.message, text) else {
                    return Step::Finish(at);
                };
                let rest = whole.get(from..).unwrap_or_default();
                let begins = from == 0 && matches!(part, Part::Call(..));
                if rest.is_empty() && !begins {
                    return Step::Text { choice: at, text: text + 1, from: 0 };
                }
                let len = piece_len(rest, self.delta_bytes);
                let piece = rest.get(..len).unwrap_or_default();
                self.chunk(out, |out| delta(choice.index, part, (piece, begins), out));
                Step::Text { choice: at, text: text + usize::from(len == 0), from: from + len }
            }
            Step::Finish(at) => {
                let Some(choice) = choices.get(at) else { return Step::Usage };
                if let Some(reason) = &choice.finish_reason {
                    self.chunk(out, |out| {
                        let mut object = Object::begin(out);
                        object.number("index", choice.index);
                        object.raw("delta", "{}");
                        object.string("finish_reason", reason);
                        object.end();
                    });
                }
                match at + 1 {
                    next if next < choices.len() => Step::Begin(next, None),
                    _ => Step::Usage,
                }
            }
            Step::Usage => {
                let x_groq = self.completion.extra.get("x_groq");
                if self.completion.usage.is_some() || x_groq.is_some() {
                    let mut chunk = self.envelope(out);
                    chunk.raw("choices", "[]");
                    // Groq's own has a usage too, which only the usage itself outranks.
                    if let Some(x_groq) = x_groq {
                        write::json(x_groq, chunk.name("x_groq"));
                    }
                    if let Some(usage) = &self.completion.usage {
                        write::object(usage, chunk.name("usage"));
                    }
                    end(chunk);
                }
                Step::Done
            }
            Step::Done => {
                let is_finished = |choice: &CompletionChoice| choice.finish_reason.is_some();
                if !choices.is_empty() && choices.iter().all(is_finished) {
                    out.extend_from_slice(if self.completion.not_whole { NOT_WHOLE } else { DONE });
                }
                Step::End
            }
            Step::End => Step::End,
        }
    }

    /// Appends a chunk with the beginning of a choice, and with the completion's members if it is the
    /// first one, as far as they have room.
    fn begin(
        &self,
        choice: Option<&CompletionChoice>,
        is_first: bool,
        portion: &mut Portion,
        out: &mut Vec<u8>,
    ) {
        let mut chunk =
            if portion.is_alone { Object::begin(data(out)) } else { self.envelope(out) };
        let choices = chunk.name("choices");
        choices.push(b'[');
        if let Some(choice) = choice {
            begin(choice, portion, choices);
        }
        choices.push(b']');
        if is_first {
            let members = self.completion.extra.iter().filter(|(name, _)| *name != "x_groq");
            portion.members(Level::Top, members, &mut chunk);
        }
        end(chunk);
    }

    /// Appends a chunk with one choice.
    fn chunk(&self, out: &mut Vec<u8>, choice: impl FnOnce(&mut Vec<u8>)) {
        let mut chunk = self.envelope(out);
        let choices = chunk.name("choices");
        choices.push(b'[');
        choice(choices);
        choices.push(b']');
        end(chunk);
    }

    /// Begins an event with what all chunks have.
    fn envelope<'o>(&self, out: &'o mut Vec<u8>) -> Object<'o> {
        let ChatCompletion { id, created, model, service_tier, system_fingerprint, .. } =
            self.completion;
        let is_first = matches!(self.step, Step::Begin(0, None));
        let repeated = |text: &&str| is_first || text.len() <= MOST_REPEATED;
        let mut chunk = Object::begin(data(out));
        chunk.string_if("id", Some(id.as_deref().unwrap_or_default()).filter(repeated));
        chunk.string("object", "chat.completion.chunk");
        if let Some(created) = created {
            chunk.number("created", *created);
        }
        chunk.string_if("model", Some(model.as_deref().unwrap_or_default()).filter(repeated));
        chunk.string_if("service_tier", service_tier.as_deref().filter(repeated));
        chunk.string_if("system_fingerprint", system_fingerprint.as_deref().filter(repeated));
        chunk
    }
}

/// Longest text that is repeated in every chunk, in bytes. Ids and names of models have up to 100.
const MOST_REPEATED: usize = 256;

/// What a stream ends with whose completion isn't whole.
const NOT_WHOLE: &[u8] = b"data: {\"error\":{\"message\":\"The completion is not whole.\",\
    \"type\":\"incomplete_completion\",\"param\":null,\"code\":\"not_whole\"}}\n\n";

/// Begins an event.
fn data(out: &mut Vec<u8>) -> &mut Vec<u8> {
    out.extend_from_slice(b"data: ");
    out
}

fn end(chunk: Object<'_>) {
    chunk.end().extend_from_slice(b"\n\n");
}

/// A text of a message that comes in deltas.
#[derive(Clone, Copy)]
enum Part<'c> {
    /// Of this name.
    Text(&'static str),
    /// The arguments of the call at this position.
    Call(usize, &'c ToolCall),
    /// The arguments of the deprecated single call.
    Function,
}

/// The `nth` of the texts that a message has.
fn text_of(message: &Message, nth: usize) -> Option<(Part<'_>, &str)> {
    let Message { content, refusal, reasoning, reasoning_name, tool_calls, function_call, .. } =
        message;
    let (part, text) = match nth {
        0 => (Part::Text(reasoning_name.as_str()), reasoning.as_deref()),
        1 => (Part::Text("content"), content.as_deref()),
        2 => (Part::Text("refusal"), refusal.as_deref()),
        3 => (Part::Function, function_call.as_ref().map(|call| call.arguments.as_str())),
        _ => {
            let call = tool_calls.get(nth - 4)?;
            let arguments = call.function.as_ref().map(|function| function.arguments.as_str());
            (Part::Call(nth - 4, call), arguments)
        }
    };
    Some((part, text.unwrap_or_default()))
}

/// How much of a text goes into a delta: up to so many bytes, but a character at least.
fn piece_len(text: &str, most: usize) -> usize {
    let down = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    match down {
        Some(0) | None => text.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
    }
}

/// Appends the first delta of a choice, with all that doesn't come piece by piece, or another one with
/// what had no room in it.
fn begin(choice: &CompletionChoice, portion: &mut Portion, out: &mut Vec<u8>) {
    let CompletionChoice { index, message, logprobs, extra, .. } = choice;
    let start = out.len();
    let (before, is_alone) = (portion.progress(), portion.is_alone);
    let mut object = Object::begin(out);
    // An absent index is 0.
    if !is_alone || *index != 0 {
        object.number("index", *index);
    }
    object.nested("delta", is_alone, |delta| {
        if portion.is_first {
            begin_texts(message, delta);
        }
        portion.list("reasoning_details", &message.reasoning_details, delta);
        if let Some(audio) = &message.audio {
            portion.inside("audio", audio, false, delta);
        }
        let members = message.extra.iter().filter(|(name, _)| *name != "reasoning");
        portion.members(Level::Delta, members, delta);
    });
    if !is_alone {
        object.raw("finish_reason", "null");
    }
    if let Some(logprobs) = logprobs {
        portion.inside("logprobs", logprobs, true, &mut object);
    }
    portion.members(Level::Choice, extra.iter().filter(|(name, _)| *name != "delta"), &mut object);
    object.end();
    if is_alone && portion.progress() == before {
        out.truncate(start);
    }
}

/// Writes what the first delta of a choice has of its texts.
fn begin_texts(message: &Message, delta: &mut Object<'_>) {
    delta.string_if("role", message.role.as_deref());
    match message.content {
        Some(_) => delta.string("content", ""),
        None => delta.raw("content", "null"),
    }
    if message.reasoning.is_some() {
        delta.string(message.reasoning_name.as_str(), "");
    }
    if message.refusal.is_some() {
        delta.string("refusal", "");
    }
    if let Some(call) = &message.function_call {
        write_function(call, "", delta.name("function_call"));
    }
}

/// Appends a delta with a piece of a text; `begins` says that a call has not been named yet.
fn delta(index: u64, part: Part<'_>, (piece, begins): (&str, bool), out: &mut Vec<u8>) {
    let mut choice = Object::begin(out);
    choice.number("index", index);
    let mut delta = Object::begin(choice.name("delta"));
    match part {
        Part::Text(name) => delta.string(name, piece),
        Part::Function => {
            let mut function = Object::begin(delta.name("function_call"));
            function.string("arguments", piece);
            function.end();
        }
        Part::Call(at, call) => {
            let calls = delta.name("tool_calls");
            calls.push(b'[');
            write_call(at, call, (piece, begins), calls);
            calls.push(b']');
        }
    }
    delta.end();
    choice.raw("finish_reason", "null");
    choice.end();
}

fn write_call(at: usize, call: &ToolCall, (piece, begins): (&str, bool), out: &mut Vec<u8>) {
    let ToolCall { id, r#type, function, extra } = call;
    let mut object = Object::begin(out);
    object.number("index", at as u64);
    if begins {
        object.string_if("id", Some(id.as_str()).filter(|id| !id.is_empty()));
        object.string_if("type", r#type.as_deref());
    }
    match function {
        Some(function) if begins => write_function(function, piece, object.name("function")),
        Some(_) => {
            let mut function = Object::begin(object.name("function"));
            function.string("arguments", piece);
            function.end();
        }
        None => {}
    }
    if begins {
        object.members_but("index", extra);
    }
    object.end();
}

fn write_function(function: &FunctionCall, arguments: &str, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.string("name", &function.name);
    object.string("arguments", arguments);
    object.members(&function.extra);
    object.end();
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
        // One for each of 33 members and elements, the beginning of each of the two choices, the
        // content, and the usage.
        assert!(chunks.is_sorted() && chunks.last() == Some(&37), "{chunks:?}");
    }
}
