//! What a run does to the heap: the allocator that the tests count with, and bytes besides.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement; it only forwards")]

#[path = "../../tests/support/heap.rs"]
mod counting;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use counting::Heap;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

fn count(len: usize) {
    ALLOCATED.set(ALLOCATED.get().wrapping_add(len));
}

// SAFETY: each call is passed on to `Heap` as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { Heap.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(len);
        // SAFETY: as the caller promises.
        unsafe { Heap.realloc(at, layout, len) }
    }
}

/// What a run did to the heap of its thread.
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

/// Runs, and counts until the result is there.
pub fn counted<T>(run: impl FnOnce() -> T) -> (T, Usage) {
    counting::reset_peak();
    let (allocations, bytes) = (counting::allocations(), ALLOCATED.get());
    let live = counting::live();
    let result = run();
    let usage = Usage {
        allocations: counting::allocations() - allocations,
        bytes: ALLOCATED.get() - bytes,
        live: counting::live() - live,
        peak: counting::peak() - live,
    };
    (result, usage)
}
