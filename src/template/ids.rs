//! `TemplateIds`: the ids of templates, unique in the process.

use core::sync::atomic::{AtomicUsize, Ordering};

/// A source of ids that no other decoder of the process uses; 0 is never one.
///
/// By the id, consumers recognise that a chunk has the literals of an earlier chunk.
#[derive(Clone, Copy, Default)]
pub(super) struct TemplateIds {
    last: u64,
}

impl TemplateIds {
    /// The number of ids that one decoder reserves at a time.
    const BLOCK: u64 = 256;

    /// Returns the next id, or `None` once the process has used all.
    pub(super) fn next(&mut self) -> Option<u64> {
        if self.last.is_multiple_of(Self::BLOCK) {
            self.last = Self::next_block()?;
        }
        self.last += 1;
        Some(self.last)
    }

    fn next_block() -> Option<u64> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let block = NEXT.fetch_update(set, fetch, |next| next.checked_add(1)).ok()?;
        (block as u64).checked_mul(Self::BLOCK)
    }
}
