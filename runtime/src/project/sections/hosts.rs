//! Where a server is: one host or several that stand in for each other.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// The hosts of one system, each by itself or with a port: `db1`, `db1:5433`, `[::1]:5433`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

/// A host, and the port where it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// The host's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Hosts {
    /// One host, or several with commas between them.
    ///
    /// # Errors
    /// What is wrong with the text, for its author.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(|host| Host::parse(host.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// Each host with its port, `usual` where it names none, in their order.
    pub fn addresses(&self, usual: u16) -> Vec<HostAddress> {
        self.0.iter().map(|host| HostAddress { host: host.name.clone(), port: host.port.unwrap_or(usual) }).collect()
    }
}

/// One host, as it is.
impl From<&str> for Hosts {
    fn from(host: &str) -> Self {
        Self(vec![Host { name: host.to_owned(), port: None }])
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, rest)) => (address, Some(rest.strip_prefix(':').ok_or_else(|| format!("`{text}` has no port after `]`"))?)),
            // An address of IPv6 without brackets has no port.
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
        };
        if name.is_empty() {
            return Err("a host is empty".to_owned());
        }
        let port = port.map(|port| port.parse().map_err(|_| format!("`{port}` of `{text}` is no port"))).transpose()?;
        Ok(Self { name: name.to_owned(), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.name.contains(':') => write!(f, "[{}]:{port}", self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&each.join(","))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

struct HostsVisitor;

impl<'de> Visitor<'de> for HostsVisitor {
    type Value = Hosts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host, or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Hosts, E> {
        Hosts::parse(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Hosts, A::Error> {
        let mut hosts = Vec::new();
        while let Some(item) = items.next_element::<Cow<'_, str>>()? {
            hosts.extend(Hosts::parse(&item).map_err(A::Error::custom)?.0);
        }
        if hosts.is_empty() { Err(A::Error::custom("there is no host")) } else { Ok(Hosts(hosts)) }
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HostsVisitor)
    }
}

impl JsonSchema for Hosts {
    fn schema_name() -> Cow<'static, str> {
        "Hosts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn places(value: serde_json::Value) -> Result<Vec<String>, String> {
        let hosts: Hosts = from_value(value).map_err(|error| error.to_string())?;
        Ok(hosts.addresses(5432).iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_host_or_several_as_a_text_or_a_list() {
        assert_eq!(places(json!("db1")), Ok(vec!["db1:5432".into()]));
        assert_eq!(places(json!("db1, db2:5433")), Ok(vec!["db1:5432".into(), "db2:5433".into()]));
        assert_eq!(places(json!(["db1:1", "[::1]:2", "::1"])), Ok(vec!["db1:1".into(), "[::1]:2".into(), "[::1]:5432".into()]));
    }

    #[test]
    fn what_is_no_host_is_told() {
        assert!(places(json!("db1,")).expect_err("empty").contains("a host is empty"));
        assert!(places(json!("db1:x")).expect_err("no port").contains("`x` of `db1:x` is no port"));
        assert!(places(json!([])).expect_err("none").contains("there is no host"));
    }

    #[test]
    fn hosts_are_shown_as_they_were_written() {
        assert_eq!(Hosts::parse("db1,[::1]:5433").expect("hosts").to_string(), "db1,[::1]:5433");
    }
}
