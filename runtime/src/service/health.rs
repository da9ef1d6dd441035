//! How the pipelines of this process are, for operators and orchestrators.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

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
use crate::telemetry::{PipelineMetrics, metrics};

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

    fn halted(fault: &Fault) -> Self {
        Self::Halted { code: fault.code().as_str(), fault: fault.to_string(), help: fault.code().help() }
    }
}

/// The state of every pipeline in this process, by `<service>/<pipeline>`. All clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<RwLock<BTreeMap<String, State>>>);

impl Health {
    /// Of no pipeline yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pipeline, which is [`State::Starting`]; its loop tells its state through what comes back.
    pub fn pipeline(&self, service: &'static str, pipeline: &str) -> PipelineHealth {
        let health = PipelineHealth {
            service,
            name: format!("{service}/{pipeline}").into(),
            states: self.clone(),
            metrics: PipelineMetrics::new(service, pipeline),
        };
        health.become_(&State::Starting);
        health
    }

    /// The state of every pipeline.
    pub fn states(&self) -> BTreeMap<String, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether every pipeline works, or waits for what comes back by itself.
    pub fn is_ready(&self) -> bool {
        self.states().values().all(State::is_ready)
    }

    /// Serves `/health/live`, `/health/ready` and `/metrics` on `address` (port 0: a free one) until `shutdown`.
    ///
    /// Fault: [`Code::Io`] when the address can't be listened on.
    pub async fn serve(&self, address: SocketAddr, shutdown: Shutdown) -> Result<Admin> {
        let taken = |error| {
            Fault::operator(Code::Io, format!("can't listen on {address} for health and metrics; choose another with MILLRACE_ADMIN"))
                .because(error)
        };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let server = axum::serve(listener, self.router()).with_graceful_shutdown(async move { shutdown.requested().await });
        let task = tokio::spawn(async move {
            if let Err(error) = server.await {
                error!(%error, "health and metrics are served no more");
            }
        });
        Ok(Admin { address, task })
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/health/live", get(|| async { Json(serde_json::json!({ "status": "live" })) }))
            .route("/health/ready", get(ready))
            .route("/metrics", get(|| async { scrape() }))
            .with_state(self.clone())
    }

    /// Sets a state; returns the one before when it was another.
    fn replace(&self, name: &str, state: &State) -> Option<State> {
        let mut states = self.0.write().unwrap_or_else(PoisonError::into_inner);
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
#[derive(Debug, Clone)]
pub struct PipelineHealth {
    service: &'static str,
    name: Arc<str>,
    states: Health,
    metrics: PipelineMetrics,
}

impl PipelineHealth {
    /// The health of a part of the pipeline that has a life of its own, such as `ingest/orders/keys`.
    #[must_use]
    pub fn part(&self, part: &str) -> Self {
        let pipeline = self.name.split_once('/').map_or(&*self.name, |(_, pipeline)| pipeline);
        self.states.pipeline(self.service, &format!("{pipeline}/{part}"))
    }

    /// It works.
    pub fn running(&self) {
        if self.become_(&State::Running).is_some() {
            info!(pipeline = %self.name, "running");
        }
    }

    /// It has done all that there was.
    pub fn complete(&self) {
        if self.become_(&State::Complete).is_some() {
            info!(pipeline = %self.name, "complete");
        }
    }

    /// Something it needs is away.
    pub fn waiting(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.become_(&State::Waiting { reason: reason.clone() }).is_some() {
            warn!(pipeline = %self.name, %reason, "waiting; it goes on by itself");
        }
    }

    /// It stands until an operator acts.
    pub fn halted(&self, fault: &Fault) {
        if self.become_(&State::halted(fault)).is_some() {
            error!(pipeline = %self.name, code = fault.code().as_str(), help = fault.code().help(), "halted: {fault}");
        }
    }

    fn become_(&self, state: &State) -> Option<State> {
        self.metrics.state(matches!(state, State::Halted { .. }), matches!(state, State::Waiting { .. }));
        self.states.replace(&self.name, state)
    }
}

async fn ready(Shared(health): Shared<Health>) -> Response {
    let states = health.states();
    let ready = states.values().all(State::is_ready);
    let answer = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (answer, Json(serde_json::json!({ "ready": ready, "pipelines": states }))).into_response()
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
    async fn a_process_is_ready_when_no_pipeline_is_starting_or_halted() {
        let health = Health::new();
        let (delays, rows) = (health.pipeline("transform", "delays"), health.pipeline("loader", "rows"));
        let (admin, _shutdown) = served(&health).await;
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
