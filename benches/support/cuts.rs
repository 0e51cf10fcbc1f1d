//! The pieces in which a stream arrives.

use std::fmt;
use std::ops::Range;

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Whole,
    Size(usize),
    /// An event each, as most pieces of recorded bodies are.
    Event,
    /// As a client recorded them.
    Recorded,
}

/// All that there are, from coarse to fine.
pub const CUTS: [Cut; 8] = [
    Cut::Whole,
    Cut::Size(4096),
    Cut::Size(1460),
    Cut::Event,
    Cut::Recorded,
    Cut::Size(128),
    Cut::Size(16),
    Cut::Size(1),
];

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.pad("whole"),
            Self::Size(4096) => f.pad("4KiB"),
            Self::Size(size) => f.pad(&size.to_string()),
            Self::Event => f.pad("event"),
            Self::Recorded => f.pad("recorded"),
        }
    }
}

impl Cut {
    /// Returns the pieces of a stream of `len` bytes whose events end at `ends`.
    ///
    /// A stream that was recorded in no pieces came whole.
    pub fn ranges(self, len: usize, ends: &[usize], recorded: &[usize]) -> Vec<Range<usize>> {
        let ends = match self {
            Self::Whole => Vec::new(),
            Self::Size(size) => (size..len).step_by(size).collect(),
            Self::Event => ends.to_vec(),
            Self::Recorded => recorded.to_vec(),
        };
        let mut start = 0;
        let mut ranges = Vec::with_capacity(ends.len() + 1);
        for end in ends.into_iter().chain([len]).filter(|end| *end <= len) {
            if end > start {
                ranges.push(start..end);
                start = end;
            }
        }
        ranges
    }
}
