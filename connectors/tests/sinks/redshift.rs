//! Redshift's sink against a [scripted server](millrace_devkit::redshift), which says what of a cluster is not seen here.

use std::path::Path;

use async_trait::async_trait;
use millrace_connectors::{Connection, redshift};
use millrace_devkit::redshift::{IAM_ROLE, REGION, Redshift as Scripted, SCHEMA};
use millrace_runtime::project::{Resilience, Secret};
use tempfile::TempDir;

use crate::warehouse::{Postgres, Warehouse};

/// A schema of the test's database, seen through the scripted server.
pub(crate) struct Redshift {
    postgres: Postgres,
    config: redshift::Config,
    objects: TempDir,
}

impl Redshift {
    pub(crate) async fn new(test: &str) -> Self {
        let postgres = Postgres::new(&format!("rs_{test}")).await;
        postgres.execute(SCHEMA).await;
        let objects = tempfile::tempdir().expect("a folder");
        // The server reads the objects as a user of its own.
        std::fs::set_permissions(objects.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("is open");
        let inner = postgres.config();
        let scripted = Scripted::start(format!("{}:{}", inner.host, inner.port), objects.path().to_owned()).expect("starts");
        let stage = redshift::Stage {
            url: "s3://stage/millrace".into(),
            iam_role: Some(IAM_ROLE.into()),
            region: Some(REGION.into()),
            access_key_id: Some("id".into()),
            secret_access_key: Some(Secret::new("secret")),
            endpoint: Some(scripted.endpoint),
            resilience: Resilience::default(),
        };
        let config = redshift::Config {
            host: "127.0.0.1".into(),
            port: scripted.port,
            database: inner.database,
            user: inner.user,
            password: inner.password,
            tls: millrace_connectors::postgres::Tls::Disable,
            ca: None,
            schema: inner.schema,
            resilience: Resilience::default(),
            stage,
        };
        Self { postgres, config, objects }
    }

    /// The objects that wait.
    pub(crate) fn objects(&self) -> usize {
        walk(self.objects.path())
    }
}

fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok);
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}

#[async_trait]
impl Warehouse for Redshift {
    fn connection(&self) -> Connection {
        Connection::Redshift(Box::new(self.config.clone()))
    }

    async fn execute(&self, sql: &str) {
        self.postgres.execute(sql).await;
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        Vec::new()
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        let (text, bytes) = ("varchar(65535)", "varbyte(65535)");
        vec![
            "varchar(36)",
            "boolean",
            "integer",
            "bigint",
            "real",
            "double precision",
            text,
            text,
            bytes,
            bytes,
            "numeric(9,2)",
            "date",
            "time",
            "time",
            "timestamptz",
            "timestamp",
            "super",
            "super",
            "super",
        ]
    }
}

mod behaviour {
    use millrace_model::{Code, Commit, Offsets};

    use super::Redshift;
    use crate::rows::{append, at, batch};
    use crate::warehouse::Warehouse;

    #[tokio::test]
    async fn rows_that_the_cluster_refuses_are_found_and_no_object_stays() {
        let redshift = Redshift::new("refused").await;
        redshift.execute("CREATE TABLE notes (id bigint, note varchar(5))").await;
        let warehouse: &dyn Warehouse = &redshift;
        let mut sink = warehouse.claimed(&append(), None).await;
        let rows = [(1, Some("a")), (2, Some("\u{2764}\u{2764}")), (3, Some("\\N")), (4, Some("a \"b\"")), (5, None)];
        let seen = sink.write(&batch(&rows)).await.expect("writes");
        let codes: Vec<_> = seen.iter().map(|one| (one.record, one.code)).collect();
        assert_eq!(codes, [(1, Code::ValueTooLong), (2, Code::ValueForbidden)], "lengths are of bytes");
        assert!(sink.settle().await.expect("settles").is_empty());
        assert_eq!(sink.commit(&Offsets::new(), &at(5)).await.expect("commits"), Commit::Done);
        assert_eq!(warehouse.notes().await, ["1 a", "4 a \"b\"", "5 null"]);
        assert_eq!(redshift.objects(), 0);
    }

    #[tokio::test]
    async fn a_copy_that_is_refused_is_searched_row_by_row() {
        let redshift = Redshift::new("searched").await;
        // The scripted server refuses each object that has the word in it.
        redshift.execute("CREATE TABLE notes (id bigint, note varchar(65535))").await;
        let warehouse: &dyn Warehouse = &redshift;
        let mut sink = warehouse.claimed(&append(), None).await;
        let rows: Vec<(i64, Option<&str>)> = (0..50).map(|id| (id, Some(if id % 20 == 7 { "refused" } else { "good" }))).collect();
        sink.write(&batch(&rows)).await.expect("writes");
        let refused: Vec<i64> = sink.settle().await.expect("settles").iter().map(|one| one.record().offset).collect();
        assert_eq!(refused, [7, 27, 47]);
        assert_eq!(sink.commit(&Offsets::new(), &at(50)).await.expect("commits"), Commit::Done);
        assert_eq!(warehouse.notes().await.len(), 47);
        assert_eq!(redshift.objects(), 0);
    }
}
