use deltawire::gateway::{Guard, PushResult};
use deltawire::{ChunkDecoder, ChunkEvent, Payload};

/// Holds an event until its texts have been looked at, and releases what may go.
fn look(event: &ChunkEvent<'_>, word: &str, guard: &mut Guard, out: &mut Vec<u8>) {
    let mut pushed = guard.push(event);
    if pushed == PushResult::Full {
        // It has been looked at, but a word may begin at its end: else end the stream.
        guard.release_all(out);
        pushed = guard.push(event);
    }
    match pushed {
        PushResult::Text | PushResult::NoText => {}
        // More than may be held: let it pass unseen, or end the stream.
        PushResult::TooLarge => {
            guard.release_all(out);
            out.extend_from_slice(event.raw());
        }
        // It has members that no text shows, such as log probabilities: likewise.
        _ => {}
    }
    let find = |guard: &Guard| {
        guard.texts().find_map(|text| {
            let start = text.text.rfind(word)?;
            (start >= text.unreleased_from).then_some((text.id, start))
        })
    };
    while let Some((id, start)) = find(guard) {
        if !guard.replace(id, start..start + word.len(), "[…]") {
            break; // a longer text has no room: end the stream
        }
    }
    guard.release(word.len() - 1, out); // it may begin in the last bytes
}

fn forward<'a>(body: impl IntoIterator<Item = &'a [u8]>, word: &str) -> Vec<u8> {
    let (mut decoder, mut guard, mut out) = (ChunkDecoder::new(), Guard::new(), Vec::new());
    for piece in body {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            look(&event, word, &mut guard, &mut out);
        }
        // client.send(&out), out.clear()
    }
    // A last event that no blank line closes, if it can be read: then it is closed here. A `Relay`
    // doesn't close one with a torn line behind its data.
    let last = decoder.salvage().filter(|last| !matches!(last.payload(), Payload::Malformed(_)));
    if let Some(event) = &last {
        look(event, word, &mut guard, &mut out);
    }
    guard.release_all(&mut out);
    out.extend_from_slice(last.map_or(b"", |last| last.missing_end()));
    out
}
