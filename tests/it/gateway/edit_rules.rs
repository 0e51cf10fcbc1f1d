//! Rules of an editor by path: events and completions, byte for byte against a program of the rules.

use deltawire::gateway::{EditRule, Editor, RewriteOutcome, UsageVisibility};
use deltawire::sse::EventKind;
use deltawire::{ChunkDecoder, ErrorKind, Payload, Reassembler, SseDecoder, Templates};
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::support::edited::{Action, Rule, Step, edited};
use crate::support::recordings;

use Step::{All, Name, Position};

fn rule(steps: &[Step], action: Action) -> Rule {
    Rule { steps: steps.to_vec(), action }
}

/// Returns rules of all kinds, for members and elements of all levels.
fn rules() -> Vec<Rule> {
    let delta = |rest: &[Step]| [&[Name("choices"), All, Name("delta")], rest].concat();
    let tokens =
        |rest: &[Step]| [&[Name("choices"), All, Name("logprobs"), Name("content")], rest].concat();
    vec![
        rule(&[Name("model")], Action::Replace("\"al\\\"ias\"")),
        rule(&[Name("created")], Action::Set("0")),
        rule(&[Name("system_fingerprint")], Action::Remove),
        rule(&[Name("usage")], Action::Set("{\"total_tokens\":1.50}")),
        rule(&[Name("x.metadata")], Action::Set("{\"tier\":[\"gold\",null]}")),
        rule(&[Name("service_tier")], Action::AddIfAbsent("\"default\"")),
        rule(&[Name("id")], Action::Rename("model")),
        rule(&delta(&[Name("reasoning")]), Action::Rename("reasoning_content")),
        rule(&delta(&[Name("content")]), Action::Replace("\"\"")),
        rule(&delta(&[Name("role")]), Action::AddIfAbsent("\"assistant\"")),
        rule(&delta(&[Name("refusal")]), Action::Remove),
        rule(
            &delta(&[Name("tool_calls"), All, Name("function"), Name("arguments")]),
            Action::Replace("\"{}\""),
        ),
        rule(&delta(&[Name("tool_calls"), Position(0)]), Action::Remove),
        rule(&[Name("choices"), Position(0), Name("logprobs")], Action::Remove),
        rule(&tokens(&[All, Name("token")]), Action::Replace("\"*\"")),
        rule(&tokens(&[All, Name("top_logprobs"), All, Name("bytes")]), Action::Remove),
        rule(&tokens(&[Position(0), Name("id")]), Action::AddIfAbsent("7")),
        rule(&tokens(&[Position(0)]), Action::Remove),
        rule(&[Name("choices"), All, All], Action::Replace("null")),
        rule(&[All], Action::Remove),
    ]
}

fn editor(rules: &[Rule]) -> Editor {
    Editor::with_rules(rules.iter().map(Rule::made))
}

/// Writes each event of a stream with the rules, and compares its bytes. Returns the changed ones.
///
/// Looks at the first `most` events.
fn compare_stream(name: &str, stream: &[u8], rules: &[Rule], most: usize) -> usize {
    let (mut editor, mut decoder) = (editor(rules), ChunkDecoder::new());
    decoder.set_templates(&Templates::new());
    let (mut input, mut out, mut changed, mut count) = (stream, Vec::new(), 0, 0);
    while let Some(event) = decoder.next(&mut input) {
        count += 1;
        if count > most {
            break;
        }
        out.clear();
        let outcome = editor.write(&event, &mut out);
        let raw = std::str::from_utf8(event.raw()).unwrap_or_default();
        let data = std::str::from_utf8(event.event().data()).unwrap_or_default();
        let (is_object, adds) = match event.payload() {
            Payload::Chunk(_) => (true, true),
            Payload::Error(error) => (true, error.chunk().is_some()),
            Payload::Other(_) => (true, false),
            _ => (false, false),
        };
        let Some(expected) = edited(data, rules, adds).filter(|_| is_object) else {
            assert_eq!(out, event.raw(), "{name}");
            continue;
        };
        let expected = raw.replacen(data, &expected, 1);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{name}: {raw}{rules:?}");
        assert_eq!(outcome == RewriteOutcome::Changed, expected != raw, "{name}: {raw}{rules:?}");
        changed += usize::from(expected != raw);
    }
    changed
}

#[test]
fn each_rule_changes_the_events_of_all_recordings() {
    let recordings = recordings("openai-chat");
    for rule in rules() {
        let changed = recordings.iter().map(|recording| {
            compare_stream(&recording.file, &recording.bytes, std::slice::from_ref(&rule), 25)
        });
        let changed: usize = changed.sum();
        assert!(changed > 0 || recordings.is_empty(), "{rule:?} changes nothing");
    }
}

#[test]
fn each_pair_of_rules_changes_the_events_of_all_recordings() {
    let (recordings, rules) = (recordings("openai-chat"), rules());
    for first in &rules {
        for second in &rules {
            for recording in recordings.iter().step_by(5) {
                let pair = [first.clone(), second.clone()];
                compare_stream(&recording.file, &recording.bytes, &pair, 12);
            }
        }
    }
}

/// A value in a list of log probabilities, which no template contains, and one beside it.
#[test]
fn an_edit_of_an_event_replaces_values_in_and_beside_log_probabilities() {
    let event = |token: &str| {
        let tokens = format!(r#"[{{"token":"{token}","logprob":-0.5,"bytes":[1,2]}}]"#);
        let choice = format!(
            r#"{{"index":0,"delta":{{"content":"{token}"}},"logprobs":{{"content":{tokens},"refusal":null}}}}"#
        );
        format!("data: {{\"choices\":[{choice}],\"model\":\"m\"}}\n\n")
    };
    let (mut editor, mut decoder) = (Editor::new(), ChunkDecoder::new());
    decoder.set_templates(&Templates::new());
    for token in ["one", "two", "three", "four"] {
        let stream = event(token);
        let event = decoder.next(&mut stream.as_bytes()).unwrap();
        let Payload::Chunk(chunk) = event.payload() else { panic!("a chunk") };
        let choice = chunk.choices().next().unwrap();
        let listed = choice.logprobs().unwrap().content().next().unwrap().get("token").unwrap();
        let content = choice.delta().get("content").unwrap();
        let model = chunk.get("model").unwrap();
        let mut out = Vec::new();
        let mut edit = editor.edit(&event);
        for value in [listed, content, model] {
            assert!(edit.replace(value, "*"));
        }
        assert!(
            edit.apply(&EditRule::remove("$.choices[0].logprobs.content[0].bytes[1]").unwrap())
        );
        assert_eq!(edit.write(&mut out), RewriteOutcome::Changed);
        let expected = stream.replace(token, "*").replace("\"m\"", "\"*\"").replace(",2]", "]");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}

/// Returns completions: those of the own streams as they are, and those of the recordings.
fn completions() -> Vec<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Expected<'a> {
        #[serde(borrow)]
        completion: &'a RawValue,
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let own = ["text", "tools", "reasoning", "refusal", "n2", "usage", "error", "truncated"];
    let mut completions: Vec<_> = own
        .into_iter()
        .map(|name| {
            let json = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
            let expected: Expected<'_> = serde_json::from_str(&json).unwrap();
            (name.to_owned(), expected.completion.get().to_owned())
        })
        .collect();
    for recording in recordings("openai-chat") {
        let (mut decoder, mut completion) = (ChunkDecoder::new(), Reassembler::new());
        let mut input = &recording.bytes[..];
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
        let completion = completion.finish(decoder.finish()).completion;
        completions.push((recording.file, serde_json::to_string_pretty(&completion).unwrap()));
    }
    completions
}

#[test]
fn rules_change_whole_completions() {
    let (completions, rules) = (completions(), rules());
    let mut changed = 0;
    for first in &rules {
        for second in &rules {
            let pair = [first.clone(), second.clone()];
            for (name, json) in completions.iter().step_by(if first == second { 1 } else { 7 }) {
                let (mut editor, mut out) = (editor(&pair), b"before".to_vec());
                let outcome = editor.write_completion(json.as_bytes(), &mut out).unwrap();
                let expected = edited(json, &pair, true).unwrap();
                assert_eq!(
                    std::str::from_utf8(&out).unwrap(),
                    format!("before{expected}"),
                    "{name}"
                );
                assert_eq!(outcome == RewriteOutcome::Changed, expected != *json, "{name}");
                changed += usize::from(expected != *json);
            }
        }
    }
    assert!(changed > 500, "{changed}");
}

/// Hiding the usage of a completion drops no body, and outranks the rules for the usage.
#[test]
fn the_usage_of_a_whole_completion_is_hidden() {
    for (sent, removed, null) in [
        (r#"{"id":1, "usage":{"a":2}}"#, r#"{"id":1}"#, r#"{"id":1, "usage":null}"#),
        (r#"{"choices":[],"usage":{}}"#, r#"{"choices":[]}"#, r#"{"choices":[],"usage":null}"#),
        (r#"{"usage":{},"usage":1}"#, "{}", r#"{"usage":null,"usage":null}"#),
        (r#"{"id":1}"#, r#"{"id":1}"#, r#"{"id":1}"#),
    ] {
        for (how, expected) in [(UsageVisibility::Removed, removed), (UsageVisibility::Null, null)]
        {
            let mut editor = Editor::with_rules([EditRule::set("$.usage", 7).unwrap()]);
            editor.hide_usage(how);
            let mut out = Vec::new();
            let outcome = editor.write_completion(sent.as_bytes(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(outcome == RewriteOutcome::Changed, sent != expected);
        }
    }
}

/// A body that can't be read may contain a value that a rule hides: nothing is written.
#[test]
fn a_completion_that_cannot_be_read_is_not_written() {
    let mut editor = editor(&rules());
    for (json, kind, offset) in [
        (&b""[..], ErrorKind::UnexpectedEnd, 0),
        (b"[]", ErrorKind::ExpectedObject, 0),
        (b" 7", ErrorKind::ExpectedObject, 1),
        (b"{\"model\":\"m\"", ErrorKind::UnexpectedEnd, 12),
        (b"{\"model\":\"m\"} x", ErrorKind::TrailingData, 14),
        (b"{\"model\":\"\xFF\"}", ErrorKind::InvalidUtf8, 10),
        (b"\xEF\xBB\xBF{}", ErrorKind::ExpectedValue, 0),
        (b"data: {}\n\n", ErrorKind::ExpectedValue, 0),
    ] {
        let mut out = b"before".to_vec();
        let error = editor.write_completion(json, &mut out).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset));
        assert_eq!(out, b"before");
    }
}

/// The new name wins: no object has a member of the old name, or two names under one.
#[test]
fn a_renaming_makes_no_second_member() {
    let rename = |name| EditRule::rename(&format!("$.d['{name}']"), "new").unwrap();
    let mut editor = Editor::with_rules([rename("a"), rename("b")]);
    for (sent, expected) in [
        (r#"{"d":{"a":1}}"#, r#"{"d":{"new":1}}"#),
        (r#"{"d":{"new":0,"a":1}}"#, r#"{"d":{"new":1}}"#),
        (r#"{"d":{"a":1,"new":0}}"#, r#"{"d":{"new":1}}"#),
        (r#"{"d":{"a":null,"new":0}}"#, r#"{"d":{"new":0}}"#),
        (r#"{"d":{"a":null,"new":null}}"#, r#"{"d":{"new":null}}"#),
        (r#"{"d":{"a":1,"b":2,"new":0}}"#, r#"{"d":{"new":2}}"#),
        (r#"{"d":{"a":1,"b":null,"new":0}}"#, r#"{"d":{"new":1}}"#),
        (r#"{"d":{"a":1,"a":2}}"#, r#"{"d":{"new":1,"new":2}}"#),
        (r#"{"d":{"\u0061":1,"n\u0065w":2}}"#, r#"{"d":{"new":1}}"#),
        (r#"{"d":null}"#, r#"{"d":null}"#),
        (r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        let mut out = Vec::new();
        let _ = editor.write_completion(sent.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{sent}");
    }
}

/// A rule for a name holds for a member that another rule renames to it.
///
/// So an alias that is set, or a value that is hidden, doesn't come back under another name.
#[test]
fn a_rule_for_a_name_holds_for_renamed_members() {
    let rename = || EditRule::rename("$.a", "b").unwrap();
    let bodies =
        [r#"{"a":1}"#, r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, r#"{"b":2}"#, r#"{"a":null,"b":2}"#];
    let set = EditRule::set("$.b", "X").unwrap();
    let replace = EditRule::replace("$.b", "X").unwrap();
    let remove = EditRule::remove("$.b").unwrap();
    let x = [r#"{"b":"X"}"#; 5];
    for (rules, expected) in [
        (vec![rename(), set.clone()], x),
        (vec![set, rename()], x),
        (vec![rename(), replace.clone()], x),
        (vec![rename(), remove.clone()], ["{}"; 5]),
        // Rules before the renaming are for the member that had the name.
        (vec![replace, rename()], [r#"{"b":1}"#, r#"{"b":1}"#, r#"{"b":1}"#, x[0], x[0]]),
        (vec![remove, rename()], [r#"{"b":1}"#, r#"{"b":1}"#, r#"{"b":1}"#, "{}", r#"{"b":null}"#]),
    ] {
        for (body, expected) in bodies.into_iter().zip(expected) {
            let (mut editor, mut out) = (Editor::with_rules(rules.clone()), Vec::new());
            let members = body.trim_start_matches('{');
            let body = format!(r#"{{"choices":[{{"x":{body}}}],{members}"#);
            let _ = editor.write_completion(body.as_bytes(), &mut out).unwrap();
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let mut expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            expected["choices"] = read["choices"].clone();
            assert_eq!(read, expected, "{rules:?} {body}");
        }
    }
}

/// The alias of a choice's delta is for choices: no other object loses its message.
#[test]
fn a_message_is_a_delta_in_choices_only() {
    for (path, sent, expected) in [
        (
            "$.*[*].delta",
            r#"{"choices":[{"message":1,"a":0}],"errors":[{"message":2,"delta":3}],"x":[{"message":4}]}"#,
            r#"{"choices":[{"a":0}],"errors":[{"message":2}],"x":[{"message":4}]}"#,
        ),
        (
            "$.*.*.delta",
            r#"{"error":{"inner":{"message":"m"}},"choices":[{"message":1}]}"#,
            r#"{"error":{"inner":{"message":"m"}},"choices":[{}]}"#,
        ),
        ("$[*].delta", r#"{"error":{"message":1,"delta":2}}"#, r#"{"error":{"message":1}}"#),
        (
            "$.choices[*].delta",
            r#"{"choices":{"0":{"message":1,"delta":2}}}"#,
            r#"{"choices":{"0":{"message":1}}}"#,
        ),
        (
            "$.choices[*].delta.delta",
            r#"{"choices":[{"message":{"message":1,"delta":2}}]}"#,
            r#"{"choices":[{"message":{"message":1}}]}"#,
        ),
    ] {
        let mut editor = Editor::with_rules([EditRule::remove(path).unwrap()]);
        let mut out = Vec::new();
        let _ = editor.write_completion(sent.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{path}");
    }
}

/// Objects that are no chunk have their values replaced, renamed and removed, and get no new member.
#[test]
fn rules_add_members_to_chunks_only() {
    let rules = || {
        [
            EditRule::replace("$.model", "alias").unwrap(),
            EditRule::set("$.tier", 1).unwrap(),
            EditRule::add_if_absent("$.new", 2).unwrap(),
            EditRule::rename("$.old", "renamed").unwrap(),
            EditRule::remove("$.secret").unwrap(),
        ]
    };
    let all = r#""model":"m","tier":0,"old":3,"secret":4"#;
    let changed = r#""model":"alias","tier":1,"renamed":3"#;
    let event = |lines: &str, data: &str| format!("{lines}data: {data}\n\n");
    for (lines, sent, expected) in [
        ("", r#"{"type":"ping"}"#, r#"{"type":"ping"}"#),
        ("", "{}", "{}"),
        ("event: ping\n", "{}", "{}"),
        ("event: error\n", r#"{"message":"x"}"#, r#"{"message":"x"}"#),
        ("", r#"{"error":{"message":"x"}}"#, r#"{"error":{"message":"x"}}"#),
        ("", &format!(r#"{{"type":"ping",{all}}}"#), &format!(r#"{{"type":"ping",{changed}}}"#)),
        ("", &format!(r#"{{"error":1,{all}}}"#), &format!(r#"{{"error":1,{changed}}}"#)),
        ("event: error\n", &format!("{{{all}}}"), &format!("{{{changed}}}")),
        ("", r#"{"choices":[]}"#, r#"{"choices":[],"tier":1,"new":2}"#),
        ("", r#"{"error":1,"choices":[]}"#, r#"{"error":1,"choices":[],"tier":1,"new":2}"#),
        ("", r#"{"usage":{}}"#, r#"{"usage":{},"tier":1,"new":2}"#),
    ] {
        let mut editor = Editor::with_rules(rules());
        // Templates may be used for the later ones.
        let stream = event(lines, sent).repeat(6);
        let (mut decoder, mut out, mut input) =
            (ChunkDecoder::new(), Vec::new(), stream.as_bytes());
        while let Some(event) = decoder.next(&mut input) {
            let mut edit = Editor::new();
            let mut edit = edit.edit(&event);
            let adds = edit.apply(&EditRule::add_if_absent("$.new", 2).unwrap());
            assert_eq!(adds, expected.contains("new"), "{sent}");
            let _ = editor.write(&event, &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap(), event(lines, expected).repeat(6));
        // A body without choices is no completion.
        let (mut out, is_completion) = (Vec::new(), sent.contains("choices"));
        let _ = editor.write_completion(sent.as_bytes(), &mut out).unwrap();
        let expected = if is_completion || !expected.contains("new") { expected } else { sent };
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

/// Eight times the rules cost eight times as much, for the same body.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "no clock of a thread's own work")]
fn work_grows_with_the_rules() {
    let body = format!(r#"{{"choices":[{}]}}"#, vec!["{}"; 50].join(","));
    let set = |at: usize| EditRule::set(&format!("$.choices[*].x{at}"), 1).unwrap();
    let write = |editor: &mut Editor| {
        let mut out = Vec::new();
        let _ = editor.write_completion(body.as_bytes(), &mut out).unwrap();
        out.len()
    };
    let together = |rules: usize| _ = write(&mut Editor::with_rules((0..rules).map(set)));
    let one_by_one = |rules: usize| {
        let mut editor = Editor::new();
        // Each rule is added twice, and the later one counts.
        (0..rules).chain(0..rules).for_each(|at| editor.add_rule(set(at)));
        assert!(editor.write_completion(b"{}", &mut Vec::new()).is_ok());
    };
    let ratio = crate::support::clock::ratio(|| together(100), || together(800), 24.0);
    assert!(ratio < 24.0, "{ratio}");
    let ratio = crate::support::clock::ratio(|| one_by_one(500), || one_by_one(4000), 24.0);
    assert!(ratio < 24.0, "{ratio}");
    let mut twice = Editor::with_rules((0..3).chain(0..3).map(set));
    assert_eq!(write(&mut twice), body.len() + 50 * r#""x0":1,"x1":1,"x2":1"#.len());
}

const NAMES: [&str; 8] = ["a", "b", "choices", "delta", "message", "model", "usage", "x y"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => proptest::sample::select(&NAMES[..]).prop_map(Name),
        1 => (0..3usize).prop_map(Position),
        2 => Just(All),
    ];
    let chosen = proptest::sample::select(vec![
        vec![Name("choices"), All, Name("delta")],
        vec![Name("choices"), Position(0), Name("delta"), Name("a")],
        vec![Name("choices"), All, Name("delta"), Name("a")],
    ]);
    prop_oneof![3 => proptest::collection::vec(step, 1..4), 1 => chosen]
}

prop_compose! {
    fn any_rule()(
        steps in steps(),
        json in proptest::sample::select(vec!["7", "null", "\"é\\n\"", "{\"a\": [1, 2.50]}", "[]"]),
        name in proptest::sample::select(&NAMES[..]),
        kind in 0..5,
    ) -> Rule {
        let is_member = matches!(steps.last(), Some(Name(_)));
        let action = match kind {
            1 if is_member => Action::Set(json),
            2 if is_member => Action::AddIfAbsent(json),
            3 if is_member => Action::Rename(name),
            4 => Action::Remove,
            _ => Action::Replace(json),
        };
        Rule { steps, action }
    }
}

/// Generates values with spaces and repeated names; a text may differ from event to event.
fn value() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "1",
        "null",
        "true",
        "\"TEXT\"",
        "\"\\\"{\"",
        "-1.5e3",
        "{}",
        "[ ]",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        let space = proptest::sample::select(vec!["", " ", "\n", " \n "]);
        let members = (proptest::sample::select(&NAMES[..]), inner.clone(), space.clone());
        let object = proptest::collection::vec(members, 0..5).prop_map(object);
        let elements = proptest::collection::vec((inner, space), 0..4).prop_map(|elements| {
            let elements =
                elements.into_iter().map(|(value, space)| format!("{space}{value}{space}"));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        });
        prop_oneof![object, elements]
    })
}

fn object(members: Vec<(&str, String, &str)>) -> String {
    let members = members.into_iter().map(|(name, value, space)| {
        let name = if space.is_empty() { name.replace('a', "\\u0061") } else { name.to_owned() };
        format!("{space}\"{name}\"{space}:{space}{value}{space}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

prop_compose! {
    /// Generates chunks with choices, and any other members.
    fn chunk()(
        choices in proptest::collection::vec(
            proptest::collection::vec((proptest::sample::select(&NAMES[..]), value(), Just(" ")), 0..4),
            0..3,
        ),
        mut members in proptest::collection::vec(
            (proptest::sample::select(&NAMES[..]), value(), proptest::sample::select(vec!["", " ", "\n"])),
            0..5,
        ),
        position in 0..5usize,
    ) -> String {
        let choices: Vec<_> = choices.into_iter().map(object).collect();
        let choices = ("choices", format!("[{}]", choices.join(" , ")), "");
        members.insert(position.min(members.len()), choices);
        object(members)
    }
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/edit_rules.txt", 1500))]

    /// Any rules on any chunks, in one line and in several, with templates; and on completions.
    #[test]
    fn any_rules_change_any_chunks(
        chunk in chunk(),
        rules in proptest::collection::vec(any_rule(), 1..5),
        size in 1..80usize,
    ) {
        let mut editor = editor(&rules);
        let texts = ["", "b", "longer text"].map(|text| chunk.replace("TEXT", text));
        for json in &texts {
            let expected = edited(json, &rules, true).unwrap();
            let mut out = Vec::new();
            let outcome = editor.write_completion(json.as_bytes(), &mut out).unwrap();
            prop_assert_eq!(outcome == RewriteOutcome::Changed, *json != expected);
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected, "{}", json);
        }
        for is_split in [false, true] {
            let line_break = if is_split { "\ndata: " } else { " " };
            let events = texts.each_ref().map(|json| {
                format!("event: e\ndata: {}\nid: 7\n\n", json.replace('\n', line_break))
            });
            let stream = events.concat().repeat(2);
            let (mut decoder, mut out) = (ChunkDecoder::new(), Vec::new());
            decoder.set_templates(&Templates::new());
            for mut piece in stream.as_bytes().chunks(size) {
                while let Some(event) = decoder.next(&mut piece) {
                    let _ = editor.write(&event, &mut out);
                }
            }
            let (mut sse, mut input, mut count) = (SseDecoder::new(), &out[..], 0);
            while let Some(event) = sse.next(&mut input) {
                prop_assert_eq!(event.kind(), EventKind::Message);
                prop_assert_eq!((event.event_type(), event.last_event_id()), ("e", "7"));
                let sent = &texts[count % texts.len()];
                let sent = if is_split { sent.clone() } else { sent.replace('\n', " ") };
                let expected = edited(&sent, &rules, true).unwrap();
                prop_assert_eq!(event.data_str().unwrap(), expected, "{}", sent);
                count += 1;
            }
            prop_assert_eq!(count, 2 * texts.len());
        }
    }
}
