//! `Change`: what the last chunk has added, for whoever looks at a stream while it runs.

/// One thing that a [`push`](super::Reassembler::push) has changed; see
/// [`changes`](super::Reassembler::changes).
///
/// Choices and calls are told by their positions in
/// [`snapshot`](super::Reassembler::snapshot) as it is after the push. They stand by their indexes:
/// one that begins late may begin before others, which then stand one further. A `start` is where
/// the new text begins: a byte offset in the text as it is after the push, on a character's boundary. Where half a surrogate pair has met its
/// other half, the new text begins with the whole character that stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A choice has begun, before the choices that stood at this position, if any did.
    ChoiceStarted {
        /// Position of the choice.
        choice: usize,
    },
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
    /// A tool call is done: the stream has gone on to another one, its choice has finished, or
    /// `[DONE]` came. Should it go on with this one after all, it will be told again. Where a stream
    /// breaks off, [`pending`](super::Finished::pending) has the calls that it was at.
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

/// Tells that a text is new from a place on. Where that is its beginning it may have been replaced:
/// what was told of it before is void.
pub(super) fn tell(changes: &mut Vec<Change>, change: Option<Change>) {
    let Some(change) = change else { return };
    if change == change.at_its_start() {
        changes.retain(|earlier| earlier.at_its_start() != change);
    }
    changes.push(change);
}

impl Change {
    /// The same, were all of the text new.
    const fn at_its_start(mut self) -> Self {
        if let Self::Content { start, .. }
        | Self::Refusal { start, .. }
        | Self::Reasoning { start, .. }
        | Self::Arguments { start, .. } = &mut self
        {
            *start = 0;
        }
        self
    }

    /// A choice has been put at `at`: those behind it stand one further.
    pub(super) const fn shift_choices(&mut self, at: usize) {
        let (Self::ChoiceStarted { choice }
        | Self::Content { choice, .. }
        | Self::Refusal { choice, .. }
        | Self::Reasoning { choice, .. }
        | Self::ToolCallStarted { choice, .. }
        | Self::Arguments { choice, .. }
        | Self::ToolCallDone { choice, .. }
        | Self::Finished { choice }) = self;
        if *choice >= at {
            *choice += 1;
        }
    }

    /// A call of a choice has been put at `at`: those behind it stand one further.
    pub(super) const fn shift_calls(&mut self, of: usize, at: usize) {
        if let Self::ToolCallStarted { choice, call }
        | Self::Arguments { choice, call, .. }
        | Self::ToolCallDone { choice, call } = self
            && *choice == of
            && *call >= at
        {
            *call += 1;
        }
    }
}
