//! Recorded streams: read from files, and cut into pieces as a request asks.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use deltawire::gateway::assemble;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value};

use super::body::Step;
use super::wishes::{Piece, Stop, Wishes};
use crate::output::{Failure, failure_of};

const ERROR_EVENT: &[u8] = b"data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";

/// A recorded stream.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    bytes: Vec<u8>,
    /// The lengths of its pieces, if they were recorded.
    lengths: Vec<usize>,
}

/// All recorded streams, by the names of their files.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    first: Option<String>,
    by_name: BTreeMap<String, Recording>,
}

impl Recordings {
    /// Reads the files, and the lengths of pieces beside them.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut recordings = Self::default();
        for file in files {
            let recording = Recording::read(file).map_err(failure_of(file))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            recordings.first.get_or_insert_with(|| name.clone());
            if recordings.by_name.insert(name, recording).is_some() {
                let what = "expected files with different names, which are the models";
                return Err(failure_of(file)(io::Error::other(what)));
            }
        }
        Ok(recordings)
    }

    /// Returns the recording of a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Recording> {
        self.by_name.get(name)
    }

    /// Returns the recording of a model, or the first one for an unknown model.
    pub(crate) fn of_model(&self, model: &str) -> Option<&Recording> {
        self.named(model).or_else(|| self.named(self.first.as_deref()?))
    }

    /// Returns the names of all recordings.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Recording {
    fn read(file: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(file)?;
        let lengths = match std::fs::read_to_string(file.with_extension("chunks")) {
            Ok(lengths) => lengths,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let lengths = lengths.lines().map(|line| line.trim().parse());
        let lengths = lengths.collect::<Result<_, _>>().map_err(|_| {
            io::Error::other(
                "expected a number of bytes in each line of the file .chunks beside it",
            )
        })?;
        Ok(Self { bytes, lengths })
    }

    /// Returns the completion of the stream in JSON.
    pub(crate) fn completion(&self) -> Vec<u8> {
        let mut json = Vec::new();
        assemble([self.bytes.as_slice()]).completion.write_json(&mut json);
        json
    }

    /// Returns the steps of sending the stream.
    pub(crate) fn steps(&self, with_usage: bool, wishes: &Wishes) -> Vec<Step> {
        let mut bytes = self.bytes.clone();
        if let Some(from) = wishes.error {
            bytes.truncate(whole_events(&bytes, from));
            bytes.extend_from_slice(ERROR_EVENT);
        }
        if let Some(stop) = wishes.stop {
            bytes.truncate(stop.at());
        }
        if !with_usage {
            bytes = without_usage(&bytes);
        }
        let mut gzip = wishes.gzip.then(|| GzEncoder::new(Vec::new(), Compression::default()));
        let mut steps = vec![Step::Wait(wishes.wait)];
        let mut rest = bytes.as_slice();
        for length in self.lengths(&bytes, wishes).into_iter().chain([usize::MAX]) {
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            rest = behind;
            if piece.is_empty() {
                continue;
            }
            let piece = match &mut gzip {
                Some(gzip) => {
                    // Memory can be written to without end.
                    let _never = gzip.write_all(piece).and_then(|()| gzip.flush());
                    std::mem::take(gzip.get_mut())
                }
                None => piece.to_vec(),
            };
            steps.extend([Step::Send(piece.into()), Step::Wait(wishes.gap)]);
        }
        if let Some(Ok(trailer)) = gzip.map(GzEncoder::finish) {
            steps.push(Step::Send(trailer.into()));
        }
        match wishes.stop {
            Some(Stop::Cut(_)) => steps.extend([Step::FLUSH, Step::Abort]),
            Some(Stop::Stall(_)) => steps.push(Step::Stall),
            Some(Stop::End(_)) | None => {}
        }
        steps
    }

    /// Returns the lengths of the pieces, without that of the rest.
    fn lengths(&self, bytes: &[u8], wishes: &Wishes) -> Vec<usize> {
        match wishes.piece {
            Piece::Event => events(bytes).map(<[u8]>::len).collect(),
            Piece::Whole => Vec::new(),
            Piece::Recorded => self.lengths.clone(),
            Piece::Random => {
                let (mut seed, mut left, mut lengths) = (wishes.seed, bytes.len(), Vec::new());
                while left > 0 {
                    let length = 1 + usize::from(random(&mut seed).to_le_bytes()[0] % 64);
                    left = left.saturating_sub(length);
                    lengths.push(length);
                }
                lengths
            }
            Piece::Size(size) => vec![size; bytes.len() / size],
        }
    }
}

/// Returns the events of a recording, each with its blank line, and the rest.
fn events(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = rest.windows(2).position(|end| end == b"\n\n");
        let (event, behind) = rest.split_at(end.map_or(rest.len(), |at| at + 2));
        rest = behind;
        (!event.is_empty()).then_some(event)
    })
}

/// Returns the length of all events that end at a byte or before it.
fn whole_events(bytes: &[u8], end: usize) -> usize {
    let ends = events(bytes).scan(0, |at, event| {
        *at += event.len();
        Some(*at)
    });
    ends.take_while(|at| *at <= end).last().unwrap_or(0)
}

/// Returns a recording as it is without a request for the usage.
///
/// No chunk has the member, and no event contains it alone. An `Editor` of the library would do it
/// too, but then the edits of a gateway couldn't be compared with these bytes.
fn without_usage(recording: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for event in events(recording) {
        let json = event.strip_prefix(b"data: ");
        let chunk = json.and_then(|json| serde_json::from_slice::<Map<String, Value>>(json).ok());
        let Some(mut chunk) = chunk.filter(|chunk| chunk.contains_key("usage")) else {
            kept.extend_from_slice(event);
            continue;
        };
        let is_for_usage =
            chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
        chunk.shift_remove("usage");
        if !is_for_usage {
            kept.extend_from_slice(format!("data: {}\n\n", Value::Object(chunk)).as_bytes());
        }
    }
    kept
}

/// Returns the next number of xorshift, which is random enough for lengths.
fn random(seed: &mut u64) -> u64 {
    *seed = (*seed).max(1);
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}
