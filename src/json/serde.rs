//! `Serialize` and `Deserialize` for stored JSON texts, for the format of `serde_json`.
//!
//! The counts of deviations have `Serialize` only.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::owned::{OwnedArray, OwnedObject, OwnedValue};
use super::parser::JsonDeviations;
use super::{TEXT_LIMITS, Value, read_text};
use crate::error::Error;
use crate::report::report;

/// Serializes a JSON text as it is.
pub(super) fn serialize_text<S: Serializer>(json: &str, to: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
    raw.serialize(to)
}

impl Serialize for OwnedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(text) => serialize_text(text, serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::Array(list) => list.serialize(serializer),
        }
    }
}

impl Serialize for OwnedArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for OwnedObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Implements `Deserialize` by the crate's own parser.
///
/// Reads a JSON text within the default limit on depth; only `serde_json`'s format has such a text.
/// Errors contain the byte of that text.
macro_rules! deserialize_by_parser {
    ($($type:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::json::read_raw(from, <$type>::from_value)
            }
        }
    )+};
}
pub(crate) use deserialize_by_parser;

/// Reads the next JSON text of a deserializer.
pub(crate) fn read_raw<'de, D: Deserializer<'de>, T>(
    from: D,
    read: impl FnOnce(Value<'_>) -> Result<T, Error>,
) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    read_text(raw.get().as_bytes(), &TEXT_LIMITS, read).map_err(serde::de::Error::custom)
}

impl<'de> Deserialize<'de> for OwnedValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read_raw(from, |value| Ok(Self::from_value(value)))
    }
}

deserialize_by_parser!(OwnedObject, OwnedArray);

report!(JsonDeviations {
    lone_surrogates,
    non_finite_numbers,
    integers_out_of_range,
    floats_out_of_range,
});
