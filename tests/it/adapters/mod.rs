//! The adapters emit the events of the decoder, in any cut, also between pauses and errors.

mod events;
mod layer;
mod observed;
mod outputs;
mod relayed;
mod slices;
mod sse;
