//! `ObjectScan`: checks that a text that grows is a complete JSON object, in linear time.

use super::model::{ArgumentsState, FunctionCall};

/// A scan of arguments, which continues at the end of the one before.
///
/// Arguments that are replaced need a new scan.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObjectScan {
    /// The number of scanned bytes.
    len: usize,
    /// The number of objects and arrays that have begun and not ended.
    depth: usize,
    place: Place,
}

/// The place of the next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Inside,
    String,
    /// In a string, behind a backslash.
    Escape,
    /// Behind an object whose brackets are balanced, but that isn't parsed yet.
    Behind,
    /// Behind a complete object.
    Complete,
    /// Behind a text with which no complete object begins.
    Invalid,
}

impl ObjectScan {
    /// Returns true if the arguments are [`Complete`](ArgumentsState::Complete).
    ///
    /// Scans the new bytes only. The text is parsed at most once.
    pub(super) fn is_complete(&mut self, function: &FunctionCall) -> bool {
        let arguments = function.arguments.as_bytes();
        debug_assert!(self.len <= arguments.len(), "arguments grow");
        for byte in arguments.get(self.len..).unwrap_or_default() {
            self.push(*byte);
        }
        self.len = arguments.len();
        if self.place == Place::Behind {
            let is_complete = function.arguments_state() == ArgumentsState::Complete;
            self.place = if is_complete { Place::Complete } else { Place::Invalid };
        }
        self.place == Place::Complete
    }

    const fn push(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::Before | Place::Behind | Place::Complete, b' ' | b'\t' | b'\n' | b'\r') => {
                self.place
            }
            (Place::Before, b'{') | (Place::Inside, b'{' | b'[') => {
                self.depth += 1;
                Place::Inside
            }
            (Place::Inside, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 { Place::Behind } else { Place::Inside }
            }
            (Place::Inside, b'"') | (Place::Escape, _) => Place::String,
            (Place::String, b'"') => Place::Inside,
            (Place::String, b'\\') => Place::Escape,
            (Place::Inside | Place::String, _) => self.place,
            (Place::Before | Place::Behind | Place::Complete | Place::Invalid, _) => Place::Invalid,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FunctionCall, ObjectScan};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

        /// Compares the scan of each beginning of a text with a parser.
        #[test]
        fn a_scan_in_any_pieces_finds_the_complete_objects(
            text in prop_oneof![
                "[{}\\[\\]\":,a1\\\\ é\u{c}]{0,24}",
                r#" ?\{("[a\\{}"é]{0,3}":(1|"[a\\}é]{0,3}"|\{\}|\[\{\}\]) ?)?\}[ \x0C]{0,2}[}{ ]?"#,
            ],
            scanned in any::<u32>(),
        ) {
            let mut scan = ObjectScan::default();
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            for end in ends.filter(|end| *end == text.len() || scanned >> (end % 32) & 1 == 1) {
                let arguments = text.get(..end).unwrap_or_default();
                let object = serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(arguments);
                let function = FunctionCall { arguments: arguments.into(), ..FunctionCall::default() };
                prop_assert_eq!(scan.is_complete(&function), object.is_ok(), "{}", arguments);
            }
        }
    }
}
