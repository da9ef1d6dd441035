//! Processes under measurement: time by the clock, CPU and memory by the operating system's account.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// What a job cost.
pub(crate) struct Measured {
    pub(crate) records: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_mb: f64,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.records as f64 / self.cpu_seconds
    }
}

/// A child process that is ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    started: Instant,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))?;
        Ok(Self { child, started: Instant::now() })
    }

    /// Waits until `done` says so, and reads the account at that moment; a child that ends before has failed.
    pub(crate) fn until(&mut self, records: u64, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<Measured> {
        while !done()? {
            if let Some(status) = self.child.try_wait()? {
                bail!("the process under measurement ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.measure(records)
    }

    fn measure(&self, records: u64) -> anyhow::Result<Measured> {
        let folder = Path::new("/proc").join(self.child.id().to_string());
        Ok(Measured {
            records,
            seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds(&std::fs::read_to_string(folder.join("stat"))?)?,
            resident_mb: peak_resident_mb(&std::fs::read_to_string(folder.join("status"))?),
        })
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
fn cpu_seconds(stat: &str) -> anyhow::Result<f64> {
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
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
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
}
