//! What a registry knows of subjects: their versions, and whether a schema may follow them.

use millrace_model::{Fault, Result, Schema};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_subjects, get_all_versions, get_schema_by_subject_and_version, is_compatible_schema, perform_sr_call,
};
use schema_registry_converter::schema_registry_common::{SchemaType, SrCall, SuppliedSchema};
use serde_json::{Value, json};

use super::Registry;
use super::fault::{self, Failure};

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectVersion {
    /// Its number in the subject, from 1.
    pub version: u32,
    /// The id of its schema.
    pub id: u32,
    /// The schema's text, with what it refers to put in place.
    pub schema: String,
}

impl Registry {
    /// Every subject, by name.
    pub async fn subjects(&self) -> Result<Vec<String>> {
        let subjects = self.shared.endpoints.ask(get_all_subjects).await;
        let mut subjects = subjects.map_err(|error| self.failed(error, "the subjects can't be listed"))?;
        subjects.sort();
        Ok(subjects)
    }

    /// The versions of `subject` in their order; none when there is no such subject.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        match self.shared.endpoints.ask(async |settings| get_all_versions(settings, subject.to_owned()).await).await {
            Ok(mut versions) => {
                versions.sort_unstable();
                Ok(versions)
            }
            Err(error) if fault::is_no_subject(&error) => Ok(Vec::new()),
            Err(error) => Err(self.failed(error, &format!("the versions of {subject} can't be read"))),
        }
    }

    /// A version of `subject`, or its latest; `None` when there is none.
    ///
    /// # Errors
    /// As [`Registry::schema`].
    pub async fn version(&self, subject: &str, version: Option<u32>) -> Result<Option<SubjectVersion>> {
        let found = self.shared.endpoints.ask(async |settings| get_schema_by_subject_and_version(settings, subject, version).await);
        match found.await {
            Ok(registered) => {
                let (version, id) = (registered.version.or(version).unwrap_or_default(), registered.id);
                Ok(Some(SubjectVersion { version, id, schema: self.whole(registered).await? }))
            }
            Err(error) if fault::is_no_subject(&error) => Ok(None),
            Err(error) => Err(self.failed(error, &format!("{subject} can't be read"))),
        }
    }

    /// Whether `schema` is registered under `subject` already.
    pub async fn is_registered(&self, subject: &str, schema: &Schema) -> Result<bool> {
        Ok(self.version_of(subject, schema).await?.is_some())
    }

    /// Which version of `subject` a schema is; `None` when it is not registered there.
    pub async fn version_of(&self, subject: &str, schema: &Schema) -> Result<Option<u32>> {
        self.looked_up(subject, &json!({ "schema": schema.text(), "schemaType": "AVRO" })).await
    }

    /// Which version of `subject` the schema of that id is; `None` when it is none of it.
    pub async fn version_of_id(&self, subject: &str, id: u32) -> Result<Option<u32>> {
        let Some(registered) = self.by_id(id).await? else { return Ok(None) };
        let references: Value = registered.references.iter().map(|one| json!(one)).collect();
        self.looked_up(subject, &json!({ "schema": registered.schema, "schemaType": "AVRO", "references": references })).await
    }

    async fn looked_up(&self, subject: &str, body: &Value) -> Result<Option<u32>> {
        let body = body.to_string();
        let call = async |settings: &SrSettings| perform_sr_call(settings, SrCall::PostForVersion(subject, &body)).await;
        match self.shared.endpoints.ask(call).await {
            Ok(found) => Ok(found.version),
            Err(error) if fault::is_no_subject(&error) => Ok(None),
            Err(error) => Err(self.failed(error, &format!("{subject} can't be looked up"))),
        }
    }

    /// Whether `schema` may follow the versions of `subject`, by the subject's own rule. Any schema may be the first.
    pub async fn takes(&self, subject: &str, schema: &Schema) -> Result<bool> {
        let supplied = || SuppliedSchema::new(Some(schema.name()), SchemaType::Avro, schema.text().to_owned());
        let asked = self.shared.endpoints.ask(async |settings| is_compatible_schema(settings, subject.to_owned(), supplied()).await);
        match asked.await {
            Ok(compatible) => Ok(compatible),
            Err(error) if fault::is_no_subject(&error) => Ok(true),
            Err(error) => Err(self.failed(error, &format!("the compatibility of {subject} can't be asked"))),
        }
    }

    pub(super) fn failed(&self, failure: Failure, what: &str) -> Fault {
        fault::of(failure, &format!("{what} in the registry at {}", self.address()))
    }
}
