//! The whole job beside other crates: one table, and the same rows as `target/compare.json`.
//!
//! `benches/README.md` describes how each figure is made, and its limits.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "support/accumulate.rs"]
mod accumulate;
#[path = "support/answers.rs"]
mod answers;
#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/engines.rs"]
mod engines;
#[path = "support/fanout.rs"]
mod fanout;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/heap.rs"]
mod heap;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/network.rs"]
mod network;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/pipelines.rs"]
mod pipelines;
#[path = "support/report.rs"]
mod report;
#[path = "support/scale.rs"]
mod scale;
#[path = "support/simd.rs"]
mod simd;
#[path = "support/streams.rs"]
mod streams;
#[path = "support/typed.rs"]
mod typed;
#[path = "support/view.rs"]
mod view;
#[path = "support/workloads.rs"]
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use cuts::{CUTS, Cut};
use engines::{Answers, engines, pieces, wrong};
use fanout::FANOUTS;
use harness::Effort;
use pipelines::{Decoders, in_new_process, in_running_process};
use report::{Ratios, Report, Row, Table, Verdict};
use streams::Workload;

const USAGE: &str = "\
cargo bench --bench compare -- [OPTIONS]

Times deltawire beside other crates, and writes the rows to target/compare.json.

  --quick            about a minute: whole pieces and event by event, few rounds
  --workload NAME    that one alone: vllm, openai, …, corpus, corpus-cold, fanout-1, …, fanout-100000;
                     or fanout, which is all of the latter and their memory, or memory, network,
                     scaling, gateway
  --markdown         the tables as Markdown
  --test             answers alone
";

#[derive(Default)]
struct Options {
    quick: bool,
    workload: Option<String>,
    markdown: bool,
    test: bool,
}

impl Options {
    /// Arguments that are another bench's, or cargo's, are passed over; `None` asks for help.
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--workload" => options.workload = Some(arguments.next()?),
                "--markdown" => options.markdown = true,
                "--test" => options.test = true,
                "--help" | "-h" => return None,
                _ => {}
            }
        }
        Some(options)
    }

    fn wants(&self, name: &str) -> bool {
        let is_picked =
            |picked: &String| picked == name || (picked == "fanout" && name.starts_with("fanout-"));
        self.workload.as_ref().is_none_or(is_picked)
    }

    fn cuts(&self) -> &'static [Cut] {
        if self.quick { &[Cut::Whole, Cut::Event] } else { &CUTS }
    }

    fn effort(&self) -> Effort {
        let (rounds, patience, budget) = match (self.test, self.quick) {
            (true, _) => return Effort::TEST,
            (_, true) => (9, 40, 400),
            (..) => (31, 100, 2000),
        };
        let (patience, budget) = (Duration::from_millis(patience), Duration::from_millis(budget));
        Effort { rounds, patience, budget }
    }

    /// Returns the effort for so many streams at once, of which a run is long.
    fn fanout_effort(&self, count: usize) -> Effort {
        let rounds = match (self.test, self.quick, count) {
            (true, ..) => return Effort::TEST,
            (_, true, ..=100) => 9,
            (_, true, ..=10_000) => 3,
            (_, true, _) => 0,
            (.., ..=100) => 31,
            (.., ..=10_000) => 15,
            _ => 5,
        };
        Effort { rounds, patience: Duration::MAX, budget: Duration::MAX }
    }

    /// Returns the number of events of a generated workload.
    fn events(&self) -> usize {
        if self.test { 42 } else { 4000 }
    }
}

/// Returns true if an engine isn't run.
///
/// With each piece eventsource-stream reads all its bytes again, which takes minutes for an event of
/// 10 MiB.
fn is_too_slow(workload: &Workload, cut: Cut, engine: &str) -> bool {
    workload.name == "huge" && cut != Cut::Whole && engine.contains("eventsource-stream")
}

/// Returns true if the answers of an engine are those of another workload: peers share no templates.
fn is_tested_before(workload: &Workload, engine: &str) -> bool {
    workload.name == "corpus-cold" && engine.starts_with("peer")
}

/// Measures one workload: a row for each engine in each cut, and the ratios of each cut.
fn workload(workload: &Workload, options: &Options) -> (Vec<Row>, Vec<Ratios>) {
    let (mut rows, mut ratios) = (Vec::new(), Vec::new());
    let begin: fn() -> Decoders =
        if workload.name == "corpus-cold" { in_new_process } else { in_running_process };
    for cut in options.cuts().iter().copied().filter(|cut| workload.has(*cut)) {
        let streams = pieces(workload, cut);
        let (too_slow, mut engines): (Vec<_>, Vec<_>) = engines(&streams, begin)
            .into_iter()
            .filter(|engine| !(options.test && is_tested_before(workload, &engine.name)))
            .partition(|engine| is_too_slow(workload, cut, &engine.name));
        let is_right = |answers: &Answers| wrong(answers, workload) == 0;
        let timings = harness::compare(&mut engines, is_right, options.effort());
        let row = |engine: &str, verdict| Row {
            workload: workload.name,
            pieces: cut.to_string(),
            engine: engine.to_owned(),
            verdict,
        };
        let timed = timings.iter().zip(&mut engines).map(|(timing, engine)| {
            let verdict = timing.price(workload.events()).map_or_else(
                || Verdict::Wrong { streams: wrong(&(engine.run)().1, workload) },
                |ns_per_event| Verdict::Timed { ns_per_event, spread: timing.spread },
            );
            row(&timing.name, verdict)
        });
        let slow = too_slow.iter().map(|engine| row(&engine.name, Verdict::TooSlow));
        let of_cut: Vec<_> = timed.chain(slow).collect();
        for row in of_cut.iter().filter(|row| !row.engine.starts_with("peer")) {
            assert!(row.price().is_some(), "{} on {} in {}", row.engine, row.workload, row.pieces);
        }
        ratios.push(Ratios::of(&of_cut));
        rows.extend(of_cut);
    }
    (rows, ratios)
}

/// Measures all wanted workloads of many streams: their rows, and the ratios of each.
fn fanouts(options: &Options) -> (Vec<Row>, Vec<Ratios>) {
    let (mut rows, mut ratios) = (Vec::new(), Vec::new());
    for (name, count) in FANOUTS.into_iter().filter(|(name, _)| options.wants(name)) {
        let count = if options.test { count.min(100) } else { count };
        let of_workload = fanout::rows(name, count, options.fanout_effort(count));
        ratios.push(Ratios::of(&of_workload));
        rows.extend(of_workload);
    }
    (rows, ratios)
}

/// The recorded streams, read by a process that runs, and by a new one in each round.
const RECORDED: [&str; 2] = ["corpus", "corpus-cold"];

/// The other measurements, by their names.
const TABLES: [&str; 5] = ["memory", "network", "fanout", "scaling", "gateway"];

fn tables(options: &Options) -> Vec<Table> {
    let mut tables = Vec::new();
    if options.wants("memory") {
        tables.extend(memory::tables(!options.quick && !options.test));
    }
    if options.wants("network") {
        tables.push(network::table(if options.test { 1 } else { 9 }));
    }
    if options.wants("fanout") {
        let counts = &[1, 100, 10_000];
        tables.push(fanout::bytes(if options.test { &counts[..2] } else { counts }));
    }
    if options.wants("scaling") {
        let lengths = &[100, 1000, 10_000, 100_000, 1_000_000];
        tables.push(scale::length(if options.test { &lengths[..2] } else { lengths }));
        tables.push(scale::threads(&[1, 2], if options.test { 1 } else { 5 }));
    }
    if options.wants("gateway") {
        tables.push(gateway::table(options.events(), options.effort()));
    }
    tables
}

fn main() -> ExitCode {
    let Some(options) = Options::read(std::env::args().skip(1)) else {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    let streams = workloads::NAMES.into_iter().chain(RECORDED);
    let fanned = FANOUTS.map(|(name, _)| name);
    if !streams.clone().chain(fanned).chain(TABLES).any(|name| options.wants(name)) {
        eprint!("no such workload\n\n{USAGE}");
        return ExitCode::FAILURE;
    }
    let mut report = Report::new();
    if !options.test {
        println!("{}\n{}", report.machine, report.toolchain);
    }
    for name in streams.filter(|name| options.wants(name)) {
        let load = match name {
            name if RECORDED.contains(&name) => {
                Workload::recorded().map(|load| Workload { name, ..load })
            }
            _ => Some(Workload::generated(name, options.events())),
        };
        let Some(load) = load else {
            println!("\n{name}\n  not run: ../shared/corpus is absent");
            continue;
        };
        let (rows, ratios) = workload(&load, &options);
        if options.test {
            let wrong = rows.iter().filter(|row| row.price().is_none());
            let wrong: Vec<_> = wrong.map(|row| format!("{} {}", row.engine, row.pieces)).collect();
            println!("{name}: {} answers, not right: {wrong:?}", rows.len());
        } else {
            Table::of_workload(&rows, &ratios).print(options.markdown);
        }
        report.rows.extend(rows);
        report.ratios.extend(ratios);
    }
    let (rows, ratios) = fanouts(&options);
    if !rows.is_empty() {
        if options.test {
            println!("fanout: {} answers", rows.len());
        } else {
            Table::of_workloads("fanout: streams of vllm in shuffled order", &rows, &ratios)
                .print(options.markdown);
        }
    }
    report.rows.extend(rows);
    report.ratios.extend(ratios);
    let tables = tables(&options);
    if !options.test {
        for table in &tables {
            table.print(options.markdown);
        }
        report.tables = tables;
        if !report.ratios.is_empty() {
            Table::in_short(&report).print(options.markdown);
        }
        println!("\n{}", report.write().display());
    }
    ExitCode::SUCCESS
}
