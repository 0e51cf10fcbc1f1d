//! Finds ends and errors in a JSON text that may be cut, too deep or too long for a parser.

use memchr::memchr2;

use crate::slice::{bytes_in, split_bytes};

/// The type of an event that reports an error.
pub(super) const ERROR_TYPE: &str = "error";

/// Returns true if a text begins with JSON whose end is missing.
pub(super) fn is_torn(text: &[u8]) -> bool {
    begins_json(text) && past_value(text.trim_ascii_start()).is_none()
}

/// Returns true if a text begins with an object, or with an array of objects.
///
/// Both may be cut behind their first bracket. Other texts may have brackets too: `[INFO] ready`.
pub(super) fn begins_json(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let next = text.get(1..).unwrap_or_default().trim_ascii_start().first();
    match text.first() {
        Some(b'{') => matches!(next, None | Some(b'"' | b'}')),
        Some(b'[') => matches!(next, None | Some(b'{')),
        _ => false,
    }
}

/// Returns true if an object, whole or cut, contains at least the beginning of an error.
///
/// That is a member `error` that means an error, or a member `object` with the text `error`.
pub(super) fn begins_error(json: &[u8]) -> bool {
    member_that_begins_error(json).is_some()
}

fn member_that_begins_error(json: &[u8]) -> Option<()> {
    let mut rest = json.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    loop {
        let (name, behind) = split_bytes(rest, past_string(rest)?);
        let value = behind.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if is_name(name, b"\"error\"") && begins_something(value)
            || is_name(name, b"\"object\"") && begins_with_string(value, b"\"error\"")
        {
            return Some(());
        }
        let behind = bytes_in(value, past_value(value)?..);
        rest = behind.trim_ascii_start().strip_prefix(b",")?.trim_ascii_start();
    }
}

/// Returns true if the beginning of a value differs from all values that mean no error.
///
/// A number differs once it has a digit that isn't 0 before its exponent.
fn begins_something(value: &[u8]) -> bool {
    const NONE: [&[u8]; 5] = [b"null", b"false", b"\"\"", b"NaN", b"Infinity"];
    let may_be = |none: &&[u8]| none.starts_with(value) || value.starts_with(none);
    match value.first() {
        None => false,
        Some(b'-' | b'0'..=b'9') => {
            let is_mantissa = |byte: &&u8| matches!(byte, b'-' | b'.' | b'0'..=b'9');
            let mut mantissa = value.iter().take_while(is_mantissa);
            mantissa.any(|byte| matches!(byte, b'1'..=b'9'))
        }
        Some(_) => !NONE.iter().any(may_be),
    }
}

/// Returns true if a text begins with a whole string that equals `string`, in its quotes.
fn begins_with_string(text: &[u8], string: &[u8]) -> bool {
    past_string(text).is_some_and(|end| is_name(bytes_in(text, ..end), string))
}

/// Returns true if a string, in its quotes, equals `name`. Its ASCII characters may be escaped.
fn is_name(mut string: &[u8], name: &[u8]) -> bool {
    for byte in name {
        let (first, len) = match string {
            [b'\\', b'u', b'0', b'0', high, low, ..] => (hex(*high) << 4 | hex(*low), 6),
            [first, ..] => (*first, 1),
            [] => return false,
        };
        if first != *byte {
            return false;
        }
        string = bytes_in(string, len..);
    }
    string.is_empty()
}

/// Returns the value of a hexadecimal digit, or 0 for any other byte.
fn hex(digit: u8) -> u8 {
    let value = char::from(digit).to_digit(16);
    value.and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

/// Returns the end of the string at the beginning of a text, or `None` if it is cut or absent.
fn past_string(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'"'));
    if at == 0 {
        return None;
    }
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)? + 1;
        if text.get(at - 1) == Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns the end of the value at the beginning of a text, or `None` if it is cut.
///
/// A number ends at the next comma or closing bracket.
fn past_value(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match *text.get(at)? {
            b'"' => {
                at += past_string(bytes_in(text, at..))?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' => return Some(at + depth),
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_error, is_torn};

    /// Compares each text, and each beginning of it, with the result of `serde_json`.
    #[test]
    fn an_object_that_is_not_whole_is_torn() {
        for text in [
            "{}",
            r#"{"a":[1,{"b":"]}\"\\"}],"c":null}"#,
            r#"{"a\\":"{","b":[[[]]]}"#,
            " {\"a\" : -1.5e3 }",
        ] {
            for end in text.find('{').map_or(0, |at| at + 1)..=text.len() {
                let Some(cut) = text.get(..end) else { continue };
                let is_whole = serde_json::from_str::<serde_json::Value>(cut).is_ok();
                assert_eq!(is_torn(cut.as_bytes()), !is_whole, "{cut}");
            }
        }
        assert!(is_torn(b"[{\"a\":1}") && is_torn(b" [") && !is_torn(b"[{\"a\":1}]"));
        for text in ["", "[DONE]", "ping", "[DONE", "[INFO", "{not json", "[1"] {
            assert!(!is_torn(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_torn_error_is_an_error() {
        for (text, is_error) in [
            (r#"{"error":{"#, true),
            (r#"{"error":"b"#, true),
            (r#" { "error" : {"m"#, true),
            (r#"{"err\u006fr":{"#, true),
            (r#"{"id":"a\"b","x":[{"y":{}}],"n":1, "error":{}}"#, true),
            (r#"{"object":"error","mess"#, true),
            (r#"{"object":"err\u006fr","m"#, true),
            (r#"{"error":0.5"#, true),
            (r#"{"error":-0.05e1,"#, true),
            (r#"{"error":boom"#, true),
            (r#"{"error":-0,"choices":["#, false),
            (r#"{"error":0.0e1,"#, false),
            (r#"{"error":-"#, false),
            (r#"{"error":NaN,"#, false),
            (r#"{"error":-Infinity,"#, false),
            (r#"{"x":{"error":{"#, false),
            (r#"{"x":"error","y":"#, false),
            (r#"{"error":"#, false),
            (r#"{"error""#, false),
            (r#"{"error":nu"#, false),
            (r#"{"error":null,"a"#, false),
            (r#"{"error":"","a"#, false),
            (r#"{"error":false}"#, false),
            (r#"{"error":0,"#, false),
            (r#"{"object":"err"#, false),
            (r#"["error",{"error":1}]"#, false),
            (r#"{"\"#, false),
            ("{", false),
            ("", false),
        ] {
            assert_eq!(begins_error(text.as_bytes()), is_error, "{text}");
        }
    }
}
