//! `SharedPlan`: the part of a merge plan that the streams of a thread share.

use core::cell::Cell;
use core::num::NonZeroU64;

use super::model::ReasoningName;
use super::tail::OneText;
use crate::chunk::ChatCompletionChunk;

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

/// The number of plans of a thread; a plan takes the place of another one.
///
/// An upstream has up to 20 kinds of events.
const PLACES: usize = 32;

thread_local! {
    /// The plans that this thread has made last, each with the id of its template.
    static PLANS: [Cell<Option<(NonZeroU64, SharedPlan)>>; PLACES] =
        const { [const { Cell::new(None) }; PLACES] };
}

/// Passes the place of a template's plan to `with`; returns `None` if the thread ends.
fn place<R>(
    template: NonZeroU64,
    with: impl FnOnce(&Cell<Option<(NonZeroU64, SharedPlan)>>) -> R,
) -> Option<R> {
    let at = usize::try_from(template.get() % PLACES as u64).unwrap_or(0);
    PLANS.try_with(|plans| plans.get(at).map(with)).ok().flatten()
}

/// Returns the plan of a template, if this thread has made it.
pub(super) fn shared_plan(template: NonZeroU64) -> Option<SharedPlan> {
    let (known, plan) = place(template, Cell::get).flatten()?;
    (known == template).then_some(plan)
}

/// Stores the plan of a template. It must be right for any bound values and any values of slots.
pub(super) fn share_plan(template: NonZeroU64, plan: SharedPlan) {
    place(template, |place| place.set(Some((template, plan))));
}

#[cfg(test)]
mod tests {
    use super::{NonZeroU64, PLACES, SharedPlan, share_plan, shared_plan};

    #[test]
    fn a_plan_takes_the_place_of_another_one() {
        let id = |number: usize| NonZeroU64::MIN.saturating_add(number as u64);
        for number in 0..PLACES {
            assert!(shared_plan(id(number)).is_none());
            share_plan(id(number), SharedPlan::default());
        }
        assert!((0..PLACES).all(|number| shared_plan(id(number)).is_some()));
        share_plan(id(PLACES), SharedPlan::default());
        assert!(shared_plan(id(0)).is_none() && shared_plan(id(PLACES)).is_some());
        assert!(std::thread::spawn(move || shared_plan(id(1)).is_none()).join().is_ok_and(|it| it));
    }
}
