//! Other crates that frame event streams, each behind the same call: the data of each event, as
//! text.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;

/// The pieces of a body as a stream that is always ready. A piece costs one reference count.
pub struct Pieces<'p> {
    pieces: std::slice::Iter<'p, Bytes>,
}

impl<'p> Pieces<'p> {
    pub fn new(pieces: &'p [Bytes]) -> Self {
        Self { pieces: pieces.iter() }
    }
}

impl Stream for Pieces<'_> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.pieces.next().cloned().map(Ok))
    }
}

/// Polls a stream that never waits, to its end.
fn drain<S: Stream>(stream: S, mut take: impl FnMut(S::Item)) {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(item)) = stream.as_mut().poll_next(&mut context) {
        take(item);
    }
}

/// A crate that frames: calls back with the data of each event.
pub type Framer = fn(&[Bytes], &mut dyn FnMut(&str));

pub const FRAMERS: [(&str, Framer); 4] = [
    ("sse-core", sse_core),
    ("sseer", sseer),
    ("sse-stream", sse_stream),
    ("eventsource-stream", eventsource_stream),
];

/// Returns a decoder with our limit: its default is below some of the workloads' events.
pub fn sse_core_decoder() -> sse_core::SseDecoder {
    sse_core::SseDecoder::with_limit(NonZeroUsize::new(64 << 20).unwrap())
}

/// Hands the data of the events in `piece` on.
pub fn sse_core_piece(
    decoder: &mut sse_core::SseDecoder,
    piece: &[u8],
    take: &mut dyn FnMut(&str),
) {
    let mut input = piece;
    while let Some(event) = decoder.next(&mut input) {
        if let sse_core::SseEvent::Message(message) = event.unwrap() {
            take(&message.data);
        }
    }
}

/// Runs the decoder itself, without the stream around it.
fn sse_core(pieces: &[Bytes], take: &mut dyn FnMut(&str)) {
    let mut decoder = sse_core_decoder();
    for piece in pieces {
        sse_core_piece(&mut decoder, piece, take);
    }
}

fn sseer(pieces: &[Bytes], take: &mut dyn FnMut(&str)) {
    drain(sseer::EventStream::new(Pieces::new(pieces)), |event| take(&event.unwrap().data));
}

fn sse_stream(pieces: &[Bytes], take: &mut dyn FnMut(&str)) {
    drain(sse_stream::SseByteStream::new(Pieces::new(pieces)), |event| {
        if let Some(data) = event.unwrap().data {
            take(&data);
        }
    });
}

fn eventsource_stream(pieces: &[Bytes], take: &mut dyn FnMut(&str)) {
    drain(eventsource_stream::EventStream::new(Pieces::new(pieces)), |event| {
        take(&event.unwrap().data);
    });
}
