//! Escapes: strings that have some, as the texts that they stand for.

use super::scan::plain_len;
use super::tape::{Place, Strings};
use crate::error::{Error, ErrorKind};

/// The strings that unescaped text is appended to.
pub(super) struct Scratch<'t> {
    pub(super) strings: &'t mut Strings,
    /// The most bytes that the text can have, so that the buffer doesn't grow beyond.
    pub(super) most: usize,
}

/// Unescapes the string of `json` whose first quote is before `start`. Gives where it ends, behind
/// its last quote, and how many halves of surrogate pairs it has without their other half: an error
/// if `strict`, else U+FFFD.
#[expect(clippy::cast_possible_truncation, reason = "the texts are within the limits of an event")]
pub(super) fn unescape(
    json: &str,
    start: usize,
    strict: bool,
    scratch: &mut Scratch<'_>,
) -> Result<(usize, u32), Error> {
    let mut lone_surrogates = 0;
    let bytes = json.as_bytes();
    let text_start = scratch.strings.text.len();
    let mut at = start;
    loop {
        let plain = at;
        at += plain_len(bytes.get(at..).unwrap_or_default());
        scratch.push_str(json.get(plain..at).unwrap_or_default());
        // Mostly one comes alone, or there are only such, as in texts that aren't Latin.
        while let Some(escape @ [b'\\', ..]) = bytes.get(at..) {
            let Some((character, len)) = character(escape) else {
                return Err(invalid(json, at));
            };
            if character.is_none() {
                if strict {
                    return Err(Error::new(ErrorKind::LoneSurrogate, at as u64));
                }
                lone_surrogates += 1;
            }
            scratch.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            at += len;
        }
        match bytes.get(at) {
            Some(b'"') => break,
            Some(0x20..) => {}
            Some(_) => return Err(Error::new(ErrorKind::ControlCharacter, at as u64)),
            None => return Err(Error::new(ErrorKind::UnexpectedEnd, at as u64)),
        }
    }
    let end = scratch.strings.text.len() as u32;
    scratch.strings.places.push(Place { start: text_start as u32, end });
    Ok((at + 1, lone_surrogates))
}

/// Appends the string that `text` begins with to `strings`; returns its number among them.
///
/// `text` ends with the quote of the string. Returns `None` if an escape is invalid.
pub(crate) fn unescape_into(strings: &mut Strings, text: &str) -> Option<u32> {
    let number = u32::try_from(strings.places.len()).ok()?;
    let mut scratch = Scratch { strings, most: usize::MAX };
    let (end, _) = unescape(text, 0, true, &mut scratch).ok()?;
    (end == text.len()).then_some(number)
}

/// What the escape at the front of `rest` stands for, and its length; no character is half a
/// surrogate pair without the other half.
#[inline]
fn character(rest: &[u8]) -> Option<(Option<char>, usize)> {
    let character = match rest.get(1)? {
        b'u' => return unicode(rest),
        b'n' => '\n',
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    };
    Some((Some(character), 2))
}

/// `\u` and four digits, or two of these that are a surrogate pair.
#[inline]
fn unicode(rest: &[u8]) -> Option<(Option<char>, usize)> {
    let high = code_unit(rest)?;
    if let Some(character) = char::from_u32(high) {
        return Some((Some(character), 6));
    }
    let low = rest.get(6..).and_then(code_unit);
    if let (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) = (high, low) {
        return Some((char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12));
    }
    Some((None, 6))
}

/// The code unit that the escape at the front of `rest` writes.
#[inline]
fn code_unit(rest: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = rest else { return None };
    let digits = digits.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// What is wrong with the escape at `at`: the end of the text, if it may go on.
#[cold]
fn invalid(json: &str, at: usize) -> Error {
    let rest = json.as_bytes().get(at + 1..).unwrap_or_default();
    let digits = rest.strip_prefix(b"u");
    let is_cut =
        digits.is_some_and(|digits| digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit));
    if rest.is_empty() || is_cut {
        Error::new(ErrorKind::UnexpectedEnd, json.len() as u64)
    } else {
        Error::new(ErrorKind::InvalidEscape, at as u64)
    }
}

impl Scratch<'_> {
    fn push_str(&mut self, text: &str) {
        self.reserve(text.len());
        self.strings.text.push_str(text);
    }

    #[inline]
    fn push(&mut self, character: char) {
        self.reserve(4);
        self.strings.text.push(character);
    }

    /// Makes room for so many bytes. It grows by doubling, but to no more than there can be: an
    /// escape is never shorter than what it stands for.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if more > self.strings.text.capacity() - self.strings.text.len() {
            self.grow(self.strings.text.len() + more);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let capacity = needed.next_power_of_two().min(self.most).max(needed);
        self.strings.text.reserve_exact(capacity - self.strings.text.len());
    }
}
