//! A proxy before the registry that can answer in its place: with errors, or with what no registry says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use millrace_tests::service::free_address;
use reqwest::Client;
use tokio::net::TcpListener;

const LIMIT: usize = 16 << 20;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Manner {
    /// By the registry.
    Honest,
    /// With status 500.
    Broken,
    /// With status 200 and what is no answer: a page, a cut-off document, a document of another shape.
    Wrong,
}

/// The proxy.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    /// Where it listens, as `host:port`.
    pub(crate) address: String,
    state: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: Client,
    manner: AtomicU8,
    /// How many requests it has answered itself.
    made_up: AtomicU64,
}

impl Scripted {
    /// Before the registry at `upstream`, as `http://host:port`.
    pub(crate) async fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind(free_address()).await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (manner, made_up) = (AtomicU8::new(Manner::Honest as u8), AtomicU64::new(0));
        let state = Arc::new(Shared { upstream: upstream.to_owned(), client: Client::new(), manner, made_up });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("the proxy of the registry serves") });
        Self { address, state }
    }

    pub(crate) fn answers(&self, manner: Manner) {
        self.state.manner.store(manner as u8, Ordering::SeqCst);
    }

    pub(crate) fn made_up(&self) -> u64 {
        self.state.made_up.load(Ordering::SeqCst)
    }
}

async fn answer(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let manner = state.manner.load(Ordering::SeqCst);
    if manner == Manner::Honest as u8 {
        return pass(&state, request).await.unwrap_or_else(|| StatusCode::BAD_GATEWAY.into_response());
    }
    let number = state.made_up.fetch_add(1, Ordering::SeqCst);
    if manner == Manner::Broken as u8 { broken() } else { wrong(number) }
}

async fn pass(state: &Shared, request: Request) -> Option<Response> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let body: Bytes = to_bytes(body, LIMIT).await.ok()?;
    let mut forward = state.client.request(head.method, format!("{}{path}", state.upstream)).body(body);
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = head.headers.get(&name) {
            forward = forward.header(name, value);
        }
    }
    let answer = forward.send().await.ok()?;
    let (status, kind) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
    let mut response = (status, answer.bytes().await.ok()?).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Some(response)
}

fn broken() -> Response {
    let said = r#"{"error_code":50001,"message":"Error in the backend data store"}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, CONTENT_TYPE)], said).into_response()
}

fn wrong(number: u64) -> Response {
    let said = ["<html><body>It works!</body></html>", r#"{"schema":"{\"type\":\"rec"#, r#"{"status":"ok"}"#][(number % 3) as usize];
    (StatusCode::OK, [(header::CONTENT_TYPE, CONTENT_TYPE)], said).into_response()
}
