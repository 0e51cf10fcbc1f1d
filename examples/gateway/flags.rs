//! The command line: flags for a first try, or the name of a configuration file.

use std::collections::BTreeMap;
use std::path::Path;

use hyper::Uri;

use super::BoxError;
use super::config::{Config, UpstreamConfig};

pub(crate) const HELP: &str = "\
A gateway for streaming chat completions: forwards /v1/… to an upstream, and watches the answers.

    gateway --upstream https://api.openai.com --alias fast=gpt-4o-mini
    gateway --config gateway.toml

Usage: gateway (--upstream URL | --config FILE) [OPTIONS]

  --upstream URL       where requests go, http or https, with the path that is put before /v1/
  --alias NAME=MODEL   clients say NAME, the upstream MODEL, and its answers say NAME again; may be
                       given several times
  --config FILE        several upstreams, keys, a cache, redaction, limits: docs/gateway.md
  --listen ADDRESS     where clients come to [127.0.0.1:8080]; with port 0 a free one, which is
                       printed
  --metrics ADDRESS    where /metrics is [nowhere]; with port 0 a free one, which is printed
  --log-messages       the log has the completions too, which may be personal
  --no-watch           forwards all bodies, and neither watches nor edits any: for measuring
  -h, --help           this text
";

impl Config {
    /// Reads the command line and the file that it names. Returns `None` if it asks for help.
    pub(crate) fn parse() -> Result<Option<Self>, BoxError> {
        use lexopt::prelude::*;

        let (mut file, mut url, mut listen, mut metrics) = (None, None, None, None);
        let (mut aliases, mut log_messages, mut no_watch) = (BTreeMap::new(), false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("config") => file = Some(parser.value()?),
                Long("upstream") => url = Some(parser.value()?.parse::<Uri>()?),
                Long("alias") => {
                    let alias = parser.value()?.string()?;
                    let (name, model) =
                        alias.split_once('=').ok_or("--alias: expected NAME=MODEL")?;
                    aliases.insert(name.to_owned(), model.to_owned());
                }
                Long("listen") => listen = Some(parser.value()?.parse()?),
                Long("metrics") => metrics = Some(parser.value()?.parse()?),
                Long("log-messages") => log_messages = true,
                Long("no-watch") => no_watch = true,
                Short('h') | Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected().into()),
            }
        }
        let mut config = match (file, url) {
            (Some(file), None) if aliases.is_empty() => Self::read(Path::new(&file))?,
            (None, Some(url)) => {
                Self { upstreams: vec![UpstreamConfig::new(url, aliases)], ..Self::default() }
            }
            (Some(_), _) => return Err("--config excludes --upstream and --alias".into()),
            (None, None) => return Err("expected --upstream URL or --config FILE".into()),
        };
        config.listen = listen.unwrap_or(config.listen);
        config.metrics = metrics.or(config.metrics);
        config.log_messages |= log_messages;
        config.watch &= !no_watch;
        config.check()?;
        Ok(Some(config))
    }
}
