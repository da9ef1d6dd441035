//! An HTTP server of one file.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it makes of a wish for a part of the file (RFC 9110, 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranges {
    Served,
    Ignored,
    /// As of any other request.
    Refused,
}

pub(crate) struct HttpFiles {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl HttpFiles {
    pub(crate) async fn serve(path: &'static str, content: String, ranges: Ranges) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, content) = (Arc::clone(&requests), Arc::new(content));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, path, Arc::clone(&content), ranges, Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Whether each request had this authorization and this query.
    pub(crate) fn were_all_authorized(&self, authorization: &str, query: &str) -> bool {
        let requests = self.requests.lock().expect("is not poisoned");
        let expected = format!("authorization: {}", authorization.to_lowercase());
        !requests.is_empty() && requests.iter().all(|request| request.to_lowercase().contains(&expected) && request.contains(query))
    }
}

/// Answers one request and closes.
async fn answer(stream: TcpStream, path: &str, content: Arc<String>, ranges: Ranges, seen: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if stream.read_line(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (head, body) = response(&request, path, &content, ranges);
    seen.lock().expect("is not poisoned").push(request);
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nETag: \"v1\"\r\n\r\n");
    // The client may have gone.
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap_or_default();
}

fn response<'a>(request: &str, path: &str, content: &'a str, ranges: Ranges) -> (String, &'a str) {
    let mut words = request.split([' ', '?']);
    let (method, asked) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let from = request.to_lowercase().split("range: bytes=").nth(1).and_then(|range| range.split('-').next()?.parse::<usize>().ok());
    match (asked == path, ranges, from) {
        (_, Ranges::Refused, _) => ("403 Forbidden\r\nContent-Length: 0".into(), ""),
        (false, ..) => ("404 Not Found\r\nContent-Length: 0".into(), ""),
        (true, Ranges::Served, Some(from)) => {
            let (end, rest) = (content.len(), &content[from..]);
            (format!("206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{end}", rest.len(), end - 1), rest)
        }
        (true, ..) => (format!("200 OK\r\nContent-Length: {}", content.len()), if method == "HEAD" { "" } else { content }),
    }
}
