//! A network between a client and a server that can be made a bad one, for tests: slow, silent, cut, refusing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How the network behaves, from now on and for connections that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It carries what is sent.
    Good,
    /// It carries it after so long.
    Slow(Duration),
    /// It carries nothing, and connections stay open: the other side went away without a word.
    Silent,
    /// Connections are ended, new ones at once.
    Down,
}

/// A way through which a server is reached on loopback. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A way to `server`, as `host:port`, over a good network.
    ///
    /// # Errors
    /// Those of listening on loopback.
    pub async fn to(server: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (network, seen) = watch::channel(Network::Good);
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, server.into(), seen)));
        Ok(Self { address, network, _task: task })
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The network is so from now on.
    pub fn is(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn accept(listener: TcpListener, server: String, network: watch::Receiver<Network>) {
    let mut open = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        open.spawn(carry(client, server.clone(), network.clone()));
        while open.try_join_next().is_some() {}
    }
}

/// Carries both ways until either side ends, or the network goes down.
async fn carry(client: TcpStream, server: String, mut network: watch::Receiver<Network>) {
    let seen = network.clone();
    let both = async {
        let server = TcpStream::connect(server).await?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::select! {
            ended = pump(from_client, to_server, seen.clone()) => ended,
            ended = pump(from_server, to_client, seen.clone()) => ended,
        }
    };
    tokio::select! {
        // How a connection ended is seen by those at its ends.
        _ = both => {}
        _ = network.wait_for(|network| *network == Network::Down) => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut network: watch::Receiver<Network>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if network.wait_for(|network| *network != Network::Silent).await.is_err() {
            return Ok(());
        }
        let delay = match *network.borrow() {
            Network::Slow(delay) => delay,
            Network::Good | Network::Silent | Network::Down => Duration::ZERO,
        };
        tokio::time::sleep(delay).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("has an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn answers(stream: &mut TcpStream) -> io::Result<bool> {
        stream.write_all(b"x").await?;
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut byte)).await;
        Ok(matches!(read, Ok(Ok(1))))
    }

    #[tokio::test]
    async fn the_network_is_as_it_is_told_to_be() {
        let proxy = Proxy::to(echo().await.to_string()).await.expect("listens");
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
        assert!(answers(&mut stream).await.expect("is open"));

        proxy.is(Network::Slow(Duration::from_millis(30)));
        let started = Instant::now();
        assert!(answers(&mut stream).await.expect("is open") && started.elapsed() >= Duration::from_millis(60), "both ways");

        proxy.is(Network::Silent);
        assert!(!answers(&mut stream).await.expect("is open"));

        proxy.is(Network::Down);
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("is ended").ok();
    }
}
