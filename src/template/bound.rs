//! The bound values of an event: its head, and the runs behind it.

use core::ops::Range;

use smallvec::SmallVec;

use super::Index;
use super::slot::{Slot, run_of};
use super::template::{Template, shared_len};
use super::tuning::{LARGEST_EVENT, MOST_LEAVES, USUAL_BOUND};
use crate::json::{Patch, Patches};
use crate::slice::{bytes_in, items_in};

/// The values that a stream has bound: the head of its events, and the runs behind it.
///
/// A *run* is the bytes from one bound value to the last one before the next slot. Before each run is
/// a line feed, which no event contains in its JSON text.
pub(super) type Bound = SmallVec<[u8; USUAL_BOUND]>;

/// The bound values of one event.
pub(super) type EventBound = SmallVec<[u8; LARGEST_EVENT + MOST_LEAVES]>;

/// The event that a stream matched before.
pub(super) struct EventBefore<'e, I> {
    pub(super) template: Option<&'e Template<I>>,
    /// The head, and the patches; those of `template` if there is one.
    pub(super) head: &'e [u8],
    pub(super) patches: &'e [Patch],
}

/// The leaves that an event has in common with the event before: the first ones.
pub(super) struct KnownLeaves<'e> {
    pub(super) patches: &'e [Patch],
    /// True if they are all of the head, and both events have the same head.
    pub(super) has_same_head: bool,
}

/// Returns the literals of a head, each with its length and with the id and the kind of its leaf.
///
/// Templates with the same list have the same head in a stream.
pub(super) fn head_literals(text: &[u8], head: &[Slot]) -> Box<[u8]> {
    let mut list = Vec::new();
    for leaf in head {
        let literal = bytes_in(text, leaf.literal_start as usize..leaf.literal_end as usize);
        list.extend_from_slice(&(leaf.literal_end - leaf.literal_start).to_ne_bytes());
        list.extend_from_slice(&leaf.id.to_ne_bytes());
        list.push(leaf.kind as u8);
        list.extend_from_slice(literal);
    }
    list.into()
}

impl<I: Index> Template<I> {
    /// Returns the leaves that an event has in common with the event before.
    pub(super) fn known_leaves<'e>(
        &self,
        input: &[u8],
        before: &EventBefore<'e, I>,
    ) -> KnownLeaves<'e> {
        let EventBefore { template, head, patches } = *before;
        let has_head = input.starts_with(head);
        if has_head
            && let Some(template) = template
            && template.head_literals == self.head_literals
            && let Some((patches, leaf)) = self.head_of(patches)
            && self.ends_at(leaf, input, head.len())
        {
            let mut leaves = self.leaves.iter().zip(patches);
            debug_assert!(leaves.all(|(leaf, patch)| leaf.is_of(patch)), "both heads are alike");
            return KnownLeaves { patches, has_same_head: true };
        }
        let shared = if has_head { head.len() } else { shared_len(input, head) };
        KnownLeaves { patches: self.shared_leaves(input, shared, patches), has_same_head: false }
    }

    /// Returns the patches of the leaves of the head, and the last of these leaves.
    fn head_of<'p>(&self, patches: &'p [Patch]) -> Option<(&'p [Patch], &Slot)> {
        let last = self.leaves.get(self.head_leaves.checked_sub(1)?)?;
        Some((patches.get(..self.head_leaves)?, last))
    }

    /// Returns true if a value that ends at a position of an event may be all of the leaf's value.
    fn ends_at(&self, leaf: &Slot, input: &[u8], end: usize) -> bool {
        input.get(end) == self.text.as_bytes().get(self.json.start + leaf.end as usize)
    }

    /// Returns the patches of the first leaves whose values are in the first `shared` bytes.
    fn shared_leaves<'p>(&self, input: &[u8], shared: usize, known: &'p [Patch]) -> &'p [Patch] {
        let text = self.text.as_bytes();
        let (mut count, mut end) = (0, 0);
        for (leaf, patch) in self.leaves.iter().zip(known) {
            let value = patch.value_range();
            let start = core::mem::replace(&mut end, self.json.start + value.end);
            let literal = leaf.literal_start as usize..leaf.literal_end as usize;
            if end > shared
                || !leaf.is_bound
                || !leaf.is_of(patch)
                || input.get(start..self.json.start + value.start) != text.get(literal)
            {
                break;
            }
            // The value may be only the beginning of the event's own one.
            if !self.ends_at(leaf, input, end) {
                break;
            }
            count += 1;
        }
        known.get(..count).unwrap_or_default()
    }

    /// Returns true if an event has these bound values, or the template binds none.
    pub(super) fn has_bound(&self, input: &[u8], list: &[Patch], bound: &[u8]) -> bool {
        let mut rest = Some(bound);
        self.each_bound(input, list, |bytes| {
            rest = rest.and_then(|rest| rest.strip_prefix(bytes));
        });
        rest.is_some_and(<[u8]>::is_empty) || self.leaves.iter().all(|leaf| !leaf.is_bound)
    }

    /// Passes the bound values of an event to `add`: its head, and its runs with their line feeds.
    pub(super) fn each_bound(&self, input: &[u8], list: &[Patch], mut add: impl FnMut(&[u8])) {
        add(bytes_in(input, ..self.head_len(list) as usize));
        for (_, Range { start, end }) in self.runs(list) {
            add(b"\n");
            add(bytes_in(input, self.json.start + start..self.json.start + end));
        }
    }

    /// Returns the runs of bound leaves behind the head, whose values the patches have.
    ///
    /// A run is its leaves and its range in the JSON text.
    fn runs<'l>(
        &'l self,
        list: &'l [Patch],
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + 'l {
        let mut at = self.head_leaves;
        core::iter::from_fn(move || {
            at += items_in(&self.leaves, at..).iter().position(|leaf| leaf.is_bound)?;
            let leaves = at..at + usize::from(self.leaves.get(at)?.run);
            at = leaves.end;
            Some((leaves.clone(), run_of(items_in(list, leaves))))
        })
    }

    /// Returns the length of the head of an event, whose values the patches have.
    pub(super) fn head_len(&self, list: &[Patch]) -> u32 {
        let number = self.head_leaves.checked_sub(1);
        let patch = number.and_then(|number| list.get(number));
        let end = patch.map_or(0, |patch| self.json.start + patch.value_range().end);
        u32::try_from(end).unwrap_or(u32::MAX)
    }

    /// Returns the number of the bound leaf at a position of the bound values.
    ///
    /// The patches are those of this template, and of the values.
    pub(super) fn bound_at(&self, position: usize, patches: &Patches) -> Option<usize> {
        let list = &patches.list;
        let end_of = |leaf: usize| list.get(leaf).map_or(0, |patch| patch.value_range().end);
        let is_behind =
            |leaf: &usize, origin: usize| origin.wrapping_add(end_of(*leaf)) >= position;
        let mut head = 0..self.head_leaves;
        if let Some(leaf) = head.find(|leaf| is_behind(leaf, self.json.start)) {
            return Some(leaf);
        }
        let mut end = self.head_len(list) as usize;
        self.runs(list).find_map(|(mut leaves, range)| {
            let origin = (end + 1).wrapping_sub(range.start);
            end += 1 + range.len();
            leaves.find(|leaf| is_behind(leaf, origin))
        })
    }
}
