//! A registry behind TLS, with certificates of an authority of its own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use millrace_devkit::registry::Running;
use millrace_model::{Code, Retry};
use millrace_runtime::project::{ProjectPath, RegistryConfig};
use millrace_runtime::registry::Registry;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use super::{client_of, loopback, registry};

/// An authority, a certificate of `localhost`, and one of a client, each with its key.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().expect("a folder"));
        made.openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Authority -keyout ca.key -out ca.pem");
        std::fs::write(made.0.path().join("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("is written");
        for name in ["server", "client"] {
            made.openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
            let sign = "x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san";
            made.openssl(&format!("{sign} -in {name}.csr -out {name}.pem"));
        }
        made
    }

    fn openssl(&self, arguments: &str) {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(self.0.path()).output().expect("openssl can be started");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> ProjectPath {
        ProjectPath::new(self.0.path().join(name))
    }
}

/// Puts TLS before the registry; with `mutual` it asks for the client's certificate. Returns its address.
async fn front(certificates: &Certificates, registry: &Running, mutual: bool) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(server(certificates.0.path(), mutual)));
    let listener = TcpListener::bind(loopback()).await.expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    let behind = registry.addr();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that turns away is what these tests are about.
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(behind).await.expect("the registry listens");
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok();
            });
        }
    });
    format!("https://localhost:{port}")
}

fn server(folder: &Path, mutual: bool) -> ServerConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().expect("has versions");
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).expect("is PEM")).expect("is a certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().expect("has an authority");
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("is PEM");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("is PEM");
    builder.with_single_cert(vec![certificate], key).expect("the key is the certificate's")
}

async fn reaches(config: RegistryConfig) {
    assert_eq!(client_of(config).schema(987_654).await.expect("is answered"), None);
}

async fn is_refused(config: RegistryConfig, told: &str) {
    let fault = client_of(config).schema(987_654).await.expect_err("the handshake fails");
    assert_eq!((fault.code(), fault.retry()), (Code::RegistryUnavailable, Retry::Operator), "{fault}");
    assert!(fault.to_string().contains(told), "{fault}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let (certificates, running) = (Certificates::new(), registry().await);
    let url = front(&certificates, &running, false).await;
    reaches(RegistryConfig { url: url.clone(), ca: Some(certificates.path("ca.pem")), ..RegistryConfig::default() }).await;
    is_refused(RegistryConfig { url, ..RegistryConfig::default() }, "registry.ca").await;
}

#[tokio::test]
async fn a_registry_that_asks_for_a_certificate_gets_it() {
    let (certificates, running) = (Certificates::new(), registry().await);
    let url = front(&certificates, &running, true).await;
    let without = RegistryConfig { url, ca: Some(certificates.path("ca.pem")), ..RegistryConfig::default() };
    let (certificate, key) = (Some(certificates.path("client.pem")), Some(certificates.path("client.key")));
    reaches(RegistryConfig { certificate: certificate.clone(), key, ..without.clone() }).await;
    is_refused(without.clone(), "registry.certificate").await;
    let others = RegistryConfig { certificate, key: Some(certificates.path("server.key")), ..without };
    let fault = Registry::new(&others).expect_err("the key is another's");
    assert!(fault.to_string().contains("registry.key") && !fault.to_string().contains("BEGIN"), "{fault}");
}
