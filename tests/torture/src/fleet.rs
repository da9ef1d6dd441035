//! The instances of the three services, one to four of each.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_tests::{Project, Service};
use rand::Rng as _;
use rand::rngs::SmallRng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::workload::senders::Gateways;

/// The services.
pub(crate) const SERVICES: [&str; 3] = ["ingest", "transform", "loader"];
/// Instances of one service at most.
pub(crate) const MOST: usize = 4;
/// How long an instance may take to end when it is asked to: its `shutdown_timeout`, and what a busy machine adds to it.
const END: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_secs(2);

/// An instance: a name that it keeps, and a process while it lives.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Its service.
    pub(crate) service: &'static str,
    /// Its name.
    pub(crate) name: String,
    process: Service,
    alive: bool,
    frozen: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Instance>,
    gateways: Gateways,
    client: reqwest::Client,
}

impl Instance {
    /// Whether it is meant to run.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive
    }

    /// What `/proc` says of its process: `R`, `S`, `T`, …; `None` when there is none.
    pub(crate) fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        self.alive = false;
    }

    /// Asks it to end with SIGTERM; whether it ended well, in time.
    pub(crate) async fn terminate(&mut self) -> Result<(), String> {
        let pid = Pid::from_raw(self.process.id() as i32).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("the process takes the signal");
        self.alive = false;
        let deadline = Instant::now() + END;
        while self.process.runs() {
            if Instant::now() > deadline {
                self.process.kill();
                return Err(format!("{} did not end within {END:?} after SIGTERM", self.name));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stops it where it stands, with SIGSTOP. Nothing else happens to it until it goes on.
    pub(crate) async fn freeze(&mut self) {
        self.process.freeze();
        self.frozen = true;
        let deadline = Instant::now() + LOOK;
        while self.state() != Some('T') && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets it go on, with SIGCONT.
    pub(crate) fn thaw(&mut self) {
        self.process.go_on();
        self.frozen = false;
    }

    /// Whether it stands still.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen
    }

    pub(crate) fn restart(&mut self) {
        self.process.restart();
        self.alive = true;
    }

    /// Whether its process runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.runs()
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = self.process.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Fleet {
    /// One or two instances of each service.
    pub(crate) fn start(project: &Project, random: &mut SmallRng) -> Self {
        let client = reqwest::Client::builder().timeout(LOOK).build().expect("a client");
        let mut fleet = Self { instances: Vec::new(), gateways: Arc::new(Mutex::new(Vec::new())), client };
        for service in SERVICES {
            for _ in 0..random.random_range(1..=2) {
                fleet.add(project, service);
            }
        }
        fleet
    }

    /// Where requests go.
    pub(crate) fn gateways(&self) -> &Gateways {
        &self.gateways
    }

    /// Starts another instance of a service; returns its place.
    pub(crate) fn add(&mut self, project: &Project, service: &'static str) -> usize {
        let taken = |name: &String| self.instances.iter().any(|one| one.name == *name);
        let mut names = (0..=MOST).map(|number| format!("{service}-{number}"));
        let name = names.find(|name| !taken(name)).expect("no more instances than there are numbers");
        let process = Service::replica(project, service, &name);
        if service == "ingest" {
            self.gateways.lock().expect("nobody panics with it").push(process.gateway().address());
        }
        self.instances.push(Instance { service, name, process, alive: true, frozen: false });
        self.instances.len() - 1
    }

    /// Forgets an instance that is dead and does not return.
    pub(crate) fn forget(&mut self, name: &str) {
        let place = self.place(name);
        let gone = self.instances.remove(place);
        let address = gone.process.gateway().address();
        self.gateways.lock().expect("nobody panics with it").retain(|gateway| *gateway != address);
    }

    pub(crate) fn place(&self, name: &str) -> usize {
        self.instances.iter().position(|one| one.name == name).expect("an instance of that name")
    }

    /// How many instances of a service live.
    pub(crate) fn alive(&self, service: &str) -> usize {
        self.instances.iter().filter(|one| one.service == service && one.alive).count()
    }

    /// Whether a service can do without an instance that lives and does not stand still.
    pub(crate) fn spare(&self, service: &str) -> bool {
        self.alive(service) > 1 && self.instances.iter().any(|one| one.service == service && one.alive && !one.frozen)
    }

    /// A living instance that does not stand still, by chance; of `service` alone where one is named.
    pub(crate) fn any(&self, random: &mut SmallRng, service: Option<&str>) -> Option<usize> {
        let fits = |one: &Instance| one.alive && !one.frozen && service.is_none_or(|service| one.service == service);
        let places: Vec<usize> = (0..self.instances.len()).filter(|place| fits(&self.instances[*place])).collect();
        (!places.is_empty()).then(|| places[random.random_range(0..places.len())])
    }

    /// The names of those that have ended although nobody ended them, with the last lines of their logs.
    pub(crate) fn fallen(&mut self) -> Vec<String> {
        let fallen = self.instances.iter_mut().filter(|one| one.alive).filter_map(|one| {
            let runs = one.runs();
            (!runs).then(|| format!("{} has ended by itself:\n{}", one.name, one.last_words()))
        });
        fallen.collect()
    }

    /// What `/health/ready` says of each living instance; `None` of one that does not answer.
    pub(crate) async fn health(&self) -> Vec<(String, Option<Value>)> {
        let mut said = Vec::new();
        for one in self.instances.iter().filter(|one| one.alive) {
            said.push((one.name.clone(), self.ask(one, "health/ready").await.and_then(|body| serde_json::from_str(&body).ok())));
        }
        said
    }

    /// What `/metrics` says of each living instance that answers.
    pub(crate) async fn metrics(&self) -> Vec<(u32, String)> {
        let mut said = Vec::new();
        for one in self.instances.iter().filter(|one| one.alive && !one.frozen) {
            if let Some(metrics) = self.ask(one, "metrics").await {
                said.push((one.process.id(), metrics));
            }
        }
        said
    }

    async fn ask(&self, one: &Instance, path: &str) -> Option<String> {
        let answer = self.client.get(format!("http://{}/{path}", one.process.admin())).send().await.ok()?;
        answer.text().await.ok()
    }
}
