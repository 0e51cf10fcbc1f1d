//! `TemplateCache`: values that a consumer of chunks computes once for each template.

use core::num::NonZeroU64;

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

#[cfg(test)]
mod tests {
    use super::{TemplateCache, TemplateKey};
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
}
