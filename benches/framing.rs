//! Framing alone, beside other crates: ns per event, and the ratio to the fastest of them.
//!
//! Theirs are owned events whose data is text. Ours are borrowed ones whose data is bytes, and, in a
//! row of their own, text.
//!
//! `cargo bench --bench framing` runs for about a minute; with `-- --test` it only checks answers.
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

#[path = "support/cuts.rs"]
#[expect(dead_code, reason = "other benches have more of them")]
mod cuts;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/peers.rs"]
mod peers;

use bytes::Bytes;
use cuts::Cut;
use deltawire::SseDecoder;
use deltawire::sse::EventKind;
use harness::{Effort, Engine, Timing, compare};
use peers::{FRAMERS, Framer};

/// Events with data, and bytes of their data.
type Answer = (usize, usize);

/// A stream with its cuts and its contents.
struct Workload {
    name: &'static str,
    bytes: Bytes,
    /// Things of which the price is told: events, or comments.
    items: usize,
    answer: Answer,
    cuts: &'static [Cut],
    /// At least how many times faster than the fastest peer it is meant to be.
    goal: f64,
}

impl Workload {
    /// Returns pieces that share the workload's memory.
    fn pieces(&self, cut: Cut) -> Vec<Bytes> {
        let len = self.bytes.len();
        let ends: Vec<_> = (1..=self.items).map(|item| len / self.items * item).collect();
        cut.ranges(len, &ends, &[]).into_iter().map(|range| self.bytes.slice(range)).collect()
    }
}

/// Makes `count` events of exactly `len` bytes.
fn events(count: usize, len: usize) -> (Bytes, Answer) {
    let data: String = r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" x"}}]}"#
        .chars()
        .cycle()
        .take(len - 8)
        .collect();
    (format!("data: {data}\n\n").repeat(count).into(), (count, count * data.len()))
}

fn workloads(scale: usize) -> Vec<Workload> {
    let sized = |name, count: usize, len, cuts, goal| {
        let items = (count / scale).max(2);
        let (bytes, answer) = events(items, len);
        Workload { name, bytes, items, answer, cuts, goal }
    };
    let comments = (4000 / scale).max(2);
    vec![
        sized("250-byte events", 4000, 250, &[Cut::Whole, Cut::Size(4096), Cut::Event], 3.0),
        sized("4 KiB events", 200, 4096, &[Cut::Size(10)], 1.0),
        sized("9-byte events", 8000, 9, &[Cut::Whole, Cut::Size(4096)], 1.0),
        sized("40 KiB events", 40, 40 << 10, &[Cut::Whole, Cut::Size(4096), Cut::Event], 1.0),
        sized("10 MiB event", 2, 10 << 20, &[Cut::Size(16 << 10)], 1.0),
        Workload {
            name: "keep-alive comments",
            bytes: ": keep-alive\n\n".repeat(comments).into(),
            items: comments,
            answer: (0, 0),
            cuts: &[Cut::Whole, Cut::Size(4096), Cut::Event],
            goal: 1.0,
        },
    ]
}

/// Reads the data as it is borrowed: bytes, or text, which needs a check of them.
fn deltawire(pieces: &[Bytes], as_text: bool) -> Answer {
    let mut answer = (0, 0);
    let mut decoder = SseDecoder::new();
    for piece in pieces {
        let mut input = &piece[..];
        while let Some(event) = decoder.next(&mut input) {
            if event.kind() == EventKind::Message {
                let len =
                    if as_text { event.data_str().unwrap().len() } else { event.data().len() };
                answer = (answer.0 + 1, answer.1 + len);
            }
        }
    }
    answer
}

fn count(frame: Framer, pieces: &[Bytes]) -> Answer {
    let mut answer = (0, 0);
    frame(pieces, &mut |data| answer = (answer.0 + 1, answer.1 + data.len()));
    answer
}

/// Counts every line end with memchr: the floor.
fn line_ends(pieces: &[Bytes]) -> usize {
    pieces.iter().map(|piece| memchr::memchr_iter(b'\n', piece).count()).sum()
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let filter: Option<String> = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let effort = if is_test { Effort::TEST } else { Effort::rounds(41) };
    println!("{:<20} {:>6}  ns per event (spread)", "workload", "pieces");
    for workload in workloads(if is_test { 100 } else { 1 }) {
        if filter.as_ref().is_some_and(|filter| !workload.name.contains(filter.as_str())) {
            continue;
        }
        for cut in workload.cuts {
            let pieces = workload.pieces(*cut);
            let mut engines = vec![
                Engine::new("deltawire", || deltawire(&pieces, false)),
                Engine::new("deltawire, text", || deltawire(&pieces, true)),
            ];
            let pieces = &pieces;
            let peers =
                FRAMERS.map(|(name, frame)| Engine::new(name, move || count(frame, pieces)));
            engines.extend(peers);
            engines.push(Engine::new("floor/line-ends", || {
                assert!(line_ends(pieces) > 0);
                workload.answer
            }));
            let timings = compare(&mut engines, |answer| *answer == workload.answer, effort);
            assert!(timings[..2].iter().all(|timing| timing.median.is_some()), "wrong answer");
            report(&workload, *cut, &timings);
        }
    }
}

fn report(workload: &Workload, cut: Cut, timings: &[Timing]) {
    let price = |timing: &Timing| timing.price(workload.items);
    println!("{:<20} {cut:>6}", workload.name);
    for timing in timings {
        match price(timing) {
            Some(price) => {
                let spread = timing.spread.unwrap_or_default() * 100.0;
                println!("{:>28}  {:<20} {price:>12.1} ({spread:.0} %)", "", timing.name);
            }
            None => println!("{:>28}  {:<20} wrong answer", "", timing.name),
        }
    }
    let [bytes, text] = [0, 1].map(|at| price(&timings[at]).unwrap());
    let fastest = timings[2..6].iter().filter_map(price).fold(f64::INFINITY, f64::min);
    println!(
        "{:>28}  fastest peer ÷ deltawire {:.2}, as text {:.2} (goal {}), deltawire ÷ floor {:.2}",
        "",
        fastest / bytes,
        fastest / text,
        workload.goal,
        bytes / price(&timings[6]).unwrap()
    );
}
