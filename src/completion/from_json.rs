//! Reads whole completions from JSON, by the crate's own parser and within its limits.

use super::model::{
    ChatCompletion, CompletionChoice, FunctionCall, Message, ReasoningName, ToolCall,
};
use crate::chunk::schema::{choice, delta, function, tool_call, top};
use crate::chunk::{MessageText, TextMember, is_reason};
use crate::error::{Error, ErrorKind};
use crate::json::{ObjectReader, OwnedArray, TEXT_LIMITS, Value, ValueKind, expect, read_text};
use crate::limits::Limits;

impl ChatCompletion {
    /// Reads a completion from a JSON text, such as a cache entry or an answer without streaming.
    ///
    /// Nesting is limited as in a payload. The number of values is limited by the text alone,
    /// because a completion is made of many payloads.
    ///
    /// ```
    /// use deltawire::completion::ChatCompletion;
    /// use deltawire::ErrorKind;
    ///
    /// let json = br#"{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    /// let completion = ChatCompletion::from_json(json)?;
    /// assert_eq!(completion.choices[0].message.content.as_deref(), Some("Hi"));
    ///
    /// let error = ChatCompletion::from_json(br#"{"error":{"code":429}}"#).unwrap_err();
    /// assert_eq!((error.kind(), error.offset()), (ErrorKind::ExpectedChoices, 21));
    /// # Ok::<(), deltawire::Error>(())
    /// ```
    ///
    /// Slightly invalid JSON is read as a decoder reads it: see [`JsonDeviations`](crate::json::JsonDeviations).
    /// Memory is linear in the length of the text. So is the time, except that the names of each
    /// object are sorted. Bound the length, or bound the number of values with
    /// [`from_json_with_limits`](Self::from_json_with_limits).
    ///
    /// # Errors
    ///
    /// Returns the kind of the error, and its offset in the text. The text must be JSON within the
    /// limits, and an object with `choices`. A member with a field must have the type of the field or
    /// be `null`; only `not_whole` may be any value. For an absent member, the offset is the end of its
    /// object.
    ///
    /// The index of a choice without one is its position, as for the clients that read `choices[0]`.
    /// Two choices with the same index are an error.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with_limits(json, &TEXT_LIMITS)
    }

    /// Reads a completion from a JSON text within limits; see [`from_json`](Self::from_json).
    ///
    /// The limits are [`json_depth`](Limits::max_json_depth) and [`json_values`](Limits::max_json_values).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`from_json`](Self::from_json).
    pub fn from_json_with_limits(json: &[u8], limits: &Limits) -> Result<Self, Error> {
        read_text(json, limits, Self::from_value)
    }

    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        let mut object = ObjectReader::new(value)?;
        object.take(top::OBJECT);
        let Some(choices) = object.take(top::CHOICES) else {
            return Err(object.lacks(ErrorKind::ExpectedChoices));
        };
        let mut indexes = ChoiceIndexes::default();
        let choices = choices
            .array()?
            .map(|choice| CompletionChoice::with_index(choice, indexes.add(choice)?));
        let choices = choices.collect::<Result<_, _>>()?;
        indexes.check()?;
        Ok(Self {
            id: object.string(top::ID)?,
            created: object.integer(top::CREATED)?,
            model: object.string(top::MODEL)?,
            choices,
            usage: object.object(top::USAGE)?,
            service_tier: object.string(top::SERVICE_TIER)?,
            system_fingerprint: object.string(top::SYSTEM_FINGERPRINT)?,
            not_whole: object.take(top::NOT_WHOLE).is_some_and(is_mark),
            extra: object.rest(),
        })
    }
}

/// Returns true if a value of `not_whole` marks a completion that isn't whole.
pub(super) fn is_mark(value: Value<'_>) -> bool {
    !value.is_null() && value.as_bool() != Some(false)
}

/// The indexes of the choices in a whole completion, with the offsets of the choices.
#[derive(Default)]
pub(super) struct ChoiceIndexes {
    indexes: Vec<(u64, usize)>,
}

impl ChoiceIndexes {
    /// Adds the next choice, and returns its index: its position, if it has none.
    pub(super) fn add(&mut self, choice: Value<'_>) -> Result<u64, Error> {
        expect(choice.kind() == ValueKind::Object, choice, ErrorKind::ExpectedObject)?;
        let index = match choice.get(choice::INDEX).filter(|index| !index.is_null()) {
            None => self.indexes.len() as u64,
            Some(value) => {
                let index = value.as_u64();
                index.ok_or(Error::new(ErrorKind::ExpectedInteger, value.position() as u64))?
            }
        };
        self.indexes.push((index, choice.position()));
        Ok(index)
    }

    /// Fails at the first choice that has the index of one before it.
    pub(super) fn check(mut self) -> Result<(), Error> {
        self.indexes.sort_unstable();
        let same = self.indexes.windows(2).filter_map(|pair| match pair {
            [(one, _), (other, at)] if one == other => Some(*at as u64),
            _ => None,
        });
        same.min().map_or(Ok(()), |at| Err(Error::new(ErrorKind::RepeatedIndex, at)))
    }
}

impl CompletionChoice {
    /// Reads a choice of its own, whose index is 0 if it has none.
    #[cfg(feature = "serde")]
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        Self::with_index(value, ChoiceIndexes::default().add(value)?)
    }

    fn with_index(value: Value<'_>, index: u64) -> Result<Self, Error> {
        let mut object = ObjectReader::new(value)?;
        object.take(choice::INDEX);
        let message = object.take(choice::MESSAGE).map(Message::from_value).transpose()?;
        Ok(Self {
            index,
            message: message.unwrap_or_default(),
            finish_reason: object.string(choice::FINISH_REASON)?.filter(|text| is_reason(text)),
            logprobs: object.object(choice::LOGPROBS)?,
            extra: object.rest(),
        })
    }
}

impl Message {
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        let mut object = ObjectReader::new(value)?;
        // Of two names, only one has a field. The other is stored like any other member.
        let mut reasoning_name = ReasoningName::ReasoningContent;
        let text = |name: ReasoningName| value.get(name.as_str()).and_then(|text| text.as_str());
        let is_second = text(ReasoningName::ReasoningContent) == Some("")
            && text(ReasoningName::Reasoning).is_some_and(|text| !text.is_empty());
        let first = (!is_second).then(|| object.string(reasoning_name.as_str())).transpose()?;
        let mut reasoning = first.flatten();
        if reasoning.is_none() {
            reasoning = object.string(ReasoningName::Reasoning.as_str())?;
            if reasoning.is_some() {
                reasoning_name = ReasoningName::Reasoning;
            }
        }
        let details =
            object.take(delta::REASONING_DETAILS).map(OwnedArray::from_value).transpose()?;
        let calls = object.take(delta::TOOL_CALLS).map(Value::array).transpose()?;
        let calls = calls.into_iter().flatten().map(ToolCall::from_value);
        let function_call = object.take(delta::FUNCTION_CALL);
        let role = object.string(delta::ROLE)?;
        let mut message = Self { role, reasoning, reasoning_name, ..Self::default() };
        for member in TextMember::ALL {
            if member.text() != MessageText::Reasoning {
                *message.text_mut(member.text()) = object.string(member.as_str())?;
            }
        }
        Ok(Self {
            reasoning_details: details.unwrap_or_default(),
            tool_calls: calls.collect::<Result<_, _>>()?,
            function_call: function_call.map(FunctionCall::from_value).transpose()?,
            audio: object.object(delta::AUDIO)?,
            extra: object.rest(),
            ..message
        })
    }
}

impl ToolCall {
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        let mut object = ObjectReader::new(value)?;
        let function = object.take(tool_call::FUNCTION);
        Ok(Self {
            id: object.string(tool_call::ID)?.unwrap_or_default(),
            r#type: object.string(tool_call::TYPE)?,
            function: function.map(FunctionCall::from_value).transpose()?,
            extra: object.rest(),
        })
    }
}

impl FunctionCall {
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, Error> {
        let mut object = ObjectReader::new(value)?;
        Ok(Self {
            name: object.string(function::NAME)?.unwrap_or_default(),
            arguments: object.string(function::ARGUMENTS)?.unwrap_or_default(),
            extra: object.rest(),
        })
    }
}
