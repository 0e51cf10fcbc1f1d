//! `ShortText`: a text of few bytes, in place.

use super::known_text;
use crate::slice::bytes_in;

/// A text of at most `MOST` bytes, which is less than 256.
///
/// It is best written at its place by [`set`](Self::set): to read just written bytes again for a move
/// costs more than to write them.
#[derive(Clone)]
pub(super) struct ShortText<const MOST: usize> {
    /// At most `MOST`. The first `len` bytes are UTF-8; the others have no meaning.
    len: u8,
    bytes: [u8; MOST],
}

impl<const MOST: usize> ShortText<MOST> {
    /// Creates an empty text.
    pub(super) const fn new() -> Self {
        Self { len: 0, bytes: [0; MOST] }
    }

    /// Copies a text of known UTF-8, if it is short.
    #[inline]
    pub(super) fn copy(text: &[u8]) -> Option<Self> {
        let mut copy = Self::new();
        copy.set(text).then_some(copy)
    }

    /// Replaces the text by one of known UTF-8, if that is short; returns true then.
    #[inline]
    pub(super) fn set(&mut self, text: &[u8]) -> bool {
        let (Some(place), Ok(len)) = (self.bytes.get_mut(..text.len()), u8::try_from(text.len()))
        else {
            return false;
        };
        place.copy_from_slice(text);
        self.len = len;
        true
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        bytes_in(&self.bytes, ..usize::from(self.len))
    }

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        known_text(self.as_bytes())
    }

    /// Appends a text, if all of it fits; returns true then.
    pub(super) fn try_push(&mut self, text: &str) -> bool {
        let end = usize::from(self.len) + text.len();
        let place = self.bytes.get_mut(self.len.into()..end);
        let (Some(place), Ok(len)) = (place, u8::try_from(end)) else { return false };
        place.copy_from_slice(text.as_bytes());
        self.len = len;
        true
    }

    /// Removes the last character, if there is one.
    pub(super) fn pop(&mut self) {
        let start = self.as_bytes().iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
        self.len = u8::try_from(start).unwrap_or(0);
    }
}
