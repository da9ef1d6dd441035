//! A link and a system that does what the test says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millrace_model::{Code, Fault, Result, Retry};
use serde_json::{Value, json};

use super::{Link, LinkState, Probe, Probes, System};
use crate::project::Resilience;
use crate::telemetry::metrics;

static SYSTEM: System = System {
    name: "Sample",
    kind: "sample",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(5),
    request: Duration::from_mins(1),
};

fn link(name: &str, settings: &Value) -> Link {
    let settings: Resilience = serde_json::from_value(settings.clone()).expect("reads");
    settings.name(name);
    settings.link(&SYSTEM).clone()
}

fn away() -> Fault {
    Fault::passing(Code::TargetUnavailable, "away")
}

/// A system that counts its calls, of which the first so many fail.
struct Sample {
    calls: AtomicU32,
    failing: u32,
}

impl Sample {
    fn failing(failing: u32) -> Self {
        Self { calls: AtomicU32::new(0), failing }
    }

    fn call(&self) -> Result<u32> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call < self.failing { Err(away()) } else { Ok(call) }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn ask(link: &Link, sample: &Sample) -> Result<u32> {
    link.ask(&[()], |()| async { sample.call() }).await
}

#[tokio::test(start_paused = true)]
async fn a_call_that_meets_passing_trouble_is_repeated() {
    let (link, sample) = (link("repeated", &json!({})), Sample::failing(2));
    assert_eq!(ask(&link, &sample).await.expect("the third call is answered"), 2);
    assert_eq!(link.status().state, LinkState::Up);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_that_is_not_repeated() {
    let link = link("refusing", &json!({}));
    let calls = AtomicU32::new(0);
    let refuse = |()| async {
        calls.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(Fault::operator(Code::TargetAuthentication, "no such user"))
    };
    let fault = link.ask(&[()], |()| refuse(())).await.expect_err("is refused");
    assert_eq!((fault.code(), calls.into_inner(), link.status().failures), (Code::TargetAuthentication, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn repetitions_of_all_calls_end_with_the_budget() {
    let settings = json!({ "retry": { "attempts": 5, "budget": 6 }, "breaker": { "failures": 0 } });
    let (link, sample) = (link("budget", &settings), Sample::failing(u32::MAX));
    for _ in 0..10 {
        ask(&link, &sample).await.expect_err("is away");
    }
    assert_eq!(sample.calls(), 10 + 6);
}

#[tokio::test]
async fn a_system_that_fails_again_and_again_is_left_alone_and_then_tried_by_one_call() {
    let settings = json!({ "retry": { "attempts": 1 }, "breaker": { "failures": 3, "open_for": "200ms" } });
    let (link, sample) = (link("breaking", &settings), Sample::failing(3));
    for _ in 0..2 {
        assert_eq!(ask(&link, &sample).await.expect_err("is away").wait(), None);
    }
    let opening = ask(&link, &sample).await.expect_err("is away");
    assert!(opening.wait().is_some() && opening.message() == "breaking is left alone for 200ms: away", "{opening}");
    let fault = ask(&link, &sample).await.expect_err("is left alone");
    assert_eq!((fault.retry(), sample.calls()), (Retry::BackOff, 3));
    assert!(fault.message().contains("breaking is left alone after 3 failures in a row; the last: MR0601: away"), "{fault}");
    assert_eq!(link.status().state, LinkState::Open);
    let wait = fault.wait().expect("says for how long");
    assert!(metrics::render().expect("renders").contains("millrace_connection_breaker_state{connection=\"breaking\",kind=\"sample\"} 2"));

    tokio::time::sleep(wait).await;
    let slow = link.ask(&[()], |()| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sample.call()
    });
    let (tried, other) = tokio::join!(slow, ask(&link, &sample));
    assert!(tried.is_ok() && other.is_err(), "one call is on trial");
    assert!(ask(&link, &sample).await.is_ok());
    assert_eq!(link.status().state, LinkState::Up);
}

#[tokio::test]
async fn a_trial_that_nobody_waits_for_any_more_blocks_no_other() {
    let settings = json!({ "retry": { "attempts": 1 }, "breaker": { "failures": 1, "open_for": "10ms" } });
    let (link, sample) = (link("abandoned", &settings), Sample::failing(1));
    ask(&link, &sample).await.expect_err("is away");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let given_up = tokio::time::timeout(Duration::from_millis(10), link.ask(&[()], |()| std::future::pending::<Result<()>>()));
    given_up.await.expect_err("nobody answers");
    assert!(ask(&link, &sample).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_ended() {
    let link = link("late", &json!({ "timeouts": { "connect": "2s", "request": "7s" }, "retry": { "attempts": 1 } }));
    let connecting = link.connect(&[()], |()| std::future::pending::<Result<()>>()).await.expect_err("takes too long");
    assert!(connecting.message().contains("late did not answer within 2s"), "{connecting}");
    let step = link.step(std::future::pending::<Result<()>>()).await.expect_err("takes too long");
    assert!(step.message().contains("7s"), "{step}");
}

#[tokio::test(start_paused = true)]
async fn the_next_host_is_asked_when_one_is_away_and_stays_the_first() {
    let link = link("hosts", &json!({ "retry": { "attempts": 1 } }));
    let asked = parking_lot::Mutex::new(Vec::new());
    let hosts = ["dead", "live"];
    let ask = async || {
        let call = |host: &'static &'static str| {
            asked.lock().push(*host);
            async move { if *host == "dead" { std::future::pending().await } else { Ok(*host) } }
        };
        link.connect(Box::leak(Box::new(hosts)), call).await
    };
    assert_eq!([ask().await.ok(), ask().await.ok()], [Some("live"), Some("live")]);
    assert_eq!(*asked.lock(), ["dead", "live", "live"]);
}

#[tokio::test]
async fn a_session_that_lives_goes_on_while_others_can_not_connect() {
    let (link, sample) = (link("session", &json!({ "breaker": { "failures": 1 } })), Sample::failing(u32::MAX));
    ask(&link, &sample).await.expect_err("is away");
    assert!(link.step(async { Ok(()) }).await.is_ok());
    assert_eq!(link.status().state, LinkState::Up, "an answer closes the breaker");
}

#[tokio::test]
async fn requests_beyond_the_rate_wait() {
    let (link, sample) = (link("limited", &json!({ "rate_limit": { "requests_per_second": 20, "burst": 1 } })), Sample::failing(0));
    let started = std::time::Instant::now();
    for _ in 0..4 {
        ask(&link, &sample).await.expect("is answered");
    }
    assert!(started.elapsed() >= Duration::from_millis(140), "three waits of 50 ms: {:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_counted_and_timed_has_the_name_of_the_connection() {
    let (link, sample) = (link("counted", &json!({ "retry": { "initial": "1ms" } })), Sample::failing(1));
    ask(&link, &sample).await.expect("the second call is answered");
    let text = metrics::render().expect("renders");
    for line in ["requests_total{L} 2", "failures_total{L} 1", "retries_total{L} 1", "request_duration_seconds_count{L} 2"] {
        let line = format!("millrace_connection_{}", line.replace('L', "connection=\"counted\",kind=\"sample\""));
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[tokio::test]
async fn health_asks_each_system_once_for_all_who_ask() {
    let (up, down) = (link("up", &json!({})), link("down", &json!({ "retry": { "attempts": 1 } })));
    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let probes = Probes::default();
    let (count, one, other) = (asked.clone(), up.clone(), down.clone());
    let ask_up = move || {
        count.fetch_add(1, Ordering::Relaxed);
        let link = one.clone();
        async move { link.step(async { Ok(()) }).await }
    };
    let ask_down = move || {
        let link = other.clone();
        async move { link.step(async { Err(away()) }).await }
    };
    probes.add([Probe::new(&up, ask_up), Probe::new(&down, ask_down)]);
    probes.add([Probe::new(&up, || async { Ok(()) })]);
    assert_eq!(probes.statuses().len(), 2, "a system that two pipelines use is one");
    assert_eq!(probes.statuses()["up"].state, LinkState::Unknown);
    let (first, _) = tokio::join!(probes.ask(), probes.ask());
    assert_eq!((first["up"].state, first["down"].state, asked.load(Ordering::Relaxed)), (LinkState::Up, LinkState::Failing, 1));
    assert!(first["up"].latency_ms.is_some() && first["down"].error.as_deref().is_some_and(|error| error.contains("away")));
}
