//! How the pipelines of this process are, for operators and orchestrators.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use millrace_model::{Code, Fault, Result};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::Shutdown;
use super::listener::{self, Limits};
use crate::resilience::{LinkStatus, Probes};
use crate::telemetry::{PipelineMetrics, metrics};

/// How long a pipeline that stood halted has to run before it counts as one that works, where no commit shows it earlier.
const TRIAL: Duration = Duration::from_secs(30);

/// How a pipeline is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It has not read anything yet.
    Starting,
    /// It works, or waits for input.
    Running,
    /// All that was there is durable, and nothing more will come.
    Complete,
    /// Something it needs is away; it goes on by itself when that is back.
    Waiting {
        /// What it waits for.
        reason: String,
    },
    /// It stands until an operator acts.
    Halted {
        /// The stable code of the fault.
        code: &'static str,
        /// What failed.
        fault: String,
        /// What to do.
        help: &'static str,
    },
}

impl State {
    fn is_ready(&self) -> bool {
        matches!(self, Self::Running | Self::Complete | Self::Waiting { .. })
    }

    fn of_halt(fault: &Fault) -> Self {
        Self::Halted { code: fault.code().as_str(), fault: fault.to_string(), help: fault.code().help() }
    }
}

/// The state of every pipeline in this process, by `<service>/<pipeline>`, and of the systems that it depends on. All clones are the
/// same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    states: RwLock<BTreeMap<String, State>>,
    started: AtomicBool,
    probes: Probes,
}

impl Health {
    /// Of no pipeline yet, and of a process that is starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pipeline, which is [`State::Starting`]; its loop tells its state through what comes back.
    pub fn pipeline(&self, service: &'static str, pipeline: &str) -> PipelineHealth {
        let health = PipelineHealth {
            service,
            name: format!("{service}/{pipeline}").into(),
            health: self.clone(),
            metrics: PipelineMetrics::new(service, pipeline),
            trial: Arc::default(),
        };
        health.become_(&State::Starting);
        health
    }

    /// All pipelines have been added, and the process listens where it should: from now on it may be ready.
    pub fn started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    /// The systems that the process depends on.
    pub fn probes(&self) -> &Probes {
        &self.0.probes
    }

    /// The state of every pipeline.
    pub fn states(&self) -> BTreeMap<String, State> {
        self.0.states.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the process has started, and every pipeline works, or waits for what comes back by itself.
    pub fn is_ready(&self) -> bool {
        self.0.started.load(Ordering::Acquire) && self.states().values().all(State::is_ready)
    }

    /// Serves `/health/live`, `/health/ready`, `/health/connections` and `/metrics` on `address` (port 0: a free one) until `shutdown`.
    ///
    /// Fault: [`Code::Io`] when the address can't be listened on.
    pub async fn serve(&self, address: SocketAddr, shutdown: Shutdown) -> Result<Admin> {
        let listener = TcpListener::bind(address).await.map_err(|error| not_listening(address, error))?;
        self.serve_on(listener, shutdown)
    }

    /// The same; where the port is taken, on a free one of the same address, which is told.
    pub async fn serve_where_free(&self, usual: SocketAddr, shutdown: Shutdown) -> Result<Admin> {
        match TcpListener::bind(usual).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                let admin = self.serve((usual.ip(), 0).into(), shutdown).await?;
                warn!(%usual, address = %admin.address(), "the usual port is taken: health and metrics are on another");
                Ok(admin)
            }
            bound => self.serve_on(bound.map_err(|error| not_listening(usual, error))?, shutdown),
        }
    }

    fn serve_on(&self, listener: TcpListener, shutdown: Shutdown) -> Result<Admin> {
        let unknown = |error| Fault::operator(Code::Io, "can't tell where health and metrics listen").because(error);
        let address = listener.local_addr().map_err(unknown)?;
        let task = tokio::spawn(listener::serve(listener, self.router(), Limits::ADMIN, shutdown));
        Ok(Admin { address, task })
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/health/live", get(|| async { Json(serde_json::json!({ "status": "live" })) }))
            .route("/health/ready", get(ready))
            .route("/health/connections", get(connections))
            .route("/metrics", get(|| async { scrape() }))
            .with_state(self.clone())
    }

    fn state(&self, name: &str) -> Option<State> {
        self.0.states.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Sets a state; returns the one before when it was another.
    fn replace(&self, name: &str, state: &State) -> Option<State> {
        let mut states = self.0.states.write().unwrap_or_else(PoisonError::into_inner);
        states.insert(name.to_owned(), state.clone()).filter(|before| before != state)
    }
}

/// The server of health and metrics.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Admin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended, after the shutdown it was given.
    pub async fn ended(self) {
        if let Err(error) = self.task.await {
            error!(%error, "the server of health and metrics broke off");
        }
    }
}

/// Through which a pipeline's loop tells how it is. Changes are logged once. Cheap to clone.
///
/// A pipeline that stands halted is tried again now and then. It stays halted meanwhile, for all to see, until it really works: it has
/// committed something, or has run for [`TRIAL`] without the fault.
#[derive(Debug, Clone)]
pub struct PipelineHealth {
    service: &'static str,
    name: Arc<str>,
    health: Health,
    metrics: PipelineMetrics,
    trial: Arc<Trial>,
}

/// A halted pipeline that is tried again.
#[derive(Debug, Default)]
struct Trial {
    /// Whether there is one: what a commit looks at.
    runs: AtomicBool,
    since: parking_lot::Mutex<Option<Instant>>,
}

impl Trial {
    /// It goes on, or begins; whether it has lasted long enough.
    fn runs(&self) -> bool {
        self.runs.store(true, Ordering::Relaxed);
        self.since.lock().get_or_insert_with(Instant::now).elapsed() >= TRIAL
    }

    /// Ends it; whether there was one.
    fn end(&self) -> bool {
        *self.since.lock() = None;
        self.runs.swap(false, Ordering::Relaxed)
    }
}

impl PipelineHealth {
    /// The health of a part of the pipeline that has a life of its own, such as `ingest/orders/keys`.
    #[must_use]
    pub fn part(&self, part: &str) -> Self {
        let pipeline = self.name.split_once('/').map_or(&*self.name, |(_, pipeline)| pipeline);
        self.health.pipeline(self.service, &format!("{pipeline}/{part}"))
    }

    /// It runs, or waits for input. One that stood halted has yet to show that it works.
    pub fn running(&self) {
        if self.is_halted() && !self.trial.runs() {
            return;
        }
        self.runs();
    }

    /// It works: something was committed. Costs next to nothing.
    pub fn works(&self) {
        if self.trial.runs.load(Ordering::Relaxed) {
            self.runs();
        }
    }

    /// It goes on without a fault: one that is on trial for long enough works.
    pub(crate) fn goes_on(&self) {
        if self.trial.runs.load(Ordering::Relaxed) && self.trial.runs() {
            self.runs();
        }
    }

    fn runs(&self) {
        self.trial.end();
        if self.become_(&State::Running).is_some() {
            info!(pipeline = %self.name, "running");
        }
    }

    /// It has done all that there was.
    pub fn complete(&self) {
        self.trial.end();
        if self.become_(&State::Complete).is_some() {
            info!(pipeline = %self.name, "complete");
        }
    }

    /// Something it needs is away.
    pub fn waiting(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.is_halted() {
            if self.trial.end() {
                warn!(pipeline = %self.name, %reason, "still halted; what it needs is away when it is tried again");
            }
            return;
        }
        if self.become_(&State::Waiting { reason: reason.clone() }).is_some() {
            warn!(pipeline = %self.name, %reason, "waiting; it goes on by itself");
        }
    }

    /// It stands until an operator acts.
    pub fn halted(&self, fault: &Fault) {
        self.trial.end();
        if self.become_(&State::of_halt(fault)).is_some() {
            error!(pipeline = %self.name, code = fault.code().as_str(), help = fault.code().help(), "halted: {fault}");
        }
    }

    fn is_halted(&self) -> bool {
        matches!(self.health.state(&self.name), Some(State::Halted { .. }))
    }

    fn become_(&self, state: &State) -> Option<State> {
        self.metrics.state(matches!(state, State::Halted { .. }), matches!(state, State::Waiting { .. }));
        self.health.replace(&self.name, state)
    }
}

fn not_listening(address: SocketAddr, error: std::io::Error) -> Fault {
    Fault::operator(Code::Io, format!("can't listen on {address} for health and metrics; choose another with MILLRACE_ADMIN"))
        .because(error)
}

/// Asks nobody: orchestrators ask it often.
async fn ready(Shared(health): Shared<Health>) -> Response {
    let (ready, started) = (health.is_ready(), health.0.started.load(Ordering::Acquire));
    let answer = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (states, connections) = (health.states(), health.probes().statuses());
    let body = serde_json::json!({ "ready": ready, "started": started, "pipelines": states, "connections": connections });
    (answer, Json(body)).into_response()
}

/// Asks every system, for a person.
async fn connections(Shared(health): Shared<Health>) -> Json<BTreeMap<String, LinkStatus>> {
    Json(health.probes().ask().await)
}

fn scrape() -> Response {
    match metrics::render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    async fn served(health: &Health) -> (Admin, Shutdown) {
        let shutdown = Shutdown::new();
        let admin = health.serve(([127, 0, 0, 1], 0).into(), shutdown.clone()).await.expect("serves");
        (admin, shutdown)
    }

    async fn readiness(admin: &Admin) -> (u16, Value) {
        let answer = reqwest::get(format!("http://{}/health/ready", admin.address())).await.expect("answers");
        (answer.status().as_u16(), answer.json().await.expect("is JSON"))
    }

    #[tokio::test]
    async fn a_taken_port_is_a_fault_or_another_one_is_taken() {
        let health = Health::new();
        let (first, _shutdown) = served(&health).await;
        let taken = first.address();
        let fault = health.serve(taken, Shutdown::new()).await.expect_err("was chosen");
        assert!(fault.code() == Code::Io && fault.message().contains("MILLRACE_ADMIN"), "{fault}");
        let second = health.serve_where_free(taken, Shutdown::new()).await.expect("finds another");
        assert!(second.address().ip() == taken.ip() && second.address().port() != taken.port());
        assert_eq!(readiness(&second).await.0, 503);
    }

    #[tokio::test]
    async fn a_process_is_ready_when_no_pipeline_is_starting_or_halted() {
        let health = Health::new();
        let (delays, rows) = (health.pipeline("transform", "delays"), health.pipeline("loader", "rows"));
        let (admin, _shutdown) = served(&health).await;
        health.started();
        delays.running();
        assert_eq!(readiness(&admin).await.0, 503);
        rows.waiting("no broker answers");
        let (status, body) = readiness(&admin).await;
        assert_eq!((status, &body["pipelines"]["loader/rows"]["reason"]), (200, &Value::from("no broker answers")));
        delays.halted(&Fault::operator(Code::KafkaAuthentication, "Kafka refused the credentials; check KAFKA_PASSWORD"));
        let (status, body) = readiness(&admin).await;
        assert_eq!((status, &body["pipelines"]["transform/delays"]["code"]), (503, &Value::from("MR0202")));
    }

    #[tokio::test]
    async fn a_process_is_not_ready_before_all_of_it_has_started() {
        let health = Health::new();
        let (admin, _shutdown) = served(&health).await;
        let (status, body) = readiness(&admin).await;
        assert_eq!((status, &body["started"]), (503, &Value::from(false)), "no pipeline is known yet");
        health.pipeline("transform", "early").running();
        assert_eq!(readiness(&admin).await.0, 503, "the gateway does not listen yet");
        health.started();
        assert_eq!(readiness(&admin).await.0, 200);
    }

    #[test]
    fn a_halted_pipeline_stays_so_until_it_has_committed_something() {
        let health = Health::new();
        let pipeline = health.pipeline("loader", "tried");
        let state = || health.states().remove("loader/tried").expect("is known");
        let fault = Fault::operator(Code::TargetDenied, "no right to insert");
        pipeline.halted(&fault);
        pipeline.running();
        pipeline.waiting("no broker answers");
        pipeline.running();
        assert_eq!(state(), State::of_halt(&fault));
        pipeline.works();
        assert_eq!(state(), State::Running);
        pipeline.halted(&fault);
        pipeline.works();
        assert_eq!(state(), State::of_halt(&fault), "a commit from before the halt proves nothing");
    }

    #[test]
    fn a_halted_pipeline_without_input_has_to_run_for_a_while() {
        let pipeline = Health::new().pipeline("loader", "idle");
        pipeline.halted(&Fault::operator(Code::TargetDenied, "no right to insert"));
        pipeline.running();
        assert!(pipeline.is_halted());
        *pipeline.trial.since.lock() = Instant::now().checked_sub(TRIAL);
        pipeline.goes_on();
        assert!(!pipeline.is_halted());
    }

    #[tokio::test]
    async fn a_halted_pipeline_is_alive_and_shows_in_the_metrics() {
        let health = Health::new();
        health.pipeline("transform", "red").halted(&Fault::fatal(Code::Internal, "broken"));
        let (admin, _shutdown) = served(&health).await;
        let get = async |path: &str| reqwest::get(format!("http://{}{path}", admin.address())).await.expect("answers");
        assert_eq!(get("/health/live").await.status().as_u16(), 200);
        let metrics = get("/metrics").await.text().await.expect("is text");
        assert!(metrics.contains("millrace_transform_halted{pipeline=\"red\"} 1"), "{metrics}");
    }

    #[tokio::test]
    async fn it_ends_with_the_shutdown_and_a_taken_port_is_named() {
        let health = Health::new();
        let (admin, shutdown) = served(&health).await;
        let fault = health.serve(admin.address(), Shutdown::new()).await.expect_err("the port is taken");
        assert!(fault.to_string().contains("MILLRACE_ADMIN"), "{fault}");
        shutdown.request();
        admin.ended().await;
    }
}
