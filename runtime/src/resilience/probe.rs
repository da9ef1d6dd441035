//! Asking systems whether they are there: for health, and for `millrace check --connected`.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_model::{Fault, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Link, LinkStatus};
use crate::kafka::Cluster;
use crate::registry::Registry;

/// For how long an answer is given again to who asks.
const FRESH: Duration = Duration::from_secs(5);
/// How long a probe may take, whatever the system's own timeouts are: who asks for health does not wait longer.
const PROBED_WITHIN: Duration = Duration::from_secs(5);

type Asking = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The smallest request that a system answers, made through its link.
#[derive(Clone)]
pub struct Probe {
    link: Link,
    ask: Arc<dyn Fn() -> Asking + Send + Sync>,
}

impl Probe {
    /// Asks by `ask`, which goes through `link`.
    pub fn new<W>(link: &Link, ask: impl Fn() -> W + Send + Sync + 'static) -> Self
    where
        W: Future<Output = Result<()>> + Send + 'static,
    {
        Self { link: link.clone(), ask: Arc::new(move || Box::pin(ask())) }
    }

    /// Whether Kafka is there.
    pub fn of_kafka(cluster: &Cluster) -> Self {
        let link = cluster.link().clone();
        let cluster = cluster.clone();
        Self::new(&link, move || {
            let cluster = cluster.clone();
            async move { cluster.probe().await }
        })
    }

    /// Whether the schema registry is there.
    pub fn of_registry(registry: &Registry) -> Self {
        let (link, registry) = (registry.link().clone(), registry.clone());
        Self::new(&link, move || {
            let registry = registry.clone();
            async move { registry.probe().await }
        })
    }

    /// The system's way.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Asks once; says how long the answer took.
    pub async fn ask(&self) -> Result<Duration> {
        let started = Instant::now();
        match tokio::time::timeout(PROBED_WITHIN, (self.ask)()).await {
            Ok(answer) => answer.map(|()| started.elapsed()),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Fault {
        self.link.no_answer_within(PROBED_WITHIN)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.link).finish()
    }
}

/// The systems that a process depends on, by name. All clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Probes(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    probes: parking_lot::RwLock<BTreeMap<String, Probe>>,
    /// When they were asked last. Who asks meanwhile waits for that.
    asked: Mutex<Option<Instant>>,
}

impl Probes {
    /// Adds systems. A connection may have the name of Millrace's own systems: it is told by its kind then.
    pub fn add(&self, probes: impl IntoIterator<Item = Probe>) {
        let mut known = self.0.probes.write();
        for probe in probes {
            let (name, kind) = (probe.link.name().to_owned(), probe.link.kind());
            let is_taken = known.get(&name).is_some_and(|other| other.link.kind() != kind);
            known.entry(if is_taken { format!("{name} ({kind})") } else { name }).or_insert(probe);
        }
    }

    /// How each is, by what the calls so far have told. Asks nobody.
    pub fn statuses(&self) -> BTreeMap<String, LinkStatus> {
        self.0.probes.read().iter().map(|(name, probe)| (name.clone(), probe.link.status())).collect()
    }

    /// Asks all at once, unless it was done a moment ago, and says how each is.
    pub async fn ask(&self) -> BTreeMap<String, LinkStatus> {
        let mut asked = self.0.asked.lock().await;
        if asked.is_none_or(|asked| asked.elapsed() >= FRESH) {
            let probes: Vec<Probe> = self.0.probes.read().values().cloned().collect();
            // What came of it is in the links.
            probes.into_iter().map(|probe| async move { probe.ask().await.map(drop) }).collect::<JoinSet<_>>().join_all().await;
            *asked = Some(Instant::now());
        }
        drop(asked);
        self.statuses()
    }
}
