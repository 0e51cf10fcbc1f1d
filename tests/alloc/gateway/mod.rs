//! Memory and allocations of the parts of a gateway.

mod parts;
mod streams;
