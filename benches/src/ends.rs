//! The end of a run by a signal: what it has started ends with it, and is no load on the machine of the next run.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// From here on SIGTERM and SIGINT end the children of this process first, then itself, with the status that a shell gives for them.
pub(crate) fn with_children() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let status = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => 128 + 15,
                _ = interrupt.recv() => 128 + 2,
            }
        });
        children().into_iter().for_each(end);
        std::process::exit(status);
    })?;
    Ok(())
}

/// The processes that this one has started and that live, by all of its threads (proc(5), `children`).
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_each = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    of_each.flat_map(|ids| ids.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect::<Vec<_>>()).collect()
}

fn end(child: Pid) {
    // One that has ended meanwhile needs no signal.
    kill_process(child, Signal::KILL).ok();
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_found_and_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("starts");
        let id = Pid::from_child(&child);
        assert!(children().contains(&id));
        end(id);
        assert!(!child.wait().expect("ends").success());
        assert!(!children().contains(&id));
    }
}
