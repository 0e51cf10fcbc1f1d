//! `Name`: the name of a stored member, without an allocation if it is short.

use core::fmt;
use core::ops::Deref;

use super::short_text::ShortText;

/// The longest name without an allocation, in bytes. Most names of usage fit.
const SHORT: usize = 30;

/// The name of a stored member, which doesn't change.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(Repr);

/// A short name is never `Long`, so that equal names are equal.
#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Short(ShortText<SHORT>),
    Long(Box<str>),
}

impl Name {
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(name) => name.as_bytes(),
            Repr::Long(name) => name.as_bytes(),
        }
    }

    /// Returns the length in bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_bytes().len()
    }
}

impl From<&str> for Name {
    #[inline]
    fn from(name: &str) -> Self {
        Self(ShortText::copy(name.as_bytes()).map_or_else(|| Repr::Long(name.into()), Repr::Short))
    }
}

impl PartialEq<str> for Name {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Repr::Short(name) => name.as_str(),
            Repr::Long(name) => name,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Repr, SHORT};

    /// A name of any length is that name, and no other one.
    #[test]
    fn a_name_is_stored_as_it_is() {
        assert_eq!(size_of::<Name>(), 32);
        for len in 0..2 * SHORT {
            for text in ["a".repeat(len), "é".repeat(len / 2), "a\0".repeat(len)] {
                let name = Name::from(&*text);
                assert_eq!((&*name, name.len()), (&*text, text.len()));
                assert_eq!(matches!(name.0, Repr::Short(_)), text.len() <= SHORT);
                assert!(name == *text && name == name.clone());
                let longer = format!("{text}\0");
                let other = Name::from(&*longer);
                assert!(name != *longer && name != other);
            }
        }
    }
}
