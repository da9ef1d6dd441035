//! Whether a service is ready: its admin port is asked over a plain socket, as often as it takes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::process::Process;

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_mins(1);

/// An address of this machine that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts a service and waits until it says that it is ready; gives how long that took from its start.
pub(crate) fn start_ready(command: &mut Command) -> anyhow::Result<(Process, Duration)> {
    let admin = free_address()?;
    let mut process = Process::start(command.env("MILLRACE_ADMIN", admin.to_string()))?;
    while !is_ready(admin) {
        process.lives()?;
        ensure!(process.started().elapsed() < PATIENCE, "the service did not become ready in {} s", PATIENCE.as_secs());
        std::thread::sleep(LOOK);
    }
    let took = process.started().elapsed();
    Ok((process, took))
}

/// How many records a service has written and committed, by its own metrics; none while nobody listens.
pub(crate) fn records_out(admin: SocketAddr, service: &str) -> u64 {
    let family = format!("millrace_{service}_records_out_total{{");
    let metrics = get(admin, "/metrics").unwrap_or_default();
    let values = metrics.lines().filter(|line| line.starts_with(&family)).filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    values.sum()
}

/// Nobody may be listening yet: that is not ready.
fn is_ready(admin: SocketAddr) -> bool {
    get(admin, "/health/ready").is_ok_and(|answer| answer.get(8..12) == Some(" 200"))
}

/// The whole answer, head and body. HTTP/1.0, so that a body is never in chunks.
fn get(admin: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn a_service_is_ready_when_it_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            for status in ["503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().expect("accepts");
                let request = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                assert_eq!(request.count(), 2);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).expect("writes");
            }
        });
        assert!(!is_ready(address));
        assert!(is_ready(address));
        server.join().expect("ends");
        assert!(!is_ready(address), "nobody listens");
    }
}
