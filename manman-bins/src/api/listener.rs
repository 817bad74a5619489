//! Where connections come from.

use std::{io, time::Duration};

use async_trait::async_trait;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tonic::transport::server::Connected;

/// How soon the system asks a silent peer whether it is still there, how often it asks again,
/// and after how many times without an answer it is gone.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

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
        let (idle, every, times) = KEEP_ALIVE;
        sockopt::set_tcp_keepidle(&stream, idle)?;
        sockopt::set_tcp_keepintvl(&stream, every)?;
        sockopt::set_tcp_keepcnt(&stream, times)?;
        sockopt::set_socket_keepalive(&stream, true)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_is_asked_whether_it_is_still_there() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let ours = listener.next().await.unwrap();
        assert!(sockopt::socket_keepalive(&ours).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&ours).unwrap(), KEEP_ALIVE.0);
    }
}
