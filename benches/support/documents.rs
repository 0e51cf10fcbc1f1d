//! Single payloads by kind and size, and the parsers that read each of them alone.

use std::hint::black_box;

use deltawire::{ChunkDecoder, Payload, Templates};
use sonic_rs::JsonContainerTrait;

use crate::harness::{Effort, Engine, compare};
use crate::simd::read_tape;
use crate::workloads::generate;

/// Reads of a document in a row: one alone is too short for a clock.
const BYTES: usize = 1 << 19;

/// A document: its name and its JSON text.
pub type Document = (&'static str, String);

/// Returns the documents, the short ones first.
pub fn documents() -> Vec<Document> {
    let chunk = |delta: String| {
        format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
        )
    };
    let call = |arguments: String| {
        chunk(format!(
            r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{arguments}"}}}}]}}"#
        ))
    };
    let content = |text: String| chunk(format!(r#"{{"content":"{text}"}}"#));
    // A line of code with an escape every ten bytes.
    let code = |len: usize| r"let x\t= f(\\a, \u00e9)\n  g(1, 2)\\ ".repeat(len / 36);
    let numbers: Vec<_> = (0..4096).map(|at| (at * 7919 % 200_000).to_string()).collect();
    vec![
        ("vllm", of_workload("vllm")),
        ("openai", of_workload("openai")),
        ("tools", of_workload("tools")),
        ("logprobs", of_workload("logprobs")),
        ("spaces", of_workload("openai").replace("\":", "\" : ").replace(",\"", ",\t  \"")),
        ("text-14k", content("The quick brown fox, and so on. ".repeat(14_336 / 32))),
        ("cjk-14k", content("快速的棕色狐狸跳過了懶狗。".repeat(14_336 / 39))),
        ("token-ids", chunk(format!(r#"{{"content":"x","token_ids":[{}]}}"#, numbers.join(",")))),
        ("escaped-4k", call(code(4 << 10))),
        ("escaped-16k", call(code(16 << 10))),
        ("escaped-100k", call(code(100 << 10))),
        ("unicode-16k", content(r"\u5feb\u901f\u7684\ud83e\udd8a".repeat((16 << 10) / 30))),
        ("base64-10m", content("iVBORw0KGgoAAAANSUhEUgAA".repeat((10 << 20) / 24))),
    ]
}

/// Returns the JSON text of a later event of a generated stream.
fn of_workload(name: &str) -> String {
    let stream = generate(name, 42, 1);
    let (start, end) = (stream.ends[10], stream.ends[11]);
    let event = std::str::from_utf8(&stream.bytes[start..end]).unwrap();
    event.strip_prefix("data: ").unwrap().trim_end().to_owned()
}

/// Times the parsers on a document: ns for each, by `ChunkDecoder`, simd-json and sonic-rs.
///
/// `ChunkDecoder` frames too, and finds the members of the schema. The tape of simd-json has neither,
/// and all its buffers are reused. `Value` is the tree of sonic-rs.
pub fn prices(json: &str, effort: Effort) -> [(String, f64); 3] {
    let event = format!("data: {json}\n\n").into_bytes();
    let reads = (BYTES / event.len()).max(1);
    let mut decoder = ChunkDecoder::new().with_templates(&Templates::none());
    let members = sonic_rs::from_str::<sonic_rs::Value>(json).unwrap().as_object().unwrap().len();
    let mut engines = [
        Engine::new("deltawire", || {
            let mut found = 0;
            for _ in 0..reads {
                let event = decoder.next(&mut &event[..]).unwrap();
                let Payload::Chunk(chunk) = event.payload() else { panic!("no chunk: {json}") };
                found += usize::from(black_box(chunk).choices().count() == 1);
            }
            found
        }),
        Engine::new("simd-json, tape", || {
            let mut found = 0;
            for _ in 0..reads {
                let tape = &mut |tape: &simd_json::Tape<'_>| {
                    let is_object = |len| len == members;
                    found += usize::from(match black_box(tape).0[0] {
                        simd_json::Node::Object { len, .. } => is_object(len),
                        _ => false,
                    });
                };
                read_tape(json.as_bytes(), tape);
            }
            found
        }),
        Engine::new("sonic-rs, Value", || {
            let mut found = 0;
            for _ in 0..reads {
                let value: sonic_rs::Value = sonic_rs::from_str(json).unwrap();
                let object = black_box(&value).as_object().unwrap();
                found += usize::from(object.len() == members);
            }
            found
        }),
    ];
    let timings = compare(&mut engines, |found| *found == reads, effort);
    let prices = timings.iter().map(|timing| (timing.name.clone(), timing.price(reads).unwrap()));
    let prices: Vec<_> = prices.collect();
    prices.try_into().unwrap()
}
