//! Unescapes strings of JSON (RFC 8259, section 7).

use super::block::{SIZE, block_at, has_high, plain_in};
use super::scan::plain;
use super::tape::{Place, Strings};
use super::text;
use crate::error::{Error, ErrorKind};
use crate::slice::bytes_in;

/// A buffer to which unescaped text is appended.
pub(super) struct Scratch<'t> {
    pub(super) strings: &'t mut Strings,
    /// The largest length of the text, which bounds the growth of the buffer.
    pub(super) most: usize,
}

/// A string that was unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unescaped {
    /// The position behind the last quote.
    pub(super) end: usize,
    pub(super) lone_surrogates: u32,
    /// True if the bytes behind the first escape are known to be ASCII.
    pub(super) is_ascii: bool,
}

/// Unescapes the string of `bytes` whose first quote is before `start`.
///
/// The bytes from `start` to `plain_end` have no escape. A lone surrogate is half of a surrogate pair
/// without its other half: an error if `strict`, else U+FFFD. The unescaped text is UTF-8 if the
/// string is.
#[expect(clippy::cast_possible_truncation, reason = "the texts are within the limits of an event")]
pub(super) fn unescape(
    bytes: &[u8],
    (start, plain_end): (usize, usize),
    strict: bool,
    scratch: &mut Scratch<'_>,
) -> Result<Unescaped, Error> {
    let (mut lone_surrogates, mut is_ascii) = (0, true);
    let text_start = scratch.strings.text.len();
    scratch.push(bytes_in(bytes, start..plain_end));
    let mut at = plain_end;
    loop {
        // Most escapes come alone. Texts that aren't Latin may have escapes only.
        while let Some([b'\\', name, ..]) = bytes.get(at..) {
            scratch.reserve(LONGEST_CHARACTER);
            let text = &mut scratch.strings.text;
            match look_up(&CHARACTERS, *name) {
                UNICODE => match push_unicode(text, bytes_in(bytes, at..)) {
                    Some(Pushed { len, is_lone: false }) => at += len,
                    Some(_) if strict => {
                        return Err(Error::new(ErrorKind::LoneSurrogate, at as u64));
                    }
                    Some(Pushed { len, is_lone: true }) => {
                        lone_surrogates += 1;
                        at += len;
                    }
                    None => return Err(invalid(bytes, at)),
                },
                NO_ESCAPE => return Err(invalid(bytes, at)),
                character => {
                    text.push(character);
                    at += 2;
                }
            }
        }
        let (end, is_plain_ascii) = scratch.push_plain(bytes, at);
        is_ascii &= is_plain_ascii;
        at = end;
        match bytes.get(at) {
            Some(b'"') => break,
            Some(b'\\') if at + 1 == bytes.len() => return Err(invalid(bytes, at)),
            Some(0x20..) => {}
            Some(_) => return Err(Error::new(ErrorKind::ControlCharacter, at as u64)),
            None => return Err(Error::new(ErrorKind::UnexpectedEnd, at as u64)),
        }
    }
    let end = scratch.strings.text.len() as u32;
    debug_assert!(text_start <= end as usize, "an unescaped string is within its text");
    scratch.strings.places.push(Place { start: text_start as u32, end });
    Ok(Unescaped { end: at + 1, lone_surrogates, is_ascii })
}

/// Appends the string at the front of `bytes` to `strings`.
///
/// Its first quote is before `bytes`, and its first escape is at `plain_end`; `is_ascii` is true if the
/// bytes before are known to be ASCII. Returns the length of the string without its quotes, and its
/// position among `strings`. Returns `None` if it isn't UTF-8, or has an invalid escape or half a
/// surrogate pair.
#[inline(never)]
pub(crate) fn unescape_into(
    strings: &mut Strings,
    bytes: &[u8],
    plain_end: usize,
    is_ascii: bool,
) -> Option<(usize, u32)> {
    let number = u32::try_from(strings.places.len()).ok()?;
    let start = strings.text.len();
    let mut scratch = Scratch { strings, most: usize::MAX };
    let unescaped = unescape(bytes, (0, plain_end), true, &mut scratch).ok()?;
    let is_text =
        is_ascii && unescaped.is_ascii || text(bytes_in(&strings.text, start..)).is_some();
    is_text.then_some((unescaped.end - 1, number))
}

/// Marks the name of an escape by digits, and a byte that is the name of none.
const UNICODE: u8 = b'u';
const NO_ESCAPE: u8 = 0;

/// The characters of escapes by the byte behind the backslash.
#[expect(clippy::indexing_slicing, reason = "runs at compile time only")]
static CHARACTERS: [u8; 256] = {
    let mut characters = [NO_ESCAPE; 256];
    let mut rest: &[(u8, u8)] = &[
        (b'u', UNICODE),
        (b'n', b'\n'),
        (b'"', b'"'),
        (b'\\', b'\\'),
        (b'/', b'/'),
        (b'b', 8),
        (b'f', 0xC),
        (b'r', b'\r'),
        (b't', b'\t'),
    ];
    while let [(name, character), behind @ ..] = rest {
        characters[*name as usize] = *character;
        rest = behind;
    }
    characters
};

/// The values of hexadecimal digits, and [`NO_DIGIT`] for other bytes.
#[expect(clippy::indexing_slicing, reason = "runs at compile time only")]
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        digits[digit as usize] = value;
        digits[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0x10;

/// Returns the entry of a table for a byte.
#[inline]
fn look_up(table: &[u8; 256], byte: u8) -> u8 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The longest character in UTF-8, in bytes.
const LONGEST_CHARACTER: usize = 4;

/// A character that was appended.
struct Pushed {
    /// The length of its escape.
    len: usize,
    /// True if it is U+FFFD for half a surrogate pair without its other half.
    is_lone: bool,
}

/// Appends the character of `\u` and four digits, or of two of these that are a surrogate pair.
///
/// Returns `None` if there are fewer digits.
#[expect(clippy::cast_possible_truncation, reason = "each byte has its bits of the code unit")]
#[inline]
fn push_unicode(text: &mut Vec<u8>, escape: &[u8]) -> Option<Pushed> {
    let unit = code_unit(escape)?;
    let continuation = |shift: u32| 0x80 | (unit >> shift) as u8 & 0x3F;
    match unit {
        0..0x80 => text.push(unit as u8),
        0x80..0x800 => text.extend_from_slice(&[0xC0 | (unit >> 6) as u8, continuation(0)]),
        0xD800..0xE000 => return Some(push_surrogate(text, unit, escape)),
        _ => text.extend_from_slice(&[0xE0 | (unit >> 12) as u8, continuation(6), continuation(0)]),
    }
    Some(Pushed { len: 6, is_lone: false })
}

/// Appends the character of a surrogate pair, of which `unit` is the first half.
#[inline(never)]
fn push_surrogate(text: &mut Vec<u8>, unit: u32, escape: &[u8]) -> Pushed {
    let low = escape.get(6..).and_then(code_unit);
    let character = match (unit, low) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        }
        _ => None,
    };
    let mut bytes = [0; LONGEST_CHARACTER];
    let whole = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(whole.encode_utf8(&mut bytes).as_bytes());
    Pushed { len: if character.is_some() { 12 } else { 6 }, is_lone: character.is_none() }
}

/// Returns the code unit of the `\u` escape at the front of `rest`.
#[inline]
pub(crate) fn code_unit(rest: &[u8]) -> Option<u32> {
    let [b'\\', b'u', a, b, c, d, ..] = rest else { return None };
    let [a, b, c, d] = [a, b, c, d].map(|digit| u32::from(look_up(&DIGITS, *digit)));
    ((a | b | c | d) & u32::from(NO_DIGIT) == 0).then_some(a << 12 | b << 8 | c << 4 | d)
}

/// Returns the error in the escape at `at`; an escape that may continue is `UnexpectedEnd`.
#[cold]
fn invalid(bytes: &[u8], at: usize) -> Error {
    let rest = bytes_in(bytes, at + 1..);
    let digits = rest.strip_prefix(b"u");
    let is_cut =
        digits.is_some_and(|digits| digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit));
    if rest.is_empty() || is_cut {
        Error::new(ErrorKind::UnexpectedEnd, bytes.len() as u64)
    } else {
        Error::new(ErrorKind::InvalidEscape, at as u64)
    }
}

impl Scratch<'_> {
    /// Appends the bytes at `at` up to the first special byte.
    ///
    /// Returns the end of them, and true if they are known to be ASCII.
    ///
    /// Most have the length of a word. So it copies a block, and then removes its rest: a copy of
    /// fixed size is no call, and no branch depends on the length.
    #[inline]
    fn push_plain(&mut self, bytes: &[u8], at: usize) -> (usize, bool) {
        let Some(block) = block_at(bytes, at) else { return self.push_long(bytes, at) };
        let len = plain_in(block);
        self.reserve(SIZE);
        let text = &mut self.strings.text;
        let end = text.len() + len;
        text.extend_from_slice(block);
        text.truncate(end);
        let is_ascii = !has_high(block, len);
        if len < SIZE {
            return (at + len, is_ascii);
        }
        let (end, is_rest_ascii) = self.push_long(bytes, at + len);
        (end, is_ascii && is_rest_ascii)
    }

    #[inline(never)]
    fn push_long(&mut self, bytes: &[u8], at: usize) -> (usize, bool) {
        let rest = bytes_in(bytes, at..);
        let (len, is_ascii) = plain(rest);
        self.push(bytes_in(rest, ..len));
        (at + len, is_ascii)
    }

    fn push(&mut self, text: &[u8]) {
        self.reserve(text.len());
        self.strings.text.extend_from_slice(text);
    }

    /// Reserves so many bytes.
    ///
    /// The capacity doubles, but up to `most` and a block only: an escape is never shorter than its
    /// character.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if more > self.strings.text.capacity() - self.strings.text.len() {
            self.grow(self.strings.text.len() + more);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let most = self.most.saturating_add(SIZE);
        let capacity = needed.next_power_of_two().min(most).max(needed);
        self.strings.text.reserve_exact(capacity - self.strings.text.len());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::tape::{ESCAPED, Kind, Node, Strings};
    use super::{Scratch, unescape};
    use crate::error::ErrorKind;

    /// Generates parts of strings, each with its UTF-16 code units.
    fn parts() -> impl Strategy<Value = Vec<(String, Vec<u16>)>> {
        let plain = "[a-z é中😀]{0,9}|[a-zé中😀]{20,90}".prop_map(|text| {
            let units = text.encode_utf16().collect();
            (text, units)
        });
        let names = vec![
            ('n', 0x0A),
            ('"', 0x22),
            ('\\', 0x5C),
            ('/', 0x2F),
            ('b', 8),
            ('f', 0xC),
            ('r', 0xD),
            ('t', 9),
        ];
        let short = proptest::sample::select(names)
            .prop_map(|(name, unit)| (format!("\\{name}"), vec![unit]));
        let unit = prop_oneof![any::<u16>(), 0u16..0x900, 0xD700u16..0xE100];
        let long = (unit, any::<bool>()).prop_map(|(unit, upper)| {
            let digits = if upper { format!("{unit:04X}") } else { format!("{unit:04x}") };
            (format!("\\u{digits}"), vec![unit])
        });
        vec(prop_oneof![plain, short, long], 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

        /// Compares the text with the decoded code units of its parts.
        #[test]
        fn strings_are_their_code_units(parts in parts(), before in ".{0,3}", behind in ".{0,20}") {
            let (raw, units): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            let raw = raw.concat();
            let units = char::decode_utf16(units.concat());
            let lone = units.clone().filter(Result::is_err).count();
            let expected: String = units.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            let json = format!("{raw}\"{behind}");
            let mut strings = Strings::new();
            strings.text.extend_from_slice(before.as_bytes());
            let plain = json.find(['\\', '"']).unwrap();
            let mut scratch = Scratch { strings: &mut strings, most: before.len() + json.len() };
            let found = unescape(json.as_bytes(), (0, plain), false, &mut scratch).unwrap();
            prop_assert_eq!((found.end, found.lone_surrogates as usize), (raw.len() + 1, lone));
            let behind = raw.get(plain..).unwrap_or_default();
            prop_assert!(behind.is_ascii() || !found.is_ascii);
            let node = Node { kind: Kind::String, start: 0, end: 0, payload: ESCAPED };
            prop_assert_eq!(strings.get(node), expected);
            let mut scratch = Scratch { strings: &mut strings, most: 2 * json.len() };
            let strict = unescape(json.as_bytes(), (0, plain), true, &mut scratch);
            let kind = strict.err().map(|error| error.kind());
            prop_assert_eq!(kind, (lone > 0).then_some(ErrorKind::LoneSurrogate));
        }
    }

    #[test]
    fn invalid_escapes_are_errors_at_their_position() {
        for (json, kind, at) in [
            ("ab\\x\"", ErrorKind::InvalidEscape, 2),
            ("ab\\u12g4\"", ErrorKind::InvalidEscape, 2),
            ("ab\\u12\"xyz", ErrorKind::InvalidEscape, 2),
            ("a\\n\\\u{e9}\"", ErrorKind::InvalidEscape, 3),
            ("ab\\", ErrorKind::UnexpectedEnd, 3),
            ("ab\\n\\", ErrorKind::UnexpectedEnd, 5),
            ("ab\\u12", ErrorKind::UnexpectedEnd, 6),
            ("ab\\n0123456789abcdef", ErrorKind::UnexpectedEnd, 20),
            ("ab\\n\u{1f}\"", ErrorKind::ControlCharacter, 4),
            ("\\\u{0}\"", ErrorKind::InvalidEscape, 0),
        ] {
            let mut strings = Strings::new();
            let plain = json.find('\\').unwrap();
            let mut scratch = Scratch { strings: &mut strings, most: json.len() };
            let error = unescape(json.as_bytes(), (0, plain), false, &mut scratch).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, at), "{json}");
        }
    }
}
