//! Two commits beside one another.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use super::figure::Figure;
use super::finding::{Finding, short};
use super::median::median;
use super::run_file::RunFile;

/// What both commits found of Millrace in the same words: ratios to references of their own runs, so that noise and machines cancel.
/// Of a commit that was run several times the medians count.
pub(crate) fn compare(results: &Path, before: &str, after: &str) -> anyhow::Result<String> {
    let (before, after) = (Side::read(results, before)?, Side::read(results, after)?);
    let mut out = format!("{:<8} {:<52} {:>10} {:>10} {:>8}\n", "job", "what", before.name, after.name, "change");
    for (job, what) in before.findings() {
        let (Some(old), Some(new)) = (before.median(job, what), after.median(job, what)) else { continue };
        let change = (new / old - 1.0) * 100.0;
        writeln!(out, "{job:<8} {what:<52} {:>10} {:>10} {change:>+7.1}%", short(old), short(new)).expect("a String takes everything");
    }
    Ok(out)
}

/// The figures of a commit.
struct Side {
    name: String,
    figures: Vec<Figure>,
}

impl Side {
    /// `which` is a file, or the beginning of a commit of which there are files in `results`.
    fn read(results: &Path, which: &str) -> anyhow::Result<Self> {
        let file = Path::new(which);
        let runs = if file.is_file() { vec![RunFile::read(file)?] } else { runs_of(results, which)? };
        let name = runs[0].commit.commit.clone();
        Ok(Self { name, figures: runs.into_iter().flat_map(|run| run.figures).collect() })
    }

    fn findings(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for (figure, finding) in self.each() {
            if !all.contains(&(&figure.job, &finding.what)) {
                all.push((&figure.job, &finding.what));
            }
        }
        all
    }

    fn median(&self, job: &str, what: &str) -> Option<f64> {
        let same = self.each().filter(|(figure, finding)| figure.job == job && finding.what == what);
        median(same.map(|(_, finding)| finding.value).collect())
    }

    fn each(&self) -> impl Iterator<Item = (&Figure, &Finding)> {
        self.figures.iter().flat_map(|figure| figure.findings.iter().map(move |finding| (figure, finding)))
    }
}

fn runs_of(results: &Path, commit: &str) -> anyhow::Result<Vec<RunFile>> {
    let entries = fs::read_dir(results).with_context(|| format!("can't read {}", results.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.extension().is_some_and(|end| end == "json"));
    let runs: Vec<RunFile> = files.map(|file| RunFile::read(&file)).collect::<anyhow::Result<_>>()?;
    let of_commit: Vec<_> = runs.into_iter().filter(|run| same_commit(&run.commit.commit, commit)).collect();
    ensure!(!of_commit.is_empty(), "there are no results of commit {commit} in {}; `make bench` makes some", results.display());
    Ok(of_commit)
}

/// Either may be the longer way of writing it.
fn same_commit(one: &str, other: &str) -> bool {
    !other.is_empty() && (one.starts_with(other) || other.starts_with(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::{Measured, Span};
    use crate::report::machine::Commit;

    fn keep(folder: &Path, commit: &str, started: i64, ratio: f64) {
        let whole = Span { records: 1, seconds: 1.0, cpu_seconds: 1.0 };
        let measured = Measured { whole, warm: None, peak_rss_mb: 0.0, latency_ms: None };
        let figure = Figure::new("T", "millrace", measured).found(Finding::ratio("of pass-through", ratio));
        let mut run = RunFile::start(1);
        run.started = jiff::Timestamp::from_second(started).expect("a time");
        run.commit = Commit { commit: commit.to_owned(), dirty: false };
        run.figures.push(figure);
        run.keep(folder).expect("keeps");
    }

    #[test]
    fn commits_are_compared_by_the_medians_of_their_ratios() {
        let folder = tempfile::tempdir().expect("a folder");
        keep(folder.path(), "aaaaaaa111", 1, 0.5);
        keep(folder.path(), "bbbbbbb222", 2, 0.5);
        keep(folder.path(), "bbbbbbb222", 3, 0.6);
        keep(folder.path(), "bbbbbbb222", 4, 0.9);
        let table = compare(folder.path(), "aaaaaaa", "bbbbbbb2223333").expect("compares");
        let row: Vec<&str> = table.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row, ["T", "of", "pass-through", "0.50", "0.60", "+20.0%"]);
        assert!(compare(folder.path(), "aaaaaaa", "ccc").is_err());
    }
}
