//! The HTTP side: where it listens, and which pipeline a request is for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Json, Router};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::Cluster;
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::project::ServiceConfig;
use millrace_runtime::registry::Registry;
use millrace_runtime::service::{self, Limits, Shutdown, allowed_files};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use super::answer::Refused;
use super::group::Inbox;
use super::keyed::{Entrance, Forwarder, Owners, Places};
use super::openapi;
use super::route::{Outlets, Route};
use crate::config::{Cors, Http};
use crate::service::Ingest;

/// How long requests that are being served have after the shutdown.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How many requests wait for one pipeline; further senders wait for a place.
const WAITING: usize = 256;

/// Where the OpenAPI document is.
const DOCUMENT: &str = "/openapi.json";
/// Where the page for people is.
const PAGES: [&str; 2] = ["/", "/docs"];

/// The routes of the push pipelines.
pub(crate) struct Gateway {
    routes: BTreeMap<String, Arc<Route>>,
    owners: Arc<Owners>,
    forwarder: Forwarder,
}

/// A pipeline's ends of the gateway.
pub(crate) struct Ends {
    /// Its requests without a key.
    pub(crate) inbox: Inbox,
    /// Where it says which keys this replica has.
    pub(crate) places: watch::Sender<Places>,
}

impl Gateway {
    /// Of no path yet.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self> {
        Ok(Self { routes: BTreeMap::new(), owners: Arc::new(Owners::new(cluster)), forwarder: Forwarder::new()? })
    }

    /// Leads `http.path` to a pipeline; what comes out is for [`super::run`] and [`super::keyed`].
    pub(crate) fn route(&mut self, http: &Http, ingest: &Ingest, registry: &Registry, pipeline: &Pipeline) -> Result<Ends> {
        let (requests, inbox) = mpsc::channel(WAITING);
        let (places, seen) = watch::channel(Places::default());
        let (owners, forwarder) = (Arc::clone(&self.owners), self.forwarder.clone());
        let entrance = Entrance { pipeline: Arc::clone(&pipeline.id), places: seen, owners, forwarder };
        let route = Route::new(http, ingest, registry, pipeline, Outlets { requests, entrance })?;
        match self.routes.insert(http.path.clone(), Arc::new(route)) {
            None => Ok(Ends { inbox: Inbox::new(inbox), places }),
            Some(other) => {
                let (first, second) = (&other.pipeline.name, &pipeline.name);
                Err(Fault::operator(Code::ProjectFlow, format!("ingest pipelines {first} and {second} have the same path {}", http.path)))
            }
        }
    }

    /// Whether no pipeline is pushed to.
    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Listens where `service` says until the shutdown.
    pub(crate) async fn serve(self, service: &ServiceConfig, shutdown: &Shutdown) -> Result<Serving> {
        let address = service.http;
        let taken = |error| {
            let message = format!("can't listen on {address} for the push gateway; choose another with MILLRACE_HTTP");
            Fault::operator(Code::Io, message).because(error)
        };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let limits = limits(service);
        let task = tokio::spawn(service::serve(listener, self.router(), limits, shutdown.clone()));
        Ok(Serving { address, task, shutdown: shutdown.clone() })
    }

    fn router(self) -> Router {
        let paths: Arc<[String]> = self.routes.keys().cloned().collect();
        let router = self.pages().fallback(no_such_path).with_state(paths);
        self.routes.into_iter().fold(router, |router, (path, route)| router.route(&path, method_router(route)))
    }
}

impl Gateway {
    /// What tells senders of the paths; a path of that name is a pipeline's.
    fn pages(&self) -> Router<Arc<[String]>> {
        let described: Vec<_> = self.routes.values().map(|route| route.described()).collect();
        let (document, page) = (openapi::document(&described), openapi::page(&described));
        let free = |path: &&str| !self.routes.contains_key(*path);
        let router = [DOCUMENT].into_iter().filter(free).fold(Router::new(), |router, path| {
            let document = Json(document.clone());
            router.route(path, get(async move || document))
        });
        PAGES.into_iter().filter(free).fold(router, |router, path| {
            let page = Html(page.clone());
            router.route(path, get(async move || page))
        })
    }
}

/// A request may be sent on to another replica, which takes a file too: a third is left for all else.
fn limits(service: &ServiceConfig) -> Limits {
    let asked = service.max_connections.get() as usize;
    let limits = Limits { connections: asked, one_file_in: 3, head: service.head_timeout.duration() };
    let (files, connections) = (allowed_files(), limits.connections_of(allowed_files()));
    if connections < asked {
        tracing::warn!(
            connections,
            files,
            "the push gateway has fewer connections at once than service.max_connections ({asked}): a third of the files that the process \
             may open. Raise that limit (ulimit -n, LimitNOFILE=), or lower the setting"
        );
    }
    limits
}

fn method_router(route: Arc<Route>) -> MethodRouter {
    let cors = route.cors.as_ref().map(cors_layer);
    let method_router = any(handle).with_state(route);
    match cors {
        Some(cors) => method_router.layer(cors),
        None => method_router,
    }
}

/// A browser may send any header: none of them lets anybody in but the API key.
fn cors_layer(cors: &Cors) -> CorsLayer {
    let origins = if cors.origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(cors.origins.iter().filter_map(|origin| origin.parse().ok()))
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list([axum::http::header::RETRY_AFTER]))
        .max_age(cors.max_age.duration())
}

async fn no_such_path(State(paths): State<Arc<[String]>>, uri: Uri) -> Response {
    let refused = Refused::new(StatusCode::NOT_FOUND, None, format!("no pipeline has the path {}", uri.path()));
    Refused { paths: Some(paths.to_vec()), ..refused }.into_response()
}

async fn handle(State(route): State<Arc<Route>>, request: axum::extract::Request) -> Response {
    if request.method() != Method::POST {
        return Refused::new(StatusCode::METHOD_NOT_ALLOWED, None, "records are sent with POST").into_response();
    }
    let (head, body) = request.into_parts();
    route.serve(&head, body).await
}

/// The push gateway, listening.
#[derive(Debug)]
pub(crate) struct Serving {
    address: SocketAddr,
    task: JoinHandle<()>,
    shutdown: Shutdown,
}

impl Serving {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all requests are answered, after the shutdown; those that take too long are broken off.
    pub(crate) async fn ended(mut self) {
        self.shutdown.requested().await;
        if timeout(GRACE, &mut self.task).await.is_err() {
            tracing::warn!("requests to the push gateway were broken off");
            self.task.abort();
        }
    }
}
