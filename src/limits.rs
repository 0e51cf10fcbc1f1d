//! `Limits`: every bound that the crate enforces, its default and the reason for it.

/// What one stream may make the crate hold in memory.
///
/// Memory per stream is at most these bounds plus a small constant, whatever the peer
/// sends and however it is cut. None of them ends a stream: an event that goes over one is
/// reported with its offset, its bytes stay forwardable, and reading goes on behind it; what
/// would make a completion go over one is left out, and the completion says so.
///
/// | limit | default | counted in | the standard says |
/// |---|---|---|---|
/// | [`line_bytes`](Self::line_bytes) | 64 MiB | bytes of one line, its end not counted | nothing |
/// | [`event_bytes`](Self::event_bytes) | 64 MiB | every byte that an event makes the decoder hold | nothing |
/// | [`comment_bytes`](Self::comment_bytes) | 16 KiB | bytes of a line that is no field | "ignore the line" |
/// | [`id_bytes`](Self::id_bytes) | 64 KiB | bytes of the last event ID | nothing |
/// | [`json_depth`](Self::json_depth) | 128 | nested arrays and objects | RFC 8259, 9: "may set limits" |
/// | [`json_values`](Self::json_values) | 1 048 576 | names and values of one payload | RFC 8259, 9 |
/// | [`choices`](Self::choices) | 128 | choices of one completion | `n` is at most 128 |
/// | [`tool_calls`](Self::tool_calls) | 1 024 | tool calls of one choice | nothing |
/// | [`members`](Self::members) | 256 | members of one JSON object that is merged | nothing |
/// | [`completion_bytes`](Self::completion_bytes) | 64 MiB | text and raw JSON kept in one completion | nothing |
/// | [`logprob_entries`](Self::logprob_entries) | 1 048 576 | tokens with log probabilities in one completion | nothing |
///
/// # Memory
///
/// Buffers grow by doubling, and the allocator may hold the old buffer while a new one is filled.
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
    /// A base64 image of 4K size is one line of 29.7 MB, and caps of 8 to 256 KiB are known
    /// to break users.
    pub line_bytes: usize,

    /// Largest event: the bytes of all its lines, field names, comments between them and
    /// line ends included, where `data` comes in several lines their joined copy too, and where
    /// its type isn't UTF-8 the text with U+FFFD that stands for it.
    /// Default 64 MiB; values below 16 count as 16.
    ///
    /// A line feed that follows the carriage return of the closing blank line does not count:
    /// the event is complete without it. Buffers grow by doubling up to this bound; where data
    /// comes in several lines, there are two of them, which can hold a half more together.
    pub event_bytes: usize,

    /// How much is kept of a comment, or of a line that is no field, between events.
    /// Default 16 KiB; values below 16 count as 16.
    ///
    /// Going over it is no error: the standard ignores such lines, so one of any length does
    /// no harm and needs no buffer. Its first `comment_bytes` are delivered, the rest is
    /// passed on as [`Skipped`](crate::EventKind::Skipped).
    pub comment_bytes: usize,

    /// Longest last event ID that is remembered, in bytes of its text: U+FFFD, which stands for
    /// what isn't UTF-8, is three. Default 64 KiB.
    ///
    /// It outlives its event, and a client sends it back in the `Last-Event-ID` header, where
    /// servers rarely take more than 8 to 64 KiB for all headers together. An event with a
    /// longer `id` is reported as an error, its bytes at hand; of several `id` lines the last one
    /// counts.
    pub id_bytes: usize,

    /// Deepest nesting of arrays and objects in a payload. Default 128.
    ///
    /// Values above 512 count as 512. Chunks nest 8 deep, and the widespread readers stop at 127 or
    /// 1 024. The kept values of a completion are merged and dropped level by level. In an
    /// optimised build, 512 levels need up to 256 KiB of stack:
    /// `cargo test --release --test faults`.
    pub json_depth: usize,

    /// Most names and values in one payload. Default 1 048 576.
    ///
    /// Reading one costs up to 64 bytes of memory, whatever its length; and strings that have
    /// escapes are held unescaped, which is at most the payload's length besides. The token ids of a long
    /// prompt, which vLLM sends in the first chunk, are the most that is known: 131 072.
    pub json_values: usize,

    /// Most choices of one completion. Default 128, which is OpenAI's bound for `n`.
    ///
    /// An index is a key, never a slot: `index: 4294967295` costs one choice.
    pub choices: usize,

    /// Most tool calls of one choice. Default 1 024; OpenAI accepts 128 tools in a request.
    pub tool_calls: usize,

    /// Most members of one JSON object that is merged from several chunks, as `usage` is.
    /// Default 256. They are looked through one by one.
    pub members: usize,

    /// Most text and raw JSON that one completion keeps, in bytes; besides, 64 KiB of usage and a
    /// finish reason of up to 64 bytes for each choice. Default 64 MiB.
    pub completion_bytes: usize,

    /// Most tokens with log probabilities that one completion keeps. Default 1 048 576, above
    /// every model's output length.
    pub logprob_entries: usize,
}

impl Limits {
    /// The default limits.
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
