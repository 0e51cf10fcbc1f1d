//! Names of enums: macros for `Display` and `Serialize`.

/// Serializes enums as the text that their `as_str` returns.
macro_rules! serialize_by_name {
    ($($name:ident),+) => {$(
        #[cfg(feature = "serde")]
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}
pub(crate) use serialize_by_name;

/// Writes and serializes enums as the text that their `as_str` returns.
macro_rules! named {
    ($($name:ident),+) => {$(
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $crate::report::serialize_by_name!($name);
    )+};
}
pub(crate) use named;
