//! What the gateway takes, for its senders: an OpenAPI document (3.1) made from the project, and a page of it for people.

use serde_json::{Map, Value, json};

use super::body::TAKEN;

/// What is told of one path.
pub(super) struct Described<'a> {
    pub(super) path: &'a str,
    pub(super) pipeline: &'a str,
    pub(super) topic: &'a str,
    /// The JSON Schema of one record.
    pub(super) record: Value,
    pub(super) max_body: usize,
    /// Whether a request must bring a key.
    pub(super) closed: bool,
}

/// The document of all paths.
pub(super) fn document(paths: &[Described<'_>]) -> Value {
    let operations: Map<String, Value> = paths.iter().map(|path| (path.path.to_owned(), json!({ "post": operation(path) }))).collect();
    let mut schemas: Map<String, Value> = paths.iter().map(|path| (name(path), path.record.clone())).collect();
    schemas.insert("Answer".to_owned(), answer());
    schemas.insert("Refusal".to_owned(), refusal());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Millrace push gateway", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT },
        "paths": operations,
        "components": {
            "schemas": schemas,
            "responses": responses(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
        },
    })
}

const ABOUT: &str = "Records into Kafka. A request is answered when its records are durable; they become visible together. A body may be compressed by gzip or zstd.";

/// The name of a path's record among the schemas: pipelines have one each.
fn name(path: &Described<'_>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    format!("records.{}", path.pipeline.chars().map(plain).collect::<String>())
}

fn operation(path: &Described<'_>) -> Value {
    let mut operation = json!({
        "operationId": name(path),
        "summary": format!("Records for the topic {}", path.topic),
        "description": format!("By the pipeline {}. A body has at most {} bytes, also when its compression is taken off.", path.pipeline, path.max_body),
        "parameters": parameters(),
        "requestBody": { "required": true, "content": content(&format!("#/components/schemas/{}", name(path))) },
        "responses": {
            "200": said("Every record was accepted.", "Answer"),
            "207": said("Some records were accepted; errors says which were not, and why. They are dead letters.", "Answer"),
            "422": {
                "description": "No record was accepted, or the request as a whole can't be read.",
                "content": { "application/json": { "schema": { "anyOf": [reference("Answer"), reference("Refusal")] } } },
            },
        },
    });
    for status in ["400", "413", "415", "429", "503"] {
        operation["responses"][status] = json!({ "$ref": format!("#/components/responses/{status}") });
    }
    if path.closed {
        operation["responses"]["401"] = json!({ "$ref": "#/components/responses/401" });
        operation["security"] = json!([{ "bearer": [] }, { "apiKey": [] }]);
    }
    operation
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn said(description: &str, schema: &str) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": reference(schema) } } })
}

fn parameters() -> Value {
    let text = json!({ "type": "string" });
    json!([
        {
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            "description": "A request that is repeated with its key is written once and gets the first answer.",
        },
        { "name": "subject", "in": "query", "schema": text, "description": "The registry's subject of a bare Avro value." },
        { "name": "version", "in": "query", "schema": { "type": "integer", "minimum": 1 }, "description": "The version of that subject; the latest without it." },
        { "name": "traceparent", "in": "header", "schema": text, "description": "The trace that the records belong to (W3C Trace Context)." },
    ])
}

fn content(record: &str) -> Map<String, Value> {
    let of = |media: &str| match media {
        "application/json" => json!({ "schema": { "anyOf": [{ "$ref": record }, { "type": "array", "items": { "$ref": record } }] } }),
        "application/x-ndjson" => json!({ "schema": { "type": "string", "description": "One record on each line." } }),
        "application/cloudevents+json" => json!({ "schema": event(record) }),
        "application/cloudevents-batch+json" => json!({ "schema": { "type": "array", "items": event(record) } }),
        _ => json!({ "schema": { "description": "Avro: one value, framed or with its subject, or a container file." } }),
    };
    TAKEN.iter().map(|media| ((*media).to_owned(), of(media))).collect()
}

fn event(record: &str) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    json!({
        "type": "object",
        "required": ["id", "source", "specversion", "type"],
        "properties": {
            "id": text, "source": text, "type": text, "specversion": { "const": "1.0" },
            "time": { "type": "string", "format": "date-time" }, "data": { "$ref": record },
        },
    })
}

fn answer() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["accepted", "rejected", "errors"],
        "properties": {
            "accepted": count,
            "rejected": count,
            "errors": { "type": "array", "items": {
                "type": "object",
                "required": ["index", "code", "reason"],
                "properties": {
                    "index": { "type": "integer", "minimum": 0, "description": "The record's place in the request, from 0." },
                    "code": { "type": "string", "pattern": "^MR[0-9]{4}$" },
                    "field": { "type": "string" },
                    "reason": { "type": "string" },
                },
            } },
            "errors_left_out": count,
        },
    })
}

fn refusal() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "reason"],
                "properties": { "code": { "type": ["string", "null"], "pattern": "^MR[0-9]{4}$" }, "reason": { "type": "string" } },
            },
        },
    })
}

/// The refusals that every path may give.
fn responses() -> Value {
    let mut responses = json!({
        "400": said("The body is empty, or not what its headers say.", "Refusal"),
        "401": said("The request has no API key that the path takes.", "Refusal"),
        "408": said("The body did not arrive in time: nothing was written.", "Refusal"),
        "413": said("The body, or one record in it, is over the limit: nothing was written.", "Refusal"),
        "415": said("The body's type or compression is not taken.", "Refusal"),
        "429": said("The path's rate or room is used up: nothing was written.", "Refusal"),
        "503": said("Kafka or the registry is away, or the owner of the Idempotency-Key is changing.", "Refusal"),
    });
    for status in ["429", "503"] {
        responses[status]["headers"] =
            json!({ "Retry-After": { "description": "Seconds to wait.", "schema": { "type": "integer", "minimum": 0 } } });
    }
    responses
}

/// The paths on a page for people, which needs nothing else.
pub(super) fn page(paths: &[Described<'_>]) -> String {
    let sections: String = paths.iter().map(section).collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Millrace push gateway</title><style>{STYLE}</style>\
         <h1>Millrace push gateway</h1><p>{ABOUT}</p><p>For machines: <a href=\"/openapi.json\">openapi.json</a></p>{sections}</html>"
    )
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
                     table{border-collapse:collapse}th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #ddd;vertical-align:top}\
                     pre{background:#f4f4f4;padding:.7rem;overflow:auto}";

fn section(path: &Described<'_>) -> String {
    let required: Vec<&str> = path.record["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let row = |(field, schema): (&String, &Value)| {
        let need = if required.contains(&field.as_str()) { "required" } else { "" };
        let doc = schema["description"].as_str().unwrap_or_default();
        format!("<tr><td>{}</td><td>{}</td><td>{need}</td><td>{}</td></tr>", escaped(field), escaped(&type_of(schema)), escaped(doc))
    };
    let rows: String = path.record["properties"].as_object().into_iter().flatten().map(row).collect();
    let key = if path.closed { " -H 'X-API-Key: …'" } else { "" };
    let (name, topic) = (escaped(path.path), escaped(path.topic));
    format!(
        "<h2>POST {name}</h2><p>Records for the topic {topic}, at most {} bytes a request{}.</p>\
         <pre>curl -H 'Content-Type: application/json'{key} -d @record.json http://HOST{name}</pre><table><tr><th>field</th><th>type</th><th></th><th></th></tr>{rows}</table>",
        path.max_body,
        if path.closed { "; an API key is needed" } else { "" },
    )
}

fn type_of(schema: &Value) -> String {
    let name = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        one => one.as_str().unwrap_or_default().to_owned(),
    };
    match schema["format"].as_str() {
        Some(format) => format!("{name} ({format})"),
        None => name,
    }
}

/// Names and texts of the project, as text and nothing else.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(closed: bool) -> Described<'static> {
        let record = json!({ "type": "object", "required": ["id"], "properties": {
            "id": { "type": "integer", "format": "int64", "description": "<b>number</b>" },
        } });
        Described { path: "/orders", pipeline: "web", topic: "orders", record, max_body: 1024, closed }
    }

    #[test]
    fn every_path_says_what_it_takes_and_whether_it_wants_a_key() {
        let document = document(&[described(true)]);
        let post = &document["paths"]["/orders"]["post"];
        assert_eq!(post["security"], json!([{ "bearer": [] }, { "apiKey": [] }]));
        assert_eq!(post["requestBody"]["content"]["application/json"]["schema"]["anyOf"][0]["$ref"], "#/components/schemas/records.web");
        assert_eq!(document["components"]["schemas"]["records.web"]["required"], json!(["id"]));
        let open = super::document(&[described(false)]);
        assert_eq!(open["paths"]["/orders"]["post"]["security"], Value::Null);
    }

    #[test]
    fn the_page_shows_texts_as_they_are_written() {
        let page = page(&[described(false)]);
        assert!(page.contains("POST /orders") && page.contains("&lt;b&gt;number") && !page.contains("<b>number"), "{page}");
    }
}
