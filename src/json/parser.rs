//! The parser: RFC 8259 in one pass over the bytes, with the deviations that real streams have.

use super::ParseLimits;
use super::block::{Block, SIZE, others_than_digits};
use super::leaf::Leaves;
use super::specials::Specials;
use super::tape::{COUNT, Kind, Node, NodeId, Nodes, Tape};
use super::unescape::Scratch;
use crate::error::{Error, ErrorKind};

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
    let (bytes, deviations) = (json.as_bytes(), JsonDeviations::default());
    let scratch = Scratch { strings, most: json.len() };
    let mut leaves = Leaves { json, bytes, strict: bounds.strict, scratch, deviations };
    let mut reader = Reader {
        bytes,
        bounds,
        // By value: behind a reference, each push would load the position of the nodes again.
        nodes: core::mem::take(nodes),
        innermost: NodeId::MAX,
        depth: 0,
        inside: Container::Array,
        specials: Specials::new(bytes),
    };
    let read = reader.document(&mut leaves);
    *nodes = reader.nodes;
    read.map(|()| leaves.deviations)
}

/// The state of a parser, which is in registers as far as possible.
///
/// So the functions that each value needs are inlined. They get the position at which they begin,
/// and return the position behind their end.
struct Reader<'r> {
    bytes: &'r [u8],
    bounds: ParseLimits,
    nodes: Nodes,
    /// The innermost open array or object, and the number of open ones.
    ///
    /// `depth <= bounds.depth`. If none is open, `innermost` is behind all nodes.
    innermost: NodeId,
    depth: usize,
    /// The kind of the innermost one; an array if none is open yet.
    inside: Container,
    specials: Specials,
}

/// The innermost open array or object, as the byte that ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Container {
    Array = b']',
    Object = b'}',
}

impl Container {
    #[inline]
    fn of(kind: Kind) -> Self {
        if kind == Kind::Array { Self::Array } else { Self::Object }
    }

    /// Returns true if the byte ends the container.
    #[inline]
    const fn ends_with(self, byte: u8) -> bool {
        self as u8 == byte
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
    reason = "a text has less than 2 GiB and more bytes than nodes, so positions fit in u32"
)]
#[expect(clippy::inline_always, reason = "`vllm general-next`: a call costs 9 % of an event")]
impl Reader<'_> {
    /// Reads `ws value ws`. Open containers are linked through their nodes, so depth needs no
    /// stack.
    #[inline(always)]
    fn document(&mut self, leaves: &mut Leaves<'_>) -> Result<(), Error> {
        let bytes = self.bytes;
        let (mut at, first) = behind_spaces(bytes, 0);
        if !matches!(first, b'{' | b'[') {
            at = self.other_leaf(leaves, at, first)?;
            return self.end(at);
        }
        loop {
            // A member or element begins here.
            let mut byte = peek(bytes, &mut at);
            if self.inside == Container::Object {
                (at, byte) = self.name(leaves, at, byte)?;
            }
            let end = match byte {
                b'"' => self.plain_string(at),
                b'0'..=b'9' if self.inside == Container::Array => self.plain_elements(at, byte),
                b'-' | b'0'..=b'9' => self.plain_number(at, byte),
                b'n' => self.null(at),
                b'{' | b'[' => {
                    at = self.enter(at, byte)?;
                    if !self.inside.ends_with(peek(bytes, &mut at)) {
                        continue;
                    }
                    Some(at)
                }
                _ => None,
            };
            at = match end {
                Some(end) => end,
                None => self.other_leaf(leaves, at, byte)?,
            };
            // A value has ended here; brackets behind it end its containers.
            loop {
                byte = byte_at(bytes, at);
                if byte == b',' {
                    self.check_values()?;
                    at += 1;
                    break;
                }
                if self.inside.ends_with(byte) {
                    at += 1;
                    if !self.close(at) {
                        return self.end(at);
                    }
                } else if let space!() = byte {
                    (at, _) = behind_spaces(bytes, at);
                } else {
                    return fail(bytes, ErrorKind::ExpectedCommaOrEnd, at);
                }
            }
        }
    }

    /// Reads `string ws : ws`, of which `byte` is the first one; returns the byte behind it too.
    #[inline(always)]
    fn name(&mut self, leaves: &mut Leaves<'_>, at: u32, byte: u8) -> Result<(u32, u8), Error> {
        if byte != b'"' {
            return fail(self.bytes, ErrorKind::ExpectedName, at);
        }
        let mut at = match self.plain_string(at) {
            Some(end) => end,
            None => self.other_leaf(leaves, at, byte)?,
        };
        if peek(self.bytes, &mut at) != b':' {
            return fail(self.bytes, ErrorKind::ExpectedColon, at);
        }
        at += 1;
        let byte = peek(self.bytes, &mut at);
        Ok((at, byte))
    }

    /// Reads a string without escapes, whose text is the bytes between the quotes.
    #[inline(always)]
    fn plain_string(&mut self, start: u32) -> Option<u32> {
        let end = self.specials.next(self.bytes, start + 1);
        if byte_at(self.bytes, end) != b'"' {
            return None;
        }
        self.nodes.push(Kind::String, start, end + 1, end - start - 1);
        Some(end + 1)
    }

    /// Reads a number of few digits without exponent.
    #[inline(always)]
    fn plain_number(&mut self, start: u32, first: u8) -> Option<u32> {
        let (end, payload) = plain_number(self.bytes, start, first)?;
        self.nodes.push(Kind::Number, start, end, payload);
        Some(end)
    }

    /// Reads numbers that are elements: whole ones up to the end of a block, or any plain one.
    ///
    /// The bytes of a token are mostly such elements.
    #[inline(always)]
    fn plain_elements(&mut self, start: u32, first: u8) -> Option<u32> {
        self.counts(start).or_else(|| self.plain_number(start, first))
    }

    /// Reads `count *( "," count )`, as far as a block has them and the limit allows.
    ///
    /// Returns the end of the last one.
    #[inline(always)]
    fn counts(&mut self, start: u32) -> Option<u32> {
        let block = block_at(self.bytes, start)?;
        let mut others = others_than_digits(block);
        let (mut at, mut end) = (0, None);
        loop {
            let behind = others.trailing_zeros();
            let digits = behind - at;
            let next = block.get(behind as usize).copied().unwrap_or(b'.');
            let has_zero = digits > 1 && block.get(at as usize) == Some(&b'0');
            if digits == 0 || has_zero || matches!(next, b'.' | b'e' | b'E') {
                return end;
            }
            self.nodes.push(Kind::Number, start + at, start + behind, COUNT);
            end = Some(start + behind);
            if next != b',' || self.nodes.len() > self.bounds.values {
                return end;
            }
            others &= others - 1;
            at = behind + 1;
        }
    }

    #[inline(always)]
    fn null(&mut self, start: u32) -> Option<u32> {
        let end = start + 4;
        if self.bytes.get(start as usize..end as usize) != Some(b"null") {
            return None;
        }
        self.nodes.push(Kind::Null, start, end, 0);
        Some(end)
    }

    /// Reads any string, number or word, of which `byte` is the first one.
    #[inline(always)]
    fn other_leaf(&mut self, leaves: &mut Leaves<'_>, at: u32, byte: u8) -> Result<u32, Error> {
        let Node { kind, end, payload, .. } = leaves.read(at, byte)?;
        self.nodes.push(kind, at, end, payload);
        Ok(end)
    }

    /// Begins an array or object. Until its end, its node has the number of the outer node.
    #[inline(always)]
    fn enter(&mut self, at: u32, bracket: u8) -> Result<u32, Error> {
        if self.depth >= self.bounds.depth {
            return fail(self.bytes, ErrorKind::TooDeep, at);
        }
        self.depth += 1;
        let kind = if bracket == b'[' { Kind::Array } else { Kind::Object };
        self.inside = Container::of(kind);
        let outer = core::mem::replace(&mut self.innermost, self.nodes.len() as u32);
        self.nodes.push(kind, at, 0, outer);
        self.check_values()?;
        Ok(at + 1)
    }

    /// Ends the innermost array or object; returns false if it is the root.
    #[inline(always)]
    fn close(&mut self, end: u32) -> bool {
        let behind = self.nodes.len() as u32;
        let Some(node) = self.nodes.get_mut(self.innermost) else { return false };
        debug_assert!(node.start < end && end as usize <= self.bytes.len(), "in the text");
        node.end = end;
        self.innermost = core::mem::replace(&mut node.payload, behind);
        self.depth -= 1;
        let Some(outer) = self.nodes.outer(self.innermost) else { return false };
        self.inside = Container::of(outer.kind);
        true
    }

    /// Reads the white space behind the root.
    #[inline(always)]
    fn end(&self, at: u32) -> Result<(), Error> {
        let (at, _) = behind_spaces(self.bytes, at);
        if at as usize != self.bytes.len() {
            return fail(self.bytes, ErrorKind::TrailingData, at);
        }
        self.check_values()
    }

    /// Fails if there are too many nodes. Only a few are added between two checks.
    #[inline(always)]
    fn check_values(&self) -> Result<(), Error> {
        if self.nodes.len() <= self.bounds.values {
            return Ok(());
        }
        too_many(self.nodes.as_slice().get(self.bounds.values..).unwrap_or_default())
    }
}

/// Returns the error for nodes above the limit.
#[cold]
fn too_many(nodes: &[Node]) -> Result<(), Error> {
    let start = nodes.first().map_or(0, |node| node.start);
    Err(Error::new(ErrorKind::TooManyValues, u64::from(start)))
}

/// Returns an error at `at`. At the end of the text, its kind is always `UnexpectedEnd`.
#[cold]
pub(super) fn fail<T>(bytes: &[u8], kind: ErrorKind, at: u32) -> Result<T, Error> {
    let is_end = at as usize >= bytes.len();
    let kind = if is_end { ErrorKind::UnexpectedEnd } else { kind };
    Err(Error::new(kind, u64::from(at).min(bytes.len() as u64)))
}

/// Returns the byte at a position, or 0 at the end of the text.
///
/// A byte 0 in the text is an error wherever this is used.
#[inline]
fn byte_at(bytes: &[u8], at: u32) -> u8 {
    bytes.get(at as usize).copied().unwrap_or(0)
}

/// Moves a position behind white space; returns the byte there, as [`byte_at`] does.
#[inline]
fn peek(bytes: &[u8], at: &mut u32) -> u8 {
    let mut byte = byte_at(bytes, *at);
    if byte <= b' ' {
        (*at, byte) = behind_spaces(bytes, *at);
    }
    byte
}

/// Returns the position of the first byte from `at` that isn't white space, and the byte.
///
/// Most white space is one space, or an indentation.
#[inline(never)]
fn behind_spaces(bytes: &[u8], mut at: u32) -> (u32, u8) {
    const SPACES: &[u8] = &[b' '; 8];
    loop {
        let byte = byte_at(bytes, at);
        if !matches!(byte, space!()) {
            return (at, byte);
        }
        at += 1;
        while bytes.get(at as usize..at as usize + 8) == Some(SPACES) {
            at += 8;
        }
    }
}

/// Returns the block at a position, if it is whole.
#[inline]
fn block_at(bytes: &[u8], at: u32) -> Option<&Block> {
    // A position of 32 bits needs no check for an overflow.
    bytes.get(at as usize..at as usize + SIZE)?.first_chunk()
}

/// Returns the end and the payload of a number of few digits without exponent.
///
/// `first` is its first byte. Returns `None` for any other number.
#[expect(clippy::cast_possible_truncation, reason = "a block has 16 bytes")]
#[inline]
fn plain_number(bytes: &[u8], start: u32, first: u8) -> Option<(u32, u32)> {
    let is_negative = first == b'-';
    let whole = start + u32::from(is_negative);
    let first = if is_negative { byte_at(bytes, whole) } else { first };
    let block = block_at(bytes, whole)?;
    let others = others_than_digits(block);
    let digits = others.trailing_zeros();
    if digits == 0 || digits > 1 && first == b'0' {
        return None;
    }
    let mut next = *block.get(digits as usize)?;
    let mut end = whole + digits;
    let mut is_count = !is_negative;
    if next == b'.' {
        is_count = false;
        let len = (others & others.wrapping_sub(1)).trailing_zeros();
        if len == digits + 1 {
            return None;
        }
        end = whole + len;
        if len == SIZE as u32 {
            end += digits_at(bytes, end)?;
        }
        next = byte_at(bytes, end);
    }
    let payload = if is_count { COUNT } else { 0 };
    (next | 0x20 != b'e').then_some((end, payload))
}

/// Returns the number of digits from a position, if they end within a block.
#[expect(clippy::cast_possible_truncation, reason = "a block has 16 bytes")]
#[inline]
fn digits_at(bytes: &[u8], at: u32) -> Option<u32> {
    let len = others_than_digits(block_at(bytes, at)?).trailing_zeros();
    (len < SIZE as u32).then_some(len)
}
