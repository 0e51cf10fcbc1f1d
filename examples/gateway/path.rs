//! Paths in one spelling, without segments that climb out of a folder.

/// The path of chat completions, compared without case, since some servers ignore case.
const CHAT: &str = "/v1/chat/completions";

/// A path in its only spelling.
#[derive(Debug)]
pub(crate) struct Path(String);

impl Path {
    /// Normalises a path, or returns `None` if servers may read it in different ways.
    ///
    /// Unescapes unreserved characters, and removes empty segments and `.`. Refuses `..`, escaped
    /// slashes and percent signs, backslashes, semicolons, control characters, and invalid escapes.
    pub(crate) fn normalise(path: &str) -> Option<Self> {
        let path = unescape(path.strip_prefix('/')?)?;
        let mut normal = String::with_capacity(path.len() + 1);
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => return None,
                segment => {
                    normal.push('/');
                    normal.push_str(segment);
                }
            }
        }
        Some(Self(normal))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the gateway forwards requests with this path.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.0.starts_with("/v1/")
    }

    /// Returns true if the path is the path of chat completions.
    pub(crate) fn is_chat(&self) -> bool {
        self.0.eq_ignore_ascii_case(CHAT)
    }
}

/// Unescapes unreserved characters (RFC 3986, 2.3), and writes other escapes in upper case.
fn unescape(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut unescaped = String::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match digit(bytes.next()?)? * 16 + digit(bytes.next()?)? {
                b'/' | b'%' | b'\\' | b';' | 0..=0x1F | 0x7F => return None,
                byte if is_unreserved(byte) => unescaped.push(byte.into()),
                byte => escape(byte, &mut unescaped),
            },
            b'\\' | b';' | 0..=0x20 | 0x7F => return None,
            byte if byte.is_ascii() => unescaped.push(byte.into()),
            byte => escape(byte, &mut unescaped),
        }
    }
    Some(unescaped)
}

/// Writes an escape with digits in upper case.
fn escape(byte: u8, out: &mut String) {
    let digits = [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    out.push('%');
    out.extend(digits.into_iter().flatten().map(|digit| digit.to_ascii_uppercase()));
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Returns the value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
