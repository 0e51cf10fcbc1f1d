//! `ChunkParts`: chunks that a gateway writes itself, from their parts.

use super::json_write::ObjectWriter;
use crate::completion::ReasoningName;

/// A `chat.completion.chunk` to be written: what all chunks of a stream have in common, and what
/// this one brings.
///
/// ```
/// use deltawire::gateway::{ChoiceParts, ChunkParts, DONE, UsageParts};
///
/// let chunk = ChunkParts::new("chatcmpl-1", "small", 1_760_000_000);
/// let mut out = Vec::new();
/// chunk.choices(&[ChoiceParts::new(0).role("assistant").content("Hi")]).write_event(&mut out);
/// chunk.choices(&[ChoiceParts::new(0).finish_reason("stop")]).write_event(&mut out);
/// chunk.usage(UsageParts::new(9, 1)).write_event(&mut out);
/// out.extend_from_slice(DONE);
/// let first = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"small","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}"#;
/// assert!(out.starts_with(first.as_bytes()));
/// ```
///
/// What is written is JSON, whatever the texts: there is nothing to fail. Allocates only where the
/// buffer has to grow.
#[derive(Clone, Copy, Debug)]
pub struct ChunkParts<'a> {
    id: &'a str,
    model: &'a str,
    created: u64,
    service_tier: Option<&'a str>,
    system_fingerprint: Option<&'a str>,
    choices: &'a [ChoiceParts<'a>],
    usage: Option<UsageParts>,
}

impl<'a> ChunkParts<'a> {
    /// A chunk without choices; `created` is in seconds since 1970.
    #[must_use]
    pub const fn new(id: &'a str, model: &'a str, created: u64) -> Self {
        Self {
            id,
            model,
            created,
            service_tier: None,
            system_fingerprint: None,
            choices: &[],
            usage: None,
        }
    }

    /// Sets `service_tier`.
    #[must_use]
    pub const fn service_tier(mut self, service_tier: &'a str) -> Self {
        self.service_tier = Some(service_tier);
        self
    }

    /// Sets `system_fingerprint`.
    #[must_use]
    pub const fn system_fingerprint(mut self, system_fingerprint: &'a str) -> Self {
        self.system_fingerprint = Some(system_fingerprint);
        self
    }

    /// Sets the choices.
    #[must_use]
    pub const fn choices(mut self, choices: &'a [ChoiceParts<'a>]) -> Self {
        self.choices = choices;
        self
    }

    /// Sets the usage. OpenAI sends it in a chunk of its own, without choices.
    #[must_use]
    pub const fn usage(mut self, usage: UsageParts) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Appends the chunk's JSON text, in one line.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut chunk = ObjectWriter::begin(out);
        chunk.string("id", self.id);
        chunk.string("object", "chat.completion.chunk");
        chunk.number("created", self.created);
        chunk.string("model", self.model);
        chunk.string_if("service_tier", self.service_tier);
        chunk.string_if("system_fingerprint", self.system_fingerprint);
        array(self.choices, chunk.name("choices"), ChoiceParts::write);
        if let Some(usage) = self.usage {
            usage.write(chunk.name("usage"));
        }
        chunk.end();
    }

    /// Appends the chunk as an event.
    pub fn write_event(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        self.write_json(out);
        out.extend_from_slice(b"\n\n");
    }
}

/// What a chunk brings to one choice.
#[derive(Clone, Copy, Debug)]
pub struct ChoiceParts<'a> {
    index: u64,
    role: Option<&'a str>,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    reasoning: Option<(ReasoningName, &'a str)>,
    tool_calls: &'a [ToolCallParts<'a>],
    finish_reason: Option<&'a str>,
}

impl<'a> ChoiceParts<'a> {
    /// An empty delta for the choice of this index.
    #[must_use]
    pub const fn new(index: u64) -> Self {
        Self {
            index,
            role: None,
            content: None,
            refusal: None,
            reasoning: None,
            tool_calls: &[],
            finish_reason: None,
        }
    }

    /// Sets the role, which the first delta of a choice has.
    #[must_use]
    pub const fn role(mut self, role: &'a str) -> Self {
        self.role = Some(role);
        self
    }

    /// Sets the part of the content.
    #[must_use]
    pub const fn content(mut self, text: &'a str) -> Self {
        self.content = Some(text);
        self
    }

    /// Sets the part of the refusal.
    #[must_use]
    pub const fn refusal(mut self, text: &'a str) -> Self {
        self.refusal = Some(text);
        self
    }

    /// Sets the part of the reasoning, under the name that the client knows.
    #[must_use]
    pub const fn reasoning(mut self, name: ReasoningName, text: &'a str) -> Self {
        self.reasoning = Some((name, text));
        self
    }

    /// Sets the parts of tool calls.
    #[must_use]
    pub const fn tool_calls(mut self, calls: &'a [ToolCallParts<'a>]) -> Self {
        self.tool_calls = calls;
        self
    }

    /// Sets the finish reason: `stop`, `length`, `tool_calls` …
    #[must_use]
    pub const fn finish_reason(mut self, reason: &'a str) -> Self {
        self.finish_reason = Some(reason);
        self
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut choice = ObjectWriter::begin(out);
        choice.number("index", self.index);
        let mut delta = ObjectWriter::begin(choice.name("delta"));
        delta.string_if("role", self.role);
        delta.string_if("content", self.content);
        delta.string_if("refusal", self.refusal);
        if let Some((name, text)) = self.reasoning {
            delta.string(name.as_str(), text);
        }
        if !self.tool_calls.is_empty() {
            array(self.tool_calls, delta.name("tool_calls"), ToolCallParts::write);
        }
        delta.end();
        match self.finish_reason {
            Some(reason) => choice.string("finish_reason", reason),
            None => choice.raw("finish_reason", "null"),
        }
        choice.end();
    }
}

/// What a delta brings to one tool call.
#[derive(Clone, Copy, Debug)]
pub struct ToolCallParts<'a> {
    index: u64,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> ToolCallParts<'a> {
    /// The first part of a call of a function, without arguments yet.
    #[must_use]
    pub const fn begin(index: u64, id: &'a str, name: &'a str) -> Self {
        Self { index, id: Some(id), name: Some(name), arguments: "" }
    }

    /// A further part of the arguments.
    #[must_use]
    pub const fn more(index: u64, arguments: &'a str) -> Self {
        Self { index, id: None, name: None, arguments }
    }

    /// Sets the arguments, or the first part of them.
    #[must_use]
    pub const fn arguments(mut self, arguments: &'a str) -> Self {
        self.arguments = arguments;
        self
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut call = ObjectWriter::begin(out);
        call.number("index", self.index);
        if let Some(id) = self.id {
            call.string("id", id);
            call.string("type", "function");
        }
        let mut function = ObjectWriter::begin(call.name("function"));
        function.string_if("name", self.name);
        function.string("arguments", self.arguments);
        function.end();
        call.end();
    }
}

/// The token counts of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageParts {
    prompt: u64,
    completion: u64,
    cached: Option<u64>,
    reasoning: Option<u64>,
}

impl UsageParts {
    /// Tokens of the prompt and of the completion. `total_tokens` is their sum.
    #[must_use]
    pub const fn new(prompt: u64, completion: u64) -> Self {
        Self { prompt, completion, cached: None, reasoning: None }
    }

    /// Sets how many tokens of the prompt came from a cache.
    #[must_use]
    pub const fn cached(mut self, tokens: u64) -> Self {
        self.cached = Some(tokens);
        self
    }

    /// Sets how many tokens of the completion are reasoning.
    #[must_use]
    pub const fn reasoning(mut self, tokens: u64) -> Self {
        self.reasoning = Some(tokens);
        self
    }

    fn write(self, out: &mut Vec<u8>) {
        let mut usage = ObjectWriter::begin(out);
        usage.number("prompt_tokens", self.prompt);
        usage.number("completion_tokens", self.completion);
        usage.number("total_tokens", self.prompt.saturating_add(self.completion));
        for (details, name, tokens) in [
            ("prompt_tokens_details", "cached_tokens", self.cached),
            ("completion_tokens_details", "reasoning_tokens", self.reasoning),
        ] {
            if let Some(tokens) = tokens {
                let mut details = ObjectWriter::begin(usage.name(details));
                details.number(name, tokens);
                details.end();
            }
        }
        usage.end();
    }
}

fn array<T>(values: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (nth, value) in values.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{ChoiceParts, ChunkParts, ToolCallParts, UsageParts};
    use crate::completion::ReasoningName;

    #[test]
    fn every_part_under_its_name() {
        let calls = [ToolCallParts::begin(0, "call_1", "f"), ToolCallParts::more(1, "{\"a\n")];
        let choices = [
            ChoiceParts::new(0).role("assistant").content("a\"b").refusal("no"),
            ChoiceParts::new(1)
                .reasoning(ReasoningName::Reasoning, "why")
                .tool_calls(&calls)
                .finish_reason("stop"),
        ];
        let mut out = Vec::new();
        ChunkParts::new("c", "m", 5)
            .service_tier("flex")
            .system_fingerprint("fp")
            .choices(&choices)
            .usage(UsageParts::new(3, 4).cached(1).reasoning(2))
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
