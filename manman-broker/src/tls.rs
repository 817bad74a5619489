//! What TLS is made of: the files that were named, or what this machine trusts. Nothing is
//! installed for the whole process.

use std::{path::Path, sync::Arc};

use manman_core::error::{Error, ErrorKind, Result};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    client::WantsClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// The files of a connection, PEM all of them.
pub(crate) struct Files<'a> {
    /// What they are read for.
    pub operation: &'static str,
    /// The authorities that are trusted, instead of this machine's.
    pub ca: Option<&'a Path>,
    /// Our own certificate, with its chain.
    pub cert: Option<&'a Path>,
    /// Its key.
    pub key: Option<&'a Path>,
}

impl Files<'_> {
    /// The beginning of what a connection's TLS is to be.
    pub fn begin(&self, provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.wrong("no version of TLS can be spoken").because(error))
    }

    /// Who is trusted: nobody, where no file is named and this machine trusts nobody.
    pub fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(file) = self.ca else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        for certificate in self.certificates(file)? {
            roots.add(certificate).map_err(|error| {
                self.wrong(format!("{} holds a certificate of no use", file.display())).because(error)
            })?;
        }
        Ok(roots)
    }

    /// With what we show who we are, if anything.
    pub fn end(&self, builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Result<ClientConfig> {
        let (cert, key) = match (self.cert, self.key) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) => return Ok(builder.with_no_client_auth()),
            _ => return Err(self.wrong("cert and key go together: one of them is missing")),
        };
        let key_of = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| self.wrong(format!("{} holds no key", key.display())).because(error))?;
        builder.with_client_auth_cert(self.certificates(cert)?, key_of).map_err(|error| {
            let what = format!("certificate {} and key {} do not fit", cert.display(), key.display());
            self.wrong(what).because(error)
        })
    }

    fn certificates(&self, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
        let unreadable =
            |error| self.wrong(format!("{} cannot be read as PEM", file.display())).because(error);
        let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
            .map_err(unreadable)?
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(self.wrong(format!("{} holds no certificate", file.display())));
        }
        Ok(certificates)
    }

    pub fn wrong(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, self.operation, what)
    }
}
