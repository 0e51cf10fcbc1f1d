//! `Pattern`: a `Finder` for the matches of a regular expression.

use core::ops::Range;

use regex::Regex;

use super::finder::Finder;

/// Finds the matches of a regular expression that have up to a number of bytes.
///
/// ```
/// use deltawire::gateway::{Finder, Pattern};
/// use regex::Regex;
///
/// let card = Pattern::new(Regex::new(r"\b\d{4}(?:[ -]?\d{4}){3}\b")?, 19);
/// assert_eq!(card.find("my card 4111 1111 1111 1111.", 0), Some(8..27));
/// assert_eq!(card.open_len("my card 4111 1111"), 17); // a match may begin in each of these bytes
/// # Ok::<(), regex::Error>(())
/// ```
///
/// A guard holds back the last `most_bytes` bytes of each text, since a match may begin there. So the
/// client receives the text with this delay. A longer match is found in parts, if these parts match
/// alone. Look-around such as `\b` sees the text of the guard: its overlap and the held text.
///
/// A search takes time linear in the text for a fixed expression, and memory as `regex` documents. But
/// one such as `(?s)a.*z|a` may read to the end of the text for each match. All matches of a text may
/// then cost the square of its length. Bound such a repetition, or the text by the guard.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    most_bytes: usize,
}

impl Pattern {
    /// Creates a finder for matches of up to `most_bytes` bytes. Join several patterns by `|`.
    #[must_use]
    pub const fn new(regex: Regex, most_bytes: usize) -> Self {
        Self { regex, most_bytes }
    }
}

impl Finder for Pattern {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let is_inside = from <= text.len();
        is_inside.then(|| self.regex.find_at(text, from))?.map(|found| found.range())
    }

    fn open_len(&self, text: &str) -> usize {
        // One byte more than a match that is whole: look-around may read the byte behind it.
        text.len().min(self.most_bytes)
    }
}
