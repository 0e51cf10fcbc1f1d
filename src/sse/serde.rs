//! `Serialize` for the report of a decoder.

use super::rest::SseEnd;
use crate::report::report;

report!(SseEnd { bytes, discarded_bytes });
