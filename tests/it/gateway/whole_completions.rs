//! Whole completions: a relay reads a body by the rules of `ChatCompletion::from_json`.

use deltawire::completion::{ChatCompletion, CompletionLimit, Defect, FinishedCompletion};
use deltawire::gateway::{CompletionError, Relay};
use deltawire::{Error, ErrorKind, Outcome};

/// Reads a body as a relay does, and checks that it copies all bytes or none.
fn relayed(body: &str) -> Result<FinishedCompletion, Error> {
    let mut out = Vec::new();
    let read = Relay::builder().build().write_completion(body.as_bytes(), &mut out);
    assert_eq!(out, if read.is_ok() { body.as_bytes() } else { b"" });
    read.map(|written| written.finished).map_err(|error| match error {
        CompletionError::Unreadable(error) => error,
        other => panic!("{other}"),
    })
}

fn body(choices: &str) -> String {
    format!(r#"{{"id":"a","choices":[{choices}]}}"#)
}

fn json_of(completion: &ChatCompletion) -> String {
    let mut json = Vec::new();
    completion.write_json(&mut json);
    String::from_utf8(json).unwrap()
}

fn contents(completion: &ChatCompletion) -> Vec<(u64, &str)> {
    let choices = completion.choices.iter();
    choices
        .map(|choice| (choice.index, choice.message.content.as_deref().unwrap_or_default()))
        .collect()
}

/// An index that is absent is the position of the choice.
///
/// OpenAI's API reference calls it "the index of the choice in the list of choices".
#[test]
fn a_choice_without_an_index_has_its_position() {
    let choice = |index: &str, text: &str| {
        format!(r#"{{{index}"message":{{"content":"{text}"}},"finish_reason":"stop"}}"#)
    };
    for (indexes, expected) in [
        (["", ""], [(0, "a"), (1, "b")]),
        ([r#""index":null,"#, ""], [(0, "a"), (1, "b")]),
        ([r#""index":7,"#, ""], [(7, "a"), (1, "b")]),
        ([r#""index":1,"#, r#""index":0,"#], [(1, "a"), (0, "b")]),
        ([r#""index":4294967296,"#, r#""index":9,"index":2,"#], [(4_294_967_296, "a"), (2, "b")]),
    ] {
        let body = body(&[choice(indexes[0], "a"), choice(indexes[1], "b")].join(","));
        let finished = relayed(&body).unwrap();
        assert_eq!(contents(&finished.completion), expected, "{body}");
        assert_eq!(finished.whole(), Ok(()), "{body}");
        assert_eq!(ChatCompletion::from_json(body.as_bytes()), Ok(finished.completion), "{body}");
    }
}

/// No choice is left out: a body whose choices can't be told apart is an error.
#[test]
fn choices_without_distinct_indexes_are_an_error() {
    for (choices, kind, at) in [
        (r#"{"index":0},{"index":0}"#, ErrorKind::RepeatedIndex, r#"{"index":0},"#),
        (r#"{"index":1},{}"#, ErrorKind::RepeatedIndex, r#"{"index":1},"#),
        (
            r#"{"index":3},{},{"index":1},{"index":3}"#,
            ErrorKind::RepeatedIndex,
            r#"{"index":3},{},"#,
        ),
        (r#"{"index":"0"}"#, ErrorKind::ExpectedInteger, r#"{"index":"#),
        (r#"{"index":-1}"#, ErrorKind::ExpectedInteger, r#"{"index":"#),
        (r#"{"index":1.5}"#, ErrorKind::ExpectedInteger, r#"{"index":"#),
        ("{},null", ErrorKind::ExpectedObject, "{},"),
        (r#""text""#, ErrorKind::ExpectedObject, ""),
    ] {
        let body = body(choices);
        let offset = r#"{"id":"a","choices":["#.len() + at.len();
        let error = relayed(&body).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset as u64), "{body}");
        assert_eq!(ChatCompletion::from_json(body.as_bytes()), Err(error), "{body}");
    }
    for (body, kind, offset) in [
        ("{} ", ErrorKind::ExpectedChoices, 1),
        (r#"{"choices":null}"#, ErrorKind::ExpectedChoices, 15),
        (r#"{"choices":{}}"#, ErrorKind::ExpectedArray, 11),
        ("[]", ErrorKind::ExpectedObject, 0),
    ] {
        let error = relayed(body).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{body}");
        assert_eq!(ChatCompletion::from_json(body.as_bytes()), Err(error), "{body}");
    }
}

/// The mark of a body that isn't whole remains, so that no cache stores it.
#[test]
fn a_body_that_is_marked_is_not_whole() {
    for (mark, is_marked) in
        [("true", true), ("false", false), ("null", false), ("1", true), (r#""no""#, true)]
    {
        let body = format!(
            r#"{{"choices":[{{"index":0,"message":{{"content":"a"}},"finish_reason":"stop"}}],"usage":{{"total_tokens":1}},"not_whole":{mark}}}"#
        );
        let finished = relayed(&body).unwrap();
        let read = ChatCompletion::from_json(body.as_bytes()).unwrap();
        assert_eq!(finished.completion.not_whole, is_marked, "{mark}");
        assert_eq!(finished.completion, read, "{mark}");
        let defects = finished.whole().err().map(|defects| defects.defects().collect::<Vec<_>>());
        assert_eq!(defects, is_marked.then(|| vec![Defect::MarkedNotWhole]), "{mark}");
        let handling = finished.handling();
        assert_eq!((handling.may_be_cached, handling.may_be_billed), (!is_marked, true), "{mark}");
        assert_eq!(handling.http_status, if is_marked { 502 } else { 200 });
    }
}

/// The message of a choice counts, and a client reads nothing else. No other text is lost.
#[test]
fn the_message_counts_and_not_the_delta() {
    let delta = r#""delta":{"content":"D","role":"assistant"}"#;
    let both = body(&format!(
        r#"{{"index":0,{delta},"message":{{"content":"M"}},"text":"T","finish_reason":"stop"}}"#
    ));
    let finished = relayed(&both).unwrap();
    assert_eq!(contents(&finished.completion), [(0, "M")]);
    assert_eq!(finished.whole(), Ok(()));
    let read = ChatCompletion::from_json(both.as_bytes()).unwrap();
    assert_eq!(json_of(&finished.completion), json_of(&read));
    for member in [delta, r#""text":"T""#, r#""message":"M""#, r#""message":["M"]"#] {
        let body = body(&format!(r#"{{"index":0,{member},"finish_reason":"stop"}}"#));
        let finished = relayed(&body).unwrap();
        let defects: Vec<_> = finished.whole().unwrap_err().defects().collect();
        assert_eq!(defects, [Defect::UnknownContentPart], "{body}");
        assert_eq!(contents(&finished.completion), [(0, "")]);
    }
}

/// A failure that the body states is the outcome.
#[test]
fn a_failure_in_a_body_is_its_outcome() {
    let choice = |more: &str| body(&format!(r#"{{"index":0,"message":{{"content":"a"}}{more}}}"#));
    for (body, outcome) in [
        (choice(r#","finish_reason":"stop""#), Outcome::Complete),
        (choice(r#","finish_reason":"error""#), Outcome::FailedFinish),
        (choice(r#","finish_reason":"stop","error":{"code":1}"#), Outcome::UpstreamError),
        (choice(""), Outcome::DoneWithoutFinish),
        (body(""), Outcome::DoneWithoutFinish),
        (
            r#"{"error":{"code":1},"choices":[{"finish_reason":"stop"}]}"#.to_owned(),
            Outcome::UpstreamError,
        ),
    ] {
        assert_eq!(relayed(&body).unwrap().outcome, outcome, "{body}");
    }
}

/// The length of the body bounds the completion: more than the limits of a stream is stored.
#[test]
fn a_large_body_is_not_cut() {
    let many = |count: usize, one: &str| vec![one; count].join(",");
    let choices = many(4000, r#"{"message":{"content":"a"},"finish_reason":"stop"}"#);
    let call = r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    let calls = format!(
        r#"{{"index":0,"message":{{"tool_calls":[{}]}},"finish_reason":"stop"}}"#,
        many(5000, call)
    );
    for body in [body(&choices), body(&calls)] {
        let finished = relayed(&body).unwrap();
        assert_eq!((finished.whole(), finished.limit_exceeded), (Ok(()), None));
        assert!(ChatCompletion::from_json(body.as_bytes()) == Ok(finished.completion));
    }
    let text = "a".repeat(65 << 20);
    let long =
        body(&format!(r#"{{"index":0,"message":{{"content":"{text}"}},"finish_reason":"stop"}}"#));
    let finished = relayed(&long).unwrap();
    assert_eq!(finished.whole(), Ok(()));
    assert!(contents(&finished.completion) == [(0, &*text)]);
    // The bounds that the docs of `write_completion` name.
    let error = relayed(&body(&many(4097, "{}"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyValues);
    let members: Vec<_> = (0..300).map(|at| format!(r#""k{at}":1"#)).collect();
    let finished = relayed(&format!(r#"{{"choices":[],{}}}"#, members.join(","))).unwrap();
    assert_eq!(finished.limit_exceeded, Some(CompletionLimit::Members));
}
