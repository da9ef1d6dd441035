//! Commands under a limit: of memory, or of processors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// What a group of processes may take.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// Bytes of memory, those of its files in the page cache too.
    Memory(u64),
    /// So many hundredths of a processor's time.
    Processor(u32),
}

/// In this many microseconds a group may use up its share of a processor: a short time, so that it is not felt as pauses.
const PERIOD: u32 = 10_000;

impl Limit {
    /// Where a kernel keeps groups with such a limit, and what is written into which of a group's files: version 2, and version 1.
    fn hierarchies(self) -> [(&'static str, Vec<(&'static str, String)>); 2] {
        match self {
            Self::Memory(bytes) => [
                ("/sys/fs/cgroup", vec![("memory.max", bytes.to_string())]),
                ("/sys/fs/cgroup/memory", vec![("memory.limit_in_bytes", bytes.to_string())]),
            ],
            Self::Processor(percent) => {
                let quota = PERIOD / 100 * percent;
                [
                    ("/sys/fs/cgroup", vec![("cpu.max", format!("{quota} {PERIOD}"))]),
                    ("/sys/fs/cgroup/cpu", vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())]),
                ]
            }
        }
    }
}

/// A group of processes (cgroups(7)) under a limit; it is gone with this value.
pub(crate) struct ControlGroup {
    folder: PathBuf,
}

impl ControlGroup {
    /// A group of this name, which is unique within this process.
    pub(crate) fn new(name: &str, limit: Limit) -> anyhow::Result<Self> {
        let name = format!("millrace-bench-{}-{name}", std::process::id());
        let made = limit.hierarchies().into_iter().find_map(|(hierarchy, settings)| group(Path::new(hierarchy).join(&name), &settings));
        made.map(|folder| Self { folder }).context("this user can't limit processes here: no writable group of cgroups(7)")
    }

    /// The command, run in the group.
    pub(crate) fn around(&self, command: &Command) -> Command {
        let script = format!("echo $$ > {} && exec \"$0\" \"$@\"", self.folder.join("cgroup.procs").display());
        wrapped("sh", &["-c", &script], command)
    }
}

fn group(folder: PathBuf, settings: &[(&str, String)]) -> Option<PathBuf> {
    fs::create_dir(&folder).ok()?;
    // Where the kernel keeps no groups the folder is one like any other.
    let is_set = |(file, value): &(&str, String)| fs::metadata(folder.join(file)).is_ok() && fs::write(folder.join(file), value).is_ok();
    if settings.iter().all(is_set) {
        return Some(folder);
    }
    fs::remove_dir(&folder).ok()?;
    None
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("the group {} is left: {error}", self.folder.display());
        }
    }
}

/// The command on these processors, as taskset(1) lists them.
pub(crate) fn on_processors(list: &str, command: &Command) -> Command {
    wrapped("taskset", &["-c", list], command)
}

/// `program` with `before`, and then the command as its arguments.
fn wrapped(program: &str, before: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(program);
    wrapped.args(before).arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}
