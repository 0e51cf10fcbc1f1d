//! Reads a stream of chat completion chunks and prints the completion.
#![allow(clippy::print_stderr, reason = "a program for a terminal")]

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use deltawire::{
    ChatCompletionChunk, ChunkDecoder, ChunkEvent, EventKind, Finished, Outcome, Payload,
    Reassembler, SseDecoder, UpstreamError,
};
use indicatif::{ProgressBar, ProgressStyle};
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
  --chunks              payload: chunk, done, error, malformed, comment
  --report              stream: completion, outcome, counts, malformed events

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
";

/// How much is read at a time.
const READ_SIZE: usize = 64 << 10;

/// Files from this size on show a progress bar instead of their text.
const LONG_FILE: u64 = 8 << 20;

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

/// Writes a line to standard error. Where it can't be written to, nobody reads it.
fn say(line: &str) {
    let _unread = writeln!(io::stderr(), "{}", harmless(line));
}

/// What a server sent must not steer the terminal.
fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{FFFD}")
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

/// Reads one stream and prints what the mode wants; gives its exit status.
fn run(options: &Options, file: &Path, out: &mut impl Write) -> io::Result<u8> {
    let mut screen = Screen::new(options.mode, file);
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
            let outcome = chunks.finish(options.salvage, &mut screen)?;
            screen.end();
            if mode == Mode::Completion {
                complain(file, &outcome);
            }
            Ok(status(outcome.outcome))
        }
    }
}

/// Gives the stream to `push`, piece by piece.
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

/// Reads what one call gives, and nothing at the end.
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

/// `--events`: what the framing says.
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
                writeln!(self.out, "{}", event_line(&event))?;
            }
        }
        self.out.flush()
    }

    fn finish(mut self, salvage: bool) -> io::Result<()> {
        if salvage
            && let Some(event) = self.decoder.salvage()
            && event.kind() == EventKind::Message
        {
            writeln!(self.out, "{}", event_line(&event))?;
        }
        let end = self.decoder.finish();
        let line = json!({"end": {
            "last_event_id": self.decoder.last_event_id(),
            "reconnection_time": self.decoder.reconnection_time(),
            "comments": self.decoder.comments(),
            "discarded_bytes": end.discarded_bytes,
        }});
        writeln!(self.out, "{line}")
    }
}

fn event_line(event: &deltawire::Event<'_>) -> Value {
    json!({
        "event": event.event_type(),
        "data": event.data_lossy(),
        "id": event.last_event_id(),
        "retry": event.reconnection_time(),
    })
}

/// The completion, `--chunks` and `--report`: what the chunks say.
struct Chunks<'o, W> {
    mode: Mode,
    decoder: ChunkDecoder,
    completion: Reassembler,
    malformed: Vec<Value>,
    out: &'o mut W,
}

impl<'o, W: Write> Chunks<'o, W> {
    fn new(options: &Options, mode: Mode, out: &'o mut W) -> Self {
        let mut decoder = ChunkDecoder::new();
        decoder.set_last_event_id(&options.last_event_id);
        Self { mode, decoder, completion: Reassembler::new(), malformed: Vec::new(), out }
    }

    fn push(&mut self, mut piece: &[u8], screen: &mut Screen) -> io::Result<()> {
        let Self { mode, decoder, completion, malformed, out } = self;
        while let Some(event) = decoder.next(&mut piece) {
            take(*mode, &event, completion, malformed, out, screen)?;
        }
        if self.mode == Mode::Chunks { self.out.flush() } else { Ok(()) }
    }

    fn finish(self, salvage: bool, screen: &mut Screen) -> io::Result<Finished> {
        let Self { mode, mut decoder, mut completion, mut malformed, out } = self;
        if salvage && let Some(event) = decoder.salvage() {
            take(mode, &event, &mut completion, &mut malformed, out, screen)?;
        }
        let finished = completion.finish(decoder.finish());
        match mode {
            Mode::Completion => writeln!(out, "{}", one_line(&finished.completion)?)?,
            Mode::Report => writeln!(
                out,
                r#"{{"completion":{},"outcome":"{}","events":{},"chunks":{},"malformed":{},"bytes":{}}}"#,
                one_line(&finished.completion)?,
                finished.outcome.as_str(),
                finished.end.events,
                finished.end.chunks,
                Value::from(malformed),
                finished.end.bytes,
            )?,
            Mode::Chunks | Mode::Events => {}
        }
        Ok(finished)
    }
}

/// Does with one event what the mode wants.
fn take(
    mode: Mode,
    event: &ChunkEvent<'_>,
    completion: &mut Reassembler,
    malformed: &mut Vec<Value>,
    out: &mut impl Write,
    screen: &mut Screen,
) -> io::Result<()> {
    let payload = event.payload();
    if mode == Mode::Chunks
        && let Some(line) = chunk_line(event)?
    {
        writeln!(out, "{line}")?;
    }
    if let Payload::Malformed(error) = payload {
        screen.show_malformed(error);
        malformed.push(json!({
            "offset": event.offset(),
            "kind": error.kind().as_str(),
            "error_offset": error.offset(),
        }));
    }
    screen.show(event);
    completion.push_payload(payload);
    Ok(())
}

/// A line of `--chunks`.
fn chunk_line(event: &ChunkEvent<'_>) -> io::Result<Option<String>> {
    let (kind, rest) = match event.payload() {
        Payload::Chunk(chunk) => ("chunk", with_chunk(Some(*chunk))?),
        Payload::Done => ("done", String::new()),
        Payload::Error(error) => ("error", error_members(error)? + &with_chunk(error.chunk())?),
        Payload::Malformed(error) => {
            let (kind, at) = (error.kind().as_str(), error.offset());
            ("malformed", format!(r#","error":"{kind}","error_offset":{at}"#))
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

/// JSON on one line. A chunk keeps its white space, where a line feed can't be part of a string.
fn one_line(value: &impl serde::Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?.replace(['\n', '\r'], " "))
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
        _ => 1,
    }
}

/// Says on standard error what is wrong with a stream: file, offset, what was expected.
fn complain(file: &Path, finished: &Finished) {
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
        Outcome::UpstreamError => {
            let error = end.upstream_error.as_ref();
            let message = error.and_then(|error| error.message.as_deref()).unwrap_or("no message");
            let offset = error.map_or(0, |error| error.offset);
            complain(offset, &format!("expected a chunk, got an error: {message}"));
        }
        Outcome::Empty => complain(0, "expected an event, got nothing"),
        Outcome::NotAnEventStream(body) => {
            complain(0, &format!("expected an event stream, got something else: {body:?}"));
        }
        other => complain(end.bytes, other.as_str()),
    }
}

/// What a person sees on a terminal: the text as it streams, or how far a long file is read.
struct Screen {
    file: String,
    shows_errors: bool,
    shows_text: bool,
    shows_progress: bool,
    bar: Option<ProgressBar>,
    style: Style,
    /// The choice whose text was shown last.
    choice: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Start,
    Text,
    Reasoning,
    ToolCall,
    Choice,
}

impl Screen {
    fn new(mode: Mode, file: &Path) -> Self {
        let terminal = io::stderr().is_terminal();
        let shows_errors = mode == Mode::Completion;
        Self {
            file: name(file),
            shows_errors,
            shows_text: terminal && shows_errors,
            shows_progress: terminal,
            bar: None,
            style: Style::Start,
            choice: 0,
        }
    }

    /// A file of so many bytes comes.
    fn expect(&mut self, bytes: u64) {
        if self.shows_progress && bytes >= LONG_FILE {
            self.shows_text = false;
            let template = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(ProgressBar::new(bytes).with_style(style));
        }
    }

    fn advance(&self, bytes: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes as u64);
        }
    }

    fn show(&mut self, event: &ChunkEvent<'_>) {
        if !self.shows_text {
            return;
        }
        match event.payload() {
            Payload::Chunk(chunk) => self.show_chunk(chunk),
            Payload::Error(error) => {
                if let Some(chunk) = error.chunk() {
                    self.show_chunk(&chunk);
                }
            }
            _ => {}
        }
    }

    /// Says which event can't be read.
    fn show_malformed(&mut self, error: &deltawire::Error) {
        if self.shows_errors {
            self.write(Style::Start, "");
            say(&format!("reassemble: {}: {error}", self.file));
        }
    }

    fn show_chunk(&mut self, chunk: &ChatCompletionChunk<'_>) {
        for choice in chunk.choices() {
            let delta = choice.delta();
            let index = choice.index().unwrap_or(0);
            if index != self.choice {
                self.choice = index;
                self.write(Style::Start, "");
                self.write(Style::Choice, &format!("[choice {index}]"));
            }
            self.write(Style::Reasoning, delta.reasoning_text().unwrap_or_default());
            self.write(Style::Text, delta.content().unwrap_or_default());
            self.write(Style::Text, delta.refusal().unwrap_or_default());
            for call in delta.tool_calls() {
                if let Some(name) = call.name().filter(|name| !name.is_empty()) {
                    self.write(Style::Start, "");
                    self.write(Style::ToolCall, &format!("[tool call] {name} "));
                }
                self.write(Style::ToolCall, call.arguments().unwrap_or_default());
            }
        }
    }

    /// Writes text in a style, on a line of its own where the style changes.
    fn write(&mut self, style: Style, text: &str) {
        if text.is_empty() && style != Style::Start {
            return;
        }
        let mut screen = io::stderr().lock();
        let (on, off) = match style {
            Style::Reasoning | Style::Choice => ("\x1b[2m", "\x1b[0m"),
            Style::ToolCall => ("\x1b[36m", "\x1b[0m"),
            Style::Text | Style::Start => ("", ""),
        };
        let line = if self.style != style && self.style != Style::Start { "\n" } else { "" };
        let text = harmless(text);
        // A screen that can't be written to is no reason to stop.
        let _unseen = write!(screen, "{line}{on}{text}{off}").and_then(|()| screen.flush());
        self.style = style;
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.shows_text {
            self.write(Style::Start, "");
        }
    }
}
