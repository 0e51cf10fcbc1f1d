//! The exit statuses of the program, and their list in the help.

use deltawire::Outcome;

/// Status of a file that can't be read, or of output that can't be written.
pub(crate) const FAILED: u8 = 1;

/// Status of arguments that the program doesn't accept.
pub(crate) const WRONG_USAGE: u8 = 2;

/// Status of a stream of which a part of the answer is missing, or may be.
const PART_MISSING: u8 = 10;

/// The statuses as the help lists them.
pub(crate) const HELP: &str = "\
Exit status, that of the first stream that isn't complete. A file that can't be read counts as one,
and the other streams are printed:
  0   complete and whole: all choices finished, [DONE] came; and always with --events
  1   a file can't be read, or the output not be written
  2   wrong usage
  3   finished without [DONE]
  4   [DONE] without a finish reason
  5   truncated: neither
  6   the upstream reported an error
  7   empty
  8   the body is no event stream
  9   a finish reason names a failure
  10  a part of the answer is missing, or may be: it couldn't be read, or exceeds a limit
  11  the events are those of another API";

/// Returns the exit status for the end of a stream, and for its completion.
pub(crate) fn of(outcome: Outcome, is_whole: bool) -> u8 {
    match outcome {
        Outcome::Complete if !is_whole => PART_MISSING,
        Outcome::Complete => 0,
        Outcome::FinishedWithoutDone => 3,
        Outcome::DoneWithoutFinish => 4,
        Outcome::Truncated => 5,
        Outcome::UpstreamError => 6,
        Outcome::Empty => 7,
        Outcome::NotAnEventStream(_) => 8,
        Outcome::FailedFinish => 9,
        Outcome::MalformedEvent => PART_MISSING,
        Outcome::AnotherApi(_) => 11,
        _ => FAILED,
    }
}
