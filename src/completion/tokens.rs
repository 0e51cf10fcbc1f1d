//! Returns the token counts of a completion, by the rules for those of a chunk.

use super::model::ChatCompletion;
use crate::chunk::schema::{choice, top};
use crate::chunk::{ChoiceTokens, TokenCounts, Usage};
use crate::json::{TEXT_LIMITS, Value, ValueKind, read_text};

impl ChatCompletion {
    /// Returns the token counts of the completion's usage, or `None` if it has no count.
    ///
    /// It is [`usage`](Self::usage), or the `usage` in `x_groq`, or that of the choices, in this
    /// order. An empty usage doesn't count. [`Usage`] lists the names under which servers send
    /// each count. Allocates memory of the size of the usage's JSON.
    ///
    /// ```
    /// use deltawire::completion::ChatCompletion;
    ///
    /// let json = br#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":"2",
    ///     "prompt_tokens_details":{"cached_tokens":8}}}"#;
    /// let tokens = ChatCompletion::from_json(json)?.tokens().unwrap();
    /// assert_eq!((tokens.prompt, tokens.completion, tokens.cached), (Some(9), Some(2), Some(8)));
    /// # Ok::<(), deltawire::Error>(())
    /// ```
    ///
    /// An [`Observer`](crate::gateway::Observer) of the same stream returns equal counts, with these
    /// exceptions:
    ///
    /// - The stream has a count under several names, or later a value that is no count. An observer
    ///   returns the last count. A completion has the last value of each name.
    /// - A limit has excluded a part of the usage from the completion.
    #[must_use]
    pub fn tokens(&self) -> Option<TokenCounts> {
        let tokens = match self.usage.as_ref().filter(|usage| !usage.is_empty()) {
            Some(usage) => read(|out| usage.write_json(out), |usage| Some(counts(usage))),
            None => self.groq_tokens().or_else(|| self.choice_tokens()),
        };
        tokens.filter(|tokens| !tokens.is_empty())
    }

    fn groq_tokens(&self) -> Option<TokenCounts> {
        let x_groq = self.extra.get(top::X_GROQ)?;
        read(
            |out| x_groq.write_json(out),
            |x_groq| {
                let usage = object(x_groq.get(top::USAGE)?)?;
                (!usage.is_empty_value()).then(|| counts(usage))
            },
        )
    }

    fn choice_tokens(&self) -> Option<TokenCounts> {
        let mut tokens = ChoiceTokens::default();
        for choice in &self.choices {
            let Some(usage) = choice.extra.get(choice::USAGE) else { continue };
            let add = |usage: Value<'_>| {
                tokens.add(choice.index, &Usage::new(object(usage)?));
                Some(())
            };
            let _ = read(|out| usage.write_json(out), add);
        }
        (!tokens.is_empty()).then(|| tokens.all())
    }
}

/// Writes a stored value as JSON, which `read` reads.
fn read<T>(
    write: impl FnOnce(&mut Vec<u8>),
    read: impl FnOnce(Value<'_>) -> Option<T>,
) -> Option<T> {
    let mut json = Vec::new();
    write(&mut json);
    let limits = TEXT_LIMITS.with_max_json_depth(usize::MAX);
    read_text(&json, &limits, |value| Ok(read(value))).ok()?
}

fn counts(usage: Value<'_>) -> TokenCounts {
    Usage::new(usage).into()
}

fn object(value: Value<'_>) -> Option<Value<'_>> {
    Some(value).filter(|value| value.kind() == ValueKind::Object)
}
