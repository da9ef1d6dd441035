//! One session with the server, and the transaction of a round in it.

use std::slice;

use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, LoadBound, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Stage, TopicIdentity,
    TopicPartition,
};
use millrace_runtime::resilience::Link;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::config::Config;
use super::connect::connect_to_load;
use super::fault::{fault, refusal};
use super::growth::Growth;
use super::lease::Lease;
use super::positions::{self, Claim};
use super::server::Server;
use super::shape::Shape;
use super::statements::Columns;
use super::target::{self, Loaded, change_columns, compare, compare_held, ensure};
use super::work::Work;
use super::{checks, parked, replacing};
use crate::crash_points as points;
use crate::table::{
    Answered, Change, Outcome, Refused, Replaced, Replacing, RoundSession, Target, check_columns, defect, land, rejected, unfit, unsettled,
};
use crate::table_config::TableConfig;

const SAVEPOINT: &str = "SAVEPOINT millrace";

/// A connection, what was read from the catalogue through it, and whether a round is open.
pub(super) struct Session {
    pub(super) connection: MySqlConnection,
    pub(super) server: Server,
    link: Link,
    lease: Lease,
    target: Target,
    columns: Vec<Loaded>,
    replacing: Option<Replacing>,
    shape: Shape,
    open: bool,
}

#[async_trait]
impl RoundSession for Session {
    type Config = Config;
    const NAME: &'static str = "MySQL";

    fn link(config: &Config) -> &Link {
        config.link()
    }

    fn target(_: &Config, table: &TableConfig, schema: &Schema) -> Target {
        target::target(table, schema)
    }

    async fn open(config: &Config, target: &Target) -> Result<Self> {
        let connection = connect_to_load(config).await?;
        config.link().step(Self::prepare(connection, config, target)).await
    }

    fn present(&self) -> &Target {
        &self.target
    }

    /// At once, for definitions commit by themselves: an added column is there before the rows that need it, empty.
    async fn reshape(&mut self, target: &Target) -> Result<()> {
        if self.open {
            return Err(unsettled());
        }
        if self.replacing.is_some() {
            Replacing::check(&target.schema)?;
        }
        let mut tried = None;
        while let Some(sql) = self.growth(target).await?.filter(|sql| tried.as_ref() != Some(sql)) {
            if !change_columns(&mut self.connection, &target.name, &sql).await? {
                tried = Some(sql);
            }
        }
        if let Some(replacing) = &self.replacing {
            replacing::align(&mut self.connection, replacing, target).await?;
        }
        let columns = compare_held(&mut self.connection, target).await?;
        self.fit(target, columns);
        Ok(())
    }

    async fn claim(&mut self, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets> {
        if self.open {
            self.run("ROLLBACK").await?;
            self.open = false;
        }
        let claim = Claim { pipeline: &self.target.table.pipeline, partitions, lease: &self.lease, topic };
        claim.take(&mut self.connection).await
    }

    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        if self.open {
            return Err(unsettled());
        }
        parked::read(&mut self.connection, &self.target.table.pipeline, partitions).await
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        self.begin().await?;
        parked::change(&mut self.connection, &self.target.table.pipeline, changes).await
    }

    fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)> {
        check_columns(batch.columns(), &self.target.schema)?;
        let mut refused = Refused::default();
        let columns = batch.columns();
        for (field, array) in columns.schema().fields().iter().zip(columns.columns()) {
            let loaded = self.columns.iter().find(|column| column.name == *field.name());
            let loaded = loaded.ok_or_else(|| unfit(format!("a batch has the column {:?}, which is not in the schema", field.name())))?;
            checks::check(loaded, array, &mut refused);
        }
        refused.sort_out(batch).map_err(defect)
    }

    async fn land(&mut self, batches: &[Batch], change: Change) -> Result<Vec<Rejected>> {
        let mut rejected = Vec::new();
        for batch in batches {
            rejected.extend(self.land_one(batch, change).await?);
        }
        Ok(rejected)
    }

    async fn clear(&mut self, origin: &Origin) -> Result<Vec<Rejected>> {
        self.begin().await?;
        let Outcome::Refused(reason) = self.attempt(vec![format!("DELETE FROM {}", self.target.name)]).await? else {
            return Ok(Vec::new());
        };
        let reject = |&record| Rejected::new(origin.records(), Stage::Write, Rejection::new(record, Code::RowRefused, reason.clone()));
        Ok(origin.rows().iter().map(reject).collect())
    }

    async fn bound(&mut self, bound: &LoadBound) -> Result<Vec<Rejected>> {
        self.begin().await?;
        let Some(replacing) = self.replacing.clone() else { return Ok(Vec::new()) };
        Ok(replacing.apply(&replacing::storable(bound), self).await?.into_iter().collect())
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets, topic: TopicIdentity) -> Result<Commit> {
        self.begin().await?;
        points::MYSQL_POSITIONS_BEFORE.reached()?;
        let commit = positions::advance(&mut self.connection, &self.target.table.pipeline, from, to, topic).await?;
        points::MYSQL_POSITIONS_AFTER.reached()?;
        self.run(if commit == Commit::Done { "COMMIT" } else { "ROLLBACK" }).await?;
        points::MYSQL_COMMIT_AFTER.reached()?;
        self.open = false;
        Ok(commit)
    }
}

impl Session {
    async fn prepare(mut connection: MySqlConnection, config: &Config, target: &Target) -> Result<Self> {
        let server = Server::ask(&mut connection).await?;
        let lease = Lease::take(&mut connection).await?;
        positions::ensure_table(&mut connection).await?;
        ensure(&mut connection, &target.table.table, &target::definition(target, &server)?).await?;
        let target = &target::present(&mut connection, target).await?;
        let columns = compare_held(&mut connection, target).await?;
        let replacing = replacing::open(&mut connection, &server, target, &columns).await?;
        let mut session = Self {
            connection,
            server,
            link: config.link().clone(),
            lease,
            target: target.clone(),
            columns: Vec::new(),
            replacing,
            shape: Shape::of(&target.table.table, &[]),
            open: false,
        };
        session.fit(target, columns);
        Ok(session)
    }

    /// The statement that makes the table take the rows of `target`, if there is anything to do. A table that would not take them even so is
    /// left as it is.
    async fn growth(&mut self, target: &Target) -> Result<Option<String>> {
        target::hold(&mut self.connection, &target.name).await?;
        let (existing, unique) = target::read(&mut self.connection, target).await?;
        target::let_go(&mut self.connection).await?;
        let growth = Growth::of(&self.target, target, &existing);
        growth.check(target, &existing, &unique)?;
        Ok(growth.statement(&target.name))
    }

    /// Makes ready to load the target by these columns.
    fn fit(&mut self, target: &Target, columns: Vec<Loaded>) {
        let into = self.replacing.as_ref().map_or_else(|| target.table.table.clone(), |_| Replacing::loading_table(target));
        let columns = if self.replacing.is_some() { replacing::with_marks(columns) } else { columns };
        self.shape = Shape::of(&into, &columns);
        self.columns = columns;
        self.target = target.clone();
    }

    /// Lands one batch: each statement has as many rows as it can anyway.
    async fn land_one(&mut self, batch: &Batch, change: Change) -> Result<Vec<Rejected>> {
        let link = self.link.clone();
        link.step(self.begin()).await?;
        let fields = self.fields(batch);
        let table = self.replacing.as_ref().map_or(&self.target.name, |replacing| &replacing.loading);
        let statements = Columns::of(&self.target, &self.columns, table, &fields).statements(change);
        let columns = self.columns.clone();
        let search = Work { session: self, batch, fields: &fields, columns: &columns, statements };
        let refused = land(&mut Answered { link, search }, batch.len()).await?;
        Ok(rejected(slice::from_ref(batch), refused))
    }

    /// The schema's fields of a batch's columns: they say what a batch of keys may not, such as which bytes are UUIDs.
    fn fields(&self, batch: &Batch) -> Vec<FieldRef> {
        let schema = batch.columns().schema();
        let known = |field: &FieldRef| self.target.schema.arrow().fields().find(field.name()).map_or(field, |(_, known)| known).clone();
        schema.fields().iter().map(known).collect()
    }

    async fn begin(&mut self) -> Result<()> {
        if self.open {
            return Ok(());
        }
        self.open = true;
        if self.shape.changed(&mut self.connection).await? {
            let columns = compare(&mut self.connection, &self.target).await?;
            self.columns = if self.replacing.is_some() { replacing::with_marks(columns) } else { columns };
        }
        Ok(())
    }

    /// Begins what may be undone by itself.
    pub(super) async fn set_savepoint(&mut self) -> Result<()> {
        self.run(SAVEPOINT).await
    }

    /// Keeps what was done since the savepoint.
    pub(super) async fn keep(&mut self) -> Result<Outcome> {
        self.run("RELEASE SAVEPOINT millrace").await?;
        Ok(Outcome::Landed)
    }

    /// Undoes what was done since the savepoint, for rows are to blame.
    pub(super) async fn undo(&mut self, reason: String) -> Result<Outcome> {
        self.run("ROLLBACK TO SAVEPOINT millrace; RELEASE SAVEPOINT millrace").await?;
        Ok(Outcome::Refused(reason))
    }

    /// Keeps it when it succeeded, or undoes it when the rows are to blame.
    pub(super) async fn settle_savepoint(&mut self, done: Result<(), sqlx::Error>) -> Result<Outcome> {
        match done {
            Ok(()) => self.keep().await,
            Err(error) => match refusal(&error) {
                Some(reason) => self.undo(reason).await,
                None => Err(self.fault(error)),
            },
        }
    }

    fn fault(&self, error: sqlx::Error) -> millrace_model::Fault {
        fault(&format!("loading {}", self.target.name), error)
    }

    async fn run(&mut self, sql: &'static str) -> Result<()> {
        sqlx::raw_sql(sql).execute(&mut self.connection).await.map(drop).map_err(|error| self.fault(error))
    }

    async fn run_all(&mut self, statements: Vec<String>) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut self.connection).await.map(drop)
    }
}

#[async_trait]
impl Replaced for Session {
    /// Two writers that each have the last end but one would both miss that the load is whole.
    async fn lock(&mut self, pipeline: &str) -> Result<()> {
        let sql = format!("SELECT `partition` FROM `{}` WHERE pipeline = {pipeline} FOR UPDATE", positions::TABLE);
        Replaced::run(self, vec![sql]).await
    }

    async fn run(&mut self, statements: Vec<String>) -> Result<()> {
        self.run_all(statements).await.map_err(|error| self.fault(error))
    }

    async fn attempt(&mut self, statements: Vec<String>) -> Result<Outcome> {
        self.set_savepoint().await?;
        let done = self.run_all(statements).await;
        self.settle_savepoint(done).await
    }

    async fn carried(&mut self) -> Result<Vec<String>> {
        replacing::carried(&mut self.connection, &self.target).await
    }

    async fn number(&mut self, query: String) -> Result<i64> {
        let number = sqlx::query_scalar(AssertSqlSafe(query)).persistent(false).fetch_one(&mut self.connection).await;
        number.map_err(|error| self.fault(error))
    }
}
