//! Compares the merge rules of `docs/wire.md` with the completions of a reassembler.
//!
//! Each row of the page's tables becomes chunks with values of the row's type. A model of each rule
//! merges the same values.

use deltawire::chunk::OwnedChatCompletionChunk;
use deltawire::completion::ChatCompletion;
use deltawire::gateway::{TokenCounts, UsageTap, assemble};
use deltawire::{Outcome, Reassembler};
use serde_json::{Map, Value, json};

const PAGE: &str = include_str!("../../../docs/wire.md");

/// The rules of the page, in its order.
const RULES: [&str; 13] = [
    "KeepFirst",
    "Replace",
    "Concat",
    "Extend",
    "ExtendMembers",
    "Object",
    "FilterResults",
    "ByIndex",
    "Accumulate",
    "Fragments",
    "CustomCall",
    "Nested",
    "Ignore",
];

/// The members with the rule `Nested`, which have tables or sections of their own.
const NESTED: [(&str, &str); 11] = [
    ("Top", "choices"),
    ("Choice", "index"),
    ("Choice", "delta"),
    ("Choice", "message"),
    ("Delta", "reasoning_details"),
    ("Delta", "tool_calls"),
    ("Delta", "function_call"),
    ("Delta", "audio"),
    ("ToolCall", "index"),
    ("ToolCall", "function"),
    ("Function", "name"),
];

/// A row of a table.
#[derive(Clone, Debug)]
struct Row {
    level: String,
    /// The member's name, or `unlisted` for members without a row.
    name: String,
    types: Vec<String>,
    rule: String,
    origin: String,
}

/// Returns the rows of all tables below a heading of the third level.
fn rows() -> Vec<Row> {
    let (mut level, mut rows) = (None, Vec::new());
    for line in PAGE.lines() {
        if line.starts_with('#') {
            level = line.strip_prefix("### ").map(str::to_owned);
        }
        let is_row = line.starts_with("| `") || line.starts_with("| any other ");
        let Some(level) = level.as_ref().filter(|_| is_row) else { continue };
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [member, types, rule, origin, _, _] = cells[..] else {
            panic!("a row has six cells: {line}")
        };
        rows.push(Row {
            level: level.clone(),
            name: if member == "any other" { "unlisted" } else { member.trim_matches('`') }.into(),
            types: types.split("Or").map(str::to_owned).collect(),
            rule: rule.into(),
            origin: origin.into(),
        });
    }
    rows
}

/// Returns the chunk with `member` at a level.
fn chunk(level: &str, member: &Value) -> Value {
    let with = |mut object: Value| {
        object.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        object
    };
    let delta = match level {
        "Top" => return member.clone(),
        "Usage" => return json!({"usage": member}),
        "Choice" => return json!({"choices": [with(json!({"index": 0}))]}),
        "Delta" => member.clone(),
        "ToolCall" => json!({"tool_calls": [with(json!({"index": 0}))]}),
        "Function" => json!({"tool_calls": [{"index": 0, "function": member}]}),
        "ReasoningDetail" => {
            json!({"reasoning_details": [with(json!({"index": 0, "type": "t"}))]})
        }
        "Audio" => json!({"audio": member}),
        _ => panic!("no level {level}"),
    };
    json!({"choices": [{"index": 0, "delta": delta}]})
}

/// Returns the object at a level of a completion.
fn level_of(completion: &Value, level: &str) -> Value {
    let choice = &completion["choices"][0];
    let message = &choice["message"];
    match level {
        "Top" => completion,
        "Usage" => &completion["usage"],
        "Choice" => choice,
        "Delta" => message,
        "ToolCall" => &message["tool_calls"][0],
        "Function" => &message["tool_calls"][0]["function"],
        "ReasoningDetail" => &message["reasoning_details"][0],
        "Audio" => &message["audio"],
        _ => panic!("no level {level}"),
    }
    .clone()
}

/// Returns triples of values for a type.
///
/// Each two rules that fit the type merge one of them to different values.
fn examples(of_type: &str, rule: &str) -> Vec<[Value; 3]> {
    let strings = [[json!("a"), json!("b"), Value::Null], [json!("a"), json!("a"), json!("a")]];
    let numbers = [json!(0), json!(5), json!(6)];
    let bools = [json!(false), json!(true), Value::Null];
    let scalars = [json!([1]), json!([2, 3]), json!([])];
    let by_index = [
        json!([{"index": 1, "text": "a"}]),
        json!([{"index": 0, "text": "b"}, {"index": 1, "text": "c"}]),
        Value::Null,
    ];
    let blocks = [
        json!([{"type": "k", "text": "a"}]),
        json!([{"type": "k", "text": "b"}]),
        json!([{"type": "k", "signature": "s"}]),
    ];
    let objects = [
        json!({"input": "a", "n": 1, "l": [1], "o": {"filtered": true, "text": "x", "k": 1}}),
        json!({"input": "b", "n": 2, "l": [2], "o": {"filtered": false, "text": "y", "m": 3}}),
        json!({"input": "", "n": null}),
    ];
    match of_type {
        "String" => strings.into(),
        "Number" | "Count" | "Integer" => vec![numbers],
        "Bool" => vec![bools],
        // Scalars have no index.
        "Array" if rule == "ByIndex" => vec![by_index, blocks],
        "Array" => vec![scalars, by_index, blocks],
        "Object" => vec![objects],
        "Any" => ["String", "Number", "Array", "Object"]
            .into_iter()
            .flat_map(|of_type| examples(of_type, rule))
            .collect(),
        _ => panic!("no type {of_type}"),
    }
}

/// Returns true if a rule has a meaning for a type at a level.
fn fits(rule: &str, row: &Row) -> bool {
    let is = |of_type: &str| row.types.iter().any(|one| one == of_type);
    match rule {
        // The last value of a leaf counts by `Replace` too.
        _ if row.level == "Usage" => rule == "Object",
        "KeepFirst" | "Replace" | "Ignore" => true,
        "Concat" => is("String"),
        "Extend" | "ByIndex" | "Fragments" => is("Array"),
        "Object" | "ExtendMembers" | "FilterResults" | "CustomCall" => is("Object"),
        "Accumulate" => ["String", "Array", "Object", "Any"].into_iter().any(is),
        _ => false,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Merges the values of a member by the page's description of a rule.
fn model(rule: &str, values: &[Value]) -> Value {
    let first = || values.iter().find(|value| !is_empty(value) && **value != json!(0)).cloned();
    match rule {
        "KeepFirst" => first().unwrap_or_default(),
        "Ignore" => Value::Null,
        "Concat" => values.iter().filter_map(Value::as_str).collect::<String>().into(),
        _ => values.iter().fold(Value::Null, |kept, value| merge(rule, "", kept, value)),
    }
}

/// Merges a value into the one before by a rule.
fn merge(rule: &str, name: &str, kept: Value, value: &Value) -> Value {
    if is_empty(value) {
        return kept;
    }
    match (rule, kept, value) {
        ("Extend" | "ExtendMembers/", Value::Array(kept), Value::Array(more)) => {
            kept.into_iter().chain(more.iter().cloned()).collect()
        }
        ("ByIndex", kept, Value::Array(more)) => elements("Object", kept, more),
        ("Accumulate" | "Fragments", kept, Value::Array(more)) => elements(rule, kept, more),
        ("CustomCall/", Value::String(kept), Value::String(more)) if name == "input" => {
            (kept + more).into()
        }
        ("CustomCall/", kept, _) if !kept.is_null() => kept,
        ("FilterResults//", Value::Bool(true), _) if name == "filtered" => json!(true),
        ("Accumulate" | "Fragments", Value::String(kept), Value::String(more)) => {
            // The examples have either equal pieces only, or none.
            if kept == *more { kept.into() } else { (kept + more).into() }
        }
        ("Replace" | "CustomCall/" | "ExtendMembers/", ..) => value.clone(),
        ("FilterResults//", ..) => value.clone(),
        (_, kept, Value::Object(more)) => {
            let mut object = match kept {
                Value::Object(kept) => kept,
                _ => Map::new(),
            };
            // A slash for each level inside.
            let inside = match rule {
                "ExtendMembers" | "CustomCall" | "FilterResults" | "FilterResults/" => {
                    [rule, "/"].concat()
                }
                _ => rule.to_owned(),
            };
            for (name, value) in more {
                let kept = object.remove(name).unwrap_or_default();
                object.insert(name.clone(), merge(&inside, name, kept, value));
            }
            object.into()
        }
        _ => value.clone(),
    }
}

/// Merges the elements of an array: those of the same `index`, or by the rule the last one.
fn elements(rule: &str, kept: Value, more: &[Value]) -> Value {
    let mut list = match kept {
        Value::Array(kept) => kept,
        _ => Vec::new(),
    };
    for element in more {
        let index = element.get("index");
        let by_index = list.iter().position(|kept| index.is_some() && kept.get("index") == index);
        let is_fragment = rule == "Fragments" && element.is_object() && index.is_none();
        let before = list.len().checked_sub(1).filter(|_| is_fragment);
        match by_index.or(before) {
            Some(at) => {
                let mut merged = list[at].as_object().unwrap().clone();
                for (name, value) in element.as_object().unwrap() {
                    let is_key = matches!(name.as_str(), "index" | "type");
                    let rule = if is_key { "Replace" } else { rule };
                    let kept = merged.remove(name).unwrap_or_default();
                    merged.insert(name.clone(), merge(rule, name, kept, value));
                }
                list[at] = merged.into();
            }
            None => list.push(element.clone()),
        }
    }
    list.into()
}

/// Merges the values of a member in chunks, with empty values between them.
fn merged(row: &Row, values: &[Value]) -> Value {
    let mut empty = vec![json!(null), json!(""), json!([]), json!({})];
    if row.name == "arguments" {
        // An empty object counts as whole arguments while there are none.
        empty.pop();
    }
    let mut completion = Reassembler::new();
    let pushed = values.iter().flat_map(|value| empty.iter().chain([value])).chain(&empty);
    for value in pushed {
        let json = chunk(&row.level, &json!({&row.name: value})).to_string();
        let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
        completion.push(&chunk.as_chunk());
    }
    let completion = serde_json::to_value(completion.snapshot()).unwrap();
    level_of(&completion, &row.level)[&row.name].take()
}

/// Compares a row with the reassembler.
fn check(row: &Row) -> Result<(), String> {
    let Row { level, name, types, rule, .. } = row;
    let is_nested = NESTED.contains(&(level.as_str(), name.as_str()));
    if is_nested || rule == "Nested" {
        let is_right = is_nested && rule == "Nested";
        return is_right.then_some(()).ok_or(format!("{level}: {name}: {rule}"));
    }
    if !fits(rule, row) {
        return Err(format!("{level}: {name}: {rule} has no meaning for {types:?}"));
    }
    for of_type in types {
        if rule == "Concat" && of_type != "String" {
            continue;
        }
        for values in examples(of_type, rule) {
            let mut expected = model(rule, &values);
            if (level.as_str(), name.as_str(), rule.as_str()) == ("Top", "object", "Ignore") {
                expected = json!("chat.completion");
            }
            let found = merged(row, &values);
            if found != expected {
                return Err(format!("{level}: {name}: {rule} of {values:?}: {found}"));
            }
        }
    }
    Ok(())
}

/// Returns true if the row has a value that the reassembler uses as a key.
fn is_key(row: &Row) -> bool {
    (row.level.as_str(), row.name.as_str()) == ("ReasoningDetail", "index")
}

#[test]
fn each_row_is_merged_by_its_rule() {
    let rows = rows();
    let mut checked = 0;
    for row in rows.iter().filter(|row| !is_key(row)) {
        assert!(RULES.contains(&row.rule.as_str()), "{row:?}");
        check(row).unwrap();
        checked += usize::from(row.rule != "Nested");
    }
    assert!(checked > 140, "{checked}");
    for (level, name) in NESTED {
        assert!(rows.iter().any(|row| row.level == level && row.name == name), "{name}");
    }
    for rule in RULES {
        assert!(PAGE.contains(&format!("| `{rule}` | ")), "{rule} isn't explained");
    }
}

#[test]
fn no_row_passes_with_another_rule() {
    for row in rows().iter().filter(|row| !is_key(row)) {
        for rule in RULES.into_iter().filter(|rule| *rule != row.rule) {
            let other = Row { rule: rule.into(), ..row.clone() };
            assert!(check(&other).is_err(), "{}: {} passes as {rule}", row.level, row.name);
        }
    }
}

/// Each member of a delta or choice sets the output flag of its origin, and no other.
///
/// Members of a choice that contain others have no flag of their own.
#[test]
fn each_origin_has_its_output_flag() {
    let rows = rows();
    let is_flat = |row: &&Row| match row.level.as_str() {
        "Delta" => true,
        "Choice" => row.rule != "Nested",
        _ => false,
    };
    for row in rows.iter().filter(is_flat) {
        let value = match row.name.as_str() {
            "tool_calls" => json!([{"index": 0, "id": "c"}]),
            "function_call" => json!({"name": "f"}),
            "audio" => json!({"data": "AAAA"}),
            "reasoning_details" => json!([{"text": "a"}]),
            _ => examples(&row.types[0], &row.rule)[0][0].clone(),
        };
        let json = chunk(&row.level, &json!({&row.name: value})).to_string();
        let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
        let content_flags = chunk.as_chunk().content_flags();
        let flags = [
            (content_flags.content, "Content"),
            (content_flags.refusal, "Refusal"),
            (content_flags.reasoning, "Reasoning"),
            (content_flags.tool_call, "ToolCall"),
            (content_flags.audio, "Audio"),
            (content_flags.image, "Image"),
        ];
        for (is_set, origin) in flags {
            assert_eq!(is_set, row.origin == origin, "{row:?}: {origin}");
        }
        let page = format!("| `{}` | ", row.origin);
        assert!(PAGE.contains(&page), "{} isn't explained", row.origin);
    }
}

/// Returns the text of a section of the page.
fn section(title: &str) -> &'static str {
    let behind = PAGE.split(&format!("\n## {title}\n")).nth(1).unwrap();
    behind.split("\n## ").next().unwrap()
}

/// Returns the code spans of a text.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns the outcome of a stream of one chunk and `[DONE]`.
fn outcome(json: &Value) -> Outcome {
    let stream = format!("data: {json}\n\ndata: [DONE]\n\n");
    assemble([stream.as_bytes()]).outcome
}

#[test]
fn the_listed_finish_reasons_name_a_failure() {
    let of_reason = |reason: &str| {
        outcome(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
    };
    let paragraph = section("Ends of streams").split("\n\n").find(|text| text.contains("`abort`"));
    let (whole, beginnings) = paragraph.unwrap().split_once("begins with").unwrap();
    let (whole, beginnings) = (spans(whole), spans(beginnings));
    assert_eq!((whole.len(), beginnings.len()), (13, 4), "{whole:?} {beginnings:?}");
    let fails = |reason: &str| {
        assert_eq!(of_reason(reason), Outcome::FailedFinish, "{reason}");
        assert_eq!(of_reason(&reason.to_uppercase()), Outcome::FailedFinish, "{reason}");
    };
    for reason in whole {
        let reason =
            if reason.starts_with('_') { ["server", reason].concat() } else { reason.into() };
        fails(&reason);
        assert_eq!(of_reason(&[&reason, "s"].concat()), Outcome::Complete, "{reason}");
    }
    for beginning in beginnings {
        fails(&[beginning, "s"].concat());
        assert_eq!(of_reason(&["x", beginning].concat()), Outcome::Complete, "{beginning}");
    }
}

#[test]
fn the_listed_identities_are_not_joined() {
    let names = spans(section("Identities"));
    assert_eq!(names.len(), 8, "{names:?}");
    for name in names.iter().map(|name| name.replace("_id", "any_id")).chain(["name".into()]) {
        let row = Row {
            level: "Delta".into(),
            name: "unlisted".into(),
            types: Vec::new(),
            rule: "Accumulate".into(),
            origin: "Unknown".into(),
        };
        let values = ["a", "b"].map(|text| json!({&name: text}));
        let expected = if name == "name" { "ab" } else { "b" };
        assert_eq!(merged(&row, &values)[&name], expected, "{name}");
    }
}

/// Returns the page's counts, each with the paths of its members in a usage.
fn listed_counts() -> Vec<(&'static str, Vec<Vec<&'static str>>)> {
    let rows = section("Usage").lines().filter(|line| line.starts_with("| ")).skip(1);
    let paths = |names: &'static str| {
        // `name`, or `name` of `object` or `object`.
        names.split(';').flat_map(|places| match places.split_once(" of ") {
            Some((name, objects)) => {
                spans(objects).into_iter().map(|of| vec![of, spans(name)[0]]).collect()
            }
            None => spans(places).into_iter().map(|name| vec![name]).collect::<Vec<_>>(),
        })
    };
    rows.map(|row| {
        let [count, names] =
            row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("a row has two cells: {row}")
        };
        (count, paths(names).collect())
    })
    .collect()
}

/// Returns a usage with a count at a path.
fn usage_with(path: &[&str], count: u64) -> Value {
    path.iter().rev().fold(json!(count), |value, name| json!({*name: value}))
}

#[test]
fn the_listed_names_of_counts_are_read() {
    let mut checked = 0;
    for (count, paths) in listed_counts() {
        for path in paths {
            let json = json!({"usage": usage_with(&path, 7)}).to_string();
            let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
            let usage = chunk.as_chunk().usage().unwrap();
            let found = match count {
                "prompt" => usage.prompt_tokens(),
                "completion" => usage.completion_tokens(),
                "total" => usage.total_tokens(),
                "cached" => usage.cached_tokens(),
                "reasoning" => usage.reasoning_tokens(),
                _ => panic!("no count {count}"),
            };
            assert_eq!(found, Some(7), "{count}: {json}");
            checked += 1;
        }
    }
    assert_eq!(checked, 13);
}

/// Returns the token counts of a stream of chunks, and asserts that a tap counts the same.
fn tokens(chunks: &[Value]) -> Option<TokenCounts> {
    let (mut tap, mut completion) = (UsageTap::new(), Reassembler::new());
    for chunk in chunks {
        let json = chunk.to_string();
        tap.push(format!("data: {json}\n\n").as_bytes());
        completion.push(&OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap().as_chunk());
    }
    let found = completion.snapshot().tokens();
    assert_eq!(tap.finish().tokens, found, "{chunks:?}");
    found
}

/// Returns the token counts of a stream with a usage in each choice.
///
/// Asserts that they are those of the choices in one chunk, and of a body with the same choices.
fn tokens_of_choices(usages: &[Value]) -> TokenCounts {
    let choices = usages.iter().enumerate();
    let choices = choices.map(|(at, usage)| json!({"index": at, "usage": usage}));
    let choices: Vec<_> = choices.collect();
    let body = json!({"choices": choices});
    let apart: Vec<_> = choices.iter().map(|choice| json!({"choices": [choice]})).collect();
    let found = tokens(&apart).unwrap();
    assert_eq!(tokens(std::slice::from_ref(&body)), Some(found), "{body}");
    let read = ChatCompletion::from_json(body.to_string().as_bytes()).unwrap();
    assert_eq!(read.tokens(), Some(found), "{body}");
    found
}

/// The prompt, completion, total, cached and reasoning tokens, in this order.
type Counts = [Option<u64>; 5];

fn counts(tokens: TokenCounts) -> Counts {
    [tokens.prompt, tokens.completion, tokens.total, tokens.cached, tokens.reasoning]
}

/// Reads the page's rules for a usage in each choice: under each listed name, and joined.
#[test]
fn usages_of_several_choices_are_joined_by_the_table() {
    let table = section("Usage of several choices");
    let rules = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    for (at, (rule, (count, paths))) in rules.zip(listed_counts()).enumerate() {
        assert!(rule.starts_with(&format!("| {count} |")), "{rule}");
        let mut expected = Counts::default();
        expected[at] = Some(if rule.contains("the sum") { 12 } else { 7 });
        // The choices may use different names.
        for (one, other) in paths.iter().flat_map(|one| paths.iter().map(move |it| (one, it))) {
            for values in [[5, 7], [7, 5]] {
                let usages = [usage_with(one, values[0]), usage_with(other, values[1])];
                assert_eq!(counts(tokens_of_choices(&usages)), expected, "{usages:?}");
            }
        }
    }
}

/// The prompt counts once in the joined total, with any counts beside the totals.
#[test]
fn totals_of_several_choices_contain_the_prompt_once() {
    let usage = |prompt: &[u64], completion: &[u64], total: &[u64]| {
        let names = ["prompt_tokens", "completion_tokens", "total_tokens"];
        let counts = names.into_iter().zip([prompt, completion, total]);
        let counts = counts.filter_map(|(name, count)| Some((name.into(), json!(count.first()?))));
        Value::Object(counts.collect())
    };
    for (usages, expected) in [
        ([usage(&[9], &[2], &[11]), usage(&[9], &[3], &[12])], [Some(9), Some(5), Some(14)]),
        ([usage(&[], &[], &[12]), usage(&[], &[], &[15])], [None, None, Some(27)]),
        ([usage(&[9], &[], &[12]), usage(&[9], &[], &[15])], [Some(9), None, Some(18)]),
        ([usage(&[9], &[], &[12]), usage(&[], &[], &[15])], [Some(9), None, Some(18)]),
        ([usage(&[], &[2], &[11]), usage(&[], &[3], &[12])], [None, Some(5), Some(14)]),
        ([usage(&[9], &[2], &[11]), usage(&[9], &[3], &[])], [Some(9), Some(5), Some(14)]),
        ([usage(&[9], &[2], &[]), usage(&[9], &[3], &[])], [Some(9), Some(5), None]),
        ([usage(&[4], &[2], &[6]), usage(&[3], &[2], &[5])], [Some(4), Some(4), Some(8)]),
        ([usage(&[9], &[2], &[11]), usage(&[0], &[3], &[3])], [Some(9), Some(5), Some(14)]),
        // Totals that contain reasoning beside the completion, and totals without the prompt.
        ([usage(&[9], &[2], &[21]), usage(&[9], &[3], &[22])], [Some(9), Some(5), Some(34)]),
        ([usage(&[9], &[2], &[2]), usage(&[9], &[3], &[3])], [Some(9), Some(5), Some(14)]),
        (
            [usage(&[1], &[u64::MAX], &[u64::MAX]), usage(&[1], &[3], &[4])],
            [Some(1), Some(u64::MAX), Some(u64::MAX)],
        ),
    ] {
        assert_eq!(counts(tokens_of_choices(&usages))[..3], expected, "{usages:?}");
    }
}

/// The stored usage has a joined count under each name that a choice uses.
#[test]
fn joined_counts_are_stored_under_each_name() {
    let choices = json!([
        {"index": 0, "usage": {"input_tokens": 9, "output_tokens": 2, "reasoning_tokens": 1}},
        {"index": 1, "usage": {"input_tokens": 9, "output_tokens": 3, "reasoning_tokens": 2,
            "completion_tokens": 3, "x": 4}}]);
    let chunk = json!({"choices": choices}).to_string();
    let mut completion = Reassembler::new();
    completion.push(&OwnedChatCompletionChunk::from_json(chunk.as_bytes()).unwrap().as_chunk());
    let usage = serde_json::to_value(completion.snapshot().usage.as_ref().unwrap()).unwrap();
    let expected = json!({"input_tokens": 9, "output_tokens": 5, "reasoning_tokens": 3,
        "completion_tokens": 5, "x": 4});
    assert_eq!(usage, expected);
}

/// The calls that the rows of the page's table continue, in the order of the rows.
#[test]
fn deltas_continue_the_calls_of_the_table() {
    let table = section("Tool calls");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let first = json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}});
    let other = json!({"index": 0, "id": "b", "function": {"name": "f", "arguments": "2"}});
    let late = json!({"index": 0, "function": {"name": "g", "arguments": "2"}});
    // The second call, a delta for each row, and the position of the call that it continues; 2 is
    // a new call.
    let deltas = [
        (&other, json!({"index": 0, "id": "", "function": {"arguments": "x"}}), 1),
        (&late, json!({"index": 0, "id": "a", "function": {"arguments": "x"}}), 0),
        (&late, json!({"index": 0, "id": "c", "function": {"name": "g", "arguments": "x"}}), 1),
        (&other, json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "x"}}), 2),
        (&other, json!({"index": 0, "id": "c", "function": {"arguments": "x"}}), 1),
        (&other, json!({"index": 1, "id": "a", "function": {"arguments": "x"}}), 2),
        (&other, json!({"id": "a", "function": {"arguments": "x"}}), 0),
        (&other, json!({"id": "c", "function": {"arguments": "x"}}), 2),
        (&other, json!({"function": {"name": "f", "arguments": "x"}}), 2),
        (&other, json!({"function": {"arguments": "x"}}), 1),
    ];
    assert_eq!(rows.len(), deltas.len());
    for (row, (second, delta, expected)) in rows.iter().zip(deltas) {
        assert_eq!(row.contains("| no call: a new one begins"), expected == 2, "{row}");
        let mut completion = Reassembler::new();
        for call in [&first, second, &delta] {
            let json = json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
            let chunk = OwnedChatCompletionChunk::from_json(json.to_string().as_bytes()).unwrap();
            completion.push(&chunk.as_chunk());
        }
        let calls = &completion.snapshot().choices[0].message.tool_calls;
        let continued = calls.iter().position(|call| {
            call.function.as_ref().is_some_and(|function| function.arguments.ends_with('x'))
        });
        assert_eq!(continued, Some(expected), "{row}");
    }
}
