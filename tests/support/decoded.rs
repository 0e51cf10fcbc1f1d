//! The events of an `SseDecoder` for a stream in pieces, and their laws.
//!
//! The form of the events can be compared.

use deltawire::SseDecoder;
use deltawire::sse::{Event, EventKind};

use super::framed::{Framed, Seen};
use super::oracle::{self, Dispatched};

/// Cuts `bytes` at lengths; the rest is the last piece.
pub fn pieces<'b>(bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub events: Vec<Seen>,
    pub bytes: u64,
    pub discarded_bytes: u64,
    pub last_event_id: String,
    pub retry: Option<u64>,
    pub comments: u64,
}

impl Run {
    /// Returns the events of a whole stream by the docs.
    pub fn of(framed: Framed, bytes: &[u8]) -> Self {
        let Framed { mut events, discarded_bytes, last_event_id, retry, comments } = framed;
        for event in events.iter_mut().filter(|event| !has_positions(&event.data)) {
            event.positions.clear();
        }
        let bytes = bytes.len() as u64;
        Self { events, bytes, discarded_bytes, last_event_id, retry, comments }
    }
}

/// Returns true if the positions of such data are compared: each costs a look at the lines before it.
fn has_positions(data: &[u8]) -> bool {
    data.len() < 256
}

fn seen(event: &Event<'_>) -> Seen {
    let positions = if event.kind() == EventKind::Message && has_positions(event.data()) {
        (0..=event.data().len()).map(|position| event.data_offset(position)).collect()
    } else {
        Vec::new()
    };
    Seen {
        kind: event.kind(),
        offset: event.offset(),
        raw: event.raw().to_vec(),
        event: event.event_type().to_owned(),
        data: event.data().to_vec(),
        positions,
        id: event.last_event_id().to_owned(),
        retry: event.reconnection_time(),
        comments: event.comments().map(<[u8]>::to_vec).collect(),
        unknown: event.unknown_lines().map(<[u8]>::to_vec).collect(),
        truncated: event.is_truncated(),
        error: event.error().map(|error| (error.kind(), error.offset())),
    }
}

/// Adds an event to those before it.
///
/// The cuts alone decide on the pieces of skipped bytes, on a blank line behind a comment, and on
/// the LF of a CRLF.
fn add(events: &mut Vec<Seen>, seen: Seen) {
    let one_line = |raw: &[u8]| {
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        !text.ends_with(b"\n") && !text.ends_with(b"\r")
    };
    if let Some(last) = events.last_mut() {
        let skipped = (last.kind, seen.kind) == (EventKind::Skipped, EventKind::Skipped);
        let blank = last.kind == EventKind::Comment
            && seen.kind == EventKind::BlankLine
            && one_line(&last.raw);
        let lf =
            seen.kind == EventKind::BlankLine && seen.raw == b"\n" && last.raw.ends_with(b"\r");
        if skipped || blank || lf {
            last.raw.extend(seen.raw);
            return;
        }
    }
    events.push(seen);
}

/// Decodes pieces, and returns the number of emitted messages after each of them.
pub fn run(decoder: &mut SseDecoder, cut: &[&[u8]]) -> (Run, Vec<usize>) {
    let stream = cut.concat();
    let mut events = Vec::<Seen>::new();
    let mut messages = Vec::new();
    let mut count = 0;
    let (mut fed, mut given) = (0, 0);
    for piece in cut {
        let mut input = *piece;
        fed += piece.len();
        while let Some(event) = decoder.next(&mut input) {
            count += usize::from(event.kind() == EventKind::Message);
            assert!(!event.is_unterminated(), "only what is salvaged is");
            let seen = seen(&event);
            assert_eq!(event.span(), seen.offset..seen.offset + seen.raw.len() as u64);
            assert_eq!(seen.offset, given as u64, "events follow one another");
            given += seen.raw.len();
            assert_eq!(decoder.offset(), given as u64);
            assert_eq!((decoder.buffered(), decoder.buffered_len()), (&[][..], 0));
            add(&mut events, seen);
        }
        assert!(input.is_empty());
        assert_eq!(decoder.offset(), fed as u64);
        assert_eq!(decoder.buffered().len(), fed - given);
        let last = fed - (fed - given).min(256);
        assert!(decoder.buffered().ends_with(&stream[last..fed]));
        assert!(decoder.buffered_len() >= fed - given);
        messages.push(count);
    }
    let end = decoder.finish();
    let run = Run {
        events,
        bytes: end.bytes,
        discarded_bytes: end.discarded_bytes,
        last_event_id: decoder.last_event_id().to_owned(),
        retry: decoder.reconnection_time(),
        comments: decoder.comments(),
    };
    (run, messages)
}

pub fn dispatched(run: &Run) -> Vec<Dispatched> {
    let messages = run.events.iter().filter(|event| event.kind == EventKind::Message);
    messages
        .map(|event| Dispatched {
            event: event.event.clone(),
            data: String::from_utf8_lossy(&event.data).into_owned(),
            id: event.id.clone(),
            retry: event.retry,
        })
        .collect()
}

/// Asserts the laws of every run of `bytes`, in any cut.
pub fn assert_laws(run: &Run, bytes: &[u8], last_event_id: &str, name: &str) {
    let parsed = oracle::parse(bytes, last_event_id);
    assert_eq!(dispatched(run), parsed.events, "{name}");
    assert_eq!(run.last_event_id, parsed.last_event_id, "{name}");
    assert_eq!(run.retry, parsed.retry, "{name}");
    assert_eq!(run.comments, parsed.comments.len() as u64, "{name}");
    let raw: Vec<u8> = run.events.iter().flat_map(|event| event.raw.clone()).collect();
    let (taken, left) = bytes.split_at(raw.len());
    assert_eq!(taken, raw, "{name}: raw bytes");
    assert_eq!(run.discarded_bytes, left.len() as u64, "{name}: discarded bytes");
    assert_eq!(run.bytes, bytes.len() as u64, "{name}: length");
}
