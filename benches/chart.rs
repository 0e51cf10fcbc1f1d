//! Draws `target/compare.json` as a bar chart.
//!
//! `cargo run --example chart -- target/compare.json` prints SVG. Colours follow the reader's
//! scheme, light or dark.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program prints its result, and what is wrong with its arguments"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

/// The pieces that the chart shows: most of the recorded ones are events.
const PIECES: &str = "event";

/// The bars of a workload, from our fastest engine to the common pair of crates.
const SERIES: [(&str, &str); 3] = [
    ("ours", "deltawire"),
    ("best", "fastest peer with borrowed structs"),
    ("usual", "fastest peer with async-openai"),
];

/// Width of the picture, of its names, and of its longest bar.
const WIDTH: f64 = 860.0;
const NAMES: f64 = 150.0;
const BARS: f64 = 420.0;
const BAR: f64 = 15.0;
const GAP: f64 = 14.0;
const TOP: f64 = 84.0;

struct Bar {
    class: &'static str,
    /// 0 where no engine of the series has the right answer.
    price: f64,
    /// The text behind the bar.
    label: String,
}

/// Returns the bars of each workload with a price of ours, in the order of the rows.
fn groups(report: &Value) -> Vec<(&str, Vec<Bar>)> {
    let rows = || report["rows"].as_array().into_iter().flatten();
    let mut seen = BTreeSet::new();
    let names = rows().filter_map(|row| row["workload"].as_str()).filter(|name| seen.insert(*name));
    let bars = names.map(|name| {
        let bars = SERIES.iter().filter_map(|(class, _)| {
            let of_series = rows().filter_map(|row| {
                let engine =
                    row["engine"].as_str().filter(|engine| series(engine) == Some(class))?;
                let is_here = row["workload"] == name && row["pieces"] == PIECES;
                is_here.then(|| (engine, row["ns_per_event"].as_f64().unwrap_or(f64::INFINITY)))
            });
            let (engine, price) = of_series.min_by(|one, other| one.1.total_cmp(&other.1))?;
            let (price, label) = match engine.strip_prefix("peer/") {
                _ if price.is_infinite() => (0.0, "wrong answer".to_owned()),
                Some(peer) => (price, format!("{price:.0} ns, {peer}")),
                None => (price, format!("{price:.0} ns")),
            };
            Some(Bar { class, price, label })
        });
        (name, bars.collect::<Vec<_>>())
    });
    bars.filter(|(_, bars)| bars.iter().any(|bar| bar.class == "ours")).collect()
}

/// Returns the series that an engine belongs to, if one.
fn series(engine: &str) -> Option<&'static str> {
    match engine.strip_prefix("peer/") {
        Some(peer) if peer.ends_with("+async-openai") => Some("usual"),
        Some(_) => Some("best"),
        None => (engine == "deltawire").then_some("ours"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn chart(report: &Value) -> Result<String, std::fmt::Error> {
    let groups = groups(report);
    let text = |name: &str| escaped(report[name].as_str().unwrap_or_default());
    let longest = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.price).fold(1.0, f64::max);
    let count: u32 = groups.iter().map(|(_, bars)| u32::try_from(bars.len()).unwrap_or(0)).sum();
    let gaps = u32::try_from(groups.len()).unwrap_or(0);
    let height = TOP + f64::from(count) * BAR + f64::from(gaps) * GAP;
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12" role="img">
<title>ns per event, from bytes to the whole completion</title>
<style>
svg {{ fill: #1f2328 }} .paper {{ fill: #fff }}
.dim {{ fill: #59636e }}
.ours {{ fill: #0969da }} .best {{ fill: #8c959f }} .usual {{ fill: #c9d1d9 }}
@media (prefers-color-scheme: dark) {{
svg {{ fill: #e6edf3 }} .paper {{ fill: #0d1117 }}
.dim {{ fill: #9198a1 }}
.ours {{ fill: #58a6ff }} .best {{ fill: #768390 }} .usual {{ fill: #3d444d }}
}}
</style>
<rect width="100%" height="100%" class="paper"/>
<text x="10" y="22" font-size="15">ns per event, from bytes to the whole completion; shorter is better</text>
<text x="10" y="42" class="dim">{}; {}; pieces: {PIECES}</text>"#,
        text("machine"),
        text("toolchain")
    )?;
    let mut x = 10.0;
    for (class, name) in SERIES {
        writeln!(svg, r#"<rect x="{x}" y="54" width="11" height="11" class="{class}"/>"#)?;
        writeln!(svg, r#"<text x="{}" y="64">{name}</text>"#, x + 17.0)?;
        x += if class == "ours" { 100.0 } else { 250.0 };
    }
    let mut y = TOP;
    for (name, bars) in &groups {
        writeln!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#,
            NAMES - 8.0,
            y + 12.0,
            escaped(name)
        )?;
        for bar in bars {
            let width = (bar.price / longest * BARS).max(1.0);
            writeln!(
                svg,
                r#"<rect x="{NAMES}" y="{y}" width="{width:.1}" height="{:.1}" class="{}"/><text x="{:.1}" y="{}" class="dim">{}</text>"#,
                BAR - 2.0,
                bar.class,
                NAMES + width + 6.0,
                y + 11.0,
                escaped(&bar.label)
            )?;
            y += BAR;
        }
        y += GAP;
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

fn main() -> ExitCode {
    let Some(file) = env::args().nth(1) else {
        eprintln!("usage: cargo run --example chart -- target/compare.json > benches/compare.svg");
        return ExitCode::FAILURE;
    };
    let report = fs::read_to_string(&file).map_err(|error| error.to_string());
    let report =
        report.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match report.and_then(|report| chart(&report).map_err(|error| error.to_string())) {
        Ok(svg) => {
            print!("{svg}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn report() -> Value {
        let row = |workload: &str, pieces: &str, engine: &str, price: f64| json!({ "workload": workload, "pieces": pieces, "engine": engine, "ns_per_event": price });
        json!({
            "machine": "<fast> & \"new\"",
            "toolchain": "rustc",
            "rows": [
                row("vllm", "whole", "deltawire", 1.0),
                row("vllm", "event", "floor/line-ends", 2.0),
                row("vllm", "event", "deltawire", 100.0),
                row("vllm", "event", "peer/a+serde_json", 400.0),
                row("vllm", "event", "peer/b+sonic-rs", 200.0),
                { "workload": "vllm", "pieces": "event", "engine": "peer/a+async-openai", "wrong": true },
                row("huge", "whole", "deltawire", 9.0),
            ],
        })
    }

    #[test]
    fn the_fastest_of_each_series_is_drawn_to_scale() {
        let svg = chart(&report()).unwrap();
        assert!(svg.contains(r#"width="420.0" height="13.0" class="best""#), "{svg}");
        assert!(svg.contains(r#"width="210.0" height="13.0" class="ours""#), "{svg}");
        assert!(svg.contains("200 ns, b+sonic-rs") && !svg.contains("400 ns"), "{svg}");
        assert!(svg.contains(r#"width="1.0" height="13.0" class="usual""#), "{svg}");
        assert!(svg.contains("wrong answer"), "{svg}");
        assert_eq!(svg.matches(r#"height="13.0""#).count(), 3, "{svg}");
        assert!(!svg.contains("huge"), "no event by event: {svg}");
    }

    #[test]
    fn the_same_report_is_the_same_picture_and_its_texts_are_escaped() {
        let svg = chart(&report()).unwrap();
        assert_eq!(svg, chart(&report()).unwrap());
        assert!(svg.contains("&lt;fast&gt; &amp; &quot;new&quot;"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
}
