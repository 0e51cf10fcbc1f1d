//! A gateway for streaming chat completions: a reverse proxy on hyper that watches all streams.
//!
//! It is made to be copied from. Its core:
//!
//! - `chat.rs`: requests on their way to an upstream;
//! - `answer.rs`: answers on their way back, through a relay;
//! - `record.rs`: the line of log for each answer.
//!
//! The rest:
//!
//! - `main.rs`, `flags.rs`, `config.rs`: the process, its command line, and its configuration file;
//! - `server.rs`: connections in HTTP/1 and HTTP/2, and a graceful end;
//! - `upstream.rs`: an upstream with its key, its names of models and its connections;
//! - `state.rs`: the state that all requests share;
//! - `completion.rs`: answers that aren't streams;
//! - `fallback.rs`: the choice between upstreams;
//! - `cache.rs`: answers that are replayed to equal requests;
//! - `redact.rs`: patterns whose matches don't reach clients;
//! - `metrics.rs`: the figures for Prometheus;
//! - `refusal.rs`: the gateway's own errors;
//! - `path.rs`: one spelling for each path, before it is compared or forwarded;
//! - `headers.rs`: headers of one connection only, and headers that describe a body;
//! - `idle.rs`: time limits for the upstream's body, and its kind;
//! - `client.rs`, `patience.rs`, `paced.rs`: time limits for a client;
//! - `whole.rs`: bodies that are read whole, in bounded memory.

mod answer;
mod cache;
mod chat;
mod client;
mod completion;
mod config;
mod fallback;
mod flags;
mod headers;
mod idle;
mod metrics;
mod paced;
mod path;
mod patience;
mod record;
mod redact;
mod refusal;
mod server;
mod state;
mod upstream;
mod whole;

use std::io::{self, Write as _};
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

use config::Config;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

fn main() -> ExitCode {
    let config = match Config::parse() {
        Ok(Some(config)) => config,
        Ok(None) => {
            let printed = io::stdout().write_all(flags::HELP.as_bytes());
            return if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => {
            say(&format!("gateway: {error}\nTry --help."));
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_writer(io::stdout)
        .init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        runtime.worker_threads(threads.get());
    }
    let runtime = runtime.enable_all().build().map_err(BoxError::from);
    match runtime.and_then(|runtime| runtime.block_on(server::run(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("gateway: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard error, and ignores a failure.
fn say(line: &str) {
    let _unread = writeln!(io::stderr(), "{line}");
}
