//! TLS to RabbitMQ.

use std::sync::Arc;

use manman_core::error::Result;
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};

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
