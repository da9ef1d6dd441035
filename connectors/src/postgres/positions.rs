//! The positions of a pipeline, in the target: taking partitions over, and the compare-and-set that fences.
//!
//! A position's row also names the session that wrote last: the server process and when it started, for process ids come again. A successor ends
//! that session before it takes a lock that it might hold: one whose client stands still in mid-COPY would hold it for ever.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Code, Commit, Fault, Offsets, Result, TopicIdentity, TopicPartition};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use tokio::time::Instant;

use super::config::Config;
use super::fault::fault;
use super::target::ensure;

const TABLE: &str = "millrace_positions";
/// How long an ended session may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A pipeline's positions.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    pipeline: String,
    table: String,
}

/// Partitions as the two arrays that SQL unnests.
struct Partitions<'a> {
    topics: Vec<&'a str>,
    numbers: Vec<i32>,
}

impl<'a> Partitions<'a> {
    fn of(partitions: impl Iterator<Item = &'a TopicPartition>) -> Self {
        let (topics, numbers) = partitions.map(|one| (&*one.topic, one.partition)).unzip();
        Self { topics, numbers }
    }
}

impl Positions {
    /// The positions of a pipeline that loads by a connection.
    pub(super) fn of(config: &Config, pipeline: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), table: config.qualified(TABLE) }
    }

    /// The name of their table, quoted.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The statement that makes their table.
    pub(super) fn definition(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (pipeline text NOT NULL, topic text NOT NULL, \"partition\" integer NOT NULL, \"position\" bigint, \
             backend_pid integer, backend_start timestamptz, claimed_at timestamptz, topic_id text, PRIMARY KEY (pipeline, topic, \"partition\"))",
            self.table
        )
    }

    /// The statement that gives a table which an earlier version made the ids of topics.
    pub(super) fn add_ids(&self) -> String {
        format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS topic_id text", self.table)
    }

    /// Whether the table has no ids of topics.
    pub(super) async fn lacks_ids(&self, connection: &mut PgConnection) -> Result<bool> {
        let sql =
            "SELECT NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'topic_id' AND NOT attisdropped)";
        let lacks = sqlx::query_scalar(sql).bind(&self.table).fetch_one(connection).await;
        lacks.map_err(|error| fault(&format!("looking at table {}", self.table), error))
    }

    /// Makes their table when it does not exist, or brings it up to date.
    pub(super) async fn ensure(&self, connection: &mut PgConnection) -> Result<()> {
        ensure(connection, &self.table, &self.definition()).await?;
        if self.lacks_ids(connection).await? {
            let doing = format!("adding the column topic_id to {}", self.table);
            sqlx::raw_sql(AssertSqlSafe(self.add_ids())).execute(connection).await.map_err(|error| fault(&doing, error))?;
        }
        Ok(())
    }

    /// Takes partitions over: ends the sessions that had them, puts this one in their place, and returns their positions.
    pub(super) async fn claim(
        &self,
        connection: &mut PgConnection,
        partitions: &[TopicPartition],
        topic: TopicIdentity,
    ) -> Result<Offsets> {
        let partitions = Partitions::of(partitions.iter());
        // Reads without a lock, so that a holder of one can't keep this waiting.
        self.end_predecessors(connection, &partitions).await?;
        self.run(connection, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
        self.lock(connection, &partitions).await?;
        // Another successor may have been quicker since.
        self.end_predecessors(connection, &partitions).await?;
        let offsets = self.take(connection, &partitions, topic).await?;
        self.run(connection, "COMMIT").await?;
        Ok(offsets)
    }

    async fn end_predecessors(&self, connection: &mut PgConnection, partitions: &Partitions<'_>) -> Result<()> {
        let deadline = Instant::now() + GONE_WITHIN;
        while self.end_living(connection, partitions).await? > 0 {
            if Instant::now() > deadline {
                let message = format!("PostgreSQL: a former writer of {} does not end its session; waiting", self.pipeline);
                return Err(Fault::passing(Code::TargetUnavailable, message));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Tells the sessions that have the partitions to end, and returns how many there are.
    async fn end_living(&self, connection: &mut PgConnection, partitions: &Partitions<'_>) -> Result<usize> {
        // Within a transaction the view of sessions stands still unless it is told not to.
        self.run(connection, "SELECT pg_stat_clear_snapshot()").await?;
        let sql = format!(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND (a.pid, a.backend_start) IN \
             (SELECT p.backend_pid, p.backend_start FROM {} p {JOIN})",
            self.table
        );
        let told = self.bind(&sql, partitions).fetch_all(connection).await;
        told.map(|told| told.len()).map_err(|error| fault("ending the session of a former writer", error))
    }

    async fn lock(&self, connection: &mut PgConnection, partitions: &Partitions<'_>) -> Result<()> {
        let insert = format!(
            "INSERT INTO {} (pipeline, topic, \"partition\") SELECT $1, u.t, u.n FROM unnest($2::text[], $3::int[]) AS u (t, n) \
             ORDER BY 2, 3 ON CONFLICT DO NOTHING",
            self.table
        );
        let lock = format!("SELECT 1 FROM {} p {JOIN} ORDER BY p.topic, p.\"partition\" FOR UPDATE OF p", self.table);
        for sql in [insert, lock] {
            let done = self.bind(&sql, partitions).execute(&mut *connection).await;
            done.map_err(|error| fault("locking positions", error))?;
        }
        Ok(())
    }

    async fn take(&self, connection: &mut PgConnection, partitions: &Partitions<'_>, topic: TopicIdentity) -> Result<Offsets> {
        let sql = format!(
            "UPDATE {} p SET backend_pid = a.pid, backend_start = a.backend_start, claimed_at = now() \
             FROM unnest($2::text[], $3::int[]) AS u (t, n), pg_stat_activity a WHERE a.pid = pg_backend_pid() \
             AND p.pipeline = $1 AND p.topic = u.t AND p.\"partition\" = u.n RETURNING p.topic, p.\"partition\", p.\"position\", p.topic_id",
            self.table
        );
        let rows: Vec<(String, i32, Option<i64>, Option<String>)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(&self.pipeline)
            .bind(&partitions.topics)
            .bind(&partitions.numbers)
            .fetch_all(connection)
            .await
            .map_err(|error| fault("claiming partitions", error))?;
        let mut offsets = Offsets::new();
        for (name, number, position, id) in rows {
            if let Some(position) = position {
                let partition = TopicPartition::new(name, number);
                topic.check(&self.pipeline, &partition, id.as_deref())?;
                offsets.insert(partition, position);
            }
        }
        Ok(offsets)
    }

    /// Says of partitions that this session has nothing more to do with them, so that who claims them does not end it.
    pub(super) async fn release(&self, connection: &mut PgConnection, partitions: &[TopicPartition]) -> Result<()> {
        let sql = format!(
            "UPDATE {} p SET backend_pid = NULL, backend_start = NULL FROM unnest($2::text[], $3::int[]) AS u (t, n) \
             WHERE p.pipeline = $1 AND p.topic = u.t AND p.\"partition\" = u.n AND p.backend_pid = pg_backend_pid()",
            self.table
        );
        let given = self.bind(&sql, &Partitions::of(partitions.iter())).execute(connection).await;
        given.map(drop).map_err(|error| fault("giving partitions back", error))
    }

    /// Moves positions inside the transaction that is open, each only from where this writer started.
    /// [`Commit::Fenced`] says that one of them was elsewhere.
    pub(super) async fn advance(
        &self,
        connection: &mut PgConnection,
        from: &Offsets,
        to: &Offsets,
        topic: TopicIdentity,
    ) -> Result<Commit> {
        let partitions = Partitions::of(to.keys());
        let old: Vec<Option<i64>> = to.keys().map(|partition| from.get(partition).copied()).collect();
        let new: Vec<i64> = to.values().copied().collect();
        let sql = format!(
            "UPDATE {} p SET \"position\" = u.new, topic_id = coalesce($6, p.topic_id) FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS u (t, n, old, new) \
             WHERE p.pipeline = $1 AND p.topic = u.t AND p.\"partition\" = u.n AND p.\"position\" IS NOT DISTINCT FROM u.old \
             AND (u.old IS NULL OR p.topic_id IS NULL OR p.topic_id = coalesce($7, p.topic_id))",
            self.table
        );
        let [given, required] = [topic.given(), topic.required()].map(|id| id.map(|id| id.to_string()));
        let moved = self.bind(&sql, &partitions).bind(&old).bind(&new).bind(given).bind(required).execute(connection).await;
        let moved = moved.map_err(|error| fault("moving positions", error))?.rows_affected();
        Ok(if moved == to.len() as u64 { Commit::Done } else { Commit::Fenced })
    }

    fn bind<'q>(&self, sql: &str, partitions: &Partitions<'_>) -> Query<'q, sqlx::Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(Arc::<str>::from(sql))).bind(self.pipeline.clone()).bind(&partitions.topics).bind(&partitions.numbers)
    }

    async fn run(&self, connection: &mut PgConnection, sql: &'static str) -> Result<()> {
        sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(|error| fault("claiming partitions", error))
    }
}

/// The rows of the partitions that `$2` and `$3` list.
const JOIN: &str = "JOIN unnest($2::text[], $3::int[]) AS u (t, n) ON p.pipeline = $1 AND p.topic = u.t AND p.\"partition\" = u.n";
