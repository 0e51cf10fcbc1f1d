//! A load test on loopback: many streams at once through the gateway, some of which break.
//!
//! It starts `deltawire serve` and `gateway`, which are built beside it. First the upstream and clients cut
//! off streams at random. Nothing may be lost, and nothing may cross from one stream to another. The
//! gateway's memory is flat afterwards. Then it measures the cost of the gateway.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const HELP: &str = "\
Streams through the gateway, many at once, on loopback.

Usage: load [OPTIONS]

  --streams N      at once [1000]
  --seconds N      for each round, and each of the four figures [10]
  --gap MS         between the events of a stream [100]
  --rounds N       with broken streams [3]
  --seed N         of the fates [1]
  --checks         no figures
  -h, --help       this text

Exit status 1 says that something was lost, crossed, or kept.
";

#[derive(Clone, Copy)]
struct Options {
    streams: usize,
    seconds: u64,
    gap: u64,
    rounds: u64,
    seed: u64,
    checks: bool,
}

impl Options {
    /// `None` asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options =
            Self { streams: 1000, seconds: 10, gap: 100, rounds: 3, seed: 1, checks: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("streams") => options.streams = parser.value()?.parse()?,
                Long("seconds") => options.seconds = parser.value()?.parse()?,
                Long("gap") => options.gap = parser.value()?.parse()?,
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("checks") => options.checks = true,
                Short('h') | Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(&format!("load: {error}\nTry --help."));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("load: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line, and ignores a failure.
fn say(line: &str) {
    let _unread = writeln!(io::stdout(), "{line}");
}

/// A server that is stopped when it is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
    /// Address of `/metrics`, if the server has it.
    figures: Option<SocketAddr>,
}

impl Server {
    fn start(name: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let program = std::env::current_exe()?.with_file_name(name);
        let mut process = Command::new(program)
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut address = || {
            let line = lines.next().ok_or("no address")??;
            let (_, address) = line.trim().rsplit_once("http://").ok_or("no address")?;
            Ok::<SocketAddr, Failure>(address.trim_end_matches("/metrics").parse()?)
        };
        let (address, figures) = if arguments.contains(&"--metrics") {
            (address()?, Some(address()?))
        } else {
            (address()?, None)
        };
        Ok(Self { process, address, figures })
    }

    /// Reads a line of `/proc/PID/status`, in KiB.
    fn memory(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?.parse()?)
    }

    /// Returns the time that all its threads have had on a core.
    fn core_time(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // Behind the name, which may have spaces: the twelfth and thirteenth, in hundredths.
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = fields.iter().skip(11).take(2).map(|ticks| ticks.parse::<u64>());
        Ok(Duration::from_millis(10 * ticks.sum::<Result<u64, _>>()?))
    }

    /// Reads a figure of the gateway.
    async fn figure(&self, name: &str) -> Result<u64, Failure> {
        let body = get(self.figures.ok_or("no figures")?, "/metrics").await?;
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.unwrap_or("0").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// How a stream is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    /// The upstream closes the connection behind so many bytes.
    Cut(usize),
    /// The client leaves behind so many events.
    Leave(usize),
}

/// The plan for a stream.
struct Plan {
    id: String,
    events: usize,
    gap: u64,
    fate: Fate,
    with_usage: bool,
}

/// The client's side of a stream. It uses nothing of deltawire: it searches for texts.
struct Reader<'p> {
    plan: &'p Plan,
    rest: Vec<u8>,
    events: usize,
    is_finished: bool,
    has_usage: bool,
    is_done: bool,
    /// Microseconds from the upstream to here.
    latencies: Vec<u32>,
}

impl<'p> Reader<'p> {
    fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            rest: Vec::new(),
            events: 0,
            is_finished: false,
            has_usage: false,
            is_done: false,
            latencies: Vec::new(),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        self.rest.extend_from_slice(piece);
        let rest = std::mem::take(&mut self.rest);
        let mut text = std::str::from_utf8(&rest)?;
        while let Some((event, behind)) = text.split_once("\n\n") {
            self.event(event, now)?;
            text = behind;
        }
        self.rest.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn event(&mut self, event: &str, now: Duration) -> Result<(), Failure> {
        let id = &self.plan.id;
        // The gateway's error event, which precedes the end of a stream that breaks.
        let is_cut = event.contains("\"code\":\"cut\"");
        if is_cut && matches!(self.plan.fate, Fate::Cut(_)) {
            return Ok(());
        }
        if event == "data: [DONE]" {
            self.is_done = true;
            return Ok(());
        }
        if !event.contains(&format!("\"id\":\"chatcmpl-{id}\"")) {
            return Err(format!("an event of another stream in {id}: {event}").into());
        }
        self.is_finished |= event.contains("\"finish_reason\":\"stop\"");
        self.has_usage |= event.contains("\"usage\"");
        let text = event.split_once("\"content\":\"").and_then(|(_, text)| text.split_once('"'));
        let Some((text, _)) = text.filter(|(text, _)| !text.is_empty()) else { return Ok(()) };
        let mut parts = text.trim_end().split(':');
        if parts.next() != Some(id) || parts.next() != Some(&self.events.to_string()) {
            return Err(format!("{text} in the place of {id}:{}", self.events).into());
        }
        let sent = Duration::from_nanos(parts.next().ok_or("no time")?.parse()?);
        self.latencies.push(u32::try_from(now.saturating_sub(sent).as_micros())?);
        self.events += 1;
        Ok(())
    }

    /// Checks that the stream followed its plan; `broke` is true if the connection broke.
    fn check(&self, broke: bool) -> Result<(), Failure> {
        let Plan { id, events, fate, with_usage, .. } = self.plan;
        let is_whole = self.events == *events && self.is_finished && self.is_done;
        let holds = match fate {
            Fate::Whole => is_whole && !broke && self.has_usage == *with_usage,
            Fate::Cut(_) => broke && !self.is_done && (*with_usage || !self.has_usage),
            Fate::Leave(behind) => self.events >= *behind,
        };
        if holds {
            return Ok(());
        }
        let (found, done) = (self.events, self.is_done);
        Err(format!("{id}, {fate:?}: {found} of {events} events, done: {done}, broke: {broke}")
            .into())
    }
}

/// Runs one stream, from the request to its end.
async fn stream(to: SocketAddr, plan: &Plan) -> Result<Vec<u32>, Failure> {
    let Plan { id, events, gap, fate, with_usage } = plan;
    let mut path = format!("/v1/chat/completions?generate={events}&id={id}&gap={gap}");
    if let Fate::Cut(at) = fate {
        write!(path, "&cut={at}")?;
    }
    let body = format!(
        "{{\"model\":\"generated\",\"stream\":true,\"stream_options\":{{\"include_usage\":{with_usage}}}}}"
    );
    let connection = TcpStream::connect(to).await?;
    connection.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post(path.parse::<Uri>()?)
        .header("host", "loopback")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(format!("{id}: {}", answer.status()).into());
    }
    let mut body = answer.into_body();
    let mut reader = Reader::new(plan);
    let mut broke = false;
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(piece)) => reader.push(&piece)?,
            Ok(Err(_)) => {}
            Err(_) => broke = true,
        }
        if matches!(fate, Fate::Leave(behind) if reader.events >= *behind) {
            break;
        }
    }
    connection.abort();
    reader.check(broke)?;
    Ok(reader.latencies)
}

async fn get(from: SocketAddr, path: &str) -> Result<String, Failure> {
    let connection = TokioIo::new(TcpStream::connect(from).await?);
    let (mut sender, connection) = http1::handshake(connection).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path.parse::<Uri>()?)
        .header("host", "loopback")
        .body(Full::<Bytes>::default())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(String::from_utf8(body.to_vec())?)
}

/// The results of a round.
#[derive(Default)]
struct Round {
    whole: u64,
    cut: u64,
    left: u64,
    latencies: Vec<u32>,
}

/// Keeps so many streams open for a while, each with a fate of its own.
async fn round(
    to: SocketAddr,
    options: &Options,
    number: u64,
    kind: Kind,
) -> Result<Round, Failure> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let tasks: Vec<_> = (0..options.streams)
        .map(|client| {
            let (gap, mut seed) = (options.gap, options.seed + number * 1_000_003 + client as u64);
            let spread = gap * client as u64 / options.streams as u64;
            tokio::spawn(async move {
                let mut round = Round::default();
                // Not all at the same moment.
                sleep(Duration::from_millis(spread)).await;
                for turn in 0.. {
                    if Instant::now() >= until {
                        break;
                    }
                    let plan = kind.plan(format!("r{number}c{client}t{turn}"), gap, &mut seed);
                    let latencies = stream(to, &plan).await?;
                    match plan.fate {
                        Fate::Whole => round.whole += 1,
                        Fate::Cut(_) => round.cut += 1,
                        Fate::Leave(_) => round.left += 1,
                    }
                    round.latencies.extend(latencies);
                }
                Ok::<_, Failure>(round)
            })
        })
        .collect();
    let mut sum = Round::default();
    // A stream takes at most three seconds beyond its round, unless it hangs.
    let late = Duration::from_secs(options.seconds + 60);
    for task in tasks {
        let round = timeout(late, task).await.map_err(|_| "a stream hangs")???;
        sum.whole += round.whole;
        sum.cut += round.cut;
        sum.left += round.left;
        sum.latencies.extend(round.latencies);
    }
    Ok(sum)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Some streams break.
    Chaos,
    /// None does, and the client asks for the usage: nothing is edited.
    Watched,
    /// None does, and the usage is hidden.
    Edited,
}

impl Kind {
    fn plan(self, id: String, gap: u64, seed: &mut u64) -> Plan {
        let events = 5 + random(seed, 20);
        let fate = match (self, random(seed, 100)) {
            (Self::Chaos, 0..15) => Fate::Cut(300 + random(seed, 250 * events)),
            (Self::Chaos, 15..30) => Fate::Leave(random(seed, events)),
            _ => Fate::Whole,
        };
        let with_usage = match self {
            Self::Chaos => random(seed, 2) == 0,
            Self::Watched => true,
            Self::Edited => false,
        };
        Plan { id, events, gap, fate, with_usage }
    }
}

/// Returns the next number of splitmix64, below `end`.
fn random(seed: &mut u64, end: usize) -> usize {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from(mixed >> 33).unwrap_or(0) % end.max(1)
}

async fn run(options: &Options) -> Result<(), Failure> {
    let upstream = Server::start("deltawire", &["serve"])?;
    let url = format!("http://{}", upstream.address);
    let gateway = Server::start("gateway", &["--upstream", &url, "--metrics", "127.0.0.1:0"])?;
    chaos(options, &gateway).await?;
    if !options.checks {
        drop(gateway);
        figures(options, &upstream, &url).await?;
    }
    Ok(())
}

/// Runs rounds in which streams break.
///
/// After each of them no stream is open, and the memory is that after the first, except for bytes
/// that the allocator keeps.
async fn chaos(options: &Options, gateway: &Server) -> Result<(), Failure> {
    let mut sum = Round::default();
    let mut memories = vec![gateway.memory()?];
    let mut in_first = None;
    for number in 0..options.rounds {
        let round = round(gateway.address, options, number, Kind::Chaos).await?;
        sum.whole += round.whole;
        sum.cut += round.cut;
        sum.left += round.left;
        in_first.get_or_insert(sum.whole + sum.cut + sum.left);
        let patience = Instant::now() + Duration::from_secs(20);
        while gateway.figure("gateway_streams_active").await? > 0 {
            if Instant::now() > patience {
                return Err("streams are open that nobody reads".into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        memories.push(gateway.memory()?);
    }
    let Round { whole, cut, left, .. } = sum;
    say(&format!(
        "{} streams at once: {whole} whole, {cut} cut by the upstream, {left} left by their client; \
         nothing lost, nothing crossed",
        options.streams
    ));
    say(&format!("memory before, and after each round: {memories:?} KiB"));
    let mut outcomes = [0; 3];
    for (found, outcome) in outcomes.iter_mut().zip(["complete", "cut", "client_gone"]) {
        let name = format!("gateway_streams_total{{outcome=\"{outcome}\"}}");
        *found = gateway.figure(&name).await?;
    }
    // A client that leaves just before the end may have its stream complete.
    let [complete, cut, client_gone] = outcomes;
    let holds = cut == sum.cut && complete >= whole && complete + client_gone == whole + left;
    if !holds {
        return Err(format!("the gateway has counted {outcomes:?}").into());
    }
    // The bytes that the allocator and the pool of idle connections keep level off slowly. A stream
    // that leaves its decoder behind leaves seven KiB, and one that leaves its connection more.
    let streams = sum.whole + sum.cut + sum.left - in_first.unwrap_or(0);
    let growth = memories.last().unwrap_or(&0).saturating_sub(*memories.get(1).unwrap_or(&0));
    if growth > 4096 + streams {
        return Err(format!("{growth} KiB are left of {streams} streams").into());
    }
    Ok(())
}

/// A measurement.
struct Figure {
    name: &'static str,
    /// Of the gateway; none is the upstream alone.
    arguments: Option<&'static [&'static str]>,
    kind: Kind,
    latencies: Vec<u32>,
    core: Duration,
    kib_per_stream: Vec<f64>,
}

/// Measures the gateway's cost against the upstream alone: in turn, on the same machine.
async fn figures(options: &Options, upstream: &Server, url: &str) -> Result<(), Failure> {
    const TURNS: u64 = 3;
    let rows: [(_, Option<&'static [&'static str]>, _); 4] = [
        ("direct", None, Kind::Watched),
        ("forwarded, unwatched", Some(&["--no-watch"]), Kind::Watched),
        ("forwarded, watched", Some(&[]), Kind::Watched),
        ("edited, watched", Some(&[]), Kind::Edited),
    ];
    let mut figures = rows.map(|(name, arguments, kind)| Figure {
        name,
        arguments,
        kind,
        latencies: Vec::new(),
        core: Duration::ZERO,
        kib_per_stream: Vec::new(),
    });
    let part = Options { seconds: options.seconds.div_ceil(TURNS), ..*options };
    for number in 0..TURNS * 4 {
        let Some(figure) = figures.get_mut(usize::try_from(number % 4)?) else { continue };
        // A new one, without the leftovers of earlier streams.
        let gateway = match figure.arguments {
            Some(arguments) => {
                Some(Server::start("gateway", &[&["--upstream", url], arguments].concat())?)
            }
            None => None,
        };
        let server = gateway.as_ref().unwrap_or(upstream);
        let (idle, before) = (server.memory()?, server.core_time()?);
        let in_use = async {
            sleep(Duration::from_millis(part.seconds * 750)).await;
            server.memory()
        };
        let round = round(server.address, &part, 10 + number, figure.kind);
        let (round, in_use) = tokio::join!(round, in_use);
        figure.latencies.extend(round?.latencies);
        figure.core += server.core_time()?.saturating_sub(before);
        let kib = u32::try_from(in_use?.saturating_sub(idle))?;
        let streams = u32::try_from(options.streams.max(1))?;
        figure.kib_per_stream.push(f64::from(kib) / f64::from(streams));
    }
    say(
        "\n| | events | median, ms | 99 %, ms | µs of a core for an event | events per second and core | KiB for a stream |",
    );
    say("|---|---:|---:|---:|---:|---:|---:|");
    for Figure { name, arguments, mut latencies, core, mut kib_per_stream, .. } in figures {
        latencies.sort_unstable();
        kib_per_stream.sort_by(f64::total_cmp);
        let at = |part: usize| {
            let micros = latencies.get(latencies.len() * part / 100).copied().unwrap_or(0);
            f64::from(micros) / 1000.0
        };
        let events = u32::try_from(latencies.len())?;
        let per_event = core.as_secs_f64() / f64::from(events.max(1));
        let kib = kib_per_stream.get(1).copied().unwrap_or_default();
        let (micros, per_second) = (per_event * 1e6, 1.0 / per_event);
        let cost = format!("| {micros:.1} | {per_second:.0} | {kib:.0}");
        let cost = if arguments.is_some() { &cost } else { "| · | · | ·" };
        say(&format!("| {name} | {events} | {:.2} | {:.2} {cost} |", at(50), at(99)));
    }
    Ok(())
}
