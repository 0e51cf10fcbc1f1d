//! `Name`: the name of a stored member, without an allocation if it is short.

use core::fmt;
use core::ops::Deref;

use super::known_text;
use crate::slice::bytes_in;

/// The longest name without an allocation, in bytes. Most names of usage fit.
const SHORT: usize = 30;

/// The name of a stored member, which doesn't change.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(Repr);

/// A short name is never `Long`, so that equal names are equal. The bytes behind a short name are 0.
#[derive(Clone, PartialEq, Eq)]
enum Repr {
    /// `len <= SHORT`, and the first `len` bytes are UTF-8.
    Short {
        len: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<str>),
}

impl Name {
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, bytes } => bytes_in(bytes, ..usize::from(*len)),
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
        let mut bytes = [0; SHORT];
        if let (Some(place), Ok(len)) = (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            place.copy_from_slice(name.as_bytes());
            return Self(Repr::Short { len, bytes });
        }
        Self(Repr::Long(name.into()))
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
            Repr::Short { .. } => known_text(self.as_bytes()),
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
                assert_eq!(matches!(name.0, Repr::Short { .. }), text.len() <= SHORT);
                assert!(name == *text && name == name.clone());
                let longer = format!("{text}\0");
                let other = Name::from(&*longer);
                assert!(name != *longer && name != other);
            }
        }
    }
}
