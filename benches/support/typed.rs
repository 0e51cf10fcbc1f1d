//! A chunk as others type it at best: structs that borrow, read by serde.

use std::borrow::Cow;
use std::fmt;

use crate::simd::read_chunk;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// Reads a payload and hands its chunk on, if it is one.
pub type Parser = fn(&str, &mut dyn FnMut(&Chunk<'_>));

pub const PARSERS: [(&str, Parser); 3] = [
    ("serde_json", |data, take| {
        if let Ok(chunk) = serde_json::from_str(data) {
            take(&chunk);
        }
    }),
    ("sonic-rs", |data, take| {
        if let Ok(chunk) = sonic_rs::from_str(data) {
            take(&chunk);
        }
    }),
    ("simd-json", read_chunk),
];

/// A string that is copied only if it has escapes.
///
/// In an `Option` a bare `Cow` always would be: serde borrows a field that is one, and none inside
/// of another type.
#[derive(serde::Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[derive(Default, serde::Deserialize)]
pub struct Chunk<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub object: Option<Text<'a>>,
    pub created: Option<u64>,
    #[serde(borrow)]
    pub model: Option<Text<'a>>,
    #[serde(borrow)]
    pub service_tier: Option<Text<'a>>,
    #[serde(borrow)]
    pub system_fingerprint: Option<Text<'a>>,
    #[serde(borrow)]
    pub choices: Option<Vec<Choice<'a>>>,
    pub usage: Option<Usage>,
    /// Groq's place for the usage.
    pub x_groq: Option<XGroq>,
    pub error: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
pub struct XGroq {
    pub usage: Option<Usage>,
}

#[derive(Default, serde::Deserialize)]
pub struct Choice<'a> {
    pub index: Option<u64>,
    #[serde(borrow, default)]
    pub delta: Delta<'a>,
    #[serde(borrow)]
    pub finish_reason: Option<Text<'a>>,
}

#[derive(Default, serde::Deserialize)]
pub struct Delta<'a> {
    #[serde(borrow)]
    pub role: Option<Text<'a>>,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<ToolCall<'a>>>,
}

/// A text, or Mistral's parts.
pub enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(serde::Deserialize)]
pub struct Part<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Vec<Part<'a>>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or parts")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(part) = parts.next_element()? {
            kept.push(part);
        }
        Ok(Content::Parts(kept))
    }
}

#[derive(Default, serde::Deserialize)]
pub struct ToolCall<'a> {
    pub index: Option<u64>,
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub r#type: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

#[derive(serde::Deserialize)]
pub struct Function<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Text<'a>>,
}

#[derive(serde::Deserialize, Clone, Copy)]
pub struct Usage {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub total_tokens: Option<u64>,
}

#[expect(clippy::ref_option, reason = "what is asked for are fields")]
pub fn text<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
    text.as_ref().map(|text| &*text.0)
}
