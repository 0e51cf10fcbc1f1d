use deltawire::gateway::{
    Editor, Guard, Relay, RelayEnd, RelayGuard, RelayReport, UsageVisibility, Words,
};
use std::time::Instant;

/// Relays a body: the model has another name, the usage is hidden, and a word is redacted.
fn relay<'a>(body: impl IntoIterator<Item = &'a [u8]>, word: &str) -> (Vec<u8>, RelayReport) {
    let mut editor = Editor::new();
    editor.replace("model", "our-alias");
    editor.hide_usage(UsageVisibility::Removed);
    let guard = RelayGuard::new(Guard::new()).redact(Words::new([word]), "[…]").pass_unwatched();
    let mut relay = Relay::builder().measure().edit(editor).guard(guard).collect().build();
    let (sent, mut out) = (Instant::now(), Vec::new());
    for piece in body {
        if !relay.push(piece, sent.elapsed(), &mut out).is_open() {
            break; // the guard has stopped the stream
        }
        // client.send(&out), out.clear()
    }
    let report = relay.finish(RelayEnd::Upstream, sent.elapsed(), &mut out);
    (out, report)
}
