//! Metrics for Prometheus, named `millrace_<service>_<what>_<unit>`, each with the label `pipeline`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use millrace_model::{Code, Fault, Result};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};
use prometheus::{register_histogram_vec_with_registry, register_int_counter_vec_with_registry, register_int_gauge_vec_with_registry};

/// Seconds that a batch or a commit takes: from what a small batch costs to what an operator would look into.
const DURATIONS: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds from event to commit: from live traffic to a backlog of a day.
const AGES: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

const ONCE: &str = "each family is registered once, under a valid name";

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
static FAMILIES: LazyLock<Mutex<HashMap<&'static str, Arc<Families>>>> = LazyLock::new(Mutex::default);

/// All metrics of this process in Prometheus' text format.
pub fn render() -> Result<String> {
    let encoded = TextEncoder::new().encode_to_string(&gather());
    encoded.map_err(|error| Fault::fatal(Code::Internal, "metrics can't be written as text").because(error))
}

/// All metrics of this process as they are now.
pub(super) fn gather() -> Vec<prometheus::proto::MetricFamily> {
    REGISTRY.gather()
}

/// Counters `millrace_<what>` by those labels; each name once in a process.
pub(crate) fn counters(what: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let made = register_int_counter_vec_with_registry!(format!("millrace_{what}"), help, labels, REGISTRY);
    made.expect(ONCE)
}

/// Gauges, likewise.
pub(crate) fn gauges(what: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let made = register_int_gauge_vec_with_registry!(format!("millrace_{what}"), help, labels, REGISTRY);
    made.expect(ONCE)
}

/// Histograms, likewise.
pub(crate) fn histograms(what: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let made = register_histogram_vec_with_registry!(format!("millrace_{what}"), help, labels, buckets.to_vec(), REGISTRY);
    made.expect(ONCE)
}

/// The metric families of one service.
#[derive(Debug)]
struct Families {
    records_in: IntCounterVec,
    records_out: IntCounterVec,
    filtered: IntCounterVec,
    rejected: IntCounterVec,
    bytes_in: IntCounterVec,
    bytes_out: IntCounterVec,
    batch: HistogramVec,
    commit: HistogramVec,
    retries: IntCounterVec,
    lag: IntGaugeVec,
    parked: IntGaugeVec,
    halted: IntGaugeVec,
    waiting: IntGaugeVec,
    freshness: HistogramVec,
}

impl Families {
    fn of(service: &'static str) -> Arc<Self> {
        let mut families = FAMILIES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(families.entry(service).or_insert_with(|| {
            let registered = Self::register(service, &REGISTRY);
            Arc::new(registered.expect("each service's families are registered once, under valid names"))
        }))
    }

    fn register(service: &str, registry: &Registry) -> prometheus::Result<Self> {
        let counter = |what: &str, help: &str, labels: &[&str]| {
            register_int_counter_vec_with_registry!(format!("millrace_{service}_{what}"), help, labels, registry)
        };
        let gauge = |what: &str, help: &str, labels: &[&str]| {
            register_int_gauge_vec_with_registry!(format!("millrace_{service}_{what}"), help, labels, registry)
        };
        let histogram = |what: &str, help: &str, buckets: &[f64]| {
            register_histogram_vec_with_registry!(format!("millrace_{service}_{what}"), help, &["pipeline"], buckets.to_vec(), registry)
        };
        Ok(Self {
            records_in: counter("records_in_total", "Records read.", &["pipeline"])?,
            records_out: counter("records_out_total", "Records written and committed.", &["pipeline"])?,
            filtered: counter("records_filtered_total", "Records dropped on purpose.", &["pipeline"])?,
            rejected: counter("records_rejected_total", "Records that became dead letters.", &["pipeline", "code"])?,
            bytes_in: counter("bytes_in_total", "Bytes of values read.", &["pipeline"])?,
            bytes_out: counter("bytes_out_total", "Bytes of values written.", &["pipeline"])?,
            batch: histogram("batch_duration_seconds", "From a batch's first record in hand to its commit.", DURATIONS)?,
            commit: histogram("commit_duration_seconds", "How long the commit of a batch took.", DURATIONS)?,
            retries: counter("retries_total", "Attempts that failed with passing trouble.", &["pipeline"])?,
            lag: gauge("lag_records", "Records in the partition that are not processed yet.", &["pipeline", "topic", "partition"])?,
            parked: gauge("parked_records", "Records that wait behind rejected ones of their keys, those included.", &["pipeline"])?,
            halted: gauge("halted", "1 when the pipeline waits for an operator.", &["pipeline"])?,
            waiting: gauge("waiting", "1 when the pipeline waits for a system that is away.", &["pipeline"])?,
            freshness: histogram("freshness_seconds", "From a record's timestamp to its commit in the target.", AGES)?,
        })
    }
}

/// The metrics of one pipeline. Cheap to clone; two of the same service and pipeline count together.
#[derive(Debug, Clone)]
pub struct PipelineMetrics {
    pipeline: Arc<str>,
    families: Arc<Families>,
    records_in: IntCounter,
    records_out: IntCounter,
    filtered: IntCounter,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    batch: Histogram,
    commit: Histogram,
    retries: IntCounter,
    halted: IntGauge,
    waiting: IntGauge,
    freshness: Histogram,
}

impl PipelineMetrics {
    /// The metrics of `pipeline` in `service` (`ingest`, `transform`, `loader`).
    pub fn new(service: &'static str, pipeline: &str) -> Self {
        let families = Families::of(service);
        let label = &[pipeline];
        Self {
            pipeline: pipeline.into(),
            records_in: families.records_in.with_label_values(label),
            records_out: families.records_out.with_label_values(label),
            filtered: families.filtered.with_label_values(label),
            bytes_in: families.bytes_in.with_label_values(label),
            bytes_out: families.bytes_out.with_label_values(label),
            batch: families.batch.with_label_values(label),
            commit: families.commit.with_label_values(label),
            retries: families.retries.with_label_values(label),
            halted: families.halted.with_label_values(label),
            waiting: families.waiting.with_label_values(label),
            freshness: families.freshness.with_label_values(label),
            families,
        }
    }

    /// `count` records were read, with `bytes` bytes of values.
    pub fn read(&self, count: u64, bytes: u64) {
        self.records_in.inc_by(count);
        self.bytes_in.inc_by(bytes);
    }

    /// `count` records were written and committed, with `bytes` bytes of values.
    pub fn written(&self, count: u64, bytes: u64) {
        self.records_out.inc_by(count);
        self.bytes_out.inc_by(bytes);
    }

    /// `count` records were dropped on purpose.
    pub fn filtered(&self, count: u64) {
        self.filtered.inc_by(count);
    }

    /// `count` records became dead letters of `code`.
    pub fn rejected(&self, code: Code, count: u64) {
        self.families.rejected.with_label_values(&[&*self.pipeline, code.as_str()]).inc_by(count);
    }

    /// A batch took `seconds`, its commit included.
    pub fn batch_seconds(&self, seconds: f64) {
        self.batch.observe(seconds);
    }

    /// A commit took `seconds`.
    pub fn commit_seconds(&self, seconds: f64) {
        self.commit.observe(seconds);
    }

    /// An attempt failed with passing trouble.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// So many records are parked by this instance, rejected ones that others wait for included.
    pub fn parked(&self, records: usize) {
        self.families.parked.with_label_values(&[&self.pipeline]).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// `records` of the partition are not processed yet.
    pub fn lag(&self, topic: &str, partition: i32, records: i64) {
        self.families.lag.with_label_values(&[&self.pipeline, topic, &partition.to_string()]).set(records);
    }

    /// The partition belongs to another instance now.
    pub fn forget_lag(&self, topic: &str, partition: i32) {
        let labels = [&self.pipeline, topic, &partition.to_string()];
        // An error says that the partition had no lag yet, which is as good as forgotten.
        self.families.lag.remove_label_values(&labels).ok();
    }

    /// A record reached the target `seconds` after its timestamp.
    pub fn freshness_seconds(&self, seconds: f64) {
        self.freshness.observe(seconds);
    }

    /// Sets the gauges of the pipeline's state; [`crate::service::Health`] calls it.
    pub(crate) fn state(&self, halted: bool, waiting: bool) {
        self.halted.set(i64::from(halted));
        self.waiting.set(i64::from(waiting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_handles_of_one_pipeline_count_together() {
        PipelineMetrics::new("transform", "together").read(2, 10);
        PipelineMetrics::new("transform", "together").read(3, 5);
        let text = render().expect("renders");
        assert!(text.contains("millrace_transform_records_in_total{pipeline=\"together\"} 5"), "{text}");
        assert!(text.contains("millrace_transform_bytes_in_total{pipeline=\"together\"} 15"), "{text}");
    }

    #[test]
    fn rejections_are_counted_by_code() {
        PipelineMetrics::new("loader", "by_code").rejected(Code::ValueNull, 4);
        let text = render().expect("renders");
        assert!(text.contains("millrace_loader_records_rejected_total{code=\"MR0610\",pipeline=\"by_code\"} 4"), "{text}");
    }

    #[test]
    fn the_lag_of_a_partition_that_moved_away_is_gone() {
        let metrics = PipelineMetrics::new("loader", "moved");
        metrics.lag("orders", 1, 7);
        assert!(render().expect("renders").contains("millrace_loader_lag_records{partition=\"1\",pipeline=\"moved\",topic=\"orders\"} 7"));
        metrics.forget_lag("orders", 1);
        metrics.forget_lag("orders", 2);
        assert!(!render().expect("renders").contains("lag_records{partition=\"1\",pipeline=\"moved\""));
    }
}
