//! Unescapes strings of JSON (RFC 8259, section 7).

use core::ops::Range;

use super::block::{SIZE, block_at, has_high, plain_in, special_bits};
use super::scan::plain;
use super::tape::{Place, Strings};
use super::text;
use crate::error::{Error, ErrorKind};
use crate::slice::{bytes_in, items_in_mut};

/// The bytes of a window of which the special ones are found at once.
const BLOCKS: usize = 4 * SIZE;
/// The bytes of a window, from each of whose first ones a block can be copied.
const WINDOW: usize = BLOCKS + SIZE;

/// The smallest buffer for unescaped text, in bytes: most events need no larger one.
const SMALLEST: usize = 128;

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
    let text_start = scratch.strings.text.len();
    scratch.push(bytes_in(bytes, start..plain_end));
    let (mut at, mut lone_surrogates, mut is_ascii, mut parts) = (plain_end, 0, true, 0);
    loop {
        // Most escapes come alone. Texts that aren't Latin may have escapes only.
        while let Some([b'\\', name, ..]) = bytes.get(at..) {
            scratch.reserve(LONGEST_CHARACTER);
            let text = &mut scratch.strings.text;
            match look_up(&CHARACTERS, *name) {
                UNICODE => {
                    let Unicode { character, escape_len, is_lone } = unicode(bytes, at, strict)?;
                    push_start(text, &character.bytes.to_le_bytes(), character.len);
                    lone_surrogates += u32::from(is_lone);
                    at += escape_len;
                }
                NO_ESCAPE => return Err(invalid(bytes, at)),
                character => {
                    text.push(character);
                    at += 2;
                }
            }
        }
        parts += 1;
        if parts == MANY_PARTS {
            let windows = scratch.push_windows(bytes, at, strict)?;
            at = windows.end;
            lone_surrogates += windows.lone_surrogates;
            is_ascii &= windows.is_ascii;
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

/// The number of plain parts behind escapes from which a string is read by windows.
///
/// Most strings with escapes have one or two, for which a window is too large.
const MANY_PARTS: u32 = 8;

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
    strings.pad();
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

/// A character in UTF-8.
#[derive(Clone, Copy)]
struct Character {
    /// The bytes, of which the lowest is the first. As a number they are never stored one by one.
    bytes: u32,
    len: usize,
}

/// The character of an escape with digits.
struct Unicode {
    character: Character,
    escape_len: usize,
    /// True if the character is U+FFFD for half a surrogate pair without its other half.
    is_lone: bool,
}

/// Returns the character of `\u` and four digits, or of two of these that are a surrogate pair.
///
/// Fails if there are fewer digits, and if `strict` at half a surrogate pair.
#[inline]
fn unicode(bytes: &[u8], at: usize, strict: bool) -> Result<Unicode, Error> {
    let escape = bytes_in(bytes, at..);
    let Some(unit) = code_unit(escape) else { return Err(invalid(bytes, at)) };
    let continuation = |shift: u32| 0x80 | (unit >> shift) & 0x3F;
    let (bytes, len) = match unit {
        0..0x80 => (unit, 1),
        0x80..0x800 => (0xC0 | unit >> 6 | continuation(0) << 8, 2),
        0xD800..0xE000 => {
            let unicode = surrogate(unit, escape);
            let is_error = unicode.is_lone && strict;
            let error = || Error::new(ErrorKind::LoneSurrogate, at as u64);
            return if is_error { Err(error()) } else { Ok(unicode) };
        }
        _ => (0xE0 | unit >> 12 | continuation(6) << 8 | continuation(0) << 16, 3),
    };
    Ok(Unicode { character: Character { bytes, len }, escape_len: 6, is_lone: false })
}

/// Returns the character of a surrogate pair, of which `unit` is the first half.
#[inline(never)]
fn surrogate(unit: u32, escape: &[u8]) -> Unicode {
    let low = escape.get(6..).and_then(code_unit);
    let pair = match (unit, low) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        }
        _ => None,
    };
    let mut bytes = [0; LONGEST_CHARACTER];
    let len = pair.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut bytes).len();
    let character = Character { bytes: u32::from_le_bytes(bytes), len };
    let escape_len = if pair.is_some() { 12 } else { 6 };
    Unicode { character, escape_len, is_lone: pair.is_none() }
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
    /// Appends the text of whole windows, up to a quote or a control character.
    ///
    /// `end` of the result is the position behind. A search for each escape would wait for the one
    /// before. Here the special bytes of a window are known before its first escape is read.
    ///
    /// ```text
    ///          start     read next
    ///          ▼         ▼     ▼
    /// window:  a b c \ n d e f \ " g …
    /// text:    a b c ⏎ d e f
    ///                  ▲
    ///                  write <= read - start
    /// ```
    #[inline(never)]
    fn push_windows(
        &mut self,
        bytes: &[u8],
        mut read: usize,
        strict: bool,
    ) -> Result<Unescaped, Error> {
        let (mut lone_surrogates, mut is_ascii, mut is_over) = (0, true, false);
        while !is_over
            && let Some((window, _)) = bytes_in(bytes, read..).split_first_chunk::<WINDOW>()
            && let Some((blocks, _)) = window.split_first_chunk()
        {
            self.reserve(WINDOW);
            let text_len = self.strings.text.len();
            self.strings.text.extend_from_slice(window);
            let out = items_in_mut(&mut self.strings.text, text_len..);
            let (start, mut write) = (read, 0);
            let mut specials = special_bits(blocks);
            is_ascii &= blocks.is_ascii();
            loop {
                let next = specials.trailing_zeros() as usize;
                copy_near(window, read - start..next, items_in_mut(out, write..));
                write += start + next - read;
                read = start + next;
                if next == BLOCKS {
                    break;
                }
                let Some([b'\\', name, ..]) = window.get(next..) else {
                    is_over = true;
                    break;
                };
                let (character, escape_len) = match look_up(&CHARACTERS, *name) {
                    UNICODE => {
                        let unicode = unicode(bytes, read, strict)?;
                        lone_surrogates += u32::from(unicode.is_lone);
                        (unicode.character, unicode.escape_len)
                    }
                    NO_ESCAPE => return Err(invalid(bytes, read)),
                    byte => (Character { bytes: byte.into(), len: 1 }, 2),
                };
                if let Some(place) = items_in_mut(out, write..).first_chunk_mut() {
                    *place = character.bytes.to_le_bytes();
                }
                write += character.len;
                read += escape_len;
                debug_assert!(write <= read - start, "an escape is longer than its character");
                if read - start >= BLOCKS {
                    break;
                }
                specials &= u64::MAX << (read - start);
            }
            self.strings.text.truncate(text_len + write);
        }
        Ok(Unescaped { end: read, lone_surrogates, is_ascii })
    }

    /// Appends the bytes at `at` up to the first special byte.
    ///
    /// Returns the end of them, and true if they are known to be ASCII.
    #[inline]
    fn push_plain(&mut self, bytes: &[u8], at: usize) -> (usize, bool) {
        let Some(block) = block_at(bytes, at) else { return self.push_long(bytes, at) };
        let len = plain_in(block);
        self.reserve(SIZE);
        push_start(&mut self.strings.text, block, len);
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
    /// The capacity doubles, but up to `most` and a window only: an escape is never shorter than its
    /// character.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if more > self.strings.text.capacity() - self.strings.text.len() {
            self.grow(self.strings.text.len() + more);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let most = self.most.saturating_add(WINDOW);
        let capacity = needed.next_power_of_two().max(SMALLEST).min(most).max(needed);
        self.strings.text.reserve_exact(capacity - self.strings.text.len());
    }
}

/// Appends the first `len` bytes of a few.
///
/// Copies all of them, and then removes the rest: a copy of fixed size is no call, and no branch
/// depends on the length.
#[inline]
fn push_start<const SIZE: usize>(text: &mut Vec<u8>, bytes: &[u8; SIZE], len: usize) {
    let end = text.len() + len;
    text.extend_from_slice(bytes);
    text.truncate(end);
}

/// Copies a part of a window, whose length is mostly that of a word, to the front of `out`.
#[inline]
fn copy_near(window: &[u8; WINDOW], part: Range<usize>, out: &mut [u8]) {
    let len = part.len();
    if len <= SIZE
        && let Some(block) = block_at(window, part.start)
        && let Some(place) = out.first_chunk_mut()
    {
        *place = *block;
        return;
    }
    for (place, byte) in out.iter_mut().zip(bytes_in(window, part)) {
        *place = *byte;
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
            // Behind many escapes, and far from the end, the string is read by windows.
            for (before, behind) in [(0, 0), (1, 0), (40, 0), (1, 90), (40, 90), (41, 99)] {
                let is_end = kind == ErrorKind::UnexpectedEnd;
                let behind = if is_end { 0 } else { behind };
                let json = format!("{}{json}{}", "ab\\n".repeat(before), "c".repeat(behind));
                let mut strings = Strings::new();
                let plain = json.find('\\').unwrap();
                let mut scratch = Scratch { strings: &mut strings, most: json.len() };
                let error = unescape(json.as_bytes(), (0, plain), false, &mut scratch).unwrap_err();
                let at = at + 4 * before as u64;
                assert_eq!((error.kind(), error.offset()), (kind, at), "{json}");
            }
        }
    }
}
