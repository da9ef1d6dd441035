//! Figures as tables: plain, and in Markdown.

use std::fmt::Write as _;

use super::figure::Figure;
use super::finding::Finding;
use super::run_file::RunFile;

/// For a terminal. Rates are warm where a process starts cold.
pub(super) fn plain(figures: &[Figure]) -> String {
    let mut out = format!(
        "{:<8} {:<28} {:>14} {:>12} {:>8} {:>8} {:>8}\n",
        "job", "who", "per CPU-second", "per second", "p50 ms", "p99 ms", "RSS MB"
    );
    for figure in figures {
        let [cpu, second, p50, p99, memory] = cells(figure);
        writeln!(out, "{:<8} {:<28} {cpu:>14} {second:>12} {p50:>8} {p99:>8} {memory:>8}", figure.job, figure.who).expect(STRING);
        for finding in &figure.findings {
            writeln!(out, "{:<8}   {}", "", finding.text()).expect(STRING);
        }
    }
    out
}

/// The table of docs/benchmarks.md, with what it was measured on.
pub(crate) fn markdown(run: &RunFile) -> String {
    let mut out = origin(run);
    out.push_str(
        "| job | program | per CPU-second | per second | p50 / p99 ms | RSS MB | beside its reference |\n|---|---|--:|--:|--:|--:|---|\n",
    );
    for figure in run.medians() {
        let [cpu, second, p50, p99, memory] = cells(&figure);
        let latency = if p50.is_empty() { p50 } else { format!("{p50} / {p99}") };
        let findings: Vec<_> = figure.findings.iter().map(Finding::text).collect();
        let findings = findings.join("; ");
        writeln!(out, "| {} | {} | {cpu} | {second} | {latency} | {memory} | {findings} |", figure.job, figure.who).expect(STRING);
    }
    out
}

fn origin(run: &RunFile) -> String {
    let machine = &run.machine;
    let changed = if run.commit.dirty { " with changes" } else { "" };
    let rounds = run.figures.iter().map(|figure| figure.round).max().unwrap_or(1);
    let rounds = if rounds > 1 { format!(", medians of {rounds} rounds") } else { String::new() };
    format!(
        "Measured {} at commit {}{changed}: {} records a job{rounds}; {} cores of {}, {} MB, Linux {}, load {} at the start; \
         Kafka {}, PostgreSQL {}, librdkafka {}; all on one machine.\n\n",
        run.started.strftime("%Y-%m-%d %H:%M UTC"),
        run.commit.commit,
        run.records,
        machine.cores,
        machine.cpu,
        machine.memory_mb,
        machine.kernel,
        machine.load_average,
        machine.kafka,
        machine.postgres,
        machine.librdkafka,
    )
}

/// Records per CPU-second, per second, p50, p99, memory.
fn cells(figure: &Figure) -> [String; 5] {
    let measured = &figure.measured;
    let latency = |of: fn(&crate::measured::Latency) -> f64| {
        measured.latency_ms.as_ref().map_or(String::new(), |latency| format!("{:.1}", of(latency)))
    };
    [
        rate(measured.per_cpu_second()),
        rate(measured.per_second()),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
        if measured.peak_rss_mb > 0.0 { format!("{:.0}", measured.peak_rss_mb) } else { String::new() },
    ]
}

/// Thousands are `k`; what has no rate is empty.
fn rate(value: f64) -> String {
    match value {
        value if !value.is_finite() || value <= 0.0 => String::new(),
        value if value >= 10_000.0 => format!("{:.0}k", value / 1_000.0),
        value => format!("{value:.0}"),
    }
}

const STRING: &str = "a String takes everything";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{Latency, Measured, Span};

    #[test]
    fn a_figure_is_a_row_and_its_findings_stand_below() {
        let whole = Span { records: 1_000_000, seconds: 2.0, cpu_seconds: 4.0 };
        let latency = Latency { p50: 1.25, p99: 9.0, p999: None };
        let measured = Measured { whole, warm: None, peak_rss_mb: 99.6, latency_ms: Some(latency) };
        let figure = Figure::new("I2", "millrace", measured).found(Finding::ratio("of the parser", 0.5));
        let rows: Vec<String> = plain(&[figure]).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows[1..], ["I2 millrace 250k 500k 1.2 9.0 100", "0.50 of the parser"]);
    }

    #[test]
    fn what_was_only_timed_has_no_rate() {
        assert_eq!([rate(0.0), rate(f64::NAN), rate(9_999.4), rate(12_345.0)], ["", "", "9999", "12k"]);
    }
}
