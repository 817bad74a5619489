//! Connections: how many there may be, and how long one may keep silent at its beginning.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tonic::transport::server::Connected;
use tracing::warn;

/// The most connections at a time, of one listener: a host keeps one open, and of two
/// replicas one may have to do for a thousand hosts.
const MOST: usize = 4096;

/// How long a new connection may take for its first words: the 24 bytes that every
/// HTTP/2 client begins with (RFC 9113, section 3.4).
const FIRST_WORDS: (usize, Duration) = (24, Duration::from_secs(10));

/// Where connections come from.
#[async_trait]
pub trait Listener: Send + 'static {
    /// What comes.
    type Io: Connected + AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    async fn next(&mut self) -> io::Result<Self::Io>;
}

#[async_trait]
impl Listener for TcpListener {
    type Io = TcpStream;

    async fn next(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Console lines are small and somebody waits for each.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[async_trait]
impl Listener for UnixListener {
    type Io = UnixStream;

    async fn next(&mut self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// What a connection says about its other end, as calls find it.
#[derive(Clone, Debug)]
pub struct Accepted<T>(pub T);

/// Connections, bounded in number. Never ends: a failed accept is said and the next one
/// waited for.
pub fn connections<L: Listener>(listener: L) -> impl Stream<Item = io::Result<Connection<L::Io>>> {
    let room = Arc::new(Semaphore::new(MOST));
    stream::unfold((listener, room), |(mut listener, room)| async move {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return None };
            match listener.next().await {
                Ok(io) => return Some((Ok(Connection::new(io, permit)), (listener, room))),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    // Out of descriptors, say: the next try at once would spin.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    })
}

/// A connection that counts towards the bound as long as it is open.
#[derive(Debug)]
pub struct Connection<T> {
    io: T,
    heard: usize,
    patience: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl<T> Connection<T> {
    fn new(io: T, permit: OwnedSemaphorePermit) -> Self {
        Self { io, heard: 0, patience: Some(Box::pin(tokio::time::sleep(FIRST_WORDS.1))), _permit: permit }
    }
}

impl<T: Connected> Connected for Connection<T> {
    type ConnectInfo = Accepted<T::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Accepted(self.io.connect_info())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if let Some(patience) = &mut self.patience {
            if read.is_pending() {
                if patience.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            } else {
                self.heard += buffer.filled().len() - before;
                if self.heard >= FIRST_WORDS.0 {
                    self.patience = None;
                }
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    struct Pipes(Vec<UnixStream>);

    #[async_trait]
    impl Listener for Pipes {
        type Io = UnixStream;

        async fn next(&mut self) -> io::Result<UnixStream> {
            self.0.pop().ok_or_else(|| io::ErrorKind::WouldBlock.into())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_off() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let mut connections = Box::pin(connections(Pipes(vec![ours])));
        let mut connection = connections.next().await.unwrap().unwrap();
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_hello_may_be_silent() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let mut connections = Box::pin(connections(Pipes(vec![ours])));
        let mut connection = connections.next().await.unwrap().unwrap();
        theirs.write_all(&[b'x'; 24]).await.unwrap();
        connection.read_exact(&mut [0; 24]).await.unwrap();
        let silent = tokio::time::timeout(Duration::from_secs(3600), connection.read_u8()).await;
        assert!(silent.is_err());
    }
}
