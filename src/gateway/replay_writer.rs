//! Writes the events of a replay, one by one.

use super::chunk_page::{ChunkPage, MAX_COST, PageCursor, Rule, is_readable};
use super::chunk_writer::Envelope;
use super::deltas::{DeltaText, begin, finish, piece_len, write_call, write_choice};
use super::encode::{DONE, write_error};
use crate::chunk::Level;
use crate::chunk::schema::{delta, top};
use crate::completion::{ChatCompletion, CompletionChoice};
use crate::json::writer::{self, ArrayWriter, ObjectWriter, string_len};
use crate::slice::{bytes_in, text_in};

/// The settings and the position of a replay.
pub(super) struct ReplayState {
    delta_bytes: usize,
    pub(super) max_cost: usize,
    /// Position of the choice that is written: `choice <= completion.choices.len()`.
    choice: usize,
    step: ReplayStep,
    /// Bytes that the stream may be longer than its completion: `credit <= MAX_CREDIT`.
    ///
    /// Below `LOW_CREDIT`, choices and tool calls share events.
    pub(super) credit: usize,
    /// A value was omitted that no decoder with the default limits reads.
    lacks_value: bool,
    /// Number of bytes of text that are written.
    pub(super) text_bytes: usize,
}

impl ReplayState {
    /// Returns the state at the beginning, for deltas of up to 32 bytes.
    pub(super) const fn new() -> Self {
        Self {
            delta_bytes: 32,
            max_cost: MAX_COST,
            choice: 0,
            step: ReplayStep::Begin(None),
            credit: MAX_CREDIT,
            lacks_value: false,
            text_bytes: 0,
        }
    }

    pub(super) const fn set_delta_bytes(&mut self, bytes: usize) {
        self.delta_bytes = if bytes < MAX_COST { bytes } else { MAX_COST };
    }
}

/// The next part of the stream, of the current choice if it has one.
#[derive(Clone, Debug)]
enum ReplayStep {
    /// The first delta of a choice, or the only chunk of a completion without choices.
    ///
    /// A cursor selects the members that the earlier chunks lack.
    Begin(Option<PageCursor>),
    /// The text at this position, from this byte on.
    Text {
        text: usize,
        from: usize,
    },
    /// The members of a tool call that its first chunk lacks.
    Call {
        text: usize,
        from: usize,
        cursor: PageCursor,
    },
    Finish,
    Usage(PageCursor),
    Done,
    End,
}

/// The part of a text that isn't written yet.
struct RestOfText<'c> {
    choice: &'c CompletionChoice,
    target: DeltaText<'c>,
    rest: &'c str,
    /// No delta with this tool call is written yet.
    is_new_call: bool,
}

/// Writes the next events of a completion's replay.
pub(super) struct ReplayWriter<'c, 's> {
    pub(super) completion: &'c ChatCompletion,
    pub(super) state: &'s mut ReplayState,
}

impl<'c> ReplayWriter<'c, '_> {
    /// Appends the next event. Returns false if none is left.
    pub(super) fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        while out.len() == before {
            if matches!(self.state.step, ReplayStep::End) {
                return false;
            }
            if self.state.credit >= LOW_CREDIT || !self.write_several(out) {
                self.state.step = self.advance(out);
            }
        }
        true
    }

    /// Appends the event of the current state, if it has one. Returns the next state.
    fn advance(&mut self, out: &mut Vec<u8>) -> ReplayStep {
        match core::mem::replace(&mut self.state.step, ReplayStep::End) {
            ReplayStep::Begin(cursor) => self.write_begin(cursor, out),
            ReplayStep::Text { text, from } => self.write_piece(text, from, out),
            ReplayStep::Call { text, from, cursor } => {
                self.write_rest_of_call(text, from, cursor, out)
            }
            ReplayStep::Finish => self.write_finish(out),
            ReplayStep::Usage(cursor) => self.write_usage(cursor, out),
            ReplayStep::Done => {
                self.write_end(out);
                ReplayStep::End
            }
            ReplayStep::End => ReplayStep::End,
        }
    }

    fn current_choice(&self) -> Option<&'c CompletionChoice> {
        self.completion.choices.get(self.state.choice)
    }

    /// Returns the rest of a text of the current choice, or `None` after the last text.
    fn rest_of_text(&self, text: usize, from: usize) -> Option<RestOfText<'c>> {
        let choice = self.current_choice()?;
        let (target, whole) = DeltaText::find(&choice.message, text)?;
        let is_new_call = from == 0 && matches!(target, DeltaText::Call(..));
        Some(RestOfText { choice, target, rest: text_in(whole, from..), is_new_call })
    }

    fn write_begin(&mut self, cursor: Option<PageCursor>, out: &mut Vec<u8>) -> ReplayStep {
        let start = out.len();
        let page = self.write_page(cursor, out, Self::write_first_chunk);
        self.pay(LEAST_CHOICE + page.bytes, out.len() - start);
        match (page.rest(), self.current_choice()) {
            (Some(cursor), _) => ReplayStep::Begin(Some(cursor)),
            (None, Some(_)) => ReplayStep::Text { text: 0, from: 0 },
            (None, None) => ReplayStep::Usage(PageCursor::default()),
        }
    }

    fn write_piece(&mut self, text: usize, from: usize, out: &mut Vec<u8>) -> ReplayStep {
        let Some(rest_of_text) = self.rest_of_text(text, from) else { return ReplayStep::Finish };
        let RestOfText { choice, target, rest, is_new_call } = rest_of_text;
        if rest.is_empty() && !is_new_call {
            return ReplayStep::Text { text: text + 1, from: 0 };
        }
        let start = out.len();
        let len = piece_len(rest, self.state.delta_bytes);
        let mut page = ChunkPage::new(None, self.state.max_cost);
        self.write_chunk(false, out, |out| {
            target.write(choice.index, text_in(rest, ..len), is_new_call, &mut page, out);
        });
        self.state.text_bytes += len;
        // The caller chose the number of pieces, so only the last one counts.
        if len == rest.len() {
            self.pay(LEAST_CALL + len + page.bytes, out.len() - start);
        }
        after_piece(text, from + len, page.rest())
    }

    fn write_rest_of_call(
        &mut self,
        text: usize,
        from: usize,
        cursor: PageCursor,
        out: &mut Vec<u8>,
    ) -> ReplayStep {
        let Some(RestOfText { choice, target, .. }) = self.rest_of_text(text, from) else {
            return ReplayStep::Finish;
        };
        let page = self.write_page(Some(cursor), out, |replay, page, out| {
            replay.write_chunk(page.is_alone, out, |out| {
                target.write(choice.index, "", true, page, out);
            });
        });
        after_piece(text, from, page.rest())
    }

    fn write_finish(&mut self, out: &mut Vec<u8>) -> ReplayStep {
        let start = out.len();
        if let Some(choice) = self.current_choice().filter(|choice| choice.finish_reason.is_some())
        {
            let cursor = Some(PageCursor::default());
            let page = self.write_page(cursor, out, |replay, page, out| {
                replay.write_chunk(page.is_alone, out, |out| finish(choice, page, out));
            });
            self.pay(page.bytes, out.len() - start);
        }
        self.next_choice()
    }

    fn write_usage(&mut self, cursor: PageCursor, out: &mut Vec<u8>) -> ReplayStep {
        let ChatCompletion { usage, extra, .. } = self.completion;
        let x_groq = extra.get(top::X_GROQ);
        if usage.is_none() && x_groq.is_none() {
            return ReplayStep::Done;
        }
        let page = self.write_page(Some(cursor), out, |replay, page, out| {
            let mut chunk = replay.begin_chunk(page.is_alone, out);
            chunk.raw(top::CHOICES, "[]");
            // The usage is written first: it outranks the usage that `x_groq` may contain.
            if let Some(usage) = usage {
                page.object(top::USAGE, usage, Rule::At(Level::Usage), &mut chunk);
            }
            let x_groq = x_groq.map(|x_groq| (top::X_GROQ, x_groq));
            page.members(Rule::At(Level::Top), x_groq.into_iter(), &mut chunk);
            end(chunk);
        });
        page.rest().map_or(ReplayStep::Done, ReplayStep::Usage)
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        let choices = &self.completion.choices;
        let is_finished = |choice: &CompletionChoice| choice.finish_reason.is_some();
        let is_done = !choices.is_empty() && choices.iter().all(is_finished);
        if self.state.lacks_value || is_done {
            let is_whole = !self.state.lacks_value && !self.completion.not_whole;
            if is_whole {
                out.extend_from_slice(DONE);
            } else {
                let message = "The completion is not whole.";
                write_error(message, "incomplete_completion", "not_whole", out);
            }
        }
    }

    /// Appends an event that `write` fills from a cursor on, within the budget of a chunk.
    ///
    /// An oversized value is alone in its event. A value that no decoder with the default limits
    /// reads even then is omitted.
    fn write_page(
        &mut self,
        cursor: Option<PageCursor>,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&Self, &mut ChunkPage, &mut Vec<u8>),
    ) -> ChunkPage {
        let start = out.len();
        let mut page = ChunkPage::new(cursor.clone(), self.state.max_cost);
        write(self, &mut page, out);
        if !page.is_oversized {
            return page;
        }
        for has_index in [true, false] {
            out.truncate(start);
            page = ChunkPage::alone(cursor.clone(), self.state.max_cost, has_index);
            write(self, &mut page, out);
            if is_readable(bytes_in(out, start..)) {
                return page;
            }
        }
        out.truncate(start);
        self.state.lacks_value = true;
        page
    }

    /// Counts an event of `written` bytes, `own` of which are the completion's.
    fn pay(&mut self, own: usize, written: usize) {
        let credit = self.state.credit.saturating_add(own.saturating_mul(CREDIT_PER_BYTE));
        self.state.credit = credit.saturating_sub(written).min(MAX_CREDIT);
    }

    /// Selects the next choice. Returns the state after the current one.
    fn next_choice(&mut self) -> ReplayStep {
        self.state.choice += 1;
        match self.current_choice() {
            Some(_) => ReplayStep::Begin(None),
            None => ReplayStep::Usage(PageCursor::default()),
        }
    }

    /// Appends an event with several small choices or tool calls. Returns false if none is next.
    #[cold]
    fn write_several(&mut self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let mut chunk = self.begin_chunk(false, out);
        let mut choices = ArrayWriter::begin(chunk.name(top::CHOICES));
        while choices.buffer_len() - start < SHARED_BYTES {
            let mut next = None;
            choices.attempt(|out| {
                let before = out.len();
                next = self.write_small(out);
                next.is_some() && out.len() > before
            });
            let Some(next) = next else { break };
            self.state.step = next;
        }
        let is_written = !choices.is_empty;
        choices.end();
        end(chunk);
        if !is_written {
            out.truncate(start);
        }
        is_written
    }

    /// Appends the choice of the current state if it is small. Returns the next state.
    fn write_small(&mut self, out: &mut Vec<u8>) -> Option<ReplayStep> {
        let choice = self.current_choice()?;
        match self.state.step {
            ReplayStep::Begin(None) if self.state.choice > 0 => {
                let mut page = ChunkPage::new(None, SHARED_BYTES.min(self.state.max_cost));
                begin(choice, &mut page, out);
                page.rest().is_none().then_some(ReplayStep::Text { text: 0, from: 0 })
            }
            ReplayStep::Text { text, from } => {
                let Some(rest_of_text) = self.rest_of_text(text, from) else {
                    return Some(ReplayStep::Finish);
                };
                let RestOfText { target, rest, is_new_call, .. } = rest_of_text;
                if rest.len() > self.small_len() {
                    return None;
                }
                let mut next = text + 1;
                if is_new_call {
                    next = self.write_calls(choice, text, out)?;
                    let calls =
                        (text..next).filter_map(|call| DeltaText::find(&choice.message, call));
                    self.state.text_bytes += calls.map(|(_, text)| text.len()).sum::<usize>();
                } else if !rest.is_empty() {
                    let mut page = ChunkPage::new(None, self.state.max_cost);
                    target.write(choice.index, rest, false, &mut page, out);
                    self.state.text_bytes += rest.len();
                }
                Some(ReplayStep::Text { text: next, from: 0 })
            }
            ReplayStep::Finish => {
                if let Some(reason) = &choice.finish_reason {
                    if reason.len() > SHARED_BYTES {
                        return None;
                    }
                    let mut page = ChunkPage::new(Some(PageCursor::default()), self.state.max_cost);
                    finish(choice, &mut page, out);
                }
                Some(self.next_choice())
            }
            _ => None,
        }
    }

    /// Returns the maximum length of a text that shares its event.
    fn small_len(&self) -> usize {
        self.state.delta_bytes.min(SHARED_BYTES)
    }

    /// Appends a choice with the small tool calls from `text` on. Returns the text after them.
    ///
    /// Returns `None` if the first one isn't small.
    fn write_calls(
        &self,
        choice: &CompletionChoice,
        text: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut next = text;
        write_choice(choice.index, false, out, |delta| {
            let mut calls = ArrayWriter::begin(delta.name(delta::TOOL_CALLS));
            let start = calls.buffer_len();
            let mut is_small = true;
            while is_small && calls.buffer_len() - start < SHARED_BYTES {
                let Some((DeltaText::Call(position, call), arguments)) =
                    DeltaText::find(&choice.message, next)
                else {
                    break;
                };
                calls.attempt(|out| {
                    let mut page = ChunkPage::new(None, SHARED_BYTES.min(self.state.max_cost));
                    is_small = arguments.len() <= self.small_len() && {
                        write_call(position, call, arguments, true, &mut page, out);
                        page.rest().is_none()
                    };
                    is_small
                });
                next += usize::from(is_small);
            }
            calls.end();
        });
        (next > text).then_some(next)
    }

    /// Appends a chunk with the beginning of the current choice.
    ///
    /// The chunk of the first choice also contains members of the completion.
    fn write_first_chunk(&self, page: &mut ChunkPage, out: &mut Vec<u8>) {
        let has_members = self.state.choice == 0;
        let mut chunk = self.begin_chunk(page.is_alone, out);
        if has_members {
            for (name, text, is_repeated) in self.repeated_texts() {
                page.text(name, text.filter(|_| !is_repeated), &mut chunk);
            }
        }
        writer::array(self.current_choice(), chunk.name(top::CHOICES), |choice, out| {
            begin(choice, page, out);
        });
        if has_members {
            let members = self.completion.extra.iter().filter(|(name, _)| *name != top::X_GROQ);
            page.members(Rule::At(Level::Top), members, &mut chunk);
        }
        end(chunk);
    }

    /// Appends a chunk with a choice that `write_choice` writes.
    fn write_chunk(
        &self,
        is_alone: bool,
        out: &mut Vec<u8>,
        write_choice: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut chunk = self.begin_chunk(is_alone, out);
        let mut choices = ArrayWriter::begin(chunk.name(top::CHOICES));
        choices.element(write_choice);
        choices.end();
        end(chunk);
    }

    /// Begins an event, with the members that all chunks repeat unless its value `is_alone`.
    fn begin_chunk<'o>(&self, is_alone: bool, out: &'o mut Vec<u8>) -> ObjectWriter<'o> {
        out.extend_from_slice(b"data: ");
        if is_alone { ObjectWriter::begin(out) } else { self.envelope().begin(out) }
    }

    /// Returns the members that all chunks repeat.
    fn envelope(&self) -> Envelope<'c> {
        let texts = self.repeated_texts();
        let [id, model, service_tier, system_fingerprint] =
            texts.map(|(_, text, is_repeated)| text.filter(|_| is_repeated));
        let created = self.completion.created;
        Envelope { id, created, model, service_tier, system_fingerprint }
    }

    /// Returns the texts that chunks may repeat: name, text, and true if every chunk repeats it.
    fn repeated_texts(&self) -> [(&'static str, Option<&'c str>, bool); 4] {
        let ChatCompletion { id, model, service_tier, system_fingerprint, .. } = self.completion;
        let mut budget = REPEATED_BYTES;
        [
            (top::ID, Some(id.as_deref().unwrap_or_default())),
            (top::MODEL, Some(model.as_deref().unwrap_or_default())),
            (top::SERVICE_TIER, service_tier.as_deref()),
            (top::SYSTEM_FINGERPRINT, system_fingerprint.as_deref()),
        ]
        .map(|(name, text)| {
            let value = text.unwrap_or_default();
            let is_short = value.len() < REPEATED_BYTES;
            let len = if is_short { string_len(value) } else { usize::MAX };
            let is_repeated = len <= budget;
            budget -= if is_repeated { len } else { 0 };
            (name, text, is_repeated)
        })
    }
}

/// Returns the state after a piece of a text that ends at `end`.
fn after_piece(text: usize, end: usize, rest: Option<PageCursor>) -> ReplayStep {
    match rest {
        Some(cursor) => ReplayStep::Call { text, from: end, cursor },
        None => ReplayStep::Text { text: text + usize::from(end == 0), from: end },
    }
}

/// Maximum number of bytes of the texts that every chunk repeats, with escapes and quotes.
const REPEATED_BYTES: usize = 256 + 4 * 2;

/// Credit for each byte of a completion, in bytes.
///
/// A replay starts with `MAX_CREDIT`. Below `LOW_CREDIT`, several choices or tool calls share an
/// event.
const CREDIT_PER_BYTE: usize = 12;
const MAX_CREDIT: usize = 64 << 10;
const LOW_CREDIT: usize = 2 << 10;

/// Least number of bytes in the JSON of a choice, and of a tool call.
const LEAST_CHOICE: usize = 12;
const LEAST_CALL: usize = 3;

/// Maximum number of bytes of an event that several choices share, before its last one.
const SHARED_BYTES: usize = 4 << 10;

fn end(chunk: ObjectWriter<'_>) {
    chunk.end().extend_from_slice(b"\n\n");
}
