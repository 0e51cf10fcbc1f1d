//! Holes: leaves of a text that is read once, where other texts of the same make have other values.

use core::ops::Range;

use super::scan::{few_digits, plain, plain_len};
use super::tape::{ESCAPED, Kind, Node, NodeId, Slot, Tape, TemplateText, UNPARSED};
use super::text;
use super::unescape::{Scratch, unescape};

/// What may stand in a hole: values that read like the one that was there, for the reader and for
/// the schema's types, and need no leniency. Whatever else comes doesn't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// What stands between the quotes of a string.
    Text,
    /// A whole number from 0 on that any integer type holds.
    Count,
    /// A number with a minus or a fraction, and without an exponent: never a count.
    Decimal,
}

/// Most digits of a whole number that fits an `i64` whatever they are.
const SAFE_DIGITS: usize = 18;
/// Longest [`SlotKind::Decimal`]; beyond 300 digits a number may be infinite.
const LONGEST_DECIMAL: usize = 40;
/// Longest text in a hole that isn't ASCII: it is checked when it is found and when it is read, which
/// the general path does once.
const LONGEST_CHECKED: usize = 2048;
/// Longest text with escapes that is unescaped in a hole.
const LONGEST_ESCAPED: usize = 4096;

impl SlotKind {
    /// What may stand in place of a leaf, whose JSON text is `raw`.
    pub(crate) fn for_leaf(kind: Kind, raw: &[u8]) -> Option<Self> {
        let fits =
            |slot_kind: Self| (slot_kind.number_len(raw) == Some(raw.len())).then_some(slot_kind);
        match kind {
            Kind::String => Some(Self::Text),
            Kind::Number => fits(Self::Count).or_else(|| fits(Self::Decimal)),
            _ => None,
        }
    }

    /// Length of the number at the front of `rest`, if it is of this kind.
    #[inline]
    fn number_len(self, rest: &[u8]) -> Option<usize> {
        let len = match self {
            Self::Text => return None,
            Self::Count => count_len(rest)?,
            Self::Decimal => return decimal_len(rest),
        };
        (len <= SAFE_DIGITS).then_some(len)
    }
}

/// `"0" / digit1-9 *digit`
#[inline]
fn count_len(rest: &[u8]) -> Option<usize> {
    let len = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let has_zero = len > 1 && rest.first() == Some(&b'0');
    (len > 0 && !has_zero).then_some(len)
}

/// Length and value of the count at the front of `rest`, if it has up to seven digits.
#[inline]
fn small_count(rest: &[u8]) -> Option<(usize, u32)> {
    let (len, value) = if let Some(word) = rest.first_chunk() {
        few_digits(*word)?
    } else {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold((0, 0), |(len, value), digit| (len + 1, value * 10 + u32::from(digit & 0xF)))
    };
    // Where the first digit may be a 0 it is looked at closer.
    (len == 1 || len > 1 && rest.first() != Some(&b'0')).then_some((len, value))
}

/// `[ "-" ] int [ "." 1*digit ]`, with at least one of the two.
fn decimal_len(rest: &[u8]) -> Option<usize> {
    let minus = usize::from(rest.first() == Some(&b'-'));
    let whole = minus + count_len(rest.get(minus..)?)?;
    if rest.get(whole) != Some(&b'.') {
        return (minus > 0 && whole <= SAFE_DIGITS).then_some(whole);
    }
    let fraction = rest.get(whole + 1..)?;
    let digits = fraction.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(fraction.len());
    let len = whole + 1 + digits;
    (digits > 0 && len <= LONGEST_DECIMAL).then_some(len)
}

#[expect(clippy::cast_possible_truncation, reason = "the texts are within the limits of an event")]
impl Tape {
    /// Learns the text that is on the tape, and what stood around it: others like it are to come.
    /// `number` is one that no other learned text has.
    pub(crate) fn learn(&mut self, (head, json, tail): (&str, &str, &str), number: u64) {
        let TemplateText { text, json: range, number: known } = &mut self.learned;
        *known = number;
        text.clear();
        text.reserve(head.len() + json.len() + tail.len());
        for part in [head, json, tail] {
            text.push_str(part);
        }
        *range = head.len()..head.len() + json.len();
    }

    /// Forgets what the gaps held in the text before.
    #[inline]
    pub(crate) fn truncate_scratch(&mut self) {
        let (text, places) = self.kept;
        // A text that turned out to be none may have left its beginning, and one that was unescaped
        // has left something. Both were this long once, and have only grown.
        if self.text.len() > text {
            self.text.truncate(text);
            self.unescaped.truncate(places);
        }
    }

    /// The learned text, the gaps in it, and where to unescape what they hold.
    #[inline]
    pub(crate) fn slots_mut(&mut self) -> (&TemplateText, &mut [Slot], Scratch<'_>) {
        let Self { learned, slots, text, unescaped, .. } = self;
        (learned, slots, Scratch { text, unescaped, most: usize::MAX })
    }

    /// Makes a leaf a gap; of a string, `start` and `end` are what is between the quotes.
    pub(crate) fn add_slot(&mut self, id: NodeId, slot_kind: SlotKind, start: usize, end: usize) {
        let at = self.slots.partition_point(|slot| slot.id < id);
        let now = Node { kind: Kind::Null, start: 0, end: 0, extra: 0 };
        let (start, end) = (start as u32, end as u32);
        let slot = Slot { id, slot_kind, start, end, literal: 0, now, shift: 0, is_new: true };
        self.slots.insert(at, slot);
        self.measure_literals(at);
    }

    /// The gaps that were added last stay, if the text for which they were added fits.
    pub(crate) fn settle_slots(&mut self, fits: bool) {
        if fits {
            self.slots.iter_mut().for_each(|slot| slot.is_new = false);
        } else {
            self.slots.retain(|slot| !slot.is_new);
            (0..self.slots.len()).for_each(|at| self.measure_literals(at));
        }
    }

    /// Measures the literals before and behind a gap.
    fn measure_literals(&mut self, at: usize) {
        let (before, slots) = self.slots.split_at_mut_checked(at).unwrap_or_default();
        let head = self.learned.json.start as u32;
        let mut end = before.last().map_or(0, |slot| head + slot.end);
        for slot in slots.iter_mut().take(2) {
            slot.literal = head + slot.start - end;
            end = head + slot.end;
        }
    }

    /// Forgets the learned text: none is like it.
    pub(crate) fn forget(&mut self) {
        self.learned.text.clear();
        self.slots.clear();
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the texts are within the limits of an event")]
impl Slot {
    /// Reads what stands in the gap, which is the front of `rest` and at `at` in the JSON text; gives
    /// its length.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        rest: &[u8],
        at: usize,
        scratch: &mut Scratch<'_>,
    ) -> Option<usize> {
        let at = at as u32;
        if self.slot_kind != SlotKind::Text {
            let small = if self.slot_kind == SlotKind::Count { small_count(rest) } else { None };
            let (len, extra) = match small {
                Some(small) => small,
                None => (self.slot_kind.number_len(rest)?, UNPARSED),
            };
            self.set(Kind::Number, at..at + len as u32, extra);
            return Some(len);
        }
        let (plain, is_ascii) = plain(rest);
        let (len, extra) = match rest.get(plain) {
            Some(b'"') => {
                if !is_ascii {
                    text(rest.get(..plain).filter(|bytes| bytes.len() <= LONGEST_CHECKED)?)?;
                }
                (plain, plain as u32)
            }
            Some(b'\\') => scratch.unescape(rest, plain)?,
            _ => return None,
        };
        self.set(Kind::String, at - 1..at + len as u32 + 1, extra);
        Some(len)
    }

    #[inline]
    const fn set(&mut self, kind: Kind, Range { start, end }: Range<u32>, extra: u32) {
        self.now = Node { kind, start, end, extra };
        let quote = matches!(kind, Kind::String) as u32;
        self.shift = (end - quote).wrapping_sub(self.end);
    }
}

impl Scratch<'_> {
    /// Unescapes the text at the front of `rest`, which ends with a quote and whose first escape is
    /// behind `plain` bytes; gives its length and its node's `extra`.
    #[inline(never)]
    fn unescape(&mut self, rest: &[u8], plain: usize) -> Option<(usize, u32)> {
        let mut len = plain;
        loop {
            match rest.get(len)? {
                b'"' => break,
                b'\\' => len += 2,
                _ => return None,
            }
            if len > LONGEST_ESCAPED {
                return None;
            }
            len += plain_len(rest.get(len..)?);
        }
        let number = u32::try_from(self.unescaped.len()).ok()?;
        let (end, _) = unescape(text(rest.get(..=len)?)?, 0, true, self).ok()?;
        (end == len + 1).then_some((len, ESCAPED | number))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, SlotKind};
    use proptest::prelude::*;

    #[test]
    fn what_may_stand_in_place_of_a_leaf() {
        for (raw, expected) in [
            ("0", Some(SlotKind::Count)),
            ("7", Some(SlotKind::Count)),
            ("123456789012345678", Some(SlotKind::Count)),
            ("1234567890123456789", None),
            ("-0", Some(SlotKind::Decimal)),
            ("-12", Some(SlotKind::Decimal)),
            ("-123456789012345678", None),
            ("0.5", Some(SlotKind::Decimal)),
            ("-0.0001", Some(SlotKind::Decimal)),
            ("1e5", None),
            ("1.5e5", None),
        ] {
            assert_eq!(SlotKind::for_leaf(Kind::Number, raw.as_bytes()), expected, "{raw}");
        }
        assert_eq!(SlotKind::for_leaf(Kind::String, b"\"a\""), Some(SlotKind::Text));
        for kind in [Kind::Null, Kind::True, Kind::False, Kind::Huge, Kind::NotFinite] {
            assert_eq!(SlotKind::for_leaf(kind, b"1"), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 5000, ..ProptestConfig::default() })]

        /// What fits a hole of numbers is a number for `serde_json`, and of the hole's type.
        #[test]
        fn what_fits_is_a_number(text in "[-]{0,1}[0-9]{0,20}[.]{0,1}[0-9]{0,20}[eE,.-]{0,1}[0-9]{0,3}") {
            for slot_kind in [SlotKind::Count, SlotKind::Decimal] {
                let Some(len) = slot_kind.number_len(text.as_bytes()) else { continue };
                let number = text.get(..len).unwrap_or_default();
                prop_assert!(serde_json::from_str::<f64>(number).is_ok(), "{}", number);
                prop_assert_eq!(number.parse::<u64>().is_ok(), slot_kind == SlotKind::Count);
                let is_whole = number.bytes().all(|byte| byte != b'.');
                prop_assert!(!is_whole || number.parse::<i64>().is_ok());
            }
        }
    }
}
