//! The searches of a `Guard`: matches of a finder are redacted, or stop the stream.

use core::fmt;
use core::ops::Range;

use super::finder::Finder;
use super::guard::Guard;
use super::text_segment::{TextSegment, mask_segments};
use super::watched_text::{PerSearch, WatchedText, WatchedTextId};
use crate::json::beginning;
use crate::output_buffer::OutputBuffer;
use crate::slice::text_in;

/// A match in a text of a stream; see [`Guard::stop_at`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextMatch {
    /// The identity of the text.
    pub id: WatchedTextId,
    /// The range of the match, in bytes of [`GuardedText::text`](super::GuardedText::text).
    pub range: Range<usize>,
}

/// The redacted text would exceed the bound of the guard; see [`Guard::redact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedactionTooLong;

impl fmt::Display for RedactionTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the redacted text exceeds the bound of the guard")
    }
}

impl core::error::Error for RedactionTooLong {}

/// The matches in a part of a text.
struct Matches {
    ranges: Vec<Range<usize>>,
    /// The position up to which the text has been searched.
    end: usize,
}

impl Guard {
    /// Replaces all that `finder` finds in held text by `mask`; returns the number of matches.
    ///
    /// Call it after each [`push`](Self::push), and then
    /// [`release_searched`](Self::release_searched). A match may span several events: the first one
    /// contains the mask. The last [`open_len`](Finder::open_len) bytes of a text that may continue
    /// are searched again with its next piece. A mask isn't searched, and neither is the text around it
    /// together: with an empty mask the rest may be a match. A text that has ended is searched to its
    /// end, so a match doesn't span the end: see [`release`](Self::release). The cost is that of
    /// searching the new text and the open bytes, and of copying the text behind the first match. A finder
    /// that reads far beyond each match, as a `Pattern` may, costs that for each match.
    ///
    /// ```
    /// use deltawire::ChunkDecoder;
    /// use deltawire::gateway::{Guard, Words};
    ///
    /// let stream = br#"data: {"choices":[{"index":0,"delta":{"content":"my se"}}]}
    ///
    /// data: {"choices":[{"index":0,"delta":{"content":"cret is"}}]}
    ///
    /// "#;
    /// let (mut guard, mut out, words) = (Guard::new(), Vec::new(), Words::new(["secret"]));
    /// let (mut decoder, mut input) = (ChunkDecoder::new(), &stream[..]);
    /// while let Some(event) = decoder.next(&mut input) {
    ///     let _ = guard.push(&event); // see `PushResult`
    ///     guard.redact(&words, "[…]")?;
    ///     guard.release_searched(&mut out);
    /// }
    /// guard.finish_texts();
    /// guard.redact(&words, "[…]")?;
    /// guard.release_all(&mut out);
    /// let expected = r#"data: {"choices":[{"index":0,"delta":{"content":"my […]"}}]}
    ///
    /// data: {"choices":[{"index":0,"delta":{"content":" is"}}]}
    ///
    /// "#;
    /// assert_eq!(String::from_utf8(out).unwrap(), expected);
    /// # Ok::<(), deltawire::gateway::RedactionTooLong>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The longer text exceeds the bound of the guard. Its matches remain in the held text: discard it
    /// and end the stream.
    pub fn redact<F: Finder + ?Sized>(
        &mut self,
        finder: &F,
        mask: &str,
    ) -> Result<usize, RedactionTooLong> {
        let mut count = 0;
        self.searches.redact = true;
        let (accepted, stops) = (self.accepted, self.searches.stop);
        for position in 0..self.texts.len() {
            let Some(text) = self.texts.get(position) else { break };
            if !has_news(text, text.searched.redact, accepted) {
                continue;
            }
            // A mask must not change text that the other search hasn't searched.
            let limit = if stops { text.searched.stop } else { usize::MAX };
            let Matches { ranges, end } = find_all(text, text.searched.redact, finder, limit);
            count += ranges.len();
            if !ranges.is_empty() && !self.replace_all(position, &ranges, mask) {
                return Err(RedactionTooLong);
            }
            let removed: usize = ranges.iter().map(Range::len).sum();
            if let Some(text) = self.texts.get_mut(position) {
                text.searched.redact = end - removed + ranges.len() * mask.len();
            }
        }
        Ok(count)
    }

    /// Returns the first match of `finder` in held text.
    ///
    /// Call it after each [`push`](Self::push), before [`redact`](Self::redact). Then end the stream
    /// if there is a match, else call [`release_searched`](Self::release_searched).
    pub fn stop_at<F: Finder + ?Sized>(&mut self, finder: &F) -> Option<TextMatch> {
        self.searches.stop = true;
        for text in &mut self.texts {
            if !has_news(text, text.searched.stop, self.accepted) {
                continue;
            }
            let Matches { ranges, end } = find_all(text, text.searched.stop, finder, usize::MAX);
            if let Some(range) = ranges.first() {
                let start = text.dropped + text.hidden;
                return Some(TextMatch {
                    id: text.id,
                    range: range.start - start..range.end - start,
                });
            }
            text.searched.stop = end;
        }
        None
    }

    /// Releases the events whose texts were searched, and appends them to `out`.
    ///
    /// The searches are those of [`redact`](Self::redact) and [`stop_at`](Self::stop_at), if they have
    /// been called. It is [`release_by`](Self::release_by) with the bytes that aren't searched yet.
    pub fn release_searched(&mut self, out: &mut impl OutputBuffer) {
        out.with_vec(|out| self.append_searched(out));
    }

    fn append_searched(&mut self, out: &mut Vec<u8>) {
        let used = self.searches;
        let keep = |text: &WatchedText| {
            let PerSearch { stop, redact } = text.searched;
            let stop = if used.stop { stop } else { text.end() };
            let redact = if used.redact { redact } else { text.end() };
            text.end() - stop.min(redact)
        };
        self.release_unless_kept(keep, out);
    }

    /// Replaces ranges of a held text, which are in order and apart, by `mask`.
    ///
    /// Returns false and changes nothing if the longer text exceeds the bound.
    fn replace_all(&mut self, position: usize, ranges: &[Range<usize>], mask: &str) -> bool {
        let budget = self.most_bytes - self.held_bytes();
        let Some(text) = self.texts.get_mut(position) else { return false };
        let removed: usize = ranges.iter().map(Range::len).sum();
        let Some(added) = mask.len().checked_mul(ranges.len()) else { return false };
        if added.saturating_sub(removed) > budget {
            return false;
        }
        self.text_bytes = self.text_bytes + added - removed;
        // The segments before the first range remain as they are.
        let start = ranges.first().map_or(0, |range| range.start);
        let is_before = |segment: &TextSegment| segment.text == position && segment.end <= start;
        let from = self.segments.iter().rposition(is_before).map_or(0, |last| last + 1);
        let own = self.segments.iter_mut().skip(from);
        let own = own.filter(|segment| segment.text == position);
        mask_segments(own, ranges, mask.len());
        text.mask(ranges, mask);
        true
    }

    /// Ends all texts, at the end of a stream: their last bytes can't become a match any more.
    pub fn finish_texts(&mut self) {
        for text in &mut self.texts {
            text.is_over = true;
        }
    }
}

/// Returns true if a text has bytes that weren't searched, and that are new or its last ones.
fn has_news(text: &WatchedText, searched: usize, accepted: u64) -> bool {
    searched < text.end() && (text.last_event == accepted || text.is_over)
}

/// Returns the matches in the part of a text that isn't searched yet, and that end up to `limit`.
///
/// A match that begins in the open part is found again later. One that isn't between characters is
/// widened, so that no part of it is released.
fn find_all<F: Finder + ?Sized>(
    text: &WatchedText,
    searched: usize,
    finder: &F,
    limit: usize,
) -> Matches {
    let start = text.dropped + text.hidden;
    let shown = text_in(&text.text, text.hidden..);
    let mut at = searched.max(text.released) - start;
    let limit = limit.saturating_sub(start).min(shown.len()).max(at);
    let open = if text.is_over { 0 } else { finder.open_len(shown) };
    let mut end = beginning(shown, shown.len().saturating_sub(open)).len().min(limit).max(at);
    let mut ranges = Vec::new();
    while at < end
        && let Some(found) = finder.find(shown, at)
    {
        let start_of_match = beginning(shown, found.start).len().max(at);
        let found = start_of_match..boundary_behind(shown, found.end);
        if found.start >= end {
            break;
        }
        if found.is_empty() {
            at = boundary_behind(shown, found.start + 1);
            continue;
        }
        if found.end > limit {
            end = found.start;
            break;
        }
        at = found.end;
        end = end.max(at);
        ranges.push(start + found.start..start + found.end);
    }
    Matches { ranges, end: start + end.max(at) }
}

/// Returns the first boundary between characters from a position on.
fn boundary_behind(text: &str, position: usize) -> usize {
    (position..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}
