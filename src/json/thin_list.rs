//! `ThinList`: a list of one pointer, for lists that are mostly empty.

use core::ops::{Deref, DerefMut};

use smallvec::SmallVec;

/// A list that needs one pointer while it is empty, and one buffer for one element.
#[derive(Debug)]
pub(crate) struct ThinList<T>(Option<Box<SmallVec<[T; 1]>>>);

/// The number of unused places that are kept: to free fewer costs a copy of the elements.
const KEPT: usize = 3;

impl<T> ThinList<T> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Appends an element.
    pub(crate) fn push(&mut self, element: T) {
        let list = self.0.get_or_insert_default();
        if list.len() == 1 && !list.spilled() {
            // Most lists with two elements get more.
            list.reserve(3);
        }
        list.push(element);
    }

    /// Makes a buffer for `more` elements, if the list is empty.
    pub(crate) fn reserve_first(&mut self, more: usize) {
        if self.0.is_none() && more > 1 {
            self.0 = Some(Box::new(SmallVec::from_vec(Vec::with_capacity(more))));
        }
    }

    /// Removes and returns the element at a position, and moves the later ones forward.
    pub(crate) fn remove(&mut self, position: usize) -> Option<T> {
        let list = self.0.as_mut()?;
        let rest = list.get_mut(position..).filter(|rest| !rest.is_empty())?;
        rest.rotate_left(1);
        list.pop()
    }

    /// Replaces the elements, in the same buffer.
    pub(crate) fn replace(&mut self, elements: &[T])
    where
        T: Copy,
    {
        let list = self.0.get_or_insert_default();
        list.clear();
        list.extend_from_slice(elements);
    }

    /// Frees the memory that the elements don't need, unless it is that of few elements.
    pub(crate) fn shrink_to_fit(&mut self) {
        if let Some(list) = &mut self.0
            && list.capacity() - list.len() > KEPT
        {
            list.shrink_to_fit();
        }
    }
}

/// Needs little stack, because stored values are copied level by level.
impl<T: Clone> Clone for ThinList<T> {
    fn clone(&self) -> Self {
        let Some(list) = &self.0 else { return Self::new() };
        let mut copy = Box::new(SmallVec::with_capacity(list.len()));
        list.iter().for_each(|element| copy.push(element.clone()));
        Self(Some(copy))
    }
}

impl<T> Default for ThinList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for ThinList<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |list| list)
    }
}

impl<T> DerefMut for ThinList<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut().map_or(&mut [], |list| list)
    }
}

impl<T: PartialEq> PartialEq for ThinList<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for ThinList<T> {}

impl<T> IntoIterator for ThinList<T> {
    type Item = T;
    type IntoIter = smallvec::IntoIter<[T; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map_or_else(SmallVec::new, |list| *list).into_iter()
    }
}

impl<T> FromIterator<T> for ThinList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut list = Self::default();
        elements.into_iter().for_each(|element| list.push(element));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::ThinList;

    #[test]
    fn a_list_is_equal_to_one_of_the_same_elements() {
        let mut list = ThinList::default();
        assert!(list == ThinList::default() && list.is_empty());
        for element in 0..9 {
            list.push(element);
            list.shrink_to_fit();
            assert!(list == (0..=element).collect() && list != ThinList::default());
        }
        assert!(list.clone().into_iter().eq(0..9));
        list.iter_mut().for_each(|element| *element += 1);
        assert_eq!(*list, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(size_of_val(&list), size_of::<usize>());
        assert_eq!((list.remove(9), list.remove(8), list.remove(0)), (None, Some(9), Some(1)));
        assert_eq!(*list, [2, 3, 4, 5, 6, 7, 8]);
        list.replace(&[7, 8]);
        assert_eq!(*list, [7, 8]);
        assert_eq!((list.remove(1), list.remove(0), list.remove(0)), (Some(8), Some(7), None));
        assert!(list.is_empty() && ThinList::<u8>::new().remove(0).is_none());
    }
}
