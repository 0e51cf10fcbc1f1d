//! Slices by ranges that are invariants: asserted in debug builds, empty slices in release builds.

use core::slice::SliceIndex;

/// Returns the bytes in a range that is within `bytes`.
#[inline]
pub(crate) fn bytes_in<R: SliceIndex<[u8], Output = [u8]>>(bytes: &[u8], range: R) -> &[u8] {
    let slice = bytes.get(range);
    debug_assert!(slice.is_some(), "a range is outside of its {} bytes", bytes.len());
    slice.unwrap_or_default()
}

/// Returns the text in a range that is within `text` and ends at characters.
#[inline]
pub(super) fn text_in<R: SliceIndex<str, Output = str>>(text: &str, range: R) -> &str {
    let slice = text.get(range);
    debug_assert!(slice.is_some(), "a range is outside of its {} bytes of text", text.len());
    slice.unwrap_or_default()
}

/// Splits `bytes` at a position within them.
#[inline]
pub(super) fn split_bytes(bytes: &[u8], position: usize) -> (&[u8], &[u8]) {
    let halves = bytes.split_at_checked(position);
    debug_assert!(halves.is_some(), "{position} is outside of {} bytes", bytes.len());
    halves.unwrap_or_default()
}
