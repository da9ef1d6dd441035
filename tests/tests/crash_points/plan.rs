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
const ONCE: [&str; 9] = [".claim.", ".fence.", ".pull.positions.", ".window.", ".address.", ".taken.", ".reshape.", ".schema.", ".growth."];
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

    /// Whether a life comes to it once, and that only where there is something for it at that moment.
    pub(crate) fn comes_once(&self) -> bool {
        ONCE.iter().any(|step| self.point.contains(step))
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

/// A hop, and where its service is stopped.
struct Route {
    hop: String,
    /// The points at which it dies.
    crashes: Vec<&'static str>,
    /// The points at which it stands while another takes over.
    stands: Vec<&'static str>,
}

impl Route {
    fn new(hop: impl Into<String>, crashes: Vec<&'static str>) -> Self {
        Self { hop: hop.into(), crashes, stands: Vec::new() }
    }

    fn standing(self, stands: &[&'static str]) -> Self {
        Self { stands: stands.to_vec(), ..self }
    }
}

fn routes() -> Vec<Route> {
    let loads = SINKS.iter().map(|sink| Route::new(format!("load/{}", sink.name), load::points(sink)).standing(sink.stands));
    let growing = SINKS.iter().filter(|sink| sink.grows);
    let growing = growing.map(|sink| Route::new(format!("load-growing/{}", sink.name), load::growth_points(sink)));
    let pulls = SOURCES.iter().map(|source| Route::new(format!("pull/{}", source.name), sources::points()));
    let stands = ["transform.produce.after", "kafka.offsets.before", "kafka.commit.before", "kafka.commit.after"];
    let others = [
        Route::new("transform", through::points()).standing(&stands),
        Route::new("transform-changing", through::change_points()),
        Route::new("transform-parking", through::parking_points()),
        Route::new("load-parking", load::parking_points()),
        Route::new("push", pushed::points(false)),
        Route::new("push-keyed", pushed::points(true)),
        Route::new("replay/transform", surgery::points()),
        Route::new("replay/load", surgery::points()),
    ];
    loads.chain(growing).chain(pulls).chain(others).collect()
}

/// All points at which some service dies.
pub(crate) fn points_of_all_hops() -> BTreeSet<&'static str> {
    routes().into_iter().flat_map(|route| route.crashes).collect()
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
            ("push", _) => pushed::open(servers, false),
            ("push-keyed", _) => pushed::open(servers, true),
            ("replay", what) => return surgery::run(servers, what, &self.stops).await,
            (other, _) => panic!("no hop {other}"),
        };
        chain::run(&mut *hop, &self.stops).await;
    }
}

/// The chains of this run.
pub(crate) fn chains(orders: &Orders) -> Vec<Chain> {
    let mut random = SmallRng::seed_from_u64(orders.seed);
    // Those that are not wanted take their part of the random numbers all the same: alone, a hop stops where it stops among others.
    let all = routes().into_iter().map(|route| (stops(&route, orders.long, &mut random), route.hop)).collect::<Vec<_>>();
    let wanted = all.into_iter().filter(|(_, hop)| orders.is_wanted(hop));
    wanted.flat_map(|(stops, hop)| cut(orders.named().map_or(stops, |named| vec![named]), &hop)).collect()
}

fn cut(lists: Vec<Vec<Stop>>, hop: &str) -> Vec<Chain> {
    lists.into_iter().map(|stops| Chain { hop: hop.to_owned(), stops }).collect()
}

/// Where a service stops: chains of deaths in a random order, and each standing alone. The long form has each death alone, too; the short one
/// a single standing, as that takes as long as sessions and transactions of the dead.
fn stops(route: &Route, long: bool, random: &mut SmallRng) -> Vec<Vec<Stop>> {
    let mut crashes: Vec<Stop> = route.crashes.iter().flat_map(|point| crashes(point, long, random)).collect();
    crashes.shuffle(random);
    let parts = if long { crashes.len() } else { crashes.len().div_ceil(LONGEST) };
    let chains = crashes.chunks(crashes.len().div_ceil(parts.max(1)).max(1)).map(<[Stop]>::to_vec);
    let first = random.random_range(0..route.stands.len().max(1));
    let stands = route.stands.iter().skip(if long { 0 } else { first }).take(if long { usize::MAX } else { 1 });
    chains.chain(stands.map(|point| vec![Stop { point, hit: 1, action: Action::Stand }])).collect()
}

/// The crashes at a point: one at one of its first hits, or at each of them.
fn crashes(point: &'static str, long: bool, random: &mut SmallRng) -> Vec<Stop> {
    let drawn = random.random_range(1..=2);
    let hits = if ONCE.iter().any(|once| point.contains(once)) {
        1..=1
    } else if long {
        1..=3
    } else {
        drawn..=drawn
    };
    hits.map(|hit| Stop { point, hit, action: Action::Crash }).collect()
}
