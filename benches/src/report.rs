//! What is printed.

use serde_json::json;

use crate::process::Measured;

/// The jobs that were run.
#[derive(Default)]
pub(crate) struct Report(Vec<Line>);

struct Line {
    job: &'static str,
    who: &'static str,
    per_second: f64,
    per_cpu_second: f64,
    resident_mb: f64,
    ratio: Option<f64>,
}

impl Report {
    /// A figure, and its ratio to a reference where it has one.
    pub(crate) fn add(&mut self, job: &'static str, who: &'static str, measured: &Measured, ratio: Option<f64>) {
        let line = Line {
            job,
            who,
            per_second: measured.per_second(),
            per_cpu_second: measured.per_cpu_second(),
            resident_mb: measured.resident_mb,
            ratio,
        };
        println!(
            "{}",
            json!({
                "job": job, "who": who, "records": measured.records, "records_per_s": line.per_second.round(),
                "records_per_cpu_s": line.per_cpu_second.round(), "peak_rss_mb": line.resident_mb.round(), "ratio": ratio,
            })
        );
        self.0.push(line);
    }

    /// All of them, for people.
    pub(crate) fn table(&self) {
        println!("\n{:<4} {:<28} {:>12} {:>14} {:>8} {:>7}", "job", "who", "records/s", "per CPU-second", "RSS MB", "ratio");
        for line in &self.0 {
            let ratio = line.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
            println!(
                "{:<4} {:<28} {:>12.0} {:>14.0} {:>8.0} {ratio:>7}",
                line.job, line.who, line.per_second, line.per_cpu_second, line.resident_mb
            );
        }
    }
}
