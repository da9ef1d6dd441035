//! Everything that a fault can reach.

use std::time::Instant;

use millrace_tests::Project;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::fleet::Fleet;
use crate::outside::cluster::{BROKERS, Cluster};
use crate::outside::database::Database;
use crate::outside::links::{Link, Toxiproxy};
use crate::outside::registry::Scripted;
use crate::outside::scripts;
use crate::space::Space;
use crate::workload::pipelines;
use crate::workload::produced::Produced;

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
}

/// An epoch: a project of its own, its instances and what went in.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) outside: Outside,
    pub(crate) project: Project,
    pub(crate) fleet: Fleet,
    pub(crate) produced: Produced,
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
        let port = database.url.port().expect("the database's port");
        links.push(toxiproxy.link("postgres", &format!("127.0.0.1:{port}")).await);
        let space = Space::prepare(&database).await;
        Self { cluster, database, registry, registry_url, links, space }
    }

    /// The links of that kind: `kafka`, `registry`, `postgres`.
    pub(crate) fn links(&self, kind: &str) -> Vec<Link> {
        self.links.iter().filter(|link| link.name.starts_with(kind)).cloned().collect()
    }

    /// A new project that reaches everything by the links.
    pub(crate) async fn project(&self) -> Project {
        let port = |kind: &str| self.links(kind)[0].port;
        let registry = format!("http://127.0.0.1:{}/apis/ccompat/v7", port("registry"));
        let project = pipelines::project(&self.cluster.proxied, &registry, port("postgres"));
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
        let fleet = Fleet::start(&project, &mut random);
        Self { outside, project, fleet, produced: Produced::default(), random, history }
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
