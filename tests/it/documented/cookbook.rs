//! The recipes of the cookbook, word for word, over all recorded streams.

use serde_json::Value;

use super::{closed, streams, texts};
use crate::support::fold;

/// Returns the chunks of a stream, read by `serde_json`.
fn chunks(stream: &[u8]) -> Vec<Value> {
    fold::payloads(&closed(stream))
        .into_iter()
        .filter(|chunk| chunk["choices"].is_array())
        .collect()
}

/// Returns the text of the first choice, by the fold of the tests.
fn content(stream: &[u8]) -> String {
    let folded = fold::fold(&chunks(stream));
    folded.choices.into_iter().next().and_then(|choice| choice.content).unwrap_or_default()
}

fn is_found(stream: &[u8], text: &str) -> bool {
    stream.windows(text.len()).any(|window| window == text.as_bytes())
}

mod watch {
    include!("../../../docs/cookbook/watch.rs");

    /// The client receives what came, and the counts are those that a plain fold finds.
    #[test]
    fn recipe_watch_forwards_and_finds_the_usage() {
        for (file, stream, finished) in super::streams() {
            let mut client = Vec::new();
            let report = watch(stream.chunks(100), &mut client);
            let sent = if stream.len() < client.len() { &client[..stream.len()] } else { &client };
            assert!(sent == stream, "{file}");
            let folded = super::fold::fold(&super::chunks(&stream));
            let expected = folded.usage["completion_tokens"].as_u64();
            if finished.end.malformed == 0 && finished.end.upstream_error.is_none() {
                let found = report.stream.tokens.and_then(|tokens| tokens.completion);
                assert_eq!(found, expected, "{file}");
            }
            assert_eq!(report.handling().may_be_cached, finished.whole().is_ok(), "{file}");
        }
    }

    /// Behind a part of an event there is no error event, and the response is aborted.
    #[test]
    fn recipe_watch_aborts_a_stream_that_is_cut_inside_an_event() {
        let event = &b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"[..];
        for (cut, is_aborted) in [(event.len(), false), (20, true)] {
            let mut client = Vec::new();
            let report = watch([&event[..cut]], &mut client);
            assert_eq!((report.must_abort, end(&report).is_err()), (is_aborted, is_aborted));
            assert_eq!(super::is_found(&client, "gateway_error"), !is_aborted);
        }
    }
}

mod bill {
    include!("../../../docs/cookbook/bill.rs");

    use std::time::Duration;

    use deltawire::gateway::RelayEnd;

    /// A client that hasn't requested the usage pays by it, and doesn't see it.
    #[test]
    fn recipe_bill_hides_the_usage_that_it_bills() {
        let mut bills = 0;
        for (file, stream, finished) in super::streams() {
            let (request, mut relay) = prepare(br#"{"model":"m","stream":true}"#).unwrap();
            let request: serde_json::Value = serde_json::from_slice(&request).unwrap();
            assert_eq!(request["stream_options"]["include_usage"], true);
            let mut client = Vec::new();
            for piece in stream.chunks(61) {
                let _open = relay.push(piece, Duration::ZERO, &mut client);
            }
            let report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut client);
            let usages =
                super::chunks(&client).into_iter().filter(|chunk| chunk["usage"].is_object());
            assert_eq!(usages.count(), 0, "{file}");
            let usage = super::fold::fold(&super::chunks(&stream)).usage;
            if finished.whole().is_ok() && usage["completion_tokens"].is_u64() {
                let count = |name: &str| usage[name].as_u64().unwrap_or(0);
                let expected = (count("prompt_tokens"), count("completion_tokens"));
                assert_eq!(billed(&report), Some(expected), "{file}");
                bills += 1;
            }
        }
        assert!(bills > 50 || crate::support::shared("corpus").is_none(), "{bills}");
    }
}

mod rename {
    include!("../../../docs/cookbook/rename.rs");

    use std::time::Duration;

    use deltawire::gateway::RelayEnd;

    /// The client sees its alias only, and nothing else differs.
    #[test]
    fn recipe_rename_changes_the_model_alone() {
        for (file, stream, finished) in super::streams() {
            let (request, mut relay) =
                rename(br#"{"model":"fast","stream":true}"#, "fast", "m-70b").unwrap();
            assert_eq!(&*request, br#"{"model":"m-70b","stream":true}"#);
            let mut client = Vec::new();
            for piece in stream.chunks(61) {
                let _open = relay.push(piece, Duration::ZERO, &mut client);
            }
            let _report = relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut client);
            if finished.end.malformed > 0 {
                continue;
            }
            let mut expected = super::chunks(&stream);
            for chunk in &mut expected {
                if chunk["model"].is_string() {
                    chunk["model"] = "fast".into();
                }
            }
            assert_eq!(super::chunks(&client), expected, "{file}");
        }
    }
}

mod redact {
    include!("../../../docs/cookbook/redact.rs");

    /// No text has the word behind the relay, and a forbidden word ends the stream with an error.
    #[test]
    fn recipe_redact_leaves_no_word() {
        let (mut redacted, mut stopped) = (0, 0);
        for (file, stream, finished) in super::streams() {
            let word: String = super::content(&stream).chars().skip(2).take(6).collect();
            if word.chars().count() < 6 || finished.end.malformed > 0 {
                continue;
            }
            let mut client = Vec::new();
            let report = redact(stream.chunks(50), &[&word], &["no stream has this"], &mut client);
            let leaks = super::texts(&client).values().any(|text| text.contains(&word));
            assert!(!leaks, "{file}: {word:?}");
            if report.outcome.stopped().is_none() {
                let mut expected = super::texts(&stream);
                for text in expected.values_mut() {
                    *text = text.replace(&word, "[…]");
                }
                assert_eq!(super::texts(&client), expected, "{file}");
                redacted += 1;
            }
            client.clear();
            let report = redact(stream.chunks(50), &["no stream has this"], &[&word], &mut client);
            assert!(report.outcome.stopped().is_some(), "{file}");
            assert!(!super::is_found(&client, "[DONE]"), "{file}");
            assert!(super::is_found(&client, "\"error\""), "{file}");
            let leaks = super::texts(&client).values().any(|text| text.contains(&word));
            assert!(!leaks, "{file}: {word:?}");
            stopped += 1;
        }
        let is_absent = crate::support::shared("corpus").is_none();
        assert!(redacted > 30 && stopped > 40 || is_absent, "{redacted} {stopped}");
    }
}

mod cache {
    include!("../../../docs/cookbook/cache.rs");

    use deltawire::gateway::assemble;

    /// Only whole completions are stored, as the upstream sent them. A hit has the client's rules.
    #[test]
    fn recipe_cache_replays_by_the_rules_of_the_client() {
        let mut redacted = 0;
        for (file, stream, finished) in super::streams() {
            let word: String = super::content(&stream).chars().skip(2).take(6).collect();
            let words = [if word.chars().count() < 6 { "no stream has this" } else { &*word }];
            let report = fill(stream.chunks(99), rules("our-alias", &words), &mut Vec::new());
            let is_stopped = report.outcome.stopped().is_some();
            let stored = stored(report);
            assert_eq!(stored.is_some(), finished.whole().is_ok() && !is_stopped, "{file}");
            let Some(stored) = stored else { continue };
            let facts = |completion: &ChatCompletion| {
                super::fold::facts(&serde_json::to_value(completion).unwrap())
            };
            assert_eq!(facts(&stored), facts(&finished.completion), "{file}");
            let mut client = Vec::new();
            let report = hit(&stored, rules("our-alias", &words), &mut client);
            assert_eq!((report.outcome.as_str(), report.must_abort), ("complete", false), "{file}");
            assert!(assemble([&client[..]]).whole().is_ok(), "{file}");
            for chunk in super::chunks(&client) {
                assert!(chunk["model"].is_null() || chunk["model"] == "our-alias", "{file}");
                assert!(!chunk["usage"].is_object(), "{file}");
            }
            let content = super::content(&stream).replace(words[0], "[…]");
            assert_eq!(super::content(&client), content, "{file}");
            assert!(!super::texts(&client).values().any(|text| text.contains(words[0])), "{file}");
            redacted += report.redactions;
        }
        assert!(redacted > 30 || crate::support::shared("corpus").is_none(), "{redacted}");
    }
}

mod convert {
    include!("../../../docs/cookbook/convert.rs");

    /// The JSON has what a plain fold of the stream has, and so has the stream of the JSON.
    #[test]
    fn recipe_convert_keeps_the_completion() {
        for (file, stream, finished) in super::streams() {
            let json = to_json([&stream[..]]);
            assert_eq!(json.is_ok(), finished.whole().is_ok(), "{file}");
            let Ok(json) = json else { continue };
            let read: super::Value = serde_json::from_slice(&json).unwrap();
            let expected = super::fold::fold(&super::chunks(&stream));
            let facts = super::fold::facts(&read);
            let contents = |folded: &super::fold::Folded| {
                let choices = folded.choices.iter();
                choices
                    .map(|choice| (choice.index, choice.content.clone().unwrap_or_default()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(contents(&facts), contents(&expected), "{file}");
            let again = to_json([&to_stream(&json).unwrap()[..]]).unwrap();
            assert_eq!(serde_json::from_slice::<super::Value>(&again).unwrap(), read, "{file}");
        }
        let error = br#"{"error":{"message":"slow down","code":429}}"#;
        assert!(to_stream(error).is_err());
    }
}

mod limit {
    include!("../../../docs/cookbook/limit.rs");

    /// A long stream is stopped, with an error and no clean end; a short one isn't.
    #[test]
    fn recipe_limit_stops_long_streams() {
        let mut stopped = 0;
        for (file, stream, finished) in super::streams() {
            let mut client = Vec::new();
            let forever = Duration::from_secs(3600);
            let report = limit(stream.chunks(64), u64::MAX, forever, &mut client);
            assert!(client.starts_with(&stream), "{file}");
            let completion = report.completion.unwrap().completion;
            assert_eq!(completion, finished.completion, "{file}");
            client.clear();
            let report = limit(stream.chunks(64), 2, forever, &mut client);
            if client.len() + 400 < stream.len() {
                assert_eq!(report.outcome.as_str(), "stopped", "{file}");
                assert!(!super::is_found(&client, "[DONE]"), "{file}");
                assert!(report.must_abort || super::is_found(&client, "gateway_error"), "{file}");
                stopped += 1;
            }
        }
        assert!(stopped > 40 || crate::support::shared("corpus").is_none(), "{stopped}");
    }
}

mod log {
    include!("../../../docs/cookbook/log.rs");

    /// The line is JSON, and has no sentence of the model.
    #[test]
    fn recipe_log_has_no_text() {
        for (file, stream, _) in super::streams() {
            let report = super::watch_report(&stream);
            let line = line("req-1", "m", &report).unwrap();
            let read: super::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["outcome"], report.outcome.as_str(), "{file}");
            assert!(read["stream"]["end"]["events"].is_u64(), "{file}");
            let text: String = super::content(&stream).chars().take(24).collect();
            assert!(
                text.chars().count() < 24 || !super::is_found(line.as_bytes(), &text),
                "{file}"
            );
        }
    }
}

/// Returns the report of a relay that collects.
fn watch_report(stream: &[u8]) -> deltawire::gateway::RelayReport {
    use deltawire::gateway::{Relay, RelayEnd};
    use std::time::Duration;

    let (mut relay, mut client) = (Relay::builder().measure().collect().build(), Vec::new());
    let _open = relay.push(stream, Duration::ZERO, &mut client);
    relay.finish(RelayEnd::Upstream, Duration::ZERO, &mut client)
}
