//! The counts of every pipeline in this process, for a summary at the terminal.

use std::collections::BTreeMap;

use super::metrics;

/// What a pipeline has done since the process started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub records_in: u64,
    /// Records written and committed.
    pub records_out: u64,
    /// Records dropped on purpose.
    pub filtered: u64,
    /// Records that became dead letters.
    pub rejected: u64,
}

/// The counts by `<service>/<pipeline>`.
pub fn counts() -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for family in metrics::gather() {
        let Some((service, what)) = family.name().strip_prefix("millrace_").and_then(|name| name.split_once("_records_")) else { continue };
        for metric in family.get_metric() {
            let Some(pipeline) = metric.get_label().iter().find(|label| label.name() == "pipeline") else { continue };
            let counts = counts.entry(format!("{service}/{}", pipeline.value())).or_default();
            let value = metric.get_counter().get_value() as u64;
            match what {
                "in_total" => counts.records_in += value,
                "out_total" => counts.records_out += value,
                "filtered_total" => counts.filtered += value,
                "rejected_total" => counts.rejected += value,
                _ => {}
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{PipelineMetrics, Tally};
    use millrace_model::Code;

    #[test]
    fn a_pipelines_rejections_of_all_codes_are_one_count() {
        let metrics = PipelineMetrics::new("transform", "counted");
        let mut tally = Tally::default();
        tally.written(3, 30);
        metrics.rejected(Code::AvroInvalid, 1);
        metrics.rejected(Code::RuleBroken, 1);
        assert_eq!(counts()["transform/counted"], Counts { rejected: 2, ..Counts::default() });
        tally.commit(&metrics);
        tally.commit(&metrics);
        assert_eq!(counts()["transform/counted"], Counts { records_out: 3, rejected: 2, ..Counts::default() });
    }
}
