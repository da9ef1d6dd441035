//! The positions of a pipeline, in the target, and the compare-and-set that fences.

use millrace_model::{Commit, Offsets, Result, TopicPartition};
use sqlx::sqlite::SqliteConnection;

use super::fault::fault;

/// The name of their table.
pub(super) const TABLE: &str = "millrace_positions";

/// The statement that makes it.
pub(super) const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_positions (pipeline TEXT NOT NULL, topic TEXT NOT NULL, \
     \"partition\" INTEGER NOT NULL, \"position\" INTEGER, PRIMARY KEY (pipeline, topic, \"partition\"))";

/// Makes their table when it does not exist.
pub(super) async fn ensure(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::raw_sql(DEFINITION).execute(connection).await.map(drop).map_err(|error| fault("making the table of positions", error))
}

/// The positions of partitions, which each get a row if they have none.
pub(super) async fn claim(connection: &mut SqliteConnection, pipeline: &str, partitions: &[TopicPartition]) -> Result<Offsets> {
    let failed = |error| fault("claiming partitions", error);
    let mut offsets = Offsets::new();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(failed)?;
    for partition in partitions {
        if let Some(offset) = claim_one(connection, pipeline, partition).await.map_err(failed)? {
            offsets.insert(partition.clone(), offset);
        }
    }
    sqlx::raw_sql("COMMIT").execute(connection).await.map_err(failed)?;
    Ok(offsets)
}

async fn claim_one(connection: &mut SqliteConnection, pipeline: &str, partition: &TopicPartition) -> Result<Option<i64>, sqlx::Error> {
    // A conflict must change something, or nothing is returned.
    let claim = sqlx::query_scalar(
        "INSERT INTO millrace_positions (pipeline, topic, \"partition\") VALUES (?, ?, ?) \
         ON CONFLICT DO UPDATE SET \"position\" = \"position\" RETURNING \"position\"",
    );
    claim.bind(pipeline).bind(&*partition.topic).bind(partition.partition).fetch_one(connection).await
}

/// Moves positions inside the transaction that is open, each only from where this writer started.
/// [`Commit::Fenced`] says that one of them was elsewhere.
pub(super) async fn advance(connection: &mut SqliteConnection, pipeline: &str, from: &Offsets, to: &Offsets) -> Result<Commit> {
    for (partition, offset) in to {
        let advance = sqlx::query(
            "UPDATE millrace_positions SET \"position\" = ? WHERE pipeline = ? AND topic = ? AND \"partition\" = ? AND \"position\" IS ?",
        );
        let advance =
            advance.bind(offset).bind(pipeline).bind(&*partition.topic).bind(partition.partition).bind(from.get(partition).copied());
        let moved = advance.execute(&mut *connection).await.map_err(|error| fault("moving positions", error))?;
        if moved.rows_affected() != 1 {
            return Ok(Commit::Fenced);
        }
    }
    Ok(Commit::Done)
}
