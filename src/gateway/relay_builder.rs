//! `RelayBuilder`: the parts of a relay.

use super::latency::Meter;
use super::observe::Observer;
use super::relay::{Relay, Stages};
use super::relay_guard::RelayGuard;
use super::rewrite::Editor;
use crate::completion::Reassembler;
use crate::decoder::{ChunkDecoder, Templates};
use crate::limits::Limits;

/// Builds a [`Relay`]. A relay always forwards and observes; all other parts are optional.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RelayBuilder {
    limits: Limits,
    templates: Templates,
    measures: bool,
    editor: Option<Box<Editor>>,
    passes_unreadable: bool,
    guard: Option<Box<RelayGuard>>,
    collects: bool,
    message: Box<str>,
}

impl RelayBuilder {
    pub(super) fn new() -> Self {
        Self {
            limits: Limits::new(),
            templates: Templates::process(),
            measures: false,
            editor: None,
            passes_unreadable: false,
            guard: None,
            collects: false,
            message: "The response is incomplete.".into(),
        }
    }

    /// Sets the limits of the decoder, the observer and the completion.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the templates of the upstream. By default they are those of the process.
    pub fn templates(mut self, templates: &Templates) -> Self {
        self.templates = templates.clone();
        self
    }

    /// Measures the time to the first token, and the gaps between tokens.
    pub const fn measure(mut self) -> Self {
        self.measures = true;
        self
    }

    /// Writes each event by the rules of an editor.
    pub fn edit(mut self, editor: Editor) -> Self {
        self.editor = Some(Box::new(editor));
        self
    }

    /// Lets events pass that an editor can't read: see [`RewriteOutcome::Unreadable`].
    ///
    /// By default such an event stops the stream, since it may contain a value that a rule changes. So
    /// does an event with a line that is no field, since no rule edits it. An editor without rules
    /// stops nothing.
    ///
    /// [`RewriteOutcome::Unreadable`]: super::RewriteOutcome::Unreadable
    pub const fn pass_unreadable(mut self) -> Self {
        self.passes_unreadable = true;
        self
    }

    /// Holds events back until their texts are searched. The guard sees the text as it came.
    pub fn guard(mut self, guard: RelayGuard) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// Collects the completion, as the upstream sends it.
    pub const fn collect(mut self) -> Self {
        self.collects = true;
        self
    }

    /// Sets the message of the error event behind a stream that is cut or stopped.
    pub fn error_message(mut self, message: &str) -> Self {
        self.message = message.into();
        self
    }

    /// Builds the relay. Allocates only if a part does.
    #[must_use]
    pub fn build(self) -> Relay {
        let Self {
            limits,
            templates,
            measures,
            editor,
            passes_unreadable,
            guard,
            collects,
            message,
        } = self;
        let stages = Stages {
            observer: Observer::with_limits(&limits),
            meter: measures.then(Meter::new),
            editor,
            guard,
            completion: collects.then(|| Box::new(Reassembler::with_limits(limits))),
            edited: Vec::new(),
            message,
            passes_unreadable,
            is_open: false,
            is_done: false,
            has_late_choice: false,
            stopped: None,
        };
        Relay::new(ChunkDecoder::with_limits(limits).with_templates(&templates), stages)
    }
}
