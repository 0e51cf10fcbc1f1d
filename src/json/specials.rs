//! `Specials`: the special bytes of a text, found part by part.

use super::block::special_bits;

/// The special bytes of a part of the text: quotes, backslashes and control characters.
///
/// The parts follow each other, wherever strings begin. So a processor finds the special bytes
/// ahead, and the position of a quote doesn't wait for a load from the position of another.
pub(super) struct Specials {
    /// The position of the part.
    base: u32,
    /// A bit for each byte, of which the lowest is that of the first byte.
    bits: u64,
    /// The position of the last part, and the length of the text.
    last: u32,
    len: u32,
}

/// The number of bytes in a part.
const PART: u32 = u64::BITS;

#[expect(clippy::cast_possible_truncation, reason = "a text has less than 2 GiB")]
impl Specials {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut short = [0; PART as usize];
        let bits = special_bits(bytes.first_chunk().unwrap_or_else(|| {
            short.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
            &short
        }));
        let len = bytes.len() as u32;
        Self { base: 0, bits, last: len.saturating_sub(PART), len }
    }

    /// Returns the position of the first special byte from `at`, or the end of the text.
    ///
    /// `at` is never before the position that was returned last.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], mut at: u32) -> u32 {
        loop {
            debug_assert!(self.base <= at, "the parts behind were left");
            let distance = at - self.base;
            if distance < PART {
                let bits = self.bits >> distance;
                if bits != 0 {
                    return at + bits.trailing_zeros();
                }
                at = self.base + PART;
            }
            if self.base >= self.last {
                return self.len;
            }
            // Most often one part further.
            let parts = if distance < 2 * PART { 1 } else { distance / PART };
            self.base = (self.base + parts * PART).min(self.last);
            let part = bytes.get(self.base as usize..self.base as usize + PART as usize);
            self.bits = part.and_then(<[u8]>::first_chunk).map_or(0, special_bits);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Specials;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

        /// Compares the positions with those of a search byte by byte, from growing positions.
        #[test]
        fn the_next_special_byte_from_any_position(
            text in vec(prop_oneof![20 => Just(b'x'), 1 => any::<u8>(), 1 => Just(b'"')], 0..400),
            steps in vec(prop_oneof![6 => 0usize..9, 1 => 0usize..300], 1..60),
        ) {
            let mut specials = Specials::new(&text);
            let mut found = 0;
            for step in steps {
                let at = text.len().min(found + step);
                let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
                let rest = text.get(at..).unwrap_or_default();
                let expected = at + rest.iter().position(is_special).unwrap_or(rest.len());
                found = specials.next(&text, u32::try_from(at).unwrap_or_default()) as usize;
                prop_assert_eq!(found, expected, "from {}", at);
            }
        }
    }
}
