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

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use millrace_tests::Servers;
use tokio::sync::Semaphore;

use crate::plan::{Chain, Orders};

/// So many hops die and come again beside each other: most of the time each of them waits for the session of a dead member to end.
const AT_ONCE: usize = 14;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_dies_at_any_crash_point_every_record_is_there_once() {
    let orders = Orders::of_this_run();
    println!("{orders}");
    let (servers, turns) = (Servers::of_this_run(), Arc::new(Semaphore::new(AT_ONCE)));
    let chains = plan::chains(&orders);
    assert!(!chains.is_empty(), "MILLRACE_CRASH_POINTS names no hop or point that there is");
    let runs = chains.into_iter().map(|chain| tokio::spawn(one(chain, servers.clone(), Arc::clone(&turns))));
    let failed: Vec<String> = join_all(runs).await.into_iter().filter_map(|run| run.expect("panics are caught").err()).collect();
    assert!(failed.is_empty(), "{} failed; each alone:\n{}\n{orders}", failed.len(), failed.join("\n"));
}

/// Runs a chain; the error says how to run it alone.
async fn one(chain: Chain, servers: Servers, turns: Arc<Semaphore>) -> Result<(), String> {
    let _turn = turns.acquire().await.expect("turns are not closed");
    let began = std::time::Instant::now();
    let ended = AssertUnwindSafe(chain.run(&servers)).catch_unwind().await;
    println!("{chain}: {:?}", Duration::from_millis(began.elapsed().as_millis() as u64));
    ended.map_err(|panic| {
        let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        format!("MILLRACE_CRASH_POINTS='{chain}': {}", said.unwrap_or_default())
    })
}

#[test]
fn every_declared_crash_point_is_hit_at_some_hop() {
    let hit = plan::points_of_all_hops();
    let missing: Vec<&str> = plan::declared().into_iter().filter(|point| !hit.contains(point)).collect();
    assert!(missing.is_empty(), "no hop of the suite dies at {missing:?}");
}
