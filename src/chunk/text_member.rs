//! The texts of a delta, each with its column and its text in a message: the macro of their table.

/// Defines `TextMember`, `MessageText` and `PerText` by the table of texts in the schema.
///
/// A row of `texts` is the field of a message. A row of `members` is a member of a delta: constant,
/// column, and the text of the message that its values join.
macro_rules! text_members {
    (
        texts { $($(#[$text_doc:meta])* $Text:ident $text:ident;)* }
        members { $($(#[$doc:meta])* $Member:ident $CONST:ident $column:ident => $Of:ident;)* }
    ) => {
        /// A text of a message, which the texts of deltas join.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum MessageText {
            $($(#[$text_doc])* $Text,)*
        }

        impl MessageText {
            /// All texts of a message.
            pub(crate) const ALL: [Self; [$(Self::$Text),*].len()] = [$(Self::$Text),*];

            /// Returns all texts of a message.
            pub fn all() -> impl Iterator<Item = Self> {
                Self::ALL.into_iter()
            }

            /// Returns the name of the text: that of its field in `Message`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Text => stringify!($text),)*
                }
            }
        }

        /// A value for each text of a message.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct PerText<T> {
            $($text: T,)*
        }

        impl<T: Copy> PerText<T> {
            /// Returns the same value for each text.
            pub(crate) const fn same(value: T) -> Self {
                Self { $($text: value,)* }
            }
        }

        impl<T> PerText<T> {
            /// Returns the value for a text.
            #[inline]
            pub(crate) const fn of(&mut self, text: MessageText) -> &mut T {
                match text {
                    $(MessageText::$Text => &mut self.$text,)*
                }
            }
        }

        /// A member of a delta whose texts are joined, with a text in the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum TextMember {
            $($(#[$doc])* $Member,)*
        }

        impl TextMember {
            /// All members, in the order of their rows.
            pub(crate) const ALL: [Self; [$(Self::$Member),*].len()] = [$(Self::$Member),*];

            /// Returns the name of the member.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Member => delta::$CONST,)*
                }
            }

            /// Returns the text of the message that the values join.
            #[inline]
            pub(crate) const fn text(self) -> MessageText {
                match self {
                    $(Self::$Member => MessageText::$Of,)*
                }
            }

            /// Returns the origin of the values.
            #[inline]
            pub(crate) const fn origin(self) -> Origin {
                match self {
                    $(Self::$Member => const { origin_in(delta::ROWS, delta::$CONST) },)*
                }
            }
        }

        impl DeltaFields {
            /// Returns the column of a text.
            #[inline]
            pub(crate) const fn text(&self, member: TextMember) -> NodeId {
                match member {
                    $(TextMember::$Member => self.$column,)*
                }
            }

            /// Returns the columns of the texts, in the order of their rows.
            #[inline]
            pub(crate) const fn texts(&self) -> [NodeId; TextMember::ALL.len()] {
                [$(self.$column),*]
            }
        }
    };
}
pub(super) use text_members;

use super::origin::Origin;
use super::schema::{DeltaFields, MessageText, Row, TextMember};
use crate::report::named;

named!(MessageText);

impl TextMember {
    /// Returns true if the text is neither the content nor the reasoning, which have more forms.
    #[inline]
    pub(crate) const fn is_plain(self) -> bool {
        !matches!(self.text(), MessageText::Content | MessageText::Reasoning)
    }
}

impl DeltaFields {
    /// Returns true if the delta has a text besides its content and its reasoning.
    #[inline]
    pub(crate) fn has_plain_text(&self) -> bool {
        let plain = TextMember::ALL.into_iter().filter(|member| member.is_plain());
        plain.fold(0, |all, member| all | self.text(member)) != 0
    }
}

/// Returns the origin in the row of a member. Runs at compile time only.
#[expect(clippy::panic, reason = "a text without a row must not compile")]
pub(super) const fn origin_in(mut rows: &[Row], name: &str) -> Origin {
    while let [row, more @ ..] = rows {
        if is_same(row.name.as_bytes(), name.as_bytes()) {
            return row.origin;
        }
        rows = more;
    }
    panic!("a text has a row")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([first, one @ ..], [other_first, other @ ..]) => {
            *first == *other_first && is_same(one, other)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{MessageText, TextMember};

    #[test]
    fn each_text_has_one_member_and_the_reasoning_two() {
        for text in MessageText::ALL {
            let members = TextMember::ALL.iter().filter(|member| member.text() == text).count();
            assert_eq!(members, if text == MessageText::Reasoning { 2 } else { 1 }, "{text:?}");
        }
    }
}
