//! A service of the real binary as a process, which can be killed and started again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use reqwest::{Client, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::surroundings::Surroundings;
use crate::{Project, until};

const PATIENCE: Duration = Duration::from_mins(1);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where it stands which crash points are armed.
const FAILPOINTS: &str = "FAILPOINTS";

/// A process of `millrace run <service>` or `millrace dev`. It dies with this value; when the test fails its log is printed.
#[derive(Debug)]
pub struct Service {
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
    surroundings: Surroundings,
    gateway: Gateway,
    admin: SocketAddr,
    log: PathBuf,
    child: Child,
    client: Client,
}

/// The push gateway of a service, over all of its lives.
#[derive(Debug, Clone)]
pub struct Gateway {
    address: SocketAddr,
    client: Client,
}

impl Gateway {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Posts a body; `None` when the gateway is away or went away before it answered.
    pub async fn post(&self, path: &str, content_type: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Option<Response> {
        let request = self.client.post(format!("http://{}{path}", self.address)).header("content-type", content_type).body(body.into());
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.ok()
    }
}

impl Service {
    /// Starts `ingest`, `transform` or `loader` of the project.
    pub fn start(project: &Project, name: &'static str) -> Self {
        Self::run(project, vec!["run", name], &[])
    }

    /// Starts that service in surroundings that are not this test's.
    pub fn start_in(surroundings: Surroundings, project: &Project, name: &'static str) -> Self {
        Self::run_in(surroundings, project, vec!["run", name], &[], LOOPBACK)
    }

    /// Starts a replica of that service, which goes by a name of its own.
    pub fn replica(project: &Project, name: &'static str, instance: &str) -> Self {
        let instance = format!("{}-{instance}", project.name());
        Self::run(project, vec!["run", name], &[("MILLRACE_INSTANCE", instance)])
    }

    /// Starts all of the project, with all that it needs built in and kept in memory.
    pub fn dev(project: &Project) -> Self {
        Self::run(project, vec!["dev", "--in-memory", "--kafka", "127.0.0.1:0", "--registry", "127.0.0.1:0"], &[])
    }

    /// The same with all of it kept in `.millrace` of the project, in surroundings that are not this test's.
    pub fn dev_kept_in(surroundings: Surroundings, project: &Project) -> Self {
        Self::run_in(surroundings, project, vec!["dev", "--kafka", "127.0.0.1:0", "--registry", "127.0.0.1:0"], &[], LOOPBACK)
    }

    /// Starts a replica that is armed by `failpoints`, in the words of `millrace_runtime::crash_point`. It listens on a loopback address of its own: dozens of
    /// them come and go beside each other, and a port that one has let go must be there for it again.
    pub fn armed(project: &Project, name: &'static str, instance: &str, failpoints: &str) -> Self {
        let instance = format!("{}-{instance}", project.name());
        let more = [("MILLRACE_INSTANCE", instance), (FAILPOINTS, failpoints.to_owned())];
        Self::run_on(project, vec!["run", name], &more, own_loopback())
    }

    fn run(project: &Project, arguments: Vec<&'static str>, more: &[(&'static str, String)]) -> Self {
        Self::run_on(project, arguments, more, LOOPBACK)
    }

    fn run_on(project: &Project, arguments: Vec<&'static str>, more: &[(&'static str, String)], ip: Ipv4Addr) -> Self {
        Self::run_in(Surroundings::default(), project, arguments, more, ip)
    }

    fn run_in(
        surroundings: Surroundings,
        project: &Project,
        arguments: Vec<&'static str>,
        more: &[(&'static str, String)],
        ip: Ipv4Addr,
    ) -> Self {
        let [http, admin] = free_addresses_of(ip);
        let mut environment = project.variables();
        environment.extend([("MILLRACE_HTTP", http.to_string()), ("MILLRACE_ADMIN", admin.to_string())]);
        environment.extend_from_slice(more);
        let log = project.folder().join(format!(".{}-{}.log", arguments.join("-").replace(':', "-"), admin.port()));
        let child = spawn(&surroundings, &arguments, &environment, &log);
        let client = Client::new();
        let gateway = Gateway { address: http, client: client.clone() };
        Self { arguments, environment, surroundings, gateway, admin, log, child, client }
    }

    /// Kills it with SIGKILL, wherever it stands.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is killed");
        self.child.wait().expect("the process has ended");
    }

    /// Stops it where it stands (SIGSTOP), until it is told to [go on](Self::go_on).
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Its process id, in its present life.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its health and metrics are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Starts it again as it was.
    pub fn restart(&mut self) {
        self.child = spawn(&self.surroundings, &self.arguments, &self.environment, &self.log);
    }

    /// Starts it again, armed by `failpoints`; unarmed when there are none.
    pub fn rearm(&mut self, failpoints: &str) {
        self.environment.retain(|(name, _)| *name != FAILPOINTS);
        self.environment.push((FAILPOINTS, failpoints.to_owned()));
        self.restart();
    }

    /// How the process has ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked")
    }

    /// Lets it go on after SIGSTOP (SIGCONT).
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        until(&format!("{} ends after SIGTERM", self.name()), PATIENCE, async || self.child.try_wait().expect("it can be asked")).await
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Waits until all its pipelines run.
    pub async fn ready(&self) {
        self.pipelines_are("running", |state| state["state"] == "running").await;
    }

    /// Waits until its only pipeline is in `state`, and returns what it says of itself.
    pub async fn is(&self, state: &str) -> Value {
        self.pipelines_are(state, |pipeline| pipeline["state"] == state).await
    }

    async fn pipelines_are(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{} is {what}", self.name());
        until(&what, PATIENCE, async || {
            let pipelines = self.health().await?["pipelines"].as_object().cloned()?;
            (!pipelines.is_empty() && pipelines.values().all(&good)).then(|| pipelines.values().next().cloned())?
        })
        .await
    }

    /// Waits until the pipeline `<service>/<name>` is in `state`, and returns what it says of itself.
    pub async fn pipeline_is(&self, pipeline: &str, state: &str) -> Value {
        until(&format!("{pipeline} is {state}"), PATIENCE, async || {
            let said = self.health().await?["pipelines"][pipeline].take();
            (said["state"] == state).then_some(said)
        })
        .await
    }

    /// What `/health/ready` says; `None` while nothing listens.
    pub async fn health(&self) -> Option<Value> {
        self.readiness().await.map(|(_, said)| said)
    }

    /// The status of `/health/ready`, and what it says; `None` while nothing listens.
    pub async fn readiness(&self) -> Option<(u16, Value)> {
        let answer = self.client.get(format!("http://{}/health/ready", self.admin)).send().await.ok()?;
        Some((answer.status().as_u16(), answer.json().await.ok()?))
    }

    /// What `/health/connections` says.
    pub async fn connections(&self) -> Value {
        let answer = self.client.get(format!("http://{}/health/connections", self.admin)).send().await.expect("health is served");
        answer.json().await.expect("health is JSON")
    }

    /// How many `what` (as in `records_in`) the service has counted of a pipeline, over all other labels.
    pub async fn counted(&self, service: &str, pipeline: &str, what: &str) -> u64 {
        let (family, label) = (format!("millrace_{service}_{what}_total{{"), format!("pipeline=\"{pipeline}\""));
        let metrics = self.metrics().await;
        let samples = metrics.lines().filter(|line| line.starts_with(&family) && line.contains(&label));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> String {
        let answer = self.client.get(format!("http://{}/metrics", self.admin)).send().await.expect("metrics are served");
        answer.text().await.expect("metrics are text")
    }

    /// Its push gateway, for a request that goes on while the service is killed.
    pub fn gateway(&self) -> Gateway {
        self.gateway.clone()
    }

    /// Posts a body to its push gateway; `None` when the gateway is away or went away before it answered.
    pub async fn post(&self, path: &str, content_type: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Option<Response> {
        self.gateway.post(path, content_type, headers, body).await
    }

    /// How many bytes of memory are its own at present (`RssAnon` of proc(5)): without the pages of its file.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the memory is known");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kibibytes << 10
    }

    /// What it has logged, over all of its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    fn name(&self) -> String {
        self.arguments.join(" ")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process takes the signal");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the last lines of {}:\n{}", self.name(), lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        // It may have ended by itself, or been killed by the test.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(surroundings: &Surroundings, arguments: &[&str], environment: &[(&'static str, String)], log: &Path) -> Child {
    let mut command = surroundings.command(&binary(), arguments, environment, log);
    command.spawn().expect("millrace starts; `cargo build --workspace --bins` builds it")
}

/// The binary: `MILLRACE_BIN`, or what was built beside this test.
pub fn binary() -> PathBuf {
    std::env::var_os("MILLRACE_BIN").map_or_else(beside_this_test, PathBuf::from)
}

fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    test.ancestors().nth(2).expect("tests are built in target/<profile>/deps").join("millrace")
}

/// An address that nothing listened on a moment ago.
pub fn free_address() -> SocketAddr {
    let [address, _] = free_addresses_of(LOOPBACK);
    address
}

/// A loopback address that nobody else is likely to have.
fn own_loopback() -> Ipv4Addr {
    let [_, b, c, d] = rand::random::<u32>().to_be_bytes();
    Ipv4Addr::new(127, b.max(1), c, d.clamp(1, 254))
}

/// Two of them: both are held until both are known, so that they differ.
fn free_addresses_of(ip: Ipv4Addr) -> [SocketAddr; 2] {
    let listeners = [0; 2].map(|_| TcpListener::bind((ip, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("has an address"))
}
