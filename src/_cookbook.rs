//! Recipes for the tasks of a gateway, to copy from.
//!
//! | task | recipe |
//! |---|---|
//! | forward a stream, and know its usage, its outcome and its times | [`watch`] |
//! | request the usage, hide it from the client, and bill by it | [`bill`] |
//! | serve a model under another name | [`rename`] |
//! | replace words in the model's texts, or stop at them | [`redact`] |
//! | store completions, and replay them | [`cache`] |
//! | answer JSON from a stream, and a stream from JSON | [`convert`] |
//! | bound the memory, the output and the time of a stream | [`limit`] |
//! | write a line of a log for each stream | [`log`] |
//!
//! A relay can't end each stream: inside of an event, no error event can follow. Then
//! [`must_abort`](crate::gateway::RelayReport::must_abort) of its report is true, and the response must be
//! aborted. The recipe [`watch`] shows that. The adapters do it themselves.
//!
//! Each recipe is one file of `docs/cookbook`. It runs over all recorded streams in
//! `tests/it/documented`. A recipe reads a body from an iterator of pieces and writes to a `Vec<u8>`.
//! In async code the same calls are in the loop that reads the upstream's body, or an adapter of
//! `deltawire::adapters` makes them.
//!
//! This module contains documentation only. It exists while the documentation is built.

/// Defines a recipe: its docs, its name, and the file with its code.
macro_rules! recipe {
    ($(#[$docs:meta])* $name:ident, $file:literal) => {
        $(#[$docs])*
        ///
        #[doc = concat!("```\n", include_str!(concat!("../docs/cookbook/", $file)), "```")]
        pub mod $name {}
    };
}

recipe! {
    /// Forwards a stream, and returns its usage, its outcome and its times.
    ///
    /// The client receives each piece as it came, before the relay decodes it.
    /// [`RelayReport::stream`](crate::gateway::RelayReport::stream) has the usage, the finish reasons
    /// and the upstream's error. [`RelayReport::latency`](crate::gateway::RelayReport::latency) has the
    /// time to the first token and the gaps.
    watch, "watch.rs"
}

recipe! {
    /// Requests the usage, hides it from a client that hasn't requested it, and bills by it.
    ///
    /// A server sends the usage of a stream only if `stream_options.include_usage` is true. The request
    /// is edited in place: all other bytes stay as they came.
    bill, "bill.rs"
}

recipe! {
    /// Serves a model under another name.
    ///
    /// The client sends the alias and receives the alias. The upstream receives its own name of the
    /// model. Every other byte of both is unchanged.
    rename, "rename.rs"
}

recipe! {
    /// Replaces words in the model's texts, or stops at them.
    ///
    /// A word is found wherever the server cuts it: across events, in an escape, in the reasoning and in
    /// the arguments of tool calls. The texts are delayed by the length of the longest word.
    redact, "redact.rs"
}

recipe! {
    /// Stores completions that may be stored, and replays them as streams.
    ///
    /// A stream that was cut, filtered or damaged is never stored: see
    /// [`Handling`](crate::gateway::Handling). The key is the caller's: the bytes of the request
    /// without the members that don't change the answer.
    ///
    /// A stored completion is the upstream's own, unedited and unredacted. So a hit passes a relay with the
    /// client's rules.
    cache, "cache.rs"
}

recipe! {
    /// Answers JSON from an upstream that streams, and a stream from one that doesn't.
    ///
    /// A [`Sniffer`](crate::gateway::Sniffer) decides by the first bytes of a body if it is a stream.
    convert, "convert.rs"
}

recipe! {
    /// Bounds the memory, the output and the time of a stream.
    ///
    /// The [`Limits`](crate::Limits) bound the memory for any input, and no limit ends a stream. The
    /// caller ends it: by the number of deltas, which is about that of tokens, or by the time.
    /// If [`must_abort`](crate::gateway::RelayReport::must_abort) of the report is true, the client has a
    /// part of an event, and the response is aborted.
    limit, "limit.rs"
}

#[cfg(feature = "serde")]
recipe! {
    /// Writes a line of a log for each stream.
    ///
    /// The reports of all parts serialize, with the feature `serde`. They contain no text of the model.
    log, "log.rs"
}
