//! How long it takes until all is well again: every instance ready, every pipeline running, and records that went in after the
//! fault's end, by a file and by a request, in the table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::workload::produced::Origin;
use crate::world::World;

/// After so long it is no recovery any more.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until all is well; the time that it took, or what still is not.
pub(crate) async fn wait(world: &mut World) -> Result<Duration, String> {
    let healed = Instant::now();
    loop {
        let fallen = world.fleet.fallen();
        if !fallen.is_empty() {
            return Err(fallen.join("\n"));
        }
        let missing = missing(world, healed).await;
        if missing.is_empty() {
            return Ok(healed.elapsed());
        }
        if healed.elapsed() > PATIENCE {
            return Err(format!("after {PATIENCE:?} all is not well: {}", missing.join("; ")));
        }
        sleep(PAUSE).await;
    }
}

async fn missing(world: &World, healed: Instant) -> Vec<String> {
    let mut missing = Vec::new();
    for origin in [Origin::Files, Origin::Requests] {
        if let Some(why) = not_arrived(world, origin, healed).await {
            missing.push(why);
        }
    }
    if missing.is_empty() {
        missing.extend(world.fleet.health().await.iter().filter_map(|(name, said)| ill(name, said.as_ref())));
    }
    missing
}

async fn not_arrived(world: &World, origin: Origin, healed: Instant) -> Option<String> {
    let Some(id) = world.produced.after(origin, healed) else { return Some(format!("nothing new by {origin:?}")) };
    let sql = format!("SELECT count(*) FROM {}.appended WHERE id = '{id}'", world.project.name());
    let rows = world.outside.database.number(&sql).await;
    (rows.unwrap_or(0) == 0).then(|| format!("{id} is not in the table"))
}

fn ill(name: &str, said: Option<&Value>) -> Option<String> {
    let Some(said) = said else { return Some(format!("{name} does not answer")) };
    let pipelines = said["pipelines"].as_object()?;
    let ill = pipelines.iter().find(|(_, pipeline)| pipeline["state"] != "running");
    ill.map(|(pipeline, said)| format!("{name}: {pipeline} is {said}"))
}

/// Times by fault.
#[derive(Debug, Default)]
pub(crate) struct Times(BTreeMap<String, Vec<Duration>>);

/// What is told of many times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Times {
    pub(crate) fn add(&mut self, fault: &str, time: Duration) {
        self.0.entry(fault.to_owned()).or_default().push(time);
    }

    /// Of all faults together; `None` where there were none.
    pub(crate) fn all(&self) -> Option<Spread> {
        Spread::of(self.0.values().flatten().copied().collect())
    }

    /// Of each fault.
    pub(crate) fn by_fault(&self) -> BTreeMap<String, Spread> {
        self.0.iter().filter_map(|(fault, times)| Some((fault.clone(), Spread::of(times.clone())?))).collect()
    }
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share).ceil() as usize;
            times.get(place.saturating_sub(1)).map(|time| (time.as_secs_f64() * 10.0).round() / 10.0)
        };
        Some(Self { count: times.len(), p50: at(0.5)?, p99: at(0.99)?, max: at(1.0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_times_is_by_rank() {
        let mut times = Times::default();
        for second in 1..=100 {
            times.add("kill", Duration::from_secs(second));
        }
        assert_eq!(times.all(), Some(Spread { count: 100, p50: 50.0, p99: 99.0, max: 100.0 }));
        assert_eq!(Times::default().all(), None);
    }
}
