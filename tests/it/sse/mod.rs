//! Framing.

mod framing;
