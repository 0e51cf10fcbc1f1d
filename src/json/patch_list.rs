//! `PatchList`: the patches of a document, in reused memory.

use core::ops::{Deref, DerefMut};

use super::patch::Patch;
use super::thin_list::ThinList;

/// The patches that are stored without an allocation: four bound values and two slots.
const INLINE: usize = 6;

/// The largest number of patches.
pub(crate) const MOST_PATCHES: usize = u8::MAX as usize;

/// A list of patches.
///
/// Its length and the slots, which are the last patches of most events, are in one cache line. The
/// length of a `SmallVec` would be before all patches, in a line of its own.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct PatchList {
    /// All patches, if they are more than [`INLINE`].
    more: ThinList<Patch>,
    inline: [Patch; INLINE],
    len: u8,
}

impl PatchList {
    /// Creates an empty list.
    pub(super) const fn new() -> Self {
        Self { more: ThinList::new(), inline: [Patch::NONE; INLINE], len: 0 }
    }

    /// Removes the patches; the memory stays.
    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Replaces the patches by others, of which there are at most [`MOST_PATCHES`].
    pub(crate) fn replace(&mut self, patches: &[Patch]) {
        debug_assert!(patches.len() <= MOST_PATCHES, "a template has few leaves");
        self.len = u8::try_from(patches.len()).unwrap_or(0);
        if let Some(places) = self.inline.get_mut(..patches.len()) {
            places.copy_from_slice(patches);
        } else {
            self.more.replace(patches);
        }
    }
}

impl Default for PatchList {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for PatchList {
    type Target = [Patch];

    #[inline]
    fn deref(&self) -> &[Patch] {
        self.inline.get(..usize::from(self.len)).unwrap_or_else(|| &self.more)
    }
}

impl DerefMut for PatchList {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Patch] {
        match self.inline.get_mut(..usize::from(self.len)) {
            Some(patches) => patches,
            None => &mut self.more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Patch, PatchList};
    use crate::json::Kind;

    #[test]
    fn the_patches_are_those_of_the_last_replacement() {
        let mut list = PatchList::new();
        for len in [0, 3, 6, 7, 24, 2, 9, 0] {
            let patches: Vec<_> = (0..len).map(|id| Patch::new(id, Kind::Null)).collect();
            list.replace(&patches);
            assert!(list.iter().map(Patch::id).eq(0..len), "{len}: {list:?}");
            list.iter_mut().for_each(|patch| patch.set(1, 2, 0, 0));
            assert!(list.iter().all(|patch| patch.value_range() == (1..2)));
        }
        list.replace(&[Patch::NONE; 8]);
        list.clear();
        assert!(list.is_empty());
    }
}
