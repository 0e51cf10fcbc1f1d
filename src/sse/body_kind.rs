//! `BodyKind`: the kind of a body that isn't an event stream, by its first bytes.

use crate::report::named;

/// The kind of a body that isn't an event stream, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyKind {
    /// A JSON text: an error, or a completion that wasn't streamed.
    Json,
    /// HTML or XML, such as an error page.
    Html,
    /// Compressed, with gzip or zstd.
    Compressed,
    /// Any other body.
    Other,
}

impl BodyKind {
    /// Returns the kind of a body that begins with `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if let [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] = bytes {
            return Self::Compressed;
        }
        Self::behind_start(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes))
    }

    /// Returns the kind of a body by bytes that only a byte order mark and white space precede.
    pub(crate) const fn behind_start(bytes: &[u8]) -> Self {
        match bytes.trim_ascii_start() {
            [b'{' | b'[' | b'"', ..] => Self::Json,
            [b'<', ..] => Self::Html,
            _ => Self::Other,
        }
    }

    /// Returns the name of the kind, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Html => "html",
            Self::Compressed => "compressed",
            Self::Other => "other",
        }
    }
}

named!(BodyKind);
