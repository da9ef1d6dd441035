//! Several rounds as one: the median of every number.

use super::figure::Figure;
use super::finding::Finding;
use crate::measured::{Measured, Span};

/// A figure for every job and program, in the order of their first ones.
pub(super) fn medians(figures: &[Figure]) -> Vec<Figure> {
    let mut groups: Vec<Vec<&Figure>> = Vec::new();
    for figure in figures {
        match groups.iter_mut().find(|group| group[0].job == figure.job && group[0].who == figure.who) {
            Some(group) => group.push(figure),
            None => groups.push(vec![figure]),
        }
    }
    groups.iter().map(|group| one(group)).collect()
}

/// The round in the middle by records per CPU-second stands for the rates, each finding has a middle of its own.
fn one(group: &[&Figure]) -> Figure {
    let mut sorted = group.to_vec();
    sorted.sort_by(|a, b| a.measured.per_cpu_second().total_cmp(&b.measured.per_cpu_second()));
    let middle = sorted[(sorted.len() - 1) / 2];
    let finding = |finding: &Finding| {
        let same = |figure: &&&Figure| figure.findings.iter().find(|other| other.what == finding.what).map(|other| other.value);
        let values: Vec<f64> = group.iter().filter_map(|figure| same(&figure)).collect();
        Finding { value: median(values).unwrap_or(finding.value), ..finding.clone() }
    };
    Figure { measured: measured(group, &middle.measured), findings: middle.findings.iter().map(finding).collect(), ..middle.clone() }
}

fn measured(group: &[&Figure], middle: &Measured) -> Measured {
    let span = |of: &dyn Fn(&Measured) -> Option<Span>, whole: Span| {
        let value = |get: fn(&Span) -> f64| median(group.iter().filter_map(|figure| of(&figure.measured)).map(|span| get(&span)).collect());
        let (per_second, per_cpu_second) = (value(Span::per_second), value(Span::per_cpu_second));
        let (Some(per_second), Some(per_cpu_second)) = (per_second, per_cpu_second) else { return whole };
        Span { seconds: whole.records as f64 / per_second, cpu_seconds: whole.records as f64 / per_cpu_second, ..whole }
    };
    Measured {
        whole: span(&|measured| Some(measured.whole), middle.whole),
        warm: middle.warm.map(|warm| span(&|measured| measured.warm, warm)),
        ..*middle
    }
}

/// The middle value; of an even number the mean of both; `None` of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(job: &str, seconds: f64, ratio: f64) -> Figure {
        let whole = Span { records: 100, seconds, cpu_seconds: seconds };
        let measured = Measured { whole, warm: None, peak_rss_mb: 1.0, latency_ms: None };
        Figure::new(job, "millrace", measured).found(Finding::ratio("of it", ratio))
    }

    #[test]
    fn the_middle_round_stands_for_all() {
        let all = medians(&[figure("T", 1.0, 0.9), figure("L1", 5.0, 0.1), figure("T", 4.0, 0.5), figure("T", 2.0, 0.7)]);
        assert_eq!(all.len(), 2);
        assert!((all[0].measured.per_second() - 50.0).abs() < 1e-9);
        assert!((all[0].findings[0].value - 0.7).abs() < 1e-9);
        assert!((all[1].measured.per_second() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn of_two_values_the_mean_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
