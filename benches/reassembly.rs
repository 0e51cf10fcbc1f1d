//! Reassembly beside stream-rs and a fold over the types of async-openai: ns per chunk.
//!
//! `push` has chunks that are read already. `whole` begins with their payloads, as a gateway does.
//! `push, as decoded` has chunks that match a template, of which only the changed values are pushed.
//!
//! stream-rs keeps role, content, finish reason and tool calls, and gets each of them. The fold
//! appends to owned strings. deltawire reads every member and keeps all of them. `push_str alone` is
//! the least work of a reassembler: it appends the texts to one string.
//!
//! `cargo bench --bench reassembly` runs for a few seconds; with `-- --test` it only checks answers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "support/harness.rs"]
mod harness;
#[path = "support/workloads.rs"]
#[allow(dead_code, reason = "the other benchmarks use the rest")]
mod workloads;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use async_openai::types::chat::CreateChatCompletionStreamResponse as TypedChunk;
use deltawire::chunk::{ChatCompletionChunk, OwnedChatCompletionChunk};
use deltawire::{ChunkDecoder, Payload, Reassembler};
use harness::{Effort, Engine, compare};
use stream_rs::accumulators::openai::OpenAiAccumulator;
use workloads::Workload;

/// Bytes of content and of arguments of the first choice.
type Answer = (usize, usize);

/// How often a stream is reassembled in one run.
const TIMES: usize = 200;

fn deltawire_push<'c>(
    completion: &mut Reassembler,
    chunks: impl Iterator<Item = ChatCompletionChunk<'c>>,
) -> Answer {
    completion.reset();
    for chunk in chunks {
        completion.push(&chunk);
    }
    deltawire_answer(completion)
}

fn stream_rs_push<'c>(chunks: impl Iterator<Item = ChatCompletionChunk<'c>>) -> Answer {
    let mut completion = OpenAiAccumulator::new();
    for chunk in chunks {
        for choice in chunk.choices() {
            let (index, delta) = (choice.index().unwrap_or(0) as usize, choice.delta());
            if let Some(role) = delta.role() {
                completion.push_role(index, role);
            }
            if let Some(content) = delta.content() {
                completion.push_content(index, content);
            }
            for call in delta.tool_calls() {
                let at = call.index().unwrap_or(0) as usize;
                completion.push_tool_call(index, at, call.id(), call.name(), call.arguments());
            }
            if let Some(reason) = choice.finish_reason() {
                completion.set_finish_reason(index, reason);
            }
        }
    }
    let choice = completion.choice(0).unwrap();
    (choice.content.len(), choice.tool_calls.values().map(|call| call.arguments.len()).sum())
}

/// The code that a gateway writes itself: owned strings, appended to.
#[derive(Default)]
struct Fold {
    id: Option<String>,
    model: Option<String>,
    role: Option<async_openai::types::chat::Role>,
    content: String,
    refusal: String,
    calls: BTreeMap<u32, (Option<String>, Option<String>, String)>,
    finish_reason: Option<async_openai::types::chat::FinishReason>,
    usage: Option<async_openai::types::chat::CompletionUsage>,
}

impl Fold {
    fn push(&mut self, chunk: &TypedChunk) {
        self.id.get_or_insert_with(|| chunk.id.clone());
        self.model.get_or_insert_with(|| chunk.model.clone());
        self.usage = chunk.usage.clone().or(self.usage.take());
        for choice in &chunk.choices {
            let delta = &choice.delta;
            self.role = self.role.or(delta.role);
            self.content.push_str(delta.content.as_deref().unwrap_or_default());
            self.refusal.push_str(delta.refusal.as_deref().unwrap_or_default());
            self.finish_reason = choice.finish_reason.or(self.finish_reason);
            for call in delta.tool_calls.iter().flatten() {
                let (id, name, arguments) = self.calls.entry(call.index).or_default();
                *id = id.take().or_else(|| call.id.clone());
                if let Some(function) = &call.function {
                    *name = name.take().or_else(|| function.name.clone());
                    arguments.push_str(function.arguments.as_deref().unwrap_or_default());
                }
            }
        }
    }

    fn answer(&self) -> Answer {
        (self.content.len(), self.calls.values().map(|(_, _, arguments)| arguments.len()).sum())
    }
}

/// Returns the text of the content and that of the arguments.
fn texts_of(chunk: &ChatCompletionChunk<'_>) -> (String, String) {
    let deltas = || chunk.choices().map(|choice| choice.delta());
    let content = deltas().filter_map(|delta| delta.content()).collect();
    let arguments = deltas().flat_map(|delta| delta.tool_calls());
    (content, arguments.filter_map(|call| call.arguments()).collect())
}

fn append(texts: &[(String, String)]) -> Answer {
    let (mut content, mut arguments) = (String::new(), String::new());
    for (more_content, more_arguments) in texts {
        content.push_str(black_box(more_content));
        arguments.push_str(black_box(more_arguments));
    }
    (content.len(), arguments.len())
}

fn times(mut run: impl FnMut() -> Answer) -> Answer {
    let mut answer = (0, 0);
    for _ in 0..TIMES {
        answer = run();
    }
    answer
}

fn report(name: &str, stage: &str, chunks: usize, timings: &[harness::Timing]) {
    println!("{name:<12} {stage}");
    let price = |timing: &harness::Timing| timing.price(chunks * TIMES).unwrap();
    for timing in timings {
        let spread = timing.spread.unwrap_or_default() * 100.0;
        println!("{:>20}  {:<32} {:>10.1} ({spread:.0} %)", "", timing.name, price(timing));
    }
    for other in &timings[1..] {
        let ratio = price(other) / price(&timings[0]);
        println!("{:>20}  {} ÷ deltawire {ratio:.2}", "", other.name);
    }
}

/// Reports the cost of pushing a chunk from the decoder, on a stream of so many events.
///
/// This is decoding and pushing, less decoding.
fn report_as_decoded(name: &str, effort: Effort) {
    let Workload { bytes, expected, .. } = workloads::generate(name, 1000, 1);
    let run = |completion: &mut Option<Reassembler>| {
        let (mut decoder, mut input, mut chunks) = (ChunkDecoder::new(), &bytes[..], 0);
        while let Some(event) = decoder.next(&mut input) {
            chunks += usize::from(matches!(event.payload(), Payload::Chunk(_)));
            if let Some(completion) = completion {
                completion.push_payload(event.payload());
            }
        }
        chunks
    };
    let mut engines = vec![
        Engine::new("decoding", || run(&mut None)),
        Engine::new("decoding and pushing", || run(&mut Some(Reassembler::new()))),
    ];
    let timings = compare(&mut engines, |chunks| *chunks == expected.chunks, effort);
    println!("{name:<12} push, as decoded");
    let prices: Vec<_> =
        timings.iter().map(|timing| timing.price(expected.chunks).unwrap()).collect();
    for (timing, price) in timings.iter().zip(&prices) {
        println!("{:>20}  {:<32} {price:>10.1}", "", timing.name);
    }
    println!("{:>20}  {:<32} {:>10.1}", "", "deltawire", prices[1] - prices[0]);
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let effort = if is_test { Effort::TEST } else { Effort::rounds(31) };
    for name in ["text", "tools"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/streams");
        let stream = fs::read(folder.join(name).with_extension("sse")).unwrap();
        let mut decoder = ChunkDecoder::new();
        let mut input = &stream[..];
        let mut owned: Vec<OwnedChatCompletionChunk> = Vec::new();
        let mut payloads = Vec::new();
        while let Some(event) = decoder.next(&mut input) {
            if let Payload::Chunk(chunk) = event.payload() {
                owned.push(chunk.into_owned());
                payloads.push(event.event().data_str().unwrap().to_owned());
            }
        }
        let typed: Vec<TypedChunk> =
            payloads.iter().map(|payload| serde_json::from_str(payload).unwrap()).collect();
        let chunks = || owned.iter().map(OwnedChatCompletionChunk::as_chunk);
        let texts: Vec<_> = chunks().map(|chunk| texts_of(&chunk)).collect();
        let expected = stream_rs_push(chunks());
        let mut completion = Reassembler::new();
        let mut engines = vec![
            Engine::new("deltawire", || times(|| deltawire_push(&mut completion, chunks()))),
            Engine::new("stream-rs", || times(|| stream_rs_push(chunks()))),
            Engine::new("fold over async-openai", || {
                times(|| {
                    let mut fold = Fold::default();
                    for chunk in &typed {
                        fold.push(chunk);
                    }
                    fold.answer()
                })
            }),
            Engine::new("push_str alone", || times(|| append(&texts))),
        ];
        let timings = compare(&mut engines, |answer| *answer == expected, effort);
        drop(engines);
        report(name, "push", owned.len(), &timings);

        let mut engines = vec![
            Engine::new("deltawire", || {
                times(|| {
                    completion.reset();
                    decoder.reset();
                    let mut input = &stream[..];
                    while let Some(event) = decoder.next(&mut input) {
                        completion.push_payload(event.payload());
                    }
                    deltawire_answer(&mut completion)
                })
            }),
            Engine::new("serde_json::Value + stream-rs", || {
                times(|| {
                    let mut completion = OpenAiAccumulator::new();
                    for payload in &payloads {
                        push_value(&mut completion, &serde_json::from_str(payload).unwrap());
                    }
                    let choice = completion.choice(0).unwrap();
                    let arguments = choice.tool_calls.values().map(|call| call.arguments.len());
                    (choice.content.len(), arguments.sum())
                })
            }),
            Engine::new("serde_json + fold", || {
                times(|| {
                    let mut fold = Fold::default();
                    for payload in &payloads {
                        fold.push(&serde_json::from_str(payload).unwrap());
                    }
                    fold.answer()
                })
            }),
        ];
        let timings = compare(&mut engines, |answer| *answer == expected, effort);
        report(name, "whole (theirs without framing)", owned.len(), &timings);
    }
    report_as_decoded("vllm", effort);
    report_as_decoded("tools", effort);
}

fn deltawire_answer(completion: &mut Reassembler) -> Answer {
    let message = &completion.snapshot().choices[0].message;
    let functions = message.tool_calls.iter().filter_map(|call| call.function.as_ref());
    let arguments = functions.map(|function| function.arguments.len()).sum();
    (message.content.as_deref().unwrap_or_default().len(), arguments)
}

fn push_value(completion: &mut OpenAiAccumulator, chunk: &serde_json::Value) {
    for choice in chunk["choices"].as_array().into_iter().flatten() {
        let (index, delta) = (choice["index"].as_u64().unwrap_or(0) as usize, &choice["delta"]);
        if let Some(role) = delta["role"].as_str() {
            completion.push_role(index, role);
        }
        if let Some(content) = delta["content"].as_str() {
            completion.push_content(index, content);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            completion.push_tool_call(
                index,
                call["index"].as_u64().unwrap_or(0) as usize,
                call["id"].as_str(),
                function["name"].as_str(),
                function["arguments"].as_str(),
            );
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            completion.set_finish_reason(index, reason);
        }
    }
}
