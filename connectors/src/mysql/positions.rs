//! The positions of a pipeline, in the target: taking partitions over, and the compare-and-set that fences.
//!
//! A position's row also names the session that wrote last. A successor ends that session before it takes a lock that it might hold: one whose
//! client stands still in mid-round would hold it for ever.

use millrace_model::{Commit, Offsets, Result, TopicIdentity, TopicPartition};
use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySql, MySqlArguments, MySqlConnection};
use sqlx::query::{Query, QueryAs};

use super::fault::fault;
use super::lease::{self, Lease};
use super::target::{change_columns, ensure};

/// The name of their table.
pub(super) const TABLE: &str = "millrace_positions";

/// The statement that makes it. Names of topics and pipelines are told apart by their bytes.
pub(super) const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS `millrace_positions` (pipeline varchar(255) NOT NULL, topic varchar(255) NOT NULL, \
     `partition` int NOT NULL, `position` bigint, `session` varchar(64), connection_id bigint, claimed_at datetime(6), topic_id varchar(22), \
     PRIMARY KEY (pipeline, topic, `partition`)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// What gives a table that an earlier version made the ids of topics.
pub(super) const ADD_IDS: &str = "ALTER TABLE `millrace_positions` ADD COLUMN topic_id varchar(22)";

/// Makes their table when it does not exist, or brings it up to date.
pub(super) async fn ensure_table(connection: &mut MySqlConnection) -> Result<()> {
    ensure(connection, TABLE, DEFINITION).await?;
    if lacks_ids(connection).await? {
        // Another loader may be quicker.
        change_columns(connection, TABLE, ADD_IDS).await?;
    }
    Ok(())
}

/// Whether the table has no ids of topics.
pub(super) async fn lacks_ids(connection: &mut MySqlConnection) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() \
               AND table_name = ? AND column_name = 'topic_id')";
    let lacks = sqlx::query_scalar(sql).bind(TABLE).fetch_one(connection).await;
    lacks.map_err(|error| fault("looking at the table of positions", error))
}

/// Partitions of a pipeline, and the session that claims them.
pub(super) struct Claim<'a> {
    pub(super) pipeline: &'a str,
    pub(super) partitions: &'a [TopicPartition],
    pub(super) lease: &'a Lease,
    /// Which topic they are of.
    pub(super) topic: TopicIdentity,
}

impl Claim<'_> {
    /// Takes the partitions over: ends the sessions that had them, puts this one in their place, and returns their positions.
    pub(super) async fn take(&self, connection: &mut MySqlConnection) -> Result<Offsets> {
        if self.partitions.is_empty() {
            return Ok(Offsets::new());
        }
        // Reads without a lock, so that a holder of one can't keep this waiting.
        self.end_predecessors(connection).await?;
        run(connection, "START TRANSACTION READ WRITE").await?;
        let offsets = self.lock(connection).await?;
        // Another successor may have been quicker since.
        self.end_predecessors(connection).await?;
        self.sign(connection).await?;
        run(connection, "COMMIT").await?;
        Ok(offsets)
    }

    async fn end_predecessors(&self, connection: &mut MySqlConnection) -> Result<()> {
        let sql = format!("SELECT DISTINCT `session` FROM `millrace_positions` WHERE {} AND `session` <> ?", self.rows());
        let sessions: Vec<(String,)> = bound_as(sqlx::query_as(AssertSqlSafe(sql)).bind(self.pipeline), self.partitions)
            .bind(self.lease.name())
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| fault("reading who wrote last", error))?;
        let sessions: Vec<String> = sessions.into_iter().map(|(session,)| session).collect();
        lease::end(connection, &sessions, self.pipeline).await
    }

    /// Locks the rows of the partitions, which each get one if they have none, in one order for all.
    async fn lock(&self, connection: &mut MySqlConnection) -> Result<Offsets> {
        let failed = |error| fault("locking positions", error);
        for partition in self.partitions {
            let insert = "INSERT INTO `millrace_positions` (pipeline, topic, `partition`) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE pipeline = pipeline";
            let insert = sqlx::query(insert).bind(self.pipeline).bind(&*partition.topic).bind(partition.partition);
            insert.execute(&mut *connection).await.map_err(failed)?;
        }
        let rows = self.rows();
        let sql = format!(
            "SELECT topic, `partition`, `position`, topic_id FROM `millrace_positions` WHERE {rows} ORDER BY topic, `partition` FOR UPDATE"
        );
        let positions: Vec<(String, i32, Option<i64>, Option<String>)> =
            bound_as(sqlx::query_as(AssertSqlSafe(sql)).bind(self.pipeline), self.partitions)
                .fetch_all(connection)
                .await
                .map_err(failed)?;
        let mut offsets = Offsets::new();
        for (topic, number, position, id) in positions {
            if let Some(position) = position {
                let partition = TopicPartition::new(topic, number);
                self.topic.check(self.pipeline, &partition, id.as_deref())?;
                offsets.insert(partition, position);
            }
        }
        Ok(offsets)
    }

    async fn sign(&self, connection: &mut MySqlConnection) -> Result<()> {
        let rows = self.rows();
        let sql = format!(
            "UPDATE `millrace_positions` SET `session` = ?, connection_id = CONNECTION_ID(), claimed_at = UTC_TIMESTAMP(6) WHERE {rows}"
        );
        let signed = bound(sqlx::query(AssertSqlSafe(sql)).bind(self.lease.name()).bind(self.pipeline), self.partitions);
        signed.execute(connection).await.map(drop).map_err(|error| fault("claiming partitions", error))
    }

    /// Which rows are those of the partitions.
    fn rows(&self) -> String {
        format!("pipeline = ? AND (topic, `partition`) IN ({})", vec!["(?, ?)"; self.partitions.len()].join(", "))
    }
}

/// Moves positions inside the transaction that is open, each only from where this writer started.
/// [`Commit::Fenced`] says that one of them was elsewhere.
pub(super) async fn advance(
    connection: &mut MySqlConnection,
    pipeline: &str,
    from: &Offsets,
    to: &Offsets,
    topic: TopicIdentity,
) -> Result<Commit> {
    let [given, required] = [topic.given(), topic.required()].map(|id| id.map(|id| id.to_string()));
    for (partition, offset) in to {
        let advance = sqlx::query(
            "UPDATE `millrace_positions` SET `position` = ?, topic_id = coalesce(?, topic_id) WHERE pipeline = ? AND topic = ? \
             AND `partition` = ? AND `position` <=> ? AND (`position` IS NULL OR topic_id IS NULL OR topic_id = coalesce(?, topic_id))",
        );
        let advance = advance.bind(offset).bind(given.as_deref()).bind(pipeline).bind(&*partition.topic).bind(partition.partition);
        let advance = advance.bind(from.get(partition).copied()).bind(required.as_deref());
        // Rows that were found count, changed or not.
        let moved = advance.execute(&mut *connection).await.map_err(|error| fault("moving positions", error))?;
        if moved.rows_affected() != 1 {
            return Ok(Commit::Fenced);
        }
    }
    Ok(Commit::Done)
}

fn bound<'q>(query: Query<'q, MySql, MySqlArguments>, partitions: &[TopicPartition]) -> Query<'q, MySql, MySqlArguments> {
    partitions.iter().fold(query, |query, partition| query.bind(partition.topic.to_string()).bind(partition.partition))
}

fn bound_as<'q, O>(query: QueryAs<'q, MySql, O, MySqlArguments>, partitions: &[TopicPartition]) -> QueryAs<'q, MySql, O, MySqlArguments> {
    partitions.iter().fold(query, |query, partition| query.bind(partition.topic.to_string()).bind(partition.partition))
}

async fn run(connection: &mut MySqlConnection, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(|error| fault("claiming partitions", error))
}
