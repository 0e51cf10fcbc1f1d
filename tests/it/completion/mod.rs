//! Chunks to completions.

mod merging;
mod tails;
mod wire;
