//! A relay's bytes as slices of their pieces.

use std::time::Duration;

use bytes::Bytes;
use deltawire::gateway::{Editor, Guard, Pattern, Relay, RelayEnd, RelayGuard, Words};

use crate::support::script::streams;

/// Returns relays of all kinds: that pass all, edit some events, edit all, and guard.
pub(crate) fn relays() -> [Relay; 4] {
    let editor = |name: &str| {
        let mut editor = Editor::new();
        editor.replace(name, "alias");
        Relay::builder().edit(editor).pass_unreadable()
    };
    let guard = RelayGuard::new(Guard::new()).redact(Words::new(["the"]), "***").pass_unwatched();
    [
        Relay::builder().build(),
        editor("usage").build(),
        editor("model").build(),
        editor("model").guard(guard).build(),
    ]
}

/// A relay writes the same bytes to a buffer and as slices, in any pieces.
#[test]
fn a_relay_forwards_the_same_bytes_as_slices() {
    let time = Duration::ZERO;
    for stream in streams() {
        for size in [1, 7, 64, 1000, usize::MAX] {
            for (mut one, mut other) in relays().into_iter().zip(relays()) {
                let (mut expected, mut slices) = (Vec::new(), Vec::<Bytes>::new());
                for piece in stream.chunks(size.min(stream.len())) {
                    let flow = one.push(piece, time, &mut expected);
                    let piece = Bytes::copy_from_slice(piece);
                    assert_eq!(other.push_bytes(&piece, time, &mut slices), flow);
                }
                assert!(slices.iter().all(|slice| !slice.is_empty()));
                assert_eq!(slices.concat(), expected, "in pieces of {size}");
                let (mut end, mut other_end) = (Vec::new(), Vec::new());
                let report = one.finish(RelayEnd::Upstream, time, &mut end);
                let other_report = other.finish(RelayEnd::Upstream, time, &mut other_end);
                assert_eq!((report.outcome, end), (other_report.outcome, other_end));
            }
        }
    }
}

/// Events that no rule changes are one slice of their piece, without a copy.
#[test]
fn unchanged_events_are_one_slice_of_their_piece() {
    let event = |member: &str| format!("data: {{\"choices\":[],\"{member}\":\"m\"}}\n\n");
    let [some, model, cut] = [event("some"), event("model"), "data: {\"choices\":[]".to_owned()];
    let piece = Bytes::from([&*some, &*some, &*model, &*some, &*cut].concat());
    let is_slice = |slice: &Bytes, range: std::ops::Range<usize>| {
        slice.as_ptr() == piece[range.clone()].as_ptr() && slice.len() == range.len()
    };
    let [mut passing, mut unchanging, mut editing, _] = relays();
    let written = |relay: &mut Relay| {
        let mut slices = Vec::new();
        assert!(relay.push_bytes(&piece, Duration::ZERO, &mut slices).is_open());
        slices
    };
    let whole = piece.len() - cut.len();
    let slices = written(&mut passing);
    assert!(slices.len() == 1 && is_slice(&slices[0], 0..piece.len()));
    let slices = written(&mut unchanging);
    assert!(slices.len() == 1 && is_slice(&slices[0], 0..whole));
    let slices = written(&mut editing);
    let start = 2 * some.len();
    assert!(slices.len() == 3 && is_slice(&slices[0], 0..start));
    assert_eq!(slices[1], model.replace("\"m\"", "\"alias\""));
    assert!(is_slice(&slices[2], start + model.len()..whole));
    // The rest of a cut event comes with a copy of its first part.
    let rest = Bytes::from_static(b"}\n\n");
    let mut slices = Vec::new();
    let _ = editing.push_bytes(&rest, Duration::ZERO, &mut slices);
    assert_eq!(slices, [cut + "}\n\n"]);
}

/// A pattern is redacted as in the whole text, in any pieces and deltas.
#[test]
fn a_pattern_is_redacted_wherever_it_is_cut() {
    let regex = regex::Regex::new(r"\b\d{4}(?:[ -]?\d{4}){3}\b|secret").unwrap();
    let text = "a secret: 4111 1111 1111 1111, 41111111111111112 and 4111-1111-1111-1111";
    let expected = regex.replace_all(text, "[…]").into_owned();
    for size in 1..text.len() {
        let deltas = text.as_bytes().chunks(size).map(|delta| {
            let delta = std::str::from_utf8(delta).unwrap();
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{delta}\"}}}}]}}\n\n")
        });
        let guard = RelayGuard::new(Guard::new());
        let guard = guard.redact(Pattern::new(regex.clone(), 19), "[…]");
        let (mut relay, mut out) = (Relay::builder().guard(guard).build(), Vec::new());
        for delta in deltas {
            assert!(relay.push(delta.as_bytes(), Duration::ZERO, &mut out).is_open());
        }
        let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut out);
        assert_eq!(report.redactions, 3, "in deltas of {size} bytes");
        let completion = deltawire::gateway::assemble([&out[..]]).completion;
        let content = completion.choices[0].message.content.as_deref();
        assert_eq!(content, Some(&*expected), "in deltas of {size} bytes");
    }
}
