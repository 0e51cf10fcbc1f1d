use bytes::Bytes;
use deltawire::adapters::RelayBody;
use deltawire::gateway::{Editor, Relay};
use http_body::Body;

fn relayed<B: Body<Data = Bytes>>(upstream: B) -> impl Body<Data = Bytes> {
    let mut editor = Editor::new();
    editor.replace("model", "our-alias");
    RelayBody::new(upstream, Relay::builder().measure().edit(editor).build(), |report| {
        println!("{}: {:?}", report.outcome, report.stream.tokens);
    })
}
