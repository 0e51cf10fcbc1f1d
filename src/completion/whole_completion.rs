//! `read_whole`: a whole completion, of an upstream that doesn't stream, as that of a stream.

use super::from_json::{ChoiceIndexes, is_mark};
use super::outcome::FinishedCompletion;
use super::reassembler::Reassembler;
use super::whole::set_message;
use crate::chunk::schema::{choice, top};
use crate::chunk::{ChatCompletionChunk, Choice};
use crate::decoder::StreamSummary;
use crate::error::{Error, ErrorKind};
use crate::json::{ObjectReader, TEXT_LIMITS};
use crate::limits::Limits;

/// The limits of a body in memory. Its length bounds the memory, so only linear searches are bounded.
const BODY_LIMITS: Limits = TEXT_LIMITS
    .with_max_choices(usize::MAX)
    .with_max_tool_calls(usize::MAX)
    .with_max_completion_bytes(usize::MAX)
    .with_max_logprob_entries(usize::MAX);

/// Reads a completion whose JSON text has `len` bytes.
///
/// Indexes and the mark are read as [`from_json`](super::ChatCompletion::from_json) reads them, and
/// all other values as those of a chunk with whole messages.
pub(crate) fn read_whole(
    chunk: &ChatCompletionChunk<'_>,
    len: u64,
) -> Result<FinishedCompletion, Error> {
    let Some(choices) = chunk.get(top::CHOICES).filter(|choices| !choices.is_null()) else {
        return Err(ObjectReader::new(chunk.as_value())?.lacks(ErrorKind::ExpectedChoices));
    };
    let mut known = ChoiceIndexes::default();
    let indexes = choices.array()?.map(|choice| known.add(choice));
    let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
    known.check()?;
    let mut completion = Reassembler::with_limits(BODY_LIMITS);
    completion.push_whole(chunk, &indexes);
    let mut end = StreamSummary::default();
    (end.bytes, end.events, end.chunks, end.done) = (len, 1, 1, 1);
    Ok(completion.finish(end))
}

impl Reassembler {
    /// Adds the choices of a whole completion, in their order, each with its own index.
    fn push_whole(&mut self, chunk: &ChatCompletionChunk<'_>, indexes: &[u64]) {
        debug_assert_eq!(chunk.choices().len(), indexes.len(), "each choice is an object");
        self.push_top(chunk, indexes);
        self.findings.is_marked = chunk.get(top::NOT_WHOLE).is_some_and(is_mark);
        for (choice, index) in chunk.choices().zip(indexes) {
            let at = self.add_choice(*index);
            self.push_choice_at(at, &choice, |target| {
                if let Some(message) = choice.message_as_delta() {
                    set_message(target, &message);
                } else {
                    let lost = usize::from(choice.has_delta() || choice.has_text());
                    target.state.count(|counts| &mut counts.unknown_content_parts, lost);
                }
            });
            self.keep_other_texts(at, &choice);
        }
    }

    /// Stores texts outside of the message, as members without a field.
    fn keep_other_texts(&mut self, at: usize, choice: &Choice<'_>) {
        let Some(kept) = self.completion.choices.get_mut(at) else { return };
        for name in [choice::DELTA, choice::TEXT] {
            if let Some(value) = choice.get(name) {
                kept.extra.last(name, value, &mut self.budget.texts);
            }
        }
    }
}
