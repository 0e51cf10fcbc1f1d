//! Texts that come in many chunks: a look at a completion, at any time, finds all of them.
//!
//! The oracle concatenates the texts of the chunks.

use deltawire::chunk::OwnedChatCompletionChunk;
use deltawire::completion::{Change, ChatCompletion, MessageText};
use deltawire::json::OwnedValue;
use deltawire::{ChunkDecoder, Limits, Reassembler, Templates};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// The texts of a message, by their names in a chunk.
///
/// The last ones are those of the calls with the indexes 0 to 3.
const NAMES: [&str; 6] =
    ["content", "reasoning_content", "arguments", "arguments", "arguments", "arguments"];

/// The length of a long text in an event that a template may have.
const LONG: usize = 3700;

/// A step of a stream.
#[derive(Clone, Debug)]
enum Step {
    /// A chunk that adds one text.
    Text(Text),
    /// A chunk that adds a text, in its escaped form, which may be half a surrogate pair.
    Half {
        name: usize,
        is_high: bool,
    },
    Comment,
    /// A chunk that begins a tool call.
    Call {
        choice: u64,
    },
    Role,
    Finish,
    Done,
    Reset,
    Clone,
}

#[derive(Clone, Debug)]
struct Text {
    choice: u64,
    name: usize,
    text: String,
    is_escaped: bool,
    /// The form of the chunk: another one is another template.
    form: usize,
}

fn plain(text: &str) -> Text {
    Text { choice: 0, name: 0, text: text.into(), is_escaped: false, form: 0 }
}

impl Text {
    fn event(&self) -> String {
        let Self { choice, name, text, is_escaped, form } = self;
        let mut text = Value::from(text.as_str()).to_string();
        if *is_escaped {
            let units = text[1..text.len() - 1].encode_utf16();
            text = format!("\"{}\"", units.map(escape).collect::<String>());
        }
        let detail = format!(r#""reasoning_details":[{{"type":"t","text":{text},"index":0}}]"#);
        let text = format!("\"{}\":{text}", NAMES[*name]);
        let text = match name.checked_sub(2) {
            Some(call) => format!(r#""tool_calls":[{{"index":{call},"function":{{{text}}}}}]"#),
            None => text,
        };
        match form {
            0 => event(&format!(r#""index":{choice},"delta":{{{text}}}"#)),
            1 => event(&format!(
                r#""delta":{{"role":"assistant",{text}}},"index":{choice},"logprobs":null,"finish_reason":null"#
            )),
            2 => event(&format!(r#""index":{choice},"delta":{{{text},"refusal":null}}"#)),
            3 => event(&format!(r#""index":{choice},"delta":{{{text},{detail}}}"#)),
            _ => {
                let tokens = self.text.len();
                let usage = format!(r#"{{"prompt_tokens":3,"completion_tokens":{tokens}}}"#);
                let choice = format!(r#""index":{choice},"delta":{{{text}}}"#);
                event(&choice).replace("]}\n\n", &format!("],\"usage\":{usage}}}\n\n"))
            }
        }
    }
}

/// Returns a UTF-16 unit of a JSON string as an escape, unless it is part of one.
fn escape(unit: u16) -> String {
    match char::from_u32(unit.into()) {
        Some(plain) if plain.is_ascii() => plain.into(),
        _ => format!("\\u{unit:04x}"),
    }
}

fn event(choice: &str) -> String {
    format!("data: {{\"id\":\"c\",\"created\":5,\"choices\":[{{{choice}}}]}}\n\n")
}

impl Step {
    fn event(&self) -> String {
        match self {
            Self::Text(text) => text.event(),
            Self::Half { name, is_high } => {
                let half = if *is_high { "x\\ud83d" } else { "\\ude00y" };
                Text { name: *name, ..plain("HALF") }.event().replace("HALF", half)
            }
            Self::Comment => ": a comment\n\n".into(),
            Self::Call { choice } => event(&format!(
                r#""index":{choice},"delta":{{"tool_calls":[{{"index":0,"function":{{"name":"f"}}}}]}}"#
            )),
            Self::Role => event(r#""index":0,"delta":{"role":"assistant"}"#),
            Self::Finish => event(r#""index":0,"delta":{},"finish_reason":"stop""#),
            Self::Done => "data: [DONE]\n\n".into(),
            Self::Reset | Self::Clone => String::new(),
        }
    }
}

fn texts() -> impl Strategy<Value = Text> {
    let text = prop_oneof![
        8 => "[a-z ]{0,12}",
        2 => "[a-zé世😀\u{FFFD}]{0,9}",
        1 => "[a-z\"\\\\\n\t/é]{0,9}",
        1 => "[a-zé世😀]{0,70}",
        1 => "[a-z]{0,200}",
    ];
    let choice = prop_oneof![6 => Just(0), 1 => 0..3_u64];
    let name = prop_oneof![6 => Just(0_usize), 2 => 0..NAMES.len()];
    let form = prop_oneof![6 => Just(0_usize), 3 => 0..5_usize];
    let is_escaped = prop_oneof![9 => Just(false), 1 => Just(true)];
    (choice, name, text, is_escaped, form).prop_map(|(choice, name, text, is_escaped, form)| Text {
        choice,
        name,
        text,
        is_escaped,
        form,
    })
}

/// Generates runs of texts of one template, each with a step of any kind behind it.
///
/// In some runs two or three choices take turns.
fn streams() -> impl Strategy<Value = Vec<Step>> {
    let turns = prop_oneof![5 => Just(1), 3 => Just(2), 1 => Just(3)];
    let run = (texts(), vec(texts(), 0..30), any::<bool>(), turns);
    let run = run.prop_map(|(first, texts, is_alike, turns)| {
        let alike = |(at, text): (u64, Text)| {
            let Text { name, form, .. } = first;
            let choice = (first.choice + at % turns) % 3;
            if is_alike { Text { choice, name, form, ..text } } else { text }
        };
        (0..).zip(texts).map(|text| Step::Text(alike(text))).collect::<Vec<_>>()
    });
    let step = prop_oneof![
        texts().prop_map(Step::Text),
        (0..NAMES.len(), any::<bool>()).prop_map(|(name, is_high)| Step::Half { name, is_high }),
        Just(Step::Comment),
        (0..3_u64).prop_map(|choice| Step::Call { choice }),
        Just(Step::Role),
        Just(Step::Finish),
        Just(Step::Done),
        Just(Step::Reset),
        Just(Step::Clone),
    ];
    vec((run, step), 1..6).prop_map(|runs| {
        runs.into_iter().flat_map(|(run, step)| run.into_iter().chain([step])).collect()
    })
}

/// The texts of each choice, concatenated, and the last usage.
#[derive(Clone, Default)]
struct Oracle {
    texts: Vec<(u64, [Option<String>; NAMES.len()])>,
    completion_tokens: Option<u64>,
}

impl Oracle {
    fn add(&mut self, Text { choice, name, text, form, .. }: &Text) {
        if *form == 4 {
            self.completion_tokens = Some(text.len() as u64);
        }
        let at = match self.texts.binary_search_by_key(choice, |(index, _)| *index) {
            Ok(at) => at,
            Err(at) => {
                self.texts.insert(at, (*choice, Default::default()));
                at
            }
        };
        self.texts[at].1[*name].get_or_insert_default().push_str(text);
    }

    fn check(&self, completion: &ChatCompletion) {
        assert_eq!(completion.choices.len(), self.texts.len());
        for (choice, (index, expected)) in completion.choices.iter().zip(&self.texts) {
            assert_eq!(choice.index, *index);
            let calls = choice.message.tool_calls.iter();
            let arguments = calls.map(|call| call.function.as_ref().unwrap().arguments.as_str());
            assert!(arguments.eq(expected[2..].iter().flatten()));
            let found = [&choice.message.content, &choice.message.reasoning];
            for (found, expected) in found.into_iter().zip(expected) {
                let (found, expected) = (found.as_deref(), expected.as_deref());
                assert_eq!(found.unwrap_or_default(), expected.unwrap_or_default());
            }
        }
        let tokens = completion.usage.as_ref().and_then(|usage| usage.get("completion_tokens"));
        assert_eq!(tokens.and_then(OwnedValue::as_u64), self.completion_tokens);
    }
}

/// Returns the new texts of the last push: choice, name and text.
fn new_texts(completion: &mut Reassembler) -> Vec<(u64, &'static str, String)> {
    let (completion, changes) = completion.snapshot_with_changes();
    let new = |change: &Change| {
        let (choice, name, start) = match *change {
            Change::Text { choice, text: MessageText::Content, start } => (choice, NAMES[0], start),
            Change::Text { choice, text: MessageText::Reasoning, start } => {
                (choice, NAMES[1], start)
            }
            Change::Arguments { choice, start, .. } => (choice, NAMES[2], start),
            _ => return None,
        };
        let choice = &completion.choices[choice];
        let text = match *change {
            Change::Text { text: MessageText::Content, .. } => choice.message.content.as_ref()?,
            Change::Arguments { call, .. } => {
                &choice.message.tool_calls[call].function.as_ref()?.arguments
            }
            _ => choice.message.reasoning.as_ref()?,
        };
        Some((choice.index, name, text[start..].to_owned()))
    };
    changes.iter().filter_map(new).collect()
}

/// Pushes a chunk without a template, which is merged in full.
fn push_alone(completion: &mut Reassembler, event: &str) {
    let Some(json) = event.strip_prefix("data: ").filter(|data| data.starts_with('{')) else {
        return;
    };
    completion.push(&OwnedChatCompletionChunk::from_json(json.as_bytes()).unwrap().as_chunk());
}

proptest! {
    #![proptest_config(crate::support::cases::cases("proptest-regressions/tails.txt", 600))]

    /// A completion is the same if it is looked at after each push, after some, or never.
    #[test]
    fn snapshot_at_any_time_has_all_texts(steps in streams(), looks in any::<u64>(), free in prop_oneof![8 => Just(None), 1 => (0..2500_usize).prop_map(Some)]) {
        // Texts are stored by plans as long as there is budget for many: long ones use it up.
        let long = [10, 10, 10].into_iter().chain([LONG; 36]).map(|len| plain(&"f".repeat(len)));
        let first = long.map(Step::Text).filter(|_| free.is_some());
        let most = free.map_or(usize::MAX, |free| 36 * LONG + 500 + free);
        let limits = Limits::new().with_max_completion_bytes(most);
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let new = || Reassembler::with_limits(limits);
        let (mut always, mut sometimes, mut never, mut alone) = (new(), new(), new(), new());
        let (mut oracle, mut is_exact) = (Oracle::default(), true);
        for (at, step) in first.chain(steps).enumerate() {
            match &step {
                Step::Reset => {
                    for completion in [&mut always, &mut sometimes, &mut never, &mut alone] {
                        completion.reset();
                    }
                    (oracle, is_exact) = (Oracle::default(), true);
                }
                Step::Clone => {
                    let shown = format!("{never:?}");
                    (sometimes, never) = (sometimes.clone(), never.clone());
                    prop_assert_eq!(format!("{never:?}"), shown);
                }
                Step::Text(text) => oracle.add(text),
                Step::Half { .. } => is_exact = false,
                Step::Call { choice } => oracle.add(&Text { choice: *choice, name: 2, ..plain("") }),
                Step::Role | Step::Finish => oracle.add(&plain("")),
                Step::Comment | Step::Done => {}
            }
            let stream = step.event();
            let mut input = stream.as_bytes();
            while let Some(event) = decoder.next(&mut input) {
                for completion in [&mut always, &mut sometimes, &mut never] {
                    completion.push_payload(event.payload());
                }
                push_alone(&mut alone, &stream);
                prop_assert_eq!(sometimes.changes(), always.changes());
                prop_assert_eq!(never.changes(), always.changes());
            }
            for completion in [&sometimes, &never, &alone] {
                prop_assert_eq!(completion.limit_exceeded(), always.limit_exceeded());
                prop_assert_eq!(completion.irregularities(), always.irregularities());
            }
            prop_assert!(always.snapshot() == alone.snapshot());
            if is_exact && always.limit_exceeded().is_none() {
                oracle.check(always.snapshot());
                if let Step::Text(Text { choice, name, text, .. }) = step {
                    let new = (!text.is_empty()).then_some((choice, NAMES[name], text));
                    prop_assert_eq!(new_texts(&mut always), Vec::from_iter(new));
                }
            }
            if looks >> (at % 64) & 1 == 1 {
                prop_assert!(sometimes.snapshot() == always.snapshot());
            }
        }
        let end = decoder.finish();
        let expected = always.finish(end.clone());
        prop_assert!(sometimes.finish(end.clone()) == expected);
        prop_assert!(never.finish(end) == expected);
    }
}

/// A text is shown before anything else has read it.
#[test]
fn a_new_text_is_shown() {
    let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
    let mut completion = Reassembler::new();
    for text in ["one", "two", "three", "four", "five"] {
        let stream = plain(text).event();
        let event = decoder.next(&mut stream.as_bytes()).unwrap();
        completion.push_payload(event.payload());
        assert!(format!("{completion:?}").contains(text), "{completion:?}");
    }
    let text =
        |completion: &mut Reassembler| completion.snapshot().choices[0].message.content.clone();
    assert_eq!(text(&mut completion.clone()).as_deref(), Some("onetwothreefourfive"));
    assert_eq!(text(&mut completion).as_deref(), Some("onetwothreefourfive"));
}

/// The halves of a surrogate pair aren't joined over a text between them.
#[test]
fn a_text_ends_a_cut_surrogate_pair() {
    for name in [0, 2] {
        let text = |text| Step::Text(Text { name, ..plain(text) });
        let half = |is_high| Step::Half { name, is_high };
        let steps = ["a", "b", "c"].map(text).into_iter().chain([half(true)]);
        let steps = steps.chain(["", "", "\u{FFFD}"].map(text)).chain([half(false)]);
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut completion = Reassembler::new();
        for step in steps {
            let stream = step.event();
            let event = decoder.next(&mut stream.as_bytes()).unwrap();
            completion.push_payload(event.payload());
        }
        let message = &completion.snapshot().choices[0].message;
        let found = match message.tool_calls.first() {
            Some(call) => Some(&call.function.as_ref().unwrap().arguments),
            None => message.content.as_ref(),
        };
        assert_eq!(found.unwrap(), "abcx\u{FFFD}\u{FFFD}\u{FFFD}y");
    }
}

/// The ends of several calls at `[DONE]` are no changes of the text behind it.
#[test]
fn a_text_behind_the_end_is_one_change() {
    let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
    let mut completion = Reassembler::new();
    let calls = (0..2).map(|choice| Step::Call { choice });
    let texts = |text| [text; 4].map(|text| Step::Text(plain(text)));
    let steps = calls.chain(texts("a")).chain([Step::Done]).chain(texts("b"));
    let mut changes = Vec::new();
    for step in steps {
        let stream = step.event();
        let event = decoder.next(&mut stream.as_bytes()).unwrap();
        completion.push_payload(event.payload());
        changes.push(completion.changes().to_vec());
    }
    let done = |choice| Change::ToolCallDone { choice, call: 0 };
    let text = |start| Change::Text { choice: 0, text: MessageText::Content, start };
    let expected = [vec![text(3)], vec![done(0), done(1)], vec![text(4)], vec![text(5)]];
    assert_eq!(changes[5..9], expected);
}

/// A call behind `[DONE]` with the lowest index begins without a text, and moves to the front.
#[test]
fn arguments_continue_a_call_that_has_moved() {
    for (indexes, expected) in [([3, 2, 1], ["hello", "", "a"]), ([1, 2, 0], ["hello", "a", ""])] {
        let call = |index: usize, text| Step::Text(Text { name: 2 + index, ..plain(text) });
        let [first, second, third] = indexes;
        let calls = [call(first, "a"), call(second, ""), Step::Done, call(third, "")];
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut completion = Reassembler::new();
        for step in calls.into_iter().chain([call(third, "hello")]) {
            let stream = step.event();
            let event = decoder.next(&mut stream.as_bytes()).unwrap();
            completion.push_payload(event.payload());
        }
        assert_eq!(completion.changes(), [Change::Arguments { choice: 0, call: 0, start: 0 }]);
        let calls = completion.snapshot().choices[0].message.tool_calls.iter();
        let arguments = calls.map(|call| call.function.as_ref().unwrap().arguments.as_str());
        assert!(arguments.eq(expected), "{:?}", completion.snapshot());
    }
}

/// The arguments of a call over the limit are lost, and join no other call.
#[test]
fn the_arguments_of_a_call_over_a_limit_join_no_other_call() {
    let chunk = |call: &str| {
        format!(
            "data: {{\"id\":\"c\",\"created\":5,\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n"
        )
    };
    let begin = |index: u8, text: &str| {
        chunk(&format!(
            "{{\"index\":{index},\"id\":\"a{index}\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":\"{text}\"}}}}"
        ))
    };
    let more =
        |text: &str| chunk(&format!("{{\"index\":1,\"function\":{{\"arguments\":\"{text}\"}}}}"));
    let texts = |list: &[&str]| list.iter().map(|text| more(text)).collect::<String>();
    let lesson = begin(1, "x") + &texts(&["a", "b", "c", "d"]);
    let stream = begin(0, "{") + &texts(&["p", "q", "r", "s"]);
    let templates = Templates::new();
    let limits = Limits::new().with_max_tool_calls(1);
    for (bytes, limits, expected) in [
        (&lesson, Limits::new(), "xabcd"),
        (&lesson, Limits::new(), "xabcd"),
        (&stream, limits, "{"),
        (&stream, limits, "{"),
    ] {
        let mut decoder = ChunkDecoder::new().with_templates(&templates);
        let mut completion = Reassembler::with_limits(limits);
        let mut input = bytes.as_bytes();
        while let Some(event) = decoder.next(&mut input) {
            completion.push_payload(event.payload());
        }
        let call = &completion.snapshot().choices[0].message.tool_calls[0];
        assert_eq!(call.function.as_ref().unwrap().arguments, expected);
    }
}
