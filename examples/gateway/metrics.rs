//! The figures for Prometheus, with OpenTelemetry's names for those that have one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::answer::Plan;
use super::cache::HIT;
use super::record::Record;

/// Number of models that have figures of their own. Clients choose names, so a bound is needed.
const MOST_MODELS: usize = 100;

/// Model of the figures of all further models, by OpenTelemetry's name for such a value.
const OTHER: &str = "_OTHER";

/// Attributes of OpenTelemetry's semantic conventions for generative AI.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Operation {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tokens {
    #[prometheus(flatten)]
    operation: Operation,
    gen_ai_token_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    #[prometheus(flatten)]
    operation: Operation,
    /// Empty without an error. Prometheus reads that as an absent label.
    error_type: &'static str,
}

/// A histogram for each set of labels.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
type Label = [(&'static str, String); 1];

pub(crate) struct Metrics {
    registry: Registry,
    models: Mutex<HashSet<Arc<str>>>,
    tokens: Histograms<Tokens>,
    duration: Histograms<Ended>,
    first_token: Histograms<Operation>,
    per_token: Histograms<Operation>,
    pub(crate) active: Gauge,
    outcomes: Family<Label, Counter>,
    pub(crate) refused: Counter,
    fallbacks: Family<Label, Counter>,
    cache: Family<Label, Counter>,
    redactions: Counter,
    events: Counter,
    malformed: Counter,
    bytes: Counter,
}

fn token_buckets() -> Histogram {
    Histogram::new((0..14).map(|exponent| 4_f64.powi(exponent)))
}

fn duration_buckets() -> Histogram {
    Histogram::new((0..14).map(|exponent| 0.01 * 2_f64.powi(exponent)))
}

fn first_token_buckets() -> Histogram {
    Histogram::new([
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ])
}

fn per_token_buckets() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5])
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            models: Mutex::default(),
            tokens: Family::new_with_constructor(token_buckets),
            duration: Family::new_with_constructor(duration_buckets),
            first_token: Family::new_with_constructor(first_token_buckets),
            per_token: Family::new_with_constructor(per_token_buckets),
            active: Gauge::default(),
            outcomes: Family::default(),
            refused: Counter::default(),
            fallbacks: Family::default(),
            cache: Family::default(),
            redactions: Counter::default(),
            events: Counter::default(),
            malformed: Counter::default(),
            bytes: Counter::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, tokens, duration, first_token, per_token, .. } = self;
        let help = "Input and output tokens, by the usage or else by events";
        registry.register("gen_ai_client_token_usage", help, tokens.clone());
        let (name, help) = ("gen_ai_server_request_duration", "From the request to the end");
        registry.register_with_unit(name, help, Unit::Seconds, duration.clone());
        let (name, help) = ("gen_ai_server_time_to_first_token", "Of successes");
        registry.register_with_unit(name, help, Unit::Seconds, first_token.clone());
        let (name, help) = ("gen_ai_server_time_per_output_token", "After the first, of successes");
        registry.register_with_unit(name, help, Unit::Seconds, per_token.clone());
        registry.register("gateway_streams_active", "Streams that are open", self.active.clone());
        for (name, help, counts) in [
            ("gateway_streams", "Streams that are over, by outcome", &self.outcomes),
            ("gateway_fallbacks", "Upstreams that failed before another one", &self.fallbacks),
            ("gateway_cache_requests", "Requests by their result in the cache", &self.cache),
        ] {
            registry.register(name, help, counts.clone());
        }
        for (name, help, count) in [
            ("gateway_refused", "Requests that the gateway answered with an error", &self.refused),
            ("gateway_redactions", "Matches that were replaced", &self.redactions),
            ("gateway_events", "Events of streams", &self.events),
            ("gateway_malformed_events", "Events that can't be read", &self.malformed),
            ("gateway_stream_bytes", "Bytes of upstreams' streams", &self.bytes),
        ] {
            registry.register(name, help, count.clone());
        }
    }

    /// Returns the page of `/metrics`, in the text format of `OpenMetrics`.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        let written = text::encode(&mut page, &self.registry);
        debug_assert!(written.is_ok(), "a String accepts all writes");
        page
    }

    /// Counts an answer that is over.
    pub(crate) fn record(&self, record: &Record, plan: &Plan) {
        let operation = Operation {
            gen_ai_operation_name: "chat",
            gen_ai_provider_name: Arc::clone(&plan.provider),
            gen_ai_request_model: self.model(plan.model.as_deref()),
        };
        for (gen_ai_token_type, count) in
            [("input", record.tokens.prompt), ("output", record.tokens.completion)]
        {
            // A replay costs no tokens.
            let Some(count) = count.filter(|_| plan.cache != Some(HIT)) else { continue };
            let labels = Tokens { operation: operation.clone(), gen_ai_token_type };
            #[expect(clippy::cast_precision_loss, reason = "a histogram has rough figures")]
            self.tokens.get_or_create(&labels).observe(count as f64);
        }
        for (times, time) in
            [(&self.first_token, record.first_token), (&self.per_token, record.per_token)]
        {
            // By the convention: of successes.
            if let Some(seconds) = time.filter(|_| !record.is_error) {
                times.get_or_create(&operation).observe(seconds);
            }
        }
        let error_type = if record.is_error { record.outcome } else { "" };
        self.duration.get_or_create(&Ended { operation, error_type }).observe(record.duration);
        if let Some(end) = &record.stream {
            self.outcomes.get_or_create(&[("outcome", record.outcome.into())]).inc();
            self.events.inc_by(end.events);
            self.malformed.inc_by(end.malformed);
            self.bytes.inc_by(end.bytes);
        }
        self.redactions.inc_by(record.redactions);
    }

    pub(crate) fn fallback(&self, upstream: &str) {
        self.fallbacks.get_or_create(&[("upstream", upstream.into())]).inc();
    }

    pub(crate) fn cache(&self, result: &str) {
        self.cache.get_or_create(&[("result", result.into())]).inc();
    }

    /// Returns a model as a label: the first ones have figures of their own.
    fn model(&self, model: Option<&str>) -> Arc<str> {
        let model = model.unwrap_or_default();
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = models.get(model) {
            return Arc::clone(found);
        }
        let label: Arc<str> = if models.len() < MOST_MODELS { model.into() } else { OTHER.into() };
        models.insert(Arc::clone(&label));
        label
    }
}
