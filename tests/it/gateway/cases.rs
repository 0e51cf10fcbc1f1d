//! The parts of a gateway, case by case, for behaviour that the laws in `parts` don't cover.

use std::time::Duration;

use deltawire::completion::ChatCompletion;
use deltawire::gateway::{
    Guard, Meter, Observer, PushResult, Replay, SniffResult, Sniffer, TokenCounts, UsageTap,
    WatchedTextKind, assemble, write_comment,
};
use deltawire::sse::{BodyKind, EventKind};
use deltawire::{ChunkDecoder, Limits, Payload, SseDecoder};

use crate::support::events::{delta, each, event};

fn observed(limits: &Limits, stream: &str) -> Observer {
    let mut observer = Observer::with_limits(limits);
    each(stream, |event| {
        observer.observe(event);
    });
    observer
}

/// Pushes all of a stream within the bound.
fn guarded(stream: &str) -> (Guard, Vec<PushResult>) {
    let (mut guard, mut pushed) = (Guard::new(), Vec::new());
    each(stream, |event| pushed.push(guard.push(event)));
    (guard, pushed)
}

fn released(mut guard: Guard) -> String {
    let mut out = Vec::new();
    guard.release_all(&mut out);
    String::from_utf8(out).unwrap()
}

mod guard {
    use super::*;

    #[test]
    fn each_kind_of_text_is_a_text() {
        let names = ["content", "refusal", "reasoning"];
        let mut stream = names.map(|name| delta(&format!(r#"{{"{name}":"{name}"}}"#))).concat();
        // Reasoning under another name would be one text with `reasoning` for some readers.
        stream += &event(r#"{"choices":[{"index":1,"delta":{"reasoning_content":"r"}}]}"#);
        for function in [r#""name":"f""#, r#""arguments":"{""#, r#""arguments":"}""#] {
            let call = format!(r#"{{"tool_calls":[{{"index":3,"function":{{{function}}}}}]}}"#);
            stream += &delta(&call);
        }
        stream += &delta(r#"{"function_call":{"name":"g"}}"#);
        // Servers repeat the reasoning in its details. Mistral sends parts of a content.
        // A choice has them in each delta with a reasoning.
        for (choice, detail) in [(2, r#"{"text":"d","index":2}"#), (3, r#"{"summary":"s"}"#)] {
            stream += &event(&format!(
                r#"{{"choices":[{{"index":{choice},"delta":{{"reasoning_details":[{detail}]}}}}]}}"#
            ));
        }
        stream += &delta(
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":" t"}]},{"type":"text","text":" p"}]}"#,
        );
        let (guard, pushed) = guarded(&stream);
        assert_eq!(pushed, [PushResult::Text; 11]);
        let texts: Vec<_> =
            guard.texts().map(|text| (text.id.kind, text.id.element, text.text)).collect();
        let expected = [
            (WatchedTextKind::Content, None, "content p"),
            (WatchedTextKind::Refusal, None, "refusal"),
            (WatchedTextKind::Reasoning, None, "reasoning t"),
            (WatchedTextKind::ReasoningContent, None, "r"),
            (WatchedTextKind::FunctionName, Some(0), "f"),
            (WatchedTextKind::Arguments, Some(0), "{}"),
            (WatchedTextKind::FunctionName, None, "g"),
            (WatchedTextKind::ReasoningDetail, None, "d"),
            (WatchedTextKind::ReasoningSummary, None, "s"),
        ];
        assert_eq!(texts, expected);
    }

    /// An event that is rejected and comes again begins its tool calls once.
    #[test]
    fn a_rejected_event_begins_no_call() {
        let call = |name: &str| {
            delta(&format!(
                r#"{{"content":"a","tool_calls":[{{"function":{{"name":"{name}","arguments":"b"}}}}]}}"#
            ))
        };
        let mut guard = Guard::with_bounds(700, 100);
        let mut out = Vec::new();
        each(&(call("f") + &call("g")), |event| {
            let mut pushed = guard.push(event);
            if pushed == PushResult::Full {
                guard.release_all(&mut out);
                pushed = guard.push(event);
            }
            assert_eq!(pushed, PushResult::Text);
        });
        assert!(!out.is_empty(), "the second event was rejected once");
        let elements: Vec<_> = guard.texts().map(|text| (text.id.element, text.text)).collect();
        let of = |number| Some(number);
        let expected = [(None, "aa"), (of(0), "f"), (of(0), "b"), (of(1), "g"), (of(1), "b")];
        assert_eq!(elements, expected);
    }

    /// Each kind of `PushResult::Unwatched`, beside a text and alone.
    #[test]
    fn what_is_no_text_is_unwatched() {
        for more in [
            r#""delta":{@"tool_calls":[{"index":0,"function":{"arguments":{"a":1,"b":"x"}}}]}"#,
            r#""delta":{@"function_call":{"new":"f"}}"#,
            r#""delta":{@"audio":{"data":"a"}}"#,
            r#""delta":{@"reasoning_details":[{"text":["a"]}]}"#,
            r#""delta":{@"annotations":[{"title":"a"}]}"#,
            r#""delta":{@"x":1},"logprobs":{"content":[{"token":"a"}]}"#,
            r#""delta":{@"x":1},"text":"a""#,
            r#""delta":{@"x":1},"message":{"content":"a"}"#,
        ] {
            for beside in ["", r#""content":"a","#] {
                let choice = more.replace('@', beside);
                let stream = event(&format!(r#"{{"choices":[{{"index":0,{choice}}}]}}"#));
                assert_eq!(guarded(&stream).1, [PushResult::Unwatched], "{stream}");
            }
        }
        let nothing = r#"{"choices":[{"index":0,"delta":{"content":"a","tool_calls":[],"audio":null},"logprobs":null,"text":""}]}"#;
        assert_eq!(guarded(&event(nothing)).1, [PushResult::Text]);
    }

    /// An event costs its bytes and 64, and each text in it 64 and its own.
    #[test]
    fn an_event_may_have_exactly_so_many_bytes() {
        let stream = delta(r#"{"content":"a"}"#);
        let cost = stream.len() + 64 + 64 + 1;
        for (most, expected) in [(cost - 1, PushResult::TooLarge), (cost, PushResult::Text)] {
            let mut guard = Guard::with_bounds(most, 0);
            each(&stream, |event| assert_eq!(guard.push(event), expected));
        }
        // While bytes are held it is over the bound, and later it isn't.
        let mut guard = Guard::with_bounds(cost, 0);
        each("event: ping\n\n", |event| assert_eq!(guard.push(event), PushResult::NoText));
        each(&stream, |event| assert_eq!(guard.push(event), PushResult::Full));
        guard.release_all(&mut Vec::new());
        each(&stream, |event| assert_eq!(guard.push(event), PushResult::Text));
    }

    #[test]
    fn there_are_at_most_so_many_texts() {
        let text = |choice| {
            event(&format!(r#"{{"choices":[{{"index":{choice},"delta":{{"content":"a"}}}}]}}"#))
        };
        let (guard, pushed) = guarded(&(0..300).map(text).collect::<String>());
        assert_eq!(guard.texts().count(), 256);
        assert_eq!(pushed[..256], [PushResult::Text; 256]);
        assert_eq!(pushed[256..], [PushResult::Unwatched; 44]);
    }

    /// A replaced text is written in the event in which it begins.
    ///
    /// The other texts stay as they were sent, spelling included.
    #[test]
    fn only_a_replaced_text_is_written_anew() {
        let stream =
            [r#"{"content":"\u0061b"}"#, r#"{"content":"\u0063d"}"#, r#"{"content":"\u0065f"}"#]
                .map(delta)
                .concat();
        for (range, with, expected) in [
            (0..2, "X", [r#""X""#, r#""\u0063d""#, r#""\u0065f""#]),
            (2..4, "X", [r#""\u0061b""#, r#""X""#, r#""\u0065f""#]),
            (1..3, "X", [r#""aX""#, r#""d""#, r#""\u0065f""#]),
            (4..6, "", [r#""\u0061b""#, r#""\u0063d""#, r#""""#]),
        ] {
            let (mut guard, _) = guarded(&stream);
            let id = guard.texts().next().unwrap().id;
            assert!(guard.replace(id, range.clone(), with));
            let expected = expected.map(|text| delta(&format!(r#"{{"content":{text}}}"#)));
            assert_eq!(released(guard), expected.concat(), "{range:?}");
        }
    }

    /// A string of an unknown name that alone changes is harmless only while it is empty.
    #[test]
    fn what_is_empty_may_be_a_text_later() {
        let texts = ["a", "", "", "", "secret", ""];
        let stream = texts.map(|text| delta(&format!(r#"{{"new":"{text}"}}"#))).concat();
        let expected = texts
            .map(|text| if text.is_empty() { PushResult::NoText } else { PushResult::Unwatched });
        assert_eq!(guarded(&stream).1, expected);
    }

    /// Eight levels below a member of the chunk are looked through, lists of filters included.
    #[test]
    fn what_is_too_deep_is_unwatched() {
        let objects = |depth| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let lists = |depth| {
            format!("{}1{}", r#"[{"prompt_filter_results":"#.repeat(depth), "}]".repeat(depth))
        };
        for (member, value, expected) in [
            ("new", objects(8), PushResult::NoText),
            ("new", objects(9), PushResult::Unwatched),
            ("prompt_filter_results", lists(4), PushResult::NoText),
            ("prompt_filter_results", lists(5), PushResult::Unwatched),
            ("prompt_filter_results", format!("[{}]", objects(7)), PushResult::NoText),
            ("prompt_filter_results", format!("[{}]", objects(8)), PushResult::Unwatched),
        ] {
            let stream = event(&format!(r#"{{"choices":[],"{member}":{value}}}"#));
            assert_eq!(guarded(&stream).1, [expected], "{stream}");
        }
    }

    /// An empty text holds nothing up.
    #[test]
    fn events_without_text_are_released_at_once() {
        let stream = delta(r#"{"role":"assistant","content":""}"#) + ": ping\n\n";
        let (mut guard, _) = guarded(&stream);
        let mut out = Vec::new();
        guard.release(100, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), stream);
        assert!(guard.is_empty());
    }

    /// One that comes and one that goes cost the same, however many are between them.
    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
    fn what_is_held_costs_nothing_more() {
        let part = delta(&format!(r#"{{"content":"{}"}}"#, "x".repeat(1000)));
        let holding = |count: usize| {
            let mut guard = Guard::with_bounds(usize::MAX, 0);
            each(&part.repeat(count), |event| assert_eq!(guard.push(event), PushResult::Text));
            guard
        };
        let parts = part.repeat(20);
        let pass = |guard: &mut Guard, count: usize| {
            let mut out = Vec::new();
            each(&parts, |event| {
                assert_eq!(guard.push(event), PushResult::Text);
                out.clear();
                guard.release(1000 * count, &mut out);
                assert_eq!(out.len(), part.len());
            });
        };
        let (mut few, mut many) = (holding(20), holding(20_000));
        let ratio =
            crate::support::clock::ratio(|| pass(&mut few, 20), || pass(&mut many, 20_000), 8.0);
        assert!(ratio < 8.0, "{ratio}");
    }
}

mod observer {
    use super::*;

    fn finish_of(index: usize) -> String {
        event(&format!(
            r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#
        ))
    }

    fn text_of(index: usize) -> String {
        event(&format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"a"}}}}]}}"#))
    }

    fn choices(limits: &Limits, stream: &str) -> Vec<(u64, Option<String>)> {
        let mut observer = observed(limits, stream);
        let choices = observer.finish(ChunkDecoder::new().finish()).choices;
        choices.into_iter().map(|choice| (choice.index, choice.finish_reason)).collect()
    }

    /// By turns and one after the other, few and many.
    #[test]
    fn every_choice_is_seen() {
        for count in [1, 3, 63, 64, 65, 100] {
            let turns = (0..count).map(text_of).collect::<String>().repeat(3);
            let ends: String = (0..count).map(finish_of).collect();
            let expected: Vec<_> =
                (0..count as u64).map(|index| (index, Some("stop".to_owned()))).collect();
            assert_eq!(choices(&Limits::default(), &(turns.clone() + &ends)), expected);
            let begun: Vec<_> = (0..count as u64).map(|index| (index, None)).collect();
            assert_eq!(choices(&Limits::default(), &turns), begun);
        }
    }

    /// The choices have the order of their first chunks, in which indexes are missing or late.
    #[test]
    fn choices_in_any_order_are_seen() {
        for (first, other) in [(0, 1), (0, 5), (1, 3), (16, 18), (17, 40), (20, 1000), (64, 70)] {
            let indexes = (0..first).chain([other, first, other + 1, other]);
            let stream: String = indexes.clone().map(text_of).collect();
            let expected: Vec<_> =
                indexes.take(first + 3).map(|index| (index as u64, None)).collect();
            assert_eq!(choices(&Limits::default(), &stream), expected);
            let mut expected = expected;
            expected[first].1 = Some("stop".to_owned());
            let stream = stream + &finish_of(other);
            assert_eq!(choices(&Limits::default(), &stream), expected);
        }
    }

    #[test]
    fn no_more_choices_are_kept_than_may_be() {
        let mut limits = Limits::default();
        limits.max_choices = 2;
        let stream: String = (0..4).map(text_of).chain((0..4).map(finish_of)).collect();
        let stop = Some("stop".to_owned());
        assert_eq!(choices(&limits, &stream), [(0, stop.clone()), (1, stop)]);
    }

    fn tokens(stream: &str) -> Option<(Option<u64>, Option<u64>, Option<u64>)> {
        let observer = observed(&Limits::default(), stream);
        let parts = |tokens: TokenCounts| (tokens.prompt, tokens.completion, tokens.total);
        let mut meter = Meter::new();
        each(stream, |event| {
            meter.observe(event.payload(), Duration::ZERO);
        });
        let metered = meter.finish_with(deltawire::Outcome::Complete, Duration::ZERO).prompt_tokens;
        let found = observer.tokens().map(parts);
        assert_eq!(metered, found.and_then(|found| found.0));
        found
    }

    /// The usage itself outranks the others, and the last one of its rank counts.
    ///
    /// So does the last of members with the same name.
    #[test]
    fn the_usage_that_counts_is_kept() {
        let own =
            |count: u32| event(&format!(r#"{{"choices":[],"usage":{{"prompt_tokens":{count}}}}}"#));
        let groq = |count: u32| {
            event(&format!(r#"{{"choices":[],"x_groq":{{"usage":{{"prompt_tokens":{count}}}}}}}"#))
        };
        let prompt = |count| Some((Some(count), None, None));
        assert_eq!(tokens(&groq(5)), prompt(5));
        assert_eq!(tokens(&(groq(5) + &groq(6))), prompt(6));
        assert_eq!(tokens(&(groq(5) + &own(6))), prompt(6));
        assert_eq!(tokens(&(own(5) + &own(6))), prompt(6));
        assert_eq!(tokens(&(own(5) + &groq(6))), prompt(5));
        assert_eq!(tokens(&(own(5) + &groq(6) + &own(7))), prompt(7));
        let twice: String = (1..9)
            .map(|count| {
                let usage = format!(
                    r#"{{"prompt_tokens":{count},"completion_tokens":{count},"total_tokens":{},"prompt_tokens":3}}"#,
                    2 * count
                );
                event(&format!(r#"{{"choices":[],"usage":{usage}}}"#))
            })
            .collect();
        assert_eq!(tokens(&twice), Some((Some(3), Some(8), Some(16))));
        let usage = |count: u32| format!(r#"{{"prompt_tokens":{count},"prompt_tokens":3}}"#);
        let twice: String = (10..19)
            .map(|count| event(&format!(r#"{{"choices":[],"usage":{}}}"#, usage(count))))
            .collect();
        assert_eq!(tokens(&twice), prompt(3));
    }

    #[test]
    fn a_reset_forgets_all_but_the_limits() {
        let stream = text_of(0).repeat(5)
            + r#"data: {"error":{"code":1},"usage":{"total_tokens":1}}"#
            + "\n\n";
        let mut observer = observed(&Limits::default(), &stream);
        assert!(observer.deltas() == 5 && observer.tokens().is_some());
        observer.reset();
        assert!(observer.deltas() == 0 && observer.tokens().is_none());
        let mut decoder = ChunkDecoder::new();
        let mut input = stream.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            observer.observe(&event);
            if observer.deltas() == 3 {
                // In mid-stream: the later chunks report the choice again.
                observer.reset();
            }
        }
        let seen = observer.finish(decoder.finish());
        assert_eq!((seen.deltas, seen.choices.len()), (2, 1));
        let none = observer.finish(ChunkDecoder::new().finish());
        assert_eq!((none.deltas, none.choices.len(), none.tokens), (0, 0, None));
        assert_eq!(none.outcome, deltawire::Outcome::Empty);
    }
}

mod tap {
    use super::*;

    const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\n";

    #[test]
    fn deltas_are_counted_by_the_piece_and_in_all() {
        let mut tap = UsageTap::new();
        assert_eq!((tap.push(TEXT.repeat(3).as_bytes()), tap.deltas()), (3, 3));
        assert_eq!((tap.push(b": ping\n\n"), tap.deltas()), (0, 3));
        assert_eq!((tap.push(TEXT.repeat(2).as_bytes()), tap.deltas()), (2, 5));
        assert_eq!(tap.sse().offset(), (5 * TEXT.len() + 8) as u64);
        tap.reset();
        assert_eq!((tap.deltas(), tap.sse().offset()), (0, 0));
    }

    /// A usage that breaks off behind its last line counts if it is salvaged.
    #[test]
    fn a_last_usage_can_be_salvaged() {
        let mut tap = UsageTap::new();
        tap.push(USAGE.trim_end().as_bytes());
        assert_eq!(tap.tokens(), None);
        let total = |tokens: Option<TokenCounts>| tokens.and_then(|tokens| tokens.total);
        assert_eq!(tap.salvage().and_then(|tapped| total(tapped.tokens)), Some(7));
        assert!(tap.salvage().is_none());
        assert_eq!(total(tap.finish().tokens), Some(7));
    }
}

mod meter {
    use super::*;

    #[test]
    fn a_total_is_recorded_by_its_growth() {
        let (mut by_total, mut by_growth) = (Meter::new(), Meter::new());
        for (total, growth, at) in [(0, 0, 5), (2, 2, 10), (2, 0, 15), (5, 3, 30), (4, 0, 40)] {
            let now = Duration::from_millis(at);
            let gaps = |meter: &Meter| (meter.gaps(), meter.last_token());
            let ticks = [by_total.record_total(total, now), by_growth.record(growth, now)];
            let told = ticks.map(|tick| tick.gaps().collect::<Vec<_>>());
            assert_eq!(told[0], told[1]);
            assert_eq!(gaps(&by_total), gaps(&by_growth));
        }
        assert_eq!(by_total.time_to_first_token(), Some(Duration::from_millis(10)));
    }

    /// An error may bring a last piece of text.
    #[test]
    fn the_chunk_of_an_error_is_observed() {
        let stream = r#"data: {"error":{"code":1},"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":4}}"#;
        let mut meter = Meter::new();
        each(&format!("{stream}\n\n"), |event| {
            assert!(matches!(event.payload(), Payload::Error(_)));
            meter.observe(event.payload(), Duration::from_millis(3));
        });
        assert_eq!(meter.last_token(), Some(Duration::from_millis(3)));
        let measured = meter.finish_with(deltawire::Outcome::UpstreamError, Duration::ZERO);
        assert_eq!(measured.prompt_tokens, Some(4));
    }
}

mod replay {
    use super::*;

    fn replayed(completion: &ChatCompletion, delta_bytes: usize) -> String {
        let (mut replay, mut out) = (Replay::new(completion), Vec::new());
        replay.set_delta_bytes(delta_bytes);
        replay.write_all(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn completion(stream: &str) -> ChatCompletion {
        assemble([stream.as_bytes()]).completion
    }

    /// Each text in as many deltas as it needs.
    #[test]
    fn deltas_are_as_long_as_they_may_be() {
        let completion = completion(&delta(r#"{"content":"0123456789é123456789"}"#));
        for (most, expected) in [
            (4, &["0123", "4567", "89é", "1234", "5678", "9"][..]),
            (11, &["0123456789", "é123456789"]),
            (usize::MAX, &["0123456789é123456789"]),
        ] {
            let mut texts = Vec::new();
            each(&replayed(&completion, most), |event| {
                let Payload::Chunk(chunk) = event.payload() else { return };
                let text = chunk.choices().find_map(|choice| choice.delta().content());
                texts.extend(text.filter(|text| !text.is_empty()).map(str::to_owned));
            });
            assert_eq!(texts, expected);
        }
    }

    /// A call may have no arguments, and members of its own.
    #[test]
    fn calls_keep_their_members() {
        let calls = r#"[{"index":0,"id":"a","new":1,"function":{"name":"f","arguments":""}}]"#;
        let completion = completion(&delta(&format!(r#"{{"tool_calls":{calls}}}"#)));
        let replayed = replayed(&completion, 32);
        assert!(replayed.contains(r#""new":1"#), "{replayed}");
        assert!(assemble([replayed.as_bytes()]).completion == completion);
    }

    /// Elements that are long, have long names, or have many values.
    ///
    /// A chunk contains at most 4 MiB of them, or 262 144 names and values.
    #[test]
    fn lists_go_on_where_a_chunk_is_full() {
        let escaped = format!(r#""@@{}""#, r#"\"],["#.repeat(1 << 13));
        let name = "n".repeat(10 << 10);
        let numbers = vec!["1"; 3000].join(",");
        let members: Vec<_> = (0..200).map(|nth| format!(r#""{nth}":1"#)).collect();
        let members = members.join(",");
        for (element, count, mark, most) in [
            (r#"{"a":[1,2],"b":3}"#.to_owned(), 50_000, r#""b":3"#, (4 << 20) / (17 + 7 * 16)),
            (escaped.clone(), 150, "@@", (4 << 20) / escaped.len()),
            (format!(r#"{{"index":#,"{name}":1}}"#), 500, r#""index""#, (4 << 20) / name.len()),
            (format!(r#"{{"index":#,"a":[{numbers}]}}"#), 100, r#""index""#, 262_144 / 3000),
            (format!(r#"{{"index":#,{members}}}"#), 800, r#""index""#, 262_144 / 400),
        ] {
            let elements: Vec<_> =
                (0..count).map(|nth| element.replace('#', &nth.to_string())).collect();
            let elements = elements.join(",");
            let stream = if mark == r#""index""# {
                event(&format!(r#"{{"choices":[],"prompt_filter_results":[{elements}]}}"#))
            } else {
                event(&format!(
                    r#"{{"choices":[{{"index":0,"delta":{{}},"token_ids":[{elements}]}}]}}"#
                ))
            };
            let completion = completion(&stream);
            let replayed = replayed(&completion, 32);
            let counts: Vec<_> =
                replayed.split("\n\n").map(|event| event.matches(mark).count()).collect();
            let counts: Vec<_> = counts.into_iter().filter(|count| *count > 0).collect();
            assert_eq!(counts.iter().sum::<usize>(), count);
            assert!(counts.len() == 2 && counts[0] <= most, "{counts:?} of {most}");
            assert!(assemble([replayed.as_bytes()]).completion == completion);
        }
    }

    /// `[DONE]` comes only after finished choices.
    #[test]
    fn an_unfinished_completion_has_no_done() {
        let end = event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
        let other = event(r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#);
        let text = delta(r#"{"content":"a"}"#);
        for (stream, done) in [
            (String::new(), false),
            (text.clone(), false),
            (text.clone() + &end + &other, false),
            (text + &end, true),
        ] {
            let replayed = replayed(&completion(&stream), 8);
            assert_eq!(replayed.ends_with("data: [DONE]\n\n"), done, "{replayed}");
        }
    }

    /// Calls are numbered from 0, each is named once, and lists have their commas.
    #[test]
    fn calls_and_lists_are_written_as_they_are() {
        let stream = delta(
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"first","arguments":"{\"a\":1}"}},
            {"index":1,"id":"b","function":{"name":"second","arguments":"{\"b\":2}"}}],
            "reasoning_details":[{"index":0,"text":"x"},{"index":1,"text":"y"}]}"#,
        )
        .replace('\n', "");
        let replayed = replayed(&completion(&(stream + "\n\n")), 3);
        for name in ["first", "second"] {
            assert_eq!(replayed.matches(name).count(), 1, "{replayed}");
        }
        let mut indexes = Vec::new();
        each(&replayed, |event| {
            let Payload::Chunk(chunk) = event.payload() else { panic!("{replayed}") };
            for choice in chunk.choices() {
                let calls = choice.delta().tool_calls();
                indexes.extend(calls.map(|call| call.index().unwrap()));
                if let Some(details) = choice.delta().reasoning_details() {
                    let texts: Vec<_> =
                        details.elements().map(|it| it.get("text").unwrap().raw()).collect();
                    assert_eq!(texts, [r#""x""#, r#""y""#]);
                }
            }
        });
        indexes.dedup();
        assert_eq!(indexes, [0, 1]);
    }
}

/// A keep-alive of any text is comments and nothing else.
#[test]
fn comments_are_passed_over() {
    for (text, lines) in [
        ("keep-alive", &["keep-alive"][..]),
        ("", &[""]),
        ("a\nb\r\nc\rdata: d", &["a", "b", "c", "data: d"]),
    ] {
        let mut out = Vec::new();
        write_comment(text, &mut out);
        let (mut decoder, mut input, mut found) = (SseDecoder::new(), &out[..], Vec::new());
        while let Some(event) = decoder.next(&mut input) {
            assert!(matches!(event.kind(), EventKind::Comment | EventKind::BlankLine));
            found.extend(event.comments().map(|text| String::from_utf8(text.to_vec()).unwrap()));
        }
        assert_eq!(found, lines);
        assert!(out.ends_with(b"\n\n"));
    }
}

/// A body is told by no more bytes than it takes.
#[test]
fn the_kind_of_a_body_is_known_by_its_first_bytes() {
    for (first, body) in [
        (&b"{"[..], BodyKind::Json),
        (b"[", BodyKind::Json),
        (b"<", BodyKind::Html),
        (b"\x1F\x8B", BodyKind::Compressed),
        (b"\x28\xB5\x2F\xFD", BodyKind::Compressed),
    ] {
        let (last, before) = first.split_last().unwrap();
        let mut sniffer = Sniffer::new();
        assert_eq!(sniffer.push(before), None);
        assert_eq!(sniffer.push(&[*last]), Some(SniffResult::NotAnEventStream(body)), "{first:?}");
    }
}
