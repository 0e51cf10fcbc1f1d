//! The adapters emit the events of the decoder, in any cut, also between pauses and errors.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(unreachable_pub, reason = "other suites share it")]
#[path = "support/heap.rs"]
mod heap;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use deltawire::adapters::{
    BodyEnd, BodyObserver, BodyStep, ChunkStream, EventCodec, EventStream, ObservedBody,
    OwnedEvent, OwnedPayload,
};
use deltawire::gateway::{
    Editor, Guard, Pattern, Relay, RelayEnd, RelayGuard, StreamReport, UsageTap, Words,
};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ChunkEvent, Limits, Payload, StreamSummary};
use futures_core::{FusedStream as _, Stream};
use http_body::{Body, Frame, SizeHint};
use proptest::prelude::*;
use tokio_util::codec::{Decoder as _, FramedRead};

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

/// Returns the project's streams, and events of all kinds in odd framing.
fn streams() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let names = ["text", "tools", "reasoning", "refusal", "n2", "usage", "error", "truncated"];
    let own = names.map(|name| std::fs::read(folder.join(name).with_extension("sse")).unwrap());
    let odd = b"\xEF\xBB\xBFid: 7\r\nretry: 9\r\ndata: {\"choices\":\r\ndata: []}\r\n\r\n\n: ping\n\n\
        event: delta\ndata: {\"a\":1}\n\nevent: delta\ndata: {\"a\":2}\n\nevent: delta\ndata: {\"a\":3}\n\n\
        event: only\n\nerror: {\"message\":\"no\"}\ndata: {\"a\":\n\ndata: ab\xFF\n\nevent: \xFFx\ndata: 1\n\n\
        data: {\"error\":{\"code\":502}}\r\rdata: {\"choices\":[]}\n: inside\n\nhtml?\ndata: [DONE]\n\ndata: cut";
    let huge = format!("data: \"{}\"\n\ndata: [DONE]\n\n", "x".repeat(600));
    own.into_iter().chain([odd.to_vec(), huge.into_bytes()]).collect()
}

/// The parts of an event, which are the same in each form of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    kind: EventKind,
    offset: u64,
    raw: Vec<u8>,
    data: Vec<u8>,
    text: Result<String, deltawire::Error>,
    event_type: String,
    unterminated: bool,
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
    Seen {
        kind: event.kind(),
        offset: event.offset(),
        raw: event.raw().to_vec(),
        data: event.data().to_vec(),
        text: event.data_str().map(str::to_owned),
        event_type: event.event_type().to_owned(),
        unterminated: event.is_unterminated(),
        payload,
        chunk,
    }
}

fn owned(event: &OwnedEvent) -> Seen {
    assert_eq!(event.span(), event.offset()..event.offset() + event.raw().len() as u64);
    if let Some(range) = event.data_range() {
        assert_eq!(event.raw()[range], *event.data());
    }
    let payload = match event.payload() {
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
        kind: event.kind(),
        offset: event.offset(),
        raw: event.raw().to_vec(),
        data: event.data().to_vec(),
        text: event.data_str().map(str::to_owned),
        event_type: event.event_type().to_owned(),
        unterminated: event.is_unterminated(),
        payload,
        chunk: event.chunk().map(|chunk| serde_json::to_string(&chunk).unwrap()),
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

/// A result of polling a stream or body.
#[derive(Clone, Debug)]
enum Step {
    Piece(Bytes),
    Pending,
    Fail(&'static str),
    Trailers,
}

/// A stream that panics where it is polled behind its end.
struct Script {
    steps: VecDeque<Step>,
    is_over: bool,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), is_over: false }
    }

    fn next(&mut self) -> Poll<Option<Step>> {
        assert!(!self.is_over, "polled behind the end");
        match self.steps.pop_front() {
            Some(Step::Pending) => Poll::Pending,
            Some(step) => Poll::Ready(Some(step)),
            None => {
                self.is_over = true;
                Poll::Ready(None)
            }
        }
    }
}

impl Stream for Script {
    type Item = Result<Bytes, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.next().map(|step| {
            step.map(|step| match step {
                Step::Piece(piece) => Ok(piece),
                Step::Fail(error) => Err(error),
                Step::Pending | Step::Trailers => panic!("no step of a stream"),
            })
        })
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.next().map(|step| {
            step.map(|step| match step {
                Step::Piece(piece) => Ok(Frame::data(piece)),
                Step::Trailers => Ok(Frame::trailers(
                    [("x-sum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect(),
                )),
                Step::Fail(error) => Err(error),
                Step::Pending => panic!("no frame"),
            })
        })
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = |step: &Step| if let Step::Piece(piece) = step { piece.len() } else { 0 };
        SizeHint::with_exact(self.steps.iter().map(bytes).sum::<usize>() as u64)
    }
}

/// Polls once.
fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_stream<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
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
    let mut events = EventStream::with_decoder(Script::new(steps.to_vec()), decoder());
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

/// Cuts a stream at `cuts`, with pauses and errors between the pieces.
fn script(stream: &[u8], cuts: &[(usize, u8)]) -> (Vec<Bytes>, Vec<Step>) {
    let stream = Bytes::copy_from_slice(stream);
    let mut cuts: Vec<_> = cuts.iter().map(|(at, how)| (at % (stream.len() + 1), *how)).collect();
    cuts.sort_unstable();
    let (mut from, mut pieces, mut steps) = (0, Vec::new(), Vec::new());
    for (at, how) in cuts.into_iter().chain([(stream.len(), 0)]) {
        // Two cuts at the same place make an empty piece.
        let piece = stream.slice(from..at);
        pieces.push(piece.clone());
        steps.push(Step::Piece(piece));
        match how % 4 {
            1 => steps.push(Step::Pending),
            2 => steps.extend([Step::Pending, Step::Pending]),
            3 => steps.push(Step::Fail("broken")),
            _ => {}
        }
        from = at;
    }
    (pieces, steps)
}

/// Cuts a stream into pieces of one size.
fn in_pieces_of(stream: &[u8], size: usize) -> (Vec<Bytes>, Vec<Step>) {
    let cuts: Vec<_> = (size..stream.len()).step_by(size).map(|at| (at, 0)).collect();
    script(stream, &cuts)
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
    fn streams_give_what_the_decoder_gives(
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
    fn the_codec_gives_what_the_decoder_gives(
        which in 0usize..10,
        cuts in proptest::collection::vec((any::<usize>(), Just(0)), 0..12),
    ) {
        let (pieces, _) = script(&streams()[which], &cuts);
        let (seen, end) = expected(&pieces);
        let (mut codec, mut buffer) = (EventCodec::with_decoder(decoder()), BytesMut::new());
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
fn bytes_one_by_one() {
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
            .map(|event| event.map(|event| String::from_utf8(event.raw).unwrap()))
            .collect();
        let came: Vec<_> =
            came.iter().map(|event| event.as_ref().map(String::as_str).map_err(|e| *e)).collect();
        assert_eq!(came, expected);
        assert_eq!((end.others, end.is_cut), (2, false));
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
            let mut events = EventStream::new(Script::new(in_pieces_of(&stream, size).1));
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
fn parts_can_be_taken_out_in_the_middle() {
    let stream = Bytes::from_static(b"data: {}\n\ndata: [DONE]\n\n");
    let mut chunks = ChunkStream::new(Script::new([Step::Piece(stream.clone()), Step::Pending]));
    assert!(matches!(poll(chunks.next()), Poll::Ready(Some(Ok(_)))));
    let (body, decoder, rest) = chunks.into_parts();
    assert_eq!((body.steps.len(), decoder.sse().offset(), &rest[..]), (1, 10, &stream[10..]));
    let mut events = EventStream::new(Script::new([Step::Piece(stream)]));
    assert!(matches!(poll_stream(&mut events), Poll::Ready(Some(Ok(_)))));
    assert_eq!(events.decoder().sse().offset(), 10);
    assert_eq!(events.into_parts().2, rest);
}

/// Returns true if a slice is in the memory of a piece.
fn is_in(piece: &Bytes, slice: &[u8]) -> bool {
    let slice = slice.as_ptr_range();
    piece.as_ptr_range().contains(&slice.start) && slice.end <= piece.as_ptr_range().end
}

/// Bytes, data and type of an event in one piece are slices of the piece. Those of a cut one aren't.
#[test]
fn owned_events_are_slices_of_their_piece() {
    let line = |number| format!("event: delta\ndata: {{\"choices\":[],\"n\":{number}}}\n\n");
    let stream = Bytes::from((0..20).map(line).collect::<String>());
    let cut = stream.len() / 2 + 5;
    let pieces = [stream.slice(..cut), Bytes::copy_from_slice(&stream[cut..])];
    let mut events = EventStream::new(Script::new(pieces.clone().map(Step::Piece)));
    let mut copied = 0;
    while let Poll::Ready(Some(Ok(event))) = poll_stream(&mut events) {
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
    let (mut codec, mut buffer) = (EventCodec::new(), BytesMut::with_capacity(256));
    buffer.extend_from_slice(b"data: {\"a\":1}\n\ndata: {\"a\":2}\n\nda");
    let memory = buffer.as_ptr_range();
    for rest in [17, 2] {
        let event = codec.decode(&mut buffer).unwrap().unwrap();
        assert!(memory.contains(&event.raw().as_ptr()) && memory.contains(&event.data().as_ptr()));
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
fn a_framed_reader_gives_all_events() {
    for stream in streams() {
        let (seen, _) = expected(&[Bytes::copy_from_slice(&stream)]);
        let codec = EventCodec::with_decoder(decoder());
        let mut framed = FramedRead::with_capacity(&stream[..], codec, 16);
        let mut found = Vec::new();
        while let Poll::Ready(Some(event)) = poll_stream(&mut framed) {
            found.push(owned(&event.unwrap()));
        }
        found.extend(framed.decoder_mut().salvage().map(|event| owned(&event)));
        let raw =
            |seen: &[Seen]| seen.iter().flat_map(|event| event.raw.clone()).collect::<Vec<_>>();
        assert_eq!((raw(&found), raw(&found)), (stream.clone(), raw(&seen)));
        let messages = |seen: Vec<Seen>| {
            let messages = seen.into_iter().filter(|event| event.kind == EventKind::Message);
            messages.map(|event| (event.offset, event.data, event.payload)).collect::<Vec<_>>()
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
    let mut codec = EventCodec::with_decoder(ChunkDecoder::with_limits(limits));
    let event = codec.decode(&mut BytesMut::from(deep.as_str())).unwrap().unwrap();
    assert_eq!(event.payload(), &OwnedPayload::Chunk);
    assert!(event.chunk().is_some());
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

/// The reports to an observer.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<(Vec<u8>, Vec<BodyEnd>)>>);

impl BodyObserver for Told {
    fn data(&mut self, piece: &[u8]) {
        let (bytes, ends) = &mut *self.0.borrow_mut();
        assert!(ends.is_empty(), "told behind the end");
        bytes.extend_from_slice(piece);
    }

    fn end(&mut self, end: BodyEnd) {
        self.0.borrow_mut().1.push(end);
    }
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

fn poll_body<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Frames, trailers, hints and errors are those of the inner body; data are the same memory.
#[test]
fn a_body_passes_unchanged() {
    let stream = Bytes::from(streams().swap_remove(0));
    let (one, two) = (stream.slice(..99), stream.slice(99..));
    let steps =
        [Step::Piece(one), Step::Pending, Step::Fail("hiccup"), Step::Piece(two), Step::Trailers];
    let told = Told::default();
    let mut inner = Script::new(steps.clone());
    let mut body = ObservedBody::new(Script::new(steps), told.clone());
    loop {
        let (expected, found) = (poll_body(&mut inner), poll_body(&mut body));
        assert_eq!(body.is_end_stream(), inner.is_over);
        assert_eq!(body.size_hint().exact(), Body::size_hint(&inner).exact());
        match (expected, found) {
            (Poll::Pending, Poll::Pending) => {}
            (Poll::Ready(Some(Err(expected))), Poll::Ready(Some(Err(found)))) => {
                assert_eq!(expected, found);
            }
            (Poll::Ready(None), Poll::Ready(None)) => break,
            (Poll::Ready(Some(Ok(expected))), Poll::Ready(Some(Ok(found)))) => {
                assert_eq!(expected.trailers_ref(), found.trailers_ref());
                let data = [expected.into_data(), found.into_data()].map(Result::ok);
                assert_eq!(
                    data[0].as_ref().map(|data| data.as_ptr()),
                    data[1].as_ref().map(|data| data.as_ptr())
                );
                assert_eq!(data[0], data[1]);
            }
            (expected, found) => panic!("{expected:?} became {found:?}"),
        }
    }
    // The end is final, and an inner body that isn't fused isn't asked again.
    assert!(matches!(poll_body(&mut body), Poll::Ready(None)));
    drop(body);
    // It has failed: later frames are passed on, and aren't the observer's.
    assert_eq!(*told.0.borrow(), (stream[..99].to_vec(), vec![BodyEnd::Failed]));
}

/// A body with a length, which reports its own end: it isn't polled for the `None`.
struct Sized(Option<Bytes>);

impl Body for Sized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// The observer is told of the end once, however it comes.
#[test]
fn an_end_is_told_once() {
    let piece = Step::Piece(Bytes::from_static(b"data: {}\n\n"));
    for (steps, polls, expected) in [
        (vec![piece.clone()], 2, BodyEnd::Complete),
        (vec![piece.clone()], 1, BodyEnd::Dropped),
        (vec![piece.clone()], 0, BodyEnd::Dropped),
        (vec![piece.clone(), Step::Trailers], 2, BodyEnd::Complete),
        (vec![piece.clone(), Step::Trailers], 3, BodyEnd::Complete),
        (vec![piece.clone(), Step::Pending, piece.clone()], 2, BodyEnd::Dropped),
        (vec![piece.clone(), Step::Fail("broken")], 2, BodyEnd::Failed),
        (vec![piece, Step::Fail("broken")], 3, BodyEnd::Failed),
    ] {
        let told = Told::default();
        let mut body = ObservedBody::new(Script::new(steps.clone()), told.clone());
        for _ in 0..polls {
            let _frame = poll_body(&mut body);
        }
        drop(body);
        assert_eq!(told.0.borrow().1, [expected], "{steps:?} polled {polls} times");
    }
    for (bytes, polls) in [(Some(Bytes::from_static(b"data: {}\n\n")), 1), (None, 0)] {
        let told = Told::default();
        let mut body = ObservedBody::new(Sized(bytes), told.clone());
        for _ in 0..polls {
            let _frame = poll_body(&mut body);
            assert_eq!(told.0.borrow().1, [BodyEnd::Complete]);
        }
        drop(body);
        assert_eq!(told.0.borrow().1, [BodyEnd::Complete]);
    }
}

#[test]
fn a_closure_observes() {
    let mut steps = Vec::new();
    let script = Script::new([Step::Piece(Bytes::from_static(b"ab")), Step::Trailers]);
    let mut body = ObservedBody::new(script, |step: BodyStep<'_>| steps.push(format!("{step:?}")));
    while let Poll::Ready(Some(_)) = poll_body(&mut body) {}
    drop(body);
    assert_eq!(steps, ["Data([97, 98])", "End(Complete)"]);
}

/// A tap in a body returns the report of a tap, also if the body is dropped.
#[test]
fn a_tap_sees_what_a_tap_sees() {
    for stream in streams() {
        for polls in [1, 3, 1000] {
            let (pieces, steps) = in_pieces_of(&stream, 50);
            let mut seen: Option<(StreamReport, BodyEnd)> = None;
            let mut body = ObservedBody::tap(Script::new(steps), |observed, end| {
                assert!(seen.replace((observed, end)).is_none());
            });
            for _ in 0..polls {
                let _frame = poll_body(&mut body);
            }
            drop(body);
            let mut tap = UsageTap::new();
            for piece in pieces.iter().take(polls) {
                tap.push(piece);
            }
            let is_whole = polls > pieces.len();
            let end = if is_whole { BodyEnd::Complete } else { BodyEnd::Dropped };
            assert_eq!(seen, Some((tap.finish(), end)));
        }
    }
}

/// Returns relays of all kinds: that pass all, edit some events, edit all, and guard.
fn relays() -> [Relay; 4] {
    let editor = |name: &str| {
        let mut editor = Editor::new();
        editor.replace(name, "alias");
        Relay::builder().edit(editor).pass_unreadable()
    };
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(["the"]), "***").pass_unwatched();
    [
        Relay::builder().build(),
        editor("usage").build(),
        editor("model").build(),
        editor("model").guard(guard).build(),
    ]
}

/// A relay writes the same bytes to a buffer and as slices, in any pieces.
#[test]
fn a_relay_forwards_the_same_bytes_as_slices() {
    let time = Duration::ZERO;
    for stream in streams() {
        for size in [1, 7, 64, 1000, usize::MAX] {
            for (mut one, mut other) in relays().into_iter().zip(relays()) {
                let (mut expected, mut slices) = (Vec::new(), Vec::<Bytes>::new());
                for piece in stream.chunks(size.min(stream.len())) {
                    let flow = one.push(piece, time, &mut expected);
                    let piece = Bytes::copy_from_slice(piece);
                    assert_eq!(other.push_bytes(&piece, time, &mut slices), flow);
                }
                assert!(slices.iter().all(|slice| !slice.is_empty()));
                assert_eq!(slices.concat(), expected, "in pieces of {size}");
                let (mut end, mut other_end) = (Vec::new(), Vec::new());
                let report = one.finish(RelayEnd::Upstream, time, &mut end);
                let other_report = other.finish(RelayEnd::Upstream, time, &mut other_end);
                assert_eq!((report.outcome, end), (other_report.outcome, other_end));
            }
        }
    }
}

/// Events that no rule changes are one slice of their piece, without a copy.
#[test]
fn unchanged_events_are_one_slice_of_their_piece() {
    let event = |member: &str| format!("data: {{\"choices\":[],\"{member}\":\"m\"}}\n\n");
    let [some, model, cut] = [event("some"), event("model"), "data: {\"choices\":[]".to_owned()];
    let piece = Bytes::from([&*some, &*some, &*model, &*some, &*cut].concat());
    let is_slice = |slice: &Bytes, range: std::ops::Range<usize>| {
        slice.as_ptr() == piece[range.clone()].as_ptr() && slice.len() == range.len()
    };
    let [mut passing, mut unchanging, mut editing, _] = relays();
    let written = |relay: &mut Relay| {
        let mut slices = Vec::new();
        assert!(relay.push_bytes(&piece, Duration::ZERO, &mut slices).is_open());
        slices
    };
    let whole = piece.len() - cut.len();
    let slices = written(&mut passing);
    assert!(slices.len() == 1 && is_slice(&slices[0], 0..piece.len()));
    let slices = written(&mut unchanging);
    assert!(slices.len() == 1 && is_slice(&slices[0], 0..whole));
    let slices = written(&mut editing);
    let start = 2 * some.len();
    assert!(slices.len() == 3 && is_slice(&slices[0], 0..start));
    assert_eq!(slices[1], model.replace("\"m\"", "\"alias\""));
    assert!(is_slice(&slices[2], start + model.len()..whole));
    // The rest of a cut event comes with a copy of its first part.
    let rest = Bytes::from_static(b"}\n\n");
    let mut slices = Vec::new();
    let _ = editing.push_bytes(&rest, Duration::ZERO, &mut slices);
    assert_eq!(slices, [cut + "}\n\n"]);
}

/// A pattern is redacted as in the whole text, in any pieces and deltas.
#[test]
fn a_pattern_is_redacted_wherever_it_is_cut() {
    let regex = regex::Regex::new(r"\b\d{4}(?:[ -]?\d{4}){3}\b|secret").unwrap();
    let text = "a secret: 4111 1111 1111 1111, 41111111111111112 and 4111-1111-1111-1111";
    let expected = regex.replace_all(text, "[…]").into_owned();
    for size in 1..text.len() {
        let deltas = text.as_bytes().chunks(size).map(|delta| {
            let delta = std::str::from_utf8(delta).unwrap();
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{delta}\"}}}}]}}\n\n")
        });
        let guard = RelayGuard::new(Guard::new());
        let guard = guard.redact(Pattern::new(regex.clone(), 19), "[…]");
        let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
        for delta in deltas {
            assert!(relay.push(delta.as_bytes(), Duration::ZERO, &mut out).is_open());
        }
        let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
        assert_eq!(report.redactions, 3, "in deltas of {size} bytes");
        let completion = deltawire::gateway::assemble([&out[..]]).completion;
        let content = completion.choices[0].message.content.as_deref();
        assert_eq!(content, Some(&*expected), "in deltas of {size} bytes");
    }
}
