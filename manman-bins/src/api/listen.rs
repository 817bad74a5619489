//! Connections: how many there may be, and how long one may keep silent at its beginning,
//! encrypted or not.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, future, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::{encryption::Encryption, listener::Listener};

/// The most connections at a time, of one listener: a host keeps one open, and of two
/// replicas one may have to do for a thousand hosts.
const MOST: usize = 4096;

/// How long a new connection may take for its first words: the 24 bytes that every
/// HTTP/2 client begins with (RFC 9113, section 3.4), after it has agreed on encryption if
/// there is any.
const FIRST_WORDS: (usize, Duration) = (24, Duration::from_secs(10));

/// What a connection says about its other end, as calls find it.
#[derive(Clone, Debug)]
pub struct Accepted<T>(pub T);

/// What is known of the other end of a listener's connections.
type InfoOf<L> = <<L as Listener>::Io as Connected>::ConnectInfo;

/// A connection that has said nothing yet.
struct Newcomer<T> {
    io: T,
    /// When it has to have said its first words.
    until: Instant,
    permit: OwnedSemaphorePermit,
}

/// Whoever comes, bounded in number. Never ends: a failed accept is said and the next one
/// waited for.
fn newcomers<L: Listener>(listener: L) -> impl Stream<Item = Newcomer<L::Io>> {
    let room = Arc::new(Semaphore::new(MOST));
    stream::unfold((listener, room), |(mut listener, room)| async move {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return None };
            match listener.next().await {
                Ok(io) => {
                    let until = Instant::now() + FIRST_WORDS.1;
                    return Some((Newcomer { io, until, permit }, (listener, room)));
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    // Out of descriptors, say: the next try at once would spin.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    })
}

/// Connections, bounded in number, for ever.
pub fn connections<L: Listener>(listener: L) -> impl Stream<Item = io::Result<Connection<L::Io, InfoOf<L>>>> {
    newcomers(listener).map(|Newcomer { io, until, permit }| {
        let info = io.connect_info();
        Ok(Connection::new(io, info, until, permit))
    })
}

/// Connections that have agreed on encryption. Those that are about to count as well, and hold
/// up no other.
pub fn encrypted<L: Listener>(
    listener: L,
    encryption: Encryption,
) -> impl Stream<Item = io::Result<Connection<TlsStream<L::Io>, InfoOf<L>>>> {
    let agreeing = newcomers(listener).map(move |Newcomer { io, until, permit }| {
        let (encryption, info) = (encryption.clone(), io.connect_info());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let agreed = tokio::time::timeout_at(until, encryption.agree(io)).await;
            match agreed.unwrap_or_else(|late| Err(late.into())) {
                Ok(io) => Some(Ok(Connection::new(io, info, until, permit))),
                Err(error) => {
                    debug!(%error, "a connection did not agree on encryption");
                    None
                }
            }
        }))
    });
    agreeing.buffer_unordered(MOST).filter_map(|agreed| future::ready(agreed.ok().flatten()))
}

/// A connection that counts towards the bound as long as it is open.
#[derive(Debug)]
pub struct Connection<T, I> {
    io: T,
    info: I,
    heard: usize,
    patience: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl<T, I> Connection<T, I> {
    fn new(io: T, info: I, until: Instant, permit: OwnedSemaphorePermit) -> Self {
        let patience = Some(Box::pin(tokio::time::sleep_until(until)));
        Self { io, info, heard: 0, patience, _permit: permit }
    }
}

impl<T, I: Clone + Send + Sync + 'static> Connected for Connection<T, I> {
    type ConnectInfo = Accepted<I>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Accepted(self.info.clone())
    }
}

impl<T: AsyncRead + Unpin, I: Unpin> AsyncRead for Connection<T, I> {
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

impl<T: AsyncWrite + Unpin, I: Unpin> AsyncWrite for Connection<T, I> {
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
    use async_trait::async_trait;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        net::UnixStream,
    };

    use super::*;
    use crate::api::encryption::tests::ends;

    /// One connection, and no other.
    struct Pipe<T>(Option<T>);

    #[async_trait]
    impl<T: Connected + AsyncRead + AsyncWrite + Unpin + Send + 'static> Listener for Pipe<T> {
        type Io = T;

        async fn next(&mut self) -> io::Result<T> {
            match self.0.take() {
                Some(io) => Ok(io),
                None => future::pending().await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_off() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let mut connections = Box::pin(connections(Pipe(Some(ours))));
        let mut connection = connections.next().await.unwrap().unwrap();
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_hello_may_be_silent() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let mut connections = Box::pin(connections(Pipe(Some(ours))));
        let mut connection = connections.next().await.unwrap().unwrap();
        theirs.write_all(&[b'x'; 24]).await.unwrap();
        connection.read_exact(&mut [0; 24]).await.unwrap();
        let silent = tokio::time::timeout(Duration::from_secs(3600), connection.read_u8()).await;
        assert!(silent.is_err());
    }

    /// A connection that has agreed on encryption, from both ends.
    async fn agreed() -> (impl AsyncWrite + Unpin, Connection<TlsStream<DuplexStream>, ()>) {
        let (encryption, connector, name) = ends();
        let (theirs, ours) = duplex(16 << 10);
        let mut connections = Box::pin(encrypted(Pipe(Some(ours)), encryption));
        let (theirs, connection) = tokio::join!(connector.connect(name, theirs), connections.next());
        (theirs.unwrap(), connection.unwrap().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn who_agrees_on_encryption_and_says_nothing_is_cut_off() {
        let (theirs, mut connection) = agreed().await;
        let heard = tokio::time::timeout(Duration::from_secs(3600), connection.read_u8()).await;
        assert_eq!(heard.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_hello_encrypted_may_be_silent() {
        let (mut theirs, mut connection) = agreed().await;
        theirs.write_all(&[b'x'; 24]).await.unwrap();
        theirs.flush().await.unwrap();
        connection.read_exact(&mut [0; 24]).await.unwrap();
        let silent = tokio::time::timeout(Duration::from_secs(3600), connection.read_u8()).await;
        assert!(silent.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_agree_on_encryption_is_cut_off() {
        let (mut theirs, ours) = duplex(16 << 10);
        let mut connections = Box::pin(encrypted(Pipe(Some(ours)), ends().0));
        tokio::select! {
            _ = connections.next() => panic!("nobody has agreed"),
            cut = theirs.read_u8() => assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof),
        }
    }
}
