//! Requests that a gateway edits, against `serde_json`: values, and every byte outside of the edits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use deltawire::gateway::request::{AskedBy, ChatRequest, ask_for_usage};
use deltawire::{ErrorKind, Limits};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use serde_json::value::RawValue;

/// A member as it is written: its name, its value, and the white space around both.
#[derive(Clone, Debug)]
struct Member {
    name: &'static str,
    /// The name as JSON text, escaped or not.
    spelling: String,
    value: String,
    space: &'static str,
}

/// Writes an object; returns the offset of each name, too.
fn write(members: &[Member], space: &str) -> (String, Vec<usize>) {
    let (mut text, mut names) = (format!("{{{space}"), Vec::new());
    for (at, Member { spelling, value, space, .. }) in members.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(space);
        names.push(text.len());
        text.extend([spelling.as_str(), space, ":", space, value.as_str(), space]);
    }
    text.push('}');
    (text, names)
}

fn space() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", " ", "\n\t", "\r\n  "])
}

/// Returns a member. Each letter of its name may be an escape.
fn member(name: &'static str, value: BoxedStrategy<String>) -> BoxedStrategy<Member> {
    let escapes = prop_oneof![2 => Just(0u32), 1 => any::<u32>()];
    (value, escapes, space())
        .prop_map(move |(value, escapes, space)| {
            let letters =
                name.chars().enumerate().map(|(at, letter)| match escapes >> (at % 32) & 1 {
                    0 => letter.to_string(),
                    _ => format!("\\u{:04x}", u32::from(letter)),
                });
            let spelling = format!("\"{}\"", letters.collect::<String>());
            Member { name, spelling, value, space }
        })
        .boxed()
}

/// Returns an object of some of these members, in any order.
fn object(members: Vec<BoxedStrategy<Member>>) -> BoxedStrategy<Vec<Member>> {
    let members = members.into_iter().map(|member| proptest::option::weighted(0.7, member));
    members
        .collect::<Vec<_>>()
        .prop_map(|members| members.into_iter().flatten().collect::<Vec<_>>())
        .prop_shuffle()
        .boxed()
}

fn one_of(values: &[&'static str]) -> BoxedStrategy<String> {
    select(values.to_vec()).prop_map(str::to_owned).boxed()
}

/// Returns a value that no edit may change. Its contents have the names that count elsewhere.
fn other() -> BoxedStrategy<String> {
    one_of(&[
        "1.0",
        "-1E400",
        "18446744073709551616",
        "\"\\u00e9\\/\\n\"",
        "\"é😀}\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "{ }",
        "null",
        r#"{"model":"x","stream":1,"stream_options":[],"Model":{}}"#,
        r#"[{"include_usage":true,"include_usage":false},{"model":1}]"#,
        r#"{"stream_options":{"include_usage":"yes","include_usage":true}}"#,
    ])
}

fn options() -> BoxedStrategy<String> {
    let members = object(vec![
        member("include_usage", one_of(&["true", "false", "null"])),
        member("include_obfuscation", one_of(&["true", "false"])),
        member("model", other()),
        member("a", other()),
    ]);
    let object = (members, space()).prop_map(|(members, space)| write(&members, space).0);
    prop_oneof![3 => object, 1 => Just("null".to_owned())].boxed()
}

fn model() -> BoxedStrategy<String> {
    one_of(&["\"fast\"", "\"f\\u0061st\"", "\"\"", "\"é\\\"\"", "\"\\ud83d\\ude00\"", "null"])
}

/// Returns the members of a request that can be read safely.
fn request() -> BoxedStrategy<Vec<Member>> {
    object(vec![
        member("model", model()),
        member("stream", one_of(&["true", "true", "true", "false", "null"])),
        member("stream_options", options()),
        member("include_usage", other()),
        member("messages", other()),
        member("models", other()),
        member("a", other()),
    ])
}

/// Returns the body of a request that can be read safely.
fn body() -> BoxedStrategy<String> {
    let around = (space(), space(), space());
    (request(), around)
        .prop_map(|(members, (before, inside, after))| {
            format!("{before}{}{after}", write(&members, inside).0)
        })
        .boxed()
}

/// The members of an object in a text, as `serde_json` reads them, with their positions.
struct Oracle<'t> {
    text: &'t str,
    members: HashMap<String, &'t RawValue>,
}

impl<'t> Oracle<'t> {
    fn read(text: &'t str) -> Self {
        Self { text, members: serde_json::from_str(text).unwrap() }
    }

    fn value(&self, name: &str) -> Value {
        let raw = self.members.get(name);
        raw.map_or(Value::Null, |raw| serde_json::from_str(raw.get()).unwrap())
    }

    fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + raw.get().len()
    }

    /// Returns the text with another value of a member, which is added at the end if it is absent.
    fn set(&self, name: &str, json: &str) -> String {
        if let Some(raw) = self.members.get(name) {
            let Range { start, end } = self.range(raw);
            return format!("{}{json}{}", &self.text[..start], &self.text[end..]);
        }
        let end = self.text.rfind('}').unwrap();
        let comma = if self.members.is_empty() { "" } else { "," };
        format!("{}{comma}\"{name}\":{json}{}", &self.text[..end], &self.text[end..])
    }
}

/// Returns a body with `include_usage` set to true, byte for byte.
fn with_usage(body: &str) -> String {
    let request = Oracle::read(body);
    match request.members.get("stream_options").filter(|raw| raw.get() != "null") {
        None => request.set("stream_options", r#"{"include_usage":true}"#),
        Some(raw) => {
            let options = Oracle::read(raw.get()).set("include_usage", "true");
            request.set("stream_options", &options)
        }
    }
}

fn read(body: &str) -> ChatRequest<'_> {
    ChatRequest::read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Returns the kind and the offset of the error of a body. Both ways to read it agree.
#[track_caller]
fn error(body: impl AsRef<[u8]>) -> Option<(ErrorKind, u64)> {
    let body = body.as_ref();
    let found = ChatRequest::read(body).err();
    assert_eq!(ask_for_usage(body).err(), found);
    found.map(|error| (error.kind(), error.offset()))
}

/// Returns a name like `known`, in which each letter and the end are one of several forms.
fn similar(known: &'static str) -> impl Strategy<Value = String> {
    let end = select(vec!["", "", "", "\0", "\0x", "\0\0"]);
    (any::<[u8; 16]>(), end).prop_map(move |(forms, end)| {
        let letters = known.chars().zip(forms).map(|(letter, form)| match (letter, form % 6) {
            (letter, 0) => letter.to_ascii_uppercase(),
            ('s', 1) => 'ſ',
            ('i', 1) => 'ı',
            ('i', 2) => 'İ',
            (letter, _) => letter,
        });
        letters.collect::<String>() + end
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

    /// The members that a gateway reads are those of `serde_json`. Without edits nothing is copied.
    #[test]
    fn members_of_a_request_are_those_of_serde_json(body in body()) {
        let (request, oracle) = (read(&body), Oracle::read(&body));
        let (model, options) = (oracle.value("model"), oracle.value("stream_options"));
        prop_assert_eq!(request.model(), model.as_str());
        prop_assert_eq!(request.is_stream(), oracle.value("stream") == true);
        prop_assert_eq!(request.asks_for_usage(), options["include_usage"] == true);
        prop_assert!(matches!(request.edited(), Cow::Borrowed(same) if same == body.as_bytes()));
    }

    /// An edit changes one value, and not a byte besides.
    #[test]
    fn edits_change_their_members_alone(
        body in body(),
        model in proptest::option::of("[a-zé😀\"\\\\\n]{0,4}|fast"),
        asks in any::<bool>(),
    ) {
        let mut request = read(&body);
        let (mut expected, mut value) = (body.clone(), serde_json::from_str::<Value>(&body).unwrap());
        if asks {
            let asked_by = request.ask_for_usage();
            let options = value["stream_options"]["include_usage"].clone();
            if options == true {
                prop_assert_eq!(asked_by, AskedBy::Client);
            } else if value["stream"] == true {
                prop_assert_eq!(asked_by, AskedBy::Gateway);
                expected = with_usage(&expected);
                value["stream_options"]["include_usage"] = true.into();
            } else {
                prop_assert_eq!(asked_by, AskedBy::Neither);
            }
            let (edited, also) = ask_for_usage(body.as_bytes()).unwrap();
            prop_assert_eq!((&*edited, also), (expected.as_bytes(), asked_by));
        }
        if let Some(model) = &model {
            request.set_model("another");
            request.set_model(model);
            if Oracle::read(&body).value("model").as_str() != Some(model) {
                // The new members have an order: the model is first.
                let json = serde_json::to_string(model).unwrap();
                let with_model = Oracle::read(&body).set("model", &json);
                expected = if expected == body { with_model } else { with_usage(&with_model) };
                value["model"] = model.as_str().into();
            }
        }
        let edited = String::from_utf8(request.edited().into_owned()).unwrap();
        prop_assert_eq!(&edited, &expected);
        prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), value);

        // The same edits again change nothing.
        let mut again = read(&edited);
        if let Some(model) = &model {
            again.set_model(model);
        }
        if asks {
            let is_asked = again.asks_for_usage();
            let expected = if is_asked { AskedBy::Client } else { AskedBy::Neither };
            prop_assert_eq!(again.ask_for_usage(), expected);
        }
        prop_assert!(matches!(again.edited(), Cow::Borrowed(same) if same == edited.as_bytes()));
    }

    /// A second member of a name that counts is an error, at its offset, however it is spelled.
    #[test]
    fn a_repeated_name_is_an_error(
        (mut members, second) in request().prop_flat_map(|members| {
            let names = select(vec!["model", "stream", "stream_options"]);
            let twin = names.prop_flat_map(|name| member(name, one_of(&["null"])));
            (Just(members), twin)
        }),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(members.len() + 1);
        members.insert(at, second.clone());
        let (body, names) = write(&members, "");
        let twins = members.iter().zip(names).filter(|(member, _)| member.name == second.name);
        let repeated = twins.map(|(_, name)| (ErrorKind::RepeatedName, name as u64)).nth(1);
        prop_assert_eq!(error(&body), repeated, "{}", body);
    }

    /// The same in `stream_options`, whether the request is for a stream or not.
    #[test]
    fn a_repeated_include_usage_is_an_error(
        first in member("include_usage", one_of(&["true", "false", "null"])),
        second in member("include_usage", one_of(&["true", "false", "null"])),
        between in proptest::option::of(member("a", other())),
        is_stream in any::<bool>(),
    ) {
        let members: Vec<_> = [Some(first), between, Some(second)].into_iter().flatten().collect();
        let (options, names) = write(&members, "");
        let before = format!("{{\"stream\":{is_stream},\"stream_options\":");
        let expected = (before.len() + names.last().unwrap()) as u64;
        prop_assert_eq!(error(format!("{before}{options}}}")), Some((ErrorKind::RepeatedName, expected)));
    }

    /// A name that some readers equate with one that counts is an error. Any other name isn't.
    #[test]
    fn a_similar_name_is_an_error(
        (known, name) in select(vec!["model", "stream", "stream_options", "include_usage"])
            .prop_flat_map(|known| (Just(known), similar(known))),
        tail in "[a-zA-Z_é]",
    ) {
        let body = |name: &str| {
            let member = format!("{}:null}}", serde_json::to_string(name).unwrap());
            match known {
                "include_usage" => format!("{{\"stream_options\":{{{member}}}"),
                _ => format!("{{{member}"),
            }
        };
        let at = body(&name).rfind("{\"").unwrap() as u64 + 1;
        let expected = (name != known).then_some((ErrorKind::AmbiguousName, at));
        prop_assert_eq!(error(body(&name)), expected, "{}", body(&name));
        if !name.contains('\0') {
            prop_assert_eq!(error(body(&format!("{name}{tail}"))), None);
        }
        prop_assert_eq!(error(body(&format!("{tail}{name}"))), None);
    }

    /// No input panics, and an edited body remains readable.
    #[test]
    fn tokens_in_any_order_leave_an_edited_body_readable(
        tokens in proptest::collection::vec(select(vec![
            "{", "}", "\"model\"", "\"stream\"", "\"stream_options\"", "\"include_usage\"", ":", ",", "true",
            "null", "\"a\"", "[", "]", "\"mod\\u0065l\"", "\"\\ud83d\"", "NaN", " ", "\u{feff}",
        ]), 0..16),
    ) {
        let text = tokens.concat();
        let is_object = serde_json::from_str::<HashMap<String, Value>>(&text).is_ok();
        if let Ok(mut request) = ChatRequest::read(text.as_bytes()) {
            let is_lenient = text.contains("\\ud83d");
            prop_assert!(is_object || is_lenient, "{}", text);
            request.set_model("m");
            let asked_by = request.ask_for_usage();
            let edited = request.edited();
            let again = ChatRequest::read(&edited).unwrap();
            prop_assert_eq!(again.model(), Some("m"));
            prop_assert_eq!(again.asks_for_usage(), asked_by != AskedBy::Neither);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    /// A body that is cut anywhere is an error, and so is one with another byte behind it.
    #[test]
    fn a_cut_body_is_an_error(body in body(), behind in "[^ \t\r\n]") {
        let whole = body.trim_end();
        for end in 0..whole.len() {
            prop_assert!(error(&whole.as_bytes()[..end]).is_some(), "cut at {}", end);
        }
        let expected = (ErrorKind::TrailingData, body.len() as u64);
        prop_assert_eq!(error(format!("{body}{behind}")), Some(expected));
    }
}

/// All forms of `stream_options`, with white space, in a table that can be read.
#[test]
fn usage_is_requested_in_each_form_of_stream_options() {
    use AskedBy::{Client, Gateway, Neither};
    for (body, expected, asked_by) in [
        (
            r#"{"stream":true}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            Gateway,
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            Gateway,
        ),
        (
            r#"{"stream_options":{},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
            Gateway,
        ),
        (
            r#"{"stream_options":{ },"stream":true}"#,
            r#"{"stream_options":{ "include_usage":true},"stream":true}"#,
            Gateway,
        ),
        (
            r#" { "stream" : true , "stream_options" : { "a" : 1.0 } } "#,
            r#" { "stream" : true , "stream_options" : { "a" : 1.0 ,"include_usage":true} } "#,
            Gateway,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage" : false ,"a":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage" : true ,"a":1}}"#,
            Gateway,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":null}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            Gateway,
        ),
        (
            r#"{"stream":true,"stream\u005foptions":{"\u0069nclude_usage":null}}"#,
            r#"{"stream":true,"stream\u005foptions":{"\u0069nclude_usage":true}}"#,
            Gateway,
        ),
        (
            r#"{"stream":true,"a":{"stream_options":{"include_usage":true}}}"#,
            r#"{"stream":true,"a":{"stream_options":{"include_usage":true}},"stream_options":{"include_usage":true}}"#,
            Gateway,
        ),
        (
            r#"{"stream":true,"stream_options":{"a":{"include_usage":true}}}"#,
            r#"{"stream":true,"stream_options":{"a":{"include_usage":true},"include_usage":true}}"#,
            Gateway,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            Client,
        ),
        ("{}", "{}", Neither),
        (r#"{"stream":false}"#, r#"{"stream":false}"#, Neither),
        (
            r#"{"stream":null,"stream_options":null}"#,
            r#"{"stream":null,"stream_options":null}"#,
            Neither,
        ),
        (r#"{"a":{"stream":true}}"#, r#"{"a":{"stream":true}}"#, Neither),
    ] {
        let (edited, found) = ask_for_usage(body.as_bytes()).unwrap();
        assert_eq!((str::from_utf8(&edited), found), (Ok(expected), asked_by), "{body}");
    }
}

#[test]
fn a_model_is_replaced_or_added() {
    for (body, expected) in [
        ("{}", r#"{"model":"up"}"#),
        ("{ }", r#"{ "model":"up"}"#),
        (r#"{"a":{"model":"fast"} }"#, r#"{"a":{"model":"fast"} ,"model":"up"}"#),
        (r#"{"model":null}"#, r#"{"model":"up"}"#),
        (r#"{"mod\u0065l" : "f\u0061st" ,"a":1E2}"#, r#"{"mod\u0065l" : "up" ,"a":1E2}"#),
        (r#"{"model":"up"}"#, r#"{"model":"up"}"#),
        // Half a surrogate pair in another value stays.
        (r#"{"model":"fast","a":"\ud83d"}"#, r#"{"model":"up","a":"\ud83d"}"#),
    ] {
        let mut request = read(body);
        request.set_model("up");
        assert_eq!(str::from_utf8(&request.edited()), Ok(expected));
    }
}

/// The edit of a call that was replaced has no effect.
#[test]
fn the_last_model_counts() {
    let body = r#"{"model":"fast"}"#;
    let mut request = read(body);
    request.set_model("up");
    request.set_model("fast");
    assert_eq!(&*request.edited(), body.as_bytes());
    assert_eq!(request.model(), Some("fast"));
}

#[test]
fn a_body_that_servers_read_differently_is_an_error() {
    use ErrorKind::{
        AmbiguousName, ExpectedBool, ExpectedName, ExpectedObject, ExpectedString, ExpectedValue,
        InvalidUtf8, LoneSurrogate, NonFiniteNumber, RepeatedName, TrailingData, UnexpectedEnd,
    };
    for (body, kind, at) in [
        (&b""[..], UnexpectedEnd, 0),
        (b" ", UnexpectedEnd, 1),
        (b"null", ExpectedObject, 0),
        (b" [{}]", ExpectedObject, 1),
        (b"\"{}\"", ExpectedObject, 0),
        (b"\xef\xbb\xbf{}", ExpectedValue, 0),
        (b"\xff\xfe{\0}\0", InvalidUtf8, 0),
        (b"{\0}\0", ExpectedName, 1),
        (b"{\"a\":\"\xff\"}", InvalidUtf8, 6),
        (b"{\"a\":\"\xed\xa0\x80\"}", InvalidUtf8, 6),
        (b"{} {}", TrailingData, 3),
        (b"{\"a\":1,}", ExpectedName, 7),
        (b"{'a':1}", ExpectedName, 1),
        (b"{/**/}", ExpectedName, 1),
        (b"{\"a\":[1,NaN]}", NonFiniteNumber, 8),
        (b"{\"a\":-Infinity}", NonFiniteNumber, 5),
        // Types.
        (b"{\"model\":7}", ExpectedString, 9),
        (b"{\"model\": [\"fast\"]}", ExpectedString, 10),
        (b"{\"model\":true}", ExpectedString, 9),
        (b"{\"stream\":\"true\"}", ExpectedBool, 10),
        (b"{\"stream\":1}", ExpectedBool, 10),
        (b"{\"stream\":{}}", ExpectedBool, 10),
        (b"{\"stream_options\":[]}", ExpectedObject, 18),
        (b"{\"stream_options\":true}", ExpectedObject, 18),
        (b"{\"stream_options\":\"a\"}", ExpectedObject, 18),
        (b"{\"stream_options\":{\"include_usage\":1}}", ExpectedBool, 35),
        (b"{\"stream_options\":{\"include_usage\":\"true\"}}", ExpectedBool, 35),
        // Names.
        (b"{\"model\":\"a\",\"model\":\"a\"}", RepeatedName, 13),
        (b"{\"model\":\"a\",\"mod\\u0065l\":\"a\"}", RepeatedName, 13),
        (b"{\"model\":\"a\",\"Model\":\"b\"}", AmbiguousName, 13),
        (b"{\"MODEL\":\"a\",\"model\":\"b\"}", AmbiguousName, 1),
        (b"{\"\xc5\xbftream\":true}", AmbiguousName, 1),
        (b"{\"model\\u0000\":\"b\"}", AmbiguousName, 1),
        (b"{\"stream_options\":{\"Include_Usage\":true}}", AmbiguousName, 19),
        (b"{\"stream\":true,\"stream\":true}", RepeatedName, 15),
        (b"{\"stream_options\":{},\"stream_options\":{}}", RepeatedName, 21),
        // Half a surrogate pair.
        (b"{\"model\":\"a\\ud83d\"}", LoneSurrogate, 11),
        (b"{\"model\\udc00\":\"a\"}", LoneSurrogate, 7),
        (b"{\"a\":1, \"\\ud83d\":\"a\"}", LoneSurrogate, 9),
        (b"{\"stream_options\":{\"a\\ud83d\":1}}", LoneSurrogate, 21),
    ] {
        assert_eq!(error(body), Some((kind, at)), "{}", String::from_utf8_lossy(body));
    }
    // Half a pair, or names alike, in other objects.
    for body in [
        r#"{"a":"\ud83d","model":"\ud83d\ude00"}"#,
        r#"{"a":{"\ud83d":1},"b":[{"Model":1,"model":2,"model":3}]}"#,
        r#"{"stream_options":{"model":1,"Model":2,"model":3},"include_usage":1,"Include_Usage":2}"#,
        r#"{"models":[1],"mode":1,"modell":1,"":1,"stream_option":1,"streams":1,"":2}"#,
    ] {
        assert_eq!(error(body), None, "{body}");
    }
}

/// Compares the letters that a name may have with the tables of Unicode in the standard library.
#[test]
fn letters_that_equal_one_of_ascii_in_another_case_are_ambiguous() {
    let mut beyond_ascii = Vec::new();
    for other in ('\u{80}'..=char::MAX).filter(|other| !other.is_ascii()) {
        // `İ` becomes `i` with a dot; no capital of several letters counts.
        let lower = other.to_lowercase().next();
        let upper = Some(other.to_uppercase()).filter(|upper| upper.len() == 1);
        let lower_of_upper = upper.and_then(|mut upper| upper.next()?.to_lowercase().next());
        for letter in [lower, lower_of_upper].into_iter().flatten().filter(char::is_ascii) {
            beyond_ascii.push((other, letter));
        }
    }
    assert!(beyond_ascii.contains(&('ſ', 's')) && beyond_ascii.contains(&('İ', 'i')));
    for known in ["model", "stream", "stream_options"] {
        for (other, letter) in &beyond_ascii {
            let name = known.replace(*letter, &other.to_string());
            let expected = (name != known).then_some((ErrorKind::AmbiguousName, 1));
            assert_eq!(error(format!("{{\"{name}\":null}}")), expected, "{name}");
        }
    }
}

#[test]
fn a_body_over_a_limit_is_an_error() {
    let limits = Limits::new().with_max_json_depth(2).with_max_json_values(5);
    let kind = |body: &str| {
        let read = ChatRequest::read_with_limits(body.as_bytes(), &limits);
        read.err().map(|error| (error.kind(), error.offset()))
    };
    assert_eq!(kind(r#"{"a":[1,2]}"#), None);
    assert_eq!(kind(r#"{"a":[1,2,3]}"#), Some((ErrorKind::TooManyValues, 10)));
    assert_eq!(kind(r#"{"a":[[]]}"#), Some((ErrorKind::TooDeep, 6)));
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(error(nested(127)), None);
    assert_eq!(error(nested(128)), Some((ErrorKind::TooDeep, 132)));
}
