//! Lengths of the plain bytes of a JSON string and of the digits of a number, eight at a time.

use super::block::{SIZE, are_plain};
use crate::slice::bytes_in;

const ONES: u64 = u64::MAX / 0xFF;
const HIGHS: u64 = ONES << 7;
/// The length from which blocks are scanned; a multiple of eight.
const NEAR: usize = 64;

/// Returns the number of bytes before the first quote, backslash or control character.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    plain(bytes).0
}

/// Returns [`plain_len`], and true if these bytes are known to be ASCII.
///
/// Scans eight bytes at a time, because most strings are short and words need no set-up. Behind the
/// first [`NEAR`] bytes, scans blocks of the size of a vector.
#[inline]
pub(crate) fn plain(bytes: &[u8]) -> (usize, bool) {
    let (mut len, mut highs) = (0, 0);
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let found = special(word);
        if found != 0 {
            let bits = found.trailing_zeros() - 7;
            highs |= word & HIGHS & ((1 << bits) - 1);
            return (len + bits as usize / 8, highs == 0);
        }
        highs |= word & HIGHS;
        len += 8;
        rest = behind;
        if len == NEAR {
            let (far, is_ascii) = plain_blocks(rest);
            len += far;
            rest = bytes_in(rest, far..);
            highs |= u64::from(!is_ascii);
        }
    }
    (len + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len()), false)
}

/// Returns the length of the blocks before the first special byte, and true if these are ASCII.
#[inline(never)]
fn plain_blocks(bytes: &[u8]) -> (usize, bool) {
    const BLOCK: usize = 4 * SIZE;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let mut highs = 0;
    let plain = blocks.iter().take_while(|block| are_plain(block));
    // Has no branch for each byte, so that the compiler vectorizes it.
    let count =
        plain.inspect(|block| highs |= block.iter().fold(0, |any, byte| any | byte)).count();
    (count * BLOCK, highs < 0x80)
}

/// Returns the number of digits at the front of `bytes`. Scans eight at a time, as [`plain`] does.
#[inline]
pub(super) fn digits_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let others = no_digits(u64::from_le_bytes(*word));
        if others != 0 {
            return len + others.trailing_zeros() as usize / 8;
        }
        len += 8;
        rest = behind;
    }
    len + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// Returns the number of digits at the front of a word and their value, or `None` if all are
/// digits.
#[inline]
pub(crate) const fn few_digits(word: [u8; 8]) -> Option<(usize, u32)> {
    let word = u64::from_le_bytes(word);
    let others = no_digits(word);
    if others == 0 {
        return None;
    }
    let bits = others.trailing_zeros() - 7;
    // Moves the last digit to the last byte; at least one byte isn't a digit.
    let digits = (word & (ONES * 0xF)) << 8 << (56 - bits);
    // Joins digits to pairs, then pairs to groups of four, all at once.
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    let number = fours.wrapping_mul(10_000 << 32 | 1) >> 32;
    Some((bits as usize / 8, number as u32))
}

/// Returns the high bits of the bytes that aren't digits.
#[inline]
const fn no_digits(word: u64) -> u64 {
    // A digit becomes 0 to 9. The sum of the seven low bits doesn't overflow into the next byte.
    let values = word ^ (ONES * b'0' as u64);
    (((values & !HIGHS) + ONES * (0x80 - 10)) | values) & HIGHS
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Returns the high bit of the first special byte, and perhaps of bytes above it.
#[inline]
const fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    // A byte borrows from the byte above only if it is smaller than the subtrahend. Then it is
    // special itself, and the lowest special byte counts.
    (below(quote, 1) | below(backslash, 1) | below(word, 0x20)) & HIGHS
}

/// Returns the high bits of the bytes below `least`, among other bits.
#[inline]
const fn below(word: u64, least: u64) -> u64 {
    word.wrapping_sub(ONES * least) & !word
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{digits_len, few_digits, is_special, plain, plain_len};

    #[test]
    fn the_first_special_byte_of_any_length_and_place() {
        for len in (0..40).chain([63, 64, 65, 127, 128, 129, 200]) {
            for at in 0..len {
                for byte in [
                    0, 0x1F, 0x20, b'!', b'"', b'#', b'[', b'\\', b']', 0x7F, 0x80, 0xA2, 0xDC,
                    0xFF,
                ] {
                    for behind in [b'x', b'"', 0, 0xFF] {
                        let mut bytes = vec![0x7F; len];
                        bytes[at] = byte;
                        bytes[at + 1..].fill(behind);
                        let naive = bytes.iter().position(|byte| is_special(*byte));
                        assert_eq!(plain_len(&bytes), naive.unwrap_or(len), "{bytes:?}");
                        let (plain_len, is_ascii) = plain(&bytes);
                        assert!(!is_ascii || bytes[..plain_len].is_ascii(), "{bytes:?}");
                    }
                }
            }
        }
    }

    /// Tests any number of such bytes at any position.
    #[test]
    fn bytes_beyond_ascii_are_found_at_any_position() {
        for len in (1..24).chain([64, 72, 127, 128, 136, 200, 264]) {
            for at in 0..len {
                for count in [1, 2, 8, 64, 128] {
                    for end in [None, Some(b'"')] {
                        let mut bytes = vec![b'x'; len];
                        bytes[at..len.min(at + count)].fill(0x80);
                        bytes.extend(end);
                        bytes.resize(len + 16, b'x');
                        assert!(!plain(&bytes).1, "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn few_digits_are_a_number() {
        assert_eq!(few_digits(*b"12345678"), None);
        for number in (0..2000).chain([99_999, 100_000, 1_234_567, 9_999_999]) {
            for behind in [",       ", "}\n\n\n\n\n\n\n", "/9999999", ":9999999", "\u{ff}9999999"] {
                let text = format!("{number}{behind}");
                let word = *text.as_bytes().first_chunk().unwrap();
                let digits = number.to_string().len();
                assert_eq!(few_digits(word), Some((digits, number)), "{text}");
            }
        }
        assert_eq!(few_digits(*b",1234567"), Some((0, 0)));
    }

    #[test]
    fn the_first_byte_that_is_no_digit_of_any_length_and_place() {
        for len in 0..26 {
            for at in 0..=len {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'0' + u8::try_from(len % 10).unwrap_or(0); len];
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                    let naive = bytes.iter().position(|byte| !byte.is_ascii_digit());
                    assert_eq!(digits_len(&bytes), naive.unwrap_or(len), "{bytes:?}");
                }
            }
        }
    }
}
