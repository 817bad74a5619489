//! Whether everything is as it should be, on record and on the machines.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures::{StreamExt as _, stream};
use manman_bins::{api::v1, compose::Carrier};
use manman_core::{
    control::{Happening, events},
    store::SessionStore as _,
    wire::{ExternalEvent, ExternalKind},
};
use manman_store::{PostgresConfig, PostgresStore};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    client::{Api, ask, live_sessions, servers},
    games::Game,
    hosts::Host,
    plane::{PATIENCE, Plane},
};

/// How many timelines are read at once.
const AT_ONCE: usize = 16;

/// Listens from before the first host on.
pub struct Judge {
    /// What other systems were told, and should not have been.
    wrong: Arc<Mutex<Vec<Happening>>>,
    _listening: AbortOnDropHandle<()>,
}

impl Judge {
    pub async fn listen(plane: &Plane) -> Self {
        let broker = Carrier::open(&plane.broker()).await.unwrap().broker();
        let wrong: Arc<Mutex<Vec<Happening>>> = Arc::default();
        let (mut happenings, notes) = (events(broker).await.unwrap(), wrong.clone());
        let listening = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(happening) = happenings.next().await {
                if !is_wanted(&happening) {
                    notes.lock().unwrap_or_else(PoisonError::into_inner).push(happening);
                }
            }
        }));
        Self { wrong, _listening: listening }
    }

    /// Judges a fleet whose sessions are these, and no others, and that was held until now
    /// from `since` on.
    ///
    /// # Panics
    /// If anything is not as it should be.
    pub async fn sentence(
        &self,
        plane: &Plane,
        api: &Api,
        hosts: &[Host],
        games: &[Game],
        since: SystemTime,
    ) {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        all_run(api, games).await;
        // Each was heard to the last, and never missed.
        let heard_since = |server: &v1::Server| server.last_seen.is_some_and(|at| at.seconds >= since);
        let online = |server: &v1::Server| server.status() == v1::ServerStatus::Online && heard_since(server);
        let servers = servers(api).await;
        assert!(servers.len() == hosts.len() && servers.iter().all(online), "{servers:?}");

        // No session was ever anything but on its way up, running, or stopped as asked.
        let read = stream::iter(games).map(|game| {
            let api = api.clone();
            let request = v1::GetSessionRequest { session_id: game.session };
            async move { ask!(api, get_session, request) }
        });
        let mut read = read.buffer_unordered(AT_ONCE);
        while let Some(session) = read.next().await {
            let fine = |entry: &v1::TimelineEntry| {
                use v1::SessionState::{Pending, Running, Starting};
                matches!(entry.state(), Pending | Starting | Running)
            };
            assert!(session.timeline.iter().all(fine) && session.attempts.len() == 1, "{session:?}");
        }

        // Nothing a host said was refused, and nothing is left over.
        let store = PostgresStore::open(&PostgresConfig::at(&plane.database)).await.unwrap();
        let refused = store.session_refused(10).await.unwrap();
        assert_eq!(refused.total, 0, "{:?}", refused.latest);
        let request = v1::ListDeadLettersRequest { limit: Some(10) };
        let letters = ask!(api, list_dead_letters, request).dead_letters;
        assert!(letters.is_empty(), "{letters:?}");
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(wrong.is_empty(), "others were told: {wrong:?}");

        // And so it is on the machines.
        let violations: Vec<String> = hosts.iter().flat_map(|host| host.engine.violations()).collect();
        assert!(violations.is_empty(), "{violations:?}");
        let live: usize = hosts.iter().map(|host| host.engine.live().len()).sum();
        assert_eq!(live, games.len(), "games that live");
    }
}

/// Whether a fleet that is well says that.
fn is_wanted(happening: &Happening) -> bool {
    use ExternalKind::{HostOnline, SessionReady, SessionStarted, SessionStopped};
    let Happening::Event(event) = happening else { return false };
    let (ExternalEvent::Host { event, .. } | ExternalEvent::Session { event, .. }) = event;
    matches!(event, HostOnline | SessionReady | SessionStarted | SessionStopped)
}

/// Waits until exactly these sessions live and run: what was said last may be on its way.
async fn all_run(api: &Api, games: &[Game]) {
    let begun = Instant::now();
    loop {
        let live = live_sessions(api).await;
        let mut running: Vec<i64> = live
            .iter()
            .filter(|session| session.state() == v1::SessionState::Running)
            .map(|session| session.session_id)
            .collect();
        running.sort_unstable();
        if live.len() == running.len() && running.iter().eq(games.iter().map(|game| &game.session)) {
            return;
        }
        let counts = (live.len(), running.len(), games.len());
        assert!(begun.elapsed() < PATIENCE, "live, running, wanted: {counts:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
