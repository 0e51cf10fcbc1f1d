use std::io;
use std::time::Instant;

use deltawire::gateway::{Relay, RelayEnd, RelayReport};

/// Forwards a body as it came, and returns the findings about it.
fn watch<'a>(body: impl IntoIterator<Item = &'a [u8]>, client: &mut Vec<u8>) -> RelayReport {
    let (mut relay, sent) = (Relay::builder().measure().build(), Instant::now());
    for piece in body {
        // The relay writes the piece at once. Nothing can stop it without a guard and an editor.
        let _open = relay.push(piece, sent.elapsed(), client);
    }
    relay.finish(RelayEnd::Upstream, sent.elapsed(), client)
}

/// Ends the response, behind the bytes for the client.
///
/// A server such as hyper aborts a response whose body ends with an error.
fn end(report: &RelayReport) -> io::Result<()> {
    if report.must_abort {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, report.outcome.as_str()));
    }
    Ok(())
}
