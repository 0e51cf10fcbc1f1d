//! Failures reported as success, and faults of replays, a test for each kind.

mod ends;
mod outcomes;
mod replays;
