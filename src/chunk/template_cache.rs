//! `TemplateCache` and `SharedCache`: values that a stream, or a thread, computes once per template.

use core::cell::Cell;
use core::num::NonZeroU64;
use std::thread::LocalKey;

use super::ChatCompletionChunk;

/// Identifies the template that a chunk matched, and the values that its stream has bound.
///
/// Chunks with equal keys differ in the values of their slots only. Keys are unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TemplateKey {
    template: NonZeroU64,
    /// The id of the bound values; 0 if there are none.
    binding: u64,
}

impl TemplateKey {
    /// Returns the id of the template. Streams with other bound values share it.
    pub(crate) const fn template(self) -> NonZeroU64 {
        self.template
    }
}

impl ChatCompletionChunk<'_> {
    /// Returns the key of the chunk's template, or `None` if the chunk matched no template.
    #[inline]
    pub(crate) fn template_key(&self) -> Option<TemplateKey> {
        let (template, binding) = self.document.base();
        NonZeroU64::new(template).map(|template| TemplateKey { template, binding })
    }
}

/// Stores a value for each of the last two templates of a stream.
///
/// A value is computed in place of an older one, so that its buffers are reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct TemplateCache<T> {
    first: Entry<T>,
    second: Entry<T>,
    /// The entry that was selected last is `second`.
    is_second: bool,
}

#[derive(Clone, Debug, Default)]
struct Entry<T> {
    key: Option<TemplateKey>,
    value: T,
}

impl<T> TemplateCache<T> {
    /// Creates an empty cache. The values are those that the first computations replace.
    pub(crate) const fn new(first: T, second: T) -> Self {
        Self {
            first: Entry { key: None, value: first },
            second: Entry { key: None, value: second },
            is_second: false,
        }
    }

    /// Returns the value for a key. Calls `compute` first if the cache has none.
    ///
    /// `compute` gets the value of another key and replaces it.
    #[inline]
    pub(crate) fn get_or_compute(
        &mut self,
        key: TemplateKey,
        compute: impl FnOnce(&mut T),
    ) -> &mut T {
        if self.selected().key != Some(key) {
            self.is_second = !self.is_second;
            let entry = self.selected();
            if entry.key != Some(key) {
                entry.key = Some(key);
                compute(&mut entry.value);
            }
        }
        &mut self.selected().value
    }

    #[inline]
    const fn selected(&mut self) -> &mut Entry<T> {
        if self.is_second { &mut self.second } else { &mut self.first }
    }
}

/// Stores values that depend on a template alone; those of one thread are right for all its streams.
///
/// A value takes the place of that of another template.
pub(crate) struct SharedCache<T>([Cell<Option<(NonZeroU64, T)>>; PLACES]);

/// The number of values in a [`SharedCache`]. An upstream has up to 20 kinds of events.
const PLACES: usize = 32;

impl<T: Copy> SharedCache<T> {
    /// Creates an empty cache.
    pub(crate) const fn new() -> Self {
        Self([const { Cell::new(None) }; PLACES])
    }

    /// Returns the value of a template, if this thread has shared one.
    pub(crate) fn get(cache: &'static LocalKey<Self>, template: NonZeroU64) -> Option<T> {
        let known = cache.try_with(|cache| cache.place(template).and_then(Cell::get));
        let (known, value) = known.ok().flatten()?;
        (known == template).then_some(value)
    }

    /// Stores the value of a template. It must be right for any bound values and any slots.
    ///
    /// A thread that ends stores none.
    pub(crate) fn share(cache: &'static LocalKey<Self>, template: NonZeroU64, value: T) {
        let _ = cache.try_with(|cache| {
            if let Some(place) = cache.place(template) {
                place.set(Some((template, value)));
            }
        });
    }

    fn place(&self, template: NonZeroU64) -> Option<&Cell<Option<(NonZeroU64, T)>>> {
        self.0.get(usize::try_from(template.get() % PLACES as u64).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACES, SharedCache, TemplateCache, TemplateKey};
    use core::num::NonZeroU64;

    #[test]
    fn the_last_two_keys_are_computed_once() {
        let key = |id| TemplateKey { template: NonZeroU64::MIN.saturating_add(id), binding: 0 };
        let (mut cache, mut computed) = (TemplateCache::<u64>::default(), Vec::new());
        for (key, value) in [
            (key(0), 1),
            (key(0), 2),
            (key(1), 3),
            (key(0), 4),
            (key(2), 5), // replaces key 1
            (key(0), 6),
            (key(2), 7),
            (key(1), 8),
        ] {
            let found = *cache.get_or_compute(key, |stored| {
                computed.push(value);
                *stored = value;
            });
            assert!(computed.contains(&found));
        }
        assert_eq!(computed, [1, 3, 5, 8]);
    }

    #[test]
    fn a_shared_value_replaces_another_one() {
        let id = |number: usize| NonZeroU64::MIN.saturating_add(number as u64);
        thread_local! {
            static CACHE: SharedCache<usize> = const { SharedCache::new() };
        }
        let get = |number| SharedCache::get(&CACHE, id(number));
        for number in 0..PLACES {
            assert!(get(number).is_none());
            SharedCache::share(&CACHE, id(number), number);
        }
        assert!((0..PLACES).all(|number| get(number) == Some(number)));
        SharedCache::share(&CACHE, id(PLACES), PLACES);
        assert_eq!((get(0), get(PLACES)), (None, Some(PLACES)));
        let other = std::thread::spawn(move || SharedCache::get(&CACHE, id(1)));
        assert_eq!(other.join().ok(), Some(None), "another thread has its own values");
    }
}
