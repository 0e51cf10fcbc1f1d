//! The docs of `EventKind` and `Limits` as a program: the events of a whole stream, by lines.
//!
//! Like the oracle it is slow and has no pieces, but it counts every byte and limit.

use std::ops::Range;

use deltawire::sse::EventKind;
use deltawire::{ErrorKind, Limits};

/// An event, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: EventKind,
    pub offset: u64,
    pub raw: Vec<u8>,
    pub event: String,
    pub data: Vec<u8>,
    /// The stream offset of each byte of `data`, and of its end.
    pub positions: Vec<u64>,
    pub id: String,
    pub retry: Option<u64>,
    pub comments: Vec<Vec<u8>>,
    pub unknown: Vec<Vec<u8>>,
    pub truncated: bool,
    pub error: Option<(ErrorKind, u64)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Framed {
    pub events: Vec<Seen>,
    pub discarded_bytes: u64,
    pub last_event_id: String,
    pub retry: Option<u64>,
    pub comments: u64,
}

/// The lines of a block so far.
#[derive(Default)]
struct Block {
    open: bool,
    values: Vec<Range<usize>>,
    event: Range<usize>,
    id: Option<Range<usize>>,
    comments: Vec<Vec<u8>>,
    unknown: Vec<Vec<u8>>,
}

impl Block {
    /// Returns the length of the data's own buffer, which exists if several values are joined.
    fn joined(&self, more: &[Range<usize>]) -> usize {
        let values = self.values.len() + more.len();
        let sum: usize = self.values.iter().chain(more).map(|value| value.len() + 1).sum();
        if values > 1 { sum - 1 } else { 0 }
    }
}

pub fn frame(bytes: &[u8], limits: &Limits, last_event_id: &str) -> Framed {
    let least = |limit: usize| limit.max(16);
    let line_bytes = least(limits.max_line_bytes);
    let event_bytes = least(limits.max_event_bytes);
    let comment_bytes = least(limits.max_comment_bytes);
    let mut framed = Framed { last_event_id: last_event_id.to_owned(), ..Framed::default() };
    let (mut start, mut at) = (0, if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 });
    let mut block = Block::default();
    while at < bytes.len() {
        let (end, next) = line(bytes, at);
        let text = &bytes[at..end];
        let (name, value) = name_and_value(bytes, at..end);
        let ignored = !text.is_empty() && !matches!(name, b"data" | b"event" | b"id" | b"retry");
        let comment = text.first() == Some(&b':');
        let alone = if comment { EventKind::Comment } else { EventKind::UnknownField };

        if ignored && !block.open {
            let cut = end.min(at.saturating_add(comment_bytes));
            if cut < end || next > end {
                framed.comments += u64::from(comment);
                let shown =
                    if comment { &bytes[value.start.min(cut)..cut] } else { &bytes[at..cut] };
                let lines = vec![shown.to_vec()];
                let (blank, behind) = line(bytes, next);
                let folds = cut == end && comment && blank == next && behind > blank;
                let after = if folds { behind } else { next };
                let raw = start..if cut < end { cut } else { after };
                let mut seen = framed.seen(alone, bytes, raw);
                seen.truncated = cut < end;
                *(if comment { &mut seen.comments } else { &mut seen.unknown }) = lines;
                framed.events.push(seen);
                if cut < end {
                    framed.skip(bytes, cut..next);
                }
                (start, at) = (after, after);
                continue;
            }
        } else {
            let end_counted = end - start + usize::from(next > end);
            let room = event_bytes.saturating_sub(block.joined(&[]));
            let grows = next > end && name == b"data" && !block.values.is_empty();
            let joined = block.joined(std::slice::from_ref(&value));
            let line_cut =
                (end - at > line_bytes).then(|| (at + line_bytes, ErrorKind::LineTooLong));
            let event_cut =
                (end_counted > room).then(|| ((start + room).max(at), ErrorKind::EventTooLarge));
            let joined_cut = (grows && end_counted + joined > event_bytes)
                .then_some((end, ErrorKind::EventTooLarge));
            let cuts = [line_cut, event_cut, joined_cut];
            if let Some((cut, kind)) = cuts.into_iter().flatten().min_by_key(|(cut, _)| *cut) {
                let mut seen = framed.seen(EventKind::TooLarge, bytes, start..cut);
                seen.error = Some((kind, start as u64));
                (seen.comments, seen.unknown) = (block.comments, block.unknown);
                block = Block::default();
                framed.events.push(seen);
                start = behind_blank_line(bytes, cut);
                at = start;
                framed.skip(bytes, cut..start);
                continue;
            }
        }

        if next == end {
            break;
        }
        at = next;
        match name {
            _ if text.is_empty() && !block.open => {
                let seen = framed.seen(EventKind::BlankLine, bytes, start..next);
                framed.events.push(seen);
                start = next;
                continue;
            }
            _ if text.is_empty() => {
                let counted = end - start + 1 + block.joined(&[]);
                framed.close(bytes, start..next, counted, std::mem::take(&mut block), limits);
                start = next;
                continue;
            }
            b"data" => block.values.push(value),
            b"event" => block.event = value,
            b"id" if !bytes[value.clone()].contains(&0) => block.id = Some(value),
            b"retry" => {
                let digits = std::str::from_utf8(&bytes[value]).unwrap_or("no digits");
                if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
                    framed.retry = Some(digits.parse().unwrap_or(u64::MAX));
                }
            }
            b"" => {
                framed.comments += 1;
                block.comments.push(bytes[value].to_vec());
            }
            _ if ignored => block.unknown.push(text.to_vec()),
            _ => {}
        }
        block.open |= !ignored;
    }
    framed.discarded_bytes = (bytes.len() - start) as u64;
    framed
}

impl Framed {
    fn seen(&self, kind: EventKind, bytes: &[u8], raw: Range<usize>) -> Seen {
        Seen {
            kind,
            offset: raw.start as u64,
            raw: bytes[raw].to_vec(),
            event: "message".to_owned(),
            data: Vec::new(),
            positions: Vec::new(),
            id: self.last_event_id.clone(),
            retry: self.retry,
            comments: Vec::new(),
            unknown: Vec::new(),
            truncated: false,
            error: None,
        }
    }

    fn skip(&mut self, bytes: &[u8], raw: Range<usize>) {
        if !raw.is_empty() {
            let seen = self.seen(EventKind::Skipped, bytes, raw);
            self.events.push(seen);
        }
    }

    /// Closes `block` at a blank line; `counted` are its bytes as the event limit has them.
    fn close(
        &mut self,
        bytes: &[u8],
        raw: Range<usize>,
        counted: usize,
        block: Block,
        limits: &Limits,
    ) {
        let start = raw.start as u64;
        let id = block.id.map(|id| (id.start, String::from_utf8_lossy(&bytes[id]).into_owned()));
        let event = String::from_utf8_lossy(&bytes[block.event.clone()]).into_owned();
        let grown = event.as_bytes() != &bytes[block.event];
        let too_large =
            if let Some((at, _)) = id.as_ref().filter(|(_, id)| id.len() > limits.max_id_bytes) {
                Some((ErrorKind::IdTooLong, *at as u64))
            } else {
                let over = grown && counted + event.len() > limits.max_event_bytes.max(16);
                over.then_some((ErrorKind::EventTooLarge, start))
            };
        let kind = match (too_large, block.values.is_empty()) {
            (Some(_), _) => EventKind::TooLarge,
            (None, true) => EventKind::Undispatched,
            (None, false) => EventKind::Message,
        };
        if let (None, Some((_, id))) = (too_large, id) {
            self.last_event_id = id;
        }
        let mut seen = self.seen(kind, bytes, raw);
        (seen.comments, seen.unknown, seen.error) = (block.comments, block.unknown, too_large);
        if too_large.is_none() {
            if !event.is_empty() {
                seen.event = event;
            }
            for (number, value) in block.values.iter().enumerate() {
                if number > 0 {
                    seen.data.push(b'\n');
                }
                seen.data.extend(&bytes[value.clone()]);
                seen.positions.extend(value.start as u64..=value.end as u64);
            }
        }
        self.events.push(seen);
    }
}

/// Returns the end of the line at `at`, and the start of the next one: the same without a line end.
fn line(bytes: &[u8], at: usize) -> (usize, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        None => (at + rest.len(), at + rest.len()),
        Some(len) if rest[len..].starts_with(b"\r\n") => (at + len, at + len + 2),
        Some(len) => (at + len, at + len + 1),
    }
}

fn behind_blank_line(bytes: &[u8], cut: usize) -> usize {
    let mut at = cut;
    loop {
        let (end, next) = line(bytes, at);
        let begins = matches!(bytes[at - 1], b'\r' | b'\n');
        if next == end || begins && end == at {
            return next;
        }
        at = next;
    }
}

/// Splits a field into its name and the range of its value.
fn name_and_value(bytes: &[u8], line: Range<usize>) -> (&[u8], Range<usize>) {
    let text = &bytes[line.clone()];
    let Some(colon) = text.iter().position(|byte| *byte == b':') else {
        return (text, line.end..line.end);
    };
    let space = usize::from(text.get(colon + 1) == Some(&b' '));
    (&text[..colon], line.start + colon + 1 + space..line.end)
}
