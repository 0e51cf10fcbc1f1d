//! Chunks to completions.

mod merging;
mod odd_values;
mod parts;
mod tails;
mod wire;
