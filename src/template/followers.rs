//! `Followers`: which templates a thread has seen behind which, to compare the next event with them.

use core::iter;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use super::matcher::NONE;

/// For each template the two that have followed it last, by their numbers in the view.
///
/// They are guesses, because a newer view may have other numbers, and another thread may store one of
/// the two at the same time. The streams that have begun on one thread share them. A stream looks only
/// when an event doesn't match the template of the one before. It stores a template only if that was
/// none of the two.
pub(super) struct Followers(Box<[Pair]>);

/// Two numbers, and no `AtomicU64`, which some targets lack.
type Pair = [AtomicU32; 2];

/// The places for a stream's start and for streams' own templates, before those of the view.
const FIRST: usize = 2;

impl Followers {
    /// Returns the known ones, or a copy of them with more places, for a view with so many templates.
    pub(super) fn of_view(templates: usize, known: Option<Arc<Self>>) -> Arc<Self> {
        let places = known.as_ref().map_or(&[][..], |known| &known.0);
        match &known {
            Some(known) if FIRST + templates <= places.len() => Arc::clone(known),
            _ => {
                let pairs = places.iter().map(Self::load).chain(iter::repeat([NONE; 2]));
                let pairs = pairs.map(|pair| pair.map(AtomicU32::new));
                Arc::new(Self(pairs.take((FIRST + templates).next_power_of_two()).collect()))
            }
        }
    }

    /// Returns the templates that have followed the one with a number, the last one first.
    pub(super) fn of(&self, number: u32) -> [u32; 2] {
        self.place(number).map_or([NONE; 2], Self::load)
    }

    /// Stores that the template `next` has followed the one with a number.
    pub(super) fn add(&self, number: u32, next: u32) {
        if let Some([last, other]) = self.place(number) {
            other.store(last.load(Ordering::Relaxed), Ordering::Relaxed);
            last.store(next, Ordering::Relaxed);
        }
    }

    fn load([last, other]: &Pair) -> [u32; 2] {
        [last.load(Ordering::Relaxed), other.load(Ordering::Relaxed)]
    }

    fn place(&self, number: u32) -> Option<&Pair> {
        self.0.get(number.wrapping_sub(NONE) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::{Followers, NONE};

    #[test]
    fn the_two_latest_are_known() {
        let followers = Followers::of_view(4, None);
        assert_eq!((followers.of(3), followers.of(NONE)), ([NONE; 2], [NONE; 2]));
        for (next, known) in [(5, [5, NONE]), (7, [7, 5]), (u32::MAX, [u32::MAX, 7])] {
            followers.add(3, next);
            assert_eq!((followers.of(3), followers.of(2)), (known, [NONE; 2]));
        }
    }

    #[test]
    fn a_larger_view_has_the_known_ones() {
        let small = Followers::of_view(3, None);
        for number in [NONE, u32::MAX, 2, 100] {
            small.add(number, number ^ 1);
        }
        let large = Followers::of_view(101, Some(small));
        for number in [NONE, u32::MAX, 2] {
            assert_eq!(large.of(number), [number ^ 1, NONE]);
        }
        large.add(100, 7);
        assert_eq!(
            (large.of(100), large.of(99), large.of(1000)),
            ([7, NONE], [NONE; 2], [NONE; 2])
        );
    }
}
