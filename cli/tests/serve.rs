//! `deltawire serve` by its contract, seen through a socket.
//!
//! The client is a few lines of HTTP/1.1 of its own, so that it sees pieces, and connections that break.
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
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{PROGRAM, deltawire, root, stderr, streams};

/// A server that is stopped when it is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Serves the project's own streams.
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            // The first one is that of unknown models.
            .arg(root().join("tests/streams/text.sse"))
            .args(streams().into_iter().filter(|stream| !stream.ends_with("text.sse")))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("deltawire: listening on http://").unwrap();
        Self { address: address.to_owned(), process }
    }

    /// Sends a request, and reads the answer until its end or a pause.
    fn ask(&self, query: &str, body: &str) -> Answer {
        self.send(&format!("POST /v1/chat/completions{query}"), "", body)
    }

    fn send(&self, line: &str, headers: &str, body: &str) -> Answer {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        // Only a stream that stalls waits for this time.
        let patience = if line.contains("stall") { 1500 } else { 60_000 };
        connection.set_read_timeout(Some(Duration::from_millis(patience))).unwrap();
        let length = body.len();
        write!(
            connection,
            "{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut bytes = Vec::new();
        // The error is a pause of a stream that stalls.
        let stalls = connection.read_to_end(&mut bytes).is_err();
        Answer::read(&bytes, stalls)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: String,
    /// The chunks of the chunked coding, or the whole body.
    pieces: Vec<Vec<u8>>,
    is_whole: bool,
    stalls: bool,
}

impl Answer {
    fn read(bytes: &[u8], stalls: bool) -> Self {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let headers = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = headers[9..12].parse().unwrap();
        let (mut rest, mut pieces, mut is_whole) = (&bytes[end + 4..], Vec::new(), false);
        if headers.contains("transfer-encoding: chunked") {
            while let Some(at) = rest.windows(2).position(|end| end == b"\r\n") {
                let length = std::str::from_utf8(&rest[..at]).unwrap();
                let length = usize::from_str_radix(length, 16).unwrap();
                is_whole = length == 0;
                if is_whole {
                    break;
                }
                pieces.push(rest[at + 2..at + 2 + length].to_vec());
                rest = &rest[at + 2 + length + 2..];
            }
        } else {
            is_whole = headers.contains(&format!("content-length: {}", rest.len()));
            pieces.push(rest.to_vec());
        }
        Self { status, headers, pieces, is_whole, stalls }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// Returns the chunks by the standard's text as a program.
    fn chunks(&self) -> Vec<Value> {
        let events = oracle::parse(&self.bytes(), "").events;
        events.iter().filter_map(|event| serde_json::from_str(&event.data).ok()).collect()
    }
}

const STREAM: &str = r#"{"model":"text","stream":true,"stream_options":{"include_usage":true}}"#;

fn text() -> Vec<u8> {
    fs::read(root().join("tests/streams/text.sse")).unwrap()
}

#[test]
fn every_stream_is_served_by_its_name() {
    let server = Server::start(&[]);
    for stream in streams() {
        let name = stream.file_stem().unwrap().to_str().unwrap();
        let answer = server.ask("", &STREAM.replace("text", name));
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.headers.contains("content-type: text/event-stream"), "{answer:?}");
        assert!(answer.is_whole && answer.bytes() == fs::read(&stream).unwrap(), "{name}");
        // Without a stream it is the completion that the page beside it states.
        let answer = server.ask("", &format!(r#"{{"model":"{name}"}}"#)).json();
        let page = fs::read(stream.with_extension("json")).unwrap();
        assert_eq!(answer, serde_json::from_slice::<Value>(&page).unwrap()["completion"], "{name}");
    }
    assert_eq!(server.ask("", &STREAM.replace("text", "other")).bytes(), text());
    assert_eq!(server.ask("?recording=other", STREAM).status, 404);
    let named = server.ask("?recording=n2", STREAM).bytes();
    assert_eq!(named, fs::read(root().join("tests/streams/n2.sse")).unwrap());
    let models = server.send("GET /v1/models", "", "").json();
    let models = models["data"].as_array().unwrap().iter();
    let models: Vec<_> = models.map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(
        models,
        ["error", "n2", "reasoning", "refusal", "text", "tools", "truncated", "usage"]
    );
}

#[test]
fn the_usage_is_for_requests_that_ask_for_it() {
    let server = Server::start(&[]);
    let recorded = Answer { pieces: vec![text()], ..server.ask("", STREAM) };
    let hidden = server.ask("", r#"{"model":"text","stream":true}"#);
    let mut expected = recorded.chunks();
    assert!(expected.iter().any(|chunk| chunk.get("usage").is_some_and(Value::is_object)));
    expected.retain(|chunk| chunk["choices"] != Value::Array(Vec::new()));
    for chunk in &mut expected {
        chunk.as_object_mut().unwrap().remove("usage");
    }
    assert_eq!(hidden.chunks(), expected);
}

#[test]
fn the_pieces_of_a_served_stream_follow_its_options() {
    let server = Server::start(&[]);
    let lengths = |query: &str| {
        let answer = server.ask(query, STREAM);
        assert_eq!(answer.bytes(), text(), "{query}");
        answer.pieces.iter().map(Vec::len).collect::<Vec<_>>()
    };
    let events = lengths("").len();
    assert_eq!(events, String::from_utf8(text()).unwrap().matches("\n\n").count());
    assert!(lengths("?piece=7").iter().rev().skip(1).all(|length| *length == 7));
    assert_eq!(lengths("?piece=whole"), [text().len()]);
    let random = lengths("?piece=random");
    assert!(random.iter().all(|length| *length <= 64));
    assert_ne!(random, lengths("?piece=random&seed=2"));
    let start = Instant::now();
    lengths("?gap=20&wait=100");
    let least = Duration::from_millis(100 + 20 * (events as u64 - 1));
    assert!(start.elapsed() >= least, "{:?}", start.elapsed());
}

#[test]
fn recorded_pieces_have_the_listed_lengths() {
    let folder = std::env::temp_dir().join(format!("deltawire-pieces-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("mine.sse"), text()).unwrap();
    fs::write(folder.join("mine.chunks"), "10\n1\n200\n").unwrap();
    let file = folder.join("mine.sse");
    let server = Server::start(&["--piece", "recorded", file.to_str().unwrap()]);
    let answer = server.ask("", &STREAM.replace("text", "mine"));
    let lengths: Vec<_> = answer.pieces.iter().map(Vec::len).collect();
    assert_eq!(lengths, [10, 1, 200, text().len() - 211]);
    assert_eq!(answer.bytes(), text());
    fs::write(folder.join("mine.chunks"), "ten\n").unwrap();
    let output = deltawire(&["serve", file.to_str().unwrap()], b"");
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_served_stream_has_the_fault_of_the_request() {
    let server = Server::start(&[]);
    let cut = server.ask("?cut=100", STREAM);
    assert!(!cut.is_whole && !cut.stalls && cut.bytes() == text()[..100], "{cut:?}");
    let end = server.ask("?end=100", STREAM);
    assert!(end.is_whole && end.bytes() == text()[..100], "{end:?}");
    let stall = server.ask("?stall=100", STREAM);
    assert!(!stall.is_whole && stall.stalls && stall.bytes() == text()[..100], "{stall:?}");
    let error = server.ask("?error=1000", STREAM);
    let last = error.chunks().pop().unwrap();
    assert!(error.is_whole && last["error"]["message"].is_string(), "{error:?}");
    let kept = error.bytes().len() - error.pieces.last().unwrap().len();
    assert!(kept <= 1000 && text().starts_with(&error.bytes()[..kept]), "{kept}");
    let next = text()[kept..].windows(2).position(|end| end == b"\n\n").unwrap();
    assert!(kept + next + 2 > 1000, "the next event ends behind the byte");
    let status = server.ask("?status=429", STREAM);
    assert_eq!((status.status, &status.json()["error"]["code"]), (429, &429.into()));
    assert!(!server.ask("?type=none", STREAM).headers.contains("content-type"));
    assert!(server.ask("?type=text/plain", STREAM).headers.contains("content-type: text/plain"));
    let gzip = server.ask("?gzip=1&piece=100", STREAM);
    assert!(gzip.headers.contains("content-encoding: gzip"));
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(gzip.bytes().as_slice()).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, text());
}

#[test]
fn a_stream_is_generated() {
    let server = Server::start(&[]);
    let answer = server.ask("?generate=5&id=a", STREAM);
    let texts = answer.chunks().into_iter().filter_map(|chunk| {
        let text = chunk["choices"][0]["delta"]["content"].as_str()?.to_owned();
        Some(text.split(':').take(2).collect::<Vec<_>>().join(":"))
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["", "a:0", "a:1", "a:2", "a:3", "a:4"]);
    assert_eq!(answer.chunks().last().unwrap()["usage"]["completion_tokens"], 5);
    assert!(answer.is_whole && answer.bytes().ends_with(b"data: [DONE]\n\n"));
    let cut = server.ask("?generate=5&cut=700", STREAM);
    assert!(!cut.is_whole && cut.bytes().len() <= 700 && cut.bytes().ends_with(b"\n\n"));
    assert!(server.ask("?generate=5&stall=700", STREAM).stalls);
    let end = server.ask("?generate=5&end=700", STREAM);
    assert!(end.is_whole && end.bytes().len() <= 700, "{end:?}");
}

#[test]
fn the_command_line_has_defaults_for_all_requests() {
    let server = Server::start(&["--status", "500", "--piece", "whole"]);
    assert_eq!(server.ask("", STREAM).status, 500);
    assert_eq!(server.ask("?status=503", STREAM).status, 503);
    let post = "POST /v1/chat/completions";
    assert_eq!(server.send(post, "x-replay-status: 418\r\n", STREAM).status, 418);
    // The query precedes the headers.
    let post = "POST /v1/chat/completions?status=404";
    assert_eq!(server.send(post, "x-replay-status: 418\r\n", STREAM).status, 404);
}

#[test]
fn wrong_requests_are_refused() {
    let server = Server::start(&[]);
    let post = "POST /v1/chat/completions";
    for query in ["piece=0", "cut=x", "status=99", "status=100", "gap=-1", "generate=x", "id=%22\""]
    {
        let answer = server.send(&format!("{post}?{query}"), "", STREAM);
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(server.send(post, "x-replay-cuts: 1\r\n", STREAM).status, 400);
    assert_eq!(server.ask("?api-version=1", STREAM).status, 200);
    assert_eq!(server.ask("", "[]").status, 400);
    assert_eq!(server.send("GET /v1/chat/completions", "", "").status, 404);
    assert_eq!(server.send("POST /v1/completions", "", STREAM).status, 404);
}

#[test]
fn wrong_usage_is_one_line() {
    let text = root().join("tests/streams/text.sse");
    let text = text.to_str().unwrap();
    for (arguments, status) in [
        (&["no/such/file.sse"][..], 1),
        (&[text, text], 1),
        (&["--listen", "256.0.0.1:1", text], 2),
        (&["--listen", "127.0.0.1", text], 2),
        (&["--piece", "0", text], 2),
        (&["--cut", "5", "--end", "5", text], 2),
        (&["--status", "99", text], 2),
        (&["--type", "\n", text], 2),
    ] {
        let output = deltawire(&[&["serve"][..], arguments].concat(), b"");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
    let server = Server::start(&[]);
    let output = deltawire(&["serve", "--listen", &server.address, text], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&server.address), "{}", stderr(&output));
}
