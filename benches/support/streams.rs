//! The streams of a workload, generated or recorded, with their contents.

#[path = "../../tests/support/fold.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod fold;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use deltawire::SseDecoder;

use crate::cuts::Cut;
use crate::workloads::{self, Choice, Expected, generate};

/// Streams that are read one after the other, each by a decoder of its own.
pub struct Workload {
    pub name: &'static str,
    pub streams: Vec<Stream>,
}

/// A stream, the ends of its events, and its contents.
pub struct Stream {
    pub bytes: Vec<u8>,
    pub ends: Vec<usize>,
    pub is_recorded: bool,
    /// Where its pieces ended, where they were recorded.
    pub recorded: Vec<usize>,
    pub expected: Expected,
    /// Events with data, and bytes of their data.
    pub framed: (usize, usize),
}

impl Workload {
    /// Makes a generated workload of about so many events in all.
    pub fn generated(name: &'static str, events: usize) -> Self {
        // One of its streams has 21 events.
        let streams = if name == "mixed-shapes" { (events as u64 / 21).max(2) } else { 1 };
        let streams = (0..streams).map(|seed| Stream::generated(name, events, seed));
        Self { name, streams: streams.collect() }
    }

    /// Reads every recorded chat stream, except those that were sorted again.
    ///
    /// Returns `None` if the folder is absent.
    pub fn recorded() -> Option<Self> {
        let folder = corpus()?;
        let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
        let mut rows = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let header = rows.next().unwrap();
        let column = |name| header.iter().position(|column| *column == name).unwrap();
        let (file, pieces) = (column("file"), column("chunk_sidecar"));
        let (api, fidelity) = (column("api"), column("fidelity"));
        let streams = rows
            .filter(|row| row[api] == "openai-chat" && row[fidelity] != "resorted")
            .map(|row| {
                let pieces = (!row[pieces].is_empty()).then(|| folder.join(row[pieces]));
                Stream::recorded(&folder.join(row[file]), pieces)
            })
            .collect();
        Some(Self { name: "corpus", streams })
    }

    pub fn events(&self) -> usize {
        self.streams.iter().map(|stream| stream.ends.len()).sum()
    }

    /// Returns true if a cut makes a case of its own: pieces are recorded of some streams only.
    pub fn has(&self, cut: Cut) -> bool {
        cut != Cut::Recorded || self.streams.iter().any(|stream| stream.is_recorded)
    }
}

impl Stream {
    pub fn generated(name: &str, events: usize, seed: u64) -> Self {
        // The generator takes odd seeds.
        let workloads::Workload { bytes, ends, expected } = generate(name, events, 2 * seed + 1);
        Self {
            framed: framed(&bytes),
            bytes,
            ends,
            is_recorded: false,
            recorded: Vec::new(),
            expected,
        }
    }

    fn recorded(file: &Path, pieces: Option<PathBuf>) -> Self {
        let bytes = fs::read(file).unwrap();
        let lengths = pieces.map(|file| fs::read_to_string(file).unwrap()).unwrap_or_default();
        let recorded = lengths.lines().scan(0, |end, length| {
            *end += length.parse::<usize>().unwrap();
            Some(*end)
        });
        let mut ends = Vec::new();
        let (mut decoder, mut input) = (SseDecoder::new(), &bytes[..]);
        while let Some(event) = decoder.next(&mut input) {
            ends.push(usize::try_from(event.offset()).unwrap() + event.raw().len());
        }
        Self {
            is_recorded: true,
            recorded: recorded.collect(),
            expected: folded(&bytes),
            framed: framed(&bytes),
            ends,
            bytes,
        }
    }

    pub fn ranges(&self, cut: Cut) -> Vec<Range<usize>> {
        cut.ranges(self.bytes.len(), &self.ends, &self.recorded)
    }
}

/// Returns the folder of recordings beside the repository; two packages build this file.
fn corpus() -> Option<PathBuf> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().take(2);
    packages.map(|package| package.join("../shared/corpus")).find(|folder| folder.is_dir())
}

/// Returns the number of events with data, and the bytes of their data.
///
/// The standard's rules apply as far as these streams need them. There are no lone carriage
/// returns, and no `data` without a colon.
fn framed(bytes: &[u8]) -> (usize, usize) {
    let (mut events, mut len) = (0, 0);
    let mut data: Option<usize> = None;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            // A line feed joins it to the one before.
            data = Some(data.map_or(0, |data| data + 1) + value.len());
        } else if line.is_empty()
            && let Some(data) = data.take()
        {
            (events, len) = (events + 1, len + data);
        }
    }
    (events, len)
}

/// Returns the contents of a stream, by a fold that uses nothing of this crate.
fn folded(bytes: &[u8]) -> Expected {
    let chunks = fold::payloads(bytes);
    let folded = fold::fold(&chunks);
    let is_chunk = |chunk: &&serde_json::Value| {
        chunk.is_object() && (chunk["error"].is_null() || chunk.get("choices").is_some())
    };
    let choices = folded.choices.into_iter().map(|choice| Choice {
        content: choice.content.unwrap_or_default(),
        reasoning: choice.reasoning.unwrap_or_default(),
        calls: choice.calls.into_iter().map(|(id, _, name, text)| (id, name, text)).collect(),
        logprobs: choice.logprobs,
        finish_reason: choice.finish_reason.unwrap_or_default(),
    });
    Expected {
        chunks: chunks.iter().filter(is_chunk).count(),
        comments: 0,
        choices: choices.collect(),
        total_tokens: folded.usage["total_tokens"].as_u64(),
    }
}
