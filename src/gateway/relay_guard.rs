//! `RelayGuard`: the guard of a relay, with its finders and its rule for unwatched values.

use core::fmt;

use super::byte_edit::Place;
use super::finder::Finder;
use super::guard::Guard;
use super::guard_search::TextMatch;
use super::push_result::PushResult;
use super::relay_completion::CompletionError;
use super::watched_text::WatchedTextId;
use crate::completion::Handling;
use crate::decoder::ChunkEvent;
use crate::json::Value;
use crate::report::named;
use crate::sse::EventKind;

/// A guard with its finders; see [`RelayBuilder::guard`](super::RelayBuilder::guard).
///
/// A stream that the guard can't check is stopped: see [`StopReason`]. The guard sees the members under
/// the names that the upstream sends, before an editor renames them.
///
/// With another `index` of a choice or element, a client joins other texts. So all texts of an event are
/// unwatched if a rule of the editor changes, adds, renames or removes an `index` inside of the chunk. So
/// are they if a rule is for the element at a position of a list, except for a part of a content. A
/// rule for the ids of tool calls isn't noticed. It may join two calls that the guard searches apart.
pub struct RelayGuard {
    guard: Guard,
    stop: Option<Box<dyn Finder + Send>>,
    redact: Option<(Box<dyn Finder + Send>, Box<str>)>,
    passes_unwatched: bool,
    redactions: u64,
}

/// The reason for which a relay has stopped a stream before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// [`RelayGuard::stop_at`] has found something in a text.
    Found(WatchedTextId),
    /// An event has a value that isn't [harmless](Guard#what-is-harmless).
    Unwatched,
    /// An event can't be read, so an editor can't change it.
    Unreadable,
    /// An event, or a text that may still become a match, exceeds the bound of the guard.
    TooLarge,
    /// The gateway has stopped the stream: [`RelayEnd::Stopped`](super::RelayEnd::Stopped).
    Gateway,
}

impl StopReason {
    /// Returns the name of the reason, in lower case with underscores.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Found(_) => "content_filter",
            Self::Unwatched => "unwatched_content",
            Self::Unreadable => "unreadable_event",
            Self::TooLarge => "guard_exceeded",
            Self::Gateway => "stopped",
        }
    }

    /// Returns the row of the reason in the last table of [`Handling`].
    #[must_use]
    pub const fn handling(&self) -> Handling {
        match self {
            Self::Found(_) => Handling::new(400, [false, true, false]),
            Self::Unwatched | Self::Unreadable | Self::TooLarge => {
                Handling::new(502, [false, true, false])
            }
            Self::Gateway => Handling::new(504, [false, true, true]),
        }
    }
}

named!(StopReason);

impl RelayGuard {
    /// Creates rules for a guard: nothing is searched, and nothing unwatched passes.
    #[must_use]
    pub const fn new(guard: Guard) -> Self {
        let (stop, redact, passes_unwatched) = (None, None, false);
        Self { guard, stop, redact, passes_unwatched, redactions: 0 }
    }

    /// Stops the stream at the first match of a finder: see [`Guard::stop_at`].
    ///
    /// A guard has one such finder, and a second call replaces it. To find more, join the strings in one
    /// [`Words`](super::Words), or the expressions of a `Pattern` by `|`.
    #[must_use]
    pub fn stop_at(mut self, finder: impl Finder + Send + 'static) -> Self {
        self.stop = Some(Box::new(finder));
        self
    }

    /// Replaces each match of a finder by `mask`: see [`Guard::redact`].
    ///
    /// A guard has one such finder, and a second call replaces it, as for [`stop_at`](Self::stop_at).
    ///
    /// A report counts the matches that were replaced in held events. It includes those in events that
    /// the client never receives, since the stream was stopped.
    #[must_use]
    pub fn redact(mut self, finder: impl Finder + Send + 'static, mask: &str) -> Self {
        self.redact = Some((Box::new(finder), mask.into()));
        self
    }

    /// Lets events pass whose values the guard doesn't watch, such as log probabilities and errors.
    ///
    /// By default such an event stops the stream, since no finder sees these values.
    #[must_use]
    pub const fn pass_unwatched(mut self) -> Self {
        self.passes_unwatched = true;
        self
    }

    /// Holds an event, and releases the events that were searched.
    pub(super) fn push(
        &mut self,
        event: &ChunkEvent<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), StopReason> {
        // Else the reason would depend on the pieces: a long one may be too large as well.
        if event.event().kind() == EventKind::Skipped && !self.passes_unwatched {
            return Err(StopReason::Unwatched);
        }
        let pushed = self.guard.push(event);
        self.check(pushed, out)
    }

    /// Holds an event that is released as the bytes `written`; see [`Guard::push_written`].
    pub(super) fn push_written<'e>(
        &mut self,
        event: &ChunkEvent<'e>,
        written: &[u8],
        find: impl Fn(Value<'e>) -> Place,
        out: &mut Vec<u8>,
    ) -> Result<(), StopReason> {
        let pushed = self.guard.push_written(event, written, find);
        self.check(pushed, out)
    }

    /// Holds the bytes that are written in place of an event whose chunk is dropped.
    pub(super) fn push_without_chunk(
        &mut self,
        written: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StopReason> {
        let pushed = self.guard.push_without_chunk(written);
        self.check(pushed, out)
    }

    /// Searches a whole completion, and appends it to `out`; see [`Guard::push_completion`].
    ///
    /// Returns the number of matches that were replaced.
    pub(super) fn write_completion(
        &mut self,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<u64, CompletionError> {
        // A stream may be open: its events remain held, and its matches are counted apart.
        let empty = self.guard.empty();
        let guard = core::mem::replace(&mut self.guard, empty);
        let redactions = core::mem::take(&mut self.redactions);
        let (start, pushed) = (out.len(), self.guard.push_completion(json));
        let written = pushed.map(|pushed| {
            self.check(pushed, out)?;
            self.release_last(out)?;
            Ok(self.redactions)
        });
        (self.guard, self.redactions) = (guard, redactions);
        written?.map_err(|reason| {
            out.truncate(start);
            CompletionError::Stopped(reason)
        })
    }

    fn check(&mut self, pushed: PushResult, out: &mut Vec<u8>) -> Result<(), StopReason> {
        match pushed {
            PushResult::Text | PushResult::NoText => {}
            PushResult::Unwatched if self.passes_unwatched => {}
            PushResult::Unwatched => return Err(StopReason::Unwatched),
            PushResult::Full | PushResult::TooLarge => return Err(StopReason::TooLarge),
        }
        self.search()?;
        self.guard.release_searched(out);
        Ok(())
    }

    fn search(&mut self) -> Result<(), StopReason> {
        if let Some(finder) = &self.stop
            && let Some(TextMatch { id, .. }) = self.guard.stop_at(&**finder)
        {
            return Err(StopReason::Found(id));
        }
        if let Some((finder, mask)) = &self.redact {
            let count = self.guard.redact(&**finder, mask).map_err(|_| StopReason::TooLarge)?;
            self.redactions += count as u64;
        }
        Ok(())
    }

    /// Searches the rest of all texts, and releases all events, at the end of the stream.
    pub(super) fn release_last(&mut self, out: &mut Vec<u8>) -> Result<(), StopReason> {
        self.guard.finish_texts();
        self.search()?;
        self.guard.release_all(out);
        Ok(())
    }

    /// Returns true if no event is held.
    pub(super) fn is_empty(&self) -> bool {
        self.guard.is_empty()
    }

    /// Discards the held events and the texts. Returns the number of matches that were replaced.
    pub(super) fn reset(&mut self) -> u64 {
        self.guard.reset();
        core::mem::take(&mut self.redactions)
    }
}

impl fmt::Debug for RelayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayGuard")
            .field("guard", &self.guard)
            .field("stops", &self.stop.is_some())
            .field("redacts", &self.redact.is_some())
            .finish_non_exhaustive()
    }
}
