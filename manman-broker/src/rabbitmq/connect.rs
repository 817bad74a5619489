//! Making a connection: the socket, TLS, lapin.

use std::{
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, runtime,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use rustls::ClientConfig;
use tokio::time::timeout;

use super::config::RabbitConfig;

/// How often each side says that it lives; said to RabbitMQ, which ends a connection after
/// two of them without a word.
const HEARTBEAT_SECS: u16 = 5;

/// How long the kernel waits for the other side's word that bytes arrived.
const UNACKNOWLEDGED: Duration = Duration::from_secs(8);

/// The largest frame. lapin keeps room for 32 of them, each way.
const FRAME: u32 = 32 * 1024;

/// A way to end a connection whatever lapin is doing: its end of the socket.
#[derive(Default)]
pub(super) struct Socket(Mutex<Option<OwnedFd>>);

impl Socket {
    fn keep(&self, socket: OwnedFd) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    pub fn end(&self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that has ended already is no failure.
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
    }
}

/// Connects. Whoever stops to wait ends the socket: lapin's thread goes on otherwise.
pub(super) async fn connect(
    config: &RabbitConfig,
    tls: Option<Arc<ClientConfig>>,
    purpose: &str,
    socket: Arc<Socket>,
) -> lapin::Result<Connection> {
    let uri = AMQPUri {
        // TLS is our own; lapin is told of a stream.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: config.user.clone(),
                password: config.password.reveal().to_owned(),
            },
            host: config.host.clone(),
            port: config.port,
        },
        vhost: config.vhost.clone(),
        query: AMQPQueryString {
            frame_max: Some(FRAME),
            heartbeat: Some(HEARTBEAT_SECS),
            ..AMQPQueryString::default()
        },
    };
    let properties =
        ConnectionProperties::default().with_connection_name(format!("{} ({purpose})", config.name).into());
    let server_name = config.server_name().to_owned();
    let within = config.connect_timeout();
    Connection::connector(
        uri,
        runtime::default_runtime()?,
        async move |uri, runtime| {
            let stream = async {
                let place = (uri.authority.host.as_str(), uri.authority.port);
                let addresses: Vec<SocketAddr> = tokio::net::lookup_host(place).await?.collect();
                let mut failure = std::io::Error::other("its name stands for no address");
                for address in addresses {
                    match AsyncTcpStream::connect(&runtime, address).await {
                        Ok(AsyncTcpStream::Plain(stream)) => {
                            let tcp = stream.get_ref().as_fd();
                            let waits = UNACKNOWLEDGED.as_millis() as u32;
                            rustix::net::sockopt::set_tcp_user_timeout(tcp, waits)?;
                            socket.keep(tcp.try_clone_to_owned()?);
                            let stream = AsyncTcpStream::Plain(stream);
                            return match &tls {
                                None => Ok(stream),
                                Some(tls) => stream.into_rustls(&tls.clone().into(), &server_name).await,
                            };
                        }
                        Ok(_) => {}
                        Err(error) => failure = error,
                    }
                }
                Err(failure)
            };
            let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            Ok(timeout(within, stream).await.map_err(late).and_then(|stream| stream)?)
        },
        properties,
    )
    .await
}
