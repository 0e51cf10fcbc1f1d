//! Compares `src` with the table of modules in `DESIGN.md`, and checks features, sizes and wire names.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the table: a module, and the modules and outside crates that it may use.
#[derive(Debug)]
struct Room {
    name: String,
    may_use: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the rows between the table's header and the next blank line.
fn rooms() -> Vec<Room> {
    let design = fs::read_to_string(root().join("DESIGN.md")).unwrap();
    let table = design.split("| file | what it is for | may use |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').trim_end_matches(".rs").trim_end_matches('/');
        let may_use = cells[2].split(',').map(|used| used.trim().to_owned());
        Room { name: name.to_owned(), may_use: may_use.filter(|used| !used.is_empty()).collect() }
    })
    .collect()
}

/// Returns the source files of each module.
fn files() -> BTreeMap<String, Vec<PathBuf>> {
    let mut files = BTreeMap::<_, Vec<_>>::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(root().join("src")).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            files.entry(first.trim_end_matches(".rs").to_owned()).or_default().push(path);
        }
    }
    files
}

/// Returns the code of a file: no comments, no tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Returns the identifiers that follow `prefix`.
fn names_after<'t>(code: &'t str, prefix: &str) -> Vec<&'t str> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let starts = code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with(is_part));
    let rests = starts.map(|(at, _)| &code[at + prefix.len()..]);
    rests.map(|rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]).collect()
}

#[test]
fn each_file_is_in_the_table_and_imports_its_layers_only() {
    let rooms = rooms();
    let files = files();
    for name in files.keys() {
        assert!(rooms.iter().any(|room| room.name == *name), "{name} has no row in the table");
    }
    let outside = dependencies();
    for (number, room) in rooms.iter().enumerate() {
        let Some(files) = files.get(&room.name) else {
            panic!("the table has a row for {}, which isn't there", room.name)
        };
        if room.name == "lib" {
            continue;
        }
        let above: Vec<_> = rooms[..number].iter().map(|above| above.name.as_str()).collect();
        for used in &room.may_use {
            let known = above.contains(&used.as_str()) || outside.contains(used);
            assert!(known, "{} may use {used}, which isn't above it", room.name);
        }
        for file in files {
            let code = code(file);
            assert!(!code.contains("crate::{"), "{}: one room for each use", file.display());
            for used in names_after(&code, "crate::") {
                let allowed = used == room.name || room.may_use.iter().any(|may| may == used);
                assert!(allowed, "{} uses {used}", file.display());
            }
            // From a module's own file, `super` is the crate.
            let is_top = file.ends_with("mod.rs") || file.parent().unwrap().ends_with("src");
            assert!(!is_top || !code.contains("super::"), "{}: use crate::", file.display());
            assert!(!code.contains("super::super"), "{}: use crate::", file.display());
            for dependency in &outside {
                let name = dependency.replace('-', "_");
                let uses =
                    code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
                let may = room.may_use.contains(dependency);
                assert!(!uses || may, "{} uses {dependency}", file.display());
            }
        }
    }
}

/// Returns the names in `[dependencies]`.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned()));
    names.collect()
}

/// A feature adds code and changes none, so that tests with all features check the code of any.
///
/// The exception is `std`, without which the crate is `no_std`.
#[test]
fn features_besides_std_are_additive() {
    for path in files().into_values().flatten() {
        let code = code(&path).replace("not(feature = \"std\")", "");
        let changes = code.contains("not(feature") || code.contains("cfg!(feature");
        assert!(!changes, "{}: a feature changes code", path.display());
    }
}

#[test]
fn files_stay_small() {
    for path in files().into_values().flatten() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
        assert!(lines <= 600, "{}: {lines} lines", path.display());
    }
}

/// Counts the lines of each function by its indentation, which rustfmt sets.
#[test]
fn functions_stay_small() {
    let mut count = 0;
    for path in files().into_values().flatten() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.split("#[cfg(test)]").next().unwrap().lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let mut words = line.split_whitespace();
            let is_modifier =
                |word: &&str| word.starts_with("pub") || ["const", "async"].contains(word);
            if words.find(|word| !is_modifier(word)) != Some("fn") {
                continue;
            }
            let is_end = |line: &&str| {
                let is_level = line.len() - line.trim_start().len() == indent;
                is_level && (line.ends_with('}') || line.ends_with(';'))
            };
            let len = 1 + lines[at..].iter().position(is_end).unwrap();
            assert!(len <= 60, "{}:{}: {len} lines", path.display(), at + 1);
            count += 1;
        }
    }
    assert!(count > 1000, "{count} functions");
}

/// Finds each wire name of the schema as a literal in at most four files, the schema among them.
#[test]
fn wire_names_are_literals_in_few_files() {
    const MOST_FILES: usize = 4;
    let is_row = |line: &str| line.ends_with(';') && line.contains(" b\"");
    let schema = fs::read_to_string(root().join("src/chunk/schema.rs")).unwrap();
    let names: Vec<_> = schema
        .lines()
        .filter(|line| is_row(line))
        .map(|line| line.split("b\"").nth(1).unwrap().split('"').next().unwrap())
        .collect();
    assert!(names.len() > 120, "{} rows", names.len());
    let files: Vec<_> = files().into_values().flatten().map(|path| (code(&path), path)).collect();
    for name in names {
        let literal = format!("\"{name}\"");
        // The name of a field in `Debug` isn't one of the wire.
        let spells = |code: &str| {
            code.match_indices(&literal).any(|(at, _)| !code[..at].ends_with(".field("))
        };
        let spelling: Vec<_> =
            files.iter().filter(|(code, _)| spells(code)).map(|(_, path)| path).collect();
        assert!(spelling.len() <= MOST_FILES, "{name} is a literal in {spelling:?}");
    }
}
