//! `--events`: the framing of a stream.

use std::io::{self, Write};

use deltawire::SseDecoder;
use deltawire::sse::{Event, EventKind};

use super::Options;
use crate::output::{Object, put};

/// Writes a line for each Server-Sent Event.
pub(crate) struct Events<'o, W> {
    decoder: SseDecoder,
    out: &'o mut W,
}

impl<'o, W: Write> Events<'o, W> {
    pub(crate) fn new(options: &Options, out: &'o mut W) -> Self {
        let mut decoder = SseDecoder::new();
        decoder.set_last_event_id(&options.last_event_id);
        Self { decoder, out }
    }

    pub(crate) fn push(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while let Some(event) = self.decoder.next(&mut piece) {
            if event.kind() == EventKind::Message {
                put(self.out, &line(&event)?)?;
            }
        }
        self.out.flush()
    }

    /// Writes a last line, with the state at the end of the stream.
    pub(crate) fn finish(mut self, salvage: bool) -> io::Result<()> {
        if salvage
            && let Some(event) = self.decoder.salvage()
            && event.kind() == EventKind::Message
        {
            put(self.out, &line(&event)?)?;
        }
        let end = self.decoder.finish();
        let end = Object::default()
            .member("last_event_id", &self.decoder.last_event_id())?
            .member("reconnection_time", &self.decoder.reconnection_time())?
            .member("comments", &self.decoder.comments())?
            .member("discarded_bytes", &end.discarded_bytes)?;
        put(self.out, &Object::default().raw("end", &end.finish()).finish())
    }
}

fn line(event: &Event<'_>) -> io::Result<String> {
    let line = Object::default()
        .member("event", &event.event_type())?
        .member("data", &event.data_lossy())?
        .member("id", &event.last_event_id())?
        .member("retry", &event.reconnection_time())?;
    Ok(line.finish())
}
