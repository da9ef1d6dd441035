//! Which service stops where, in which order.

use std::collections::BTreeSet;
use std::fmt;

use millrace_tests::Servers;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::hop::Hop;
use crate::sinks::SINKS;
use crate::sources::SOURCES;
use crate::{chain, load, pushed, sources, surgery, through};

/// The names of points that a life comes to once: they have no second hit.
const ONCE: [&str; 8] = [".claim.", ".fence.", ".pull.positions.", ".window.", ".address.", ".taken.", ".reshape.", ".schema."];
/// So many deaths at most come one after the other in one project; a longer list is cut.
const LONGEST: usize = 6;
const VARIABLE: &str = "MILLRACE_CRASH_POINTS";

/// What happens at a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Crash,
    Stand,
}

/// A point at which a service stops, and at which of its hits.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub(crate) point: &'static str,
    pub(crate) hit: u64,
    pub(crate) action: Action,
}

impl Stop {
    fn word(&self) -> &'static str {
        if self.action == Action::Crash { "crash" } else { "stand" }
    }

    /// How a process is told of it.
    pub(crate) fn failpoints(&self) -> String {
        format!("{}={}@{}", self.point, self.word(), self.hit)
    }

    /// What the process says when it is there.
    pub(crate) fn told(&self) -> String {
        format!("crash point {}: {}", self.point, self.word())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stands = if self.action == Action::Stand { "!" } else { "" };
        write!(f, "{}@{}{stands}", self.point, self.hit)
    }
}

/// The crash points that the crates declare.
pub(crate) fn declared() -> Vec<&'static str> {
    let lists = [
        millrace_runtime::crash_point::NAMES,
        millrace_connectors::crash_points::NAMES,
        millrace_ingest::crash_points::NAMES,
        millrace_transform::crash_points::NAMES,
        millrace_loader::crash_points::NAMES,
        millrace_surgery::crash_points::NAMES,
    ];
    lists.concat()
}

/// The declared points whose names begin with one of the texts.
pub(crate) fn beginning(texts: &[&str]) -> Vec<&'static str> {
    declared().into_iter().filter(|point| texts.iter().any(|text| point.starts_with(text))).collect()
}

/// The hops, each with the points that it passes, and those at which its service is stopped while another takes over.
fn hops() -> Vec<(String, Vec<&'static str>, Vec<&'static str>)> {
    let mut hops = Vec::new();
    for sink in SINKS {
        let standing = ["loader.write.after", "loader.settle.after", "loader.commit.before", "loader.commit.after"];
        hops.push((format!("load/{}", sink.name), load::points(sink), standing.to_vec()));
        if sink.grows {
            hops.push((format!("load-growing/{}", sink.name), load::growth_points(sink), Vec::new()));
        }
    }
    for source in SOURCES {
        hops.push((format!("pull/{}", source.name), sources::points(), Vec::new()));
    }
    let standing = ["transform.produce.after", "kafka.offsets.before", "kafka.commit.before", "kafka.commit.after"];
    hops.push(("transform".into(), through::points(), standing.to_vec()));
    hops.push(("transform-changing".into(), through::change_points(), Vec::new()));
    hops.push(("transform-parking".into(), through::parking_points(), Vec::new()));
    hops.push(("load-parking/postgres".into(), load::parking_points(), Vec::new()));
    hops.push(("push".into(), pushed::points(false), Vec::new()));
    hops.push(("push-keyed".into(), pushed::points(true), Vec::new()));
    hops.push(("replay/transform".into(), surgery::points(), Vec::new()));
    hops.push(("replay/load".into(), surgery::points(), Vec::new()));
    hops
}

/// All points at which some hop stops.
pub(crate) fn points_of_all_hops() -> BTreeSet<&'static str> {
    hops().into_iter().flat_map(|(_, points, standing)| points.into_iter().chain(standing)).collect()
}

/// What is to be run.
pub(crate) struct Orders {
    seed: u64,
    /// A hop, or a hop and its stops; all without it.
    only: Option<String>,
    /// Each point alone, at its first hits.
    long: bool,
}

impl Orders {
    pub(crate) fn of_this_run() -> Self {
        let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
        let only = std::env::var(VARIABLE).ok().filter(|only| !only.is_empty());
        let long = only.as_deref() == Some("each");
        Self { seed, only: only.filter(|_| !long), long }
    }

    fn is_wanted(&self, hop: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only.split(':').next() == Some(hop))
    }

    /// The stops that are named; `None` leaves them to the plan.
    fn named(&self) -> Option<Vec<Stop>> {
        let (_, stops) = self.only.as_deref()?.split_once(':')?;
        let stop = |text: &str| {
            let (text, action) = text.strip_suffix('!').map_or((text, Action::Crash), |text| (text, Action::Stand));
            let (point, hit) = text.split_once('@').unwrap_or((text, "1"));
            let point = declared().into_iter().find(|declared| *declared == point).unwrap_or_else(|| panic!("no crash point {point}"));
            Stop { point, hit: hit.parse().expect("a hit is a number"), action }
        };
        Some(stops.split(',').map(stop).collect())
    }
}

impl fmt::Display for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MILLRACE_TEST_SEED={} stops at the same points in the same order", self.seed)
    }
}

/// One hop and its stops.
pub(crate) struct Chain {
    hop: String,
    stops: Vec<Stop>,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stops: Vec<String> = self.stops.iter().map(Stop::to_string).collect();
        write!(f, "{}:{}", self.hop, stops.join(","))
    }
}

impl Chain {
    pub(crate) async fn run(&self, servers: &Servers) {
        let mut hop: Box<dyn Hop> = match self.hop.split_once('/').unwrap_or((&self.hop, "")) {
            ("load", sink) => load::appending(servers, sink).await,
            ("load-growing", sink) => load::growing(servers, sink).await,
            ("load-parking", _) => load::parking(servers).await,
            ("pull", source) => sources::open(servers, source).await,
            ("transform", _) => through::plain(servers).await,
            ("transform-changing", _) => through::changing(servers).await,
            ("transform-parking", _) => through::parking(servers).await,
            ("push", _) => pushed::open(servers, false).await,
            ("push-keyed", _) => pushed::open(servers, true).await,
            ("replay", what) => return surgery::run(servers, what, &self.stops).await,
            (other, _) => panic!("no hop {other}"),
        };
        chain::run(&mut *hop, &self.stops).await;
    }
}

/// The chains of this run.
pub(crate) fn chains(orders: &Orders) -> Vec<Chain> {
    let mut random = SmallRng::seed_from_u64(orders.seed);
    let mut chains = Vec::new();
    for (hop, points, standing) in hops() {
        let mut crashes: Vec<Stop> = points.into_iter().flat_map(|point| crashes(point, orders.long, &mut random)).collect();
        crashes.shuffle(&mut random);
        let stands = standing.into_iter().map(|point| Stop { point, hit: 1, action: Action::Stand });
        // One zombie for each hop in the short form: each of them takes as long as a transaction's timeout.
        let chosen = random.random_range(0..100);
        let stands: Vec<Stop> = stands.collect();
        let stands: Vec<Stop> = if orders.long || stands.is_empty() { stands } else { vec![stands[chosen % stands.len()].clone()] };
        if !orders.is_wanted(&hop) {
            continue;
        }
        let of = |stops: &[Stop]| Chain { hop: hop.clone(), stops: stops.to_vec() };
        if let Some(stops) = orders.named() {
            chains.push(of(&stops));
            continue;
        }
        let longest = if orders.long { 1 } else { LONGEST };
        let parts = crashes.len().div_ceil(longest).max(1);
        chains.extend(crashes.chunks(crashes.len().div_ceil(parts).max(1)).map(of));
        chains.extend(stands.chunks(1).map(of));
    }
    chains
}

/// The crashes at a point: one at one of its first hits, or at each of them.
fn crashes(point: &'static str, long: bool, random: &mut SmallRng) -> Vec<Stop> {
    let drawn = random.random_range(1..=2);
    let hits = match ONCE.iter().any(|once| point.contains(once)) {
        true => 1..=1,
        false if long => 1..=3,
        false => drawn..=drawn,
    };
    hits.map(|hit| Stop { point, hit, action: Action::Crash }).collect()
}
