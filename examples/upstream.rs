//! An upstream that replays recorded streams, and misbehaves when it is told to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::{Sleep, sleep};

const HELP: &str = "\
An upstream that replays recorded streams with their pieces and pacing, and misbehaves when told to.

    upstream --recordings tests/streams
    curl -d '{\"model\":\"text\",\"stream\":true}' 'http://127.0.0.1:8081/v1/chat/completions?cut=500'

Usage: upstream [OPTIONS]

  --recordings FOLDER  where NAME.sse are [tests/streams]
  --listen ADDRESS     [127.0.0.1:8081]; with port 0 a free one, which is printed
  --threads N          as many as there are cores
  -h, --help           this text

A request says what it wants in its query, or in headers of these names behind x-replay-:

  recording=NAME       replay NAME.sse; else the one with the name of the request's model
  piece=N              in pieces of N bytes; piece=event, the default, in events; piece=whole at
                       once; piece=recorded as NAME.chunks lists, a length a line; piece=random in
                       up to 64 bytes
  seed=N               another piece=random
  gap=MS               so many milliseconds between pieces [0]
  wait=MS              and before the first one [0]
  cut=N                close the connection behind N bytes
  end=N                end the body properly behind N bytes
  stall=N              say nothing more behind N bytes
  error=N              an error event in place of all events from byte N on
  gzip=1               compressed, whatever the request accepts
  type=TYPE            of this content type; type=none of none
  status=N             this status, and an error in JSON
  generate=N           no recording, but N events; the text of each is ID:NUMBER:NANOSECONDS and a
                       space: its number, and when it was sent, since 1970
  id=ID                for generate

Bytes of a recording are counted as it is. Where the request doesn't ask for the usage
(stream_options.include_usage), it isn't sent. A request that asks for no stream is answered with
NAME.json.
";

/// How long the connection is kept behind the last byte where it is cut.
const FLUSH: Duration = Duration::from_millis(50);

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

fn main() -> ExitCode {
    match Options::parse() {
        Ok(Some(options)) => match serve(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("upstream: {error}"));
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            let printed = io::stdout().write_all(HELP.as_bytes());
            if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("upstream: {error}\nTry --help."));
            ExitCode::from(2)
        }
    }
}

/// Writes a line to standard error, and ignores a failure.
fn say(line: &str) {
    let _unread = writeln!(io::stderr(), "{line}");
}

struct Options {
    listen: SocketAddr,
    recordings: PathBuf,
    threads: Option<usize>,
}

impl Options {
    /// `None` asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            recordings: "tests/streams".into(),
            threads: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("listen") => options.listen = parser.value()?.parse()?,
                Long("recordings") => options.recordings = parser.value()?.into(),
                Long("threads") => options.threads = Some(parser.value()?.parse()?),
                Short('h') | Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

fn serve(options: Options) -> io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        runtime.worker_threads(threads.max(1));
    }
    runtime.enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        say(&format!("upstream: listening on http://{}", listener.local_addr()?));
        let folder = Arc::new(options.recordings);
        loop {
            let Ok((connection, _)) = listener.accept().await else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _late = connection.set_nodelay(true);
            let folder = Arc::clone(&folder);
            let service = service_fn(move |request| {
                let folder = Arc::clone(&folder);
                async move { Ok::<_, Infallible>(answer(request, &folder).await) }
            });
            tokio::spawn(async move {
                let connection = TokioIo::new(connection);
                let _left = http1::Builder::new().serve_connection(connection, service).await;
            });
        }
    })
}

/// The options of a request, by the names of `HELP`.
struct Wishes(HashMap<String, String>);

impl Wishes {
    fn of(request: &Request<Incoming>) -> Self {
        let query = request.uri().query().unwrap_or_default().split('&');
        let query = query.filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = request.headers().iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-replay-")?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        });
        Self(headers.chain(query).collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }

    fn milliseconds(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name).unwrap_or(0) as u64)
    }
}

async fn answer(request: Request<Incoming>, folder: &Path) -> Response<Replay> {
    let wishes = Wishes::of(&request);
    if let Some(status) = wishes.number("status") {
        let status =
            u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        return refuse(status.unwrap_or(StatusCode::BAD_REQUEST), "as it was wished");
    }
    let body = Limited::new(request.into_body(), 64 << 20).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let asked: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    let with_usage = asked
        .get("stream_options")
        .and_then(|options| options.get("include_usage"))
        .is_some_and(|include| *include == Value::Bool(true));
    if let Some(events) = wishes.number("generate") {
        return with_type(Response::new(generate(&wishes, events, with_usage)), EVENT_STREAM);
    }
    let model = asked.get("model").and_then(Value::as_str).unwrap_or_default();
    let name = wishes.text("recording").unwrap_or(model);
    let is_name =
        |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let read = |ending: &str| {
        let file = folder.join(name).with_extension(ending);
        std::fs::read(file).ok().filter(|_| is_name(name))
    };
    let is_stream = asked.get("stream").is_some_and(|stream| *stream == Value::Bool(true));
    if !is_stream && let Some(whole) = read("json") {
        return with_type(
            Response::new(Replay::new([Step::Send(whole.into())])),
            "application/json",
        );
    }
    let Some(recording) = read("sse") else {
        return refuse(StatusCode::NOT_FOUND, "there is no recording of that name");
    };
    let recorded = read("chunks").map(|lengths| String::from_utf8_lossy(&lengths).into_owned());
    let mut response = Response::new(replay(recording, recorded, with_usage, &wishes));
    if wishes.text("gzip").is_some() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    match wishes.text("type") {
        Some("none") => response,
        kind => with_type(response, kind.unwrap_or(EVENT_STREAM)),
    }
}

fn with_type(mut response: Response<Replay>, kind: &str) -> Response<Replay> {
    if let Ok(kind) = HeaderValue::from_str(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

fn refuse(status: StatusCode, reason: &str) -> Response<Replay> {
    let error =
        json!({"error": {"message": reason, "type": "upstream_error", "code": status.as_u16()}});
    let mut response = Response::new(Replay::new([Step::Send(error.to_string().into())]));
    *response.status_mut() = status;
    with_type(response, "application/json")
}

/// Returns the events of a recording, each with its blank line.
fn events(recording: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    let mut rest = recording;
    while let Some(at) = rest.windows(2).position(|end| end == b"\n\n") {
        let (event, behind) = rest.split_at(at + 2);
        events.push(event);
        rest = behind;
    }
    events.push(rest);
    events
}

/// Returns a recording as it is without a request for the usage.
///
/// No chunk has the member, and no event contains it alone.
fn without_usage(recording: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for event in events(recording) {
        let json = event.strip_prefix(b"data: ");
        let chunk = json.and_then(|json| serde_json::from_slice::<Map<String, Value>>(json).ok());
        let Some(mut chunk) = chunk.filter(|chunk| chunk.contains_key("usage")) else {
            kept.extend_from_slice(event);
            continue;
        };
        let is_for_usage =
            chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
        chunk.shift_remove("usage");
        if !is_for_usage {
            kept.extend_from_slice(format!("data: {}\n\n", Value::Object(chunk)).as_bytes());
        }
    }
    kept
}

/// Returns the replay of a recording.
fn replay(
    mut bytes: Vec<u8>,
    recorded: Option<String>,
    with_usage: bool,
    wishes: &Wishes,
) -> Replay {
    if let Some(from) = wishes.number("error") {
        let mut kept = 0;
        for event in events(&bytes) {
            if kept + event.len() > from {
                break;
            }
            kept += event.len();
        }
        bytes.truncate(kept);
        bytes.extend_from_slice(
            b"data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
        );
    }
    // Where it stops, and how.
    let ends = [("cut", Some(Step::Abort)), ("stall", Some(Step::Stall)), ("end", None)];
    let stop = ends.into_iter().find_map(|(name, how)| Some((wishes.number(name)?, how)));
    if let Some((at, _)) = stop {
        bytes.truncate(at);
    }
    if !with_usage {
        bytes = without_usage(&bytes);
    }
    let lengths: Vec<usize> = match wishes.text("piece").unwrap_or("event") {
        "event" => events(&bytes).iter().map(|event| event.len()).collect(),
        "whole" => vec![bytes.len()],
        "recorded" => recorded
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect(),
        "random" => {
            let mut seed = wishes.number("seed").unwrap_or(1) as u64;
            let lengths =
                std::iter::repeat_with(|| 1 + usize::from(random(&mut seed).to_le_bytes()[0] % 64));
            lengths.take(bytes.len()).collect()
        }
        size => vec![size.parse().unwrap_or(1).max(1); bytes.len()],
    };
    let mut gzip = wishes.text("gzip").map(|_| GzEncoder::new(Vec::new(), Compression::default()));
    let mut steps = vec![Step::Wait(wishes.milliseconds("wait"))];
    let mut rest = bytes.as_slice();
    for length in lengths.into_iter().chain([usize::MAX]) {
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        if piece.is_empty() {
            continue;
        }
        let piece = match &mut gzip {
            Some(gzip) => {
                // Into memory: there is nothing to fail.
                let _written = gzip.write_all(piece).and_then(|()| gzip.flush());
                std::mem::take(gzip.get_mut())
            }
            None => piece.to_vec(),
        };
        steps.extend([Step::Send(piece.into()), Step::Wait(wishes.milliseconds("gap"))]);
    }
    if let Some(Ok(trailer)) = gzip.map(GzEncoder::finish) {
        steps.push(Step::Send(trailer.into()));
    }
    // The bytes before the end have to leave before the connection does.
    steps.extend(
        stop.and_then(|(_, how)| how).map(|how| [Step::Wait(FLUSH), how]).into_iter().flatten(),
    );
    Replay::new(steps)
}

/// Returns the next number of xorshift: enough to cut by.
fn random(seed: &mut u64) -> u64 {
    *seed = (*seed).max(1);
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Makes a stream that isn't recorded, with the time of each chunk.
fn generate(wishes: &Wishes, count: usize, with_usage: bool) -> Replay {
    let id = wishes.text("id").unwrap_or("none").to_owned();
    let (gap, wait) = (wishes.milliseconds("gap"), wishes.milliseconds("wait"));
    let cut = wishes.number("cut").unwrap_or(usize::MAX);
    let chunk = move |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"generated\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{choices}]{usage}}}\n\n"
        )
    };
    let null = if with_usage { ",\"usage\":null" } else { "" };
    let name = wishes.text("id").unwrap_or("none").to_owned();
    let first = "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}";
    let last = "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}";
    let first = chunk(first, null);
    let mut end = chunk(last, null);
    if with_usage {
        let total = count + 9;
        end += &chunk(
            "",
            &format!(
                ",\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{count},\"total_tokens\":{total}}}"
            ),
        );
    }
    end += "data: [DONE]\n\n";
    let middle = (0..count).flat_map(move |number| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = format!("{name}:{number}:{} ", now.as_nanos());
        let delta = format!("{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":null,\"finish_reason\":null}}");
        [Step::Send(chunk(&delta, null).into()), Step::Wait(gap)]
    });
    let steps = [Step::Wait(wait), Step::Send(first.into())].into_iter().chain(middle);
    let (mut sent, mut is_cut) = (0, false);
    let steps = steps.chain([Step::Send(end.into())]).map(move |step| {
        sent += if let Step::Send(piece) = &step { piece.len() } else { 0 };
        if sent <= cut {
            step
        } else if std::mem::replace(&mut is_cut, true) {
            Step::Abort
        } else {
            Step::Wait(FLUSH)
        }
    });
    Replay::new(steps)
}

enum Step {
    Send(Bytes),
    Wait(Duration),
    Stall,
    /// Closes the connection.
    Abort,
}

/// A body that does one step after the other, each made when its time has come.
struct Replay {
    steps: Box<dyn Iterator<Item = Step> + Send + Sync>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Replay {
    fn new<S>(steps: S) -> Self
    where
        S: IntoIterator<Item = Step>,
        S::IntoIter: Send + Sync + 'static,
    {
        Self { steps: Box::new(steps.into_iter()), sleep: None }
    }
}

impl Body for Replay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(context));
                self.sleep = None;
            }
            match self.steps.next() {
                Some(Step::Send(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Some(Step::Wait(time)) if time.is_zero() => {}
                Some(Step::Wait(time)) => self.sleep = Some(Box::pin(sleep(time))),
                Some(Step::Stall) => self.sleep = Some(Box::pin(sleep(Duration::from_secs(86400)))),
                Some(Step::Abort) => {
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}
