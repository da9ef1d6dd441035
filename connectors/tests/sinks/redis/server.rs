//! Servers of the tests' own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_connectors::redis::Config;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, cmd};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::store::connect;

/// A server that is this test's own, with its folder.
pub(crate) struct Server {
    process: Option<Child>,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    settings: Vec<String>,
}

impl Server {
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let port = free.local_addr().expect("has an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings.iter().map(|&word| word.to_owned()).collect();
        let mut server = Self { process: None, folder, port, settings };
        server.restart().await;
        server
    }

    pub(crate) async fn restart(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir"]).arg(self.folder.path()).args(&self.settings);
        self.process = Some(command.stdout(Stdio::null()).spawn().expect("redis-server is installed; scripts/setup.sh test installs it"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL.
    pub(crate) fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("is killed");
            process.wait().expect("ends");
        }
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionAddr::Tcp("127.0.0.1".into(), self.port).into_connection_info().expect("is an address")
    }

    pub(crate) async fn client(&self) -> MultiplexedConnection {
        connect(&self.info(), 0).await
    }

    /// Runs a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.client().await).await.expect("the command runs")
    }

    pub(crate) fn config(&self, durable: bool) -> Config {
        serde_json::from_value(serde_json::json!({ "host": "127.0.0.1", "port": self.port, "durable": durable })).expect("reads")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}
