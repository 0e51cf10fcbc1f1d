//! `Output`: the bytes for a client, as copies or as slices of the pieces that came.

#[cfg(feature = "bytes")]
use core::ops::Range;

#[cfg(feature = "bytes")]
use bytes::Bytes;

/// The bytes for a client.
pub(super) trait Output {
    /// Appends bytes as they came.
    fn pass(&mut self, raw: &[u8]);

    /// Returns the buffer to which bytes of a gateway are appended.
    fn buffer(&mut self) -> &mut Vec<u8>;
}

/// Copies all bytes.
impl Output for Vec<u8> {
    #[inline]
    fn pass(&mut self, raw: &[u8]) {
        self.extend_from_slice(raw);
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        self
    }
}

/// Appends bytes that came as slices of their piece, and all others as buffers of their own.
#[cfg(feature = "bytes")]
pub(super) struct Slices<'p, E> {
    piece: &'p Bytes,
    /// The part of the piece that isn't in `out` yet: `run.end <= piece.len()`.
    run: Range<usize>,
    /// Bytes that aren't in `out` yet: `run.is_empty() || buffer.is_empty()`.
    buffer: Vec<u8>,
    out: &'p mut E,
}

#[cfg(feature = "bytes")]
impl<'p, E: Extend<Bytes>> Slices<'p, E> {
    pub(super) const fn new(piece: &'p Bytes, out: &'p mut E) -> Self {
        Self { piece, run: 0..0, buffer: Vec::new(), out }
    }

    /// Appends all bytes that aren't in `out` yet.
    pub(super) fn flush(&mut self) {
        debug_assert!(self.run.is_empty() || self.buffer.is_empty());
        if !self.run.is_empty() {
            let run = core::mem::take(&mut self.run);
            self.out.extend([self.piece.slice(run)]);
        }
        if !self.buffer.is_empty() {
            self.out.extend([Bytes::from(core::mem::take(&mut self.buffer))]);
        }
    }

    /// Returns the range of bytes in the piece, or `None` if they are elsewhere.
    fn range_of(&self, raw: &[u8]) -> Option<Range<usize>> {
        let start = raw.as_ptr().addr().checked_sub(self.piece.as_ptr().addr())?;
        let end = start.checked_add(raw.len())?;
        (end <= self.piece.len()).then_some(start..end)
    }
}

#[cfg(feature = "bytes")]
impl<E: Extend<Bytes>> Output for Slices<'_, E> {
    fn pass(&mut self, raw: &[u8]) {
        match self.range_of(raw) {
            Some(range) if !self.run.is_empty() && range.start == self.run.end => {
                self.run.end = range.end;
            }
            Some(range) => {
                self.flush();
                self.run = range;
            }
            None => self.buffer().extend_from_slice(raw),
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        if !self.run.is_empty() {
            self.flush();
        }
        &mut self.buffer
    }
}
