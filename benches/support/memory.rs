//! The heap of pipelines: per event, per stream, and for one huge event.

use crate::accumulate::{AsyncOpenAi, SerdeJson, SonicRs};
use crate::cuts::Cut;
use crate::engines::{engines, pieces, wrong};
use crate::heap::{Usage, counted};
use crate::pipelines::{Deltawire, Pipeline, SseCore, in_running_process};
use crate::report::Table;
use crate::streams::{Stream, Workload};

/// The pieces of a large event: TLS records.
const RECORD: Cut = Cut::Size(16 << 10);

/// Measures both tables.
pub fn tables(huge_events: bool) -> [Table; 2] {
    let mut held = Table::new(
        "memory: what one stream of vllm holds, bytes (text that it keeps subtracted)",
        &["pipeline", "size_of", "at first", "in event 11", "1000 events"],
    );
    held.rows = vec![
        one_stream::<Deltawire<true>>(),
        one_stream::<Deltawire<false>>(),
        one_stream::<SseCore<SerdeJson>>(),
        one_stream::<SseCore<SonicRs>>(),
        one_stream::<SseCore<AsyncOpenAi>>(),
    ];
    [per_event(huge_events), held]
}

/// Measures steady state, as the cost of a second thousand of events, and the peak.
///
/// The peak is that of an event of 10 MiB.
fn per_event(huge_events: bool) -> Table {
    let mut table = Table::new(
        "memory: what vllm asks of the heap for one event, and the peak for one of 10 MiB",
        &["engine", "allocations", "bytes", "peak, MiB"],
    );
    let run = |workload: &Workload, cut, at: usize| {
        let pieces = pieces(workload, cut);
        let mut engine = engines(&pieces, in_running_process).swap_remove(at);
        let ((_, answers), usage) = counted(|| (engine.run)());
        assert_eq!(wrong(&answers, workload), 0, "{} on {}", engine.name, workload.name);
        usage
    };
    let [once, twice] = [1000, 2000].map(|events| Workload::generated("vllm", events));
    let huge = Workload::generated("huge", 1);
    let names: Vec<_> =
        engines(&[], in_running_process).into_iter().map(|engine| engine.name).collect();
    for (at, name) in names.into_iter().enumerate() {
        if name.starts_with("floor/") {
            continue;
        }
        let [once, twice] = [&once, &twice].map(|workload| run(workload, Cut::Event, at));
        let per_event = |figure: fn(&Usage) -> usize| {
            format!("{:.2}", (figure(&twice) as f64 - figure(&once) as f64) / 1000.0)
        };
        let peak = if huge_events || !name.contains("eventsource-stream") {
            format!("{:.1}", run(&huge, RECORD, at).peak as f64 / f64::from(1 << 20))
        } else {
            "-".to_owned()
        };
        let figures = [per_event(|usage| usage.allocations), per_event(|usage| usage.bytes), peak];
        table.rows.push([name].into_iter().chain(figures).collect());
    }
    table
}

/// Measures the heap of one stream at three moments.
fn one_stream<P: Pipeline>() -> Vec<String> {
    let workload = Workload::generated("vllm", 1200);
    let Stream { bytes, ends, .. } = &workload.streams[0];
    let decoders = in_running_process();
    let held = |end: usize| {
        let (pipeline, usage) = counted(|| {
            let mut pipeline = P::new(&decoders);
            for range in Cut::Event.ranges(end, ends, &[]) {
                pipeline.feed(&bytes[range]);
            }
            pipeline
        });
        usage.live - pipeline.text() as isize
    };
    // Half of the eleventh event waits for its other half.
    let middle = ends[9] + (ends[10] - ends[9]) / 2;
    let figures = [0, middle, ends[999]].map(held).map(|bytes| bytes.to_string());
    let mut row = vec![P::NAME.to_owned(), size_of::<P>().to_string()];
    row.extend(figures);
    row
}
