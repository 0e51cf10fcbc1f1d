//! The heap of pipelines: per event, per stream, and for one huge event.

use deltawire::gateway::UsageTap;

use crate::cuts::Cut;
use crate::engines::{engines, pieces, wrong};
use crate::heap::{Usage, counted};
use crate::pipelines::{Answer, EachPipeline, Pipeline, each_pipeline, in_running_process};
use crate::report::Table;
use crate::streams::{Stream, Workload};

/// The pieces of a large event: TLS records.
const RECORD: Cut = Cut::Size(16 << 10);

/// Measures both tables.
pub fn tables(huge_events: bool) -> [Table; 2] {
    let mut held = Table::new(
        "memory: what one stream of vllm holds, bytes (the buffer of its text subtracted)",
        &["pipeline", "size_of", "at first", "in event 11", "1000 events", "1000 events, size_of"],
    );
    let pipelines: EachPipeline<fn() -> Vec<String>> = each_pipeline!(one_stream);
    held.rows = pipelines.iter().map(|(_, row)| row()).collect();
    held.rows.push(one_stream::<UsageTap>());
    [per_event(huge_events), held]
}

/// Measures steady state, as the cost of a second thousand of events, a short stream, and the peak.
///
/// The peak is that of an event of 10 MiB. A short stream is one of the median length of recorded
/// ones, 21 events, from the new decoder to the result.
fn per_event(huge_events: bool) -> Table {
    let mut table = Table::new(
        "memory: what vllm asks of the heap for one event and for 21, the peak for one of 10 MiB",
        &["engine", "allocations", "bytes", "allocations for a stream of 21", "peak, MiB"],
    );
    let run = |workload: &Workload, cut, at: usize| {
        let pieces = pieces(workload, cut);
        let mut engine = engines(&pieces, in_running_process).swap_remove(at);
        let ((_, answers), usage) = counted(|| (engine.run)());
        assert_eq!(wrong(&answers, workload), 0, "{} on {}", engine.name, workload.name);
        usage
    };
    let [once, twice] = [1000, 2000].map(|events| Workload::generated("vllm", events));
    let short = [1, 2].map(|streams| Workload {
        name: "vllm",
        streams: (0..streams).map(|seed| Stream::generated("vllm", 20, seed)).collect(),
    });
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
        let [one_stream, two_streams] =
            short.each_ref().map(|workload| run(workload, Cut::Event, at).allocations);
        // The second stream has a box for its answer.
        let stream = (two_streams - one_stream - 1).to_string();
        let [allocations, bytes] =
            [per_event(|usage| usage.allocations), per_event(|usage| usage.bytes)];
        let figures = [allocations, bytes, stream, peak];
        table.rows.push([name].into_iter().chain(figures).collect());
    }
    table
}

/// Measures one stream: its size, its heap at three moments, and both at the last.
///
/// The buffer of its text isn't counted with its spare bytes, which depend on the last growth.
fn one_stream<P: Pipeline>() -> Vec<String> {
    let workload = Workload::generated("vllm", 1200);
    let stream = &workload.streams[0];
    let decoders = in_running_process();
    let feed = |end: usize| {
        let mut pipeline = P::new(&decoders);
        for range in Cut::Event.ranges(end, &stream.ends, &[]) {
            pipeline.feed(&stream.bytes[range]);
        }
        pipeline
    };
    // A stream before it allocates the state that all streams of the process share.
    assert!(feed(stream.bytes.len()).end().is_right(stream), "{}", P::NAME);
    let held = |end: usize| {
        let (mut pipeline, usage) = counted(|| feed(end));
        usage.live - pipeline.text() as isize
    };
    // Half of the eleventh event waits for its other half.
    let middle = stream.ends[9] + (stream.ends[10] - stream.ends[9]) / 2;
    let [first, middle, last] = [0, middle, stream.ends[999]].map(held);
    let size = size_of::<P>() as isize;
    let figures = [size, first, middle, last, size + last].map(|bytes| bytes.to_string());
    [P::NAME.to_owned()].into_iter().chain(figures).collect()
}
