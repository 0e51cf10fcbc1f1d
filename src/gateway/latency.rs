//! `Meter`: measures when the output of a stream arrives, and how much of it.

use core::time::Duration;

use super::observe::StreamReport;
use super::usage_totals::UsageTotals;
use crate::chunk::TokenCounts;
use crate::completion::Outcome;
use crate::decoder::Payload;

/// Measures time to first token and the gaps between the tokens of a stream.
///
/// It has no clock: the caller passes the time since the request was sent. One time per piece is
/// enough, since all events of a piece arrive together.
///
/// An event with output counts as a token: text, refusal, reasoning, a part of a tool call, or
/// audio. A role alone is no output, and neither is an empty text, as in the first chunk of many
/// servers. Reasoning is output, since it is billed and read as such.
///
/// ```
/// use std::time::Duration;
/// use deltawire::gateway::{Meter, UsageTap};
///
/// let (mut tap, mut meter) = (UsageTap::new(), Meter::new());
/// for (piece, milliseconds) in [
///     (&b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"[..], 80),
///     (b"data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n", 100),
///     (b"data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n", 130),
/// ] {
///     let now = Duration::from_millis(milliseconds); // since the request was sent
///     for gap in meter.record(tap.push(piece), now).gaps() {
///         // histogram.observe(gap)
///         assert_eq!(gap, Duration::from_millis(30));
///     }
/// }
/// let measured = meter.finish(&tap.finish(), Duration::from_millis(131));
/// assert_eq!(measured.time_to_first_token, Some(Duration::from_millis(100)));
/// assert_eq!((measured.gaps.count, measured.output_tokens), (1, 2));
/// ```
///
/// All times are those that a client observes. If a server sends several tokens in an event, or several events
/// in a piece, there are fewer and longer gaps, and gaps of zero. Allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    first: Option<Duration>,
    last: Option<Duration>,
    gaps: InterTokenLatency,
    deltas: u64,
    usage: UsageTotals,
}

/// The sum, minimum and maximum of the gaps between the tokens of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterTokenLatency {
    /// Number of gaps: one less than the number of tokens.
    pub count: u64,
    /// Sum of all gaps: the time from the first token to the last.
    pub sum: Duration,
    /// The shortest gap.
    pub min: Option<Duration>,
    /// The longest gap.
    pub max: Option<Duration>,
}

impl InterTokenLatency {
    /// Returns the mean gap, or `None` without gaps or if it is more than 500 years.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let nanoseconds = self.sum.as_nanos().checked_div(self.count.into())?;
        u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
    }

    fn add(&mut self, gap: Duration, times: u64) {
        self.count = self.count.saturating_add(times);
        self.sum = self.sum.saturating_add(gap);
        self.min = Some(self.min.map_or(gap, |min| min.min(gap)));
        self.max = Some(self.max.map_or(gap, |max| max.max(gap)));
    }
}

/// The result of [`Meter::record`]: the token times of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeterUpdate {
    /// The time to first token, if this call recorded the first token.
    pub first: Option<Duration>,
    /// The gap since the previous token, if there was one.
    pub gap: Option<Duration>,
    /// Number of tokens that arrived together with the first one of this call: gaps of zero.
    pub simultaneous: u64,
}

impl MeterUpdate {
    /// Returns each gap for a histogram, including gaps of zero.
    pub fn gaps(self) -> impl Iterator<Item = Duration> {
        let simultaneous = usize::try_from(self.simultaneous).unwrap_or(usize::MAX);
        self.gap.into_iter().chain(core::iter::repeat_n(Duration::ZERO, simultaneous))
    }
}

/// The measurements of a whole stream; see [`Meter::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LatencyReport {
    /// The time from the request to the first event with output.
    pub time_to_first_token: Option<Duration>,
    /// The time from the request to the end of the stream, or to a later event with output.
    pub total_time: Duration,
    /// The gaps between tokens.
    pub gaps: InterTokenLatency,
    /// Tokens of the completion by the usage, else the number of events with output.
    pub output_tokens: u64,
    /// True if `output_tokens` is the count of the usage.
    pub is_from_usage: bool,
    /// Tokens of the prompt by the usage.
    pub prompt_tokens: Option<u64>,
    /// How the stream ended.
    pub outcome: Outcome,
}

/// Maximum number of choices whose own usage is counted.
const MAX_CHOICES: usize = 128;

impl Meter {
    /// Creates a meter before the first token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records the arrival of events with output, `now` after the request.
    ///
    /// `deltas` is their number, as [`UsageTap::push`](super::UsageTap::push) returns it. A time
    /// before that of the last event with output counts as the latter, so a clock that is set back
    /// causes no gap.
    pub fn record(&mut self, deltas: u64, now: Duration) -> MeterUpdate {
        let Some(simultaneous) = deltas.checked_sub(1) else { return MeterUpdate::default() };
        let now = self.last.map_or(now, |last| last.max(now));
        let mut tick = MeterUpdate { simultaneous, ..MeterUpdate::default() };
        match self.last {
            None => {
                self.first = Some(now);
                tick.first = Some(now);
            }
            Some(last) => {
                let gap = now.saturating_sub(last);
                self.gaps.add(gap, 1);
                tick.gap = Some(gap);
            }
        }
        if simultaneous > 0 {
            self.gaps.add(Duration::ZERO, simultaneous);
        }
        self.last = Some(now);
        self.deltas = self.deltas.saturating_add(deltas);
        tick
    }

    /// Records events like [`record`](Self::record), by the number of all events with output so far.
    ///
    /// `deltas` is their number, as [`Observer::deltas`](super::Observer::deltas) returns it.
    pub fn record_total(&mut self, deltas: u64, now: Duration) -> MeterUpdate {
        self.record(deltas.saturating_sub(self.deltas), now)
    }

    /// Records an event that arrived `now` after the request, without a tap or an observer.
    pub fn observe(&mut self, payload: &Payload<'_>, now: Duration) -> MeterUpdate {
        let chunk = match payload {
            Payload::Chunk(chunk) => Some(*chunk),
            Payload::Error(error) => error.chunk(),
            _ => None,
        };
        let Some(chunk) = chunk else { return MeterUpdate::default() };
        self.usage.update(&chunk, MAX_CHOICES);
        self.record(u64::from(chunk.content_flags().is_output()), now)
    }

    /// Returns the time from the request to the first event with output, once it has arrived.
    #[must_use]
    pub const fn time_to_first_token(&self) -> Option<Duration> {
        self.first
    }

    /// Returns the time of the last event with output, for a limit on silence.
    #[must_use]
    pub const fn last_token(&self) -> Option<Duration> {
        self.last
    }

    /// Returns the gaps so far.
    #[must_use]
    pub const fn gaps(&self) -> InterTokenLatency {
        self.gaps
    }

    /// Returns the measurements of a stream that a tap has observed, `now` after the request.
    #[must_use]
    pub fn finish(&self, seen: &StreamReport, now: Duration) -> LatencyReport {
        self.measured(seen.outcome, seen.tokens, now)
    }

    /// Returns the measurements of [observed](Self::observe) events, `now` after the request.
    ///
    /// `outcome` is that of a [`Reassembler`](crate::Reassembler).
    #[must_use]
    pub fn finish_with(&self, outcome: Outcome, now: Duration) -> LatencyReport {
        self.measured(outcome, self.usage.tokens, now)
    }

    fn measured(
        &self,
        outcome: Outcome,
        tokens: Option<TokenCounts>,
        now: Duration,
    ) -> LatencyReport {
        let completion = tokens.and_then(|tokens| tokens.completion);
        LatencyReport {
            time_to_first_token: self.first,
            total_time: self.last.map_or(now, |last| last.max(now)),
            gaps: self.gaps,
            output_tokens: completion.unwrap_or(self.deltas),
            is_from_usage: completion.is_some(),
            prompt_tokens: tokens.and_then(|tokens| tokens.prompt),
            outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Meter, MeterUpdate};
    use crate::completion::Outcome;
    use core::time::Duration;
    use proptest::prelude::*;

    #[test]
    fn what_counts_as_a_token() {
        let now = Duration::from_millis(5);
        for (delta, is_error) in [
            (r#"{"role":"assistant"}"#, false),
            (r#"{"role":"assistant","content":""}"#, false),
            (r#"{"content":null,"tool_calls":[]}"#, false),
            (r#"{"content":"a"}"#, true),
            (r#"{"reasoning":"a"}"#, true),
            (r#"{"refusal":"a"}"#, true),
            (r#"{"tool_calls":[{"function":{"arguments":"{"}}]}"#, true),
        ] {
            let event = format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
            let (mut decoder, mut meter) = (crate::ChunkDecoder::new(), Meter::new());
            let tick = decoder
                .next(&mut event.as_bytes())
                .map(|event| meter.observe(event.payload(), now));
            let expected = is_error.then_some(now);
            assert_eq!(
                tick,
                Some(MeterUpdate { first: expected, ..MeterUpdate::default() }),
                "{delta}"
            );
            assert_eq!(meter.time_to_first_token(), expected, "{delta}");
        }
    }

    #[test]
    fn the_tokens_of_a_usage_outrank_those_counted() {
        let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"a b c\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n";
        let (mut decoder, mut meter) = (crate::ChunkDecoder::new(), Meter::new());
        meter.record(1, Duration::ZERO);
        let now = Duration::from_secs(1);
        let before = meter.finish_with(Outcome::Truncated, now);
        assert_eq!((before.output_tokens, before.is_from_usage), (1, false));
        if let Some(event) = decoder.next(&mut &event[..]) {
            meter.observe(event.payload(), now);
        }
        let after = meter.finish_with(Outcome::Complete, now);
        assert_eq!((after.output_tokens, after.is_from_usage), (3, true));
        assert_eq!((after.prompt_tokens, after.total_time), (Some(9), now));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

        /// The returned gaps equal the counted ones.
        ///
        /// Their sum is the time from the first token to the last. A clock that is set back causes
        /// no gap.
        #[test]
        fn gaps_sum_up_to_the_time_between_tokens(records in proptest::collection::vec((0u64..4, 0u64..50), 0..20)) {
            let mut meter = Meter::new();
            let (mut gaps, mut tokens, mut firsts) = (Vec::new(), 0, 0);
            let (mut first, mut latest) = (None, 0);
            for (deltas, time) in records {
                let tick = meter.record(deltas, Duration::from_micros(time));
                firsts += u64::from(tick.first.is_some());
                gaps.extend(tick.gaps());
                tokens += deltas;
                if deltas > 0 {
                    latest = time.max(latest);
                    first = first.or(Some(latest));
                }
            }
            let found = meter.gaps();
            prop_assert_eq!(found.count, gaps.len() as u64);
            prop_assert_eq!(found.count, tokens.saturating_sub(1));
            prop_assert_eq!(found.min, gaps.iter().min().copied());
            prop_assert_eq!(found.max, gaps.iter().max().copied());
            prop_assert_eq!(found.sum, gaps.iter().sum::<Duration>());
            prop_assert_eq!(found.sum, Duration::from_micros(latest - first.unwrap_or(0)));
            prop_assert_eq!(meter.time_to_first_token(), first.map(Duration::from_micros));
            prop_assert_eq!(firsts, u64::from(first.is_some()));
            prop_assert_eq!(found.mean().is_some(), found.count > 0);
        }
    }
}
