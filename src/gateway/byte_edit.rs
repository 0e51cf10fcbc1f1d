//! `ByteEdit`: replaces a range of a text; all other bytes are copied.

use core::ops::Range;

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
