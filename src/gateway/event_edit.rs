//! `EventEdit`: an event with the edits of one editor, and its bytes with them.

use super::byte_edit::{ByteEdit, write_data};
use super::edit_plan::Selecting;
use super::edit_rule::EditRule;
use super::edit_value::EditValue;
use super::output::Output;
use super::rewrite::Editor;
use super::rewrite_outcome::{RewriteOutcome, WrittenBytes, WrittenEvent};
use crate::chunk::ChatCompletionChunk;
use crate::decoder::{ChunkEvent, Payload};
use crate::json::Value;
use crate::output_buffer::OutputBuffer;
use crate::slice::{bytes_in, split_bytes};
use crate::sse::{Event, LineSpan, SseField};

/// An event that is being edited; see [`Editor::edit`].
///
/// ```
/// use deltawire::gateway::{Editor, RewriteOutcome};
/// use deltawire::{ChunkDecoder, Payload};
///
/// let mut input = &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"secret\"}}]}\n\n"[..];
/// let mut decoder = ChunkDecoder::new();
/// let event = decoder.next(&mut input).unwrap();
/// let Payload::Chunk(chunk) = event.payload() else { unreachable!() };
/// let (mut editor, mut out) = (Editor::new(), Vec::new());
/// let mut edit = editor.edit(&event);
/// for choice in chunk.choices() {
///     if let Some(content) = choice.delta().get("content") {
///         assert!(edit.replace(content, "\"***\""));
///     }
/// }
/// assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
/// assert_eq!(out, b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"***\\\"\"}}]}\n\n");
/// ```
#[derive(Debug)]
pub struct EventEdit<'e> {
    pub(super) editor: &'e mut Editor,
    pub(super) event: &'e ChunkEvent<'e>,
    pub(super) chunk: Option<ChatCompletionChunk<'e>>,
}

impl EventEdit<'_> {
    /// Replaces a value of the event, in this event only.
    ///
    /// Returns false if the value is one of another event. The edit outranks the rules for this value,
    /// even one that removes it. A rule that removes or replaces a value around it outranks the edit.
    /// Of several edits of a value the last one counts. An event with an edit isn't dropped.
    pub fn replace<'v>(&mut self, value: Value<'_>, with: impl Into<EditValue<'v>>) -> bool {
        let is_own = self.chunk.is_some_and(|chunk| chunk.as_value().is_in_document_of(&value));
        if is_own && value.id != 0 {
            let Editor { rules, planner, has_own_plan, .. } = &mut *self.editor;
            *has_own_plan = true;
            let change = rules.push_value(with.into());
            planner.select_value(value.in_full().id, change);
            return true;
        }
        false
    }

    /// Applies a rule in this event only, as the last of all rules.
    ///
    /// Returns true if the event has a value that it selects, or gets one: `add_if_absent` returns false
    /// for a member that is present. An event for which it returns true isn't dropped. A rule also
    /// applies to members that another rule renames to its name, which it doesn't count. A rule for all
    /// events belongs to the editor, which finds its values faster.
    pub fn apply(&mut self, rule: &EditRule) -> bool {
        let Some(chunk) = self.chunk else { return false };
        let Editor { rules, planner, has_own_plan, .. } = &mut *self.editor;
        *has_own_plan = true;
        let change = rules.push(rule);
        let how = Selecting { adds: adds_to(self.event), may_rename: true };
        planner.select(chunk.as_value().document.full(), rule, change, how)
    }

    /// Appends the event to `out`.
    pub fn write(self, out: &mut impl OutputBuffer) -> RewriteOutcome {
        out.with_vec(|out| self.append(out))
    }

    pub(super) fn append(self, out: &mut Vec<u8>) -> RewriteOutcome {
        let raw = self.event.raw();
        let written = self.write_to(out);
        if written.bytes == WrittenBytes::Raw {
            out.extend_from_slice(raw);
        }
        written.outcome()
    }

    /// Appends the event to `out`, unless it is to be passed on as it came.
    pub(super) fn write_to(self, out: &mut impl Output) -> WrittenEvent {
        let Self { editor, event, chunk } = self;
        let half_end = editor.half_end.take();
        let is_edited = !editor.planner.selects_nothing();
        let changes_nothing = editor.rules.is_empty() && !is_edited;
        let Some(chunk) = chunk else {
            let is_half_end = half_end == Some(event.offset()) && event.raw() == b"\n";
            let bytes = if is_half_end { WrittenBytes::Dropped } else { WrittenBytes::Raw };
            return WrittenEvent { bytes, is_unreadable: !changes_nothing && is_unreadable(event) };
        };
        let is_error = matches!(event.payload(), Payload::Error(_));
        let adds = adds_to(event);
        let event = event.event();
        let is_unreadable = !changes_nothing && has_error_line(event);
        let is_dropped = editor.apply(&chunk, adds) && !is_edited && !is_unreadable && !is_error;
        let bytes = if is_dropped {
            editor.drop_event(event);
            write_state(event, out)
        } else {
            write_edited(editor, event, out)
        };
        WrittenEvent { bytes, is_unreadable }
    }
}

/// Appends an event if the edits of its editor change it.
fn write_edited(editor: &mut Editor, event: &Event<'_>, out: &mut impl Output) -> WrittenBytes {
    let Editor { edits, rules, data, .. } = &mut *editor;
    let texts = rules.texts();
    if !edits.iter().any(|edit| edit.is_effective(texts, event.data())) {
        return WrittenBytes::Raw;
    }
    let out = out.buffer();
    let start = out.len();
    if write_edits(event, edits, texts, data, out).is_none() {
        debug_assert!(false, "an edit is outside of its event");
        out.truncate(start);
        editor.drop_event(event);
        return WrittenBytes::Dropped;
    }
    WrittenBytes::Edited
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

/// Returns true if rules add members to the object of an event: it is a chunk.
#[inline]
fn adds_to(event: &ChunkEvent<'_>) -> bool {
    match event.payload() {
        Payload::Chunk(_) => true,
        Payload::Error(error) => error.chunk().is_some(),
        _ => false,
    }
}

/// Returns true if an event has a line that is no field but that clients read.
fn has_error_line(event: &Event<'_>) -> bool {
    let is_error =
        |line: &[u8]| line.starts_with(b"error:") || line.trim_ascii_start().starts_with(b"{");
    event.has_unknown_lines() && event.unknown_lines().any(is_error)
}

/// Returns true if an event without an object may contain one that can't be read.
fn is_unreadable(event: &ChunkEvent<'_>) -> bool {
    let is_payload = match event.payload() {
        Payload::Malformed(_) => true,
        // Data that are no object.
        Payload::Error(_) => !event.event().data().is_empty(),
        _ => event.event().skips_content(),
    };
    is_payload || has_error_line(event.event())
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

/// Appends the `id` and `retry` lines of a dropped event, and a blank line, if it has such lines.
#[cold]
fn write_state(event: &Event<'_>, out: &mut impl Output) -> WrittenBytes {
    let is_state =
        |content: &[u8]| matches!(SseField::of(content), SseField::Id(_) | SseField::Retry(_));
    let mut written = None;
    for (line, span) in lines(event) {
        let content = span.content(line);
        if is_state(content) {
            let out = out.buffer();
            written.get_or_insert(out.len());
            out.extend_from_slice(content);
            out.push(b'\n');
        }
    }
    let Some(start) = written else { return WrittenBytes::Dropped };
    let out = out.buffer();
    if event.is_unterminated() {
        end_as_raw(event, start, out);
    } else {
        out.push(b'\n');
    }
    WrittenBytes::State
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
    if event.is_unterminated() {
        end_as_raw(event, start, out);
    }
}

/// Ends the lines from `start` as an event ends that no blank line closes.
///
/// So the same line ends close the event and the written lines; see [`Event::missing_end`].
#[cold]
fn end_as_raw(event: &Event<'_>, start: usize, out: &mut Vec<u8>) {
    let raw = event.raw();
    let len = len_without_end(bytes_in(out, start..));
    out.truncate(start + len);
    out.extend_from_slice(bytes_in(raw, len_without_end(raw)..));
}

/// Returns the length of lines without the end of the last one.
fn len_without_end(lines: &[u8]) -> usize {
    let rest = lines.strip_suffix(b"\n").unwrap_or(lines);
    rest.strip_suffix(b"\r").unwrap_or(rest).len()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::EventEdit;
    use crate::decoder::ChunkDecoder;
    use crate::gateway::byte_edit::{ByteEdit, MISSING};
    use crate::gateway::edit_rule::EditRule;
    use crate::gateway::edit_value::EditValue;
    use crate::gateway::{Editor, RewriteOutcome, UsageVisibility};

    /// Replaces a member of the chunk. Returns false if it is absent.
    fn replace(edit: &mut EventEdit<'_>, name: &str, text: &str) -> bool {
        let value = edit.chunk.unwrap().get(name);
        value.is_some_and(|value| edit.replace(value, text))
    }

    /// Replaces the content of a choice. Returns false if it is absent.
    fn content(edit: &mut EventEdit<'_>, position: usize, text: &str) -> bool {
        let choice = edit.chunk.unwrap().choices().nth(position);
        let value = choice.and_then(|choice| choice.delta().get("content"));
        value.is_some_and(|value| edit.replace(value, text))
    }

    #[test]
    fn an_edit_outranks_a_rule() {
        let event = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        editor.replace("model", "rule");
        let mut edit = editor.edit(&event);
        assert!(content(&mut edit, 0, "b") && replace(&mut edit, "model", "edit"));
        assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
        let expected =
            "data: {\"model\":\"edit\",\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n";
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        // An edit inside a removed member has no effect, and its text isn't written.
        editor.remove("choices");
        out.clear();
        let mut edit = editor.edit(&event);
        assert!(content(&mut edit, 0, "b"));
        assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
        assert_eq!(String::from_utf8(out).unwrap(), "data: {\"model\":\"rule\"}\n\n");
    }

    #[test]
    fn an_edit_outranks_a_rule_that_removes() {
        let event = "data: {\"model\":\"1\",\"usage\":{},\"model\":\"2\",\"a\":1}\n\n";
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        let mut editor = Editor::new();
        editor.remove("model");
        editor.remove("a");
        editor.hide_usage(UsageVisibility::Removed);
        let mut written = |edits: &[(&str, &str)]| {
            let mut out = Vec::new();
            let mut edit = editor.edit(&event);
            assert!(edits.iter().all(|(name, text)| replace(&mut edit, name, text)));
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
            assert!(contents.iter().all(|(position, text)| content(&mut edit, *position, text)));
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
    fn an_edit_with_the_same_text_keeps_it() {
        let event = "data: {\"model\":\"m\"}\n\n";
        let mut decoder = ChunkDecoder::new();
        let chunk = decoder.next(&mut event.as_bytes()).unwrap();
        let (mut editor, mut out) = (Editor::new(), Vec::new());
        editor.replace("model", "rule");
        let mut edit = editor.edit(&chunk);
        assert!(replace(&mut edit, "model", "m"));
        assert_eq!(edit.write(&mut out), RewriteOutcome::Unchanged);
        assert_eq!(out, event.as_bytes());
    }

    /// A rule for one event is the last one, and the next event has none of it.
    #[test]
    fn a_rule_may_be_for_one_event() {
        let event = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        let mut decoder = ChunkDecoder::new();
        let event = decoder.next(&mut event.as_bytes()).unwrap();
        let mut editor = Editor::new();
        editor.replace("model", "rule");
        let mut written = |rules: &[EditRule]| {
            let mut out = Vec::new();
            let mut edit = editor.edit(&event);
            let applied: Vec<_> = rules.iter().map(|rule| edit.apply(rule)).collect();
            assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
            (applied, String::from_utf8(out).unwrap())
        };
        let expected = |model: &str, delta: &str| {
            format!("data: {{{model}\"choices\":[{{\"delta\":{{{delta}}}}}]}}\n\n")
        };
        let rules = [
            EditRule::remove("$.model").unwrap(),
            EditRule::rename("$.choices[0].delta.content", "text").unwrap(),
            EditRule::set("$.choices[*].delta.n", 7).unwrap(),
            EditRule::replace("$.choices[1].delta.content", EditValue::NULL).unwrap(),
        ];
        let (applied, out) = written(&rules);
        assert_eq!(applied, [true, true, true, false]);
        assert_eq!(out, expected("", "\"text\":\"a\",\"n\":7"));
        let rule = expected("\"model\":\"rule\",", "\"content\":\"a\"");
        assert_eq!(written(&[]), (vec![], rule));
    }

    /// A value of another event is no value of this one, also if both match one template.
    #[test]
    fn a_value_of_another_event_is_not_replaced() {
        let mut decoders = [(); 2].map(|()| ChunkDecoder::new());
        for text in ["a", "b", "c"] {
            let event = format!("data: {{\"model\":\"{text}\",\"choices\":[]}}\n\n");
            let other = event.clone();
            let [first, second] = &mut decoders;
            let event = first.next(&mut event.as_bytes()).unwrap();
            let other = second.next(&mut other.as_bytes()).unwrap();
            let (mut editor, mut editor_of_other) = (Editor::new(), Editor::new());
            let value = editor_of_other.edit(&other).chunk.unwrap().get("model").unwrap();
            let (mut edit, mut out) = (editor.edit(&event), Vec::new());
            assert!(!edit.replace(value, "x"));
            let root = edit.chunk.unwrap().as_value();
            assert!(!edit.replace(root, "x"), "an event without an object");
            assert_eq!(edit.write(&mut out), RewriteOutcome::Unchanged);
            assert_eq!(out, event.event().raw());
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
            let edit = editor.edit(&event);
            edit.editor.edits.push(ByteEdit { range: MISSING, text: 0..0 });
            assert_eq!(edit.write(&mut out), RewriteOutcome::Dropped);
            assert_eq!(out, b"");
            assert!(editor.half_end.is_some());
        }
    }
}
