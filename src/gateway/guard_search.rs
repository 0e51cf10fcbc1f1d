//! The searches of a `Guard`: matches of a finder are redacted, or stop the stream.

use core::fmt;
use core::ops::Range;
use std::borrow::Cow;

use super::finder::Finder;
use super::guard::Guard;
use super::text_segment::{TextSegment, mask_segments};
use super::watched_text::{PerSearch, Progress, WatchedText, WatchedTextId};
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
    /// The progress of the search behind them.
    next: usize,
    end: usize,
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
    /// The longer text exceeds the bound of the guard. Matches remain in the held text: discard it and end
    /// the stream.
    pub fn redact<F: Finder + ?Sized>(
        &mut self,
        finder: &F,
        mask: &str,
    ) -> Result<usize, RedactionTooLong> {
        let mut count = 0;
        self.searches.redact = true;
        for position in 0..self.texts.len() {
            let text = self.texts.get(position);
            if !text.is_some_and(|text| has_news(text, text.searched.redact, self.accepted)) {
                continue;
            }
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

    /// Returns the held parts of the next matches in a text.
    ///
    /// Returns `None` if it has no further match, and marks the text as searched then.
    fn next_matches<F: Finder + ?Sized>(&mut self, position: usize, finder: &F) -> Option<Matches> {
        let text = self.texts.get_mut(position)?;
        let progress = text.searched.redact;
        // A mask must not change text that the other search hasn't searched.
        let limit = match text.searched.stop {
            _ if !self.searches.stop => usize::MAX,
            Progress { end, .. } if text.is_over => end,
            Progress { next, .. } => next,
        };
        let most = LEAST_BATCH + text.text.len() / BATCHES;
        let mut found = find_all(text, progress, finder, limit, most);
        let Some(first) = found.ranges.first_mut() else {
            text.searched.redact.move_to(found.next, found.end);
            return None;
        };
        // A part of the first match may be released.
        first.start = first.start.max(text.released);
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
            text.searched.stop.move_to(found.next, found.end);
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
        let budget = self.free_bytes();
        let Some(text) = self.texts.get_mut(position) else { return false };
        let ranges = &*found.ranges;
        let removed: usize = ranges.iter().map(Range::len).sum();
        let Some(added) = mask.len().checked_mul(ranges.len()) else { return false };
        if added.saturating_sub(removed) > budget {
            return false;
        }
        text.searched.redact.move_to(found.next, found.end);
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

/// The part of a text that a search reads.
struct Haystack<'t> {
    text: Cow<'t, str>,
    /// The position in `text` from which it is searched, and its position in the guard's text.
    from: usize,
    first: usize,
}

impl<'t> Haystack<'t> {
    /// Returns the stored text, or the rest behind a mask with the character that was there before.
    #[inline]
    fn new(text: &'t WatchedText, progress: Progress) -> Self {
        let start = text.dropped + text.hidden;
        let shown = text_in(&text.text, text.hidden..);
        let first = progress.next.max(start);
        let from = first - start;
        match progress.before.filter(|_| first == progress.next) {
            None => Self { text: Cow::Borrowed(shown), from, first },
            Some(before) => Self::behind_mask(before, text_in(shown, from..), first),
        }
    }

    #[cold]
    fn behind_mask(before: char, rest: &str, first: usize) -> Self {
        let mut text = String::with_capacity(before.len_utf8() + rest.len());
        text.push(before);
        text.push_str(rest);
        Self { text: Cow::Owned(text), from: before.len_utf8(), first }
    }

    /// Returns the position in the guard's text of one from `from` on.
    const fn in_text(&self, position: usize) -> usize {
        position - self.from + self.first
    }
}

/// Returns the first `most` matches in the part of a text that isn't searched yet.
///
/// They end up to `limit`. A match that begins in the open part is found again later, unless the text
/// is over. One that isn't between characters is widened, so that no part of it is released.
fn find_all<F: Finder + ?Sized>(
    text: &WatchedText,
    progress: Progress,
    finder: &F,
    limit: usize,
    most: usize,
) -> Matches {
    let haystack = Haystack::new(text, progress);
    let (shown, mut at) = (&*haystack.text, haystack.from);
    let limit = limit.saturating_sub(haystack.first).saturating_add(at).min(shown.len()).max(at);
    let closed = shown.len().saturating_sub(finder.open_len(shown));
    let closed = beginning(shown, closed).len().max(at);
    let mut end = if text.is_over { limit } else { closed.min(limit) };
    let (mut ranges, mut is_complete) = (Vec::new(), true);
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
        let range = haystack.in_text(found.start)..haystack.in_text(at);
        // A match that look-around hid from an earlier search may be released.
        if range.end > text.released {
            ranges.push(range);
            is_complete = ranges.len() < most;
            if !is_complete {
                break;
            }
        }
    }
    let searched = haystack.in_text(if is_complete { end.max(at) } else { at });
    if !is_complete || !text.is_over {
        return Matches { ranges, next: searched, end: progress.end, is_complete };
    }
    // A match may span the end of a text that continues.
    let behind_last = ranges.last().map_or(0, |range| range.end);
    let next = haystack.in_text(closed).min(searched).max(behind_last);
    Matches { ranges, next, end: text.end(), is_complete }
}

/// Returns the first boundary between characters from a position on.
fn boundary_behind(text: &str, position: usize) -> usize {
    (position..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}
