//! Makes streams: those of a server, and in one of three streams also faults and odd values.
//!
//! A stream depends on its seed alone.

use std::fmt::Write as _;

/// Random numbers: splitmix64, as its authors publish it.
pub struct Random(u64);

impl Random {
    /// Returns the numbers of one stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A stream, and the facts that its checks need.
pub struct Made {
    pub bytes: Vec<u8>,
    /// It has neither faults nor odd values.
    pub is_tame: bool,
}

/// The form of a server's chunks, and the state of a stream.
struct Server<'r> {
    random: &'r mut Random,
    is_tame: bool,
    end: &'static str,
    data: &'static str,
    comma: &'static str,
    /// The members before and behind the choices, each with a comma.
    before: String,
    behind: String,
    /// The name of the reasoning's text.
    reasoning: &'static str,
    repeats_role: bool,
    null_finish: &'static str,
    choices: usize,
}

const ODD: [&str; 16] = [
    "null",
    "\"\"",
    "[]",
    "{}",
    "0",
    "-1",
    "1.5",
    "true",
    "\"0\"",
    "7e2",
    "1e400",
    "[{\"a\":1}]",
    "{\"a\":[\"b\"]}",
    "18446744073709551616",
    "\"\\ud83d\"",
    "NaN",
];

impl<'r> Server<'r> {
    fn new(random: &'r mut Random, is_tame: bool) -> Self {
        let comma = random.pick(&[",", ",", ",", ", "]);
        let (mut before, mut behind) = (String::new(), String::new());
        for (name, values) in [
            ("id", &["chatcmpl-", "gen-", "é\\n"][..]),
            ("object", &["chat.completion.chunk"]),
            ("created", &["17"]),
            ("model", &["m", "vendor/model-7b", "m\\u00e9\\\"x"]),
            ("system_fingerprint", &["fp_"]),
            ("service_tier", &["default"]),
            ("provider", &["p", "q"]),
            ("new_member", &["x"]),
        ] {
            if random.once_in(if name == "object" { 40 } else { 4 }) {
                continue;
            }
            let (value, number) = (random.pick(values), random.below(1000));
            let value = match name {
                "created" => format!("{value}{number}"),
                "id" | "system_fingerprint" => format!("\"{value}{number}\""),
                "object" => format!("\"{value}\""),
                _ if random.once_in(8) => "null".to_owned(),
                _ => format!("\"{value}\""),
            };
            let side = if random.once_in(4) { &mut behind } else { &mut before };
            write!(side, "\"{name}\":{value}{comma}").unwrap();
        }
        Self {
            is_tame,
            end: random.pick(&["\n", "\n", "\n", "\n", "\r\n", "\r"]),
            data: random.pick(&["data: ", "data: ", "data:"]),
            comma,
            before,
            behind,
            reasoning: random.pick(&["reasoning", "reasoning_content"]),
            repeats_role: random.once_in(4),
            null_finish: random.pick(&["null", "null", "\"\""]),
            choices: random.pick(&[1, 1, 1, 1, 2, 3]),
            random,
        }
    }

    fn is_odd(&mut self, times: usize) -> bool {
        !self.is_tame && self.random.once_in(times)
    }

    /// Returns the value, or now and then an odd one.
    fn or_odd(&mut self, value: String) -> String {
        if self.is_odd(40) { self.random.pick(&ODD).to_owned() } else { value }
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "a",
            "Hello",
            " world",
            "é",
            "😀",
            "\\n",
            "\\\"",
            "\\u00e9",
            "\\ud83d\\ude00",
            "{",
            "\\\\",
            "[DONE]",
            "\\/",
            "中文",
            "data: ",
            "\\u2028",
        ];
        let mut text = String::from('"');
        match self.random.below(12) {
            0 => {}
            1..=7 => {
                let letters = b"etaoin shrdluETA01,.";
                for _ in 0..=self.random.below(20) {
                    text.push(char::from(self.random.pick(letters)));
                }
            }
            8 if self.random.once_in(4) => {
                text.extend(std::iter::repeat_n('y', self.random.below(400)));
            }
            _ => {
                for _ in 0..=self.random.below(4) {
                    text.push_str(self.random.pick(&PARTS));
                }
            }
        }
        if self.is_odd(12) {
            text.push_str(self.random.pick(&["\\ud83d", "\\ude00", "\u{1}", "\\x", "\u{FFFD}"]));
        }
        text.push('"');
        self.or_odd(text)
    }

    /// Returns the delta of a kind. `is_first` is true for the first one of this kind.
    fn delta(&mut self, kind: usize, is_first: bool, call: usize) -> String {
        let comma = self.comma;
        let mut members = Vec::new();
        if self.repeats_role {
            members.push("\"role\":\"assistant\"".to_owned());
        }
        let text = self.text();
        match kind {
            0 => members.push(format!("\"content\":{text}")),
            1 => {
                if self.repeats_role {
                    members.push("\"content\":\"\"".to_owned());
                }
                members.push(format!("\"{}\":{text}", self.reasoning));
            }
            2 => members.push(format!("\"refusal\":{text}")),
            3 => {
                let index = self.or_odd(call.to_string());
                let function = if is_first {
                    let id = self.or_odd(format!("\"call_{call}\""));
                    members.push("\"content\":null".to_owned());
                    format!(
                        "\"id\":{id}{comma}\"type\":\"function\"{comma}\"function\":{{\"name\":\"f{call}\"{comma}\"arguments\":\"\"}}"
                    )
                } else {
                    format!("\"function\":{{\"arguments\":{text}}}")
                };
                members.push(format!("\"tool_calls\":[{{\"index\":{index}{comma}{function}}}]"));
            }
            4 => {
                let reasoning = self.reasoning;
                members.push(format!("\"{reasoning}\":{text}"));
                members.push(format!(
                    "\"reasoning_details\":[{{\"type\":\"reasoning.text\"{comma}\"text\":{text}{comma}\"index\":0}}]"
                ));
            }
            5 => members.push(format!("\"audio\":{{\"id\":\"a\"{comma}\"transcript\":{text}}}")),
            6 => members.push(format!("\"content\":[{{\"type\":\"text\"{comma}\"text\":{text}}}]")),
            7 => members.push(format!("\"new_text\":{text}{comma}\"channel\":\"final\"")),
            8 => members.push(format!("\"annotations\":[{{\"type\":\"a\"{comma}\"t\":{text}}}]")),
            _ => members.push(format!("\"function_call\":{{\"arguments\":{text}}}")),
        }
        if self.is_odd(60) {
            members.push(format!("\"content\":{}", self.random.pick(&ODD)));
        }
        format!("{{{}}}", members.join(comma))
    }

    /// Returns a choice with this delta and finish reason.
    fn choice(&mut self, index: usize, delta: &str, finish: &str) -> String {
        let comma = self.comma;
        let index = self.or_odd(index.to_string());
        let mut choice = format!("{{\"index\":{index}{comma}\"delta\":{delta}");
        if self.random.once_in(12) {
            let text = self.text();
            write!(choice, "{comma}\"logprobs\":{{\"content\":[{{\"token\":{text}}}]}}").unwrap();
        }
        if self.is_odd(60) {
            let text = self.text();
            write!(choice, "{comma}\"message\":{{\"content\":{text}}}").unwrap();
        }
        let finish = self.or_odd(finish.to_owned());
        write!(choice, "{comma}\"finish_reason\":{finish}}}").unwrap();
        choice
    }

    /// Returns a chunk with these choices, and perhaps members behind them.
    fn chunk(&mut self, choices: &str, more: &str) -> String {
        let comma = self.comma;
        let repeated = if self.is_odd(60) { "\"model\":\"again\"," } else { "" };
        let (before, behind) = (&self.before, &self.behind);
        let mut chunk = format!("{{{repeated}{before}\"choices\":{choices}{comma}{behind}{more}");
        chunk.truncate(chunk.trim_end_matches([',', ' ']).len());
        chunk.push('}');
        chunk
    }

    fn usage(&mut self) -> String {
        let (prompt, completion) = (self.random.below(5000), self.random.below(900));
        let details = if self.random.once_in(2) {
            format!("{}\"prompt_tokens_details\":{{\"cached_tokens\":{}}}", self.comma, prompt / 2)
        } else {
            String::new()
        };
        let total = prompt + completion;
        let usage = format!(
            "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total}{details}}}"
        );
        let usage = if self.is_odd(10) { "{}".to_owned() } else { usage };
        format!("\"{}\":{usage}{}", if self.is_odd(8) { "new_usage" } else { "usage" }, self.comma)
    }

    /// Appends a payload as an event, perhaps with other lines, and in several lines of data.
    fn event(&mut self, payload: &str, stream: &mut Vec<u8>) {
        let start = stream.len();
        let before = if self.random.once_in(40) {
            self.random.pick(&["event: delta", "id: 5", ": c", "retry: 10", "new: x"])
        } else {
            ""
        };
        if !before.is_empty() {
            stream.extend([before, self.end].concat().bytes());
        }
        // A line end between two members is white space.
        let lines = if self.random.once_in(60) {
            payload.replacen(",\"", ",\n\"", 1)
        } else {
            payload.to_owned()
        };
        for line in lines.split('\n') {
            stream.extend([self.data, line, self.end].concat().bytes());
        }
        stream.extend(self.end.bytes());
        if self.is_odd(30) {
            let at = start + self.random.below(stream.len() - start);
            match self.random.below(3) {
                0 => stream[at] = self.random.pick(b"\"\\{},:0\xFF\r\n x"),
                1 => _ = stream.remove(at),
                _ => stream.insert(at, self.random.pick(b"\"\\{},:0\xFF\r\n x")),
            }
        }
    }

    /// Appends lines or an event that servers send between chunks.
    fn between(&mut self, stream: &mut Vec<u8>) {
        let end = self.end;
        if self.random.once_in(10) {
            let line = self.random.pick(&[": ping", ":", "", "event: ping", "new: x"]);
            stream.extend([line, end, end].concat().bytes());
        }
        if self.is_odd(12) {
            let event = self.random.pick(&[
                "data: {\"choices\":[}",
                "data: {\"error\":{\"message\":\"m\",\"code\":5}}",
                "event: error",
                "error: boom",
                "data: {\"type\":\"ping\",\"model\":\"m\"}",
                "data: [DONE]",
                "data: 7",
                "data",
                "data: {\"error\":\"e\",\"choices\":[]}",
                "{\"error\":{}}",
                "data: {\"error\":null,\"usage\":{\"total_tokens\":3}}",
                "data: {\"choices\":null,\"usage\":{\"prompt_tokens\":1},\"model\":\"m\"}",
                "event: error\ndata: {\"system_fingerprint\":\"f\"}",
            ]);
            stream.extend([&event.replace('\n', end), end, end].concat().bytes());
        }
    }
}

/// Makes the stream of this number.
pub fn stream(random: &mut Random) -> Made {
    let is_tame = !random.once_in(3);
    let mut server = Server::new(random, is_tame);
    let mut stream = Vec::new();
    if server.random.once_in(60) {
        stream.extend("\u{FEFF}".bytes());
    }
    if server.random.once_in(3) {
        for index in 0..server.choices {
            let finish = server.null_finish;
            let choice = server.choice(index, "{\"role\":\"assistant\",\"content\":\"\"}", finish);
            let chunk = server.chunk(&format!("[{choice}]"), "");
            server.event(&chunk, &mut stream);
        }
    }
    let has_usages = server.random.once_in(8);
    for _ in 0..=server.random.below(3) {
        let kind = server.random.pick(&[0, 0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]);
        for number in 0..server.random.below(7) {
            server.between(&mut stream);
            let (choices, finish) = (server.choices, server.null_finish);
            let index = server.random.below(choices);
            let delta = server.delta(kind, number == 0, index);
            let choice = server.choice(index, &delta, finish);
            let usage = if has_usages { server.usage() } else { String::new() };
            let chunk = server.chunk(&format!("[{choice}]"), &usage);
            server.event(&chunk, &mut stream);
        }
    }
    for index in 0..server.choices {
        if server.is_odd(8) {
            continue;
        }
        let finish = server.random.pick(&["\"stop\"", "\"stop\"", "\"length\"", "\"tool_calls\""]);
        let finish = if server.is_odd(10) { "\"error\"" } else { finish };
        let choice = server.choice(index, "{}", finish);
        let chunk = server.chunk(&format!("[{choice}]"), "");
        server.event(&chunk, &mut stream);
    }
    if server.random.once_in(2) {
        let usage = server.usage();
        let chunk = server.chunk("[]", &usage);
        server.event(&chunk, &mut stream);
    }
    if !server.is_odd(6) {
        server.event("[DONE]", &mut stream);
    }
    if server.is_odd(10) {
        stream.truncate(server.random.below(stream.len() + 1));
    }
    Made { bytes: stream, is_tame }
}

/// Makes events of one form that differ in a short text or a number: the steady state of a stream.
///
/// All texts together fit in the first buffer of a completion's text.
pub fn steady(random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let mut server = Server::new(random, true);
    (server.choices, server.repeats_role) = (1, false);
    let kind = server.random.pick(&[0, 1, 2, 3]);
    let (name, has_padding) = (server.reasoning, server.random.once_in(4));
    let events = (0..count).map(|_| {
        let len = 1 + server.random.below(5);
        let text: String = (0..len).map(|_| char::from(server.random.pick(b"etaoin"))).collect();
        let delta = match kind {
            0 => format!("{{\"content\":\"{text}\"}}"),
            1 => format!("{{\"{name}\":\"{text}\"}}"),
            2 => format!("{{\"refusal\":\"{text}\"}}"),
            _ => format!(
                "{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"{text}\"}}}}]}}"
            ),
        };
        let choice = format!("[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]");
        let padding = if has_padding {
            format!("\"obfuscation\":\"{}\"", &"xyzuvw"[len..])
        } else {
            String::new()
        };
        let chunk = server.chunk(&choice, &padding);
        [server.data, &chunk, server.end, server.end].concat().into_bytes()
    });
    events.collect()
}

/// Returns the lengths of pieces: each byte, a few cuts, or pieces of one length.
pub fn cuts(random: &mut Random, len: usize) -> Vec<usize> {
    let size = match random.below(4) {
        0 => 1,
        1 => 1 + random.below(16),
        2 => 1 + random.below(400),
        _ => return (0..random.below(6)).map(|_| random.below(len / 2 + 2)).collect(),
    };
    vec![size; len / size]
}
