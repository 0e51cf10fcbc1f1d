//! `deltawire view`: reads streams and prints their completions, events, chunks or reports.

mod chunks;
mod events;
mod faults;
mod report;
mod screen;

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chunks::Chunks;
use events::Events;
use screen::Screen;

use crate::output::{Failure, failure_of, name, open, say, to_stdout};
use crate::status::{self, FAILED};

/// How many bytes are read at a time.
const READ_SIZE: usize = 64 << 10;

/// The arguments of `view`.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) pieces: Pieces,
    pub(crate) last_event_id: String,
    pub(crate) salvage: bool,
    pub(crate) files: Vec<PathBuf>,
}

/// The output for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Completion,
    Events,
    Chunks,
    Report,
}

/// The pieces in which a stream is fed.
#[derive(Debug)]
pub(crate) enum Pieces {
    AsRead,
    /// All of this length in bytes.
    Size(u64),
    /// Of these lengths, and the rest as one piece.
    Listed(Vec<u64>),
}

impl Pieces {
    /// Reads the lengths of a file; an error is a message in one line.
    pub(crate) fn listed(file: &Path) -> Result<Self, String> {
        let fail = |what: String| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
        let lengths = text.lines().enumerate().map(|(number, line)| {
            let length = line.trim().parse();
            length.map_err(|_| fail(format!("line {}: expected a number of bytes", number + 1)))
        });
        Ok(Self::Listed(lengths.collect::<Result<_, _>>()?))
    }
}

/// Prints all streams; returns the exit status of the first one that isn't complete.
///
/// A file that can't be read has a line on standard error, and the others are printed.
pub(crate) fn view(options: &Options) -> Result<u8, Failure> {
    let mut status = 0;
    let mut out = BufWriter::new(io::stdout().lock());
    for file in &options.files {
        let of_file = match one(options, file, &mut out) {
            Err(failure) if failure.is_of_input => {
                say(&format!("deltawire: {failure}"));
                FAILED
            }
            of_file => of_file?,
        };
        out.flush().map_err(to_stdout)?;
        if status == 0 {
            status = of_file;
        }
    }
    Ok(status)
}

/// Reads one stream and prints the output of the mode; returns its exit status.
fn one(options: &Options, file: &Path, out: &mut impl Write) -> Result<u8, Failure> {
    let mut screen = Screen::new(name(file), options.mode == Mode::Completion);
    if options.mode == Mode::Events {
        let mut events = Events::new(options, out);
        feed(options, file, &mut screen, |piece, _| events.push(piece))?;
        screen.end_text();
        events.finish(options.salvage).map_err(to_stdout)?;
        return Ok(0);
    }
    let mut chunks = Chunks::new(options, out);
    feed(options, file, &mut screen, |piece, screen| chunks.push(piece, screen))?;
    let (finished, seen, head) = chunks.finish(options.salvage, &mut screen).map_err(to_stdout)?;
    screen.end_text();
    if options.mode == Mode::Completion {
        faults::complain(file, &finished, &head);
    }
    screen.sum_up(&seen);
    Ok(status::of(finished.outcome, finished.whole().is_ok()))
}

/// Passes the stream to `push`, piece by piece.
fn feed(
    options: &Options,
    file: &Path,
    screen: &mut Screen,
    mut push: impl FnMut(&[u8], &mut Screen) -> io::Result<()>,
) -> Result<(), Failure> {
    let failed = failure_of(file);
    let (mut input, size) = open(file).map_err(&failed)?;
    if let Some(size) = size {
        screen.expect(size);
    }
    let mut buffer = Vec::new();
    let mut push = |piece: &[u8]| {
        push(piece, screen).map_err(to_stdout)?;
        screen.advance(piece.len());
        Ok(())
    };
    match &options.pieces {
        Pieces::AsRead => loop {
            read_some(&mut input, &mut buffer).map_err(&failed)?;
            if buffer.is_empty() {
                return Ok(());
            }
            push(&buffer)?;
        },
        Pieces::Size(size) => {
            let mut input = BufReader::new(input);
            loop {
                read_piece(&mut input, *size, &mut buffer).map_err(&failed)?;
                if buffer.is_empty() {
                    return Ok(());
                }
                push(&buffer)?;
            }
        }
        Pieces::Listed(lengths) => {
            let mut input = BufReader::new(input);
            for length in lengths.iter().copied().chain([u64::MAX]) {
                read_piece(&mut input, length, &mut buffer).map_err(&failed)?;
                push(&buffer)?;
            }
            Ok(())
        }
    }
}

/// Reads the bytes of one call, and nothing at the end.
fn read_some(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(READ_SIZE, 0);
    loop {
        match input.read(buffer) {
            Ok(read) => {
                buffer.truncate(read);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a piece, which is shorter only at the end.
fn read_piece(input: &mut impl Read, length: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    input.take(length).read_to_end(buffer).map(drop)
}
