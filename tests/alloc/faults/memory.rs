//! Memory at the peak, against the table in the docs of `Limits`.

use std::time::Duration;

use deltawire::gateway::{
    EditRule, Editor, Guard, Meter, Observer, Replay, Sniffer, UsageTap, UsageVisibility, assemble,
};
use deltawire::{ChunkDecoder, Reassembler, SseDecoder};

use crate::support::faults::{FINISHED, KIB, MIB, delta, event, limits, push_all};
use crate::support::heap;

/// Returns streams that make each buffer grow, with an event of about `bytes` bytes.
fn greedy(bytes: usize) -> Vec<Vec<u8>> {
    let fill = |unit: &str| unit.repeat(bytes / unit.len());
    vec![
        delta(&format!(r#""content":"{}""#, fill("x"))),
        delta(&format!(r#""content":"{}""#, fill("\\n"))),
        delta(&format!(r#""content":"{}\n""#, fill("x"))),
        event(&format!(r#"{{"x":[{}0],"choices":[]}}"#, fill("0,"))),
        event(&format!(r#"{{{}"model":1,"choices":[]}}"#, fill(r#""model":1,"#))),
        event(&format!(r#"{{{}"y":1}}"#, fill(r#""x":1,"#))),
        event(&format!(
            r#"{{"choices":[{}{{}}]}}"#,
            r#"{"delta":{"content":"a"}},"#.repeat(4000.min(bytes / 27))
        )),
        delta(&format!(
            r#""tool_calls":[{}{{"index":0}}]"#,
            r#"{"index":0,"function":{"arguments":"a"}},"#.repeat(4000.min(bytes / 42))
        )),
        delta(&format!(r#""content":[{}{{"text":"a"}}]"#, fill(r#"{"text":"a"},"#))),
        event(&format!(r#"{{"usage":{{{}"a":1}}}}"#, fill(r#""b":1,"#))),
        [b"data: {\n", fill("data:\n").as_bytes(), b"data: \"choices\":[]}\n\n"].concat(),
        [b"data: {\"model\":\n", fill("data: \n").as_bytes(), b"data: 1}\n\n"].concat(),
        format!("event: {}\ndata: {{}}\n\n", fill("\u{FF}")).into_bytes(),
        [b"event: ", &vec![0xFF; bytes / 4][..], b"\ndata: {}\n\n"].concat(),
        format!("id: {}\ndata: {{}}\n\n", fill("x")).into_bytes(),
        format!("{}\n", fill(": comment")).into_bytes(),
        event(&format!(r#"{{"error":{{"message":"{}"}}}}"#, fill("m"))),
        format!("error: {}\n\n", fill("m")).into_bytes(),
    ]
}

/// Returns the memory that `work` adds at its peak, with both copies of a buffer that grows.
fn peak(work: impl FnOnce()) -> usize {
    let before = heap::live();
    heap::reset_peak();
    work();
    (heap::moving_peak() - before).max(0) as usize
}

/// Checks the rows of the decoders, `UsageTap`, `Reassembler`, `Editor` and `Guard`.
#[test]
fn memory_is_bounded_at_its_peak() {
    const EVENT: usize = 256 * KIB;
    const VALUES: usize = 4096;
    const COMPLETION: usize = 128 * KIB;
    let bounds = limits(|limits| {
        limits.max_event_bytes = EVENT;
        limits.max_line_bytes = EVENT;
        limits.max_json_values = VALUES;
        limits.max_completion_bytes = COMPLETION;
    });
    let framing = 2 * EVENT + 3 * bounds.max_id_bytes + 64 * KIB;
    let decoding = framing + EVENT + 96 * VALUES;
    let watching = decoding + 16 * KIB;
    let gathering = 3 * COMPLETION + 256 * KIB + KIB * bounds.max_choices + 96 * VALUES;
    // Deltas that make texts grow up to the limit, in many pushes.
    let text = "x".repeat(100);
    let small: Vec<_> = ["content", "reasoning", "refusal"]
        .into_iter()
        .cycle()
        .take(3 * 1000)
        .flat_map(|name| delta(&format!(r#""{name}":"{text}""#)))
        .collect();
    let sized = [EVENT / 3, EVENT - 400, 2 * EVENT].into_iter().flat_map(greedy);
    let mut largest = [0; 4];
    for stream in sized.chain([small]) {
        let stream = [&stream[..], &stream, FINISHED.as_bytes()].concat();
        let read = |next: &mut dyn FnMut(&[u8])| stream.chunks(1000).for_each(next);
        let mut sse = SseDecoder::with_limits(bounds);
        let framed = peak(|| read(&mut |mut piece| while sse.next(&mut piece).is_some() {}));
        let mut decoder = ChunkDecoder::with_limits(bounds);
        let read_at_peak =
            peak(|| read(&mut |mut piece| while decoder.next(&mut piece).is_some() {}));
        let mut tap = UsageTap::with_limits(bounds);
        let tapped = peak(|| {
            read(&mut |piece| {
                tap.push(piece);
            });
        });
        decoder.reset();
        let before = heap::live();
        let mut completion = Reassembler::with_limits(bounds);
        let gathered = peak(|| push_all(&mut completion, &mut decoder, &stream));
        let found = [framed, read_at_peak, tapped, gathered];
        let most = [framing, decoding, watching, gathering];
        let name = String::from_utf8_lossy(&stream[..60]);
        assert!(
            found.iter().zip(most).all(|(found, most)| *found <= most),
            "{found:?} {most:?} {name}"
        );
        largest = std::array::from_fn(|at| largest[at].max(found[at]));
        completion.reset();
        let held = heap::live() - before;
        assert!(held <= (MIB + 128 * KIB) as isize, "{held} bytes held after a reset");

        let mut editor = Editor::new();
        editor.replace("model", "alias");
        editor.remove("x");
        editor.hide_usage(UsageVisibility::Removed);
        let mut by_path = Editor::with_rules([
            EditRule::replace("$.x[*]", "new").unwrap(),
            EditRule::rename("$.x", "y").unwrap(),
            EditRule::set("$.choices[*].delta.n", 1).unwrap(),
            EditRule::remove("$.choices[*].delta.content[*].text").unwrap(),
        ]);
        let mut guard = Guard::with_bounds(EVENT, 256);
        let mut out = Vec::with_capacity(16 * MIB);
        let mut decoder = ChunkDecoder::new();
        let mut input = &stream[..];
        let mut guarded = 0;
        while let Some(event) = decoder.next(&mut input) {
            let edited = peak(|| _ = editor.write(&event, &mut out));
            assert!(edited <= 16 * event.raw().len() + 64 * KIB, "{edited} bytes, {name}");
            let edited = peak(|| _ = by_path.write(&event, &mut out));
            assert!(edited <= 96 * event.raw().len() + 64 * KIB, "{edited} bytes, {name}");
            guarded += peak(|| _ = guard.push(&event));
            assert!(guarded <= 6 * EVENT + 256 * 4 * KIB, "{guarded} bytes, {name}");
        }
    }
    // The peaks reach a large part of the bounds.
    let [framed, decoded, _, gathered] = largest;
    assert!(framed > EVENT && decoded > 3 * EVENT / 2 && gathered > 2 * COMPLETION, "{largest:?}");
}

/// Checks the docs of `Editor::write_completion`: bytes for each name and value, and for each change.
#[test]
fn memory_of_an_edited_completion_is_bounded_at_its_peak() {
    // Buffers have just doubled.
    const COUNT: usize = (16 << 10) + 100;
    let list = |one: &str| format!(r#"{{"choices":[],"a":[{}]}}"#, vec![one; COUNT].join(","));
    let number = EditRule::replace("$.a[*]", 7).unwrap();
    // Rules of different paths that select the same values.
    let paths = ["$.a[*]", "$['a'].*", "$.*[*]", "$.*.*"];
    let same = |action: fn(&str) -> EditRule| paths.map(action).to_vec();
    let set = |rules: usize| -> Vec<_> {
        (0..rules).map(|at| EditRule::set(&format!("$.a[*].x{at}"), 7).unwrap()).collect()
    };
    let rename = |path: &str| EditRule::rename(path, "c").unwrap();
    let mut most = 0;
    for (body, values, rules, changes) in [
        (list("1"), COUNT, vec![], 0),
        (list("1"), COUNT, vec![EditRule::replace("$.model", 1).unwrap()], 0),
        (list("1"), COUNT, vec![number], COUNT),
        (list("1"), COUNT, same(|path| EditRule::replace(path, 7).unwrap()), 4 * COUNT),
        (list("1"), COUNT, same(|path| EditRule::remove(path).unwrap()), 4 * COUNT),
        (list("{}"), COUNT, set(1), COUNT),
        (list("{}"), COUNT, set(4), 4 * COUNT),
        (list("{}"), COUNT, set(16), 16 * COUNT),
        (list(r#"{"b":1}"#), 3 * COUNT, vec![rename("$.a[*].b")], COUNT),
        (
            list(r#"{"b":1}"#),
            3 * COUNT,
            vec![rename("$.a[*].b"), EditRule::set("$.a[*].c", 1).unwrap()],
            2 * COUNT,
        ),
    ] {
        let mut editor = Editor::with_rules(rules);
        let mut out = Vec::with_capacity(16 * MIB);
        let edited = peak(|| _ = editor.write_completion(body.as_bytes(), &mut out).unwrap());
        let bound = 64 * values + 192 * changes + 64 * KIB;
        assert!(edited <= bound, "{edited} of {bound} bytes: {changes} changes of {values}");
        most = most.max(100 * edited / bound);
    }
    assert!(most > 50, "{most} percent of the bound");
}

/// Checks the rows of `Observer`, `Meter` and `Sniffer`.
///
/// The stream has twice the limit of choices. Its finish reasons and its error are too long to be
/// stored whole.
#[test]
fn memory_of_watchers_is_bounded_at_its_peak() {
    for choices in [128, 5000] {
        let bounds = limits(|limits| limits.max_choices = choices);
        let reason = "r".repeat(1000);
        let events = (0..2 * choices).map(|index| {
            event(&format!(r#"{{"choices":[{{"index":{index},"finish_reason":"{reason}"}}]}}"#))
        });
        let text = "e".repeat(100 * KIB);
        let error = event(&format!(
            r#"{{"error":{{"message":"{text}","type":"{text}","param":"{text}","code":"{text}"}}}}"#
        ));
        let stream = events.chain([error]).collect::<Vec<_>>().concat();
        let mut decoder = ChunkDecoder::with_limits(bounds);
        // The first round makes the decoder's buffers grow, and isn't measured.
        for is_first in [true, false] {
            let mut observer = Observer::with_limits(&bounds);
            let before = heap::live();
            let mut input = &stream[..];
            let at_peak = peak(|| {
                while let Some(event) = decoder.next(&mut input) {
                    observer.observe(&event);
                }
            });
            decoder.reset();
            if is_first {
                continue;
            }
            let most = 16 * KIB + 256 * choices;
            assert!((64 * choices..=most).contains(&at_peak), "{at_peak} of {most}");
            observer.reset();
            let held = heap::live() - before;
            assert!(held <= (16 * KIB) as isize, "{held} bytes held after a reset");
        }
        let mut meter = Meter::new();
        let of_meter = peak(|| {
            for nth in 0..100_000 {
                meter.record_total(nth, Duration::from_millis(nth));
            }
        });
        let mut sniffer = Sniffer::new();
        let of_sniffer = peak(|| stream.chunks(7).for_each(|piece| _ = sniffer.push(piece)));
        assert!(of_meter.max(of_sniffer) <= 16 * KIB, "{of_meter} {of_sniffer}");
    }
}

/// Checks the row of `Replay`, whose memory is bounded by the longest line of its output.
#[test]
fn memory_of_a_replay_is_bounded_at_its_peak() {
    for stream in greedy(256 * KIB) {
        let completion = assemble([&stream[..]]).completion;
        let mut out = Vec::with_capacity(16 * MIB);
        let replayed = peak(|| Replay::new(&completion).write_all(&mut out));
        let longest = out.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).max();
        let most = 2 * longest.unwrap_or(0) + 16 * KIB;
        assert!(replayed <= most, "{replayed} of {most}: {}", out.len());
    }
}
