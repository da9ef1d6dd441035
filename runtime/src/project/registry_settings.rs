//! What can be wrong with the `registry` section beyond its shape.

use millrace_model::Code;

use super::document::Document;
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::sections::RegistryConfig;

pub(super) fn check(registry: &RegistryConfig, document: &Document, findings: &mut Findings) {
    let mut error = |key: &str, message: &str, help: &str| {
        let finding = Finding::error(Code::ProjectSyntax, message).kind(Kind::Settings).help(help.to_owned());
        findings.push(finding.at(document.locate(["registry", key])));
    };
    if registry.token.is_some() && registry.username.is_some() {
        error("token", "there are a token and a username", "the registry takes one of them: leave the other out");
    }
    if registry.username.is_none() && registry.password.is_some() {
        error("password", "there is a password and no username", "set `username:` or SCHEMA_REGISTRY_USERNAME");
    }
    match (&registry.certificate, &registry.key) {
        (Some(_), None) => error("certificate", "there is a certificate and no key", "set `key:` to the file of its private key"),
        (None, Some(_)) => error("key", "there is a key and no certificate", "set `certificate:` to the file of its certificate"),
        _ => {}
    }
}
