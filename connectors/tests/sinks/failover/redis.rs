//! Servers of Redis of which one follows the other.

use std::time::{Duration, Instant};

use millrace_connectors::Connection;
use millrace_connectors::redis::Config;
use millrace_model::{Offsets, Sink};
use millrace_runtime::project::{Hosts, Secret};

use super::{is_passing, load};
use crate::redis::Server;
use crate::rows::{at, notes, partition, upsert};

const POSITION: &str = "millrace:position:shop.load:orders:0";

/// A server, and one that follows it; the connection names that one first.
struct Pair {
    leader: Server,
    follower: Server,
}

impl Pair {
    async fn start() -> Self {
        let leader = Server::start(&[]).await;
        let follower = Server::start(&["--replicaof", &format!("127.0.0.1 {}", leader.port)]).await;
        Self { leader, follower }
    }

    fn config(&self) -> Config {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", self.follower.port, self.leader.port);
        Config { host: Hosts::parse(&hosts).expect("two hosts"), ..self.leader.config(false) }
    }

    async fn open(&self, config: Config) -> Box<dyn Sink> {
        let mut sink = Connection::Redis(config).open(&upsert(), &notes()).await.expect("opens by the leader");
        assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
        sink
    }

    /// Waits until the follower has a position.
    async fn follower_is_at(&self, position: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.follower.ask::<Option<String>>(&["GET", POSITION]).await.as_deref() != Some(position) {
            assert!(Instant::now() < deadline, "the follower does not follow");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_load_passes_a_follower_over_and_goes_on_at_the_server_that_leads_then() {
    let pair = Pair::start().await;
    let mut sink = pair.open(pair.config()).await;
    load(&mut *sink, 0).await.expect("loads");
    pair.follower_is_at("1").await;

    pair.follower.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    pair.leader.ask::<()>(&["REPLICAOF", "127.0.0.1", &pair.follower.port.to_string()]).await;
    let fault = load(&mut *sink, 1).await.expect_err("the server takes no rows any more");
    assert!(is_passing(&fault), "{fault}");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims by the server that leads now"), at(1));
    load(&mut *sink, 1).await.expect("loads");
    assert_eq!(pair.follower.ask::<String>(&["GET", POSITION]).await, "2");
    assert_eq!(pair.follower.ask::<i64>(&["EXISTS", "notes:0", "notes:1"]).await, 2);
}

#[tokio::test]
async fn a_follower_is_passed_over_by_a_user_that_may_not_ask_who_leads() {
    let pair = Pair::start().await;
    for server in [&pair.leader, &pair.follower] {
        let rules = ["on", ">pass", "+@read", "+@write", "+@transaction", "+select", "~notes:*", "~millrace:*"];
        server.ask::<()>(&[&["ACL", "SETUSER", "loader"], &rules[..]].concat()).await;
    }
    let config = Config { user: Some("loader".into()), password: Some(Secret::new("pass")), ..pair.config() };
    let mut sink = pair.open(config).await;
    load(&mut *sink, 0).await.expect("loads");
    assert_eq!(pair.leader.ask::<String>(&["GET", POSITION]).await, "1");
}
