//! The options of `deltawire`: help, completions of shells, man pages, and wrong usage.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;

use support::{deltawire, stderr, stdout};

const COMMANDS: [&str; 5] = ["view", "replay", "serve", "completions", "man"];
const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "powershell", "elvish"];

/// Runs a command that prints a text.
fn printed(arguments: &[&str]) -> String {
    let output = deltawire(arguments, b"");
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments:?}");
    stdout(&output)
}

/// Returns the long options that the help of a command lists, without their dashes.
fn options(help: &str) -> BTreeSet<String> {
    let list = help.split("\nOptions:\n").nth(1).unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.map(|line| line.split("--").nth(1).unwrap().split(' ').next().unwrap().into()).collect()
}

#[test]
fn the_help_lists_commands_options_and_statuses() {
    let help = printed(&["--help"]);
    assert_eq!(help, printed(&["-h"]));
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let usage = format!("Usage: deltawire {command} ");
        assert!(printed(&[command, "--help"]).contains(&usage), "{usage}");
    }
    for status in 0..=11 {
        assert!(help.contains(&format!("\n  {status} ")), "{status}");
    }
    let expected =
        ["chunks", "events", "help", "last-event-id", "piece", "pieces", "report", "salvage"];
    let expected: BTreeSet<_> = expected.map(str::to_owned).into();
    assert_eq!(options(&printed(&["view", "--help"])), expected);
    assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
    assert_eq!(printed(&["--version"]), format!("deltawire {}\n", env!("CARGO_PKG_VERSION")));
}

/// The files that `generate` compares with the options have all commands and all options.
#[test]
fn completions_and_man_pages_have_all_options() {
    for command in COMMANDS {
        let help = printed(&[command, "--help"]);
        for shell in SHELLS {
            let script = printed(&["completions", shell]);
            assert!(script.contains(command), "{shell}: {command}");
            for option in options(&help) {
                assert!(script.contains(&option), "{shell}: {option}");
            }
        }
        assert!(printed(&["man"]).contains(&format!("deltawire\\-{command}(1)")), "{command}");
        if ["view", "replay", "serve"].contains(&command) {
            let page = printed(&["man", command]);
            assert!(page.starts_with(".ie"), "{page}");
            for option in options(&help) {
                assert!(
                    page.contains(&format!("\\-\\-{}", option.replace('-', "\\-"))),
                    "{option}"
                );
            }
        }
    }
}

/// The shell reads its completions, and completes an option.
#[cfg(target_os = "linux")]
#[test]
fn bash_completes_an_option() {
    let script = printed(&["completions", "bash"]);
    let test = "\nCOMP_WORDS=(deltawire replay --no) COMP_CWORD=2\n\
                _deltawire deltawire --no replay\necho \"${COMPREPLY[@]}\"\n";
    let output =
        std::process::Command::new("bash").args(["-c", &format!("{script}{test}")]).output();
    let output = output.unwrap();
    assert_eq!((stdout(&output).trim(), stderr(&output).as_str()), ("--no-pace", ""));
}

#[test]
fn wrong_usage_is_one_line_that_names_the_remedy() {
    for arguments in [
        &["--unknown"][..],
        &["--report", "--events"],
        &["--piece", "1", "--pieces", "x"],
        &["completions"],
        &["completions", "tcl"],
        &["man", "tcl"],
        &["replay", "a", "b"],
        &["view", "--rate", "1"],
    ] {
        let output = deltawire(arguments, b"");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(said.starts_with("deltawire: ") && said.ends_with("; try --help\n"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// A file may have the name of a command.
#[test]
fn view_reads_a_file_with_the_name_of_a_command() {
    let folder = std::env::temp_dir().join(format!("deltawire-names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let stream =
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    std::fs::write(folder.join("replay"), stream).unwrap();
    for arguments in [&["view", "replay"][..], &["./replay"], &["--report", "replay"]] {
        let mut command = std::process::Command::new(support::PROGRAM);
        let output = command.current_dir(&folder).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(not(feature = "serve"))]
#[test]
fn a_program_without_its_server_names_the_feature() {
    let output = deltawire(&["serve", "x.sse"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).ends_with("cargo install deltawire-cli --features serve\n"));
}
