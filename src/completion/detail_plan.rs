//! `Detail`: the reasoning detail whose text a chunk with a known template continues.

use super::budgets::Budgets;
use super::idempotent::is_idempotent;
use super::list::Matching;
use super::message::ChoiceTarget;
use super::model::Message;
use super::tail::{OneText, TextPlace};
use crate::chunk::schema::reasoning_detail;
use crate::chunk::{ChatCompletionChunk, Level, Merge, merge};
use crate::json::{NodeId, OwnedArray, OwnedValue, Value, ValueKind};

/// A reasoning detail whose text is in a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    element: NodeId,
    text: NodeId,
    slot: u8,
    found: Option<StoredDetail>,
}

/// The position of a detail's text in the completion.
#[derive(Clone, Copy, Debug)]
struct StoredDetail {
    choice: usize,
    detail: usize,
    member: usize,
}

impl Detail {
    /// Returns the detail of an element whose only slot is the text `leaf`, if a plan can merge it.
    ///
    /// The text must be one that is joined, and merging the other members again must change nothing.
    pub(super) fn new(element: Value<'_>, slot: u8, leaf: NodeId) -> Option<Self> {
        let is_idempotent =
            |(name, value): (&str, Value<'_>)| match merge(Level::ReasoningDetail, name) {
                Merge::Concat => value.id == leaf || value.is_empty_value(),
                _ => value.id != leaf && is_idempotent(Level::ReasoningDetail, name, value),
            };
        let is_member = element.members().any(|(_, value)| value.id == leaf);
        let index = element.get(reasoning_detail::INDEX)?;
        let is_member = is_member && index.kind() == ValueKind::Number;
        let detail = Self { element: element.id, text: leaf, slot, found: None };
        (is_member && element.members().all(is_idempotent)).then_some(detail)
    }

    /// Merges the text.
    ///
    /// Index and type are literals, so it is the same detail of a choice each time.
    pub(super) fn push(&mut self, target: &mut ChoiceTarget<'_>, chunk: &ChatCompletionChunk<'_>) {
        let ChoiceTarget { choice, message, budget, .. } = target;
        let details = &mut message.reasoning_details;
        let text = chunk.value_at(self.text);
        let is_merged = self.found.is_some_and(|found| {
            found.choice == *choice
                && details
                    .last_at(found.detail)
                    .is_some_and(|detail| detail.concat_nth(found.member, text, &mut budget.texts))
        });
        if !is_merged {
            self.found = self.find(details, chunk, budget).map(|(detail, member)| StoredDetail {
                choice: *choice,
                detail,
                member,
            });
        }
    }

    /// Returns the place of the text in the message of a choice, if it is the last detail.
    pub(super) fn text_place(&self, choice: usize, message: &mut Message) -> Option<TextPlace> {
        let found = self.found.filter(|found| found.choice == choice)?;
        let detail = message.reasoning_details.last_at(found.detail)?;
        let OwnedValue::Raw(json) = &detail.members.get(found.member)?.value else { return None };
        Some(TextPlace {
            slot: self.slot,
            of: OneText::Detail,
            choice,
            part: found.member,
            stored: json.strip_prefix('"').map(|_| json.len())?,
        })
    }

    /// Merges the text into the stored detail; returns the positions of the detail and the text.
    #[cold]
    fn find(
        &self,
        details: &mut OwnedArray,
        chunk: &ChatCompletionChunk<'_>,
        budget: &mut Budgets,
    ) -> Option<(usize, usize)> {
        let (element, text) = (chunk.value_at(self.element), chunk.value_at(self.text));
        let position = details.place(element, Matching::Detail, &mut budget.texts)?;
        let detail = details.at(position)?;
        let name = text.document.name_of(text.id);
        budget.keep(detail, Level::ReasoningDetail, name, text);
        Some((position, detail.position(name)?))
    }
}
