//! `Finder`: finds the parts of a text that a guard redacts or stops at; `Words`: a set of strings.

use core::cmp::Reverse;
use core::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use crate::slice::bytes_in;

/// Finds matches in a text that grows at its end.
///
/// [`Guard::redact`](super::Guard::redact) and [`Guard::stop_at`](super::Guard::stop_at) search the
/// texts of a stream with it. [`Words`] is one for a set of strings. Implement it for patterns of
/// your own, such as those of a regular expression. An `Arc` of a finder is one, too, for all streams.
///
/// ```
/// use core::ops::Range;
/// use deltawire::gateway::Finder;
///
/// /// Finds numbers of at least six digits.
/// struct Numbers;
///
/// impl Finder for Numbers {
///     fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
///         let is_digit = |byte: &u8| byte.is_ascii_digit();
///         let mut at = from;
///         loop {
///             let start = at + text.as_bytes()[at..].iter().position(is_digit)?;
///             let digits = text.as_bytes()[start..].iter().take_while(|byte| is_digit(byte)).count();
///             if digits >= 6 {
///                 return Some(start..start + digits);
///             }
///             at = start + digits;
///         }
///     }
///
///     fn open_len(&self, text: &str) -> usize {
///         // A number may continue; a longer one is found in parts.
///         text.bytes().rev().take(64).take_while(u8::is_ascii_digit).count()
///     }
/// }
///
/// assert_eq!(Numbers.find("call 1234567 or 12", 0), Some(5..12));
/// assert_eq!(Numbers.open_len("call 1234567 or 12"), 2);
/// ```
pub trait Finder {
    /// Returns the first match that begins at `from` or behind it, as a range of `text`.
    ///
    /// The bytes before `from` have been searched already; a pattern may look at them. They are the
    /// text before, as far as the guard stores it: its overlap and the held text, with masks. If a match
    /// ends at `from`, they are only the last character of the match, which the mask has replaced. So a
    /// finder that reads more than one character before `from` depends on the cuts of the text.
    ///
    /// A match has to lie between characters, and an empty one is skipped. A match that begins in the last
    /// [`open_len`](Self::open_len) bytes of a text that may continue is found again later.
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>>;

    /// Returns the number of bytes at the end of `text` that may belong to a match of a longer text.
    ///
    /// The guard holds these bytes back. If no number bounds the length of a match, choose a bound,
    /// since a text in which a match stays open fills the guard. A longer match is found in parts then.
    fn open_len(&self, text: &str) -> usize;
}

/// Implements [`Finder`] for a pointer to a finder, such as one that all streams share.
macro_rules! by_pointer {
    ($($pointer:ty),+) => {$(
        impl<F: Finder + ?Sized> Finder for $pointer {
            fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
                (**self).find(text, from)
            }

            fn open_len(&self, text: &str) -> usize {
                (**self).open_len(text)
            }
        }
    )+};
}

by_pointer!(&F, Box<F>, Arc<F>);

/// Finds strings: the first one in the text, and of those that begin together the longest one.
///
/// ```
/// use deltawire::gateway::{Finder, Words};
///
/// let words = Words::new(["secret", "secretary", "token"]);
/// assert_eq!(words.find("a secretary's token", 0), Some(2..11));
/// assert_eq!(words.find("a secretary's token", 3), Some(14..19));
/// assert_eq!(words.open_len("a secret"), 6); // it may become `secretary`
/// assert_eq!(words.open_len("a secretary"), 0);
/// ```
///
/// Upper and lower case differ. A search costs the length of the text for each string. Use a finder with an
/// automaton for more than a few dozen strings.
#[derive(Clone, Debug, Default)]
pub struct Words {
    words: Vec<Word>,
    /// The length of the longest word, in bytes.
    longest: usize,
}

#[derive(Clone, Debug)]
struct Word {
    finder: memmem::Finder<'static>,
    /// For each prefix the length of the longest shorter one that it ends with (Knuth, Morris, Pratt).
    borders: Box<[usize]>,
}

/// The number of bytes that are searched for all words first. It doubles while they have none.
const FIRST_WINDOW: usize = 128;

impl Words {
    /// Creates a finder of strings. Ignores empty ones. Allocates a copy of each.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Self {
        let words = words.into_iter().filter(|word| !word.as_ref().is_empty());
        let words: Vec<_> = words.map(|word| Word::new(word.as_ref())).collect();
        let longest = words.iter().map(|word| word.borders.len()).max().unwrap_or(0);
        Self { words, longest }
    }

    /// Returns the start and the length of the first word in `text`, the longest one if several do.
    fn first_in(&self, text: &[u8]) -> Option<(usize, usize)> {
        let found = self
            .words
            .iter()
            .filter_map(|word| Some((word.finder.find(text)?, Reverse(word.borders.len()))));
        found.min().map(|(start, Reverse(len))| (start, len))
    }
}

impl Finder for Words {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let rest = text.as_bytes().get(from..)?;
        let mut window = FIRST_WINDOW;
        // A word that is far away, or absent, doesn't cost the whole text for each match of another.
        loop {
            let end = rest.len().min(window.saturating_add(self.longest));
            let found = self.first_in(bytes_in(rest, ..end));
            if let Some((start, len)) = found.filter(|(start, _)| *start < window) {
                return Some(from + start..from + start + len);
            }
            if end == rest.len() {
                return found.map(|(start, len)| from + start..from + start + len);
            }
            window = window.saturating_mul(2);
        }
    }

    fn open_len(&self, text: &str) -> usize {
        self.words.iter().map(|word| word.open_len(text.as_bytes())).max().unwrap_or(0)
    }
}

impl Word {
    fn new(word: &str) -> Self {
        let mut borders = Vec::with_capacity(word.len());
        borders.push(0);
        let bytes = word.as_bytes();
        for byte in bytes_in(bytes, 1..) {
            let before = borders.last().copied().unwrap_or(0);
            borders.push(next_prefix(bytes, &borders, before, *byte));
        }
        Self { finder: memmem::Finder::new(word).into_owned(), borders: borders.into() }
    }

    /// Returns the length of the longest part of the word, but not all, with which a text ends.
    fn open_len(&self, text: &[u8]) -> usize {
        let word = self.finder.needle();
        let end = bytes_in(text, text.len().saturating_sub(word.len() - 1)..);
        let begins = |byte: &u8| word.first() == Some(byte);
        let Some(start) = end.iter().position(begins) else { return 0 };
        let may_be_open = bytes_in(end, start..).iter();
        may_be_open.fold(0, |len, byte| next_prefix(word, &self.borders, len, *byte))
    }
}

/// Returns the length of the longest prefix of a word with which a text ends behind one more byte.
///
/// `len` is that before the byte, and less than the length of the word.
fn next_prefix(word: &[u8], borders: &[usize], mut len: usize, byte: u8) -> usize {
    loop {
        if word.get(len) == Some(&byte) {
            return len + 1;
        }
        let Some(last) = len.checked_sub(1) else { return 0 };
        len = borders.get(last).copied().unwrap_or(0);
    }
}
