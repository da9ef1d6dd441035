//! One connection: what a round looks at in it, and the transaction that ends the round.
//!
//! `WATCH` belongs to a connection. This one is never shared, and never made anew in the middle of a round: a watch that is lost would let
//! a transaction through that nothing guards.

use millrace_model::{Code, Commit, Fault, Offsets, ParkedChanges, ParkedHeads, Result, TopicIdentity, TopicPartition};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, Value, cmd, pipe};

use super::changes::{Changes, fold};
use super::config::{Config, Form};
use super::connect::connect;
use super::fault::fault;
use super::found::{Facts, Fields, Found, comes, refusals};
use super::positions::Advance;
use super::rows::Writer;
use super::staged::Staged;
use super::target::Target;
use super::{parked, positions};
use crate::crash_points as points;
use crate::table_config::Mode;

/// How many keys one command names.
const KEYS: usize = 1000;

/// How many rows are watched because what is written depends on what they are: `WATCH` looks through the keys that are watched already for each
/// further one.
const WATCHED: usize = 1000;

/// How often a round is tried whose keys others change meanwhile, before it waits for a while.
const ATTEMPTS: usize = 8;

/// A round that has been looked at.
#[derive(Default)]
pub(super) struct Settled {
    changes: Changes,
    facts: Facts,
    /// Why changes can't be done, in their order.
    refusals: Vec<Option<String>>,
    /// What changes of parked keys.
    pub(super) parked: ParkedChanges,
}

impl Settled {
    /// The keys whose changes can't be done, and why.
    pub(super) fn refused<'a>(&'a self, steps: &'a [Staged]) -> impl Iterator<Item = (&'a [u8], &'a str)> {
        let refused = self.changes.of_keys.iter().zip(&self.refusals);
        refused.filter_map(|(change, reason)| Some((change.key(steps), reason.as_deref()?)))
    }
}

/// A connection to a server that takes rows.
pub(super) struct Session(MultiplexedConnection);

impl Session {
    /// Connects, and makes sure that the server can be loaded into.
    pub(super) async fn open(config: &Config) -> Result<Self> {
        let (connection, _) = connect(config).await?;
        Ok(Self(connection))
    }

    /// The positions of partitions; what was watched before is let go.
    pub(super) async fn claim(&mut self, pipeline: &str, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets> {
        let mut commands = pipe();
        commands.cmd("UNWATCH").ignore();
        let (offsets, ids) = self.positions(commands, pipeline, partitions.iter()).await?;
        let claimed = partitions.iter().zip(&ids).filter(|(partition, _)| offsets.contains_key(partition));
        claimed.into_iter().try_for_each(|(partition, id)| topic.check(pipeline, partition, id.as_deref()))?;
        Ok(offsets)
    }

    /// The parked keys of partitions.
    pub(super) async fn parked(&mut self, pipeline: &str, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        let found = self.run(&parked::ask(pipeline, partitions), "reading parked keys").await?;
        parked::read(partitions, found)
    }

    /// Looks at the keys of a round, and keeps an eye on those that it depends on until it is committed.
    pub(super) async fn settle(&mut self, target: &Target, steps: &[Staged]) -> Result<Settled> {
        let changes = fold(steps, target.table.mode == Mode::InsertIgnore);
        let facts = self.look(target, steps, &changes).await?;
        let refusals = refusals(&facts, target);
        Ok(Settled { changes, facts, refusals, parked: ParkedChanges::new() })
    }

    /// Does the round and moves its positions, or nothing when another writer has moved them.
    pub(super) async fn commit(
        &mut self,
        target: &Target,
        steps: &[Staged],
        settled: &mut Settled,
        advance: Advance<'_>,
    ) -> Result<Commit> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.look_again(target, steps, settled).await?;
            }
            let commands = transaction(target, steps, settled, advance)?;
            if !self.stands(&target.table.pipeline, advance).await? {
                return Ok(Commit::Fenced);
            }
            points::REDIS_WATCH_AFTER.reached()?;
            // Nothing is answered when a key that is watched was changed: none of the commands was run.
            let done: Value = self.run(&commands, "loading a round").await?;
            if done != Value::Nil {
                points::REDIS_COMMIT_AFTER.reached()?;
                return Ok(Commit::Done);
            }
        }
        let message = format!("Redis: others changed the keys of a round {ATTEMPTS} times while it was loaded; it is tried again");
        Err(Fault::passing(Code::TargetUnavailable, message))
    }

    /// Looks at a round again whose keys have changed. What was refused stays refused, for it has been told.
    async fn look_again(&mut self, target: &Target, steps: &[Staged], settled: &mut Settled) -> Result<()> {
        settled.facts = self.look(target, steps, &settled.changes).await?;
        let now = refusals(&settled.facts, target);
        if settled.refusals.iter().zip(&now).any(|(before, now)| before.is_none() && now.is_some()) {
            let message = "Redis: others put a value of another type at a row's key while it was loaded; the round is tried again";
            return Err(Fault::passing(Code::TargetUnavailable, message));
        }
        Ok(())
    }

    /// Whether the positions to be moved are where this writer started from. They are watched from here on.
    async fn stands(&mut self, pipeline: &str, advance: Advance<'_>) -> Result<bool> {
        let mut commands = pipe();
        advance.watch(pipeline, &mut commands);
        let (found, ids) = self.positions(commands, pipeline, advance.to.keys()).await?;
        Ok(advance.stands(&found, &ids))
    }

    /// Runs commands without an answer, and reads positions after them, and the ids of their topics in the order of the partitions.
    async fn positions<'a>(
        &mut self,
        mut commands: Pipeline,
        pipeline: &str,
        partitions: impl Iterator<Item = &'a TopicPartition> + Clone,
    ) -> Result<(Offsets, Vec<Option<String>>)> {
        positions::ask(pipeline, partitions.clone(), &mut commands);
        let found: Vec<(Option<String>, Option<String>)> = self.run(&commands, "reading positions").await?;
        let (found, ids) = found.into_iter().unzip();
        Ok((positions::read(partitions, found)?, ids))
    }

    /// What is at the keys of changes.
    async fn look(&mut self, target: &Target, steps: &[Staged], changes: &Changes) -> Result<Facts> {
        let keys: Vec<&[u8]> = changes.of_keys.iter().map(|change| change.key(steps)).collect();
        self.watch(target, &keys, changes).await?;
        let mut found = self.types(target, &keys).await?;
        self.contents(target, &keys, changes, &mut found).await?;
        let cleared = match target.index() {
            Some(index) if changes.clears => self.rows(target, &index).await?,
            _ => Vec::new(),
        };
        Ok(Facts { found, cleared })
    }

    /// Watches the rows that decide what is written. Where they are too many, a change that others make in that instant is overwritten.
    async fn watch(&mut self, target: &Target, keys: &[&[u8]], changes: &Changes) -> Result<()> {
        let first_stays = target.table.mode == Mode::InsertIgnore;
        let decides = changes.of_keys.iter().map(|change| first_stays || change.patches());
        let watched: Vec<&[u8]> = keys.iter().zip(decides).filter_map(|(key, decides)| decides.then_some(*key)).collect();
        if watched.is_empty() || watched.len() > WATCHED {
            return Ok(());
        }
        let done = cmd("WATCH").arg(watched).query_async(&mut self.0).await;
        done.map_err(|error| fault("watching the keys of a round", error))
    }

    /// Of what type the values of keys are.
    async fn types(&mut self, target: &Target, keys: &[&[u8]]) -> Result<Vec<Found>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::with_capacity(keys.len());
        for &key in keys {
            commands.cmd("TYPE").arg(key);
        }
        let answers: Vec<String> = self.run(&commands, "looking at the keys of a round").await?;
        Ok(answers.into_iter().map(|answer| Found::of(answer, target)).collect())
    }

    /// Reads the rows that are there already, where only some columns of them come.
    async fn contents(&mut self, target: &Target, keys: &[&[u8]], changes: &Changes, found: &mut [Found]) -> Result<()> {
        let is_wanted = |number: &usize| changes.of_keys[*number].patches() && found[*number].is_row();
        let wanted: Vec<usize> = (0..keys.len()).filter(is_wanted).collect();
        if wanted.is_empty() || matches!(target.form, Form::Column(_)) {
            return Ok(());
        }
        let mut commands = Pipeline::with_capacity(wanted.len());
        let read = if target.form == Form::Hash { "HGETALL" } else { "GET" };
        for &number in &wanted {
            commands.cmd(read).arg(keys[number]);
        }
        if target.form == Form::Hash {
            let rows: Vec<Fields> = self.run(&commands, "reading rows").await?;
            wanted.into_iter().zip(rows).for_each(|(number, row)| found[number] = Found::Fields(row));
        } else {
            let rows: Vec<Option<Vec<u8>>> = self.run(&commands, "reading rows").await?;
            wanted.into_iter().zip(rows).for_each(|(number, row)| found[number] = row.map_or(Found::Nothing, Found::Text));
        }
        Ok(())
    }

    /// The keys of all rows, and whether one is there.
    async fn rows(&mut self, target: &Target, index: &str) -> Result<Vec<(Vec<u8>, bool)>> {
        let (mut keys, mut cursor) = (Vec::<Vec<u8>>::new(), 0_u64);
        loop {
            let scan = cmd("SSCAN").arg(index).arg(cursor).arg("COUNT").arg(KEYS).query_async(&mut self.0).await;
            let (next, some): (u64, Vec<Vec<u8>>) = scan.map_err(|error| fault("reading the keys of all rows", error))?;
            keys.extend(some);
            if next == 0 {
                break;
            }
            cursor = next;
        }
        let names: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let found = self.types(target, &names).await?;
        Ok(keys.into_iter().zip(found.iter().map(Found::is_row)).collect())
    }

    async fn run<T: FromRedisValue>(&mut self, commands: &Pipeline, doing: &str) -> Result<T> {
        commands.query_async(&mut self.0).await.map_err(|error| fault(doing, error))
    }
}

/// The commands of a round: its rows, and the positions that it reaches.
fn transaction(target: &Target, steps: &[Staged], settled: &Settled, advance: Advance<'_>) -> Result<Pipeline> {
    let Settled { changes, facts, refusals, parked } = settled;
    let mut commands = Pipeline::with_capacity((changes.of_keys.len() + advance.to.len()) * 2);
    commands.atomic();
    let mut index = Index::default();
    for (key, is_there) in &facts.cleared {
        index.goes(key, *is_there, &mut commands);
    }
    let mut writer = Writer::new(target, steps)?;
    for ((change, found), refusal) in changes.of_keys.iter().zip(&facts.found).zip(refusals) {
        if refusal.is_some() {
            continue;
        }
        let key = change.key(steps);
        if change.deletes {
            index.goes(key, found.is_row(), &mut commands);
        }
        if comes(change, found, target.table.mode) {
            writer.write(key, change, found, &mut commands)?;
            index.comes(key);
        }
    }
    if let Some(name) = target.index() {
        index.write(&name, &mut commands);
    }
    parked::change(&target.table.pipeline, parked, &mut commands);
    advance.write(&target.table.pipeline, &mut commands);
    Ok(commands)
}

/// The rows that come and go.
#[derive(Default)]
struct Index<'a> {
    gone: Vec<&'a [u8]>,
    come: Vec<&'a [u8]>,
}

impl<'a> Index<'a> {
    fn goes(&mut self, key: &'a [u8], is_there: bool, commands: &mut Pipeline) {
        self.gone.push(key);
        if is_there {
            commands.cmd("UNLINK").arg(key);
        }
    }

    fn comes(&mut self, key: &'a [u8]) {
        self.come.push(key);
    }

    /// Writes them to the set of all keys: first those that go.
    fn write(&self, name: &str, commands: &mut Pipeline) {
        for (command, keys) in [("SREM", &self.gone), ("SADD", &self.come)] {
            for keys in keys.chunks(KEYS) {
                commands.cmd(command).arg(name).arg(keys);
            }
        }
    }
}
