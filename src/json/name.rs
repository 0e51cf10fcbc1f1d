//! `Name`: the name of a stored member, without an allocation if it is short.

use core::fmt;
use core::ops::Deref;

use super::short_text::ShortText;

/// The longest name without an allocation, in bytes. Most names of usage fit.
const SHORT: usize = 30;

/// The name of a stored member.
#[derive(Clone)]
pub(crate) struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Short(ShortText<SHORT>),
    Long(Box<str>),
}

impl Name {
    /// Creates an empty name.
    pub(crate) const fn new() -> Self {
        Self(Repr::Short(ShortText::new()))
    }

    /// Replaces the name.
    #[inline]
    pub(crate) fn set(&mut self, name: &str) {
        let is_set = match &mut self.0 {
            Repr::Short(short) => short.set(name.as_bytes()),
            Repr::Long(_) => false,
        };
        if !is_set {
            self.0 = Repr::Long(name.into());
        }
    }

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
        let mut new = Self::new();
        new.set(name);
        new
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

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
