//! The merge rules, for every member of a chunk: one table, level by level, as the schema's page
//! has them.

/// How the values that a member has in the chunks of a stream become one.
///
/// `null` never replaces anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The first value stays. Of texts that is the first that isn't empty, of `created` the first
    /// that isn't 0.
    First,
    /// The last value counts; of texts the last that isn't empty.
    Last,
    /// Strings are joined.
    Concat,
    /// Arrays are joined.
    Append,
    /// The arrays in an object are joined, each with those of the same name.
    AppendInside,
    /// Objects are merged member by member, the last value of each counts.
    DeepLast,
    /// [`DeepLast`](Self::DeepLast), but a `filtered` that is true stays so.
    DeepLastFiltered,
    /// The elements of arrays are objects that go on with the one of the same `index`.
    IndexMerge,
    /// An object whose `input` is joined, and whose other members are kept first.
    CustomCall,
    /// What it holds has rules of its own, in another table or in the code named here.
    Parts,
    /// Not kept.
    Drop,
}

/// Where in a chunk a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Top,
    Choice,
    Delta,
    ToolCall,
    Function,
    Usage,
    ReasoningDetail,
    Audio,
}

use Rule::{
    Append, AppendInside, Concat, CustomCall, DeepLast, DeepLastFiltered, Drop, First, IndexMerge,
    Last, Parts,
};

/// Section 1.1 of the schema. What it doesn't name is some provider's own: the last value counts.
const TOP: &[(&str, Rule)] = &[
    ("id", First),
    // A completion is a `chat.completion`.
    ("object", Drop),
    ("created", First),
    ("model", First),
    ("choices", Parts),
    ("usage", DeepLast),
    ("system_fingerprint", Last),
    ("service_tier", Last),
    ("obfuscation", Drop),
    ("p", Drop),
    ("moderation", Last),
    ("prompt_filter_results", IndexMerge),
    ("latency_checkpoint", Last),
    // Told by `End`, with the outcome.
    ("error", Drop),
    ("provider", First),
    ("openrouter_metadata", Last),
    ("x_groq", DeepLast),
    ("time_info", Last),
    ("timings", Last),
    ("prompt_progress", Last),
    ("__verbose", Drop),
    ("citations", Last),
    ("search_results", Last),
    ("images", Last),
    ("related_questions", Last),
    ("status", Last),
    ("type", Last),
    ("perf_metrics", Last),
    ("prompt_token_ids", First),
    ("prompt_text", First),
    ("metrics", Last),
    ("sglext", DeepLast),
    ("warnings", Append),
    ("sla_metrics", Last),
    ("copilot_usage", Last),
    ("cost", Last),
    ("generationId", Last),
    ("stream_options", Drop),
    // What a completion knows of itself.
    ("not_whole", Drop),
];

/// Section 1.2: `choices[]`.
const CHOICE: &[(&str, Rule)] = &[
    ("index", Parts),
    ("delta", Parts),
    ("finish_reason", Last),
    ("native_finish_reason", Last),
    ("stop_reason", Last),
    ("matched_stop", Last),
    ("logprobs", AppendInside),
    ("reasoning_logprobs", AppendInside),
    ("top_logprobs", Last),
    ("content_filter_results", DeepLastFiltered),
    ("content_filter_offsets", Last),
    ("content_filter_result", DeepLastFiltered),
    ("token_ids", Append),
    ("prompt_token_ids", First),
    ("raw_output", Last),
    ("routed_experts", Last),
    ("hidden_states", Last),
    ("seed", Last),
    // A copy of the delta's content.
    ("text", Drop),
    // `push_snapshot`
    ("message", Parts),
    // Feeds the completion's usage.
    ("usage", Drop),
    ("trace_details", Last),
];

/// Section 1.3: `choices[].delta`.
const DELTA: &[(&str, Rule)] = &[
    ("role", First),
    ("content", Concat),
    ("refusal", Concat),
    ("reasoning_content", Concat),
    ("reasoning", Concat),
    ("reasoning_details", Parts),
    ("tool_calls", Parts),
    ("extra_content", DeepLast),
    ("function_call", Parts),
    ("audio", Parts),
    ("images", Append),
    ("annotations", Append),
    ("executed_tools", IndexMerge),
    ("channel", Last),
    ("citations", Append),
    ("token_id", Drop),
    ("hidden_states", Last),
    ("reasoning_steps", Append),
    ("tool_call_id", Last),
    ("index", Last),
    ("metadata", Last),
    ("provider_metadata", Last),
    ("reasoning_encrypted", Last),
    ("graph_data", Last),
    ("llm_data", Last),
    ("image_data", Last),
    ("translation_data", Last),
    ("web_search_data", Last),
];

/// `choices[].delta.tool_calls[]`; what it doesn't name must survive, whole: a next request without
/// it fails.
const TOOL_CALL: &[(&str, Rule)] = &[
    // `call_at`
    ("index", Parts),
    ("id", First),
    ("type", First),
    ("function", Parts),
    ("extra_content", DeepLast),
    ("custom", CustomCall),
];

/// `choices[].delta.tool_calls[].function`.
const FUNCTION: &[(&str, Rule)] = &[
    // `push_name`
    ("name", Parts),
    ("arguments", Concat),
];

/// `choices[].delta.reasoning_details[]`.
const REASONING_DETAIL: &[(&str, Rule)] = &[
    ("text", Concat),
    ("summary", Concat),
    ("data", Concat),
    ("signature", Last),
    ("id", Last),
    ("format", Last),
];

/// `choices[].delta.audio`.
const AUDIO: &[(&str, Rule)] =
    &[("id", First), ("transcript", Concat), ("data", Concat), ("expires_at", Last)];

/// The table of a level, and the rule for what it doesn't name.
const fn table(level: Level) -> (&'static [(&'static str, Rule)], Rule) {
    match level {
        Level::Top => (TOP, Last),
        Level::Choice => (CHOICE, Last),
        Level::Delta => (DELTA, Last),
        Level::ToolCall => (TOOL_CALL, DeepLast),
        Level::Function => (FUNCTION, DeepLast),
        // Section 1.4: "all leaves: last non-null".
        Level::Usage => (&[], DeepLast),
        Level::ReasoningDetail => (REASONING_DETAIL, Last),
        Level::Audio => (AUDIO, Last),
    }
}

/// Whether what comes in several chunks is one list again.
pub(crate) fn is_joined(level: Level, name: &str) -> bool {
    matches!(rule(level, name), Append | IndexMerge)
}

/// Whether that holds for the lists in an object.
pub(crate) fn is_joined_inside(level: Level, name: &str) -> bool {
    rule(level, name) == AppendInside
}

/// The rule for the member `name`.
pub(crate) fn rule(level: Level, name: &str) -> Rule {
    let (rows, other) = table(level);
    rows.iter().find(|(known, _)| *known == name).map_or(other, |(_, rule)| *rule)
}

#[cfg(test)]
#[cfg(feature = "serde")]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::{Level, Rule, table};
    use crate::chunk::OwnedChatCompletionChunk;
    use crate::reassemble::Reassembler;

    /// A chunk with `member` at the level.
    fn chunk(level: Level, member: &Value) -> Value {
        let delta = |delta: &Value| json!({"choices": [{"index": 0, "delta": delta}]});
        match level {
            Level::Top => member.clone(),
            Level::Choice => {
                let mut choice = json!({"index": 0, "delta": {}});
                choice.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
                json!({"choices": [choice]})
            }
            Level::Delta => delta(member),
            Level::ToolCall => {
                let mut call = json!({"index": 0});
                call.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
                delta(&json!({"tool_calls": [call]}))
            }
            Level::Function => delta(&json!({"tool_calls": [{"index": 0, "function": member}]})),
            Level::Usage => json!({"usage": member}),
            Level::ReasoningDetail => {
                let mut detail = json!({"index": 0, "type": "t"});
                detail.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
                delta(&json!({"reasoning_details": [detail]}))
            }
            Level::Audio => delta(&json!({"audio": member})),
        }
    }

    /// What a completion has at the level.
    fn merged(level: Level, completion: &Value) -> Value {
        let choice = &completion["choices"][0];
        let message = &choice["message"];
        match level {
            Level::Top => completion.clone(),
            Level::Choice => choice.clone(),
            Level::Delta => message.clone(),
            Level::ToolCall => message["tool_calls"][0].clone(),
            Level::Function => message["tool_calls"][0]["function"].clone(),
            Level::Usage => completion["usage"].clone(),
            Level::ReasoningDetail => message["reasoning_details"][0].clone(),
            Level::Audio => message["audio"].clone(),
        }
    }

    /// Values of a member in three chunks, and what becomes of them by the rule.
    fn example(name: &str, rule: Rule) -> Option<([Value; 3], Value)> {
        let null = Value::Null;
        Some(match (rule, name) {
            (Rule::First, "created") => ([json!(0), json!(5), json!(6)], json!(5)),
            (Rule::First, "id" | "type") => ([json!(""), json!("a"), json!("a")], json!("a")),
            (Rule::First, _) => ([null, json!("a"), json!("b")], json!("a")),
            (Rule::Last, _) => ([json!("a"), json!("b"), null], json!("b")),
            (Rule::Concat, _) => ([json!("a"), null, json!("b\n")], json!("ab\n")),
            (Rule::Append, _) => {
                ([json!([1]), null, json!([{"a": 2.50}, 3])], json!([1, {"a": 2.50}, 3]))
            }
            (Rule::AppendInside, _) => {
                let (one, two) =
                    (json!({"content": [1], "refusal": null}), json!({"content": [2, 3]}));
                ([one, null, two], json!({"content": [1, 2, 3], "refusal": null}))
            }
            (Rule::DeepLast, _) => {
                let one = json!({"a": 1, "b": {"c": 2, "d": 3}});
                let two = json!({"a": null, "b": {"c": 4, "e": 5}});
                ([one, null, two], json!({"a": 1, "b": {"c": 4, "d": 3, "e": 5}}))
            }
            (Rule::DeepLastFiltered, _) => {
                let one = json!({"hate": {"filtered": true, "severity": "high"}});
                let two = json!({"hate": {"filtered": false, "severity": "safe"}});
                ([one, json!({}), two], json!({"hate": {"filtered": true, "severity": "safe"}}))
            }
            (Rule::IndexMerge, _) => {
                let one = json!([{"index": 1, "a": 1}]);
                let two = json!([{"index": 0, "a": 2}, {"index": 1, "b": 3}]);
                ([one, null, two], json!([{"index": 1, "a": 1, "b": 3}, {"index": 0, "a": 2}]))
            }
            (Rule::CustomCall, _) => {
                let (one, two) = (json!({"name": "f", "input": "a"}), json!({"input": "b"}));
                ([one, json!({}), two], json!({"name": "f", "input": "ab"}))
            }
            (Rule::Drop, _) => ([null, json!("a"), json!("b")], Value::Null),
            (Rule::Parts, _) => return None,
        })
    }

    /// Each row of the tables, whether the member has a field of its own or not.
    #[test]
    fn every_member_is_merged_by_its_rule() {
        for level in [
            Level::Top,
            Level::Choice,
            Level::Delta,
            Level::ToolCall,
            Level::Function,
            Level::Usage,
            Level::ReasoningDetail,
            Level::Audio,
        ] {
            let (rows, other) = table(level);
            for (name, rule) in rows.iter().copied().chain([("unknown", other)]) {
                let Some((values, expected)) = example(name, rule) else { continue };
                let mut completion = Reassembler::new();
                // What there is nothing in changes nothing, wherever it stands.
                let nothing = [json!(null), json!(""), json!([]), json!({})];
                // But an empty object is whole arguments, so long as there are none.
                let before = if name == "arguments" { &nothing[..3] } else { &nothing[..] };
                let values = before.iter().cloned().chain(
                    values.into_iter().flat_map(|value| [value].into_iter().chain(nothing.clone())),
                );
                for value in values {
                    let mut chunk = chunk(level, &json!({name: value}));
                    // An error is told apart from what is merged.
                    if (level, name) == (Level::Top, "error") {
                        chunk["error"] = Value::Null;
                    }
                    let json = chunk.to_string();
                    let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
                    completion.push(&chunk.as_chunk());
                }
                let found = merged(level, &serde_json::to_value(completion.snapshot()).unwrap());
                // `object` is what a completion has.
                let found = if name == "object" { &Value::Null } else { &found[name] };
                assert_eq!(*found, expected, "{level:?}: {name}");
            }
        }
    }

    /// The page says the same of every member. Words that it has for a rule, by their beginning.
    #[test]
    fn the_schema_says_the_same() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/schema.md");
        let Ok(page) = std::fs::read_to_string(path) else {
            assert!(std::env::var_os("DELTAWIRE_REQUIRE_SHARED").is_none(), "{path} is required");
            return;
        };
        let mut rows = 0;
        for (title, level) in
            [("### 1.1 ", Level::Top), ("### 1.2 ", Level::Choice), ("### 1.3 ", Level::Delta)]
        {
            let section = page.split(title).nth(1).unwrap().split("\n### ").next().unwrap();
            for line in section.lines().filter(|line| line.starts_with("| `")) {
                let line = line.trim_end_matches([' ', '|']).replace(" | detected", "");
                let merge = line.rsplit(" | ").next().unwrap();
                let field = line.split(" | ").next().unwrap();
                for name in field.split('`').skip(1).step_by(2) {
                    let name = name.trim_start_matches('.').trim_end_matches("[]");
                    let is_inside = |c: char| matches!(c, '.' | '[' | '{' | ' ');
                    if name.contains(is_inside) {
                        continue;
                    }
                    let found = super::rule(level, name);
                    let said: &[Rule] = match merge {
                        "" => continue,
                        _ if merge.starts_with("first") => &[Rule::First, Rule::Drop],
                        _ if merge.starts_with("last") => &[Rule::Last, Rule::Drop],
                        _ if merge.starts_with("keep-raw") => &[Rule::Last],
                        _ if merge.starts_with("drop") => &[Rule::Drop, Rule::Parts],
                        _ if merge.starts_with("concat") => &[Rule::Concat],
                        _ if merge.starts_with("append inside") => &[Rule::AppendInside],
                        _ if merge.starts_with("append") => &[Rule::Append, Rule::Drop],
                        _ if merge.starts_with("merge inside") => &[Rule::AppendInside],
                        _ if merge.starts_with("merge by") => &[Rule::IndexMerge],
                        _ if merge.starts_with("deep-last") => {
                            &[Rule::DeepLast, Rule::DeepLastFiltered]
                        }
                        _ if merge.starts_with("index-merge") => &[Rule::IndexMerge, Rule::Parts],
                        _ if merge.starts_with("feeds") => &[Rule::Drop],
                        _ => &[Rule::Parts],
                    };
                    assert!(said.contains(&found), "{level:?}: {name}: {merge}, but {found:?}");
                    rows += 1;
                }
            }
        }
        assert!(rows > 75, "{rows}");
    }
}
