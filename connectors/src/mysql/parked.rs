//! The parked keys of a pipeline, in the target: for each the offset of the rejected record that its later ones wait for. They change in the
//! transaction that moves the positions.

use millrace_model::{ParkedChanges, ParkedHeads, ParkedKey, Result, TopicPartition};
use sqlx::mysql::MySqlConnection;

use super::fault::fault;
use super::target::ensure;

const TABLE: &str = "millrace_parked";
const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS `millrace_parked` (pipeline varchar(255) NOT NULL, topic varchar(255) NOT NULL, \
     `partition` int NOT NULL, key_sha256 binary(32) NOT NULL, head bigint NOT NULL, PRIMARY KEY (pipeline, topic, `partition`, key_sha256)) \
     ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// Those of the partitions; makes their table when it does not exist, which no transaction may be open for.
pub(super) async fn read(connection: &mut MySqlConnection, pipeline: &str, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
    ensure(connection, TABLE, DEFINITION).await?;
    let mut heads = ParkedHeads::new();
    for partition in partitions {
        let read = sqlx::query_as("SELECT key_sha256, head FROM `millrace_parked` WHERE pipeline = ? AND topic = ? AND `partition` = ?");
        let read = read.bind(pipeline).bind(&*partition.topic).bind(partition.partition);
        let rows: Vec<(Vec<u8>, i64)> = read.fetch_all(&mut *connection).await.map_err(|error| fault("reading parked keys", error))?;
        let keys = rows.into_iter().filter_map(|(digest, head)| Some((digest.try_into().ok()?, head)));
        heads.extend(keys.map(|(digest, head)| (ParkedKey { partition: partition.clone(), digest }, head)));
    }
    Ok(heads)
}

/// Changes them inside the transaction that is open.
pub(super) async fn change(connection: &mut MySqlConnection, pipeline: &str, changes: &ParkedChanges) -> Result<()> {
    for (key, head) in changes {
        let change = match head {
            Some(head) => sqlx::query(
                "INSERT INTO `millrace_parked` (head, pipeline, topic, `partition`, key_sha256) VALUES (?, ?, ?, ?, ?) \
                 ON DUPLICATE KEY UPDATE head = VALUES(head)",
            )
            .bind(head),
            None => sqlx::query("DELETE FROM `millrace_parked` WHERE pipeline = ? AND topic = ? AND `partition` = ? AND key_sha256 = ?"),
        };
        let change = change.bind(pipeline).bind(&*key.partition.topic).bind(key.partition.partition).bind(key.digest.to_vec());
        change.execute(&mut *connection).await.map_err(|error| fault("keeping parked keys", error))?;
    }
    Ok(())
}
