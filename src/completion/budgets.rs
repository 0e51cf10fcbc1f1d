//! `Budgets`: the budgets of a completion, and texts that are stored within them.

use core::fmt;
use core::num::NonZeroU16;

use smallvec::SmallVec;

use super::accumulate::Unknown;
use super::budget::{Budget, CompletionLimit};
use super::list::Matching;
use super::outcome::{LONGEST_REASON, count};
use crate::chunk::schema::logprobs;
use crate::chunk::{Level, Merge, is_identity, merge};
use crate::json::{OwnedArray, OwnedObject, Value, ValueKind, beginning, replace_text};
use crate::limits::Limits;

/// The budgets of a completion: its limits, its bytes and its entries.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    pub(super) texts: Budget,
    /// The budget of usage, which no text can use up.
    pub(super) usage: Budget,
    /// [`Limits::max_completion_bytes`].
    max_bytes: usize,
    max_choices: u32,
    max_tool_calls: u32,
    max_logprob_entries: u32,
    /// The number of tokens with log probabilities so far, including those left out.
    logprobs: u32,
    spare: Spare,
}

/// Buffers of texts from before a reset.
#[derive(Clone, Default)]
struct Spare(Option<Box<SmallVec<[String; 1]>>>);

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flat_map(|texts| texts.iter())).finish()
    }
}

/// The number of buffers that outlive a reset, and the largest size of each in bytes.
const MOST_SPARE: usize = 16;
const SPARE_BYTES: usize = 64 << 10;

/// The size of the first buffer of a text that comes in pieces.
///
/// A short answer fits, and needs one allocation.
const FIRST_BYTES: usize = 192;

/// Makes the first buffer of a text, unless its first piece is large.
#[cold]
fn reserve_first(kept: &mut String, piece: &str) {
    if piece.len() < FIRST_BYTES {
        *kept = String::with_capacity(FIRST_BYTES);
    }
}

/// The most bytes of usage: the largest known usage has 1 KiB.
const USAGE_BYTES: usize = 64 << 10;

/// The lone high half of a surrogate pair at the end of a text.
///
/// A server that cuts UTF-16 text sends the low half with the next delta.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PendingSurrogate(Option<NonZeroU16>);

impl PendingSurrogate {
    /// Returns true if a surrogate pair may be cut at either end of `text`.
    #[inline]
    pub(super) fn may_join(self, text: &str) -> bool {
        self.0.is_some() || text.ends_with(char::REPLACEMENT_CHARACTER)
    }
}

/// Returns true if an element of the reasoning details has a member, so that it is stored.
fn is_detail(element: &Value<'_>) -> bool {
    element.kind() == ValueKind::Object && !element.is_empty_value()
}

impl Budgets {
    pub(super) fn new(limits: Limits) -> Self {
        // No list has 2^32 elements: a larger limit isn't reached either.
        let stored = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let max_bytes = limits.max_completion_bytes;
        let max_members = stored(limits.max_members);
        Self {
            texts: Budget::new(max_bytes, max_members),
            usage: Budget::new(USAGE_BYTES, max_members),
            max_bytes,
            max_choices: stored(limits.max_choices),
            max_tool_calls: stored(limits.max_tool_calls),
            max_logprob_entries: stored(limits.max_logprob_entries),
            logprobs: 0,
            spare: Spare::default(),
        }
    }

    /// Returns a whole budget of the same limits, without spare buffers.
    pub(super) fn fresh(&self) -> Self {
        let max_members = self.texts.max_members();
        Self {
            texts: Budget::new(self.max_bytes, max_members),
            usage: Budget::new(USAGE_BYTES, max_members),
            logprobs: 0,
            spare: Spare::default(),
            ..*self
        }
    }

    /// Frees the whole budget; the limits and the spare buffers stay.
    pub(super) fn reset(&mut self) {
        let spare = core::mem::take(&mut self.spare);
        *self = Self { spare, ..self.fresh() };
    }

    /// Returns [`Limits::max_choices`].
    pub(super) const fn max_choices(&self) -> usize {
        self.max_choices as usize
    }

    /// Returns [`Limits::max_tool_calls`].
    pub(super) const fn max_tool_calls(&self) -> usize {
        self.max_tool_calls as usize
    }

    /// Counts the tokens in lists of log probabilities; returns true if all so far fit.
    ///
    /// The parallel arrays of the legacy form have the same tokens, so the longest one counts.
    pub(super) fn add_logprobs<'a>(
        &mut self,
        lists: impl Iterator<Item = (&'a str, Value<'a>)>,
    ) -> bool {
        let (mut tokens, mut parallel) = (0, 0);
        for (name, list) in lists {
            match name {
                logprobs::CONTENT | logprobs::REFUSAL => tokens += list.count_elements(),
                _ => parallel = list.count_elements().max(parallel),
            }
        }
        count(&mut self.logprobs, tokens + parallel);
        let fits = self.logprobs <= self.max_logprob_entries;
        if !fits {
            self.texts.mark_exceeded(CompletionLimit::LogprobEntries);
        }
        fits
    }

    /// Stores the buffer of a removed text for a later text.
    pub(super) fn recycle(&mut self, text: Option<String>) {
        let Some(mut text) = text.filter(|text| (1..=SPARE_BYTES).contains(&text.capacity()))
        else {
            return;
        };
        let spare = self.spare.0.get_or_insert_default();
        if spare.len() < MOST_SPARE {
            text.clear();
            spare.push(text);
        }
    }

    /// Returns the text, which is empty if it was absent. Reuses a spare buffer.
    pub(super) fn text<'k>(&mut self, kept: &'k mut Option<String>) -> &'k mut String {
        kept.get_or_insert_with(|| {
            self.spare.0.as_mut().and_then(|spare| spare.pop()).unwrap_or_default()
        })
    }

    /// Stores the first text that isn't empty.
    #[inline]
    pub(super) fn first<'a>(
        &mut self,
        kept: &mut Option<String>,
        text: impl FnOnce() -> Option<&'a str>,
    ) {
        if kept.is_none()
            && let Some(text) = text().filter(|text| !text.is_empty())
            && self.texts.try_reserve(text.len())
        {
            *kept = Some(text.into());
        }
    }

    /// Stores the last text that isn't empty. Most chunks repeat the stored one.
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
    /// Each finished choice has a stored reason: one of up to 64 bytes always fits. Of a longer one
    /// that exceeds the budget, the first 64 bytes are stored.
    #[inline]
    pub(super) fn last_reason(&mut self, kept: &mut Option<String>, reason: &str) {
        if kept.as_deref() == Some(reason) {
            return;
        }
        let cost = |text: &str| if text.len() > LONGEST_REASON { text.len() } else { 0 };
        let before = kept.as_deref().map_or(0, cost);
        let fits = self.texts.replace(before, cost(reason));
        let kept_len = if fits { reason.len() } else { LONGEST_REASON };
        *kept = Some(beginning(reason, kept_len).into());
    }

    /// Replaces a text; returns true if the new one fits.
    pub(super) fn set_text(&mut self, kept: &mut String, text: &str) -> bool {
        let fits = self.texts.replace(kept.len(), text.len());
        if fits {
            replace_text(kept, text);
        }
        fits
    }

    /// Replaces a text by a whole JSON value; returns 0, the start of the new text, if it fits.
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

    /// Appends to a text; returns the start of the new text, if there is any.
    #[inline]
    pub(super) fn push_str(&mut self, kept: &mut String, text: &str) -> Option<usize> {
        if text.is_empty() || !self.texts.try_reserve(text.len()) {
            return None;
        }
        let start = kept.len();
        kept.push_str(text);
        Some(start)
    }

    /// Appends to a text as [`push_str`](Self::push_str) does, and joins a cut surrogate pair.
    ///
    /// `value` is the JSON string of `text`. Returns the start of the new text, with the joined
    /// character.
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
        if kept.capacity() == 0 {
            reserve_first(kept, text);
        }
        let high = cut.0.take().map(NonZeroU16::get);
        let replaces = high.is_some() && text.starts_with(char::REPLACEMENT_CHARACTER);
        if !replaces && !text.ends_with(char::REPLACEMENT_CHARACTER) {
            return self.push_str(kept, text);
        }
        let (low, next) = value().map(|value| value.lone_surrogates_at_ends()).unwrap_or_default();
        cut.0 = next.and_then(NonZeroU16::new);
        let whole = high.zip(low).and_then(|(high, low)| char::decode_utf16([high, low]).next());
        let rest = text.strip_prefix(char::REPLACEMENT_CHARACTER);
        let rest = rest.filter(|_| kept.ends_with(char::REPLACEMENT_CHARACTER));
        let (Some(Ok(whole)), Some(rest)) = (whole, rest) else {
            return self.push_str(kept, text);
        };
        if !self.texts.try_reserve(1) {
            return None;
        }
        kept.pop();
        let start = kept.len();
        kept.push(whole);
        self.push_str(kept, rest);
        Some(start)
    }

    /// Replaces all reasoning details by those of a whole message, if it has any.
    pub(super) fn replace_details(&mut self, kept: &mut OwnedArray, whole: Value<'_>) {
        let has_any = whole.elements().any(|detail| is_detail(&detail));
        if !has_any || self.texts.is_closed() || !self.texts.replace(kept.cost(), 0) {
            return;
        }
        *kept = OwnedArray::default();
        self.merge_details(kept, whole);
    }

    /// Merges a list of reasoning details into the stored ones.
    pub(super) fn merge_details(&mut self, kept: &mut OwnedArray, details: Value<'_>) {
        for detail in details.elements().filter(is_detail) {
            let Some(kept) = kept.element(detail, Matching::Detail, &mut self.texts) else { break };
            for (name, value) in detail.members() {
                self.keep(kept, Level::ReasoningDetail, name, value);
            }
        }
    }

    /// Stores `name: value` of a whole message in `object`, unless the schema ignores it.
    pub(super) fn keep_whole(
        &mut self,
        object: &mut OwnedObject,
        level: Level,
        name: &str,
        value: Value<'_>,
    ) {
        if !matches!(merge(level, name), Merge::Nested | Merge::Ignore) {
            object.last(name, value, &mut self.texts);
            if let Some(member) = object.member_mut(name).filter(|_| !value.adds_nothing()) {
                // Equal pieces of a text are counted from the whole one.
                member.repeats = 0;
            }
        }
    }

    /// Merges `name: value` into `object` by the rule of the schema.
    pub(super) fn keep(
        &mut self,
        object: &mut OwnedObject,
        level: Level,
        name: &str,
        value: Value<'_>,
    ) {
        let budget = if level == Level::Usage { &mut self.usage } else { &mut self.texts };
        let unknown = |matching| Unknown { is_identity, matching };
        match merge(level, name) {
            Merge::KeepFirst => object.first(name, value, budget),
            Merge::Replace => object.last(name, value, budget),
            Merge::Concat => object.concat(name, value, budget),
            Merge::Extend => object.append(name, value, budget),
            Merge::ExtendMembers => object.append_inside(name, value, budget),
            Merge::Object => object.deep_last(name, value, budget),
            Merge::FilterResults => object.deep_last_filtered(name, value, budget),
            Merge::ByIndex => object.index_merge(name, value, budget),
            Merge::Accumulate => {
                object.accumulate(name, value, unknown(Matching::IndexOrId), budget);
            }
            Merge::Fragments => object.accumulate(name, value, unknown(Matching::Fragment), budget),
            Merge::CustomCall => object.custom_call(name, value, budget),
            Merge::Nested | Merge::Ignore => {}
        }
    }
}
