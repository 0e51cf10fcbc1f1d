//! Draws `target/compare.json` as a bar chart.
//!
//! `cargo run --example chart -- target/compare.json` prints SVG. Colours follow the reader's
//! scheme, light or dark.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program prints its result, and what is wrong with its arguments"
)]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

/// The groups of bars: workload, pieces, title and subtitle.
const GROUPS: [(&str, &str, &str, &str); 6] = [
    ("vllm", "event", "One stream", "vLLM, in the cache"),
    ("fanout-10000", "shuffled", "10 000 streams at once", "in no order, out of the cache"),
    ("corpus", "event", "Recorded streams", "98 of real servers, short"),
    ("tools", "event", "Tool calls", "arguments in parts"),
    ("logprobs", "event", "Log probabilities", "kept here, skipped by others"),
    ("huge", "whole", "An image of 10 MiB", "base64, in one event"),
];

/// The bars of a group, from our fastest engine to the common pair of crates.
const SERIES: [(&str, &str); 3] = [
    ("ours", "deltawire"),
    ("best", "fastest other framer and parser"),
    ("usual", "fastest other framer with async-openai"),
];

/// Widths of the picture, of the titles, and of the longest bar of each group.
const WIDTH: f64 = 860.0;
const TITLES: f64 = 210.0;
const BARS: f64 = 440.0;
/// Heights of a bar with its gap, of the gap between groups, and of the head.
const BAR: f64 = 17.0;
const GAP: f64 = 16.0;
const TOP: f64 = 84.0;

struct Bar {
    class: &'static str,
    /// `None` if no engine of the series has the right answer.
    price: Option<f64>,
}

/// A title and a subtitle with the bars below it; the first is ours.
type Group = (&'static str, &'static str, Vec<Bar>);

/// Returns the groups in which ours has a price.
fn groups(report: &Value) -> Vec<Group> {
    let rows = || report["rows"].as_array().into_iter().flatten();
    let groups = GROUPS.iter().map(|(workload, pieces, title, subtitle)| {
        let bars = SERIES.iter().filter_map(|(class, _)| {
            let of_series = rows().filter(|row| {
                row["workload"] == *workload
                    && row["pieces"] == *pieces
                    && row["engine"].as_str().and_then(series) == Some(class)
            });
            let prices: Vec<_> = of_series.map(|row| row["ns_per_event"].as_f64()).collect();
            let price = prices.iter().flatten().copied().min_by(f64::total_cmp);
            (!prices.is_empty()).then_some(Bar { class, price })
        });
        (*title, *subtitle, bars.collect::<Vec<_>>())
    });
    let is_drawn = |(_, _, bars): &Group| {
        bars.first().is_some_and(|bar| bar.class == "ours" && bar.price.is_some())
    };
    groups.filter(is_drawn).collect()
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

/// Returns a time with its unit.
fn time(ns: f64) -> String {
    if ns < 10_000.0 { format!("{ns:.0} ns") } else { format!("{:.2} ms", ns / 1e6) }
}

fn chart(report: &Value) -> Result<String, std::fmt::Error> {
    let groups = groups(report);
    let text = |name: &str| escaped(report[name].as_str().unwrap_or_default());
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let bars = groups.iter().map(|(_, _, bars)| bars.len()).sum();
    let height = TOP + count(bars) * BAR + count(groups.len()) * GAP;
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12" role="img">
<title>Time for an event, from bytes to the whole completion</title>
<style>
svg {{ fill: #1f2328 }} .paper {{ fill: #fff }}
.dim {{ fill: #59636e }} .strong {{ font-weight: 600 }}
.ours {{ fill: #0969da }} .best {{ fill: #8c959f }} .usual {{ fill: #c9d1d9 }}
@media (prefers-color-scheme: dark) {{
svg {{ fill: #e6edf3 }} .paper {{ fill: #0d1117 }}
.dim {{ fill: #9198a1 }}
.ours {{ fill: #58a6ff }} .best {{ fill: #768390 }} .usual {{ fill: #3d444d }}
}}
</style>
<rect width="100%" height="100%" class="paper"/>
<text x="10" y="24" font-size="16" class="strong">Time for an event, from bytes to the whole completion: less is better</text>
<text x="10" y="43" class="dim">each group to a scale of its own; {}, {}</text>"#,
        text("machine"),
        text("toolchain")
    )?;
    let mut x = 10.0;
    for (class, name) in SERIES {
        writeln!(svg, r#"<rect x="{x}" y="56" width="11" height="11" class="{class}"/>"#)?;
        writeln!(svg, r#"<text x="{}" y="66">{name}</text>"#, x + 17.0)?;
        x += if class == "ours" { 100.0 } else { 230.0 };
    }
    let mut y = TOP;
    for group in &groups {
        draw(&mut svg, y, group)?;
        y += count(group.2.len()) * BAR + GAP;
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

/// Draws a group at a height. Its longest bar has the whole width.
fn draw(svg: &mut String, mut y: f64, (title, subtitle, bars): &Group) -> std::fmt::Result {
    let end = TITLES - 12.0;
    writeln!(
        svg,
        r#"<text x="{end}" y="{}" text-anchor="end" class="strong">{}</text><text x="{end}" y="{}" text-anchor="end" class="dim">{}</text>"#,
        y + 12.0,
        escaped(title),
        y + 12.0 + BAR,
        escaped(subtitle)
    )?;
    let longest = bars.iter().filter_map(|bar| bar.price).fold(1.0, f64::max);
    let ours = bars.first().and_then(|bar| bar.price).unwrap_or(longest);
    for Bar { class, price } in bars {
        let width = price.map_or(0.0, |price| price / longest * BARS);
        let label = match price {
            None => "wrong on some of them".to_owned(),
            Some(price) if *class == "ours" => time(*price),
            Some(price) => format!("{}: {:.1} times", time(*price), price / ours),
        };
        writeln!(
            svg,
            r#"<rect x="{TITLES}" y="{y}" width="{width:.1}" height="{:.1}" class="{class}"/><text x="{:.1}" y="{}">{label}</text>"#,
            BAR - 3.0,
            TITLES + width + 7.0,
            y + 11.0,
        )?;
        y += BAR;
    }
    Ok(())
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
                row("huge", "whole", "deltawire", 9e6),
            ],
        })
    }

    #[test]
    fn the_fastest_of_each_series_is_drawn_to_the_scale_of_its_group() {
        let svg = chart(&report()).unwrap();
        assert!(svg.contains(r#"width="440.0" height="14.0" class="best""#), "{svg}");
        assert!(svg.contains(r#"width="220.0" height="14.0" class="ours""#), "{svg}");
        assert!(svg.contains("200 ns: 2.0 times") && !svg.contains("400 ns"), "{svg}");
        assert!(svg.contains(r#"width="0.0" height="14.0" class="usual""#), "{svg}");
        assert!(svg.contains("wrong on some of them"), "{svg}");
        assert!(svg.contains(r#"width="440.0" height="14.0" class="ours""#), "huge alone: {svg}");
        assert_eq!(svg.matches(r#"height="14.0""#).count(), 4, "{svg}");
        assert!(svg.contains("9.00 ms") && !svg.contains("Tool calls"), "{svg}");
    }

    #[test]
    fn the_same_report_is_the_same_picture_and_its_texts_are_escaped() {
        let svg = chart(&report()).unwrap();
        assert_eq!(svg, chart(&report()).unwrap());
        assert!(svg.contains("&lt;fast&gt; &amp; &quot;new&quot;"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
}
