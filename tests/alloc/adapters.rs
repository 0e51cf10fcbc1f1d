//! Allocations of the adapters: lending an event or a piece costs no memory.

use std::task::Poll;

use bytes::Bytes;
use deltawire::Payload;
use deltawire::adapters::{ChunkStream, OwnedSseStream, SseStream};

use crate::support::heap;
use crate::support::script::{Script, Step, in_pieces_of, is_in, poll, poll_stream};

/// Bytes and data are slices of the piece, and lending costs no memory.
#[test]
fn events_are_slices_and_lending_allocates_nothing() {
    let line = |number| format!("event: delta\ndata: {number}\n\n");
    let stream = Bytes::from((100..900).map(line).collect::<String>());
    let mut events = OwnedSseStream::new(Script::new([Step::Piece(stream.clone())]));
    while let Poll::Ready(Some(Ok(event))) = poll_stream(&mut events) {
        assert!(is_in(&stream, event.raw()) && is_in(&stream, event.data()));
    }
    let (_, steps) = in_pieces_of(&stream, 100);
    let mut events = SseStream::new(Script::new(steps));
    let (mut count, mut before) = (0, 0);
    while let Poll::Ready(Some(event)) = poll(events.next()) {
        assert_eq!(event.unwrap().event_type(), "delta");
        count += 1;
        if count == 100 {
            before = heap::allocations();
        }
    }
    assert_eq!((count, heap::allocations()), (800, before));
}

/// Lending costs no memory: neither for an event nor for a piece.
#[test]
fn lending_allocates_nothing() {
    let line = |number| format!("data: {{\"choices\":[],\"n\":{number}}}\n\n");
    let stream = Bytes::from((100..900).map(line).collect::<String>());
    let (_, steps) = in_pieces_of(&stream, 100);
    let mut chunks = ChunkStream::new(Script::new(steps));
    let (mut events, mut before) = (0, 0);
    while let Poll::Ready(Some(event)) = poll(chunks.next()) {
        assert!(matches!(event.unwrap().payload(), Payload::Chunk(_)));
        events += 1;
        if events == 100 {
            before = heap::allocations();
        }
    }
    assert_eq!((events, heap::allocations()), (800, before));
}
