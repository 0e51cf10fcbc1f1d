//! A JSON text as `serde_json` parses it: every value with its text as it was sent.
//!
//! Members with the same name are there twice.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

#[derive(Debug, PartialEq)]
pub struct Sent {
    pub raw: String,
    pub what: What,
}

#[derive(Debug, PartialEq)]
pub enum What {
    Object(Vec<(String, Sent)>),
    Array(Vec<Sent>),
    String(String),
    /// Of these the text says all.
    Other,
}

impl Sent {
    /// `None` where `serde_json` finds a fault.
    pub fn read(json: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice::<&RawValue>(json).ok()?)
    }

    fn of(value: &RawValue) -> Option<Self> {
        let raw = value.get();
        let what = match raw.as_bytes().first()? {
            b'{' => {
                let Members(members) = serde_json::from_str(raw).ok()?;
                let read = |(name, value)| Some((name, Self::of(value)?));
                What::Object(members.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                What::Array(elements.into_iter().map(Self::of).collect::<Option<_>>()?)
            }
            b'"' => What::String(serde_json::from_str(raw).ok()?),
            _ => What::Other,
        };
        Some(Self { raw: raw.to_owned(), what })
    }

    /// Returns the last member of this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let What::Object(members) = &self.what else { return None };
        members.iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the depth of nested arrays and objects.
    pub fn depth(&self) -> usize {
        match &self.what {
            What::Object(members) => {
                1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
            }
            What::Array(elements) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            What::String(_) | What::Other => 0,
        }
    }

    /// Returns the number of names and values.
    pub fn values(&self) -> usize {
        match &self.what {
            What::Object(members) => {
                1 + members.iter().map(|(_, value)| 1 + value.values()).sum::<usize>()
            }
            What::Array(elements) => 1 + elements.iter().map(Self::values).sum::<usize>(),
            What::String(_) | What::Other => 1,
        }
    }
}

struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'j> Deserialize<'j> for Members<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'j> Visitor<'j> for All {
            type Value = Members<'j>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Members<'j>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}
