//! The schema registry: any that speaks Confluent's API.

mod endpoints;
mod fault;
mod level;
mod naming;
mod references;
mod subjects;
mod version_ids;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_model::{Code, Fault, Result, Schema};
use schema_registry_converter::async_impl::schema_registry::{get_schema_by_id, post_schema};
use schema_registry_converter::schema_registry_common::{RegisteredSchema, SchemaType, SuppliedSchema};

pub use level::Level;
pub use naming::{Part, Subjects};
pub use subjects::SubjectVersion;

use crate::project::RegistryConfig;
use crate::resilience::Link;
use endpoints::Endpoints;

/// A client of a schema registry. Clones share one cache.
///
/// What a registry answers for an id, and for a schema under a subject, never changes, so each is asked for once. That an id
/// is unknown may change, and is asked for again.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    subjects: Subjects,
    registering: Registering,
}

/// What comes of registering a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registering {
    /// It is registered.
    Done,
    /// The registry is asked whether it would take it.
    Asked,
}

/// What stands for the id of a schema that would be registered: none has it.
const NO_ID: u32 = 0;

/// A subject and the text of a schema under it.
type Registration = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Shared {
    endpoints: Endpoints,
    schemas: Mutex<HashMap<u32, Arc<str>>>,
    ids: Mutex<HashMap<Registration, u32>>,
    version_ids: Mutex<version_ids::Known>,
}

impl Registry {
    /// A client of the registry at `config.url`, or at several addresses with commas between them, which are tried in
    /// turn. User and password may stand in the address or beside it.
    ///
    /// # Errors
    /// [`Code::RegistryUnavailable`], for an operator, when the address is no address, or a file of certificates can't be
    /// used. No connection is made.
    pub fn new(config: &RegistryConfig) -> Result<Self> {
        let endpoints = Endpoints::new(config)?;
        let shared = Shared { endpoints, schemas: Mutex::default(), ids: Mutex::default(), version_ids: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), subjects: Subjects::declared(config, &BTreeMap::new()), registering: Registering::Done })
    }

    /// The way to the registry.
    pub fn link(&self) -> &Link {
        &self.shared.endpoints.link
    }

    /// Asks whether the registry is there.
    ///
    /// # Errors
    /// As for [`Registry::schema`].
    pub async fn probe(&self) -> Result<()> {
        let asked = self.shared.endpoints.probe().await;
        asked.map_err(|failure| fault::of(failure, &format!("the registry at {} can't be asked", self.address())))
    }

    /// The same client, by which subjects are named so.
    #[must_use]
    pub fn with_subjects(self, subjects: Subjects) -> Self {
        Self { subjects, ..self }
    }

    /// The same client, which registers nothing: it asks whether the registry would take a schema, for rehearsals.
    #[must_use]
    pub fn rehearsing(&self) -> Self {
        Self { registering: Registering::Asked, ..self.clone() }
    }

    /// The subject of the schema of a part of `topic`'s records.
    pub fn subject_of(&self, topic: &str, part: Part, schema: &Schema) -> String {
        self.subjects.of(topic, part, schema)
    }

    /// The text of the schema of that id, with what it refers to put in place; `None` when the registry has none.
    ///
    /// # Errors
    /// [`Code::RegistryUnavailable`]: passing when the registry can't be reached or is in trouble, for an operator when
    /// it refuses the credentials or is no registry. [`Code::SchemaUnsupported`] for a schema that is not Avro,
    /// [`Code::SchemaInvalid`] for one that is broken, or refers to one that is gone: no record of it can be read.
    pub async fn schema(&self, id: u32) -> Result<Option<Arc<str>>> {
        if let Some(known) = lock(&self.shared.schemas).get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(registered) = self.by_id(id).await? else { return Ok(None) };
        let text: Arc<str> = self.whole(registered).await?.into();
        lock(&self.shared.schemas).insert(id, Arc::clone(&text));
        Ok(Some(text))
    }

    /// The id of `schema` under `subject`, registered there if it is not yet; none at all (0) where nothing is
    /// [registered](Registry::rehearsing).
    ///
    /// # Errors
    /// [`Code::RegistryRefused`], for an operator, when the registry does not take the schema; else as for
    /// [`Registry::schema`].
    pub async fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        let key: Registration = (subject.into(), schema.text().into());
        if let Some(known) = lock(&self.shared.ids).get(&key) {
            return Ok(*known);
        }
        if self.registering == Registering::Asked {
            return self.would_take(subject, schema).await.map(|()| NO_ID);
        }
        let supplied = || SuppliedSchema::new(Some(schema.name()), SchemaType::Avro, schema.text().to_owned());
        let registered = self.shared.endpoints.ask(async |settings| post_schema(settings, subject.to_owned(), supplied()).await).await;
        let id = registered.map_err(|error| fault::of_register(error, subject, self.address()))?.id;
        lock(&self.shared.ids).insert(key, id);
        Ok(id)
    }

    /// Fails as registering the schema would.
    async fn would_take(&self, subject: &str, schema: &Schema) -> Result<()> {
        if self.is_registered(subject, schema).await? || self.takes(subject, schema).await? {
            return Ok(());
        }
        Err(fault::incompatible(subject, self.address()))
    }

    /// The schema of that id as it was registered.
    async fn by_id(&self, id: u32) -> Result<Option<RegisteredSchema>> {
        // Registries number schemas by Java's int, and answer a larger number as they answer a wrong path.
        if i32::try_from(id).is_err() {
            return Ok(None);
        }
        match self.shared.endpoints.ask(async |settings| get_schema_by_id(id, settings).await).await {
            Ok(registered) => Ok(Some(registered)),
            Err(error) if fault::is_unknown(&error) => Ok(None),
            Err(error) => Err(fault::of(error, &format!("schema {id} can't be read from the registry at {}", self.address()))),
        }
    }

    async fn whole(&self, registered: RegisteredSchema) -> Result<String> {
        if registered.schema_type != SchemaType::Avro {
            let kind = &registered.schema_type;
            return Err(Fault::operator(Code::SchemaUnsupported, format!("schema {} is {kind:?}, not Avro", registered.id)));
        }
        if registered.references.is_empty() {
            return Ok(registered.schema);
        }
        references::whole(&self.shared.endpoints, registered).await
    }

    /// The addresses, for messages.
    fn address(&self) -> &str {
        &self.shared.endpoints.address
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
