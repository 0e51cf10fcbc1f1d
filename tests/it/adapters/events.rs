//! Lent and owned events of streams, and those of a codec.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use deltawire::adapters::{
    ChunkCodec, ChunkStream, OwnedChunkEvent, OwnedChunkStream, OwnedPayload,
};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ChunkEvent, Limits, Payload, StreamSummary};
use futures_core::{FusedStream as _, Stream as _};
use proptest::prelude::*;
use tokio_util::codec::{Decoder as _, FramedRead};

use super::sse;
use crate::support::script::{
    Script, Step, in_pieces_of, is_in, poll, poll_stream, script, streams,
};

/// The parts of an event with its payload, which are the same in each form of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    event: sse::Seen,
    text: Result<String, deltawire::Error>,
    payload: String,
    chunk: Option<String>,
}

fn error_line(offset: u64, message: Option<&str>, name: Option<&str>) -> String {
    format!("error at {offset}: {message:?} {name:?}")
}

fn lent(event: &ChunkEvent<'_>) -> Seen {
    let json = |chunk| serde_json::to_string(&chunk).unwrap();
    let (payload, chunk) = match event.payload() {
        Payload::Chunk(chunk) => ("chunk".into(), Some(json(*chunk))),
        Payload::Done => ("done".into(), None),
        Payload::Error(error) => {
            (error_line(event.offset(), error.message(), error.r#type()), error.chunk().map(json))
        }
        Payload::Malformed(error) => (format!("{error:?}"), None),
        Payload::Comment => ("comment".into(), None),
        _ => ("ignored".into(), None),
    };
    let event = event.event();
    Seen { event: sse::lent(event), text: event.data_str().map(str::to_owned), payload, chunk }
}

fn owned(owned: &OwnedChunkEvent) -> Seen {
    let event = owned.event();
    assert_eq!((owned.raw(), owned.offset()), (event.raw(), event.offset()));
    assert_eq!(event.span(), event.offset()..event.offset() + event.raw().len() as u64);
    if let Some(range) = event.data_range() {
        assert_eq!(event.raw()[range], *event.data());
    }
    let payload = match owned.payload() {
        OwnedPayload::Chunk => "chunk".into(),
        OwnedPayload::Done => "done".into(),
        OwnedPayload::Error(error) => {
            error_line(error.offset, error.message.as_deref(), error.r#type.as_deref())
        }
        OwnedPayload::Malformed(error) => format!("{error:?}"),
        OwnedPayload::Comment => "comment".into(),
        _ => "ignored".into(),
    };
    Seen {
        event: sse::owned(event),
        text: event.data_str().map(str::to_owned),
        payload,
        chunk: owned.chunk().map(|chunk| serde_json::to_string(&chunk).unwrap()),
    }
}

fn decoder() -> ChunkDecoder {
    let mut limits = Limits::new();
    limits.max_event_bytes = 400;
    ChunkDecoder::with_limits(limits)
}

/// Returns the events of the decoder, and its end.
fn expected(pieces: &[Bytes]) -> (Vec<Seen>, StreamSummary) {
    let (mut decoder, mut seen) = (decoder(), Vec::new());
    for piece in pieces {
        let mut input = &piece[..];
        while let Some(event) = decoder.next(&mut input) {
            seen.push(lent(&event));
        }
    }
    if let Some(event) = decoder.salvage() {
        seen.push(lent(&event));
    }
    (seen, decoder.finish())
}

/// The results in order, and the number of pending polls.
type Came = (Vec<Result<Seen, &'static str>>, usize);

/// Returns the events of a lending stream, each future polled once and dropped.
fn lend_all(steps: &[Step]) -> (Came, StreamSummary) {
    let mut chunks = ChunkStream::with_decoder(Script::new(steps.to_vec()), decoder());
    let (mut came, mut pending) = (Vec::new(), 0);
    loop {
        match poll(chunks.next()) {
            Poll::Pending => pending += 1,
            Poll::Ready(None) => break,
            Poll::Ready(Some(event)) => came.push(event.map(|event| lent(&event))),
        }
    }
    for _ in 0..3 {
        assert!(matches!(poll(chunks.next()), Poll::Ready(None)));
    }
    came.extend(chunks.salvage().map(|event| Ok(lent(&event))));
    ((came, pending), chunks.finish())
}

/// Returns the events of a stream of owned events.
fn own_all(steps: &[Step]) -> (Came, StreamSummary) {
    let mut events = OwnedChunkStream::with_decoder(Script::new(steps.to_vec()), decoder());
    let (mut came, mut pending) = (Vec::new(), 0);
    loop {
        assert!(!events.is_terminated());
        assert_eq!(events.size_hint(), (0, None));
        match poll_stream(&mut events) {
            Poll::Pending => pending += 1,
            Poll::Ready(None) => break,
            Poll::Ready(Some(event)) => came.push(event.map(|event| owned(&event))),
        }
    }
    for _ in 0..3 {
        assert!(matches!(poll_stream(&mut events), Poll::Ready(None)));
        assert!(events.is_terminated());
        assert_eq!(events.size_hint(), (0, Some(0)));
    }
    came.extend(Pin::new(&mut events).salvage().map(|event| Ok(owned(&event))));
    ((came, pending), Pin::new(&mut events).finish())
}

/// Splits results into events, and the number of errors.
fn parted(came: Vec<Result<Seen, &'static str>>) -> (Vec<Seen>, usize) {
    let mut errors = 0;
    let seen = came.into_iter().filter_map(|event| event.inspect_err(|_| errors += 1).ok());
    (seen.collect(), errors)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    /// The same events in order, each error once, also after dropped futures, in all cuts.
    #[test]
    fn streams_return_the_events_of_the_decoder(
        which in 0usize..10,
        cuts in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..12),
    ) {
        let (pieces, steps) = script(&streams()[which], &cuts);
        let (seen, end) = expected(&pieces);
        let pauses = steps.iter().filter(|step| matches!(step, Step::Pending)).count();
        let failures = steps.iter().filter(|step| matches!(step, Step::Fail(_))).count();
        for ((came, pending), found) in [lend_all(&steps), own_all(&steps)] {
            let (events, errors) = parted(came);
            prop_assert_eq!(&events, &seen);
            prop_assert_eq!((errors, pending), (failures, pauses));
            prop_assert_eq!(&found, &end);
        }
    }

    /// A codec's buffer may hold more than an event, and be given any number of bytes at a time.
    #[test]
    fn the_codec_returns_the_events_of_the_decoder(
        which in 0usize..10,
        cuts in proptest::collection::vec((any::<usize>(), Just(0)), 0..12),
    ) {
        let (pieces, _) = script(&streams()[which], &cuts);
        let (seen, end) = expected(&pieces);
        let (mut codec, mut buffer) = (ChunkCodec::with_decoder(decoder()), BytesMut::new());
        let mut found = Vec::new();
        for piece in &pieces {
            buffer.extend_from_slice(piece);
            while let Some(event) = codec.decode(&mut buffer).unwrap() {
                found.push(owned(&event));
            }
            prop_assert!(buffer.is_empty());
        }
        prop_assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
        found.extend(codec.salvage().map(|event| owned(&event)));
        prop_assert_eq!(found, seen);
        prop_assert_eq!(codec.finish(), end);
    }
}

/// One byte at a time is the hardest cut there is.
#[test]
fn pieces_of_one_byte_have_the_events_of_the_decoder() {
    for stream in streams() {
        let (pieces, steps) = in_pieces_of(&stream, 1);
        let (seen, end) = expected(&pieces);
        for ((came, _), found) in [lend_all(&steps), own_all(&steps)] {
            assert_eq!((parted(came), &found), ((seen.clone(), 0), &end));
        }
    }
}

/// Returns an error at its place, also in the middle of an event, which is whole behind it.
#[test]
fn errors_keep_their_place() {
    let stream = Bytes::from_static(b"data: {\"a\":1}\n\ndata: {\"a\":2}\n\n");
    let steps = [
        Step::Piece(stream.slice(..20)),
        Step::Fail("first"),
        Step::Fail("second"),
        Step::Piece(stream.slice(20..)),
    ];
    let expected =
        [Ok("data: {\"a\":1}\n\n"), Err("first"), Err("second"), Ok("data: {\"a\":2}\n\n")];
    for ((came, _), end) in [lend_all(&steps), own_all(&steps)] {
        let came: Vec<_> = came
            .into_iter()
            .map(|event| event.map(|event| String::from_utf8(event.event.raw).unwrap()))
            .collect();
        let came: Vec<_> =
            came.iter().map(|event| event.as_ref().map(String::as_str).map_err(|e| *e)).collect();
        assert_eq!(came, expected);
        assert_eq!((end.others, end.is_cut), (2, false));
    }
}

/// An error whose data can't be read has no chunk, also if other limits or a tolerant parser can.
#[test]
fn an_owned_error_has_the_chunk_of_the_lent_one() {
    let strict = || {
        let mut decoder = ChunkDecoder::new();
        decoder.set_strict(true);
        decoder
    };
    for (stream, has_chunk) in [
        ("event: error\ndata: {\"choices\":[],\"n\":NaN}\n\n", false),
        ("data: {\"choices\":[],\"n\":NaN,\"error\":{\"message\":\"m\"}}", false),
        ("data: {\"choices\":[]}\nerror: {\"n\":NaN}\n\n", true),
        ("event: error\ndata: {\"choices\":[]}\n\n", true),
        ("event: error\ndata: {\"message\":\"m\"}\n\n", false),
    ] {
        let mut decoder = strict();
        let mut input = stream.as_bytes();
        let event = match decoder.next(&mut input) {
            Some(event) => lent(&event),
            None => lent(&decoder.salvage().unwrap()),
        };
        assert_eq!(event.chunk.is_some(), has_chunk, "{stream}");
        let (_, steps) = in_pieces_of(stream.as_bytes(), stream.len());
        let mut events = OwnedChunkStream::with_decoder(Script::new(steps), strict());
        let found = match poll_stream(&mut events) {
            Poll::Ready(Some(found)) => owned(&found.unwrap()),
            _ => owned(&Pin::new(&mut events).salvage().unwrap()),
        };
        assert_eq!(found, event, "{stream}");
    }
}

/// A lending stream can be polled as well as awaited.
#[test]
fn polling_is_awaiting() {
    let stream = Bytes::from_static(b"data: {}\n\n: ping\n\n");
    let steps = [Step::Piece(stream), Step::Pending, Step::Fail("broken")];
    let mut chunks = ChunkStream::new(Script::new(steps));
    let mut context = Context::from_waker(Waker::noop());
    for (kind, behind) in [(EventKind::Message, 10), (EventKind::Comment, 18)] {
        let Poll::Ready(Some(Ok(event))) = chunks.poll_next(&mut context) else { panic!() };
        assert_eq!(event.event().kind(), kind);
        assert_eq!(chunks.decoder().sse().offset(), behind);
    }
    assert!(chunks.poll_next(&mut context).is_pending());
    assert!(matches!(chunks.poll_next(&mut context), Poll::Ready(Some(Err("broken")))));
    assert!(matches!(chunks.poll_next(&mut context), Poll::Ready(None)));
}

/// The bytes of all owned events, however they are taken, are the stream.
#[test]
fn owned_events_are_forwarded_whole() {
    for stream in streams() {
        for size in [1, 7, stream.len()] {
            let mut events = OwnedChunkStream::new(Script::new(in_pieces_of(&stream, size).1));
            let (mut raw, mut into) = (Vec::new(), Vec::new());
            while let Poll::Ready(Some(Ok(event))) = poll_stream(&mut events) {
                raw.extend_from_slice(&event.clone().into_raw());
                into.extend_from_slice(&Bytes::from(event));
            }
            let left = stream.len() - raw.len();
            let buffered = events.decoder().sse().buffered();
            assert_eq!((raw.as_slice(), buffered), stream.split_at(stream.len() - left));
            assert_eq!(into, raw);
        }
    }
}

#[test]
fn parts_of_an_adapter_continue_in_mid_stream() {
    let stream = Bytes::from_static(b"data: {}\n\ndata: [DONE]\n\n");
    let mut chunks = ChunkStream::new(Script::new([Step::Piece(stream.clone()), Step::Pending]));
    assert!(matches!(poll(chunks.next()), Poll::Ready(Some(Ok(_)))));
    let (body, decoder, rest) = chunks.into_parts();
    assert_eq!((body.steps.len(), decoder.sse().offset(), &rest[..]), (1, 10, &stream[10..]));
    let mut events = OwnedChunkStream::new(Script::new([Step::Piece(stream)]));
    assert!(matches!(poll_stream(&mut events), Poll::Ready(Some(Ok(_)))));
    assert_eq!(events.decoder().sse().offset(), 10);
    assert_eq!(events.into_parts().2, rest);
}

/// Bytes, data and type of an event in one piece are slices of the piece. Those of a cut one aren't.
#[test]
fn owned_events_are_slices_of_their_piece() {
    let line = |number| format!("event: delta\ndata: {{\"choices\":[],\"n\":{number}}}\n\n");
    let stream = Bytes::from((0..20).map(line).collect::<String>());
    let cut = stream.len() / 2 + 5;
    let pieces = [stream.slice(..cut), Bytes::copy_from_slice(&stream[cut..])];
    let mut events = OwnedChunkStream::new(Script::new(pieces.clone().map(Step::Piece)));
    let mut copied = 0;
    while let Poll::Ready(Some(Ok(event))) = poll_stream(&mut events) {
        let event = event.into_event();
        let in_piece = pieces.iter().find(|piece| is_in(piece, event.raw()));
        assert_eq!(event.event_type(), "delta");
        // Also of a copy, data and type are slices.
        let whole = in_piece.unwrap_or(event.raw());
        assert!(is_in(whole, event.data()) && is_in(whole, event.event_type().as_bytes()));
        copied += u32::from(in_piece.is_none());
    }
    assert_eq!(copied, 1);
}

/// The same of the codec's buffer, in which all events of a read are.
#[test]
fn the_codec_cuts_events_out_of_its_buffer() {
    let (mut codec, mut buffer) = (ChunkCodec::new(), BytesMut::with_capacity(256));
    buffer.extend_from_slice(b"data: {\"a\":1}\n\ndata: {\"a\":2}\n\nda");
    let memory = buffer.as_ptr_range();
    for rest in [17, 2] {
        let event = codec.decode(&mut buffer).unwrap().unwrap();
        assert!(
            memory.contains(&event.raw().as_ptr())
                && memory.contains(&event.event().data().as_ptr())
        );
        assert_eq!(buffer.len(), rest);
    }
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    assert_eq!((buffer.len(), codec.decoder().sse().buffered()), (0, &b"da"[..]));
    codec.reset();
    buffer.extend_from_slice(b"data: [DONE]\n\n");
    let event = codec.decode(&mut buffer).unwrap().unwrap();
    assert_eq!((event.offset(), event.payload()), (0, &OwnedPayload::Done));
}

#[test]
fn a_framed_reader_returns_all_events() {
    for stream in streams() {
        let (seen, _) = expected(&[Bytes::copy_from_slice(&stream)]);
        let codec = ChunkCodec::with_decoder(decoder());
        let mut framed = FramedRead::with_capacity(&stream[..], codec, 16);
        let mut found = Vec::new();
        while let Poll::Ready(Some(event)) = poll_stream(&mut framed) {
            found.push(owned(&event.unwrap()));
        }
        found.extend(framed.decoder_mut().salvage().map(|event| owned(&event)));
        let raw = |seen: &[Seen]| {
            seen.iter().flat_map(|event| event.event.raw.clone()).collect::<Vec<_>>()
        };
        assert_eq!((raw(&found), raw(&found)), (stream.clone(), raw(&seen)));
        let messages = |seen: Vec<Seen>| {
            let messages = seen.into_iter().filter(|event| event.event.kind == EventKind::Message);
            messages
                .map(|event| (event.event.offset, event.event.data, event.payload))
                .collect::<Vec<_>>()
        };
        assert_eq!(messages(found), messages(seen));
    }
}

/// A chunk that is read again is read within the limits that it was read with.
#[test]
fn a_deep_chunk_is_read_again() {
    let deep = format!("data: {{\"usage\":{}{}}}\n\n", "[".repeat(300), "]".repeat(300));
    let mut limits = Limits::new();
    limits.max_json_depth = 400;
    let mut codec = ChunkCodec::with_decoder(ChunkDecoder::with_limits(limits));
    let event = codec.decode(&mut BytesMut::from(deep.as_str())).unwrap().unwrap();
    assert_eq!(event.payload(), &OwnedPayload::Chunk);
    assert!(event.chunk().is_some());
}
