//! `ByteEdit`: replaces a range of a text; all other bytes are copied.

use core::ops::Range;

use crate::sse::{DataLine, SseDecoder};

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

/// The largest number of edits with which [`moved_range`] finds a range: it looks at each of them.
const MOST_MOVING: usize = 64;

/// Returns a range of data in the data that edits have changed.
///
/// Returns `None` if an edit has changed the range, or if there are too many edits.
pub(super) fn moved_range(edits: &[ByteEdit], range: Range<usize>) -> Option<Range<usize>> {
    let (mut added, mut removed, mut rest) = (0, 0, 0);
    if edits.len() > MOST_MOVING {
        return None;
    }
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

/// Returns the lines of an event's data, which come in several, or none if they aren't `data`.
///
/// `is_first` is true for the first event of a stream, which may begin with a BOM.
#[cold]
pub(super) fn lines_of(data: &[u8], written: &[u8], is_first: bool) -> Vec<DataLine> {
    // Behind a line end, an event isn't the first one. The last line may lack its end.
    let stream = [if is_first { &b""[..] } else { b"\n" }, written, b"\n\n"].concat();
    let (mut sse, mut rest) = (SseDecoder::new(), &stream[..]);
    if !is_first {
        sse.next(&mut rest);
    }
    let event = sse.next(&mut rest).filter(|event| event.data() == data);
    event.map_or_else(Vec::new, |event| event.data_lines().collect())
}

/// Returns a range of data in the bytes of their event. The range is in one of the lines.
pub(super) fn range_in_lines(lines: &[DataLine], range: Range<usize>) -> Option<Range<usize>> {
    let behind = lines.partition_point(|line| line.in_data <= range.start);
    let line = lines.get(behind.checked_sub(1)?)?;
    let start = line.in_raw + (range.start - line.in_data);
    Some(start..start + range.len())
}
