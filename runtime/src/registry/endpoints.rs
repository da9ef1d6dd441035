//! The addresses of the registry, how it is told who asks, and the turn to the next address when one does not answer.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use reqwest::{Client, ClientBuilder, Url};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::RawError;
use serde::de::DeserializeOwned;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::fault::{self, Failure};
use crate::project::RegistryConfig;
use crate::resilience::{Link, System};
use crate::tls::{self, Identity};

/// The schema registry.
static REGISTRY: System = System {
    name: "Schema registry",
    kind: "registry",
    unavailable: Code::RegistryUnavailable,
    connect: Duration::from_secs(15),
    request: Duration::from_secs(10),
};

const NO_CLIENT: &str = "the registry's client can't be set up";

/// The registry's addresses, each with a client.
#[derive(Debug)]
pub(super) struct Endpoints {
    each: Vec<Endpoint>,
    pub(super) link: Link,
    /// The addresses without user and password, for messages.
    pub(super) address: String,
}

/// One address, with the client for what its library knows, and one for the rest.
struct Endpoint {
    settings: SrSettings,
    client: Client,
    address: String,
    credentials: Credentials,
}

/// Nothing of who asks.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Clone)]
enum Credentials {
    None,
    Basic(String, Option<String>),
    Bearer(String),
}

impl Endpoints {
    /// Those of `config.url`. Reads the files of certificates; makes no connection.
    pub(super) fn new(config: &RegistryConfig) -> Result<Self> {
        let link = config.resilience.link(&REGISTRY).clone();
        let mut credentials = Credentials::of(config);
        let mut addresses = Vec::new();
        for address in config.url.split(',') {
            let (address, inline) = without_credentials(address.trim())?;
            if let (Credentials::None, Some(inline)) = (&credentials, inline) {
                credentials = inline;
            }
            addresses.push(address);
        }
        let tls = if addresses.iter().any(|address| address.starts_with("https:")) { tls(config)? } else { tls::unused()? };
        let client = || Client::builder().connect_timeout(link.connect_within()).tls_backend_preconfigured(tls.clone());
        let each = addresses.iter().map(|address| Endpoint::new(address, &credentials, client, &link));
        let each = each.collect::<Result<Vec<_>>>()?;
        Ok(Self { each, link, address: addresses.join(", ") })
    }

    /// Asks one address after the other until one answers, and all of them again as the link says. A refusal is an answer; that an
    /// address is away, or in trouble, is none.
    pub(super) async fn ask<T>(&self, call: impl AsyncFn(&SrSettings) -> Result<T, SRCError>) -> Result<T, Failure> {
        let call = &call;
        let asked = self.link.ask(&self.each, |endpoint| async move { fault::answer_of(call(&endpoint.settings).await) }).await;
        asked.map_err(Failure::Trouble)?.map_err(Failure::Refused)
    }

    /// The same of what the library has no call for: what stands at `path`, as JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let asked = self.link.ask(&self.each, |endpoint| async move { fault::answer_of(endpoint.get(path).await) }).await;
        asked.map_err(Failure::Trouble)?.map_err(Failure::Refused)
    }

    /// Asks for the first schema, which each registry has or says that it has not.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        match self.ask(async |settings| get_schema_by_id(1, settings).await).await {
            Err(failure) if fault::is_unknown(&failure) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

impl Endpoint {
    fn new(address: &str, credentials: &Credentials, builder: impl Fn() -> ClientBuilder, link: &Link) -> Result<Self> {
        let settings = settings(address, credentials, builder(), link)?;
        let client = builder().timeout(link.answer_within()).build();
        let client = client.map_err(|error| Fault::operator(Code::RegistryUnavailable, NO_CLIENT).because(error))?;
        Ok(Self { settings, client, address: address.to_owned(), credentials: credentials.clone() })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, SRCError> {
        let request = self.client.get(format!("{}{path}", self.address));
        let request = match &self.credentials {
            Credentials::None => request,
            Credentials::Basic(user, password) => request.basic_auth(user, password.as_deref()),
            Credentials::Bearer(token) => request.bearer_auth(token),
        };
        let away = |error| SRCError::retryable_with_cause(error, "http call to schema registry failed");
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        if status.is_success() {
            let unread = |error| SRCError::non_retryable_with_cause(error, "the registry's answer can't be read");
            return answer.json().await.map_err(unread);
        }
        let refused = format!("HTTP request to schema registry failed with status {status}");
        Err(match answer.json::<RawError>().await {
            Ok(said) => SRCError::non_retryable_with_cause(said, &refused),
            Err(error) => SRCError::non_retryable_with_cause(error, &refused),
        })
    }
}

impl Credentials {
    fn of(config: &RegistryConfig) -> Self {
        match (&config.token, &config.username) {
            (Some(token), _) => Self::Bearer(token.reveal().to_owned()),
            (None, Some(user)) => Self::Basic(user.clone(), config.password.as_ref().map(|password| password.reveal().to_owned())),
            (None, None) => Self::None,
        }
    }
}

fn settings(address: &str, credentials: &Credentials, client: ClientBuilder, link: &Link) -> Result<SrSettings> {
    let mut builder = SrSettings::new_builder(address.to_owned());
    match credentials {
        Credentials::None => {}
        Credentials::Basic(user, password) => {
            builder.set_basic_authorization(user, password.as_deref());
        }
        Credentials::Bearer(token) => {
            builder.set_token_authorization(token);
        }
    }
    let settings = builder.set_timeout(link.answer_within()).build_with(client);
    settings.map_err(|error| fault::of(Failure::Refused(error), NO_CLIENT))
}

/// TLS as the settings say. (The parts are read here, each for its setting's sake.)
fn tls(config: &RegistryConfig) -> Result<ClientConfig> {
    let more = config.ca.as_ref().map(|ca| certificates(ca, "registry.ca")).transpose()?.unwrap_or_default();
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else { return tls::client(more, None) };
    let pair = "registry.certificate and registry.key";
    let (certificates, text) = (certificates(certificate, "registry.certificate")?, read(key, "registry.key")?);
    let identity =
        Identity { certificates, key: PrivateKeyDer::from_pem_slice(&text).map_err(|error| no_pem(key, "registry.key").because(error))? };
    tls::client(more, Some(identity)).map_err(|fault| no_pem(key, pair).because(fault))
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path, setting)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| no_pem(path, setting).because(error))?;
    if found.is_empty() { Err(no_pem(path, setting)) } else { Ok(found) }
}

fn read(path: &Path, setting: &str) -> Result<Vec<u8>> {
    let unreadable =
        |error| Fault::operator(Code::RegistryUnavailable, format!("{setting}: {} can't be read", path.display())).because(error);
    std::fs::read(path).map_err(unreadable)
}

/// The errors of the TLS library, which come with it, have nothing of the key in them.
fn no_pem(path: &Path, setting: &str) -> Fault {
    Fault::operator(Code::RegistryUnavailable, format!("{setting}: {} is not PEM of that kind", path.display()))
}

/// An address may carry a password, which must get into no message.
fn without_credentials(address: &str) -> Result<(String, Option<Credentials>)> {
    let refused = || Fault::operator(Code::RegistryUnavailable, "registry.url is not an address such as http://localhost:8081");
    let mut url = Url::parse(address).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused());
    }
    let password = url.password().map(decoded);
    let credentials = (!url.username().is_empty()).then(|| Credentials::Basic(decoded(url.username()), password));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{ProjectPath, Secret};

    fn config(url: &str) -> RegistryConfig {
        RegistryConfig { url: url.to_owned(), ..RegistryConfig::default() }
    }

    #[test]
    fn a_password_in_the_address_gets_into_no_message() {
        let endpoints = Endpoints::new(&config("http://user:s%40cret@localhost:8081/,http://other:8081")).expect("is an address");
        assert_eq!(endpoints.address, "http://localhost:8081, http://other:8081");
        assert!(!format!("{endpoints:?}").contains("cret"));
        let Some(Credentials::Basic(user, password)) = without_credentials("http://user:s%40cret@h").expect("parses").1 else {
            panic!("has a user")
        };
        assert_eq!((user.as_str(), password.as_deref()), ("user", Some("s@cret")));
    }

    #[test]
    fn a_password_or_token_beside_the_address_gets_into_no_message() {
        let basic = RegistryConfig { username: Some("user".into()), password: Some(Secret::new("secret")), ..config("http://localhost") };
        let bearer = RegistryConfig { token: Some(Secret::new("secret")), ..config("http://localhost") };
        for config in [basic, bearer] {
            assert!(!format!("{:?}", Endpoints::new(&config).expect("is an address")).contains("secret"));
        }
    }

    #[test]
    fn what_is_no_address_is_for_an_operator_to_mend() {
        for url in ["", "localhost:8081", "ftp://user:secret@h", "http://"] {
            let fault = Endpoints::new(&config(url)).expect_err("is no address");
            assert_eq!(fault.retry(), millrace_model::Retry::Operator);
            assert!(!fault.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_certificate_that_can_not_be_used_is_named_by_its_setting() {
        let folder = tempfile::tempdir().expect("a folder");
        let (missing, noise) = (folder.path().join("none.pem"), folder.path().join("noise.pem"));
        std::fs::write(&noise, "no certificate").expect("is written");
        let with = |ca: &Path, key: &Path| RegistryConfig {
            ca: Some(ProjectPath::new(ca)),
            certificate: Some(ProjectPath::new(key)),
            key: Some(ProjectPath::new(key)),
            ..config("https://localhost")
        };
        let fault = Endpoints::new(&with(&missing, &noise)).expect_err("there is no such file");
        assert!(fault.message().contains("registry.ca") && fault.message().contains("none.pem"), "{fault}");
        let identity = RegistryConfig { ca: None, ..with(&missing, &noise) };
        assert!(Endpoints::new(&identity).expect_err("is no certificate").message().contains("registry.certificate"));
    }
}
