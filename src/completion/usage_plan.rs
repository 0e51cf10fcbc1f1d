//! `UsagePlan`: the numbers of the usage that a chunk with a known template replaces.

use super::budget::Budget;
use crate::chunk::{ChatCompletionChunk, Level, Merge, merge};
use crate::json::{OwnedObject, OwnedValue, Value, ValueKind};
use crate::template::MOST_LEAVES;

/// The slots that are numbers of the usage, each with its position among the stored members.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsagePlan {
    positions: [Option<u8>; MOST_LEAVES],
    /// True if there is such a slot.
    pub(super) has_some: bool,
}

impl UsagePlan {
    /// Adds a slot; returns false if it isn't a number that is stored.
    pub(super) fn add(&mut self, slot: u8, leaf: Value<'_>, usage: Option<&OwnedObject>) -> bool {
        let name = leaf.document.name_of(leaf.id);
        let is_number =
            leaf.kind() == ValueKind::Number && merge(Level::Usage, name) == Merge::Object;
        let is_it = |(known, kept): (&str, &OwnedValue)| known == name && kept.as_raw().is_some();
        let position = usage.and_then(|usage| usage.iter().position(is_it));
        let position = position.filter(|_| is_number).and_then(|it| u8::try_from(it).ok());
        let (Some(stored), true) = (self.positions.get_mut(usize::from(slot)), position.is_some())
        else {
            return false;
        };
        *stored = position;
        self.has_some = true;
        true
    }

    /// Replaces the stored numbers by those of a chunk.
    #[inline]
    pub(super) fn push(
        &self,
        usage: &mut OwnedObject,
        chunk: &ChatCompletionChunk<'_>,
        budget: &mut Budget,
    ) {
        let members = &mut *usage.members;
        for (slot, position) in self.positions.iter().enumerate() {
            if let Some(position) = *position
                && let Some(member) = members.get_mut(usize::from(position))
            {
                member.replace_by_number(chunk.slot_number(slot), budget);
            }
        }
    }
}
