//! `Limits`: every bound that the crate enforces, its default and the reason for it.
//!
//! A new limit needs a field with its reason, a row in the table, a default, and a line in
//! `fuzz/bodies/input.rs`. If completions report it, it needs a variant of `Limit`.

/// The bounds of memory for one stream.
///
/// Memory per stream is at most these bounds plus a constant, for any bytes in any pieces. No bound
/// ends a stream. The decoder reports an event over a limit with its offset and passes its bytes
/// on; the next event is read normally. A completion omits values over a limit, and reports the
/// limit.
///
/// | limit | default | unit | standard |
/// |---|---|---|---|
/// | [`line_bytes`](Self::line_bytes) | 64 MiB | bytes of one line without its end | – |
/// | [`event_bytes`](Self::event_bytes) | 64 MiB | all bytes stored of one event | – |
/// | [`comment_bytes`](Self::comment_bytes) | 16 KiB | bytes of a comment or unknown field | WHATWG HTML 9.2: "ignore the line" |
/// | [`id_bytes`](Self::id_bytes) | 64 KiB | bytes of the last event ID | – |
/// | [`json_depth`](Self::json_depth) | 128 | nested arrays and objects | RFC 8259, 9: "may set limits" |
/// | [`json_values`](Self::json_values) | 1 048 576 | names and values of one payload | RFC 8259, 9 |
/// | [`choices`](Self::choices) | 128 | choices of one completion | OpenAI: `n` is at most 128 |
/// | [`tool_calls`](Self::tool_calls) | 1 024 | tool calls of one choice | – |
/// | [`members`](Self::members) | 256 | members of one merged JSON object | – |
/// | [`completion_bytes`](Self::completion_bytes) | 64 MiB | texts and JSON of one completion | – |
/// | [`logprob_entries`](Self::logprob_entries) | 1 048 576 | tokens with log probabilities in one completion | – |
///
/// # Memory
///
/// Buffers grow by doubling, and the allocator may use the old buffer while a new one is filled.
/// The factors include both. The heap in use at the peak is at most:
///
/// | type | bytes |
/// |---|---|
/// | [`SseDecoder`](crate::SseDecoder) | 2 × `event_bytes` + 3 × `id_bytes` + 64 KiB |
/// | `ChunkDecoder` | those of an `SseDecoder`, and `event_bytes` + 96 × `json_values` |
/// | `UsageTap`; `ChunkStream`, `EventStream`, `EventCodec` without the current piece | those of a `ChunkDecoder` and of an `Observer` |
/// | `Reassembler` | 3 × `completion_bytes` + 256 KiB + 1 KiB × `choices`, and 96 × `json_values` for the changes of the current chunk; after a reset 1 MiB + 128 KiB |
/// | `Observer` | 16 KiB + 256 × `choices`; after a reset 16 KiB |
/// | `Meter`, `Sniffer` | 16 KiB |
/// | `Editor` | 16 × the current event + 64 KiB |
/// | `Guard` | 6 × its own bound, and 4 KiB for each of its texts |
/// | `Replay` | 2 × the longest event that it writes + 16 KiB |
///
/// The buffers of a large event are freed after 64 small events in a row.
///
/// ```
/// use deltawire::{Limits, SseDecoder};
///
/// let mut limits = Limits::default();
/// limits.event_bytes = 1 << 20;
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
    pub line_bytes: usize,

    /// Largest event, in bytes. Default 64 MiB; values below 16 count as 16.
    ///
    /// All its lines count, with field names, comments and line ends. Data of several lines count a
    /// second time, for their joined copy. So does a type that isn't UTF-8, with U+FFFD in place of
    /// invalid bytes.
    ///
    /// A line feed behind the carriage return of the closing blank line doesn't count: the event is
    /// complete without it. Buffers grow by doubling up to this bound. Data of several lines need
    /// two of them, which together can exceed it by a half.
    pub event_bytes: usize,

    /// The longest stored beginning of a comment or unknown field between events, in bytes. Default
    /// 16 KiB.
    ///
    /// Values below 16 count as 16. A longer line is no error, because WHATWG HTML 9.2 ignores such
    /// lines. Its first `comment_bytes` are delivered, and the rest is passed on as
    /// [`Skipped`](crate::EventKind::Skipped).
    pub comment_bytes: usize,

    /// Longest last event ID, in bytes of its UTF-8 text. Default 64 KiB.
    ///
    /// U+FFFD, which replaces invalid bytes, counts three. The ID outlives its event: a client
    /// sends it back in the `Last-Event-ID` header. Servers rarely accept more than 8 to 64 KiB of
    /// headers. An event with a longer `id` is an error, with its bytes available; of several `id`
    /// lines the last one counts.
    pub id_bytes: usize,

    /// Deepest nesting of arrays and objects in a payload. Default 128.
    ///
    /// Values above 512 count as 512. Chunks nest 8 deep, and common parsers stop at 127 or 1 024.
    /// Stored values of a completion are merged and dropped level by level. In an optimised build,
    /// 512 levels need up to 256 KiB of stack: `cargo test --release --test faults`.
    pub json_depth: usize,

    /// Most names and values in one payload. Default 1 048 576.
    ///
    /// Each needs up to 64 bytes of memory, independent of its length. Strings with escapes are
    /// also stored unescaped, which needs at most the payload's length. The largest known payload
    /// has the token ids of a long prompt, which vLLM sends in the first chunk: 131 072.
    pub json_values: usize,

    /// Most choices of one completion. Default 128, which is OpenAI's bound for `n`.
    ///
    /// An index is a key, not a position: `index: 4294967295` costs one choice.
    pub choices: usize,

    /// Most tool calls of one choice. Default 1 024; OpenAI accepts 128 tools in a request.
    pub tool_calls: usize,

    /// Most members of one JSON object that is merged from several chunks, such as `usage`. Default
    /// 256.
    ///
    /// The search for a member is linear.
    pub members: usize,

    /// Most bytes of texts and JSON that one completion stores. Default 64 MiB.
    ///
    /// Not counted are 64 KiB of usage, and a finish reason of up to 64 bytes for each choice.
    pub completion_bytes: usize,

    /// Most tokens with log probabilities that one completion stores. Default 1 048 576.
    ///
    /// The default is above every model's output length.
    pub logprob_entries: usize,
}

impl Limits {
    /// Returns the default limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line_bytes: 64 << 20,
            event_bytes: 64 << 20,
            comment_bytes: 16 << 10,
            id_bytes: 64 << 10,
            json_depth: 128,
            json_values: 1 << 20,
            choices: 128,
            tool_calls: 1024,
            members: 256,
            completion_bytes: 64 << 20,
            logprob_entries: 1 << 20,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
