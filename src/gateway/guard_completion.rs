//! `Guard::push_completion`: holds a whole completion, as an event with all of its texts.

use super::guard::Guard;
use super::push_result::PushResult;
use super::spans::value_range;
use super::text_form::ChunkForm;
use super::watched_text::MessageMember;
use crate::chunk::OwnedChatCompletionChunk;
use crate::error::Error;
use crate::json::TEXT_LIMITS;

impl Guard {
    /// Holds the JSON text of a whole completion, of an upstream that doesn't stream.
    ///
    /// Its texts are those of each `message`, and the same values are
    /// [harmless](Self#what-is-harmless) as in a delta. Each choice and each tool call has texts
    /// of its own, and all reasoning details of a choice share one. Push one body, search it, release it, and [`reset`](Self::reset) the guard.
    ///
    /// ```
    /// use deltawire::gateway::{Guard, Words};
    ///
    /// let body = br#"{"choices": [{"index": 0, "message": {"role": "assistant", "content": "my secret"}}]}"#;
    /// let (mut guard, mut out) = (Guard::new(), Vec::new());
    /// let _ = guard.push_completion(body)?; // see `PushResult`
    /// guard.finish_texts();
    /// guard.redact(&Words::new(["secret"]), "[…]")?;
    /// guard.release_all(&mut out);
    /// let expected = r#"{"choices": [{"index": 0, "message": {"role": "assistant", "content": "my […]"}}]}"#;
    /// assert_eq!(String::from_utf8(out)?, expected);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The guard's bound counts the body and the texts in it, as for an event. By default, a body of one
    /// text may have about 128 KiB. The texts beyond the first 256 are unwatched. The body has at most
    /// 4 096 choices, the default nesting and less than 2 GiB.
    ///
    /// # Errors
    ///
    /// Returns the error and its offset in the text, which isn't held. The text has to be one JSON
    /// object.
    pub fn push_completion(&mut self, json: &[u8]) -> Result<PushResult, Error> {
        let body = OwnedChatCompletionChunk::read(json, &TEXT_LIMITS)?;
        let find = |value| value_range(value).into();
        let chunk = body.as_chunk();
        let form = ChunkForm::of(Some(&chunk), None);
        Ok(self.hold(Some(&chunk), MessageMember::Message, form, false, json, find))
    }
}
