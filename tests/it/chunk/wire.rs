//! Everything else on the wire: each member that some server is known to send can be read.
//!
//! It can be read at each level, by its name.

use std::fs;

use super::{Value, to_serde, with_chunk};

const TOP: &str = r#"{
    "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
    "usage": null, "system_fingerprint": "fp", "service_tier": "on_demand", "obfuscation": "x",
    "p": "abcdef",
    "moderation": {"input": {"type": "t", "model": "m", "results": [{"flagged": false}]},
        "output": {"code": "c", "message": "m"}},
    "prompt_filter_results": [{"prompt_index": 0,
        "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}],
    "latency_checkpoint": {"engine_tbt_ms": 3},
    "error": null,
    "provider": "Groq", "openrouter_metadata": {"a": 1},
    "x_groq": {"id": "req_1", "seed": 5, "usage": {"queue_time": 0.1},
        "usage_breakdown": {"models": []}, "debug": {"input_token_ids": [1], "input_tokens": ["a"],
        "output_token_ids": [2], "output_tokens": ["b"]}, "error": "over capacity"},
    "time_info": {"queue_time": 0.00014, "prompt_time": 0.0, "completion_time": 0.1,
        "total_time": 0.2, "created": 1760000000.123},
    "timings": {"cache_n": 1, "prompt_n": 2, "prompt_ms": 3.5, "prompt_per_token_ms": 1.75,
        "prompt_per_second": 571.4, "predicted_n": 4, "predicted_ms": 5.5,
        "predicted_per_token_ms": 1.4, "predicted_per_second": 700.0, "draft_n": 1,
        "draft_n_accepted": 1},
    "prompt_progress": {"total": 10, "cache": 2, "processed": 5, "time_ms": 7},
    "__verbose": {"a": null},
    "citations": ["https://a.example"],
    "search_results": [{"title": "t", "url": "u", "date": null, "last_updated": "l", "snippet": "s",
        "source": "web"}],
    "images": [], "related_questions": ["q"],
    "status": "PENDING", "type": "message",
    "perf_metrics": {"server-ttft": 0.2},
    "prompt_token_ids": [1, 2], "prompt_text": "p",
    "metrics": {"time_to_first_token_ms": 1.0, "generation_time_ms": 2.0, "queue_time_ms": 0,
        "mean_itl_ms": 0.5, "tokens_per_second": 99.9, "speculative_decoding": {}},
    "sglext": {"routed_experts": "AAA=", "cached_tokens_details": {"device": 1, "host": 2}},
    "warnings": [{"message": "w"}],
    "sla_metrics": {"ttft_ms": 5, "ts_us": 1760000000000000},
    "copilot_usage": {"token_details": []},
    "cost": 0.000123, "generationId": "gen_1", "stream_options": {"include_usage": true}
}"#;

const CHOICE: &str = r#"{
    "index": 0, "delta": {}, "finish_reason": null,
    "native_finish_reason": "STOP", "stop_reason": "</s>", "matched_stop": 128009,
    "logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [],
        "sampling_logprob": -0.5, "token_id": 64}], "refusal": null, "tokens": ["a"],
        "token_logprobs": [-0.5], "token_ids": [64], "top_logprobs": [{"a": -0.5}],
        "text_offset": [0]},
    "reasoning_logprobs": {"content": [{"token": "r", "logprob": -1.0, "bytes": null,
        "top_logprobs": null}]},
    "top_logprobs": {"a": -0.5},
    "content_filter_results": {"hate": {"filtered": false, "severity": "safe"},
        "protected_material_code": {"filtered": false, "detected": true,
        "citation": {"URL": "u", "license": "MIT"}}, "error": {"code": "c", "message": "m"}},
    "content_filter_offsets": {"check_offset": 1, "start_offset": 2, "end_offset": 3},
    "content_filter_result": {"hate": {"filtered": false}},
    "token_ids": [64], "prompt_token_ids": [1], "raw_output": {"prompt_fragments": []},
    "routed_experts": "AAA=", "hidden_states": [[0.25]], "seed": 15870103107904350000,
    "text": "a", "message": {"role": "assistant", "content": "all so far"},
    "usage": {"total_tokens": 3}, "trace_details": null
}"#;

const DELTA: &str = r#"{
    "role": "assistant",
    "content": [{"type": "text", "text": "a"}, {"type": "thinking",
        "thinking": [{"type": "text", "text": "t"}], "signature": "s", "closed": true},
        {"type": "reference", "reference_ids": [1]}],
    "refusal": "", "reasoning_content": "r", "reasoning": "r",
    "reasoning_details": [{"type": "reasoning.text", "text": "r", "signature": null, "id": "rs_1",
        "format": "f", "index": 0}, {"type": "reasoning.encrypted", "data": "AAA="}],
    "tool_calls": [{"index": 0, "id": "call_1", "type": "function",
        "function": {"name": "f", "arguments": {"a": 1.0}},
        "extra_content": {"google": {"thought_signature": "s"}}}],
    "extra_content": {"google": {"thought": true}},
    "function_call": {"name": "f", "arguments": ""},
    "audio": {"id": "a", "transcript": "t", "data": "AAA=", "expires_at": 1},
    "images": [{"type": "image_url", "image_url": {"url": "data:"}, "index": 0}],
    "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t",
        "start_index": 0, "end_index": 1, "content": "c"}}],
    "executed_tools": [{"index": 0, "type": "search", "arguments": "{}", "output": "o",
        "search_results": {"results": []}}],
    "channel": "analysis", "citations": [], "token_id": 64, "hidden_states": null,
    "reasoning_steps": [{"thought": "t"}],
    "tool_call_id": null, "index": 0, "metadata": {},
    "provider_metadata": {"gateway": {"cost": "0.1"}}, "reasoning_encrypted": true,
    "graph_data": null, "llm_data": {}, "image_data": null, "translation_data": null,
    "web_search_data": null
}"#;

const USAGE: &str = r#"{
    "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0, "text_tokens": 0,
        "image_tokens": 0, "cache_write_tokens": 0, "video_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": null, "text_tokens": 0,
        "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0, "image_tokens": 0},
    "prompt_token_details": {}, "prompt_cache_hit_tokens": 1, "prompt_cache_miss_tokens": 0,
    "cached_tokens": 1, "reasoning_tokens": 1, "cost": {"total_cost": 0.00012},
    "cost_details": {"upstream_inference_cost": null, "upstream_inference_prompt_cost": 1e-7,
        "upstream_inference_completions_cost": 2.5E-6},
    "is_byok": false, "market_cost": "0.1", "estimated_cost": 0.1,
    "server_tool_use_details": {"tool_calls_requested": 1, "tool_calls_executed": 1,
        "web_search_requests": 0},
    "cost_in_usd_ticks": 18446744073709551615, "num_sources_used": 0,
    "queue_time": 0.026959759, "prompt_time": 0.0, "completion_time": 0.123456789012345678,
    "total_time": 0.1, "citation_tokens": 1, "num_search_queries": 1, "search_context_size": "low",
    "prompt_audio_seconds": null, "service_tier": "standard",
    "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2,
    "cache_creation": {"ephemeral_5m_input_tokens": 0},
    "avg_tok_per_sec": 1.5, "avg_prompt_tok_per_sec": 2.5, "avg_compl_tok_per_sec": 3.5,
    "total_time_sec": 0.5, "draft_tokens": 1, "draft_tokens_acceptance": 0.5,
    "tokens_per_second": 50.5, "time_to_first_token_ms": 12.25
}"#;

/// Compares the values of `get` with the sent ones, name by name, and all of it below.
fn assert_reachable<'v>(sent: &str, get: impl Fn(&str) -> Option<Value<'v>>) {
    let sent: serde_json::Value = serde_json::from_str(sent).unwrap();
    for (name, value) in sent.as_object().unwrap() {
        let found = get(name).unwrap_or_else(|| panic!("{name} can't be read"));
        assert_eq!(to_serde(found), *value, "{name}");
    }
}

#[test]
fn every_member_at_the_top_has_its_value() {
    with_chunk(TOP, |chunk| assert_reachable(TOP, |name| chunk.get(name)));
}

#[test]
fn every_member_of_a_choice_has_its_value() {
    with_chunk(&format!(r#"{{"choices":[{CHOICE}]}}"#), |chunk| {
        let choice = chunk.choices().next().unwrap();
        assert_reachable(CHOICE, |name| choice.get(name));
        // In a choice, where only Moonshot has it.
        assert_eq!(chunk.usage().unwrap().total_tokens(), Some(3));
        assert_eq!(choice.text(), Some("a"));
    });
}

#[test]
fn every_member_of_a_delta_and_a_tool_call_has_its_value() {
    with_chunk(&format!(r#"{{"choices":[{{"delta":{DELTA}}}]}}"#), |chunk| {
        let delta = chunk.choices().next().unwrap().delta();
        assert_reachable(DELTA, |name| delta.get(name));
        assert_eq!(delta.content(), None);
        assert_eq!(delta.content_parts().unwrap().count(), 3);
        let call = delta.tool_calls().next().unwrap();
        assert_eq!(call.arguments(), None);
        assert_eq!(call.arguments_object().unwrap().raw(), r#"{"a": 1.0}"#);
        let signature = call.get("extra_content").unwrap().get("google").unwrap();
        assert_eq!(signature.get("thought_signature").unwrap().as_str(), Some("s"));
        let extra: Vec<_> = call.extra().map(|(name, _)| name).collect();
        assert_eq!(extra, ["extra_content"]);
    });
}

#[test]
fn every_member_of_usage_has_its_value() {
    for place in [r#""usage":"#, r#""x_groq":{"usage":"#] {
        let close = if place.contains("groq") { "}" } else { "" };
        with_chunk(&format!(r#"{{"choices":[],{place}{USAGE}{close}}}"#), |chunk| {
            let usage = chunk.usage().unwrap();
            assert_reachable(USAGE, |name| usage.get(name));
            assert_eq!(usage.get("completion_time").unwrap().raw(), "0.123456789012345678");
        });
    }
}

/// `../shared/schema.md` lists every member that is known, with its evidence.
///
/// Each name in its tables with a specification or a recording is in the samples of this file.
#[test]
fn the_samples_have_every_member_that_the_schema_lists() {
    let Some(folder) = crate::support::shared("") else { return };
    let schema = fs::read_to_string(folder.join("schema.md")).unwrap();
    for (title, sample) in
        [("### 1.1 ", TOP), ("### 1.2 ", CHOICE), ("### 1.3 ", DELTA), ("### 1.4 ", USAGE)]
    {
        let section = schema.split(title).nth(1).unwrap().split("\n### ").next().unwrap();
        let mut names = 0;
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let field = row.split(" | ").next().unwrap();
            for code in field.split('`').skip(1).step_by(2) {
                let parts = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                // `..._prompt_cost` abbreviates.
                for name in parts.filter(|part| !part.is_empty() && !part.starts_with("_p")) {
                    if name.starts_with("_c") {
                        continue;
                    }
                    assert!(sample.contains(&format!("\"{name}\":")), "{title}: {name}");
                    names += 1;
                }
            }
        }
        assert!(names > 20, "{title}: {names}");
    }
}

/// Where a server says a count twice, the schema's own place counts.
#[test]
fn count_in_two_places_is_that_of_the_schemas_place() {
    let json = r#"{"usage":{"cached_tokens":1,"prompt_cache_hit_tokens":2,"reasoning_tokens":3,
        "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":5}}}"#;
    with_chunk(json, |chunk| {
        let usage = chunk.usage().unwrap();
        assert_eq!((usage.cached_tokens(), usage.reasoning_tokens()), (Some(4), Some(5)));
    });
    let json =
        r#"{"usage":{"prompt_cache_hit_tokens":2,"cached_tokens":1,"prompt_tokens_details":{}}}"#;
    with_chunk(json, |chunk| assert_eq!(chunk.usage().unwrap().cached_tokens(), Some(1)));
}
