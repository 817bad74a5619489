//! Who this host is, before anything of it can be made.

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Chain, Error, ErrorKind, Result},
    host::{
        HostConfig,
        journal::{Identity, Journal},
    },
    retry::Backoff,
    uplink::Uplink,
};

const OPERATION: &str = "register";

/// Who this host is: from its journal, or else from the control plane, which is waited
/// for. What a runtime carries as its owner comes from here.
///
/// # Errors
/// `Conflict` if another machine holds the name and is heard, `Denied` if we may not have
/// it: waiting does not help. `Unavailable` if `shutdown` came first.
pub async fn join(
    uplink: &dyn Uplink,
    journal: &Journal,
    config: &HostConfig,
    shutdown: &CancellationToken,
) -> Result<Identity> {
    if let Some(identity) = journal.look(|state| state.identity) {
        return Ok(identity);
    }
    let mut backoff: Backoff = config.backoff(fastrand::u64(..));
    loop {
        let hello = config.registration(None);
        let register = timeout(config.call(), uplink.register(&hello));
        let answer = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(shut_down()),
            answer = register => answer.unwrap_or_else(|_| {
                let message = format!("no answer within {:?}", config.call());
                Err(Error::new(ErrorKind::Timeout, OPERATION, message))
            }),
        };
        let error = match answer {
            Ok(welcomed) => {
                let identity =
                    Identity { cluster: welcomed.cluster, server: welcomed.server, epoch: welcomed.epoch };
                let noted = timeout(config.call(), journal.identify(identity)).await;
                return noted.unwrap_or_else(|_| Err(silent_disk(config))).map(|()| identity);
            }
            Err(error) if error.is_temporary() => error,
            Err(error) => return Err(error),
        };
        let wait = backoff.delay();
        tracing::warn!(error = %Chain(&error), "cannot register {} for now, will retry in {wait:?}", config.name);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(shut_down()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn silent_disk(config: &HostConfig) -> Error {
    let message = format!("the journal's disk does not answer within {:?}", config.call());
    Error::new(ErrorKind::Timeout, OPERATION, message)
}

fn shut_down() -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, "shut down before it was done")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        blob::{BlobKey, BlobStream, Presigned},
        host::journal::MemoryDisk,
        id::{AttemptId, SessionId},
        model::SessionSpec,
        uplink::{HostIdentity, Known, Registration, Snapshot, Welcomed},
    };

    /// Takes every question and answers none.
    #[derive(Debug)]
    struct Mute;

    #[async_trait]
    impl Uplink for Mute {
        async fn register(&self, _: &Registration) -> Result<Welcomed> {
            std::future::pending().await
        }

        async fn snapshot(&self, _: HostIdentity, _: &[Known]) -> Result<Snapshot> {
            std::future::pending().await
        }

        async fn spec(&self, _: HostIdentity, _: SessionId) -> Result<SessionSpec> {
            std::future::pending().await
        }

        async fn receipts(&self, _: HostIdentity, _: &[AttemptId]) -> Result<Vec<AttemptId>> {
            std::future::pending().await
        }

        async fn blob_put(&self, _: HostIdentity, _: &BlobKey, _: BlobStream) -> Result<u64> {
            std::future::pending().await
        }

        async fn blob_address(&self, _: HostIdentity, _: &BlobKey) -> Result<Option<Presigned>> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_does_not_wait_for_an_answer() {
        let journal = Journal::open(MemoryDisk::new()).unwrap();
        let (config, shutdown) = (HostConfig::default(), CancellationToken::new());
        let begun = Instant::now();
        let stops = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            shutdown.cancel();
        };
        let (joined, ()) = tokio::join!(join(&Mute, &journal, &config, &shutdown), stops);
        assert_eq!(joined.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
