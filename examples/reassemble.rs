//! Reads a stream of chat completion chunks and prints the completion.

#[path = "reassemble/report.rs"]
mod report;
#[path = "reassemble/screen.rs"]
mod screen;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use deltawire::chunk::{ChatCompletionChunk, UpstreamError};
use deltawire::completion::FinishedCompletion;
use deltawire::gateway::{Observer, StreamReport};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ChunkEvent, Outcome, Payload, Reassembler, SseDecoder};
use report::{BodyError, BodyHead, report};
use screen::{Screen, escaped, say};
use serde_json::{Value, json};

const HELP: &str = "\
Reads a stream of chat completion chunks and prints the finished chat.completion as one line
of JSON. On a terminal the text is shown as it streams.

    curl -sN … | reassemble
    reassemble answer.sse

Usage: reassemble [OPTIONS] [FILE…]

  FILE                  a recorded stream; none or - is standard input

Instead of the completion, one line of JSON for each:
  --events              Server-Sent Event, and a last line with what is left at the end
  --chunks              payload: chunk, done, error, malformed, other object, comment
  --report              stream: completion, outcome, whether it is whole and why not, error,
                        tokens, counts, malformed events; what the body is if no stream

  --piece N             feed pieces of N bytes
  --pieces FILE         feed pieces of the lengths that FILE lists, one a line
  --last-event-id ID    the last event ID to begin with
  --salvage             take a last event that lacks its blank line
  -h, --help            this text

Exit status, that of the first stream that isn't complete:
  0  complete: all choices finished, [DONE] came; and always with --events
  1  a file can't be read, or the output not be written
  2  wrong usage
  3  finished without [DONE]
  4  [DONE] without a finish reason
  5  truncated: neither
  6  the upstream reported an error
  7  empty
  8  the body is no event stream
  9  a finish reason names a failure
  10 an event couldn't be read: a part of the answer may be missing
  11 the events are those of another API
";

/// How much is read at a time.
const READ_SIZE: usize = 64 << 10;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            let printed = io::stdout().write_all(HELP.as_bytes());
            return if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) };
        }
        Err(error) => {
            say(&format!("reassemble: {error}\nTry --help."));
            return ExitCode::from(2);
        }
    };
    let mut status = 0;
    let mut out = BufWriter::new(io::stdout().lock());
    for file in &options.files {
        match run(&options, file, &mut out).and_then(|file_status| {
            out.flush()?;
            Ok(file_status)
        }) {
            Ok(file_status) if status == 0 => status = file_status,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::from(1),
            Err(error) => {
                say(&format!("reassemble: {}: {error}", name(file)));
                return ExitCode::from(1);
            }
        }
    }
    ExitCode::from(status)
}

struct Options {
    mode: Mode,
    pieces: Pieces,
    last_event_id: String,
    salvage: bool,
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Completion,
    Events,
    Chunks,
    Report,
}

enum Pieces {
    AsRead,
    Size(usize),
    Listed(Vec<usize>),
}

impl Options {
    /// `None` asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Self {
            mode: Mode::Completion,
            pieces: Pieces::AsRead,
            last_event_id: String::new(),
            salvage: false,
            files: Vec::new(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("events") => options.set_mode(Mode::Events)?,
                Long("chunks") => options.set_mode(Mode::Chunks)?,
                Long("report") => options.set_mode(Mode::Report)?,
                Long("piece") => match parser.value()?.parse()? {
                    0 => return Err("--piece: expected a number of bytes above 0".into()),
                    size => options.pieces = Pieces::Size(size),
                },
                Long("pieces") => options.pieces = Pieces::listed(Path::new(&parser.value()?))?,
                Long("last-event-id") => options.last_event_id = parser.value()?.string()?,
                Long("salvage") => options.salvage = true,
                Short('h') | Long("help") => return Ok(None),
                Value(file) => options.files.push(file.into()),
                unknown => return Err(unknown.unexpected()),
            }
        }
        if options.files.is_empty() {
            options.files.push("-".into());
        }
        Ok(Some(options))
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), lexopt::Error> {
        if self.mode != Mode::Completion && self.mode != mode {
            return Err("expected one of --events, --chunks and --report".into());
        }
        self.mode = mode;
        Ok(())
    }
}

impl Pieces {
    fn listed(file: &Path) -> Result<Self, String> {
        let fail = |what: String| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
        let lengths = text.lines().enumerate().map(|(number, line)| {
            let length = line.trim().parse();
            length.map_err(|_| fail(format!("line {}: expected a number of bytes", number + 1)))
        });
        Ok(Self::Listed(lengths.collect::<Result<_, _>>()?))
    }
}

fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".into() } else { file.display().to_string() }
}

/// Reads one stream and prints the output of the mode; returns its exit status.
fn run(options: &Options, file: &Path, out: &mut impl Write) -> io::Result<u8> {
    let mut screen = Screen::new(name(file), options.mode == Mode::Completion);
    match options.mode {
        Mode::Events => {
            let mut events = Events::new(options, out);
            feed(options, file, &mut screen, |piece, _| events.push(piece))?;
            events.finish(options.salvage)?;
            Ok(0)
        }
        mode => {
            let mut chunks = Chunks::new(options, mode, out);
            feed(options, file, &mut screen, |piece, screen| chunks.push(piece, screen))?;
            let (finished, seen, head) = chunks.finish(options.salvage, &mut screen)?;
            screen.end_text();
            if mode == Mode::Completion {
                complain(file, &finished, &head);
            }
            screen.sum_up(&seen);
            Ok(status(finished.outcome))
        }
    }
}

/// Passes the stream to `push`, piece by piece.
fn feed(
    options: &Options,
    file: &Path,
    screen: &mut Screen,
    mut push: impl FnMut(&[u8], &mut Screen) -> io::Result<()>,
) -> io::Result<()> {
    let mut input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file)?;
        screen.expect(file.metadata()?.len());
        Box::new(file)
    };
    let mut buffer = Vec::new();
    match &options.pieces {
        Pieces::AsRead => loop {
            read_some(&mut input, &mut buffer)?;
            if buffer.is_empty() {
                return Ok(());
            }
            push(&buffer, screen)?;
            screen.advance(buffer.len());
        },
        Pieces::Size(size) => {
            input.read_to_end(&mut buffer)?;
            for piece in buffer.chunks(*size) {
                push(piece, screen)?;
                screen.advance(piece.len());
            }
        }
        Pieces::Listed(lengths) => {
            input.read_to_end(&mut buffer)?;
            let mut rest = buffer.as_slice();
            for length in lengths {
                let (piece, behind) = rest.split_at(rest.len().min(*length));
                push(piece, screen)?;
                screen.advance(piece.len());
                rest = behind;
            }
            push(rest, screen)?;
        }
    }
    Ok(())
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

/// `--events`: the framing.
struct Events<'o, W> {
    decoder: SseDecoder,
    out: &'o mut W,
}

impl<'o, W: Write> Events<'o, W> {
    fn new(options: &Options, out: &'o mut W) -> Self {
        let mut decoder = SseDecoder::new();
        decoder.set_last_event_id(&options.last_event_id);
        Self { decoder, out }
    }

    fn push(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while let Some(event) = self.decoder.next(&mut piece) {
            if event.kind() == EventKind::Message {
                put(self.out, &event_line(&event).to_string())?;
            }
        }
        self.out.flush()
    }

    fn finish(mut self, salvage: bool) -> io::Result<()> {
        if salvage
            && let Some(event) = self.decoder.salvage()
            && event.kind() == EventKind::Message
        {
            put(self.out, &event_line(&event).to_string())?;
        }
        let end = self.decoder.finish();
        let line = json!({"end": {
            "last_event_id": self.decoder.last_event_id(),
            "reconnection_time": self.decoder.reconnection_time(),
            "comments": self.decoder.comments(),
            "discarded_bytes": end.discarded_bytes,
        }});
        put(self.out, &line.to_string())
    }
}

fn event_line(event: &deltawire::sse::Event<'_>) -> Value {
    json!({
        "event": event.event_type(),
        "data": event.data_lossy(),
        "id": event.last_event_id(),
        "retry": event.reconnection_time(),
    })
}

/// The completion, `--chunks` and `--report`: the chunks.
struct Chunks<'o, W> {
    mode: Mode,
    decoder: ChunkDecoder,
    sinks: Sinks<'o, W>,
    head: BodyHead,
}

/// Receivers of the events of a stream.
struct Sinks<'o, W> {
    completion: Reassembler,
    observer: Observer,
    malformed: Vec<Value>,
    has_error: bool,
    /// Code of the first error, as it was sent.
    code: Option<Value>,
    out: &'o mut W,
}

impl<'o, W: Write> Chunks<'o, W> {
    fn new(options: &Options, mode: Mode, out: &'o mut W) -> Self {
        let mut decoder = ChunkDecoder::new();
        decoder.set_last_event_id(&options.last_event_id);
        let (completion, observer) = (Reassembler::new(), Observer::new());
        let sinks = Sinks {
            completion,
            observer,
            malformed: Vec::new(),
            has_error: false,
            code: None,
            out,
        };
        Self { mode, decoder, sinks, head: BodyHead::default() }
    }

    fn push(&mut self, mut piece: &[u8], screen: &mut Screen) -> io::Result<()> {
        self.head.push(piece);
        while let Some(event) = self.decoder.next(&mut piece) {
            self.sinks.take(self.mode, &event, screen)?;
        }
        screen.tick(self.sinks.observer.deltas());
        if self.mode == Mode::Chunks { self.sinks.out.flush() } else { Ok(()) }
    }

    fn finish(
        self,
        salvage: bool,
        screen: &mut Screen,
    ) -> io::Result<(FinishedCompletion, StreamReport, BodyHead)> {
        let Self { mode, mut decoder, mut sinks, head } = self;
        if salvage && let Some(event) = decoder.salvage() {
            sinks.take(mode, &event, screen)?;
        }
        let Sinks { mut completion, mut observer, malformed, code, out, .. } = sinks;
        let end = decoder.finish();
        let seen = observer.finish(end.clone());
        let finished = completion.finish(end);
        let unstreamed = head.completion(&finished);
        let completion = one_line(unstreamed.as_ref().unwrap_or(&finished.completion))?;
        match mode {
            Mode::Completion => put(out, &completion)?,
            Mode::Report => {
                let rest = report(&finished, &seen, (malformed, code), &head).to_string();
                // The completion is inserted as text, with its numbers as they were sent.
                let rest = rest.trim_start_matches('{');
                put(out, &format!(r#"{{"completion":{completion},{rest}"#))?;
            }
            Mode::Chunks | Mode::Events => {}
        }
        Ok((finished, seen, head))
    }
}

impl<W: Write> Sinks<'_, W> {
    /// Passes one event to all receivers, and writes its line in the mode `--chunks`.
    fn take(&mut self, mode: Mode, event: &ChunkEvent<'_>, screen: &mut Screen) -> io::Result<()> {
        if mode == Mode::Chunks
            && let Some(line) = chunk_line(event)?
        {
            put(self.out, &line)?;
        }
        if let Payload::Error(error) = event.payload()
            && !self.has_error
        {
            self.has_error = true;
            let code = error.get("code").map(|code| one_line(&code)).transpose()?;
            self.code = code.and_then(|code| serde_json::from_str(&code).ok());
        }
        if let Payload::Malformed(error) = event.payload() {
            screen.show_malformed(error);
            self.malformed.push(json!({
                "offset": event.offset(),
                "kind": error.kind().as_str(),
                "error_offset": error.offset(),
            }));
        }
        screen.show(event);
        self.observer.observe(event);
        self.completion.push_payload(event.payload());
        Ok(())
    }
}

/// Returns a line of `--chunks`.
fn chunk_line(event: &ChunkEvent<'_>) -> io::Result<Option<String>> {
    let (kind, rest) = match event.payload() {
        Payload::Chunk(chunk) => ("chunk", with_chunk(Some(*chunk))?),
        Payload::Done => ("done", String::new()),
        Payload::Error(error) => ("error", error_members(error)? + &with_chunk(error.chunk())?),
        Payload::Malformed(error) => {
            let (kind, at) = (error.kind().as_str(), error.offset());
            ("malformed", format!(r#","error":"{kind}","error_offset":{at}"#))
        }
        Payload::Other(other) => {
            let r#type = json!(event.event().event_type());
            let object = one_line(&other.as_value())?;
            ("other", format!(r#","event_type":{type},"object":{object}"#))
        }
        Payload::Comment => {
            let text: Vec<_> = event.event().comments().map(String::from_utf8_lossy).collect();
            ("comment", format!(r#","comment":{}"#, json!(text.concat())))
        }
        _ => return Ok(None),
    };
    Ok(Some(format!(r#"{{"offset":{},"kind":"{kind}"{rest}}}"#, event.offset())))
}

fn with_chunk(chunk: Option<ChatCompletionChunk<'_>>) -> io::Result<String> {
    match chunk {
        Some(chunk) => Ok(format!(r#","chunk":{}"#, one_line(&chunk)?)),
        None => Ok(String::new()),
    }
}

fn error_members(error: &UpstreamError<'_>) -> io::Result<String> {
    let code = match error.get("code") {
        Some(code) => one_line(&code)?,
        None => "null".into(),
    };
    let (message, r#type) = (json!(error.message()), json!(error.r#type()));
    Ok(format!(r#","message":{message},"code":{code},"type":{type}"#))
}

/// Returns JSON on one line.
///
/// A chunk keeps its white space, where a line feed can't be part of a string.
fn one_line(value: &impl serde::Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?.replace(['\n', '\r'], " "))
}

/// Writes a line of JSON, without characters that control a terminal.
fn put(out: &mut impl Write, json: &str) -> io::Result<()> {
    writeln!(out, "{}", escaped(json))
}

fn status(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => 0,
        Outcome::FinishedWithoutDone => 3,
        Outcome::DoneWithoutFinish => 4,
        Outcome::Truncated => 5,
        Outcome::UpstreamError => 6,
        Outcome::Empty => 7,
        Outcome::NotAnEventStream(_) => 8,
        Outcome::FailedFinish => 9,
        Outcome::MalformedEvent => 10,
        Outcome::AnotherApi(_) => 11,
        _ => 1,
    }
}

/// Prints the faults of a stream on standard error: file, offset, and the expected bytes.
fn complain(file: &Path, finished: &FinishedCompletion, head: &BodyHead) {
    let end = &finished.end;
    let complain = |offset: u64, what: &str| {
        say(&format!("reassemble: {}: byte {offset}: {what}", name(file)));
    };
    if finished.limit_exceeded.is_some() {
        complain(end.bytes, "expected a completion within the limits; the rest was left out");
    }
    match finished.outcome {
        Outcome::Complete => {}
        Outcome::FinishedWithoutDone => complain(end.bytes, "expected [DONE]"),
        Outcome::DoneWithoutFinish => complain(end.bytes, "expected a finish_reason"),
        Outcome::Truncated => complain(end.bytes, "expected a finish_reason and [DONE]"),
        Outcome::FailedFinish => {
            let reason = finished.failed_finish.as_deref().unwrap_or_default();
            complain(end.bytes, &format!("expected a whole answer, got finish_reason {reason:?}"));
        }
        Outcome::MalformedEvent => {
            complain(end.bytes, "expected events that can be read; a part may be missing");
        }
        Outcome::UpstreamError => {
            let error = end.upstream_error.as_ref();
            let message = error.and_then(|error| error.message.as_deref()).unwrap_or("no message");
            let offset = error.map_or(0, |error| error.offset);
            complain(offset, &format!("expected a chunk, got an error: {message}"));
        }
        Outcome::Empty => complain(0, "expected an event, got nothing"),
        Outcome::AnotherApi(api) => {
            complain(0, &format!("expected chunks, got events of another API: {}", api.as_str()));
        }
        Outcome::NotAnEventStream(_) if head.completion(finished).is_some() => {
            complain(0, "expected an event stream, got a completion that wasn't streamed");
        }
        Outcome::NotAnEventStream(body) => {
            let error = head.error();
            let message = error.as_ref().map(BodyError::message);
            let message = message.map_or_else(String::new, |message| format!(": {message}"));
            let what = format!("expected an event stream, got something else: {body:?}{message}");
            complain(0, &what);
        }
        other => complain(end.bytes, other.as_str()),
    }
}
