//! `LineSplitter`: bytes cut anywhere to lines, without a buffer.

use memchr::memchr2;

use crate::slice::bytes_in;

const LF: u8 = b'\n';
const CR: u8 = b'\r';
const BOM: &[u8; 3] = b"\xEF\xBB\xBF";

/// Splits a stream into lines by the EventSource grammar (WHATWG HTML, 9.2.5).
///
/// A line ends at LF, at CR, or at CRLF. One byte order mark is dropped from the start of the stream.
///
/// The splitter stores no bytes. Each call returns the number of bytes at the front of a piece that
/// belong to the current line. A line that is cut over several pieces comes in as many parts. A CR
/// ends its line at once: if the next piece begins with LF, that byte is skipped.
///
/// No byte is read twice, and nothing is allocated.
///
/// ```
/// use deltawire::sse::LineSplitter;
///
/// let mut splitter = LineSplitter::new();
/// let (mut lines, mut line) = (Vec::new(), Vec::new());
/// for piece in [&b"one\r"[..], b"\ntw", b"o\n\nrest"] {
///     let mut input = piece;
///     while let Some(span) = splitter.next(input) {
///         line.extend_from_slice(span.held());
///         line.extend_from_slice(span.content(input));
///         if span.is_complete() {
///             lines.push(std::mem::take(&mut line));
///         }
///         input = &input[span.len()..];
///     }
/// }
/// assert_eq!(lines, [&b"one"[..], b"two", b""]);
/// assert_eq!(line, b"rest"); // no line end yet
/// ```
#[derive(Clone, Debug, Default)]
pub struct LineSplitter {
    /// The part of a byte order mark at the start of the stream.
    bom: Bom,
    /// True if the last byte was a CR that ended a line, so that an LF belongs to it.
    after_cr: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bom {
    /// The stream so far is this number of bytes of the mark.
    Matched(u8),
    /// The stream has all of the mark, or another byte.
    Decided,
}

impl Default for Bom {
    fn default() -> Self {
        Self::Matched(0)
    }
}

/// The rest of a line, or a part of it, that [`LineSplitter::next`] found at the front of a piece.
///
/// ```text
/// \n  data: x  \r\n  …            the piece
/// ╰┬╯ ╰──┬──╯ ╰─┬─╯
/// skipped │    terminator         len() = skipped + content + terminator
///         content
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSpan {
    held: u8,
    skipped: u8,
    terminator: u8,
    content: usize,
}

impl LineSpan {
    /// Returns the number of bytes that this span covers, from the front of the piece.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a span covers at least one byte")]
    pub const fn len(&self) -> usize {
        self.skipped as usize + self.content + self.terminator as usize
    }

    /// Returns true if the line ends in this span; otherwise the next piece continues it.
    #[inline]
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.terminator > 0
    }

    /// Returns the line's bytes in `piece`, without its end.
    #[inline]
    #[must_use]
    pub fn content<'a>(&self, piece: &'a [u8]) -> &'a [u8] {
        let start = self.content_start();
        piece.get(start..start + self.content).unwrap_or_default()
    }

    /// Returns the start of [`content`](Self::content), behind a byte order mark or a late LF.
    #[inline]
    #[must_use]
    pub const fn content_start(&self) -> usize {
        self.skipped as usize
    }

    /// Returns the end of [`content`](Self::content).
    #[inline]
    #[must_use]
    pub const fn content_end(&self) -> usize {
        self.skipped as usize + self.content
    }

    /// Returns bytes before [`content`](Self::content) that turned out not to be a byte order mark.
    #[must_use]
    pub fn held(&self) -> &'static [u8] {
        bytes_in(BOM, ..usize::from(self.held))
    }
}

impl LineSplitter {
    /// Creates a splitter at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { bom: Bom::Matched(0), after_cr: false }
    }

    /// Creates a splitter behind `byte`, which isn't part of a byte order mark.
    pub(crate) fn behind(byte: u8) -> Self {
        Self { bom: Bom::Decided, after_cr: byte == CR }
    }

    /// Returns true if `piece` begins a line, and its first byte is part of that line.
    ///
    /// Returns false if that byte may belong to a line end or a byte order mark. It is decided then
    /// by [`next`](Self::next).
    #[inline]
    pub(crate) fn begin_line(&mut self, piece: &[u8]) -> bool {
        let is_line = match (piece.first(), self.bom) {
            (None, bom) => !self.after_cr && bom == Bom::Decided,
            (Some(_), Bom::Matched(1..)) => false,
            (Some(first), Bom::Matched(0)) => Some(first) != BOM.first(),
            (Some(first), Bom::Decided) => !self.after_cr || *first != LF,
        };
        if is_line {
            *self = Self { bom: Bom::Decided, after_cr: false };
        }
        is_line
    }

    /// Returns true if `piece` begins with the LF of an earlier piece's CR, and consumes it.
    #[inline]
    pub(crate) fn take_lf(&mut self, piece: &[u8]) -> bool {
        let lf = self.after_cr && piece.first() == Some(&LF);
        self.after_cr &= piece.is_empty();
        lf
    }

    /// Finds the end of the line at the front of `piece`; returns `None` if `piece` is empty.
    #[inline]
    pub fn next(&mut self, piece: &[u8]) -> Option<LineSpan> {
        let first = *piece.first()?;
        let (mut held, mut skipped) = (0, 0);
        if self.after_cr {
            self.after_cr = false;
            skipped = u8::from(first == LF);
        } else if self.bom != Bom::Decided {
            (held, skipped) = self.match_bom(piece);
        }
        let rest = bytes_in(piece, usize::from(skipped)..);
        Some(LineSpan { held, skipped, ..self.span_to(rest, line_end(rest)) })
    }

    /// Returns the part of a byte order mark that the stream consists of so far.
    #[must_use]
    pub fn held(&self) -> &'static [u8] {
        match self.bom {
            Bom::Matched(len) => bytes_in(BOM, ..usize::from(len)),
            Bom::Decided => &[],
        }
    }

    /// Returns the line at the front of `rest`, whose first LF or CR is at `end`.
    #[inline]
    pub(crate) fn span_to(&mut self, rest: &[u8], end: Option<usize>) -> LineSpan {
        let (content, terminator) = match end {
            None => (rest.len(), 0),
            Some(end) => match bytes_in(rest, end..) {
                [CR, LF, ..] => (end, 2),
                [CR] => {
                    self.after_cr = true;
                    (end, 1)
                }
                _ => (end, 1),
            },
        };
        LineSpan { held: 0, skipped: 0, terminator, content }
    }

    /// Compares the start of the stream with a byte order mark.
    ///
    /// Returns the number of bytes that earlier pieces withheld, and the number of bytes to skip.
    #[cold]
    fn match_bom(&mut self, piece: &[u8]) -> (u8, u8) {
        let Bom::Matched(before) = self.bom else { return (0, 0) };
        let mut matched = 0;
        for (byte, expected) in piece.iter().zip(bytes_in(BOM, usize::from(before)..)) {
            if byte != expected {
                self.bom = Bom::Decided;
                return (before, 0);
            }
            matched += 1;
        }
        self.bom = match before + matched {
            3 => Bom::Decided,
            len => Bom::Matched(len),
        };
        (0, matched)
    }
}

/// Returns the position of the first LF or CR.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        // Half of all lines are blank, so they are decided before the call.
        [] => None,
        [LF, ..] => Some(0),
        _ if bytes.len() < 16 => short_line_end(bytes),
        _ => memchr2(LF, CR, bytes),
    }
}

/// Returns the position of the first LF or CR, which is probably near.
#[expect(clippy::inline_always, reason = "`heartbeat`: a call costs 5 % of an event")]
#[inline(always)]
pub(crate) fn near_line_end(bytes: &[u8]) -> Option<usize> {
    match bytes.split_at_checked(16) {
        Some((near, far)) => {
            short_line_end(near).or_else(|| line_end(far).map(|end| near.len() + end))
        }
        None => short_line_end(bytes),
    }
}

/// Returns the position of the first LF or CR in up to 16 bytes, by two words that may overlap.
#[inline]
fn short_line_end(bytes: &[u8]) -> Option<usize> {
    let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
        return bytes.iter().position(|byte| matches!(*byte, LF | CR));
    };
    let in_last = || Some(bytes.len() - 8 + low_byte_in(u64::from_le_bytes(*last))?);
    let low = low_byte_in(u64::from_le_bytes(*first)).or_else(in_last)?;
    if let Some(&(LF | CR)) = bytes.get(low) {
        return Some(low);
    }
    // A tab, or another control character.
    bytes.iter().position(|byte| matches!(*byte, LF | CR))
}

/// Returns the position of the first byte up to CR in a word whose lowest byte is the first.
#[inline]
fn low_byte_in(word: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xFF;
    /// The byte behind CR.
    const LOW: u64 = 0x0E;
    // The high bit of each such byte, and perhaps of bytes above it: only the lowest is used.
    let found = word.wrapping_sub(ONES * LOW) & !word & (ONES << 7);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::{LineSplitter, line_end, near_line_end};
    use alloc::vec::Vec;

    fn lines(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut splitter = LineSplitter::new();
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while let Some(span) = splitter.next(input) {
                line.extend_from_slice(span.held());
                line.extend_from_slice(span.content(input));
                if span.is_complete() {
                    lines.push(core::mem::take(&mut line));
                }
                input = input.get(span.len()..).unwrap_or_default();
            }
        }
        line.extend_from_slice(splitter.held());
        (lines, line)
    }

    #[test]
    fn the_first_line_end_of_any_length_and_place() {
        let filler = [b'x', 0, 0x0B, 0x0C, 0x0E, 0x8A, 0x8D, 0xFF, 0x09, b':'];
        for len in 0..40 {
            let bytes: Vec<u8> = filler.iter().copied().cycle().take(len).collect();
            assert_eq!((line_end(&bytes), near_line_end(&bytes)), (None, None));
            for at in 0..len {
                for (end, other) in [(b'\n', b'\r'), (b'\r', b'\n')] {
                    let mut bytes = bytes.clone();
                    bytes[at] = end;
                    assert_eq!((line_end(&bytes), near_line_end(&bytes)), (Some(at), Some(at)));
                    bytes[at..].fill(other);
                    bytes[at] = end;
                    assert_eq!((line_end(&bytes), near_line_end(&bytes)), (Some(at), Some(at)));
                }
            }
        }
    }

    #[test]
    fn lines_end_with_lf_cr_or_crlf() {
        let expected: Vec<Vec<u8>> = [&b"a"[..], b"b", b"", b"c", b"", b""].map(Vec::from).into();
        let input = b"a\nb\r\n\rc\n\r\n\r";
        assert_eq!(lines(&[input]), (expected.clone(), Vec::new()));
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(lines(&bytes), (expected, Vec::new()));
    }

    #[test]
    fn a_byte_order_mark_is_dropped_once_and_only_at_the_start() {
        let bom = "\u{FEFF}".as_bytes();
        let (a, bc) = bom.split_at(1);
        let (b, c) = bc.split_at(1);
        for pieces in [&[bom, b"x\n"][..], &[a, bc, b"x\n"], &[a, b, c, b"x\n"]] {
            assert_eq!(lines(pieces).0, [b"x"]);
        }
        assert_eq!(lines(&[bom, bom, b"x\n"]).0, ["\u{FEFF}x".as_bytes()]);
        assert_eq!(lines(&[b"\n", bom, b"\n"]).0, [b"", bom]);
    }

    #[test]
    fn what_only_begins_like_a_byte_order_mark_is_text() {
        assert_eq!(lines(&[b"\xEF", b"\xBB", b"x\n"]).0, [b"\xEF\xBBx"]);
        assert_eq!(lines(&[b"\xEF", b"\n"]).0, [b"\xEF"]);
        assert_eq!(lines(&[b"\xEF", b"", b"\xBB"]), (Vec::new(), b"\xEF\xBB".to_vec()));
    }
}
