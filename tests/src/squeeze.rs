//! A process that the system lets have no more than some memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

use crate::{Service, Surroundings};

/// Where the groups are that have a limit of memory: of version 2 and of version 1 of the system's control groups.
const HIERARCHIES: [(&str, &str); 2] = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];
/// The file of a group's processes.
const PROCESSES: &str = "cgroup.procs";
/// Set where no control group can be made, so that tests do without.
const DO_WITHOUT: &str = "MILLRACE_TEST_WITHOUT_CONTROL_GROUPS";

/// A control group for one process.
#[derive(Debug)]
pub struct Squeeze(PathBuf);

impl Squeeze {
    /// Room for a process that takes no more than `bytes`, and is killed when it wants more still. None where this process may make no control group, and was
    /// told to do without.
    pub fn to(bytes: u64) -> Option<Self> {
        let made = HIERARCHIES.iter().find_map(|(hierarchy, limit)| group(Path::new(hierarchy), limit, bytes));
        assert!(
            made.is_some() || env::var_os(DO_WITHOUT).is_some(),
            "no control group with a limit of memory can be made here: run as root where cgroups(7) are writable, or set {DO_WITHOUT}=1 to leave that out"
        );
        made.map(Self)
    }

    /// From now on the service gets so many bytes more: what it had before does not count.
    pub fn of(service: &Service, more: u64) -> Option<Self> {
        let squeeze = Self::to(more)?;
        fs::write(squeeze.processes(), service.id().to_string()).expect("a process of this one's user comes into its group");
        Some(squeeze)
    }

    /// The surroundings of a process that starts in it.
    pub fn surroundings(&self) -> Surroundings {
        Surroundings::default().after(format!("echo $$ > {}", self.processes().display()))
    }

    fn processes(&self) -> PathBuf {
        self.0.join(PROCESSES)
    }
}

impl Drop for Squeeze {
    fn drop(&mut self) {
        // Its process, if it lives, belongs to the group above again; a group that still has one stays.
        let above = self.0.with_file_name(PROCESSES);
        let processes = fs::read_to_string(self.processes()).unwrap_or_default();
        processes.lines().for_each(|id| fs::write(&above, id).unwrap_or_default());
        fs::remove_dir(&self.0).ok();
    }
}

fn group(hierarchy: &Path, limit: &str, bytes: u64) -> Option<PathBuf> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let group = hierarchy.join(format!("millrace-test-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&group).ok()?;
    // Where the kernel keeps no groups the folder is one like any other, without the files.
    let limited =
        [limit, PROCESSES].iter().all(|file| group.join(file).exists()) && fs::write(group.join(limit), bytes.to_string()).is_ok();
    if !limited {
        fs::remove_dir(&group).ok();
    }
    limited.then_some(group)
}
