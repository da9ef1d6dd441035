//! Every crash point of every hop, hit one after the other: the process dies there, comes again and goes on, and in the end every record
//! is there once.
//!
//! ```text
//!  scripts/test.sh -p millrace-tests --test crash_points                                   all of them
//!  MILLRACE_CRASH_POINTS=load/postgres scripts/test.sh …                                   one hop
//!  MILLRACE_CRASH_POINTS=load/postgres:loader.commit.after@2 scripts/test.sh …             one point of it, at its second hit
//!  make crash-points                                                                       the long form: each point alone, at several hits
//! ```
//!
//! A new sink is an entry of [`sinks::SINKS`], a new source one of [`sources::SOURCES`].

mod chain;
mod hop;
mod lake;
mod load;
mod plan;
mod pushed;
mod sinks;
mod sources;
mod surgery;
mod through;
mod topic;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;
use std::vec::IntoIter;

use millrace_tests::Servers;

use crate::plan::{Chain, Orders};

/// So many hops die and come again beside each other: most of the time each of them waits for the session of a dead member to end.
const AT_ONCE: usize = 14;

#[test]
fn whatever_dies_at_any_crash_point_every_record_is_there_once() {
    let orders = Orders::of_this_run();
    println!("{orders}");
    let (servers, chains) = (Servers::of_this_run(), plan::chains(&orders));
    assert!(!chains.is_empty(), "MILLRACE_CRASH_POINTS names no hop that there is");
    let chains = Mutex::new(chains.into_iter());
    let failed: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| run(&chains, &servers))).collect();
        runs.into_iter().flat_map(|run| run.join().expect("panics are caught")).collect()
    });
    assert!(failed.is_empty(), "{} failed; each alone:\n{}\n{orders}", failed.len(), failed.join("\n"));
}

/// Runs chains one after the other, as long as there are any; returns how to run those alone that have failed.
fn run(chains: &Mutex<IntoIter<Chain>>, servers: &Servers) -> Vec<String> {
    let mut failed = Vec::new();
    loop {
        let next = chains.lock().expect("nobody panics with it").next();
        let Some(chain) = next else { return failed };
        let began = Instant::now();
        failed.extend(alone(&chain, servers).err());
        println!("{:>4} s  {chain}", began.elapsed().as_secs());
    }
}

fn alone(chain: &Chain, servers: &Servers) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(chain.run(servers))));
    ended.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        format!("MILLRACE_CRASH_POINTS='{chain}': {}", said.unwrap_or_default())
    })
}

#[test]
fn every_declared_crash_point_is_hit_at_some_hop() {
    let hit = plan::points_of_all_hops();
    let missing: Vec<&str> = plan::declared().into_iter().filter(|point| !hit.contains(point)).collect();
    assert!(missing.is_empty(), "no hop of the suite dies at {missing:?}");
}
