//! `Serialize` for the report of a decoder.

use super::summary::StreamSummary;
use crate::report::report;

// The hidden fields are parts of the outcome, and of the reports that contain it.
report!(StreamSummary {
    bytes,
    discarded_bytes,
    is_cut,
    events,
    chunks,
    others,
    malformed,
    done,
    after_done,
    deviations,
    upstream_error,
    body,
    api,
    rest(hidden),
    failed_finish(hidden),
});
