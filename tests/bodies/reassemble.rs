//! The assertions for the completion and the outcome of any stream.

use deltawire::chunk::OwnedChatCompletionChunk;
use deltawire::completion::{ChatCompletion, CompletionLimit, FinishedCompletion};
use deltawire::{ChunkDecoder, Limits, Outcome, Payload, Reassembler, Templates};
use serde_json::Value;

use super::input::{Input, chunks};
use super::parse_chunk::check_changes;
use crate::support::decoded::pieces;
use crate::support::fold::{facts, fold};
use crate::support::heap;
use crate::support::oracle;

pub fn run(input: &[u8]) {
    let Input { stream, lengths, limits, is_tame } = Input::new(input, chunks);
    let cut = pieces(&stream, &lengths);
    let bytes: Vec<_> = stream.chunks(1).collect();
    let whole = finish(&[&stream], &limits, &limits);
    assert_eq!(finish(&cut, &limits, &limits), whole, "pieces");
    assert_eq!(finish(&bytes, &limits, &limits), whole, "bytes");

    let naive = Naive::of(&stream);
    let none = Limits::new();
    if limits == none {
        check_outcome(&whole, &naive, is_tame);
        check_without_a_decoder(&stream);
    } else {
        let full = finish(&[&stream], &none, &none);
        let limited = finish(&[&stream], &none, &limits);
        check_limits(&limited, &full, &limits, is_tame);
    }
    check_memory(&stream, &limits);
    if is_tame && limits == none {
        let completion = serde_json::to_value(&whole.completion).unwrap();
        let expected = fold(&naive.chunks);
        assert_eq!(facts(&completion).with_defaults(), expected.with_defaults());
        assert_eq!(whole.limit_exceeded, None);
    }
}

fn finish(pieces: &[&[u8]], of_stream: &Limits, of_completion: &Limits) -> FinishedCompletion {
    let mut decoder = ChunkDecoder::with_limits(*of_stream);
    let mut completion = Reassembler::with_limits(*of_completion);
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
            // A text grows otherwise between two looks at it.
            if event.offset() % 3 == 0 {
                check_changes(&mut completion);
            }
        }
    }
    completion.finish(decoder.finish())
}

/// The contents of a stream, by the standard's text and `serde_json`.
struct Naive {
    chunks: Vec<Value>,
    /// Objects that are no chunks.
    has_others: bool,
    is_done: bool,
    has_error: bool,
    /// The standard drops the last event, which no blank line closes: it may be an error.
    may_end_in_error: bool,
    /// Something is no UTF-8, so nothing is known of it.
    is_dubious: bool,
}

impl Naive {
    fn of(stream: &[u8]) -> Self {
        let events = oracle::parse(stream, "").events;
        // A last event without its blank line counts if it is the end of the stream.
        let more = oracle::parse(&[stream, b"\n\n"].concat(), "").events;
        let is_end = |data: &str| data.trim_matches([' ', '\t', '\n', '\u{C}']) == "[DONE]";
        let mut naive = Self {
            chunks: Vec::new(),
            has_others: false,
            is_done: more.iter().any(|event| is_end(&event.data)),
            has_error: false,
            may_end_in_error: more.len() > events.len(),
            is_dubious: std::str::from_utf8(stream).is_err(),
        };
        for event in events.iter().filter(|event| !is_end(&event.data)) {
            let Ok(Value::Object(chunk)) = serde_json::from_str(&event.data) else { continue };
            let is_error = |error: Option<&Value>| match error.unwrap_or(&Value::Null) {
                Value::Null | Value::Bool(false) => false,
                error => error.as_f64() != Some(0.0) && error.as_str() != Some(""),
            };
            let choices = chunk.get("choices").and_then(Value::as_array).into_iter().flatten();
            naive.has_error |= is_error(chunk.get("error"))
                || choices.map(|choice| choice.get("error")).any(is_error)
                || is_error(chunk.get("x_groq").and_then(|x_groq| x_groq.get("error")))
                || chunk.get("object") == Some(&"error".into());
            let object = chunk.get("object").and_then(Value::as_str).unwrap_or_default();
            let is_chunk = chunk.contains_key("choices")
                || chunk.get("usage").is_some_and(|usage| !usage.is_null())
                || chunk.get("x_groq").is_some_and(|x_groq| x_groq.get("usage").is_some())
                || ["chat.completion.chunk", "chat.completion", "text_completion"]
                    .contains(&object);
            if is_chunk {
                naive.chunks.push(Value::Object(chunk));
            } else {
                naive.has_others = true;
            }
        }
        naive
    }
}

/// Checks that failure is never laundered into success.
fn check_outcome(full: &FinishedCompletion, naive: &Naive, is_tame: bool) {
    let choices = &full.completion.choices;
    let has_reason = choices.iter().all(|choice| choice.finish_reason.is_some());
    // A choice that is left out has none.
    let is_lacking = full.irregularities.invalid_choice_indexes > 0
        || full.limit_exceeded == Some(CompletionLimit::Choices);
    let all_have_reasons = !choices.is_empty() && has_reason && !is_lacking;
    // Without an end, output may follow a finish reason.
    let is_continued = has_reason && !full.pending.is_empty();
    let all_finished = all_have_reasons && !is_continued;
    assert!(has_reason || !full.pending.is_empty());
    assert!(!is_continued || full.end.done == 0);
    assert_eq!(full.completion.not_whole, full.whole().is_err());
    match full.outcome {
        Outcome::Complete => assert!(naive.is_done && all_finished && full.end.malformed == 0),
        Outcome::FinishedWithoutDone => {
            assert!(!naive.is_done && all_finished && full.end.malformed == 0);
        }
        Outcome::MalformedEvent => assert!(all_finished && full.end.malformed > 0),
        Outcome::FailedFinish => assert!(full.failed_finish.is_some()),
        Outcome::DoneWithoutFinish => assert!(naive.is_done && !all_finished),
        Outcome::Truncated => assert!(!naive.is_done && !all_finished),
        Outcome::UpstreamError => {
            assert!(naive.has_error || naive.may_end_in_error || !is_tame);
        }
        Outcome::Empty => assert!(choices.is_empty() && naive.chunks.is_empty() && !naive.is_done),
        Outcome::AnotherApi(_) => assert!(choices.is_empty()),
        // Not a field and not a comment: nothing has been dispatched.
        Outcome::NotAnEventStream(_) => assert!(choices.is_empty() && naive.chunks.is_empty()),
        other => panic!("{other:?}"),
    }
    let is_clean = matches!(full.outcome, Outcome::Complete | Outcome::FinishedWithoutDone);
    assert!(is_clean || full.whole().is_err());
    if naive.has_error && !naive.is_dubious {
        assert_eq!(full.outcome, Outcome::UpstreamError);
    }
    if is_tame {
        let folded = fold(&naive.chunks);
        let finished = !folded.choices.is_empty()
            && folded.choices.iter().all(|choice| choice.finish_reason.is_some());
        assert_eq!(finished, all_have_reasons);
    }
}

/// Removes the members with `null`, or with an empty string, array or object.
fn without_empty_values(mut json: Value) -> Value {
    match &mut json {
        Value::Object(object) => {
            let members = std::mem::take(object).into_iter();
            let members = members.map(|(name, value)| (name, without_empty_values(value)));
            object.extend(members.filter(|(_, value)| {
                let is_object = value.as_object().is_some_and(serde_json::Map::is_empty);
                let is_list = value.as_array().is_some_and(Vec::is_empty);
                !(value.is_null() || value == "" || is_list || is_object)
            }));
        }
        Value::Array(list) => {
            for value in list {
                *value = without_empty_values(value.take());
            }
        }
        _ => {}
    }
    json
}

/// Checks that each exceeded limit is reported, and that the stored part is the beginning.
fn check_limits(
    limited: &FinishedCompletion,
    full: &FinishedCompletion,
    limits: &Limits,
    is_tame: bool,
) {
    if limited.limit_exceeded.is_none() && limited.completion != full.completion {
        // An empty value over the limit of members is left out, which exceeds no limit.
        let [limited, full] = [limited, full].map(|finished| {
            let json = serde_json::to_value(&finished.completion).unwrap();
            without_empty_values(json)
        });
        assert_eq!(limited, full);
    }
    let ChatCompletion { choices, .. } = &limited.completion;
    assert!(choices.len() <= limits.max_choices);
    let mut held = 0;
    for choice in choices {
        let message = &choice.message;
        assert!(message.tool_calls.len() <= limits.max_tool_calls);
        let texts = [&message.content, &message.refusal, &message.reasoning];
        held += texts.into_iter().flatten().map(String::len).sum::<usize>();
        let whole = &full.completion.choice(choice.index).unwrap().message;
        let wholes = [&whole.content, &whole.refusal, &whole.reasoning];
        for (text, whole) in texts.into_iter().zip(wholes).filter(|_| is_tame) {
            let (text, whole) = (text.as_deref(), whole.as_deref());
            assert!(whole.unwrap_or_default().starts_with(text.unwrap_or_default()));
        }
    }
    assert!(held <= limits.max_completion_bytes, "{held} bytes of text");
    assert_eq!(limited.outcome == Outcome::UpstreamError, full.outcome == Outcome::UpstreamError);
}

/// Checks that the memory of a reassembler is bounded by its limits, and by the stream.
fn check_memory(stream: &[u8], limits: &Limits) {
    let mut decoder = ChunkDecoder::new().with_templates(&Templates::none());
    let mut pass = |completion: &mut Reassembler| {
        let mut input = stream;
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
        decoder.reset();
    };
    // The decoder's buffers grow to their final size.
    pass(&mut Reassembler::with_limits(*limits));
    let before = heap::live();
    heap::reset_peak();
    let mut completion = Reassembler::with_limits(*limits);
    pass(&mut completion);
    let held = usize::try_from(heap::peak() - before).unwrap_or(0);
    // Buffers grow by doubling; the usage has a budget of its own. A choice or call of a few bytes
    // costs a struct.
    let bytes = limits.max_completion_bytes.saturating_add(64 << 10);
    let most = 4 * bytes.min(256 * stream.len()) + (16 << 10);
    assert!(held <= most, "{held} bytes held, {most} allowed");
}

/// Checks that chunks that are kept and pushed later make the same completion.
fn check_without_a_decoder(stream: &[u8]) {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let mut kept: Vec<OwnedChatCompletionChunk> = Vec::new();
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        if let Payload::Chunk(chunk) = event.payload() {
            completion.push(chunk);
            kept.push(chunk.into_owned());
        }
    }
    let mut later = Reassembler::new();
    for chunk in &kept {
        later.push(&chunk.as_chunk());
    }
    assert_eq!(later.snapshot(), completion.snapshot());
    assert_eq!(later.irregularities(), completion.irregularities());
}
