//! Tables, as they are printed and as Markdown, and the rows as JSON.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// The cost of one engine for a workload in some pieces.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Row {
    pub workload: &'static str,
    pub pieces: String,
    pub engine: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    /// The spread is the middle half of the rounds, as a part of the median; a single run has none.
    Timed { ns_per_event: f64, spread: Option<f64> },
    /// The answers to so many streams weren't the workload's.
    Wrong { streams: usize },
    /// Not run at all.
    TooSlow,
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        match self {
            Self::Timed { ns_per_event, spread } => {
                members.serialize_entry("ns_per_event", ns_per_event)?;
                members.serialize_entry("spread", spread)?;
            }
            Self::Wrong { streams } => {
                members.serialize_entry("wrong", &true)?;
                members.serialize_entry("wrong_streams", streams)?;
            }
            Self::TooSlow => members.serialize_entry("too_slow", &true)?,
        }
        members.end()
    }
}

impl Row {
    pub const fn price(&self) -> Option<f64> {
        match self.verdict {
            Verdict::Timed { ns_per_event, .. } => Some(ns_per_event),
            Verdict::Wrong { .. } | Verdict::TooSlow => None,
        }
    }

    /// Formats a cell of a table; a single run has a tilde.
    fn cell(&self) -> String {
        match self.verdict {
            Verdict::Timed { ns_per_event, spread: None } => format!("~{ns_per_event:.1}"),
            Verdict::Timed { ns_per_event, spread: Some(spread) } => {
                format!("{ns_per_event:.1} ±{:.0}%", spread * 50.0)
            }
            Verdict::Wrong { streams } => format!("{streams} wrong"),
            Verdict::TooSlow => "too slow".to_owned(),
        }
    }
}

/// Both ratios of a workload in some pieces.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Ratios {
    pub workload: &'static str,
    pub pieces: String,
    /// `None` where no peer has the answer.
    pub fastest_peer: Option<String>,
    pub fastest_peer_by_deltawire: Option<f64>,
    /// `None` where the floor isn't measured.
    pub deltawire_by_line_ends: Option<f64>,
}

impl Ratios {
    /// Returns the ratios of the rows of one workload in one cut.
    pub fn of(rows: &[Row]) -> Self {
        let price = |name: &str| rows.iter().find(|row| row.engine == name).and_then(Row::price);
        let deltawire = price("deltawire").unwrap();
        let peers = rows.iter().filter(|row| row.engine.starts_with("peer/"));
        let peers = peers.filter_map(|row| Some((row.price()?, &row.engine)));
        let fastest = peers.min_by(|one, other| one.0.total_cmp(&other.0));
        Self {
            workload: rows[0].workload,
            pieces: rows[0].pieces.clone(),
            fastest_peer: fastest.map(|(_, name)| name.clone()),
            fastest_peer_by_deltawire: fastest.map(|(peer, _)| peer / deltawire),
            deltawire_by_line_ends: price("floor/line-ends").map(|floor| deltawire / floor),
        }
    }
}

/// A table with a name; its first column is text, the others are figures.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Table {
    pub title: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, header: &[&str]) -> Self {
        let header = header.iter().map(|name| (*name).to_owned()).collect();
        Self { title: title.into(), header, rows: Vec::new() }
    }

    /// Returns the table of one workload, with a column for each cut.
    pub fn of_workload(rows: &[Row], ratios: &[Ratios]) -> Self {
        Self::of_engines(rows[0].workload, |ratios| ratios.pieces.clone(), rows, ratios)
    }

    /// Returns the table of workloads in pieces of one kind, with a column for each.
    pub fn of_workloads(title: &str, rows: &[Row], ratios: &[Ratios]) -> Self {
        Self::of_engines(title, |ratios| ratios.workload.to_owned(), rows, ratios)
    }

    /// Returns a table with lines for engines and both ratios, and columns for ratios.
    fn of_engines(
        title: &str,
        column: impl Fn(&Ratios) -> String,
        rows: &[Row],
        ratios: &[Ratios],
    ) -> Self {
        let mut table = Self::new(title, &["ns per event"]);
        table.header.extend(ratios.iter().map(column));
        let place = |row: &Row| (row.workload, row.pieces.clone());
        let engines = rows.iter().filter(|row| place(row) == place(&rows[0]));
        for engine in engines.map(|row| &row.engine) {
            let cells = rows.iter().filter(|row| row.engine == *engine).map(Row::cell);
            table.rows.push([engine.clone()].into_iter().chain(cells).collect());
        }
        let mut line = |name: &str, figure: &dyn Fn(&Ratios) -> String| {
            let cells = ratios.iter().map(figure);
            table.rows.push([name.to_owned()].into_iter().chain(cells).collect());
        };
        line("fastest peer ÷ deltawire", &|ratios| {
            ratios.fastest_peer_by_deltawire.map_or("-".into(), |ratio| format!("{ratio:.2}"))
        });
        if ratios.iter().any(|ratios| ratios.deltawire_by_line_ends.is_some()) {
            line("deltawire ÷ floor/line-ends", &|ratios| {
                ratios.deltawire_by_line_ends.map_or("-".into(), |ratio| format!("{ratio:.1}"))
            });
        }
        table
    }

    /// Returns the main figures of each workload, event by event, or whole where it is one event.
    pub fn in_short(report: &Report) -> Self {
        let mut table = Self::new(
            "in short: event by event, or whole where it is one event",
            &[
                "workload",
                "deltawire, ns",
                "peer, ns",
                "peer ÷ deltawire",
                "deltawire ÷ floor",
                "fastest peer",
            ],
        );
        let is_main = |ratios: &&Ratios| match ratios.workload {
            "huge" | "escaped-16k" => ratios.pieces == "whole",
            _ => matches!(&*ratios.pieces, "event" | "shuffled"),
        };
        for ratios in report.ratios.iter().filter(is_main) {
            let price = |name: &str| {
                let is_here = |row: &&Row| {
                    row.engine == name
                        && row.workload == ratios.workload
                        && row.pieces == ratios.pieces
                };
                report.rows.iter().find(is_here).and_then(Row::price)
            };
            let figure = |figure: Option<f64>, digits: usize| {
                figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
            };
            let peer = ratios.fastest_peer.as_deref();
            table.rows.push(vec![
                ratios.workload.to_owned(),
                figure(price("deltawire"), 0),
                figure(peer.and_then(price), 0),
                figure(ratios.fastest_peer_by_deltawire, 2),
                figure(ratios.deltawire_by_line_ends, 1),
                peer.and_then(|name| name.strip_prefix("peer/")).unwrap_or("-").to_owned(),
            ]);
        }
        table
    }

    pub fn print(&self, markdown: bool) {
        let lines = || [&self.header].into_iter().chain(&self.rows);
        if markdown {
            println!("\n### {}\n", self.title);
            for (number, line) in lines().enumerate() {
                println!("| {} |", line.join(" | "));
                if number == 0 {
                    println!("|---|{}", "---:|".repeat(line.len() - 1));
                }
            }
            return;
        }
        let width = |column: usize| {
            lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<_> = (0..self.header.len()).filter_map(width).collect();
        println!("\n{}", self.title);
        for line in lines() {
            let cells = line.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}", width = width.max(&36)),
                _ => format!("{cell:>width$}", width = width.max(&13)),
            });
            println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

/// All that was measured.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    pub machine: String,
    pub toolchain: String,
    pub rows: Vec<Row>,
    pub ratios: Vec<Ratios>,
    pub tables: Vec<Table>,
}

impl Report {
    pub fn new() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine =
            format!("{}, {cores} cores", model.map_or(std::env::consts::ARCH, |(_, model)| model));
        let version = Command::new("rustc").arg("--version").output();
        let toolchain =
            version.map(|version| String::from_utf8_lossy(&version.stdout).into_owned());
        Self {
            machine,
            toolchain: toolchain.unwrap_or_default().trim().to_owned(),
            rows: Vec::new(),
            ratios: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Writes all rows to `compare.json` in the target folder, in which this bench was built.
    pub fn write(&self) -> PathBuf {
        let bench = std::env::current_exe().unwrap();
        let file = bench.ancestors().nth(3).unwrap().join("compare.json");
        fs::write(&file, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
        file
    }
}
