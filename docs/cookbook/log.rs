use deltawire::gateway::RelayReport;

/// Returns a line for the log of a stream, as JSON. It contains no text of the model.
fn line(request_id: &str, model: &str, report: &RelayReport) -> serde_json::Result<String> {
    serde_json::to_string(&serde_json::json!({
        "request_id": request_id,
        "model": model,
        "outcome": report.outcome, // such as `complete`, `cut`, `client_gone`
        "status": report.handling().http_status,
        "latency": report.latency, // seconds, and tokens
        "redactions": report.redactions,
        "stream": report.stream, // usage, finish reasons, the upstream's error, irregularities
    }))
}
