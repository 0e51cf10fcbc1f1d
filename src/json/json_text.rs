//! `JsonText`: the JSON text of a stored value, without an allocation if it is short.

use core::fmt;
use core::ops::Deref;

use super::known_text;
use super::short_text::ShortText;

/// The longest text without an allocation, in bytes. Most numbers fit.
const SHORT: usize = 15;

/// The shortest buffer of a text that grows, in bytes.
const LEAST_BUFFER: usize = 32;

/// The JSON text of a stored value: see [`OwnedValue::Raw`](super::OwnedValue::Raw).
///
/// A text of at most 15 bytes needs no allocation. It is made from a text, and read as one:
///
/// ```
/// use deltawire::json::{JsonText, OwnedValue};
///
/// let text = JsonText::from("0.50");
/// assert_eq!((&*text, text.len()), ("0.50", 4));
/// assert_eq!(OwnedValue::Raw(text).as_f64(), Some(0.5));
/// ```
#[derive(Clone)]
pub struct JsonText(Repr);

/// A short text may be `Long` too, so that its buffer is used again.
#[derive(Clone)]
enum Repr {
    Short(ShortText<SHORT>),
    Long(String),
}

impl JsonText {
    /// Creates an empty text.
    pub(crate) const fn new() -> Self {
        Self(Repr::Short(ShortText::new()))
    }

    /// Returns the text.
    ///
    /// Checks the UTF-8 of a short one: [`as_bytes`](Self::as_bytes) is faster.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Short(text) => text.as_str(),
            Repr::Long(text) => text,
        }
    }

    /// Returns the bytes of the text.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(text) => text.as_bytes(),
            Repr::Long(text) => text.as_bytes(),
        }
    }

    /// Returns the length in bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns true if there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns true if the text begins with a byte.
    #[inline]
    pub(crate) fn begins_with(&self, byte: u8) -> bool {
        self.as_bytes().first() == Some(&byte)
    }

    /// Appends a text.
    pub(crate) fn push_str(&mut self, more: &str) {
        let is_pushed = match &mut self.0 {
            Repr::Short(text) => text.try_push(more),
            Repr::Long(_) => false,
        };
        if !is_pushed {
            self.edit(more.len(), |text| text.push_str(more));
        }
    }

    /// Removes the last character, if there is one.
    pub(crate) fn pop(&mut self) {
        match &mut self.0 {
            Repr::Short(text) => text.pop(),
            Repr::Long(text) => _ = text.pop(),
        }
    }

    /// Copies a text whose UTF-8 is known.
    #[inline]
    pub(crate) fn known(text: &[u8]) -> Self {
        let mut new = Self::new();
        new.set(text);
        new
    }

    /// Replaces the text by one of known UTF-8. A buffer is used again; see [`replace_text`].
    #[inline]
    pub(crate) fn set(&mut self, new: &[u8]) {
        match &mut self.0 {
            Repr::Short(text) => {
                if !text.set(new) {
                    self.0 = Repr::Long(known_text(new).to_owned());
                }
            }
            Repr::Long(text) => replace_text(text, known_text(new)),
        }
    }

    /// Edits the text as a string, which may grow by `more` bytes.
    pub(crate) fn edit(&mut self, more: usize, edit: impl FnOnce(&mut String)) {
        match &mut self.0 {
            Repr::Long(text) => edit(text),
            Repr::Short(text) => {
                let len = text.as_bytes().len() + more;
                let mut long = String::with_capacity(len.max(LEAST_BUFFER));
                long.push_str(text.as_str());
                edit(&mut long);
                self.0 = Repr::Long(long);
            }
        }
    }

    /// Frees the memory that the text doesn't need.
    pub(crate) fn shrink_to_fit(&mut self) {
        let Repr::Long(text) = &mut self.0 else { return };
        match ShortText::copy(text.as_bytes()) {
            Some(text) => self.0 = Repr::Short(text),
            None => text.shrink_to_fit(),
        }
    }
}

/// Replaces a text in its buffer.
///
/// Replaces a much larger buffer too, because a budget counts lengths.
pub(crate) fn replace_text(kept: &mut String, new: &str) {
    kept.clear();
    if kept.capacity() > 256 && kept.capacity() / 2 > new.len() {
        *kept = String::with_capacity(new.len());
    }
    kept.push_str(new);
}

impl From<&str> for JsonText {
    /// Copies a JSON text, which isn't checked.
    #[inline]
    fn from(text: &str) -> Self {
        Self::known(text.as_bytes())
    }
}

impl From<String> for JsonText {
    /// Stores a JSON text, which isn't checked.
    fn from(text: String) -> Self {
        Self(ShortText::copy(text.as_bytes()).map_or_else(|| Repr::Long(text), Repr::Short))
    }
}

impl From<JsonText> for String {
    fn from(JsonText(text): JsonText) -> Self {
        match text {
            Repr::Short(text) => text.as_str().to_owned(),
            Repr::Long(text) => text,
        }
    }
}

impl Deref for JsonText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for JsonText {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for JsonText {}

impl PartialEq<str> for JsonText {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for JsonText {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{JsonText, Repr, SHORT};

    #[derive(Clone, Debug)]
    enum Step {
        Push(String),
        Pop,
        Set(String),
        Edit(String),
        Shrink,
    }

    fn steps() -> impl Strategy<Value = Step> {
        let text = || "[a0\\u{0}é😀]{0,12}";
        prop_oneof![
            text().prop_map(Step::Push),
            Just(Step::Pop),
            text().prop_map(Step::Set),
            text().prop_map(Step::Edit),
            Just(Step::Shrink),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A text that is edited is the text that a string is.
        #[test]
        fn a_text_is_edited_as_a_string(steps in vec(steps(), 0..12)) {
            let (mut text, mut expected) = (JsonText::new(), String::new());
            for step in steps {
                match &step {
                    Step::Push(more) => { text.push_str(more); expected.push_str(more); }
                    Step::Pop => { text.pop(); expected.pop(); }
                    Step::Set(new) => { text.set(new.as_bytes()); expected.clone_from(new); }
                    Step::Edit(more) => {
                        text.edit(more.len(), |text| text.push_str(more));
                        expected.push_str(more);
                    }
                    Step::Shrink => {
                        text.shrink_to_fit();
                        let is_short = matches!(text.0, Repr::Short(_));
                        prop_assert_eq!(is_short, expected.len() <= SHORT);
                    }
                }
                prop_assert_eq!((&*text, text.len(), text.is_empty()), (&*expected, expected.len(), expected.is_empty()));
                let copy = JsonText::from(&*expected);
                prop_assert!(text == copy && text == *expected && copy == *expected);
                let longer = [&*expected, "\0"].concat();
                prop_assert!(text != *longer && text != JsonText::from(longer));
                prop_assert_eq!((format!("{text:?}"), text.to_string()), (format!("{expected:?}"), expected.clone()));
                prop_assert_eq!(String::from(text.clone()), expected.clone());
            }
        }
    }

    /// The length of a short text is beside a string's niche, so that it needs no place of its own.
    #[test]
    fn a_text_is_as_small_as_a_string() {
        assert_eq!(size_of::<JsonText>(), size_of::<String>());
        assert_eq!(size_of::<crate::json::OwnedValue>(), size_of::<String>());
    }
}
