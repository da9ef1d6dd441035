//! Redshift's sink against a scripted server: PostgreSQL, whose `COPY … FROM 's3://…'` is made a COPY of the object in the stand-in of S3. What
//! only a cluster does (its locks, its error 1023, SUPER and VARBYTE) is not seen here.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use millrace_connectors::{Connection, redshift};
use millrace_runtime::project::{Resilience, Secret};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy};
use tokio::net::{TcpListener, TcpStream};

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
        let sessions = "CREATE VIEW stv_sessions AS SELECT pid AS process, backend_start AS starttime FROM pg_stat_activity";
        postgres.execute(&format!("CREATE DOMAIN super AS jsonb; {sessions}")).await;
        let objects = tempfile::tempdir().expect("a folder");
        // The server reads the objects as a user of its own.
        std::fs::set_permissions(objects.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("is open");
        let endpoint = s3(objects.path().to_owned()).await;
        let inner = postgres.config();
        let port = cluster(format!("{}:{}", inner.host, inner.port), objects.path().to_owned()).await;
        let stage = redshift::Stage {
            url: "s3://stage/millrace".into(),
            iam_role: Some("arn:aws:iam::1:role/reader".into()),
            region: Some("eu-central-1".into()),
            access_key_id: Some("id".into()),
            secret_access_key: Some(Secret::new("secret")),
            endpoint: Some(endpoint),
            resilience: Resilience::default(),
        };
        let config = redshift::Config {
            host: "127.0.0.1".into(),
            port,
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

/// A stand-in of S3: objects are files of the folder, below their bucket. It knows how to put and to delete.
async fn s3(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let folder = folder.clone();
            // A client that goes away ends its own connection.
            tokio::spawn(async move { objects(client, &folder).await.ok() });
        }
    });
    format!("http://{address}")
}

async fn objects(client: TcpStream, folder: &Path) -> io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            client.read_line(&mut header).await?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        let file = folder.join(path.trim_start_matches('/'));
        match method.as_str() {
            "PUT" => {
                std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
                std::fs::write(file, body)?;
            }
            "POST" => deleted(&String::from_utf8_lossy(&body), &folder.join(path.trim_start_matches('/').trim_end_matches("?delete")))?,
            other => panic!("the stand-in of S3 knows no {other}"),
        }
        let answer = if method == "POST" { "<DeleteResult></DeleteResult>" } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n", answer.len());
        client.write_all((head + answer).as_bytes()).await?;
    }
}

/// Deletes the objects that a request for several names.
fn deleted(request: &str, bucket: &Path) -> io::Result<()> {
    let keys = request.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    keys.map(|(key, _)| bucket.join(key)).try_for_each(std::fs::remove_file)
}

/// A server that passes everything on to `to`, but for copies from S3.
async fn cluster(to: String, folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (to, folder) = (to.clone(), folder.clone());
            // As above.
            tokio::spawn(async move { session(client, &to, &folder).await.ok() });
        }
    });
    port
}

async fn session(client: TcpStream, to: &str, folder: &Path) -> io::Result<()> {
    let server = TcpStream::connect(to).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut startup = true;
    loop {
        let kind = if startup { None } else { Some(from_client.read_u8().await?) };
        let length = from_client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from_client.read_exact(&mut body).await?;
        if kind == Some(b'Q') {
            body = scripted(&body, folder);
        }
        if let Some(kind) = kind {
            to_server.write_u8(kind).await?;
        }
        to_server.write_u32(body.len() as u32 + 4).await?;
        to_server.write_all(&body).await?;
        startup = false;
        if kind == Some(b'X') || answers.is_finished() {
            return Ok(());
        }
    }
}

/// A COPY as PostgreSQL knows it: of a file of the server's machine.
fn scripted(query: &[u8], folder: &Path) -> Vec<u8> {
    let text = String::from_utf8_lossy(query).into_owned();
    let Some((into, rest)) = text.split_once(" FROM 's3://").filter(|(into, _)| into.starts_with("COPY ")) else { return query.to_vec() };
    let (object, options) = rest.split_once('\'').expect("the address ends");
    let expected =
        " IAM_ROLE 'arn:aws:iam::1:role/reader' REGION 'eu-central-1' FORMAT AS CSV NULL AS '\\\\N' DATEFORMAT 'auto' TIMEFORMAT 'auto'";
    assert_eq!(options.trim_end_matches('\0'), expected);
    let file = folder.join(object);
    if std::fs::read_to_string(&file).expect("the object is there").contains("refused") {
        return b"DO $$ BEGIN RAISE 'Load into table millrace_stage failed. Check ''stl_load_errors'' system table for details.'; END $$\0"
            .to_vec();
    }
    format!("{into} FROM '{}' (FORMAT csv, NULL '\\N')\0", file.display()).into_bytes()
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
