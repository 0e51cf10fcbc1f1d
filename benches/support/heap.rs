//! The heap of a run: the allocator that the tests count with, and bytes besides.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement; it only forwards")]

#[path = "../../tests/support/heap.rs"]
mod counting;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use counting::Heap;

struct Switched;

#[global_allocator]
static ALLOCATOR: Switched = Switched;

/// Off while engines are timed: they allocate unequally, and would pay for it unequally.
static IS_COUNTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Returns true if these bytes count, and counts them.
fn counts(len: usize) -> bool {
    let counts = IS_COUNTING.load(Ordering::Relaxed);
    if counts {
        ALLOCATED.set(ALLOCATED.get() + len);
    }
    counts
}

// SAFETY: each call is passed on as it is, to `System` in the end.
unsafe impl GlobalAlloc for Switched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { if counts(layout.size()) { Heap.alloc(layout) } else { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { if counts(0) { Heap.dealloc(at, layout) } else { System.dealloc(at, layout) } }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            if counts(len) {
                Heap.realloc(at, layout, len)
            } else {
                System.realloc(at, layout, len)
            }
        }
    }
}

/// The heap figures of a run on its thread.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// How often it allocated or grew something.
    pub allocations: usize,
    /// The bytes that it asked for in all.
    pub bytes: usize,
    /// The bytes that it left behind.
    pub live: isize,
    /// The most bytes at once, beyond those before it.
    pub peak: isize,
}

/// Runs, and counts until the result is there. The run frees nothing that was there before.
pub fn counted<T>(run: impl FnOnce() -> T) -> (T, Usage) {
    counting::reset_peak();
    let (allocations, bytes) = (counting::allocations(), ALLOCATED.get());
    let live = counting::live();
    IS_COUNTING.store(true, Ordering::Relaxed);
    let result = run();
    IS_COUNTING.store(false, Ordering::Relaxed);
    let usage = Usage {
        allocations: counting::allocations() - allocations,
        bytes: ALLOCATED.get() - bytes,
        live: counting::live() - live,
        peak: counting::peak() - live,
    };
    (result, usage)
}
