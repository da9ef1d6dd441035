//! The reference of job I2: an HTTP server that parses the JSON of a request and does nothing with it, on the same server library and
//! with the same runtime as the gateway. What no gateway on them can pass.

use std::io::Write as _;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Part;

pub(crate) const PART: Part = Part { name: "parse", run: parse };

/// Says its address, and serves until it is ended.
fn parse(_: &[String]) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        Ok(axum::serve(listener, Router::new().route("/orders", post(async |Json(record): Json<Value>| parsed(&record)))).await?)
    })
}

/// Answers as the gateway does.
fn parsed(record: &Value) -> Json<Value> {
    Json(json!({ "accepted": usize::from(record.is_object()), "rejected": 0, "errors": [] }))
}
