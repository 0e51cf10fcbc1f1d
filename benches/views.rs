//! The general path: framing and chunk views, and single payloads by kind and size.
//!
//! The peers of views are four framers with `serde_json`, sonic-rs or simd-json, into a borrowed
//! struct of the same fields. Payloads are read by simd-json and sonic-rs alone.
//!
//! `cargo bench --bench views` runs for about a minute; with `-- --test` it only checks answers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "support/cuts.rs"]
#[expect(dead_code, reason = "other benches have more of them")]
mod cuts;
#[path = "support/documents.rs"]
mod documents;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/simd.rs"]
mod simd;
#[path = "support/streams.rs"]
#[expect(dead_code, reason = "other benches have more of them")]
mod streams;
#[path = "support/typed.rs"]
#[expect(dead_code, reason = "what takes more than reading a field is for accumulators")]
mod typed;
#[path = "support/view.rs"]
mod view;
#[path = "support/workloads.rs"]
#[expect(dead_code, reason = "other benches have all of them")]
mod workloads;

use bytes::Bytes;
use cuts::Cut;
use deltawire::{ChunkDecoder, Templates};
use harness::{Effort, Engine, compare};
use peers::{FRAMERS, Framer};
use streams::Stream;
use typed::{Content, text};
use view::{Read, len, sum};

/// At least how many times faster than the fastest peer it is meant to be.
const GOAL: f64 = 1.2;

fn deltawire(pieces: &[Bytes]) -> Read {
    let mut decoder = ChunkDecoder::new();
    decoder.set_templates(&Templates::none());
    Read::stream(decoder, pieces.iter().map(|piece| &piece[..]))
}

fn peer(frame: Framer, parse: typed::Parser, pieces: &[Bytes]) -> Read {
    let mut read = Read::default();
    frame(pieces, &mut |data| {
        if data != "[DONE]" {
            parse(data, &mut |chunk| read_typed(chunk, &mut read));
        }
    });
    read
}

/// Reads every field of a typed chunk.
fn read_typed(chunk: &typed::Chunk<'_>, read: &mut Read) {
    let typed::Chunk { id, object, model, service_tier, system_fingerprint, .. } = chunk;
    read.chunks += 1;
    read.around += len([id, object, model, service_tier, system_fingerprint].map(text));
    read.numbers += sum([chunk.created]);
    for choice in chunk.choices.iter().flatten() {
        let delta = &choice.delta;
        let content = match &delta.content {
            Some(Content::Text(content)) => Some(&**content),
            _ => None,
        };
        let reasoning = text(&delta.reasoning_content);
        let mirrored = text(&delta.reasoning).filter(|text| Some(*text) != reasoning);
        read.text += len([content, reasoning, mirrored]);
        read.around += len([&choice.finish_reason, &delta.role, &delta.refusal].map(text));
        read.numbers += sum([choice.index]);
        for call in delta.tool_calls.iter().flatten() {
            read.numbers += sum([call.index]);
            read.around += len([&call.id, &call.r#type].map(text));
            if let Some(function) = &call.function {
                read.around += len([text(&function.name)]);
                read.text += len([text(&function.arguments)]);
            }
        }
    }
    if let Some(usage) = &chunk.usage {
        read.numbers += sum([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]);
    }
}

/// Prints the price of each document by each parser, and the ratio of simd-json's tape to ours.
fn print_documents(effort: Effort) {
    println!("document          bytes  ns per document");
    for (name, json) in documents::documents() {
        let prices = documents::prices(&json, effort);
        let ratio = prices[1].1 / prices[0].1;
        let prices = prices.map(|(engine, price)| format!("{engine} {price:.0}")).join(", ");
        println!("{name:<14} {:>8}  {prices}; simd-json ÷ deltawire {ratio:.2}", json.len());
    }
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let effort = if is_test { Effort::TEST } else { Effort::rounds(31) };
    print_documents(effort);
    println!("{:<12} {:>6}  ns per chunk (spread)", "workload", "pieces");
    for name in ["vllm", "tools", "openrouter"] {
        let stream = Stream::generated(name, if is_test { 42 } else { 4000 }, 1);
        let bytes = Bytes::copy_from_slice(&stream.bytes);
        for cut in [Cut::Whole, Cut::Size(1460)] {
            let ranges = stream.ranges(cut).into_iter();
            let pieces: Vec<_> = ranges.map(|range| bytes.slice(range)).collect();
            let pieces = &pieces[..];
            let mut engines = vec![Engine::new("deltawire", || deltawire(pieces))];
            for (framer, frame) in FRAMERS {
                for (json, parse) in typed::PARSERS {
                    let name = format!("{framer} + {json}");
                    engines.push(Engine::new(name, move || peer(frame, parse, pieces)));
                }
            }
            let expected = peer(FRAMERS[0].1, typed::PARSERS[0].1, pieces);
            assert!(expected.is_right(&stream), "wrong answer");
            let timings = compare(&mut engines, |read| *read == expected, effort);
            assert!(timings.iter().all(|timing| timing.median.is_some()), "wrong answer");
            let price = |at: usize| timings[at].price(expected.chunks).unwrap();
            println!("{name:<12} {cut:>6}");
            for (at, timing) in timings.iter().enumerate() {
                let spread = timing.spread.unwrap_or_default() * 100.0;
                println!("{:>20}  {:<32} {:>10.1} ({spread:.0} %)", "", timing.name, price(at));
            }
            let fastest = (1..timings.len()).map(price).fold(f64::INFINITY, f64::min);
            println!(
                "{:>20}  fastest peer ÷ deltawire {:.2} (goal {GOAL})",
                "",
                fastest / price(0)
            );
        }
    }
}
