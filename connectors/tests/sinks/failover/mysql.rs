//! Servers of MariaDB of which one follows the other.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_connectors::Connection;
use millrace_connectors::mysql::Config;
use millrace_model::{Offsets, Sink};
use millrace_runtime::project::Hosts;
use serde_json::json;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};
use tempfile::TempDir;

use super::{is_passing, load};
use crate::rows::{append, at, notes, partition};

const PATIENCE: Duration = Duration::from_mins(1);

/// A server that is this test's own, with its folder.
struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts one on a copy of new data.
    fn start(data: &Path, settings: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let port = free.local_addr().expect("has an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let copied = Command::new("cp").arg("-R").arg(data).arg(folder.path().join("data")).status();
        assert!(copied.expect("cp runs").success(), "the data is copied");
        let process = as_this_user("mariadbd")
            .arg(format!("--datadir={}", folder.path().join("data").display()))
            .arg(format!("--socket={}", folder.path().join("socket").display()))
            // One that starts clears the folder of temporary tables, whosever they are.
            .arg(format!("--tmpdir={}", folder.path().display()))
            .arg(format!("--port={port}"))
            .arg(format!("--server-id={port}"))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--log-bin", "--innodb-flush-log-at-trx-commit=0"])
            .args(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { process: process.expect("mariadbd is installed; scripts/setup.sh test installs it"), folder, port }
    }

    /// Runs statements as the user that may do everything, once the server serves.
    async fn execute(&self, sql: &str) {
        let options = MySqlConnectOptions::new().socket(self.folder.path().join("socket")).username("root");
        let mut session = until("the server serves", async || options.connect().await.ok()).await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.expect("the statements run");
        MySqlConnection::close(session).await.expect("ends");
    }

    fn config(&self) -> Config {
        let settings = json!({ "host": "127.0.0.1", "port": self.port, "database": "shop", "user": "loader", "password": "x" });
        serde_json::from_value(settings).expect("reads")
    }

    async fn notes(&self) -> Option<usize> {
        let found = Connection::Mysql(self.config()).query("SELECT id FROM notes").await;
        found.ok().map(|found| found.rows.len())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("is killed");
        self.process.wait().expect("ends");
    }
}

/// A program of MariaDB's, which runs as root only where it is told to.
fn as_this_user(program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("--no-defaults");
    if rustix::process::geteuid().is_root() {
        command.arg("--user=root");
    }
    command
}

/// The data of a server that nobody has used, in a folder.
fn new_data() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let made = as_this_user("mariadb-install-db")
        .arg(format!("--datadir={}", folder.path().display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M"])
        .output()
        .expect("mariadb-install-db is installed; scripts/setup.sh test installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(fs::exists(folder.path().join("mysql")).expect("can be looked at"), "the data is made");
    folder
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server, and one that follows it and is read-only.
async fn pair() -> [Server; 2] {
    let data = new_data();
    let leader = Server::start(data.path(), &[]);
    let follower = Server::start(data.path(), &["--read-only"]);
    // A user that may write to a server that is read-only would not notice.
    let users = "CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE USER loader IDENTIFIED BY 'x'; GRANT ALL ON shop.* TO loader; \
         CREATE USER follower IDENTIFIED BY 'x'; GRANT REPLICATION SLAVE ON *.* TO follower";
    leader.execute(users).await;
    let follow = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'follower', MASTER_PASSWORD = 'x', \
         MASTER_USE_GTID = slave_pos; START SLAVE",
        leader.port
    );
    follower.execute(&follow).await;
    [leader, follower]
}

#[tokio::test]
async fn a_load_passes_a_read_only_server_over_and_goes_on_at_the_one_that_leads_then() {
    let [leader, follower] = pair().await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", follower.port, leader.port);
    let by_both = Config { host: Hosts::parse(&hosts).expect("two hosts"), ..leader.config() };
    until("the follower knows the user", async || Connection::Mysql(follower.config()).probe().await.ok()).await;
    let mut sink: Box<dyn Sink> = by_both.open(&append(), &notes()).await.expect("opens by the leader");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    load(&mut *sink, 0).await.expect("loads");
    until("the follower has the row", async || follower.notes().await.filter(|rows| *rows == 1)).await;

    leader.execute("SET GLOBAL read_only = ON").await;
    let fault = load(&mut *sink, 1).await.expect_err("the server takes no rows any more");
    assert!(is_passing(&fault), "{fault}");
    let fault = sink.claim(&[partition()]).await.expect_err("no server takes rows");
    assert!(is_passing(&fault) && fault.message().contains("read-only"), "{fault}");

    follower.execute("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = OFF").await;
    assert_eq!(sink.claim(&[partition()]).await.expect("claims by the server that leads now"), at(1));
    load(&mut *sink, 1).await.expect("loads");
    assert_eq!((follower.notes().await, leader.notes().await), (Some(2), Some(1)));
    drop(leader);
    let mut next = by_both.open(&append(), &notes()).await.expect("opens by the server that is left");
    assert_eq!(next.claim(&[partition()]).await.expect("claims"), at(2));
}
