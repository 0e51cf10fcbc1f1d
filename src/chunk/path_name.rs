//! Names of members in the notation of RFC 9535, which mismatches write and rules of an editor read.

use core::fmt::Write as _;

/// Returns true if a name without brackets may begin with a character (RFC 9535, 2.5.1.1).
pub(crate) const fn is_name_first(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_' || !character.is_ascii()
}

/// Returns true if a name without brackets may have a character behind its first one.
pub(crate) const fn is_name_character(character: char) -> bool {
    is_name_first(character) || character.is_ascii_digit()
}

/// Appends the step to a member, such as `.model` or `['a.b']`. A path begins without the point.
pub(crate) fn push_name(path: &mut String, name: &str) {
    if name.starts_with(is_name_first) && name.chars().all(is_name_character) {
        path.push_str(if path.is_empty() { "" } else { "." });
        path.push_str(name);
    } else {
        push_quoted(path, name);
    }
}

/// Appends a name in brackets and quotes (RFC 9535, section 2.7).
fn push_quoted(path: &mut String, name: &str) {
    path.push_str("['");
    for character in name.chars() {
        match character {
            '\'' => path.push_str("\\'"),
            '\u{8}' => path.push_str("\\b"),
            '\t' => path.push_str("\\t"),
            '\n' => path.push_str("\\n"),
            '\u{C}' => path.push_str("\\f"),
            '\r' => path.push_str("\\r"),
            '\\' => path.push_str("\\\\"),
            // Writing to a string can't fail.
            '\0'..' ' => _ = write!(path, "\\u{:04x}", u32::from(character)),
            _ => path.push(character),
        }
    }
    path.push_str("']");
}
