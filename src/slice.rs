//! Slices by ranges that are invariants: asserted in debug builds, empty slices in release builds.
//!
//! A range that isn't within its slice is a cold call, so the compiler makes it a branch. That costs
//! less than selecting between two slices.

use core::slice::SliceIndex;

/// Returns the bytes in a range that is within `bytes`.
#[inline]
#[track_caller]
pub(crate) fn bytes_in<R: SliceIndex<[u8], Output = [u8]>>(bytes: &[u8], range: R) -> &[u8] {
    items_in(bytes, range)
}

/// Returns the items in a range that is within `items`.
#[inline]
#[track_caller]
pub(crate) fn items_in<T, R: SliceIndex<[T], Output = [T]>>(items: &[T], range: R) -> &[T] {
    let slice = items.get(range);
    debug_assert!(slice.is_some(), "a range is outside of its {} items", items.len());
    slice.unwrap_or_else(none)
}

/// Returns the items in a range that is within `items`.
#[cfg(feature = "std")]
#[inline]
#[track_caller]
pub(crate) fn items_in_mut<T, R>(items: &mut [T], range: R) -> &mut [T]
where
    R: SliceIndex<[T], Output = [T]>,
{
    let slice = items.get_mut(range);
    debug_assert!(slice.is_some(), "a range is outside of its items");
    slice.unwrap_or_else(none)
}

/// Returns the bytes from `start` to `end`, which are within `bytes`, in a constant function too.
#[track_caller]
pub(crate) const fn bytes_between(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    if let Some((head, _)) = bytes.split_at_checked(end)
        && let Some((_, slice)) = head.split_at_checked(start)
    {
        return slice;
    }
    debug_assert!(false, "a range is outside of its bytes");
    &[]
}

/// Returns the text in a range that is within `text` and ends at characters.
#[cfg(feature = "std")]
#[inline]
#[track_caller]
pub(crate) fn text_in<R: SliceIndex<str, Output = str>>(text: &str, range: R) -> &str {
    let slice = text.get(range);
    debug_assert!(slice.is_some(), "a range is outside of its {} bytes of text", text.len());
    slice.unwrap_or_else(none)
}

/// Splits `bytes` at a position within them.
#[cfg(feature = "std")]
#[inline]
#[track_caller]
pub(crate) fn split_bytes(bytes: &[u8], position: usize) -> (&[u8], &[u8]) {
    let halves = bytes.split_at_checked(position);
    debug_assert!(halves.is_some(), "{position} is outside of {} bytes", bytes.len());
    halves.unwrap_or_else(none)
}

/// Returns an empty slice, or two.
#[cold]
#[inline(never)]
fn none<T: Default>() -> T {
    T::default()
}
