//! How long it takes until all is well again: every instance ready, every pipeline running, and in the table all files and requests that went in before the
//! fault's end, and one of each that went in after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::workload::produced::Origin;
use crate::world::World;

/// After so long it is no recovery any more.
const PATIENCE: Duration = Duration::from_mins(5);
/// What is still missing is told each time that this has passed.
const SLOW: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(150);
/// How many of what is missing are told.
const TOLD: usize = 6;

/// Waits until all is well; the time that it took, or what still is not.
pub(crate) async fn wait(world: &mut World) -> Result<Duration, String> {
    world.outside.cluster.started().await;
    let (healed, mut came, mut told) = (Instant::now(), BTreeSet::new(), Instant::now());
    loop {
        let fallen = world.fleet.fallen();
        if !fallen.is_empty() {
            return Err(fallen.join("\n"));
        }
        let missing = missing(world, healed, &mut came).await;
        if missing.is_empty() {
            return Ok(healed.elapsed());
        }
        if told.elapsed() > SLOW {
            told = Instant::now();
            world.history.note(format!("  all is not well yet: {}", missing.join("; ")));
        }
        if healed.elapsed() > PATIENCE {
            return Err(format!("after {PATIENCE:?} all is not well: {}", missing.join("; ")));
        }
        sleep(PAUSE).await;
    }
}

/// What is not well. `came` is where records that went in after the fault's end have come from.
async fn missing(world: &World, healed: Instant, came: &mut BTreeSet<Origin>) -> Vec<String> {
    look(world, healed, came).await;
    let old = world.produced.open().into_iter().filter(|mark| mark.began < healed);
    let mut missing: Vec<String> = old.map(|mark| format!("{} is not in the table", mark.id)).take(TOLD).collect();
    let origins = [Origin::Files, Origin::Requests].into_iter();
    missing.extend(origins.filter(|origin| !came.contains(origin)).map(|origin| format!("nothing new by {origin:?}")));
    if missing.is_empty() {
        missing.extend(world.fleet.health().await.iter().filter_map(|(name, said)| ill(name, said.as_ref())));
    }
    missing
}

/// Looks which files and requests have come into the table.
async fn look(world: &World, healed: Instant, came: &mut BTreeSet<Origin>) {
    let open = world.produced.open();
    let ids = open.iter().map(|mark| format!("'{}'", mark.id)).collect::<Vec<_>>().join(", ");
    if ids.is_empty() {
        return;
    }
    let sql = format!("SELECT id FROM {}.appended WHERE id IN ({ids})", world.project.name());
    let found: BTreeSet<String> = world.outside.database.rows(&sql).await.into_iter().flatten().flatten().collect();
    came.extend(open.iter().filter(|mark| mark.began >= healed && found.contains(&mark.id)).map(|mark| mark.origin));
    world.produced.close(&found);
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
#[derive(Debug, Clone, Copy, PartialEq)]
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

    pub(crate) fn add_all(&mut self, other: Self) {
        other.0.into_iter().for_each(|(fault, times)| self.0.entry(fault).or_default().extend(times));
    }

    /// Of each fault, in seconds with one decimal.
    pub(crate) fn seconds(&self) -> BTreeMap<String, Vec<f64>> {
        let seconds = |time: &Duration| (time.as_secs_f64() * 10.0).round() / 10.0;
        self.0.iter().map(|(fault, times)| (fault.clone(), times.iter().map(seconds).collect())).collect()
    }

    /// Of each fault.
    pub(crate) fn by_fault(&self) -> BTreeMap<String, Spread> {
        self.seconds().into_iter().filter_map(|(fault, times)| Some((fault, Spread::of(times)?))).collect()
    }
}

impl Spread {
    /// Of these seconds; `None` where there are none.
    pub(crate) fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| times.get(((times.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
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
        assert_eq!(times.by_fault()["kill"], Spread { count: 100, p50: 50.0, p99: 99.0, max: 100.0 });
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
