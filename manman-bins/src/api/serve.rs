//! Serves the API on listeners.

use std::{fmt, io, sync::Arc, time::Duration};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};

use super::{
    auth::Authenticator,
    encryption::{Encryption, Unusable},
    gate::Gate,
    hosts::Hosts,
    listen::{connections, encrypted},
    service::Api,
    v1,
};

/// The largest request in bytes.
pub const MAX_REQUEST: usize = 1024 * 1024;

/// How long calls that are being worked on may take when the process is to end.
const DRAIN: Duration = Duration::from_secs(3);

/// The API, ready to be served on any number of listeners.
#[derive(Clone)]
pub struct ApiServer {
    routes: Routes,
    gate: Gate,
    encryption: Option<Encryption>,
    shutdown: CancellationToken,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// The API and that of hosts with health and reflection, behind `authenticator`. Ends
    /// with the API's own shutdown token.
    pub async fn new(api: Api, hosts: Hosts, authenticator: Arc<dyn Authenticator>) -> Self {
        let shutdown = api.shutdown_token();
        let service =
            v1::man_man_api_server::ManManApiServer::new(api).max_decoding_message_size(MAX_REQUEST);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<v1::man_man_api_server::ManManApiServer<Api>>().await;
        let hosts = v1::host_api_server::HostApiServer::new(hosts).max_decoding_message_size(MAX_REQUEST);
        let mut routes = Routes::new(service).add_service(hosts).add_service(health_service);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1();
        // The sets are constants that a test decodes; without reflection the API serves on.
        if let Ok(reflection) = reflection {
            routes = routes.add_service(reflection);
        }
        Self { routes, gate: Gate::new(authenticator), encryption: None, shutdown }
    }

    /// Encrypts what is served over TCP: the PEM of the certificate, with those between it
    /// and its authority, and of its key.
    ///
    /// # Errors
    /// If they are none, or do not belong together.
    pub fn encrypted(mut self, certificate: &[u8], key: &[u8]) -> Result<Self, Unusable> {
        self.encryption = Some(Encryption::new(certificate, key)?);
        Ok(self)
    }

    /// Serves over TCP until shutdown.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn serve_tcp(self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        match self.encryption.clone() {
            Some(encryption) => self.serve(encrypted(listener, encryption)).await,
            None => self.serve(connections(listener)).await,
        }
    }

    /// Serves on a Unix socket until shutdown.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn serve_unix(self, listener: UnixListener) -> Result<(), tonic::transport::Error> {
        self.serve(connections(listener)).await
    }

    async fn serve<C>(
        self,
        connections: impl Stream<Item = io::Result<C>> + Send,
    ) -> Result<(), tonic::transport::Error>
    where
        C: Connected + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let serving = Server::builder()
            .layer(self.gate)
            .max_concurrent_streams(256)
            .http2_max_header_list_size(16 * 1024)
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .add_routes(self.routes)
            .serve_with_incoming_shutdown(Box::pin(connections), self.shutdown.cancelled_owned());
        tokio::select! {
            served = serving => served,
            // Whoever keeps a connection open does not keep the process from ending.
            () = drained => Ok(()),
        }
    }
}
