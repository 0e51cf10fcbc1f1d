//! `Pattern`: a `Finder` for the matches of a regular expression.

use core::ops::Range;

use regex::Regex;

use super::finder::Finder;
use crate::json::beginning;

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
/// client receives the text with this delay. Look-around such as `\b` sees the text of the guard: its
/// overlap and the held text.
///
/// A longer match isn't promised. It may be found as a whole, in parts that match alone, or not at all.
/// The expression is searched in windows of a few times `most_bytes`. Behind a match that is too long,
/// `$` or `\b` may also match at the end of a window.
///
/// Count the bytes of the longest match, not its characters. An expression that ignores case matches
/// longer characters too: `(?i)k` matches the Kelvin sign, which has three bytes.
///
/// A search takes time linear in the text for a fixed expression and `most_bytes`, and memory as `regex`
/// documents.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    most_bytes: usize,
}

/// The most bytes of the character behind a match, which look-around reads.
const CHARACTER: usize = 4;

/// The bytes of the first window, besides those of two matches.
const FIRST_WINDOW: usize = 64;

/// The largest window for a match that is too long, in bytes of the first window.
const LONGEST: usize = 8;

impl Pattern {
    /// Creates a finder for matches of up to `most_bytes` bytes. Join several patterns by `|`.
    #[must_use]
    pub const fn new(regex: Regex, most_bytes: usize) -> Self {
        Self { regex, most_bytes }
    }
}

/// Returns the first match from a position on, which is within the text.
///
/// `search` searches the beginning of the text from a position on. A search of all the text isn't
/// linear: for each short match it may read all of the text for a longer one.
fn find_in_windows(
    text: &str,
    mut from: usize,
    most_bytes: usize,
    mut search: impl FnMut(&str, usize) -> Option<Range<usize>>,
) -> Option<Range<usize>> {
    let first = most_bytes.saturating_mul(2).saturating_add(FIRST_WINDOW);
    let longest = first.saturating_mul(LONGEST);
    let mut len = first;
    loop {
        let window = beginning(text, from.saturating_add(len));
        let found = search(window, from);
        if window.len() == text.len() {
            return found;
        }
        // Each match that begins up to here is in the window, with the character behind it.
        let last = window.len().saturating_sub(most_bytes.saturating_add(CHARACTER));
        let last = beginning(text, last).len().max(from);
        match found.filter(|found| found.start <= last) {
            Some(found) if found.end + CHARACTER > window.len() && len < longest => {
                // It is too long, but may end soon.
                (from, len) = (found.start, len.saturating_mul(2));
            }
            Some(found) => return Some(found),
            // The search has advanced by most of the window, so a larger one is linear, too.
            None => (from, len) = (last, len.saturating_mul(2)),
        }
    }
}

impl Finder for Pattern {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let search =
            |window: &str, from: usize| self.regex.find_at(window, from).map(|found| found.range());
        let is_inside = from <= text.len();
        is_inside.then(|| find_in_windows(text, from, self.most_bytes, search))?
    }

    fn open_len(&self, text: &str) -> usize {
        // One byte more than a match that is whole: look-around may read the byte behind it.
        text.len().min(self.most_bytes)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{FIRST_WINDOW, Finder, LONGEST, Pattern, Range, Regex, find_in_windows};
    use proptest::prelude::*;

    /// Returns all matches as a guard collects them, and the number of bytes in all windows.
    fn matches(pattern: &Pattern, text: &str) -> (Vec<Range<usize>>, usize) {
        let (mut found, mut at, mut cost) = (Vec::new(), 0, 0);
        while at < text.len() {
            let range = find_in_windows(text, at, pattern.most_bytes, |window, from| {
                cost += window.len() - from;
                pattern.regex.find_at(window, from).map(|found| found.range())
            });
            assert_eq!(pattern.find(text, at), range);
            let Some(range) = range else { break };
            let mut behind = range.start + 1..=text.len();
            let next = behind.find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            at = if range.is_empty() { next } else { range.end };
            found.push(range);
        }
        (found, cost)
    }

    /// Each byte of a text is in a bounded number of windows, so the search is linear.
    #[test]
    fn a_byte_is_in_a_bounded_number_of_windows() {
        for (expression, most_bytes) in [
            ("a+b|a", 32),
            ("a+$|a", 32),
            ("(?:a+b)?", 32),
            ("a+", 4),
            ("a{1,64}b|a", 65),
            ("(?s)a.*z|a", 8),
            (r"[\w.+-]+@[\w-]+\.\w+|\b\d{16}\b|\d{16}", 64),
            ("absent", 6),
            ("a", 0),
        ] {
            let pattern = Pattern::new(Regex::new(expression).unwrap(), most_bytes);
            for text in ["a".repeat(20_000), "1".repeat(20_000), "b".repeat(20_000) + "aaaab"] {
                let cost = matches(&pattern, &text).1;
                let most = 2 * LONGEST * (2 * most_bytes + FIRST_WINDOW);
                assert!(cost <= most * text.len(), "{expression} {cost}");
            }
        }
    }

    #[test]
    fn a_match_that_is_too_long_is_found_as_a_whole_if_it_ends_soon() {
        let pattern = Pattern::new(Regex::new("a+").unwrap(), 4);
        let text = format!("{}b", "a".repeat(400));
        assert_eq!(matches(&pattern, &text).0.first(), Some(&(0..400)));
        let text = format!("{}b", "a".repeat(4000));
        let parts = matches(&pattern, &text).0;
        assert_eq!(parts.iter().map(Range::len).sum::<usize>(), 4000);
    }

    /// Returns an expression without unbounded repetitions, and the length of its longest match.
    fn expression() -> impl Strategy<Value = (String, usize)> {
        let atoms = [
            ("a", 1),
            ("b", 1),
            ("[ab]", 1),
            ("\u{e9}", 2),
            (".", 4),
            ("\\w", 4),
            ("[^a]", 4),
            (" ", 1),
            ("\\b", 0),
            ("\\B", 0),
            ("$", 0),
            ("^", 0),
            ("(?m:$)", 0),
            ("(?m:^)", 0),
            ("", 0),
        ];
        let atom = proptest::sample::select(atoms.to_vec());
        let leaf = atom.prop_map(|(text, len)| (text.to_owned(), len));
        leaf.prop_recursive(4, 16, 3, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                two.clone().prop_map(|((a, x), (b, y))| (format!("{a}{b}"), x + y)),
                two.prop_map(|((a, x), (b, y))| (format!("(?:{a}|{b})"), x.max(y))),
                (inner, proptest::sample::select(vec!["?", "??", "{0,3}", "{1,3}", "{2,3}?"]))
                    .prop_map(|((a, x), times)| (format!("(?:{a}){times}"), x * 3)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

        /// Finds the match of a search of all the text, if no match is longer than the bound.
        #[test]
        fn windows_change_no_match(
            (expression, most_bytes) in expression(),
            text in "[ab \u{e9}\u{1f600}\n]{0,40}",
            filler in "[ab \u{e9}\u{1f600}\n]{1,9}",
            times in 0usize..60,
        ) {
            let text = text.clone() + &filler.repeat(times) + &text;
            let pattern = Pattern::new(Regex::new(&expression).unwrap(), most_bytes);
            for from in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let expected = pattern.regex.find_at(&text, from).map(|found| found.range());
                prop_assert_eq!(pattern.find(&text, from), expected, "{} from {}", expression, from);
            }
        }
    }
}
