//! The assertions for any bytes as the `data` of an event.

use deltawire::chunk::ChatCompletionChunk;
use deltawire::completion::Change;
use deltawire::json::JsonDeviations;
use deltawire::json::{Value, ValueKind};
use deltawire::{ChunkDecoder, ErrorKind, Limits, Payload, Reassembler};

use super::simd;
use crate::support::heap;
use crate::support::sent::{Sent, What};

/// The result of a run over a stream.
#[derive(Debug, PartialEq)]
struct Run {
    payloads: Vec<(u64, &'static str, String)>,
    raw: Vec<u8>,
    completion: String,
}

/// Checks an event whose data is `data`, in as many lines as that has.
pub fn run(data: &[u8]) {
    let mut stream = Vec::new();
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        stream.extend_from_slice(b"data: ");
        stream.extend_from_slice(line);
        stream.push(b'\n');
    }
    let event = stream.len() + 1;
    stream.extend_from_slice(b"\ndata: [DONE]\n\n");
    let data: Vec<u8> =
        data.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect();

    let whole = decode(&[&stream]);
    assert_eq!(whole.raw, stream, "raw bytes");
    let bytes: Vec<_> = stream.chunks(1).collect();
    assert_eq!(decode(&bytes), whole, "bytes");
    let (one, other) = stream.split_at(stream.len() / 2);
    assert_eq!(decode(&[one, other]), whole, "halves");
    check_memory(&stream);

    let limits = Limits::new();
    let (lenient, strict) = (read(&stream, &limits, false), read(&stream, &limits, true));
    for (kind, offset) in [&lenient, &strict].into_iter().filter_map(Seen::error) {
        assert!(offset <= event as u64, "{kind:?} at {offset}");
    }
    let sent = Sent::read(&data);
    check_deviations(&lenient, &strict, &stream);
    check_against(&lenient, &strict, sent.as_ref(), &data);
    check_against_simd_json(&lenient, &data);
    if let Some(sent) = &sent
        && matches!(sent.what, What::Object(_))
        && !matches!(strict, Seen::Malformed(..))
    {
        check_limits(&stream, sent);
    }
    if let Err(error) = std::str::from_utf8(&data) {
        // Its bytes are behind the names of the lines before.
        let lines = data[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        let offset = error.valid_up_to() + 6 * lines;
        assert_eq!(lenient, Seen::Malformed(ErrorKind::InvalidUtf8, offset as u64));
    }
}

/// The kind of the first event.
#[derive(Debug, PartialEq)]
enum Seen {
    /// As it is serialised.
    Chunk(String, JsonDeviations),
    Malformed(ErrorKind, u64),
    Error,
    Done,
}

impl Seen {
    fn error(&self) -> Option<(ErrorKind, u64)> {
        if let Self::Malformed(kind, offset) = self { Some((*kind, *offset)) } else { None }
    }
}

fn read(stream: &[u8], limits: &Limits, strict: bool) -> Seen {
    let mut decoder = ChunkDecoder::with_limits(*limits);
    decoder.set_strict(strict);
    let event = decoder.next(&mut &stream[..]).expect("an event");
    match event.payload() {
        Payload::Chunk(chunk) => {
            Seen::Chunk(serde_json::to_string(chunk).unwrap(), event.deviations())
        }
        Payload::Other(object) => {
            Seen::Chunk(serde_json::to_string(&object.as_value()).unwrap(), event.deviations())
        }
        Payload::Malformed(error) => Seen::Malformed(error.kind(), error.offset()),
        Payload::Error(_) => Seen::Error,
        Payload::Done => Seen::Done,
        other => panic!("{other:?}"),
    }
}

/// Checks that a strict decoder refuses exactly the deviations that a lenient one counts.
fn check_deviations(lenient: &Seen, strict: &Seen, stream: &[u8]) {
    match lenient {
        Seen::Chunk(_, found) if !found.is_empty() => {
            let Seen::Malformed(kind, offset) = strict else { panic!("{strict:?}, {found:?}") };
            let (count, first) = match kind {
                ErrorKind::LoneSurrogate => (found.lone_surrogates, b'\\'),
                ErrorKind::NonFiniteNumber => {
                    (found.non_finite_numbers, stream[usize::try_from(*offset).unwrap()])
                }
                ErrorKind::IntegerOutOfRange => {
                    (found.integers_out_of_range, stream[usize::try_from(*offset).unwrap()])
                }
                ErrorKind::FloatOutOfRange => {
                    (found.floats_out_of_range, stream[usize::try_from(*offset).unwrap()])
                }
                other => panic!("{other:?}"),
            };
            assert!(count > 0 && stream[usize::try_from(*offset).unwrap()] == first);
        }
        Seen::Malformed(..) => {
            assert!(matches!(strict, Seen::Malformed(..)), "{strict:?}");
        }
        Seen::Error => assert!(matches!(strict, Seen::Error | Seen::Malformed(..))),
        _ => assert_eq!(strict, lenient),
    }
}

/// Checks that a text of `serde_json` is a chunk, an error, or no object.
///
/// The reverse is also true, except for texts that it refuses or that nest too deep.
fn check_against(lenient: &Seen, strict: &Seen, sent: Option<&Sent>, data: &[u8]) {
    let is_done = data.trim_ascii() == b"[DONE]";
    assert_eq!(*lenient == Seen::Done, is_done);
    let Some(sent) = sent.filter(|_| !is_done) else {
        // It nests to 127 and takes numbers of any size.
        let deepest = data.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
        let is_refused = matches!(strict, Seen::Malformed(..)) || deepest > 127 || is_done;
        assert!(is_refused, "serde_json takes it not: {strict:?}");
        return;
    };
    let is_object = matches!(sent.what, What::Object(_));
    let choices = match sent.get("choices").map(|choices| &choices.what) {
        Some(What::Array(choices)) => choices.as_slice(),
        _ => &[],
    };
    let is_error = sent.get("error").is_some_and(is_one)
        || sent.get("object").is_some_and(|object| object.what == What::String("error".into()))
        || choices.iter().any(|choice| choice.get("error").is_some_and(is_one));
    match lenient {
        Seen::Chunk(text, _) => {
            assert!(is_object && !is_error);
            assert_eq!(Sent::read(text.as_bytes()).as_ref(), Some(sent));
        }
        Seen::Error => assert!(is_object && is_error),
        Seen::Malformed(ErrorKind::TooDeep, _) => {
            assert!(sent.depth() > Limits::new().max_json_depth);
        }
        Seen::Malformed(kind, offset) => {
            assert!(!is_object);
            // The bytes of each line are behind its name.
            let start = data.len() - data.trim_ascii_start().len();
            let lines = data[..start].split(|byte| *byte == b'\n').count();
            let expected = (ErrorKind::ExpectedObject, (start + 6 * lines) as u64);
            assert_eq!((*kind, *offset), expected);
        }
        Seen::Done => unreachable!("that was looked for"),
    }
}

/// Checks that a text of simd-json is read, and equally if it is a chunk.
fn check_against_simd_json(lenient: &Seen, data: &[u8]) {
    let is_accepted = simd::check(data, || match lenient {
        Seen::Chunk(text, _) => Sent::read(text.as_bytes()),
        _ => None,
    });
    if let (true, Seen::Malformed(kind, _)) = (is_accepted, lenient) {
        let is_limit = matches!(kind, ErrorKind::TooDeep | ErrorKind::TooManyValues);
        assert!(is_limit || *kind == ErrorKind::ExpectedObject, "simd-json accepts it: {kind:?}");
    }
}

/// Returns true if a client in JavaScript or Python treats an `error` as one.
fn is_one(error: &Sent) -> bool {
    match &error.what {
        What::Object(_) | What::Array(_) => true,
        What::String(text) => !text.is_empty(),
        What::Other if matches!(error.raw.as_str(), "null" | "false") => false,
        What::Other => error.raw == "true" || error.raw.parse() != Ok(0.0),
    }
}

/// Checks that a payload is within limits of exactly its size, and not within less.
fn check_limits(stream: &[u8], sent: &Sent) {
    let with = |change: &dyn Fn(&mut Limits)| {
        let mut limits = Limits::new();
        change(&mut limits);
        read(stream, &limits, false)
    };
    let (depth, values) = (sent.depth(), sent.values());
    let plain = with(&|_| {});
    assert_eq!(with(&|limits| limits.max_json_depth = depth), plain, "{depth} deep");
    assert_eq!(with(&|limits| limits.max_json_values = values), plain, "{values} values");
    let kind = |seen: Seen| seen.error().map(|(kind, _)| kind);
    let shallow = with(&|limits| limits.max_json_depth = depth - 1);
    assert_eq!(kind(shallow), Some(ErrorKind::TooDeep), "{depth} deep");
    let few = with(&|limits| limits.max_json_values = values - 1);
    assert_eq!(kind(few), Some(ErrorKind::TooManyValues), "{values} values");
}

/// Checks that the cost of a payload is bounded by its length.
///
/// It has 64 bytes for each name or value, which are fewer than its bytes. Besides, there is its
/// text unescaped, and a table of choices and calls.
fn check_memory(stream: &[u8]) {
    let before = heap::live();
    heap::reset_peak();
    let mut decoder = ChunkDecoder::new();
    for piece in stream.chunks(7) {
        let mut input = piece;
        while decoder.next(&mut input).is_some() {}
    }
    let held = usize::try_from(heap::peak() - before).unwrap_or(0);
    let rows = stream.len().min(4096) * 128;
    let most = stream.len() * (64 + 1 + 4) + rows + (16 << 10);
    assert!(held <= most, "{held} bytes held, {most} allowed");
}

fn decode(pieces: &[&[u8]]) -> Run {
    let mut decoder = ChunkDecoder::new();
    let mut completion = Reassembler::new();
    let (mut payloads, mut raw) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            raw.extend_from_slice(event.raw());
            let (kind, text) = match event.payload() {
                Payload::Chunk(chunk) => {
                    check_chunk(*chunk);
                    ("chunk", serde_json::to_string(&chunk).unwrap())
                }
                Payload::Done => ("done", String::new()),
                Payload::Error(error) => ("error", format!("{:?}", error.as_value())),
                Payload::Malformed(error) => ("malformed", error.to_string()),
                Payload::Comment => ("comment", String::new()),
                _ => ("ignored", String::new()),
            };
            payloads.push((event.offset(), kind, text));
            completion.push_payload(event.payload());
            check_changes(&mut completion);
        }
    }
    let finished = completion.finish(decoder.finish());
    let completion = serde_json::to_string(&finished.completion).unwrap();
    Run { payloads, raw, completion }
}

/// Checks that every value is a part of the payload, and that every mismatch has a place.
fn check_chunk(chunk: ChatCompletionChunk<'_>) {
    check_value(chunk.as_value(), chunk.as_value().raw(), chunk.as_value().position());
    let mut count = 0;
    for mismatch in chunk.mismatches() {
        assert!(!mismatch.path().is_empty());
        count += 1;
    }
    assert!(count <= 256);
}

/// Checks the position of a value, and the positions of the values in it.
fn check_value(value: Value<'_>, whole: &str, start: usize) {
    let at = value.position() - start;
    assert_eq!(whole.get(at..at + value.raw().len()), Some(value.raw()));
    match value.kind() {
        ValueKind::Object => {
            value.members().for_each(|(_, member)| check_value(member, whole, start));
        }
        ValueKind::Array => {
            value.elements().for_each(|element| check_value(element, whole, start));
        }
        _ => {}
    }
}

/// Checks that each change is in the completion, and that new text begins at a character.
pub fn check_changes(completion: &mut Reassembler) {
    let (completion, changes) = completion.snapshot_with_changes();
    for change in changes {
        let choices = &completion.choices;
        let (text, start) = match *change {
            Change::Text { choice, text, start } => (choices[choice].message.text(text), start),
            Change::Arguments { choice, call, start } => {
                let function = choices[choice].message.tool_calls[call].function.as_ref().unwrap();
                assert!(!function.arguments[start..].is_empty());
                continue;
            }
            _ => continue,
        };
        assert!(!text.unwrap()[start..].is_empty());
    }
}
