//! Framing and chunk views by the general path, beside each of four framers with `serde_json` or
//! sonic-rs into a borrowed struct of the same fields: ns per event, and how many times faster than
//! the fastest of them.
//!
//! `cargo bench --bench views` takes about a minute; with `-- --test` it only checks answers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "support/harness.rs"]
mod harness;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/typed.rs"]
mod typed;

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use deltawire::{ChatCompletionChunk, ChunkDecoder, Payload};
use harness::{Effort, Engine, compare};
use peers::{FRAMERS, Framer};

/// What was read: chunks, bytes of their texts, and a sum of their numbers.
pub type Answer = (usize, usize, u64);

/// At least how many times faster than the fastest peer it is meant to be.
const GOAL: f64 = 1.2;

/// Reads every field that the typed structs have.
fn read(chunk: &ChatCompletionChunk<'_>, answer: &mut Answer) {
    let texts = [
        chunk.id(),
        chunk.object(),
        chunk.model(),
        chunk.service_tier(),
        chunk.system_fingerprint(),
    ];
    let mut len = typed::len(texts);
    let mut sum = chunk.created().unwrap_or(0);
    for choice in chunk.choices() {
        let delta = choice.delta();
        sum += choice.index().unwrap_or(0);
        len += typed::len([
            choice.finish_reason(),
            delta.role(),
            delta.content(),
            delta.refusal(),
            delta.reasoning(),
            delta.reasoning_content(),
        ]);
        for call in delta.tool_calls() {
            sum += call.index().unwrap_or(0);
            len += typed::len([call.id(), call.r#type(), call.name(), call.arguments()]);
        }
    }
    if let Some(usage) = chunk.usage() {
        sum += typed::sum([usage.prompt_tokens(), usage.completion_tokens(), usage.total_tokens()]);
    }
    *answer = (answer.0 + 1, answer.1 + len, answer.2 + sum);
}

fn deltawire(pieces: &[Bytes]) -> Answer {
    let mut answer = Answer::default();
    let mut decoder = ChunkDecoder::new();
    for piece in pieces {
        let mut input = &piece[..];
        while let Some(event) = decoder.next(&mut input) {
            if let Payload::Chunk(chunk) = event.payload() {
                read(chunk, &mut answer);
            }
        }
    }
    answer
}

fn peer(frame: Framer, parse: typed::Parser, pieces: &[Bytes]) -> Answer {
    let mut answer = Answer::default();
    frame(pieces, &mut |data| {
        if data != "[DONE]" {
            parse(data, &mut answer);
        }
    });
    answer
}

/// A stream of this project's, repeated to about a megabyte.
fn stream(name: &str, bytes: usize) -> Bytes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/streams");
    let stream = fs::read(folder.join(name).with_extension("sse")).unwrap();
    stream.repeat((bytes / stream.len()).max(1)).into()
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let effort =
        Effort { rounds: if is_test { 0 } else { 31 }, patience: Duration::from_millis(50) };
    println!("{:<12} {:>6}  ns per chunk (spread)", "workload", "pieces");
    for name in ["text", "tools", "reasoning"] {
        let bytes = stream(name, if is_test { 1 } else { 1 << 20 });
        for size in [usize::MAX, 1460] {
            let pieces: Vec<_> = (0..bytes.len())
                .step_by(size.min(bytes.len()))
                .map(|at| bytes.slice(at..bytes.len().min(at.saturating_add(size))))
                .collect();
            let pieces = &pieces[..];
            let mut engines = vec![Engine::new("deltawire", || deltawire(pieces))];
            for (framer, frame) in FRAMERS {
                for (json, parse) in typed::PARSERS {
                    let name = format!("{framer} + {json}");
                    engines.push(Engine::new(name, move || peer(frame, parse, pieces)));
                }
            }
            let expected = peer(FRAMERS[0].1, typed::PARSERS[0].1, pieces);
            let timings = compare(&mut engines, &expected, effort);
            assert!(timings.iter().all(|timing| timing.median.is_some()), "wrong answer");
            let price =
                |at: usize| timings[at].median.unwrap().as_secs_f64() * 1e9 / expected.0 as f64;
            let pieces = if size == usize::MAX { "whole".to_owned() } else { size.to_string() };
            println!("{name:<12} {pieces:>6}");
            for (at, timing) in timings.iter().enumerate() {
                let spread = timing.spread * 100.0;
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
