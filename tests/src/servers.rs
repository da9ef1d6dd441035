//! Where the real servers are; `scripts/services/with-servers.sh` starts them and says so in the environment.

use std::env;

use reqwest::Url;

/// Apache Kafka, a schema registry, PostgreSQL, MariaDB, Redis and Kafka Connect.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Brokers without encryption.
    pub kafka: String,
    /// Brokers that want SASL over TLS.
    pub secure: Secure,
    /// The registry's URL.
    pub registry: String,
    /// The database.
    pub postgres: Url,
    /// MariaDB.
    pub mysql: Url,
    /// Redis.
    pub redis: Url,
    /// The URL of Kafka Connect, which may still be starting.
    pub connect: String,
}

/// Brokers that want SASL over TLS.
#[derive(Debug, Clone)]
pub struct Secure {
    /// As `host:port`.
    pub brokers: String,
    /// The PEM file of the authority.
    pub ca: String,
    /// A user that exists, for PLAIN and SCRAM.
    pub username: String,
    /// The user's password.
    pub password: String,
}

impl Servers {
    /// Those of this test run.
    pub fn of_this_run() -> Self {
        Self {
            kafka: variable("KAFKA"),
            secure: Secure {
                brokers: variable("KAFKA_SASL"),
                ca: variable("KAFKA_SASL_CA"),
                username: variable("KAFKA_SASL_USERNAME"),
                password: variable("KAFKA_SASL_PASSWORD"),
            },
            registry: variable("REGISTRY"),
            postgres: variable("POSTGRES").parse().expect("MILLRACE_TEST_POSTGRES is a URL"),
            mysql: variable("MYSQL").parse().expect("MILLRACE_TEST_MYSQL is a URL"),
            redis: variable("REDIS").parse().expect("MILLRACE_TEST_REDIS is a URL"),
            connect: variable("CONNECT"),
        }
    }
}

fn variable(name: &str) -> String {
    let name = format!("MILLRACE_TEST_{name}");
    env::var(&name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this by `make test`, or scripts/services/with-servers.sh cargo test …"))
}
