#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
mod limits;
mod slice;
mod sse;

#[cfg(any(feature = "stream", feature = "tokio-codec", feature = "http-body"))]
pub mod adapters;
#[cfg(feature = "std")]
mod chunk;
#[cfg(feature = "std")]
mod completion;
#[cfg(feature = "std")]
mod decoder;
#[cfg(feature = "std")]
pub mod gateway;
#[cfg(feature = "std")]
pub mod json;
#[cfg(feature = "std")]
mod template;

pub use error::{Error, ErrorKind};
pub use limits::Limits;
pub use sse::{Event, EventKind, LineSpan, LineSplitter, SseDecoder, SseEnd, is_event_stream};

#[cfg(feature = "std")]
pub use chunk::{
    AudioDelta, Carries, ChatCompletionChunk, Choice, Choices, CompletionTokensDetails, Delta,
    ErrorCode, Extra, FunctionDelta, Logprobs, Mismatch, OwnedChatCompletionChunk,
    PromptTokensDetails, StopReason, TokenLogprob, TokenLogprobs, ToolCallDelta, ToolCalls,
    UpstreamError, Usage,
};
#[cfg(feature = "std")]
pub use completion::{
    Arguments, Change, ChatCompletion, CompletionChoice, Defect, Finished, FunctionCall,
    Irregularities, Limit, Message, NotWhole, Outcome, Pending, ReasoningName, Reassembler,
    ToolCall,
};
#[cfg(feature = "std")]
pub use decoder::{
    Api, Body, ChunkDecoder, ChunkEvent, End, OtherObject, Payload, UpstreamFailure,
};
#[cfg(feature = "std")]
pub use json::Leniencies;
