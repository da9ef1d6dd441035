//! Connections: requests in frames, answered one at a time and in order.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api;
use super::state::Broker;

/// The largest request that is read, as in Apache Kafka (`socket.request.max.bytes`).
const LARGEST_REQUEST: usize = 100 * 1024 * 1024;
/// The most memory that is taken for a request before its bytes come, in bytes: its length is only a claim.
const FIRST_ROOM: usize = 1 << 20;
/// How often sessions and transactions are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait after a connection could not be accepted, for want of file handles say.
const PAUSE: Duration = Duration::from_millis(100);

/// What ends a connection: a client that is gone, or bytes that are no request.
pub(crate) type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until it is told to stop.
pub(crate) async fn run(broker: Arc<Broker>, listener: TcpListener, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    tasks.spawn(stop.clone().run_until_cancelled_owned(expire_regularly(Arc::clone(&broker))));
    let accepting = accept(broker, &listener, &tasks, &stop);
    stop.run_until_cancelled(accepting).await;
    tasks.close();
    tasks.wait().await;
}

async fn expire_regularly(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        broker.expire(Instant::now());
    }
}

async fn accept(broker: Arc<Broker>, listener: &TcpListener, tasks: &TaskTracker, stop: &CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => drop(tasks.spawn(connection(Arc::clone(&broker), socket, peer, stop.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(broker: Arc<Broker>, socket: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    if let Some(Err(error)) = stop.run_until_cancelled(converse(&broker, socket, peer)).await {
        tracing::debug!(%peer, %error, "closing a connection");
    }
}

async fn converse(broker: &Arc<Broker>, mut socket: TcpStream, peer: SocketAddr) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    while let Some(request) = read_frame(&mut socket).await? {
        if let Some(answer) = api::answer(broker, request, peer).await? {
            socket.write_all_buf(&mut Frame::new(answer)).await?;
        }
    }
    Ok(())
}

/// The next frame, without its length; `None` when the client has closed.
async fn read_frame(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let length = match socket.read_i32().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST_REQUEST);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the length of a request is out of bounds"))?;
    let mut frame = BytesMut::with_capacity(length.min(FIRST_ROOM));
    let mut rest = socket.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}

/// A frame in parts, written without copying them together.
struct Frame {
    parts: VecDeque<Bytes>,
    remaining: usize,
}

impl Frame {
    /// The parts of an answer behind their length.
    fn new(parts: Vec<Bytes>) -> Self {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let mut parts: VecDeque<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let prefix = Bytes::copy_from_slice(&(length as i32).to_be_bytes());
        parts.push_front(prefix);
        Self { parts, remaining: length + 4 }
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], Bytes::as_ref)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.parts).map(|(slice, part)| *slice = IoSlice::new(part));
        filled.count()
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining -= count;
        while let Some(part) = self.parts.front_mut().filter(|_| count > 0) {
            let step = count.min(part.len());
            part.advance(step);
            count -= step;
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    #[test]
    fn a_frame_is_its_length_and_its_parts_however_it_is_read() {
        let parts = || vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")];
        assert_eq!(Frame::new(parts()).copy_to_bytes(9), Bytes::from_static(b"\0\0\0\x05abcde"));
        let mut frame = Frame::new(parts());
        frame.advance(5);
        assert_eq!((frame.chunk(), frame.remaining()), (&b"b"[..], 4));
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(frame.chunks_vectored(&mut slices), 2);
        frame.advance(4);
        assert!(!frame.has_remaining());
    }

    #[tokio::test]
    async fn a_length_out_of_bounds_is_refused() {
        for length in [-1, i32::MAX] {
            let bytes = length.to_be_bytes();
            assert_eq!(read_frame(&mut &bytes[..]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    /// Announces the largest request, and keeps how much memory it is then offered.
    struct Claim {
        front: Option<[u8; 4]>,
        offered: usize,
    }

    impl AsyncRead for Claim {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            match self.front.take() {
                Some(front) => buffer.put_slice(&front),
                None => self.offered = buffer.remaining(),
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_length_takes_no_memory_before_its_bytes_come() {
        let mut claim = Claim { front: Some((LARGEST_REQUEST as u32).to_be_bytes()), offered: 0 };
        read_frame(&mut claim).await.unwrap_err();
        assert!((1..=FIRST_ROOM).contains(&claim.offered), "{}", claim.offered);
    }

    #[tokio::test]
    async fn a_frame_cut_off_is_an_error_and_a_closed_connection_is_not() {
        assert!(read_frame(&mut &[][..]).await.unwrap().is_none());
        let cut = read_frame(&mut &[0, 0, 0, 9, 1][..]).await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
