//! How much memory the process may have, by its control group (cgroups(7)): a container's limit, or systemd's `MemoryMax=`.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::budget::Budget;
use crate::project::ByteSize;

/// What a process takes beside twice its budget.
const BESIDE: u64 = 64 << 20;

/// The budget for what is in flight: what the project says, or as much of the usual one as the process's limit has room for. Tells where the limit is too low.
pub fn memory(wanted: Option<ByteSize>) -> ByteSize {
    let limit = limit();
    let (memory, room) = fitting(wanted, limit);
    match (limit, room) {
        (Some(limit), Some(room)) if memory.bytes() > room.bytes() => warn!(
            "the process is killed when it takes more than {}, and with `memory: {memory}` it may: set `memory:` under `service:` to {room}, or give it {} more",
            ByteSize::new(limit),
            ByteSize::new(2 * (memory.bytes() - room.bytes())),
        ),
        (Some(limit), Some(_)) if memory != wanted.unwrap_or(Budget::USUAL) => {
            info!("the process may take {}, so {memory} of that are for what is in flight", ByteSize::new(limit));
        }
        _ => {}
    }
    memory
}

/// The budget, and what there is room for.
fn fitting(wanted: Option<ByteSize>, limit: Option<u64>) -> (ByteSize, Option<ByteSize>) {
    let room = limit.map(|limit| ByteSize::new(whole(limit.saturating_sub(BESIDE) / 2)));
    let usual = room.map_or(Budget::USUAL, |room| room.min(Budget::USUAL).max(Budget::LEAST));
    (wanted.unwrap_or(usual), room)
}

/// Down to a whole MiB, to be read and written.
const fn whole(bytes: u64) -> u64 {
    bytes & !0xf_ffff
}

/// The lowest limit of this process's group and those above it; none where there is none.
fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    // A group without a limit says `max`, in version 1 more than any machine has.
    files(&groups).iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// Where limits of the groups of `/proc/self/cgroup` stand. A container may see its own group as the uppermost, whatever the file calls it.
fn files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut words = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (words.next(), words.next()) else { continue };
        let (hierarchy, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let above = Path::new(group.trim_start_matches('/')).ancestors();
        files.extend(above.map(|group| Path::new(hierarchy).join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn budget(wanted: Option<u64>, limit: Option<u64>) -> u64 {
        fitting(wanted.map(|wanted| ByteSize::new(wanted * MIB)), limit.map(|limit| limit * MIB)).0.bytes() / MIB
    }

    #[test]
    fn the_usual_budget_leaves_the_process_half_of_its_limit() {
        assert_eq!(budget(None, None), 256);
        assert_eq!(budget(None, Some(4096)), 256);
        assert_eq!(budget(None, Some(256)), 96);
        assert_eq!(budget(None, Some(32)), 8, "the least that a pipeline can work with");
    }

    #[test]
    fn what_the_project_says_goes_before_the_limit() {
        assert_eq!(budget(Some(512), Some(256)), 512);
        let (memory, room) = fitting(Some(ByteSize::new(512 * MIB)), Some(256 * MIB));
        assert!(room.is_some_and(|room| room < memory), "and does not fit");
    }

    #[test]
    fn limits_stand_with_the_group_and_those_above_it_in_both_versions() {
        let paths = |groups| files(groups).iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            paths("0::/system.slice/loader.service\n"),
            [
                "/sys/fs/cgroup/system.slice/loader.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        let first = "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n";
        assert_eq!(
            paths(first),
            [
                "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert!(files("").is_empty());
    }
}
