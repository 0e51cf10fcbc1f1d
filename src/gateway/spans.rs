//! `Spans`: finds the values of a chunk in the raw bytes of its event.

use crate::chunk::schema::delta;
use core::cell::OnceCell;
use core::ops::Range;

use crate::chunk::ChatCompletionChunk;
use crate::decoder::{ChunkEvent, Payload};
use crate::json::Value;
use crate::sse::{DataLine, Event};

/// Returns the ranges of a chunk's values in [`ChunkEvent::raw`].
///
/// The ranges include quotes and brackets.
///
/// ```
/// use deltawire::ChunkDecoder;
/// use deltawire::gateway::Spans;
///
/// let mut input = &br#"data: {"model":"m","choices":[{"delta":{"content":"Hi"}}],"usage":null}
///
/// "#[..];
/// let mut decoder = ChunkDecoder::new();
/// let event = decoder.next(&mut input).unwrap();
/// let spans = Spans::of(&event).unwrap();
/// let text = |span: Option<std::ops::Range<usize>>| &event.raw()[span.unwrap()];
/// assert_eq!(text(spans.value("model")), br#""m""#);
/// assert_eq!(text(spans.content(0)), br#""Hi""#);
/// assert_eq!(text(spans.value("usage")), b"null");
/// ```
///
/// If an event has several `data` lines, a value may span some of them. Its range then includes the
/// line breaks and field names between them. Strings and numbers never span lines. An
/// [`Editor`](super::Editor) handles such values.
///
/// Creating one costs nothing; a range costs a search for its value. If an event has several `data`
/// lines, the first range allocates 16 bytes for each of them.
#[derive(Clone, Debug)]
pub struct Spans<'a> {
    event: Event<'a>,
    chunk: ChatCompletionChunk<'a>,
    /// Start of each `data` line's value, in the data and in the event; filled on first use.
    lines: OnceCell<Vec<DataLine>>,
}

impl<'a> Spans<'a> {
    /// Returns the spans of an event's object: of a chunk, an error or another object.
    ///
    /// Returns `None` if the event has no object.
    #[must_use]
    pub fn of(event: &ChunkEvent<'a>) -> Option<Self> {
        Some(Self { event: *event.event(), chunk: object_of(event)?, lines: OnceCell::new() })
    }

    /// Returns the range of the value of the chunk's member `name`, the last one of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Range<usize>> {
        self.chunk.get(name).map(|value| self.of_value(value))
    }

    /// Returns the range of the content of a choice, of any type.
    ///
    /// `position` is the choice's in [`choices`](ChatCompletionChunk::choices), which may differ
    /// from its index.
    #[must_use]
    pub fn content(&self, position: usize) -> Option<Range<usize>> {
        let choice = self.chunk.choices().nth(position)?;
        choice.delta().get(delta::CONTENT).map(|value| self.of_value(value))
    }

    /// Returns the range of the usage that [`ChatCompletionChunk::usage`] returns.
    #[must_use]
    pub fn usage(&self) -> Option<Range<usize>> {
        self.chunk.usage().map(|usage| self.of_value(usage.as_value()))
    }

    /// Returns the range of a value of this chunk. For a value of another chunk it is meaningless.
    #[must_use]
    pub fn of_value(&self, value: Value<'a>) -> Range<usize> {
        let range = self.find(value);
        debug_assert!(range.is_some(), "a value has a node, and a node a line");
        range.unwrap_or_default()
    }

    /// Returns the range of a value, or `None` if it has none, which is a bug.
    pub(super) fn find(&self, value: Value<'a>) -> Option<Range<usize>> {
        let Range { start, end } = value_range(value)?;
        match self.event.data_start() {
            Some(data) => Some(data + start..data + end),
            None => Some(self.raw_position(start)?..self.raw_position(end.checked_sub(1)?)? + 1),
        }
    }

    /// Returns the position in the event of a byte of data in several lines.
    fn raw_position(&self, position: usize) -> Option<usize> {
        let lines = self.lines.get_or_init(|| self.event.data_lines().collect());
        let after = lines.partition_point(|line| line.in_data <= position);
        let line = lines.get(after.checked_sub(1)?)?;
        Some(line.in_raw + (position - line.in_data))
    }
}

/// Returns the object of an event: a chunk, an error or another object.
#[inline]
pub(super) fn object_of<'a>(event: &ChunkEvent<'a>) -> Option<ChatCompletionChunk<'a>> {
    match event.payload() {
        Payload::Chunk(chunk) => Some(*chunk),
        Payload::Error(error) => error.object(),
        Payload::Other(object) => Some(object.0),
        _ => None,
    }
}

/// Returns the range of a value in the event's data, or `None` if it has no node, which is a bug.
#[inline]
pub(super) fn value_range(value: Value<'_>) -> Option<Range<usize>> {
    let node = value.document.node(value.id)?;
    Some(node.start as usize..node.end as usize)
}
