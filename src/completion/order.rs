//! `Moved`: the new positions of choices and tool calls that the end of a push has sorted.
//!
//! A push appends choices and tool calls, even behind others with higher indexes. So positions
//! remain valid during the push, and an event with many choices or tool calls costs one sort.

/// The new positions of the elements of a sorted list.
pub(super) enum Moved {
    /// The last element is at `to`, and each element from `to` on is one position further.
    Last { from: usize, to: usize },
    /// The new position of each element.
    Each(Vec<usize>),
}

impl Moved {
    /// Returns the new position of the element that was at `at`.
    pub(super) fn place(&self, at: usize) -> usize {
        match self {
            Self::Last { from, to } if at == *from => *to,
            Self::Last { to, .. } => at + usize::from(at >= *to),
            Self::Each(places) => places.get(at).copied().unwrap_or(at),
        }
    }
}

/// Sorts two lists of the same length by the keys of the second list's elements.
///
/// All but the last `late` elements are sorted already. Elements with the same key keep their
/// order.
#[cold]
pub(super) fn sort_both<A, B, K: Ord>(
    list: &mut [A],
    keyed: &mut [B],
    late: usize,
    key: impl Fn(&B) -> K,
) -> Moved {
    debug_assert_eq!(list.len(), keyed.len(), "both lists are of one length");
    if let ([sorted @ .., last], 1) = (&*keyed, late) {
        let (from, to) = (sorted.len(), sorted.partition_point(|one| key(one) <= key(last)));
        move_last(list, to);
        move_last(keyed, to);
        return Moved::Last { from, to };
    }
    let mut order: Vec<_> = keyed.iter().enumerate().map(|(at, one)| (key(one), at)).collect();
    order.sort();
    let mut places = vec![0; order.len()];
    for (new, (_, old)) in order.iter().enumerate() {
        if let Some(place) = places.get_mut(*old) {
            *place = new;
        }
    }
    let mut left = places.clone();
    for at in 0..left.len() {
        while let Some(to) = left.get(at).copied().filter(|to| *to != at) {
            swap(list, at, to);
            swap(keyed, at, to);
            swap(&mut left, at, to);
        }
    }
    Moved::Each(places)
}

/// Moves the last element to a position.
fn move_last<T>(list: &mut [T], to: usize) {
    if let Some(tail @ [_, ..]) = list.get_mut(to..) {
        tail.rotate_right(1);
    }
}

/// Swaps two elements at different positions of a list.
fn swap<T>(list: &mut [T], one: usize, other: usize) {
    if let Ok([one, other]) = list.get_disjoint_mut([one, other]) {
        core::mem::swap(one, other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::sort_both;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// Compares the lists and positions with the result of the standard library's stable sort.
        #[test]
        fn sorted_lists_are_in_order(mut head in vec(0u8..9, 0..9), tail in vec(0u8..9, 1..6)) {
            head.sort_unstable();
            let mut keyed: Vec<_> = head.iter().chain(&tail).copied().enumerate().collect();
            let mut list: Vec<_> = (0..keyed.len()).collect();
            let moved = sort_both(&mut list, &mut keyed, tail.len(), |(_, key)| *key);
            let mut expected: Vec<_> = head.iter().chain(&tail).copied().enumerate().collect();
            expected.sort_by_key(|(_, key)| *key);
            prop_assert_eq!(&keyed, &expected);
            for (place, (before, _)) in expected.iter().enumerate() {
                prop_assert_eq!(moved.place(*before), place);
                prop_assert_eq!(list.get(place), Some(before));
            }
        }
    }
}
