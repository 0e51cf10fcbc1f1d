//! Compares two ways over made streams, a million of them in the long run.
//!
//! `DELTAWIRE_STREAMS` is their number, and `DELTAWIRE_FIRST` the first of them. `DELTAWIRE_SEED` makes others.
//! Each block of streams has templates of its own, so a failure depends on its block alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use deltawire::chunk::{ChatCompletionChunk, ContentFlags};
use deltawire::completion::{Change, FinishedCompletion};
use deltawire::gateway::{EditRule, Editor, Replay, RewriteOutcome, UsageTap, UsageVisibility};
use deltawire::json::JsonDeviations;
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ChunkEvent, Outcome, Payload, Reassembler, Templates};
use serde_json::{Map, Value, json};

use super::made::{self, Made, Random};
use super::shared::say;
use super::support::heap;

/// The streams that share templates.
const BLOCK: u64 = 256;

/// The number of results of each kind, so that a run without one is seen.
#[derive(Debug, Default)]
struct Counts {
    streams: u64,
    events: u64,
    complete: u64,
    errors: u64,
    malformed: u64,
    changed_events: u64,
    dropped_events: u64,
    replayed: u64,
    steady: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.streams += other.streams;
        self.events += other.events;
        self.complete += other.complete;
        self.errors += other.errors;
        self.malformed += other.malformed;
        self.changed_events += other.changed_events;
        self.dropped_events += other.dropped_events;
        self.replayed += other.replayed;
        self.steady += other.steady;
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
#[ignore = "a long run: `.ci/oracles` calls it with a number of streams"]
fn made_streams() {
    let (first, count) = (number("DELTAWIRE_FIRST", 0), number("DELTAWIRE_STREAMS", 1000));
    let seed = number("DELTAWIRE_SEED", 1);
    let (next, failed) = (AtomicU64::new(first / BLOCK), AtomicBool::new(false));
    let start = Instant::now();
    let mut sum = Counts::default();
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            let mut counts = Counts::default();
            while !failed.load(Ordering::Relaxed) {
                let block = next.fetch_add(1, Ordering::Relaxed) * BLOCK;
                if block >= first + count {
                    break;
                }
                let end = (block + BLOCK).min(first + count);
                let guard = Reporter { failed: &failed, seed, block };
                check_block(seed, block..end, &mut counts);
                std::mem::forget(guard);
            }
            counts
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            sum.add(&handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    let rate = u128::from(sum.streams) * 1000 / start.elapsed().as_millis().max(1);
    say(&format!("{sum:?}, {rate} streams a second"));
    let Counts {
        complete,
        errors,
        malformed,
        changed_events,
        dropped_events,
        replayed,
        steady,
        ..
    } = sum;
    let kinds = [complete, errors, malformed, changed_events, dropped_events, replayed, steady];
    assert!(
        count < 1000 || kinds.iter().all(|kind| *kind >= count / 100),
        "too few of a kind: {sum:?}"
    );
}

/// Reports the block of a failure, which stops the other threads.
struct Reporter<'f> {
    failed: &'f AtomicBool,
    seed: u64,
    block: u64,
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.failed.store(true, Ordering::Relaxed);
        let Self { seed, block, .. } = self;
        say(&format!(
            "again: DELTAWIRE_SEED={seed} DELTAWIRE_FIRST={block} DELTAWIRE_STREAMS={BLOCK}"
        ));
    }
}

fn check_block(seed: u64, streams: std::ops::Range<u64>, counts: &mut Counts) {
    let templates = Templates::new();
    for stream in streams {
        let random = &mut Random::new(seed, stream);
        let made = made::stream(random);
        let shown = || format!("stream {stream}:\n{}", String::from_utf8_lossy(&made.bytes));
        let whole = run(&[&made.bytes], &templates);
        let cut = pieces(&made.bytes, &made::cuts(random, made.bytes.len()));
        assert!(made.bytes.starts_with(&whole.raw), "raw bytes of {}", shown());
        check_templates(&whole, &made.bytes, &shown);
        check_cuts(&whole, &cut, &templates, &shown);
        check_editor(&cut, &templates, random, counts, &shown);
        check_tap(&whole, &cut, &templates, &shown);
        check_replay(&whole, &made, random, &templates, counts, &shown);
        check_steady(random, &templates, counts, &shown);
        counts.streams += 1;
        counts.events += whole.finished.end.events;
        counts.complete += u64::from(whole.finished.outcome == Outcome::Complete);
        counts.errors += u64::from(whole.finished.outcome == Outcome::UpstreamError);
        counts.malformed += whole.finished.end.malformed;
    }
}

fn pieces<'b>(bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// The result of a run over a stream.
struct Run {
    /// The payloads that have a meaning.
    payloads: Vec<Seen>,
    /// The raw bytes of all events.
    raw: Vec<u8>,
    /// Number of events with output.
    deltas: u64,
    finished: FinishedCompletion,
}

/// An event, and the changes that it has made to the completion.
#[derive(Debug, PartialEq)]
struct Seen {
    offset: u64,
    flags: ContentFlags,
    counts: [Option<u64>; 3],
    /// The object as it is serialised, or the error.
    text: String,
    deviations: JsonDeviations,
    changes: Vec<Change>,
}

fn run(pieces: &[&[u8]], templates: &Templates) -> Run {
    let mut decoder = ChunkDecoder::new().with_templates(templates);
    let mut completion = Reassembler::new();
    let (mut payloads, mut raw, mut deltas) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            raw.extend_from_slice(event.raw());
            let flags = event.payload().content_flags();
            deltas += u64::from(flags.is_output());
            completion.push_payload(event.payload());
            if let Some((text, counts)) = contents(event.payload()) {
                payloads.push(Seen {
                    offset: event.offset(),
                    flags,
                    counts,
                    text,
                    deviations: event.deviations(),
                    changes: completion.changes().to_vec(),
                });
            }
        }
    }
    let finished = completion.finish(decoder.finish());
    Run { payloads, raw, deltas, finished }
}

/// Returns text and counts of a payload, or `None` for those that depend on the cuts.
fn contents(payload: &Payload<'_>) -> Option<(String, [Option<u64>; 3])> {
    let chunk = |chunk: &ChatCompletionChunk<'_>| {
        let usage = chunk.usage();
        let counts = usage.map_or([None; 3], |usage| {
            [usage.prompt_tokens(), usage.completion_tokens(), usage.total_tokens()]
        });
        (serde_json::to_string(chunk).unwrap(), counts)
    };
    let text = match payload {
        Payload::Chunk(found) => return Some(chunk(found)),
        Payload::Error(error) => {
            let chunk = error.chunk().as_ref().map(chunk);
            format!("{:?} {:?} {chunk:?}", error.message(), error.code())
        }
        Payload::Other(object) => serde_json::to_string(&object.as_value()).unwrap(),
        Payload::Malformed(error) => format!("{error:?}"),
        Payload::Done => "[DONE]".to_owned(),
        _ => return None,
    };
    Some((text, [None; 3]))
}

fn same_runs(what: &str, found: &Run, expected: &Run, shown: &dyn Fn() -> String) {
    for (found, expected) in found.payloads.iter().zip(&expected.payloads) {
        assert_eq!(found, expected, "{what}: a payload of {}", shown());
    }
    assert_eq!(found.payloads.len(), expected.payloads.len(), "{what}: payloads of {}", shown());
    assert!(found.raw == expected.raw, "{what}: raw bytes of {}", shown());
    assert_eq!(found.finished, expected.finished, "{what}: the completion of {}", shown());
}

/// Compares templates with none.
fn check_templates(whole: &Run, bytes: &[u8], shown: &dyn Fn() -> String) {
    same_runs("templates", whole, &run(&[bytes], &Templates::none()), shown);
}

/// Compares a stream in pieces with the whole one.
fn check_cuts(whole: &Run, cut: &[&[u8]], templates: &Templates, shown: &dyn Fn() -> String) {
    same_runs("cuts", &run(cut, templates), whole, shown);
}

/// Compares the report of a tap with the results of decoder and reassembler.
fn check_tap(whole: &Run, cut: &[&[u8]], templates: &Templates, shown: &dyn Fn() -> String) {
    let mut tap = UsageTap::new().with_templates(templates);
    for piece in cut {
        tap.push(piece);
    }
    let (report, finished) = (tap.finish(), &whole.finished);
    let what = || format!("the tap of {}", shown());
    assert_eq!(report.outcome, finished.outcome, "{}", what());
    assert_eq!(report.whole(), finished.whole(), "{}", what());
    assert_eq!(report.end, finished.end, "{}", what());
    assert_eq!(report.failed_finish, finished.failed_finish, "{}", what());
    assert_eq!(report.deltas, whole.deltas, "{}", what());
    assert_eq!(report.tokens, finished.completion.tokens(), "{}", what());
    let mut choices: Vec<_> =
        report.choices.into_iter().map(|choice| (choice.index, choice.finish_reason)).collect();
    choices.sort_unstable();
    let expected = finished.completion.choices.iter();
    let expected = expected.map(|choice| (choice.index, choice.finish_reason.clone()));
    assert_eq!(choices, expected.collect::<Vec<_>>(), "{}", what());
}

/// A rule of an editor, and the same on the values of `serde_json`.
struct EditorRule {
    add: fn(&mut Editor),
    edit: fn(&mut Map<String, Value>, bool),
}

/// The second argument of `edit` is true if rules add members.
const RULES: [EditorRule; 7] = [
    EditorRule {
        add: |editor| editor.replace("model", "al\"ias"),
        edit: |object, _| {
            if let Some(model) = object.get_mut("model") {
                *model = json!("al\"ias");
            }
        },
    },
    EditorRule {
        add: |editor| editor.remove("system_fingerprint"),
        edit: |object, _| drop(object.remove("system_fingerprint")),
    },
    EditorRule {
        add: |editor| editor.hide_usage(UsageVisibility::Removed),
        edit: |object, _| drop(object.remove("usage")),
    },
    EditorRule {
        add: |editor| editor.hide_usage(UsageVisibility::Null),
        edit: |object, _| {
            if let Some(usage) = object.get_mut("usage") {
                *usage = Value::Null;
            }
        },
    },
    EditorRule {
        add: |editor| editor.add_rule(EditRule::set("$.service_tier", 7).unwrap()),
        edit: |object, adds| {
            if adds || object.contains_key("service_tier") {
                object.insert("service_tier".to_owned(), json!(7));
            }
        },
    },
    EditorRule {
        add: |editor| {
            editor.add_rule(EditRule::remove("$.choices[*].delta.refusal").unwrap());
        },
        edit: |object, _| edit_deltas(object, |delta| drop(delta.remove("refusal"))),
    },
    EditorRule {
        add: |editor| {
            editor.add_rule(EditRule::replace("$.choices[*].delta.content", "§\n").unwrap());
        },
        edit: |object, _| {
            edit_deltas(object, |delta| {
                if let Some(content) = delta.get_mut("content") {
                    *content = json!("§\n");
                }
            });
        },
    },
];

/// The rules that hide the usage.
const HIDES: [usize; 2] = [2, 3];

/// Edits the delta of each choice, and its message.
fn edit_deltas(object: &mut Map<String, Value>, edit: impl Fn(&mut Map<String, Value>)) {
    let choices = object.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten() {
        for name in ["delta", "message"] {
            if let Some(delta) = choice.get_mut(name).and_then(Value::as_object_mut) {
                edit(delta);
            }
        }
    }
}

/// Compares the events that an editor writes with a naive edit of their values.
fn check_editor(
    cut: &[&[u8]],
    templates: &Templates,
    random: &mut Random,
    counts: &mut Counts,
    shown: &dyn Fn() -> String,
) {
    let mut rules: Vec<usize> =
        (0..RULES.len()).filter(|rule| !HIDES.contains(rule) && random.once_in(2)).collect();
    rules.extend(random.once_in(2).then(|| random.pick(&HIDES)));
    let mut editor = Editor::new();
    for rule in &rules {
        (RULES[*rule].add)(&mut editor);
    }
    let mut decoder = ChunkDecoder::new().with_templates(templates);
    let (mut out, mut is_half_dropped) = (Vec::new(), false);
    for piece in cut {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            out.clear();
            let outcome = editor.write(&event, &mut out);
            if std::mem::take(&mut is_half_dropped) && event.raw() == b"\n" {
                // The rest of the line end of a dropped event.
                assert_eq!(out, b"", "{}", shown());
                continue;
            }
            is_half_dropped = out.is_empty() && event.raw().ends_with(b"\r");
            let Some(expected) = naive_edit(&event, &rules) else { continue };
            let what = || {
                let [sent, written] = [event.raw(), &out].map(String::from_utf8_lossy);
                format!("the rules {rules:?}: {sent}as {written}in {}", shown())
            };
            counts.changed_events += u64::from(outcome == RewriteOutcome::Changed);
            match expected {
                Edited::Unchanged => assert!(out == event.raw(), "{}", what()),
                Edited::Dropped => {
                    assert!(!String::from_utf8_lossy(&out).contains("data"), "{}", what());
                    counts.dropped_events += 1;
                }
                Edited::Changed(expected) => {
                    let mut decoder = deltawire::SseDecoder::new();
                    let written = decoder.next(&mut &out[..]).expect("an event");
                    assert_eq!(written.kind(), EventKind::Message, "{}", what());
                    let written = serde_json::from_slice::<Value>(written.data());
                    assert_eq!(written.ok(), Some(Value::Object(expected)), "{}", what());
                }
            }
        }
    }
}

enum Edited {
    Unchanged,
    Changed(Map<String, Value>),
    Dropped,
}

/// Returns the result of the rules, or `None` for JSON that `serde_json` doesn't read.
fn naive_edit(event: &ChunkEvent<'_>, rules: &[usize]) -> Option<Edited> {
    let adds = match event.payload() {
        Payload::Chunk(_) => true,
        Payload::Error(error) => error.chunk().is_some(),
        Payload::Other(_) => false,
        _ => return Some(Edited::Unchanged),
    };
    let Ok(sent) = serde_json::from_slice::<Value>(event.event().data()) else {
        // An error may be any text, and isn't edited then.
        let is_text =
            matches!(event.payload(), Payload::Error(error) if error.as_value().is_none());
        return is_text.then_some(Edited::Unchanged);
    };
    let Value::Object(sent) = sent else { return Some(Edited::Unchanged) };
    let is_empty =
        |name: &str, empty: [Value; 2]| sent.get(name).is_none_or(|value| empty.contains(value));
    // A server may report an error in a bare line, and clients read it there.
    let mut lines = event.raw().split(|byte| matches!(byte, b'\r' | b'\n'));
    let has_error = !is_empty("error", [json!(null), json!("")])
        || event.event().event_type() == "error"
        || lines.any(|line| line.starts_with(b"error:") || line.starts_with(b"{"));
    let is_usage_alone = sent.get("usage").is_some_and(Value::is_object)
        && is_empty("choices", [json!(null), json!([])])
        && !has_error;
    if is_usage_alone && rules.iter().any(|rule| HIDES.contains(rule)) {
        return Some(Edited::Dropped);
    }
    let mut edited = sent.clone();
    for rule in rules {
        (RULES[*rule].edit)(&mut edited, adds);
    }
    Some(if edited == sent { Edited::Unchanged } else { Edited::Changed(edited) })
}

/// Compares the completion of a replay with the one that was replayed.
fn check_replay(
    whole: &Run,
    made: &Made,
    random: &mut Random,
    templates: &Templates,
    counts: &mut Counts,
    shown: &dyn Fn() -> String,
) {
    let FinishedCompletion { completion, outcome, .. } = &whole.finished;
    let (mut replay, mut out) = (Replay::new(completion), Vec::new());
    replay.set_delta_bytes(random.pick(&[4, 32, 32, usize::MAX]));
    replay.write_all(&mut out);
    let mut decoder = ChunkDecoder::new().with_templates(templates);
    let (mut completed, mut input) = (Reassembler::new(), &out[..]);
    while let Some(event) = decoder.next(&mut input) {
        completed.push_payload(event.payload());
    }
    let again = completed.finish(decoder.finish());
    let what = || format!("the replay {} of {}", String::from_utf8_lossy(&out), shown());
    assert_eq!(again.end.malformed, 0, "{}", what());
    let [expected, found] = [completion, &again.completion].map(|completion| {
        serde_json::from_str::<Value>(&serde_json::to_string(completion).unwrap())
    });
    // Half a surrogate pair is no JSON for `serde_json`.
    let (Ok(expected), Ok(found)) = (expected, found) else {
        return assert!(!made.is_tame, "{}", what());
    };
    assert_eq!(found, expected, "{}", what());
    if *outcome == Outcome::Complete && !completion.choices.is_empty() && !completion.not_whole {
        assert_eq!(again.outcome, Outcome::Complete, "{}", what());
        counts.replayed += 1;
    }
}

/// Checks that events of one form allocate nothing, once the first of them have come.
fn check_steady(
    random: &mut Random,
    templates: &Templates,
    counts: &mut Counts,
    shown: &dyn Fn() -> String,
) {
    const WARM: usize = 6;
    let events = made::steady(random, 24);
    let mut decoder = ChunkDecoder::new().with_templates(templates);
    let mut completion = Reassembler::new();
    for (number, event) in events.iter().enumerate() {
        let before = heap::allocations();
        let mut input = &event[..];
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
        let allocations = heap::allocations() - before;
        assert!(
            number < WARM || allocations == 0,
            "{allocations} allocations for event {number}, {}, behind {}",
            String::from_utf8_lossy(event),
            shown()
        );
    }
    counts.steady += 1;
}
