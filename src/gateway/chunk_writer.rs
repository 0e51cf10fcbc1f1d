//! `ChunkWriter`: writes a gateway's own chunks.

use crate::chunk::schema::{
    CHUNK_OBJECT, choice, completion_details, delta, function, prompt_details, tool_call, top,
    usage,
};
use crate::chunk::{MessageText, PerText, TextMember};
use crate::completion::ReasoningName;
use crate::json::writer::{self, ObjectWriter};
use crate::output_buffer::OutputBuffer;

/// The members that all chunks of a stream share.
#[derive(Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) created: Option<u64>,
    pub(super) model: Option<&'a str>,
    pub(super) service_tier: Option<&'a str>,
    pub(super) system_fingerprint: Option<&'a str>,
}

impl Envelope<'_> {
    /// Begins a chunk with the members that are present.
    pub(super) fn begin(self, out: &mut Vec<u8>) -> ObjectWriter<'_> {
        let mut chunk = ObjectWriter::begin(out);
        chunk.string_if(top::ID, self.id);
        chunk.string(top::OBJECT, CHUNK_OBJECT);
        if let Some(created) = self.created {
            chunk.number(top::CREATED, created);
        }
        chunk.string_if(top::MODEL, self.model);
        chunk.string_if(top::SERVICE_TIER, self.service_tier);
        chunk.string_if(top::SYSTEM_FINGERPRINT, self.system_fingerprint);
        chunk
    }
}

/// A `chat.completion.chunk` to be written.
///
/// It contains the members that all chunks of a stream share, and those of one chunk.
///
/// ```
/// use deltawire::gateway::{ChoiceWriter, ChunkWriter, DONE, UsageWriter};
///
/// let chunk = ChunkWriter::new("chatcmpl-1", "small", 1_760_000_000);
/// let mut out = Vec::new();
/// chunk.choices(&[ChoiceWriter::new(0).role("assistant").content("Hi")]).write_event(&mut out);
/// chunk.choices(&[ChoiceWriter::new(0).finish_reason("stop")]).write_event(&mut out);
/// chunk.usage(UsageWriter::new(9, 1)).write_event(&mut out);
/// out.extend_from_slice(DONE);
/// let first = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"small","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}"#;
/// assert!(out.starts_with(first.as_bytes()));
/// ```
///
/// The written text is valid JSON for all values. Allocates only if the buffer has to grow.
#[derive(Clone, Copy, Debug)]
pub struct ChunkWriter<'a> {
    id: &'a str,
    model: &'a str,
    created: u64,
    service_tier: Option<&'a str>,
    system_fingerprint: Option<&'a str>,
    choices: &'a [ChoiceWriter<'a>],
    usage: Option<UsageWriter>,
}

impl<'a> ChunkWriter<'a> {
    /// Creates a chunk without choices. `created` is in seconds since 1970.
    #[must_use]
    pub const fn new(id: &'a str, model: &'a str, created: u64) -> Self {
        let (service_tier, system_fingerprint) = (None, None);
        Self { id, model, created, service_tier, system_fingerprint, choices: &[], usage: None }
    }

    setters! {
        /// Sets `service_tier`.
        service_tier(service_tier: &'a str) = Some(service_tier);
        /// Sets `system_fingerprint`.
        system_fingerprint(system_fingerprint: &'a str) = Some(system_fingerprint);
        /// Sets the choices.
        choices(choices: &'a [ChoiceWriter<'a>]) = choices;
        /// Sets the usage. OpenAI sends it in a chunk of its own, without choices.
        usage(usage: UsageWriter) = Some(usage);
    }

    /// Appends the chunk's JSON text, in one line.
    pub fn write_json(&self, out: &mut impl OutputBuffer) {
        out.with_vec(|out| self.append_json(out));
    }

    fn append_json(&self, out: &mut Vec<u8>) {
        let Self { id, model, created, service_tier, system_fingerprint, .. } = *self;
        let (id, created, model) = (Some(id), Some(created), Some(model));
        let envelope = Envelope { id, created, model, service_tier, system_fingerprint };
        let mut chunk = envelope.begin(out);
        writer::array(self.choices, chunk.name(top::CHOICES), ChoiceWriter::write);
        if let Some(usage) = self.usage {
            chunk.object(top::USAGE, |object| usage.write(object));
        }
        chunk.end();
    }

    /// Appends the chunk as an event.
    pub fn write_event(&self, out: &mut impl OutputBuffer) {
        out.with_vec(|out| self.append_event(out));
    }

    fn append_event(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        self.append_json(out);
        out.extend_from_slice(b"\n\n");
    }
}

/// The delta and finish reason of one choice in a [`ChunkWriter`].
#[derive(Clone, Copy, Debug)]
pub struct ChoiceWriter<'a> {
    index: u64,
    role: Option<&'a str>,
    texts: PerText<Option<&'a str>>,
    reasoning_name: ReasoningName,
    tool_calls: &'a [ToolCallWriter<'a>],
    finish_reason: Option<&'a str>,
}

impl<'a> ChoiceWriter<'a> {
    /// Creates an empty delta for the choice with this index.
    #[must_use]
    pub const fn new(index: u64) -> Self {
        let (texts, reasoning_name) = (PerText::same(None), ReasoningName::ReasoningContent);
        Self { index, role: None, texts, reasoning_name, tool_calls: &[], finish_reason: None }
    }

    setters! {
        /// Sets the role, which the first delta of a choice contains.
        role(role: &'a str) = Some(role);
        /// Sets the pieces of tool calls.
        tool_calls(calls: &'a [ToolCallWriter<'a>]) = calls;
        /// Sets the finish reason: `stop`, `length`, `tool_calls` …
        finish_reason(reason: &'a str) = Some(reason);
    }

    /// Sets the piece of the content.
    #[must_use]
    pub const fn content(self, text: &'a str) -> Self {
        self.text(MessageText::Content, text)
    }

    /// Sets the piece of the refusal.
    #[must_use]
    pub const fn refusal(self, text: &'a str) -> Self {
        self.text(MessageText::Refusal, text)
    }

    /// Sets the piece of the reasoning, with the member name that the client reads.
    #[must_use]
    pub const fn reasoning(mut self, name: ReasoningName, text: &'a str) -> Self {
        self.reasoning_name = name;
        self.text(MessageText::Reasoning, text)
    }

    /// Sets the piece of a text; the name of the reasoning is `reasoning_content` at first.
    #[must_use]
    pub const fn text(mut self, text: MessageText, piece: &'a str) -> Self {
        *self.texts.of(text) = Some(piece);
        self
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut choice = ObjectWriter::begin(out);
        choice.number(choice::INDEX, self.index);
        choice.object(choice::DELTA, |delta| {
            delta.string_if(delta::ROLE, self.role);
            let mut texts = self.texts;
            let is_other = |member: &TextMember| member.text() != MessageText::Reasoning;
            for member in TextMember::ALL.into_iter().filter(is_other) {
                delta.string_if(member.as_str(), *texts.of(member.text()));
            }
            delta.string_if(self.reasoning_name.as_str(), *texts.of(MessageText::Reasoning));
            if !self.tool_calls.is_empty() {
                let calls = delta.name(delta::TOOL_CALLS);
                writer::array(self.tool_calls, calls, ToolCallWriter::write);
            }
        });
        match self.finish_reason {
            Some(reason) => choice.string(choice::FINISH_REASON, reason),
            None => choice.raw(choice::FINISH_REASON, "null"),
        }
        choice.end();
    }
}

/// The piece of one tool call in a [`ChoiceWriter`].
#[derive(Clone, Copy, Debug)]
pub struct ToolCallWriter<'a> {
    index: u64,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> ToolCallWriter<'a> {
    /// Creates the first piece of a call of a function, without arguments.
    #[must_use]
    pub const fn begin(index: u64, id: &'a str, name: &'a str) -> Self {
        Self { index, id: Some(id), name: Some(name), arguments: "" }
    }

    /// Creates a further piece of the arguments.
    #[must_use]
    pub const fn more(index: u64, arguments: &'a str) -> Self {
        Self { index, id: None, name: None, arguments }
    }

    setters! {
        /// Sets the arguments, or the first piece of them.
        arguments(arguments: &'a str) = arguments;
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut call = ObjectWriter::begin(out);
        call.number(tool_call::INDEX, self.index);
        if let Some(id) = self.id {
            call.string(tool_call::ID, id);
            call.string(tool_call::TYPE, "function");
        }
        call.object(tool_call::FUNCTION, |function| {
            function.string_if(function::NAME, self.name);
            function.string(function::ARGUMENTS, self.arguments);
        });
        call.end();
    }
}

/// The token counts in a [`ChunkWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageWriter {
    prompt: u64,
    completion: u64,
    cached: Option<u64>,
    reasoning: Option<u64>,
}

impl UsageWriter {
    /// Creates a usage of prompt and completion tokens. `total_tokens` is their sum.
    #[must_use]
    pub const fn new(prompt: u64, completion: u64) -> Self {
        Self { prompt, completion, cached: None, reasoning: None }
    }

    setters! {
        /// Sets the number of prompt tokens that came from a cache.
        cached(tokens: u64) = Some(tokens);
        /// Sets the number of completion tokens that are reasoning.
        reasoning(tokens: u64) = Some(tokens);
    }

    fn write(self, usage: &mut ObjectWriter<'_>) {
        usage.number(usage::PROMPT_TOKENS, self.prompt);
        usage.number(usage::COMPLETION_TOKENS, self.completion);
        usage.number(usage::TOTAL_TOKENS, self.prompt.saturating_add(self.completion));
        for (details, name, tokens) in [
            (usage::PROMPT_TOKENS_DETAILS, prompt_details::CACHED_TOKENS, self.cached),
            (
                usage::COMPLETION_TOKENS_DETAILS,
                completion_details::REASONING_TOKENS,
                self.reasoning,
            ),
        ] {
            if let Some(tokens) = tokens {
                usage.object(details, |details| details.number(name, tokens));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{ChoiceWriter, ChunkWriter, ToolCallWriter, UsageWriter};
    use crate::completion::ReasoningName;

    #[test]
    fn every_part_is_written_under_its_name() {
        let calls = [ToolCallWriter::begin(0, "call_1", "f"), ToolCallWriter::more(1, "{\"a\n")];
        let choices = [
            ChoiceWriter::new(0).role("assistant").content("a\"b").refusal("no"),
            ChoiceWriter::new(1)
                .reasoning(ReasoningName::Reasoning, "why")
                .tool_calls(&calls)
                .finish_reason("stop"),
        ];
        let mut out = Vec::new();
        ChunkWriter::new("c", "m", 5)
            .service_tier("flex")
            .system_fingerprint("fp")
            .choices(&choices)
            .usage(UsageWriter::new(3, 4).cached(1).reasoning(2))
            .write_event(&mut out);
        let json = out.strip_prefix(b"data: ").unwrap().strip_suffix(b"\n\n").unwrap();
        assert!(!json.contains(&b'\n'));
        let found: serde_json::Value = serde_json::from_slice(json).unwrap();
        let expected = serde_json::json!({
            "id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m",
            "service_tier": "flex", "system_fingerprint": "fp",
            "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": "a\"b", "refusal": "no"},
                    "finish_reason": null},
                {"index": 1, "delta": {"reasoning": "why", "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function",
                        "function": {"name": "f", "arguments": ""}},
                    {"index": 1, "function": {"arguments": "{\"a\n"}},
                ]}, "finish_reason": "stop"},
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 2}},
        });
        assert_eq!(found, expected);
    }
}
