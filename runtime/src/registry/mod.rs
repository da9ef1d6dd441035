//! The schema registry: any that speaks Confluent's API.

mod fault;
mod references;
mod subjects;

pub use subjects::SubjectVersion;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_model::{Code, Fault, Result, Schema};
use reqwest::Url;
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id, post_schema};
use schema_registry_converter::schema_registry_common::{RegisteredSchema, SchemaType, SuppliedSchema};

use crate::project::RegistryConfig;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of a schema registry. Clones share one cache.
///
/// What a registry answers for an id, and for a schema under a subject, never changes, so each is asked for once. That an id
/// is unknown may change, and is asked for again.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Shared>);

/// A subject and the text of a schema under it.
type Registration = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Shared {
    settings: SrSettings,
    /// The addresses without user and password, for messages.
    address: String,
    schemas: Mutex<HashMap<u32, Arc<str>>>,
    ids: Mutex<HashMap<Registration, u32>>,
}

impl Registry {
    /// A client of the registry at `config.url`, or at several addresses with commas between them, which are tried in
    /// turn. User and password may stand in the address or beside it.
    ///
    /// # Errors
    /// [`Code::RegistryUnavailable`], for an operator, when the address is no address. There is no I/O.
    pub fn new(config: &RegistryConfig) -> Result<Self> {
        let mut credentials =
            config.username.clone().map(|user| (user, config.password.as_ref().map(|password| password.reveal().to_owned())));
        let mut addresses = Vec::new();
        for address in config.url.split(',') {
            let (address, inline) = without_credentials(address.trim())?;
            credentials = credentials.or(inline);
            addresses.push(address);
        }
        let settings = settings(&addresses, credentials.as_ref())?;
        let address = addresses.join(", ");
        Ok(Self(Arc::new(Shared { settings, address, schemas: Mutex::default(), ids: Mutex::default() })))
    }

    /// The text of the schema of that id, with what it refers to put in place; `None` when the registry has none.
    ///
    /// # Errors
    /// [`Code::RegistryUnavailable`]: passing when the registry can't be reached or is in trouble, for an operator when
    /// it refuses the credentials or is no registry. [`Code::SchemaUnsupported`] for a schema that is not Avro,
    /// [`Code::SchemaInvalid`] for one that is broken, or refers to one that is gone: no record of it can be read.
    pub async fn schema(&self, id: u32) -> Result<Option<Arc<str>>> {
        if let Some(known) = lock(&self.0.schemas).get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        // Registries number schemas by Java's int, and answer a larger number as they answer a wrong path.
        if i32::try_from(id).is_err() {
            return Ok(None);
        }
        let registered = match get_schema_by_id(id, &self.0.settings).await {
            Ok(registered) => registered,
            Err(error) if fault::is_unknown(&error) => return Ok(None),
            Err(error) => return Err(fault::of(&error, &format!("schema {id} can't be read from the registry at {}", self.0.address))),
        };
        let text: Arc<str> = self.whole(registered).await?.into();
        lock(&self.0.schemas).insert(id, Arc::clone(&text));
        Ok(Some(text))
    }

    /// The id of `schema` under `subject`, registered there if it is not yet.
    ///
    /// # Errors
    /// [`Code::RegistryRefused`], for an operator, when the registry does not take the schema; else as for
    /// [`Registry::schema`].
    pub async fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        let key: Registration = (subject.into(), schema.text().into());
        if let Some(known) = lock(&self.0.ids).get(&key) {
            return Ok(*known);
        }
        let supplied = SuppliedSchema::new(Some(schema.name()), SchemaType::Avro, schema.text().to_owned());
        let registered = post_schema(&self.0.settings, subject.to_owned(), supplied).await;
        let id = registered.map_err(|error| fault::of_register(&error, subject, &self.0.address))?.id;
        lock(&self.0.ids).insert(key, id);
        Ok(id)
    }

    async fn whole(&self, registered: RegisteredSchema) -> Result<String> {
        if registered.schema_type != SchemaType::Avro {
            let kind = &registered.schema_type;
            return Err(Fault::operator(Code::SchemaUnsupported, format!("schema {} is {kind:?}, not Avro", registered.id)));
        }
        if registered.references.is_empty() {
            return Ok(registered.schema);
        }
        references::whole(&self.0.settings, &self.0.address, registered).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Credentials = (String, Option<String>);

/// An address may carry a password, which must get into no message.
fn without_credentials(address: &str) -> Result<(String, Option<Credentials>)> {
    let refused = || Fault::operator(Code::RegistryUnavailable, "registry.url is not an address such as http://localhost:8081");
    let mut url = Url::parse(address).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused());
    }
    let password = url.password().map(decoded);
    let credentials = (!url.username().is_empty()).then(|| (decoded(url.username()), password));
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| refused())?;
    Ok((url.as_str().trim_end_matches('/').to_owned(), credentials))
}

/// Percent-encoding undone, as it stands in the user and password of an address.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn settings(addresses: &[String], credentials: Option<&Credentials>) -> Result<SrSettings> {
    let first = addresses.first().cloned().unwrap_or_default();
    let mut builder = SrSettings::new_builder(first);
    for address in addresses.iter().skip(1) {
        builder.add_url(address.clone());
    }
    if let Some((user, password)) = credentials {
        builder.set_basic_authorization(user, password.as_deref());
    }
    let settings = builder.set_timeout(TIMEOUT).build();
    settings.map_err(|error| fault::of(&error, "the registry's client can't be set up"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Secret;

    fn config(url: &str) -> RegistryConfig {
        RegistryConfig { url: url.to_owned(), ..RegistryConfig::default() }
    }

    #[test]
    fn a_password_in_the_address_gets_into_no_message() {
        let registry = Registry::new(&config("http://user:s%40cret@localhost:8081/,http://other:8081")).expect("is an address");
        assert_eq!(registry.0.address, "http://localhost:8081, http://other:8081");
        assert!(!format!("{registry:?}").contains("cret"));
        assert_eq!(without_credentials("http://user:s%40cret@h").expect("parses").1, Some(("user".to_owned(), Some("s@cret".to_owned()))));
    }

    #[test]
    fn a_password_beside_the_address_gets_into_no_message() {
        let registry =
            RegistryConfig { username: Some("user".into()), password: Some(Secret::new("secret")), ..config("http://localhost") };
        assert!(!format!("{:?}", Registry::new(&registry).expect("is an address")).contains("secret"));
    }

    #[test]
    fn what_is_no_address_is_for_an_operator_to_mend() {
        for url in ["", "localhost:8081", "ftp://user:secret@h", "http://"] {
            let fault = Registry::new(&config(url)).expect_err("is no address");
            assert_eq!(fault.retry(), millrace_model::Retry::Operator);
            assert!(!fault.to_string().contains("secret"));
        }
    }
}
