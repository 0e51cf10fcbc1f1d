//! The assertions for the framing of any bytes, in any pieces, under any limits.

use deltawire::sse::LineSplitter;
use deltawire::{Limits, SseDecoder};

use super::input::{Input, lines};
use crate::support::decoded::{self, Run, assert_laws, pieces};
use crate::support::framed::frame;
use crate::support::heap;

/// The bytes that a decoder may hold besides its limits.
const CONSTANT: usize = 4 << 10;

pub fn run(input: &[u8]) {
    let Input { stream, lengths, limits, .. } = Input::new(input, lines);
    check(&stream, &lengths, &limits);
}

/// Compares the results of a stream with the oracles, whole, in pieces and by bytes.
pub fn check(stream: &[u8], lengths: &[usize], limits: &Limits) {
    let cut = pieces(stream, lengths);
    let bytes: Vec<_> = stream.chunks(1).collect();
    let expected = Run::of(frame(stream, limits, ""), stream);
    let mut decoder = SseDecoder::with_limits(*limits);
    for (name, pieces) in [("whole", &vec![stream]), ("pieces", &cut), ("bytes", &bytes)] {
        assert_eq!(decoded::run(&mut decoder, pieces).0, expected, "{name}");
        decoder.reset();
    }
    if *limits == Limits::new() {
        assert_laws(&expected, stream, "", "the standard");
    }
    assert_eq!(split(&cut), naive_lines(stream), "lines");
    for pieces in [&cut, &bytes] {
        let (held, most) = (held(pieces, limits), most(limits));
        assert!(held <= most, "{held} bytes held, {most} allowed");
    }
}

/// Returns the most that the docs allow for.
fn most(limits: &Limits) -> usize {
    let largest = limits.max_event_bytes.max(limits.max_comment_bytes).max(16);
    largest.saturating_add(largest / 2).saturating_add(limits.max_id_bytes).saturating_add(CONSTANT)
}

/// Returns the peak of memory for decoding these pieces.
fn held(pieces: &[&[u8]], limits: &Limits) -> usize {
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = SseDecoder::with_limits(*limits);
    for piece in pieces {
        let mut input = *piece;
        while decoder.next(&mut input).is_some() {}
    }
    usize::try_from(heap::peak() - before).unwrap_or(0)
}

/// The lines that have an end, and the rest behind them.
type Lines = (Vec<Vec<u8>>, Vec<u8>);

fn split(pieces: &[&[u8]]) -> Lines {
    let mut splitter = LineSplitter::new();
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(span) = splitter.next(input) {
            line.extend_from_slice(span.held());
            line.extend_from_slice(span.content(input));
            if span.is_complete() {
                lines.push(std::mem::take(&mut line));
            }
            input = &input[span.len()..];
        }
    }
    line.extend_from_slice(splitter.held());
    (lines, line)
}

/// Splits lines the same way, a byte at a time.
fn naive_lines(stream: &[u8]) -> Lines {
    let mut rest = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream).iter().peekable();
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while let Some(byte) = rest.next() {
        if !matches!(byte, b'\r' | b'\n') {
            line.push(*byte);
            continue;
        }
        if *byte == b'\r' {
            rest.next_if(|next| **next == b'\n');
        }
        lines.push(std::mem::take(&mut line));
    }
    (lines, line)
}
