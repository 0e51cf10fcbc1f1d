//! Helpers of the program's tests: running it, and the streams that it reads.
#![allow(dead_code, unreachable_pub, reason = "each suite uses a part of it")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Path of the program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_deltawire");

/// Runs the program.
pub fn deltawire(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // Both sides write, so that neither may wait for the other. A program that reads a file leaves.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Returns the text on standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the text on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns the lines of JSON on standard output.
pub fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the project's own streams.
pub fn streams() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join("tests/streams")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut streams: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|kind| kind == "sse")).collect();
    streams.sort();
    assert!(streams.len() >= 8);
    streams
}

/// Returns the recordings of OpenAI's API in `../shared/corpus`, if it is there.
///
/// With `DELTAWIRE_REQUIRE_SHARED` set, as in `.ci/run`, its absence is a failure.
pub fn recordings() -> Vec<PathBuf> {
    let corpus = root().join("../shared/corpus");
    let Ok(manifest) = fs::read_to_string(corpus.join("MANIFEST.tsv")) else {
        let required = std::env::var_os("DELTAWIRE_REQUIRE_SHARED").is_some();
        assert!(!required, "{} is required", corpus.display());
        return Vec::new();
    };
    let mut rows = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let column = |name| header.iter().position(|column| *column == name).unwrap();
    let (file, api) = (column("file"), column("api"));
    rows.filter(|row| row[api] == "openai-chat").map(|row| corpus.join(row[file])).collect()
}
