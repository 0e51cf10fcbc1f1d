//! `Editor`: writes events and completions with the changes of rules, and copies all other bytes.

use core::cell::OnceCell;
use core::ops::Range;

use super::byte_edit::{ByteEdit, Place, lines_of, moved_range, range_in_lines, write_data};
use super::edit_plan::{NodeEdit, Planner, RewritePlan};
use super::edit_rule::{EditRule, RuleSet};
use super::event_edit::EventEdit;
use super::rewrite_outcome::RewriteOutcome;
use super::spans::object_of;
use crate::chunk::schema::top;
use crate::chunk::{ChatCompletionChunk, TemplateCache};
use crate::decoder::ChunkEvent;
use crate::error::{Error, ErrorKind};
use crate::json::{Parser, TEXT_LIMITS, Tape, Value, ValueKind, expect};
use crate::output_buffer::OutputBuffer;
use crate::sse::{DataLine, Event};

/// Writes the events of a stream, or whole completions, with the changes of its rules.
///
/// A rule applies to every object of the stream, and [`write`](Self::write) writes each event. All bytes without a
/// rule are copied: framing, spaces, the order of members, numbers and strings. An [`EditRule`]
/// replaces, adds, renames or removes values of a path.
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
/// The values of all rules are found once for a template. So an ordinary event costs a copy, and any
/// other event a search for each rule. Allocates nothing once the buffers have grown.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    pub(super) rules: RuleSet,
    pub(super) planner: Planner,
    plans: TemplateCache<RewritePlan>,
    /// The plan for an event that has its own: without a template, or with edits of its own.
    own_plan: RewritePlan,
    /// True if an event had a plan or edits of its own, so that buffers may be large.
    pub(super) has_own_plan: bool,
    /// The changes to the current event.
    pub(super) edits: Vec<ByteEdit>,
    /// The plan of the current event moves texts.
    moves_texts: bool,
    /// The stream offset behind a dropped event that ended with CR.
    ///
    /// A LF at this offset is the rest of its line end.
    pub(super) half_end: Option<u64>,
    /// The data of an event that come in several lines.
    pub(super) data: Vec<u8>,
    /// Number of consecutive events that used little of large buffers.
    small_events: u32,
}

/// The parts of a written event that all its values share; each is filled when it is needed.
#[derive(Debug, Default)]
pub(super) struct WrittenParts {
    /// The lines of data in several lines.
    lines: OnceCell<Vec<DataLine>>,
    /// The sums of many edits.
    sums: OnceCell<Vec<(usize, usize)>>,
}

/// Buffers above this size are freed after `SMALL_EVENTS` consecutive events that don't need them.
pub(super) const KEPT_CAPACITY: usize = 64 << 10;
const SMALL_EVENTS: u32 = 64;

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

    /// Creates an editor with rules. Allocates their texts.
    ///
    /// ```
    /// use deltawire::gateway::{EditRule, Editor};
    ///
    /// let editor = Editor::with_rules([
    ///     EditRule::replace("$.model", "our-alias")?,
    ///     EditRule::remove("$.choices[*].delta.reasoning_content")?,
    /// ]);
    /// # let _ = editor;
    /// # Ok::<(), deltawire::gateway::PathError>(())
    /// ```
    #[must_use]
    pub fn with_rules(rules: impl IntoIterator<Item = EditRule>) -> Self {
        let mut editor = Self::default();
        editor.rules.extend(rules);
        editor
    }

    /// Adds a rule behind the others; see [`EditRule`] for several rules with one value.
    pub fn add_rule(&mut self, rule: EditRule) {
        self.rules.extend([rule]);
        self.plans = TemplateCache::default();
    }

    /// Replaces the value of a member of the chunk itself by a string.
    ///
    /// Examples are `model` with the client's alias, and `id`. It is the rule of
    /// [`EditRule::replace`] for any name.
    pub fn replace(&mut self, name: &str, text: &str) {
        self.add_rule(EditRule::replace_member(name, text));
    }

    /// Removes a member of the chunk itself, with its comma.
    ///
    /// It is the rule of [`EditRule::remove`] for any name.
    pub fn remove(&mut self, name: &str) {
        self.add_rule(EditRule::remove_member(name));
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
    /// This applies to the member `usage` of the chunk as it came, and to that of a
    /// [whole completion](Self::write_completion), which isn't dropped. Counts that some servers send
    /// elsewhere, without a request, remain. It outranks the rules for `usage`, which add none.
    pub fn hide_usage(&mut self, how: UsageVisibility) {
        self.rules.hide_usage(how);
        self.plans = TemplateCache::default();
    }

    /// Appends an event to `out` with the changes of the rules.
    ///
    /// A value that a rule hides may also be in an error, such as the name of the model. So the rules
    /// change all objects, but add members to chunks only:
    ///
    /// | event | `replace`, `rename`, `remove` | `set` | `add_if_absent` |
    /// |---|---|---|---|
    /// | a chunk, also one with an error | yes | replaces or adds | adds |
    /// | an error that is an object, without a chunk | yes | replaces | – |
    /// | another object, such as a ping | yes | replaces | – |
    /// | `[DONE]`, a comment, an event without data | – | – | – |
    /// | an event that can't be read: [`Unreadable`](RewriteOutcome::Unreadable) | – | – | – |
    ///
    /// An event that no rule changes is copied.
    pub fn write(&mut self, event: &ChunkEvent<'_>, out: &mut impl OutputBuffer) -> RewriteOutcome {
        out.with_vec(|out| self.append(event, out))
    }

    fn append(&mut self, event: &ChunkEvent<'_>, out: &mut Vec<u8>) -> RewriteOutcome {
        self.edit(event).append(out)
    }

    /// Appends a whole `chat.completion` to `out` with the changes of the rules.
    ///
    /// All other bytes are copied. A `delta` of a choice in a path selects its `message`. The usage
    /// is removed or replaced by `null` if it is [hidden](Self::hide_usage); the body is never dropped.
    /// The rules apply to any other JSON object too, such as an upstream's error. An object without
    /// `choices` gets no new member, as in a stream.
    ///
    /// ```
    /// use deltawire::gateway::{EditRule, Editor, RewriteOutcome};
    ///
    /// let rule = EditRule::remove("$.choices[*].delta.reasoning_content")?;
    /// let (mut editor, mut out) = (Editor::with_rules([rule]), Vec::new());
    /// let body = br#"{"choices": [{"message": {"reasoning_content": "Hm", "content": "Hi"}}]}"#;
    /// assert_eq!(editor.write_completion(body, &mut out)?, RewriteOutcome::Changed);
    /// assert_eq!(out, br#"{"choices": [{"message": {"content": "Hi"}}]}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// While it reads, it allocates up to 64 bytes for each name and value of the body. It allocates up to
    /// 192 bytes for each change. If two rules select a value or add a member, these are two changes.
    ///
    /// # Errors
    ///
    /// Returns the error and its offset in the body, which may contain values that a rule changes.
    /// Nothing is written then. The body has to be one JSON object in UTF-8 without a byte order mark,
    /// nested within the default limit. The caller bounds its length.
    pub fn write_completion(
        &mut self,
        json: &[u8],
        out: &mut impl OutputBuffer,
    ) -> Result<RewriteOutcome, Error> {
        out.with_vec(|out| self.append_completion(json, out))
    }

    /// Appends a whole completion to `out`, or nothing of one that can't be edited.
    pub(super) fn append_completion(
        &mut self,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<RewriteOutcome, Error> {
        let mut tape = Tape::default();
        let (document, _) = Parser::new(&TEXT_LIMITS).parse(json, &mut tape)?;
        let root = Value::new(document, 0);
        expect(root.kind() == ValueKind::Object, root, ErrorKind::ExpectedObject)?;
        self.begin_event(json.len());
        self.has_own_plan = true;
        let Self { rules, planner, own_plan, edits, .. } = self;
        let is_completion = root.get(top::CHOICES).is_some();
        planner.compute(rules, document, is_completion, own_plan);
        own_plan.append_to(document, edits);
        if !edits.iter().any(|edit| edit.is_effective(rules.texts(), json)) {
            out.extend_from_slice(json);
            return Ok(RewriteOutcome::Unchanged);
        }
        let start = out.len();
        let written = write_data(json, edits, rules.texts(), out);
        debug_assert!(written.is_some(), "an edit is outside of the body");
        if written.is_none() {
            out.truncate(start);
            return Ok(RewriteOutcome::Dropped);
        }
        Ok(RewriteOutcome::Changed)
    }

    /// Begins to edit one event, for changes in addition to the rules.
    pub fn edit<'e>(&'e mut self, event: &'e ChunkEvent<'e>) -> EventEdit<'e> {
        self.begin_event(event.raw().len());
        EventEdit { editor: self, event, chunk: object_of(event) }
    }

    /// Removes the edits of the event before. `len` is the length of the new one.
    #[inline]
    fn begin_event(&mut self, len: usize) {
        self.edits.clear();
        self.rules.prepare();
        if self.has_own_plan {
            self.reset(len);
        }
    }

    /// Removes the state of an event with a plan of its own, whose buffers may be large.
    fn reset(&mut self, len: usize) {
        self.planner.begin_event();
        self.rules.begin_event();
        let capacity = self.capacity();
        self.has_own_plan = capacity > KEPT_CAPACITY;
        if self.has_own_plan {
            self.shrink(len < capacity / 32);
        }
    }

    /// Returns the place of a value in the bytes that [`write`](Self::write) has written last.
    ///
    /// `range` is that of the value in the data of the event, which was changed. `found` is filled with
    /// the parts that all values of the event share. The place is unknown if a client may join the value
    /// with others than before.
    pub(super) fn written_place(
        &self,
        event: &ChunkEvent<'_>,
        range: Range<usize>,
        written: &[u8],
        found: &WrittenParts,
    ) -> Place {
        let place = moved_range(&self.edits, range, &found.sums);
        if self.moves_texts && place != Place::Removed {
            return Place::Unknown;
        }
        place.and_then(|range| {
            let Some(data) = event.event().data_start() else {
                let is_first = event.offset() == 0;
                let lines = found.lines.get_or_init(|| lines_of(&self.data, written, is_first));
                return range_in_lines(lines, range);
            };
            Some(data + range.start..data + range.end)
        })
    }

    /// Returns the capacity, in bytes, of the buffers that grow with an event.
    fn capacity(&self) -> usize {
        self.own_plan.edits.capacity() * size_of::<NodeEdit>()
            + self.edits.capacity() * size_of::<ByteEdit>()
            + self.planner.capacity()
            + self.rules.capacity()
            + self.data.capacity()
    }

    /// Frees large buffers after `SMALL_EVENTS` consecutive small events.
    #[cold]
    fn shrink(&mut self, is_small: bool) {
        self.small_events = if is_small { self.small_events + 1 } else { 0 };
        if self.small_events >= SMALL_EVENTS {
            self.own_plan = RewritePlan::default();
            self.planner = Planner::default();
            (self.edits, self.data) = (Vec::new(), Vec::new());
            self.rules.shrink();
            self.small_events = 0;
        }
    }

    /// Appends the edits of the rules for an object. Returns true if the rules drop it.
    ///
    /// `adds` is true if it is a chunk, to which rules add members.
    #[inline]
    pub(super) fn apply(&mut self, chunk: &ChatCompletionChunk<'_>, adds: bool) -> bool {
        let Self { rules, planner, plans, own_plan, has_own_plan, edits, moves_texts, .. } = self;
        let mut document = chunk.as_value().document;
        let key = chunk.template_key().filter(|_| planner.is_empty() && adds);
        let planned = key.map(|key| {
            &*plans.get_or_compute(key, |plan| planner.compute(rules, document, adds, plan))
        });
        let plan = if let Some(plan) = planned.filter(|plan| !plan.enters_unread) {
            plan
        } else {
            *has_own_plan = true;
            // The changes of the event itself have nodes of the full document.
            document = document.full();
            planner.compute(rules, document, adds, own_plan);
            own_plan
        };
        plan.append_to(document, edits);
        *moves_texts = plan.moves_texts;
        plan.is_dropped
    }
}

impl Editor {
    /// Prepares for another stream, whose offsets begin at 0.
    pub(super) const fn begin_stream(&mut self) {
        self.half_end = None;
    }

    /// Records a dropped event, so that the rest of its line end is dropped, too.
    pub(super) fn drop_event(&mut self, event: &Event<'_>) {
        self.half_end = event.raw().ends_with(b"\r").then(|| event.span().end);
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
    use crate::decoder::ChunkDecoder;
    use crate::gateway::{Editor, RewriteOutcome, UsageVisibility};
    use crate::sse::SseDecoder;

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
    fn an_error_beside_another_one_is_not_dropped() {
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
}
