//! `ValueType`: the types that the schema allows for a member, and the search for other values.

use super::schema::{Level, rows};
use crate::json::{Document, Kind, NodeId, Value};

/// The type that the schema allows for a member besides `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    String,
    Number,
    /// A whole number from 0 to `u64::MAX`.
    Count,
    /// A whole number from 0 to 255.
    Byte,
    Array,
    Object,
    StringOrArray,
    StringOrObject,
    /// A string, or a whole number from `i64::MIN` to `i64::MAX`.
    StringOrInteger,
    Any,
    /// An array of values of one type.
    ArrayOf(&'static Self),
    /// An object with the members of a level.
    ObjectOf(Level),
    /// A string, or an array of objects with the members of a level.
    StringOrArrayOf(Level),
}

/// The check of a column's value: the kinds of its type, as bits, and [`COUNT`].
#[derive(Clone, Copy)]
pub(crate) struct Expected(u16);

/// Marks a type whose numbers are counts.
const COUNT: u16 = 1 << 15;

impl Expected {
    /// Creates the check of a type that a column has. Runs at compile time only.
    #[inline]
    #[expect(clippy::panic, reason = "a wrong column must not compile")]
    pub(super) const fn new(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Count => Self(value_type.kinds() | COUNT),
            ValueType::Byte | ValueType::StringOrInteger => panic!("no column has such a type"),
            _ => Self(value_type.kinds() & !COUNT),
        }
    }

    /// Returns true if a value that isn't `null` has the type, as [`ValueType::allows`] does.
    #[inline]
    pub(super) fn allows(self, document: Document<'_>, id: NodeId, kind: Kind) -> bool {
        self.0 & 1 << kind as u16 != 0 && (self.0 & COUNT == 0 || document.is_count(id))
    }
}

impl ValueType {
    /// Returns the kinds of this type, as bits.
    const fn kinds(self) -> u16 {
        const fn bits(kinds: &[Kind]) -> u16 {
            match kinds {
                [] => 1 << Kind::Null as u16,
                [kind, more @ ..] => 1 << *kind as u16 | bits(more),
            }
        }
        match self {
            Self::String => bits(&[Kind::String]),
            Self::Number | Self::Count | Self::Byte => bits(&[Kind::Number]),
            Self::Array | Self::ArrayOf(_) => bits(&[Kind::Array]),
            Self::Object | Self::ObjectOf(_) => bits(&[Kind::Object]),
            Self::StringOrArray | Self::StringOrArrayOf(_) => bits(&[Kind::String, Kind::Array]),
            Self::StringOrObject => bits(&[Kind::String, Kind::Object]),
            Self::StringOrInteger => bits(&[Kind::String, Kind::Number]),
            Self::Any => u16::MAX,
        }
    }

    /// Returns true if a value itself has this type; the values in it may have any type.
    fn allows(self, document: Document<'_>, id: NodeId) -> bool {
        let Some(kind) = document.kind(id) else { return false };
        let has_kind = self.kinds() & 1 << kind as u16 != 0;
        has_kind
            && match self {
                Self::Count => kind == Kind::Null || document.count(id).is_some(),
                Self::Byte | Self::StringOrInteger => self.allows_number(document, id),
                _ => true,
            }
    }

    #[cold]
    fn allows_number(self, document: Document<'_>, id: NodeId) -> bool {
        let number = document.raw(id);
        document.kind(id) != Some(Kind::Number)
            || match self {
                Self::Byte => number.parse::<u8>().is_ok(),
                _ => number.parse::<i64>().is_ok(),
            }
    }

    /// Appends the values of another type to `mismatches`: the value itself, or those in it.
    ///
    /// Stops once there are `limit`. Of members with the same name it looks at the last one. The
    /// nesting of the types bounds the recursion.
    pub(super) fn find_mismatches(
        self,
        document: Document<'_>,
        id: NodeId,
        limit: usize,
        mismatches: &mut Vec<NodeId>,
    ) {
        if mismatches.len() >= limit {
            return;
        }
        if !self.allows(document, id) {
            mismatches.push(id);
            return;
        }
        match self {
            Self::ArrayOf(inner) => {
                for element in document.elements(id) {
                    inner.find_mismatches(document, element, limit, mismatches);
                }
            }
            Self::StringOrArrayOf(level) => {
                for element in document.elements(id) {
                    Self::ObjectOf(level).find_mismatches(document, element, limit, mismatches);
                }
            }
            Self::ObjectOf(level) => {
                let value = Value::new(document, id);
                for row in rows(level).iter().filter(|row| row.value_type != Self::Any) {
                    if let Some(member) = value.get(row.name) {
                        row.value_type.find_mismatches(document, member.id, limit, mismatches);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::{Expected, ValueType};
    use crate::json::{Parser, Tape};
    use crate::limits::Limits;

    /// Compares the check of a column with that of its type, for values of each kind.
    #[test]
    fn a_column_expects_the_values_of_its_type() {
        use ValueType::*;
        let values = [
            "true",
            "false",
            "0",
            "7",
            "-1",
            "1.5",
            "1e2",
            "123456789012345",
            "1234567890123456",
            "18446744073709551615",
            "18446744073709551616",
            "1e999",
            "NaN",
            "\"a\"",
            "[]",
            "{}",
        ];
        for value in values {
            let json = format!("[{value},                 1]");
            let mut tape = Tape::default();
            let parsed = Parser::new(&Limits::new()).parse(json.as_bytes(), &mut tape);
            let Ok((document, _)) = parsed else { panic!("{json}") };
            let kind = document.kind(1).unwrap_or_else(|| panic!("{json}"));
            for value_type in
                [String, Number, Count, Array, Object, StringOrArray, StringOrObject, Any]
            {
                let expected = value_type.allows(document, 1);
                let allows = Expected::new(value_type).allows(document, 1, kind);
                assert_eq!(allows, expected, "{value_type:?} {value}");
                if value_type == Count {
                    assert_eq!(allows, value.parse::<u64>().is_ok(), "{value}");
                }
            }
        }
    }
}
