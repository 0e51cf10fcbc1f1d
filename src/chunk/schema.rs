//! The schema: every known member of a chunk, once, with its merge rule and its origin.
//!
//! The rules for merging, output, guards and edits follow from it.

/// The rule that merges a member's values in the chunks of a stream into one.
///
/// `null`, `""`, `[]` and `{}` never replace a value with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Stores the first value: the first text that isn't empty, the first `created` that isn't 0.
    KeepFirst,
    /// Stores the last value: of texts the last one that isn't empty.
    Replace,
    /// Joins strings.
    Concat,
    /// Joins arrays.
    Extend,
    /// Joins the arrays in an object, each with those of the same name.
    ExtendMembers,
    /// Merges objects member by member, and stores the last value of each leaf.
    Object,
    /// Merges as [`Object`](Self::Object), but never replaces a `filtered` that is true.
    FilterResults,
    /// Merges the elements of arrays that have the same `index`.
    ByIndex,
    /// Merges values by their kind, for members of a delta without a known schema.
    ///
    /// Joins texts, unless all are equal or the name is that of an identity. Joins arrays, and
    /// merges their elements by `index` or `id`. Merges objects member by member. Of other values
    /// the last one counts.
    Accumulate,
    /// Merges as [`Accumulate`](Self::Accumulate), also elements without `index` and `id`.
    ///
    /// Such an element is merged into the last one, if that has neither `signature` nor `data`. A
    /// `type` of the new one must be the same.
    Fragments,
    /// Joins the `input` of an object, and stores the first value of each other member.
    CustomCall,
    /// Merges the contents by other rules, in another table or in the code named at the row.
    Nested,
    /// Drops the values.
    Ignore,
}

/// The origin of a member's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The server, or the request, which the server repeats.
    Server,
    /// The server, for values without meaning.
    Padding,
    /// The model, for its output; so are the variants from here to [`Image`](Self::Image).
    Content,
    Refusal,
    Reasoning,
    ToolCall,
    Audio,
    Image,
    /// The model, for a copy of output elsewhere in the chunk.
    Duplicate,
    /// An unknown origin.
    Unknown,
}

/// The place of a member in a chunk.
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

/// The rules for a member.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    merge: Merge,
    origin: Origin,
}

use Merge::{
    Accumulate, ByIndex, Concat, CustomCall, Extend, ExtendMembers, FilterResults, Fragments,
    Ignore, KeepFirst, Nested, Object, Replace,
};
use Origin::{
    Audio, Content, Duplicate, Image, Padding, Reasoning, Refusal, Server, ToolCall, Unknown,
};

const fn row(name: &'static str, merge: Merge, origin: Origin) -> Row {
    Row { name, merge, origin }
}

/// Section 1.1 of the schema's page: the top level.
///
/// A member without a row is one provider's own: its last value counts.
const TOP: &[Row] = &[
    row("id", KeepFirst, Server),
    // A completion's `object` is always `chat.completion`.
    row("object", Ignore, Server),
    row("created", KeepFirst, Unknown),
    row("model", KeepFirst, Server),
    row("choices", Nested, Unknown),
    row("usage", Object, Unknown),
    row("system_fingerprint", Replace, Server),
    row("service_tier", Replace, Server),
    row("obfuscation", Ignore, Padding),
    row("p", Ignore, Padding),
    row("moderation", Replace, Unknown),
    row("prompt_filter_results", ByIndex, Unknown),
    row("latency_checkpoint", Replace, Unknown),
    // `End` reports it, with the outcome.
    row("error", Ignore, Unknown),
    row("provider", KeepFirst, Server),
    row("openrouter_metadata", Replace, Unknown),
    row("x_groq", Object, Unknown),
    row("time_info", Replace, Unknown),
    row("timings", Replace, Unknown),
    row("prompt_progress", Replace, Unknown),
    row("__verbose", Ignore, Unknown),
    row("citations", Replace, Unknown),
    row("search_results", Replace, Unknown),
    row("images", Replace, Unknown),
    row("related_questions", Replace, Unknown),
    row("status", Replace, Unknown),
    row("type", Replace, Unknown),
    row("perf_metrics", Replace, Unknown),
    row("prompt_token_ids", KeepFirst, Unknown),
    row("prompt_text", KeepFirst, Unknown),
    row("metrics", Replace, Unknown),
    row("sglext", Object, Unknown),
    row("warnings", Extend, Unknown),
    row("sla_metrics", Replace, Unknown),
    row("copilot_usage", Replace, Unknown),
    row("cost", Replace, Unknown),
    row("generationId", Replace, Server),
    row("stream_options", Ignore, Unknown),
    // A member of a completion, not of a chunk.
    row("not_whole", Ignore, Unknown),
];

/// Section 1.2: `choices[]`.
const CHOICE: &[Row] = &[
    row("index", Nested, Unknown),
    row("delta", Nested, Unknown),
    row("finish_reason", Replace, Server),
    row("native_finish_reason", Replace, Server),
    row("stop_reason", Replace, Server),
    row("matched_stop", Replace, Server),
    row("logprobs", ExtendMembers, Duplicate),
    row("reasoning_logprobs", ExtendMembers, Duplicate),
    row("top_logprobs", Replace, Unknown),
    row("content_filter_results", FilterResults, Unknown),
    row("content_filter_offsets", Replace, Unknown),
    row("content_filter_result", FilterResults, Unknown),
    row("token_ids", Extend, Duplicate),
    row("prompt_token_ids", KeepFirst, Unknown),
    row("raw_output", Replace, Unknown),
    row("routed_experts", Replace, Unknown),
    row("hidden_states", Replace, Unknown),
    row("seed", Replace, Unknown),
    // A copy of the delta's content.
    row("text", Ignore, Content),
    // `push_snapshot`
    row("message", Nested, Duplicate),
    // Merged into the completion's usage.
    row("usage", Ignore, Unknown),
    row("trace_details", Replace, Unknown),
    row("annotations", Extend, Unknown),
    // Makes the chunk an error.
    row("error", Ignore, Unknown),
];

/// Section 1.3: `choices[].delta`.
const DELTA: &[Row] = &[
    row("role", KeepFirst, Server),
    row("content", Concat, Content),
    row("refusal", Concat, Refusal),
    row("reasoning_content", Concat, Reasoning),
    row("reasoning", Concat, Reasoning),
    row("reasoning_details", Nested, Reasoning),
    row("tool_calls", Nested, ToolCall),
    row("extra_content", Object, Unknown),
    row("function_call", Nested, ToolCall),
    row("audio", Nested, Audio),
    row("images", Extend, Image),
    row("annotations", Extend, Unknown),
    row("executed_tools", ByIndex, Unknown),
    row("channel", Replace, Server),
    row("citations", Extend, Unknown),
    row("token_id", Ignore, Duplicate),
    row("hidden_states", Replace, Unknown),
    row("reasoning_steps", Extend, Unknown),
    row("tool_call_id", Replace, Unknown),
    row("index", Replace, Unknown),
    row("metadata", Replace, Unknown),
    row("provider_metadata", Replace, Unknown),
    row("reasoning_encrypted", Replace, Unknown),
    row("graph_data", Replace, Unknown),
    row("llm_data", Replace, Unknown),
    row("image_data", Replace, Unknown),
    row("translation_data", Replace, Unknown),
    row("web_search_data", Replace, Unknown),
    row("reasoning_text", Accumulate, Reasoning),
    row("thinking", Accumulate, Reasoning),
    row("thinking_blocks", Fragments, Reasoning),
    row("reasoning_items", Accumulate, Reasoning),
    row("reasoning_opaque", Accumulate, Reasoning),
    row("provider_specific_fields", Accumulate, Unknown),
];

/// `choices[].delta.tool_calls[]`.
///
/// A member without a row must survive whole: the next request fails without it.
const TOOL_CALL: &[Row] = &[
    // `call_at`
    row("index", Nested, Unknown),
    row("id", KeepFirst, Server),
    row("type", KeepFirst, Server),
    row("function", Nested, Unknown),
    row("extra_content", Object, Unknown),
    row("custom", CustomCall, Unknown),
];

/// `choices[].delta.tool_calls[].function`.
const FUNCTION: &[Row] = &[
    // `push_name`
    row("name", Nested, Unknown),
    row("arguments", Concat, Unknown),
];

/// `choices[].delta.reasoning_details[]`.
const REASONING_DETAIL: &[Row] = &[
    // `index` and `type` identify a detail.
    row("index", KeepFirst, Unknown),
    row("type", KeepFirst, Server),
    row("text", Concat, Unknown),
    row("summary", Concat, Unknown),
    row("data", Concat, Unknown),
    row("signature", Replace, Unknown),
    row("id", KeepFirst, Server),
    row("format", Replace, Server),
];

/// `choices[].delta.audio`.
const AUDIO: &[Row] = &[
    row("id", KeepFirst, Server),
    row("transcript", Concat, Unknown),
    row("data", Concat, Unknown),
    row("expires_at", Replace, Server),
];

/// Returns the rows of a level, and the merge rule for members without a row.
const fn table(level: Level) -> (&'static [Row], Merge) {
    match level {
        Level::Top => (TOP, Replace),
        Level::Choice => (CHOICE, Replace),
        Level::Delta => (DELTA, Accumulate),
        Level::ToolCall => (TOOL_CALL, Accumulate),
        Level::Function => (FUNCTION, Accumulate),
        // Section 1.4: "all leaves: last non-null".
        Level::Usage => (&[], Object),
        Level::ReasoningDetail => (REASONING_DETAIL, Accumulate),
        Level::Audio => (AUDIO, Accumulate),
    }
}

fn find(level: Level, name: &str) -> Option<&'static Row> {
    table(level).0.iter().find(|row| row.name == name)
}

/// Returns the merge rule of the member `name`.
pub(crate) fn merge(level: Level, name: &str) -> Merge {
    find(level, name).map_or(table(level).1, |row| row.merge)
}

/// Returns the origin of the member `name`.
pub(crate) fn origin(level: Level, name: &str) -> Origin {
    find(level, name).map_or(Unknown, |row| row.origin)
}

impl Merge {
    /// Returns true if the arrays of several chunks become one list.
    pub(crate) const fn joins_lists(self) -> bool {
        matches!(self, Extend | ByIndex | Accumulate | Fragments)
    }
}

impl Origin {
    /// Returns true if the values are output of the model.
    pub(crate) const fn is_output(self) -> bool {
        !matches!(self, Server | Padding | Duplicate | Unknown)
    }

    /// Returns true if the strings are the server's own words.
    pub(crate) const fn is_server(self) -> bool {
        matches!(self, Server | Padding)
    }
}

/// Returns true if a text of this name identifies something, so that texts aren't joined.
pub(crate) fn is_identity(name: &str) -> bool {
    matches!(name, "type" | "id" | "object" | "role" | "model" | "format" | "status")
        || name.ends_with("_id")
}

#[cfg(test)]
#[cfg(feature = "serde")]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::{Level, Merge, Row, table};
    use crate::chunk::OwnedChatCompletionChunk;
    use crate::completion::Reassembler;

    /// Makes a chunk with `member` at the level.
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

    /// Returns the part of a completion at the level.
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

    /// Returns values of a member in three chunks, and their value merged by the rule.
    fn example(name: &str, merge: Merge) -> Option<([Value; 3], Value)> {
        let null = Value::Null;
        Some(match (merge, name) {
            (Merge::KeepFirst, "created") => ([json!(0), json!(5), json!(6)], json!(5)),
            (Merge::KeepFirst, "id" | "type") => ([json!(""), json!("a"), json!("a")], json!("a")),
            (Merge::KeepFirst, _) => ([null, json!("a"), json!("b")], json!("a")),
            (Merge::Replace, _) => ([json!("a"), json!("b"), null], json!("b")),
            (Merge::Concat, _) => ([json!("a"), null, json!("b\n")], json!("ab\n")),
            (Merge::Extend, _) => {
                ([json!([1]), null, json!([{"a": 2.50}, 3])], json!([1, {"a": 2.50}, 3]))
            }
            (Merge::ExtendMembers, _) => {
                let (one, two) =
                    (json!({"content": [1], "refusal": null}), json!({"content": [2, 3]}));
                ([one, null, two], json!({"content": [1, 2, 3], "refusal": null}))
            }
            (Merge::Object, _) => {
                let one = json!({"a": 1, "b": {"c": 2, "d": 3}});
                let two = json!({"a": null, "b": {"c": 4, "e": 5}});
                ([one, null, two], json!({"a": 1, "b": {"c": 4, "d": 3, "e": 5}}))
            }
            (Merge::FilterResults, _) => {
                let one = json!({"hate": {"filtered": true, "severity": "high"}});
                let two = json!({"hate": {"filtered": false, "severity": "safe"}});
                ([one, json!({}), two], json!({"hate": {"filtered": true, "severity": "safe"}}))
            }
            (Merge::ByIndex, _) => {
                let one = json!([{"index": 1, "a": 1}]);
                let two = json!([{"index": 0, "a": 2}, {"index": 1, "b": 3}]);
                ([one, null, two], json!([{"index": 1, "a": 1, "b": 3}, {"index": 0, "a": 2}]))
            }
            (Merge::CustomCall, _) => {
                let (one, two) = (json!({"name": "f", "input": "a"}), json!({"input": "b"}));
                ([one, json!({}), two], json!({"name": "f", "input": "ab"}))
            }
            (Merge::Accumulate, _) => ([json!("a"), null, json!("b\n")], json!("ab\n")),
            (Merge::Fragments, _) => {
                let one = json!([{"type": "thinking", "thinking": "a", "signature": ""}]);
                let two = json!([{"type": "thinking", "thinking": "b", "signature": "s"}]);
                (
                    [one, null, two],
                    json!([{"type": "thinking", "thinking": "ab", "signature": "s"}]),
                )
            }
            (Merge::Ignore, _) => ([null, json!("a"), json!("b")], Value::Null),
            (Merge::Nested, _) => return None,
        })
    }

    /// Tests each row of the tables, with or without a field for the member.
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
            let unknown = Row { name: "unknown", merge: other, origin: super::Origin::Unknown };
            for Row { name, merge, .. } in rows.iter().copied().chain([unknown]) {
                let Some((values, expected)) = example(name, merge) else { continue };
                if (level, name) == (Level::ReasoningDetail, "index") {
                    continue;
                }
                let mut completion = Reassembler::new();
                // Empty values change nothing, before and after any other value.
                let nothing = [json!(null), json!(""), json!([]), json!({})];
                // But an empty object counts as whole arguments while there are none.
                let before = if name == "arguments" { &nothing[..3] } else { &nothing[..] };
                let values = before.iter().cloned().chain(
                    values.into_iter().flat_map(|value| [value].into_iter().chain(nothing.clone())),
                );
                for value in values {
                    let mut chunk = chunk(level, &json!({name: value}));
                    // An `error` with content makes the chunk an error.
                    if (level, name) == (Level::Top, "error") {
                        chunk["error"] = Value::Null;
                    }
                    let json = chunk.to_string();
                    let chunk = OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap();
                    completion.push(&chunk.as_chunk());
                }
                let found = merged(level, &serde_json::to_value(completion.snapshot()).unwrap());
                // A completion has its own `object`.
                let found = if name == "object" { &Value::Null } else { &found[name] };
                assert_eq!(*found, expected, "{level:?}: {name}");
            }
        }
    }

    /// Compares the tables with the page, which names each rule by its first words.
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
                    let found = super::merge(level, name);
                    let said: &[Merge] = match merge {
                        "" => continue,
                        _ if merge.starts_with("first") => &[Merge::KeepFirst, Merge::Ignore],
                        _ if merge.starts_with("last") => &[Merge::Replace, Merge::Ignore],
                        _ if merge.starts_with("keep-raw") => &[Merge::Replace],
                        _ if merge.starts_with("drop") => &[Merge::Ignore, Merge::Nested],
                        _ if merge.starts_with("concat") => &[Merge::Concat],
                        _ if merge.starts_with("append inside") => &[Merge::ExtendMembers],
                        _ if merge.starts_with("append") => &[Merge::Extend, Merge::Ignore],
                        _ if merge.starts_with("merge inside") => &[Merge::ExtendMembers],
                        _ if merge.starts_with("merge by") => &[Merge::ByIndex],
                        _ if merge.starts_with("deep-last") => {
                            &[Merge::Object, Merge::FilterResults]
                        }
                        _ if merge.starts_with("index-merge") => &[Merge::ByIndex, Merge::Nested],
                        _ if merge.starts_with("feeds") => &[Merge::Ignore],
                        _ => &[Merge::Nested],
                    };
                    assert!(said.contains(&found), "{level:?}: {name}: {merge}, but {found:?}");
                    rows += 1;
                }
            }
        }
        assert!(rows > 75, "{rows}");
    }
}
