//! The options of the program: their declaration, and the task that they describe.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use crate::replay;
#[cfg(feature = "serve")]
use crate::serve;
use crate::status;
use crate::view;

const EXAMPLES: &str = "\
Prints the finished chat.completion of a stream as one line of JSON. On a terminal the text is shown
as it streams.

    curl -sN … | deltawire
    deltawire answer.sse";

const REPLAY: &str = "\
The stream is written at the speed of a model. Its exit status is that of reading it.

    deltawire replay answer.json
    deltawire answer.sse | deltawire replay --no-pace | deltawire";

const SERVE: &str = "\
POST /v1/chat/completions is answered with the file whose name, without its ending, is the model, and
with the first file for any other model. A file of this name with the ending .chunks lists the lengths
of its pieces. GET /v1/models lists the models.

    deltawire serve tests/streams/*.sse
    curl -d '{\"model\":\"text\",\"stream\":true}' 'http://127.0.0.1:8081/v1/chat/completions?cut=500'

A request can have these options, without their dashes, in its query or in headers behind x-replay-.
They replace those of the command line, and there are three more:
  recording=NAME  the stream of this name, for any model
  generate=N      no recording, but N events; the text of each is ID:NUMBER:NANOSECONDS and a space:
                  its number, and its time since 1970
  id=ID           for generate

Bytes of a recording are counted as it is. The usage is sent to a request that asks for it by
stream_options.include_usage. A request without stream gets the completion of the stream.";

/// The options that `serve` and its requests share: name, value and help.
const FAULTS: [(&str, Option<&str>, &str); 11] = [
    ("piece", Some("N"), "Pieces of N bytes, or: event, whole, recorded, random [event]"),
    ("seed", Some("N"), "Another random [1]"),
    ("gap", Some("MS"), "Milliseconds between pieces [0]"),
    ("wait", Some("MS"), "Milliseconds before the first piece [0]"),
    ("cut", Some("N"), "Close the connection behind N bytes"),
    ("stall", Some("N"), "Send nothing more behind N bytes"),
    ("end", Some("N"), "End the body properly behind N bytes"),
    ("error", Some("N"), "An error event in place of all events from byte N on"),
    ("gzip", None, "Compress, for any request"),
    ("type", Some("TYPE"), "Send this content type; none sends none"),
    ("status", Some("N"), "Send this status, and an error in JSON"),
];

/// The shells of `completions`, with their scripts.
const SHELLS: [(&str, &str); 5] = [
    ("bash", include_str!("../completions/deltawire.bash")),
    ("zsh", include_str!("../completions/_deltawire")),
    ("fish", include_str!("../completions/deltawire.fish")),
    ("powershell", include_str!("../completions/_deltawire.ps1")),
    ("elvish", include_str!("../completions/deltawire.elv")),
];

/// The commands of `man`, with their pages.
const PAGES: [(&str, &str); 4] = [
    ("deltawire", include_str!("../man/deltawire.1")),
    ("replay", include_str!("../man/deltawire-replay.1")),
    ("serve", include_str!("../man/deltawire-serve.1")),
    ("view", include_str!("../man/deltawire-view.1")),
];

/// The work that the arguments describe.
#[derive(Debug)]
pub(crate) enum Task {
    View(view::Options),
    Replay(replay::Options),
    #[cfg(feature = "serve")]
    Serve(serve::Options),
    Print(String),
}

/// The reason for which there is no task.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The text is for standard output.
    Help(String),
    /// A message in one line.
    Usage(String),
}

/// Reads the arguments, of which the first is the name of the program.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, Refusal> {
    let matches =
        command().try_get_matches_from(arguments).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Help(error.to_string()),
            _ => usage(&error.to_string()),
        })?;
    match matches.subcommand() {
        Some(("replay", matches)) => Ok(Task::Replay(replay_options(matches))),
        Some(("serve", matches)) => serve_task(matches),
        Some(("completions", matches)) => Ok(text_of(&SHELLS, matches, "SHELL", "")),
        Some(("man", matches)) => Ok(text_of(&PAGES, matches, "COMMAND", "deltawire")),
        Some((_, matches)) => view_task(matches),
        None => view_task(&matches),
    }
}

/// Returns the task of printing the text that an argument names.
fn text_of(texts: &[(&str, &str)], matches: &ArgMatches, id: &str, default: &str) -> Task {
    let name = matches.get_one::<String>(id).map_or(default, String::as_str);
    let text = texts.iter().find(|(of_name, _)| *of_name == name);
    Task::Print(text.map(|(_, text)| (*text).to_owned()).unwrap_or_default())
}

/// Returns the first paragraph of a message as a line, and where to look for help.
fn usage(message: &str) -> Refusal {
    let paragraph = message.lines().take_while(|line| !line.trim().is_empty());
    let line = paragraph.map(str::trim).collect::<Vec<_>>().join(" ");
    Refusal::Usage(format!("{}; try --help", line.trim_start_matches("error: ")))
}

/// Declares all options.
///
/// The server's are the same in a program that is built without it, as in the man page.
pub(crate) fn command() -> Command {
    let commands = [
        with_view(Command::new("view").about("Print the completion of a stream (default)")),
        Command::new("replay")
            .about("Write a completion as a stream")
            .after_help(REPLAY)
            .args(replay_arguments()),
        Command::new("serve")
            .about("Serve recorded streams, and misbehave on demand (needs the feature serve)")
            .after_help(SERVE)
            .args(serve_arguments())
            .group(ArgGroup::new("stop").args(["cut", "stall", "end"])),
        Command::new("completions")
            .about("Print the completions of a shell")
            .arg(Arg::new("SHELL").required(true).value_parser(SHELLS.map(|(name, _)| name))),
        Command::new("man")
            .about("Print a man page: deltawire man | man -l -")
            .arg(Arg::new("COMMAND").value_parser(PAGES.map(|(name, _)| name))),
    ];
    with_view(Command::new("deltawire"))
        // Without it the help has the name of the file, which ends in `.exe` on Windows.
        .bin_name("deltawire")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Shows, replays and serves streams of chat completions")
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands(commands)
}

fn with_view(command: Command) -> Command {
    let modes = ArgGroup::new("mode").args(["events", "chunks", "report"]);
    let pieces = ArgGroup::new("lengths").args(["piece", "pieces"]);
    let help = format!("{EXAMPLES}\n\n{}", status::HELP);
    command.args(view_arguments()).group(modes).group(pieces).after_help(help)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn file(help: &'static str) -> Arg {
    Arg::new("FILE").value_parser(value_parser!(PathBuf)).help(help)
}

fn view_arguments() -> [Arg; 8] {
    let number = value_parser!(u64).range(1..);
    [
        file("A recorded stream; none or - is standard input").num_args(0..),
        flag("events", "Print each Server-Sent Event, and a last line for the rest of the stream"),
        flag("chunks", "Print each payload: chunk, done, error, malformed, other, comment"),
        flag(
            "report",
            "Print completion, outcome, whether it is whole and why not, error, tokens, counts",
        ),
        option("piece", "N", "Feed pieces of N bytes").value_parser(number),
        option("pieces", "LENGTHS", "Feed pieces of the lengths in this file, one a line")
            .value_parser(value_parser!(PathBuf)),
        option("last-event-id", "ID", "The last event ID to begin with"),
        flag("salvage", "Accept a last event that lacks its blank line"),
    ]
}

fn replay_arguments() -> [Arg; 4] {
    let number = || value_parser!(u32).range(1..);
    [
        file("A chat.completion in JSON; none or - is standard input"),
        option("rate", "N", "Tokens a second, each counted as 4 bytes of text")
            .value_parser(number())
            .default_value("50")
            .conflicts_with("no-pace"),
        flag("no-pace", "Write all events at once"),
        option("delta", "BYTES", "Most bytes of text in an event")
            .value_parser(number())
            .default_value("4"),
    ]
}

fn serve_arguments() -> Vec<Arg> {
    let listen = option("listen", "ADDRESS", "With port 0 a free one, which is printed")
        .value_parser(value_parser!(std::net::SocketAddr))
        .default_value("127.0.0.1:8081");
    let files = file("A recorded stream").num_args(0..).value_parser(value_parser!(PathBuf));
    let faults = FAULTS.map(|(name, value, help)| match value {
        Some(value) => option(name, value, help).value_parser(NonEmptyStringValueParser::new()),
        None => flag(name, help),
    });
    [files, listen].into_iter().chain(faults).collect()
}

fn files(matches: &ArgMatches) -> Vec<PathBuf> {
    matches.get_many("FILE").into_iter().flatten().cloned().collect()
}

fn view_task(matches: &ArgMatches) -> Result<Task, Refusal> {
    let mode = if matches.get_flag("events") {
        view::Mode::Events
    } else if matches.get_flag("chunks") {
        view::Mode::Chunks
    } else if matches.get_flag("report") {
        view::Mode::Report
    } else {
        view::Mode::Completion
    };
    let pieces = if let Some(size) = matches.get_one::<u64>("piece") {
        view::Pieces::Size(*size)
    } else if let Some(file) = matches.get_one::<PathBuf>("pieces") {
        view::Pieces::listed(file).map_err(Refusal::Usage)?
    } else {
        view::Pieces::AsRead
    };
    let mut files = files(matches);
    if files.is_empty() {
        files.push("-".into());
    }
    let last_event_id = matches.get_one("last-event-id").cloned().unwrap_or_default();
    let salvage = matches.get_flag("salvage");
    Ok(Task::View(view::Options { mode, pieces, last_event_id, salvage, files }))
}

fn replay_options(matches: &ArgMatches) -> replay::Options {
    let file = matches.get_one("FILE").cloned().unwrap_or_else(|| PathBuf::from("-"));
    let rate = matches.get_one("rate").copied().filter(|_| !matches.get_flag("no-pace"));
    let delta_bytes = matches.get_one("delta").copied().unwrap_or(4);
    replay::Options { file, rate, delta_bytes }
}

#[cfg(feature = "serve")]
fn serve_task(matches: &ArgMatches) -> Result<Task, Refusal> {
    let mut wishes = serve::Wishes::default();
    for (name, value, _) in FAULTS {
        let wish = match value {
            Some(_) => matches.get_one::<String>(name).map(String::as_str),
            None => matches.get_flag(name).then_some("1"),
        };
        if let Some(wish) = wish {
            wishes.set(name, wish).map_err(|error| Refusal::Usage(format!("--{error}")))?;
        }
    }
    let listen = matches.get_one("listen").copied();
    let listen = listen.unwrap_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 8081)));
    Ok(Task::Serve(serve::Options { listen, files: files(matches), wishes }))
}

#[cfg(not(feature = "serve"))]
fn serve_task(_: &ArgMatches) -> Result<Task, Refusal> {
    let with = "cargo install deltawire-cli --features serve";
    Err(Refusal::Usage(format!("this program is built without its server; for that: {with}")))
}

#[cfg(all(test, feature = "generate"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap_complete::Shell;

    use super::{PAGES, SHELLS, command};

    /// Compares a file with its content, or writes it if `DELTAWIRE_UPDATE` is set.
    fn check(file: &str, content: &[u8]) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("DELTAWIRE_UPDATE").is_some() {
            fs::write(&file, content).unwrap();
        }
        let found = fs::read(&file).unwrap_or_default();
        let hint = "DELTAWIRE_UPDATE=1 cargo test -p deltawire-cli --features generate";
        assert!(found == content, "{} is outdated: {hint}", file.display());
    }

    #[test]
    fn the_files_of_shells_and_man_are_those_of_the_options() {
        for (name, _) in SHELLS {
            let shell: Shell = name.parse().unwrap();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "deltawire", &mut script);
            let file = match shell {
                Shell::Bash => "completions/deltawire.bash",
                Shell::Zsh => "completions/_deltawire",
                Shell::Fish => "completions/deltawire.fish",
                Shell::PowerShell => "completions/_deltawire.ps1",
                _ => "completions/deltawire.elv",
            };
            check(file, &script);
        }
        let mut program = command();
        program.build();
        for (name, _) in PAGES {
            let is_program = name == "deltawire";
            let of_name = program.find_subcommand(name).filter(|_| !is_program);
            let file = if is_program { name.into() } else { format!("deltawire-{name}") };
            let mut page = Vec::new();
            clap_mangen::Man::new(of_name.unwrap_or(&program).clone()).render(&mut page).unwrap();
            check(&format!("man/{file}.1"), &page);
        }
    }
}
