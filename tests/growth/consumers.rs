//! Consumers: every public call that the bytes of a peer reach, each over a whole input.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use deltawire::adapters::{
    ChunkCodec, ChunkStream, ObservedBody, OwnedChunkEvent, OwnedChunkStream,
};
use deltawire::chunk::{ChatCompletionChunk, OwnedChatCompletionChunk};
use deltawire::completion::{Change, ChatCompletion, FinishedCompletion, FunctionCall};
use deltawire::gateway::request::ask_for_usage;
use deltawire::gateway::{
    EditRule, EditValue, Editor, Guard, Meter, Observer, PushResult, Relay, RelayEnd, RelayGuard,
    Replay, Sniffer, Spans, SseEvent, UsageTap, UsageVisibility, Words, assemble, write_comment,
};
use deltawire::json::{Value, ValueKind};
use deltawire::sse::{BodyKind, LineSplitter};
use deltawire::{ChunkDecoder, ChunkEvent, Payload, Reassembler, SseDecoder, Templates};
use futures_core::Stream;
use tokio_util::codec::Decoder as _;

/// A function that reads a whole input, and its name.
pub(crate) struct Consumer {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&[u8]),
}

const fn consumer(name: &'static str, read: fn(&[u8])) -> Consumer {
    Consumer { name, read }
}

/// Bytes of a small piece.
const PIECE: usize = 64;

/// Most bytes that a guard may hold: enough for every input.
const ROOM: usize = 1 << 30;

/// Consumers of streams.
pub(crate) const STREAMS: &[Consumer] = &[
    consumer("LineSplitter", lines),
    consumer("SseDecoder", |stream| frame(stream, usize::MAX)),
    consumer("SseDecoder, pieces", |stream| frame(stream, PIECE)),
    consumer("Event, all calls", tell_events),
    consumer("ChunkDecoder", |stream| decode(decoder(), stream, usize::MAX)),
    consumer("ChunkDecoder, pieces", |stream| decode(decoder(), stream, PIECE)),
    consumer("ChunkDecoder, no templates", |stream| {
        decode(without_templates(), stream, usize::MAX);
    }),
    consumer("ChunkDecoder, no templates, pieces", |stream| {
        decode(without_templates(), stream, PIECE);
    }),
    consumer("ChunkDecoder, strict", |stream| {
        let mut decoder = decoder();
        decoder.set_strict(true);
        decode(decoder, stream, usize::MAX);
    }),
    consumer("ChunkEvent, shown", |stream| {
        each_event(stream, |event| drop(black_box(format!("{event:?} {:?}", event.payload()))));
    }),
    consumer("ChunkDecoder::reset, each event", reset_each),
    consumer("ChunkDecoder::salvage", |stream| salvage(&stream[..stream.len() - 2])),
    consumer("ChunkDecoder::salvage, of two thirds", |stream| {
        salvage(&stream[..stream.len() / 3 * 2]);
    }),
    consumer("SseDecoder::salvage", |stream| salvage_framing(&stream[..stream.len() - 2])),
    consumer("UsageTap::salvage", |stream| salvage_tap(&stream[..stream.len() - 2])),
    consumer("Reassembler", |stream| drop(finished(stream))),
    consumer("Reassembler, pieces", |stream| drop(assemble(stream.chunks(PIECE)))),
    consumer("Reassembler::changes, each event", watch),
    consumer("Reassembler::irregularities, each event", |stream| {
        reassemble(stream, |completion| {
            black_box(completion.irregularities());
        });
    }),
    consumer("Reassembler::reset, each event", |stream| reassemble(stream, Reassembler::reset)),
    consumer("ChatCompletion, compared", |stream| {
        let finished = finished(stream);
        assert!(finished.clone() == finished, "equal");
    }),
    consumer("ChatCompletion, written", |stream| {
        black_box(json_of(&finished(stream).completion));
    }),
    consumer("ChatCompletion, written and read", |stream| {
        reread(json_of(&finished(stream).completion).as_bytes());
    }),
    consumer("ChatCompletion, each payload read", |stream| {
        each_payload(stream, |data| drop(serde_json::from_slice::<ChatCompletion>(data)));
    }),
    consumer("FunctionCall::arguments_state", |stream| {
        for choice in &finished(stream).completion.choices {
            let calls = choice.message.tool_calls.iter().filter_map(|call| call.function.as_ref());
            for call in calls.chain(&choice.message.function_call) {
                black_box(call.arguments_state());
            }
        }
    }),
    consumer("Replay, 8 bytes", |stream| replay(&finished(stream).completion, 8)),
    consumer("Replay, 32 bytes", |stream| replay(&finished(stream).completion, 32)),
    consumer("Replay, all at once", |stream| replay(&finished(stream).completion, usize::MAX)),
    consumer("ChatCompletionChunk, all calls", |stream| each_chunk(stream, look)),
    consumer("ChatCompletionChunk, written", |stream| {
        each_chunk(stream, |chunk| drop(black_box(serde_json::to_string(&chunk))));
    }),
    consumer("ChatCompletionChunk::content_flags", |stream| {
        each_chunk(stream, |chunk| {
            black_box(chunk.content_flags());
        });
    }),
    consumer("ChatCompletionChunk::mismatches", |stream| {
        each_chunk(stream, |chunk| {
            for mismatch in chunk.mismatches() {
                black_box((mismatch.path(), mismatch.value().kind()));
            }
        });
    }),
    consumer("ChatCompletionChunk::into_owned", |stream| {
        each_chunk(stream, |chunk| drop(black_box(chunk.into_owned())));
    }),
    consumer("OwnedChatCompletionChunk::from_json", |stream| {
        each_payload(stream, |data| drop(black_box(OwnedChatCompletionChunk::from_json(data))));
    }),
    consumer("OwnedChatCompletionChunk, read", |stream| {
        each_payload(stream, |data| {
            drop(black_box(serde_json::from_slice::<OwnedChatCompletionChunk>(data)));
        });
    }),
    consumer("Value, all of them", |stream| {
        each_chunk(stream, |chunk| {
            black_box(values(chunk.as_value()));
        });
    }),
    consumer("UsageTap", |stream| tap(stream, usize::MAX)),
    consumer("UsageTap, pieces", |stream| tap(stream, PIECE)),
    consumer("UsageTap::next, and Meter", tap_events),
    consumer("Observer", observe),
    consumer("Meter::observe", |stream| {
        let mut meter = Meter::new();
        each_event(stream, |event| {
            black_box(meter.observe(event.payload(), Duration::ZERO).gaps().count());
        });
    }),
    consumer("Guard, released at once", |stream| {
        guard(Guard::with_bounds(ROOM, 256), stream, Guard::release_all);
    }),
    consumer("Guard, 16 bytes kept", |stream| {
        guard(Guard::with_bounds(ROOM, 256), stream, |guard, out| guard.release(16, out));
    }),
    consumer("Guard, all kept", |stream| guard(Guard::with_bounds(ROOM, 256), stream, |_, _| {})),
    consumer("Guard, all kept within its bounds", |stream| guard(Guard::new(), stream, |_, _| {})),
    consumer("Guard, discarded", |stream| {
        guard(Guard::with_bounds(ROOM, 0), stream, |guard, _| guard.discard());
    }),
    consumer("Guard, replaced and released", |stream| {
        guard(Guard::with_bounds(ROOM, 256), stream, |guard, out| {
            replace(guard);
            guard.release(16, out);
        });
    }),
    consumer("Guard, replaced and kept", |stream| {
        guard(Guard::with_bounds(ROOM, 256), stream, |guard, _| replace(guard));
    }),
    consumer("Guard, replaced and kept within its bounds", |stream| {
        guard(Guard::new(), stream, |guard, _| replace(guard));
    }),
    consumer("Guard, words redacted", |stream| {
        let words = Words::new(["a", "e", "0", "x", "absent", "zebra"]);
        guard(Guard::with_bounds(ROOM, 256), stream, |guard, out| {
            let _ = black_box(guard.redact(&words, "****"));
            guard.release_searched(out);
        });
    }),
    consumer("Guard, words redacted and kept", |stream| {
        let words = Words::new(["a", "e", "0", "x", "absent", "zebra"]);
        guard(Guard::with_bounds(ROOM, 256), stream, |guard, _| {
            let _ = black_box(guard.redact(&words, ""));
        });
    }),
    consumer("Relay, all parts", |stream| {
        let guard = RelayGuard::new(Guard::with_bounds(ROOM, 256));
        let guard = guard.stop_at(Words::new(["absent"])).redact(Words::new(["a", "e"]), "**");
        let mut editor = Editor::new();
        editor.replace("model", "alias");
        editor.hide_usage(UsageVisibility::Removed);
        let relay = Relay::builder().measure().edit(editor).pass_unreadable();
        let mut relay = relay.guard(guard.pass_unwatched()).collect().build();
        let mut out = Vec::new();
        for piece in stream.chunks(PIECE) {
            let _ = black_box(relay.push(piece, Duration::ZERO, &mut out));
        }
        black_box(relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out));
    }),
    consumer("Editor", |stream| edit(UsageVisibility::Removed, stream)),
    consumer("Editor, usage null", |stream| edit(UsageVisibility::Null, stream)),
    consumer("Editor, by path", edit_by_path),
    consumer("Editor::edit, each content", |stream| {
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        each_event(stream, |event| {
            let mut edit = editor.edit(event);
            for content in contents(event) {
                black_box(edit.replace(content, "new"));
            }
            let _ = black_box(edit.write(&mut out));
        });
    }),
    consumer("Editor::edit, each content from the last one", |stream| {
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        each_event(stream, |event| {
            let mut edit = editor.edit(event);
            for content in contents(event).into_iter().rev() {
                black_box(edit.replace(content, "new"));
            }
            let _ = black_box(edit.write(&mut out));
        });
    }),
    consumer("Editor::edit, each member", |stream| {
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        each_event(stream, |event| {
            let mut edit = editor.edit(event);
            let members = chunk_of(event).into_iter().flat_map(|chunk| chunk.as_value().members());
            for (_, value) in members {
                black_box(edit.replace(value, "new"));
            }
            let _ = black_box(edit.write(&mut out));
        });
    }),
    consumer("Spans, each member", |stream| {
        each_spans(stream, |spans, chunk| {
            for (name, _) in chunk.as_value().members() {
                black_box(spans.value(name));
            }
            black_box(spans.usage());
        });
    }),
    consumer("Spans, each content", |stream| {
        each_spans(stream, |spans, chunk| {
            for position in 0..chunk.choices().count() {
                black_box(spans.content(position));
            }
        });
    }),
    consumer("Spans, each content from the last one", |stream| {
        each_spans(stream, |spans, chunk| {
            for position in (0..chunk.choices().count()).rev() {
                black_box(spans.content(position));
            }
        });
    }),
    consumer("Spans, each value", |stream| {
        each_spans(stream, |spans, chunk| {
            chunk.as_value().members().for_each(|(_, value)| {
                black_box(spans.of_value(value));
            });
            chunk.choices().for_each(|choice| {
                black_box(spans.of_value(choice.as_value()));
            });
        });
    }),
    consumer("Sniffer", |stream| sniff(stream, usize::MAX)),
    consumer("Sniffer, pieces", |stream| sniff(stream, 1)),
    consumer("SseEvent, written", write_events),
    consumer("ChunkStream", |stream| chunk_stream(stream, usize::MAX)),
    consumer("ChunkStream, pieces", |stream| chunk_stream(stream, PIECE)),
    consumer("OwnedChunkStream", |stream| event_stream(stream, usize::MAX)),
    consumer("OwnedChunkStream, pieces", |stream| event_stream(stream, PIECE)),
    consumer("ChunkCodec", |stream| codec(stream, usize::MAX)),
    consumer("ChunkCodec, pieces", |stream| codec(stream, PIECE)),
    consumer("ObservedBody, pieces", observe_body),
];

/// Consumers of whole texts.
pub(crate) const WHOLE: &[Consumer] = &[
    consumer("ChatCompletion, read and written", reread),
    consumer("ChatCompletion, read and replayed", |text| {
        if let Ok(completion) = serde_json::from_slice::<ChatCompletion>(text) {
            replay(&completion, 32);
        }
    }),
    consumer("ChatCompletion::tokens", |text| {
        if let Ok(completion) = ChatCompletion::from_json(text) {
            black_box(completion.tokens());
        }
    }),
    consumer("OwnedChatCompletionChunk, read and reassembled", |text| {
        if let Ok(chunk) = OwnedChatCompletionChunk::from_json(text) {
            let mut completion = Reassembler::new();
            completion.push(&chunk.as_chunk());
            look(chunk.as_chunk());
            black_box(completion.snapshot());
        }
    }),
    consumer("FunctionCall::arguments_state of a text", |text| {
        let mut call = FunctionCall::default();
        call.arguments = String::from_utf8_lossy(text).into_owned();
        black_box(call.arguments_state());
    }),
    consumer("BodyKind::from_bytes, is_event_stream, Sniffer", |text| {
        black_box((
            BodyKind::from_bytes(text),
            deltawire::sse::is_event_stream(str::from_utf8(text).unwrap()),
        ));
        sniff(text, usize::MAX);
        sniff(text, 1);
    }),
    consumer("ask_for_usage", |text| drop(black_box(ask_for_usage(text)))),
    consumer("write_comment, SseEvent", |text| {
        let (text, mut out) = (str::from_utf8(text).unwrap(), Vec::new());
        write_comment(text, &mut out);
        black_box(SseEvent::new(text).event_type(text).id(text).write(&mut out)).ok();
    }),
];

fn pieces(stream: &[u8], len: usize) -> std::slice::Chunks<'_, u8> {
    stream.chunks(len.min(stream.len()).max(1))
}

fn lines(stream: &[u8]) {
    let (mut splitter, mut rest) = (LineSplitter::new(), stream);
    while let Some(line) = splitter.next(rest) {
        black_box(line.content(rest));
        rest = &rest[line.len()..];
    }
}

fn frame(stream: &[u8], len: usize) {
    let mut decoder = SseDecoder::new();
    for mut piece in pieces(stream, len) {
        while let Some(event) = decoder.next(&mut piece) {
            black_box(event.data());
        }
        black_box((decoder.buffered(), decoder.last_event_id()));
    }
    black_box(decoder.finish());
}

fn tell_events(stream: &[u8]) {
    let (mut decoder, mut input) = (SseDecoder::new(), stream);
    while let Some(event) = decoder.next(&mut input) {
        let data = event.data();
        black_box((event.data_str().ok(), event.event_type(), event.last_event_id()));
        black_box(event.data_lossy());
        black_box((event.comments().count(), event.unknown_lines().count()));
        black_box((event.data_offset(0), event.data_offset(data.len())));
    }
    black_box(decoder.finish());
}

/// Creates a decoder that learns all of its stream, because no other one uses its templates.
fn decoder() -> ChunkDecoder {
    ChunkDecoder::new().with_templates(&Templates::new())
}

fn new_tap() -> UsageTap {
    UsageTap::new().with_templates(&Templates::new())
}

fn without_templates() -> ChunkDecoder {
    ChunkDecoder::new().with_templates(&Templates::none())
}

fn decode(mut decoder: ChunkDecoder, stream: &[u8], len: usize) {
    for mut piece in pieces(stream, len) {
        while let Some(event) = decoder.next(&mut piece) {
            black_box(event.payload());
        }
    }
    black_box(decoder.finish());
}

fn each_event(stream: &[u8], mut each: impl FnMut(&ChunkEvent<'_>)) {
    let (mut decoder, mut input) = (decoder(), stream);
    while let Some(event) = decoder.next(&mut input) {
        each(&event);
    }
    if let Some(event) = decoder.salvage() {
        each(&event);
    }
    black_box(decoder.finish());
}

fn chunk_of<'a>(event: &ChunkEvent<'a>) -> Option<ChatCompletionChunk<'a>> {
    match event.payload() {
        Payload::Chunk(chunk) => Some(*chunk),
        Payload::Error(error) => error.chunk(),
        _ => None,
    }
}

fn each_chunk(stream: &[u8], mut each: impl FnMut(ChatCompletionChunk<'_>)) {
    each_event(stream, |event| chunk_of(event).into_iter().for_each(&mut each));
}

fn each_payload(stream: &[u8], mut each: impl FnMut(&[u8])) {
    let (mut decoder, mut input) = (SseDecoder::new(), stream);
    while let Some(event) = decoder.next(&mut input) {
        each(event.data());
    }
}

fn reset_each(stream: &[u8]) {
    let (mut decoder, mut input) = (decoder(), stream);
    while decoder.next(&mut input).is_some() {
        decoder.reset();
    }
}

/// Reads a stream that is cut, and salvages its last event.
fn salvage(stream: &[u8]) {
    let (mut decoder, mut completion, mut input) = (decoder(), Reassembler::new(), stream);
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
    if let Some(event) = decoder.salvage() {
        completion.push_payload(event.payload());
    }
    black_box(completion.finish(decoder.finish()));
}

fn salvage_framing(stream: &[u8]) {
    let (mut decoder, mut input) = (SseDecoder::new(), stream);
    while decoder.next(&mut input).is_some() {}
    black_box(decoder.salvage());
    black_box(decoder.finish());
}

fn salvage_tap(stream: &[u8]) {
    let mut tap = new_tap();
    tap.push(stream);
    black_box(tap.salvage());
    black_box(tap.finish());
}

fn finished(stream: &[u8]) -> FinishedCompletion {
    black_box(assemble([stream]))
}

fn reassemble(stream: &[u8], mut each: impl FnMut(&mut Reassembler)) {
    let mut completion = Reassembler::new();
    each_event(stream, |event| {
        completion.push_payload(event.payload());
        each(&mut completion);
    });
}

/// Reads the text of each change.
fn watch(stream: &[u8]) {
    reassemble(stream, |completion| {
        let (snapshot, changes) = completion.snapshot_with_changes();
        for change in changes {
            let choices = &snapshot.choices;
            let text = match *change {
                Change::Text { choice, text, start } => {
                    choices[choice].message.text(text).map(|text| &text[start..])
                }
                Change::Arguments { choice, call, start } => {
                    let call = &choices[choice].message.tool_calls[call];
                    call.function.as_ref().map(|function| &function.arguments[start..])
                }
                _ => None,
            };
            black_box(text);
        }
        black_box(completion.limit_exceeded());
    });
}

fn json_of(completion: &ChatCompletion) -> String {
    serde_json::to_string(completion).unwrap()
}

fn reread(json: &[u8]) {
    if let Ok(completion) = serde_json::from_slice::<ChatCompletion>(json) {
        black_box(json_of(&completion));
    }
}

/// Most bytes that a replay may write for each byte of the completion's JSON.
const MOST_REPLAYED: usize = 64;

fn replay(completion: &ChatCompletion, delta_bytes: usize) {
    let mut out = Vec::new();
    let mut replay = Replay::new(completion);
    replay.set_delta_bytes(delta_bytes);
    replay.write_all(&mut out);
    let json = json_of(completion).len();
    assert!(out.len() <= MOST_REPLAYED * json, "{} bytes replayed of {json}", out.len());
}

/// Reads all fields of a chunk.
fn look(chunk: ChatCompletionChunk<'_>) {
    black_box((chunk.id(), chunk.object(), chunk.created(), chunk.model(), chunk.service_tier()));
    black_box((chunk.system_fingerprint(), chunk.obfuscation(), chunk.x_groq(), chunk.get("k")));
    black_box(chunk.prompt_token_ids().map(Iterator::sum::<u64>));
    black_box(chunk.extra().count());
    if let Some(usage) = chunk.usage() {
        black_box((usage.prompt_tokens(), usage.completion_tokens(), usage.total_tokens()));
        black_box((usage.cached_tokens(), usage.reasoning_tokens(), usage.get("k")));
        black_box(usage.prompt_tokens_details().and_then(|details| details.cached_tokens()));
        black_box(usage.completion_tokens_details().and_then(|details| details.text_tokens()));
    }
    if let Some(error) = chunk.error() {
        black_box((error.message(), error.code(), error.r#type(), error.param(), error.get("k")));
    }
    for choice in chunk.choices() {
        black_box((choice.index(), choice.finish_reason(), choice.stop_reason(), choice.text()));
        black_box((choice.message(), choice.get("k"), choice.extra().count()));
        black_box(choice.token_ids().map(Iterator::sum::<u64>));
        if let Some(logprobs) = choice.logprobs() {
            for token in logprobs.content().chain(logprobs.refusal()) {
                black_box((token.token(), token.logprob(), token.top_logprobs().count()));
                black_box(token.bytes().map(Iterator::count));
            }
        }
        let delta = choice.delta();
        black_box((delta.role(), delta.content(), delta.refusal(), delta.reasoning_text()));
        black_box((delta.reasoning(), delta.reasoning_content(), delta.reasoning_details()));
        black_box((delta.content_parts().map(Iterator::count), delta.get("k")));
        black_box(delta.function_call().map(|call| (call.name(), call.arguments())));
        black_box(delta.audio().map(|audio| (audio.id(), audio.data(), audio.transcript())));
        black_box(delta.extra().count());
        for call in delta.tool_calls() {
            black_box((call.index(), call.id(), call.r#type(), call.name(), call.arguments()));
            black_box((call.arguments_object(), call.get("k"), call.extra().count()));
            black_box(call.function_extra().count());
        }
    }
}

/// Returns the length of all names and leaves of a value.
fn values(value: Value<'_>) -> usize {
    black_box((value.as_str(), value.as_f64(), value.as_u64(), value.position()));
    match value.kind() {
        ValueKind::Object => value.members().map(|(name, value)| name.len() + values(value)).sum(),
        ValueKind::Array => value.elements().map(values).sum(),
        _ => value.raw().len(),
    }
}

fn tap(stream: &[u8], len: usize) {
    let mut tap = new_tap();
    for piece in pieces(stream, len) {
        black_box(tap.push(piece));
    }
    black_box(tap.finish());
}

fn tap_events(stream: &[u8]) {
    let (mut tap, mut meter, mut input) = (new_tap(), Meter::new(), stream);
    while let Some(tapped) = tap.next(&mut input) {
        black_box(tapped);
        black_box(meter.record_total(tap.deltas(), Duration::ZERO));
    }
    black_box(meter.finish(&tap.finish(), Duration::ZERO));
}

fn observe(stream: &[u8]) {
    let (mut decoder, mut observer, mut input) = (decoder(), Observer::new(), stream);
    while let Some(event) = decoder.next(&mut input) {
        black_box(observer.observe(&event));
    }
    black_box(observer.finish(decoder.finish()));
}

/// Pushes all events, and releases all of them if the guard is full.
fn guard(mut guard: Guard, stream: &[u8], mut each: impl FnMut(&mut Guard, &mut Vec<u8>)) {
    let mut out = Vec::new();
    each_event(stream, |event| {
        let mut pushed = guard.push(event);
        if matches!(pushed, PushResult::Full | PushResult::TooLarge) {
            guard.release_all(&mut out);
            pushed = guard.push(event);
        }
        if pushed == PushResult::TooLarge {
            out.extend_from_slice(event.raw());
        }
        black_box((guard.texts().map(|text| text.text.len()).sum::<usize>(), guard.held_bytes()));
        each(&mut guard, &mut out);
    });
    guard.release_all(&mut out);
    black_box(out);
}

/// Replaces the first held character of the first text that has one.
fn replace(guard: &mut Guard) {
    let held = guard.texts().find_map(|text| {
        let first = text.text[text.unreleased_from..].chars().next()?;
        Some((text.id, text.unreleased_from..text.unreleased_from + first.len_utf8()))
    });
    if let Some((id, range)) = held {
        black_box(guard.replace(id, range, "*"));
    }
}

fn contents<'e>(event: &ChunkEvent<'e>) -> Vec<Value<'e>> {
    let choices = chunk_of(event).into_iter().flat_map(|chunk| chunk.choices());
    choices.filter_map(|choice| choice.delta().get("content")).collect()
}

/// Edits with rules of each kind, for elements and members of all levels.
fn edit_by_path(stream: &[u8]) {
    let rules = [
        EditRule::rename("$.choices[*].delta.content", "text"),
        EditRule::rename("$.x", "y"),
        EditRule::set("$.choices[*].delta.tool_calls[*].index", 7),
        EditRule::add_if_absent("$.*[*].added", "new"),
        EditRule::remove("$.choices[*].delta.reasoning_details[*]"),
        EditRule::replace("$.*.*.*.*", EditValue::NULL),
    ];
    let (mut editor, mut out) = (Editor::with_rules(rules.map(Result::unwrap)), Vec::new());
    each_event(stream, |event| {
        let _ = black_box(editor.write(event, &mut out));
    });
    black_box(out);
}

fn edit(usage: UsageVisibility, stream: &[u8]) {
    let (mut editor, mut out) = (Editor::new(), Vec::new());
    editor.replace("model", "alias");
    editor.remove("x");
    editor.hide_usage(usage);
    each_event(stream, |event| {
        let _ = black_box(editor.write(event, &mut out));
    });
    black_box(out);
}

fn each_spans(stream: &[u8], each: impl Fn(Spans<'_>, ChatCompletionChunk<'_>)) {
    each_event(stream, |event| {
        if let (Some(spans), Some(chunk)) = (Spans::of(event), chunk_of(event)) {
            each(spans, chunk);
        }
    });
}

fn sniff(stream: &[u8], len: usize) {
    let mut sniffer = Sniffer::new();
    for piece in pieces(stream, len) {
        black_box(sniffer.push(piece));
    }
    black_box((sniffer.finish(), sniffer.into_held()));
}

fn write_events(stream: &[u8]) {
    let (mut decoder, mut input, mut out) = (SseDecoder::new(), stream, Vec::new());
    while let Some(event) = decoder.next(&mut input) {
        if let Ok(data) = event.data_str() {
            black_box(SseEvent::new(data).event_type(event.event_type()).write(&mut out)).ok();
        }
        for comment in event.comments() {
            write_comment(&String::from_utf8_lossy(comment), &mut out);
        }
    }
    black_box(out);
}

/// A stream and a body of pieces that are always ready.
struct Ready(std::vec::IntoIter<Bytes>);

impl Ready {
    fn new(stream: &[u8], len: usize) -> Self {
        let pieces: Vec<_> = pieces(stream, len).map(Bytes::copy_from_slice).collect();
        Self(pieces.into_iter())
    }
}

impl Stream for Ready {
    type Item = Result<Bytes, ()>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

impl http_body::Body for Ready {
    type Data = Bytes;
    type Error = ();

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, ()>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

fn chunk_stream(stream: &[u8], len: usize) {
    let mut context = Context::from_waker(Waker::noop());
    let mut chunks = ChunkStream::with_decoder(Ready::new(stream, len), decoder());
    while let Poll::Ready(Some(event)) = chunks.poll_next(&mut context) {
        black_box(event.unwrap().payload());
    }
    black_box(chunks.salvage());
    black_box(chunks.finish());
}

fn look_at(event: &OwnedChunkEvent) {
    black_box(event.payload());
    let framed = event.event();
    black_box((framed.data_str().ok(), framed.event_type(), framed.data_range()));
    black_box(event.chunk());
}

fn event_stream(stream: &[u8], len: usize) {
    let mut context = Context::from_waker(Waker::noop());
    let mut events = pin!(OwnedChunkStream::with_decoder(Ready::new(stream, len), decoder()));
    while let Poll::Ready(Some(event)) = events.as_mut().poll_next(&mut context) {
        look_at(&event.unwrap());
    }
    events.as_mut().salvage().iter().for_each(look_at);
    black_box(events.finish());
}

fn codec(stream: &[u8], len: usize) {
    let (mut codec, mut buffer) = (ChunkCodec::with_decoder(decoder()), BytesMut::new());
    for piece in pieces(stream, len) {
        buffer.extend_from_slice(piece);
        while let Some(event) = codec.decode(&mut buffer).unwrap() {
            look_at(&event);
        }
    }
    codec.salvage().iter().for_each(look_at);
    black_box(codec.finish());
}

fn observe_body(stream: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let body = ObservedBody::with_tap(Ready::new(stream, PIECE), new_tap(), |seen, end| {
        black_box((seen, end));
    });
    let mut body = pin!(body);
    while let Poll::Ready(Some(frame)) = http_body::Body::poll_frame(body.as_mut(), &mut context) {
        black_box(frame.is_ok());
    }
}
