//! `Finder`: finds the parts of a text that a guard redacts or stops at; `Words`: a set of strings.

use core::ops::Range;

use memchr::memmem;

/// Finds matches in a text that grows at its end.
///
/// [`Guard::redact`](super::Guard::redact) and [`Guard::stop_at`](super::Guard::stop_at) search the
/// texts of a stream with it. [`Words`] is one for a set of strings. Implement it for patterns of
/// your own, such as those of a regular expression.
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
///         text.bytes().rev().take_while(u8::is_ascii_digit).count() // a number may continue
///     }
/// }
///
/// assert_eq!(Numbers.find("call 1234567 or 12", 0), Some(5..12));
/// assert_eq!(Numbers.open_len("call 1234567 or 12"), 2);
/// ```
pub trait Finder {
    /// Returns the first match that begins at `from` or behind it, as a range of `text`.
    ///
    /// The bytes before `from` have been searched already; a pattern may look at them. A match has
    /// to lie between characters, and an empty one is no match. A match in the last
    /// [`open_len`](Self::open_len) bytes of a text that may continue is found again later.
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>>;

    /// Returns the number of bytes at the end of `text` that may belong to a match of a longer text.
    ///
    /// The guard holds these bytes back. If no number bounds the length of a match, choose a bound,
    /// since a text in which a match stays open fills the guard.
    fn open_len(&self, text: &str) -> usize;
}

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
/// Cases differ. A search costs the length of the text for each string. Use a finder with an
/// automaton for more than a few dozen strings.
#[derive(Clone, Debug, Default)]
pub struct Words {
    finders: Vec<memmem::Finder<'static>>,
}

impl Words {
    /// Creates a finder of strings. Ignores empty ones. Allocates a copy of each.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Self {
        let words = words.into_iter();
        let finder = |word: W| {
            let word = word.as_ref();
            (!word.is_empty()).then(|| memmem::Finder::new(word).into_owned())
        };
        Self { finders: words.filter_map(finder).collect() }
    }
}

impl Finder for Words {
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let rest = text.as_bytes().get(from..)?;
        let found = self.finders.iter().filter_map(|finder| {
            let start = finder.find(rest)?;
            Some((start, usize::MAX - finder.needle().len()))
        });
        let (start, len) = found.min()?;
        let start = from + start;
        Some(start..start + (usize::MAX - len))
    }

    fn open_len(&self, text: &str) -> usize {
        let text = text.as_bytes();
        let open = |finder: &memmem::Finder<'_>| {
            let most = text.len().min(finder.needle().len() - 1);
            (1..=most).rev().find(|len| {
                let end = text.len() - len;
                text.get(end..).is_some_and(|end| finder.needle().starts_with(end))
            })
        };
        self.finders.iter().filter_map(open).max().unwrap_or(0)
    }
}
