//! Processes under measurement: time by the clock, CPU and memory by the operating system's account.

use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::measured::{Measured, Span};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The share of the records from which on a process counts as warm: one in so many.
const WARM: u64 = 20;

/// A child process that is ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    started: Instant,
}

/// What a process had used up at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    at: Instant,
    cpu_seconds: f64,
}

impl Sample {
    /// Before anything was used.
    pub(crate) fn none_at(at: Instant) -> Self {
        Self { at, cpu_seconds: 0.0 }
    }

    /// What was used from here to `later`, for `records`.
    pub(crate) fn until(&self, later: &Self, records: u64) -> Span {
        Span { records, seconds: (later.at - self.at).as_secs_f64(), cpu_seconds: later.cpu_seconds - self.cpu_seconds }
    }
}

/// What processes have used up by now, all of them; one that has ended has failed.
pub(crate) fn used_up(processes: &mut [Process]) -> anyhow::Result<Sample> {
    let mut cpu_seconds = 0.0;
    for process in processes {
        process.lives()?;
        cpu_seconds += process.sample()?.cpu_seconds;
    }
    Ok(Sample { at: Instant::now(), cpu_seconds })
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))?;
        Ok(Self { child, started: Instant::now() })
    }

    /// The operating system's number of it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it reads from and writes to, where its command pipes both.
    pub(crate) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Follows it from its start until it has done `records`, as `done` says; what it used is split where it is warm.
    pub(crate) fn follow(&mut self, records: u64, mut done: impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<Measured> {
        let start = Sample::none_at(self.started);
        let (at_warm, warm) = self.reach(records.div_ceil(WARM), &mut done)?;
        let (at_end, end) = self.reach(records, &mut done)?;
        ensure!(at_end >= at_warm, "progress went backwards");
        let warm = (at_end > at_warm).then(|| warm.until(&end, at_end - at_warm));
        self.measured(start.until(&end, at_end), warm)
    }

    /// Waits until `done` is `goal` at least: how far it is then, and what was used up.
    pub(crate) fn reach(&mut self, goal: u64, done: &mut impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<(u64, Sample)> {
        loop {
            let now = done()?;
            if now >= goal {
                return Ok((now, self.sample()?));
            }
            self.lives()?;
            std::thread::sleep(LOOK);
        }
    }

    /// A child that ended before its work was done has failed.
    pub(crate) fn lives(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the process under measurement ended: {status}"),
        }
    }

    /// What it has used up by now.
    pub(crate) fn sample(&self) -> anyhow::Result<Sample> {
        let stat = std::fs::read_to_string(self.folder().join("stat"))?;
        Ok(Sample { at: Instant::now(), cpu_seconds: cpu_seconds(&stat)? })
    }

    /// The stretches, with the memory that it took until now.
    pub(crate) fn measured(&self, whole: Span, warm: Option<Span>) -> anyhow::Result<Measured> {
        let peak_rss_mb = peak_resident_mb(&std::fs::read_to_string(self.folder().join("status"))?);
        Ok(Measured { whole, warm, peak_rss_mb, latency_ms: None })
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A child that has ended already needs neither.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// User and system time of a line of `/proc/<pid>/stat` (proc(5), fields 14 and 15).
pub(crate) fn cpu_seconds(stat: &str) -> anyhow::Result<f64> {
    seconds_from(stat, 14)
}

/// User and system time of the children that have ended (fields 16 and 17).
pub(crate) fn children_cpu_seconds(stat: &str) -> anyhow::Result<f64> {
    seconds_from(stat, 16)
}

/// Two neighbouring times, in clock ticks, from field number `field` on.
fn seconds_from(stat: &str, field: usize) -> anyhow::Result<f64> {
    let after_name = stat.rsplit_once(')').context("an account of another shape")?.1;
    let ticks: u64 = after_name.split_whitespace().skip(field - 3).take(2).map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn peak_resident_mb(status: &str) -> f64 {
    megabytes(status, "VmHWM:")
}

/// The memory that a process has resident at present.
pub(crate) fn resident_mb(process: u32) -> anyhow::Result<f64> {
    Ok(megabytes(&std::fs::read_to_string(format!("/proc/{process}/status"))?, "VmRSS:"))
}

/// A line of `/proc/<pid>/status`, which is in KiB.
fn megabytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_spaces() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 1 1 1";
        assert!((cpu_seconds(stat).expect("reads") - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_done_before_it_was_warm_counts_for_the_whole_only() {
        let mut process = Process::start(Command::new("sleep").arg("60")).expect("starts");
        let mut progress = [0, 3, 10, 60, 100].into_iter();
        let measured = process.follow(100, || Ok(progress.next().expect("asked no further"))).expect("follows");
        assert_eq!(measured.whole.records, 100);
        assert_eq!(measured.warm.expect("warm").records, 90);
        assert!(measured.warm.expect("warm").seconds < measured.whole.seconds);
    }

    #[test]
    fn a_process_that_ends_early_is_no_measurement() {
        let mut process = Process::start(&mut Command::new("true")).expect("starts");
        assert!(process.follow(1, || Ok(0)).is_err());
    }
}
