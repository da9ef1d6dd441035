//! The parked keys of a pipeline, in the target: for each the offset of the rejected record that its later ones wait for. They change in the
//! transaction that moves the positions.

use millrace_model::{ParkedChanges, ParkedHeads, ParkedKey, Result, TopicPartition};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::fault::fault;
use super::target::ensure;

const TABLE: &str = "millrace_parked";

/// A pipeline's parked keys.
#[derive(Debug, Clone)]
pub(super) struct ParkedKeys {
    pipeline: String,
    table: String,
}

/// Keys as the arrays that SQL unnests.
#[derive(Default)]
struct Keys {
    topics: Vec<String>,
    partitions: Vec<i32>,
    digests: Vec<Vec<u8>>,
    heads: Vec<i64>,
}

impl Keys {
    fn push(&mut self, key: &ParkedKey, head: i64) {
        self.topics.push(key.partition.topic.to_string());
        self.partitions.push(key.partition.partition);
        self.digests.push(key.digest.to_vec());
        self.heads.push(head);
    }
}

impl ParkedKeys {
    /// Those of a pipeline that loads by a connection.
    pub(super) fn of(config: &Config, pipeline: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), table: config.qualified(TABLE) }
    }

    /// Those of the partitions; makes their table when it does not exist.
    pub(super) async fn read(&self, connection: &mut PgConnection, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        ensure(connection, &self.table, &self.definition()).await?;
        let sql = format!(
            "SELECT p.topic, p.\"partition\", p.key_sha256, p.head FROM {} p \
             JOIN unnest($2::text[], $3::int[]) AS u (t, n) ON p.pipeline = $1 AND p.topic = u.t AND p.\"partition\" = u.n",
            self.table
        );
        let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions.iter().map(|one| (&*one.topic, one.partition)).unzip();
        let rows: Vec<(String, i32, Vec<u8>, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(&self.pipeline)
            .bind(topics)
            .bind(numbers)
            .fetch_all(connection)
            .await
            .map_err(|error| fault("reading parked keys", error))?;
        let heads = rows.into_iter().filter_map(|(topic, partition, digest, head)| {
            Some((ParkedKey { partition: TopicPartition::new(topic, partition), digest: digest.try_into().ok()? }, head))
        });
        Ok(heads.collect())
    }

    fn definition(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (pipeline text NOT NULL, topic text NOT NULL, \"partition\" integer NOT NULL, \
             key_sha256 bytea NOT NULL, head bigint NOT NULL, PRIMARY KEY (pipeline, topic, \"partition\", key_sha256))",
            self.table
        )
    }

    /// Changes them inside the transaction that is open.
    pub(super) async fn change(&self, connection: &mut PgConnection, changes: &ParkedChanges) -> Result<()> {
        let (mut parked, mut released) = (Keys::default(), Keys::default());
        for (key, head) in changes {
            match head {
                Some(head) => parked.push(key, *head),
                None => released.push(key, 0),
            }
        }
        let park = format!(
            "INSERT INTO {} (pipeline, topic, \"partition\", key_sha256, head) \
             SELECT $1, u.* FROM unnest($2::text[], $3::int[], $4::bytea[], $5::bigint[]) AS u \
             ON CONFLICT (pipeline, topic, \"partition\", key_sha256) DO UPDATE SET head = EXCLUDED.head",
            self.table
        );
        let release = format!(
            "DELETE FROM {} p USING unnest($2::text[], $3::int[], $4::bytea[], $5::bigint[]) AS u (t, n, d, h) \
             WHERE p.pipeline = $1 AND p.topic = u.t AND p.\"partition\" = u.n AND p.key_sha256 = u.d",
            self.table
        );
        for (sql, Keys { topics, partitions, digests, heads }) in [(park, parked), (release, released)] {
            if topics.is_empty() {
                continue;
            }
            let changed = sqlx::query(AssertSqlSafe(sql)).bind(&self.pipeline).bind(topics).bind(partitions).bind(digests).bind(heads);
            changed.execute(&mut *connection).await.map_err(|error| fault("keeping parked keys", error))?;
        }
        Ok(())
    }
}
