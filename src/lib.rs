#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod error;
mod event;
mod limits;
mod line;
mod sse;

#[cfg(any(feature = "stream", feature = "tokio-codec", feature = "http-body"))]
pub mod adapters;
#[cfg(feature = "std")]
mod chunk;
#[cfg(feature = "std")]
mod decoder;
#[cfg(feature = "std")]
pub mod gateway;
#[cfg(feature = "std")]
pub mod json;
#[cfg(feature = "std")]
mod reassemble;
#[cfg(feature = "std")]
mod shape;

pub use error::{Error, ErrorKind};
pub use event::{Event, EventKind, is_event_stream};
pub use limits::Limits;
pub use line::{LineSpan, LineSplitter};
pub use sse::{SseDecoder, SseEnd};

#[cfg(feature = "std")]
pub use chunk::{
    AudioDelta, Carries, ChatCompletionChunk, Choice, Choices, CompletionTokensDetails, Delta,
    ErrorCode, Extra, FunctionDelta, Logprobs, Mismatch, OwnedChatCompletionChunk,
    PromptTokensDetails, StopReason, TokenLogprob, TokenLogprobs, ToolCallDelta, ToolCalls,
    UpstreamError, Usage,
};
#[cfg(feature = "std")]
pub use decoder::{
    Api, Body, ChunkDecoder, ChunkEvent, End, OtherObject, Payload, UpstreamFailure,
};
#[cfg(feature = "std")]
pub use json::{Leniencies, Limit};
#[cfg(feature = "std")]
pub use reassemble::{
    Arguments, Change, ChatCompletion, CompletionChoice, Defect, Finished, FunctionCall,
    Irregularities, Message, NotWhole, Outcome, Pending, ReasoningName, Reassembler, ToolCall,
};
