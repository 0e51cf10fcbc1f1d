//! Kinds of input: each makes a stream or a text of about a given number of bytes.

use std::fmt::Write as _;

/// A kind of input: its name, and a function that makes a stream or a text.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) make: fn(usize) -> Vec<u8>,
    /// Largest size in bytes.
    pub(crate) most: usize,
}

const fn kind(name: &'static str, make: fn(usize) -> Vec<u8>) -> Kind {
    Kind { name, make, most: usize::MAX }
}

/// Largest depth of objects in a completion: reading it back needs stack for each level.
const DEEPEST: usize = 100_000;

/// Returns the ordinary stream, whose cost of a byte is the unit for all others.
pub(crate) fn ordinary(bytes: usize) -> Vec<u8> {
    events(bytes, |number| {
        format!(
            r#"{{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4.1-2025-04-14","service_tier":"default","system_fingerprint":"fp_44added55e","choices":[{{"index":0,"delta":{{"content":" w{:05}"}},"finish_reason":null}}]}}"#,
            number % 100_000
        )
    })
}

/// Returns events of about `bytes` bytes altogether.
fn events(bytes: usize, mut json: impl FnMut(usize) -> String) -> Vec<u8> {
    blocks(bytes, |number| format!("data: {}\n\n", json(number)))
}

fn blocks(bytes: usize, block: impl FnMut(usize) -> String) -> Vec<u8> {
    many(bytes, block).into_bytes()
}

/// Returns joined texts of about `bytes` bytes altogether.
fn many(bytes: usize, mut text: impl FnMut(usize) -> String) -> String {
    let mut all = String::new();
    for number in 0.. {
        if number > 0 && all.len() >= bytes {
            break;
        }
        all.push_str(&text(number));
    }
    all
}

/// Returns texts of about `bytes` bytes altogether, with commas between them.
fn list(bytes: usize, mut element: impl FnMut(usize) -> String) -> String {
    let mut all = many(bytes, |number| element(number) + ",");
    all.pop();
    all
}

fn one(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

/// Returns a chunk whose delta has these members.
fn delta(members: &str) -> String {
    format!("{{\"choices\":[{{\"index\":0,\"delta\":{{{members}}}}}]}}")
}

/// Returns a chunk whose tool call has these members.
fn call(members: &str) -> String {
    delta(&format!("\"tool_calls\":[{{{members}}}]"))
}

fn text(number: usize) -> String {
    delta(&format!("\"content\":\" w{number}\""))
}

fn choices(bytes: usize, mut choice: impl FnMut(usize) -> String) -> String {
    format!("{{\"choices\":[{}]}}", list(bytes, |number| format!("{{{}}}", choice(number))))
}

/// Returns a chunk of choices, each with content, refusal and reasoning.
fn texts(bytes: usize) -> String {
    choices(bytes, |number| {
        format!(
            "\"index\":{number},\"delta\":{{\"content\":\"a\",\"refusal\":\"b\",\"reasoning\":\"c\"}}"
        )
    })
}

/// Returns one event block with a line end behind each comma.
fn in_lines(json: &str, line_end: &str) -> Vec<u8> {
    let lines = json.replace(',', &format!(",{line_end}data:   "));
    format!("data: {lines}{line_end}{line_end}").into_bytes()
}

/// Returns an event block of these lines and one line of data.
fn block(lines: &str) -> Vec<u8> {
    format!("{lines}data: {{}}\n\n").into_bytes()
}

/// Returns a text that is repeated up to `bytes` bytes, at least once.
fn fill(bytes: usize, text: &str) -> String {
    text.repeat((bytes / text.len()).max(1))
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}0{}", open.repeat(levels), close.repeat(levels))
}

const TEXTS: &[Kind] = &[
    kind("text events", ordinary),
    kind("one huge content", |n| one(&delta(&format!("\"content\":\"{}\"", "x".repeat(n))))),
    kind("a huge content, then small ones", |n| {
        let huge = one(&delta(&format!("\"content\":\"{}\"", "x".repeat(n / 2))));
        [huge, events(n / 2, text)].concat()
    }),
    kind("a long id and model, then small contents", |n| {
        let long = "i".repeat(n / 8);
        let first = format!(
            "{{\"id\":\"{long}\",\"model\":\"{long}\",\"system_fingerprint\":\"{long}\",\"choices\":[]}}"
        );
        [one(&first), events(n / 2, text)].concat()
    }),
    kind("members in turn", |n| {
        events(n, |number| {
            let name = ["content", "reasoning", "refusal", "reasoning_content"][number % 4];
            delta(&format!("\"{name}\":\"x{number}\",\"k{}\":{number}", number % 3))
        })
    }),
    kind("escapes of one letter", |n| one(&delta(&format!("\"content\":\"{}\"", fill(n, "\\n"))))),
    kind("escapes of code units", |n| {
        one(&delta(&format!("\"content\":\"{}\"", fill(n, "\\u0041"))))
    }),
    kind("escapes of pairs", |n| {
        one(&delta(&format!("\"content\":\"{}\"", fill(n, "\\ud83d\\ude00"))))
    }),
    kind("escapes of halves", |n| one(&delta(&format!("\"content\":\"{}\"", fill(n, "\\ud83d"))))),
    kind("pairs cut between two events", |n| {
        events(n, |number| {
            let half = ["\\ud83d", "\\ude00"][number % 2];
            delta(&format!("\"content\":\"{half}\",\"reasoning\":\"{half}\""))
        })
    }),
    kind("many strings with escapes", |n| {
        one(&format!("{{\"a\":[{}]}}", list(n, |_| "\"\\n\"".into())))
    }),
    kind("an unterminated event", |n| {
        let text = "x".repeat(n);
        format!("data: {{}}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}")
            .into_bytes()
    }),
    kind("a string that doesn't end", |n| one(&format!("{{\"a\":\"{}", "x".repeat(n)))),
    kind("bytes that are no UTF-8", |n| {
        b"data: {\"\xFF\":\"\xED\xA0\x80\"}\nevent: \xE5\xA5\n\n".repeat(n / 34 + 1)
    }),
    kind("no UTF-8 in one event", |n| {
        [b"event: ", &b"\xFF".repeat(n / 2)[..], b"\ndata: ", &b"\xFF".repeat(n / 2)[..], b"\n\n"]
            .concat()
    }),
    kind("a message that grows in each event", |n| {
        let mut all = String::new();
        for number in 1.. {
            let text = "x".repeat(64 * number);
            write!(
                all,
                "data: {{\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"{text}\"}}}}]}}\n\n"
            )
            .unwrap();
            if all.len() >= n {
                break;
            }
        }
        all.into_bytes()
    }),
    kind("legacy texts", |n| {
        events(n, |number| format!("{{\"choices\":[{{\"index\":0,\"text\":\" w{number}\"}}]}}"))
    }),
    kind("[DONE] again and again", |n| fill(n, "data: [DONE]\n\n").into_bytes()),
];

const MEMBERS: &[Kind] = &[
    kind("unknown members in one event", |n| {
        one(&format!("{{{}}}", list(n, |number| format!("\"k{number}\":1"))))
    }),
    kind("unknown members of one delta", |n| {
        one(&delta(&list(n, |number| format!("\"k{number}\":\"x\""))))
    }),
    kind("unknown members of one choice", |n| {
        one(&choices(0, |_| list(n, |number| format!("\"k{number}\":[1]"))))
    }),
    kind("an unknown member in each event", |n| {
        events(n, |number| format!("{{\"k{number}\":1,\"choices\":[]}}"))
    }),
    kind("200 unknown members in each event", |n| {
        events(n, |number| {
            let members = (0..200).map(|at| format!(",\"k{at}\":{number}"));
            delta(&format!("\"content\":\"x\"{}", members.collect::<String>()))
        })
    }),
    kind("a member again and again", |n| {
        one(&format!("{{{}}}", list(n, |_| "\"model\":1".into())))
    }),
    kind("a model again and again", |n| {
        one(&format!("{{{}}}", list(n, |at| format!("\"model\":\"m{at}\""))))
    }),
    kind("choices again and again", |n| {
        let again = "\"choices\":[{\"delta\":{\"content\":\"x\"}}]";
        one(&format!("{{{}}}", list(n, |_| again.into())))
    }),
    kind("a delta again and again", |n| {
        one(&choices(0, |_| list(n, |_| "\"delta\":{\"content\":\"x\"}".into())))
    }),
    kind("a content again and again", |n| one(&delta(&list(n, |_| "\"content\":\"x\"".into())))),
    kind("an unknown member again and again", |n| {
        one(&format!("{{{}}}", list(n, |at| format!("\"k\":{at}"))))
    }),
    kind("one long name", |n| one(&format!("{{\"{}\":1}}", "k".repeat(n)))),
    kind("eight long names", |n| {
        one(&format!("{{{}}}", list(n, |at| format!("\"{}{at}\":1", "k".repeat(n / 8)))))
    }),
    kind("long names in each event", |n| {
        events(n, |number| delta(&format!("\"{}{}\":1", "k".repeat(1000), number % 200)))
    }),
    kind("an object that is merged", |n| {
        events(n, |number| {
            let members = (0..200).map(|at| format!("\"k{at}\":{number}")).collect::<Vec<_>>();
            format!("{{\"x_groq\":{{{}}}}}", members.join(","))
        })
    }),
    kind("an object that becomes a list and an object", |n| {
        let object = list(n / 8, |number| format!("\"k{number}\":1"));
        events(n, |number| {
            let value = if number % 2 == 0 { format!("{{{object}}}") } else { "[1]".into() };
            delta(&format!("\"extra_content\":{value},\"executed_tools\":{value}"))
        })
    }),
    kind("a long fingerprint in each event", |n| {
        events(n, |at| format!("{{\"system_fingerprint\":\"{}{at}\"}}", "f".repeat(n / 8)))
    }),
    kind("arrays up to the depth", |n| {
        events(n, |_| delta(&format!("\"a\":{}", nested("[", "]", 120))))
    }),
    kind("objects up to the depth", |n| {
        events(n, |at| {
            let deep = nested("{\"a\":", "}", 100);
            delta(&format!("\"a\":{deep},\"extra_content\":{deep},\"b\":{at}"))
        })
    }),
    kind("usage up to the depth", |n| {
        events(n, |_| format!("{{\"usage\":{}}}", nested("{\"a\":", "}", 120)))
    }),
    kind("arrays below the depth", |n| one(&format!("{{\"a\":{}}}", nested("[", "]", n / 2)))),
    kind("arrays that don't end", |n| one(&format!("{{\"a\":{}", "[".repeat(n)))),
    kind("objects below the depth", |n| {
        let levels = (n / 6).min(DEEPEST);
        events(n, |_| format!("{{\"a\":{}}}", nested("{\"a\":", "}", levels)))
    }),
    kind("white space", |n| {
        let space = " ".repeat(n / 4);
        one(&format!("{space}{{{space}\"a\"{space}:1}}{space}"))
    }),
    kind("NaN", |n| one(&format!("{{\"a\":[{}]}}", list(n, |_| "NaN".into())))),
    kind("numbers", |n| one(&format!("{{\"a\":[{}]}}", list(n, |_| "0".into())))),
    kind("a number of many digits", |n| {
        one(&format!("{{\"created\":{},\"a\":1e400}}", "7".repeat(n)))
    }),
    kind("mismatches", |n| {
        one(&choices(n, |_| "\"index\":\"x\",\"delta\":{\"content\":5}".into()))
    }),
    kind("a mismatch in each event", |n| {
        events(n, |at| format!("{{\"model\":{at},\"choices\":[{{\"delta\":{{\"role\":[]}}}}]}}"))
    }),
    kind("an error with a huge message", |n| {
        one(&format!("{{\"error\":{{\"message\":\"{}\",\"code\":5}}}}", "x".repeat(n)))
    }),
    kind("an error with many members", |n| {
        one(&format!("{{\"error\":{{{}}}}}", list(n, |at| format!("\"k{at}\":1"))))
    }),
    kind("an error in each event", |n| {
        events(n, |at| format!("{{\"error\":{{\"message\":\"{at}\"}},\"choices\":[]}}"))
    }),
    kind("usage with many members", |n| {
        one(&format!("{{\"usage\":{{{}}}}}", list(n, |at| format!("\"k{at}\":1"))))
    }),
    kind("usage in each event", |n| {
        events(n, |at| {
            format!(
                "{{\"choices\":[],\"usage\":{{\"prompt_tokens\":{at},\"completion_tokens\":{at},\"completion_tokens_details\":{{\"reasoning_tokens\":{at}}}}}}}"
            )
        })
    }),
    kind("prompt tokens", |n| {
        let ids = list(n / 2, |at| at.to_string());
        one(&format!("{{\"prompt_token_ids\":[{ids}],\"choices\":[{{\"token_ids\":[{ids}]}}]}}"))
    }),
];

const CHOICES: &[Kind] = &[
    kind("many choices with all texts in one event", |n| one(&texts(n))),
    kind("many choices of one index in one event", |n| {
        one(&choices(n, |_| "\"delta\":{\"content\":\"x\"}".into()))
    }),
    kind("many choices that descend in one event", |n| {
        one(&choices(n, |at| format!("\"index\":{},\"delta\":{{\"content\":\"x\"}}", 999_999 - at)))
    }),
    kind("128 choices in each event", |n| {
        events(n, |_| {
            let choice = |at| format!("{{\"index\":{at},\"delta\":{{\"content\":\"x\"}}}}");
            format!("{{\"choices\":[{}]}}", (0..128).map(choice).collect::<Vec<_>>().join(","))
        })
    }),
    kind("all texts, then the content of one", |n| {
        [one(&texts(n / 2)), events(n / 2, text)].concat()
    }),
    kind("choices that descend", |n| {
        events(n, |at| {
            format!(
                "{{\"choices\":[{{\"index\":{},\"delta\":{{\"content\":\"x\"}}}}]}}",
                999_999 - at
            )
        })
    }),
    kind("128 choices in turn", |n| {
        events(n, |at| {
            format!(
                "{{\"choices\":[{{\"index\":{},\"delta\":{{\"content\":\"x\"}}}}]}}",
                77 * at % 128
            )
        })
    }),
    kind("finish reasons", |n| {
        events(n, |at| {
            format!("{{\"choices\":[{{\"index\":{},\"finish_reason\":\"r{at}\"}}]}}", at % 9)
        })
    }),
    kind("content parts in one event", |n| {
        let part = || "{\"type\":\"text\",\"text\":\"x\"}".to_owned();
        one(&delta(&format!("\"content\":[{}]", list(n, |_| part()))))
    }),
    kind("content parts of which the last is open, then comments", |n| {
        let parts = list(n / 2, |_| "\"x\"".to_owned());
        let event = one(&delta(&format!("\"content\":[{parts},\"absen\"]")));
        [event, fill(n / 2, ": p\n\n").into_bytes()].concat()
    }),
    kind("content parts in each event", |n| {
        events(n, |at| delta(&format!("\"content\":[{{\"type\":\"text\",\"text\":\"w{at}\"}}]")))
    }),
    kind("reasoning details in one event", |n| {
        let detail = |at| format!("{{\"index\":{at},\"type\":\"t\",\"text\":\"x\"}}");
        one(&delta(&format!("\"reasoning_details\":[{}]", list(n, detail))))
    }),
    kind("reasoning details that descend", |n| {
        let detail = |at| format!("{{\"index\":{},\"text\":\"x\"}}", 999_999 - at);
        one(&delta(&format!("\"reasoning_details\":[{}]", list(n, detail))))
    }),
    kind("reasoning details in each event", |n| {
        events(n, |at| {
            delta(&format!("\"reasoning_details\":[{{\"index\":{},\"text\":\"x\"}}]", 7 * at % 200))
        })
    }),
    kind("a reasoning detail that goes on", |n| {
        events(n, |_| delta("\"reasoning_details\":[{\"index\":0,\"text\":\"x\"}]"))
    }),
    kind("log probabilities in one event", |n| {
        let top = "[{\"token\":\"x\",\"logprob\":-1.5,\"bytes\":[1]}]";
        let entry = |_| {
            format!("{{\"token\":\"x\",\"logprob\":-0.5,\"bytes\":[120],\"top_logprobs\":{top}}}")
        };
        one(&choices(0, |_| format!("\"logprobs\":{{\"content\":[{}]}}", list(n, entry))))
    }),
    kind("log probabilities in each event", |n| {
        events(n, |at| {
            let entry = format!(
                "{{\"token\":\"x\",\"logprob\":-{at}.5,\"bytes\":[1],\"top_logprobs\":[]}}"
            );
            choices(0, |_| {
                format!(
                    "\"index\":0,\"delta\":{{\"content\":\"x\"}},\"logprobs\":{{\"content\":[{entry}]}}"
                )
            })
        })
    }),
    kind("lists that are joined", |n| {
        events(n, |at| {
            format!(
                "{{\"warnings\":[{at}],\"choices\":[{{\"token_ids\":[{at}],\"delta\":{{\"annotations\":[{{\"a\":{at}}}],\"citations\":[{at}]}}}}]}}"
            )
        })
    }),
    kind("lists that are merged", |n| {
        events(n, |at| {
            let list = format!("[{{\"index\":{},\"a\":\"x\"}}]", 999_999 - at);
            format!(
                "{{\"prompt_filter_results\":{list},\"choices\":[{{\"delta\":{{\"executed_tools\":{list}}}}}]}}"
            )
        })
    }),
    kind("audio", |n| {
        events(n, |_| delta("\"audio\":{\"id\":\"a\",\"data\":\"eHh4\",\"transcript\":\"x\"}"))
    }),
];

const CALLS: &[Kind] = &[
    kind("content parts, then calls with objects in one event", |n| {
        let part = || "{\"type\":\"text\",\"text\":\"x\"}".to_owned();
        let call = || "{\"index\":0,\"function\":{\"arguments\":{\"a\":1}}}".to_owned();
        let parts = list(n / 2, |_| part());
        let calls = list(n / 2, |_| call());
        one(&delta(&format!("\"content\":[{parts}],\"tool_calls\":[{calls}]")))
    }),
    kind("content parts and calls with objects in turn", |n| {
        events(n, |at| {
            let parts = "\"content\":[{\"type\":\"text\",\"text\":\"x\"}]";
            let object = format!("{{\"index\":0,\"function\":{{\"arguments\":{{\"a\":{at}}}}}}}");
            delta(&format!("{parts},\"tool_calls\":[{object}]"))
        })
    }),
    kind("calls with objects", |n| {
        events(n, |at| call(&format!("\"index\":0,\"function\":{{\"arguments\":{{\"a\":{at}}}}}")))
    }),
    kind("arguments as text and as object in turn", |n| {
        events(n, |at| {
            let arguments = ["\"xxxx\"", "{\"a\":1}"][at % 2];
            call(&format!("\"index\":0,\"function\":{{\"arguments\":{arguments}}}"))
        })
    }),
    kind("arguments of one call", |n| {
        let first = one(&call(
            "\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}",
        ));
        let rest = events(n, |at| {
            call(&format!("\"index\":0,\"function\":{{\"arguments\":\"\\\"{at}\"}}"))
        });
        [first, rest].concat()
    }),
    kind("a call with a long id that comes again", |n| {
        let id = "i".repeat(n / 16);
        events(n, |_| {
            call(&format!("\"index\":0,\"id\":\"{id}\",\"function\":{{\"arguments\":\"x\"}}"))
        })
    }),
    kind("a call with a long id and name, then its arguments", |n| {
        let long = "i".repeat(n / 4);
        let first = call(&format!(
            "\"index\":0,\"id\":\"{long}\",\"function\":{{\"name\":\"{long}\",\"arguments\":\"\"}}"
        ));
        [one(&first), events(n / 2, |_| call("\"index\":0,\"function\":{\"arguments\":\"x\"}"))]
            .concat()
    }),
    kind("calls with long ids", |n| {
        let id = "i".repeat(1000);
        events(n, |at| {
            call(&format!("\"index\":{at},\"id\":\"{id}{at}\",\"function\":{{\"name\":\"f\"}}"))
        })
    }),
    kind("calls with long ids of one index", |n| {
        let id = "i".repeat(1000);
        events(n, |at| {
            call(&format!("\"index\":0,\"id\":\"{id}{at}\",\"function\":{{\"name\":\"f\"}}"))
        })
    }),
    kind("calls with long ids in one event", |n| {
        let id = "i".repeat(100);
        let call =
            |at| format!("{{\"index\":{at},\"id\":\"{id}{at}\",\"function\":{{\"name\":\"f\"}}}}");
        one(&delta(&format!("\"tool_calls\":[{}]", list(n, call))))
    }),
    kind("calls that descend", |n| {
        events(n, |at| {
            call(&format!("\"index\":{},\"function\":{{\"arguments\":\"x\"}}", 999_999 - at))
        })
    }),
    kind("calls that ascend", |n| {
        events(n, |at| call(&format!("\"index\":{at},\"function\":{{\"arguments\":\"x\"}}")))
    }),
    kind("calls in turn", |n| {
        events(n, |at| {
            call(&format!("\"index\":{},\"function\":{{\"arguments\":\"x\"}}", 769 * at % 1024))
        })
    }),
    kind("calls that descend in one event", |n| {
        let call =
            |at| format!("{{\"index\":{},\"function\":{{\"arguments\":\"x\"}}}}", 999_999 - at);
        one(&delta(&format!("\"tool_calls\":[{}]", list(n, call))))
    }),
    kind("calls of one index in one event", |n| {
        let call = || "{\"index\":0,\"function\":{\"arguments\":\"x\"}}".to_owned();
        one(&delta(&format!("\"tool_calls\":[{}]", list(n, |_| call()))))
    }),
    kind("calls without an index", |n| {
        events(n, |at| {
            call(&format!("\"id\":\"c{at}\",\"function\":{{\"name\":\"f\",\"arguments\":\"x\"}}"))
        })
    }),
    kind("calls without anything in one event", |n| {
        one(&delta(&format!("\"tool_calls\":[{}]", list(n, |_| "{}".into()))))
    }),
    kind("calls of 128 choices", |n| {
        events(n, |at| {
            let call = format!("{{\"index\":{},\"function\":{{\"arguments\":\"x\"}}}}", at / 128);
            format!(
                "{{\"choices\":[{{\"index\":{},\"delta\":{{\"tool_calls\":[{call}]}}}}]}}",
                at % 128
            )
        })
    }),
    kind("custom calls", |n| {
        events(n, |at| {
            call(&format!("\"index\":0,\"custom\":{{\"name\":\"c\",\"input\":\"{at}\"}}"))
        })
    }),
    kind("the legacy call", |n| {
        events(n, |at| {
            delta(&format!("\"function_call\":{{\"name\":\"f\",\"arguments\":\"{at}\"}}"))
        })
    }),
    kind("the legacy call with objects", |n| {
        events(n, |at| delta(&format!("\"function_call\":{{\"arguments\":{{\"a\":{at}}}}}")))
    }),
];

const LINES: &[Kind] = &[
    kind("many lines with all texts", |n| in_lines(&texts(n), "\n")),
    kind("many lines with all texts, CRLF", |n| in_lines(&texts(n), "\r\n")),
    kind("many lines with texts of one choice", |n| {
        in_lines(&choices(n, |_| "\"delta\":{\"content\":\"x\"}".into()), "\n")
    }),
    kind("many lines with members", |n| {
        in_lines(&format!("{{{}}}", list(n, |at| format!("\"k{at}\":1"))), "\n")
    }),
    kind("many lines with a member again and again", |n| {
        in_lines(&format!("{{{}}}", list(n, |_| "\"model\":1".into())), "\n")
    }),
    kind("many lines with mismatches", |n| {
        in_lines(&choices(n, |_| "\"index\":\"x\",\"delta\":5".into()), "\n")
    }),
    kind("a few lines in each event", |n| {
        blocks(n, |at| {
            format!(
                "data: {{\"model\":\"m\",\ndata: \"choices\":[{{\"delta\":\ndata: {{\"content\":\"{at}\"}}}}]}}\n\n"
            )
        })
    }),
    kind("empty lines of data", |n| format!("{}\n", fill(n, "data\n")).into_bytes()),
    kind("empty lines of data in an object", |n| {
        format!("data: {{\"model\":\n{}data: \"m\"}}\n\n", fill(n, "data:\n")).into_bytes()
    }),
    kind("comments", |n| fill(n, ": ping\n\n").into_bytes()),
    kind("empty comments", |n| fill(n, ":\n").into_bytes()),
    kind("comments between the data of one event", |n| {
        format!("data: {{\"choices\":\n{}data: []}}\n\n", fill(n, ": ping\n")).into_bytes()
    }),
    kind("comments behind the data of one event", |n| {
        format!("data: {{\"choices\":[]}}\n{}\n", fill(n, ":\n")).into_bytes()
    }),
    kind("blank lines", |n| fill(n, "\n").into_bytes()),
    kind("blank lines of all kinds", |n| fill(n, "\r\n\n\r").into_bytes()),
    kind("unknown lines", |n| fill(n, "a: b\n\n").into_bytes()),
    kind("unknown lines in one event", |n| {
        format!("data: {{\"choices\":[]}}\n{}\n", fill(n, "a\n")).into_bytes()
    }),
    kind("one endless line", |n| "x".repeat(n).into_bytes()),
    kind("a long type and one like it", |n| {
        block(&format!("event: {}\nevent: {}b\n", "a".repeat(n / 2), "a".repeat(n / 4)))
    }),
    kind("a type and one like it in each event", |n| {
        blocks(n, |_| {
            format!("event: {}\nevent: {}b\ndata: {{}}\n\n", "a".repeat(400), "a".repeat(200))
        })
    }),
    kind("a long type", |n| block(&format!("event: {}\n", "a".repeat(n)))),
    kind("types in one event", |n| block(&many(n, |at| format!("event: t{at}\n")))),
    kind("a type behind long data", |n| {
        format!("data: {{\"a\":\"{}\"}}\nevent: {}b\n\n", "e".repeat(n / 2), "e".repeat(n / 4))
            .into_bytes()
    }),
    kind("a long id, then small events", |n| {
        let id = format!("id: {}\n", "i".repeat((n / 2).min(60_000)));
        [block(&id), events(n / 2, text)].concat()
    }),
    kind("a long id in each event", |n| {
        blocks(n, |at| format!("id: {}{at}\ndata: {{}}\n\n", "i".repeat(1000)))
    }),
    kind("ids in one event", |n| block(&many(n, |at| format!("id: {at}\n")))),
    kind("ids that are too long", |n| {
        blocks(n, |_| format!("id: {}\ndata: {{}}\n\n", "i".repeat(66_000)))
    }),
    kind("reconnection times", |n| block(&many(n, |at| format!("retry: {at}\n")))),
    kind("line ends of one CR", |n| fill(n, "data: {}\r\r").into_bytes()),
    kind("an event of usage alone and many lines", |n| {
        let data = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n";
        format!("{data}{}id: 1\n\n", fill(n, "a:\n")).into_bytes()
    }),
];

/// Returns all kinds of streams.
pub(crate) fn streams() -> impl Iterator<Item = &'static Kind> {
    [TEXTS, MEMBERS, CHOICES, CALLS, LINES].into_iter().flatten()
}

/// Texts that aren't streams: completions that aren't streamed, other JSON texts, media types.
pub(crate) const WHOLE: &[Kind] = &[
    kind("a completion with a long text", |n| {
        let text = "x".repeat(n);
        format!(
            "{{\"id\":\"1\",\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"{text}\"}}}}]}}"
        )
        .into_bytes()
    }),
    kind("a completion with a long escaped text", |n| {
        let text = fill(n, "\\n");
        format!(
            "{{\"id\":\"1\",\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"{text}\"}}}}]}}"
        )
        .into_bytes()
    }),
    kind("a completion with a long id", |n| {
        let (id, text) = ("i".repeat(n / 2), "x".repeat(n / 2));
        format!("{{\"id\":\"{id}\",\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"{text}\"}}}}]}}").into_bytes()
    }),
    kind("a completion with many members", |n| {
        format!("{{\"choices\":[],{}}}", list(n, |at| format!("\"k{at}\":1"))).into_bytes()
    }),
    kind("a completion with a member again and again", |n| {
        format!("{{{}}}", list(n, |_| "\"x\":1".into())).into_bytes()
    }),
    kind("a completion with many choices", |n| {
        choices(n, |at| {
            format!("\"index\":{at},\"message\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"")
        })
        .into_bytes()
    }),
    kind("a completion with a usage in each choice", |n| {
        choices(n, |at| format!("\"index\":{},\"usage\":{{\"prompt_tokens\":{at}}}", 999_999 - at))
            .into_bytes()
    }),
    kind("a completion with choices that descend", |n| {
        choices(n, |at| format!("\"index\":{},\"message\":{{\"content\":\"x\"}}", 999_999 - at))
            .into_bytes()
    }),
    kind("a completion with many calls", |n| {
        let call = |at| {
            format!(
                "{{\"id\":\"c{at}\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":\"{{}}\"}}}}"
            )
        };
        let calls = list(n, call);
        format!("{{\"choices\":[{{\"index\":0,\"message\":{{\"tool_calls\":[{calls}]}}}}]}}")
            .into_bytes()
    }),
    kind("a completion with lists", |n| {
        let numbers = list(n / 2, |at| at.to_string());
        let details = list(n / 2, |at| format!("{{\"index\":{at},\"text\":\"x\"}}"));
        format!("{{\"x\":[{numbers}],\"choices\":[{{\"index\":0,\"message\":{{\"reasoning_details\":[{details}]}}}}]}}").into_bytes()
    }),
    kind("a completion with log probabilities", |n| {
        let entries = list(n, |_| "{\"token\":\"x\",\"logprob\":-0.5}".into());
        format!("{{\"choices\":[{{\"index\":0,\"message\":{{}},\"logprobs\":{{\"content\":[{entries}]}}}}]}}").into_bytes()
    }),
    kind("a completion with deep arrays", |n| {
        format!("{{\"choices\":[],\"x\":{}}}", nested("[", "]", n / 2)).into_bytes()
    }),
    Kind {
        name: "a completion with deep objects",
        make: |n| {
            format!("{{\"choices\":[],\"x\":{}}}", nested("{\"a\":", "}", n / 6)).into_bytes()
        },
        most: 6 * DEEPEST,
    },
    Kind {
        name: "a completion with deep objects in its usage",
        make: |n| {
            format!("{{\"choices\":[],\"usage\":{}}}", nested("{\"a\":", "}", n / 6)).into_bytes()
        },
        most: 6 * DEEPEST,
    },
    kind("white space", |n| format!("{{\"a\":1{}}}", " ".repeat(n)).into_bytes()),
    kind("blank lines", |n| "\n".repeat(n).into_bytes()),
    kind("objects glued together", |n| fill(n, "{\"a\":1}").into_bytes()),
    kind("an array that doesn't end", |n| {
        format!("{{\"a\":[{}", list(n, |_| "0".into())).into_bytes()
    }),
    kind("arrays in each other", |n| nested("[", "]", n / 2).into_bytes()),
    kind("objects that don't end", |n| fill(n, "{\"a\":").into_bytes()),
    kind("media type parameters", |n| {
        format!("text/event-stream{}", fill(n, "; a=b")).into_bytes()
    }),
];
