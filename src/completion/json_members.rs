//! Lists the members of a completion's JSON in order, for each way to write them.
//!
//! OpenAI's required members are always written, the others if they were sent.

use super::model::{ChatCompletion, CompletionChoice, FunctionCall, Message, ToolCall};
use crate::chunk::TextMember;
use crate::chunk::schema::{choice, delta, function, tool_call, top};
use crate::json::writer::{self, ObjectWriter};
use crate::json::{OwnedArray, OwnedObject, OwnedValue};
use crate::output_buffer::OutputBuffer;

/// The value of a member.
#[derive(Clone, Copy)]
pub(super) enum Part<'c> {
    Null,
    True,
    Number(u64),
    Text(&'c str),
    Value(&'c OwnedValue),
    Object(&'c OwnedObject),
    Array(&'c OwnedArray),
    Choices(&'c [CompletionChoice]),
    Message(&'c Message),
    ToolCalls(&'c [ToolCall]),
    Function(&'c FunctionCall),
}

/// An object of a completion, as the members of its JSON.
pub(super) trait JsonMembers {
    /// Returns names and values in the order in which they are written.
    fn json_members(&self) -> impl Iterator<Item = (&str, Part<'_>)>;
}

impl<'c> Part<'c> {
    /// Returns a text, or `null` if it is absent.
    fn text(text: Option<&'c String>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text))
    }

    /// Appends the JSON text of the value.
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::True => out.extend_from_slice(b"true"),
            Self::Number(number) => writer::number(number, out),
            Self::Text(text) => writer::string(text, out),
            Self::Value(value) => value.write_json(out),
            Self::Object(object) => object.write_json(out),
            Self::Array(list) => list.write_json(out),
            Self::Choices(choices) => writer::array(choices, out, write),
            Self::Message(message) => write(message, out),
            Self::ToolCalls(calls) => writer::array(calls, out, write),
            Self::Function(function) => write(function, out),
        }
    }
}

fn write(object: &impl JsonMembers, out: &mut Vec<u8>) {
    let mut writer = ObjectWriter::begin(out);
    for (name, value) in object.json_members() {
        value.write(writer.name(name));
    }
    writer.end();
}

/// Returns the members that are present, and those that have no field.
fn present<'c>(
    members: impl IntoIterator<Item = Option<(&'c str, Part<'c>)>>,
    extra: &'c OwnedObject,
) -> impl Iterator<Item = (&'c str, Part<'c>)> {
    let extra = extra.iter().map(|(name, value)| (name, Part::Value(value)));
    members.into_iter().flatten().chain(extra)
}

impl ChatCompletion {
    /// Appends the completion's JSON text, as OpenAI defines a `chat.completion`.
    ///
    /// With the feature `serde`, `serde_json` writes the same bytes. Values without a field are
    /// written as they were sent, white space included, except in an empty array or object. Allocates only if the buffer has to grow.
    ///
    /// For a client that didn't request a stream, from an upstream that sent one:
    ///
    /// ```
    /// use deltawire::gateway::assemble;
    ///
    /// let body = b"data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    /// let finished = assemble([&body[..]]);
    /// finished.whole()?; // otherwise send an error: the JSON is no whole answer
    /// let mut json = Vec::new();
    /// finished.completion.write_json(&mut json);
    /// let expected = br#"{"id":"1","object":"chat.completion","created":null,"model":null,"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"stop"}]}"#;
    /// assert_eq!(json, expected);
    /// # Ok::<(), deltawire::completion::NotWhole>(())
    /// ```
    pub fn write_json(&self, out: &mut impl OutputBuffer) {
        out.with_vec(|out| write(self, out));
    }
}

impl JsonMembers for ChatCompletion {
    fn json_members(&self) -> impl Iterator<Item = (&str, Part<'_>)> {
        let members = [
            Some((top::ID, Part::text(self.id.as_ref()))),
            Some((top::OBJECT, Part::Text("chat.completion"))),
            Some((top::CREATED, self.created.map_or(Part::Null, Part::Number))),
            Some((top::MODEL, Part::text(self.model.as_ref()))),
            Some((top::CHOICES, Part::Choices(&self.choices))),
            self.usage.as_ref().map(|usage| (top::USAGE, Part::Object(usage))),
            self.service_tier.as_deref().map(|text| (top::SERVICE_TIER, Part::Text(text))),
            self.system_fingerprint
                .as_deref()
                .map(|text| (top::SYSTEM_FINGERPRINT, Part::Text(text))),
            self.not_whole.then_some((top::NOT_WHOLE, Part::True)),
        ];
        present(members, &self.extra)
    }
}

impl JsonMembers for CompletionChoice {
    fn json_members(&self) -> impl Iterator<Item = (&str, Part<'_>)> {
        let members = [
            Some((choice::INDEX, Part::Number(self.index))),
            Some((choice::MESSAGE, Part::Message(&self.message))),
            Some((choice::LOGPROBS, self.logprobs.as_ref().map_or(Part::Null, Part::Object))),
            Some((choice::FINISH_REASON, Part::text(self.finish_reason.as_ref()))),
        ];
        present(members, &self.extra)
    }
}

impl JsonMembers for Message {
    fn json_members(&self) -> impl Iterator<Item = (&str, Part<'_>)> {
        let Self { role, content, reasoning, reasoning_details, tool_calls, .. } = self;
        let Self { reasoning_name, function_call, audio, extra, .. } = self;
        let details = Some(reasoning_details).filter(|details| !details.is_empty());
        let calls = Some(&tool_calls[..]).filter(|calls| !calls.is_empty());
        let first = [
            Some((delta::ROLE, Part::Text(role.as_deref().unwrap_or("assistant")))),
            Some((delta::CONTENT, Part::text(content.as_ref()))),
            reasoning.as_deref().map(|text| (reasoning_name.as_str(), Part::Text(text))),
            details.map(|details| (delta::REASONING_DETAILS, Part::Array(details))),
        ];
        let plain = TextMember::ALL.into_iter().filter(|member| member.is_plain()).map(|member| {
            let text = self.text(member.text());
            let is_written = text.is_some() || member == TextMember::Refusal;
            is_written.then_some((member.as_str(), text.map_or(Part::Null, Part::Text)))
        });
        let last = [
            calls.map(|calls| (delta::TOOL_CALLS, Part::ToolCalls(calls))),
            function_call.as_ref().map(|call| (delta::FUNCTION_CALL, Part::Function(call))),
            audio.as_ref().map(|audio| (delta::AUDIO, Part::Object(audio))),
        ];
        present(first.into_iter().chain(plain).chain(last), extra)
    }
}

impl JsonMembers for ToolCall {
    fn json_members(&self) -> impl Iterator<Item = (&str, Part<'_>)> {
        let members = [
            Some((tool_call::ID, Part::Text(&self.id))),
            Some((tool_call::TYPE, Part::Text(self.r#type.as_deref().unwrap_or("function")))),
            self.function.as_ref().map(|call| (tool_call::FUNCTION, Part::Function(call))),
        ];
        present(members, &self.extra)
    }
}

impl JsonMembers for FunctionCall {
    fn json_members(&self) -> impl Iterator<Item = (&str, Part<'_>)> {
        let members = [
            Some((function::NAME, Part::Text(&self.name))),
            Some((function::ARGUMENTS, Part::Text(&self.arguments))),
        ];
        present(members, &self.extra)
    }
}

#[cfg(test)]
#[cfg(feature = "serde")]
mod tests {
    use crate::completion::{ChatCompletion, CompletionChoice, filled_completion};

    /// Compares the JSON of completions with that of `serde_json`.
    #[test]
    fn without_serde_the_same_bytes_are_written() {
        let mut bare = ChatCompletion::default();
        bare.choices.push(CompletionChoice::default());
        for completion in [filled_completion(), bare, ChatCompletion::default()] {
            let mut json = b"before".to_vec();
            completion.write_json(&mut json);
            let expected = serde_json::to_string(&completion).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&json), format!("before{expected}"));
        }
    }
}
