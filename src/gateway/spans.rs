//! `Spans`: where the values of a chunk stand in the raw bytes of its event.

use core::cell::OnceCell;
use core::ops::Range;

use crate::chunk::ChatCompletionChunk;
use crate::decoder::{ChunkEvent, Payload};
use crate::json::Value;
use crate::sse::{DataLine, Event};

/// Where the values of a chunk stand in [`ChunkEvent::raw`]: ranges of bytes, quotes and brackets
/// included.
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
/// Of an event with several `data` lines, what spans two of them has the line break and the name of
/// the field in its range. Strings and numbers never do. [`Editor`](super::Editor) knows.
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

    /// The value of the chunk's member `name`. Of members with the same name it is the last one's.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Range<usize>> {
        self.chunk.get(name).map(|value| self.of_value(value))
    }

    /// The content of a choice, whatever its type; `position` is the choice's in
    /// [`choices`](ChatCompletionChunk::choices), which need not be its index.
    #[must_use]
    pub fn content(&self, position: usize) -> Option<Range<usize>> {
        let choice = self.chunk.choices().nth(position)?;
        choice.delta().get("content").map(|value| self.of_value(value))
    }

    /// The usage, wherever it is; see [`ChatCompletionChunk::usage`].
    #[must_use]
    pub fn usage(&self) -> Option<Range<usize>> {
        self.chunk.usage().map(|usage| self.of_value(usage.as_value()))
    }

    /// Any value of this chunk; of another chunk's values it says nothing of use.
    #[must_use]
    pub fn of_value(&self, value: Value<'a>) -> Range<usize> {
        let Range { start, end } = in_data(value);
        self.in_raw(start)..self.in_raw(end.saturating_sub(1)) + 1
    }

    /// Returns the position in the event of a byte of the data.
    fn in_raw(&self, position: usize) -> usize {
        if let Some(data) = self.event.data_start {
            return data + position;
        }
        let lines = self.lines.get_or_init(|| self.event.data_lines().collect());
        let behind = lines.partition_point(|line| line.in_data <= position);
        let line = behind.checked_sub(1).and_then(|at| lines.get(at));
        line.map_or(0, |line| line.in_raw + (position - line.in_data))
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

/// Where a value stands in the event's data.
#[inline]
pub(super) fn in_data(value: Value<'_>) -> Range<usize> {
    let node = value.document.node(value.id);
    node.map_or(0..0, |node| node.start as usize..node.end as usize)
}
