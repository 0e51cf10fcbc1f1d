//! The bytes of a JSON text, sixteen at a time.

use wide::u8x16;

/// Sixteen bytes of a text.
pub(super) type Block = [u8; SIZE];

/// The number of bytes in a block.
pub(super) const SIZE: usize = 16;

/// The bit behind those of a block.
const BEHIND: u32 = 1 << SIZE;

/// Returns the block of `bytes` at a position, if it is whole.
#[inline]
pub(super) fn block_at(bytes: &[u8], at: usize) -> Option<&Block> {
    bytes.get(at..)?.first_chunk()
}

/// Copies the bytes from `start` on to `block`, and zeros behind them if there are too few.
///
/// Returns `None` if all bytes are fewer than a block.
#[inline]
pub(super) fn copy_block<const N: usize>(
    bytes: &[u8],
    start: usize,
    block: &mut [u8; N],
) -> Option<()> {
    match bytes.get(start..)?.first_chunk() {
        Some(whole) => *block = *whole,
        None => *block = end_block(bytes, start)?,
    }
    Some(())
}

/// Returns the last bytes from `start` on, which are fewer than a block.
#[inline(never)]
fn end_block<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    let (before, last) = bytes.split_last_chunk::<N>()?;
    let padded = [*last, [0; N]];
    padded.as_flattened().get(start.checked_sub(before.len())?..)?.first_chunk().copied()
}

/// Returns the number of bytes before the first quote, backslash or control character.
#[inline]
pub(super) fn plain_in(block: &Block) -> usize {
    (bits(special(block)) | BEHIND).trailing_zeros() as usize
}

/// Returns true if the first `len` bytes of a block aren't all ASCII.
#[inline]
pub(super) fn has_high(block: &Block, len: usize) -> bool {
    bits(u8x16::new(*block)) & !(u32::MAX << len) != 0
}

/// Returns a bit for each quote, backslash and control character of four blocks.
#[inline]
pub(super) fn special_bits(blocks: &[u8; 4 * SIZE]) -> u64 {
    let (blocks, _) = blocks.as_chunks::<SIZE>();
    let add = |block: &Block, rest: u64| rest << SIZE | u64::from(bits(special(block)));
    blocks.iter().rev().fold(0, |rest, block| add(block, rest))
}

/// Returns true if four blocks have no quote, backslash or control character.
#[inline]
pub(super) fn are_plain(blocks: &[u8; 4 * SIZE]) -> bool {
    let (blocks, _) = blocks.as_chunks::<SIZE>();
    bits(blocks.iter().map(special).fold(u8x16::ZERO, |any, special| any | special)) == 0
}

/// Returns a bit for each byte that isn't a digit, and bit 16.
#[inline]
pub(super) fn others_than_digits(block: &Block) -> u32 {
    bits(digit(u8x16::new(*block))) ^ (2 * BEHIND - 1)
}

/// Returns a bit for each digit, zero and comma of two blocks.
#[inline]
pub(super) fn array_bits(blocks: &[u8; 2 * SIZE]) -> [u32; 3] {
    let (blocks, _) = blocks.as_chunks::<SIZE>();
    let add = |[digits, zeros, commas]: [u32; 3], block: &Block| {
        let bytes = u8x16::new(*block);
        let zero = bytes.cmp_eq(all(b'0'));
        let comma = bytes.cmp_eq(all(b','));
        let add = |rest: u32, found: u8x16| rest << SIZE | bits(found);
        [add(digits, digit(bytes)), add(zeros, zero), add(commas, comma)]
    };
    blocks.iter().rev().fold([0; 3], add)
}

/// Returns a bit for each digit of two blocks.
#[inline]
pub(super) fn digit_bits(blocks: &[u8; 2 * SIZE]) -> u32 {
    let (blocks, _) = blocks.as_chunks::<SIZE>();
    let add = |rest: u32, block: &Block| rest << SIZE | bits(digit(u8x16::new(*block)));
    blocks.iter().rev().fold(0, add)
}

/// Returns the digits: all bits of each.
#[inline]
fn digit(bytes: u8x16) -> u8x16 {
    let values = bytes - all(b'0');
    values.min(all(9)).cmp_eq(values)
}

/// Returns the quotes, backslashes and control characters: all bits of each.
#[inline]
fn special(block: &Block) -> u8x16 {
    const LAST_CONTROL: u8x16 = all(0x1F);
    let bytes = u8x16::new(*block);
    let is_control = bytes.max(LAST_CONTROL).cmp_eq(LAST_CONTROL);
    bytes.cmp_eq(all(b'"')) | bytes.cmp_eq(all(b'\\')) | is_control
}

const fn all(byte: u8) -> u8x16 {
    u8x16::new([byte; SIZE])
}

/// Returns the highest bit of each byte.
#[inline]
fn bits(bytes: u8x16) -> u32 {
    bytes.move_mask().cast_unsigned()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::{Block, SIZE, are_plain, copy_block, has_high, others_than_digits, plain_in};

    /// Generates blocks of which each byte may be at an edge of a class.
    fn blocks() -> impl Strategy<Value = Block> {
        let edges = prop::sample::select(
            b"\0\x08\t\n\x0B\x0C\r\x0E\x1F !\"#/0159:[\\]{}\x7F\x80\x9F\xA2\xAF\xB0\xB9\xDC\xFF"
                .to_vec(),
        );
        let usual = prop::sample::select(b"0a ".to_vec());
        prop::array::uniform16(prop_oneof![8 => usual, 2 => edges, 1 => any::<u8>()])
    }

    /// Returns the position of the first byte for which `is` is true.
    fn first(block: &Block, is: impl Fn(u8) -> bool) -> usize {
        block.iter().position(|byte| is(*byte)).unwrap_or(SIZE)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..ProptestConfig::default() })]

        /// Compares blocks with a look at each byte.
        #[test]
        fn blocks_are_read_as_bytes_are(block in blocks(), place in 0usize..4) {
            let plain = first(&block, |byte| matches!(byte, b'"' | b'\\' | ..0x20));
            prop_assert_eq!(plain_in(&block), plain);
            let others = block.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_digit());
            let others = others.fold(1 << SIZE, |bits, (at, _)| bits | 1 << at);
            prop_assert_eq!(others_than_digits(&block), others);
            let mut four = [b'a'; 4 * SIZE];
            four[place * SIZE..][..SIZE].copy_from_slice(&block);
            prop_assert_eq!(are_plain(&four), plain == SIZE);
            for len in 0..=SIZE {
                prop_assert_eq!(has_high(&block, len), !block[..len].is_ascii());
            }
            for (start, len) in [(0, 16), (place, 16), (4 * SIZE - place, place)] {
                let mut copy = [1; SIZE];
                prop_assert_eq!(copy_block(&four, start, &mut copy), Some(()));
                prop_assert_eq!(&copy[..len], &four[start..start + len]);
                prop_assert!(copy[len..].iter().all(|byte| *byte == 0));
            }
            prop_assert_eq!(copy_block(&block, 0, &mut [0; SIZE + 1]), None);
        }
    }
}
