//! `UsagePlan`: the numbers of the usage that a chunk with a known template replaces.

use super::budget::Budget;
use crate::chunk::{ChatCompletionChunk, Level, Merge, merge};
use crate::json::{OwnedObject, OwnedValue, Value, ValueKind};
use crate::template::MOST_LEAVES;

/// The slots that are numbers of the usage, each with its position among the stored members.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsagePlan {
    /// The positions of the members, by slot.
    positions: [u8; MOST_LEAVES],
    /// The slots that are such numbers: a bit for each.
    slots: u32,
}

/// Each slot has a bit.
const _: () = assert!(MOST_LEAVES <= u32::BITS as usize);

impl UsagePlan {
    /// Returns true if there is such a slot.
    pub(super) const fn has_some(&self) -> bool {
        self.slots != 0
    }

    /// Adds a slot; returns false if it isn't a number that is stored.
    pub(super) fn add(&mut self, slot: u8, leaf: Value<'_>, usage: Option<&OwnedObject>) -> bool {
        let name = leaf.document.name_of(leaf.id);
        let is_number =
            leaf.kind() == ValueKind::Number && merge(Level::Usage, name) == Merge::Object;
        let is_it = |(known, kept): (&str, &OwnedValue)| known == name && kept.as_raw().is_some();
        let position = usage.and_then(|usage| usage.iter().position(is_it));
        let position = position.filter(|_| is_number).and_then(|it| u8::try_from(it).ok());
        let (Some(stored), Some(position)) = (self.positions.get_mut(usize::from(slot)), position)
        else {
            return false;
        };
        *stored = position;
        self.slots |= 1 << slot;
        true
    }

    /// Returns the slots, each with its position among the stored members.
    #[inline]
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let mut slots = self.slots;
        core::iter::from_fn(move || {
            let slot = slots.trailing_zeros() as usize;
            slots &= slots.wrapping_sub(1);
            Some((slot, usize::from(*self.positions.get(slot)?)))
        })
    }

    /// Replaces the stored numbers by those of a chunk.
    #[inline]
    pub(super) fn push(
        &self,
        usage: &mut OwnedObject,
        chunk: &ChatCompletionChunk<'_>,
        budget: &mut Budget,
    ) {
        for (slot, position) in self.slots() {
            usage.replace_number(position, chunk.slot_number(slot), budget);
        }
    }
}
