//! A client on reqwest that prints the text of a stream as it arrives, and its outcome at the end.
//!
//! ```sh
//! cargo run -p deltawire-cli --features serve -- serve tests/streams/*.sse &
//! cargo run -p deltawire-demo --example reqwest -- http://127.0.0.1:8081 text 'Hello!'
//! ```
//!
//! With `OPENAI_API_KEY` it sends that key. The demo has reqwest without TLS: add its feature `rustls`
//! for `https`.

use std::io::{Write as _, stdout};
use std::pin::pin;

use deltawire::adapters::ChunkStream;
use deltawire::{Payload, Reassembler};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, model, prompt] = &arguments[..] else {
        return Err("usage: reqwest URL MODEL PROMPT".into());
    };
    let message = serde_json::json!({"role": "user", "content": prompt});
    let body = serde_json::json!({"model": model, "stream": true, "messages": [message]});
    let mut request = reqwest::Client::new().post(format!("{url}/v1/chat/completions"));
    if let Ok(key) = std::env::var("OPENAI_API_KEY") {
        request = request.bearer_auth(key);
    }
    let request = request.header("content-type", "application/json").body(body.to_string());
    let body = pin!(request.send().await?.error_for_status()?.bytes_stream());

    let (mut chunks, mut completion) = (ChunkStream::new(body), Reassembler::new());
    let mut out = stdout().lock();
    while let Some(event) = chunks.next().await {
        let event = event?;
        completion.push_payload(event.payload());
        if let Payload::Chunk(chunk) = event.payload() {
            let first = chunk.choices().find(|choice| choice.index() == Some(0));
            if let Some(text) = first.and_then(|choice| choice.delta().content()) {
                out.write_all(text.as_bytes())?;
                out.flush()?;
            }
        }
    }
    let finished = completion.finish(chunks.finish());
    let tokens = finished.completion.tokens();
    writeln!(out, "\n{}, {:?} tokens", finished.outcome, tokens.and_then(|all| all.completion))?;
    finished.whole()?; // else an error: the answer isn't whole
    Ok(())
}
