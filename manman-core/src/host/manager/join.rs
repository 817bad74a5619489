//! Who this host is, before anything of it can be made.

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
        let error = match uplink.register(&config.registration(None)).await {
            Ok(welcomed) => {
                let identity =
                    Identity { cluster: welcomed.cluster, server: welcomed.server, epoch: welcomed.epoch };
                journal.identify(identity).await?;
                return Ok(identity);
            }
            Err(error) if error.is_temporary() => error,
            Err(error) => return Err(error),
        };
        let wait = backoff.delay();
        tracing::warn!(error = %Chain(&error), "cannot register {} for now, will retry in {wait:?}", config.name);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                return Err(Error::new(ErrorKind::Unavailable, "register", "shut down before it was done"));
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}
