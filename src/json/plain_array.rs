//! `plain_array`: the end of a JSON array, found without a tape.

use super::block::{SIZE, array_bits, digit_bits};
use super::specials::Specials;
use super::text;
use super::unescape::code_unit;
use crate::slice::bytes_in;

/// The deepest nesting of a plain array, itself included.
pub(crate) const DEEPEST_PLAIN: usize = 8;

/// The largest number of digits with which every whole number fits an `i64`.
const SAFE_DIGITS: u32 = 18;

/// Returns the length of the array at the front of `bytes` and the number of its elements.
///
/// The array isn't empty, and the parser reads it without a deviation. No white space is between its
/// tokens, and no name has an escape. A number has at most 31 bytes, and the nesting is at most
/// [`DEEPEST_PLAIN`]. Returns `None` for any other text.
///
/// Short strings, numbers and lists of small counts have no branch that depends on their lengths
/// (`cargo bench --bench compare`, `logprobs`).
pub(crate) fn plain_array(bytes: &[u8]) -> Option<(usize, u32)> {
    if bytes.first() != Some(&b'[') || i32::try_from(bytes.len()).is_err() {
        return None;
    }
    let (len, elements) = Reader { bytes, specials: Specials::new(bytes) }.array()?;
    text(bytes_in(bytes, ..len as usize)).map(|text| (text.len(), elements))
}

struct Reader<'r> {
    bytes: &'r [u8],
    specials: Specials,
}

/// The open arrays and objects, the innermost last: a bit for each, 1 for an object.
#[derive(Clone, Copy)]
struct Open {
    bits: u32,
    depth: u32,
}

impl Open {
    /// Returns true if the innermost one is an object.
    const fn is_object(self) -> bool {
        self.bits & 1 == 1
    }

    /// Adds an array or object.
    const fn enter(&mut self, is_object: bool) {
        self.bits = self.bits << 1 | is_object as u32;
        self.depth += 1;
    }

    /// Removes the innermost one; returns false if it is the last.
    const fn leave(&mut self) -> bool {
        self.bits >>= 1;
        self.depth -= 1;
        self.depth > 0
    }
}

impl Reader<'_> {
    /// Returns the end of the array, and the number of its elements.
    #[inline]
    fn array(&mut self) -> Option<(u32, u32)> {
        let mut open = Open { bits: 0, depth: 1 };
        let (mut at, mut elements) = (1, 1);
        loop {
            // A member or element begins here.
            if open.is_object() {
                at = self.name(at)?;
            }
            at = match self.byte(at) {
                b'"' => self.string(at)?,
                b'-' | b'0'..=b'9' => self.number(at)?,
                b'[' | b'{' if open.depth as usize == DEEPEST_PLAIN => return None,
                first @ (b'[' | b'{') => {
                    if let Some(end) = self.counts(at, first) {
                        end
                    } else {
                        open.enter(first == b'{');
                        at += 1;
                        if !matches!(self.byte(at), b']' | b'}') {
                            continue;
                        }
                        at
                    }
                }
                first => self.word(at, first)?,
            };
            // A value has ended here, or an empty array or object ends here.
            loop {
                let is_object = open.is_object();
                match self.byte(at) {
                    b',' => {
                        elements += u32::from(open.depth == 1);
                        at += 1;
                        break;
                    }
                    b']' if !is_object => {}
                    b'}' if is_object => {}
                    _ => return None,
                }
                at += 1;
                if !open.leave() {
                    return Some((at, elements));
                }
            }
        }
    }

    /// Reads `string ":"`, of which the string has no escapes.
    #[inline]
    fn name(&mut self, at: u32) -> Option<u32> {
        if self.byte(at) != b'"' {
            return None;
        }
        let end = self.specials.next(self.bytes, at + 1);
        (self.byte(end) == b'"' && self.byte(end + 1) == b':').then_some(end + 2)
    }

    /// Reads a string.
    #[inline]
    fn string(&mut self, at: u32) -> Option<u32> {
        let mut end = self.specials.next(self.bytes, at + 1);
        while self.byte(end) == b'\\' {
            end = self.specials.next(self.bytes, end + self.escape_len(end)?);
        }
        (self.byte(end) == b'"').then_some(end + 1)
    }

    /// Returns the length of the escape at a position, unless it is half of a surrogate pair.
    fn escape_len(&self, at: u32) -> Option<u32> {
        let unit = |at: u32| code_unit(bytes_in(self.bytes, at as usize..));
        match self.byte(at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
            b'u' => match unit(at)? {
                0xD800..=0xDBFF => matches!(unit(at + 6), Some(0xDC00..=0xDFFF)).then_some(12),
                0xDC00..=0xDFFF => None,
                _ => Some(6),
            },
            _ => None,
        }
    }

    /// Reads a number.
    #[inline]
    fn number(&self, at: u32) -> Option<u32> {
        let mut short = [0; 2 * SIZE];
        let rest = bytes_in(self.bytes, at as usize..);
        let blocks = rest.first_chunk().unwrap_or_else(|| {
            short.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
            &short
        });
        Some(at + number_len(blocks)?)
    }

    /// Reads `"[" count *( "," count ) "]"` of counts with few digits.
    #[inline]
    fn counts(&self, at: u32, first: u8) -> Option<u32> {
        if first != b'[' {
            return None;
        }
        let mut at = at + 1;
        loop {
            let list = self.bytes.get(at as usize..)?.first_chunk()?;
            let [digits, zeros, commas] = array_bits(list);
            let len = (digits | commas).trailing_ones();
            // A list that is longer than the blocks is read up to its last comma in them.
            let len = if len < u32::BITS { len } else { u32::BITS - commas.leading_zeros() };
            let inside = u32::MAX.checked_shr(u32::BITS - len).unwrap_or(0);
            let [digits, commas] = [digits & inside, commas & inside];
            // A count begins at each of these positions, and one is behind a comma at the end.
            let starts = (commas << 1 | 1) & inside;
            let has_empty = starts & !digits != 0 || len == 0;
            let has_zero = starts & zeros & digits >> 1 != 0;
            let has_many = digits & digits >> 1 & digits >> 2 & digits >> 3 != 0;
            if has_empty || has_zero || has_many {
                return None;
            }
            at += len;
            match (self.byte(at), commas.checked_shr(len - 1)) {
                (b']', Some(0)) => return Some(at + 1),
                (b'0'..=b'9', Some(1)) => {}
                _ => return None,
            }
        }
    }

    /// Reads `true`, `false` or `null`.
    fn word(&self, at: u32, first: u8) -> Option<u32> {
        let word: &[u8] = match first {
            b't' => b"true",
            b'f' => b"false",
            _ => b"null",
        };
        let rest = bytes_in(self.bytes, at as usize..);
        rest.starts_with(word).then_some(at + if first == b'f' { 5 } else { 4 })
    }

    /// Returns the byte at a position, or 0 at the end.
    #[inline]
    fn byte(&self, at: u32) -> u8 {
        self.bytes.get(at as usize).copied().unwrap_or(0)
    }
}

/// Returns the length of the number at the front of two blocks, if it is shorter than them.
///
/// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ "e" [ "+" / "-" ] 1*2digit ]`: with so few
/// digits of the exponent it is finite.
#[inline]
fn number_len(blocks: &[u8; 2 * SIZE]) -> Option<u32> {
    let others = !digit_bits(blocks);
    let byte = |at: u32| blocks.get(at as usize).copied();
    // Returns the end of the digits from a position, if there is a byte behind them.
    let end_of_digits = |at: u32| {
        let end = at + others.checked_shr(at)?.trailing_zeros();
        (end > at && end < u32::BITS).then_some(end)
    };
    let minus = u32::from(byte(0) == Some(b'-'));
    let whole = end_of_digits(minus)?;
    if whole - minus > 1 && byte(minus) == Some(b'0') {
        return None;
    }
    let has_fraction = byte(whole) == Some(b'.');
    let mantissa = if has_fraction { end_of_digits(whole + 1)? } else { whole };
    if byte(mantissa).map(|byte| byte | 0x20) != Some(b'e') {
        return (has_fraction || whole - minus <= SAFE_DIGITS).then_some(mantissa);
    }
    let sign = u32::from(matches!(byte(mantissa + 1), Some(b'+' | b'-')));
    let digits = mantissa + 1 + sign;
    end_of_digits(digits).filter(|end| end - digits <= 2)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::{DEEPEST_PLAIN, plain_array};
    use crate::json::{JsonDeviations, Parser, Tape, Value};
    use crate::limits::Limits;

    /// Returns the length and the elements of the array at the front of a text, by the parser.
    ///
    /// Returns `None` unless the array isn't empty and has no deviation.
    fn oracle(bytes: &[u8]) -> Option<(usize, u32)> {
        let end = (1..=bytes.len()).find(|end| {
            bytes.get(end - 1) == Some(&b']')
                && Parser::new(&Limits::new())
                    .parse(bytes.get(..*end).unwrap(), &mut Tape::default())
                    .is_ok()
        })?;
        let mut tape = Tape::default();
        let array = bytes.get(..end).filter(|array| array.first() == Some(&b'['))?;
        let (document, deviations) = Parser::new(&Limits::new()).parse(array, &mut tape).ok()?;
        let elements = Value::new(document, 0).elements().count();
        (elements > 0 && deviations == JsonDeviations::default())
            .then(|| (end, u32::try_from(elements).unwrap()))
    }

    /// Generates parts of arrays of token log probabilities, most of them in their places.
    fn tokens() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![
            4 => "[a-zA-Z\"]{0,40}".prop_map(|text| text.replace('"', "\\\"").into_bytes()),
            1 => select(vec![
                &b"\\n"[..], b"\\u00e9", b"\\ud83d\\ude00", b"\\ud83d", b"\\ude00", b"\\x", b"\xC3\xA9", b"\xC3",
                b"\x1F", b"\\",
            ]).prop_map(<[u8]>::to_vec),
        ];
        let number = prop_oneof![
            6 => "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,18}(e-[0-9]{1,2})?",
            2 => "[-+.eE0-9]{1,9}",
            1 => "[0-9]{1,34}",
            1 => "-?[0-9]{0,3}\\.?[0-9]{0,3}[eE]?[-+]?[0-9]{0,4}",
        ];
        let byte =
            prop_oneof![8 => "[1-9][0-9]{0,2}", 1 => "[0-9]{0,4}", 1 => Just("-1".to_owned())];
        let bytes = vec(byte, 0..24).prop_map(|bytes| bytes.join(","));
        let more = prop_oneof![4 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..3)];
        let parts = (text, number, bytes, more).prop_map(|(text, number, bytes, more)| {
            let bytes =
                [b"\",\"logprob\":", number.as_bytes(), b",\"bytes\":[", bytes.as_bytes(), b"]"]
                    .concat();
            [b"{\"token\":\"", &text[..], &bytes, b",\"top_logprobs\":[", &more, b"]}"].concat()
        });
        vec(parts, 1..3).prop_map(|parts| parts.join(&b','))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 8000, ..ProptestConfig::default() })]

        /// Compares the end and the elements of a plain array with those of the parser.
        #[test]
        fn a_plain_array_is_that_of_the_parser(tokens in tokens(), behind in "[\\],}a ]{0,80}") {
            let bytes = [b"[", &tokens[..], b"]", behind.as_bytes()].concat();
            if let Some(found) = plain_array(&bytes) {
                prop_assert_eq!(Some(found), oracle(&bytes), "{}", String::from_utf8_lossy(&bytes));
            }
        }

        /// Compares arrays of numbers and words with the parser's, which are all plain.
        #[test]
        fn an_array_of_short_values_is_plain(
            values in vec(select(vec![
                "0", "7", "12", "255", "1234", "-1", "-0.5", "0.25", "1e5", "2.5E-7", "12.5e+10", "true", "false", "null",
                "\"\"", "\"a\"", "[]", "{}", "[1]", "[1,23,145]", "{\"a\":1}", "[[1],[\"\"]]", "01", "1.", ".5", "1e", "1e+",
                "-", "+1", "1.5.5", "1e5e5", "1e5.5", "1-1", "nul", "[1,]", "[,1]", "[1,,2]", "[01]", "[00]", "{\"a\"}",
                "{\"a\":}", "{1:2}", "[1}", "{\"a\":1]", "",
            ]), 1..9),
            behind in " {0,70}",
        ) {
            let json = format!("[{}]{behind}", values.join(","));
            let expected = oracle(json.trim_ascii_end().as_bytes());
            // The oracle searches an end, which a broken array may have earlier.
            let expected = expected.filter(|(end, _)| *end == json.trim_ascii_end().len());
            let found = plain_array(json.as_bytes());
            prop_assert_eq!(found.filter(|(end, _)| *end == json.trim_ascii_end().len()), expected, "{}", json);
        }
    }

    #[test]
    fn an_array_that_is_too_deep_or_empty_is_not_plain() {
        for depth in 1..=DEEPEST_PLAIN + 1 {
            for behind in ["", &" ".repeat(80)] {
                let json = format!("{}1{}{behind}", "[".repeat(depth), "]".repeat(depth));
                let is_plain = depth <= DEEPEST_PLAIN;
                let expected = is_plain.then_some((2 * depth + 1, 1));
                assert_eq!(plain_array(json.as_bytes()), expected, "{depth}");
            }
        }
        for json in ["[]", "[ 1]", "[1 ]", "", "[", "1", "{}", "[1", "[\"a"] {
            assert_eq!(plain_array(json.as_bytes()), None, "{json}");
        }
    }
}
