//! Streams and bodies that follow a script, with pauses and errors between their pieces.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};

/// Returns the project's streams, and events of all kinds in odd framing.
pub fn streams() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let names = ["text", "tools", "reasoning", "refusal", "n2", "usage", "error", "truncated"];
    let own = names.map(|name| std::fs::read(folder.join(name).with_extension("sse")).unwrap());
    let odd = b"\xEF\xBB\xBFid: 7\r\nretry: 9\r\ndata: {\"choices\":\r\ndata: []}\r\n\r\n\n: ping\n\n\
        event: delta\ndata: {\"a\":1}\n\nevent: delta\ndata: {\"a\":2}\n\nevent: delta\ndata: {\"a\":3}\n\n\
        event: only\n\nerror: {\"message\":\"no\"}\ndata: {\"a\":\n\ndata: ab\xFF\n\nevent: \xFFx\ndata: 1\n\n\
        data: {\"error\":{\"code\":502}}\r\rdata: {\"choices\":[]}\n: inside\n\nhtml?\ndata: [DONE]\n\ndata: cut";
    let huge = format!("data: \"{}\"\n\ndata: [DONE]\n\n", "x".repeat(600));
    own.into_iter().chain([odd.to_vec(), huge.into_bytes()]).collect()
}

/// A result of polling a stream or body.
#[derive(Clone, Debug)]
pub enum Step {
    Piece(Bytes),
    Pending,
    Fail(&'static str),
    Trailers,
}

/// A stream that panics where it is polled behind its end.
pub struct Script {
    pub steps: VecDeque<Step>,
    pub is_over: bool,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), is_over: false }
    }

    fn next(&mut self) -> Poll<Option<Step>> {
        assert!(!self.is_over, "polled behind the end");
        match self.steps.pop_front() {
            Some(Step::Pending) => Poll::Pending,
            Some(step) => Poll::Ready(Some(step)),
            None => {
                self.is_over = true;
                Poll::Ready(None)
            }
        }
    }
}

impl Stream for Script {
    type Item = Result<Bytes, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.next().map(|step| {
            step.map(|step| match step {
                Step::Piece(piece) => Ok(piece),
                Step::Fail(error) => Err(error),
                Step::Pending | Step::Trailers => panic!("no step of a stream"),
            })
        })
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.next().map(|step| {
            step.map(|step| match step {
                Step::Piece(piece) => Ok(Frame::data(piece)),
                Step::Trailers => Ok(Frame::trailers(
                    ["x-sum", "content-digest"]
                        .map(|name| (name.parse().unwrap(), "1".parse().unwrap()))
                        .into_iter()
                        .collect(),
                )),
                Step::Fail(error) => Err(error),
                Step::Pending => panic!("no frame"),
            })
        })
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = |step: &Step| if let Step::Piece(piece) = step { piece.len() } else { 0 };
        SizeHint::with_exact(self.steps.iter().map(bytes).sum::<usize>() as u64)
    }
}

/// Polls once.
pub fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

pub fn poll_stream<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

pub type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

pub fn poll_body<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Cuts a stream at `cuts`, with pauses and errors between the pieces.
pub fn script(stream: &[u8], cuts: &[(usize, u8)]) -> (Vec<Bytes>, Vec<Step>) {
    let stream = Bytes::copy_from_slice(stream);
    let mut cuts: Vec<_> = cuts.iter().map(|(at, how)| (at % (stream.len() + 1), *how)).collect();
    cuts.sort_unstable();
    let (mut from, mut pieces, mut steps) = (0, Vec::new(), Vec::new());
    for (at, how) in cuts.into_iter().chain([(stream.len(), 0)]) {
        // Two cuts at the same place make an empty piece.
        let piece = stream.slice(from..at);
        pieces.push(piece.clone());
        steps.push(Step::Piece(piece));
        match how % 4 {
            1 => steps.push(Step::Pending),
            2 => steps.extend([Step::Pending, Step::Pending]),
            3 => steps.push(Step::Fail("broken")),
            _ => {}
        }
        from = at;
    }
    (pieces, steps)
}

/// Cuts a stream into pieces of one size.
pub fn in_pieces_of(stream: &[u8], size: usize) -> (Vec<Bytes>, Vec<Step>) {
    let cuts: Vec<_> = (size..stream.len()).step_by(size).map(|at| (at, 0)).collect();
    script(stream, &cuts)
}

/// Returns true if a slice is in the memory of a piece.
pub fn is_in(piece: &Bytes, slice: &[u8]) -> bool {
    let slice = slice.as_ptr_range();
    piece.as_ptr_range().contains(&slice.start) && slice.end <= piece.as_ptr_range().end
}
