//! A process that the system lets have no more than some memory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Service;

/// Where the groups are that have a limit of memory: of version 2 and of version 1 of the system's control groups.
const HIERARCHIES: [(&str, &str); 2] = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

/// A control group with one process in it.
#[derive(Debug)]
pub struct Squeeze(PathBuf);

impl Squeeze {
    /// From now on the service gets so many bytes more, and is killed when it wants more still. None where this process may make no control
    /// group, which it says.
    pub fn of(service: &Service, more: u64) -> Option<Self> {
        let made = HIERARCHIES.iter().find_map(|(hierarchy, limit)| group(Path::new(hierarchy), limit, service.id(), more));
        if made.is_none() {
            eprintln!("NO CONTROL GROUP CAN BE MADE HERE: the system kills no process for its memory");
        }
        made.map(Self)
    }
}

impl Drop for Squeeze {
    fn drop(&mut self) {
        // Its process, if it lives, belongs to the group above again; a group that still has one stays.
        let above = self.0.with_file_name("cgroup.procs");
        let processes = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        processes.lines().for_each(|id| fs::write(&above, id).unwrap_or_default());
        fs::remove_dir(&self.0).ok();
    }
}

/// What a process had before it came into a group does not count there.
fn group(hierarchy: &Path, limit: &str, id: u32, more: u64) -> Option<PathBuf> {
    let group = hierarchy.join(format!("millrace-test-{id}"));
    fs::create_dir(&group).ok()?;
    // Where the kernel keeps no groups the folder is one like any other, without the files.
    let write = |file: &str, value: String| fs::metadata(group.join(file)).and_then(|_| fs::write(group.join(file), value));
    if write(limit, more.to_string()).and_then(|()| write("cgroup.procs", id.to_string())).is_err() {
        fs::remove_dir(&group).ok();
        return None;
    }
    Some(group)
}
