//! The reader: RFC 8259 in one pass over the bytes, with the few leniencies that real streams need.

use core::str;

use super::Bounds;
use super::hole::Scratch;
use super::node::{ESCAPED, Kind, Node, NodeId, Tape, Unescaped};
use super::scan::plain_len;
use crate::error::{Error, ErrorKind};

/// What was let pass in one payload though RFC 8259 doesn't allow it, or leaves it open and
/// widespread readers turn it down. Each is counted; in a strict decoder the first one makes its
/// event malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leniencies {
    /// Escaped halves of a surrogate pair without their other half, read as U+FFFD. A server
    /// that cuts UTF-16 text between two deltas sends them.
    pub lone_surrogates: u32,
    /// `NaN`, `Infinity` and `-Infinity`, which Python writes. They read as `None`.
    pub not_finite: u32,
    /// Integers beyond `u64` or `i64`. Their text is kept.
    pub big_integers: u32,
    /// Numbers beyond `f64`, such as `1e400`. Their text is kept.
    pub huge_numbers: u32,
}

impl Leniencies {
    /// Whether nothing was let pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another payload has; counts stop at `u32::MAX`.
    pub(crate) fn add(&mut self, other: Self) {
        for (sum, count) in [
            (&mut self.lone_surrogates, other.lone_surrogates),
            (&mut self.not_finite, other.not_finite),
            (&mut self.big_integers, other.big_integers),
            (&mut self.huge_numbers, other.huge_numbers),
        ] {
            *sum = sum.saturating_add(count);
        }
    }
}

/// Reads `json` onto an empty tape.
pub(super) fn read(
    json: &str,
    bounds: Bounds,
    tape: &mut Tape,
    open: &mut Vec<NodeId>,
) -> Result<Leniencies, Error> {
    let Tape { nodes, text, unescaped, .. } = tape;
    let leniencies = Leniencies::default();
    let bytes = json.as_bytes();
    // By value while it reads: behind a reference, each push would look its place up again.
    let nodes_of = core::mem::take(nodes);
    let mut reader =
        Reader { json, bytes, at: 0, bounds, text, unescaped, nodes: nodes_of, open, leniencies };
    let read = reader.document();
    *nodes = reader.nodes;
    read.map(|()| reader.leniencies)
}

/// Unescapes what stands behind the first quote of a string, its last one included; gives its number
/// among the unescaped ones. `None` where it is no string of JSON, or needs a leniency.
pub(super) fn unescape(quoted: &str, scratch: &mut Scratch<'_>) -> Option<u32> {
    let Scratch { text, unescaped } = scratch;
    // It grows by doubling here: many short texts go through it.
    text.reserve(quoted.len() + 4);
    let mut reader = Reader {
        json: quoted,
        bytes: quoted.as_bytes(),
        at: 0,
        bounds: Bounds { depth: 0, values: 0, strict: true },
        text,
        unescaped,
        nodes: Vec::new(),
        open: &mut Vec::new(),
        leniencies: Leniencies::default(),
    };
    reader.at = plain_len(reader.bytes);
    let number = reader.unescape(0).ok()?;
    (reader.at == quoted.len()).then_some(number)
}

struct Reader<'r> {
    json: &'r str,
    bytes: &'r [u8],
    at: usize,
    bounds: Bounds,
    text: &'r mut String,
    unescaped: &'r mut Vec<Unescaped>,
    nodes: Vec<Node>,
    open: &'r mut Vec<NodeId>,
    leniencies: Leniencies,
}

/// What encloses the value at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Array,
    Object,
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a text has less than 4 GiB and more bytes than nodes, so positions fit in u32"
)]
impl Reader<'_> {
    /// `ws value ws`. Open arrays and objects are kept on a list, so that depth costs no stack.
    fn document(&mut self) -> Result<(), Error> {
        let mut inside = Inside::Nothing;
        loop {
            // A value begins here, and it is the first in what was just entered.
            match self.next() {
                Some(b'"') => self.string()?,
                Some(b'{') => {
                    self.enter(Kind::Object)?;
                    inside = Inside::Object;
                    if self.next() != Some(b'}') {
                        self.name()?;
                        continue;
                    }
                    inside = self.close();
                }
                Some(b'[') => {
                    self.enter(Kind::Array)?;
                    inside = Inside::Array;
                    if self.next() != Some(b']') {
                        continue;
                    }
                    inside = self.close();
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                other => self.word(other)?,
            }
            // A value has ended here, and with it perhaps what holds it.
            loop {
                match (inside, self.next()) {
                    (Inside::Object, Some(b',')) => {
                        self.at += 1;
                        self.check_values()?;
                        self.next();
                        self.name()?;
                        break;
                    }
                    (Inside::Array, Some(b',')) => {
                        self.at += 1;
                        self.check_values()?;
                        break;
                    }
                    (Inside::Object, Some(b'}')) | (Inside::Array, Some(b']')) => {
                        inside = self.close();
                    }
                    (Inside::Nothing, None) => return self.check_values(),
                    (Inside::Nothing, Some(_)) => return self.fail(ErrorKind::TrailingData),
                    _ => return self.fail(ErrorKind::ExpectedCommaOrEnd),
                }
            }
        }
    }

    /// `string ws : `
    #[expect(clippy::inline_always, reason = "measured: a call for each costs a twentieth")]
    #[inline(always)]
    fn name(&mut self) -> Result<(), Error> {
        if self.peek() != Some(b'"') {
            return self.fail(ErrorKind::ExpectedName);
        }
        self.string()?;
        if self.next() != Some(b':') {
            return self.fail(ErrorKind::ExpectedColon);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn enter(&mut self, kind: Kind) -> Result<(), Error> {
        if self.open.len() >= self.bounds.depth {
            return self.fail(ErrorKind::TooDeep);
        }
        self.open.push(self.nodes.len() as u32);
        self.nodes.push(Node { kind, start: self.at as u32, end: 0, extra: 0 });
        self.at += 1;
        self.check_values()
    }

    /// Ends the innermost array or object; gives what encloses it.
    #[inline]
    fn close(&mut self) -> Inside {
        self.at += 1;
        let (end, behind) = (self.at as u32, self.nodes.len() as u32);
        if let Some(node) = self.open.pop().and_then(|id| self.nodes.get_mut(id as usize)) {
            node.end = end;
            node.extra = behind;
        }
        match self.open.last().and_then(|id| self.nodes.get(*id as usize)) {
            None => Inside::Nothing,
            Some(node) if node.kind == Kind::Array => Inside::Array,
            Some(_) => Inside::Object,
        }
    }

    /// `true`, `false`, `null`, and what Python writes for numbers that aren't finite.
    fn word(&mut self, first: Option<u8>) -> Result<(), Error> {
        match first {
            Some(b't') => self.literal(b"true", Kind::True),
            Some(b'f') => self.literal(b"false", Kind::False),
            Some(b'n') => self.literal(b"null", Kind::Null),
            Some(b'N') => self.literal(b"NaN", Kind::NotFinite),
            Some(b'I') => self.literal(b"Infinity", Kind::NotFinite),
            _ => self.fail(ErrorKind::ExpectedValue),
        }
    }

    #[inline]
    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<(), Error> {
        let start = self.at;
        if self.bytes.get(start..start + word.len()) != Some(word) {
            let rest = self.bytes.get(start..).unwrap_or_default();
            self.at += rest.iter().zip(word).take_while(|(byte, wanted)| byte == wanted).count();
            return self.fail(ErrorKind::ExpectedValue);
        }
        if kind == Kind::NotFinite {
            self.tolerate(ErrorKind::NotFinite, start)?;
            self.leniencies.not_finite += 1;
        }
        self.at += word.len();
        self.leaf(kind, start, 0);
        Ok(())
    }

    /// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "+" / "-" ] 1*digit ]`
    #[inline]
    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'I') if self.at > start => return self.minus_infinity(start),
            _ => self.digits()?,
        }
        match self.peek() {
            Some(b'.' | b'e' | b'E') => self.fraction_or_exponent(start),
            // So many digits fit an i64.
            _ if self.at - start <= 18 => {
                self.leaf(Kind::Number, start, 0);
                Ok(())
            }
            _ => self.long_integer(start),
        }
    }

    fn fraction_or_exponent(&mut self, start: usize) -> Result<(), Error> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut may_be_huge = self.at - start > 300;
        if let Some(b'e' | b'E') = self.peek() {
            may_be_huge = true;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        if may_be_huge && !self.since(start).parse().is_ok_and(f64::is_finite) {
            self.tolerate(ErrorKind::HugeNumber, start)?;
            self.leniencies.huge_numbers += 1;
            self.leaf(Kind::Huge, start, 0);
        } else {
            self.leaf(Kind::Number, start, 0);
        }
        Ok(())
    }

    #[cold]
    fn long_integer(&mut self, start: usize) -> Result<(), Error> {
        let digits = self.since(start);
        if digits.parse::<u64>().is_err() && digits.parse::<i64>().is_err() {
            let is_finite = digits.parse().is_ok_and(f64::is_finite);
            self.tolerate(ErrorKind::BigInteger, start)?;
            self.leniencies.big_integers += 1;
            self.leaf(if is_finite { Kind::Number } else { Kind::Huge }, start, 0);
        } else {
            self.leaf(Kind::Number, start, 0);
        }
        Ok(())
    }

    #[cold]
    fn minus_infinity(&mut self, start: usize) -> Result<(), Error> {
        self.at = start;
        self.literal(b"-Infinity", Kind::NotFinite)
    }

    /// `1*digit`
    #[inline]
    fn digits(&mut self) -> Result<(), Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += len;
        if len == 0 { self.fail(ErrorKind::InvalidNumber) } else { Ok(()) }
    }

    /// A string. Most have no escape and are what stands between their quotes.
    #[expect(clippy::inline_always, reason = "measured: a call for each costs a twentieth")]
    #[inline(always)]
    fn string(&mut self) -> Result<(), Error> {
        let start = self.at;
        let rest = self.bytes.get(start + 1..).unwrap_or_default();
        let len = plain_len(rest);
        self.at += 1 + len;
        if rest.get(len) != Some(&b'"') {
            return self.escaped_string(start);
        }
        self.at += 1;
        self.leaf(Kind::String, start, len as u32);
        Ok(())
    }

    /// The rest of a string whose first escape, or end, is here.
    #[cold]
    #[inline(never)]
    fn escaped_string(&mut self, start: usize) -> Result<(), Error> {
        let number = self.unescape(start + 1)?;
        self.leaf(Kind::String, start, ESCAPED | number);
        Ok(())
    }

    /// Goes to the end of the string whose first quote is before `start`, and unescapes it; gives
    /// its number among the unescaped texts. There is no escape up to here.
    fn unescape(&mut self, start: usize) -> Result<u32, Error> {
        let text_start = self.text.len();
        let mut plain = start;
        loop {
            let run = self.json.get(plain..self.at).unwrap_or_default();
            self.reserve(run.len() + 4);
            self.text.push_str(run);
            match self.peek() {
                None => return Err(self.end()),
                Some(b'"') => break,
                Some(b'\\') => {
                    let character = self.escape()?;
                    self.text.push(character);
                }
                Some(_) => return self.fail(ErrorKind::ControlCharacter),
            }
            plain = self.at;
            self.at += plain_len(self.bytes.get(plain..).unwrap_or_default());
        }
        self.at += 1;
        let number = self.unescaped.len() as u32;
        self.unescaped.push(Unescaped { start: text_start as u32, end: self.text.len() as u32 });
        Ok(number)
    }

    /// Makes room for so many bytes of unescaped text. It grows by doubling, but to no more than
    /// the JSON text has: an escape is never shorter than what it stands for.
    fn reserve(&mut self, more: usize) {
        let needed = self.text.len() + more;
        if needed > self.text.capacity() {
            let capacity = needed.next_power_of_two().min(self.json.len()).max(needed);
            self.text.reserve_exact(capacity - self.text.len());
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let character = match self.bytes.get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            Some(_) => return self.fail(ErrorKind::InvalidEscape),
            None => return Err(self.end()),
        };
        self.at += 2;
        Ok(character)
    }

    /// `\u` and four digits, or two of these that are a surrogate pair.
    fn unicode_escape(&mut self) -> Result<char, Error> {
        let Some(high) = self.code_unit(self.at) else {
            let digits = self.bytes.get(self.at + 2..).unwrap_or_default();
            let is_cut = digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit);
            return if is_cut { Err(self.end()) } else { self.fail(ErrorKind::InvalidEscape) };
        };
        let start = self.at;
        self.at += 6;
        if let Some(character) = char::from_u32(high) {
            return Ok(character);
        }
        let low = self.code_unit(self.at);
        if let (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) = (high, low) {
            self.at += 6;
            let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.tolerate(ErrorKind::LoneSurrogate, start)?;
        self.leniencies.lone_surrogates += 1;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    /// The code unit that the escape at `at` writes.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.bytes.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
    }

    /// Adds the value that began at `start` and ends here.
    #[inline]
    fn leaf(&mut self, kind: Kind, start: usize, extra: u32) {
        self.nodes.push(Node { kind, start: start as u32, end: self.at as u32, extra });
    }

    /// Fails where there are more nodes than there may be. Between two looks only few are added.
    #[inline]
    fn check_values(&self) -> Result<(), Error> {
        match self.nodes.get(self.bounds.values) {
            None => Ok(()),
            Some(node) => Err(Error::new(ErrorKind::TooManyValues, u64::from(node.start))),
        }
    }

    /// The next byte behind white space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                next => return next,
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn since(&self, start: usize) -> &str {
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Turns a leniency that begins at `at` into an error where none is allowed.
    #[cold]
    fn tolerate(&self, kind: ErrorKind, at: usize) -> Result<(), Error> {
        if self.bounds.strict { Err(Error::new(kind, at as u64)) } else { Ok(()) }
    }

    /// What is wrong at the byte at hand; the end of the text is wrong in one way only.
    #[cold]
    fn fail<T>(&self, kind: ErrorKind) -> Result<T, Error> {
        let is_end = self.at >= self.bytes.len();
        Err(if is_end { self.end() } else { Error::new(kind, self.at as u64) })
    }

    fn end(&self) -> Error {
        Error::new(ErrorKind::UnexpectedEnd, self.bytes.len() as u64)
    }
}
