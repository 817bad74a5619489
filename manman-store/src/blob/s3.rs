//! Blobs in a bucket.

use std::{sync::Arc, time::Duration};

use manman_core::error::{Error, ErrorKind, Result};
use opendal::{
    HttpTransporter, Operator,
    layers::{RetryEvent, RetryLayer, TimeoutLayer},
    services::S3,
};
use opendal_http_transport_reqwest::ReqwestTransport;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tracing::debug;

use super::{
    config::{Addressing, S3Config},
    translate::{OPEN, Place},
};

/// What S3 takes as a part that is not the last one.
const LEAST_PART: usize = 5 << 20;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, OPEN, why)
}

/// The bucket as it is, and one that repeats what can be repeated. Asks nobody yet.
pub(super) fn open(config: &S3Config) -> Result<(Operator, Operator, Place)> {
    let credentials = config.credentials.as_ref().ok_or_else(|| {
        refused(
            "there are no credentials: s3://KEY:SECRET@bucket, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    })?;
    if config.part_bytes < LEAST_PART {
        return Err(refused(format!("part_bytes: {} is less than {LEAST_PART}", config.part_bytes)));
    }
    let place = Place::Bucket {
        endpoint: config.endpoint.clone(),
        bucket: config.bucket.clone(),
        region: config.region.clone(),
        access_key: credentials.access_key.clone(),
    };
    let mut builder = S3::default()
        .bucket(&config.bucket)
        .endpoint(&config.endpoint)
        .region(&config.region)
        .access_key_id(&credentials.access_key)
        .secret_access_key(&credentials.secret_key)
        // What is asked for is in `config`, and nowhere else.
        .disable_config_load()
        .disable_ec2_metadata();
    if let Some(prefix) = &config.prefix {
        builder = builder.root(prefix.as_str());
    }
    if let Some(token) = &credentials.session_token {
        builder = builder.session_token(token);
    }
    if config.addressing == Addressing::Virtual {
        builder = builder.enable_virtual_host_style();
    }
    let operator = Operator::new(builder).map_err(|error| place.failed(OPEN, None, error))?;
    let transport = HttpTransporter::new(ReqwestTransport::new(client(config)?));
    let context = operator.context().clone().with_http_transport(transport);
    let deadlines = TimeoutLayer::new().with_timeout(config.deadline).with_io_timeout(config.deadline);
    let once = operator.with_context(context).layer(deadlines);
    let patient = once.clone().layer(again());
    Ok((once, patient, place))
}

/// Some six seconds of trouble are sat out.
fn again() -> RetryLayer<impl opendal::layers::RetryInterceptor> {
    RetryLayer::new()
        .with_min_delay(Duration::from_millis(200))
        .with_factor(2.0)
        .with_max_delay(Duration::from_secs(3))
        .with_max_times(5)
        .with_jitter()
        .with_notify(|event: RetryEvent<'_>| {
            debug!(
                attempt = event.attempt,
                "{:?} of a blob failed, will retry in {:?}", event.op, event.retry_after
            );
        })
}

fn client(config: &S3Config) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(config.deadline)
        .redirect(reqwest::redirect::Policy::none())
        // Read from the environment otherwise.
        .no_proxy()
        .tls_backend_preconfigured(tls(config)?);
    builder.build().map_err(|error| refused("the client of S3 cannot be made").because(error))
}

/// With a provider of its own: nothing global is installed.
fn tls(config: &S3Config) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &config.ca {
        Some(file) => {
            let unreadable = |error| refused(format!("ca: {} cannot be read", file.display())).because(error);
            for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
                roots.add(certificate.map_err(unreadable)?).map_err(|error| {
                    refused(format!("ca: {} holds a certificate that cannot be trusted", file.display()))
                        .because(error)
                })?;
            }
            if roots.is_empty() {
                return Err(refused(format!("ca: {} holds no certificate in PEM", file.display())));
            }
        }
        // Where there are none a server with a certificate is not trusted; most need none.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused("TLS cannot be used").because(error))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
