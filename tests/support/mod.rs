//! Helpers of the test suites: third-party recordings and vectors, cuts, a tiny base64 reader.
//!
//! Recordings and vectors are beside the repository in `../shared`. Where they are absent the
//! tests that need them print that and pass. With `DELTAWIRE_REQUIRE_SHARED` set, as in `.ci/run`,
//! their absence is a failure.
#![allow(dead_code, unreachable_pub, reason = "each suite uses a part of it")]

pub mod cases;
pub mod clock;
pub mod decoded;
#[cfg(feature = "std")]
pub mod edited;
#[cfg(feature = "std")]
pub mod events;
#[cfg(feature = "std")]
pub mod faults;
pub mod fold;
pub mod framed;
pub mod heap;
pub mod oracle;
#[cfg(all(feature = "stream", feature = "http-body"))]
pub mod script;
pub mod sent;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Returns the folder `../shared/{name}`, if it is there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if path.is_dir() {
        return Some(path);
    }
    let required = std::env::var_os("DELTAWIRE_REQUIRE_SHARED").is_some();
    assert!(!required, "{} is required", path.display());
    say(&format!("not run: {} is absent", path.display()));
    None
}

/// Prints past the test harness, which keeps the macro's output of a passing test.
#[expect(clippy::explicit_write, reason = "eprintln! is what the harness captures")]
pub fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// A recorded stream.
pub struct Recording {
    pub file: String,
    pub features: Vec<String>,
    pub fidelity: String,
    pub bytes: Vec<u8>,
    /// The lengths of its pieces, where they were recorded.
    pub pieces: Option<Vec<usize>>,
}

impl Recording {
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }
}

/// Returns the recordings of one API, in the order of the manifest.
pub fn recordings(api: &str) -> Vec<Recording> {
    let Some(folder) = shared("corpus") else { return Vec::new() };
    let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name| header.iter().position(|column| *column == name).unwrap();
    let (file, kind, fidelity) = (column("file"), column("api"), column("fidelity"));
    let (features, sidecar) = (column("features"), column("chunk_sidecar"));
    let recordings: Vec<_> = lines
        .filter(|row| row[kind] == api)
        .map(|row| Recording {
            file: row[file].to_owned(),
            features: row[features].split(',').map(str::to_owned).collect(),
            fidelity: row[fidelity].to_owned(),
            bytes: fs::read(folder.join(row[file])).unwrap(),
            pieces: (!row[sidecar].is_empty()).then(|| {
                let lengths = fs::read_to_string(folder.join(row[sidecar])).unwrap();
                lengths.lines().map(|line| line.parse().unwrap()).collect()
            }),
        })
        .collect();
    assert!(!recordings.is_empty(), "the manifest lists nothing of {api}");
    recordings
}

/// Returns the lines of all `vectors/{folder}/*.jsonl`, with the name of their file.
pub fn vectors(folder: &str) -> Vec<(String, Value)> {
    let Some(path) = shared("vectors").map(|vectors| vectors.join(folder)) else {
        return Vec::new();
    };
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension() == Some("jsonl".as_ref())).collect();
    files.sort();
    let mut vectors = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in fs::read_to_string(&file).unwrap().lines() {
            vectors.push((name.clone(), serde_json::from_str(line).unwrap()));
        }
    }
    vectors
}

/// Returns the vectors of `sse` that are whole streams.
pub fn stream_vectors() -> impl Iterator<Item = Value> {
    let vectors = vectors("sse").into_iter();
    vectors.filter(|(suite, _)| suite != "lines" && suite != "wpt-mime").map(|(_, vector)| vector)
}

/// Returns the events that the standard dispatches, as a vector of `sse` lists them.
pub fn expected_events(vector: &Value) -> Vec<oracle::Dispatched> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let events = vector["expected"].as_array().unwrap().iter();
    events
        .map(|event| oracle::Dispatched {
            event: text(event, "event"),
            data: text(event, "data"),
            id: text(event, "id"),
            retry: reconnection_time(&event["retry"]),
        })
        .collect()
}

/// Returns a number, or that of a decimal string, which is beyond JavaScript's numbers.
pub fn reconnection_time(value: &Value) -> Option<u64> {
    match value {
        Value::Null => None,
        Value::String(digits) => Some(digits.parse().unwrap_or(u64::MAX)),
        number => Some(number.to_string().parse().unwrap_or(u64::MAX)),
    }
}

/// Reads base64 as RFC 4648, section 4 has it.
pub fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for character in text.trim_end_matches('=').chars() {
        bits = bits << 6 | u32::try_from(ALPHABET.find(character).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).unwrap());
        }
    }
    bytes
}
