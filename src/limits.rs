//! `Limits`: every bound that the crate enforces, its default and the reason for it.
//!
//! # To add a limit
//!
//! 1. Add a field with its reason, a row in the table, a default, and a line in `setters!`. A limit
//!    without a setter doesn't compile.
//! 2. Add a line in `tests/bodies/input.rs`.
//! 3. A parser reads its limits in `json/mod.rs`, a decoder in `sse/decoder.rs`. A completion stores
//!    them in `Budgets` in `completion/budgets.rs`. If it reports the limit, add a variant of
//!    `CompletionLimit` in `completion/budget.rs`, with the name of the field.
//! 4. A body in memory has no limit on memory: see `BODY_LIMITS` in `completion/whole_completion.rs`.

/// The deepest nesting that a limit can allow, in arrays and objects.
///
/// Stored values are merged, compared, written and dropped level by level, and each level needs
/// stack.
pub(crate) const MOST_JSON_DEPTH: usize = 512;

/// The bounds of memory for one stream.
///
/// Memory per stream is at most these bounds plus a constant, for any bytes in any pieces. No bound
/// ends a stream. The decoder reports an event over a limit with its offset and passes its bytes
/// on; the next event is read normally. A completion omits values over a limit, and reports the
/// limit.
///
/// | limit | default | unit | standard |
/// |---|---|---|---|
/// | [`max_line_bytes`](Self::max_line_bytes) | 64 MiB | bytes of one line without its end | – |
/// | [`max_event_bytes`](Self::max_event_bytes) | 64 MiB | all bytes stored of one event | – |
/// | [`max_comment_bytes`](Self::max_comment_bytes) | 16 KiB | bytes of a comment or unknown field | WHATWG HTML 9.2: "ignore the line" |
/// | [`max_id_bytes`](Self::max_id_bytes) | 64 KiB | bytes of the last event ID | – |
/// | [`max_json_depth`](Self::max_json_depth) | 128 | nested arrays and objects | RFC 8259, 9: "may set limits" |
/// | [`max_json_values`](Self::max_json_values) | 1 048 576 | names and values of one payload | RFC 8259, 9 |
/// | [`max_choices`](Self::max_choices) | 128 | choices of one completion | OpenAI: `n` is at most 128 |
/// | [`max_tool_calls`](Self::max_tool_calls) | 1 024 | tool calls of one choice | – |
/// | [`max_members`](Self::max_members) | 256 | members of one merged JSON object | – |
/// | [`max_completion_bytes`](Self::max_completion_bytes) | 64 MiB | texts and JSON of one completion | – |
/// | [`max_logprob_entries`](Self::max_logprob_entries) | 1 048 576 | tokens with log probabilities in one completion | – |
///
/// # Memory
///
/// Buffers grow by doubling, and the allocator may use the old buffer while a new one is filled.
/// The factors include both. The heap in use at the peak is at most:
///
/// | type | bytes |
/// |---|---|
/// | [`SseDecoder`](crate::SseDecoder); `SseStream`, `OwnedSseStream`, `SseCodec` without the current piece | 2 × the larger of `max_event_bytes` and `max_comment_bytes` + 3 × `max_id_bytes` + 64 KiB |
/// | `ChunkDecoder` | those of an `SseDecoder`, and `max_event_bytes` + 96 × `max_json_values` + 768 KiB |
/// | `Templates` | 6 MiB, and as much again for an older state that streams still use |
/// | `UsageTap`; `ChunkStream`, `OwnedChunkStream`, `ChunkCodec` without the current piece | those of a `ChunkDecoder` and of an `Observer` |
/// | `Reassembler` | 3 × `max_completion_bytes` + 256 KiB + 1 KiB × `max_choices`, and 96 × `max_json_values` for the changes of the current chunk; after a reset 1 MiB + 128 KiB |
/// | `Observer` | 16 KiB + 256 × `max_choices`; after a reset 16 KiB |
/// | `Meter`, `Sniffer` | 16 KiB |
/// | `Editor` | 96 × the current event + 64 KiB; 16 × if it only replaces and removes members of the chunk |
/// | `ChatRequest` | 64 × `max_json_values` + 3 × the body + 16 KiB, while it reads |
/// | `Guard` | 6 × its own bound, 4 KiB for each of its texts, and 2 × the current piece if it is over a limit |
/// | `Replay` | 2 × the longest event that it writes + 16 KiB |
///
/// The buffers of a large event are freed after 64 small events in a row. A new decoder allocates
/// nothing. An `SseDecoder` is 56 bytes on a 64-bit processor, and 240 bytes more until 64 events in a
/// row are whole single lines. An `Observer` is 104 bytes, and 232 bytes more once there is a usage, a
/// finish reason or an error. A `ChunkDecoder` frees the buffers of its parser after 64 events in a row
/// that match a template. Both numbers double each time.
///
/// ```
/// use deltawire::{Limits, SseDecoder};
///
/// let limits = Limits::new().with_max_event_bytes(1 << 20).with_max_choices(1);
/// let decoder = SseDecoder::with_limits(limits);
/// # let _ = decoder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest line, in bytes, without its line end. Default 64 MiB; values below 16 count as 16.
    ///
    /// A base64 image of 4K size is one line of 29.7 MB, and limits of 8 to 256 KiB are known to
    /// break clients.
    pub max_line_bytes: usize,

    /// Largest event, in bytes. Default 64 MiB; values below 16 count as 16.
    ///
    /// All its lines count, with field names, comments and line ends. Data of several lines count a
    /// second time, for their joined copy. So does a type that isn't UTF-8, with U+FFFD in place of
    /// invalid bytes.
    ///
    /// A line feed behind the carriage return of the closing blank line doesn't count: the event is
    /// complete without it. Buffers grow by doubling up to this bound. Data of several lines need
    /// two of them, which together can exceed it by a half.
    pub max_event_bytes: usize,

    /// The longest stored beginning of a comment or unknown field between events, in bytes. Default
    /// 16 KiB.
    ///
    /// Values below 16 count as 16. A longer line is no error, because WHATWG HTML 9.2 ignores such
    /// lines. Its first `max_comment_bytes` are delivered, and the rest is passed on as
    /// [`Skipped`](crate::sse::EventKind::Skipped).
    pub max_comment_bytes: usize,

    /// Longest last event ID, in bytes of its UTF-8 text. Default 64 KiB.
    ///
    /// U+FFFD, which replaces invalid bytes, counts three. The ID outlives its event: a client
    /// sends it back in the `Last-Event-ID` header. Servers rarely accept more than 8 to 64 KiB of
    /// headers. An event with a longer `id` is an error, with its bytes available; of several `id`
    /// lines the last one counts.
    pub max_id_bytes: usize,

    /// Deepest nesting of arrays and objects in a payload. Default 128.
    ///
    /// Values above 512 count as 512. Chunks nest 8 deep, and common parsers stop at 127 or 1 024.
    /// Stored values of a completion are merged and dropped level by level. In an optimised build,
    /// 512 levels need up to 256 KiB of stack: `cargo test --release --test alloc faults`.
    pub max_json_depth: usize,

    /// Most names and values in one payload. Default 1 048 576.
    ///
    /// Each needs up to 64 bytes of memory, independent of its length. A payload has at most 4 096
    /// choices and 4 096 tool calls, each of which needs up to 100 bytes more. Strings with escapes are
    /// also stored unescaped, which needs at most the payload's length. The largest known payload
    /// has the token ids of a long prompt, which vLLM sends in the first chunk: 131 072.
    pub max_json_values: usize,

    /// Most choices of one completion. Default 128, which is OpenAI's bound for `n`.
    ///
    /// An index is a key, not a position: `index: 4294967295` costs one choice.
    pub max_choices: usize,

    /// Most tool calls of one choice. Default 1 024; OpenAI accepts 128 tools in a request.
    pub max_tool_calls: usize,

    /// Most members of one JSON object that is merged from several chunks, such as `usage`. Default
    /// 256.
    ///
    /// The search for a member is linear.
    pub max_members: usize,

    /// Most bytes of texts and JSON that one completion stores. Default 64 MiB.
    ///
    /// A choice, and each of its tool calls, counts 512 bytes besides its texts. A member or element
    /// of merged JSON counts 96 bytes besides its name and value. Once a text or value doesn't fit, no
    /// further one is stored: with a limit below 512 bytes none is.
    ///
    /// Not counted are 64 KiB of usage, and a finish reason of up to 64 bytes for each choice.
    pub max_completion_bytes: usize,

    /// Most tokens with log probabilities that one completion stores. Default 1 048 576.
    ///
    /// Those of `logprobs` and `reasoning_logprobs` count together. The parallel arrays of the legacy
    /// form have one entry for each token, so the longest one counts. If the lists in `logprobs` don't
    /// all fit, none of this chunk or a later one is stored. So it is for `reasoning_logprobs`.
    ///
    /// The default is above every model's output length.
    pub max_logprob_entries: usize,
}

/// Generates a setter for each limit. A field without one doesn't compile.
macro_rules! setters {
    ($($setter:ident, $field:ident;)*) => {
        #[expect(dead_code, reason = "a field without a setter doesn't compile")]
        const fn each_has_a_setter(&self) {
            let Self { $($field: _,)* } = self;
        }

        $(
            #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
            #[must_use]
            pub const fn $setter(mut self, $field: usize) -> Self {
                self.$field = $field;
                self
            }
        )*
    };
}

impl Limits {
    /// Returns the default limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_line_bytes: 64 << 20,
            max_event_bytes: 64 << 20,
            max_comment_bytes: 16 << 10,
            max_id_bytes: 64 << 10,
            max_json_depth: 128,
            max_json_values: 1 << 20,
            max_choices: 128,
            max_tool_calls: 1024,
            max_members: 256,
            max_completion_bytes: 64 << 20,
            max_logprob_entries: 1 << 20,
        }
    }

    setters! {
        with_max_line_bytes, max_line_bytes;
        with_max_event_bytes, max_event_bytes;
        with_max_comment_bytes, max_comment_bytes;
        with_max_id_bytes, max_id_bytes;
        with_max_json_depth, max_json_depth;
        with_max_json_values, max_json_values;
        with_max_choices, max_choices;
        with_max_tool_calls, max_tool_calls;
        with_max_members, max_members;
        with_max_completion_bytes, max_completion_bytes;
        with_max_logprob_entries, max_logprob_entries;
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
