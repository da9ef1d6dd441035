//! What a job cost.

use serde::{Deserialize, Serialize};

/// A stretch of a job's work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Records, rows or requests.
    pub(crate) records: u64,
    /// By the clock.
    pub(crate) seconds: f64,
    /// User and system time of the measured process alone.
    pub(crate) cpu_seconds: f64,
}

impl Span {
    pub(crate) fn per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.records as f64 / self.cpu_seconds
    }
}

/// How long single requests or events took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p999: Option<f64>,
}

impl Latency {
    /// Of latencies in milliseconds, in any order; `None` of none.
    pub(crate) fn of(mut milliseconds: Vec<f64>) -> Option<Self> {
        milliseconds.sort_by(f64::total_cmp);
        let last = milliseconds.len().checked_sub(1)?;
        let at = |share: f64| milliseconds[(share * last as f64).round() as usize];
        Some(Self { p50: at(0.5), p99: at(0.99), p999: Some(at(0.999)) })
    }
}

/// What a job cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// From the start of the process (or of the load, for what waits for requests) to the last record.
    pub(crate) whole: Span,
    /// From the first 5 % on, where a process starts cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm: Option<Span>,
    /// The most memory that it had resident, in MB.
    pub(crate) peak_rss_mb: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<Latency>,
}

impl Measured {
    /// The stretch that comparisons are about: warm, where the process starts cold.
    pub(crate) fn settled(&self) -> &Span {
        self.warm.as_ref().unwrap_or(&self.whole)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.settled().per_second()
    }

    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.settled().per_cpu_second()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_about_the_warm_stretch() {
        let whole = Span { records: 100, seconds: 10.0, cpu_seconds: 5.0 };
        let warm = Span { records: 95, seconds: 5.0, cpu_seconds: 2.5 };
        let cold = Measured { whole, warm: None, peak_rss_mb: 1.0, latency_ms: None };
        assert!((cold.per_second() - 10.0).abs() < 1e-9 && (cold.per_cpu_second() - 20.0).abs() < 1e-9);
        let warmed = Measured { warm: Some(warm), ..cold };
        assert!((warmed.per_second() - 19.0).abs() < 1e-9 && (warmed.per_cpu_second() - 38.0).abs() < 1e-9);
    }

    #[test]
    fn a_percentile_is_the_latency_at_its_rank() {
        let latency = Latency::of((0..=1000).rev().map(f64::from).collect()).expect("some");
        assert_eq!(latency, Latency { p50: 500.0, p99: 990.0, p999: Some(999.0) });
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
