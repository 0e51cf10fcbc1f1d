//! `TextSegment`: a text in a held event, which a replacement moves and changes.

use core::ops::Range;

use super::text_form::TextForm;
use super::watched_text::WatchedText;
use crate::json::writer;

/// A text in an event.
#[derive(Clone, Debug)]
pub(super) struct TextSegment {
    /// The position of its text in `texts`, and its range in this text: `start <= end`.
    pub(super) text: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The range of its JSON string in the event: `span.start < span.end <= len`.
    pub(super) span: Range<usize>,
    pub(super) form: TextForm,
    pub(super) is_changed: bool,
}

impl TextSegment {
    /// Appends the bytes of its event from `rest` on, with the new text. Returns the end of its span.
    ///
    /// Returns `None` if its range is outside of the text, or its span outside of the event.
    pub(super) fn write(
        &self,
        event: &[u8],
        rest: usize,
        text: &WatchedText,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let text = text.range(self.start..self.end)?;
        event.get(self.span.clone())?;
        out.extend_from_slice(event.get(rest..self.span.start)?);
        writer::string(text, out);
        Some(self.span.end)
    }
}

/// Moves the segments of a text whose `range` is replaced by a text that ends at `new_end`.
///
/// The segment that contains the start of the range contains the new text, else the one that ends
/// there. Returns false if there is none.
pub(super) fn move_segments<'s>(
    segments: impl Iterator<Item = &'s mut TextSegment>,
    range: Range<usize>,
    new_end: usize,
) -> bool {
    let Range { start, end } = range;
    let moved = |position: usize| position - end + new_end;
    let mut segments = segments.peekable();
    let mut before = None;
    while segments.peek().is_some_and(|segment| segment.end <= start) {
        before = segments.next();
    }
    let Some(first) = segments.next().or(before) else { return false };
    first.end = if first.end >= end { moved(first.end) } else { new_end };
    first.is_changed = true;
    for segment in segments {
        segment.is_changed |= segment.start < end;
        segment.start = if segment.start < end { new_end } else { moved(segment.start) };
        segment.end = if segment.end < end { new_end } else { moved(segment.end) };
        debug_assert!(segment.start <= segment.end, "a segment is moved as a whole");
    }
    true
}

/// Moves the segments of a text of which `ranges` are replaced by texts of `mask` bytes.
///
/// The ranges aren't empty, are in order and apart. The segment with the start of a range contains
/// its new text.
pub(super) fn mask_segments<'s>(
    segments: impl Iterator<Item = &'s mut TextSegment>,
    ranges: &[Range<usize>],
    mask: usize,
) {
    let (mut starts, mut ends) = (Masked::new(ranges, mask), Masked::new(ranges, mask));
    for segment in segments {
        let (start, end) = (starts.moved(segment.start), ends.moved(segment.end));
        segment.is_changed |= start.is_inside || start.begun < end.begun;
        (segment.start, segment.end) = (start.position, end.position);
        debug_assert!(segment.start <= segment.end, "a segment is moved as a whole");
    }
}

/// The positions in a masked text, for growing positions in the text before.
pub(super) struct Masked<'r> {
    /// The ranges that end behind the last position.
    ranges: &'r [Range<usize>],
    mask: usize,
    /// The number of ranges before, and of their bytes.
    count: usize,
    removed: usize,
}

impl<'r> Masked<'r> {
    pub(super) const fn new(ranges: &'r [Range<usize>], mask: usize) -> Self {
        Self { ranges, mask, count: 0, removed: 0 }
    }

    /// Returns a position in the masked text. One inside of a range is moved behind its mask.
    pub(super) fn moved(&mut self, position: usize) -> Moved {
        while let [range, rest @ ..] = self.ranges
            && range.end <= position
        {
            (self.count, self.removed) = (self.count + 1, self.removed + range.len());
            self.ranges = rest;
        }
        let around = self.ranges.first().filter(|range| range.start < position);
        let begun = self.count + usize::from(around.is_some());
        let position = around.map_or(position, |range| range.start);
        Moved {
            position: position - self.removed + begun * self.mask,
            begun,
            is_inside: around.is_some(),
        }
    }
}

/// A position in a masked text.
pub(super) struct Moved {
    pub(super) position: usize,
    /// The number of ranges that begin before it.
    begun: usize,
    /// The position was inside of a range.
    is_inside: bool,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{TextForm, TextSegment, WatchedText};
    use crate::gateway::text_form::{ChunkForm, Holder};
    use crate::gateway::{WatchedTextId, WatchedTextKind};
    use core::ops::Range;

    /// Ranges that no push creates: each time nothing of the event is written.
    #[test]
    fn a_replacement_out_of_range_is_not_written() {
        let event = br#"data: "secret""#;
        let id = WatchedTextId { choice: 0, kind: WatchedTextKind::Content, element: None };
        let text = WatchedText { text: "***".to_owned(), dropped: 2, ..WatchedText::new(id) };
        let chunk = ChunkForm { is_named: true, event_type: 0 };
        let form = TextForm { of: Holder::Message, has_index: true, chunk };
        let right = TextSegment { text: 0, start: 2, end: 5, span: 6..14, form, is_changed: true };
        let written = |segment: &TextSegment| {
            let mut out = Vec::new();
            segment.write(event, 0, &text, &mut out).map(|end| (out, end))
        };
        assert_eq!(written(&right).unwrap(), (br#"data: "***""#.to_vec(), event.len()));
        let reversed = Range { start: 14, end: 6 };
        for wrong in [
            TextSegment { start: 1, ..right.clone() },
            TextSegment { end: 6, ..right.clone() },
            TextSegment { start: 4, end: 3, ..right.clone() },
            TextSegment { span: 6..15, ..right.clone() },
            TextSegment { span: reversed, ..right.clone() },
            TextSegment { span: usize::MAX..usize::MAX, ..right.clone() },
        ] {
            assert_eq!(written(&wrong), None, "{wrong:?}");
        }
    }
}
