//! The merge rules of members that are kept as JSON text: one table, by level and name.

/// How the values that a member has in the chunks of a stream become one.
///
/// `null` never replaces anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The first value stays.
    First,
    /// The last value counts.
    Last,
    /// Arrays are joined.
    Append,
    /// Strings are joined.
    Concat,
    /// Objects are merged member by member, the last value of each counts.
    DeepLast,
    /// The elements of arrays are objects that go on with the one of the same `index`.
    IndexMerge,
    /// An object whose `input` is joined, and whose other members are kept first.
    CustomCall,
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
    Usage,
    ReasoningDetail,
    Audio,
}

/// The rule for the member `name`, which is not among the fields of the completion's types.
///
/// What the table doesn't name is some provider's own: its last value is kept.
pub(crate) fn rule(level: Level, name: &str) -> Rule {
    use Rule::{Append, Concat, CustomCall, DeepLast, Drop, First, IndexMerge, Last};

    match (level, name) {
        (Level::Top, "provider" | "prompt_token_ids" | "prompt_text") => First,
        (Level::Top, "x_groq" | "sglext") => DeepLast,
        (Level::Top, "prompt_filter_results") => IndexMerge,
        (Level::Top, "warnings") => Append,
        (Level::Top, "p" | "stream_options" | "__verbose") => Drop,

        (Level::Choice, "token_ids") => Append,
        (Level::Choice, "prompt_token_ids") => First,
        (Level::Choice, "content_filter_results" | "content_filter_result") => DeepLast,

        (Level::Delta, "annotations" | "images" | "citations" | "reasoning_steps") => Append,
        (Level::Delta, "executed_tools") => IndexMerge,
        (Level::Delta, "extra_content") => DeepLast,
        (Level::Delta, "token_id") => Drop,

        (Level::ToolCall, "custom") => CustomCall,
        (Level::ToolCall, _) => DeepLast,

        (Level::Usage, _) => DeepLast,

        (Level::ReasoningDetail, "text" | "summary" | "data") => Concat,

        (Level::Audio, "id") => First,
        (Level::Audio, "transcript" | "data") => Concat,

        _ => Last,
    }
}
