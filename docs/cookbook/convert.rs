use deltawire::Error;
use deltawire::completion::NotWhole;
use deltawire::gateway::{Replay, assemble};

/// Answers a client that hasn't requested a stream, from an upstream that streams.
fn to_json<'a>(body: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, NotWhole> {
    let finished = assemble(body);
    finished.whole()?; // else an error of the gateway: see `FinishedCompletion::handling`
    let mut json = Vec::new();
    finished.completion.write_json(&mut json);
    Ok(json)
}

/// Answers a client that has requested a stream, from an upstream that doesn't stream.
fn to_stream(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut stream = Vec::new();
    Replay::from_json(body)?.write_all(&mut stream); // else forward the body: it is an error
    Ok(stream)
}
