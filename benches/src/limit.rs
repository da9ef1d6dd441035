//! Commands under a limit: of memory, or of processors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// A group of processes (cgroups(7)) that may take so much memory, and is gone with this value.
pub(crate) struct MemoryLimit {
    group: PathBuf,
}

/// Where a kernel keeps such groups, and what the limit is called: version 2, and version 1.
const HIERARCHIES: [(&str, &str); 2] = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

impl MemoryLimit {
    pub(crate) fn of(bytes: u64) -> anyhow::Result<Self> {
        let name = format!("millrace-bench-{}", std::process::id());
        let made = HIERARCHIES.iter().find_map(|(hierarchy, file)| group(Path::new(hierarchy), file, &name, bytes));
        made.map(|group| Self { group }).context("this user can't limit memory here: no writable group of cgroups(7)")
    }

    /// The command, run in the group.
    pub(crate) fn around(&self, command: &Command) -> Command {
        let script = format!("echo $$ > {} && exec \"$0\" \"$@\"", self.group.join("cgroup.procs").display());
        wrapped("sh", &["-c", &script], command)
    }
}

fn group(hierarchy: &Path, file: &str, name: &str, bytes: u64) -> Option<PathBuf> {
    let group = hierarchy.join(name);
    fs::create_dir(&group).ok()?;
    // Where the kernel keeps no groups the folder is one like any other.
    if fs::metadata(group.join(file)).is_ok() && fs::write(group.join(file), bytes.to_string()).is_ok() {
        return Some(group);
    }
    fs::remove_dir(&group).ok()?;
    None
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("the group {} is left: {error}", self.group.display());
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
