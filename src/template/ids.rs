//! Ids of templates and of bound values, unique in the process.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The number of ids that one thread reserves at a time, so that threads rarely share a counter.
const BLOCK: u64 = 1 << 16;

/// Returns an id that no other call in the process returns, or `None` once all are used.
///
/// Is never 0. By the id, consumers recognise that two chunks have the same literals, or the same
/// bound values.
pub(super) fn next_id() -> Option<u64> {
    thread_local! {
        static LAST: Cell<u64> = const { Cell::new(0) };
    }
    let next = |last: &Cell<u64>| {
        let start = if last.get().is_multiple_of(BLOCK) { next_block()? } else { last.get() };
        last.set(start + 1);
        Some(start + 1)
    };
    LAST.try_with(next).ok()?
}

fn next_block() -> Option<u64> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
    let block = NEXT.fetch_update(set, fetch, |next| next.checked_add(1)).ok()?;
    // The last id of a block must not overflow.
    (block as u64).checked_mul(BLOCK).filter(|start| start.checked_add(BLOCK).is_some())
}

#[cfg(test)]
mod tests {
    use super::next_id;
    use std::collections::BTreeSet;
    use std::thread;

    #[test]
    fn ids_of_threads_differ() {
        let some = || (0..100_000).filter_map(|_| next_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(some)).collect();
        let all: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        let ids: BTreeSet<_> = all.iter().flatten().collect();
        assert_eq!((ids.len(), ids.contains(&0)), (400_000, false));
    }
}
