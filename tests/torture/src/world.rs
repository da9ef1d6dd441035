//! Everything that a fault can reach.

use std::collections::BTreeSet;
use std::time::Instant;

use millrace_tests::Project;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::fleet::Fleet;
use crate::outside::cluster::{BROKERS, Cluster};
use crate::outside::database::Database;
use crate::outside::links::{Link, Toxiproxy};
use crate::outside::names::Names;
use crate::outside::registry::Scripted;
use crate::outside::scripts;
use crate::space::Space;
use crate::workload::pipelines;
use crate::workload::produced::Produced;
use crate::workload::senders::Senders;

/// The servers and links, which outlive an epoch.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) cluster: Cluster,
    pub(crate) database: Database,
    pub(crate) registry: Scripted,
    /// The registry past proxies.
    pub(crate) registry_url: String,
    /// The links to the brokers, in the order of their ids; to the registry; to PostgreSQL.
    pub(crate) links: Vec<Link>,
    pub(crate) space: Space,
    pub(crate) names: Names,
}

/// An epoch: a project of its own, its instances and what went in.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) outside: Outside,
    pub(crate) project: Project,
    pub(crate) fleet: Fleet,
    pub(crate) produced: Produced,
    pub(crate) senders: Senders,
    /// The topics that were given partitions, or may have been.
    pub(crate) grown: BTreeSet<&'static str>,
    /// How often poison went in.
    pub(crate) poisoned: usize,
    /// The names of those values that are no records and that the first topic took.
    pub(crate) frames: BTreeSet<String>,
    pub(crate) random: SmallRng,
    pub(crate) history: History,
}

/// What was done, and when since the start of the run.
#[derive(Debug)]
pub(crate) struct History {
    began: Instant,
    pub(crate) lines: Vec<String>,
}

impl Outside {
    pub(crate) async fn of_this_run() -> Self {
        let toxiproxy = Toxiproxy::of_this_run().await;
        let cluster = Cluster::of_this_run().await;
        let database = Database::of_this_run().await;
        let registry_url = scripts::run("registry.sh", &["url"]).await;
        let (origin, _) = registry_url.split_once("/apis").expect("the registry's path");
        let registry = Scripted::before(origin).await;
        let mut links = Vec::new();
        for broker in BROKERS {
            let (listens, upstream) = cluster.ports(broker);
            links.push(toxiproxy.link_at(&format!("kafka-{broker}"), listens, &format!("127.0.0.1:{upstream}")).await);
        }
        links.push(toxiproxy.link("registry", &registry.address).await);
        links.push(toxiproxy.link("postgres", &format!("127.0.0.1:{}", database.port())).await);
        let space = Space::prepare(&database).await;
        Self { cluster, database, registry, registry_url, links, space, names: Names::of_this_run() }
    }

    /// The links of that kind: `kafka`, `registry`, `postgres`.
    pub(crate) fn links(&self, kind: &str) -> Vec<Link> {
        self.links.iter().filter(|link| link.name.starts_with(kind)).cloned().collect()
    }

    /// The id of the newest schema of a subject; `None` where there is none.
    pub(crate) async fn schema_id(&self, subject: &str) -> Option<u32> {
        let url = format!("{}/subjects/{subject}/versions/latest", self.registry_url);
        let said: serde_json::Value = reqwest::get(url).await.ok()?.json().await.ok()?;
        said["id"].as_u64()?.try_into().ok()
    }

    /// A new project that reaches everything by the links.
    pub(crate) async fn project(&self) -> Project {
        let port = |kind: &str| self.links(kind)[0].port;
        let registry = format!("http://{}:{}/apis/ccompat/v7", self.names.host("registry"), port("registry"));
        let warehouse = (self.names.host("postgres"), port("postgres"));
        let project = pipelines::project(&self.cluster.proxied, &registry, warehouse);
        self.database.welcome(&project).await;
        pipelines::make_tables(&self.database, &project, &self.space.clause()).await;
        project
    }
}

impl World {
    /// A new epoch of a run.
    pub(crate) async fn new(outside: Outside, seed: u64, history: History) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let project = outside.project().await;
        let (fleet, produced) = (Fleet::start(&project, &mut random), Produced::default());
        let senders = Senders::start(seed, &produced, fleet.gateways(), project.folder().join("in"));
        Self { outside, project, fleet, produced, senders, grown: BTreeSet::new(), poisoned: 0, frames: BTreeSet::new(), random, history }
    }
}

impl History {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), lines: Vec::new() }
    }

    /// Since the start of the run.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// Notes what was done, and says it.
    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        let line = format!("{:8.1} s  {what}", self.began.elapsed().as_secs_f64());
        println!("{line}");
        self.lines.push(line);
    }
}
