//! Writers append the same bytes to a `BytesMut` as to a vector.

use std::time::Duration;

use bytes::BytesMut;
use deltawire::gateway::{
    ChoiceWriter, ChunkWriter, Editor, Guard, RelayEnd, Replay, SseEvent, assemble, write_comment,
};
use deltawire::{ChunkDecoder, OutputBuffer};

use super::slices::relays;
use crate::support::script::streams;

const BEFORE: &[u8] = b": before\n\n";

/// Asserts that `write` appends the same to both kinds of buffers; returns both results.
macro_rules! same {
    ($out:ident => $write:expr) => {{
        let mut vec = BEFORE.to_vec();
        let of_vec = {
            let $out = &mut vec;
            $write
        };
        let mut bytes = BytesMut::from(BEFORE);
        let of_bytes = {
            let $out = &mut bytes;
            $write
        };
        assert!(vec.starts_with(BEFORE) && vec.len() > BEFORE.len(), "nothing is written");
        assert_eq!(vec, bytes);
        (of_vec, of_bytes)
    }};
}

fn relayed(kind: usize, stream: &[u8], out: &mut impl OutputBuffer) -> String {
    let mut relay = relays().into_iter().nth(kind).unwrap();
    for piece in stream.chunks(70) {
        let _ = relay.push(piece, Duration::ZERO, out);
    }
    let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, out);
    format!("{:?} {:?} {}", report.outcome, report.stream, report.must_abort)
}

fn edited(stream: &[u8], out: &mut impl OutputBuffer) {
    let (mut decoder, mut editor, mut input) = (ChunkDecoder::new(), Editor::new(), stream);
    editor.replace("model", "alias");
    while let Some(event) = decoder.next(&mut input) {
        let _ = editor.write(&event, out);
        let _ = editor.edit(&event).write(out);
    }
}

fn guarded(stream: &[u8], out: &mut impl OutputBuffer) {
    let (mut decoder, mut guard, mut input) = (ChunkDecoder::new(), Guard::new(), stream);
    let mut count = 0;
    while let Some(event) = decoder.next(&mut input) {
        let _ = guard.push(&event);
        count += 1;
        match count % 3 {
            0 => guard.release(4, out),
            1 => guard.release_by(|_| 2, out),
            _ => guard.release_searched(out),
        }
    }
    guard.release_all(out);
}

#[test]
fn parts_write_the_same_to_both_buffers() {
    for stream in streams() {
        for kind in 0..relays().len() {
            let (one, other) = same!(out => relayed(kind, &stream, out));
            assert_eq!(one, other);
        }
        same!(out => edited(&stream, out));
        same!(out => guarded(&stream, out));
    }
}

#[test]
fn writers_write_the_same_to_both_buffers() {
    let completion = assemble([&streams()[0][..]]).completion;
    same!(out => completion.write_json(out));
    same!(out => Replay::new(&completion).write_all(out));
    let (one, other) = same!(out => Replay::new(&completion).write_next(out));
    assert!(one && other);
    let mut json = Vec::new();
    completion.write_json(&mut json);
    let mut editor = Editor::new();
    editor.replace("model", "alias");
    let (one, other) = same!(out => editor.write_completion(&json, out));
    assert_eq!(one, other);
    for kind in 0..relays().len() {
        let mut relay = relays().into_iter().nth(kind).unwrap();
        let (one, other) = same!(out => relay.write_completion(&json, out));
        assert_eq!(one.unwrap().redactions, other.unwrap().redactions);
    }
    let chunk = ChunkWriter::new("1", "m", 7);
    let choices = [ChoiceWriter::new(0).content("Hi")];
    same!(out => chunk.choices(&choices).write_json(out));
    same!(out => chunk.choices(&choices).write_event(out));
    same!(out => SseEvent::new("a\nb").write(out)).0.unwrap();
    same!(out => write_comment("ping", out));
    // An error appends nothing.
    let mut out = BytesMut::from(BEFORE);
    assert!(SseEvent::new("a").id("\n").write(&mut out).is_err());
    assert!(editor.write_completion(b"[", &mut out).is_err());
    assert_eq!(out, BEFORE);
}
