//! Every event of a stream, with templates and without, side by side.

use deltawire::chunk::{ChatCompletionChunk, Choice, ExtraMembers, Logprobs};
use deltawire::json::{Value, ValueKind};
use deltawire::sse::Event;
use deltawire::{ChunkDecoder, ChunkEvent, Limits, Payload, Reassembler, Templates};

/// Checks a stream of similar events.
///
/// The first bytes decide on their contents and their cuts, the others on the difference of each
/// from the one before.
pub fn run(script: &[u8]) {
    let [which, size, script @ ..] = script else { return };
    let template = TEMPLATES[usize::from(*which) % TEMPLATES.len()];
    let mut event = template.as_bytes().to_vec();
    let mut stream = event.repeat(2);
    for edit in script.chunks_exact(3).take(64) {
        let at = usize::from(edit[0]) * event.len() / 256;
        match edit[1] % 8 {
            0 => event = template.as_bytes().to_vec(),
            1 | 2 => event[at] = edit[2],
            3 | 4 => event.insert(at, edit[2]),
            5 if event.len() > 1 => {
                event.remove(at);
            }
            6 => {
                let piece = PARTS[usize::from(edit[2]) % PARTS.len()];
                event.splice(at..at, piece.bytes());
            }
            _ => {}
        }
        stream.extend_from_slice(&event);
    }
    let size = match size % 8 {
        0 => 1,
        1 => 7,
        2 => 100,
        3 => event.len(),
        _ => stream.len(),
    };
    let pieces: Vec<_> = stream.chunks(size.max(1)).collect();
    compare(&pieces, &Limits::new());
}

/// Events that servers send.
pub const TEMPLATES: [&str; 11] = [
    "data: {\"id\":\"c1\",\"created\":17,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"},\"finish_reason\":null}]}\n\n",
    "data:{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\"\"}}]}}]}\r\n\r\n",
    "event: delta\ndata: { \"created\" : 17 , \"choices\" : [ { \"index\" : 0 , \"delta\" : { \"content\" : \"\\u4f60é\" } } ] }\n\n",
    "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":1,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"reasoning\":\"So\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"So\",\"index\":0}]},\"logprobs\":null}]}\n\n",
    "data: {\"provider\":\"p\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"token_ids\":[7]}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":2},\"cost\":-0.25},\"obfuscation\":\"ab\"}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"So\",\"content\":\"\",\"refusal\":\"He\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"He\",\"reasoning\":\"\"}}],\"usage\":{\"a\":17,\"a\":3,\"b\":17}}\n\n",
    "data: {\"error\":\"\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"So\"},\"message\":{}}],\"code\":0,\"usage\":{\"a\":17,\"a\":\"He\"}}\n\n",
    "data: {\"a\\u00e9\":[1,-2,0.5,1e3,true,\"\\n\"],\"choices\":[],\"created\":\"5\",\"model\":7,\"n\":[[17],5,{\"b\":1},\"So\"]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"},\"logprobs\":{\"content\":[{\"token\":\"He\",\"logprob\":-0.25e-2,\"bytes\":[72,101],\"top_logprobs\":[{\"token\":\"So\\n\",\"logprob\":-17,\"bytes\":null},{\"token\":\"é\"}]}],\"refusal\":null,\"avg\":17,\"x\":\"So\"}}],\"obfuscation\":\"ab\"}\n\n",
    "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{},\"logprobs\":{\"tokens\":[\"So\",\"x\"],\"token_logprobs\":[-0.5,17],\"content\":[],\"refusal\":[{\"logprob\":{},\"token\":\"He\"}]}},{\"index\":1,\"logprobs\":{\"content\":[[17]],\"x\":[true]}}]}\n\n",
];

/// The bytes that may come between.
const PARTS: [&str; 8] = [
    "\\n",
    "\\ud83d\\ude00",
    "\\ud83d",
    "é",
    "0123456789",
    "\"",
    "\n\ndata: [DONE]\n\n",
    ": ping\n\n",
];

/// Decodes and reassembles a stream twice, and compares all that there is to see.
pub fn compare(pieces: &[&[u8]], limits: &Limits) {
    compare_with(pieces, limits, false, &mut ChunkDecoder::with_limits(*limits));
}

/// Compares the events of a decoder with those of one without templates.
///
/// The decoder is at the start of a stream, with these limits and this strictness.
pub fn compare_with(pieces: &[&[u8]], limits: &Limits, strict: bool, quick: &mut ChunkDecoder) {
    let mut plain = ChunkDecoder::with_limits(*limits).with_templates(&Templates::none());
    plain.set_strict(strict);
    let mut plain_completion = Reassembler::with_limits(*limits);
    let mut quick_completion = Reassembler::with_limits(*limits);
    let mut number = 0;
    for piece in pieces {
        let (mut one, mut other) = (*piece, *piece);
        loop {
            let (expected, found) = (plain.next(&mut one), quick.next(&mut other));
            assert_eq!(one.len(), other.len(), "what is left of a piece");
            let (Some(expected), Some(found)) = (&expected, &found) else {
                assert_eq!(expected.is_some(), found.is_some());
                break;
            };
            same_event(expected, found);
            plain_completion.push_payload(expected.payload());
            quick_completion.push_payload(found.payload());
            assert_eq!(quick_completion.changes(), plain_completion.changes());
            number += 1;
            if number % 16 < 2 {
                assert_eq!(quick_completion.snapshot(), plain_completion.snapshot());
            }
        }
    }
    let (expected, found) = (plain.finish(), quick.finish());
    assert_eq!(found, expected);
    let (expected, found) = (plain_completion.finish(expected), quick_completion.finish(found));
    assert_eq!(found, expected);
}

fn same_event(expected: &ChunkEvent<'_>, found: &ChunkEvent<'_>) {
    let look = |event: &Event<'_>| {
        let data = event.data().to_vec();
        let (len, text) = (data.len(), event.data_str().map(str::to_owned));
        let offsets = [event.offset(), event.data_offset(0), event.data_offset(len)];
        let kinds = (event.kind(), event.error(), event.has_unknown_lines(), event.is_truncated());
        let stream = (event.last_event_id().to_owned(), event.reconnection_time());
        (kinds, offsets, event.raw().to_vec(), data, text, event.event_type().to_owned(), stream)
    };
    assert_eq!(look(found.event()), look(expected.event()));
    assert_eq!(found.deviations(), expected.deviations());
    match (expected.payload(), found.payload()) {
        (Payload::Chunk(expected), Payload::Chunk(found)) => same_chunk(expected, found),
        (Payload::Error(expected), Payload::Error(found)) => {
            assert_eq!(format!("{:?}", found.as_value()), format!("{:?}", expected.as_value()));
            assert_eq!(found.message(), expected.message());
            assert_eq!(found.chunk().is_some(), expected.chunk().is_some());
            if let (Some(expected), Some(found)) = (expected.chunk(), found.chunk()) {
                same_chunk(&expected, &found);
            }
        }
        (expected, found) => assert_eq!(format!("{found:?}"), format!("{expected:?}")),
    }
}

pub fn same_chunk(expected: &ChatCompletionChunk<'_>, found: &ChatCompletionChunk<'_>) {
    same_value(expected.as_value(), found.as_value());
    let top = |chunk: &ChatCompletionChunk<'_>| {
        let texts = [
            chunk.id(),
            chunk.object(),
            chunk.model(),
            chunk.system_fingerprint(),
            chunk.service_tier(),
            chunk.obfuscation(),
        ];
        let usage = chunk.usage().map(|usage| {
            let counts = [usage.prompt_tokens(), usage.completion_tokens(), usage.total_tokens()];
            (usage.as_value().position(), usage.as_value().raw().to_owned(), counts)
        });
        let mismatches: Vec<_> = chunk
            .mismatches()
            .map(|mismatch| (mismatch.path(), mismatch.value().raw().to_owned()))
            .collect();
        (
            texts.map(|text| text.map(str::to_owned)),
            (chunk.created(), chunk.content_flags(), chunk.error().is_some()),
            usage,
            mismatches,
            extras(chunk.extra()),
        )
    };
    assert_eq!(top(found), top(expected));
    let choices = |chunk: &ChatCompletionChunk<'_>| chunk.choices().map(look).collect::<Vec<_>>();
    assert_eq!(choices(found), choices(expected));
    let (owned, owned_too) = (expected.into_owned(), found.into_owned());
    same_value(owned.as_chunk().as_value(), owned_too.as_chunk().as_value());
    same_value(expected.as_value(), owned_too.as_chunk().as_value());
    assert_eq!(choices(&owned_too.as_chunk()), choices(expected));
}

/// Returns the parts of a choice.
fn look(choice: Choice<'_>) -> impl PartialEq + std::fmt::Debug + use<> {
    let delta = choice.delta();
    let texts = [
        choice.finish_reason(),
        choice.text(),
        delta.role(),
        delta.content(),
        delta.refusal(),
        delta.reasoning_text(),
        delta.reasoning_details().map(|details| details.raw()),
        choice.message().map(|message| message.raw()),
        choice.logprobs().map(|logprobs| logprobs.as_value().raw()),
    ];
    let tokens = |logprobs: Logprobs<'_>| {
        let all = logprobs.content().chain(logprobs.refusal());
        let each = all.map(|token| {
            let bytes: Option<Vec<_>> = token.bytes().map(Iterator::collect);
            let text = token.token().map(str::to_owned);
            (text, token.logprob().map(f64::to_bits), bytes, token.top_logprobs().count())
        });
        each.collect::<Vec<_>>()
    };
    let logprobs = choice.logprobs().map(tokens);
    let calls: Vec<_> = delta
        .tool_calls()
        .map(|call| {
            let texts = [call.id(), call.r#type(), call.name(), call.arguments()];
            (call.index(), texts.map(|text| text.map(str::to_owned)), extras(call.extra()))
        })
        .collect();
    let extra = (extras(choice.extra()), extras(delta.extra()));
    (choice.index(), texts.map(|text| text.map(str::to_owned)), calls, logprobs, extra)
}

fn extras(extra: ExtraMembers<'_>) -> Vec<(String, usize, String)> {
    extra.map(|(name, value)| (name.into(), value.position(), value.raw().into())).collect()
}

fn same_value(expected: Value<'_>, found: Value<'_>) {
    let look = |value: Value<'_>| {
        let numbers = (value.as_u64(), value.as_i64(), value.as_f64().map(f64::to_bits));
        let text = (value.as_str().map(str::to_owned), value.as_bool(), value.is_null());
        (value.kind(), value.position(), value.raw().to_owned(), numbers, text)
    };
    assert_eq!(look(found), look(expected));
    match expected.kind() {
        ValueKind::Object => {
            assert_eq!(found.members().count(), expected.members().count());
            for ((name, expected), (found_name, found)) in expected.members().zip(found.members()) {
                assert_eq!(found_name, name);
                same_value(expected, found);
            }
        }
        ValueKind::Array => {
            assert_eq!(found.elements().count(), expected.elements().count());
            for (expected, found) in expected.elements().zip(found.elements()) {
                same_value(expected, found);
            }
        }
        _ => {}
    }
}
