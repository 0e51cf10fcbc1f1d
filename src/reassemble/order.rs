//! `Moved`: choices and tool calls that come behind others of higher indexes, put in order at the end
//! of a push. A push appends, so that what it notes of positions stays right while it goes on, and so
//! that the cost of an event with many of them is that of sorting them once.

/// Where the elements of a list stand once it is in order.
pub(super) enum Moved {
    /// The last one stands at `to`, and those that stood there and behind it one further.
    Last { from: usize, to: usize },
    /// The new place of each.
    Each(Vec<usize>),
}

impl Moved {
    /// The new place of what stood at `at`.
    pub(super) fn place(&self, at: usize) -> usize {
        match self {
            Self::Last { from, to } if at == *from => *to,
            Self::Last { to, .. } => at + usize::from(at >= *to),
            Self::Each(places) => places.get(at).copied().unwrap_or(at),
        }
    }
}

/// Puts two lists of one length in order by the key of the second one's elements; all but the last
/// `late` are. Elements of the same key stay as they came.
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

/// Moves the last element to a place.
fn move_last<T>(list: &mut [T], to: usize) {
    if let Some(tail @ [_, ..]) = list.get_mut(to..) {
        tail.rotate_right(1);
    }
}

/// Two places of one list, which differ.
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

        /// As the standard library's stable sort has it, and each is found where it is said to be.
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
