//! The positions of a pipeline, in the target, and the compare-and-set that fences.

use millrace_model::{Commit, Offsets, Result, TopicIdentity, TopicPartition};
use sqlx::sqlite::SqliteConnection;

use super::fault::fault;

/// The name of their table.
pub(super) const TABLE: &str = "millrace_positions";

/// The statement that makes it.
pub(super) const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_positions (pipeline TEXT NOT NULL, topic TEXT NOT NULL, \
     \"partition\" INTEGER NOT NULL, \"position\" INTEGER, topic_id TEXT, PRIMARY KEY (pipeline, topic, \"partition\"))";

/// What gives a table that an earlier version made the ids of topics.
pub(super) const ADD_IDS: &str = "ALTER TABLE millrace_positions ADD COLUMN topic_id TEXT";

/// Makes their table when it does not exist, or brings it up to date.
pub(super) async fn ensure(connection: &mut SqliteConnection) -> Result<()> {
    let failed = |error| fault("making the table of positions", error);
    sqlx::raw_sql(DEFINITION).execute(&mut *connection).await.map_err(failed)?;
    if lacks_ids(connection).await? {
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(failed)?;
        // Another loader may have been quicker.
        if lacks_ids(connection).await? {
            sqlx::raw_sql(ADD_IDS).execute(&mut *connection).await.map_err(failed)?;
        }
        sqlx::raw_sql("COMMIT").execute(connection).await.map_err(failed)?;
    }
    Ok(())
}

/// Whether the table, which is there, has no ids of topics.
pub(super) async fn lacks_ids(connection: &mut SqliteConnection) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM pragma_table_info('millrace_positions') WHERE name = 'topic_id')";
    let lacks = sqlx::query_scalar(sql).fetch_one(connection).await;
    lacks.map_err(|error| fault("looking at the table of positions", error))
}

/// The positions of partitions, which each get a row if they have none.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    pipeline: &str,
    partitions: &[TopicPartition],
    topic: TopicIdentity,
) -> Result<Offsets> {
    let failed = |error| fault("claiming partitions", error);
    let mut offsets = Offsets::new();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(failed)?;
    for partition in partitions {
        let (offset, id) = claim_one(connection, pipeline, partition).await.map_err(failed)?;
        if let Some(offset) = offset {
            // The connection is dropped with the fault, and what it has begun with it.
            topic.check(pipeline, partition, id.as_deref())?;
            offsets.insert(partition.clone(), offset);
        }
    }
    sqlx::raw_sql("COMMIT").execute(connection).await.map_err(failed)?;
    Ok(offsets)
}

/// The position, and the id of the topic that it is of.
async fn claim_one(
    connection: &mut SqliteConnection,
    pipeline: &str,
    partition: &TopicPartition,
) -> Result<(Option<i64>, Option<String>), sqlx::Error> {
    // A conflict must change something, or nothing is returned.
    let claim = sqlx::query_as(
        "INSERT INTO millrace_positions (pipeline, topic, \"partition\") VALUES (?, ?, ?) \
         ON CONFLICT DO UPDATE SET \"position\" = \"position\" RETURNING \"position\", topic_id",
    );
    claim.bind(pipeline).bind(&*partition.topic).bind(partition.partition).fetch_one(connection).await
}

/// Moves positions inside the transaction that is open, each only from where this writer started.
/// [`Commit::Fenced`] says that one of them was elsewhere.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    pipeline: &str,
    from: &Offsets,
    to: &Offsets,
    topic: TopicIdentity,
) -> Result<Commit> {
    let [given, required] = [topic.given(), topic.required()].map(|id| id.map(|id| id.to_string()));
    for (partition, offset) in to {
        let advance = sqlx::query(
            "UPDATE millrace_positions SET \"position\" = ?1, topic_id = coalesce(?2, topic_id) WHERE pipeline = ?3 AND topic = ?4 \
             AND \"partition\" = ?5 AND \"position\" IS ?6 AND (?6 IS NULL OR topic_id IS NULL OR topic_id = coalesce(?7, topic_id))",
        );
        let advance = advance.bind(offset).bind(given.as_deref()).bind(pipeline).bind(&*partition.topic).bind(partition.partition);
        let advance = advance.bind(from.get(partition).copied()).bind(required.as_deref());
        let moved = advance.execute(&mut *connection).await.map_err(|error| fault("moving positions", error))?;
        if moved.rows_affected() != 1 {
            return Ok(Commit::Fenced);
        }
    }
    Ok(Commit::Done)
}
