//! Hostile streams: each has its promised error, and doesn't affect the stream beside it.
//!
//! It costs no more memory than its limits and no more work than its bytes. Work is measured in
//! three ways.
//!
//! - Calls: one for each event and one more for each piece.
//! - Bytes asked of the allocator, which grow if a buffer is copied again and again.
//! - Time of the thread, by the kernel, which includes rescans. Eight times the bytes may take 24
//!   times as long, because of caches and neighbours. Quadratic work would take 64 times as long.

use std::fmt::Write as _;

use deltawire::completion::{CompletionLimit, FinishedCompletion};
use deltawire::sse::BodyKind;
use deltawire::{ChunkDecoder, ErrorKind, Limits, Outcome, Payload, Reassembler};

use crate::support::clock;
use crate::support::heap;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A stream of about so many bytes.
type Make = fn(usize) -> Vec<u8>;

/// A stream, and its promised result.
struct Hostile {
    name: &'static str,
    make: Make,
    /// Length of its pieces.
    piece: usize,
    /// Bytes of the smaller stream; the larger one has eight times as many.
    bytes: usize,
    error: Told,
    outcome: Outcome,
    limit: Option<CompletionLimit>,
    /// Most memory that it may take.
    most: usize,
}

#[derive(Clone, Copy)]
enum Told {
    Never,
    Once(ErrorKind),
    /// With each of its events.
    Always(ErrorKind),
}

/// Returns limits that are small enough to be exceeded.
fn limits() -> Limits {
    let mut limits = Limits::new();
    limits.max_event_bytes = 128 * KIB;
    limits.max_line_bytes = 128 * KIB;
    limits.max_json_values = 4096;
    limits.max_completion_bytes = 256 * KIB;
    limits
}

/// The buffers of an event at its limit, joined data included, and the decoder's other bytes.
const FRAMING: usize = (128 + 64) * KIB + CONSTANT;
/// Names and values of a payload: 64 bytes each, and the payload unescaped.
const READING: usize = 64 * 4096 + 128 * KIB;
/// Texts that grow by doubling, usage, and finish reasons.
const COMPLETION: usize = (2 * 256 + 64) * KIB;
const CONSTANT: usize = 16 * KIB;

const STREAM: Hostile = Hostile {
    name: "",
    make: |_| Vec::new(),
    piece: 4 * KIB,
    bytes: 512 * KIB,
    error: Told::Never,
    outcome: Outcome::Truncated,
    limit: None,
    most: CONSTANT,
};

/// Makes so many events that they have about `bytes`.
fn events(bytes: usize, mut json: impl FnMut(usize) -> String) -> Vec<u8> {
    let mut stream = String::new();
    for number in 0.. {
        write!(stream, "data: {}\n\n", json(number)).unwrap();
        if stream.len() >= bytes {
            break;
        }
    }
    stream.into_bytes()
}

/// Returns bytes without end or meaning.
fn noise(bytes: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..bytes).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

/// Returns streams without end: lines, comments, data.
fn endless() -> Vec<Hostile> {
    vec![
        Hostile {
            name: "an endless line",
            make: |bytes| [b"data: ", &vec![b'x'; bytes][..]].concat(),
            error: Told::Once(ErrorKind::LineTooLong),
            most: FRAMING,
            ..STREAM
        },
        Hostile {
            name: "an endless line of a field that is no data",
            make: |bytes| [b"event: ", &vec![b'x'; bytes][..]].concat(),
            error: Told::Once(ErrorKind::LineTooLong),
            most: FRAMING,
            ..STREAM
        },
        Hostile {
            name: "endless empty lines of data",
            make: |bytes| b"data:\n".repeat(bytes / 6),
            error: Told::Once(ErrorKind::EventTooLarge),
            most: FRAMING,
            ..STREAM
        },
        Hostile {
            name: "endless comments",
            make: |bytes| b": ping\n".repeat(bytes / 7),
            outcome: Outcome::Empty,
            ..STREAM
        },
        Hostile {
            name: "one endless comment",
            make: |bytes| vec![b':'; bytes],
            outcome: Outcome::Empty,
            most: CONSTANT + 16 * KIB,
            ..STREAM
        },
        Hostile {
            name: "endless comments in an event",
            make: |bytes| [b"data: x\n", &b": ping\n".repeat(bytes / 7)[..]].concat(),
            error: Told::Once(ErrorKind::EventTooLarge),
            most: FRAMING,
            ..STREAM
        },
        Hostile {
            name: "blank lines without end",
            make: |bytes| b"\r\n\n\r".repeat(bytes / 4),
            outcome: Outcome::Empty,
            ..STREAM
        },
        Hostile {
            name: "an id that is too long, in every event",
            make: |bytes| {
                let event = format!("id: {}\ndata: {{}}\n\n", "i".repeat(65 * KIB));
                event.repeat(bytes.div_ceil(event.len())).into_bytes()
            },
            error: Told::Always(ErrorKind::IdTooLong),
            most: FRAMING,
            ..STREAM
        },
    ]
}

/// Returns events whose payloads cost more than their length, or have a cost by their number.
fn payloads() -> Vec<Hostile> {
    vec![
        Hostile {
            name: "a million tiny events",
            make: |bytes| b"data: {\"choices\":[]}\n\n".repeat(bytes / 22),
            piece: 16 * KIB,
            bytes: 10_000_000 / 8,
            ..STREAM
        },
        Hostile {
            name: "a million tiny events that are nothing",
            make: |bytes| b"data\n\n".repeat(bytes / 6),
            piece: 16 * KIB,
            bytes: 6_000_000 / 8,
            error: Told::Always(ErrorKind::UnexpectedEnd),
            ..STREAM
        },
        Hostile {
            name: "100 000 arrays in each other",
            make: |bytes| {
                events(bytes, |_| format!("{{\"a\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000)))
            },
            error: Told::Always(ErrorKind::TooDeep),
            most: FRAMING + READING,
            ..STREAM
        },
        Hostile {
            name: "100 000 arrays that don't end",
            make: |bytes| events(bytes, |_| format!("{{\"a\":{}", "[".repeat(100_000))),
            error: Told::Always(ErrorKind::TooDeep),
            most: FRAMING + READING,
            ..STREAM
        },
        Hostile {
            name: "100 000 values",
            make: |bytes| events(bytes, |_| format!("{{\"a\":[{}0]}}", "0,".repeat(50_000))),
            error: Told::Always(ErrorKind::TooManyValues),
            most: FRAMING + READING,
            ..STREAM
        },
    ]
}

/// Returns chunks that make a completion grow.
fn chunks() -> Vec<Hostile> {
    vec![
        Hostile {
            name: "choices from 4 294 967 295 on",
            make: |bytes| {
                events(bytes, |number| {
                    let index = u64::from(u32::MAX) + number as u64;
                    format!(
                        "{{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"x\"}}}}]}}"
                    )
                })
            },
            limit: Some(CompletionLimit::Choices),
            most: COMPLETION + CONSTANT,
            ..STREAM
        },
        Hostile {
            name: "tool calls from 4 294 967 295 down",
            make: |bytes| {
                events(bytes, |number| {
                    let index = u64::from(u32::MAX) - number as u64;
                    let call =
                        format!("{{\"index\":{index},\"function\":{{\"arguments\":\"x\"}}}}");
                    format!("{{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}")
                })
            },
            // A call counts as 512 bytes: less than 1 024 of them are within the limit.
            limit: Some(CompletionLimit::CompletionBytes),
            most: COMPLETION + CONSTANT,
            ..STREAM
        },
        Hostile {
            name: "a new skeleton in every event",
            make: |bytes| {
                events(bytes, |number| {
                    format!("{{\"choices\":[],\"k{number}\":[],\"n{}\":{{\"a\":0}}}}", number * 7)
                })
            },
            limit: Some(CompletionLimit::Members),
            most: COMPLETION + CONSTANT,
            ..STREAM
        },
        Hostile {
            name: "a new tool id in every event",
            make: |bytes| {
                events(bytes, |number| {
                    let call = format!(
                        "{{\"index\":0,\"id\":\"call_{number}\",\"function\":{{\"name\":\"f\"}}}}"
                    );
                    format!("{{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}")
                })
            },
            limit: Some(CompletionLimit::CompletionBytes),
            most: COMPLETION + CONSTANT,
            ..STREAM
        },
        Hostile {
            name: "text without end",
            make: |bytes| {
                events(bytes, |_| {
                    format!(
                        "{{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}",
                        "x".repeat(500)
                    )
                })
            },
            limit: Some(CompletionLimit::CompletionBytes),
            most: COMPLETION + CONSTANT,
            ..STREAM
        },
    ]
}

/// Returns bytes that are no text, or no event stream.
fn bytes() -> Vec<Hostile> {
    vec![
        Hostile {
            name: "bytes that are no UTF-8 in every field",
            make: |bytes| {
                let event = b"\xFF: \xFF\nevent: \xE5\xA5\nid: \xF0\x9F\n:\xC3\ndata: {\"\xFF\":\"\xED\xA0\x80\"}\n\n";
                event.repeat(bytes / event.len())
            },
            error: Told::Always(ErrorKind::InvalidUtf8),
            ..STREAM
        },
        Hostile {
            name: "escapes at every cut",
            make: |bytes| {
                events(bytes, |_| {
                    let text = r#"\ud83d\ude00\n\\\"\/\t\u00e9\r\b"#.repeat(16);
                    format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}")
                })
            },
            piece: 1,
            bytes: 768 * KIB,
            limit: Some(CompletionLimit::CompletionBytes),
            most: COMPLETION + CONSTANT,
            ..STREAM
        },
        Hostile {
            name: "an error in every event",
            make: |bytes| {
                events(bytes, |number| {
                    format!("{{\"error\":{{\"message\":\"{number}\",\"code\":5}}}}")
                })
            },
            outcome: Outcome::UpstreamError,
            ..STREAM
        },
        Hostile {
            name: "gzip",
            make: |bytes| [0x1F, 0x8B, 8, 0].into_iter().chain(noise(bytes)).collect(),
            outcome: Outcome::NotAnEventStream(BodyKind::Compressed),
            ..STREAM
        },
        Hostile {
            name: "HTML",
            make: |bytes| {
                [
                    b"<!DOCTYPE html>\n",
                    &b"<p style=\"\n:x\">data: {}</p>\n\n".repeat(bytes / 31)[..],
                ]
                .concat()
            },
            outcome: Outcome::NotAnEventStream(BodyKind::Html),
            ..STREAM
        },
    ]
}

fn streams() -> impl Iterator<Item = Hostile> {
    [endless(), payloads(), chunks(), bytes()].into_iter().flatten()
}

/// A decoder with its reassembler.
struct Pair {
    decoder: ChunkDecoder,
    completion: Reassembler,
}

/// The counts of a stream.
#[derive(Default)]
struct Seen {
    events: usize,
    messages: usize,
    calls: usize,
    raw: usize,
    errors: Vec<ErrorKind>,
}

impl Pair {
    fn new(limits: &Limits) -> Self {
        Self {
            decoder: ChunkDecoder::with_limits(*limits),
            completion: Reassembler::with_limits(*limits),
        }
    }

    fn feed(&mut self, mut input: &[u8], seen: &mut Seen) {
        loop {
            seen.calls += 1;
            let Some(event) = self.decoder.next(&mut input) else { return };
            seen.events += 1;
            seen.raw += event.raw().len();
            match event.payload() {
                Payload::Malformed(error) => {
                    if seen.errors.last() != Some(&error.kind()) {
                        seen.errors.push(error.kind());
                    }
                    seen.messages += 1;
                }
                Payload::Chunk(_) | Payload::Error(_) | Payload::Done => seen.messages += 1,
                _ => {}
            }
            self.completion.push_payload(event.payload());
        }
    }

    fn finish(&mut self) -> FinishedCompletion {
        let finished = self.completion.finish(self.decoder.finish());
        self.decoder.reset();
        finished
    }
}

/// The stream beside a hostile one: it is read again and again, always with the same result.
struct Neighbour {
    pair: Pair,
    stream: Vec<u8>,
    at: usize,
    expected: FinishedCompletion,
    rounds: usize,
}

impl Neighbour {
    fn new() -> Self {
        let stream = include_bytes!("../streams/tools.sse").to_vec();
        let mut pair = Pair::new(&Limits::new());
        pair.feed(&stream, &mut Seen::default());
        let expected = pair.finish();
        assert_eq!(expected.outcome, Outcome::Complete);
        Self { pair, stream, at: 0, expected, rounds: 0 }
    }

    fn go_on(&mut self) {
        let end = (self.at + 61).min(self.stream.len());
        self.pair.feed(&self.stream[self.at..end], &mut Seen::default());
        self.at = end;
        if end == self.stream.len() {
            assert_eq!(self.pair.finish(), self.expected);
            self.at = 0;
            self.rounds += 1;
        }
    }
}

/// Reads a hostile stream beside its neighbour, and looks at all but the time.
fn check(hostile: &Hostile, stream: &[u8]) {
    let name = hostile.name;
    let mut neighbour = Neighbour::new();
    let step = stream.len().div_ceil(hostile.piece).div_ceil(500).max(1);
    let mut seen = Seen::default();
    // Of the same length as all kinds of errors, so that it doesn't grow while memory is counted.
    seen.errors.reserve(32);
    let (mut requested, mut peak) = (0, 0);
    let mut pair = Pair::new(&limits());
    let mut held = 0;
    for pieces in stream.chunks(hostile.piece * step) {
        let (before, asked) = (heap::live(), heap::requested());
        heap::reset_peak();
        for piece in pieces.chunks(hostile.piece) {
            pair.feed(piece, &mut seen);
        }
        peak = peak.max(held + heap::peak() - before);
        held += heap::live() - before;
        requested += heap::requested() - asked;
        // More than one round, however few pieces there are.
        (0..4).for_each(|_| neighbour.go_on());
    }
    let pieces = stream.len().div_ceil(hostile.piece);
    assert_eq!(seen.calls, seen.events + pieces, "{name}");
    assert!(neighbour.rounds > 1, "{name}: {} rounds", neighbour.rounds);
    assert!(peak as usize <= hostile.most, "{name}: {peak} bytes held of {}", hostile.most);
    // A buffer that grows by doubling asks for twice as much. A freed event asks for its bytes again.
    let most = 4 * stream.len() + 2 * hostile.most;
    assert!(requested <= most, "{name}: {requested} bytes asked for, {} sent", stream.len());
    let end = pair.decoder.finish();
    assert_eq!(end.bytes, stream.len() as u64, "{name}");
    assert_eq!(seen.raw as u64 + end.discarded_bytes, end.bytes, "{name}: every byte");
    let malformed = end.malformed;
    match hostile.error {
        Told::Never => assert_eq!((malformed, &seen.errors[..]), (0, &[][..]), "{name}"),
        Told::Once(kind) => assert_eq!((malformed, &seen.errors[..]), (1, &[kind][..]), "{name}"),
        Told::Always(kind) => {
            assert_eq!(seen.errors, [kind], "{name}");
            assert_eq!(malformed, seen.messages as u64, "{name}");
            assert!(malformed > 3, "{name}");
        }
    }
    let finished = pair.finish();
    assert_eq!(
        (finished.outcome, finished.limit_exceeded),
        (hostile.outcome, hostile.limit),
        "{name}"
    );
    // The next stream is read as if the first one had not been.
    pair.feed(&neighbour.stream, &mut Seen::default());
    assert_eq!(pair.finish(), neighbour.expected, "{name}");
}

fn read(hostile: &Hostile, stream: &[u8]) {
    let mut pair = Pair::new(&limits());
    for piece in stream.chunks(hostile.piece) {
        pair.feed(piece, &mut Seen::default());
    }
}

#[test]
fn hostile_streams_stay_within_their_bounds() {
    for hostile in streams() {
        let (small, large) = ((hostile.make)(hostile.bytes), (hostile.make)(8 * hostile.bytes));
        check(&hostile, &small);
        check(&hostile, &large);
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn hostile_streams_cost_linear_time() {
    for hostile in streams() {
        let (small, large) = ((hostile.make)(hostile.bytes), (hostile.make)(8 * hostile.bytes));
        let found = clock::ratio(|| read(&hostile, &small), || read(&hostile, &large), 16.0);
        assert!(found < 24.0, "{}: {found:.1} times as long for 8 times as much", hostile.name);
    }
}

/// 16 MiB in one event and in pieces of one byte cost as much as small events in such pieces.
///
/// They hold the bytes of the event.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn large_event_in_pieces_of_one_byte_costs_linear_work() {
    let large = |bytes: usize| {
        let text = "x\\n".repeat(bytes / 3);
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
            .into_bytes()
    };
    let stream = large(16 * MIB);
    let (before, asked) = (heap::live(), heap::requested());
    heap::reset_peak();
    let mut pair = Pair::new(&Limits::new());
    let mut neighbour = Neighbour::new();
    let mut seen = Seen::default();
    for (number, piece) in stream.chunks(1).enumerate() {
        pair.feed(piece, &mut seen);
        if number % 40_000 == 0 {
            neighbour.go_on();
        }
    }
    // The buffer by doubling, the text unescaped, and the completion's.
    let peak = (heap::peak() - before) as usize;
    assert!(peak <= 32 * MIB + 16 * MIB + 16 * MIB, "{peak} bytes held");
    let requested = heap::requested() - asked;
    assert!(requested <= 8 * stream.len(), "{requested} bytes asked for");
    assert_eq!((seen.events, seen.calls), (1, stream.len() + 1));
    assert!(neighbour.rounds > 3);
    let content = pair.completion.snapshot().choices[0].message.content.as_deref();
    assert_eq!(content.map(str::len), Some(16 * MIB / 3 * 2));

    let decode = |stream: &[u8]| {
        let mut decoder = ChunkDecoder::new();
        for mut piece in stream.chunks(1) {
            while decoder.next(&mut piece).is_some() {}
        }
    };
    let (small, large) = (large(MIB), large(8 * MIB));
    let found = clock::ratio(|| decode(&small), || decode(&large), 16.0);
    assert!(found < 24.0, "{found:.1} times as long for 8 times as much");
}
