//! Chunks to completions.

mod merging;
mod parts;
mod tails;
mod wire;
