//! An upstream: its address, its key, its names of the models, and its time limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::client::TooSlow;
use super::config::{Config, UpstreamConfig};
use super::idle::Idle;
use super::refusal::Refusal;
use super::whole::Unread;
use super::{Body, BoxError};

pub(crate) struct Upstream {
    pub(crate) name: Arc<str>,
    url: Uri,
    /// Value of `Authorization`; its `Debug` shows no key.
    key: Option<HeaderValue>,
    passes_authorization: bool,
    aliases: BTreeMap<String, String>,
    answer_time: Duration,
    idle: Duration,
    max_time: Duration,
    connections: Connections,
}

/// The pool of connections, by the scheme of the URL.
enum Connections {
    Plain(Client<HttpConnector, Body>),
    Tls(Client<HttpsConnector<HttpConnector>, Body>),
}

/// A request without its body, for any upstream.
#[derive(Clone)]
pub(crate) struct Head {
    parts: Parts,
    path: String,
}

impl Head {
    /// `path` is the path in its only spelling.
    pub(crate) fn new(mut parts: Parts, path: &str) -> Self {
        let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        parts.version = Version::HTTP_11;
        parts.headers.remove(header::HOST);
        // The gateway's own server sends `100 Continue` to the client.
        parts.headers.remove(header::EXPECT);
        Self { path: format!("{path}{query}"), parts }
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the path and the query.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Requests an uncompressed answer, since a compressed one can't be watched.
    ///
    /// Removes the length of the request too, since the gateway may edit the body.
    pub(crate) fn expect_identity(&mut self) {
        let headers = &mut self.parts.headers;
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(header::CONTENT_LENGTH);
    }
}

impl Upstream {
    /// Returns all upstreams of a configuration.
    pub(crate) fn all(config: &Config) -> Result<Vec<Self>, BoxError> {
        let is_only = config.upstreams.len() == 1;
        let all = config.upstreams.iter();
        all.map(|one| Self::new(one, is_only, config.limits.max_seconds)).collect()
    }

    /// Reads the key from the environment. `is_only` is true if there is no other upstream.
    fn new(config: &UpstreamConfig, is_only: bool, max_time: Duration) -> Result<Self, BoxError> {
        let mut key = None;
        if let Some(variable) = &config.key_env {
            let value = std::env::var(variable).map_err(|_| format!("no key in {variable}"))?;
            let value = HeaderValue::try_from(format!("Bearer {value}"));
            let mut value = value.map_err(|_| format!("the key in {variable} isn't one"))?;
            value.set_sensitive(true);
            key = Some(value);
        }
        let host = config.url.authority().map_or("", |authority| authority.as_str());
        Ok(Self {
            name: config.name.as_deref().unwrap_or(host).into(),
            url: config.url.clone(),
            key,
            passes_authorization: config.pass_authorization.unwrap_or(is_only),
            aliases: config.aliases.clone(),
            answer_time: config.answer_seconds,
            idle: config.idle_seconds,
            max_time,
            connections: Connections::new(config)?,
        })
    }

    /// Returns the upstream's name for a model that clients call by an alias.
    pub(crate) fn model(&self, alias: &str) -> Option<&str> {
        self.aliases.get(alias).map(String::as_str)
    }

    /// Sends a request, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        head: Head,
        body: Body,
        started: Instant,
    ) -> Result<Response<Idle>, Refusal> {
        let Head { mut parts, path } = head;
        parts.uri = self.uri(&path)?;
        if let Some(key) = &self.key {
            parts.headers.insert(header::AUTHORIZATION, key.clone());
        } else if !self.passes_authorization {
            parts.headers.remove(header::AUTHORIZATION);
        }
        let request = Request::from_parts(parts, body);
        let answer = async {
            match &self.connections {
                Connections::Plain(client) => client.request(request).await,
                Connections::Tls(client) => client.request(request).await,
            }
        };
        let answer = timeout(self.answer_time, answer).await.map_err(|_| {
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, "the upstream doesn't answer")
        })?;
        let answer = answer.map_err(|error| {
            if TooSlow::is_in(&error) {
                return Refusal::of_request(Unread::TooSlow);
            }
            Refusal::new(StatusCode::BAD_GATEWAY, "the upstream can't be reached")
        })?;
        let over = tokio::time::Instant::from_std(started) + self.max_time;
        Ok(answer.map(|body| Idle::new(body, self.idle, over)))
    }

    /// Returns the upstream's address with the path and the query of a request.
    fn uri(&self, path: &str) -> Result<Uri, Refusal> {
        let path = format!("{}{path}", self.url.path().trim_end_matches('/'));
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|_| Refusal::bad_path())?);
        Uri::from_parts(parts).map_err(|_| Refusal::bad_path())
    }
}

impl Connections {
    fn new(config: &UpstreamConfig) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        // An event is small, and must not wait for the next one.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.connect_seconds));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).http2_only(config.http2);
        if config.url.scheme_str() != Some("https") {
            return Ok(Self::Plain(client.build(tcp)));
        }
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_only();
        // The server chooses between the two by ALPN.
        Ok(Self::Tls(client.build(tls.enable_all_versions().wrap_connector(tcp))))
    }
}
