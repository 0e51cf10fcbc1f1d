//! `deltawire replay`: a completion as a stream, at the speed of a model.

use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use deltawire::Limits;
use deltawire::gateway::{Replay, UsageTap};
use serde::de::IgnoredAny;

use crate::output::{Failure, failure_of, open, to_stdout};
use crate::status;

/// Bytes of text that count as a token, as in English.
const TOKEN: u64 = 4;

/// The arguments of `replay`.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) file: PathBuf,
    /// Tokens a second; `None` writes without a pause.
    pub(crate) rate: Option<u32>,
    pub(crate) delta_bytes: u32,
}

/// Writes the stream on standard output; returns the exit status for its outcome.
pub(crate) fn replay(options: &Options) -> Result<u8, Failure> {
    let json = read(&options.file).map_err(failure_of(&options.file))?;
    let mut replay = Replay::from_json(&json).map_err(|error| {
        let hint = if begins_with_object(&json) {
            "the input is one completion, and nothing follows it"
        } else {
            "deltawire FILE makes one of a stream"
        };
        let what = format!("expected a chat.completion in JSON: {error}; {hint}");
        failure_of(&options.file)(io::Error::new(io::ErrorKind::InvalidData, what))
    })?;
    replay.set_delta_bytes(usize::try_from(options.delta_bytes).unwrap_or(usize::MAX));
    // The text of the JSON isn't needed beside the completion.
    drop(json);
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut tap, start) = (UsageTap::new(), Instant::now());
    let mut event = Vec::new();
    while replay.write_next(&mut event) {
        tap.push(&event);
        out.write_all(&event).map_err(to_stdout)?;
        event.clear();
        if let Some(rate) = options.rate {
            out.flush().map_err(to_stdout)?;
            sleep(due(replay.text_bytes(), rate).saturating_sub(start.elapsed()));
        }
    }
    out.flush().map_err(to_stdout)?;
    let seen = tap.finish();
    Ok(status::of(seen.outcome, seen.whole().is_ok()))
}

/// Returns true if a text begins with a whole object, behind which more follows.
fn begins_with_object(json: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<IgnoredAny>();
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object && matches!(values.next(), Some(Ok(_))) && values.next().is_some()
}

/// Reads a file of at most as many bytes as a decoder reads in one event.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let (most, mut json) = (Limits::default().max_event_bytes, Vec::new());
    let (input, _) = open(file)?;
    input.take(most as u64 + 1).read_to_end(&mut json)?;
    if json.len() > most {
        let what = format!("expected a completion of at most {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(json)
}

/// Returns the time after which the text of the next event is due.
fn due(text_bytes: usize, rate: u32) -> Duration {
    let milliseconds = text_bytes as u64 * 1000 / (u64::from(rate) * TOKEN);
    Duration::from_millis(milliseconds)
}
