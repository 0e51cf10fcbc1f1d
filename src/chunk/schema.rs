//! The schema: every known member of a chunk once, with its type, merge rule, origin and field.
//!
//! The index of a chunk, mismatches, the merge of members without a field, their output flags and
//! the guard's allow list follow from the rows. `docs/wire.md` has the same rows with their senders.
//!
//! Members with a column are in the order in which chunks are written. A unit test compares it with
//! all writers, and lists the places where one of them has another order.
//!
//! # To add a member
//!
//! 1. Add a row to its level: under `fields` if the member has a method or a field of its own, else
//!    under `named`. Other files use the constants of the rows. The place of a row under `fields` is
//!    that of the written member. The docs of `extra` at the view of the level list these members.
//! 2. Add the same row to `docs/wire.md`. A unit test compares name, rule and origin. The type here
//!    is `Any` if no value counts as a mismatch.
//! 3. If a message has a field for it, go through the list at `Message` in `completion/model.rs`.

use core::ops::Range;

use super::origin::Origin;
use super::text_member::{origin_in, text_members};
use super::value_type::{Expected, ValueType};
use crate::json::NodeId;

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

/// The place of a member in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Top,
    Choice,
    Delta,
    ToolCall,
    Function,
    FunctionCall,
    Usage,
    PromptDetails,
    CompletionDetails,
    XGroq,
    ReasoningDetail,
    Audio,
    ContentPart,
    Logprobs,
    TokenLogprob,
    TopLogprob,
}

/// A member: its name and its rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) value_type: ValueType,
    pub(crate) merge: Merge,
    pub(crate) origin: Origin,
}

impl Row {
    const fn new(name: &'static str, value_type: ValueType, merge: Merge, origin: Origin) -> Self {
        Self { name, value_type, merge, origin }
    }
}

/// Returns a name of the wire, which is ASCII, as text. Runs at compile time only.
#[expect(clippy::panic, reason = "a wrong row must not compile")]
const fn text(name: &'static [u8]) -> &'static str {
    match core::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => panic!("a wire name is ASCII"),
    }
}

/// The columns of a level.
pub(crate) trait Columns {
    /// The names of the members, in the order of their rows.
    const NAMES: &'static [&'static str];

    /// Returns the column of a member and its type, or `None` if it has no column.
    fn column(&mut self, name: &[u8]) -> Option<(&mut NodeId, Expected)>;
}

/// Defines the rows of a level, and a constant for each name.
///
/// A row is: constant, column, name, type, merge rule, origin. Rows under `named` have no column.
/// A level with columns also gets a struct of them, and the lookup of a column by name.
macro_rules! level {
    (
        $(#[$doc:meta])*
        $module:ident $Fields:ident { $($(#[$part_doc:meta])* $part:ident: $Part:ty,)* }
        fields { $($CONST:ident $field:ident $name:literal $type:expr, $merge:ident, $origin:ident;)* }
        named { $($rest:tt)* }
    ) => {
        level! {
            $(#[$doc])*
            $module
            named {
                $($CONST $name $type, $merge, $origin;)*
                $($rest)*
            }
        }

        /// Positions of members in a chunk's document; 0 if a member is absent or `null`.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $Fields {
            $(pub(crate) $field: NodeId,)*
            $($(#[$part_doc])* pub(crate) $part: $Part,)*
        }

        impl Columns for $Fields {
            const NAMES: &'static [&'static str] = &[$($module::$CONST),*];

            #[inline]
            fn column(&mut self, name: &[u8]) -> Option<(&mut NodeId, Expected)> {
                use ValueType::*;
                Some(match name {
                    $($name => (&mut self.$field, const { Expected::new($type) }),)*
                    _ => return None,
                })
            }
        }
    };
    (
        $(#[$doc:meta])*
        $module:ident
        named { $($CONST:ident $name:literal $type:expr, $merge:ident, $origin:ident;)* }
    ) => {
        $(#[$doc])*
        #[allow(dead_code, reason = "each row has a constant for its name")]
        pub(crate) mod $module {
            use super::{Merge, Origin, Row, text};
            #[allow(unused_imports, reason = "some levels use neither")]
            use super::{Level, ValueType::*};

            $(pub(crate) const $CONST: &str = text($name);)*

            pub(crate) const ROWS: &[Row] = &[
                $(Row::new($CONST, $type, Merge::$merge, Origin::$origin),)*
            ];
        }
    };
}

level! {
    /// The members of a chunk itself.
    ///
    /// A member without a row is one provider's own: its last value counts.
    top ChunkFields {
        /// The positions of other members: `start <= end <= index.extras.len()`.
        extras: Range<u32>,
    }
    fields {
        ID id b"id" String, KeepFirst, Server;
        // A completion's `object` is always `chat.completion`.
        OBJECT object b"object" String, Ignore, Server;
        CREATED created b"created" Count, KeepFirst, Unknown;
        MODEL model b"model" String, KeepFirst, Server;
        SERVICE_TIER service_tier b"service_tier" String, Replace, Server;
        SYSTEM_FINGERPRINT system_fingerprint b"system_fingerprint" String, Replace, Server;
        CHOICES choices b"choices" Array, Nested, Unknown;
        USAGE usage b"usage" ObjectOf(Level::Usage), Object, Unknown;
        OBFUSCATION obfuscation b"obfuscation" String, Ignore, Padding;
        // `StreamSummary` reports it, with the outcome.
        ERROR error b"error" Any, Ignore, Unknown;
        X_GROQ x_groq b"x_groq" ObjectOf(Level::XGroq), Object, Unknown;
    }
    named {
        P b"p" Any, Ignore, Padding;
        MODERATION b"moderation" Any, Replace, Unknown;
        PROMPT_FILTER_RESULTS b"prompt_filter_results" Any, ByIndex, Unknown;
        LATENCY_CHECKPOINT b"latency_checkpoint" Any, Replace, Unknown;
        PROVIDER b"provider" Any, KeepFirst, Server;
        OPENROUTER_METADATA b"openrouter_metadata" Any, Replace, Unknown;
        TIME_INFO b"time_info" Any, Replace, Unknown;
        TIMINGS b"timings" Any, Replace, Unknown;
        PROMPT_PROGRESS b"prompt_progress" Any, Replace, Unknown;
        VERBOSE b"__verbose" Any, Ignore, Unknown;
        CITATIONS b"citations" Any, Replace, Unknown;
        SEARCH_RESULTS b"search_results" Any, Replace, Unknown;
        IMAGES b"images" Any, Replace, Unknown;
        RELATED_QUESTIONS b"related_questions" Any, Replace, Unknown;
        STATUS b"status" Any, Replace, Unknown;
        TYPE b"type" Any, Replace, Unknown;
        PERF_METRICS b"perf_metrics" Any, Replace, Unknown;
        PROMPT_TOKEN_IDS b"prompt_token_ids" ArrayOf(&Count), KeepFirst, Unknown;
        PROMPT_TEXT b"prompt_text" Any, KeepFirst, Unknown;
        METRICS b"metrics" Any, Replace, Unknown;
        SGLEXT b"sglext" Any, Object, Unknown;
        WARNINGS b"warnings" Any, Extend, Unknown;
        SLA_METRICS b"sla_metrics" Any, Replace, Unknown;
        COPILOT_USAGE b"copilot_usage" Any, Replace, Unknown;
        COST b"cost" Any, Replace, Unknown;
        GENERATIONID b"generationId" Any, Replace, Server;
        STREAM_OPTIONS b"stream_options" Any, Ignore, Unknown;
        // A member of a completion, not of a chunk.
        NOT_WHOLE b"not_whole" Any, Ignore, Unknown;
    }
}

level! {
    /// The members of `choices[]`.
    choice ChoiceFields {
        /// The choice itself.
        node: NodeId,
        delta_fields: DeltaFields,
        extras: Range<u32>,
    }
    fields {
        INDEX index b"index" Count, Nested, Unknown;
        DELTA delta b"delta" ObjectOf(Level::Delta), Nested, Unknown;
        FINISH_REASON finish_reason b"finish_reason" String, Replace, Server;
        LOGPROBS logprobs b"logprobs" ObjectOf(Level::Logprobs), ExtendMembers, Duplicate;
        // `push_whole`
        MESSAGE message b"message" Object, Nested, Duplicate;
        // Merged into the completion's usage.
        USAGE usage b"usage" ObjectOf(Level::Usage), Ignore, Unknown;
        // A copy of the delta's content.
        TEXT text b"text" String, Ignore, Content;
        // Makes the chunk an error.
        ERROR error b"error" Any, Ignore, Unknown;
    }
    named {
        NATIVE_FINISH_REASON b"native_finish_reason" Any, Replace, Server;
        STOP_REASON b"stop_reason" StringOrInteger, Replace, Server;
        MATCHED_STOP b"matched_stop" Any, Replace, Server;
        REASONING_LOGPROBS b"reasoning_logprobs" Any, ExtendMembers, Duplicate;
        TOP_LOGPROBS b"top_logprobs" Any, Replace, Duplicate;
        CONTENT_FILTER_RESULTS b"content_filter_results" Any, FilterResults, Unknown;
        CONTENT_FILTER_OFFSETS b"content_filter_offsets" Any, Replace, Unknown;
        CONTENT_FILTER_RESULT b"content_filter_result" Any, FilterResults, Unknown;
        TOKEN_IDS b"token_ids" ArrayOf(&Count), Extend, Duplicate;
        PROMPT_TOKEN_IDS b"prompt_token_ids" Any, KeepFirst, Unknown;
        RAW_OUTPUT b"raw_output" Any, Replace, Unknown;
        ROUTED_EXPERTS b"routed_experts" Any, Replace, Unknown;
        HIDDEN_STATES b"hidden_states" Any, Replace, Unknown;
        SEED b"seed" Any, Replace, Unknown;
        TRACE_DETAILS b"trace_details" Any, Replace, Unknown;
        ANNOTATIONS b"annotations" Any, Extend, Unknown;
    }
}

level! {
    /// The members of `choices[].delta`.
    delta DeltaFields {
        /// The delta itself, which may be `null`.
        node: NodeId,
        /// The positions of its tool calls: `start <= end <= index.calls.len()`.
        calls: Range<u32>,
        extras: Range<u32>,
    }
    fields {
        ROLE role b"role" String, KeepFirst, Server;
        CONTENT content b"content" StringOrArrayOf(Level::ContentPart), Concat, Content;
        REASONING_CONTENT reasoning_content b"reasoning_content" String, Concat, Reasoning;
        REASONING reasoning b"reasoning" String, Concat, Reasoning;
        REASONING_DETAILS reasoning_details b"reasoning_details" Array, Nested, Reasoning;
        REFUSAL refusal b"refusal" String, Concat, Refusal;
        TOOL_CALLS tool_calls b"tool_calls" Array, Nested, ToolCall;
        FUNCTION_CALL function_call b"function_call" ObjectOf(Level::FunctionCall), Nested, ToolCall;
        AUDIO audio b"audio" ObjectOf(Level::Audio), Nested, Audio;
    }
    named {
        EXTRA_CONTENT b"extra_content" Any, Object, Unknown;
        IMAGES b"images" Any, Extend, Image;
        ANNOTATIONS b"annotations" Any, Extend, Unknown;
        EXECUTED_TOOLS b"executed_tools" Any, ByIndex, Unknown;
        CHANNEL b"channel" Any, Replace, Server;
        CITATIONS b"citations" Any, Extend, Unknown;
        TOKEN_ID b"token_id" Any, Ignore, Duplicate;
        HIDDEN_STATES b"hidden_states" Any, Replace, Unknown;
        REASONING_STEPS b"reasoning_steps" Any, Extend, Unknown;
        REFERENCE_IDS b"reference_ids" Any, Extend, Unknown;
        TOOL_CALL_ID b"tool_call_id" Any, Replace, Unknown;
        INDEX b"index" Any, Replace, Unknown;
        METADATA b"metadata" Any, Replace, Unknown;
        PROVIDER_METADATA b"provider_metadata" Any, Replace, Unknown;
        REASONING_ENCRYPTED b"reasoning_encrypted" Any, Replace, Unknown;
        GRAPH_DATA b"graph_data" Any, Replace, Unknown;
        LLM_DATA b"llm_data" Any, Replace, Unknown;
        IMAGE_DATA b"image_data" Any, Replace, Unknown;
        TRANSLATION_DATA b"translation_data" Any, Replace, Unknown;
        WEB_SEARCH_DATA b"web_search_data" Any, Replace, Unknown;
        REASONING_TEXT b"reasoning_text" Any, Accumulate, Reasoning;
        REASONING_SUMMARY b"reasoning_summary" Any, Concat, Reasoning;
        THINKING b"thinking" Any, Accumulate, Reasoning;
        THINKING_BLOCKS b"thinking_blocks" Any, Fragments, Reasoning;
        REASONING_ITEMS b"reasoning_items" Any, Accumulate, Reasoning;
        REASONING_OPAQUE b"reasoning_opaque" Any, Accumulate, Reasoning;
        PROVIDER_SPECIFIC_FIELDS b"provider_specific_fields" Any, Accumulate, Unknown;
    }
}

/// Passes the texts to a macro: the columns of a delta that are joined, with a field in `Message`.
macro_rules! each_text {
    ($with:ident) => {
        $with! {
            texts {
                /// The content.
                Content content;
                /// The refusal.
                Refusal refusal;
                /// The reasoning, under any of its names.
                Reasoning reasoning;
            }
            members {
                /// `content`, or the texts of its parts if it is an array.
                Content CONTENT content => Content;
                /// `reasoning_content`. Some servers send the same text as `reasoning` in each delta.
                ReasoningContent REASONING_CONTENT reasoning_content => Reasoning;
                /// `reasoning`, or that of a part of the content, such as `thinking`.
                Reasoning REASONING reasoning => Reasoning;
                /// `refusal`, or that of a part of the content.
                Refusal REFUSAL refusal => Refusal;
            }
        }
    };
}
pub(crate) use each_text;
each_text!(text_members);

level! {
    /// The members of `choices[].delta.tool_calls[]`.
    ///
    /// A member without a row must survive whole: the next request fails without it.
    tool_call ToolCallFields {
        /// The tool call itself.
        node: NodeId,
        function_fields: FunctionFields,
        extras: Range<u32>,
    }
    fields {
        // `call_at`
        INDEX index b"index" Count, Nested, Unknown;
        ID id b"id" String, KeepFirst, Server;
        TYPE r#type b"type" String, KeepFirst, Server;
        FUNCTION function b"function" Object, Nested, Unknown;
    }
    named {
        EXTRA_CONTENT b"extra_content" Any, Object, Unknown;
        CUSTOM b"custom" Any, CustomCall, Unknown;
    }
}

level! {
    /// The members of `choices[].delta.tool_calls[].function`.
    function FunctionFields {
        extras: Range<u32>,
    }
    fields {
        // `push_name`
        NAME name b"name" String, Nested, Unknown;
        ARGUMENTS arguments b"arguments" StringOrObject, Concat, Unknown;
    }
    named {

    }
}

level! {
    /// The members of `choices[].delta.reasoning_details[]`.
    reasoning_detail
    named {
        // `index` and `type` identify a detail.
        INDEX b"index" Any, KeepFirst, Unknown;
        TYPE b"type" Any, KeepFirst, Server;
        TEXT b"text" Any, Concat, Unknown;
        SUMMARY b"summary" Any, Concat, Unknown;
        DATA b"data" Any, Concat, Server;
        SIGNATURE b"signature" Any, Replace, Server;
        ID b"id" Any, KeepFirst, Server;
        FORMAT b"format" Any, Replace, Server;
    }
}

level! {
    /// The members of `choices[].delta.audio`.
    audio
    named {
        ID b"id" String, KeepFirst, Server;
        TRANSCRIPT b"transcript" String, Concat, Unknown;
        DATA b"data" String, Concat, Unknown;
        EXPIRES_AT b"expires_at" Count, Replace, Server;
    }
}

level! {
    /// The members of `usage`. Of all leaves the last value that isn't `null` counts.
    usage
    named {
        PROMPT_TOKENS b"prompt_tokens" Count, Object, Unknown;
        COMPLETION_TOKENS b"completion_tokens" Count, Object, Unknown;
        TOTAL_TOKENS b"total_tokens" Count, Object, Unknown;
        PROMPT_TOKENS_DETAILS b"prompt_tokens_details" ObjectOf(Level::PromptDetails), Object, Unknown;
        COMPLETION_TOKENS_DETAILS b"completion_tokens_details" ObjectOf(Level::CompletionDetails), Object, Unknown;
        CACHED_TOKENS b"cached_tokens" Count, Object, Unknown;
        PROMPT_CACHE_HIT_TOKENS b"prompt_cache_hit_tokens" Count, Object, Unknown;
        REASONING_TOKENS b"reasoning_tokens" Count, Object, Unknown;
    }
}

level! {
    /// The members of `usage.prompt_tokens_details`.
    prompt_details
    named {
        CACHED_TOKENS b"cached_tokens" Count, Object, Unknown;
        AUDIO_TOKENS b"audio_tokens" Count, Object, Unknown;
        TEXT_TOKENS b"text_tokens" Count, Object, Unknown;
        IMAGE_TOKENS b"image_tokens" Count, Object, Unknown;
        CACHE_WRITE_TOKENS b"cache_write_tokens" Count, Object, Unknown;
    }
}

level! {
    /// The members of `usage.completion_tokens_details`.
    completion_details
    named {
        REASONING_TOKENS b"reasoning_tokens" Count, Object, Unknown;
        AUDIO_TOKENS b"audio_tokens" Count, Object, Unknown;
        TEXT_TOKENS b"text_tokens" Count, Object, Unknown;
        ACCEPTED_PREDICTION_TOKENS b"accepted_prediction_tokens" Count, Object, Unknown;
        REJECTED_PREDICTION_TOKENS b"rejected_prediction_tokens" Count, Object, Unknown;
    }
}

level! {
    /// The members of `x_groq`.
    x_groq
    named {
        USAGE b"usage" ObjectOf(Level::Usage), Object, Unknown;
    }
}

level! {
    /// The members of `choices[].logprobs`.
    logprobs
    named {
        CONTENT b"content" ArrayOf(&ObjectOf(Level::TokenLogprob)), Extend, Duplicate;
        REFUSAL b"refusal" ArrayOf(&ObjectOf(Level::TokenLogprob)), Extend, Duplicate;
    }
}

level! {
    /// The members of `choices[].logprobs.content[]`.
    token_logprob
    named {
        TOKEN b"token" String, Nested, Duplicate;
        LOGPROB b"logprob" Number, Nested, Duplicate;
        BYTES b"bytes" ArrayOf(&Byte), Nested, Duplicate;
        TOP_LOGPROBS b"top_logprobs" ArrayOf(&ObjectOf(Level::TopLogprob)), Nested, Duplicate;
    }
}

level! {
    /// The members of `choices[].logprobs.content[].top_logprobs[]`.
    top_logprob
    named {
        TOKEN b"token" String, Nested, Duplicate;
        LOGPROB b"logprob" Number, Nested, Duplicate;
        BYTES b"bytes" ArrayOf(&Byte), Nested, Duplicate;
    }
}

level! {
    /// The members of `choices[].delta.function_call`, which older servers send.
    function_call
    named {
        NAME b"name" String, Nested, Unknown;
        ARGUMENTS b"arguments" String, Concat, Unknown;
    }
}

level! {
    /// The members of a part of a `content` that is an array.
    content_part
    named {
        TYPE b"type" Any, Nested, Server;
        TEXT b"text" String, Concat, Content;
        THINKING b"thinking" StringOrArray, Concat, Reasoning;
        REASONING b"reasoning" Any, Concat, Reasoning;
        SUMMARY b"summary" Any, Concat, Reasoning;
        CONTENT b"content" Any, Concat, Reasoning;
        REFUSAL b"refusal" Any, Concat, Refusal;
    }
}

/// Returns the rows of a level, and the merge rule for members without a row.
const fn table(level: Level) -> (&'static [Row], Merge) {
    match level {
        Level::Top => (top::ROWS, Merge::Replace),
        Level::Choice => (choice::ROWS, Merge::Replace),
        Level::Delta => (delta::ROWS, Merge::Accumulate),
        Level::ToolCall => (tool_call::ROWS, Merge::Accumulate),
        Level::Function => (function::ROWS, Merge::Accumulate),
        Level::FunctionCall => (function_call::ROWS, Merge::Accumulate),
        Level::ReasoningDetail => (reasoning_detail::ROWS, Merge::Accumulate),
        Level::Audio => (audio::ROWS, Merge::Accumulate),
        Level::ContentPart => (content_part::ROWS, Merge::Replace),
        Level::Usage => (usage::ROWS, Merge::Object),
        Level::PromptDetails => (prompt_details::ROWS, Merge::Object),
        Level::CompletionDetails => (completion_details::ROWS, Merge::Object),
        Level::XGroq => (x_groq::ROWS, Merge::Object),
        Level::Logprobs => (logprobs::ROWS, Merge::Extend),
        Level::TokenLogprob => (token_logprob::ROWS, Merge::Replace),
        Level::TopLogprob => (top_logprob::ROWS, Merge::Replace),
    }
}

/// Returns the known members of a level.
pub(crate) const fn rows(level: Level) -> &'static [Row] {
    table(level).0
}

fn find(level: Level, name: &str) -> Option<&'static Row> {
    rows(level).iter().find(|row| row.name == name)
}

/// Returns the merge rule of the member `name`.
pub(crate) fn merge(level: Level, name: &str) -> Merge {
    find(level, name).map_or(table(level).1, |row| row.merge)
}

/// Returns the origin of the member `name`.
pub(crate) fn origin(level: Level, name: &str) -> Origin {
    find(level, name).map_or(Origin::Unknown, |row| row.origin)
}

impl Merge {
    /// Returns true if the arrays of several chunks become one array.
    pub(crate) const fn joins_lists(self) -> bool {
        matches!(self, Self::Extend | Self::ByIndex | Self::Accumulate | Self::Fragments)
    }
}

/// The members of a delta without a column that may be its only reasoning.
pub(crate) const REASONING_TEXTS: [&str; 2] = [delta::REASONING_TEXT, delta::THINKING];

/// The `type` of a reasoning detail with a `text`, and that of one with a `summary`.
pub(crate) const REASONING_DETAIL_TYPES: [&str; 2] = ["reasoning.text", "reasoning.summary"];

/// The `object` of a chunk.
pub(crate) const CHUNK_OBJECT: &str = "chat.completion.chunk";

/// The key of an element that has no `index`, as in `prompt_filter_results`.
pub(crate) const PROMPT_INDEX: &str = "prompt_index";

/// Returns true if a text of this name identifies something, so that texts aren't joined.
pub(crate) fn is_identity(name: &str) -> bool {
    matches!(name, "type" | "id" | "object" | "role" | "model" | "format" | "status")
        || name.ends_with("_id")
}

#[cfg(test)]
#[cfg(feature = "serde")]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        ChoiceFields, ChunkFields, Columns, DeltaFields, FunctionFields, Level, Merge, Origin, Row,
        TextMember, ToolCallFields, ValueType, choice, delta, merge, rows, table, tool_call, top,
        usage,
    };
    use crate::chunk::OwnedChatCompletionChunk;
    use crate::completion::{ReasoningName, Reassembler, filled_completion};
    use crate::gateway::{ChoiceWriter, ChunkWriter, Replay, ToolCallWriter, UsageWriter};

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
            _ => panic!("{level:?} isn't merged by itself"),
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
            _ => panic!("{level:?} isn't merged by itself"),
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
            let unknown = Row::new("unknown", ValueType::Any, other, Origin::Unknown);
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

    /// Compares the table of texts with the rows: each column that is joined is a text.
    #[test]
    fn each_joined_column_of_a_delta_is_a_text() {
        let joined = |name: &&&str| merge(Level::Delta, name) == Merge::Concat;
        let names = DeltaFields::NAMES.iter().filter(joined).copied();
        assert!(names.eq(TextMember::ALL.map(TextMember::as_str)));
    }

    /// Compares the rows with the tables of `docs/wire.md`, in both directions.
    #[test]
    fn the_page_has_the_same_rows() {
        let page = include_str!("../../docs/wire.md");
        for (title, level) in [
            ("Top", Level::Top),
            ("Choice", Level::Choice),
            ("Delta", Level::Delta),
            ("ToolCall", Level::ToolCall),
            ("Function", Level::Function),
            ("ReasoningDetail", Level::ReasoningDetail),
            ("Audio", Level::Audio),
        ] {
            let section = page.split(&format!("\n### {title}")).nth(1).unwrap();
            let section = section.split("\n##").next().unwrap();
            let mut listed: Vec<_> = section
                .lines()
                .filter(|line| line.starts_with("| `"))
                .map(|line| {
                    let cells: Vec<_> = line.split('|').map(str::trim).collect();
                    let name = cells[1].trim_matches('`');
                    (name.to_owned(), cells[3].to_owned(), cells[4].to_owned())
                })
                .collect();
            let mut rows: Vec<_> = rows(level)
                .iter()
                .map(|row| {
                    (row.name.to_owned(), format!("{:?}", row.merge), format!("{:?}", row.origin))
                })
                .collect();
            listed.sort();
            rows.sort();
            assert_eq!(listed, rows, "{title}");
        }
    }

    /// The columns of each level, in the order in which an object has them.
    struct Written {
        level: Level,
        columns: Vec<&'static str>,
    }

    impl Written {
        /// Returns the order of the rows, without members that are never written.
        fn new<C: Columns>(level: Level) -> Self {
            let is_written = |name: &&str| merge(level, name) != Merge::Ignore || *name == "object";
            Self { level, columns: C::NAMES.iter().copied().filter(is_written).collect() }
        }

        fn without(mut self, names: &[&str]) -> Self {
            self.columns.retain(|name| !names.contains(name));
            self
        }

        /// Moves a member behind another one: an exception from the order of the rows.
        fn with(self, name: &'static str, behind: &str) -> Self {
            let mut moved = self.without(&[name]);
            let at = moved.columns.iter().position(|name| *name == behind).unwrap();
            moved.columns.insert(at + 1, name);
            moved
        }

        /// Compares the order of an object's members.
        fn check(&self, object: &Value) {
            let names = object.as_object().unwrap().keys().map(String::as_str);
            let found: Vec<_> = names.filter(|name| self.columns.contains(name)).collect();
            let mut expected = self.columns.clone();
            expected.retain(|name| found.contains(name));
            assert_eq!(found, expected, "{:?}", self.level);
        }

        /// Compares the order, and checks that one of the objects has each member.
        fn check_all<'v>(&self, objects: impl IntoIterator<Item = &'v Value>) {
            let mut missing = self.columns.clone();
            for object in objects {
                self.check(object);
                missing.retain(|name| object.get(name).is_none());
            }
            assert!(missing.is_empty(), "{:?} isn't written: {missing:?}", self.level);
        }
    }

    /// Returns the elements of an array, or none.
    fn elements(array: &Value) -> impl Iterator<Item = &Value> {
        array.as_array().into_iter().flatten()
    }

    fn all<'v>(objects: &[&'v Value], name: &str) -> Vec<&'v Value> {
        objects.iter().filter_map(|object| object.get(name)).collect()
    }

    fn all_elements<'v>(objects: &[&'v Value], name: &str) -> Vec<&'v Value> {
        objects.iter().flat_map(|object| elements(&object[name])).collect()
    }

    /// Returns the chunks of a stream, without its error.
    fn chunks(stream: &[u8]) -> Vec<Value> {
        let events = core::str::from_utf8(stream).unwrap().split("\n\n");
        let data = events.filter_map(|event| event.strip_prefix("data: {\"id\""));
        data.map(|json| serde_json::from_str(&format!("{{\"id\"{json}")).unwrap()).collect()
    }

    fn function_levels() -> [Written; 2] {
        [
            Written::new::<ToolCallFields>(Level::ToolCall),
            Written::new::<FunctionFields>(Level::Function),
        ]
    }

    /// Compares the order of a completion, which has more exceptions than a chunk.
    #[test]
    fn a_completion_is_written_in_the_order_of_the_rows() {
        let completion = serde_json::to_value(filled_completion()).unwrap();
        Written::new::<ChunkFields>(Level::Top)
            .with(top::SERVICE_TIER, top::USAGE)
            .with(top::SYSTEM_FINGERPRINT, top::SERVICE_TIER)
            .check_all([&completion]);
        let choices = all_elements(&[&completion], top::CHOICES);
        Written::new::<ChoiceFields>(Level::Choice)
            .with(choice::MESSAGE, choice::DELTA)
            .with(choice::FINISH_REASON, choice::LOGPROBS)
            .without(&[choice::DELTA])
            .check_all(choices.iter().copied());
        let messages = all(&choices, choice::MESSAGE);
        Written::new::<DeltaFields>(Level::Delta)
            .without(&[delta::REASONING_CONTENT])
            .check_all(messages.iter().copied());
        let calls = all_elements(&messages, delta::TOOL_CALLS);
        let [of_calls, of_functions] = function_levels();
        of_calls.without(&[tool_call::INDEX]).check_all(calls.iter().copied());
        of_functions.check_all(all(&calls, tool_call::FUNCTION));
    }

    #[test]
    fn a_replay_is_written_in_the_order_of_the_rows() {
        let (completion, mut stream) = (filled_completion(), Vec::new());
        Replay::new(&completion).write_all(&mut stream);
        let chunks = chunks(&stream);
        let chunks: Vec<_> = chunks.iter().collect();
        let of_chunks = Written::new::<ChunkFields>(Level::Top);
        of_chunks.check_all(chunks.iter().copied());
        // All chunks repeat the columns before the choices.
        let repeated = of_chunks.columns.iter().take_while(|name| **name != top::CHOICES);
        for name in repeated {
            assert_eq!(all(&chunks, name).len(), chunks.len(), "{name}");
        }
        let choices = all_elements(&chunks, top::CHOICES);
        Written::new::<ChoiceFields>(Level::Choice)
            .without(&[choice::MESSAGE])
            .check_all(choices.iter().copied());
        let deltas = all(&choices, choice::DELTA);
        Written::new::<DeltaFields>(Level::Delta)
            .with(delta::REASONING_DETAILS, delta::FUNCTION_CALL)
            .without(&[delta::REASONING_CONTENT])
            .check_all(deltas.iter().copied());
        let calls = all_elements(&deltas, delta::TOOL_CALLS);
        let [of_calls, of_functions] = function_levels();
        of_calls.check_all(calls.iter().copied());
        of_functions.check_all(all(&calls, tool_call::FUNCTION));
    }

    #[test]
    fn a_gateways_chunk_is_written_in_the_order_of_the_rows() {
        let calls = [ToolCallWriter::begin(0, "call_1", "f").arguments("{}")];
        let choices = [ChoiceWriter::new(0)
            .role("assistant")
            .content("a")
            .refusal("b")
            .reasoning(ReasoningName::Reasoning, "c")
            .tool_calls(&calls)
            .finish_reason("stop")];
        let mut stream = Vec::new();
        ChunkWriter::new("c", "m", 5)
            .service_tier("flex")
            .system_fingerprint("fp")
            .choices(&choices)
            .usage(UsageWriter::new(3, 4).cached(1).reasoning(2))
            .write_event(&mut stream);
        let chunks = chunks(&stream);
        let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
        Written::new::<ChunkFields>(Level::Top).without(&[top::X_GROQ]).check_all([chunk]);
        let choice = &chunk[top::CHOICES][0];
        Written::new::<ChoiceFields>(Level::Choice)
            .without(&[choice::LOGPROBS, choice::MESSAGE])
            .check_all([choice]);
        let delta = &choice[choice::DELTA];
        Written::new::<DeltaFields>(Level::Delta).with(delta::REFUSAL, delta::CONTENT).check(delta);
        let call = &delta[delta::TOOL_CALLS][0];
        let [of_calls, of_functions] = function_levels();
        of_calls.check_all([call]);
        of_functions.check_all([&call[tool_call::FUNCTION]]);
        let columns = rows(Level::Usage).iter().map(|row| row.name).collect();
        Written { level: Level::Usage, columns }
            .without(&[
                usage::CACHED_TOKENS,
                usage::PROMPT_CACHE_HIT_TOKENS,
                usage::REASONING_TOKENS,
            ])
            .check_all([&chunk[top::USAGE]]);
    }
}
