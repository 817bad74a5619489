//! The encryption of what is served.

use std::{fmt, io, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What gRPC is called in the agreement (RFC 9113, section 3.2).
const HTTP2: &[u8] = b"h2";

/// A certificate and its key, to serve with.
#[derive(Clone)]
pub struct Encryption(TlsAcceptor);

/// Why a certificate and a key are of no use. Never shows what is in the file of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The first is not PEM.
    #[error("the certificate cannot be read")]
    Certificate,
    /// The second is not.
    #[error("the key cannot be read")]
    Key,
    /// They are no certificate and its key.
    #[error("they are of no use together")]
    Together(#[source] rustls::Error),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").finish_non_exhaustive()
    }
}

impl Encryption {
    /// By the PEM of a certificate, with those between it and its authority, and of its key.
    ///
    /// # Errors
    /// If they are none, or do not belong together.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, Unusable> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| Unusable::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unusable::Key)?;
        // By name: no provider is installed for the whole process.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
            .map_err(Unusable::Together)?;
        config.alpn_protocols.push(HTTP2.to_vec());
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Agrees on it with whoever is at the other end.
    ///
    /// # Errors
    /// If they do not, or go.
    pub async fn agree<T: AsyncRead + AsyncWrite + Unpin>(&self, io: T) -> io::Result<TlsStream<T>> {
        self.0.accept(io).await
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tokio_rustls::TlsConnector;

    use super::*;

    /// Both ends of an encryption for `localhost`.
    pub fn ends() -> (Encryption, TlsConnector, ServerName<'static>) {
        let dir = tempfile::tempdir().unwrap();
        manman_services::certificates(dir.path(), "DNS:localhost");
        let file = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
        let encryption = Encryption::new(&file("server.pem"), &file("server.key")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&file("ca.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (encryption, TlsConnector::from(Arc::new(config)), "localhost".try_into().unwrap())
    }

    #[test]
    fn what_is_of_no_use_is_said_without_showing_the_key() {
        let dir = tempfile::tempdir().unwrap();
        manman_services::certificates(dir.path(), "DNS:localhost");
        let file = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
        let (certificate, key) = (file("server.pem"), file("server.key"));
        assert!(Encryption::new(&certificate, &key).is_ok());
        let torn = b"-----BEGIN PRIVATE KEY hunter2".to_vec();
        for (certificate, key, why) in [
            (&torn, &key, "the certificate cannot be read"),
            (&certificate, &torn, "the key cannot be read"),
            (&key, &key, "they are of no use together"),
            (&certificate, &file("client.key"), "they are of no use together"),
        ] {
            let unusable = Encryption::new(certificate, key).unwrap_err();
            assert_eq!(unusable.to_string(), why);
            assert!(!format!("{unusable:?}").contains("hunter2"), "{unusable:?}");
        }
    }
}
