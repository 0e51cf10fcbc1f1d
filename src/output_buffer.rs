//! `OutputBuffer`: the buffers to which bytes for a client are appended.

/// A buffer to which bytes are appended: a `Vec<u8>`, or a `BytesMut` with the feature `bytes`.
///
/// The trait is sealed. A `Vec<u8>` is written in place. Bytes for a `BytesMut` are written to a vector of
/// their own first, which is allocated, and copied from there. `Bytes::from` converts a vector without a
/// copy, and [`Relay::push_bytes`](crate::gateway::Relay) needs neither.
///
/// Another `BufMut` may have a fixed size, and panics when it is full. So write to a `Vec<u8>`, compare its
/// length with `remaining_mut()`, and copy it.
///
/// ```
/// # #[cfg(feature = "bytes")] {
/// use bytes::BytesMut;
/// use deltawire::gateway::SseEvent;
///
/// let mut out = BytesMut::from(": hello\n\n");
/// SseEvent::new("1").write(&mut out)?;
/// assert_eq!(out.split().freeze(), ": hello\n\ndata: 1\n\n");
/// # }
/// # Ok::<(), deltawire::gateway::EncodeError>(())
/// ```
pub trait OutputBuffer: sealed::Sealed {
    /// Passes a vector to `write`, and appends the bytes that it has appended there.
    #[doc(hidden)]
    fn with_vec<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for Vec<u8> {}

    #[cfg(feature = "bytes")]
    impl Sealed for bytes::BytesMut {}
}

impl OutputBuffer for Vec<u8> {
    #[inline]
    fn with_vec<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        write(self)
    }
}

#[cfg(feature = "bytes")]
impl OutputBuffer for bytes::BytesMut {
    fn with_vec<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut written = Vec::new();
        let result = write(&mut written);
        self.extend_from_slice(&written);
        result
    }
}
