//! Chunks of another template than those before, whose literals the completion has already.

use super::incremental::bit;
use super::{CompletionChoice, Reassembler};
use crate::chunk::{ChatCompletionChunk, Choice, ExtraMembers, Level, Merge, TextMember, merge};
use crate::json::OwnedObject;

impl Reassembler {
    /// Returns true if a chunk adds no more than its plan lists, though its template is new here.
    ///
    /// The plan is that of the chunk, and it isn't full. So each literal has a merge that changes
    /// nothing if the completion has the same value. A call, a usage and a detail are merged in full.
    /// `index` is that of the only choice.
    pub(super) fn has_literals(&self, chunk: &ChatCompletionChunk<'_>, index: Option<u64>) -> bool {
        let completion = &self.completion;
        is_last(completion.service_tier.as_deref(), chunk.service_tier())
            && is_last(completion.system_fingerprint.as_deref(), chunk.system_fingerprint())
            && has_first(completion.id.as_ref(), || chunk.id())
            && has_first(completion.model.as_ref(), || chunk.model())
            && (completion.created.is_some_and(|created| created != 0) || chunk.created().is_none())
            && chunk.usage().is_none()
            && chunk.x_groq().is_none()
            && self.plan.detail().is_none()
            && are_stored(&completion.extra, Level::Top, chunk.extra())
            && chunk.choices().all(|choice| self.has_choice(&choice, index.unwrap_or(0)))
    }

    /// Returns true if the completion has a choice with the literals of another one.
    fn has_choice(&self, choice: &Choice<'_>, index: u64) -> bool {
        let plan = &self.plan.shared;
        let has_index = |stored: &&CompletionChoice| stored.index == index;
        let Some(stored) = self.completion.choices.iter().find(has_index) else { return false };
        let (message, delta) = (&stored.message, choice.delta());
        let has_content = message.content.is_some() || plan.merges_content();
        let has_reasoning = message.reasoning.as_ref().is_some_and(|text| !text.is_empty());
        let is_begun = |member: TextMember| {
            !member.is_plain()
                || message.text(member.text()).is_some()
                || delta.text(member).is_none()
        };
        bit(index) != 0
            && choice.logprobs().is_none()
            && are_stored(&stored.extra, Level::Choice, choice.extra())
            && has_first(message.role.as_ref(), || delta.role())
            && (has_content || delta.content().is_none())
            && (!delta.has_plain_text() || TextMember::ALL.into_iter().all(is_begun))
            && (has_reasoning || plan.merges_reasoning() || !delta.has_reasoning())
            && delta.tool_calls().all(|call| {
                call.r#type().is_none()
                    && call.extra().next().is_none()
                    && call.function_extra().next().is_none()
            })
            && are_stored(&message.extra, Level::Delta, delta.extra())
    }
}

/// Returns true if a text isn't stored as the first one: it is empty, or there is one.
fn has_first<'a>(stored: Option<&String>, text: impl FnOnce() -> Option<&'a str>) -> bool {
    stored.is_some() || text().is_none_or(str::is_empty)
}

/// Returns true if a text isn't stored as the last one: it is empty, or it is that.
fn is_last(stored: Option<&str>, text: Option<&str>) -> bool {
    text.is_none_or(str::is_empty) || stored == text
}

/// Returns true if an object has the same members, but for those that are ignored.
#[inline]
fn are_stored(object: &OwnedObject, level: Level, mut extra: ExtraMembers<'_>) -> bool {
    extra.all(|(name, value)| {
        let stored = || object.get(name).and_then(|stored| stored.as_raw());
        merge(level, name) == Merge::Ignore || stored() == Some(value.raw())
    })
}

#[cfg(test)]
mod tests {
    use super::{Level, Reassembler};
    use crate::chunk::schema::{delta, rows};
    use crate::completion::FinishedCompletion;
    use crate::decoder::{ChunkDecoder, Templates};

    /// Returns the end of a stream whose chunks behind the first one have a member.
    fn end(
        templates: &Templates,
        level: Level,
        member: &str,
        texts: &[&str],
    ) -> FinishedCompletion {
        let mut decoder = ChunkDecoder::new().with_templates(templates);
        let mut completion = Reassembler::new();
        let first = (&"first", "", r#""role":"assistant","#);
        let others = texts.iter().map(|text| (text, member, ""));
        for (text, member, role) in core::iter::once(first).chain(others) {
            let at = |here| if here == level { member } else { "" };
            let event = format!(
                "data: {{\"id\":\"c\",\"created\":5,\"model\":\"m\",{}\"choices\":[{{\"index\":0,{}\"delta\":{{{}{role}\"content\":\"{text}\"}}}}]}}\n\n",
                at(Level::Top),
                at(Level::Choice),
                at(Level::Delta)
            );
            if let Some(event) = decoder.next(&mut event.as_bytes()) {
                completion.push_payload(event.payload());
            }
        }
        completion.finish(decoder.finish())
    }

    /// A member of the schema that `has_literals` doesn't know would be left out.
    #[test]
    fn no_member_of_the_schema_is_left_out() {
        for level in [Level::Top, Level::Choice, Level::Delta] {
            let names =
                rows(level).iter().map(|row| row.name).filter(|name| *name != delta::CONTENT);
            for name in names.chain(["unknown"]) {
                for value in
                    ["\"a\"", "\"\"", "7", "true", "null", "{\"a\":1}", "[1]", "[{\"a\":1}]"]
                {
                    let member = format!("\"{name}\":{value},");
                    let templates = Templates::new();
                    // The first stream makes the plan that the second one shares.
                    end(&templates, level, &member, &["a", "b", "c", "d"]);
                    let expected = end(&Templates::none(), level, &member, &["e", "f"]);
                    let found = end(&templates, level, &member, &["e", "f"]);
                    assert_eq!(found, expected, "{level:?} {member}");
                }
            }
        }
    }
}
