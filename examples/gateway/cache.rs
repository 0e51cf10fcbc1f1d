//! Answers that are kept for equal requests, and bodies that replay them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use deltawire::completion::ChatCompletion;
use deltawire::gateway::Replay;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{self, HeaderName, HeaderValue};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::answer::Plan;
use super::refusal::Refusal;
use super::state::Gateway;
use super::upstream::Head;
use super::{Body, BoxError};

/// Result of a search in the cache that has found an answer.
pub(crate) const HIT: &str = "hit";

/// Headers that decide who is asked, and who may read the answer.
const KEY_HEADERS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
];

/// Approximate bytes of an entry besides its key and its value.
const ENTRY: usize = 256;

/// Completions in JSON, as the upstream sent them, by request.
///
/// They are edited and searched at each replay, so that a change of rules applies to them.
pub(crate) struct Answers(Option<Cache<Key, Bytes, Bytewise>>);

/// A request: its path, the headers of its client, and its body.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Bytes);

#[derive(Clone)]
struct Bytewise;

impl Weighter<Key, Bytes> for Bytewise {
    fn weight(&self, key: &Key, value: &Bytes) -> u64 {
        (key.0.len() + value.len() + ENTRY) as u64
    }
}

impl Answers {
    /// Creates a cache that is bounded in bytes. Without bytes it is off.
    pub(crate) fn new(max_bytes: u64) -> Result<Self, BoxError> {
        if max_bytes == 0 {
            return Ok(Self(None));
        }
        // One shard: each has its part of the bytes, which bounds the largest answer.
        let items = usize::try_from(max_bytes >> 12)?.clamp(16, 1 << 16);
        let mut options = OptionsBuilder::new();
        let options = options.shards(1).weight_capacity(max_bytes);
        let options = options.estimated_items_capacity(items).build()?;
        let (hashes, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Ok(Self(Some(Cache::with_options(options, Bytewise, hashes, lifecycle))))
    }

    /// Returns the key of a request, if the cache is on.
    pub(crate) fn key(&self, head: &Head, body: &[u8]) -> Option<Key> {
        self.0.as_ref()?;
        // No header value and no path has a line end, so keys differ if a part does.
        let mut key = Vec::with_capacity(body.len() + 256);
        for name in &KEY_HEADERS {
            let value = head.headers().get(name);
            key.extend_from_slice(value.map_or(&b"\r"[..], |value| value.as_bytes()));
            key.push(b'\n');
        }
        key.extend_from_slice(head.path().as_bytes());
        key.push(b'\n');
        key.extend_from_slice(body);
        Some(Key(key.into()))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Bytes> {
        self.0.as_ref()?.get(key)
    }

    pub(crate) fn insert(&self, key: Key, completion: &ChatCompletion) {
        if let Some(cache) = &self.0 {
            let mut json = Vec::new();
            completion.write_json(&mut json);
            cache.insert(key, json.into());
        }
    }
}

impl Gateway {
    /// Searches for the answer to an equal request.
    pub(crate) fn look_up(&self, plan: &mut Plan) -> Option<Bytes> {
        let found = self.cache.get(plan.key.as_ref()?);
        let result = if found.is_some() { HIT } else { "miss" };
        self.metrics.cache(result);
        plan.cache = Some(result);
        if found.is_some() {
            // A replay isn't kept again.
            plan.key = None;
            plan.provider = "cache".into();
        }
        found
    }

    /// Answers with a completion of the cache, which is edited like the answer of an upstream.
    pub(crate) fn replay(
        self: &Arc<Self>,
        json: &Bytes,
        plan: Plan,
        is_stream: bool,
    ) -> Result<Response<Body>, Refusal> {
        let mut head = Response::new(()).into_parts().0;
        let kind = if is_stream { "text/event-stream" } else { "application/json" };
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        head.headers.insert("x-cache", HeaderValue::from_static(HIT));
        if !is_stream {
            return self.relay_whole(head, json.clone(), plan);
        }
        let body = Replayed::new(json)?;
        Ok(Response::from_parts(head, self.relay_stream(body, plan)))
    }
}

/// A stream that replays a completion, as fast as it is read.
pub(crate) struct Replayed(Replay<ChatCompletion>);

/// Bytes of a piece, besides those of its last event.
const PIECE: usize = 8 << 10;

impl Replayed {
    pub(crate) fn new(json: &[u8]) -> Result<Self, deltawire::Error> {
        Replay::from_json(json).map(Self)
    }
}

impl hyper::body::Body for Replayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut piece = Vec::new();
        while piece.len() < PIECE && self.0.write_next(&mut piece) {}
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece.into()))))
    }
}
