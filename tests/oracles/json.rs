//! Reads every payload of all recordings, and the JSON Test Suite, with three parsers.
//!
//! `serde_json` has numbers of any size here, and simd-json none beyond 64 bits.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use deltawire::json::{Value, ValueKind};
use deltawire::{ChunkDecoder, ErrorKind, Payload, SseDecoder};

use super::shared::{base64, shared};
use super::simd;
use super::support::sent::{Sent, What};

/// Returns a text as an event, its lines as lines of data.
fn event(text: &[u8]) -> Vec<u8> {
    let mut stream = b"data: ".to_vec();
    for byte in text {
        match byte {
            b'\n' | b'\r' => stream.extend(b"\ndata: "),
            byte => stream.push(*byte),
        }
    }
    stream.extend(b"\n\n");
    stream
}

/// Returns true if a decoder accepts a text as JSON, which need not be an object.
fn accepts(text: &[u8], strict: bool) -> bool {
    let stream = event(text);
    let mut decoder = ChunkDecoder::new();
    decoder.set_strict(strict);
    match decoder.next(&mut &stream[..]).unwrap().payload() {
        Payload::Chunk(_) | Payload::Other(_) | Payload::Error(_) => true,
        Payload::Malformed(error) => error.kind() == ErrorKind::ExpectedObject,
        payload => panic!("{payload:?}"),
    }
}

/// Compares the values of the parsers, as a text alone and as a member.
///
/// Returns a sign for each parser: `+` if it accepts the text.
fn compare(name: &str, text: &[u8]) -> String {
    let member = [b"{\"choices\":[],\"x\":", text, b"}"].concat();
    let stream = event(&member);
    let mut decoder = ChunkDecoder::new();
    let ours = match decoder.next(&mut &stream[..]).unwrap().payload() {
        Payload::Chunk(chunk) => Some(sent(chunk.as_value())),
        _ => None,
    };
    let by_serde = Sent::read(&member);
    if let (Some(ours), Some(expected)) = (&ours, &by_serde) {
        // A line end in a text is another byte in the data of an event.
        if !text.contains(&b'\r') {
            assert_eq!(ours, expected, "{name}");
        }
    }
    simd::check(&member, || ours);
    let (serde, simd) = (Sent::read(text).is_some(), simd::check(text, || None));
    let verdicts = [accepts(text, true), accepts(text, false), serde, simd];
    verdicts.map(|is_accepted| if is_accepted { '+' } else { '-' }).iter().collect()
}

/// Returns a value as the crate reads it.
fn sent(value: Value<'_>) -> Sent {
    let what = match value.kind() {
        ValueKind::Object => {
            let members = value.members().map(|(name, value)| (name.into(), sent(value)));
            What::Object(members.collect())
        }
        ValueKind::Array => What::Array(value.elements().map(sent).collect()),
        ValueKind::String => What::String(value.as_str().unwrap().to_owned()),
        ValueKind::Number => {
            check_number(value);
            What::Other
        }
        ValueKind::Null => {
            assert_eq!(value.raw(), "null");
            What::Other
        }
        ValueKind::Bool => {
            assert_eq!(value.as_bool().unwrap().to_string(), value.raw());
            What::Other
        }
        ValueKind::NonFiniteNumber => What::Other,
        kind => panic!("{kind:?}"),
    };
    Sent { raw: value.raw().to_owned(), what }
}

/// Checks the values of a number against the standard library's.
fn check_number(value: Value<'_>) {
    let Ok(number) = serde_json::from_str::<serde_json::Number>(value.raw()) else { return };
    let text = number.to_string();
    let double: f64 = text.parse().unwrap();
    if double.is_finite() {
        assert_eq!(value.as_f64().map(f64::to_bits), Some(double.to_bits()), "{text}");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        assert_eq!(value.as_u64(), text.parse().ok(), "{text}");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && text != "-0" {
        assert_eq!(value.as_i64(), text.parse().ok(), "{text}");
    }
}

/// Returns the data of all events in the streams of a folder, each with a place where it is.
fn payloads(folder: &Path, texts: &mut BTreeMap<Vec<u8>, String>) {
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|kind| kind != "sse") {
            continue;
        }
        let (mut decoder, bytes) = (SseDecoder::new(), fs::read(&file).unwrap());
        let mut input = &bytes[..];
        while let Some(event) = decoder.next(&mut input) {
            if !event.data().is_empty() && event.data().trim_ascii() != b"[DONE]" {
                let place = format!("{} at byte {}", file.display(), event.offset());
                texts.insert(event.data().to_vec(), place);
            }
        }
    }
}

#[test]
fn payloads_of_all_streams_are_read_alike() {
    let mut texts = BTreeMap::new();
    payloads(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams"), &mut texts);
    if let Some(shared) = shared() {
        payloads(&shared.join("corpus"), &mut texts);
        assert!(texts.len() > 10_000, "{} payloads", texts.len());
    }
    let mut accepted = 0;
    for (text, name) in &texts {
        let verdict = compare(name, text);
        assert!(["++++", "----"].contains(&&*verdict), "{name}: {verdict}");
        accepted += usize::from(verdict == "++++");
    }
    // The two others are no JSON: one in `truncated.sse`, and the fixture that `corpus` names.
    assert!(accepted + 2 >= texts.len(), "{accepted} of {}", texts.len());
}

/// Verdict, reason and names of texts that the parsers don't accept alike.
///
/// The signs are those of a strict decoder, a lenient one, `serde_json` and simd-json.
const DIFFERENCES: [(&str, &str, &[&str]); 4] = [
    (
        "-++-",
        "a number beyond 64 bits, or beyond a double, is a counted deviation",
        &[
            "i_number_huge_exp",
            "i_number_neg_int_huge_exp",
            "i_number_pos_double_huge_exp",
            "i_number_real_neg_overflow",
            "i_number_real_pos_overflow",
            "i_number_too_big_neg_int",
            "i_number_too_big_pos_int",
            "i_number_very_big_negative_int",
            "number_-9223372036854775809",
        ],
    ),
    (
        "-+--",
        "half a surrogate pair is a counted deviation, since servers cut texts there",
        &[
            "i_object_key_lone_2nd_surrogate",
            "i_string_1st_surrogate_but_2nd_missing",
            "i_string_1st_valid_surrogate_2nd_invalid",
            "i_string_incomplete_surrogate_and_escape_valid",
            "i_string_incomplete_surrogate_pair",
            "i_string_incomplete_surrogates_escape_valid",
            "i_string_invalid_lonely_surrogate",
            "i_string_invalid_surrogate",
            "i_string_inverted_surrogates_U+1D11E",
            "i_string_lone_second_surrogate",
            "string_1_escaped_invalid_codepoint",
            "string_2_escaped_invalid_codepoints",
            "string_3_escaped_invalid_codepoints",
        ],
    ),
    (
        "-+--",
        "servers in Python send these words, which are a counted deviation",
        &["n_number_NaN", "n_number_infinity", "n_number_minus_infinity"],
    ),
    ("--++", "deeper than the default limit", &["i_structure_500_nested_arrays"]),
];

#[test]
fn the_test_suite_is_read_alike() {
    let Some(shared) = shared() else { return };
    let suite = fs::read_to_string(shared.join("vectors/json/jsontestsuite.jsonl")).unwrap();
    let mut known: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for (verdict, reason, names) in DIFFERENCES {
        known.extend(names.iter().map(|name| (*name, (verdict, reason))));
    }
    let (mut texts, mut differences) = (0, 0);
    for line in suite.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = vector["name"].as_str().unwrap().trim_end_matches(".json");
        let bytes = |value: &serde_json::Value| base64(value.as_str().unwrap());
        let text = match vector["input_repeat"].as_array() {
            None => bytes(&vector["input_b64"]),
            Some(repeat) => {
                let count = usize::try_from(repeat[1].as_u64().unwrap()).unwrap();
                [bytes(&repeat[0]).repeat(count), bytes(&vector["input_tail_b64"])].concat()
            }
        };
        let verdict = compare(name, &text);
        match known.get(name) {
            Some((expected, reason)) => {
                assert_eq!(verdict, *expected, "{name}: {reason}");
                differences += 1;
            }
            None => assert!(["++++", "----"].contains(&&*verdict), "{name}: {verdict}"),
        }
        texts += 1;
    }
    assert_eq!((texts, differences), (340, known.len()));
}
