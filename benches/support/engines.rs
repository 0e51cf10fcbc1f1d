//! All that is timed on a workload: floors, stages of deltawire, and its peers.

use std::hint::black_box;

use bytes::Bytes;
use deltawire::SseDecoder;
use deltawire::sse::EventKind;

use crate::accumulate::{Accumulate, AsyncOpenAi, SerdeJson, SimdJson, SonicRs};
use crate::cuts::Cut;
use crate::harness::Engine;
use crate::peers::{FRAMERS, Framer};
use crate::pipelines::{Answer, Decoders, Deltawire, Pipeline, general};
use crate::streams::{Stream, Workload};
use crate::view::Read;

/// An answer for each stream of a workload.
pub type Answers = Vec<Box<dyn Answer>>;

struct LineEnds(usize);

impl Answer for LineEnds {
    fn is_right(&self, stream: &Stream) -> bool {
        self.0 == stream.bytes.split(|byte| *byte == b'\n').count() - 1
    }
}

struct Copied(usize);

impl Answer for Copied {
    fn is_right(&self, stream: &Stream) -> bool {
        self.0 == stream.bytes.len()
    }
}

/// Events with data, and bytes of their data.
struct Framed(usize, usize);

impl Answer for Framed {
    fn is_right(&self, stream: &Stream) -> bool {
        (self.0, self.1) == stream.framed
    }
}

impl Answer for Read {
    fn is_right(&self, stream: &Stream) -> bool {
        self.is_right(stream)
    }
}

/// Returns a workload's streams in pieces that share each stream's memory.
pub fn pieces(workload: &Workload, cut: Cut) -> Vec<Vec<Bytes>> {
    let streams = workload.streams.iter().map(|stream| {
        let bytes = Bytes::copy_from_slice(&stream.bytes);
        stream.ranges(cut).into_iter().map(|range| bytes.slice(range)).collect()
    });
    streams.collect()
}

/// Returns the number of wrong answers.
pub fn wrong(answers: &Answers, workload: &Workload) -> usize {
    let answers = answers.iter().zip(&workload.streams);
    answers.filter(|(answer, stream)| !answer.is_right(stream)).count()
}

/// Returns the engines for streams in these pieces, floors first, peers last.
///
/// `begin` is called once in a round of each engine with a chunk decoder.
pub fn engines(streams: &[Vec<Bytes>], begin: fn() -> Decoders) -> Vec<Engine<'_, Answers>> {
    let longest = streams.iter().map(|pieces| pieces.iter().map(Bytes::len).sum()).max();
    let mut buffer = vec![0; longest.unwrap_or(0)];
    let mut engines = vec![
        each("floor/line-ends", streams, line_ends),
        each("floor/memcpy", streams, move |pieces| copy(pieces, &mut buffer)),
        each("deltawire/framing", streams, framing),
        decoded("deltawire/view", streams, begin, |decoders, pieces| {
            Read::stream(general(decoders), pieces.iter().map(|piece| &piece[..]))
        }),
        decoded("deltawire/general", streams, begin, whole::<Deltawire<false>>),
        decoded("deltawire", streams, begin, whole::<Deltawire<true>>),
    ];
    for (name, frame) in FRAMERS {
        engines.push(each(format!("peer-framing/{name}"), streams, move |pieces| {
            let mut framed = Framed(0, 0);
            frame(pieces, &mut |data| framed = Framed(framed.0 + 1, framed.1 + data.len()));
            framed
        }));
    }
    for framer in FRAMERS {
        engines.push(peer::<AsyncOpenAi>(framer, streams));
        engines.push(peer::<SerdeJson>(framer, streams));
        engines.push(peer::<SonicRs>(framer, streams));
        engines.push(peer::<SimdJson>(framer, streams));
    }
    engines
}

/// Runs on one stream after the other.
fn each<'e, A: Answer + 'static>(
    name: impl Into<String>,
    streams: &'e [Vec<Bytes>],
    mut run: impl FnMut(&[Bytes]) -> A + 'e,
) -> Engine<'e, Answers> {
    Engine::new(name, move || answers(streams, &mut run))
}

/// Runs on one stream after the other, each with a decoder of the same round.
fn decoded<'e, A: Answer + 'static>(
    name: impl Into<String>,
    streams: &'e [Vec<Bytes>],
    begin: fn() -> Decoders,
    run: impl Fn(&Decoders, &[Bytes]) -> A + 'e,
) -> Engine<'e, Answers> {
    Engine::new(name, move || {
        let decoders = begin();
        answers(streams, |pieces| run(&decoders, pieces))
    })
}

fn answers<A: Answer + 'static>(
    streams: &[Vec<Bytes>],
    mut run: impl FnMut(&[Bytes]) -> A,
) -> Answers {
    let mut answers: Answers = Vec::with_capacity(streams.len());
    for pieces in streams {
        answers.push(Box::new(run(pieces)));
    }
    answers
}

/// Runs the floor of framing: nothing can frame without reading.
fn line_ends(pieces: &[Bytes]) -> LineEnds {
    LineEnds(pieces.iter().map(|piece| memchr::memchr_iter(b'\n', piece).count()).sum())
}

/// Runs the floor of forwarding.
fn copy(pieces: &[Bytes], buffer: &mut [u8]) -> Copied {
    let mut len = 0;
    for piece in pieces {
        buffer[len..len + piece.len()].copy_from_slice(piece);
        len += piece.len();
    }
    black_box(buffer);
    Copied(len)
}

fn framing(pieces: &[Bytes]) -> Framed {
    let mut framed = Framed(0, 0);
    let mut decoder = SseDecoder::new();
    for piece in pieces {
        let mut input = &piece[..];
        while let Some(event) = decoder.next(&mut input) {
            if event.kind() == EventKind::Message {
                framed = Framed(framed.0 + 1, framed.1 + event.data().len());
            }
        }
    }
    framed
}

fn whole<P: Pipeline>(decoders: &Decoders, pieces: &[Bytes]) -> P::End {
    let mut pipeline = P::new(decoders);
    for piece in pieces {
        pipeline.feed(piece);
    }
    pipeline.end()
}

fn peer<'e, A: Accumulate + 'static>(
    (name, frame): (&str, Framer),
    streams: &'e [Vec<Bytes>],
) -> Engine<'e, Answers> {
    each(format!("peer/{name}+{}", A::NAME), streams, move |pieces| {
        let mut completion = A::default();
        frame(pieces, &mut |data| completion.push(data));
        completion
    })
}
