//! `Change`: what the last chunk has added, for whoever looks at a stream while it runs.

/// One thing that a [`push`](super::Reassembler::push) has changed; see
/// [`changes`](super::Reassembler::changes).
///
/// Choices and calls are told by their positions in
/// [`snapshot`](super::Reassembler::snapshot). A `start` is where the new text begins: a byte
/// offset in the text so far, on a character's boundary. Where half a surrogate pair has met its
/// other half, the new text begins with the whole character that stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The content has grown.
    Content {
        /// Position of the choice.
        choice: usize,
        /// Where the new text begins.
        start: usize,
    },
    /// The refusal has grown.
    Refusal {
        /// Position of the choice.
        choice: usize,
        /// Where the new text begins.
        start: usize,
    },
    /// The reasoning has grown.
    Reasoning {
        /// Position of the choice.
        choice: usize,
        /// Where the new text begins.
        start: usize,
    },
    /// A tool call has begun, before the calls that stood at this position, if any did.
    ToolCallStarted {
        /// Position of the choice.
        choice: usize,
        /// Position of the call.
        call: usize,
    },
    /// The arguments of a tool call have grown, or have been replaced: then they begin at 0.
    Arguments {
        /// Position of the choice.
        choice: usize,
        /// Position of the call.
        call: usize,
        /// Where the new text begins.
        start: usize,
    },
    /// A tool call is done: another one has begun, or its choice has finished. Should a server
    /// interleave its calls and go on with this one, it will be told again.
    ToolCallDone {
        /// Position of the choice.
        choice: usize,
        /// Position of the call.
        call: usize,
    },
    /// A choice has got its first finish reason.
    Finished {
        /// Position of the choice.
        choice: usize,
    },
}
