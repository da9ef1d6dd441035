//! How many files the process may open: sockets are files, and a process that has none left can accept nobody and read nothing.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// More than any service needs; beyond it programs that are started from here may have trouble.
const ENOUGH: u64 = 1 << 20;
/// With fewer a busy service runs out: Kafka's connections, the gateway's, files that are read.
const FEW: u64 = 1024;

/// Raises the limit of open files to what the system allows this process; where that is little, says so.
pub fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = Some(most);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            info!(%error, "the limit of open files stays as it is");
        }
    }
    let files = allowed_files() as u64;
    if files < FEW {
        warn!(files, "the process may open few files: raise the limit (ulimit -n, LimitNOFILE=) to {FEW} at least");
    }
}

/// How many files the process may have open at once.
pub fn allowed_files() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize)
}
