//! `ByteEdit`: replaces a range of a text; all other bytes are copied.

use core::ops::Range;

use crate::sse::SseDecoder;

/// A range of the data that is replaced by a range of `texts`.
#[derive(Clone, Debug)]
pub(super) struct ByteEdit {
    pub(super) range: Range<usize>,
    pub(super) text: Range<usize>,
}

impl ByteEdit {
    /// Returns true if the edit changes the data, or can't be written.
    pub(super) fn is_effective(&self, texts: &[u8], data: &[u8]) -> bool {
        let old = data.get(self.range.clone());
        old.is_none() || old != texts.get(self.text.clone())
    }
}

/// Appends `data` with edits, which are sorted by their starts.
///
/// Returns `None` if the range of an edit is outside of `data` or of `texts`.
pub(super) fn write_data(
    data: &[u8],
    edits: &[ByteEdit],
    texts: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut rest = 0;
    for ByteEdit { range, text } in edits {
        data.get(range.clone())?;
        // An edit inside an earlier one, or of the same value, has no effect.
        if range.start < rest && range.end <= rest {
            continue;
        }
        out.extend_from_slice(data.get(rest..range.start)?);
        out.extend_from_slice(texts.get(text.clone())?);
        rest = range.end;
    }
    out.extend_from_slice(data.get(rest..)?);
    Some(())
}

/// Returns a range of data in the data that edits have changed.
///
/// Returns `None` if an edit has changed the range.
pub(super) fn moved_range(edits: &[ByteEdit], range: Range<usize>) -> Option<Range<usize>> {
    let (mut added, mut removed, mut rest) = (0, 0, 0);
    for ByteEdit { range: old, text } in edits {
        if old.start < range.end && range.start < old.end {
            return None;
        }
        // As `write_data` does.
        if old.end <= range.start && !(old.start < rest && old.end <= rest) {
            (added, removed) = (added + text.len(), removed + old.len());
            rest = old.end;
        }
    }
    let moved = |position: usize| (position + added).checked_sub(removed);
    Some(moved(range.start)?..moved(range.end)?)
}

/// Returns a range of an event's data, which come in several lines, in the bytes of the event.
#[cold]
pub(super) fn joined_range(
    data: &[u8],
    range: Range<usize>,
    written: &[u8],
) -> Option<Range<usize>> {
    // Behind a line end, the event isn't the first one of a stream, and its last line has an end.
    let stream = [b"\n", written, b"\n\n"].concat();
    let (mut sse, mut rest) = (SseDecoder::new(), &stream[..]);
    sse.next(&mut rest)?;
    let event = sse.next(&mut rest).filter(|event| event.data() == data)?;
    let lines: Vec<_> = event.data_lines().collect();
    let line = lines.iter().rev().find(|line| line.in_data <= range.start)?;
    let start = line.in_raw + (range.start - line.in_data);
    Some(start..start + range.len())
}
