//! The options of a request to the server, which the command line has defaults for.

use std::time::Duration;

use deltawire::json::OwnedValue;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};

/// The pieces in which a stream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Piece {
    #[default]
    Event,
    Whole,
    /// As the file of lengths beside a recording lists.
    Recorded,
    /// In up to 64 bytes.
    Random,
    Size(usize),
}

/// The place where a stream stops, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The connection is closed.
    Cut(usize),
    /// Nothing more is sent.
    Stall(usize),
    /// The body ends properly.
    End(usize),
}

impl Stop {
    /// Returns the number of bytes that are sent before.
    pub(crate) fn at(self) -> usize {
        match self {
            Self::Cut(at) | Self::Stall(at) | Self::End(at) => at,
        }
    }
}

/// The options of a request, by the names of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) piece: Piece,
    pub(crate) seed: u64,
    pub(crate) gap: Duration,
    pub(crate) wait: Duration,
    pub(crate) stop: Option<Stop>,
    /// The byte from which on an error event replaces all events.
    pub(crate) error: Option<usize>,
    pub(crate) gzip: bool,
    /// The content type; `none` sends none.
    pub(crate) r#type: Option<String>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) recording: Option<String>,
    /// The number of events of a stream that isn't recorded.
    pub(crate) generate: Option<usize>,
    pub(crate) id: String,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            piece: Piece::Event,
            seed: 1,
            gap: Duration::ZERO,
            wait: Duration::ZERO,
            stop: None,
            error: None,
            gzip: false,
            r#type: None,
            status: None,
            recording: None,
            generate: None,
            id: "none".into(),
        }
    }
}

impl Wishes {
    /// Returns these wishes with those of a request, in its headers and its query.
    ///
    /// A query may have other members, which clients add. A header of these names may not.
    pub(crate) fn with<B>(&self, request: &Request<B>) -> Result<Self, String> {
        let mut wishes = self.clone();
        for (name, value) in request.headers() {
            let Some(name) = name.as_str().strip_prefix("x-replay-") else { continue };
            let value = value.to_str().map_err(|_| expected(name, "text"))?;
            if !wishes.set(name, value)? {
                return Err(format!("{name}: expected the name of an option"));
            }
        }
        for pair in request.uri().query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            wishes.set(name, value)?;
        }
        Ok(wishes)
    }

    /// Sets a wish; returns false if none has this name.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "piece" => self.piece = piece(value)?,
            "seed" => self.seed = number(name, value)?,
            "gap" => self.gap = Duration::from_millis(number(name, value)?),
            "wait" => self.wait = Duration::from_millis(number(name, value)?),
            "cut" => self.stop = Some(Stop::Cut(number(name, value)?)),
            "stall" => self.stop = Some(Stop::Stall(number(name, value)?)),
            "end" => self.stop = Some(Stop::End(number(name, value)?)),
            "error" => self.error = Some(number(name, value)?),
            "gzip" => self.gzip = value != "0",
            "type" => {
                HeaderValue::from_str(value).map_err(|_| expected(name, "a content type"))?;
                self.r#type = Some(value.to_owned());
            }
            "status" => {
                let status = StatusCode::from_u16(number(name, value)?);
                let is_final = |status: &StatusCode| status.as_u16() >= 200;
                let status = status.ok().filter(is_final);
                self.status = Some(status.ok_or_else(|| expected(name, "200 to 999"))?);
            }
            "recording" => self.recording = Some(value.to_owned()),
            "generate" => self.generate = Some(number(name, value)?),
            "id" => self.id = identity(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn piece(value: &str) -> Result<Piece, String> {
    Ok(match value {
        "event" => Piece::Event,
        "whole" => Piece::Whole,
        "recorded" => Piece::Recorded,
        "random" => Piece::Random,
        size => {
            let size = size.parse().ok().filter(|size| *size > 0);
            let values = "a number of bytes above 0, event, whole, recorded or random";
            Piece::Size(size.ok_or_else(|| expected("piece", values))?)
        }
    })
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| expected(name, "a number"))
}

/// Returns a text that needs no escapes in JSON, as it is inserted into events.
fn identity(value: &str) -> Result<String, String> {
    let json = OwnedValue::from(value);
    let plain = json.as_raw().is_some_and(|json| json.len() == value.len() + 2);
    if plain { Ok(value.to_owned()) } else { Err(expected("id", "a text without escapes")) }
}

fn expected(name: &str, what: &str) -> String {
    format!("{name}: expected {what}")
}
