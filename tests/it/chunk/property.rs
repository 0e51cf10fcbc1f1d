//! For any JSON object the view agrees with a look into `serde_json::Value`.

use deltawire::chunk::ChatCompletionChunk;
use deltawire::{ChunkDecoder, Payload};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::to_serde;

/// Makes any JSON value, small.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<u8>().prop_map(|byte| json!(f64::from(byte) / 8.0)),
        "[a-zé😀\"\\\\\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-c]", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Makes an object with some of `names`, with values of `known` for some of them.
fn objects<S: Strategy<Value = Value> + 'static>(
    names: &'static [&'static str],
    known: impl Fn(&'static str) -> S,
) -> impl Strategy<Value = Value> {
    let members: Vec<_> = names
        .iter()
        .map(|name| {
            let value = prop_oneof![4 => known(name).boxed(), 1 => values().boxed()];
            proptest::option::of(value)
                .prop_map(|value| value.map(|value| ((*name).to_owned(), value)))
        })
        .collect();
    (members, vec(("x_[a-c]", values()), 0..2)).prop_map(|(members, more)| {
        Value::Object(members.into_iter().flatten().chain(more).collect())
    })
}

fn texts() -> BoxedStrategy<Value> {
    prop_oneof![Just(Value::Null), "[ -~é😀\n]{0,12}".prop_map(Value::from)].boxed()
}

fn counts() -> BoxedStrategy<Value> {
    (0u64..5).prop_map(Value::from).boxed()
}

fn chunks() -> impl Strategy<Value = Value> {
    let function = objects(&["name", "arguments"], |_| texts()).boxed();
    let call = objects(&["index", "id", "type", "function"], move |name| match name {
        "index" => counts(),
        "function" => function.clone(),
        _ => texts(),
    });
    let call = call.boxed();
    let old_call = objects(&["name", "arguments"], |_| texts()).boxed();
    let delta = objects(
        &[
            "role",
            "content",
            "refusal",
            "reasoning",
            "reasoning_content",
            "tool_calls",
            "function_call",
        ],
        move |name| match name {
            "tool_calls" => vec(call.clone(), 0..3).prop_map(Value::from).boxed(),
            "function_call" => old_call.clone(),
            _ => texts(),
        },
    );
    let token = objects(&["token", "logprob"], |name| match name {
        "token" => texts(),
        _ => counts(),
    });
    let tokens = vec(token, 0..3).prop_map(|tokens| json!({"content": tokens})).boxed();
    let delta = delta.boxed();
    let names = &["index", "delta", "finish_reason", "logprobs"];
    let choice = objects(names, move |name| match name {
        "logprobs" => tokens.clone(),
        "index" => counts(),
        "delta" => delta.clone(),
        _ => texts(),
    });
    let choice = choice.boxed();
    objects(
        &["id", "object", "created", "model", "choices", "usage", "service_tier"],
        move |name| match name {
            "created" => counts(),
            "choices" => vec(choice.clone(), 0..3).prop_map(Value::from).boxed(),
            "usage" => objects(&["prompt_tokens", "total_tokens"], |_| counts()).boxed(),
            _ => texts(),
        },
    )
}

/// Returns the elements of a list that are objects.
fn objects_in(list: &Value) -> impl Iterator<Item = &Value> + Clone {
    list.as_array().into_iter().flatten().filter(|element| element.is_object())
}

fn assert_agrees(chunk: ChatCompletionChunk<'_>, sent: &Value) {
    assert_eq!(to_serde(chunk.as_value()), *sent);
    assert_eq!(serde_json::to_value(chunk).unwrap(), *sent);
    assert_eq!(chunk.id(), sent["id"].as_str());
    assert_eq!(chunk.object(), sent["object"].as_str());
    assert_eq!(chunk.created(), sent["created"].as_u64());
    assert_eq!(chunk.model(), sent["model"].as_str());
    assert_eq!(chunk.service_tier(), sent["service_tier"].as_str());
    let usage = chunk.usage();
    if sent["usage"].is_object() {
        let usage = usage.unwrap();
        // A count is one as `7.0` too.
        let count = |name: &str| {
            let sent = &sent["usage"][name];
            let is_whole = |float: &f64| *float >= 0.0 && float.fract() == 0.0;
            let text = || sent.as_f64().filter(is_whole).map(|float| format!("{float:.0}"));
            sent.as_u64().or_else(|| text()?.parse().ok())
        };
        assert_eq!(usage.prompt_tokens(), count("prompt_tokens"));
        assert_eq!(usage.total_tokens(), count("total_tokens"));
    }
    assert_eq!(chunk.choices().len(), objects_in(&sent["choices"]).count());
    for (choice, sent) in chunk.choices().zip(objects_in(&sent["choices"])) {
        assert_eq!(choice.index(), sent["index"].as_u64());
        let reason = sent["finish_reason"].as_str().filter(|reason| !reason.is_empty());
        assert_eq!(choice.finish_reason(), reason);
        assert_eq!(choice.logprobs().is_some(), sent["logprobs"].is_object());
        for (token, sent) in choice
            .logprobs()
            .into_iter()
            .flat_map(|logprobs| logprobs.content())
            .zip(sent["logprobs"]["content"].as_array().into_iter().flatten())
        {
            assert_eq!(token.token(), sent["token"].as_str());
            assert_eq!(token.logprob(), sent["logprob"].as_f64());
        }
        let (delta, sent) = (choice.delta(), &sent["delta"]);
        assert_eq!(delta.function_call().is_some(), sent["function_call"].is_object());
        let call = delta.function_call();
        let old = &sent["function_call"];
        assert_eq!(call.and_then(|call| call.name()), old["name"].as_str());
        assert_eq!(call.and_then(|call| call.arguments()), old["arguments"].as_str());
        assert_eq!(delta.role(), sent["role"].as_str());
        assert_eq!(delta.content(), sent["content"].as_str());
        assert_eq!(delta.content_parts().is_some(), sent["content"].is_array());
        assert_eq!(delta.refusal(), sent["refusal"].as_str());
        assert_eq!(delta.reasoning(), sent["reasoning"].as_str());
        assert_eq!(delta.reasoning_content(), sent["reasoning_content"].as_str());
        let calls = objects_in(&sent["tool_calls"]);
        assert_eq!(delta.tool_calls().len(), calls.clone().count());
        for (call, sent) in delta.tool_calls().zip(calls) {
            assert_eq!(call.index(), sent["index"].as_u64());
            assert_eq!(call.id(), sent["id"].as_str());
            assert_eq!(call.r#type(), sent["type"].as_str());
            assert_eq!(call.name(), sent["function"]["name"].as_str());
            let arguments = &sent["function"]["arguments"];
            assert_eq!(call.arguments(), arguments.as_str());
            assert_eq!(call.arguments_object().is_some(), arguments.is_object());
        }
    }
}

/// Returns the number of values at known places that have another type than the schema's.
fn wrong(sent: &Value) -> usize {
    let text = |value: &Value| usize::from(!(value.is_null() || value.is_string()));
    let count = |value: &Value| usize::from(!(value.is_null() || value.is_u64()));
    let object = |value: &Value| usize::from(!(value.is_null() || value.is_object()));
    let list = |value: &Value| usize::from(!(value.is_null() || value.is_array()));
    let strangers = |value: &Value| {
        value.as_array().map_or(0, |list| list.iter().filter(|value| !value.is_object()).count())
    };
    let mut sum = text(&sent["id"]) + text(&sent["object"]) + text(&sent["model"]);
    sum += text(&sent["service_tier"]) + count(&sent["created"]) + object(&sent["usage"]);
    sum += count(&sent["usage"]["prompt_tokens"]) + count(&sent["usage"]["total_tokens"]);
    sum += list(&sent["choices"]) + strangers(&sent["choices"]);
    for choice in objects_in(&sent["choices"]) {
        let delta = &choice["delta"];
        sum += count(&choice["index"]) + text(&choice["finish_reason"]) + object(delta);
        let content = &delta["content"];
        let logprobs = &choice["logprobs"];
        sum += object(logprobs) + list(&logprobs["content"]);
        for token in logprobs["content"].as_array().into_iter().flatten() {
            let logprob = &token["logprob"];
            sum += object(token) + text(&token["token"]);
            sum += usize::from(!(logprob.is_null() || logprob.is_number()));
        }
        let old = &delta["function_call"];
        sum += object(old) + text(&old["name"]) + text(&old["arguments"]);
        sum += content.as_array().into_iter().flatten().map(object).sum::<usize>();
        sum += text(&delta["role"]) + usize::from(text(content) > 0 && !content.is_array());
        sum += text(&delta["refusal"]) + text(&delta["reasoning"]);
        sum += text(&delta["reasoning_content"]);
        sum += list(&delta["tool_calls"]) + strangers(&delta["tool_calls"]);
        for call in objects_in(&delta["tool_calls"]) {
            let (function, arguments) = (&call["function"], &call["function"]["arguments"]);
            sum += count(&call["index"]) + text(&call["id"]) + text(&call["type"]);
            sum += object(function) + text(&function["name"]);
            sum += usize::from(text(arguments) > 0 && !arguments.is_object());
        }
    }
    sum
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/schemas.txt", 1000))]

    #[test]
    fn the_view_agrees_with_serde_json(sent in chunks()) {
        let stream = format!("data: {sent}\n\n");
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut stream.as_bytes()).unwrap();
        let names_a_chunk = ["chat.completion.chunk", "chat.completion"].map(Into::into);
        let is_chunk = sent.get("choices").is_some()
            || sent.get("usage").is_some_and(|usage| !usage.is_null())
            || sent.get("object").is_some_and(|object| names_a_chunk.contains(object));
        let chunk = match event.payload() {
            Payload::Chunk(chunk) if is_chunk => *chunk,
            Payload::Other(other) if !is_chunk => {
                prop_assert_eq!(to_serde(other.as_value()), sent);
                return Ok(());
            }
            payload => panic!("{payload:?}"),
        };
        assert_agrees(chunk, &sent);
        assert_eq!(chunk.mismatches().count(), wrong(&sent), "{sent}");
        let owned = chunk.into_owned();
        assert_agrees(owned.as_chunk(), &sent);
        prop_assert_eq!(owned.as_chunk().content_flags(), chunk.content_flags());
    }
}
