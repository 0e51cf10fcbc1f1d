//! The command line of the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Uri;

pub(crate) const HELP: &str = "\
A gateway for streaming chat completions: forwards /v1/… to an upstream, watches the streams,
and shows figures for Prometheus on an address of their own.

    gateway --upstream https://api.openai.com --alias fast=gpt-4o-mini
    gateway --upstream http://127.0.0.1:8000 --listen 127.0.0.1:0

Usage: gateway --upstream URL [OPTIONS]

  --upstream URL       where requests go, http or https, with the path that is put before /v1/
  --listen ADDRESS     where clients come to [127.0.0.1:8080]; with port 0 a free one, which is
                       printed
  --metrics ADDRESS    where /metrics is [nowhere]; with port 0 a free one, which is printed
  --alias NAME=MODEL   clients say NAME, the upstream MODEL, and its answers say NAME again; may be
                       given several times
  --log-messages       the log has the messages too, which may be personal
  --no-tap             streams are forwarded and neither watched nor edited: for measuring

Limits:
  --max-streams N      requests at a time [10000]; the next one gets status 503
  --max-request BYTES  the body of a request to /v1/chat/completions [8388608]
  --max-memory BYTES   all bodies together that are held to be edited [268435456]; the next one gets
                       status 503
  --max-time SECONDS   the longest time of an answer [3600]
  --idle SECONDS       the longest silence of the upstream [120]
  --request-timeout SECONDS
                       the longest time for the head of a request, and in its body the longest time
                       below 4 KiB per second [30]; the client gets status 408
  --client-idle SECONDS
                       the longest time in which a client reads less than 4 KiB per second of the
                       bytes that wait for it [30]; its connection is closed
  --grace SECONDS      the longest time of open streams after SIGTERM or Ctrl-C [30]
  --threads N          as many as there are cores

  -h, --help           this text

The usage of a stream is always asked for (stream_options.include_usage). A client that didn't ask
for it doesn't see it. Where neither an alias nor a usage has to be changed, streams pass byte for
byte. Upstreams that answer in HTTP/2 only aren't reached.

What can't be edited doesn't pass: a request to /v1/chat/completions that can't be read gets status
400, an answer that may show the other name of a model, or a usage that nobody asked for, is replaced
by status 502, and a stream ends with an error event. Paths are normalised before they are compared
and forwarded; those with .. or escaped slashes get status 400.

For each stream a line of JSON on standard output says how it was.
";

pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) upstream: Uri,
    pub(crate) aliases: Vec<(String, String)>,
    pub(crate) log_messages: bool,
    pub(crate) no_tap: bool,
    pub(crate) max_streams: usize,
    pub(crate) max_request: usize,
    pub(crate) max_memory: usize,
    pub(crate) max_time: Duration,
    pub(crate) idle: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) client_idle: Duration,
    pub(crate) grace: Duration,
    pub(crate) threads: Option<usize>,
}

impl Options {
    /// `None` asks for help.
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut upstream = None;
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics: None,
            upstream: Uri::default(),
            aliases: Vec::new(),
            log_messages: false,
            no_tap: false,
            max_streams: 10_000,
            max_request: 8 << 20,
            max_memory: 256 << 20,
            max_time: Duration::from_secs(3600),
            idle: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            client_idle: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            threads: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("upstream") => upstream = Some(parser.value()?.parse::<Uri>()?),
                Long("listen") => options.listen = parser.value()?.parse()?,
                Long("metrics") => options.metrics = Some(parser.value()?.parse()?),
                Long("alias") => {
                    let alias = parser.value()?.string()?;
                    let (name, model) =
                        alias.split_once('=').ok_or("--alias: expected NAME=MODEL")?;
                    options.aliases.push((name.to_owned(), model.to_owned()));
                }
                Long("log-messages") => options.log_messages = true,
                Long("no-tap") => options.no_tap = true,
                Long("max-streams") => options.max_streams = parser.value()?.parse()?,
                Long("max-request") => options.max_request = parser.value()?.parse()?,
                Long("max-memory") => options.max_memory = parser.value()?.parse()?,
                Long("max-time") => options.max_time = seconds(&mut parser)?,
                Long("idle") => options.idle = seconds(&mut parser)?,
                Long("request-timeout") => options.request_timeout = seconds(&mut parser)?,
                Long("client-idle") => options.client_idle = seconds(&mut parser)?,
                Long("grace") => options.grace = seconds(&mut parser)?,
                Long("threads") => match parser.value()?.parse()? {
                    0 => return Err("--threads: expected a number above 0".into()),
                    threads => options.threads = Some(threads),
                },
                Short('h') | Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected()),
            }
        }
        options.upstream = upstream.ok_or("--upstream: expected a URL")?;
        if !matches!(options.upstream.scheme_str(), Some("http" | "https")) {
            return Err("--upstream: expected http:// or https://".into());
        }
        Ok(Some(options))
    }
}

/// Reads a time in seconds.
///
/// A `u32` is small enough to be added to an `Instant` without an overflow.
fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    use lexopt::ValueExt as _;

    Ok(Duration::from_secs(parser.value()?.parse::<u32>()?.into()))
}
