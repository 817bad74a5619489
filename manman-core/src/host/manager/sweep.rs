//! Finds what is here and wanted by nobody: containers and networks of sessions that the
//! journal does not know and that the control plane says have ended.
//!
//! Never on the first sight, never on an empty memory alone, never what the control plane
//! does not know.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use super::host::Host;
use crate::{
    error::Chain,
    id::{Generation, SessionId, SgcId},
    model::{State, StopMode, Want},
    runtime::Inventory,
    uplink::{Desired, Snapshot},
};

/// What was found unwanted, and when first.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    suspects: BTreeMap<SessionId, Instant>,
}

impl Sweep {
    /// One look; what was unwanted at the last one too, and for long enough, goes.
    pub fn look(&mut self, host: &Arc<Host>, inventory: &Inventory, snapshot: &Snapshot) {
        let mut unwanted: BTreeMap<SessionId, Option<SgcId>> = BTreeMap::new();
        for session in &inventory.networks {
            unwanted.insert(*session, None);
        }
        for found in &inventory.found {
            unwanted.insert(found.run.session, Some(found.sgc));
        }
        unwanted.retain(|session, _| {
            snapshot.ended.contains(session)
                && host.journal.look(|state| !state.sessions.contains_key(session))
        });
        let before = std::mem::take(&mut self.suspects);
        for (session, sgc) in unwanted {
            let Some(&since) = before.get(&session) else {
                self.suspects.insert(session, Instant::now());
                continue;
            };
            if since.elapsed() < host.config.orphan_grace() {
                self.suspects.insert(session, since);
                continue;
            }
            match sgc {
                Some(sgc) => clear(host, session, sgc),
                None => host.spawn(remove_network(host.clone(), session)),
            }
        }
        host.spawn(sweep_consoles(host.clone()));
    }
}

/// Clears away what is left of a session, on the road that every session goes.
fn clear(host: &Arc<Host>, session: SessionId, sgc: SgcId) {
    host.warn("orphan", format!("what is left of session {session}, which has ended, is cleared away"));
    let desired = Desired {
        session,
        sgc,
        want: Want::Stop(StopMode::Graceful),
        generation: Generation::default(),
        not_after: host.now(),
        attempt: 0,
        state: State::Stopped,
    };
    // Lost with us, it is found again.
    drop(host.journal.disown(desired));
    host.attend(session);
}

async fn remove_network(host: Arc<Host>, session: SessionId) {
    match host.call("remove a network", host.runtime.remove_network(session)).await {
        Ok(()) => {
            host.warn("orphan", format!("the network of session {session}, which has ended, was removed"))
        }
        Err(error) => {
            tracing::warn!(session.id = %session, error = %Chain(&error),
                "the network of session {session} cannot be removed, will try again");
        }
    }
}

async fn sweep_consoles(host: Arc<Host>) {
    if let Err(error) = host.consoles.sweep_by(host.now()).await {
        host.warn_once("console", format!("old consoles cannot be removed: {}", Chain(&error)));
    }
}
