//! The parked keys of a pipeline, in the target: for each the offset of the rejected record that its later ones wait for. They change in the
//! transaction that moves the positions, under the lock of those.

use std::fmt::Write as _;

use millrace_model::{ParkedChanges, ParkedHeads, ParkedKey, Result, TopicPartition};
use sqlx::postgres::PgConnection;

use super::literal;
use super::session::{execute, texts};

const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_parked (pipeline varchar(512) NOT NULL, topic varchar(256) NOT NULL, \
     \"partition\" integer NOT NULL, key_sha256 char(64) NOT NULL, head bigint NOT NULL)";
/// How many keys one statement names: one may have 16 MB.
const KEYS: usize = 1000;

/// Those of the partitions; makes their table when it does not exist.
pub(super) async fn read(connection: &mut PgConnection, pipeline: &str, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
    execute(connection, "making the table of parked keys", DEFINITION).await?;
    let mut heads = ParkedHeads::new();
    for partition in partitions {
        let sql = format!("SELECT key_sha256, head FROM millrace_parked WHERE {}", place(pipeline, partition));
        for row in texts(connection, "reading parked keys", &sql).await? {
            let [Some(digest), Some(head)] = &row[..] else { continue };
            let (Some(digest), Ok(head)) = (digest_of(digest), head.parse()) else { continue };
            heads.insert(ParkedKey { partition: partition.clone(), digest }, head);
        }
    }
    Ok(heads)
}

/// Changes them inside the transaction that is open and has the lock.
pub(super) async fn change(connection: &mut PgConnection, pipeline: &str, changes: &ParkedChanges) -> Result<()> {
    let doing = "keeping parked keys";
    let changes: Vec<_> = changes.iter().collect();
    for changes in changes.chunks(KEYS) {
        let places: Vec<String> = changes.iter().map(|(key, _)| format!("({})", place_of(pipeline, key))).collect();
        execute(connection, doing, &format!("DELETE FROM millrace_parked WHERE {}", places.join(" OR "))).await?;
        let rows: Vec<String> = changes.iter().filter_map(|(key, head)| Some(row(pipeline, key, (**head)?))).collect();
        if !rows.is_empty() {
            execute(connection, doing, &format!("INSERT INTO millrace_parked VALUES {}", rows.join(", "))).await?;
        }
    }
    Ok(())
}

fn place(pipeline: &str, partition: &TopicPartition) -> String {
    format!("pipeline = {} AND topic = {} AND \"partition\" = {}", literal(pipeline), literal(&partition.topic), partition.partition)
}

fn place_of(pipeline: &str, key: &ParkedKey) -> String {
    format!("{} AND key_sha256 = {}", place(pipeline, &key.partition), literal(&hexadecimal(&key.digest)))
}

fn row(pipeline: &str, ParkedKey { partition, digest }: &ParkedKey, head: i64) -> String {
    let [pipeline, topic, digest] = [pipeline, &*partition.topic, &hexadecimal(digest)].map(literal);
    format!("({pipeline}, {topic}, {}, {digest}, {head})", partition.partition)
}

fn hexadecimal(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a text can't fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    let byte = |at: usize| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok();
    (0..32).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_when_it_is_read_back() {
        let digest = std::array::from_fn(|at| (at * 37) as u8);
        assert_eq!(digest_of(&hexadecimal(&digest)), Some(digest));
        assert_eq!(digest_of("00"), None);
        assert_eq!(digest_of(&"x".repeat(64)), None);
    }
}
