//! Ingests that come and go over one source: one to four of them, started, told to end, and killed.

mod folder;
mod query;

use std::time::Duration;

use millrace_tests::{Project, Service};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

const MOST: usize = 4;

/// The processes that run.
struct Ingests<'a> {
    project: &'a Project,
    random: SmallRng,
    running: Vec<Service>,
    started: usize,
    killed: usize,
    ended: usize,
}

impl<'a> Ingests<'a> {
    /// One, which is just starting.
    fn one(project: &'a Project) -> Self {
        let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
        println!("MILLRACE_TEST_SEED={seed} makes the same ingests come and go");
        let mut one = Self { project, random: SmallRng::seed_from_u64(seed), running: Vec::new(), started: 0, killed: 0, ended: 0 };
        one.start();
        one
    }

    /// After at most `latest` one comes, one is told to end, or one is killed.
    async fn come_or_go(&mut self, latest: Duration) {
        // Not a wait for something: this is the random instant.
        tokio::time::sleep(self.random.random_range(Duration::ZERO..latest)).await;
        match self.random.random_range(0..4) {
            0 | 1 if self.running.len() < MOST => self.start(),
            2 if self.running.len() > 1 => self.terminate().await,
            _ => self.kill(),
        }
    }

    fn start(&mut self) {
        let instance = format!("i{}", self.started);
        self.running.push(Service::replica(self.project, "ingest", &instance));
        self.started += 1;
    }

    /// Kills one; another comes in the place of the last.
    fn kill(&mut self) {
        let victim = self.random.random_range(0..self.running.len());
        self.running.remove(victim).kill();
        self.killed += 1;
        if self.running.is_empty() {
            self.start();
        }
    }

    async fn terminate(&mut self) {
        let leaving = self.random.random_range(0..self.running.len());
        assert!(self.running.remove(leaving).terminate().await.success(), "an ingest ends well");
        self.ended += 1;
    }

    async fn end(mut self) {
        println!("{} started, {} killed, {} told to end", self.started, self.killed, self.ended);
        while let Some(mut ingest) = self.running.pop() {
            assert!(ingest.terminate().await.success(), "an ingest ends well");
        }
    }
}
