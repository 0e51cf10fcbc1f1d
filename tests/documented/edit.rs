use deltawire::gateway::{Editor, RewriteOutcome};
use deltawire::{ChunkDecoder, Payload};

fn edit<'a>(body: impl IntoIterator<Item = &'a [u8]>, editor: &mut Editor) -> Vec<u8> {
    let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
    for piece in body {
        let mut input = piece;
        while let Some(event) = decoder.next(&mut input) {
            if editor.write(&event, &mut out) == RewriteOutcome::Unreadable {
                // It is in `out` as it came: this is the place to end the stream instead.
            }
        }
        // client.send(&out), out.clear()
    }
    // A last event that no blank line closes, if it is whole: then it is closed here.
    let last = decoder.salvage().filter(|last| !matches!(last.payload(), Payload::Malformed(_)));
    if let Some(event) = last
        && editor.write(&event, &mut out) != RewriteOutcome::Dropped
    {
        out.extend_from_slice(event.missing_end());
    }
    out
}
