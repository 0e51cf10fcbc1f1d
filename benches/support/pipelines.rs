//! Whole pipelines, from bytes to the contents of a stream, that can stop behind any piece.

use deltawire::completion::FinishedCompletion;
use deltawire::gateway::{StreamReport, UsageTap};
use deltawire::{ChunkDecoder, Outcome, Reassembler, Templates};

use crate::accumulate::Accumulate;
use crate::answers::said;
use crate::peers::{sse_core_decoder, sse_core_piece};
use crate::streams::Stream;
use crate::workloads::Expected;

/// Makes the decoders of a round, all from the state that the streams of the round share.
pub type Decoders = Box<dyn Fn() -> ChunkDecoder>;

/// Returns the decoders of a round in a process that has read streams before.
pub fn in_running_process() -> Decoders {
    Box::new(ChunkDecoder::new)
}

/// Returns the decoders of a round in a process that has read nothing before.
pub fn in_new_process() -> Decoders {
    let templates = Templates::new();
    Box::new(move || ChunkDecoder::new().with_templates(&templates))
}

/// Returns a decoder without its fast path, the templates.
pub fn general(decoders: &Decoders) -> ChunkDecoder {
    let mut decoder = decoders();
    decoder.set_templates(&Templates::none());
    decoder
}

/// The result of a stream.
pub trait Answer {
    fn is_right(&self, stream: &Stream) -> bool;
}

/// A stream's state.
pub trait Pipeline {
    const NAME: &'static str;
    type End: Answer + 'static;

    fn new(decoders: &Decoders) -> Self;
    fn feed(&mut self, piece: &[u8]);
    /// Returns the bytes allocated for the text that it keeps, beyond its length too.
    fn text(&mut self) -> usize;
    fn end(self) -> Self::End;
}

/// A function of each pipeline, with its name.
pub type EachPipeline<F> = [(&'static str, F); 6];

/// Makes an [`EachPipeline`] of a generic function.
macro_rules! each_pipeline {
    ($function:ident) => {{
        use $crate::accumulate::{AsyncOpenAi, SerdeJson, SimdJson, SonicRs};
        use $crate::pipelines::{Deltawire, SseCore};
        [
            (<Deltawire<true>>::NAME, $function::<Deltawire<true>>),
            (<Deltawire<false>>::NAME, $function::<Deltawire<false>>),
            (<SseCore<SerdeJson>>::NAME, $function::<SseCore<SerdeJson>>),
            (<SseCore<SonicRs>>::NAME, $function::<SseCore<SonicRs>>),
            (<SseCore<SimdJson>>::NAME, $function::<SseCore<SimdJson>>),
            (<SseCore<AsyncOpenAi>>::NAME, $function::<SseCore<AsyncOpenAi>>),
        ]
    }};
}
pub(crate) use each_pipeline;

pub struct Deltawire<const TEMPLATES: bool> {
    decoder: ChunkDecoder,
    completion: Reassembler,
}

impl<const TEMPLATES: bool> Pipeline for Deltawire<TEMPLATES> {
    const NAME: &'static str = if TEMPLATES { "deltawire" } else { "deltawire/general" };
    type End = FinishedCompletion;

    fn new(decoders: &Decoders) -> Self {
        let decoder = if TEMPLATES { decoders() } else { general(decoders) };
        Self { decoder, completion: Reassembler::new() }
    }

    fn feed(&mut self, piece: &[u8]) {
        let mut input = piece;
        while let Some(event) = self.decoder.next(&mut input) {
            self.completion.push_payload(event.payload());
        }
    }

    fn text(&mut self) -> usize {
        let choices = self.completion.snapshot().choices.iter();
        let texts = choices.filter_map(|choice| choice.message.content.as_ref());
        texts.map(String::capacity).sum()
    }

    fn end(mut self) -> FinishedCompletion {
        self.completion.finish(self.decoder.finish())
    }
}

impl Answer for FinishedCompletion {
    fn is_right(&self, stream: &Stream) -> bool {
        said(self) == Expected { comments: 0, ..stream.expected.clone() }
    }
}

impl Pipeline for UsageTap {
    const NAME: &'static str = "deltawire/tap";
    type End = StreamReport;

    fn new(_: &Decoders) -> Self {
        Self::new()
    }

    fn feed(&mut self, piece: &[u8]) {
        self.push(piece);
    }

    fn text(&mut self) -> usize {
        0
    }

    fn end(mut self) -> StreamReport {
        self.finish()
    }
}

impl Answer for StreamReport {
    fn is_right(&self, stream: &Stream) -> bool {
        let reasons = self.choices.iter().map(|choice| choice.finish_reason.as_deref());
        let expected = &stream.expected;
        self.outcome == Outcome::Complete
            && reasons.eq(expected.choices.iter().map(|choice| Some(&*choice.finish_reason)))
            && self.tokens.and_then(|tokens| tokens.total) == expected.total_tokens
    }
}

/// sse-core, which can be fed without a stream around it, and an accumulator.
pub struct SseCore<A> {
    decoder: sse_core::SseDecoder,
    completion: A,
}

impl<A: Accumulate + 'static> Pipeline for SseCore<A> {
    const NAME: &'static str = A::WITH_SSE_CORE;
    type End = A;

    fn new(_: &Decoders) -> Self {
        Self { decoder: sse_core_decoder(), completion: A::default() }
    }

    fn feed(&mut self, piece: &[u8]) {
        sse_core_piece(&mut self.decoder, piece, &mut |data| self.completion.push(data));
    }

    fn text(&mut self) -> usize {
        self.completion.text()
    }

    fn end(self) -> A {
        self.completion
    }
}

impl<A: Accumulate> Answer for A {
    /// Checks the members for which a peer has a field.
    fn is_right(&self, stream: &Stream) -> bool {
        let mut expected = Expected { comments: 0, ..stream.expected.clone() };
        for choice in &mut expected.choices {
            choice.logprobs = 0;
            if !A::HEARS_REASONING {
                choice.reasoning.clear();
            }
        }
        self.said() == expected
    }
}
