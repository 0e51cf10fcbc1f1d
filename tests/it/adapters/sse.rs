//! Events of any dialect: lent, owned, decoded and encoded, against the vectors of the standard.

use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use deltawire::adapters::{OwnedEvent, OwnedSseStream, SseCodec, SseCodecError, SseStream};
use deltawire::gateway::{EncodeError, SseEvent};
use deltawire::sse::{Event, EventKind, SseEnd};
use deltawire::{ErrorKind, Limits, SseDecoder};
use futures_core::{FusedStream as _, Stream as _};
use proptest::prelude::*;
use tokio_util::codec::{Decoder as _, Encoder as _, FramedRead};

use crate::support::oracle::Dispatched;
use crate::support::script::{Script, Step, poll, poll_stream, script, streams};
use crate::support::{base64, expected_events, stream_vectors};

/// The parts of an event, which are the same in each form of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: EventKind,
    pub(crate) offset: u64,
    pub(crate) raw: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) event_type: String,
    pub(crate) unterminated: bool,
    pub(crate) error: Option<deltawire::Error>,
}

pub(crate) fn lent(event: &Event<'_>) -> Seen {
    Seen {
        kind: event.kind(),
        offset: event.offset(),
        raw: event.raw().to_vec(),
        data: event.data().to_vec(),
        event_type: event.event_type().to_owned(),
        unterminated: event.is_unterminated(),
        error: event.error(),
    }
}

pub(crate) fn owned(event: &OwnedEvent) -> Seen {
    Seen {
        kind: event.kind(),
        offset: event.offset(),
        raw: event.raw().to_vec(),
        data: event.data().to_vec(),
        event_type: event.event_type().to_owned(),
        unterminated: event.is_unterminated(),
        error: event.error(),
    }
}

fn decoder() -> SseDecoder {
    let mut limits = Limits::new();
    limits.max_event_bytes = 400;
    SseDecoder::with_limits(limits)
}

/// Returns the events of the decoder, and its end.
fn expected(pieces: &[Bytes]) -> (Vec<Seen>, SseEnd) {
    let (mut decoder, mut seen) = (decoder(), Vec::new());
    for piece in pieces {
        let mut input = &piece[..];
        while let Some(event) = decoder.next(&mut input) {
            seen.push(lent(&event));
        }
    }
    seen.extend(decoder.salvage().map(|event| lent(&event)));
    (seen, decoder.finish())
}

/// The events, the number of errors, and the end.
type Came = (Vec<Seen>, usize, SseEnd);

/// Returns the events of a lending stream, each future polled once and dropped.
fn lend_all(steps: &[Step]) -> Came {
    let mut events = SseStream::with_decoder(Script::new(steps.to_vec()), decoder());
    let (mut seen, mut errors) = (Vec::new(), 0);
    loop {
        match poll(events.next()) {
            Poll::Pending => {}
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(event))) => seen.push(lent(&event)),
            Poll::Ready(Some(Err(_))) => errors += 1,
        }
    }
    assert!(matches!(poll(events.next()), Poll::Ready(None)), "the end is final");
    seen.extend(events.salvage().map(|event| lent(&event)));
    (seen, errors, events.finish())
}

fn own_all(steps: &[Step]) -> Came {
    let mut events = OwnedSseStream::with_decoder(Script::new(steps.to_vec()), decoder());
    let (mut seen, mut errors) = (Vec::new(), 0);
    loop {
        assert!(!events.is_terminated());
        match poll_stream(&mut events) {
            Poll::Pending => {}
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(event))) => seen.push(owned(&event)),
            Poll::Ready(Some(Err(_))) => errors += 1,
        }
    }
    assert!(events.is_terminated() && events.size_hint() == (0, Some(0)));
    seen.extend(Pin::new(&mut events).salvage().map(|event| owned(&event)));
    (seen, errors, Pin::new(&mut events).finish())
}

fn decode_all(pieces: &[Bytes]) -> (Vec<Seen>, SseEnd) {
    let (mut codec, mut buffer) = (SseCodec::with_decoder(decoder()), BytesMut::new());
    let mut seen = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(event) = codec.decode(&mut buffer).unwrap() {
            seen.push(owned(&event));
        }
        assert!(buffer.is_empty());
    }
    assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
    seen.extend(codec.salvage().map(|event| owned(&event)));
    (seen, codec.finish())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    /// The same events in order, each error once, also after dropped futures, in all cuts.
    #[test]
    fn all_adapters_emit_the_events_of_the_decoder(
        which in 0usize..10,
        cuts in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..12),
    ) {
        let (pieces, steps) = script(&streams()[which], &cuts);
        let (seen, end) = expected(&pieces);
        let failures = steps.iter().filter(|step| matches!(step, Step::Fail(_))).count();
        prop_assert_eq!(lend_all(&steps), (seen.clone(), failures, end));
        prop_assert_eq!(own_all(&steps), (seen.clone(), failures, end));
        prop_assert_eq!(decode_all(&pieces), (seen, end));
    }

    /// Any data is read as it was written, with LF for each line end.
    #[test]
    fn any_event_is_read_as_it_was_written(
        data in "[a:\\r\\n \\u{0}\\u{feff}é]{0,12}",
        event_type in "[a: \\u{feff}é]{0,4}",
        id in proptest::option::of("[a: \\u{feff}é]{0,4}"),
        retry in proptest::option::of(any::<u64>()),
    ) {
        let mut event = SseEvent::new(&data).event_type(&event_type);
        if let Some(id) = &id {
            event = event.id(id);
        }
        if let Some(retry) = retry {
            event = event.retry(retry);
        }
        let (mut codec, mut buffer) = (SseCodec::new(), BytesMut::new());
        // Not at the start of the stream, where a byte order mark is dropped.
        codec.encode(SseEvent::new("first"), &mut buffer).unwrap();
        codec.encode(event, &mut buffer).unwrap();
        let first = codec.decode(&mut buffer).unwrap().unwrap();
        prop_assert_eq!(first.data(), "first");
        let read = codec.decode(&mut buffer).unwrap().unwrap();
        prop_assert_eq!(read.data_str().unwrap(), data.replace("\r\n", "\n").replace('\r', "\n"));
        let expected_type = if event_type.is_empty() { "message" } else { &event_type };
        prop_assert_eq!(read.event_type(), expected_type);
        let read_id = read.id();
        prop_assert_eq!(read_id.as_deref(), id.as_deref());
        prop_assert_eq!(codec.decoder().last_event_id(), id.as_deref().unwrap_or_default());
        prop_assert_eq!(codec.decoder().reconnection_time(), retry);
        prop_assert!(codec.decode(&mut buffer).unwrap().is_none() && buffer.is_empty());
    }
}

/// Reads events by their codec. The ids are those of the events themselves.
fn read(codec: &mut SseCodec, mut id: String, buffer: &mut BytesMut) -> Vec<Dispatched> {
    let mut events = Vec::new();
    while let Some(event) = codec.decode(buffer).unwrap() {
        if let Some(new) = event.id() {
            id = new.into_owned();
        }
        if event.kind() == EventKind::Message {
            assert_eq!(id, codec.decoder().last_event_id());
            events.push(Dispatched {
                event: event.event_type().to_owned(),
                data: String::from_utf8_lossy(event.data()).into_owned(),
                id: id.clone(),
                retry: codec.decoder().reconnection_time(),
            });
        }
    }
    events
}

/// Each vector is decoded as the standard says. Encoded and decoded again, it is the same.
#[test]
fn vectors_are_the_same_after_a_round_trip() {
    let mut count = 0;
    for vector in stream_vectors() {
        let name = vector["name"].as_str().unwrap();
        let bytes = base64(vector["input_b64"].as_str().unwrap());
        let id = vector["initial_last_event_id"].as_str().unwrap_or_default();
        let expected = expected_events(&vector);
        let codec = || {
            let mut decoder = SseDecoder::new();
            decoder.set_last_event_id(id);
            SseCodec::with_decoder(decoder)
        };
        let found = read(&mut codec(), id.to_owned(), &mut BytesMut::from(&bytes[..]));
        assert_eq!(found, expected, "{name}");

        let (mut again, mut buffer) = (codec(), BytesMut::new());
        for event in &expected {
            let mut written = SseEvent::new(&event.data).event_type(&event.event).id(&event.id);
            if let Some(retry) = event.retry {
                written = written.retry(retry);
            }
            again.encode(written, &mut buffer).unwrap();
        }
        assert_eq!(read(&mut again, id.to_owned(), &mut buffer), expected, "{name}: again");
        count += 1;
    }
    crate::support::say(&format!("{count} vectors"));
}

/// An event that would break its line isn't written, nor any part of it.
#[test]
fn the_encoder_refuses_line_ends_in_fields() {
    for bad in ["a\nb", "a\rb", "a\r\nb", "a\0b"] {
        let (mut codec, mut buffer) = (SseCodec::new(), BytesMut::from("before"));
        for (event, refused) in [
            (SseEvent::new("x").id(bad), EncodeError::Id),
            (SseEvent::new("x").event_type(bad), EncodeError::EventType),
        ] {
            let error = codec.encode(event, &mut buffer).unwrap_err();
            assert!(matches!(&error, SseCodecError::Event(found) if *found == refused));
            assert_eq!(error.to_string(), "the event can't be written");
            assert!(std::error::Error::source(&error).unwrap().is::<EncodeError>());
        }
        codec.encode(SseEvent::new("x"), &mut buffer).unwrap();
        assert_eq!(buffer, "beforedata: x\n\n");
    }
    let error = SseCodecError::from(io::Error::other("closed"));
    assert_eq!(error.to_string(), "the writer has failed");
}

/// As in the standard: the last line counts, an empty one too, and none with U+0000.
#[test]
fn event_id_is_that_of_the_last_line_without_nul() {
    for (event, id) in [
        ("data: 1\n\n", None),
        ("id: 1\nid: 2\ndata: 1\n\n", Some("2")),
        ("id: 1\rid\rdata: 1\r\r", Some("")),
        ("id: 1\r\nid: 2\0\r\n\r\n", Some("1")),
        ("\u{feff}id:  1\n\n", Some(" 1")),
        (": id: 1\n\n", None),
    ] {
        let (mut codec, mut buffer) = (SseCodec::new(), BytesMut::from(event));
        let read = codec.decode(&mut buffer).unwrap().unwrap();
        assert_eq!(read.id().as_deref(), id, "{event:?}");
        assert_eq!(codec.decoder().last_event_id(), id.unwrap_or_default(), "{event:?}");
    }
    let mut limits = Limits::new();
    limits.max_id_bytes = 16;
    let mut codec = SseCodec::with_decoder(SseDecoder::with_limits(limits));
    let long = format!("id: {}\ndata: 1\n\n", "x".repeat(100));
    let read = codec.decode(&mut BytesMut::from(&*long)).unwrap().unwrap();
    assert_eq!((read.kind(), read.id()), (EventKind::TooLarge, None));
    assert!(matches!(read.error().unwrap().kind(), ErrorKind::IdTooLong));
}

#[test]
fn a_framed_reader_emits_all_events() {
    for stream in streams() {
        let codec = SseCodec::with_decoder(decoder());
        let mut framed = FramedRead::with_capacity(&stream[..], codec, 16);
        let mut raw = Vec::new();
        while let Poll::Ready(Some(event)) = poll_stream(&mut framed) {
            raw.extend_from_slice(event.unwrap().raw());
        }
        raw.extend(framed.decoder_mut().salvage().iter().flat_map(|event| event.raw().to_vec()));
        assert_eq!(raw, stream);
    }
}
