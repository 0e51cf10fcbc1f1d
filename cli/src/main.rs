//! The program `deltawire`: shows, replays and serves streams of chat completions.

mod arguments;
mod output;
mod replay;
#[cfg(feature = "serve")]
mod serve;
mod status;
mod view;

use std::io::{self, Write as _};
use std::process::ExitCode;

use arguments::{Refusal, Task};
use output::say;
use status::{FAILED, WRONG_USAGE};

fn main() -> ExitCode {
    let task = match arguments::parse(std::env::args_os()) {
        Ok(task) => task,
        Err(Refusal::Help(text)) => Task::Print(text),
        Err(Refusal::Usage(error)) => {
            say(&format!("deltawire: {error}"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let done = match task {
        Task::View(options) => view::view(&options),
        Task::Replay(options) => replay::replay(&options),
        #[cfg(feature = "serve")]
        Task::Serve(options) => serve::serve(options),
        Task::Print(text) => print(&text),
    };
    ExitCode::from(done.unwrap_or_else(|failure| {
        // A reader that leaves, such as `head`, needs no message.
        if failure.error.kind() != io::ErrorKind::BrokenPipe {
            say(&format!("deltawire: {failure}"));
        }
        FAILED
    }))
}

/// Prints a text on standard output.
fn print(text: &str) -> Result<u8, output::Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output::to_stdout)?;
    Ok(0)
}
