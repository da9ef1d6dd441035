//! Connections that send what they are given at once.
//!
//! sqlx 0.9.0 leaves Nagle's algorithm on (<https://github.com/launchbadge/sqlx/issues/4335>, mended after that release): a small message waits until the
//! server has acknowledged the one before, which a server that has nothing to say yet does after 40 ms. The end of every COPY came so much later. As sqlx gives
//! its sockets to nobody, they are looked for among all that this process has open; with the next release of sqlx this can go.

use std::fs::read_dir;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::{getpeername, sockopt::set_tcp_nodelay};

/// Makes the connections of this process to `port`, of whichever host, send at once. Does nothing where a process can't list its files (Linux alone can):
/// there they are slower.
pub(crate) fn send_at_once(port: u16) {
    let Ok(files) = read_dir("/proc/self/fd") else { return };
    let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers {
        // SAFETY: it is used for two calls that take any number. One that was closed meanwhile, and opened again as something else, is refused by them, or is
        // another connection to that port.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        if peer(file).is_some_and(|peer| peer.port() == port) {
            // A connection that has just broken shows elsewhere.
            set_tcp_nodelay(file, true).ok();
        }
    }
}

/// Whom the file is connected to, if it is a connection over IP.
fn peer(file: BorrowedFd<'_>) -> Option<SocketAddr> {
    SocketAddr::try_from(getpeername(file).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[cfg(target_os = "linux")]
    #[test]
    fn connections_to_the_port_send_at_once_and_others_as_before() {
        let connect = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
            let address = listener.local_addr().expect("an address");
            (listener, TcpStream::connect(address).expect("connects"))
        };
        let ((_one, ours), (_other, others)) = (connect(), connect());
        send_at_once(ours.peer_addr().expect("a peer").port());
        assert_eq!((ours.nodelay().ok(), others.nodelay().ok()), (Some(true), Some(false)));
    }
}
