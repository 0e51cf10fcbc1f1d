//! `Slot`: a leaf of a template that may differ in other events, and the values that fit it.

use core::ops::Range;

use crate::json::{
    ESCAPED, Kind, NO_COUNT, NodeId, Patch, Tape, UNPARSED, ValuePlace, few_digits, plain,
    plain_array, text, unescape_into,
};
use crate::slice::bytes_in;

/// A leaf that may have another value in another event.
///
/// `start <= end <= json.len()`, in the template's JSON text; a string without its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(super) id: NodeId,
    pub(super) kind: SlotKind,
    /// True if a stream binds the value.
    pub(super) is_bound: bool,
    /// The number of bound leaves from this one up to the next slot; 0 for a slot.
    pub(super) run: u8,
    pub(super) start: u32,
    pub(super) end: u32,
    /// The literal between the slot before and this one, in the template's text.
    ///
    /// `literal_start <= literal_end`.
    pub(super) literal_start: u32,
    pub(super) literal_end: u32,
}

/// Returns a leaf as a slot, if a slot can have its value.
///
/// An array with contents on the tape is no leaf.
pub(super) fn new_slot(tape: &Tape, json: &str, leaf: NodeId) -> Option<Slot> {
    let node = *tape.nodes().get(leaf as usize)?;
    if node.kind.is_container() && node.payload > leaf + 1 {
        return None;
    }
    let raw = bytes_in(json.as_bytes(), node.start as usize..node.end as usize);
    let kind = SlotKind::for_leaf(node.kind, raw)?;
    let quote = u32::from(node.kind == Kind::String);
    debug_assert!(node.start + quote <= node.end - quote, "a string has two quotes");
    let (start, end) = (node.start + quote, node.end - quote);
    Some(Slot::new(leaf, kind, start, end))
}

/// The values that fit a slot.
///
/// They read like the value of the template for the parser and for the schema's types, and have no
/// deviation from interoperable JSON. No other value fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SlotKind {
    /// A string; the slot is the text between the quotes.
    Text,
    /// A whole number from 0 on, of at most 18 digits.
    Count,
    /// A number with a minus or a fraction, and without an exponent: never a count.
    Decimal,
    /// The spaces before the last bracket of the JSON text, or none.
    ///
    /// They are no leaf of the document: the id is the number of nodes.
    Padding,
    /// A [plain array](plain_array), whose contents aren't on the tape.
    Array,
}

/// The number of slot kinds.
pub(super) const KINDS: usize = SlotKind::ALL.len();

/// The largest number of digits with which every whole number fits an `i64`.
const SAFE_DIGITS: usize = 18;
/// The longest [`SlotKind::Decimal`], in bytes. Beyond 300 digits a number may be infinite.
const LONGEST_DECIMAL: usize = 40;
/// The longest text that isn't ASCII, in bytes. It is checked on each fill and on each read.
const LONGEST_CHECKED: usize = 2048;
/// The longest [`SlotKind::Padding`], in bytes.
const LONGEST_PADDING: usize = 255;

impl SlotKind {
    /// All kinds, each at its number.
    pub(super) const ALL: [Self; 5] =
        [Self::Text, Self::Count, Self::Decimal, Self::Padding, Self::Array];

    /// Returns the kind of a slot for a leaf, or `None` if it can't be a slot.
    pub(crate) fn for_leaf(kind: Kind, raw: &[u8]) -> Option<Self> {
        let fits =
            |slot_kind: Self| (slot_kind.number_len(raw) == Some(raw.len())).then_some(slot_kind);
        match kind {
            // A longer text may not fit its own slot.
            Kind::String if raw.len() <= LONGEST_CHECKED => Some(Self::Text),
            Kind::Number => fits(Self::Count).or_else(|| fits(Self::Decimal)),
            Kind::Array if plain_array(raw).is_some() => Some(Self::Array),
            _ => None,
        }
    }

    /// Returns the payload of a number that isn't a small count.
    const fn unparsed(self) -> u32 {
        if matches!(self, Self::Count) { UNPARSED } else { NO_COUNT }
    }

    /// Returns the length of the value at the front of `rest`, if it may be of this kind.
    ///
    /// Doesn't check the characters and the escapes of a text.
    pub(super) fn skipped_len(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Text => {}
            Self::Padding => return padding_len(rest),
            Self::Array => return plain_array(rest).map(|(len, _)| len),
            Self::Count | Self::Decimal => return self.number_len(rest),
        }
        let mut len = 0;
        loop {
            len += memchr::memchr2(b'"', b'\\', rest.get(len..)?)?;
            if rest.get(len) == Some(&b'"') {
                return Some(len);
            }
            len += 2;
        }
    }

    /// Returns the length of the number at the front of `rest`, if it is of this kind.
    #[inline]
    fn number_len(self, rest: &[u8]) -> Option<usize> {
        let len = match self {
            Self::Text | Self::Padding | Self::Array => return None,
            Self::Count => count_len(rest)?,
            Self::Decimal => return decimal_len(rest),
        };
        (len <= SAFE_DIGITS).then_some(len)
    }
}

/// Returns the number of spaces at the front of `rest`, if they aren't too many.
fn padding_len(rest: &[u8]) -> Option<usize> {
    let len = rest.iter().take_while(|byte| **byte == b' ').count();
    (len <= LONGEST_PADDING).then_some(len)
}

/// Returns the length of `"0" / digit1-9 *digit` at the front of `rest`.
#[inline]
fn count_len(rest: &[u8]) -> Option<usize> {
    let len = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let has_zero = len > 1 && rest.first() == Some(&b'0');
    (len > 0 && !has_zero).then_some(len)
}

/// Returns length and value of the count at the front of `rest`, if it has at most seven digits.
#[inline]
fn small_count(rest: &[u8]) -> Option<(usize, u32)> {
    let (len, value) = if let Some(word) = rest.first_chunk() {
        few_digits(*word)?
    } else {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold((0, 0), |(len, value), digit| (len + 1, value * 10 + u32::from(digit & 0xF)))
    };
    // A number of several digits doesn't begin with 0.
    (len == 1 || len > 1 && rest.first() != Some(&b'0')).then_some((len, value))
}

/// Returns the length of `[ "-" ] int [ "." 1*digit ]` with a minus or a fraction.
fn decimal_len(rest: &[u8]) -> Option<usize> {
    let minus = usize::from(rest.first() == Some(&b'-'));
    let whole = minus + count_len(bytes_in(rest, minus..))?;
    if rest.get(whole) != Some(&b'.') {
        return (minus > 0 && whole <= SAFE_DIGITS).then_some(whole);
    }
    let fraction = bytes_in(rest, whole + 1..);
    let digits = fraction.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(fraction.len());
    let len = whole + 1 + digits;
    (digits > 0 && len <= LONGEST_DECIMAL).then_some(len)
}

impl Slot {
    /// Creates a slot whose literal isn't measured.
    pub(super) const fn new(id: NodeId, kind: SlotKind, start: u32, end: u32) -> Self {
        Self { id, kind, is_bound: false, run: 0, start, end, literal_start: 0, literal_end: 0 }
    }

    /// Returns the slot for the spaces before the last bracket of a JSON text.
    pub(super) fn padding(tape: &Tape, json: &str) -> Option<Self> {
        let before = json.strip_suffix('}')?;
        let (start, end) = (before.trim_end_matches(' ').len(), before.len());
        let (id, start, end) =
            (tape.nodes().len().try_into().ok()?, start.try_into().ok()?, end.try_into().ok()?);
        Some(Self::new(id, SlotKind::Padding, start, end))
    }

    /// Returns true if consumers don't look at the value: it is bound, or it is white space.
    pub(super) const fn is_silent(&self) -> bool {
        self.is_bound || matches!(self.kind, SlotKind::Padding)
    }

    /// Returns the byte that replaces those of the sample's value.
    pub(super) const fn filler(&self) -> u8 {
        match self.kind {
            SlotKind::Text => b'x',
            SlotKind::Count | SlotKind::Decimal => b'1',
            SlotKind::Padding | SlotKind::Array => b' ',
        }
    }

    /// Returns the patch of this slot without a value.
    pub(super) const fn empty_patch(&self) -> Patch {
        let kind = match self.kind {
            SlotKind::Text => Kind::String,
            SlotKind::Count | SlotKind::Decimal => Kind::Number,
            SlotKind::Padding => Kind::Null,
            SlotKind::Array => Kind::Array,
        };
        Patch::new(self.id, kind)
    }

    /// Returns true if a patch is that of this leaf, with a value of its kind.
    pub(super) fn is_of(&self, patch: &Patch) -> bool {
        let value = patch.value();
        let (kind, payload) = (value.kind, value.payload);
        let is_kind = match self.kind {
            SlotKind::Text => kind == Kind::String,
            SlotKind::Count => kind == Kind::Number && payload != NO_COUNT,
            SlotKind::Decimal => kind == Kind::Number && payload == NO_COUNT,
            SlotKind::Padding => kind == Kind::Null,
            SlotKind::Array => kind == Kind::Array,
        };
        is_kind && patch.id() == self.id
    }

    /// Fills the slot from the front of `rest`; returns the length of the value if it fits.
    ///
    /// `start` is the position of `rest` in the document.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 4 % of an event")]
    #[expect(clippy::cast_possible_truncation, reason = "an event has at most 4 KiB")]
    #[inline(always)]
    pub(super) fn fill(
        &self,
        rest: &[u8],
        start: usize,
        patch: &mut Patch,
        values: &mut ValuePlace<'_>,
    ) -> Option<usize> {
        let start = start as u32;
        if self.kind != SlotKind::Text {
            let small = if self.kind == SlotKind::Count { small_count(rest) } else { None };
            let (len, payload) = if let Some(small) = small {
                small
            } else if self.kind == SlotKind::Padding {
                (padding_len(rest)?, 0)
            } else if self.kind == SlotKind::Array {
                values.get();
                plain_array(rest)?
            } else {
                (self.kind.number_len(rest)?, self.kind.unparsed())
            };
            let end = start + len as u32;
            patch.set(start, end, payload, end.wrapping_sub(self.end));
            return Some(len);
        }
        let (plain, is_ascii) = plain(rest);
        let (len, payload) = match rest.get(plain) {
            Some(b'"') => {
                if !is_ascii && (plain > LONGEST_CHECKED || text(bytes_in(rest, ..plain)).is_none())
                {
                    return None;
                }
                (plain, plain as u32)
            }
            Some(b'\\') => {
                let values = values.get();
                let (len, number) = unescape_into(&mut values.strings, rest, plain, is_ascii)?;
                (len, ESCAPED | number)
            }
            _ => return None,
        };
        let end = start + len as u32;
        patch.set(start - 1, end + 1, payload, end.wrapping_sub(self.end));
        Some(len)
    }
}

/// Returns the bytes from the first of some leaves to the last, without the quotes around them.
pub(super) fn run_of(list: &[Patch]) -> Range<usize> {
    let start = list.first().map_or(0, |first| first.value_range().start);
    start..list.last().map_or(start, |last| last.value_range().end)
}

/// Moves a run of bound leaves to the front of `rest`, if `rest` begins with its bytes.
///
/// Consumes the run, and the line feed before it, from the front of `runs`. Returns its length.
#[expect(clippy::cast_possible_truncation, reason = "an event has at most 4 KiB")]
#[inline(never)]
pub(super) fn fill_run(
    rest: &[u8],
    start: usize,
    list: &mut [Patch],
    runs: &mut &[u8],
) -> Option<usize> {
    let range = run_of(list);
    debug_assert_eq!(runs.first(), Some(&b'\n'), "a line feed is before a run");
    let (run, behind) = runs.get(1..)?.split_at_checked(range.len())?;
    *runs = behind;
    if !rest.starts_with(run) {
        return None;
    }
    let distance = start.wrapping_sub(range.start) as u32;
    for patch in list {
        patch.move_by(distance);
    }
    Some(range.len())
}

#[cfg(test)]
mod tests {
    use super::{Slot, SlotKind};
    use crate::json::{Kind, ValuePlace};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[test]
    fn a_leaf_has_the_slot_kind_of_its_values() {
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
        for kind in [Kind::Null, Kind::True, Kind::False, Kind::Huge, Kind::NonFiniteNumber] {
            assert_eq!(SlotKind::for_leaf(kind, b"1"), None);
        }
    }

    #[test]
    fn a_patch_is_of_a_slot_of_its_kind_and_leaf() {
        let values: [&[u8]; 6] =
            [b"12,", b"123456789012345678,", b"-1,", b"  ,", b"text\",", b"[1]"];
        let kinds = [
            SlotKind::Count,
            SlotKind::Count,
            SlotKind::Decimal,
            SlotKind::Padding,
            SlotKind::Text,
            SlotKind::Array,
        ];
        for (value, kind) in values.into_iter().zip(kinds) {
            let slot = Slot::new(3, kind, 7, 9);
            let mut patch = slot.empty_patch();
            assert!(
                slot.fill(value, 7, &mut patch, &mut ValuePlace::new(&mut None, &mut false))
                    .is_some(),
                "{kind:?}"
            );
            for other in SlotKind::ALL {
                assert_eq!(Slot::new(3, other, 7, 9).is_of(&patch), other == kind, "{other:?}");
                assert!(!Slot::new(4, other, 7, 9).is_of(&patch), "another leaf");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 5000, ..ProptestConfig::default() })]

        /// Compares the numbers that fit a slot with those of `serde_json`, and with the slot's
        /// kind.
        #[test]
        fn a_value_that_fits_a_number_slot_is_a_number(text in "[-]{0,1}[0-9]{0,20}[.]{0,1}[0-9]{0,20}[eE,.-]{0,1}[0-9]{0,3}") {
            for slot_kind in [SlotKind::Count, SlotKind::Decimal] {
                let Some(len) = slot_kind.number_len(text.as_bytes()) else { continue };
                let number = text.get(..len).unwrap_or_default();
                prop_assert!(serde_json::from_str::<f64>(number).is_ok(), "{}", number);
                prop_assert_eq!(number.parse::<u64>().is_ok(), slot_kind == SlotKind::Count);
                let is_whole = number.bytes().all(|byte| byte != b'.');
                prop_assert!(!is_whole || number.parse::<i64>().is_ok());
            }
        }

        /// Compares the texts that fit a slot, and their values, with those of `serde_json`.
        #[test]
        fn a_value_that_fits_a_text_slot_is_a_string(
            parts in vec(select(vec![
                &b"a"[..], b"0123456789abcdefghi", b"\xC3", b"\xA9", b"\xC3\xA9", b"\xE4\xB8\xAD", b"\xF0\x9F",
                b"\\n", b"\\u00e9", b"\\u4e2d", b"\\ud83d\\ude00", b"\\ud83d", b"\\x", b"\\\xC3\xA9", b"\x1F",
            ]), 0..6),
            behind in select(vec![&b""[..], b",", b"0123456789abcdefghi"]),
        ) {
            let raw = parts.concat();
            let string = [b"\"", &raw[..], b"\""].concat();
            let rest = [&raw[..], b"\"", behind].concat();
            let slot = Slot::new(1, SlotKind::Text, 1, 2);
            let (mut patch, mut values) = (slot.empty_patch(), None);
            let mut is_idle = false;
            let mut place = ValuePlace::new(&mut values, &mut is_idle);
            let found = slot.fill(&rest, 1, &mut patch, &mut place);
            let expected = serde_json::from_slice::<String>(&string).ok();
            prop_assert_eq!(found, expected.as_ref().map(|_| raw.len()));
            if let Some(expected) = expected {
                prop_assert_eq!(patch.is_escaped(), raw.contains(&b'\\'));
                let strings = values.unwrap_or_default().strings;
                let text = if patch.is_escaped() { strings.get(patch.value()).as_bytes() } else { &raw };
                prop_assert_eq!(text, expected.as_bytes());
            }
        }
    }
}
