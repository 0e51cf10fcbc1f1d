//! `deltawire replay` by its contract: the stream has the completion, at its speed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

#[path = "../../tests/support/oracle.rs"]
#[allow(unreachable_pub, reason = "shared with the tests of the library")]
mod oracle;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{PROGRAM, deltawire, lines, root, stderr, stdout, streams};

/// Returns the completion that the page beside a stream states.
fn completion(stream: &Path) -> Value {
    let page = fs::read(stream.with_extension("json")).unwrap();
    serde_json::from_slice::<Value>(&page).unwrap()["completion"].take()
}

/// Returns the data of all events.
fn data(stream: &str) -> Vec<String> {
    oracle::parse(stream.as_bytes(), "").events.into_iter().map(|event| event.data).collect()
}

/// Returns a completion with one text.
fn answer(text: &str) -> String {
    let message = json!({"role": "assistant", "content": text});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
        .to_string()
}

#[test]
fn a_stream_has_the_contents_and_ends_as_its_completion() {
    for stream in streams() {
        let (path, expected) = (stream.display(), completion(&stream));
        let input = expected.to_string();
        let output = deltawire(&["replay", "--no-pace"], input.as_bytes());
        let events = data(&stdout(&output));
        let choices = expected["choices"].as_array().unwrap();
        for choice in choices {
            let mut text = String::new();
            for event in &events {
                let Ok(chunk) = serde_json::from_str::<Value>(event) else { continue };
                let parts = chunk["choices"].as_array().into_iter().flatten();
                parts.filter(|part| part["index"] == choice["index"]).for_each(|part| {
                    text.push_str(part["delta"]["content"].as_str().unwrap_or_default());
                });
            }
            let content = choice["message"]["content"].as_str().unwrap_or_default();
            assert_eq!(text, content, "{path}");
        }
        let is_whole = !choices.is_empty()
            && choices.iter().all(|choice| !choice["finish_reason"].is_null())
            && expected.get("not_whole").is_none();
        let is_done = events.last().is_some_and(|last| last == "[DONE]");
        assert_eq!((is_done, output.status.success()), (is_whole, is_whole), "{path}");
        let again = deltawire(&[], &output.stdout);
        assert_eq!(output.status.code(), again.status.code(), "{path}");
        if is_whole {
            assert_eq!(lines(&again), [expected], "{path}");
        }
    }
}

#[test]
fn the_pace_changes_no_byte() {
    let input = answer("one two three four");
    let at_once = stdout(&deltawire(&["replay", "--no-pace", "-"], input.as_bytes()));
    let paced = stdout(&deltawire(&["replay", "--rate", "1000"], input.as_bytes()));
    assert_eq!(at_once, paced);
    for most in [1, 7, 1000] {
        let arguments = ["replay", "--no-pace", "--delta", &most.to_string()];
        let output = stdout(&deltawire(&arguments, input.as_bytes()));
        let texts = data(&output).into_iter().filter_map(|event| {
            let chunk: Value = serde_json::from_str(&event).ok()?;
            chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
        });
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts.concat(), "one two three four");
        assert!(texts.iter().all(|text| text.len() <= most), "{texts:?}");
    }
}

/// Ten tokens at 20 a second: the last event comes half a second after the start.
#[test]
fn a_stream_has_the_speed_of_its_rate() {
    let folder = std::env::temp_dir().join(format!("deltawire-rate-{}.json", std::process::id()));
    fs::write(&folder, answer(&"abcd".repeat(10))).unwrap();
    let start = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(["replay", "--rate", "20"])
        .arg(&folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("data: {"));
    assert_eq!(lines.map(Result::unwrap).filter(|line| line == "data: [DONE]").count(), 1);
    let all = start.elapsed();
    assert!(child.wait().unwrap().success());
    fs::remove_file(folder).unwrap();
    assert!(all >= Duration::from_millis(500), "{all:?}");
}

#[test]
fn other_files_are_refused_in_one_line() {
    let stream = root().join("tests/streams/text.sse");
    for (arguments, input, message) in [
        (&["replay", "no/such/file"][..], "", "no/such/file"),
        (&["replay", stream.to_str().unwrap()], "", "deltawire FILE makes one of a stream"),
        (&["replay"], "", "standard input: expected a chat.completion"),
        (&["replay"], r#"{"error":{"message":"m"}}"#, "expected a chat.completion"),
        (&["replay"], "{\"choices\":[]}\n{\"choices\":[]}\n", "the input is one completion"),
    ] {
        let output = deltawire(arguments, input.as_bytes());
        let said = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
        assert!(said.contains(message) && said.lines().count() == 1, "{said}");
    }
    for arguments in
        [["--rate", "0"], ["--rate", "fast"], ["--delta", "0"], ["--no-pace", "--rate=9"]]
    {
        let output = deltawire(&[&["replay"][..], &arguments].concat(), b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{arguments:?}");
    }
}

/// A completion without its finish reason is replayed as a truncated stream.
#[test]
fn a_truncated_completion_stays_truncated() {
    let input = answer("Hi").replace("\"stop\"", "null");
    let output = deltawire(&["replay", "--no-pace"], input.as_bytes());
    assert_eq!(output.status.code(), Some(5));
    assert!(!stdout(&output).contains("[DONE]"));
}

#[test]
fn a_broken_pipe_is_no_panic() {
    let file = std::env::temp_dir().join(format!("deltawire-pipe-{}.json", std::process::id()));
    fs::write(&file, answer("Hi")).unwrap();
    for pace in ["--no-pace", "--rate=9"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            Command::new(PROGRAM).args(["replay", pace]).arg(&file).stdout(writer).output();
        let output = output.unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
    }
    fs::remove_file(file).unwrap();
}
