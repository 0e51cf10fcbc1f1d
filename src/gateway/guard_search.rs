//! The searches of a `Guard`: matches of a finder are redacted, or stop the stream.

use core::fmt;
use core::ops::Range;

use super::finder::Finder;
use super::guard::Guard;
use super::text_segment::{TextSegment, mask_segments};
use super::watched_text::{PerSearch, Progress, WatchedText, WatchedTextId};
use crate::json::beginning;
use crate::slice::text_in;

/// A match in a text of a stream; see [`Guard::stop_at`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextMatch {
    /// The identity of the text.
    pub id: WatchedTextId,
    /// The range of the match, in bytes of [`GuardedText::text`](super::GuardedText::text).
    ///
    /// It may begin in released text, if the text had [ended](Guard::release) and continues.
    pub range: Range<usize>,
}

/// The number of matches that are replaced at once is this, and a fraction of the text's bytes.
///
/// So the ranges of the matches need less memory than the text, and the text is copied a few times.
const LEAST_BATCH: usize = 64;
const BATCHES: usize = 64;

/// The redacted text would exceed the bound of the guard; see [`Guard::redact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedactionTooLong;

impl fmt::Display for RedactionTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the redacted text exceeds the bound of the guard")
    }
}

impl core::error::Error for RedactionTooLong {}

/// The matches in a part of a text, as ranges in bytes of the text.
///
/// The ranges are in order and apart.
struct Matches {
    ranges: Vec<Range<usize>>,
    /// The position from which the text is searched next.
    next: usize,
    /// False if there may be further matches, which the number of matches has left out.
    is_complete: bool,
}

impl Guard {
    /// Replaces all that `finder` finds in held text by `mask`; returns the number of matches.
    ///
    /// Call it after each [`push`](Self::push), and then
    /// [`release_searched`](Self::release_searched). A match may span several events: the first one
    /// contains the mask. The last [`open_len`](Finder::open_len) bytes of a text that may continue
    /// are searched again with its next piece. A mask isn't searched, and neither is the text around it
    /// together: with an empty mask the rest may be a match. The cost is that of searching the new text
    /// and the open bytes, and of copying the text behind the first match.
    ///
    /// A text that has [ended](Self::release) is searched to its end and released. If it continues
    /// nevertheless, a match may begin in the overlap, which is released. The part of the match that is
    /// still held is replaced, and the match counts: a client receives `sec[…]`, never `secret`.
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
        for position in 0..self.texts.len() {
            while let Some(found) = self.next_matches(position, finder) {
                count += found.ranges.len();
                if !self.replace_all(position, &found, mask) {
                    return Err(RedactionTooLong);
                }
                if found.is_complete {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Returns the held parts of the next matches in a text, or `None` if it has nothing to search.
    fn next_matches<F: Finder + ?Sized>(&self, position: usize, finder: &F) -> Option<Matches> {
        let text = self.texts.get(position)?;
        let progress = text.searched.redact;
        if !has_news(text, progress, self.accepted) {
            return None;
        }
        // A mask must not change text that the other search hasn't searched.
        let limit = match text.searched.stop {
            _ if !self.searches.stop => usize::MAX,
            Progress { end, .. } if text.is_over => end,
            Progress { next, .. } => next,
        };
        let mut found =
            find_all(text, progress, finder, limit, LEAST_BATCH + text.text.len() / BATCHES);
        // A part of the first match may be released.
        if let Some(first) = found.ranges.first_mut() {
            first.start = first.start.max(text.released);
        }
        Some(found)
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
            let found = find_all(text, text.searched.stop, finder, usize::MAX, 1);
            if let Some(range) = found.ranges.first() {
                let start = text.dropped + text.hidden;
                return Some(TextMatch {
                    id: text.id,
                    range: range.start - start..range.end - start,
                });
            }
            text.searched.stop.move_to(found.next);
            if text.is_over {
                text.searched.stop.end = text.end();
            }
        }
        None
    }

    /// Releases the events whose texts were searched, and appends them to `out`.
    ///
    /// The searches are those of [`redact`](Self::redact) and [`stop_at`](Self::stop_at), if they have
    /// been called. It is [`release_by`](Self::release_by) with the bytes that aren't searched yet.
    pub fn release_searched(&mut self, out: &mut Vec<u8>) {
        let used = self.searches;
        let keep = |text: &WatchedText| {
            let PerSearch { stop, redact } = text.searched;
            let stop = if used.stop { stop.next } else { text.end() };
            let redact = if used.redact { redact.next } else { text.end() };
            text.end() - stop.min(redact)
        };
        self.release_unless_kept(keep, out);
    }

    /// Replaces matches in a held text by `mask`, and marks the text up to the last one as searched.
    ///
    /// Returns false and changes nothing if the longer text exceeds the bound.
    fn replace_all(&mut self, position: usize, found: &Matches, mask: &str) -> bool {
        let budget = self.most_bytes - self.held_bytes();
        let Some(text) = self.texts.get_mut(position) else { return false };
        let ranges = &*found.ranges;
        let removed: usize = ranges.iter().map(Range::len).sum();
        let Some(added) = mask.len().checked_mul(ranges.len()) else { return false };
        if added.saturating_sub(removed) > budget {
            return false;
        }
        text.searched.redact.move_to(found.next);
        if text.is_over && found.is_complete {
            text.searched.redact.end = text.end();
        }
        let Some(first) = ranges.first() else { return true };
        self.text_bytes = self.text_bytes + added - removed;
        // The segments before the first range remain as they are.
        let is_before =
            |segment: &TextSegment| segment.text == position && segment.end <= first.start;
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
const fn has_news(text: &WatchedText, progress: Progress, accepted: u64) -> bool {
    let is_longer = text.last_event == accepted && progress.next < text.end();
    is_longer || text.is_over && progress.end < text.end()
}

/// Returns the first `most` matches in the part of a text that isn't searched yet, and that end up to
/// `limit`.
///
/// A match that begins in the open part is found again later, unless the text is over. One that isn't
/// between characters is widened, so that no part of it is released.
fn find_all<F: Finder + ?Sized>(
    text: &WatchedText,
    progress: Progress,
    finder: &F,
    limit: usize,
    most: usize,
) -> Matches {
    let start = text.dropped + text.hidden;
    let shown = text_in(&text.text, text.hidden..);
    let first = progress.next.max(start);
    let before = progress.before.filter(|_| first == progress.next);
    // The character that was before the text, and not the mask in its place.
    let replaced = before.map(|before| {
        let rest = text_in(shown, first - start..);
        let mut haystack = String::with_capacity(before.len_utf8() + rest.len());
        haystack.push(before);
        haystack.push_str(rest);
        haystack
    });
    let haystack = replaced.as_deref().unwrap_or(shown);
    let from = before.map_or(first - start, char::len_utf8);
    let in_text = |position: usize| position - from + first;

    let mut at = from;
    let limit = limit.saturating_sub(first).saturating_add(from).min(haystack.len()).max(at);
    let closed = haystack.len().saturating_sub(finder.open_len(haystack));
    let closed = beginning(haystack, closed).len();
    let mut end = if text.is_over { limit } else { closed.min(limit) }.max(at);
    let (mut ranges, mut is_complete) = (Vec::new(), true);
    while at < end
        && let Some(found) = finder.find(haystack, at)
    {
        let start_of_match = beginning(haystack, found.start).len().max(at);
        let found = start_of_match..boundary_behind(haystack, found.end);
        if found.start >= end {
            break;
        }
        if found.is_empty() {
            at = boundary_behind(haystack, found.start + 1);
            continue;
        }
        if found.end > limit {
            end = found.start;
            break;
        }
        at = found.end;
        // What look-around has hidden from an earlier search can't be replaced any more.
        if in_text(at) <= text.released {
            continue;
        }
        ranges.push(in_text(found.start)..in_text(at));
        if ranges.len() == most {
            is_complete = false;
            break;
        }
    }
    let searched = if is_complete { end.max(at) } else { at };
    // A match may span the end of a text that continues.
    let next = match ranges.last() {
        _ if !is_complete || !text.is_over => searched,
        Some(last) => closed.min(searched).max(last.end - first + from),
        None => closed.min(searched).max(from),
    };
    Matches { ranges, next: in_text(next), is_complete }
}

/// Returns the first boundary between characters from a position on.
fn boundary_behind(text: &str, position: usize) -> usize {
    (position..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}
