//! What TLS is made of. Nothing is installed for the whole process.

use std::{path::Path, sync::Arc};

use manman_core::error::{Error, ErrorKind, Result};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

use super::config::TlsConfig;

const OPERATION: &str = "set up TLS to RabbitMQ";

/// Reads the files of `config`.
pub(super) fn client(config: &TlsConfig, server_name: &str) -> Result<Arc<ClientConfig>> {
    ServerName::try_from(server_name.to_owned())
        .map_err(|error| wrong(format!("{server_name} is no name of a server")).because(error))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("no version of TLS can be spoken".to_owned()).because(error))?
        .with_root_certificates(roots(config.ca.as_deref())?);
    let client = match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let key_of = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| wrong(format!("{} holds no key", key.display())).because(error))?;
            builder.with_client_auth_cert(chain, key_of).map_err(|error| {
                let what = format!("certificate {} and key {} do not fit", cert.display(), key.display());
                wrong(what).because(error)
            })?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(wrong("cert and key go together: one of them is missing".to_owned())),
    };
    Ok(Arc::new(client))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| {
                    wrong(format!("{} holds a certificate of no use", file.display())).because(error)
                })?;
            }
        }
        None => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(wrong(
                    "this system trusts no authority: name one with the parameter ca".to_owned(),
                ));
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error| wrong(format!("{} cannot be read as PEM", file.display())).because(error);
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(wrong(format!("{} holds no certificate", file.display())));
    }
    Ok(certificates)
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Config, OPERATION, what)
}
