//! The way to one system.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use millrace_model::{Code, Fault, Result, Retry};
use parking_lot::Mutex;

use super::BreakerState;
use super::breaker::Breaker;
use super::budget::Budget;
use super::metrics::LinkMetrics;
use super::status::{LinkState, LinkStatus, millis};
use super::turn::Turn;
use crate::project::{RateLimit, Resilience, RetrySettings};

/// What a kind of system is, and how patient one is with it where the project file does not say.
#[derive(Debug)]
pub struct System {
    /// Its name for people: `PostgreSQL`.
    pub name: &'static str,
    /// Its name in metrics and health: `postgres`.
    pub kind: &'static str,
    /// The code of faults that say that it can't be reached.
    pub unavailable: Code,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long an answer may take.
    pub request: Duration,
}

/// The way to one system. All clones are the same.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    name: String,
    system: &'static System,
    connect_within: Duration,
    answer_within: Duration,
    retry: RetrySettings,
    limiter: Option<DefaultDirectRateLimiter>,
    turn: Turn,
    metrics: LinkMetrics,
    standing: Mutex<Standing>,
}

/// What the calls so far have told.
struct Standing {
    breaker: Breaker,
    budget: Budget,
    answered: Option<Answered>,
    error: Option<String>,
}

struct Answered {
    at: Instant,
    took: Duration,
}

impl Link {
    /// The way to `system`, which goes by `name`, or by its kind without one.
    pub(crate) fn new(name: Option<&str>, system: &'static System, settings: &Resilience) -> Self {
        let name = name.unwrap_or(system.kind).to_owned();
        let breaker = Breaker::new(settings.breaker.failures, settings.breaker.open_for.duration());
        Self(Arc::new(Inner {
            connect_within: settings.connect_within(system),
            answer_within: settings.answer_within(system),
            retry: settings.retry.clone(),
            limiter: settings.rate_limit.as_ref().map(limiter),
            turn: Turn::new(settings.balance),
            metrics: LinkMetrics::new(&name, system.kind),
            standing: Mutex::new(Standing { breaker, budget: Budget::new(settings.retry.budget), answered: None, error: None }),
            name,
            system,
        }))
    }

    /// The name that the system goes by.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What kind of system it is.
    pub fn kind(&self) -> &'static str {
        self.0.system.kind
    }

    /// How long connecting may take, for a library that sees to it by itself.
    pub fn connect_within(&self) -> Duration {
        self.0.connect_within
    }

    /// How long an answer may take, likewise.
    pub fn answer_within(&self) -> Duration {
        self.0.answer_within
    }

    /// How calls are repeated.
    pub fn retry(&self) -> &RetrySettings {
        &self.0.retry
    }

    /// Opens a session with one of the hosts: each is given its time, in turn, until one is not in passing trouble. What `open` did for a
    /// host that is passed over is dropped.
    pub async fn connect<'p, P, T, W>(&self, hosts: &'p [P], open: impl Fn(&'p P) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        self.repeated(hosts, self.0.connect_within, open).await
    }

    /// Makes a request, which may be made twice, of one of the hosts.
    pub async fn ask<'p, P, T, W>(&self, hosts: &'p [P], request: impl Fn(&'p P) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        self.repeated(hosts, self.0.answer_within, request).await
    }

    /// Makes a request in a session that is open. It is made once; and it passes whatever the breaker says: the session lives.
    pub async fn step<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let call = Call { link: Some(self), on_trial: false };
        let done = self.timed(self.0.answer_within, request).await;
        call.end(done)
    }

    /// Admits a call that its caller makes, times and repeats by itself: one by a library that has ways of its own.
    pub async fn admit(&self) -> Result<Call<'_>> {
        let call = self.pass()?;
        self.slow_down().await;
        Ok(call)
    }

    /// How the system is.
    pub fn status(&self) -> LinkStatus {
        let now = Instant::now();
        let standing = self.0.standing.lock();
        let (breaker, failures) = (standing.breaker.state(), standing.breaker.failures());
        let state = match (breaker, &standing.answered, failures) {
            (BreakerState::Open | BreakerState::HalfOpen, ..) => LinkState::Open,
            (_, _, 1..) => LinkState::Failing,
            (_, Some(_), 0) => LinkState::Up,
            (_, None, 0) => LinkState::Unknown,
        };
        LinkStatus {
            kind: self.0.system.kind,
            state,
            breaker: breaker.as_str(),
            failures,
            latency_ms: standing.answered.as_ref().map(|answered| millis(answered.took)),
            answered_s: standing.answered.as_ref().map(|answered| (now - answered.at).as_secs()),
            asked_again_ms: standing.breaker.remaining(now).map(|wait| wait.as_millis() as u64),
            error: standing.error.clone(),
        }
    }

    async fn repeated<'p, P, T, W>(&self, hosts: &'p [P], within: Duration, work: impl Fn(&'p P) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        let mut waits = waits(&self.0.retry);
        loop {
            match self.one_round(hosts, within, &work).await {
                Err(fault) if self.is_trouble(&fault) && fault.wait().is_none() => match waits.next().filter(|_| self.spend()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(fault),
                },
                done => return done,
            }
        }
    }

    /// Asks each host once, until one is not in trouble.
    async fn one_round<'p, P, T, W>(&self, hosts: &'p [P], within: Duration, work: impl Fn(&'p P) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        let call = self.pass()?;
        let mut last = Err(self.nowhere());
        for host in self.0.turn.order(hosts.len()) {
            last = self.timed(within, work(&hosts[host])).await;
            match &last {
                Err(fault) if self.is_trouble(fault) => tracing::debug!(connection = self.name(), %fault, "a host is in trouble"),
                _ => {
                    self.0.turn.answered(host);
                    break;
                }
            }
        }
        call.end(last.map_err(|fault| match hosts.len() {
            2.. if self.is_trouble(&fault) => fault.at(&format!("none of {} hosts answers; the last", hosts.len())),
            _ => fault,
        }))
    }

    fn nowhere(&self) -> Fault {
        Fault::operator(self.0.system.unavailable, format!("{}: there is no host to ask", self.0.system.name))
    }

    /// Runs one request: it waits for the rate limit, has its time, is counted.
    async fn timed<T>(&self, within: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.slow_down().await;
        let started = Instant::now();
        let done = match tokio::time::timeout(within, work).await {
            Ok(done) => done,
            Err(_) => Err(self.no_answer_within(within)),
        };
        let (took, failed) = (started.elapsed(), done.as_ref().is_err_and(|fault| self.is_trouble(fault)));
        self.0.metrics.requested(took, failed);
        if !failed {
            self.0.standing.lock().answered = Some(Answered { at: Instant::now(), took });
        }
        done
    }

    async fn slow_down(&self) {
        if let Some(limiter) = &self.0.limiter {
            limiter.until_ready().await;
        }
    }

    /// The fault of a call that was not answered in time.
    pub fn no_answer_within(&self, within: Duration) -> Fault {
        let Inner { system, name, .. } = &*self.0;
        Fault::passing(system.unavailable, format!("{}: {name} did not answer within {within:?}", system.name))
    }

    /// Whether a fault says that the system is away or in trouble. Any other is an answer of it.
    fn is_trouble(&self, fault: &Fault) -> bool {
        fault.retry() == Retry::BackOff && fault.code() == self.0.system.unavailable
    }

    /// Whether the budget has one more repetition.
    fn spend(&self) -> bool {
        let spent = self.0.standing.lock().budget.take();
        if spent {
            self.0.metrics.retries.inc();
        }
        spent
    }

    /// Lets a call pass the breaker.
    fn pass(&self) -> Result<Call<'_>> {
        let mut standing = self.0.standing.lock();
        match standing.breaker.admit(Instant::now()) {
            Ok(on_trial) => {
                self.0.metrics.breaker(standing.breaker.state());
                Ok(Call { link: Some(self), on_trial })
            }
            Err(wait) => {
                self.0.metrics.turned_away.inc();
                Err(self.left_alone(&standing, wait))
            }
        }
    }

    fn left_alone(&self, standing: &Standing, wait: Duration) -> Fault {
        let Inner { system, name, .. } = &*self.0;
        let (failures, error) = (standing.breaker.failures(), standing.error.as_deref().unwrap_or_default());
        let message = format!("{}: {name} is left alone after {failures} failures in a row; the last: {error}", system.name);
        Fault::passing(system.unavailable, message).not_before(wait)
    }

    fn answered(&self) {
        let mut standing = self.0.standing.lock();
        if standing.breaker.state() != BreakerState::Closed {
            tracing::info!(connection = self.name(), "answers again");
        }
        standing.breaker.answered();
        standing.budget.answered();
        standing.error = None;
        self.0.metrics.breaker(BreakerState::Closed);
    }

    /// Notes a failure; how long the system is left alone, if it is.
    fn failed(&self, on_trial: bool, error: String) -> Option<Duration> {
        let now = Instant::now();
        let mut standing = self.0.standing.lock();
        let before = standing.breaker.state();
        standing.breaker.failed(on_trial, now);
        let state = standing.breaker.state();
        if before == BreakerState::Closed && state == BreakerState::Open {
            tracing::warn!(connection = self.name(), failures = standing.breaker.failures(), error, "left alone for a while");
        }
        standing.error = Some(error);
        self.0.metrics.breaker(state);
        standing.breaker.remaining(now)
    }

    fn given_up(&self) {
        let mut standing = self.0.standing.lock();
        standing.breaker.given_up(Instant::now());
        self.0.metrics.breaker(standing.breaker.state());
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.0.name).field("status", &self.status()).finish_non_exhaustive()
    }
}

/// A call that passed the breaker. Its end is told; one that is dropped half-way tells nothing of the system.
#[derive(Debug)]
#[must_use = "how it ended is what the breaker knows"]
pub struct Call<'a> {
    /// Until it is told.
    link: Option<&'a Link>,
    on_trial: bool,
}

impl Call<'_> {
    /// It was answered, after so long.
    pub fn answered(mut self, took: Duration) {
        if let Some(link) = self.link.take() {
            link.0.metrics.requested(took, false);
            link.0.standing.lock().answered = Some(Answered { at: Instant::now(), took });
            link.answered();
        }
    }

    /// It failed, after so long, because the system is away or in trouble.
    pub fn failed(mut self, took: Duration, error: String) {
        if let Some(link) = self.link.take() {
            link.0.metrics.requested(took, true);
            link.failed(self.on_trial, error);
        }
    }

    /// Tells how it ended. A fault with which the breaker opens says for how long.
    fn end<T>(mut self, done: Result<T>) -> Result<T> {
        let Some(link) = self.link.take() else { return done };
        match done {
            Err(fault) if link.is_trouble(&fault) => match link.failed(self.on_trial, fault.to_string()) {
                Some(wait) => Err(fault.at(&format!("{} is left alone for {wait:?}", link.name())).not_before(wait)),
                None => Err(fault),
            },
            done => {
                link.answered();
                done
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take().filter(|_| self.on_trial) {
            link.given_up();
        }
    }
}

fn waits(retry: &RetrySettings) -> ExponentialBackoff {
    let times = retry.attempts.get() as usize - 1;
    ExponentialBuilder::new()
        .with_min_delay(retry.initial.duration())
        .with_max_delay(retry.max.duration())
        .with_max_times(times)
        .with_jitter()
        .build()
}

fn limiter(limit: &RateLimit) -> DefaultDirectRateLimiter {
    let quota = Quota::per_second(limit.requests_per_second);
    RateLimiter::direct(limit.burst.map_or(quota, |burst| quota.allow_burst(burst)))
}
