//! A body that is observed while it is forwarded.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use deltawire::adapters::{BodyEnd, BodyObserver, BodyStep, ObservedBody};
use deltawire::gateway::{StreamReport, UsageTap};
use http_body::{Body, Frame};

use crate::support::script::{Script, Step, in_pieces_of, poll_body, streams};

/// The reports to an observer.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<(Vec<u8>, Vec<BodyEnd>)>>);

impl BodyObserver for Told {
    fn data(&mut self, piece: &[u8]) {
        let (bytes, ends) = &mut *self.0.borrow_mut();
        assert!(ends.is_empty(), "told behind the end");
        bytes.extend_from_slice(piece);
    }

    fn end(&mut self, end: BodyEnd) {
        self.0.borrow_mut().1.push(end);
    }
}

/// Frames, trailers, hints and errors are those of the inner body; data are the same memory.
#[test]
fn a_body_passes_unchanged() {
    let stream = Bytes::from(streams().swap_remove(0));
    let (one, two) = (stream.slice(..99), stream.slice(99..));
    let steps =
        [Step::Piece(one), Step::Pending, Step::Fail("hiccup"), Step::Piece(two), Step::Trailers];
    let told = Told::default();
    let mut inner = Script::new(steps.clone());
    let mut body = ObservedBody::new(Script::new(steps), told.clone());
    loop {
        let (expected, found) = (poll_body(&mut inner), poll_body(&mut body));
        assert_eq!(body.is_end_stream(), inner.is_over);
        assert_eq!(body.size_hint().exact(), Body::size_hint(&inner).exact());
        match (expected, found) {
            (Poll::Pending, Poll::Pending) => {}
            (Poll::Ready(Some(Err(expected))), Poll::Ready(Some(Err(found)))) => {
                assert_eq!(expected, found);
            }
            (Poll::Ready(None), Poll::Ready(None)) => break,
            (Poll::Ready(Some(Ok(expected))), Poll::Ready(Some(Ok(found)))) => {
                assert_eq!(expected.trailers_ref(), found.trailers_ref());
                let data = [expected.into_data(), found.into_data()].map(Result::ok);
                assert_eq!(
                    data[0].as_ref().map(|data| data.as_ptr()),
                    data[1].as_ref().map(|data| data.as_ptr())
                );
                assert_eq!(data[0], data[1]);
            }
            (expected, found) => panic!("{expected:?} became {found:?}"),
        }
    }
    // The end is final, and an inner body that isn't fused isn't asked again.
    assert!(matches!(poll_body(&mut body), Poll::Ready(None)));
    drop(body);
    // It has failed: later frames are passed on, and aren't the observer's.
    assert_eq!(*told.0.borrow(), (stream[..99].to_vec(), vec![BodyEnd::Failed]));
}

/// A body with a length, which reports its own end: it isn't polled for the `None`.
struct Sized(Option<Bytes>);

impl Body for Sized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// The observer is told of the end once, however it comes.
#[test]
fn an_observer_ends_once() {
    let piece = Step::Piece(Bytes::from_static(b"data: {}\n\n"));
    for (steps, polls, expected) in [
        (vec![piece.clone()], 2, BodyEnd::Complete),
        (vec![piece.clone()], 1, BodyEnd::Dropped),
        (vec![piece.clone()], 0, BodyEnd::Dropped),
        (vec![piece.clone(), Step::Trailers], 2, BodyEnd::Complete),
        (vec![piece.clone(), Step::Trailers], 3, BodyEnd::Complete),
        (vec![piece.clone(), Step::Pending, piece.clone()], 2, BodyEnd::Dropped),
        (vec![piece.clone(), Step::Fail("broken")], 2, BodyEnd::Failed),
        (vec![piece, Step::Fail("broken")], 3, BodyEnd::Failed),
    ] {
        let told = Told::default();
        let mut body = ObservedBody::new(Script::new(steps.clone()), told.clone());
        for _ in 0..polls {
            let _frame = poll_body(&mut body);
        }
        drop(body);
        assert_eq!(told.0.borrow().1, [expected], "{steps:?} polled {polls} times");
    }
    for (bytes, polls) in [(Some(Bytes::from_static(b"data: {}\n\n")), 1), (None, 0)] {
        let told = Told::default();
        let mut body = ObservedBody::new(Sized(bytes), told.clone());
        for _ in 0..polls {
            let _frame = poll_body(&mut body);
            assert_eq!(told.0.borrow().1, [BodyEnd::Complete]);
        }
        drop(body);
        assert_eq!(told.0.borrow().1, [BodyEnd::Complete]);
    }
}

#[test]
fn a_closure_observes() {
    let mut steps = Vec::new();
    let script = Script::new([Step::Piece(Bytes::from_static(b"ab")), Step::Trailers]);
    let mut body = ObservedBody::new(script, |step: BodyStep<'_>| steps.push(format!("{step:?}")));
    while let Poll::Ready(Some(_)) = poll_body(&mut body) {}
    drop(body);
    assert_eq!(steps, ["Data([97, 98])", "End(Complete)"]);
}

/// A tap in a body returns the report of a tap, also if the body is dropped.
#[test]
fn tap_in_a_body_has_the_report_of_a_tap_beside_it() {
    for stream in streams() {
        for polls in [1, 3, 1000] {
            let (pieces, steps) = in_pieces_of(&stream, 50);
            let mut seen: Option<(StreamReport, BodyEnd)> = None;
            let mut body = ObservedBody::tap(Script::new(steps), |observed, end| {
                assert!(seen.replace((observed, end)).is_none());
            });
            for _ in 0..polls {
                let _frame = poll_body(&mut body);
            }
            drop(body);
            let mut tap = UsageTap::new();
            for piece in pieces.iter().take(polls) {
                tap.push(piece);
            }
            let is_whole = polls > pieces.len();
            let end = if is_whole { BodyEnd::Complete } else { BodyEnd::Dropped };
            assert_eq!(seen, Some((tap.finish(), end)));
        }
    }
}
