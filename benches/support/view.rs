//! A chunk's view, read: every field that the typed structs of the peers have.

use std::hint::black_box;

use deltawire::chunk::ChatCompletionChunk;
use deltawire::{ChunkDecoder, Payload};

use crate::streams::Stream;

/// The values read from some chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub chunks: usize,
    /// Bytes of content, reasoning and arguments.
    pub text: usize,
    /// Bytes of all other texts.
    pub around: usize,
    /// A sum of all numbers.
    pub numbers: u64,
}

pub fn len<'t>(texts: impl IntoIterator<Item = Option<&'t str>>) -> usize {
    texts.into_iter().flatten().map(str::len).sum()
}

pub fn sum(numbers: impl IntoIterator<Item = Option<u64>>) -> u64 {
    numbers.into_iter().flatten().sum()
}

impl Read {
    /// Returns true if the text is as long as the text of an accumulator.
    ///
    /// Some recorded streams have texts in parts, errors with chunks and others. Reading fields alone
    /// doesn't find these.
    pub fn is_right(&self, stream: &Stream) -> bool {
        let text = stream.expected.choices.iter().map(|choice| {
            let arguments = choice.calls.iter().map(|(_, _, arguments)| arguments.len());
            choice.content.len() + choice.reasoning.len() + arguments.sum::<usize>()
        });
        // The bytes around the text are read too; the generator has no figure for them.
        black_box((self.around, self.numbers));
        stream.is_recorded || (self.chunks, self.text) == (stream.expected.chunks, text.sum())
    }

    /// Reads a stream with `decoder`.
    pub fn stream<'p>(mut decoder: ChunkDecoder, pieces: impl Iterator<Item = &'p [u8]>) -> Self {
        let mut read = Self::default();
        for mut input in pieces {
            while let Some(event) = decoder.next(&mut input) {
                if let Payload::Chunk(chunk) = event.payload() {
                    read.chunk(chunk);
                }
            }
        }
        read
    }

    fn chunk(&mut self, chunk: &ChatCompletionChunk<'_>) {
        self.chunks += 1;
        self.around += len([
            chunk.id(),
            chunk.object(),
            chunk.model(),
            chunk.service_tier(),
            chunk.system_fingerprint(),
        ]);
        self.numbers += sum([chunk.created()]);
        for choice in chunk.choices() {
            let delta = choice.delta();
            let reasoning = delta.reasoning_content();
            let mirrored = delta.reasoning().filter(|text| Some(*text) != reasoning);
            self.text += len([delta.content(), reasoning, mirrored]);
            self.around += len([choice.finish_reason(), delta.role(), delta.refusal()]);
            self.numbers += sum([choice.index()]);
            for call in delta.tool_calls() {
                self.text += len([call.arguments()]);
                self.around += len([call.id(), call.r#type(), call.name()]);
                self.numbers += sum([call.index()]);
            }
        }
        if let Some(usage) = chunk.usage() {
            self.numbers +=
                sum([usage.prompt_tokens(), usage.completion_tokens(), usage.total_tokens()]);
        }
    }
}
