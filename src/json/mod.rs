//! Parses JSON texts (RFC 8259) to a tape of nodes, in reused buffers.
//!
//! The parser checks UTF-8 once for the whole text, and then reads it in one pass. Strings are
//! slices of the text; only those with escapes are copied.

mod block;
mod document;
mod full;
mod json_text;
mod leaf;
mod name;
mod object_reader;
mod owned;
mod owned_document;
mod parser;
mod patch;
mod patch_list;
mod plain_array;
mod scan;
#[cfg(feature = "serde")]
mod serde;
mod short_text;
mod specials;
mod tape;
mod thin_list;
mod unescape;
mod value;
pub(crate) mod writer;

pub(crate) use document::{Document, Member, Members};
pub(crate) use full::ValuePlace;
pub use json_text::JsonText;
pub(crate) use json_text::replace_text;
pub(crate) use name::Name;
pub(crate) use object_reader::{ObjectReader, expect};
pub(crate) use owned::{ENTRY_COST, KeyedElement, OwnedElementKey, OwnedMember, VARIES};
pub use owned::{OwnedArray, OwnedObject, OwnedValue};
pub(crate) use owned_document::OwnedDocument;
pub use parser::JsonDeviations;
pub(crate) use patch::{NO_COUNT, Patch, Patches, UNPARSED};
pub(crate) use patch_list::MOST_PATCHES;
pub(crate) use plain_array::{DEEPEST_PLAIN, plain_array};
pub(crate) use scan::{few_digits, plain, plain_len};
#[cfg(feature = "serde")]
pub(crate) use serde::{deserialize_by_parser, read_raw};
pub(crate) use tape::{ESCAPED, Kind, NodeId, Tape};
pub(crate) use unescape::{code_unit, unescape_into};
pub use value::{Value, ValueElements, ValueKind, ValueMembers};

use crate::error::{Error, ErrorKind};
use crate::limits::{Limits, MOST_JSON_DEPTH};
use crate::slice::text_in;

/// A parser of JSON texts, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Parser {
    bounds: ParseLimits,
}

/// The limits of one text.
#[derive(Clone, Copy, Debug)]
struct ParseLimits {
    depth: usize,
    values: usize,
    /// True if a deviation from interoperable JSON is an error; see [`JsonDeviations`].
    strict: bool,
}

impl Parser {
    /// Creates a parser within limits. Allocates nothing.
    pub(crate) const fn new(limits: &Limits) -> Self {
        let depth = if limits.max_json_depth < MOST_JSON_DEPTH {
            limits.max_json_depth
        } else {
            MOST_JSON_DEPTH
        };
        Self { bounds: ParseLimits { depth, values: limits.max_json_values, strict: false } }
    }

    pub(crate) const fn set_strict(&mut self, strict: bool) {
        self.bounds.strict = strict;
    }

    /// Reads `json` onto a tape, whose contents it replaces, and returns the document.
    pub(crate) fn parse<'a>(
        &mut self,
        json: &'a [u8],
        tape: &'a mut Tape,
    ) -> Result<(Document<'a>, JsonDeviations), Error> {
        let (json, deviations) = self.parse_onto(tape, json)?;
        Ok((Document::new(tape, json), deviations))
    }

    /// Reads `json` onto a tape, whose contents it replaces, and returns `json` as text.
    #[inline]
    pub(crate) fn parse_onto<'a>(
        &mut self,
        tape: &mut Tape,
        json: &'a [u8],
    ) -> Result<(&'a str, JsonDeviations), Error> {
        tape.clear();
        if i32::try_from(json.len()).is_err() {
            return Err(Error::new(ErrorKind::PayloadTooLarge, 0));
        }
        let json = checked(json)?;
        tape.reserve_for(json.len());
        let deviations = parser::read(json, self.bounds, tape)?;
        tape.has_non_finite_numbers = deviations.non_finite_numbers > 0;
        Ok((json, deviations))
    }
}

/// The limits for a text that is in memory already: its length bounds the number of values.
pub(crate) const TEXT_LIMITS: Limits = Limits::new().with_max_json_values(usize::MAX);

/// Parses a JSON text within limits, and returns the result of `read` for its value.
pub(crate) fn read_text<T>(
    json: &[u8],
    limits: &Limits,
    read: impl FnOnce(Value<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut tape = Tape::default();
    let (document, _) = Parser::new(limits).parse(json, &mut tape)?;
    read(Value::new(document, 0))
}

/// The shortest length at which the check of UTF-8 with SIMD is the faster one, in bytes.
const SIMD_PAYS: usize = 64;

/// Returns `bytes` as text, if they are UTF-8.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.len() >= SIMD_PAYS {
        return simdutf8::basic::from_utf8(bytes).ok();
    }
    core::str::from_utf8(bytes).ok()
}

/// Returns bytes that are known to be UTF-8 as text.
#[inline]
pub(crate) fn known_text(bytes: &[u8]) -> &str {
    let text = text(bytes);
    debug_assert!(text.is_some(), "{} bytes are no UTF-8", bytes.len());
    text.unwrap_or_default()
}

/// Returns the beginning of a text: at most `most` bytes, cut at a character boundary.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text_in(text, ..end.unwrap_or(0))
}

/// Returns `bytes` as text, so that slices of it need a check of character boundaries only.
#[inline]
fn checked(bytes: &[u8]) -> Result<&str, Error> {
    simdutf8::basic::from_utf8(bytes).or_else(|_| {
        core::str::from_utf8(bytes)
            .map_err(|error| Error::new(ErrorKind::InvalidUtf8, error.valid_up_to() as u64))
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{JsonDeviations, Parser, Tape, Value, ValueKind};
    use crate::error::ErrorKind;
    use crate::limits::Limits;

    /// Converts a value for `serde_json`; of members with the same name the last one counts.
    fn to_serde(value: Value<'_>) -> serde_json::Value {
        match value.kind() {
            ValueKind::Null => serde_json::Value::Null,
            ValueKind::Bool => value.as_bool().unwrap_or_default().into(),
            ValueKind::Number => serde_json::from_str(value.raw()).unwrap_or_default(),
            ValueKind::NonFiniteNumber => "not finite".into(),
            ValueKind::String => value.as_str().unwrap_or_default().into(),
            ValueKind::Array => value.elements().map(to_serde).collect(),
            ValueKind::Object => {
                value.members().map(|(name, value)| (name.to_owned(), to_serde(value))).collect()
            }
        }
    }

    /// Returns the depth of the brackets in a JSON text.
    fn depth(json: &[u8]) -> usize {
        let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
        for byte in json {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => depth += 1,
                b']' | b'}' if !in_string => depth -= 1,
                _ => {}
            }
            deepest = depth.max(deepest);
        }
        deepest
    }

    fn oracle(json: &[u8]) -> Option<serde_json::Value> {
        serde_json::from_slice(json).ok()
    }

    /// Generates texts of JSON's own tokens: some are JSON, most nearly so.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let token = proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\"a\"",
            "\"\\n\"",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"é😀\"",
            "\\",
            "0",
            "-1",
            "12.5",
            "1e5",
            "true",
            "false",
            "null",
            " ",
            "\n",
            "\t",
            "\"a\":",
            "{\"b\":",
            "[1,",
            "],",
            "},",
            "x",
            "\u{0}",
            "-",
            "01",
        ]);
        vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes())
    }

    /// Generates JSON.
    fn values() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i32>().prop_map(|value| value.to_string()),
            "[0-9]{1,3}\\.[0-9]{1,4}",
            "\"[a-zé😀 ]{0,9}\"",
            "\"(\\\\[nrtbf/\\\\\"]|\\\\u00[0-9a-f]{2}|x){0,6}\"",
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let spaces = "[ \n]{0,2}";
            prop_oneof![
                (vec(inner.clone(), 0..6), spaces)
                    .prop_map(|(values, space)| format!("[{}{space}]", values.join(","))),
                (vec(("\"[a-c]{0,3}\"", inner), 0..6), spaces).prop_map(|(members, space)| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(name, value)| format!("{name}{space}:{value}"))
                        .collect();
                    format!("{{{space}{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

        /// Compares the accepted texts and their values with those of `serde_json`.
        #[test]
        fn serde_json_agrees(text in prop_oneof![texts(), values().prop_map(String::into_bytes)], most in 0usize..6) {
            let (mut parser, mut tape) = (Parser::new(&Limits::new()), Tape::default());
            let expected = oracle(&text);
            match parser.parse(&text, &mut tape) {
                Ok((document, deviations)) => {
                    let found = to_serde(Value::new(document, 0));
                    prop_assert_eq!((deviations.lone_surrogates, deviations.non_finite_numbers), (0, 0));
                    prop_assert_eq!(Some(&found), expected.as_ref());
                    let mut shallow = Parser::new(&Limits::new().with_max_json_depth(most));
                    let too_deep = shallow.parse(&text, &mut Tape::default()).err().map(|error| error.kind());
                    let expected = (depth(&text) > most).then_some(ErrorKind::TooDeep);
                    prop_assert_eq!(too_deep, expected);
                }
                Err(error) => {
                    prop_assert_eq!(expected, None, "{}", error);
                    prop_assert!(usize::try_from(error.offset()).unwrap_or(usize::MAX) <= text.len());
                }
            }
        }

        /// Compares each number, and whether it is a count, with those of the standard library.
        #[test]
        fn numbers_end_where_they_end(
            numbers in vec("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", 1..8),
            space in " {0,20}",
        ) {
            let json = format!("[{}]{space}", numbers.join(","));
            let (mut parser, mut tape) = (Parser::new(&Limits::new()), Tape::default());
            let (document, _) = parser.parse(json.as_bytes(), &mut tape).unwrap();
            for (id, number) in (1..).zip(&numbers) {
                prop_assert_eq!(document.raw(id), number.as_str());
                prop_assert_eq!(document.is_count(id), number.parse::<u64>().is_ok());
            }
            prop_assert_eq!(document.len() as usize, 1 + numbers.len());
        }

        /// Compares lists of short numbers with `serde_json`, and the place of the first one too many.
        #[test]
        fn short_numbers_are_read_one_by_one(
            elements in vec(proptest::sample::select(vec![
                "0", "7", "12", "255", "31", "104", "123456789012345", "1.5", "2e3", "-1", "01", " 5", "x", "",
            ]), 1..12),
            most in 1usize..14,
        ) {
            let json = format!("[{}]", elements.join(","));
            let (mut parser, mut tape) = (Parser::new(&Limits::new()), Tape::default());
            let found = parser.parse(json.as_bytes(), &mut tape).ok();
            let found = found.map(|(document, _)| to_serde(Value::new(document, 0)));
            prop_assert_eq!(&found, &oracle(json.as_bytes()));
            if found.is_some_and(|list| list.as_array().is_some_and(|list| !list.is_empty())) {
                let mut small = Parser::new(&Limits::new().with_max_json_values(most));
                let error = small.parse(json.as_bytes(), &mut Tape::default()).err();
                let before: usize = elements.iter().take(most - 1).map(|it| it.len() + 1).sum();
                let place = elements.get(most - 1).map(|it| 1 + before + it.len() - it.trim_start().len());
                let expected = place.map(|place| (ErrorKind::TooManyValues, place as u64));
                prop_assert_eq!(error.map(|error| (error.kind(), error.offset())), expected);
            }
        }

        /// Compares the accepted texts with those of `serde_json`, for arbitrary bytes.
        #[test]
        fn arbitrary_bytes_are_read_as_by_serde_json(text in vec(any::<u8>(), 0..40)) {
            let mut parser = Parser::new(&Limits::new());
            let taken = parser.parse(&text, &mut Tape::default()).is_ok();
            prop_assert_eq!(taken, oracle(&text).is_some());
        }
    }

    #[test]
    fn each_deviation_is_counted_and_refused_in_a_strict_reader() {
        let count = |change: fn(&mut JsonDeviations)| {
            let mut deviations = JsonDeviations::default();
            change(&mut deviations);
            deviations
        };
        let surrogate = count(|found| found.lone_surrogates = 1);
        let not_finite = count(|found| found.non_finite_numbers = 1);
        let big = count(|found| found.integers_out_of_range = 1);
        let huge = count(|found| found.floats_out_of_range = 1);
        for (json, expected, kind, at) in [
            (r#"["\ud83d"]"#, surrogate, ErrorKind::LoneSurrogate, 2),
            (r#"["x\udE00y"]"#, surrogate, ErrorKind::LoneSurrogate, 3),
            (r#"["\ud83d\u0041"]"#, surrogate, ErrorKind::LoneSurrogate, 2),
            (r#"["\ud83d\ue000"]"#, surrogate, ErrorKind::LoneSurrogate, 2),
            (r#"["\ud7ff\udc00"]"#, surrogate, ErrorKind::LoneSurrogate, 8),
            ("[NaN]", not_finite, ErrorKind::NonFiniteNumber, 1),
            ("[1, Infinity]", not_finite, ErrorKind::NonFiniteNumber, 4),
            ("[-Infinity]", not_finite, ErrorKind::NonFiniteNumber, 1),
            ("[18446744073709551616]", big, ErrorKind::IntegerOutOfRange, 1),
            ("[-9223372036854775809]", big, ErrorKind::IntegerOutOfRange, 1),
            ("[1e400]", huge, ErrorKind::FloatOutOfRange, 1),
            ("[-0.1E+999]", huge, ErrorKind::FloatOutOfRange, 1),
            (&format!("[{}.5]", "9".repeat(400)), huge, ErrorKind::FloatOutOfRange, 1),
        ] {
            let (mut parser, mut tape) = (Parser::new(&Limits::new()), Tape::default());
            assert_eq!(
                parser.parse(json.as_bytes(), &mut tape).map(|(_, found)| found),
                Ok(expected),
                "{json}"
            );
            parser.set_strict(true);
            let error = parser.parse(json.as_bytes(), &mut tape).err();
            assert_eq!(
                error.map(|error| (error.kind(), error.offset())),
                Some((kind, at)),
                "{json}"
            );
        }
        let fine = concat!(
            r#"["\ud800\udc00\udbff\udfff\ue000",18446744073709551615,-9223372036854775808,"#,
            "1e308,1e-400,-0,123456789012345678.5]"
        );
        let (mut parser, mut tape) = (Parser::new(&Limits::new()), Tape::default());
        parser.set_strict(true);
        assert_eq!(
            parser.parse(fine.as_bytes(), &mut tape).map(|(_, found)| found),
            Ok(JsonDeviations::default())
        );
    }

    /// Of members with the same name the last one counts, in objects of any size.
    #[test]
    fn the_last_of_members_with_the_same_name_counts() {
        for others in [0, 1, 40, 400] {
            let others =
                (0..others).map(|number| format!(r#""k{number}":0,"#)).collect::<Vec<_>>().concat();
            let json = format!(r#"{{"a":1,{others}"a":2}}"#);
            let (mut parser, mut tape) = (Parser::new(&Limits::new()), Tape::default());
            let document = parser.parse(json.as_bytes(), &mut tape).map(|(document, _)| document);
            let value = document.map(|document| Value::new(document, 0).get("a").map(|a| a.raw()));
            assert_eq!(value, Ok(Some("2")));
        }
    }
}
