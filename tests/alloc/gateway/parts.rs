//! The parts of a gateway, one by one: nothing is allocated in steady state, and memory is given back.

use std::time::Duration;

use deltawire::gateway::request::ChatRequest;
use deltawire::gateway::{
    Editor, Guard, Meter, PushResult, Relay, RelayEnd, RewriteOutcome, UsageTap, UsageVisibility,
};
use deltawire::{ChunkDecoder, Templates};

use crate::support::events::{delta, each, event};
use crate::support::heap;

/// A rule takes the place of an earlier one, its text included, and others stay as they are.
#[test]
fn rules_that_are_set_again_hold_no_more() {
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    let set = |editor: &mut Editor, nth: usize| {
        editor.replace("id", &format!("id-{nth:05}"));
        editor.hide_usage(UsageVisibility::Null);
    };
    set(&mut editor, 0);
    let before = heap::live();
    (1..2000).for_each(|nth| set(&mut editor, nth));
    assert!(heap::live() - before < 100, "{}", heap::live() - before);
    let mut out = Vec::new();
    each(&event(r#"{"id":"1","model":"m","usage":{"a":1},"choices":[{}]}"#), |event| {
        assert_eq!(editor.write(event, &mut out), RewriteOutcome::Changed);
    });
    let expected = event(r#"{"id":"id-01999","model":"alias","usage":null,"choices":[{}]}"#);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// In steady state a tap with its meter, an editor and a guard allocate nothing.
#[test]
fn nothing_is_allocated_in_steady_state() {
    for name in ["vllm", "openai", "tools", "continuous-usage", "n2", "openrouter", "cjk-escaped"] {
        let stream = crate::workloads::generate(name, 200, 5).bytes;
        let head = &stream[..stream.len() / 2];
        // Other tests add templates to the set of the process, of which each one costs a new view.
        let templates = Templates::new();
        let mut tap = UsageTap::new().with_templates(&templates);
        let (mut meter, mut out) = (Meter::new(), Vec::new());
        let (mut editor, mut guard) = (Editor::new(), Guard::new());
        editor.replace("model", "alias");
        editor.hide_usage(UsageVisibility::Null);
        let mut decoder = ChunkDecoder::new().with_templates(&templates);
        let mut pass = |piece: &[u8]| {
            meter.record(tap.push(piece), Duration::from_secs(1));
            let mut input = piece;
            while let Some(event) = decoder.next(&mut input) {
                out.clear();
                let _ = (editor.write(&event, &mut out), guard.push(&event));
                guard.release(5, &mut out);
            }
        };
        // So often that each buffer has grown to its final size.
        for _ in 0..12 {
            pass(head);
        }
        let before = heap::allocations();
        pass(head);
        assert_eq!(heap::allocations() - before, 0, "{name}");
    }
}

/// However long the stream is, and whether its parts are shorter than the overlap or longer.
#[test]
fn what_is_released_is_forgotten() {
    for (size, count, keep) in [(100, 2000, 50), (1000, 300, 50), (1000, 300, 0)] {
        let part = delta(&format!(r#"{{"content":"{}"}}"#, "x".repeat(size)));
        let stream = part.repeat(count);
        let (mut guard, mut out) = (Guard::new(), Vec::with_capacity(2 * stream.len()));
        let mut most = 0;
        let before = heap::live();
        each(&stream, |event| {
            assert_eq!(guard.push(event), PushResult::Text);
            guard.release(keep, &mut out);
            most = most.max(heap::live() - before);
        });
        assert!(most < 32 << 10, "{most}");
        guard.release_all(&mut out);
        assert_eq!(out, stream.as_bytes());
    }
}

/// Held events use the same buffers all the time, and so do events that are held for a moment.
#[test]
fn a_guard_that_holds_as_much_as_before_allocates_nothing() {
    let stream = delta(&format!(r#"{{"content":"{}"}}"#, "x".repeat(100))).repeat(500);
    for (overlap, keep) in [(256, 10_000), (256, 0), (0, 0)] {
        let mut guard = Guard::with_bounds(1 << 20, overlap);
        let mut out = Vec::with_capacity(stream.len());
        let mut pass = || {
            let mut allocations = 0;
            out.clear();
            each(&stream, |event| {
                let before = heap::allocations();
                assert_eq!(guard.push(event), PushResult::Text);
                guard.release(keep, &mut out);
                allocations += heap::allocations() - before;
            });
            allocations
        };
        assert!(pass() > 0);
        assert_eq!([pass(), pass()], [0, 0], "{overlap} {keep}");
    }
}

/// Of a text that is thrown away no more of the buffer stays than the docs of `Guard` say.
#[test]
fn a_guard_frees_texts_that_are_discarded() {
    let (overlap, most, count) = (16 << 10, 310_000, 64);
    let text = |index: usize, len: usize| {
        let text = "x".repeat(len);
        event(&format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"{text}"}}}}]}}"#))
    };
    let before = heap::live();
    let mut guard = Guard::with_bounds(most, overlap);
    for index in 0..count {
        // Nearly half of it is behind the overlap.
        each(&text(index, 2 * overlap - 1000), |event| {
            assert_eq!(guard.push(event), PushResult::Text);
        });
        guard.release_all(&mut Vec::new());
        each(&text(index, 150_000), |event| assert_eq!(guard.push(event), PushResult::Text));
        guard.discard();
    }
    let most_heap = 4 * (most + count * overlap) + count * (4 << 10);
    let live = heap::live() - before;
    assert!(live.unsigned_abs() <= most_heap, "{live} of {most_heap}");
}

/// A read costs no more memory than the docs say, and stores only the model and the edits.
#[test]
fn memory_is_bounded_by_the_values() {
    for count in [1000, 100_000] {
        let numbers = vec!["1"; count].join(",");
        let members = vec!["\"a\":1"; count].join(",");
        let escapes = "\\n".repeat(count);
        for (body, values) in [
            (format!("{{\"stream\":true,\"a\":[{numbers}]}}"), count),
            (format!("{{\"stream\":true,{members}}}"), 2 * count),
            (format!("{{\"stream\":true,\"a\":\"{escapes}\"}}"), 0),
        ] {
            let before = heap::live();
            heap::reset_peak();
            let request = ChatRequest::read(body.as_bytes()).unwrap();
            let (peak, stored) = (heap::moving_peak() - before, heap::live() - before);
            let bound = 64 * values + body.len() + 2048;
            assert!(peak <= bound.cast_signed(), "{peak} bytes for {values} values, not {bound}");
            assert!(stored < 256, "{stored} bytes");
            assert!(request.is_stream());
        }
    }
}

/// The stream has texts of all kinds, a usage, an error, a malformed event and a cut one.
#[test]
fn a_report_is_written_without_an_allocation() {
    let call = r#"[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]"#;
    let stream = delta(&format!(
        r#"{{"content":"a","reasoning":"b","refusal":"c","tool_calls":{call}}}"#
    )) + &event(r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3}}"#)
        + "data: {\"a\n\nevent: x\ndata: {\"error\":{\"message\":\"m\",\"code\":502}}\n\n: ping\n\ndata: {\"a";
    let (mut relay, mut out) = (Relay::builder().measure().build(), Vec::new());
    assert!(relay.push(stream.as_bytes(), Duration::from_millis(5), &mut out).is_open());
    let report = relay.finish(RelayEnd::Upstream, Duration::from_millis(5), &mut out);
    let mut line = Vec::with_capacity(4096);
    let before = heap::allocations();
    serde_json::to_writer(&mut line, &report).unwrap();
    assert_eq!(heap::allocations(), before);
    assert!(line.len() > 500);
}
