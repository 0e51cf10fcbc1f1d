//! Templates on against templates off.

mod literals;
mod streams;
