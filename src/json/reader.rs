//! The careful reader: RFC 8259 byte by byte, with the few leniencies that real streams need.

use core::str;

use super::Bounds;
use super::node::{Kind, Node, NodeId};
use crate::error::{Error, ErrorKind};

/// What was let pass though RFC 8259 and UTF-16 don't allow it; counted for each text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leniencies {
    /// Escaped halves of a surrogate pair without their other half, read as U+FFFD. A proxy
    /// that cuts UTF-16 text between two deltas sends them.
    pub(crate) lone_surrogates: u32,
    /// `NaN`, `Infinity` and `-Infinity`, which Python writes.
    pub(crate) not_finite: u32,
}

/// Reads `json` into `nodes`; `text` is a copy of it, in which strings are unescaped.
pub(crate) fn read(
    json: &[u8],
    bounds: Bounds,
    text: &mut [u8],
    nodes: &mut Vec<Node>,
    open: &mut Vec<NodeId>,
) -> Result<Leniencies, Error> {
    if let Err(error) = str::from_utf8(json) {
        return Err(Error::new(ErrorKind::InvalidUtf8, error.valid_up_to() as u64));
    }
    let leniencies = Leniencies::default();
    let mut reader = Reader { json, at: 0, bounds, text, nodes, open, leniencies };
    reader.document()?;
    Ok(reader.leniencies)
}

struct Reader<'r> {
    json: &'r [u8],
    at: usize,
    bounds: Bounds,
    text: &'r mut [u8],
    nodes: &'r mut Vec<Node>,
    open: &'r mut Vec<NodeId>,
    leniencies: Leniencies,
}

/// What the grammar wants next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Value,
    FirstElement,
    FirstName,
    Name,
    CommaOrEnd,
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a text has less than 4 GiB and more bytes than nodes, so positions fit in u32"
)]
impl Reader<'_> {
    /// `ws value ws`. Open arrays and objects are kept on a list, so that depth costs no stack.
    fn document(&mut self) -> Result<(), Error> {
        let mut want = Want::Value;
        loop {
            self.white_space();
            want = match (want, self.peek()) {
                (Want::FirstElement, Some(b']')) | (Want::FirstName, Some(b'}')) => self.close(),
                (Want::Value | Want::FirstElement, _) => self.value()?,
                (Want::Name | Want::FirstName, _) => self.name()?,
                (Want::CommaOrEnd, next) => match (self.innermost(), next) {
                    (None, None) => return Ok(()),
                    (None, Some(_)) => return self.fail(ErrorKind::TrailingData),
                    (Some(Kind::Array), Some(b',')) => self.step(Want::Value),
                    (Some(Kind::Object), Some(b',')) => self.step(Want::Name),
                    (Some(Kind::Array), Some(b']')) | (Some(Kind::Object), Some(b'}')) => {
                        self.close()
                    }
                    _ => return self.fail(ErrorKind::ExpectedCommaOrEnd),
                },
            };
        }
    }

    fn value(&mut self) -> Result<Want, Error> {
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{') => return self.enter(Kind::Object, Want::FirstName),
            Some(b'[') => return self.enter(Kind::Array, Want::FirstElement),
            Some(b't') => self.literal(b"true", Kind::True)?,
            Some(b'f') => self.literal(b"false", Kind::False)?,
            Some(b'n') => self.literal(b"null", Kind::Null)?,
            Some(b'N') => self.literal(b"NaN", Kind::NotFinite)?,
            Some(b'I') => self.literal(b"Infinity", Kind::NotFinite)?,
            Some(b'-') if self.json.get(self.at + 1) == Some(&b'I') => {
                self.literal(b"-Infinity", Kind::NotFinite)?;
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return self.fail(ErrorKind::ExpectedValue),
        }
        Ok(Want::CommaOrEnd)
    }

    /// `string ws :`
    fn name(&mut self) -> Result<Want, Error> {
        if self.peek() != Some(b'"') {
            return self.fail(ErrorKind::ExpectedName);
        }
        self.string()?;
        self.white_space();
        if self.peek() != Some(b':') {
            return self.fail(ErrorKind::ExpectedColon);
        }
        Ok(self.step(Want::Value))
    }

    fn enter(&mut self, kind: Kind, want: Want) -> Result<Want, Error> {
        if self.open.len() >= self.bounds.depth {
            return self.fail(ErrorKind::TooDeep);
        }
        self.open.push(self.nodes.len() as u32);
        self.push(Node { kind, start: self.at as u32, end: 0, extra: 0 })?;
        Ok(self.step(want))
    }

    fn close(&mut self) -> Want {
        self.at += 1;
        let (end, behind) = (self.at as u32, self.nodes.len() as u32);
        if let Some(node) = self.open.pop().and_then(|id| self.nodes.get_mut(id as usize)) {
            node.end = end;
            node.extra = behind;
        }
        Want::CommaOrEnd
    }

    fn innermost(&self) -> Option<Kind> {
        let id = *self.open.last()?;
        self.nodes.get(id as usize).map(|node| node.kind)
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<(), Error> {
        for expected in word {
            if self.peek() != Some(*expected) {
                return self.fail(ErrorKind::ExpectedValue);
            }
            self.at += 1;
        }
        self.leniencies.not_finite += u32::from(kind == Kind::NotFinite);
        self.leaf(kind, self.at - word.len(), 0)
    }

    /// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "+" / "-" ] 1*digit ]`
    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.leaf(Kind::Number, start, 0)
    }

    /// `1*digit`
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.fail(ErrorKind::InvalidNumber) } else { Ok(()) }
    }

    /// A string, unescaped into `text` from the byte behind its quote on: an escape is never
    /// shorter than what it stands for.
    fn string(&mut self) -> Result<(), Error> {
        let start = self.at;
        let mut to = start + 1;
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.fail(ErrorKind::UnexpectedEnd),
                Some(b'"') => break,
                Some(b'\\') => {
                    let character = self.escape()?;
                    let mut bytes = [0; 4];
                    for byte in character.encode_utf8(&mut bytes).bytes() {
                        self.write(&mut to, byte);
                    }
                }
                Some(0..=0x1F) => return self.fail(ErrorKind::ControlCharacter),
                Some(byte) => {
                    self.write(&mut to, byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.leaf(Kind::String, start, (to - start - 1) as u32)
    }

    fn escape(&mut self) -> Result<char, Error> {
        let character = match self.json.get(self.at + 1) {
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
            let digits = self.json.get(self.at + 2..).unwrap_or_default();
            let is_cut = digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit);
            return if is_cut { Err(self.end()) } else { self.fail(ErrorKind::InvalidEscape) };
        };
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
        self.leniencies.lone_surrogates += 1;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    /// The code unit that the escape at `at` writes.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.json.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
    }

    fn write(&mut self, to: &mut usize, byte: u8) {
        if let Some(slot) = self.text.get_mut(*to) {
            *slot = byte;
        }
        *to += 1;
    }

    /// Adds the value that began at `start` and ends here.
    fn leaf(&mut self, kind: Kind, start: usize, extra: u32) -> Result<(), Error> {
        self.push(Node { kind, start: start as u32, end: self.at as u32, extra })
    }

    fn push(&mut self, node: Node) -> Result<(), Error> {
        if self.nodes.len() >= self.bounds.values {
            return Err(Error::new(ErrorKind::TooManyValues, u64::from(node.start)));
        }
        self.nodes.push(node);
        Ok(())
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn step(&mut self, want: Want) -> Want {
        self.at += 1;
        want
    }

    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    /// What is wrong at the byte at hand; the end of the text is wrong in one way only.
    fn fail<T>(&self, kind: ErrorKind) -> Result<T, Error> {
        let is_end = self.at >= self.json.len();
        Err(if is_end { self.end() } else { Error::new(kind, self.at as u64) })
    }

    fn end(&self) -> Error {
        Error::new(ErrorKind::UnexpectedEnd, self.json.len() as u64)
    }
}
