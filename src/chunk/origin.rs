//! `Origin`: whether a member's values are of the server, or which output of the model they are.

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

impl Origin {
    /// Returns true if the values are output of the model.
    pub(crate) const fn is_output(self) -> bool {
        !matches!(self, Self::Server | Self::Padding | Self::Duplicate | Self::Unknown)
    }

    /// Returns true if the strings are the server's own words.
    pub(crate) const fn is_server(self) -> bool {
        matches!(self, Self::Server | Self::Padding)
    }
}
