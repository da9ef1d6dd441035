//! The versions of subjects.

use millrace_runtime::registry::SubjectVersion;
use serde_json::json;

use super::{any_registry, schema, unused_subject};

#[tokio::test]
async fn versions_count_up_and_the_latest_is_known() {
    let (registry, _running) = any_registry().await;
    let subject = unused_subject("versions");
    let first = schema(&subject, &json!([{"name": "a", "type": "string"}]));
    assert_eq!(registry.version(&subject, None).await.expect("is answered"), None);
    assert_eq!(registry.version_of(&subject, &first).await.expect("is answered"), None);
    let first_id = registry.register(&subject, &first).await.expect("is registered");
    let second = schema(&subject, &json!([{"name": "a", "type": "string"}, {"name": "b", "type": ["null", "int"], "default": null}]));
    let second_id = registry.register(&subject, &second).await.expect("is registered");
    let SubjectVersion { id, version, schema: text } = registry.version(&subject, None).await.expect("is answered").expect("there is one");
    assert_eq!((id, version), (second_id, 2));
    assert_eq!(&serde_json::from_str::<serde_json::Value>(&text).expect("is JSON"), second.avro());
    assert_eq!(registry.version_of(&subject, &first).await.expect("is answered"), Some(1));
    assert_eq!(registry.version_of_id(&subject, first_id).await.expect("is answered"), Some(1));
    assert_eq!(registry.version_of_id(&subject, second_id).await.expect("is answered"), Some(2));
}

#[tokio::test]
async fn a_schema_of_another_subject_has_no_version_here() {
    let (registry, _running) = any_registry().await;
    let (here, elsewhere) = (unused_subject("here"), unused_subject("elsewhere"));
    registry.register(&here, &schema(&here, &json!([{"name": "a", "type": "int"}]))).await.expect("is registered");
    let id = registry.register(&elsewhere, &schema(&elsewhere, &json!([{"name": "b", "type": "int"}]))).await.expect("is registered");
    assert_eq!(registry.version_of_id(&here, id).await.expect("is answered"), None);
    assert_eq!(registry.version_of_id(&here, 987_654).await.expect("is answered"), None);
}
