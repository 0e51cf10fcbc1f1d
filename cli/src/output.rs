//! Input and output that all subcommands share: files, failures, JSON texts, harmless text.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;

/// A file that can't be read or written.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Name of the file, for a message.
    pub(crate) file: String,
    pub(crate) error: io::Error,
    /// True for a file that is read, and false for standard output.
    pub(crate) is_of_input: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.error)
    }
}

/// Returns a function that makes the failure of a file.
pub(crate) fn failure_of(file: &Path) -> impl Fn(io::Error) -> Failure {
    let file = name(file);
    move |error| Failure { file: file.clone(), error, is_of_input: true }
}

/// Returns the failure of standard output.
pub(crate) fn to_stdout(error: io::Error) -> Failure {
    Failure { file: "standard output".into(), error, is_of_input: false }
}

/// Returns the name of a file for a message; `-` is standard input.
pub(crate) fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".into() } else { file.display().to_string() }
}

/// Opens a file, or standard input for `-`; returns its size in bytes if that is known.
pub(crate) fn open(file: &Path) -> io::Result<(Box<dyn Read>, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(file)?;
    let size = file.metadata()?.len();
    Ok((Box::new(file), Some(size)))
}

/// Writes one line to standard error, and ignores a failure.
pub(crate) fn say(line: &str) {
    let _unread = writeln!(io::stderr(), "{}", harmless(line).replace('\n', " "));
}

/// Writes a line of JSON, without characters that control a terminal.
pub(crate) fn put(out: &mut impl Write, json: &str) -> io::Result<()> {
    writeln!(out, "{}", escaped(json))
}

/// Returns JSON on one line.
///
/// A chunk keeps its white space, where a line feed can't be part of a string.
pub(crate) fn one_line(value: &(impl Serialize + ?Sized)) -> io::Result<String> {
    Ok(serde_json::to_string(value)?.replace(['\n', '\r'], " "))
}

/// The text of a JSON object, whose members keep their order and the spelling of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Object {
    members: String,
}

impl Object {
    /// Adds a member; the name needs no escapes.
    pub(crate) fn member(self, name: &str, value: &(impl Serialize + ?Sized)) -> io::Result<Self> {
        let value = one_line(value)?;
        Ok(self.raw(name, &value))
    }

    /// Adds a member whose value is a JSON text; the name needs no escapes.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        let comma = if self.members.is_empty() { "" } else { "," };
        // A text can be written to without end.
        let _never = write!(self.members, "{comma}\"{name}\":{json}");
        self
    }

    /// Returns the text of the object.
    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.members)
    }
}

/// Returns the text of a JSON array of JSON texts.
pub(crate) fn array(elements: impl IntoIterator<Item = String>) -> String {
    let elements: Vec<_> = elements.into_iter().collect();
    format!("[{}]", elements.join(","))
}

/// Replaces the characters of a server's text that control a terminal.
///
/// These are control characters, and characters that change the direction of the text behind them.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(|c: char| steers(c) && c != '\n', "\u{FFFD}")
}

/// Escapes the characters of a JSON text that control a terminal, with the same meaning.
fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if steers(c) {
            // All of these characters are in the first plane, so four digits are enough.
            let _never = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

fn steers(c: char) -> bool {
    let is_bidi = |c: char| matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    c.is_control() && c != '\t' || is_bidi(c)
}
