//! The parked keys of a pipeline, in the target: for each the offset of the rejected record that its later ones wait for. They change in the
//! transaction that moves the positions.

use millrace_model::{ParkedChanges, ParkedHeads, ParkedKey, Result, TopicPartition};
use sqlx::sqlite::SqliteConnection;

use super::fault::fault;

const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_parked (pipeline TEXT NOT NULL, topic TEXT NOT NULL, \"partition\" INTEGER NOT NULL, \
     key_sha256 BLOB NOT NULL, head INTEGER NOT NULL, PRIMARY KEY (pipeline, topic, \"partition\", key_sha256))";

/// Those of the partitions; makes their table when it does not exist.
pub(super) async fn read(connection: &mut SqliteConnection, pipeline: &str, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
    let made = sqlx::raw_sql(DEFINITION).execute(&mut *connection).await;
    made.map_err(|error| fault("making the table of parked keys", error))?;
    let mut heads = ParkedHeads::new();
    for partition in partitions {
        let read = sqlx::query_as("SELECT key_sha256, head FROM millrace_parked WHERE pipeline = ? AND topic = ? AND \"partition\" = ?");
        let read = read.bind(pipeline).bind(&*partition.topic).bind(partition.partition);
        let rows: Vec<(Vec<u8>, i64)> = read.fetch_all(&mut *connection).await.map_err(|error| fault("reading parked keys", error))?;
        let keys = rows.into_iter().filter_map(|(digest, head)| Some((digest.try_into().ok()?, head)));
        heads.extend(keys.map(|(digest, head)| (ParkedKey { partition: partition.clone(), digest }, head)));
    }
    Ok(heads)
}

/// Changes them inside the transaction that is open.
pub(super) async fn change(connection: &mut SqliteConnection, pipeline: &str, changes: &ParkedChanges) -> Result<()> {
    for (key, head) in changes {
        let change = match head {
            Some(head) => sqlx::query(
                "INSERT INTO millrace_parked (head, pipeline, topic, \"partition\", key_sha256) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT DO UPDATE SET head = excluded.head",
            )
            .bind(head),
            None => sqlx::query("DELETE FROM millrace_parked WHERE pipeline = ? AND topic = ? AND \"partition\" = ? AND key_sha256 = ?"),
        };
        let change = change.bind(pipeline).bind(&*key.partition.topic).bind(key.partition.partition).bind(key.digest.to_vec());
        change.execute(&mut *connection).await.map_err(|error| fault("keeping parked keys", error))?;
    }
    Ok(())
}
