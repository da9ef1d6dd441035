//! Raw bytes against the listener: what it answers, and that it goes on.

use std::net::SocketAddr;
use std::time::Instant;

use axum::body::Bytes;
use axum::routing::{any, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const LIMITS: Limits = Limits { connections: 8, one_file_in: 3, head: Duration::from_millis(500) };
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener whose `/echo` answers with the body it was sent.
struct Served {
    address: SocketAddr,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/echo", any(async |body: Bytes| body))
            .route("/slow", get(async || tokio::time::sleep(Duration::from_millis(300)).await));
        let shutdown = Shutdown::new();
        let task = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Self { address, shutdown, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// Sends `bytes`; all that comes back until the peer closes or nothing comes any more.
    async fn answers(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // What is refused early may be closed before all of it was sent.
        stream.write_all(bytes).await.ok();
        rest(&mut stream).await
    }

    /// The status of each answer to `bytes`.
    async fn statuses(&self, bytes: &[u8]) -> Vec<u16> {
        let answers = self.answers(bytes).await;
        answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
    }

    async fn stop(self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.task).await.expect("ends in time").expect("ends well");
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends it as well as a close does.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closes in time").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

const LAST: &str = "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let served = Served::start(LIMITS).await;
    let row = format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\noneGET /none HTTP/1.1\r\nHost: h\r\n\r\n{LAST}");
    assert_eq!(served.statuses(row.as_bytes()).await, [200, 404, 200]);
    served.stop().await;
}

#[tokio::test]
async fn what_says_its_length_in_two_ways_smuggles_no_request() {
    let served = Served::start(LIMITS).await;
    let post = |headers: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}");
    let refused = [
        ("two lengths", post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcd")),
        ("a list of lengths", post("Content-Length: 4, 5\r\n", "abcd")),
        ("a length with a sign", post("Content-Length: +4\r\n", "abcd")),
        ("a length beyond numbers", post("Content-Length: 99999999999999999999\r\n", "abcd")),
        ("chunked not last", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("an unknown coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        ("a blank before the colon", post("Content-Length : 4\r\n", "abcd")),
        ("a folded header", post("X-A: b\r\n Content-Length: 4\r\n", "abcd")),
        ("a bare CR in a value", post("X-A: b\rContent-Length: 4\r\n", "abcd")),
        ("a zero in a value", post("X-A: b\0\r\n", "")),
        ("chunked in HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
    ];
    for (what, request) in refused {
        assert_eq!(served.statuses(format!("{request}{LAST}").as_bytes()).await, [400], "{what}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_follows_a_body_in_chunks_is_no_request_whatever_length_was_said_beside() {
    let served = Served::start(LIMITS).await;
    for headers in ["Content-Length: 60\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n"] {
        let request = format!("POST /echo HTTP/1.1\r\nHost: h\r\n{headers}\r\n3\r\nabc\r\n0\r\n\r\n{LAST}");
        let answers = served.answers(request.as_bytes()).await;
        assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("connection: close") && answers.ends_with("abc"), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    }
    served.stop().await;
}

#[tokio::test]
async fn chunks_that_are_no_chunks_end_their_connection() {
    let served = Served::start(LIMITS).await;
    let chunks = [
        ("a size with a sign", "-1\r\nabc\r\n0\r\n\r\n"),
        ("a size with a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("a size beyond numbers", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a size of another length", "2\r\nabc\r\n0\r\n\r\n"),
        ("a bare LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ("a bare LF after a size", "3\nabc\r\n0\r\n\r\n"),
    ];
    for (what, chunks) in chunks {
        let request = format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{LAST}");
        let statuses = served.statuses(request.as_bytes()).await;
        assert!(statuses.len() <= 1 && !statuses.contains(&200), "{what}: {statuses:?}");
    }
    let extended = format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n{LAST}");
    assert_eq!(served.statuses(extended.as_bytes()).await, [200], "an extension is passed over");
    let endless =
        format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(1 << 20));
    assert!(!served.statuses(endless.as_bytes()).await.contains(&200), "but not one without end");
    served.stop().await;
}

#[tokio::test]
async fn a_request_names_one_host_and_a_version_that_is_spoken() {
    let served = Served::start(LIMITS).await;
    assert_eq!(served.statuses(b"GET /echo HTTP/1.1\r\n\r\n").await, [400]);
    assert_eq!(served.statuses(b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await, [400]);
    assert_eq!(served.statuses(b"GET /echo HTTP/1.0\r\n\r\n").await, [200]);
    assert_eq!(served.answers(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "", "HTTP/2 is closed without an answer");
    assert_eq!(served.statuses(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a handshake of TLS").await, [400]);
    served.stop().await;
}

#[tokio::test]
async fn tricks_with_paths_lead_nowhere_and_an_absolute_address_to_its_path() {
    let served = Served::start(LIMITS).await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    for target in ["//echo", "/./echo", "/none/../echo", "/%65cho", "/echo/", "/echo%00", "/echo%2f..", "/ECHO", "*"] {
        let answered = served.statuses(get(target).as_bytes()).await;
        assert!(answered == [404] || answered == [400], "{target}: {answered:?}");
    }
    assert_eq!(served.statuses(get("http://elsewhere/echo").as_bytes()).await, [200]);
    assert_eq!(served.statuses(b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nConnection: close\r\n\r\n").await, [404]);
    served.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_and_cost_no_more_than_the_limit() {
    let served = Served::start(LIMITS).await;
    let with = |headers: &str| format!("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
    let many: String = (0..200).map(|number| format!("X-{number}: a\r\n")).collect();
    assert_eq!(served.statuses(with(&many).as_bytes()).await, [431]);
    assert_eq!(served.statuses(with(&format!("X: {}\r\n", "a".repeat(HEAD))).as_bytes()).await, [431]);
    assert_eq!(served.statuses(with(&format!("X: {}\r\n", "a".repeat(HEAD / 2))).as_bytes()).await, [200]);
    let address = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(2 * HEAD));
    let refused = served.statuses(address.as_bytes()).await;
    assert!(refused == [414] || refused == [431], "{refused:?}");
    served.stop().await;
}

#[tokio::test]
async fn heads_that_dribble_and_connections_that_stand_idle_are_closed() {
    let served = Served::start(LIMITS).await;
    let mut idle = served.connect().await;
    let mut used = served.connect().await;
    used.write_all(b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("is sent");
    let mut slow = served.connect().await;
    let started = Instant::now();
    for byte in b"GET /echo HTTP/1.1\r\nHost: h\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if slow.write_all(&[*byte]).await.is_err() || started.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(LIMITS.head / 10).await;
    }
    assert!(!rest(&mut slow).await.contains("200"));
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut used).await.matches("HTTP/1.1 200").count(), 1);
    served.stop().await;
}

#[tokio::test]
async fn who_comes_when_all_connections_are_taken_waits_and_is_served_when_one_ends() {
    let served = Served::start(Limits { head: Duration::from_mins(1), ..LIMITS }).await;
    let mut taken = Vec::new();
    for _ in 0..LIMITS.connections {
        let mut stream = served.connect().await;
        stream.write_all(b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("is sent");
        stream.read_exact(&mut [0; 12]).await.expect("is answered");
        taken.push(stream);
    }
    let mut late = served.connect().await;
    late.write_all(LAST.as_bytes()).await.expect("is sent");
    let early = tokio::time::timeout(Duration::from_millis(200), late.read_u8()).await;
    assert!(early.is_err(), "all connections are taken: {early:?}");
    drop(taken.pop());
    assert!(rest(&mut late).await.contains("200"));
    drop(taken);
    served.stop().await;
}

#[test]
fn connections_leave_files_for_all_else() {
    let granted = |files| Limits { connections: 4096, ..LIMITS }.connections_of(files);
    assert_eq!([usize::MAX, 1 << 20, 12_288, 1024, 64, 1].map(granted), [4096, 4096, 4096, 341, 21, 1]);
    assert_eq!([1 << 20, 4096, 1024, 8].map(|files| Limits::ADMIN.connections_of(files)), [256, 256, 64, 1]);
}

#[test]
fn trouble_in_accepting_is_told_now_and_then_and_not_at_each_try() {
    let (mut trouble, error) = (Trouble::default(), std::io::Error::from_raw_os_error(24));
    trouble.goes_on(&error);
    let first = trouble.told;
    trouble.goes_on(&error);
    assert!(first.is_some() && trouble.told == first);
    trouble.ends();
    assert!(trouble.told.is_none());
}

#[tokio::test]
async fn a_shutdown_answers_what_is_being_served_and_waits_for_no_idle_connection() {
    let served = Served::start(Limits { head: Duration::from_mins(1), ..LIMITS }).await;
    let (_idle, mut busy) = (served.connect().await, served.connect().await);
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("is sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop().await;
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200"));
}
