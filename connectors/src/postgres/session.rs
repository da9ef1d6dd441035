//! One session with the server, and the transaction of a round in it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::{Commit, LoadBound, Offsets, ParkedChanges, ParkedHeads, Rejected, Result, TopicIdentity, TopicPartition};
use millrace_runtime::resilience::Link;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc::Receiver;

use super::catalogue::Catalogue;
use super::config::Config;
use super::connect::{Access, connect};
use super::copy::{Copy, Marks};
use super::fault::{fault, refusal};
use super::fold::Partial;
use super::parked::ParkedKeys;
use super::partitions::{self, Partitions};
use super::positions::Positions;
use super::replacing;
use super::screen;
use super::shape::{Shape, TableLock};
use super::stage::{self, Contents, Stage};
use super::staged::{self, Change, Segment, Staged};
use super::target::{compare, ensure, growth, present};
use crate::crash_points as points;
use crate::table::{Answered, Attempt, Outcome, Replaced, Replacing, Target, count, land, land_refused, quoted_list, rejected, within};

/// Takes the stage away, to make it anew.
const DROP_STAGE: &str = "DROP TABLE IF EXISTS pg_temp.millrace_stage";
const SAVEPOINT: &str = "SAVEPOINT millrace";
/// Undoes what was done since.
const UNDO: &str = "ROLLBACK TO SAVEPOINT millrace; RELEASE SAVEPOINT millrace";

/// A connection, what was read from the catalogue through it, and whether a round is open.
pub(super) struct Session {
    connection: PgConnection,
    link: Link,
    catalogue: Arc<Catalogue>,
    positions: Positions,
    parked: ParkedKeys,
    copy: String,
    stage: Option<Stage>,
    partitions: Option<Partitions>,
    replacing: Option<Replacing>,
    shape: Shape,
    open: bool,
}

impl Session {
    /// Connects, makes the tables that do not exist, and compares the target with the schema, as far as it has the columns: what it lacks is
    /// added with the first rows.
    pub(super) async fn open(config: &Config, target: &Target) -> Result<Self> {
        let connection = connect(config, &target.table.pipeline, Access::Write).await?;
        config.link().step(Self::prepare(connection, config, target)).await
    }

    async fn prepare(mut connection: PgConnection, config: &Config, target: &Target) -> Result<Self> {
        let link = config.link().clone();
        let positions = Positions::of(config, &target.table.pipeline);
        let parked = ParkedKeys::of(config, &target.table.pipeline);
        positions.ensure(&mut connection).await?;
        let definition = target.definition()? + &partitions::of_hash(target, &config.schema);
        ensure(&mut connection, &target.name, &definition).await?;
        let target = &present(&mut connection, target).await?;
        partitions::compare(&mut connection, target).await?;
        let shape = Shape::read(&mut connection, target).await?;
        compare(&mut connection, target).await?;
        let replacing = replacing::open(&mut connection, config, target).await?;
        let partitions = Partitions::of(target, &config.schema);
        let catalogue = Arc::new(Catalogue { target: target.clone(), columns: Vec::new() });
        let (copy, stage) = (String::new(), None);
        let mut session = Self { connection, link, catalogue, positions, parked, copy, stage, partitions, replacing, shape, open: false };
        session.fit(target).await?;
        Ok(session)
    }

    /// Compares the target with the schema, and makes ready to load it so.
    async fn fit(&mut self, target: &Target) -> Result<()> {
        let columns = compare(&mut self.connection, target).await?;
        let columns = if self.replacing.is_some() { replacing::with_marks(columns) } else { columns };
        let stage = target.table.is_staged().then(|| Stage::of(target)).transpose()?;
        if let Some(stage) = &stage {
            stage.create(&mut self.connection).await?;
        }
        let names = quoted_list(columns.iter().map(|column| column.name.as_str()));
        let into = self.replacing.as_ref().map_or(&target.name, |replacing| &replacing.loading);
        self.copy = format!("COPY {into} ({names}) FROM STDIN (FORMAT binary)");
        self.stage = stage;
        self.catalogue = Arc::new(Catalogue { target: target.clone(), columns });
        Ok(())
    }

    /// Makes the table take the rows of `target`, in the transaction of the round that begins with it.
    ///
    /// The table's lock is the first that the transaction takes, as it is in every round: loaders that do this at once wait for each
    /// other, and never in a circle.
    pub(super) async fn reshape(&mut self, target: &Target) -> Result<()> {
        if self.replacing.is_some() {
            Replacing::check(&target.schema)?;
        }
        let statements = growth(&mut self.connection, &self.catalogue.target, target).await?;
        self.begin_with(&self.growth_locks(target, !statements.is_empty())).await?;
        let grown = self.grow(target, statements).await;
        if grown.is_err() {
            self.roll_back().await?;
        }
        grown
    }

    /// Undoes a growth that was not committed: the table is that of `target` again.
    pub(super) async fn undo(&mut self, target: &Target) -> Result<()> {
        self.roll_back().await?;
        self.shape = Shape::read(&mut self.connection, target).await?;
        self.refit(target).await
    }

    /// Whether a round is open.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    async fn grow(&mut self, target: &Target, statements: Vec<String>) -> Result<()> {
        for sql in statements {
            let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await;
            done.map_err(|error| fault(&format!("changing the columns of {}", target.name), error))?;
        }
        if let Some(replacing) = &self.replacing {
            replacing::align(&mut self.connection, replacing, target).await?;
        }
        self.shape = Shape::read(&mut self.connection, target).await?;
        self.refit(target).await
    }

    async fn refit(&mut self, target: &Target) -> Result<()> {
        self.run(DROP_STAGE).await?;
        self.fit(target).await
    }

    fn link(&self) -> Link {
        self.link.clone()
    }

    /// What the catalogue says.
    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue)
    }

    pub(super) async fn claim(&mut self, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets> {
        self.roll_back().await?;
        self.positions.claim(&mut self.connection, partitions, topic).await
    }

    /// Gives partitions back, between rounds.
    pub(super) async fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.positions.release(&mut self.connection, partitions).await
    }

    /// The parked keys of partitions.
    pub(super) async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        self.parked.read(&mut self.connection, partitions).await
    }

    /// Changes parked keys, in the round's transaction.
    pub(super) async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        self.begin().await?;
        self.parked.change(&mut self.connection, changes).await
    }

    /// Copies rows as they come: to the stage where there is one, else straight into the target. A server that refuses rows
    /// says so at the end only.
    pub(super) async fn copy(&mut self, mut rows: Receiver<Staged>) -> Result<Result<(), sqlx::Error>> {
        self.begin().await?;
        self.run(SAVEPOINT).await?;
        Ok(self.copy_all(&mut rows).await)
    }

    async fn copy_all(&mut self, rows: &mut Receiver<Staged>) -> Result<(), sqlx::Error> {
        let (mut copy, catalogue) = self.begin_copy(0).await?;
        while let Some(staged) = rows.recv().await {
            copy.send(&staged, &catalogue.columns_of(&staged.batch), 0..staged.batch.len()).await?;
        }
        copy.finish().await
    }

    /// Copies rows once more, a part of them: those with the numbers, which go upwards. In the stage they get the numbers that they had.
    async fn copy_again(&mut self, staged: &[Staged], rows: &[usize]) -> Result<(), sqlx::Error> {
        let (mut copy, catalogue) = self.begin_copy(0).await?;
        for run in runs(rows) {
            copy.number(run.start);
            for (part, rows) in within(staged, run) {
                copy.send(part, &catalogue.columns_of(&part.batch), rows).await?;
            }
        }
        copy.finish().await
    }

    /// The rows of a refused COPY that constraints of the target refuse. None where the server does not say: then the search finds them.
    async fn screen(&mut self, staged: &[Staged]) -> Result<Vec<(usize, String)>> {
        if self.stage.is_some() || self.replacing.is_some() {
            return Ok(Vec::new());
        }
        self.run(SAVEPOINT).await?;
        let catalogue = self.catalogue();
        let found = match screen::refused(&mut self.connection, &catalogue, staged).await {
            Ok(found) => found,
            // It may not make the table, or an expression fails on a row.
            Err(sqlx::Error::Database(error)) => {
                tracing::debug!(%error, "rows can't be checked at once");
                Vec::new()
            }
            Err(error) => return Err(fault(&format!("checking rows for {}", self.catalogue.target.name), error)),
        };
        self.run(UNDO).await?;
        Ok(found)
    }

    /// A COPY of rows from the round's row `first` on.
    async fn begin_copy(&mut self, first: usize) -> Result<(Copy<'_>, &Catalogue), sqlx::Error> {
        let (statement, marks) = match &self.stage {
            Some(stage) => (&stage.copy, Marks::Stage { next: first as i64, partial: stage.partial }),
            None => (&self.copy, Marks::None),
        };
        Ok((Copy::begin(&mut self.connection, statement, marks).await?, &self.catalogue))
    }

    /// Brings what was copied into the target, as `done` says how that ended; returns what stage and target refuse.
    ///
    /// The search for refused rows takes as long as it must: a round may be refused row by row. Only a single step of it is
    /// bounded.
    pub(super) async fn settle(&mut self, done: Result<(), sqlx::Error>, staged: &[Staged]) -> Result<Vec<Rejected>> {
        let mut refused = self.settle_copy(done, staged).await?;
        if self.stage.is_some() {
            refused.extend(self.merge(staged).await?);
            refused.sort_unstable();
        }
        Ok(rejected(staged, refused))
    }

    async fn settle_copy(&mut self, done: Result<(), sqlx::Error>, staged: &[Staged]) -> Result<Vec<(usize, String)>> {
        match self.link().step(self.settle_savepoint(done)).await? {
            Outcome::Landed => Ok(Vec::new()),
            Outcome::Refused(reason) => {
                let mut refused = self.link().step(self.screen(staged)).await?;
                let kept = without(count(staged), &refused);
                let mut recopy = Answered { link: self.link(), search: Recopy { session: self, staged, rows: &kept } };
                let found = if refused.is_empty() {
                    land_refused(&mut recopy, kept.len(), reason).await?
                } else {
                    land(&mut recopy, kept.len()).await?
                };
                refused.extend(found.into_iter().map(|(place, reason)| (kept[place], reason)));
                refused.sort_unstable();
                Ok(refused)
            }
        }
    }

    /// Brings the stage into the target. A row that the stage refused is not in it, and its number lands as nothing.
    async fn merge(&mut self, staged: &[Staged]) -> Result<Vec<(usize, String)>> {
        if let Some(partitions) = &self.partitions {
            self.link.step(partitions.make(&mut self.connection)).await?;
        }
        let contents = self.contents(staged);
        let mut merge = Answered { link: self.link(), search: Merge { session: self, contents, first: 0, indexed: false } };
        let mut refused = Vec::new();
        for segment in staged::segments(staged) {
            match segment {
                Segment::Rows(rows) => {
                    merge.search.first = rows.start;
                    let found = land(&mut merge, rows.len()).await?;
                    refused.extend(found.into_iter().map(|(row, reason)| (rows.start + row, reason)));
                }
                Segment::Clear(number) => match merge.link.step(merge.search.session.clear()).await? {
                    Outcome::Landed => {}
                    Outcome::Refused(reason) => refused.push((number, reason)),
                },
            }
        }
        if merge.search.indexed {
            self.link().step(self.run(stage::DROP_INDEX)).await?;
        }
        Ok(refused)
    }

    fn contents(&self, staged: &[Staged]) -> Contents {
        let mut lacking = BTreeSet::new();
        for part in staged.iter().filter(|part| part.change == Change::Rows) {
            let columns = self.catalogue.columns_of(&part.batch).into_iter().enumerate();
            lacking.extend(columns.filter(|(_, (column, _))| column.is_none()).map(|(number, _)| number));
        }
        let partial = (!lacking.is_empty()).then(|| Partial::of(&self.catalogue.target, &lacking));
        Contents { deletions: staged.iter().any(|part| part.change == Change::Deletions), partial }
    }

    /// Deletes all rows of the target; a foreign key may refuse that.
    async fn clear(&mut self) -> Result<Outcome> {
        self.run(SAVEPOINT).await?;
        let Self { connection, stage, .. } = &mut *self;
        let done = match stage {
            Some(stage) => sqlx::raw_sql(AssertSqlSafe(stage.clear.as_str())).execute(connection).await.map(drop),
            None => Ok(()),
        };
        self.settle_savepoint(done).await
    }

    /// Lets whole loads begin and end; returns the ends of those that the target refuses.
    pub(super) async fn bound(&mut self, bounds: &[LoadBound]) -> Result<Vec<Rejected>> {
        let Some(replacing) = self.replacing.clone().filter(|_| !bounds.is_empty()) else { return Ok(Vec::new()) };
        self.begin().await?;
        let mut rejected = Vec::new();
        for bound in bounds {
            rejected.extend(replacing.apply(bound, self).await?);
        }
        Ok(rejected)
    }

    /// Moves the positions and commits, or rolls back when another writer has moved them.
    pub(super) async fn commit(&mut self, from: &Offsets, to: &Offsets, topic: TopicIdentity) -> Result<Commit> {
        self.begin().await?;
        points::POSTGRES_POSITIONS_BEFORE.reached()?;
        let commit = self.positions.advance(&mut self.connection, from, to, topic).await?;
        points::POSTGRES_POSITIONS_AFTER.reached()?;
        match commit {
            Commit::Done => {
                self.run("COMMIT").await?;
                points::POSTGRES_COMMIT_AFTER.reached()?;
            }
            Commit::Fenced => {
                self.run("ROLLBACK").await?;
                self.shape.forget();
            }
        }
        self.open = false;
        Ok(commit)
    }

    async fn begin(&mut self) -> Result<()> {
        if self.open { Ok(()) } else { self.begin_with(&self.usual_locks()).await }
    }

    /// A round that makes partitions, or swaps tables, takes a stronger lock of the target later: it may not have the weaker one before. Where
    /// tables are swapped, the lock of the loading rows keeps the columns of both as they are, for whoever changes them takes it first.
    fn usual_locks(&self) -> String {
        match &self.replacing {
            Some(replacing) => TableLock::Rows.statement(&replacing.loading),
            None if self.partitions.is_some() => String::new(),
            None => TableLock::Rows.statement(&self.catalogue.target.name),
        }
    }

    /// Those of a round that changes the columns of the target, or of the loading rows alone.
    fn growth_locks(&self, target: &Target, changes_target: bool) -> String {
        let of_target = || TableLock::Columns.statement(&target.name);
        match &self.replacing {
            Some(replacing) if changes_target => TableLock::Columns.statement(&replacing.loading) + &of_target(),
            Some(replacing) => TableLock::Columns.statement(&replacing.loading),
            None if changes_target => of_target(),
            None => self.usual_locks(),
        }
    }

    async fn begin_with(&mut self, locks: &str) -> Result<()> {
        self.open = true;
        if self.shape.changed(&mut self.connection, &self.catalogue.target, locks).await? {
            let target = self.catalogue.target.clone();
            self.refit(&target).await?;
        }
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<()> {
        if self.open {
            self.run("ROLLBACK").await?;
            self.open = false;
            // A stage that was made anew in the transaction is what it was before it.
            self.shape.forget();
        }
        Ok(())
    }

    async fn run(&mut self, sql: &'static str) -> Result<()> {
        let done = sqlx::raw_sql(sql).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| fault(&format!("loading {}", self.catalogue.target.name), error))
    }

    async fn run_all(&mut self, statements: Vec<String>) -> Result<()> {
        let done = sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| fault(&format!("loading {}", self.catalogue.target.name), error))
    }

    /// Keeps what was done since the last savepoint when it succeeded or undoes it when the rows are to blame.
    async fn settle_savepoint(&mut self, done: Result<(), sqlx::Error>) -> Result<Outcome> {
        match done {
            Ok(()) => {
                self.run("RELEASE SAVEPOINT millrace").await?;
                Ok(Outcome::Landed)
            }
            Err(error) => match refusal(&error) {
                Some(reason) => {
                    self.run(UNDO).await?;
                    Ok(Outcome::Refused(reason))
                }
                None => Err(fault(&format!("loading {}", self.catalogue.target.name), error)),
            },
        }
    }
}

#[async_trait]
impl Replaced for Session {
    /// Two writers that each have the last end but one would both miss that the load is whole.
    async fn lock(&mut self, pipeline: &str) -> Result<()> {
        self.link().step(self.run_all(vec![format!("SELECT pg_advisory_xact_lock(hashtextextended({pipeline}, 1))")])).await
    }

    async fn run(&mut self, statements: Vec<String>) -> Result<()> {
        self.link().step(self.run_all(statements)).await
    }

    async fn attempt(&mut self, statements: Vec<String>) -> Result<Outcome> {
        Session::run(self, SAVEPOINT).await?;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut self.connection).await;
        self.settle_savepoint(done.map(drop)).await
    }

    async fn carried(&mut self) -> Result<Vec<String>> {
        let (link, catalogue) = (self.link(), self.catalogue());
        let Self { connection, replacing, .. } = self;
        match replacing {
            Some(replacing) => link.step(replacing::carried(connection, replacing, &catalogue.target)).await,
            None => Ok(Vec::new()),
        }
    }

    async fn number(&mut self, query: String) -> Result<i64> {
        let number = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.connection).await;
        number.map_err(|error| fault(&format!("loading {}", self.catalogue.target.name), error))
    }
}

/// The numbers of so many rows, but for those that are refused, which go upwards.
fn without(count: usize, refused: &[(usize, String)]) -> Vec<usize> {
    let mut refused = refused.iter().map(|(row, _)| *row).peekable();
    (0..count).filter(|row| refused.next_if_eq(row).is_none()).collect()
}

/// Numbers that go upwards, as ranges without gaps.
fn runs(rows: &[usize]) -> impl Iterator<Item = Range<usize>> {
    rows.chunk_by(|one, next| one + 1 == *next).map(|run| run[0]..run[run.len() - 1] + 1)
}

/// Rows whose COPY was refused, in parts.
struct Recopy<'a> {
    session: &'a mut Session,
    staged: &'a [Staged],
    /// The numbers of those that are tried.
    rows: &'a [usize],
}

#[async_trait]
impl Attempt for Recopy<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.session.run(SAVEPOINT).await?;
        let done = self.session.copy_again(self.staged, &self.rows[rows]).await;
        self.session.settle_savepoint(done).await
    }
}

/// Rows of the stage, into the target.
struct Merge<'a> {
    session: &'a mut Session,
    contents: Contents,
    /// The number in the round of the row that is counted as 0.
    first: usize,
    /// Whether parts of the stage are found by an index: the search for refused rows reads many of them.
    indexed: bool,
}

#[async_trait]
impl Attempt for Merge<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.session.run(SAVEPOINT).await?;
        let rows = self.first + rows.start..self.first + rows.end;
        let Session { connection, stage, .. } = &mut *self.session;
        let done = match stage {
            Some(stage) => stage.merge(connection, rows, &self.contents).await,
            None => Ok(()),
        };
        let outcome = self.session.settle_savepoint(done).await?;
        if outcome != Outcome::Landed && !self.indexed {
            self.session.run(stage::INDEX).await?;
            self.indexed = true;
        }
        Ok(outcome)
    }
}
