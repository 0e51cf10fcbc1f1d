//! Names of enums, and reports as data: macros for `Display` and `Serialize`.

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

/// Implements `Serialize` for structs whose fields are members of the same names.
///
/// Each field of the struct is listed, so a new field doesn't compile without its row.
///
/// - `field(seconds)`: a time, written as `field_seconds`, a number of seconds.
/// - `field(hidden)`: not written.
/// - `field as name`: written by another name.
/// - `with { member: value }`: members without a field, behind the others.
///
/// An enum has only members of the last form: `report!(Name, value => { member: … })`.
#[cfg(feature = "serde")]
macro_rules! report {
    ($type:ident, $this:ident => { $($member:ident: $value:expr),+ $(,)? }) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeStruct as _;
                let $this = self;
                let len = [$(stringify!($member)),+].len();
                let mut members = serializer.serialize_struct(stringify!($type), len)?;
                $(members.serialize_field(stringify!($member), &$value)?;)+
                members.end()
            }
        }
    };
    ($type:ident $(<$life:lifetime>)? {
        $($field:ident $(($form:ident))? $(as $name:expr)?),+ $(,)?
    } $(with { $($more:ident: $value:expr),+ })?) => {
        impl ::serde::Serialize for $type $(<$life>)? {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeStruct as _;
                let Self { $($field),+ } = self;
                let len = [
                    $($crate::report::member!(len $($form)?),)+
                    $($(stringify!($more).len().min(1)),+)?
                ];
                let len = len.iter().sum();
                let mut members = serializer.serialize_struct(stringify!($type), len)?;
                $($crate::report::member!(members $field $($form)? $(as $name)?);)+
                $($(members.serialize_field(stringify!($more), &$value)?;)+)?
                members.end()
            }
        }
    };
}
#[cfg(feature = "serde")]
pub(crate) use report;

/// Writes one member of a [`report`], or counts it.
#[cfg(feature = "serde")]
macro_rules! member {
    (len hidden) => {
        0
    };
    (len $($form:ident)?) => {
        1
    };
    ($members:ident $field:ident) => {
        $members.serialize_field(stringify!($field), $field)?
    };
    ($members:ident $field:ident seconds) => {{
        let seconds = $crate::report::InSeconds::in_seconds($field);
        $members.serialize_field(concat!(stringify!($field), "_seconds"), &seconds)?
    }};
    ($members:ident $field:ident hidden) => {
        let _: &_ = $field;
    };
    ($members:ident $field:ident as $name:expr) => {
        $members.serialize_field($name, $field)?
    };
}
#[cfg(feature = "serde")]
pub(crate) use member;

/// A time, or no time, in seconds.
#[cfg(feature = "serde")]
pub(crate) trait InSeconds {
    type Seconds: ::serde::Serialize;

    /// Returns the time in seconds.
    fn in_seconds(&self) -> Self::Seconds;
}

#[cfg(feature = "serde")]
impl InSeconds for core::time::Duration {
    type Seconds = f64;

    fn in_seconds(&self) -> f64 {
        self.as_secs_f64()
    }
}

#[cfg(feature = "serde")]
impl InSeconds for Option<core::time::Duration> {
    type Seconds = Option<f64>;

    fn in_seconds(&self) -> Option<f64> {
        self.map(|time| time.as_secs_f64())
    }
}
