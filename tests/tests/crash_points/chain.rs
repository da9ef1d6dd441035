//! A hop through a chain of deaths.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use millrace_tests::{Service, until};
use tokio::time::{Instant, sleep};

use crate::hop::Hop;
use crate::plan::{Action, Stop};

/// How often more comes while a service is to stop somewhere, and how often it is compared afterwards.
const PACE: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(150);
/// After so long a life has come past what it comes to once.
const LIFE: Duration = Duration::from_secs(20);
/// The signal that `abort` sends itself.
const ABORTED: i32 = 6;

/// Lets the service stop at each of the stops; compares what has come when it was left alone at last.
pub(crate) async fn run(hop: &mut dyn Hop, stops: &[Stop]) {
    let mut service = Service::armed(hop.project(), hop.service(), "one", &stops[0].failpoints());
    let mut others = Vec::new();
    for (number, stop) in stops.iter().enumerate() {
        hop.life().await;
        // Counted before the life that is to end there: it may have ended before anybody looks.
        let before = if number > 0 { told(&service, stop) } else { 0 };
        if number > 0 {
            service.rearm(&stop.failpoints());
        }
        match stop.action {
            Action::Crash => die(hop, &mut service, stop, before).await,
            Action::Stand => others.push(stand(hop, &mut service, stop).await),
        }
    }
    if service.ended().is_some() {
        service.rearm("");
    }
    hop.feed(&service).await;
    comes_right(hop, stops).await;
    for service in others.iter_mut().chain([&mut service]) {
        assert!(service.terminate().await.success(), "the service ends well");
    }
    assert_eq!(hop.difference().await, None, "after {stops:?}, and after the end of the service");
}

/// Feeds the service until it has died where it should. Where a life had nothing for the stop when it came there, as nothing was parked when it
/// took its partitions over, it is another life's. `before` is how often earlier lives have told of it.
async fn die(hop: &mut dyn Hop, service: &mut Service, stop: &Stop, before: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut born = Instant::now();
    let status = loop {
        if let Some(status) = service.ended() {
            break status;
        }
        assert!(Instant::now() < deadline, "{stop} was not reached in {PATIENCE:?}");
        hop.feed(service).await;
        if stop.comes_once() && born.elapsed() > LIFE && service.ended().is_none() {
            // It may be dying there at this moment: then this is its death, and no other life follows.
            service.kill();
            if told(service, stop) > before {
                return;
            }
            service.rearm(&stop.failpoints());
            born = Instant::now();
        }
        sleep(PACE).await;
    };
    let told = told(service, stop) - before;
    assert!(status.signal() == Some(ABORTED) && told == 1, "it ended with {status} and told {told} times that it is at {stop}");
}

/// Feeds the service until it stands where it should; another takes over and brings all to its end; then the first one goes on. Returns the
/// other.
async fn stand(hop: &mut dyn Hop, service: &mut Service, stop: &Stop) -> Service {
    let deadline = Instant::now() + PATIENCE;
    while told(service, stop) == 0 {
        assert!(Instant::now() < deadline, "{stop} was not reached in {PATIENCE:?}");
        hop.feed(service).await;
        sleep(PACE).await;
    }
    let other = Service::armed(hop.project(), hop.service(), "two", "");
    hop.feed(&other).await;
    comes_right(hop, std::slice::from_ref(stop)).await;
    service.go_on();
    hop.feed(&other).await;
    // What it was about to do, it does or is refused now.
    until(&format!("the service that stood at {stop} is ready again"), PATIENCE, async || service.health().await.map(drop)).await;
    other
}

/// How often the service has told that it is at the stop.
fn told(service: &Service, stop: &Stop) -> usize {
    service.log().lines().filter(|line| line.contains(&stop.told())).count()
}

/// Waits until all is there, once.
async fn comes_right(hop: &mut dyn Hop, stops: &[Stop]) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(difference) = hop.difference().await {
        assert!(Instant::now() < deadline, "after {stops:?}: {difference}");
        sleep(PACE).await;
    }
}
