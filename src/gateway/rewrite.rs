//! `Editor`: writes events with replaced or removed values, and copies all other bytes.

use crate::chunk::schema::{delta, top};
use core::cell::OnceCell;
use core::ops::Range;

use super::byte_edit::{ByteEdit, lines_of, moved_range, range_in_lines, write_data};
use super::rewrite_outcome::RewriteOutcome;
use super::spans::{object_of, value_range};
use crate::chunk::{ChatCompletionChunk, TemplateCache, UpstreamError};
use crate::decoder::{ChunkEvent, Payload};
use crate::json::writer;
use crate::json::{Member, NodeId, Value, ValueKind};
use crate::slice::{bytes_in, split_bytes};
use crate::sse::{DataLine, Event, EventKind, LineSpan, SseField};

/// Writes the events of a stream with replaced or removed values.
///
/// A rule applies to a member of every chunk, and [`write`](Self::write) writes each event. All
/// bytes without a rule are copied: framing, spaces, the order of members, numbers and strings.
///
/// ```
/// use deltawire::ChunkDecoder;
/// use deltawire::gateway::{Editor, UsageVisibility};
///
/// let mut editor = Editor::new();
/// editor.replace("model", "our-alias");
/// editor.hide_usage(UsageVisibility::Removed);
///
/// let mut input = &br#"data: {"id":"1", "model":"llama", "choices":[{"delta":{"content":"Hi"}}], "usage":null}
///
/// data: {"id":"1", "model":"llama", "choices":[], "usage":{"prompt_tokens":9,"completion_tokens":1}}
///
/// "#[..];
/// let mut decoder = ChunkDecoder::new();
/// let mut out = Vec::new();
/// while let Some(event) = decoder.next(&mut input) {
///     editor.write(&event, &mut out);
/// }
/// let expected = br#"data: {"id":"1", "model":"our-alias", "choices":[{"delta":{"content":"Hi"}}]}
///
/// "#;
/// assert_eq!(out, expected);
/// ```
///
/// Rules apply to members of the chunk itself. If a name is repeated, a rule applies to all members
/// of this name, since some readers use the first one and some the last. An absent member is not
/// added.
///
/// An event costs a search for its members and a copy. Allocates nothing once the buffers have
/// grown.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    rules: Vec<RewriteRule>,
    /// How the usage is hidden, and the range of `null` in `texts`.
    usage: Option<(UsageVisibility, Range<usize>)>,
    /// The texts of the rules, followed by those of the current event.
    texts: Vec<u8>,
    /// Length of the texts of the rules: `rule_texts <= texts.len()`.
    rule_texts: usize,
    plans: TemplateCache<RewritePlan>,
    /// The plan for an event that has its own: without a template, or with replaced members.
    own_plan: RewritePlan,
    /// The changes to the current event.
    edits: Vec<ByteEdit>,
    /// Members of the current event to which no rule applies, since they are replaced in it.
    replaced: Vec<NodeId>,
    /// The stream offset behind a dropped event that ended with CR.
    ///
    /// A LF at this offset is the rest of its line end.
    half_end: Option<u64>,
    /// The data of an event that come in several lines.
    data: Vec<u8>,
    /// Number of consecutive events that used little of large buffers.
    small_events: u32,
}

/// Buffers above this size are freed after `SMALL_EVENTS` consecutive events that don't need them.
pub(super) const KEPT_CAPACITY: usize = 64 << 10;
const SMALL_EVENTS: u32 = 64;

/// The change to a member of every chunk.
#[derive(Clone, Debug)]
struct RewriteRule {
    name: Box<str>,
    /// The range in `texts` of the JSON text that replaces the value; `None` removes the member.
    json: Option<Range<usize>>,
}

/// The changes that the rules make to all chunks of a template.
#[derive(Clone, Debug, Default)]
struct RewritePlan {
    is_dropped: bool,
    edits: Vec<NodeEdit>,
}

/// A change to a chunk, by its nodes.
#[derive(Clone, Debug)]
enum NodeEdit {
    /// Replaces a value by a range of `texts`.
    Replace(NodeId, Range<usize>),
    Remove(NodeBoundary, NodeBoundary),
}

#[derive(Clone, Copy, Debug)]
enum NodeBoundary {
    Start(NodeId),
    End(NodeId),
}

/// The range of a value that isn't in the data, which is a bug. Its edit can't be written.
const MISSING: Range<usize> = usize::MAX..usize::MAX;

/// How the usage is hidden from a client that hasn't requested it; see [`Editor::hide_usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UsageVisibility {
    /// The member is removed, as in a stream without a requested usage.
    Removed,
    /// The value is replaced by `null`, as in all but the last chunk if it is requested.
    Null,
}

impl Editor {
    /// Creates an editor without rules. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the value of a member by a string in every chunk that has the member.
    ///
    /// Examples are `model` with the client's alias, and `id`. Replaces an earlier rule for the
    /// same name.
    pub fn replace(&mut self, name: &str, text: &str) {
        self.texts.truncate(self.rule_texts);
        writer::string(text, &mut self.texts);
        self.set(name, Some(self.rule_texts..self.texts.len()));
        self.gather_texts();
    }

    /// Removes a member, with its comma, from every chunk that has it.
    ///
    /// Replaces an earlier rule for the same name.
    pub fn remove(&mut self, name: &str) {
        self.set(name, None);
    }

    /// Hides the usage that the gateway has requested and the client hasn't.
    ///
    /// An event with a usage and no choices is dropped. It was sent only on request, and a client
    /// that reads `choices[0]` of every chunk would fail. An event has no choices if `choices` is
    /// absent, `null` or `[]`. Its other members, such as `timings`, are dropped too: it is the
    /// last chunk, and no other one can contain them.
    ///
    /// An event with an error, or with a value that an [`EventEdit`] has replaced, loses its usage
    /// only. If `choices`, `error` or `object` is repeated, each one counts, since readers differ in
    /// which one they read. The `id` and `retry` lines of a dropped event are written without the
    /// chunk, so that they apply. The comments in its event block are dropped.
    ///
    /// This applies to the member `usage` of the chunk. Counts that some servers send elsewhere,
    /// without a request, remain. It outranks a rule for `usage`.
    pub fn hide_usage(&mut self, how: UsageVisibility) {
        self.texts.truncate(self.rule_texts);
        self.texts.extend_from_slice(b"null");
        self.usage = Some((how, self.rule_texts..self.texts.len()));
        self.gather_texts();
        self.plans = TemplateCache::default();
    }

    fn set(&mut self, name: &str, json: Option<Range<usize>>) {
        self.plans = TemplateCache::default();
        match self.rules.iter_mut().find(|rule| *rule.name == *name) {
            Some(rule) => rule.json = json,
            None => self.rules.push(RewriteRule { name: name.into(), json }),
        }
    }

    /// Removes the texts of rules that were replaced.
    fn gather_texts(&mut self) {
        let rules = self.rules.iter_mut().filter_map(|rule| rule.json.as_mut());
        let mut texts = Vec::new();
        for range in rules.chain(self.usage.as_mut().map(|(_, range)| range)) {
            let start = texts.len();
            texts.extend_from_slice(bytes_in(&self.texts, range.clone()));
            *range = start..texts.len();
        }
        self.rule_texts = texts.len();
        self.texts = texts;
    }

    /// Appends an event to `out` with the changes of the rules.
    ///
    /// Events without a chunk, such as comments and `[DONE]`, are copied.
    pub fn write(&mut self, event: &ChunkEvent<'_>, out: &mut Vec<u8>) -> RewriteOutcome {
        self.edit(event).write(out)
    }

    /// Begins to edit one event, for changes in addition to the rules.
    pub fn edit<'e>(&'e mut self, event: &'e ChunkEvent<'e>) -> EventEdit<'e> {
        self.edits.clear();
        self.replaced.clear();
        debug_assert!(self.rule_texts <= self.texts.len());
        self.texts.truncate(self.rule_texts);
        let capacity = self.capacity();
        if capacity > KEPT_CAPACITY {
            self.shrink(event.raw().len() < capacity / 32);
        }
        EventEdit { editor: self, event, chunk: object_of(event) }
    }

    /// Returns the range of a value in the bytes that [`write`](Self::write) has written last.
    ///
    /// `range` is that of the value in the data of the event, which was changed. `lines` is filled for
    /// data in several lines. Returns `None` if the value, or a part of it, isn't there any more.
    pub(super) fn written_range(
        &self,
        event: &ChunkEvent<'_>,
        range: Range<usize>,
        written: &[u8],
        lines: &OnceCell<Vec<DataLine>>,
    ) -> Option<Range<usize>> {
        let Range { start, end } = moved_range(&self.edits, range)?;
        let Some(data) = event.event().data_start() else {
            let is_first = event.offset() == 0;
            let lines = lines.get_or_init(|| lines_of(&self.data, written, is_first));
            return range_in_lines(lines, start..end);
        };
        Some(data + start..data + end)
    }

    /// Returns the capacity, in bytes, of the buffers that grow with an event.
    fn capacity(&self) -> usize {
        self.own_plan.edits.capacity() * size_of::<NodeEdit>()
            + self.edits.capacity() * size_of::<ByteEdit>()
            + self.replaced.capacity() * size_of::<NodeId>()
            + self.texts.capacity()
            + self.data.capacity()
    }

    /// Frees large buffers after `SMALL_EVENTS` consecutive small events.
    #[cold]
    fn shrink(&mut self, is_small: bool) {
        self.small_events = if is_small { self.small_events + 1 } else { 0 };
        if self.small_events >= SMALL_EVENTS {
            self.own_plan = RewritePlan::default();
            (self.edits, self.replaced, self.data) = (Vec::new(), Vec::new(), Vec::new());
            self.texts.shrink_to(self.rule_texts);
            self.small_events = 0;
        }
    }

    /// Appends the edits of the rules for a chunk. Returns true if the rules drop it.
    #[inline]
    fn apply(&mut self, chunk: &ChatCompletionChunk<'_>) -> bool {
        let Self { rules, usage, plans, own_plan, replaced, edits, .. } = self;
        let key = chunk.template_key().filter(|_| replaced.is_empty());
        let compute = |plan: &mut RewritePlan| plan.compute(rules, usage.as_ref(), replaced, chunk);
        let plan = if let Some(key) = key {
            plans.get_or_compute(key, compute)
        } else {
            compute(own_plan);
            own_plan
        };
        let document = chunk.as_value().document;
        let range = |id: NodeId| data_range(Value::new(document, id));
        let position = |boundary: NodeBoundary| match boundary {
            NodeBoundary::Start(id) => range(id).start,
            NodeBoundary::End(id) => range(id).end,
        };
        edits.extend(plan.edits.iter().map(|edit| match edit {
            NodeEdit::Replace(id, text) => ByteEdit { range: range(*id), text: text.clone() },
            NodeEdit::Remove(from, to) => {
                ByteEdit { range: position(*from)..position(*to), text: 0..0 }
            }
        }));
        plan.is_dropped
    }
}

/// Returns the range of a value in the event's data.
#[inline]
fn data_range(value: Value<'_>) -> Range<usize> {
    let range = value_range(value);
    debug_assert!(range.is_some(), "a value has a node");
    range.unwrap_or(MISSING)
}

impl RewritePlan {
    /// Computes the changes to a chunk. No rule applies to the `replaced` members.
    #[inline(never)]
    fn compute(
        &mut self,
        rules: &[RewriteRule],
        usage: Option<&(UsageVisibility, Range<usize>)>,
        replaced: &[NodeId],
        chunk: &ChatCompletionChunk<'_>,
    ) {
        self.is_dropped = false;
        self.edits.clear();
        let document = chunk.as_value().document;
        let mut has_kept = false;
        let mut previous = 0;
        // The start of the first member, while all members up to the current one are removed.
        let mut removed_from = None;
        for Member { name, value } in document.members(0) {
            if let Some(start) = removed_from.take() {
                self.edits.push(NodeEdit::Remove(start, NodeBoundary::Start(value - 1)));
            }
            let rule = match usage {
                _ if replaced.contains(&value) => None,
                Some((how, null)) if name == top::USAGE.as_bytes() => {
                    let kind = Value::new(document, value).kind();
                    self.is_dropped |= kind == ValueKind::Object && has_no_choices(chunk);
                    Some((*how == UsageVisibility::Null).then_some(null))
                }
                _ => {
                    let rule = rules.iter().find(|rule| rule.name.as_bytes() == name);
                    rule.map(|rule| rule.json.as_ref())
                }
            };
            match rule {
                Some(None) if has_kept => {
                    let (from, to) = (NodeBoundary::End(previous), NodeBoundary::End(value));
                    self.edits.push(NodeEdit::Remove(from, to));
                }
                Some(None) => removed_from = Some(NodeBoundary::Start(value - 1)),
                Some(Some(text)) => {
                    has_kept = true;
                    self.edits.push(NodeEdit::Replace(value, text.clone()));
                }
                None => has_kept = true,
            }
            previous = value;
        }
        if let Some(start) = removed_from {
            self.edits.push(NodeEdit::Remove(start, NodeBoundary::End(previous)));
        }
    }
}

/// Returns true if a chunk has no choices and no error.
///
/// Of members with the same name each one counts, since readers differ in which one they read.
fn has_no_choices(chunk: &ChatCompletionChunk<'_>) -> bool {
    chunk.as_value().members().all(|(name, value)| match name {
        top::CHOICES => {
            matches!(value.kind(), ValueKind::Null | ValueKind::Array) && value.is_empty_value()
        }
        top::ERROR => !UpstreamError::is_truthy_error(&value),
        top::OBJECT => value.as_str() != Some(top::ERROR),
        _ => true,
    })
}

/// An event that is being edited; see [`Editor::edit`].
///
/// ```
/// use deltawire::ChunkDecoder;
/// use deltawire::gateway::{Editor, RewriteOutcome};
///
/// let mut input = &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"secret\"}}]}\n\n"[..];
/// let mut decoder = ChunkDecoder::new();
/// let event = decoder.next(&mut input).unwrap();
/// let (mut editor, mut out) = (Editor::new(), Vec::new());
/// let mut edit = editor.edit(&event);
/// assert!(edit.content(0, "\"***\""));
/// assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
/// assert_eq!(out, b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"***\\\"\"}}]}\n\n");
/// ```
#[derive(Debug)]
pub struct EventEdit<'e> {
    editor: &'e mut Editor,
    event: &'e ChunkEvent<'e>,
    chunk: Option<ChatCompletionChunk<'e>>,
}

impl EventEdit<'_> {
    /// Replaces the content of a choice. Returns false if the choice has no content.
    ///
    /// `position` is the choice's in [`choices`](ChatCompletionChunk::choices), which may differ
    /// from its index. A rule for `choices` outranks the edit, since it changes the content, too.
    pub fn content(&mut self, position: usize, text: &str) -> bool {
        let choice = self.chunk.and_then(|chunk| chunk.choices().nth(position));
        self.replace_value(choice.and_then(|choice| choice.delta().get(delta::CONTENT)), text)
    }

    /// Replaces the value of a member of the chunk by a string, in this event only.
    ///
    /// Returns false if the chunk has no such member. Of members with the same name it replaces the
    /// last one, and rules apply to the others. The edit outranks a rule, even one that removes the
    /// member. An event with a replaced value isn't dropped.
    ///
    /// A later call for the same name replaces an earlier one.
    pub fn replace(&mut self, name: &str, text: &str) -> bool {
        let value = self.chunk.and_then(|chunk| chunk.get(name));
        self.editor.replaced.extend(value.map(|value| value.id));
        self.replace_value(value, text)
    }

    fn replace_value(&mut self, value: Option<Value<'_>>, text: &str) -> bool {
        let Some(value) = value else { return false };
        let Editor { edits, texts, .. } = &mut *self.editor;
        let start = texts.len();
        writer::string(text, texts);
        edits.push(ByteEdit { range: data_range(value), text: start..texts.len() });
        true
    }

    /// Appends the event to `out`.
    pub fn write(self, out: &mut Vec<u8>) -> RewriteOutcome {
        let Self { editor, event, chunk } = self;
        let half_end = editor.half_end.take();
        let Some(chunk) = chunk else {
            if half_end == Some(event.offset()) && event.raw() == b"\n" {
                return RewriteOutcome::Dropped;
            }
            out.extend_from_slice(event.raw());
            return if is_unreadable(event) {
                RewriteOutcome::Unreadable
            } else {
                RewriteOutcome::Unchanged
            };
        };
        let is_error = matches!(event.payload(), Payload::Error(_));
        let event = event.event();
        let is_edited = !editor.edits.is_empty();
        let changes_nothing = editor.rules.is_empty() && editor.usage.is_none() && !is_edited;
        let has_line = !changes_nothing && has_error_line(event);
        // The last edit of a value comes first, and those of rules last.
        editor.edits.reverse();
        if editor.apply(&chunk) && !is_edited && !has_line && !is_error {
            return if write_state(event, out) {
                RewriteOutcome::Changed
            } else {
                editor.drop_event(event)
            };
        }
        if is_edited {
            // Edits of the same value keep their order, and the first one counts.
            editor.edits.sort_by_key(|edit| edit.range.start);
            editor.edits.dedup_by(|later, first| later.range == first.range);
        }
        let Editor { edits, texts, data, .. } = &mut *editor;
        let written = if edits.iter().any(|edit| edit.is_effective(texts, event.data())) {
            let start = out.len();
            if write_edits(event, edits, texts, data, out).is_none() {
                debug_assert!(false, "an edit is outside of its event");
                out.truncate(start);
                return editor.drop_event(event);
            }
            RewriteOutcome::Changed
        } else {
            out.extend_from_slice(event.raw());
            RewriteOutcome::Unchanged
        };
        if has_line { RewriteOutcome::Unreadable } else { written }
    }
}

impl Editor {
    /// Prepares for another stream, whose offsets begin at 0.
    pub(super) const fn begin_stream(&mut self) {
        self.half_end = None;
    }

    /// Records a dropped event, so that the rest of its line end is dropped, too.
    fn drop_event(&mut self, event: &Event<'_>) -> RewriteOutcome {
        self.half_end = event.raw().ends_with(b"\r").then(|| event.span().end);
        RewriteOutcome::Dropped
    }
}

/// Appends an event with edits. `joined` is a buffer for data in several lines.
///
/// Returns `None` if the range of an edit is outside of the data or of `texts`.
fn write_edits(
    event: &Event<'_>,
    edits: &[ByteEdit],
    texts: &[u8],
    joined: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (raw, data) = (event.raw(), event.data());
    let Some(start) = event.data_start() else {
        joined.clear();
        write_data(data, edits, texts, joined)?;
        write_joined(event, joined, out);
        return Some(());
    };
    out.reserve(raw.len() + texts.len());
    out.extend_from_slice(raw.get(..start)?);
    write_data(data, edits, texts, out)?;
    out.extend_from_slice(raw.get(start + data.len()..)?);
    Some(())
}

/// Returns true if an event has a line that is no field but that clients read.
fn has_error_line(event: &Event<'_>) -> bool {
    let is_error = |line: &[u8]| line.starts_with(b"error:") || line.starts_with(b"{");
    event.has_unknown_lines() && event.unknown_lines().any(is_error)
}

/// Returns true if an event without a chunk may contain one that can't be read.
fn is_unreadable(event: &ChunkEvent<'_>) -> bool {
    let kind = event.event().kind();
    match event.payload() {
        Payload::Malformed(_) => true,
        // A line that is no field, or data that are no object.
        Payload::Error(_) => kind == EventKind::UnknownField || !event.event().data().is_empty(),
        _ => kind == EventKind::Skipped,
    }
}

/// Returns the lines of an event with their spans.
fn lines<'e>(event: &'e Event<'_>) -> impl Iterator<Item = (&'e [u8], LineSpan)> {
    let (mut rest, mut splitter) = (event.raw(), event.splitter());
    core::iter::from_fn(move || {
        let span = splitter.next(rest)?;
        let line;
        (line, rest) = split_bytes(rest, span.len());
        Some((line, span))
    })
}

/// Appends the `id` and `retry` lines of an event, and a blank line. Returns false if it has none.
#[cold]
fn write_state(event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for (line, span) in lines(event) {
        let content = span.content(line);
        if matches!(SseField::of(content), SseField::Id(_) | SseField::Retry(_)) {
            out.extend_from_slice(content);
            out.push(b'\n');
        }
    }
    let is_written = out.len() > start;
    out.extend_from_slice(if is_written { b"\n" } else { b"" });
    is_written
}

/// Appends an event with other data, for data that come in several lines.
///
/// The other data replace the first of these lines. All lines that aren't data remain.
#[cold]
fn write_joined(event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) {
    let mut is_written = false;
    let start = out.len();
    for (line, span) in lines(event) {
        if !matches!(SseField::of(span.content(line)), SseField::Data(_)) {
            // A blank line whose LF now follows another line's CR would be a part of its CRLF.
            if line == b"\n" && bytes_in(out, start..).ends_with(b"\r") {
                out.push(b'\n');
            }
            out.extend_from_slice(line);
            continue;
        }
        out.extend_from_slice(bytes_in(line, ..span.content_start()));
        if !is_written {
            let end = bytes_in(line, span.content_end()..);
            for text in data.split(|byte| *byte == b'\n') {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(text);
                out.extend_from_slice(end);
            }
        }
        is_written = true;
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::{ByteEdit, Editor, MISSING, RewriteOutcome, UsageVisibility, write_data};
    use crate::decoder::ChunkDecoder;
    use crate::sse::SseDecoder;
    use core::ops::Range;

    /// Returns the output of an editor for a stream of one event.
    fn write(editor: &mut Editor, event: &str) -> (RewriteOutcome, String) {
        let mut out = Vec::new();
        let mut decoder = ChunkDecoder::new();
        let mut input = event.as_bytes();
        let edited = editor.write(&decoder.next(&mut input).unwrap(), &mut out);
        assert!(input.is_empty());
        (edited, String::from_utf8(out).unwrap())
    }

    fn remover(names: &[&str]) -> Editor {
        let mut editor = Editor::new();
        for name in names {
            editor.remove(name);
        }
        editor
    }

    #[test]
    fn members_are_removed_with_their_commas() {
        let event = "data: { \"a\" : 1 , \"b\" : [ 2 ] ,\"c\":3 }\n\n";
        for (names, expected) in [
            (&["a"][..], "data: { \"b\" : [ 2 ] ,\"c\":3 }\n\n"),
            (&["b"], "data: { \"a\" : 1 ,\"c\":3 }\n\n"),
            (&["c"], "data: { \"a\" : 1 , \"b\" : [ 2 ] }\n\n"),
            (&["a", "b"], "data: { \"c\":3 }\n\n"),
            (&["b", "c"], "data: { \"a\" : 1 }\n\n"),
            (&["a", "c"], "data: { \"b\" : [ 2 ] }\n\n"),
            (&["a", "b", "c"], "data: {  }\n\n"),
        ] {
            let found = write(&mut remover(names), event);
            assert_eq!(found, (RewriteOutcome::Changed, expected.to_owned()), "{names:?}");
        }
        assert_eq!(
            write(&mut remover(&["d"]), event),
            (RewriteOutcome::Unchanged, event.to_owned())
        );
    }

    #[test]
    fn repeated_names_are_all_meant() {
        let event = "data: {\"model\":\"x\",\"a\":1,\"mod\\u0065l\":null}\n\n";
        let mut editor = Editor::new();
        editor.replace("model", "y");
        let expected = "data: {\"model\":\"y\",\"a\":1,\"mod\\u0065l\":\"y\"}\n\n";
        assert_eq!(write(&mut editor, event), (RewriteOutcome::Changed, expected.to_owned()));
        assert_eq!(write(&mut remover(&["model"]), event).1, "data: {\"a\":1}\n\n");
    }

    #[test]
    fn what_is_the_same_already_is_unchanged() {
        let mut editor = Editor::new();
        editor.replace("model", "m");
        let event = "data: {\"model\":\"m\"}\n\n";
        assert_eq!(write(&mut editor, event), (RewriteOutcome::Unchanged, event.to_owned()));
    }

    #[test]
    fn usage_is_hidden_as_if_nobody_had_asked() {
        let [mut removed, mut null] =
            [UsageVisibility::Removed, UsageVisibility::Null].map(|how| {
                let mut editor = Editor::new();
                editor.hide_usage(how);
                editor
            });
        let both = "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n";
        assert_eq!(write(&mut removed, both).1, "data: {\"choices\":[{}]}\n\n");
        assert_eq!(write(&mut null, both).1, "data: {\"choices\":[{}],\"usage\":null}\n\n");
        for only in [
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":1}}\n\n",
            "data: {\"usage\":{},\"id\":\"1\"}\n\n",
            "data: {\"choices\":null,\"usage\":{},\"timings\":{}}\n\n",
        ] {
            assert_eq!(write(&mut removed, only), (RewriteOutcome::Dropped, String::new()));
            assert_eq!(write(&mut null, only), (RewriteOutcome::Dropped, String::new()));
        }
        // Its other members are dropped with it: no chunk without choices remains.
        for more in [
            "\"prompt_filter_results\":[{}]",
            "\"timings\":{\"n\":1}",
            "\"new\":0",
            "\"choices\":[]",
        ] {
            let event =
                format!("data: {{\"choices\":[],{more},\"usage\":{{\"total_tokens\":1}}}}\n\n");
            assert_eq!(write(&mut removed, &event), (RewriteOutcome::Dropped, String::new()));
            assert_eq!(write(&mut null, &event), (RewriteOutcome::Dropped, String::new()));
        }
        // An event with choices loses only its usage.
        for (more, rest) in [
            ("\"choices\":[{\"delta\":{}}],\"choices\":[],", "\"id\":\"1\""),
            ("\"choices\":[null],", "\"id\":\"1\""),
            ("\"choices\":{\"0\":{}},", "\"id\":\"1\""),
            ("\"choices\":\"\",", "\"id\":\"1\""),
        ] {
            for lines in ["", "event: x\n"] {
                let event = |usage| format!("{lines}data: {{{more}{usage}{rest}}}\n\n");
                let sent = event("\"usage\":{\"total_tokens\":1},");
                assert_eq!(write(&mut removed, &sent), (RewriteOutcome::Changed, event("")));
                assert_eq!(
                    write(&mut null, &sent),
                    (RewriteOutcome::Changed, event("\"usage\":null,"))
                );
            }
        }
        for line in ["id: 7", "id", "retry: 5"] {
            let event = format!("data: {{\"usage\":{{}},\"choices\":[]}}\n{line}\n\n");
            // The lines that outlive the event are written.
            let expected = format!("{line}\n\n");
            assert_eq!(write(&mut removed, &event), (RewriteOutcome::Changed, expected));
        }
        // Errors and results of a filter are sent without a request.
        let error = "data: {\"error\":{\"code\":1},\"usage\":{}}\n\n";
        assert_eq!(write(&mut removed, error).1, "data: {\"error\":{\"code\":1}}\n\n");
        let error = |usage| format!("event: error\ndata: {{\"message\":\"a\"{usage}}}\n\n");
        let sent = error(",\"usage\":{}");
        assert_eq!(write(&mut removed, &sent), (RewriteOutcome::Changed, error("")));
        let filter = "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n";
        let expected = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
        assert_eq!(write(&mut removed, filter).1, expected);
        assert_eq!(write(&mut null, filter), (RewriteOutcome::Unchanged, filter.to_owned()));
    }

    /// Readers differ in which of several errors they read, so any of them is one.
    ///
    /// The events of one decoder differ in one value only, so they could have one template.
    #[test]
    fn an_error_that_comes_twice_is_not_dropped() {
        for (name, error, none, last) in [
            ("error", "\"a\"", "\"\"", "null"),
            ("error", "\"a\"", "\"\"", "\"\""),
            ("error", "7", "0", "0"),
            ("error", "{}", "null", "false"),
            ("object", "\"error\"", "\"chunk\"", "\"chunk\""),
        ] {
            let event = |first: &str, usage: &str| {
                format!("data: {{\"choices\":[],\"{name}\":{first}{usage},\"{name}\":{last}}}\n\n")
            };
            for order in [[error, none], [none, error]] {
                for how in [UsageVisibility::Removed, UsageVisibility::Null] {
                    let (mut editor, mut decoder) = (Editor::new(), ChunkDecoder::new());
                    editor.hide_usage(how);
                    for first in order.repeat(4) {
                        let sent = event(first, ",\"usage\":{\"total_tokens\":3}");
                        let mut out = Vec::new();
                        let chunk = decoder.next(&mut sent.as_bytes()).unwrap();
                        let edited = editor.write(&chunk, &mut out);
                        let expected = match how {
                            _ if first == none => (RewriteOutcome::Dropped, String::new()),
                            UsageVisibility::Removed => (RewriteOutcome::Changed, event(first, "")),
                            UsageVisibility::Null => {
                                (RewriteOutcome::Changed, event(first, ",\"usage\":null"))
                            }
                        };
                        assert_eq!((edited, String::from_utf8(out).unwrap()), expected, "{sent}");
                    }
                }
            }
        }
    }

    #[test]
    fn data_in_several_lines_stay_data_and_the_rest_stays() {
        let event = "\u{feff}event: x\r\ndata\r\ndata: {\"model\":\r\n: why\r\ndata:\"m\", \"usage\": {\r\nid: 7\r\ndata:  }, \"b\":1}\r\n\r\n";
        let mut editor = Editor::new();
        editor.replace("model", "n");
        let expected = "\u{feff}event: x\r\ndata: \r\ndata: {\"model\":\r\ndata: \"n\", \"usage\": {\r\ndata:  }, \"b\":1}\r\n: why\r\nid: 7\r\n\r\n";
        assert_eq!(write(&mut editor, event), (RewriteOutcome::Changed, expected.to_owned()));
        let expected = "\u{feff}event: x\r\ndata: \r\ndata: {\"model\":\r\ndata: \"m\", \"b\":1}\r\n: why\r\nid: 7\r\n\r\n";
        assert_eq!(write(&mut remover(&["usage"]), event).1, expected);
    }

    /// However the lines end, an event that is written anew has its lines and its end.
    #[test]
    fn mixed_line_ends_stay_apart() {
        let ends = ["\n", "\r", "\r\n"];
        let mut editor = Editor::new();
        editor.replace("model", "n");
        let mut changed = 0;
        for [first, between, second, blank] in (0..81usize).map(|mut nth| {
            [(); 4].map(|()| {
                let end = ends[nth % 3];
                nth /= 3;
                end
            })
        }) {
            if (second, blank) == ("\r", "\n") {
                // One line end, and no blank line.
                continue;
            }
            for comment in ["", ": c", "id: 1"] {
                let comment =
                    if comment.is_empty() { String::new() } else { format!("{comment}{between}") };
                let event = |model| {
                    format!(
                        "data: {{\"a\":1,{first}{comment}data: \"model\":\"{model}\"}}{second}{blank}"
                    )
                };
                let stream = format!("{}data: {{\"b\":\"\"}}\n\n", event("m"));
                let read = |stream: &str| {
                    let (mut decoder, mut input) = (SseDecoder::new(), stream.as_bytes());
                    let mut events = Vec::new();
                    while let Some(event) = decoder.next(&mut input) {
                        let comments = event.comments().map(<[u8]>::to_vec).collect::<Vec<_>>();
                        events.push((event.kind(), event.data().to_vec(), comments));
                    }
                    events
                };
                let mut out = Vec::new();
                let (mut decoder, mut input) = (ChunkDecoder::new(), stream.as_bytes());
                while let Some(event) = decoder.next(&mut input) {
                    changed +=
                        usize::from(editor.write(&event, &mut out) == RewriteOutcome::Changed);
                }
                let out = String::from_utf8(out).unwrap();
                let expected = format!("{}data: {{\"b\":\"\"}}\n\n", event("n"));
                assert_eq!(read(&out), read(&expected), "{stream:?} became {out:?}");
            }
        }
        assert_eq!(changed, 72 * 3);
    }

    /// A CRLF that is cut after a dropped event is dropped as a whole, and no other line end is.
    #[test]
    fn half_a_line_end_is_dropped_with_its_event() {
        let mut editor = Editor::new();
        editor.hide_usage(UsageVisibility::Removed);
        for (stream, expected) in [
            ("data: {\"usage\":{}}\r\n\r\n\ndata: 1\n\n", "\ndata: 1\n\n"),
            ("data: {\"usage\":{}}\n\n\n", "\n"),
            ("data: {\"usage\":{}}\r\r\rdata: 1\n\n", "\rdata: 1\n\n"),
            ("data: {\"usage\":{}}\r\r: c\n\n", ": c\n\n"),
            ("data: {\"b\":{}}\r\n\r\n\n", "data: {\"b\":{}}\r\n\r\n\n"),
        ] {
            for cut in 0..stream.len() {
                let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
                for piece in [&stream[..cut], &stream[cut..]] {
                    let mut input = piece.as_bytes();
                    while let Some(event) = decoder.next(&mut input) {
                        let _ = editor.write(&event, &mut out);
                    }
                }
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{stream:?} at {cut}");
            }
        }
    }

    #[test]
    fn what_has_no_chunk_is_copied() {
        let mut editor = Editor::new();
        editor.replace("model", "n");
        for (event, expected) in [
            ("data: [DONE]\n\n", RewriteOutcome::Unchanged),
            (": ping\n\n", RewriteOutcome::Unchanged),
            ("event: error\n\n", RewriteOutcome::Unchanged),
            ("event: error\ndata:\n\n", RewriteOutcome::Unchanged),
            ("error: {\"model\":\"m\"}\n", RewriteOutcome::Unreadable),
            ("event: error\ndata: {\"model\":\"m\"\n\n", RewriteOutcome::Unreadable),
            ("event: error\ndata: \"model\"\n\n", RewriteOutcome::Unreadable),
            ("data: {\"model\":\"m\"\n\n", RewriteOutcome::Unreadable),
            ("data: \"model\"\n\n", RewriteOutcome::Unreadable),
        ] {
            assert_eq!(write(&mut editor, event), (expected, event.to_owned()));
        }
        let error = "event: error\ndata: {\"model\":\"m\"}\n\n";
        assert_eq!(write(&mut editor, error).1, "event: error\ndata: {\"model\":\"n\"}\n\n");
    }

    #[test]
    fn an_edit_goes_before_a_rule() {
        let event = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        editor.replace("model", "rule");
        let mut edit = editor.edit(&event);
        assert!(edit.content(0, "b") && edit.replace("model", "edit"));
        assert!(!edit.content(1, "c") && !edit.replace("id", "c"));
        assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
        let expected =
            "data: {\"model\":\"edit\",\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n";
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        // An edit inside a removed member has no effect, and its text isn't written.
        editor.remove("choices");
        out.clear();
        let mut edit = editor.edit(&event);
        assert!(edit.content(0, "b"));
        assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
        assert_eq!(String::from_utf8(out).unwrap(), "data: {\"model\":\"rule\"}\n\n");
    }

    #[test]
    fn an_edit_goes_before_a_rule_that_removes() {
        let event = "data: {\"model\":\"1\",\"usage\":{},\"model\":\"2\",\"a\":1}\n\n";
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        let mut editor = remover(&["model", "a"]);
        editor.hide_usage(UsageVisibility::Removed);
        let mut written = |edits: &[(&str, &str)]| {
            let mut out = Vec::new();
            let mut edit = editor.edit(&event);
            assert!(edits.iter().all(|(name, text)| edit.replace(name, text)));
            (edit.write(&mut out), String::from_utf8(out).unwrap())
        };
        let changed = |json: &str| (RewriteOutcome::Changed, format!("data: {json}\n\n"));
        assert_eq!(written(&[("model", "x")]), changed("{\"model\":\"x\"}"));
        assert_eq!(written(&[("usage", "x")]), changed("{\"usage\":\"x\"}"));
        assert_eq!(written(&[("a", "x")]), changed("{\"a\":\"x\"}"));
        let twice = [("a", "x"), ("a", "y"), ("model", "2"), ("model", "z")];
        assert_eq!(written(&twice), changed("{\"model\":\"z\",\"a\":\"y\"}"));
        assert_eq!(written(&[]), (RewriteOutcome::Dropped, String::new()));
    }

    /// Of several edits of a value the last one counts, in any order of the values.
    #[test]
    fn a_later_edit_replaces_an_earlier_one() {
        let event = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}\n\n";
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        let mut editor = Editor::new();
        let mut written = |contents: &[(usize, &str)]| {
            let mut out = Vec::new();
            let mut edit = editor.edit(&event);
            assert!(contents.iter().all(|(position, text)| edit.content(*position, text)));
            (edit.write(&mut out), String::from_utf8(out).unwrap())
        };
        let expected = |outcome, contents: [&str; 2]| {
            let [a, b] = contents.map(|text| format!("{{\"delta\":{{\"content\":\"{text}\"}}}}"));
            (outcome, format!("data: {{\"model\":\"m\",\"choices\":[{a},{b}]}}\n\n"))
        };
        let changed = |contents| expected(RewriteOutcome::Changed, contents);
        assert_eq!(written(&[(1, "x"), (0, "y"), (1, "z"), (0, "w")]), changed(["w", "z"]));
        assert_eq!(written(&[(0, "x"), (1, "y"), (0, "z")]), changed(["z", "y"]));
        let unchanged = expected(RewriteOutcome::Unchanged, ["a", "b"]);
        assert_eq!(written(&[(1, "x"), (0, "y"), (0, "a"), (1, "b")]), unchanged);
    }

    /// An edit with the same text keeps it, even if a rule would replace it.
    #[test]
    fn an_edit_may_say_what_is_there() {
        let event = "data: {\"model\":\"m\"}\n\n";
        let mut decoder = ChunkDecoder::new();
        let chunk = decoder.next(&mut event.as_bytes()).unwrap();
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        editor.replace("model", "rule");
        let mut edit = editor.edit(&chunk);
        assert!(edit.replace("model", "m"));
        assert_eq!(edit.write(&mut out), RewriteOutcome::Unchanged);
        assert_eq!(out, event.as_bytes());
    }

    /// Ranges that no chunk has: each time the event isn't written.
    #[test]
    fn an_edit_out_of_range_is_not_written() {
        let (data, texts) = (&b"{\"model\":\"m\"}"[..], &b"\"alias\""[..]);
        let written = |edits: &[(Range<usize>, Range<usize>)]| {
            let edit = |(range, text): &(Range<usize>, Range<usize>)| ByteEdit {
                range: range.clone(),
                text: text.clone(),
            };
            let edits: Vec<_> = edits.iter().map(edit).collect();
            assert!(edits.iter().any(|edit| edit.is_effective(texts, data)));
            let mut out = Vec::new();
            write_data(data, &edits, texts, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(written(&[(9..12, 0..7)]).unwrap(), "{\"model\":\"alias\"}");
        // The second edit is inside the first one.
        assert_eq!(written(&[(1..12, 0..7), (9..12, 0..7)]).unwrap(), "{\"alias\"}");
        let reversed = Range { start: 12, end: 9 };
        for wrong in [
            &[(9..14, 0..7)][..],
            &[(reversed, 0..7)],
            &[(MISSING, 0..7)],
            &[(9..12, 0..8)],
            &[(MISSING, 0..8)],
            &[(1..10, 0..7), (9..12, 0..7)],
        ] {
            assert_eq!(written(wrong), None, "{wrong:?}");
        }
    }

    /// With a broken invariant, a release build drops the event, and a debug build panics.
    #[test]
    #[cfg_attr(debug_assertions, should_panic = "an edit is outside of its event")]
    fn a_broken_edit_drops_its_event() {
        for lines in ["", "data: \n"] {
            let event = format!("{lines}data: {{\"model\":\"m\"}}\r\r");
            let mut decoder = ChunkDecoder::new();
            let event = decoder.next(&mut event.as_bytes()).unwrap();
            let (mut editor, mut out) = (Editor::new(), Vec::new());
            let mut edit = editor.edit(&event);
            assert!(edit.replace("model", "alias"));
            edit.editor.edits[0].range = MISSING;
            assert_eq!(edit.write(&mut out), RewriteOutcome::Dropped);
            assert_eq!(out, b"");
            assert!(editor.half_end.is_some());
        }
    }
}
