//! Output for a person at a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use deltawire::chunk::{ChatCompletionChunk, ToolCallDelta};
use deltawire::gateway::{LatencyReport, Meter, StreamReport};
use deltawire::json::{Value, ValueKind};
use deltawire::{ChunkEvent, Payload};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{harmless, say};

/// Size in bytes from which a file has a progress bar in place of its text.
const LONG_FILE: u64 = 8 << 20;

/// Output on a terminal: the text as it streams, or the progress of reading a long file.
pub(crate) struct Screen {
    file: String,
    shows_errors: bool,
    shows_text: bool,
    shows_progress: bool,
    has_colors: bool,
    bar: Option<ProgressBar>,
    style: Style,
    /// The choice whose text was shown last.
    choice: Option<u64>,
    /// The tool call whose arguments were shown last.
    call: Option<Call>,
    start: Instant,
    meter: Meter,
}

/// Identity of a tool call.
struct Call {
    choice: u64,
    index: Option<u64>,
    id: Option<String>,
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
    /// Creates a screen; `shows_errors` is true if the mode prints only the completion.
    pub(crate) fn new(file: String, shows_errors: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            file,
            shows_errors,
            shows_text: terminal && shows_errors,
            shows_progress: terminal,
            has_colors: has_colors(),
            bar: None,
            style: Style::Start,
            choice: None,
            call: None,
            start: Instant::now(),
            meter: Meter::new(),
        }
    }

    /// Records the number of events with output so far.
    pub(crate) fn tick(&mut self, deltas: u64) {
        self.meter.record_total(deltas, self.start.elapsed());
    }

    /// Shows a progress bar if a file of this size is long.
    pub(crate) fn expect(&mut self, bytes: u64) {
        if self.shows_progress && bytes >= LONG_FILE {
            self.shows_text = false;
            let template = "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(ProgressBar::new(bytes).with_style(style));
        }
    }

    pub(crate) fn advance(&self, bytes: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes as u64);
        }
    }

    pub(crate) fn show(&mut self, event: &ChunkEvent<'_>) {
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

    /// Writes the error of an event that can't be read.
    pub(crate) fn show_malformed(&mut self, error: &deltawire::Error) {
        if self.shows_errors {
            self.write(Style::Start, "");
            say(&format!("deltawire: {}: {error}", self.file));
        }
    }

    fn show_chunk(&mut self, chunk: &ChatCompletionChunk<'_>) {
        for choice in chunk.choices() {
            let delta = choice.delta();
            let index = choice.index().unwrap_or(0);
            let mut texts = vec![(Style::Reasoning, delta.reasoning_text().unwrap_or_default())];
            texts.push((Style::Text, delta.content().unwrap_or_default()));
            for part in delta.content_parts().into_iter().flatten() {
                texts_of(part, &mut texts);
            }
            texts.push((Style::Text, delta.refusal().unwrap_or_default()));
            texts.retain(|(_, text)| !text.is_empty());
            let function = delta.function_call();
            if texts.is_empty() && delta.tool_calls().len() == 0 && function.is_none() {
                continue;
            }
            if self.choice.map_or(index != 0, |before| before != index) {
                self.write(Style::Start, "");
                self.write(Style::Choice, &format!("[choice {index}]"));
            }
            self.choice = Some(index);
            for (style, text) in texts {
                self.write(style, text);
            }
            for call in delta.tool_calls() {
                self.show_call(index, &call);
            }
            if let Some(function) = function {
                let name = function.name().filter(|name| !name.is_empty());
                if name.is_some() || self.style != Style::ToolCall {
                    let name = name.unwrap_or_default();
                    self.write(Style::Start, "");
                    self.write(Style::ToolCall, &format!("[function call] {name} "));
                }
                self.write(Style::ToolCall, function.arguments().unwrap_or_default());
            }
        }
    }

    /// Shows a delta of a tool call, with a label if it differs from the last tool call.
    fn show_call(&mut self, choice: u64, call: &ToolCallDelta<'_>) {
        let (index, id) = (call.index(), call.id().filter(|id| !id.is_empty()));
        let name = call.name().filter(|name| !name.is_empty());
        let is_same = self.style == Style::ToolCall
            && self.call.as_ref().is_some_and(|last| {
                let is_id = id.is_none_or(|id| last.id.as_deref().is_none_or(|last| last == id));
                let is_index = index.is_none() || index == last.index;
                let is_new = name.is_some() && index.is_none() && id.is_none();
                last.choice == choice && is_id && is_index && !is_new
            });
        if !is_same {
            let which = index.map(|index| index.to_string());
            let which = which.or_else(|| id.map(str::to_owned)).filter(|_| name.is_none());
            let which = which.map_or_else(String::new, |which| format!(" {which}"));
            let name = name.map_or_else(String::new, |name| format!("{name} "));
            self.write(Style::Start, "");
            self.write(Style::ToolCall, &format!("[tool call{which}] {name}"));
            self.call = Some(Call { choice, index, id: id.map(str::to_owned) });
        }
        match (call.arguments(), call.arguments_object()) {
            (None, Some(object)) => self.write(Style::ToolCall, object.raw()),
            (arguments, _) => self.write(Style::ToolCall, arguments.unwrap_or_default()),
        }
    }

    /// Writes text in a style, on a new line if the style changes.
    fn write(&mut self, style: Style, text: &str) {
        if text.is_empty() && style != Style::Start {
            return;
        }
        let mut screen = io::stderr().lock();
        let (on, off) = match style {
            // Without colors, the reasoning of a model would look like its answer.
            Style::Reasoning if !self.has_colors && self.style != style => ("[reasoning] ", ""),
            _ if !self.has_colors => ("", ""),
            Style::Reasoning | Style::Choice => ("\x1b[2m", "\x1b[0m"),
            Style::ToolCall => ("\x1b[36m", "\x1b[0m"),
            Style::Text | Style::Start => ("", ""),
        };
        let line = if self.style != style && self.style != Style::Start { "\n" } else { "" };
        let text = harmless(text);
        // The program continues if the screen can't be written to.
        let _unseen = write!(screen, "{line}{on}{text}{off}").and_then(|()| screen.flush());
        self.style = style;
    }

    /// Ends the text, and removes the progress bar.
    pub(crate) fn end_text(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.shows_text {
            self.write(Style::Start, "");
        }
    }

    /// Writes a summary of the stream in one line.
    pub(crate) fn sum_up(self, seen: &StreamReport) {
        if self.shows_errors && self.shows_progress {
            say(&summary(seen, &self.meter.finish(seen, self.start.elapsed())));
        }
    }
}

/// Returns false if the environment asks for no colors: <https://no-color.org>, or a dumb terminal.
fn has_colors() -> bool {
    let is_set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    is_set("NO_COLOR").is_none() && is_set("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Returns the outcome, tokens, time to first token and duration as a text.
fn summary(seen: &StreamReport, measured: &LatencyReport) -> String {
    let outcome = seen.outcome.as_str();
    let reason = seen.failed_finish.as_deref().map(|reason| format!(" ({reason})"));
    let count =
        |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let tokens = match seen.tokens {
        Some(tokens) => {
            let (prompt, completion) = (count(tokens.prompt), count(tokens.completion));
            format!("{prompt} prompt + {completion} completion tokens")
        }
        None => format!("{} deltas", seen.deltas),
    };
    let first = measured.time_to_first_token;
    let first = first.map(|first| format!(", first token after {}", time(first)));
    let total = time(measured.total_time);
    let (reason, first) = (reason.unwrap_or_default(), first.unwrap_or_default());
    format!("{outcome}{reason}, {tokens}{first}, {total} in all")
}

fn time(time: Duration) -> String {
    match time.as_millis() {
        0 => format!("{} µs", time.as_micros()),
        1..10_000 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Appends the texts of a content part, each with its style.
fn texts_of<'a>(part: Value<'a>, texts: &mut Vec<(Style, &'a str)>) {
    let r#type = part.get("type").and_then(|name| name.as_str()).unwrap_or_default();
    if matches!(r#type, "thinking" | "reasoning") {
        let named = ["thinking", "reasoning", "text"].iter().filter_map(|name| part.get(name));
        let Some(reasoning) = first_with_text(named) else { return };
        if reasoning.kind() == ValueKind::Array {
            let text = |part: Value<'a>| part.get("text").unwrap_or(part).as_str();
            texts.extend(reasoning.elements().filter_map(text).map(|it| (Style::Reasoning, it)));
        }
        texts.extend(reasoning.as_str().map(|text| (Style::Reasoning, text)));
    } else {
        let named = ["text", "refusal"].iter().filter_map(|name| part.get(name));
        let text = first_with_text(named).unwrap_or(part).as_str();
        texts.extend(text.map(|text| (Style::Text, text)));
    }
}

/// Returns the first value that isn't `null` or an empty text.
fn first_with_text<'a>(mut values: impl Iterator<Item = Value<'a>>) -> Option<Value<'a>> {
    values.find(|value| !value.is_null() && value.as_str() != Some(""))
}
