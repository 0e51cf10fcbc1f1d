//! `ByteEdit`: replaces a range of a text; all other bytes are copied.

use core::cell::OnceCell;
use core::ops::Range;

use crate::sse::{DataLine, SseDecoder};

/// The range of a value that isn't in the data, which is a bug. Its edit can't be written.
pub(super) const MISSING: Range<usize> = usize::MAX..usize::MAX;

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

/// Up to so many edits are added up for each range; of more, [`moved_range`] stores the sums.
const FEW_EDITS: usize = 16;

/// The place of a range behind edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    At(Range<usize>),
    /// The range was removed.
    Removed,
    /// The range, or a part of it, was replaced, or can't be found.
    Unknown,
}

impl Place {
    /// Maps the range.
    pub(super) fn and_then(self, map: impl FnOnce(Range<usize>) -> Option<Range<usize>>) -> Self {
        match self {
            Self::At(range) => map(range).into(),
            other => other,
        }
    }
}

impl From<Option<Range<usize>>> for Place {
    fn from(range: Option<Range<usize>>) -> Self {
        range.map_or(Self::Unknown, Self::At)
    }
}

/// Returns the place of a range of data in the data that edits have changed.
///
/// No edit is inside another one. `sums` is filled if there are many edits.
pub(super) fn moved_range(
    edits: &[ByteEdit],
    range: Range<usize>,
    sums: &OnceCell<Vec<(usize, usize)>>,
) -> Place {
    let before = edits.partition_point(|edit| edit.range.end <= range.start);
    if let Some(ByteEdit { range: old, text }) = edits.get(before)
        && old.start < range.end
    {
        let is_removed = text.is_empty() && old.start <= range.start && range.end <= old.end;
        return if is_removed { Place::Removed } else { Place::Unknown };
    }
    let (added, removed) = if edits.len() <= FEW_EDITS {
        edits.iter().take(before).fold((0, 0), with_edit)
    } else {
        let sums = sums.get_or_init(|| sums_of(edits));
        sums.get(before).copied().unwrap_or_default()
    };
    let moved = |position: usize| (position + added).checked_sub(removed);
    moved(range.start).zip(moved(range.end)).map(|(start, end)| start..end).into()
}

/// Adds the bytes that an edit adds and removes to the sums of those before.
const fn with_edit((added, removed): (usize, usize), edit: &ByteEdit) -> (usize, usize) {
    let ByteEdit { range, text } = edit;
    (added + (text.end - text.start), removed + (range.end - range.start))
}

/// Returns the bytes that are added and removed before each edit, and by all of them.
#[cold]
fn sums_of(edits: &[ByteEdit]) -> Vec<(usize, usize)> {
    let mut sum = (0, 0);
    let next = |edit: &ByteEdit| {
        sum = with_edit(sum, edit);
        sum
    };
    [(0, 0)].into_iter().chain(edits.iter().map(next)).collect()
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

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::{ByteEdit, MISSING, Place, moved_range, write_data};
    use core::cell::OnceCell;
    use core::ops::Range;

    /// Ranges that no chunk has: each time the event isn't written.
    #[test]
    fn an_edit_out_of_range_is_not_written() {
        let (data, texts) = (&b"{\"model\":\"m\"}"[..], &b"\"alias\""[..]);
        let written = |edits: &[(Range<usize>, Range<usize>)]| {
            let edit = |(range, text): &(Range<usize>, Range<usize>)| ByteEdit {
                range: range.clone(),
                text: text.clone(),
            };
            let edits: Vec<_> = edits.iter().map(edit).collect();
            assert!(edits.iter().any(|edit| edit.is_effective(texts, data)));
            let mut out = Vec::new();
            write_data(data, &edits, texts, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(written(&[(9..12, 0..7)]).unwrap(), "{\"model\":\"alias\"}");
        // The second edit is inside the first one.
        assert_eq!(written(&[(1..12, 0..7), (9..12, 0..7)]).unwrap(), "{\"alias\"}");
        let reversed = Range { start: 12, end: 9 };
        for wrong in [
            &[(9..14, 0..7)][..],
            &[(reversed, 0..7)],
            &[(MISSING, 0..7)],
            &[(9..12, 0..8)],
            &[(MISSING, 0..8)],
            &[(1..10, 0..7), (9..12, 0..7)],
        ] {
            assert_eq!(written(wrong), None, "{wrong:?}");
        }
    }

    /// Few and many edits: each byte of the data that remains is at its place.
    #[test]
    fn ranges_move_with_the_edits_before() {
        for count in [3, 16, 17, 300] {
            let data: Vec<u8> = (0..=count as u8 % 250).cycle().take(10 * count).collect();
            // Each ten bytes: one is removed, two are replaced by three, and a text is inserted.
            let texts = b"abcdefg";
            let edits: Vec<_> = (0..count)
                .flat_map(|nth| {
                    let at = |range: Range<usize>| 10 * nth + range.start..10 * nth + range.end;
                    [(at(1..2), 0..0), (at(4..6), 0..3), (at(8..8), 3..7)]
                })
                .map(|(range, text)| ByteEdit { range, text })
                .collect();
            let mut out = Vec::new();
            write_data(&data, &edits, texts, &mut out).unwrap();
            let sums = OnceCell::new();
            for nth in 0..count {
                let place = |start: usize, end: usize| {
                    moved_range(&edits, 10 * nth + start..10 * nth + end, &sums)
                };
                for (start, end) in [(0, 1), (2, 4), (6, 8), (8, 10)] {
                    let Place::At(range) = place(start, end) else { panic!("{start}") };
                    assert_eq!(out[range], data[10 * nth + start..10 * nth + end]);
                }
                assert_eq!(place(1, 2), Place::Removed);
                for (start, end) in [(0, 2), (4, 5), (4, 6), (5, 7), (7, 9), (0, 10)] {
                    assert_eq!(place(start, end), Place::Unknown, "{start}..{end}");
                }
            }
        }
    }
}
