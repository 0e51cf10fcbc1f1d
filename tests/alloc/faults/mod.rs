//! The cost of a peer's bytes, a test for each kind of fault: memory, allocations, stack.

mod costs;
mod memory;

use crate::support::heap;

/// Returns the result of `work`, the bytes that it adds at its peak, and the bytes that remain.
fn memory<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = heap::live();
    heap::reset_peak();
    let made = work();
    let (peak, held) = (heap::peak() - before, heap::live() - before);
    (made, peak.max(0) as usize, held.max(0) as usize)
}
