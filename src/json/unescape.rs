//! Unescapes strings of JSON (RFC 8259, section 7).

use super::scan::plain_len;
use super::tape::{Place, Strings};
use crate::error::{Error, ErrorKind};
use crate::slice::{bytes_in, text_in};

/// A buffer to which unescaped text is appended.
pub(super) struct Scratch<'t> {
    pub(super) strings: &'t mut Strings,
    /// The largest length of the text, which bounds the growth of the buffer.
    pub(super) most: usize,
}

/// Unescapes the string of `json` whose first quote is before `start`.
///
/// Returns the position behind its last quote, and the number of lone surrogates. A lone surrogate
/// is half of a surrogate pair without its other half: an error if `strict`, else U+FFFD.
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
        at += plain_len(bytes_in(bytes, at..));
        scratch.push_str(text_in(json, plain..at));
        // Most escapes come alone. Texts that aren't Latin may have escapes only.
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
    debug_assert!(text_start <= end as usize, "an unescaped string is within its text");
    scratch.strings.places.push(Place { start: text_start as u32, end });
    Ok((at + 1, lone_surrogates))
}

/// Appends the string at the front of `text` to `strings`; returns its position among them.
///
/// `text` ends with the quote of the string. Returns `None` if an escape is invalid.
pub(crate) fn unescape_into(strings: &mut Strings, text: &str) -> Option<u32> {
    let number = u32::try_from(strings.places.len()).ok()?;
    let mut scratch = Scratch { strings, most: usize::MAX };
    let (end, _) = unescape(text, 0, true, &mut scratch).ok()?;
    (end == text.len()).then_some(number)
}

/// Returns the character and the length of the escape at the front of `rest`.
///
/// The character is `None` for half a surrogate pair without its other half.
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

/// Reads `\u` and four digits, or two of these that are a surrogate pair.
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

/// Returns the code unit of the `\u` escape at the front of `rest`.
#[inline]
fn code_unit(rest: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = rest else { return None };
    let digits = digits.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Returns the error in the escape at `at`; an escape that may continue is `UnexpectedEnd`.
#[cold]
fn invalid(json: &str, at: usize) -> Error {
    let rest = bytes_in(json.as_bytes(), at + 1..);
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

    /// Reserves so many bytes.
    ///
    /// The capacity doubles, but up to `most` only: an escape is never shorter than its character.
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
