//! The parser: RFC 8259 in one pass over the bytes, with the deviations that real streams have.

use super::ParseLimits;
use super::scan::{digits_len, plain_len};
use super::tape::{ESCAPED, Kind, Node, NodeId, Tape};
use super::unescape::{Scratch, unescape};
use crate::error::{Error, ErrorKind};
use crate::slice::{bytes_in, text_in};

/// The deviations from interoperable JSON in one payload, counted by kind.
///
/// RFC 8259 forbids `NaN` and the infinities. It leaves lone surrogates and the range of numbers
/// open (sections 6 and 8.2), and common parsers reject them. In a strict decoder the first
/// deviation makes its event malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonDeviations {
    /// Escaped halves of a surrogate pair without their other half, read as U+FFFD.
    ///
    /// A server sends them if it cuts UTF-16 text between two deltas.
    pub lone_surrogates: u32,
    /// `NaN`, `Infinity` and `-Infinity`, as Python writes them. They read as `None`.
    pub non_finite_numbers: u32,
    /// Integers beyond `u64` and `i64`. Their text is available.
    pub integers_out_of_range: u32,
    /// Numbers beyond `f64`, such as `1e400`. Their text is available.
    pub floats_out_of_range: u32,
}

impl JsonDeviations {
    /// No deviations.
    pub(crate) const NONE: Self = Self {
        lone_surrogates: 0,
        non_finite_numbers: 0,
        integers_out_of_range: 0,
        floats_out_of_range: 0,
    };

    /// Returns true if there is no deviation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the counts of another payload; each stops at `u32::MAX`.
    pub(crate) fn add(&mut self, other: Self) {
        for (sum, count) in [
            (&mut self.lone_surrogates, other.lone_surrogates),
            (&mut self.non_finite_numbers, other.non_finite_numbers),
            (&mut self.integers_out_of_range, other.integers_out_of_range),
            (&mut self.floats_out_of_range, other.floats_out_of_range),
        ] {
            *sum = sum.saturating_add(count);
        }
    }
}

/// Reads `json` onto an empty tape.
pub(super) fn read(
    json: &str,
    bounds: ParseLimits,
    tape: &mut Tape,
) -> Result<JsonDeviations, Error> {
    let Tape { nodes, strings, .. } = tape;
    let scratch = Scratch { strings, most: json.len() };
    // By value: behind a reference, each push would load the position of the nodes again.
    let nodes_of = core::mem::take(nodes);
    let deviations = JsonDeviations::default();
    let (innermost, depth) = (NodeId::MAX, 0);
    let mut reader = Reader {
        json,
        bytes: json.as_bytes(),
        bounds,
        nodes: nodes_of,
        innermost,
        depth,
        scratch,
        deviations,
    };
    let read = reader.document();
    *nodes = reader.nodes;
    read.map(|()| reader.deviations)
}

/// The state of a parser.
///
/// Each method gets the position at which it begins, and returns the position behind its end. So
/// the position is in no memory.
struct Reader<'r> {
    json: &'r str,
    bytes: &'r [u8],
    bounds: ParseLimits,
    nodes: Vec<Node>,
    /// The innermost open array or object, and the number of open ones.
    ///
    /// `depth <= bounds.depth`. If none is open, `innermost` is behind all nodes.
    innermost: NodeId,
    depth: usize,
    scratch: Scratch<'r>,
    deviations: JsonDeviations,
}

/// The container of the current value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Nothing,
    Array,
    Object,
}

impl Container {
    #[inline]
    fn of(kind: Kind) -> Self {
        if kind == Kind::Array { Self::Array } else { Self::Object }
    }

    /// Returns the error for any other byte behind a value.
    const fn expected(self) -> ErrorKind {
        match self {
            Self::Nothing => ErrorKind::TrailingData,
            Self::Array | Self::Object => ErrorKind::ExpectedCommaOrEnd,
        }
    }
}

/// `%x20 / %x09 / %x0A / %x0D`
macro_rules! space {
    () => {
        b' ' | b'\t' | b'\n' | b'\r'
    };
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a text has less than 4 GiB and more bytes than nodes, so positions fit in u32"
)]
impl Reader<'_> {
    /// Reads `ws value ws`. Open containers are linked through their nodes, so depth needs no
    /// stack.
    fn document(&mut self) -> Result<(), Error> {
        let mut inside = Container::Nothing;
        let mut at = 0;
        loop {
            // A value begins here.
            match self.byte(at) {
                Some(b'"') => at = self.string(at)?,
                Some(b'-' | b'0'..=b'9') => at = self.number(at)?,
                Some(b'{') => {
                    inside = self.enter(Kind::Object, at)?;
                    at = self.behind_space(at + 1);
                    if self.byte(at) != Some(b'}') {
                        at = self.name(at)?;
                        continue;
                    }
                    at += 1;
                    inside = self.close(at);
                }
                Some(b'[') => {
                    inside = self.enter(Kind::Array, at)?;
                    at = self.behind_space(at + 1);
                    if self.byte(at) != Some(b']') {
                        continue;
                    }
                    at += 1;
                    inside = self.close(at);
                }
                Some(space!()) => {
                    at += 1;
                    continue;
                }
                other => at = self.word(at, other)?,
            }
            // A value has ended here; brackets behind it end its containers.
            loop {
                match self.byte(at) {
                    Some(b',') if inside != Container::Nothing => {
                        self.check_values()?;
                        at += 1;
                        if inside == Container::Object {
                            at = self.name(at)?;
                        }
                        break;
                    }
                    Some(b'}') if inside == Container::Object => {
                        at += 1;
                        inside = self.close(at);
                    }
                    Some(b']') if inside == Container::Array => {
                        at += 1;
                        inside = self.close(at);
                    }
                    Some(space!()) => at += 1,
                    None if inside == Container::Nothing => return self.check_values(),
                    _ => return self.fail(inside.expected(), at),
                }
            }
        }
    }

    /// Reads `ws string ws :`.
    #[expect(clippy::inline_always, reason = "`vllm general-next`: a call costs 7 % of an event")]
    #[inline(always)]
    fn name(&mut self, at: usize) -> Result<usize, Error> {
        let at = self.behind_space(at);
        if self.byte(at) != Some(b'"') {
            return self.fail(ErrorKind::ExpectedName, at);
        }
        let at = self.string(at)?;
        let at = self.behind_space(at);
        if self.byte(at) != Some(b':') {
            return self.fail(ErrorKind::ExpectedColon, at);
        }
        Ok(at + 1)
    }

    /// Begins an array or object. Until its end, its node has the number of the outer node.
    #[inline]
    fn enter(&mut self, kind: Kind, at: usize) -> Result<Container, Error> {
        if self.depth >= self.bounds.depth {
            return self.fail(ErrorKind::TooDeep, at);
        }
        self.depth += 1;
        let outer = core::mem::replace(&mut self.innermost, self.nodes.len() as u32);
        self.nodes.push(Node { kind, start: at as u32, end: 0, payload: outer });
        self.check_values()?;
        Ok(Container::of(kind))
    }

    /// Ends the innermost array or object; returns the kind of the container around it.
    #[inline]
    fn close(&mut self, end: usize) -> Container {
        let behind = self.nodes.len() as u32;
        let Some(node) = self.nodes.get_mut(self.innermost as usize) else {
            return Container::Nothing;
        };
        debug_assert!(node.start < end as u32 && end <= self.bytes.len(), "in the text");
        node.end = end as u32;
        self.innermost = core::mem::replace(&mut node.payload, behind);
        self.depth -= 1;
        let outer = self.nodes.get(self.innermost as usize);
        outer.map_or(Container::Nothing, |node| Container::of(node.kind))
    }

    /// Reads `true`, `false`, `null`, or Python's text for a number that isn't finite.
    fn word(&mut self, at: usize, first: Option<u8>) -> Result<usize, Error> {
        match first {
            Some(b't') => self.literal(at, b"true", Kind::True),
            Some(b'f') => self.literal(at, b"false", Kind::False),
            Some(b'n') => self.literal(at, b"null", Kind::Null),
            Some(b'N') => self.literal(at, b"NaN", Kind::NonFiniteNumber),
            Some(b'I') => self.literal(at, b"Infinity", Kind::NonFiniteNumber),
            _ => self.fail(ErrorKind::ExpectedValue, at),
        }
    }

    #[inline]
    fn literal(&mut self, start: usize, word: &[u8], kind: Kind) -> Result<usize, Error> {
        let end = start + word.len();
        if self.bytes.get(start..end) != Some(word) {
            let rest = bytes_in(self.bytes, start..);
            let same = rest.iter().zip(word).take_while(|(byte, wanted)| byte == wanted).count();
            return self.fail(ErrorKind::ExpectedValue, start + same);
        }
        if kind == Kind::NonFiniteNumber {
            self.tolerate(ErrorKind::NonFiniteNumber, start)?;
            self.deviations.non_finite_numbers += 1;
        }
        self.leaf(kind, start, end, 0);
        Ok(end)
    }

    /// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "+" / "-" ] 1*digit ]`
    #[inline]
    fn number(&mut self, start: usize) -> Result<usize, Error> {
        let whole = start + usize::from(self.byte(start) == Some(b'-'));
        let end = match self.byte(whole) {
            Some(b'0') => whole + 1,
            Some(b'I') => return self.literal(start, b"-Infinity", Kind::NonFiniteNumber),
            _ => self.digits(whole)?,
        };
        match self.byte(end) {
            Some(b'.' | b'e' | b'E') => self.fraction_or_exponent(start, end),
            // A number of so many digits fits an `i64`.
            _ if end - start <= 18 => {
                self.leaf(Kind::Number, start, end, 0);
                Ok(end)
            }
            _ => self.long_integer(start, end),
        }
    }

    /// Reads the rest of a number, whose integer part ends at `at`.
    fn fraction_or_exponent(&mut self, start: usize, at: usize) -> Result<usize, Error> {
        let mut end = at;
        if self.byte(end) == Some(b'.') {
            end = self.digits(end + 1)?;
        }
        let mut may_be_huge = end - start > 300;
        if let Some(b'e' | b'E') = self.byte(end) {
            may_be_huge = true;
            let sign = usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            end = self.digits(end + 1 + sign)?;
        }
        let mut kind = Kind::Number;
        if may_be_huge && !self.between(start, end).parse().is_ok_and(f64::is_finite) {
            self.tolerate(ErrorKind::FloatOutOfRange, start)?;
            self.deviations.floats_out_of_range += 1;
            kind = Kind::Huge;
        }
        self.leaf(kind, start, end, 0);
        Ok(end)
    }

    #[cold]
    fn long_integer(&mut self, start: usize, end: usize) -> Result<usize, Error> {
        let digits = self.between(start, end);
        let mut kind = Kind::Number;
        if digits.parse::<u64>().is_err() && digits.parse::<i64>().is_err() {
            if !digits.parse().is_ok_and(f64::is_finite) {
                kind = Kind::Huge;
            }
            self.tolerate(ErrorKind::IntegerOutOfRange, start)?;
            self.deviations.integers_out_of_range += 1;
        }
        self.leaf(kind, start, end, 0);
        Ok(end)
    }

    /// Reads `1*digit`; returns the end.
    #[inline]
    fn digits(&self, start: usize) -> Result<usize, Error> {
        match digits_len(bytes_in(self.bytes, start..)) {
            0 => self.fail(ErrorKind::InvalidNumber, start),
            len => Ok(start + len),
        }
    }

    /// Reads a string. Most have no escape, so that their text is the bytes between the quotes.
    #[expect(clippy::inline_always, reason = "`vllm general-next`: a call costs 9 % of an event")]
    #[inline(always)]
    fn string(&mut self, start: usize) -> Result<usize, Error> {
        let len = plain_len(bytes_in(self.bytes, start + 1..));
        let end = start + 1 + len;
        if self.byte(end) != Some(b'"') {
            return self.escaped_string(start, end);
        }
        self.leaf(Kind::String, start, end + 1, len as u32);
        Ok(end + 1)
    }

    /// Reads a string whose first escape is at `at`; fails if there is no backslash.
    #[cold]
    #[inline(never)]
    fn escaped_string(&mut self, start: usize, at: usize) -> Result<usize, Error> {
        if self.byte(at) != Some(b'\\') {
            return self.fail(ErrorKind::ControlCharacter, at);
        }
        let number = self.scratch.strings.places.len() as u32;
        let (end, lone_surrogates) =
            unescape(self.json, start + 1, self.bounds.strict, &mut self.scratch)?;
        self.deviations.lone_surrogates += lone_surrogates;
        self.leaf(Kind::String, start, end, ESCAPED | number);
        Ok(end)
    }

    /// Adds the node of a value without contents.
    #[inline]
    fn leaf(&mut self, kind: Kind, start: usize, end: usize, payload: u32) {
        debug_assert!(start <= end && end <= self.bytes.len(), "a node is within its text");
        self.nodes.push(Node { kind, start: start as u32, end: end as u32, payload });
    }

    /// Fails if there are too many nodes. Only a few are added between two checks.
    #[inline]
    fn check_values(&self) -> Result<(), Error> {
        match self.nodes.get(self.bounds.values) {
            None => Ok(()),
            Some(node) => Err(Error::new(ErrorKind::TooManyValues, u64::from(node.start))),
        }
    }

    #[inline]
    fn behind_space(&self, mut at: usize) -> usize {
        while let Some(space!()) = self.byte(at) {
            at += 1;
        }
        at
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn between(&self, start: usize, end: usize) -> &str {
        text_in(self.json, start..end)
    }

    /// Fails if deviations from interoperable JSON are errors.
    #[cold]
    fn tolerate(&self, kind: ErrorKind, at: usize) -> Result<(), Error> {
        if self.bounds.strict { Err(Error::new(kind, at as u64)) } else { Ok(()) }
    }

    /// Returns an error at `at`. At the end of the text, its kind is always `UnexpectedEnd`.
    #[cold]
    fn fail<T>(&self, kind: ErrorKind, at: usize) -> Result<T, Error> {
        let is_end = at >= self.bytes.len();
        let kind = if is_end { ErrorKind::UnexpectedEnd } else { kind };
        Err(Error::new(kind, at.min(self.bytes.len()) as u64))
    }
}
