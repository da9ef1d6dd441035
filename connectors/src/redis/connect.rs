//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::HostAddress;
use millrace_runtime::resilience::{Link, System};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult, TlsCertificates,
    Value, cmd,
};

use super::config::{Config, Tls};
use super::fault::{connect_fault, fault};
use super::server::{self, Server};

/// An answer may take as long as the largest round does: it is one for all of its commands.
static REDIS: System = System {
    name: "Redis",
    kind: "redis",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(15),
    request: Duration::from_mins(1),
};

impl Config {
    /// The way to the server.
    pub fn link(&self) -> &Link {
        self.resilience.link(&REDIS)
    }
}

/// Connects to a server that can be loaded into, with the credentials and to the database of the settings.
pub(super) async fn connect(config: &Config) -> Result<(MultiplexedConnection, Server)> {
    let hosts = config.host.addresses(config.port);
    config.link().connect(&hosts, |host| connect_to(config, host)).await
}

async fn connect_to(config: &Config, host: &HostAddress) -> Result<(MultiplexedConnection, Server)> {
    let client = client(config, host).await?;
    // The link sees to the times.
    let settings = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let connected = client.get_multiplexed_async_connection_with_config(&settings).await;
    let mut connection = connected.map_err(|error| connect_fault(config, host, error))?;
    let server = server::ask(&mut connection).await?;
    server.check(config, host)?;
    Ok((connection, server))
}

/// Makes the smallest request there is, in a session of its own.
pub(super) async fn probe(config: &Config) -> Result<()> {
    let (mut connection, _) = connect(config).await?;
    let answer: RedisResult<Value> = cmd("PING").query_async(&mut connection).await;
    answer.map(drop).map_err(|error| fault("asking whether the server is there", error))
}

async fn client(config: &Config, host: &HostAddress) -> Result<Client> {
    let root_cert = match &config.ca {
        Some(ca) if config.tls != Tls::Disable => Some(tokio::fs::read(&**ca).await.map_err(|error| {
            Fault::operator(Code::TargetUnavailable, format!("Redis: `ca`, the file {}, can't be read", ca.display())).because(error)
        })?),
        _ => None,
    };
    of(config, host, root_cert).map_err(|error| connect_fault(config, host, error))
}

fn of(config: &Config, host: &HostAddress, root_cert: Option<Vec<u8>>) -> RedisResult<Client> {
    let info = info(config, host)?;
    if config.tls == Tls::Disable {
        return Client::open(info);
    }
    let client = Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })?;
    if config.tls != Tls::VerifyCa {
        return Ok(client);
    }
    let info = client.get_connection_info();
    let mut address = info.addr().clone();
    address.set_danger_accept_invalid_hostnames(true);
    Client::open(info.clone().set_addr(address))
}

fn info(config: &Config, HostAddress { host, port }: &HostAddress) -> RedisResult<ConnectionInfo> {
    let (host, port) = (host.clone(), *port);
    let address = match config.tls {
        Tls::Disable => ConnectionAddr::Tcp(host, port),
        tls => ConnectionAddr::TcpTls { host, port, insecure: tls == Tls::Require, tls_params: None },
    };
    // The library's own name is told by a command that not every user may run.
    let mut settings = RedisConnectionInfo::default().set_db(config.database.into()).set_skip_set_lib_name();
    if let Some(user) = &config.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &config.password {
        settings = settings.set_password(password.reveal());
    }
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}
