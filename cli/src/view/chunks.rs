//! The completion, `--chunks` and `--report`: the chunks of a stream.

use std::io::{self, Write};

use deltawire::chunk::{ChatCompletionChunk, UpstreamError};
use deltawire::completion::FinishedCompletion;
use deltawire::gateway::{Observer, StreamReport};
use deltawire::{ChunkDecoder, ChunkEvent, Payload, Reassembler};

use super::report::{BodyHead, report};
use super::screen::Screen;
use super::{Mode, Options};
use crate::output::{Object, one_line, put};

/// Reads the chunks of a stream, and writes the output of the mode.
pub(crate) struct Chunks<'o, W> {
    mode: Mode,
    decoder: ChunkDecoder,
    sinks: Sinks<'o, W>,
    head: BodyHead,
}

/// Receivers of the events of a stream.
struct Sinks<'o, W> {
    completion: Reassembler,
    observer: Observer,
    /// A JSON text for each malformed event.
    malformed: Vec<String>,
    has_error: bool,
    /// Code of the first error as a JSON text, as it was sent.
    code: Option<String>,
    out: &'o mut W,
}

impl<'o, W: Write> Chunks<'o, W> {
    pub(crate) fn new(options: &Options, out: &'o mut W) -> Self {
        let mut decoder = ChunkDecoder::new();
        decoder.set_last_event_id(&options.last_event_id);
        let (completion, observer) = (Reassembler::new(), Observer::new());
        let (malformed, has_error, code) = (Vec::new(), false, None);
        let sinks = Sinks { completion, observer, malformed, has_error, code, out };
        Self { mode: options.mode, decoder, sinks, head: BodyHead::default() }
    }

    pub(crate) fn push(&mut self, mut piece: &[u8], screen: &mut Screen) -> io::Result<()> {
        self.head.push(piece);
        while let Some(event) = self.decoder.next(&mut piece) {
            self.sinks.take(self.mode, &event, screen)?;
        }
        screen.tick(self.sinks.observer.deltas());
        if self.mode == Mode::Chunks { self.sinks.out.flush() } else { Ok(()) }
    }

    /// Ends the stream, and writes the completion or the report.
    pub(crate) fn finish(
        self,
        salvage: bool,
        screen: &mut Screen,
    ) -> io::Result<(FinishedCompletion, StreamReport, BodyHead)> {
        let Self { mode, mut decoder, mut sinks, head } = self;
        if salvage && let Some(event) = decoder.salvage() {
            sinks.take(mode, &event, screen)?;
        }
        let Sinks { mut completion, mut observer, malformed, code, out, .. } = sinks;
        let end = decoder.finish();
        let seen = observer.finish(end.clone());
        let finished = completion.finish(end);
        let unstreamed = head.completion(&finished);
        let completion = one_line(&unstreamed.as_ref().unwrap_or(&finished).completion)?;
        match mode {
            Mode::Completion => put(out, &completion)?,
            Mode::Report => {
                let line = Object::default().raw("completion", &completion);
                put(out, &report(line, &finished, &seen, (malformed, code), &head)?.finish())?;
            }
            Mode::Chunks | Mode::Events => {}
        }
        Ok((finished, seen, head))
    }
}

impl<W: Write> Sinks<'_, W> {
    /// Passes one event to all receivers, and writes its line in the mode `--chunks`.
    fn take(&mut self, mode: Mode, event: &ChunkEvent<'_>, screen: &mut Screen) -> io::Result<()> {
        if mode == Mode::Chunks
            && let Some(line) = line(event)?
        {
            put(self.out, &line)?;
        }
        if let Payload::Error(error) = event.payload()
            && !self.has_error
        {
            self.has_error = true;
            self.code = error.get("code").map(|code| one_line(&code)).transpose()?;
        }
        if let Payload::Malformed(error) = event.payload() {
            screen.show_malformed(error);
            let found = Object::default()
                .member("offset", &event.offset())?
                .member("kind", error.kind().as_str())?
                .member("error_offset", &error.offset())?;
            self.malformed.push(found.finish());
        }
        screen.show(event);
        self.observer.observe(event);
        self.completion.push_payload(event.payload());
        Ok(())
    }
}

/// Returns a line of `--chunks`.
fn line(event: &ChunkEvent<'_>) -> io::Result<Option<String>> {
    let of_kind = |kind| Object::default().member("offset", &event.offset())?.member("kind", kind);
    let line = match event.payload() {
        Payload::Chunk(chunk) => with_chunk(of_kind("chunk")?, Some(*chunk))?,
        Payload::Done => of_kind("done")?,
        Payload::Error(error) => with_chunk(with_error(of_kind("error")?, error)?, error.chunk())?,
        Payload::Malformed(error) => of_kind("malformed")?
            .member("error", error.kind().as_str())?
            .member("error_offset", &error.offset())?,
        Payload::Other(other) => of_kind("other")?
            .member("event_type", event.event().event_type())?
            .member("object", &other.as_value())?,
        Payload::Comment => {
            let text: Vec<_> = event.event().comments().map(String::from_utf8_lossy).collect();
            of_kind("comment")?.member("comment", &text.concat())?
        }
        _ => return Ok(None),
    };
    Ok(Some(line.finish()))
}

fn with_chunk(line: Object, chunk: Option<ChatCompletionChunk<'_>>) -> io::Result<Object> {
    match chunk {
        Some(chunk) => line.member("chunk", &chunk),
        None => Ok(line),
    }
}

fn with_error(line: Object, error: &UpstreamError<'_>) -> io::Result<Object> {
    line.member("message", &error.message())?
        .member("code", &error.get("code"))?
        .member("type", &error.r#type())
}
