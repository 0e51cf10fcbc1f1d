//! The output of `Debug`: views show the JSON that was sent.
//!
//! No other type shows any text of a stream, which may be personal.

use std::fmt::Debug;
use std::time::Duration;

use deltawire::gateway::request::{AskedBy, ChatRequest};
use deltawire::gateway::{
    EncodeError, Guard, Meter, Observer, PushResult, Replay, Sniffer, SseEvent, UsageTap,
};
use deltawire::sse::LineSplitter;
use deltawire::{ChunkDecoder, Outcome, Payload, Reassembler, SseDecoder};

const SECRET: &str = "s3cret";

/// A chunk with a secret in each part, and two values that are of a wrong type.
const JSON: &str = r#"{"id":7,"choices":[{"index":0,"delta":{"content":"s3cret","tool_calls":[{"index":0,"function":{"arguments":"s3cret"}}]},"logprobs":["s3cret"]}],"usage":{"total_tokens":3,"note":"s3cret"}}"#;

/// Shows no secret, neither in one line nor in several.
#[track_caller]
fn shows_nothing(value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!shown.is_empty());
    }
}

#[test]
fn views_show_the_values_that_were_sent() {
    let stream = format!("data: {JSON}\n\n");
    let mut decoder = ChunkDecoder::new();
    let mut input = stream.as_bytes();
    let event = decoder.next(&mut input).unwrap();
    let Payload::Chunk(chunk) = event.payload() else { panic!("{event:?}") };
    let choice = chunk.choices().next().unwrap();
    let call = choice.delta().tool_calls().next().unwrap();
    let sent = |json: &dyn Debug| {
        let shown = format!("{json:?}");
        assert!(JSON.contains(&shown) && shown.contains(SECRET), "{shown}");
    };
    sent(chunk);
    sent(&choice);
    sent(&choice.delta());
    sent(&call);
    sent(&chunk.usage().unwrap().as_value());
    // The path and not the value.
    let mismatches: Vec<_> = chunk.mismatches().collect();
    assert_eq!(mismatches.len(), 2, "{mismatches:?}");
    shows_nothing(&mismatches);
    assert!(format!("{mismatches:?}").contains("choices[0].logprobs"));
}

#[test]
fn debug_of_other_types_contains_no_text() {
    let stream = format!("data: {JSON}\n\ndata: {{\"error\":{{\"message\":\"{SECRET}\"}}}}\n\n");
    let (mut decoder, mut guard, mut observer) =
        (ChunkDecoder::new(), Guard::new(), Observer::new());
    let (mut tap, mut framing) = (UsageTap::new(), SseDecoder::new());
    let mut input = stream.as_bytes();
    while let Some(event) = decoder.next(&mut input) {
        assert!(matches!(guard.push(&event), PushResult::Unwatched | PushResult::NoText));
        if let Payload::Error(error) = event.payload() {
            shows_nothing(error);
        }
        shows_nothing(&observer.observe(&event));
    }
    shows_nothing(&guard);
    guard.texts().for_each(|text| shows_nothing(&text));
    shows_nothing(&observer);
    tap.push(stream.as_bytes());
    shows_nothing(&tap);
    shows_nothing(&decoder);
    shows_nothing(&decoder.finish());
    shows_nothing(&observer.finish(decoder.finish()));
    shows_nothing(&tap.finish());

    let mut input = stream.as_bytes();
    while framing.next(&mut input).is_some() {}
    shows_nothing(&framing);
    let mut cut = format!("{SECRET}: {SECRET}");
    cut.insert_str(0, "id: 5\ndata: ");
    assert!(framing.next(&mut cut.as_bytes()).is_none());
    shows_nothing(&framing);

    let body = format!("{{\"model\":\"{SECRET}\",\"stream\":true}}");
    let mut request = ChatRequest::read(body.as_bytes()).unwrap();
    request.set_model("another s3cret");
    assert_eq!(request.ask_for_usage(), AskedBy::Gateway);
    shows_nothing(&request);

    shows_nothing(&SseEvent::new(SECRET));
    let mut sniffer = Sniffer::new();
    assert_eq!(sniffer.push(b"\n"), None);
    shows_nothing(&sniffer);
    let mut completion = Reassembler::new();
    shows_nothing(&Replay::new(completion.snapshot()));
    for error in [EncodeError::EventType, EncodeError::Id] {
        assert!(error.to_string().starts_with("line break or U+0000 in an event "));
        shows_nothing(&error);
    }
}

/// A default value equals a new one.
#[test]
fn default_of_a_type_is_its_new() {
    fn alike(default: &dyn Debug, new: &dyn Debug) {
        assert_eq!(format!("{default:?}"), format!("{new:?}"));
    }
    alike(&ChunkDecoder::default(), &ChunkDecoder::new());
    alike(&SseDecoder::default(), &SseDecoder::new());
    alike(&LineSplitter::default(), &LineSplitter::new());
    alike(&Reassembler::default(), &Reassembler::new());
    alike(&Guard::default(), &Guard::new());
    alike(&Observer::default(), &Observer::new());
    alike(&UsageTap::default(), &UsageTap::new());
    alike(&Sniffer::default(), &Sniffer::new());
}

/// A meter with payloads counts the same as a meter with the reports of an observer.
#[test]
fn a_meter_observes_by_itself() {
    let stream = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"role\":\"assistant\"}}}}]}}\n\ndata: {JSON}\n\n: x\n\ndata: {JSON}\n\n"
    );
    let (mut decoder, mut meter) = (ChunkDecoder::new(), Meter::new());
    let mut input = stream.as_bytes();
    let mut millis = 0;
    while let Some(event) = decoder.next(&mut input) {
        millis += 10;
        meter.observe(event.payload(), Duration::from_millis(millis));
    }
    assert_eq!(meter.time_to_first_token(), Some(Duration::from_millis(20)));
    let last = meter.last_token().unwrap();
    assert_eq!(meter.gaps().sum + Duration::from_millis(20), last);
    assert_eq!((meter.gaps().count, last > Duration::from_millis(20)), (1, true));
}

/// The usage itself outranks its substitutes, before and after them, as in a completion.
#[test]
fn a_meter_ranks_usage() {
    let stream = b"data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}}\n\ndata: {\"x_groq\":{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}}\n\n";
    let (mut decoder, mut meter) = (ChunkDecoder::new(), Meter::new());
    let mut input = &stream[..];
    while let Some(event) = decoder.next(&mut input) {
        meter.observe(event.payload(), Duration::ZERO);
    }
    let measured = meter.finish_with(Outcome::Complete, Duration::ZERO);
    assert_eq!((measured.prompt_tokens, measured.output_tokens), (Some(9), 9));
}

#[test]
fn a_meter_accepts_any_count_and_time() {
    let mut meter = Meter::new();
    for now in [Duration::from_secs(10), Duration::MAX, Duration::ZERO] {
        meter.record(u64::MAX, now);
    }
    assert_eq!((meter.gaps().count, meter.last_token()), (u64::MAX, Some(Duration::MAX)));
    let measured = meter.finish_with(Outcome::Complete, Duration::from_secs(5));
    assert_eq!(measured.total_time, Duration::MAX);
}
