//! What the system counts of a process that runs (proc(5)).

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// How many files and sockets it has open.
pub fn open_files(id: u32) -> u64 {
    fs::read_dir(format!("/proc/{id}/fd")).expect("the process runs").count() as u64
}

/// Lets it have no more files open than that from now on, until it is allowed more; what is open stays so.
pub fn limit_open_files(id: u32, most: u64) {
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).expect("the process runs");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the limit is known");
    let maximum = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    let id = Pid::from_raw(id.try_into().expect("an id"));
    prlimit(id, Resource::Nofile, Rlimit { current: Some(most), maximum }).expect("the limit is set");
}

/// The time on processors that it has used, over all of its threads.
pub fn processor_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("the process runs");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    // Fields 14 and 15: user and system time, in ticks.
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The most memory that it has had resident (`VmHWM`), in bytes.
pub fn peak_memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the memory is known");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kibibytes << 10
}
