//! `Budget`: how much more may be kept, and how texts are kept within it.

use super::accumulate::Unknown;
use super::list::Matching;
use super::outcome::LONGEST_REASON;
use super::room::{Room, rewrite};
use crate::chunk::{Level, Merge, is_identity, merge};
use crate::json::{JsonList, JsonObject, Value, beginning};
use crate::limits::Limits;

/// How much more may be kept.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub(super) limits: Limits,
    pub(super) room: Room,
    /// A room of its own, that no text can fill.
    pub(super) usage_room: Room,
    pub(super) logprobs: usize,
    /// Buffers of texts from before a reset.
    spare: Vec<String>,
}

/// How many buffers are kept over a reset, and how large each may be.
const MOST_SPARE: usize = 16;
const SPARE_BYTES: usize = 64 << 10;

/// Most bytes of usage: the largest that is known has 1 KiB.
const USAGE_BYTES: usize = 64 << 10;

/// The high half of a surrogate pair with which a text has ended so far: a server that cuts UTF-16
/// text sends the low one with the next delta.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PendingSurrogate(Option<u16>);

impl PendingSurrogate {
    /// Whether `text` may be joined to the one before it, or the next one to it.
    #[inline]
    pub(super) fn may_join(self, text: &str) -> bool {
        self.0.is_some() || text.ends_with(char::REPLACEMENT_CHARACTER)
    }
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        let room = Room::new(limits.completion_bytes, limits.members);
        let usage_room = Room::new(limits.completion_bytes.min(USAGE_BYTES), limits.members);
        Self { limits, room, usage_room, logprobs: 0, spare: Vec::new() }
    }

    /// Makes all room free again; keeps the limits and the spare buffers.
    pub(super) fn reset(&mut self) {
        let spare = core::mem::take(&mut self.spare);
        *self = Self { spare, ..Self::new(self.limits) };
    }

    /// Keeps the buffer of a text that is no longer needed.
    pub(super) fn recycle(&mut self, text: Option<String>) {
        let Some(mut text) = text.filter(|text| (1..=SPARE_BYTES).contains(&text.capacity()))
        else {
            return;
        };
        if self.spare.len() < MOST_SPARE {
            text.clear();
            self.spare.push(text);
        }
    }

    /// A text that is there from now on.
    pub(super) fn text<'k>(&mut self, kept: &'k mut Option<String>) -> &'k mut String {
        kept.get_or_insert_with(|| self.spare.pop().unwrap_or_default())
    }

    /// Keeps the first text that isn't empty.
    #[inline]
    pub(super) fn first<'a>(
        &mut self,
        kept: &mut Option<String>,
        text: impl FnOnce() -> Option<&'a str>,
    ) {
        if kept.is_none()
            && let Some(text) = text().filter(|text| !text.is_empty())
            && self.room.try_reserve(text.len())
        {
            *kept = Some(text.into());
        }
    }

    /// Keeps the last text that isn't empty. Mostly it is the one that is kept.
    #[inline]
    pub(super) fn last(&mut self, kept: &mut Option<String>, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty())
            && kept.as_deref() != Some(text)
        {
            self.set_last(kept, text);
        }
    }

    #[cold]
    fn set_last(&mut self, kept: &mut Option<String>, text: &str) {
        let mut new = kept.take().unwrap_or_default();
        if self.set_text(&mut new, text) || !new.is_empty() {
            *kept = Some(new);
        }
    }

    /// Stores the last finish reason, which isn't empty.
    ///
    /// Each finished choice has a stored reason: one of up to 64 bytes needs no room. Of a longer
    /// one without room, up to 64 bytes are stored.
    #[inline]
    pub(super) fn last_reason(&mut self, kept: &mut Option<String>, reason: &str) {
        if kept.as_deref() == Some(reason) {
            return;
        }
        let cost = |text: &str| if text.len() > LONGEST_REASON { text.len() } else { 0 };
        let before = kept.as_deref().map_or(0, cost);
        let fits = self.room.replace(before, cost(reason));
        let kept_len = if fits { reason.len() } else { LONGEST_REASON };
        *kept = Some(beginning(reason, kept_len).into());
    }

    /// Replaces a text, if there is room for the new one.
    pub(super) fn set_text(&mut self, kept: &mut String, text: &str) -> bool {
        let fits = self.room.replace(kept.len(), text.len());
        if fits {
            rewrite(kept, text.len(), |kept| kept.push_str(text));
        }
        fits
    }

    /// Replaces a text by a whole JSON value; gives where the new text begins, if it fits.
    pub(super) fn set_json(
        &mut self,
        kept: &mut String,
        cut: &mut PendingSurrogate,
        value: Value<'_>,
    ) -> Option<usize> {
        *cut = PendingSurrogate::default();
        let mut json = String::new();
        value.write_json(&mut json);
        self.set_text(kept, &json).then_some(0)
    }

    /// Adds to a text; gives where the new text begins, if there is any.
    #[expect(clippy::inline_always, reason = "measured: a call costs a twentieth of an event")]
    #[inline(always)]
    pub(super) fn push_str(&mut self, kept: &mut String, text: &str) -> Option<usize> {
        if text.is_empty() || !self.room.try_reserve(text.len()) {
            return None;
        }
        let start = kept.len();
        kept.push_str(text);
        Some(start)
    }

    /// [`push_str`](Self::push_str), where the text before may have ended in half a surrogate
    /// pair and `text` may begin with the other one. `value` is what `text` was read from.
    pub(super) fn join<'a>(
        &mut self,
        kept: &mut String,
        cut: &mut PendingSurrogate,
        text: &str,
        value: impl FnOnce() -> Option<Value<'a>>,
    ) -> Option<usize> {
        if text.is_empty() {
            return None;
        }
        let high = cut.0.take();
        let replaces = high.is_some() && text.starts_with(char::REPLACEMENT_CHARACTER);
        if !replaces && !text.ends_with(char::REPLACEMENT_CHARACTER) {
            return self.push_str(kept, text);
        }
        let (low, next) = value().map(|value| value.lone_surrogates_at_ends()).unwrap_or_default();
        cut.0 = next;
        let whole = high.zip(low).and_then(|(high, low)| char::decode_utf16([high, low]).next());
        let rest = text.strip_prefix(char::REPLACEMENT_CHARACTER);
        let rest = rest.filter(|_| kept.ends_with(char::REPLACEMENT_CHARACTER));
        let (Some(Ok(whole)), Some(rest)) = (whole, rest) else {
            return self.push_str(kept, text);
        };
        if !self.room.try_reserve(1) {
            return None;
        }
        kept.pop();
        let start = kept.len();
        kept.push(whole);
        self.push_str(kept, rest);
        Some(start)
    }

    /// Replaces all reasoning details by those of a whole message.
    pub(super) fn replace_details(&mut self, kept: &mut JsonList, whole: Value<'_>) {
        if self.room.is_closed() || !self.room.replace(kept.cost(), 0) {
            return;
        }
        *kept = JsonList::default();
        for detail in whole.elements() {
            let Some(kept) = kept.element(detail, Matching::Detail, &mut self.room) else { break };
            for (name, value) in detail.members() {
                self.keep(kept, Level::ReasoningDetail, name, value);
            }
        }
    }

    /// Merges `name: value` into `object` by the rule for it.
    pub(super) fn keep(
        &mut self,
        object: &mut JsonObject,
        level: Level,
        name: &str,
        value: Value<'_>,
    ) {
        let room = if level == Level::Usage { &mut self.usage_room } else { &mut self.room };
        let unknown = |matching| Unknown { is_identity, matching };
        match merge(level, name) {
            Merge::KeepFirst => object.first(name, value, room),
            Merge::Replace => object.last(name, value, room),
            Merge::Concat => object.concat(name, value, room),
            Merge::Extend => object.append(name, value, room),
            Merge::ExtendMembers => object.append_inside(name, value, room),
            Merge::Object => object.deep_last(name, value, room),
            Merge::FilterResults => object.deep_last_filtered(name, value, room),
            Merge::ByIndex => object.index_merge(name, value, room),
            Merge::Accumulate => object.accumulate(name, value, unknown(Matching::IndexOrId), room),
            Merge::Fragments => object.accumulate(name, value, unknown(Matching::Fragment), room),
            Merge::CustomCall => object.custom_call(name, value, room),
            Merge::Nested | Merge::Ignore => {}
        }
    }
}
