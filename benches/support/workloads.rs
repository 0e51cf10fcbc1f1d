//! Streams as servers send them, generated from a seed, with their contents: for tests and benches.

use std::fmt::Write as _;

/// A stream, and its contents.
pub struct Workload {
    pub bytes: Vec<u8>,
    /// Where each event ends, comments and their blank lines included.
    pub ends: Vec<usize>,
    pub expected: Expected,
}

/// The contents of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub chunks: usize,
    pub comments: usize,
    pub choices: Vec<Choice>,
    pub total_tokens: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub content: String,
    pub reasoning: String,
    /// Id, name, arguments.
    pub calls: Vec<(String, String, String)>,
    /// Tokens with log probabilities.
    pub logprobs: usize,
    pub finish_reason: String,
}

/// All names; `huge` and `escaped-16k` are one event, for any number of events.
pub const NAMES: [&str; 13] = [
    "vllm",
    "vllm-fixed",
    "openai",
    "openrouter",
    "continuous-usage",
    "tools",
    "cjk-escaped",
    "logprobs",
    "n2",
    "mixed-shapes",
    "huge",
    "escaped-16k",
    "heartbeat",
];

/// Makes a stream of about so many events; `mixed-shapes` repeats a whole stream of 21.
pub fn generate(name: &str, events: usize, seed: u64) -> Workload {
    let mut stream =
        Stream { random: Random::new(seed | 1), vllm: vllm_members(seed), ..Stream::default() };
    let count = events.max(2);
    match name {
        "vllm" => stream.vllm(count),
        "vllm-fixed" => {
            stream.random.is_fixed = true;
            stream.vllm(count);
        }
        "openai" => stream.openai(count),
        "openrouter" => stream.openrouter(count),
        "continuous-usage" => stream.continuous_usage(count),
        "tools" => stream.tools(count),
        "cjk-escaped" => stream.cjk_escaped(count),
        "logprobs" => stream.logprobs(count),
        "n2" => stream.n2(count),
        "mixed-shapes" => stream.mixed_shapes(),
        "huge" => stream.huge(),
        "escaped-16k" => stream.escaped_16k(),
        "heartbeat" => stream.heartbeat(count),
        other => panic!("{other} is no workload"),
    }
    stream.event("[DONE]");
    let Stream { bytes, ends, expected, .. } = stream;
    Workload { bytes, ends, expected }
}

#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    expected: Expected,
    random: Random,
    /// The members of vLLM around a choice, which takes the place of `@`.
    vllm: String,
}

/// Marsaglia's xorshift64, from a seed that isn't 0.
#[derive(Default)]
pub struct Random {
    state: u64,
    /// True if all tokens have the same length.
    is_fixed: bool,
}

/// The lengths of tokens, each with the share of those that are at most as long, in thousandths.
///
/// They are those of `content` in the 98 recorded chat streams.
const LENGTHS: [(usize, usize); 19] = [
    (169, 1),
    (297, 2),
    (447, 3),
    (576, 4),
    (684, 5),
    (759, 6),
    (820, 7),
    (867, 8),
    (905, 9),
    (929, 10),
    (943, 11),
    (955, 12),
    (963, 13),
    (967, 14),
    (973, 16),
    (982, 20),
    (989, 24),
    (998, 32),
    (1000, 40),
];
/// The length of all tokens of `vllm-fixed`, in bytes: the mean of [`LENGTHS`].
const FIXED: usize = 5;

/// The text of which tokens are parts.
const TEXT: &str = "The gateway reads a stream of events. Each event has a few bytes of text, \
and most of its other bytes are those of the event before it; so a reader that knows them may skip \
them. Some tokens are a letter, some are a word with its space, and a few are a whole line of code \
or a long name, such as internationalization. Their lengths follow no rule that can be learned.";

impl Random {
    pub const fn new(state: u64) -> Self {
        Self { state, is_fixed: false }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Returns a token: a part of [`TEXT`] of a length that is drawn by [`LENGTHS`].
    fn word(&mut self) -> &'static str {
        let share = self.below(1000);
        let drawn = LENGTHS.iter().find(|(most, _)| share < *most).unwrap().1;
        let len = if self.is_fixed { FIXED } else { drawn };
        let start = self.below(TEXT.len() - len);
        &TEXT[start..start + len]
    }
}

/// Returns the members of vLLM around a choice `@`, with an id and a time of the seed's own.
///
/// Servers send no two streams with the same id, and a decoder may profit from equal ones.
fn vllm_members(seed: u64) -> String {
    // The digits don't depend on each other if the seeds are consecutive.
    let seed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = Random::new(seed);
    let (first, last) = (random.next(), random.next());
    let created = 1_760_000_000 + random.below(1 << 20);
    format!(
        r#"{{"id":"chatcmpl-{first:016x}{last:016x}c3","object":"chat.completion.chunk","created":{created},"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[@]}}"#
    )
}

/// Returns a text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a text as Python's json.dumps writes it: everything beyond ASCII is escaped.
fn ascii_quoted(text: &str) -> String {
    let mut out = String::new();
    for unit in quoted(text).encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.push(byte.into()),
            _ => write!(out, "\\u{unit:04x}").unwrap(),
        }
    }
    out
}

impl Stream {
    fn event(&mut self, data: &str) {
        self.bytes.extend_from_slice(b"data: ");
        self.bytes.extend_from_slice(data.as_bytes());
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push(self.bytes.len());
    }

    fn chunk(&mut self, json: &str) {
        self.expected.chunks += 1;
        self.event(json);
    }

    fn comment(&mut self, text: &str) {
        self.expected.comments += 1;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push(self.bytes.len());
    }

    fn choice(&mut self, index: usize) -> &mut Choice {
        let choices = &mut self.expected.choices;
        if choices.len() <= index {
            choices.resize_with(index + 1, Choice::default);
        }
        &mut choices[index]
    }

    /// Adds a chunk with one choice: `delta` as JSON, and a finish reason or none.
    fn vllm_chunk(&mut self, index: usize, delta: &str, finish_reason: Option<&str>) {
        let reason = finish_reason.map_or("null".to_owned(), quoted);
        let choice = format!(
            r#"{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{reason}}}"#
        );
        if let Some(reason) = finish_reason {
            reason.clone_into(&mut self.choice(index).finish_reason);
        }
        self.chunk(&self.vllm.replace('@', &choice));
    }

    fn vllm(&mut self, count: usize) {
        self.vllm_chunk(0, r#"{"role":"assistant","content":""}"#, None);
        for _ in 2..count {
            let word = self.random.word();
            self.choice(0).content.push_str(word);
            self.vllm_chunk(0, &format!(r#"{{"content":{}}}"#, quoted(word)), None);
        }
        self.vllm_chunk(0, "{}", Some("stop"));
    }

    fn openai(&mut self, count: usize) {
        const PAD: &str = "QmFzZTY0IQ7xk29v";
        for number in 0..count {
            let word = if number == 0 { "" } else { self.random.word() };
            let role = if number == 0 { r#""role":"assistant","# } else { "" };
            let last = number + 1 == count;
            let reason = if last { r#""stop""# } else { "null" };
            let pad = &PAD[self.random.below(PAD.len())..];
            let choice = self.choice(0);
            choice.content.push_str(word);
            choice.finish_reason = if last { "stop".into() } else { String::new() };
            let word = quoted(word);
            self.chunk(&format!(
                r#"{{"id":"chatcmpl-CPq1c2d3e4f5g6h7i8j9k0l1m2n3o","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_560af6e559","choices":[{{"index":0,"delta":{{{role}"content":{word}}},"logprobs":null,"finish_reason":{reason}}}],"usage":null,"obfuscation":"{pad}"}}"#
            ));
        }
    }

    fn openrouter(&mut self, count: usize) {
        self.comment(": OPENROUTER PROCESSING");
        for number in 0..count {
            let word = self.random.word();
            let text = quoted(word);
            let (delta, last) = if number < count / 2 {
                self.choice(0).reasoning.push_str(word);
                let detail = format!(
                    r#"{{"type":"reasoning.text","text":{text},"format":"unknown","index":0}}"#
                );
                (
                    format!(r#""content":"","reasoning":{text},"reasoning_details":[{detail}]"#),
                    false,
                )
            } else {
                self.choice(0).content.push_str(word);
                (format!(r#""content":{text}"#), number + 1 == count)
            };
            let reason = if last { r#""stop""# } else { "null" };
            if last {
                "stop".clone_into(&mut self.choice(0).finish_reason);
            }
            self.chunk(&format!(
                r#"{{"id":"gen-1760000000-AbCdEfGhIjKlMnOpQrSt","provider":"DeepInfra","model":"deepseek/deepseek-r1","object":"chat.completion.chunk","created":1760000000,"choices":[{{"index":0,"delta":{{"role":"assistant",{delta}}},"finish_reason":{reason},"native_finish_reason":{reason},"logprobs":null}}]}}"#
            ));
            if number % 20 == 19 {
                self.comment(": OPENROUTER PROCESSING");
            }
        }
    }

    fn continuous_usage(&mut self, count: usize) {
        for number in 0..count {
            let word = self.random.word();
            let last = number + 1 == count;
            self.choice(0).content.push_str(word);
            if last {
                "stop".clone_into(&mut self.choice(0).finish_reason);
            }
            let total = 100 + number as u64;
            self.expected.total_tokens = Some(total);
            let (word, reason) = (quoted(word), if last { r#""stop""# } else { "null" });
            let choice = format!(
                r#"{{"index":0,"delta":{{"content":{word}}},"logprobs":null,"finish_reason":{reason},"stop_reason":null}}"#
            );
            let usage = format!(
                r#","usage":{{"prompt_tokens":100,"total_tokens":{total},"completion_tokens":{number}}}}}"#
            );
            let chunk = self.vllm.replace('@', &choice);
            self.chunk(&(chunk[..chunk.len() - 1].to_owned() + &usage));
        }
    }

    /// Adds calls of a hundred parts; each other part has escapes.
    fn tools(&mut self, count: usize) {
        self.vllm_chunk(0, r#"{"role":"assistant","content":null}"#, None);
        let mut call = 0;
        for number in 0..count.saturating_sub(2) {
            if number % 100 == 0 {
                let (id, name) = (format!("call_{call}"), "look_up".to_owned());
                self.choice(0).calls.push((id.clone(), name, String::new()));
                let part = format!(
                    r#"{{"tool_calls":[{{"index":{call},"id":"{id}","type":"function","function":{{"name":"look_up","arguments":""}}}}]}}"#
                );
                self.vllm_chunk(0, &part, None);
                call += 1;
                continue;
            }
            let word = self.random.word();
            let part = if number % 2 == 0 { format!("\"{word}\":") } else { word.to_owned() };
            self.choice(0).calls.last_mut().unwrap().2.push_str(&part);
            let index = call - 1;
            let part = quoted(&part);
            let delta = format!(
                r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":{part}}}}}]}}"#
            );
            self.vllm_chunk(0, &delta, None);
        }
        self.vllm_chunk(0, "{}", Some("tool_calls"));
    }

    fn cjk_escaped(&mut self, count: usize) {
        const WORDS: [&str; 6] = ["你好", "世界", "，", "流式", "传输😀", "。\n"];
        for number in 0..count {
            let word = WORDS[self.random.below(WORDS.len())];
            self.choice(0).content.push_str(word);
            let reason = (number + 1 == count).then_some("stop");
            self.vllm_chunk(0, &format!(r#"{{"content":{}}}"#, ascii_quoted(word)), reason);
        }
    }

    fn logprobs(&mut self, count: usize) {
        for number in 0..count {
            let word = self.random.word();
            let token = |random: &mut Random, word: &str| {
                let bytes: Vec<_> = word.bytes().map(|byte| byte.to_string()).collect();
                let (logprob, bytes) = (random.below(1 << 20), bytes.join(","));
                let word = quoted(word);
                format!(r#""token":{word},"logprob":-0.{logprob:07},"bytes":[{bytes}]"#)
            };
            let top: Vec<_> = (0..5)
                .map(|_| {
                    let word = self.random.word();
                    format!("{{{}}}", token(&mut self.random, word))
                })
                .collect();
            let entry = token(&mut self.random, word);
            let choice = self.choice(0);
            choice.content.push_str(word);
            choice.logprobs += 1;
            let last = number + 1 == count;
            choice.finish_reason = if last { "stop".into() } else { String::new() };
            let (word, reason) = (quoted(word), if last { r#""stop""# } else { "null" });
            let top = top.join(",");
            self.chunk(&self.vllm.replace('@', &format!(
                r#"{{"index":0,"delta":{{"content":{word}}},"logprobs":{{"content":[{{{entry},"top_logprobs":[{top}]}}]}},"finish_reason":{reason}}}"#
            )));
        }
    }

    fn n2(&mut self, count: usize) {
        for number in 0..count {
            let index = number % 2;
            let word = self.random.word();
            self.choice(index).content.push_str(word);
            let reason = (number + 2 >= count).then_some("stop");
            self.vllm_chunk(index, &format!(r#"{{"content":{}}}"#, quoted(word)), reason);
        }
    }

    /// Adds a whole stream: a role, text, a tool call, a finish reason, usage.
    ///
    /// With its `[DONE]` it has 21 events.
    fn mixed_shapes(&mut self) {
        self.vllm_chunk(0, r#"{"role":"assistant","content":""}"#, None);
        for _ in 0..10 {
            let word = self.random.word();
            self.choice(0).content.push_str(word);
            self.vllm_chunk(0, &format!(r#"{{"content":{}}}"#, quoted(word)), None);
        }
        let (id, name) = ("call_0".to_owned(), "look_up".to_owned());
        self.choice(0).calls.push((id, name, "{\"word\":\"the word\"}".to_owned()));
        for part in [
            r#"{"tool_calls":[{"index":0,"id":"call_0","type":"function","function":{"name":"look_up","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"word"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"\":\""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"the"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":" word"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}"#,
        ] {
            self.vllm_chunk(0, part, None);
        }
        self.vllm_chunk(0, "{}", Some("tool_calls"));
        self.expected.total_tokens = Some(33);
        let usage = r#","usage":{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33}}"#;
        let chunk = self.vllm.replace('@', "");
        self.chunk(&(chunk[..chunk.len() - 1].to_owned() + usage));
    }

    /// Adds an image as base64, in one event.
    fn huge(&mut self) {
        let image = "iVBORw0KGgoAAAANSUhEUgAA".repeat((10 << 20) / 24);
        self.choice(0).content.push_str(&image);
        self.vllm_chunk(0, &format!(r#"{{"content":"{image}"}}"#), Some("stop"));
    }

    /// Adds the arguments of a call, in one event: 16 KB of code with an escape every ten bytes.
    fn escaped_16k(&mut self) {
        let mut code = String::new();
        while code.len() < 16 << 10 {
            let start = self.random.below(TEXT.len() - 9);
            code.push_str(&TEXT[start..start + 9]);
            code.push(['\n', '"', '\t', '\\'][self.random.below(4)]);
        }
        let arguments = quoted(&code);
        self.choice(0).calls.push(("call_0".to_owned(), "write".to_owned(), code));
        let call = format!(
            r#"{{"index":0,"id":"call_0","type":"function","function":{{"name":"write","arguments":{arguments}}}}}"#
        );
        self.vllm_chunk(0, &format!(r#"{{"tool_calls":[{call}]}}"#), Some("tool_calls"));
    }

    fn heartbeat(&mut self, count: usize) {
        for _ in 1..count {
            self.comment(": keep-alive");
        }
        self.choice(0).content.push('x');
        self.vllm_chunk(0, r#"{"content":"x"}"#, Some("stop"));
    }
}
