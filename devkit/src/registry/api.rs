//! The paths of the registry.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Json, Refusal};
use super::compatibility::Level;
use super::keep::Kept;
use super::store::{Store, Version};

pub(super) fn router(kept: Kept) -> Router {
    Router::new()
        .route("/", get(async || Json(json!({}))))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_schema))
        .route("/schemas/types", get(async || Json(json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(schema_alone))
        .route("/schemas/ids/{id}/subjects", get(schema_subjects))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/config", get(config).put(set_config))
        .route("/config/{subject}", get(subject_config).put(set_subject_config).delete(reset_config))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible))
        .route("/mode", get(async || Json(json!({ "mode": "READWRITE" }))))
        .fallback(async || Refusal::no_path())
        .method_not_allowed_fallback(async || Refusal::no_method())
        .with_state(kept)
}

/// A schema as clients send it.
#[derive(Deserialize)]
struct Supplied {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Value>,
}

#[derive(Deserialize)]
struct SuppliedLevel {
    compatibility: String,
}

#[derive(Deserialize)]
struct Deletion {
    #[serde(default)]
    permanent: bool,
}

#[derive(Deserialize)]
struct Lookup {
    #[serde(default, rename = "defaultToGlobal")]
    default_to_global: bool,
}

#[derive(Deserialize)]
struct Verbosity {
    #[serde(default)]
    verbose: bool,
}

async fn subjects(State(kept): State<Kept>) -> Json {
    Json(kept.read(|store| json!(store.subjects())))
}

async fn versions(State(kept): State<Kept>, Path(subject): Path<String>) -> Answer {
    kept.read(|store| {
        let numbers: Vec<u32> = store.versions(&subject)?.iter().map(|version| version.number).collect();
        Ok(Json(json!(numbers)))
    })
}

async fn version(State(kept): State<Kept>, Path((subject, version)): Path<(String, String)>) -> Answer {
    kept.read(|store| Ok(described(store, &subject, store.version(&subject, &version)?)))
}

async fn version_schema(State(kept): State<Kept>, Path((subject, version)): Path<(String, String)>) -> Answer {
    kept.read(|store| alone(store, store.version(&subject, &version)?.id))
}

async fn lookup(State(kept): State<Kept>, Path(subject): Path<String>, body: Bytes) -> Answer {
    let schema = supplied(&body)?;
    kept.read(|store| Ok(described(store, &subject, store.lookup(&subject, &schema)?)))
}

async fn register(State(kept): State<Kept>, Path(subject): Path<String>, body: Bytes) -> Answer {
    let schema = supplied(&body)?;
    let id = kept.change(move |store| store.register(&subject, &schema)).await?;
    Ok(Json(json!({ "id": id })))
}

async fn delete_subject(State(kept): State<Kept>, Path(subject): Path<String>, Query(deletion): Query<Deletion>) -> Answer {
    Ok(Json(json!(kept.change(move |store| store.delete(&subject, deletion.permanent)).await?)))
}

async fn delete_version(State(kept): State<Kept>, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(Json(json!(kept.change(move |store| store.delete_version(&subject, &version)).await?)))
}

async fn schema(State(kept): State<Kept>, Path(id): Path<String>) -> Answer {
    kept.read(|store| Ok(Json(json!({ "schema": text(store, known(store, &id)?)? }))))
}

async fn schema_alone(State(kept): State<Kept>, Path(id): Path<String>) -> Answer {
    kept.read(|store| alone(store, known(store, &id)?))
}

async fn schema_subjects(State(kept): State<Kept>, Path(id): Path<String>) -> Answer {
    kept.read(|store| {
        let subjects: Vec<&str> = store.uses(known(store, &id)?).into_iter().map(|(subject, _)| subject).collect();
        Ok(Json(json!(subjects)))
    })
}

async fn schema_versions(State(kept): State<Kept>, Path(id): Path<String>) -> Answer {
    kept.read(|store| {
        let of = |(subject, version)| json!({ "subject": subject, "version": version });
        Ok(Json(store.uses(known(store, &id)?).into_iter().map(of).collect()))
    })
}

async fn config(State(kept): State<Kept>) -> Json {
    Json(kept.read(|store| json!({ "compatibilityLevel": store.common_level() })))
}

async fn subject_config(State(kept): State<Kept>, Path(subject): Path<String>, Query(lookup): Query<Lookup>) -> Answer {
    kept.read(|store| {
        let level = store.own_level(&subject).or(lookup.default_to_global.then(|| store.common_level()));
        Ok(Json(json!({ "compatibilityLevel": level.ok_or_else(|| Refusal::no_config(&subject))? })))
    })
}

async fn set_config(State(kept): State<Kept>, body: Bytes) -> Answer {
    set_level(&kept, None, &body).await
}

async fn set_subject_config(State(kept): State<Kept>, Path(subject): Path<String>, body: Bytes) -> Answer {
    set_level(&kept, Some(subject), &body).await
}

async fn reset_config(State(kept): State<Kept>, Path(subject): Path<String>) -> Answer {
    let level = kept.change(move |store| store.reset_level(&subject)).await?;
    Ok(Json(json!({ "compatibilityLevel": level })))
}

async fn compatible_with_all(
    State(kept): State<Kept>,
    Path(subject): Path<String>,
    Query(verbosity): Query<Verbosity>,
    body: Bytes,
) -> Answer {
    let schema = supplied(&body)?;
    Ok(verdict(kept.read(|store| store.compatible(&subject, None, &schema))?, &verbosity))
}

async fn compatible(
    State(kept): State<Kept>,
    Path((subject, version)): Path<(String, String)>,
    Query(verbosity): Query<Verbosity>,
    body: Bytes,
) -> Answer {
    let schema = supplied(&body)?;
    Ok(verdict(kept.read(|store| store.compatible(&subject, Some(&version), &schema))?, &verbosity))
}

async fn set_level(kept: &Kept, subject: Option<String>, body: &Bytes) -> Answer {
    let SuppliedLevel { compatibility } = from_body(body)?;
    let level: Level = compatibility.parse().map_err(|()| Refusal::invalid_level(&compatibility))?;
    kept.change(move |store| {
        store.set_level(subject.as_deref(), level);
        Ok(())
    })
    .await?;
    Ok(Json(json!({ "compatibility": level })))
}

fn verdict(verdict: Result<(), String>, verbosity: &Verbosity) -> Json {
    let mut answer = json!({ "is_compatible": verdict.is_ok() });
    if verbosity.verbose {
        answer["messages"] = verdict.err().into_iter().collect();
    }
    Json(answer)
}

fn described(store: &Store, subject: &str, version: &Version) -> Json {
    Json(json!({ "subject": subject, "version": version.number, "id": version.id, "schema": store.schema(version.id) }))
}

fn known(store: &Store, id: &str) -> Result<u32, Refusal> {
    let known = id.parse().ok().filter(|id| store.schema(*id).is_some());
    known.ok_or_else(|| Refusal::id_not_found(id))
}

fn text(store: &Store, id: u32) -> Result<&str, Refusal> {
    store.schema(id).ok_or_else(|| Refusal::id_not_found(&id.to_string()))
}

fn alone(store: &Store, id: u32) -> Answer {
    serde_json::from_str(text(store, id)?).map(Json).map_err(|error| Refusal::store(&error.to_string()))
}

fn supplied(body: &Bytes) -> Result<String, Refusal> {
    let Supplied { schema, kind, references } = from_body(body)?;
    match kind.as_deref() {
        None | Some("AVRO") if references.is_empty() => Ok(schema),
        None | Some("AVRO") => Err(Refusal::invalid_schema("the development registry takes no references; send the schema whole")),
        Some(kind) => Err(Refusal::invalid_schema(&format!("the development registry takes Avro, not {kind}"))),
    }
}

fn from_body<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::invalid_body(&error.to_string()))
}
