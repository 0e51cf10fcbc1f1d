//! The recordings and vectors of `../shared`, without the helpers of the other suites.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Returns the folder `../shared`, or `None` if it is absent and not required.
pub fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if path.join("corpus").is_dir() && path.join("vectors").is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("DELTAWIRE_REQUIRE_SHARED").is_none(), "../shared is required");
    say("not compared: the recordings and vectors of ../shared are absent");
    None
}

/// Prints past the test harness, which captures the macro's output.
#[expect(clippy::explicit_write, reason = "eprintln! is what the harness captures")]
pub fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// Reads base64 as RFC 4648, section 4 has it.
pub fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for character in text.trim_end_matches('=').chars() {
        bits = bits << 6 | u32::try_from(ALPHABET.find(character).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).unwrap());
        }
    }
    bytes
}
