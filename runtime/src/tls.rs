//! TLS of clients of HTTP, by rustls.
//!
//! A client of OpenSSL 3 reads the system's authorities twice when it is made, some 40 ms each time, wherever it is to connect to: for a service
//! that is to be ready within 150 ms that is too long.

use std::sync::Arc;

use millrace_model::{Code, Fault, Result};
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore};

/// The certificate by which a client tells who it is, those that vouch for it, and its key.
pub(crate) struct Identity {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Of a client that connects by plain HTTP only: it trusts nobody.
pub fn unused() -> Result<ClientConfig> {
    Ok(trusting(RootCertStore::empty())?.with_no_client_auth())
}

/// Of a client that trusts the system's authorities and `more`.
///
/// # Errors
/// [`Code::Internal`] for an identity whose key is not its certificate's.
pub(crate) fn client(more: Vec<CertificateDer<'static>>, identity: Option<Identity>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // What of the system's can't be read is missed when it is needed.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(more);
    let builder = trusting(roots)?;
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(Identity { certificates, key }) => builder.with_client_auth_cert(certificates, key).map_err(unusable),
    }
}

fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    Ok(builder.map_err(unusable)?.with_root_certificates(roots))
}

/// The error has nothing of the key in it.
fn unusable(error: tokio_rustls::rustls::Error) -> Fault {
    Fault::operator(Code::Internal, "TLS can't be set up").because(error)
}
