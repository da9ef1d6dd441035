//! A Redshift cluster as far as a loader sees one, for tests: a PostgreSQL server, whose `COPY … FROM 's3://…'` is made a COPY of the object in a stand-in of
//! S3. What only a cluster does (its locks, its error 1023, SUPER and VARBYTE) is not seen here.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

/// What a schema of PostgreSQL lacks, to be one of a cluster's.
pub const SCHEMA: &str = "CREATE DOMAIN super AS jsonb; \
     CREATE VIEW stv_sessions AS SELECT pid AS process, backend_start AS starttime FROM pg_stat_activity";
/// The role that copies must name.
pub const IAM_ROLE: &str = "arn:aws:iam::1:role/reader";
/// The region that they must name.
pub const REGION: &str = "eu-central-1";
/// An object that has the word is one that the cluster refuses.
const REFUSED: &str = "refused";

/// A cluster and its S3, until the process ends.
#[derive(Debug, Clone)]
pub struct Redshift {
    /// The cluster's port, on loopback.
    pub port: u16,
    /// The URL of S3.
    pub endpoint: String,
}

impl Redshift {
    /// In front of the PostgreSQL server at `postgres` (`host:port`), with objects in `folder`, which that server must be able to read. Both run on a thread of
    /// their own: who uses them may block.
    ///
    /// # Errors
    /// Those of listening on loopback, and of starting a thread.
    pub fn start(postgres: String, folder: PathBuf) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (cluster, objects) = (listener()?, listener()?);
        let started = Self { port: cluster.local_addr()?.port(), endpoint: format!("http://{}", objects.local_addr()?) };
        let serve = move || {
            runtime.block_on(async { tokio::try_join!(serve_objects(objects, &folder), serve_cluster(cluster, &postgres, &folder)) })
        };
        thread::Builder::new().name("redshift".to_owned()).spawn(serve)?;
        Ok(started)
    }
}

/// Made without a runtime: whoever starts it may be in one.
fn listener() -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// S3: objects are files of the folder, below their bucket. It knows how to put and to delete.
async fn serve_objects(listener: std::net::TcpListener, folder: &Path) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let folder = folder.to_owned();
        // A client that goes away ends its own connection.
        tokio::spawn(async move { objects(client, &folder).await.ok() });
    }
}

/// A server that passes everything on, but for copies from S3.
async fn serve_cluster(listener: std::net::TcpListener, postgres: &str, folder: &Path) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let (postgres, folder) = (postgres.to_owned(), folder.to_owned());
        // As above.
        tokio::spawn(async move { session(client, &postgres, &folder).await.ok() });
    }
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
        let answer = match method.as_str() {
            "PUT" => {
                std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
                std::fs::write(file, body)?;
                String::new()
            }
            "POST" => deleted(&String::from_utf8_lossy(&body), &folder.join(path.trim_start_matches('/').trim_end_matches("?delete")))?,
            other => return Err(io::Error::other(format!("the stand-in of S3 knows no {other}"))),
        };
        let head = format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n", answer.len());
        client.write_all((head + &answer).as_bytes()).await?;
    }
}

/// Deletes the objects that a request for several names; returns the answer.
fn deleted(request: &str, bucket: &Path) -> io::Result<String> {
    let keys = request.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    let deleted = keys.map(|(key, _)| {
        std::fs::remove_file(bucket.join(key))?;
        Ok(format!("<Deleted><Key>{key}</Key></Deleted>"))
    });
    Ok(format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<io::Result<String>>()?))
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
    let expected = format!(" IAM_ROLE '{IAM_ROLE}' REGION '{REGION}' FORMAT AS CSV NULL AS '\\\\N' DATEFORMAT 'auto' TIMEFORMAT 'auto'");
    assert_eq!(options.trim_end_matches('\0'), expected);
    let file = folder.join(object);
    if std::fs::read_to_string(&file).expect("the object is there").contains(REFUSED) {
        return b"DO $$ BEGIN RAISE 'Load into table millrace_stage failed. Check ''stl_load_errors'' system table for details.'; END $$\0"
            .to_vec();
    }
    format!("{into} FROM '{}' (FORMAT csv, NULL '\\N')\0", file.display()).into_bytes()
}
