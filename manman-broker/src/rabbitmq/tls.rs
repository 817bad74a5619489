//! TLS to RabbitMQ.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use manman_core::error::Result;
use rustls::{
    ClientConfig, SignatureScheme, client::ResolvesClientCert, crypto::ring, pki_types::ServerName,
    sign::CertifiedKey,
};

use super::config::TlsConfig;
use crate::tls::Files;

/// Reads the files of `config`.
pub(super) fn client(config: &TlsConfig, server_name: &str) -> Result<Arc<ClientConfig>> {
    let files = Files {
        operation: "set up TLS to RabbitMQ",
        ca: config.ca.as_deref(),
        cert: config.cert.as_deref(),
        key: config.key.as_deref(),
    };
    ServerName::try_from(server_name.to_owned())
        .map_err(|error| files.wrong(format!("{server_name} is no name of a server")).because(error))?;
    let roots = files.roots()?;
    if roots.is_empty() {
        return Err(files.wrong("this system trusts no authority: name one with the parameter ca"));
    }
    let builder = files.begin(Arc::new(ring::default_provider()))?.with_root_certificates(roots);
    Ok(Arc::new(files.end(builder)?))
}

/// Whether the other side of a connection asked for a certificate and we have none. Whoever
/// demands one ends the connection when our side of the handshake of TLS 1.3 is over, and its word
/// on that is lost where it had not read all that we sent: this is all that is known then.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// `config` for one connection, of which this is told.
    pub fn on(&self, config: &ClientConfig) -> Arc<ClientConfig> {
        let mut config = config.clone();
        let answers = config.client_auth_cert_resolver.clone();
        config.client_auth_cert_resolver = Arc::new(Listening { answers, asked: self.clone() });
        Arc::new(config)
    }

    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Listening {
    answers: Arc<dyn ResolvesClientCert>,
    asked: Asked,
}

impl ResolvesClientCert for Listening {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let answer = self.answers.resolve(authorities, schemes);
        self.asked.0.store(answer.is_none(), Ordering::Release);
        answer
    }

    fn only_raw_public_keys(&self) -> bool {
        self.answers.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.answers.has_certs()
    }
}
