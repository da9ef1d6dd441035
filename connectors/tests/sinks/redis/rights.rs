//! Servers and users that refuse.

use millrace_connectors::Connection;
use millrace_connectors::redis::{Config, Tls};
use millrace_model::{Code, Fault, Retry};
use millrace_runtime::project::{Hosts, ProjectPath, Secret};

use super::Redis;
use crate::rows::{batch, keys, notes, partition, upsert};

async fn opening(config: &Config) -> Fault {
    match config.open(&upsert(), &notes()).await {
        Ok(_) => panic!("can't be opened"),
        Err(fault) => fault,
    }
}

#[tokio::test]
async fn refused_settings_are_told_by_their_names() {
    let config = Redis::hashes("settings").await.config();
    let told = |fault: Fault, code: Code, retry: Retry, what: &str| {
        assert_eq!((fault.code(), fault.retry()), (code, retry), "{fault}");
        assert!(fault.to_string().contains(what) && !fault.to_string().contains("hunter2"), "{fault}");
    };
    let (refused, operator) = (Code::TargetAuthentication, Retry::Operator);
    told(opening(&Config { password: Some(Secret::new("hunter2")), ..config.clone() }).await, refused, operator, "mend `password`");
    told(opening(&Config { password: None, ..config.clone() }).await, refused, operator, "set the `password`");
    told(opening(&Config { user: Some("nobody".into()), ..config.clone() }).await, refused, operator, "mend `user` and `password`");
    told(opening(&Config { database: 5000, ..config.clone() }).await, Code::TargetSchema, operator, "mend `database`");
    told(opening(&Config { durable: true, ..config.clone() }).await, Code::TargetSchema, operator, "appendonly is no");
    told(opening(&Config { port: 1, ..config.clone() }).await, Code::TargetUnavailable, Retry::BackOff, "connecting to 127.0.0.1:1");
}

#[tokio::test]
async fn a_user_needs_its_keys_and_may_lack_the_servers_state() {
    let place = Redis::hashes("rights").await;
    let user = format!("loader{}", place.config().database);
    let allow = |rules: &'static [&'static str]| {
        let words: Vec<String> = ["ACL", "SETUSER", &user, "reset", "on", ">pass"].map(str::to_owned).into();
        let words: Vec<String> = words.into_iter().chain(rules.iter().map(|&rule| rule.to_owned())).collect();
        let place = &place;
        async move { place.ask::<()>(&words.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let config = Config { user: Some(user.clone()), password: Some(Secret::new("pass")), ..place.config() };
    let commands = ["+@read", "+@write", "+@transaction", "+select"];
    allow(&["+@read", "+@write", "+@transaction", "+select", "~notes:*", "~millrace:*"]).await;
    let mut sink = config.open(&upsert(), &notes()).await.expect("needs no more than that");
    sink.claim(&[partition()]).await.expect("claims");
    sink.write(&batch(&[(1, Some("a"))])).await.expect("writes");
    assert!(sink.settle().await.expect("settles").is_empty());
    let done = sink.commit(&millrace_model::Offsets::new(), &crate::rows::at(1)).await;
    assert_eq!(done.expect("commits"), millrace_model::Commit::Done, "{commands:?} suffice");

    allow(&["+@read", "+@write", "+@transaction", "+select", "%R~notes:*", "~millrace:*"]).await;
    sink.claim(&[partition()]).await.expect("claims");
    sink.delete(&keys(&[1])).await.expect("deletes");
    assert!(sink.settle().await.expect("settles").is_empty());
    let fault = sink.commit(&crate::rows::at(1), &crate::rows::at(2)).await.expect_err("may not write");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetDenied, Retry::Operator), "{fault}");
    assert_eq!(place.ask::<i64>(&["EXISTS", "notes:1"]).await, 1);
    assert_eq!(place.ask::<String>(&["GET", "millrace:position:shop.load:orders:0"]).await, "1", "nothing of the round was done");
    place.ask::<i64>(&["ACL", "DELUSER", &user]).await;
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_and_its_name() {
    let place = Redis::hashes("tls").await;
    let address = std::env::var("MILLRACE_TEST_REDIS_TLS").expect("MILLRACE_TEST_REDIS_TLS is not set");
    let ca = std::env::var("MILLRACE_TEST_REDIS_CA").expect("MILLRACE_TEST_REDIS_CA is not set");
    let port = address.rsplit_once(':').expect("has a port").1.parse().expect("is a port");
    let config =
        |host: &str, tls, ca: Option<&str>| Config { host: Hosts::from(host), port, tls, ca: ca.map(ProjectPath::new), ..place.config() };
    let opens = |config: Config| async move { Connection::Redis(config).open(&upsert(), &notes()).await.map(drop) };
    opens(config("localhost", Tls::VerifyFull, Some(&ca))).await.expect("is believed");
    opens(config("127.0.0.1", Tls::VerifyCa, Some(&ca))).await.expect("is believed by its certificate");
    opens(config("127.0.0.1", Tls::Require, None)).await.expect("is not asked");
    for doubtful in [
        config("127.0.0.1", Tls::VerifyFull, Some(&ca)),
        config("localhost", Tls::VerifyFull, None),
        config("localhost", Tls::VerifyCa, None),
    ] {
        let fault = opens(doubtful).await.expect_err("is not believed");
        assert_eq!(fault.code(), Code::TargetUnavailable, "{fault}");
    }
}
