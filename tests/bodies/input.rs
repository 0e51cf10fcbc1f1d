//! Streams, cuts and limits from the bytes of a fuzzer.
//!
//! ```text
//! settings, count, lengths of pieces…, [limits,] the rest
//! ```
//!
//! `settings` decides if the rest is a stream as it is, or choices of which one is made. It also
//! decides if there are limits. So a stream behind two bytes of 0 is an input: seeds are made so.

use std::fmt::Write as _;

use arbitrary::Unstructured;
use deltawire::Limits;

/// The input of a target, and its settings.
#[derive(Debug)]
pub struct Input {
    pub stream: Vec<u8>,
    /// The lengths of its pieces; the rest is the last one.
    pub lengths: Vec<usize>,
    pub limits: Limits,
    /// The stream was made, without a fault in it: its result is known.
    pub is_tame: bool,
}

/// Settings, as bits.
const MADE: u8 = 1;
const TAME: u8 = 2;
const LIMITED: u8 = 4;

impl Input {
    /// `make` makes streams.
    pub fn new(bytes: &[u8], make: fn(&mut Choices<'_>) -> Vec<u8>) -> Self {
        let mut choices = Choices { bytes: Unstructured::new(bytes), is_tame: false };
        let settings = choices.byte();
        let count = usize::from(choices.byte() % 64);
        let lengths = (0..count).map(|_| length(choices.byte())).collect();
        let limits = if settings & LIMITED == 0 { Limits::new() } else { limits(&mut choices) };
        let is_made = settings & MADE != 0;
        choices.is_tame = is_made && settings & TAME != 0;
        let is_tame = choices.is_tame;
        let stream = if is_made { make(&mut choices) } else { choices.bytes.take_rest().to_vec() };
        Self { stream, lengths, limits, is_tame }
    }
}

/// Returns a length that is mostly short, now and then some kilobytes.
fn length(byte: u8) -> usize {
    let byte = usize::from(byte);
    if byte < 128 { byte } else { (byte - 127) * 31 }
}

/// Returns limits, each the default, small, or the largest number.
fn limits(choices: &mut Choices<'_>) -> Limits {
    let mut limits = Limits::new();
    for limit in [
        &mut limits.max_line_bytes,
        &mut limits.max_event_bytes,
        &mut limits.max_comment_bytes,
        &mut limits.max_id_bytes,
        &mut limits.max_json_depth,
        &mut limits.max_json_values,
        &mut limits.max_choices,
        &mut limits.max_tool_calls,
        &mut limits.max_members,
        &mut limits.max_completion_bytes,
        &mut limits.max_logprob_entries,
    ] {
        match choices.byte() {
            0 => {}
            u8::MAX => *limit = usize::MAX,
            byte => *limit = length(byte - 1),
        }
    }
    limits
}

/// Choices, one after the other. Once there are no more bytes, each is the first.
pub struct Choices<'b> {
    bytes: Unstructured<'b>,
    /// Nothing that is made may be out of order.
    pub is_tame: bool,
}

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes: Unstructured::new(bytes), is_tame: false }
    }

    pub fn are_left(&self) -> bool {
        !self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes.arbitrary().unwrap_or(0)
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    /// Returns true once in so many times, and never after the last choice.
    fn once_in(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    fn wild(&mut self, times: u8) -> bool {
        !self.is_tame && self.once_in(times)
    }
}

/// Makes a stream of bytes that matter to framing.
pub fn lines(choices: &mut Choices<'_>) -> Vec<u8> {
    const TOKENS: [&[u8]; 24] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data",
        b"data: ",
        b"data:",
        b": ",
        b":",
        b"id",
        b"id: ",
        b"event: ",
        b"event",
        b"retry: ",
        b"12",
        b"error",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"\xBB",
        b"\0",
        b"\xF0\x9F",
        b" ",
        "\u{e9}".as_bytes(),
        b"[DONE]",
    ];
    let mut stream = Vec::new();
    while choices.are_left() && stream.len() < 2048 {
        let byte = choices.byte();
        match TOKENS.get(usize::from(byte) % 32) {
            Some(token) => stream.extend_from_slice(token),
            None => stream.extend(std::iter::repeat_n(b'x', usize::from(byte / 4))),
        }
    }
    stream
}

/// Makes a stream of chunks, and of events that servers send between them.
///
/// Unless it is tame, they are near-valid, and some bytes are changed.
pub fn chunks(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut json = String::new();
    let ends = choices.pick(&["\n", "\r\n", "\r"]);
    while choices.are_left() && stream.len() < 3072 {
        let start = stream.len();
        match choices.byte() % 16 {
            0..=7 => json = chunk(choices),
            8..=11 if !json.is_empty() => json = another(choices, &json),
            12 => "[DONE]".clone_into(&mut json),
            13 => {
                json = format!(
                    "{{\"error\":{}}}",
                    choices.pick(&["{\"message\":\"m\",\"code\":5}", "\"boom\"", "null", "0"])
                );
            }
            14 => {
                stream.extend_from_slice(
                    choices.pick(&[": ping", "", "retry: 5", "id: 7", ":"]).as_bytes(),
                );
                stream.extend_from_slice(ends.as_bytes());
                stream.extend_from_slice(ends.as_bytes());
                continue;
            }
            _ if choices.is_tame => json = chunk(choices),
            _ => {
                let odd = [
                    "error: {\"message\":\"m\"}",
                    "{\"error\":{}}",
                    "noise",
                    "<html>",
                    "event: error",
                    "data",
                    "id: \0",
                    "data: {",
                ];
                stream.extend_from_slice(choices.pick(&odd).as_bytes());
                stream.extend_from_slice(ends.as_bytes());
                continue;
            }
        }
        frame(choices, &json, ends, &mut stream);
        while choices.wild(8) {
            mutate(choices, start, &mut stream);
        }
    }
    if choices.is_tame {
        // It may break off anywhere.
        let left = usize::from(choices.byte()) * 4;
        if choices.once_in(4) {
            stream.truncate(stream.len().saturating_sub(left));
        }
    }
    stream
}

/// Frames a payload as an event; one with line breaks has several lines of data.
fn frame(choices: &mut Choices<'_>, json: &str, ends: &str, stream: &mut Vec<u8>) {
    let name = choices.pick(&["data: ", "data: ", "data: ", "data:"]);
    let before = choices.pick(&["", "", "", "event: delta", "id: 5", ": c"]);
    if !before.is_empty() {
        stream.extend_from_slice(before.as_bytes());
        stream.extend_from_slice(ends.as_bytes());
    }
    for line in json.split('\n') {
        stream.extend_from_slice(name.as_bytes());
        stream.extend_from_slice(line.as_bytes());
        stream.extend_from_slice(ends.as_bytes());
    }
    stream.extend_from_slice(ends.as_bytes());
}

/// Changes one byte, or puts something between.
fn mutate(choices: &mut Choices<'_>, start: usize, stream: &mut Vec<u8>) {
    const PARTS: [&str; 12] = [
        "\"", "\\", "\\n", "\\ud83d", "\\ude00", "\\u00e9", "\u{e9}", "\n\n", "1e400", "NaN", ",",
        "}",
    ];
    let len = stream.len() - start;
    let at = start + usize::from(choices.byte()) * 256 % len.max(1) + usize::from(choices.byte());
    let at = at.min(stream.len().saturating_sub(1)).max(start);
    match choices.byte() % 4 {
        _ if at >= stream.len() => {}
        0 => stream[at] = choices.byte(),
        1 => {
            stream.remove(at);
        }
        2 => stream.insert(at, choices.byte()),
        _ => {
            let part = choices.pick(&PARTS);
            stream.splice(at..at, part.bytes());
        }
    }
}

/// Replaces one string of the payload before, so that the event matches a template.
fn another(choices: &mut Choices<'_>, json: &str) -> String {
    let Some((before, rest)) = json.split_once("\"content\":\"") else { return chunk(choices) };
    let Some((_, behind)) = rest.split_once('"') else { return chunk(choices) };
    if before.ends_with('\\')
        || rest.starts_with('\\')
        || behind.starts_with(|c: char| c != '}' && c != ',')
    {
        return chunk(choices);
    }
    let mut text = String::new();
    string(choices, &mut text);
    format!("{before}\"content\":{text}{behind}")
}

/// One member: its name, and the function that makes its value.
type Member = (&'static str, fn(&mut Choices<'_>, &mut String));

/// Makes a chunk as JSON text.
pub fn chunk(choices: &mut Choices<'_>) -> String {
    let mut json = String::new();
    object(
        choices,
        &mut json,
        &[
            ("id", name),
            ("choices", |choices, json| list(choices, json, choice)),
            ("object", |choices, json| {
                json.push_str(if choices.wild(8) {
                    "\"error\""
                } else {
                    "\"chat.completion.chunk\""
                });
            }),
            ("created", count),
            ("model", name),
            ("usage", usage),
            ("service_tier", name),
            ("obfuscation", string),
            ("system_fingerprint", name),
            ("provider", any),
            ("x_groq", |choices, json| {
                if choices.is_tame {
                    json.push_str("null");
                } else {
                    object(choices, json, &[("usage", usage), ("id", name)]);
                }
            }),
        ],
    );
    json
}

fn choice(choices: &mut Choices<'_>, json: &mut String) {
    object(
        choices,
        json,
        &[
            ("index", index),
            ("delta", delta),
            ("finish_reason", |choices, json| {
                json.push_str(choices.pick(&[
                    "null",
                    "\"stop\"",
                    "\"length\"",
                    "\"tool_calls\"",
                    "\"\"",
                ]));
            }),
            ("logprobs", |choices, json| {
                object(choices, json, &[("content", |choices, json| list(choices, json, token))]);
            }),
            ("native_finish_reason", name),
            ("message", |choices, json| {
                if choices.is_tame {
                    json.push_str("null");
                } else {
                    object(
                        choices,
                        json,
                        &[
                            ("content", string),
                            ("role", name),
                            ("tool_calls", |choices, json| list(choices, json, call)),
                        ],
                    );
                }
            }),
            ("token_ids", |choices, json| list(choices, json, count)),
        ],
    );
}

fn token(choices: &mut Choices<'_>, json: &mut String) {
    object(
        choices,
        json,
        &[
            ("token", string),
            ("logprob", |choices, json| json.push_str(choices.pick(&["-0.5", "0", "-1e-3"]))),
        ],
    );
}

fn delta(choices: &mut Choices<'_>, json: &mut String) {
    object(
        choices,
        json,
        &[
            ("content", |choices, json| {
                if choices.once_in(8) {
                    list(choices, json, part);
                } else {
                    string(choices, json);
                }
            }),
            ("role", |choices, json| {
                json.push_str(choices.pick(&["\"assistant\"", "\"\"", "null", "\"tool\""]));
            }),
            ("tool_calls", |choices, json| list(choices, json, call)),
            ("reasoning", string),
            ("reasoning_content", string),
            ("refusal", string),
            ("reasoning_details", |choices, json| list(choices, json, detail)),
            ("function_call", function),
            ("audio", |choices, json| object(choices, json, &[("id", name), ("data", string)])),
            ("annotations", |choices, json| list(choices, json, any)),
        ],
    );
}

fn part(choices: &mut Choices<'_>, json: &mut String) {
    match choices.byte() % 3 {
        0 => object(choices, json, &[("text", string)]),
        1 => {
            json.push_str("{\"thinking\":[{\"text\":");
            string(choices, json);
            json.push_str("}]}");
        }
        _ => json.push_str("{\"type\":\"reference\",\"reference_ids\":[1]}"),
    }
}

/// Adds a part of a tool call: of its id only, of its arguments, or of all.
fn call(choices: &mut Choices<'_>, json: &mut String) {
    let number = choices.byte() % 3;
    if choices.wild(4) {
        object(
            choices,
            json,
            &[
                ("index", index),
                ("id", name),
                ("function", function),
                ("type", name),
                ("custom", any),
            ],
        );
        return;
    }
    write!(json, "{{\"index\":{number}").unwrap();
    let is_first = choices.byte().is_multiple_of(2);
    if is_first {
        write!(json, ",\"id\":\"call_{number}\",\"type\":\"function\"").unwrap();
    }
    json.push_str(",\"function\":{");
    if is_first {
        write!(json, "\"name\":\"f{number}\",").unwrap();
    }
    json.push_str("\"arguments\":");
    string(choices, json);
    json.push_str("}}");
}

fn function(choices: &mut Choices<'_>, json: &mut String) {
    object(
        choices,
        json,
        &[
            ("name", name),
            (
                "arguments",
                |choices, json| {
                    if choices.wild(4) { any(choices, json) } else { string(choices, json) }
                },
            ),
        ],
    );
}

fn detail(choices: &mut Choices<'_>, json: &mut String) {
    object(
        choices,
        json,
        &[
            ("index", index),
            ("type", name),
            ("text", string),
            ("data", string),
            ("signature", name),
        ],
    );
}

fn usage(choices: &mut Choices<'_>, json: &mut String) {
    object(
        choices,
        json,
        &[
            ("prompt_tokens", count),
            ("completion_tokens", count),
            ("total_tokens", count),
            ("prompt_tokens_details", |choices, json| {
                object(choices, json, &[("cached_tokens", count), ("audio_tokens", count)]);
            }),
            ("cost", |choices, json| json.push_str(choices.pick(&["0.5", "-1", "0", "1.25e2"]))),
        ],
    );
}

/// Adds an object of some of these members. A bit for each decides if it is there.
fn object(choices: &mut Choices<'_>, json: &mut String, members: &[Member]) {
    if choices.wild(32) {
        return any(choices, json);
    }
    let bits = u16::from(choices.byte())
        | u16::from(if members.len() > 8 { choices.byte() } else { 0 }) << 8;
    let space = if choices.once_in(16) { choices.pick(&[" ", "\n", "\t"]) } else { "" };
    json.push('{');
    let mut is_first = true;
    for (number, (name, value)) in members.iter().enumerate() {
        // The first bytes' zeros bring the first two.
        let is_there = (bits >> number & 1 == 1) != (number < 2);
        let times = if is_there && choices.wild(64) { 2 } else { usize::from(is_there) };
        for _ in 0..times {
            if !is_first {
                json.push(',');
            }
            is_first = false;
            json.push_str(space);
            write!(json, "\"{name}\":{space}").unwrap();
            if choices.wild(48) {
                any(choices, json);
            } else {
                value(choices, json);
            }
        }
    }
    if choices.wild(32) && !is_first {
        json.push_str(",\"x\":");
        any(choices, json);
    }
    json.push_str(space);
    json.push('}');
}

fn list(choices: &mut Choices<'_>, json: &mut String, element: fn(&mut Choices<'_>, &mut String)) {
    let len = choices.pick(&[1, 1, 1, 2, 0, 3]);
    json.push('[');
    for number in 0..len {
        if number > 0 {
            json.push(',');
        }
        element(choices, json);
    }
    json.push(']');
}

fn index(choices: &mut Choices<'_>, json: &mut String) {
    if choices.wild(16) {
        return json.push_str(choices.pick(&[
            "4294967295",
            "18446744073709551615",
            "-1",
            "1.5",
            "\"0\"",
            "null",
            "1e3",
        ]));
    }
    json.push_str(choices.pick(&["0", "0", "1", "2"]));
}

fn count(choices: &mut Choices<'_>, json: &mut String) {
    json.push_str(&(u16::from(choices.byte()) * u16::from(choices.byte())).to_string());
}

/// Adds a short text, mostly the same.
fn name(choices: &mut Choices<'_>, json: &mut String) {
    json.push_str(choices.pick(&["\"a\"", "\"a\"", "\"a\"", "\"bc\"", "\"\"", "null"]));
}

/// Adds any value.
fn any(choices: &mut Choices<'_>, json: &mut String) {
    if choices.is_tame {
        return json.push_str("\"x\"");
    }
    json.push_str(choices.pick(&[
        "null",
        "\"\"",
        "[]",
        "{}",
        "0",
        "-0",
        "true",
        "false",
        "1e400",
        "NaN",
        "-Infinity",
        "18446744073709551616",
        "[{}]",
        "{\"a\":1}",
        "{\"a\":{\"b\":[1,2]}}",
        "\"\\ud83d\"",
        "[[[[[[]]]]]]",
        "0.1",
        "nul",
        "[1,]",
    ]));
}

/// Adds a string.
fn string(choices: &mut Choices<'_>, json: &mut String) {
    const PARTS: [&str; 14] = [
        "a",
        "Hello",
        " world",
        "\u{e9}",
        "\u{1F600}",
        "\\n",
        "\\\"",
        "\\u00e9",
        "\\ud83d\\ude00",
        "{",
        "\\\\",
        "\u{FFFD}",
        "[DONE]",
        "\\/",
    ];
    json.push('"');
    loop {
        let byte = choices.byte();
        match byte {
            0..=63 => break,
            64..=79 => json.extend(std::iter::repeat_n('y', usize::from(byte))),
            80..=95 if !choices.is_tame => {
                json.push_str(choices.pick(&["\\ud83d", "\\ude00", "\\u12", "\\x", "\u{1}", "\\"]));
            }
            _ => json.push_str(PARTS[usize::from(byte) % PARTS.len()]),
        }
    }
    json.push('"');
}
