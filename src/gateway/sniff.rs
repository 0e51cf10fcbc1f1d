//! `Sniffer`: detects by its first bytes whether a body is an event stream.

use crate::report::named;
use crate::slice::bytes_in;
use crate::sse::BodyKind;

/// Detects the kind of a body by its first bytes, in any pieces.
///
/// An upstream may answer a request for a stream with an error page, a completion that isn't
/// streamed, or a compressed body. Pieces are held while the kind is unknown: at most
/// [`Sniffer::MOST_BYTES`] bytes, and usually none.
///
/// ```
/// use deltawire::sse::BodyKind;
/// use deltawire::gateway::{SniffResult, Sniffer};
///
/// let mut sniffer = Sniffer::new();
/// assert_eq!(sniffer.push(b"\r\nda"), None); // held back
/// assert_eq!(sniffer.push(b"ta: {}\n\n"), Some(SniffResult::EventStream));
/// assert_eq!(sniffer.held(), b"\r\nda"); // the bytes before the last piece
///
/// let mut sniffer = Sniffer::new();
/// assert_eq!(sniffer.push(b"{\"error\":"), Some(SniffResult::NotAnEventStream(BodyKind::Json)));
/// assert_eq!(sniffer.held(), b"");
/// ```
///
/// | first bytes, after a byte order mark | kind |
/// |---|---|
/// | blank lines, then the name of a field and a colon or line end, a comment, `error:` | an event stream |
/// | white space, then `{`, `[`, `"` | JSON |
/// | white space, then `<` | HTML or XML |
/// | the magic numbers of gzip and zstd, as the very first bytes | compressed |
/// | anything else | [`BodyKind::Other`] |
///
/// Brotli and deflate have no magic number and may be detected as any kind. Prefer the
/// `Content-Encoding`, if present.
#[derive(Clone, Debug, Default)]
pub struct Sniffer {
    held: Vec<u8>,
    found: Option<SniffResult>,
}

/// The kind of a body; see [`Sniffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SniffResult {
    /// The body consists of Server-Sent Events.
    EventStream,
    /// The body is something else.
    NotAnEventStream(BodyKind),
}

impl SniffResult {
    /// Returns the name of the body's kind: `event_stream`, or that of its [`BodyKind`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventStream => "event_stream",
            Self::NotAnEventStream(kind) => kind.as_str(),
        }
    }
}

named!(SniffResult);

/// Names at the start of a line, before a colon or the line's end.
///
/// The last one is no field, but an error as llama.cpp sends it.
const NAMES: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];

const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Sniffer {
    /// Maximum number of bytes that are read.
    ///
    /// A body that begins with more white space is [`BodyKind::Other`].
    pub const MOST_BYTES: usize = 1024;

    /// Creates a sniffer at the start of a body. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece. Returns the kind of the body, or `None` if the piece is held.
    ///
    /// Once the kind is known, [`held`](Self::held) returns the bytes before the current piece,
    /// which isn't held. Further pieces return the same kind.
    pub fn push(&mut self, piece: &[u8]) -> Option<SniffResult> {
        if self.found.is_some() {
            return self.found;
        }
        debug_assert!(self.held.len() <= Self::MOST_BYTES);
        let budget = Self::MOST_BYTES.saturating_sub(self.held.len());
        let start = piece.get(..budget).unwrap_or(piece);
        self.found = if self.held.is_empty() {
            detect(start)
        } else {
            let before = self.held.len();
            self.held.extend_from_slice(start);
            let found = detect(&self.held);
            self.held.truncate(before);
            found
        };
        if self.found.is_none() && piece.len() >= budget {
            self.found = Some(SniffResult::NotAnEventStream(BodyKind::Other));
        }
        if self.found.is_none() {
            self.held.extend_from_slice(piece);
        }
        self.found
    }

    /// Returns the kind of a body that has ended.
    pub fn finish(&mut self) -> SniffResult {
        let held = &self.held;
        *self.found.get_or_insert_with(|| SniffResult::NotAnEventStream(BodyKind::from_bytes(held)))
    }

    /// Returns the held bytes: all before the piece that revealed the kind.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Returns the held bytes as a vector.
    #[must_use]
    pub fn into_held(self) -> Vec<u8> {
        self.held
    }
}

/// Returns the kind of a body that begins with `bytes`, or `None` if more bytes are needed.
fn detect(bytes: &[u8]) -> Option<SniffResult> {
    if [GZIP, ZSTD, BOM].iter().any(|magic| magic.len() > bytes.len() && magic.starts_with(bytes)) {
        return None;
    }
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let line = text.trim_ascii_start();
    let body = SniffResult::NotAnEventStream(BodyKind::from_bytes(bytes));
    // Before a line of an event stream there may be blank lines, but no other white space.
    let blank = bytes_in(text, ..text.len() - line.len());
    let begins_a_line = blank.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    let (first, _) = line.split_first()?;
    if !begins_a_line {
        return Some(body);
    }
    if *first == b':' {
        return Some(SniffResult::EventStream);
    }
    for name in NAMES {
        match line.strip_prefix(name) {
            Some([]) => return None,
            Some([b':', ..]) => return Some(SniffResult::EventStream),
            Some([b'\r' | b'\n', ..]) if name != b"error" => return Some(SniffResult::EventStream),
            None if name.starts_with(line) => return None,
            _ => {}
        }
    }
    Some(body)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::{SniffResult, Sniffer};
    use crate::decoder::ChunkDecoder;
    use crate::sse::BodyKind;
    use proptest::prelude::*;

    const fn not(body: BodyKind) -> SniffResult {
        SniffResult::NotAnEventStream(body)
    }

    /// Returns the kind of a body, and the bytes that a caller forwards.
    fn sniff(pieces: &[&[u8]]) -> (SniffResult, Vec<u8>) {
        let mut sniffer = Sniffer::new();
        let mut forwarded = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            if let Some(found) = sniffer.push(piece) {
                assert!(sniffer.held().len() <= Sniffer::MOST_BYTES);
                forwarded.extend_from_slice(sniffer.held());
                forwarded.extend(pieces[number..].concat());
                assert_eq!(sniffer.push(b"x"), Some(found));
                assert_eq!(sniffer.finish(), found);
                return (found, forwarded);
            }
        }
        let found = sniffer.finish();
        forwarded.extend(sniffer.into_held());
        (found, forwarded)
    }

    const BODIES: [(&[u8], SniffResult); 32] = [
        (b"data: {}\n\n", SniffResult::EventStream),
        (b"\xEF\xBB\xBFdata:x\n\n", SniffResult::EventStream),
        (b"\r\n\r\nevent: a\n\n", SniffResult::EventStream),
        (b": ping\n\n", SniffResult::EventStream),
        (b"id\ndata\n\n", SniffResult::EventStream),
        (b"retry: 5\n\n", SniffResult::EventStream),
        (b"error: {\"code\":1}\n", SniffResult::EventStream),
        (b"{\"id\":1}", not(BodyKind::Json)),
        (b"\n [1]", not(BodyKind::Json)),
        (b"\xEF\xBB\xBF \"text\"", not(BodyKind::Json)),
        (b"<!DOCTYPE html>", not(BodyKind::Html)),
        (b"  <html>", not(BodyKind::Html)),
        (b"\x1F\x8B\x08\x00", not(BodyKind::Compressed)),
        (b"\x28\xB5\x2F\xFD\x00", not(BodyKind::Compressed)),
        (b"(\xB5 no", not(BodyKind::Other)),
        (b"\n\x1F\x8B\x08\x00", not(BodyKind::Other)),
        (b" \x28\xB5\x2F\xFD\x00", not(BodyKind::Other)),
        (b"\xEF\xBB\xBF\x1F\x8B\x08", not(BodyKind::Other)),
        (b"\xEF\xBB\xBF\n\x28\xB5\x2F\xFD", not(BodyKind::Other)),
        (b"\n\xEF\xBB\xBF{\"a\":1}", not(BodyKind::Other)),
        (b"\r\n \t{\"a\":1}", not(BodyKind::Json)),
        (b"\n\n <html>", not(BodyKind::Html)),
        (b"Bad Gateway", not(BodyKind::Other)),
        (b"database error", not(BodyKind::Other)),
        (b"error\n", not(BodyKind::Other)),
        (b" data: {}\n\n", not(BodyKind::Other)),
        (b"\x8B\x01\x80", not(BodyKind::Other)),
        (b"", not(BodyKind::Other)),
        (b"\n\n", not(BodyKind::Other)),
        (b"da", not(BodyKind::Other)),
        (b"\xEF\xBB", not(BodyKind::Other)),
        (b"idea: x", not(BodyKind::Other)),
    ];

    #[test]
    fn body_in_every_cut_has_its_kind() {
        for (body, expected) in BODIES {
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let pieces = [&body[..first], &body[first..second], &body[second..]];
                    assert_eq!(sniff(&pieces), (expected, body.to_vec()), "{body:?}");
                }
            }
        }
    }

    /// The first bytes are those of the body, and not those of a later line.
    #[test]
    fn the_kind_of_a_body_is_the_decoders() {
        for (body, expected) in BODIES {
            let SniffResult::NotAnEventStream(kind) = expected else { continue };
            assert_eq!(BodyKind::from_bytes(body), kind, "{body:?}");
            for size in [1, body.len().max(1)] {
                let mut decoder = ChunkDecoder::new();
                let body = [body, b"\n"].concat();
                for mut piece in body.chunks(size) {
                    while decoder.next(&mut piece).is_some() {}
                }
                let found = decoder.finish().body;
                assert_eq!(found.unwrap_or(BodyKind::Other), kind, "{body:?} by {size}");
            }
        }
    }

    #[test]
    fn no_more_is_held_than_said() {
        for size in [1, 7, 1023, 1024, 1025, 5000] {
            let body = b"\n".repeat(5000);
            let pieces: Vec<_> = body.chunks(size).collect();
            assert_eq!(sniff(&pieces), (not(BodyKind::Other), body.clone()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// The kind of a body doesn't depend on the cut, and equals the decoder's.
        #[test]
        fn body_kind_in_any_cut_is_the_decoders(
            body in "\u{feff}{0,1}[\n\r ]{0,2}(data|event|id|retry|error|:|\\{|<|x|d){0,3}[: \n\r]{0,3}[\\{x:\n\"]{0,8}",
            cut in 0usize..12,
        ) {
            let body = body.as_bytes();
            let cut = cut.min(body.len());
            let whole = sniff(&[body]);
            prop_assert_eq!(&sniff(&[&body[..cut], &body[cut..]]), &whole);
            prop_assert_eq!(&whole.1, body);
            let mut decoder = ChunkDecoder::new();
            let mut input = body;
            while decoder.next(&mut input).is_some() {}
            let found = decoder.finish().body;
            // To a decoder an empty `error:` line is no field.
            let text = body.strip_prefix(super::BOM).unwrap_or(body).trim_ascii_start();
            let is_stream = whole.0 == SniffResult::EventStream && !text.starts_with(b"error:");
            if is_stream && body.ends_with(b"\n\n") {
                prop_assert_eq!(found, None);
            }
            // A line of spaces is no event stream to a decoder, but has no kind.
            let is_told = !body.contains(&b' ');
            if let (SniffResult::NotAnEventStream(sniffed), Some(body)) = (whole.0, found) {
                prop_assert!(sniffed == body || !is_told);
            }
        }
    }
}
