//! Bodies that are read whole, with a limit for each, and a limit for their memory together.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BoxError;
use super::client::TooSlow;

/// Memory for all bodies that are held, counted in pages.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Semaphore>);

const PAGE: usize = 4096;

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / PAGE).min(Semaphore::MAX_PERMITS))))
    }

    /// Reserves memory, or returns `None` if there isn't enough.
    fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let pages = u32::try_from(bytes.div_ceil(PAGE)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(pages).ok()
    }
}

/// A body that was read whole, and the memory that is reserved for it until a drop.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) memory: OwnedSemaphorePermit,
}

/// Reason why a body wasn't read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
    /// The connection broke, or the framing of the body is invalid.
    Cut,
    /// Other bodies hold the memory that this one needs.
    NoMemory,
}

impl Whole {
    /// Reads a body of at most `most` bytes.
    pub(crate) async fn read<B>(body: B, most: usize, memory: &Memory) -> Result<Self, Unread>
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        let mut body = body;
        if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
            return Err(Unread::TooLarge);
        }
        let mut held = memory.reserve(0).ok_or(Unread::NoMemory)?;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if TooSlow::is_in(&*error) { Unread::TooSlow } else { Unread::Cut }
            })?;
            let Ok(piece) = frame.into_data() else { continue };
            let needed = bytes.len().saturating_add(piece.len());
            if needed > most {
                return Err(Unread::TooLarge);
            }
            if needed > bytes.capacity() {
                // Doubling limits the copies. The reservation grows with the received bytes only.
                let capacity = needed.max(bytes.capacity() * 2).min(most);
                let more = memory.reserve(capacity - bytes.capacity());
                held.merge(more.ok_or(Unread::NoMemory)?);
                bytes.reserve_exact(capacity - bytes.len());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Self { bytes: bytes.into(), memory: held })
    }
}

/// Returns a body that holds a value until it is over, such as a permit.
pub(crate) fn holding<B, T>(body: B, held: T) -> super::Body
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    T: Send + 'static,
{
    body.map_frame(move |frame| {
        let _until_the_end = &held;
        frame
    })
    .boxed_unsync()
}
