//! The strings, numbers and words of a JSON text: any of them.

use super::parser::{JsonDeviations, fail};
use super::scan::{digits_len, plain_len};
use super::tape::{ESCAPED, Kind, Node};
use super::unescape::{Scratch, unescape};
use crate::error::{Error, ErrorKind};
use crate::slice::{bytes_in, text_in};

/// Reads the values without contents that the parser doesn't read itself.
///
/// Each method gets the position at which a value begins, and returns its node.
pub(super) struct Leaves<'r> {
    pub(super) json: &'r str,
    pub(super) bytes: &'r [u8],
    /// True if a deviation is an error.
    pub(super) strict: bool,
    pub(super) scratch: Scratch<'r>,
    pub(super) deviations: JsonDeviations,
}

#[expect(clippy::cast_possible_truncation, reason = "a text has less than 2 GiB")]
impl Leaves<'_> {
    /// Reads a string, number or word, of which `first` is the first byte.
    ///
    /// A word is `true`, `false`, `null`, or Python's text for a number that isn't finite.
    #[inline(never)]
    pub(super) fn read(&mut self, at: u32, first: u8) -> Result<Node, Error> {
        match first {
            b'"' => self.string(at),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.literal(at, b"true", Kind::True),
            b'f' => self.literal(at, b"false", Kind::False),
            b'n' => self.literal(at, b"null", Kind::Null),
            b'N' => self.literal(at, b"NaN", Kind::NonFiniteNumber),
            b'I' => self.literal(at, b"Infinity", Kind::NonFiniteNumber),
            _ => self.fail(ErrorKind::ExpectedValue, at),
        }
    }

    #[inline]
    fn literal<const N: usize>(
        &mut self,
        start: u32,
        word: &[u8; N],
        kind: Kind,
    ) -> Result<Node, Error> {
        let end = start + N as u32;
        if self.bytes.get(start as usize..end as usize) != Some(word) {
            return self.no_literal(start, word);
        }
        if kind == Kind::NonFiniteNumber {
            self.tolerate(ErrorKind::NonFiniteNumber, start)?;
            self.deviations.non_finite_numbers += 1;
        }
        Ok(Node { kind, start, end, payload: 0 })
    }

    /// Returns the error of a text that differs from the word that it begins as.
    #[cold]
    fn no_literal(&self, start: u32, word: &[u8]) -> Result<Node, Error> {
        let rest = bytes_in(self.bytes, start as usize..);
        let same = rest.iter().zip(word).take_while(|(byte, wanted)| byte == wanted).count();
        self.fail(ErrorKind::ExpectedValue, start + same as u32)
    }

    /// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "+" / "-" ] 1*digit ]`
    fn number(&mut self, start: u32) -> Result<Node, Error> {
        let whole = start + u32::from(self.byte(start) == Some(b'-'));
        let end = match self.byte(whole) {
            Some(b'0') => whole + 1,
            Some(b'I') => return self.literal(start, b"-Infinity", Kind::NonFiniteNumber),
            _ => self.digits(whole)?,
        };
        match self.byte(end) {
            Some(b'.' | b'e' | b'E') => self.fraction_or_exponent(start, end),
            // A number of so many digits fits an `i64`.
            _ if end - start <= 18 => Ok(Node { kind: Kind::Number, start, end, payload: 0 }),
            _ => self.long_integer(start, end),
        }
    }

    /// Reads the rest of a number, whose integer part ends at `at`.
    fn fraction_or_exponent(&mut self, start: u32, at: u32) -> Result<Node, Error> {
        let mut end = at;
        if self.byte(end) == Some(b'.') {
            end = self.digits(end + 1)?;
        }
        let mut may_be_huge = end - start > 300;
        if let Some(b'e' | b'E') = self.byte(end) {
            may_be_huge = true;
            let sign = u32::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            end = self.digits(end + 1 + sign)?;
        }
        let mut kind = Kind::Number;
        if may_be_huge && !self.between(start, end).parse().is_ok_and(f64::is_finite) {
            self.tolerate(ErrorKind::FloatOutOfRange, start)?;
            self.deviations.floats_out_of_range += 1;
            kind = Kind::Huge;
        }
        Ok(Node { kind, start, end, payload: 0 })
    }

    #[cold]
    fn long_integer(&mut self, start: u32, end: u32) -> Result<Node, Error> {
        let digits = self.between(start, end);
        let mut kind = Kind::Number;
        if digits.parse::<u64>().is_err() && digits.parse::<i64>().is_err() {
            if !digits.parse().is_ok_and(f64::is_finite) {
                kind = Kind::Huge;
            }
            self.tolerate(ErrorKind::IntegerOutOfRange, start)?;
            self.deviations.integers_out_of_range += 1;
        }
        Ok(Node { kind, start, end, payload: 0 })
    }

    /// Reads `1*digit`; returns the end.
    #[inline]
    fn digits(&self, start: u32) -> Result<u32, Error> {
        match digits_len(bytes_in(self.bytes, start as usize..)) {
            0 => self.fail(ErrorKind::InvalidNumber, start),
            len => Ok(start + len as u32),
        }
    }

    /// Reads a string.
    fn string(&mut self, start: u32) -> Result<Node, Error> {
        let text = bytes_in(self.bytes, start as usize + 1..);
        let payload = plain_len(text) as u32;
        let end = start + 1 + payload;
        if self.byte(end) != Some(b'"') {
            return self.escaped_string(start, end);
        }
        Ok(Node { kind: Kind::String, start, end: end + 1, payload })
    }

    /// Reads a string whose first escape is at `at`; fails if there is no backslash.
    #[cold]
    #[inline(never)]
    fn escaped_string(&mut self, start: u32, at: u32) -> Result<Node, Error> {
        if self.byte(at) != Some(b'\\') {
            return self.fail(ErrorKind::ControlCharacter, at);
        }
        let number = self.scratch.strings.places.len() as u32;
        let plain = (start as usize + 1, at as usize);
        let string = unescape(self.bytes, plain, self.strict, &mut self.scratch)?;
        self.deviations.lone_surrogates += string.lone_surrogates;
        Ok(Node { kind: Kind::String, start, end: string.end as u32, payload: ESCAPED | number })
    }

    fn byte(&self, at: u32) -> Option<u8> {
        self.bytes.get(at as usize).copied()
    }

    fn between(&self, start: u32, end: u32) -> &str {
        text_in(self.json, start as usize..end as usize)
    }

    /// Fails if deviations from interoperable JSON are errors.
    #[cold]
    fn tolerate(&self, kind: ErrorKind, at: u32) -> Result<(), Error> {
        if self.strict { Err(Error::new(kind, u64::from(at))) } else { Ok(()) }
    }

    fn fail<T>(&self, kind: ErrorKind, at: u32) -> Result<T, Error> {
        fail(self.bytes, kind, at)
    }
}
