//! Events and payloads.

mod payloads;
