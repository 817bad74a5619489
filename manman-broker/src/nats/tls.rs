//! TLS to the NATS server as it is asked for.

use std::sync::Arc;

use manman_core::error::Result;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::config::NatsConfig;
use crate::tls::Files;

/// What the connection's TLS is to be.
pub(super) fn client(config: &NatsConfig) -> Result<ClientConfig> {
    let files = Files {
        operation: "set up TLS to the NATS server",
        ca: config.ca.as_deref(),
        cert: config.cert.as_deref(),
        key: config.key.as_deref(),
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(&files, config.server_name.as_ref(), provider.clone())?;
    files.end(files.begin(provider)?.dangerous().with_custom_certificate_verifier(verifier))
}

fn verifier(
    files: &Files<'_>,
    server_name: Option<&String>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let roots = files.roots()?;
    if roots.is_empty() {
        // A verifier is needed even where the connection turns out to be plain.
        return Ok(Arc::new(Nobody(provider)));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| files.wrong("no certificate is trusted").because(error))?;
    let Some(name) = server_name else { return Ok(verifier) };
    let name = ServerName::try_from(name.clone()).map_err(|error| {
        files.wrong(format!("server_name {name:?} is not the name of a host")).because(error)
    })?;
    Ok(Arc::new(Named { name, verifier }))
}

/// Checks certificates as if the server had another name than the one it was called by.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _called: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Trusts nobody: this machine has no certificates, and none were given.
#[derive(Debug)]
struct Nobody(Arc<CryptoProvider>);

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _called: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General("this machine trusts no certificate: give one with ca=FILE".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no certificate was accepted".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no certificate was accepted".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
