//! A relay in a body and in a stream: its bytes, its ends, its pauses and its report.

use std::cell::RefCell;
use std::error::Error as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deltawire::adapters::{RelayBody, RelayError, RelayStream};
use deltawire::gateway::{
    Editor, Guard, Relay, RelayEnd, RelayGuard, RelayOutcome, RelayReport, StopReason, Words,
};
use futures_core::{FusedStream as _, Stream as _};
use http_body::{Body, Frame, SizeHint};

use super::slices::relays;
use crate::support::recordings;
use crate::support::script::{Script, Step, in_pieces_of, is_in, poll_body, poll_stream, streams};

const HI: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn piece(text: &'static str) -> Step {
    Step::Piece(Bytes::from_static(text.as_bytes()))
}

/// The reports that a relay's adapter has handed over.
#[derive(Clone, Default)]
struct Reports(Rc<RefCell<Vec<RelayReport>>>);

impl Reports {
    fn then(&self) -> impl FnOnce(RelayReport) + use<> {
        let reports = Rc::clone(&self.0);
        move |report| reports.borrow_mut().push(report)
    }

    fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Returns the only report.
    fn only(&self) -> RelayReport {
        let reports = self.0.borrow();
        assert_eq!(reports.len(), 1, "reports");
        reports[0].clone()
    }

    fn outcome(&self) -> RelayOutcome {
        self.only().outcome
    }
}

/// A result of an adapter, in the order of its polls.
#[derive(Clone, Debug, PartialEq)]
enum Out {
    Data(Bytes),
    Pending,
    Trailers,
    Failed(RelayError<&'static str>),
}

fn data(out: &[Out]) -> Vec<u8> {
    let data = out.iter().filter_map(|out| match out {
        Out::Data(data) => Some(&data[..]),
        _ => None,
    });
    data.collect::<Vec<_>>().concat()
}

fn text(out: &[Out]) -> String {
    String::from_utf8(data(out)).unwrap()
}

/// Returns the results but the data.
fn others(out: &[Out]) -> Vec<Out> {
    out.iter().filter(|out| !matches!(out, Out::Data(_))).cloned().collect()
}

/// Polls a body to its end, and checks its hints before and after each poll.
fn read_body<B>(body: &mut B) -> Vec<Out>
where
    B: Body<Data = Bytes, Error = RelayError<&'static str>> + Unpin,
{
    let (mut out, mut ended, mut hints) = (Vec::new(), false, Vec::new());
    loop {
        hints.push((out.len(), body.size_hint(), body.is_end_stream()));
        match poll_body(body) {
            Poll::Pending => out.push(Out::Pending),
            Poll::Ready(Some(Ok(frame))) => {
                assert!(!ended, "a frame behind the end");
                out.push(frame.into_data().map_or(Out::Trailers, Out::Data));
            }
            Poll::Ready(Some(Err(error))) => out.push(Out::Failed(error)),
            Poll::Ready(None) => break,
        }
        ended = body.is_end_stream();
    }
    assert!(body.is_end_stream());
    assert!(matches!(poll_body(body), Poll::Ready(None)), "the end is final");
    let (mut rest, mut at) = (0, out.len());
    for (start, hint, is_end) in hints.into_iter().rev() {
        rest += data(&out[start..at]).len() as u64;
        at = start;
        assert!(hint.lower() <= rest, "{hint:?} before {rest} bytes");
        assert!(hint.upper().is_none_or(|upper| upper >= rest), "{hint:?} before {rest} bytes");
        assert!(!is_end || start == out.len(), "the end isn't before the last frame");
    }
    out
}

/// Polls a stream to its end.
fn read_stream<S>(stream: &mut S) -> Vec<Out>
where
    S: futures_core::FusedStream<Item = Result<Bytes, RelayError<&'static str>>> + Unpin,
{
    let mut out = Vec::new();
    loop {
        let (lower, upper) = stream.size_hint();
        let polled = poll_stream(stream);
        if let Some(upper) = upper {
            assert_eq!((lower, matches!(polled, Poll::Ready(None))), (upper, upper == 0));
        }
        match polled {
            Poll::Pending => out.push(Out::Pending),
            Poll::Ready(Some(Ok(bytes))) => {
                assert!(lower > 0 || upper.is_none());
                out.push(Out::Data(bytes));
            }
            Poll::Ready(Some(Err(error))) => out.push(Out::Failed(error)),
            Poll::Ready(None) => break,
        }
    }
    assert!(stream.is_terminated());
    assert!(matches!(poll_stream(stream), Poll::Ready(None)), "the end is final");
    out
}

/// Returns the results of a body and of a stream of the same steps, which are equal, and the report.
fn relayed(steps: &[Step], relay: impl Fn() -> Relay) -> (Vec<Out>, RelayReport) {
    let (of_body, of_stream) = (Reports::default(), Reports::default());
    let mut body = RelayBody::new(Script::new(steps.to_vec()), relay(), of_body.then());
    let out = read_body(&mut body);
    drop(body);
    if !steps.iter().any(|step| matches!(step, Step::Trailers)) {
        let mut stream = RelayStream::new(Script::new(steps.to_vec()), relay(), of_stream.then());
        assert_eq!(read_stream(&mut stream), out);
        drop(stream);
        assert_eq!(of_stream.outcome(), of_body.outcome());
    }
    (out, of_body.only())
}

fn plain() -> Relay {
    Relay::builder().build()
}

fn aliased() -> Relay {
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    Relay::builder().edit(editor).build()
}

fn stopping() -> Relay {
    let guard = RelayGuard::new(Guard::new()).stop_at(Words::new(["bomb"]));
    Relay::builder().guard(guard).build()
}

/// Returns the bytes and the outcome of a relay without an adapter.
fn pushed(mut relay: Relay, pieces: &[Bytes]) -> (Vec<u8>, RelayReport) {
    let mut out = Vec::new();
    for piece in pieces {
        if !relay.push(piece, Duration::ZERO, &mut out).is_open() {
            break;
        }
    }
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
    (out, report)
}

#[test]
fn recordings_are_relayed_as_by_the_relay_alone() {
    let recorded = recordings("openai-chat").into_iter().map(|recording| recording.bytes);
    for stream in recorded.chain(streams()) {
        for size in [1, 97, 1500, usize::MAX] {
            if size == 1 && stream.len() > 5_000 {
                continue;
            }
            let (pieces, steps) = in_pieces_of(&stream, size.min(stream.len()));
            for kind in 0..relays().len() {
                let relay = || relays().into_iter().nth(kind).unwrap();
                let (expected, expected_report) = pushed(relay(), &pieces);
                let (out, report) = relayed(&steps, relay);
                let aborts = RelayError::Aborted(report.outcome.clone());
                let end = [Out::Pending, Out::Failed(aborts)];
                let end = if report.must_abort { &end[..] } else { &[] };
                assert_eq!(data(&out), expected, "in pieces of {size}");
                assert_eq!(others(&out), end);
                assert_eq!(report.outcome, expected_report.outcome);
                assert_eq!(report.stream, expected_report.stream);
                assert_eq!(report.must_abort, expected_report.must_abort);
            }
        }
    }
}

/// Trailers follow the relay's last bytes, and no bytes follow them.
#[test]
fn trailers_follow_the_last_bytes() {
    let unclosed = STOP.trim_end();
    let steps = [piece(HI), Step::Piece(unclosed.into()), Step::Trailers];
    let (out, report) = relayed(&steps, aliased);
    assert_eq!(text(&out), [HI, STOP].concat());
    assert_eq!(out.last(), Some(&Out::Trailers));
    assert_eq!(report.outcome, RelayOutcome::Complete);
    // A cut stream keeps its trailers too, behind the error event.
    let (out, report) = relayed(&[piece(HI), Step::Trailers], aliased);
    assert!(text(&out).starts_with(HI) && text(&out).contains("\"code\":\"cut\""));
    assert_eq!((out.last(), report.outcome), (Some(&Out::Trailers), RelayOutcome::Cut));
    // An aborted one has none.
    let (out, report) = relayed(&[piece("data: {\"cho"), Step::Trailers], plain);
    assert!(report.must_abort);
    assert_eq!(others(&out), [Out::Pending, Out::Failed(RelayError::Aborted(RelayOutcome::Cut))]);
}

/// A trailer that names the upstream's bytes doesn't follow those of the relay (RFC 9530).
#[test]
fn digests_are_removed_from_trailers() {
    let script = Script::new([piece(STOP), Step::Trailers]);
    let (mut body, mut names) = (RelayBody::new(script, aliased(), |_| ()), Vec::new());
    while let Poll::Ready(Some(frame)) = poll_body(&mut body) {
        let trailers = frame.unwrap().into_trailers().unwrap_or_default();
        names.extend(trailers.keys().map(ToString::to_string));
    }
    assert_eq!(names, ["x-sum"]);
}

/// An upstream's failure is an error event, a pause in which a server writes it, and an error.
#[test]
fn a_failure_follows_its_error_event() {
    for relay in [plain, aliased, stopping] {
        let (out, report) = relayed(&[piece(HI), Step::Fail("reset"), piece(DONE)], relay);
        let written = text(&out);
        assert!(
            written.starts_with(HI) && written.ends_with("\"code\":\"cut\"}}\n\n"),
            "{written}"
        );
        assert_eq!(
            out[out.len() - 2..],
            [Out::Pending, Out::Failed(RelayError::Upstream("reset"))]
        );
        assert_eq!(others(&out).len(), 2);
        assert_eq!(report.outcome, RelayOutcome::Cut);
    }
    // Inside of an event no error event can be added, and the upstream's error says it all.
    let (out, report) = relayed(&[piece("data: {\"cho"), Step::Fail("reset")], plain);
    assert_eq!(others(&out), [Out::Pending, Out::Failed(RelayError::Upstream("reset"))]);
    assert!(report.must_abort && text(&out) == "data: {\"cho");
}

/// The client of a stream with its `[DONE]` has all of it, so that a failure behind it is none.
#[test]
fn a_failure_behind_a_whole_stream_is_no_failure() {
    let steps = [piece(HI), piece(STOP), piece(DONE), Step::Fail("reset")];
    let (out, report) = relayed(&steps, plain);
    assert_eq!((text(&out), others(&out)), ([HI, STOP, DONE].concat(), vec![]));
    assert_eq!(report.outcome, RelayOutcome::Complete);
    // Behind the `[DONE]` of a stream that isn't whole, it is one, but no client reads on there.
    let (out, report) = relayed(&[piece(HI), piece(DONE), Step::Fail("reset")], plain);
    assert_eq!(text(&out), [HI, DONE].concat());
    assert_eq!(others(&out), [Out::Pending, Out::Failed(RelayError::Upstream("reset"))]);
    assert_ne!(report.outcome, RelayOutcome::Complete);
    // Without `[DONE]` it is one.
    let (out, report) = relayed(&[piece(HI), piece(STOP), Step::Fail("reset")], plain);
    assert_eq!(others(&out), [Out::Pending, Out::Failed(RelayError::Upstream("reset"))]);
    assert_eq!(report.outcome, RelayOutcome::Cut);
}

/// A body that counts polls, and notes its drop.
struct Counted {
    script: Script,
    polls: Rc<RefCell<(usize, bool)>>,
    is_end: bool,
}

impl Counted {
    fn new(steps: impl IntoIterator<Item = Step>) -> (Self, Rc<RefCell<(usize, bool)>>) {
        let polls = Rc::default();
        (Self { script: Script::new(steps), polls: Rc::clone(&polls), is_end: false }, polls)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.polls.borrow_mut().1 = true;
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.polls.borrow_mut().0 += 1;
        Pin::new(&mut self.script).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_end && self.script.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.script)
    }
}

/// The upstream is polled for a piece only when all bytes of the piece before are out.
#[test]
fn the_upstream_is_polled_only_if_no_bytes_wait() {
    let edited = "data: {\"model\":\"m\",\"choices\":[]}\n\n";
    let first = Bytes::from([HI, edited, HI, edited, HI].concat());
    let (inner, polls) = Counted::new([Step::Piece(first.clone()), piece(STOP), piece(DONE)]);
    let reports = Reports::default();
    let mut body = RelayBody::new(inner, aliased(), reports.then());
    assert_eq!(body.size_hint().exact(), None, "the inner length isn't that of the edited bytes");
    let mut next = || match poll_body(&mut body) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
        other => panic!("{other:?}"),
    };
    for expected in [HI, "alias", HI, "alias", HI] {
        let data = next();
        assert!(std::str::from_utf8(&data).unwrap().contains(expected));
        assert_eq!(is_in(&first, &data), expected == HI, "unchanged bytes are slices");
        assert_eq!(polls.borrow().0, 1);
    }
    assert_eq!((next(), polls.borrow().0), (STOP.into(), 2));
    assert_eq!((next(), polls.borrow().0), (DONE.into(), 3));
    assert!(!body.is_end_stream() && reports.count() == 0);
    assert!(matches!(poll_body(&mut body), Poll::Ready(None)));
    assert_eq!(*polls.borrow(), (4, true));
    assert_eq!(reports.outcome(), RelayOutcome::Complete);
}

/// An upstream that ends with its last frame ends the body with its last frame.
#[test]
fn the_last_frame_ends_the_body() {
    let (mut inner, polls) = Counted::new([piece(HI), Step::Piece(STOP.trim_end().into())]);
    inner.is_end = true;
    let reports = Reports::default();
    let mut body = RelayBody::new(inner, plain(), reports.then());
    let mut seen = Vec::new();
    while !body.is_end_stream() {
        let Poll::Ready(Some(Ok(frame))) = poll_body(&mut body) else { panic!() };
        seen.extend_from_slice(frame.data_ref().unwrap());
    }
    assert_eq!(seen, [HI, STOP].concat().into_bytes());
    assert_eq!((polls.borrow().0, reports.outcome()), (2, RelayOutcome::Complete));
    assert_eq!(body.size_hint().exact(), Some(0));
}

/// Even an empty body isn't over before its relay is: it is cut.
#[test]
fn an_empty_body_is_cut() {
    let (mut inner, _) = Counted::new([]);
    inner.is_end = true;
    let reports = Reports::default();
    let mut body = RelayBody::new(inner, plain(), reports.then());
    assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
    let Poll::Ready(Some(Ok(frame))) = poll_body(&mut body) else { panic!() };
    assert!(frame.data_ref().unwrap().starts_with(b"data: {\"error\""));
    assert!(body.is_end_stream());
    assert_eq!(reports.outcome(), RelayOutcome::Cut);
}

/// The guard's stop closes the upstream at once, though bytes still wait.
#[test]
fn a_stop_drops_the_upstream_at_once() {
    let bomb = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a bomb\"}}]}\n\n";
    let (inner, polls) = Counted::new([piece(HI), piece(bomb), piece(STOP)]);
    let reports = Reports::default();
    let mut body = RelayBody::new(inner, stopping(), reports.then());
    let out = read_body(&mut body);
    assert_eq!(*polls.borrow(), (2, true));
    assert!(!text(&out).contains("bomb") && text(&out).contains("\"error\""));
    assert_eq!(others(&out), []);
    assert!(matches!(reports.outcome(), RelayOutcome::Stopped(StopReason::Found(_))));
}

/// A caller's stop: bytes that wait, an error event, a clean end. A second one does nothing.
#[test]
fn a_callers_stop_ends_cleanly() {
    let edited = "data: {\"model\":\"m\",\"choices\":[]}\n\n";
    let (inner, polls) = Counted::new([Step::Piece([HI, edited].concat().into()), piece(STOP)]);
    let reports = Reports::default();
    let mut body = RelayBody::new(inner, aliased(), reports.then());
    assert!(matches!(poll_body(&mut body), Poll::Ready(Some(Ok(_)))));
    Pin::new(&mut body).stop();
    assert!(polls.borrow().1 && reports.count() == 0);
    Pin::new(&mut body).stop();
    let out = read_body(&mut body);
    assert!(text(&out).contains("alias") && text(&out).contains("\"error\""));
    assert_eq!(others(&out), []);
    assert_eq!(reports.outcome(), RelayOutcome::Stopped(StopReason::Gateway));
    // The client has a part of an event: no error event, and no clean end.
    let reports = Reports::default();
    let steps = [piece("data: {\"cho"), Step::Pending];
    let mut stream = RelayStream::new(Script::new(steps), plain(), reports.then());
    assert!(matches!(poll_stream(&mut stream), Poll::Ready(Some(Ok(_)))));
    Pin::new(&mut stream).stop();
    let aborted = RelayError::Aborted(RelayOutcome::Stopped(StopReason::Gateway));
    assert_eq!(read_stream(&mut stream), [Out::Pending, Out::Failed(aborted)]);
    assert!(reports.only().must_abort);
}

/// However many polls before the drop, there is one report, and its outcome is the client's.
#[test]
fn a_drop_hands_the_report_over_once() {
    let held = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi bo\"}}]}\n\n";
    let unclosed = STOP.trim_end();
    let whole = vec![piece(HI), Step::Pending, piece(held), Step::Piece(unclosed.into())];
    let cut = vec![piece(HI), piece(held)];
    let failed = vec![piece(HI), piece(held), Step::Fail("reset")];
    let clean = vec![piece(HI), Step::Piece([STOP, DONE].concat().into()), Step::Trailers];
    for steps in [whole, cut, failed, clean] {
        for relay in [plain, aliased, stopping] {
            let (all, report) = relayed(&steps, relay);
            let last = all.iter().rposition(|out| matches!(out, Out::Data(_))).unwrap();
            for polls in 0..all.len() + 2 {
                let reports = Reports::default();
                let mut body = RelayBody::new(Script::new(steps.clone()), relay(), reports.then());
                for _ in 0..polls {
                    let _frame = poll_body(&mut body);
                }
                drop(body);
                // With trailers or an end behind its last bytes, a body may not have ended yet.
                let outcome = reports.outcome();
                let is_gone = outcome == RelayOutcome::ClientGone;
                assert!(is_gone || outcome == report.outcome, "{outcome}");
                assert!(!is_gone || polls <= last + 1, "{polls} polls of {all:?}");
                assert!(is_gone || polls > last || outcome != RelayOutcome::Complete);
            }
        }
    }
}

/// Wakes are counted: the pause before an error is polled again without the upstream.
#[test]
fn the_pause_before_an_error_wakes() {
    #[derive(Default)]
    struct Wakes(AtomicUsize);
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let wakes = Arc::new(Wakes::default());
    let counting = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&counting);
    let script = Script::new([piece(HI), Step::Fail("reset")]);
    let mut body = RelayBody::new(script, plain(), drop);
    for _ in 0..2 {
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(Some(Err(_)))));
}

/// The relay measures from the request on.
#[test]
fn the_start_is_that_of_the_request() {
    let reports = Reports::default();
    let start = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
    let relay = Relay::builder().measure().build();
    let steps = [piece(HI), piece(STOP), piece(DONE)];
    let mut body = RelayBody::new(Script::new(steps), relay, reports.then()).with_start(start);
    assert_eq!(text(&read_body(&mut body)), [HI, STOP, DONE].concat());
    assert_eq!(body.relay().observer().deltas(), 0, "the relay is ready for another stream");
    let first = reports.only().latency.unwrap().time_to_first_token.unwrap();
    assert!(first >= Duration::from_secs(5), "{first:?}");
}

/// Errors have a text, a source, and a way to a boxed error. Nothing shows a text of the stream.
#[test]
fn errors_and_debug_show_no_text() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let reset = || std::io::Error::other("reset");
    let upstream = RelayError::Upstream(reset());
    assert_eq!(upstream.to_string(), "reading the upstream's body has failed");
    assert_eq!(upstream.source().unwrap().to_string(), "reset");
    assert_eq!(upstream.into_boxed().to_string(), "reset");
    let aborted = RelayError::<Boxed>::Aborted(RelayOutcome::Cut);
    assert_eq!(aborted.to_string(), "relayed stream has ended inside of an event, as cut");
    assert!(aborted.into_boxed().source().is_none());
    assert!(RelayError::Upstream(Boxed::from(reset())).into_boxed().is::<std::io::Error>());
    assert!(RelayError::<Boxed>::Aborted(RelayOutcome::Cut).into_upstream().is_none());

    let secret = "data: {\"model\":\"secret\",\"choices\":[]}\n\ndata: {\"a\":\"secret";
    let mut body = RelayBody::new(Script::new([piece(secret)]), aliased(), drop);
    let mut stream = RelayStream::new(Script::new([piece(secret)]), aliased(), drop);
    assert!(poll_body(&mut body).is_ready() && poll_stream(&mut stream).is_ready());
    assert!(!format!("{body:?} {stream:?}").contains("secret"));
}
