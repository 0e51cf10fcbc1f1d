//! The configuration: a file in TOML, with the defaults of all its values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use serde::{Deserialize, Deserializer};

use super::BoxError;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) watch: bool,
    pub(crate) log_messages: bool,
    pub(crate) limits: Limits,
    pub(crate) cache: CacheConfig,
    pub(crate) redact: Option<RedactConfig>,
    #[serde(rename = "upstream")]
    pub(crate) upstreams: Vec<UpstreamConfig>,
}

/// Limits for clients, and for all requests together.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) max_streams: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_answer_bytes: usize,
    pub(crate) max_memory_bytes: usize,
    #[serde(deserialize_with = "seconds")]
    pub(crate) max_seconds: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) request_seconds: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) client_idle_seconds: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) grace_seconds: Duration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CacheConfig {
    /// Bound for the bytes of requests and answers; 0 switches the cache off.
    pub(crate) max_bytes: u64,
}

/// Texts that don't reach clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedactConfig {
    pub(crate) patterns: Vec<String>,
    /// Bound for the bytes of a match.
    pub(crate) most_bytes: usize,
    #[serde(default = "mask")]
    pub(crate) mask: String,
    /// True if values pass that aren't searched, such as log probabilities, which contain tokens.
    #[serde(default)]
    pub(crate) pass_unwatched: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamConfig {
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "url")]
    pub(crate) url: Uri,
    /// Variable of the environment with the key for `Authorization: Bearer`.
    pub(crate) key_env: Option<String>,
    /// True if the clients' own `Authorization` is forwarded.
    pub(crate) pass_authorization: Option<bool>,
    /// True if an `http` server accepts HTTP/2 by prior knowledge.
    #[serde(default)]
    pub(crate) http2: bool,
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, String>,
    #[serde(default = "connect_time", deserialize_with = "seconds")]
    pub(crate) connect_seconds: Duration,
    #[serde(default = "silence", deserialize_with = "seconds")]
    pub(crate) answer_seconds: Duration,
    #[serde(default = "silence", deserialize_with = "seconds")]
    pub(crate) idle_seconds: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics: None,
            threads: None,
            watch: true,
            log_messages: false,
            limits: Limits::default(),
            cache: CacheConfig::default(),
            redact: None,
            upstreams: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_streams: 10_000,
            max_request_bytes: 8 << 20,
            max_answer_bytes: 32 << 20,
            max_memory_bytes: 256 << 20,
            max_seconds: Duration::from_secs(3600),
            request_seconds: Duration::from_secs(30),
            client_idle_seconds: Duration::from_secs(30),
            grace_seconds: Duration::from_secs(30),
        }
    }
}

/// Reads a time in seconds. A `u32` is small enough to be added to an `Instant` without overflow.
fn seconds<'de, D: Deserializer<'de>>(reader: D) -> Result<Duration, D::Error> {
    u32::deserialize(reader).map(|seconds| Duration::from_secs(seconds.into()))
}

fn url<'de, D: Deserializer<'de>>(reader: D) -> Result<Uri, D::Error> {
    String::deserialize(reader)?.parse().map_err(serde::de::Error::custom)
}

fn mask() -> String {
    "[redacted]".into()
}

const fn connect_time() -> Duration {
    Duration::from_secs(10)
}

const fn silence() -> Duration {
    Duration::from_secs(120)
}

impl Config {
    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Self, BoxError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// Checks the rules between the values.
    pub(crate) fn check(&self) -> Result<(), BoxError> {
        if self.upstreams.is_empty() {
            return Err("expected an [[upstream]]".into());
        }
        for UpstreamConfig { url, http2, .. } in &self.upstreams {
            match url.scheme_str() {
                Some("https") if *http2 => return Err("https negotiates HTTP/2 by itself".into()),
                Some("http" | "https") => {}
                _ => return Err("expected a URL with http:// or https://".into()),
            }
        }
        let edits = self.upstreams.iter().any(|upstream| !upstream.aliases.is_empty())
            || self.redact.is_some()
            || self.cache.max_bytes > 0;
        if edits && !self.watch {
            return Err("without watching there are no aliases, redaction and cache".into());
        }
        Ok(())
    }
}

impl UpstreamConfig {
    pub(crate) const fn new(url: Uri, aliases: BTreeMap<String, String>) -> Self {
        Self {
            name: None,
            url,
            key_env: None,
            pass_authorization: None,
            http2: false,
            aliases,
            connect_seconds: connect_time(),
            answer_seconds: silence(),
            idle_seconds: silence(),
        }
    }
}
