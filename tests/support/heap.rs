//! An allocator that counts the allocations of the current thread.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement; it only forwards")]
#![allow(dead_code, reason = "each user reads a part of it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub struct Heap;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static MOVING_PEAK: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static REQUESTED: Cell<usize> = const { Cell::new(0) };
}

/// Returns the bytes that this thread has allocated and not freed.
///
/// Below 0 if it freed bytes of another thread.
pub fn live() -> isize {
    LIVE.get()
}

/// Returns the peak of them since [`reset_peak`].
pub fn peak() -> isize {
    PEAK.get()
}

/// Returns [`peak`] for moved buffers: the old and the new one exist together.
pub fn moving_peak() -> isize {
    MOVING_PEAK.get().max(PEAK.get())
}

pub fn reset_peak() {
    PEAK.set(LIVE.get());
    MOVING_PEAK.set(LIVE.get());
}

/// Returns the number of this thread's allocations and reallocations.
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Returns all bytes that this thread has asked for: a growing buffer is counted each time.
pub fn requested() -> usize {
    REQUESTED.get()
}

fn grow(len: usize) {
    let live = LIVE.get().wrapping_add_unsigned(len);
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    REQUESTED.set(REQUESTED.get().wrapping_add(len));
}

fn shrink(len: usize) {
    LIVE.set(LIVE.get().wrapping_sub_unsigned(len));
}

// SAFETY: each call is passed on to `System` as it is.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        // Both are there while one is copied to the other.
        MOVING_PEAK.set(MOVING_PEAK.get().max(LIVE.get().wrapping_add_unsigned(len)));
        shrink(layout.size());
        grow(len);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, len) }
    }
}
