//! `SharedPlan` and `RarePlan`: the parts of a merge plan that the streams of a thread share.

use core::num::NonZeroU64;

use super::detail_plan::Detail;
use super::model::ReasoningName;
use super::tail::OneText;
use super::usage_plan::UsagePlan;
use crate::chunk::{ChatCompletionChunk, SharedCache};
use crate::json::NodeId;

/// The part of a plan that depends on the template alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SharedPlan {
    /// The index of the choice, if there is a choice.
    pub(super) choice: Option<ChoiceIndex>,
    /// The chunk has a field that isn't listed: it is merged in full.
    pub(super) is_full: bool,
    /// An id or a time is in a slot, and the first one counts.
    pub(super) has_firsts: bool,
    /// The slot of the content.
    pub(super) content: Option<u8>,
    /// The choice adds more than the content: other texts, reasoning, calls.
    pub(super) has_more: bool,
    pub(super) has_texts: bool,
    /// A list of log probabilities is in a slot.
    pub(super) has_logprobs: bool,
    pub(super) reasoning: Reasoning,
    pub(super) calls: Calls,
    /// The only text that the chunk adds: see [`Tail`](super::tail::Tail).
    pub(super) only_text: Option<(u8, OneText)>,
}

/// The index of a choice or call: a literal, or in a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChoiceIndex {
    Literal(u32),
    Slot(u8),
}

impl ChoiceIndex {
    /// Returns a literal, unless it is larger than that of any real choice or call.
    pub(super) fn literal(index: u64) -> Option<Self> {
        u32::try_from(index).ok().map(Self::Literal)
    }

    /// Returns the index in a chunk.
    #[inline]
    pub(super) fn resolve(self, chunk: &ChatCompletionChunk<'_>) -> Option<u64> {
        match self {
            Self::Literal(index) => Some(index.into()),
            Self::Slot(slot) => chunk.slot_count(slot.into()),
        }
    }
}

/// The reasoning that a chunk adds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Reasoning {
    #[default]
    Nothing,
    /// One text in a slot, or one text in a slot of the only detail, or both.
    Slots {
        text: Option<(u8, ReasoningName)>,
    },
    Everything,
}

/// The tool calls that a chunk adds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Calls {
    #[default]
    Nothing,
    /// The arguments of the only call, in a slot.
    Arguments {
        slot: u8,
        index: ChoiceIndex,
    },
    Everything,
}

impl SharedPlan {
    /// Returns true if the content of a chunk is merged, not only if it is in a slot.
    pub(super) const fn merges_content(&self) -> bool {
        self.content.is_some() || self.has_texts
    }

    /// Returns true if the reasoning of a chunk is merged.
    pub(super) const fn merges_reasoning(&self) -> bool {
        !matches!(self.reasoning, Reasoning::Nothing)
    }
}

/// The most texts of delta members without a field that a plan lists.
const MOST_MEMBER_TEXTS: usize = 2;

/// The fields that the chunks of most templates lack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RarePlan {
    /// The detail whose text is in a slot, if all details are merged by it.
    pub(super) detail: Option<Detail>,
    /// The slots that are texts of delta members without a field.
    pub(super) member_texts: [Option<NodeId>; MOST_MEMBER_TEXTS],
    pub(super) usage: UsagePlan,
}

impl RarePlan {
    /// Returns true if a chunk has no such field.
    pub(super) fn is_empty(&self) -> bool {
        self.detail.is_none()
            && self.member_texts.iter().all(Option::is_none)
            && !self.usage.has_some()
    }
}

/// A plan that the streams of a thread share, and its rare fields if it has any.
type Shared = (SharedPlan, Option<RarePlan>);

thread_local! {
    static PLANS: SharedCache<Shared> = const { SharedCache::new() };
}

/// Returns the plan of a template, if this thread has made it.
pub(super) fn shared_plan(template: NonZeroU64) -> Option<Shared> {
    SharedCache::get(&PLANS, template)
}

/// Stores the plan of a template. It must be right for any bound values and any values of slots.
pub(super) fn share_plan(template: NonZeroU64, plan: Shared) {
    SharedCache::share(&PLANS, template, plan);
}
