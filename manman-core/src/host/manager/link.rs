//! Asks the control plane: who we are, what is wanted, what has arrived. One question at
//! a time, so that an older answer never comes after a newer one.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::{host::Host, place::Place, reports::send, sweep::Sweep, wanted};
use crate::{
    broker::{Class, RoutingKey},
    error::{Chain, Error, ErrorKind, Result},
    host::{HostEvent, journal::Identity},
    id::{AttemptId, Generation, SessionId},
    uplink::{Known, Snapshot},
    wire::{HostReport, Report},
};

/// How long the engine is waited for, to register with what it says of itself.
const ENGINE_WITHIN: Duration = Duration::from_secs(2);

/// How soon it is asked whether an end that was published is on record.
const RECEIPT_AFTER: Duration = Duration::from_millis(20);

/// Asks until somebody else has taken our place.
pub(super) async fn run(host: Arc<Host>) {
    let mut link = Link {
        host: host.clone(),
        sweep: Sweep::default(),
        registered: false,
        snapshot_at: Instant::now(),
        sweep_at: Instant::now(),
        receipts_at: Instant::now(),
        receipts_wait: RECEIPT_AFTER,
    };
    tokio::select! {
        biased;
        () = host.fenced() => {}
        () = link.ask_on() => {}
    }
}

struct Link {
    host: Arc<Host>,
    sweep: Sweep,
    registered: bool,
    snapshot_at: Instant,
    sweep_at: Instant,
    receipts_at: Instant,
    receipts_wait: Duration,
}

/// What it is time for.
enum Turn {
    Snapshot,
    Sweep,
    Receipts,
}

impl Link {
    async fn ask_on(&mut self) {
        let host = self.host.clone();
        let mut backoff = host.backoff();
        loop {
            if !self.registered {
                match self.register().await {
                    Ok(()) => {
                        backoff.reset();
                        self.snapshot_at = Instant::now();
                    }
                    Err(error) => {
                        self.unregistered(&error);
                        sleep(backoff.delay()).await;
                        continue;
                    }
                }
            }
            let done = match self.turn().await {
                Turn::Snapshot => {
                    let done = self.snapshot().await.map(drop);
                    let wait =
                        if done.is_ok() { host.about(host.config.snapshot()) } else { backoff.delay() };
                    self.snapshot_at = Instant::now() + wait;
                    done
                }
                Turn::Sweep => {
                    let done = self.sweep().await;
                    let wait = match done {
                        Ok(true) => host.config.sweep(),
                        Ok(false) => host.config.poll(),
                        Err(_) => backoff.delay(),
                    };
                    self.sweep_at = Instant::now() + wait;
                    done.map(drop)
                }
                Turn::Receipts => {
                    let done = self.receipts().await;
                    self.receipts_wait = (self.receipts_wait * 2).min(host.config.fence());
                    let waited_for =
                        host.reports.await_attempts(&host.journal) || !host.reports.unreceipted().is_empty();
                    let wait = if waited_for { self.receipts_wait } else { host.config.fence() };
                    self.receipts_at = Instant::now() + wait;
                    done
                }
            };
            match done {
                Ok(()) => {
                    backoff.reset();
                    host.well("control plane");
                }
                Err(error) => {
                    if error.kind() == ErrorKind::NotFound {
                        // It was restored from an old copy and does not know our registration.
                        self.registered = false;
                        host.unregistered();
                    }
                    let message = format!("the control plane cannot be asked: {}", Chain(&error));
                    host.condition("control plane", message);
                }
            }
        }
    }

    /// Waits until it is time for something.
    async fn turn(&mut self) -> Turn {
        let host = self.host.clone();
        loop {
            tokio::select! {
                biased;
                () = host.snapshot.notified() => return Turn::Snapshot,
                () = host.reports.published.notified() => {
                    self.receipts_wait = RECEIPT_AFTER;
                    self.receipts_at = self.receipts_at.min(Instant::now() + RECEIPT_AFTER);
                }
                () = sleep_until(self.receipts_at) => return Turn::Receipts,
                () = sleep_until(self.snapshot_at) => return Turn::Snapshot,
                () = sleep_until(self.sweep_at) => return Turn::Sweep,
            }
        }
    }

    async fn register(&mut self) -> Result<()> {
        let host = self.host.clone();
        let mut answers = host.engine.answers.watch();
        // Without it, what it says comes with the beats.
        let _ = timeout(ENGINE_WITHIN, answers.until(Option::is_some)).await;
        let info = host.engine.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let hello = host.config.registration(info.as_ref());
        let welcomed = host.call("register", host.uplink.register(&hello)).await?;
        let owner = host.runtime.owner();
        if (welcomed.cluster, welcomed.server) != (owner.cluster, owner.server) {
            host.mistake(format!(
                "the control plane takes this host for server {} of installation {}, and its games are of server {} of {}: \
                 each server of each installation needs a data directory of its own, DATA_DIR",
                welcomed.server, welcomed.cluster, owner.server, owner.cluster
            ));
            return std::future::pending().await;
        }
        let identity = Identity { cluster: welcomed.cluster, server: welcomed.server, epoch: welcomed.epoch };
        // Known for as long as we live; after that we register again anyway.
        let _ = host.noted(host.journal.identify(identity)).await;
        self.registered = true;
        host.place.replace(Place::Ours);
        host.well("register");
        host.events.tell(HostEvent::Registered(identity));
        tracing::info!(server.id = %identity.server, epoch = %identity.epoch, "registered");
        let online = Report::Host(HostReport::Online);
        // Beats say the same a little later.
        let _ = send(&host, Uuid::now_v7(), Class::Report, RoutingKey::host_status, online).await;
        // What was said under the registration before may not count any more.
        host.reports.say_attempts_again(&host.journal);
        host.reports.say_ends_again();
        for (_, door) in host.doors.all() {
            door.say_again(false);
        }
        Ok(())
    }

    /// What it means that we could not register.
    fn unregistered(&self, error: &Error) {
        let host = &self.host;
        let mut message = format!("cannot register {}: {}", host.config.name, Chain(error));
        if error.kind() == ErrorKind::Conflict {
            host.stand_by();
        } else {
            host.unregistered();
        }
        if host.stands_by() {
            message.push_str(
                "; this host stands by: its games go on, and it takes no commands and does nothing else until it \
                 is registered. If its place is to be the other machine's, stop this host manager, or give it a \
                 name and a data directory of its own, SERVER_NAME and DATA_DIR; if it is to be here, stop the \
                 other one, or restart this one with TAKE_OVER=true",
            );
        }
        host.condition("register", message);
    }

    /// Asks what is wanted, and notes it.
    async fn snapshot(&mut self) -> Result<Snapshot> {
        let host = &self.host;
        let me = host.me()?;
        let mut known: BTreeMap<SessionId, Generation> = host.journal.look(|state| {
            state.sessions.iter().map(|(&session, entry)| (session, entry.desired.generation)).collect()
        });
        if let Some((inventory, _)) = &*host.engine.inventory.look() {
            let runs = inventory.found.iter().map(|found| found.run.session);
            for session in runs.chain(inventory.networks.iter().copied()) {
                known.entry(session).or_default();
            }
        }
        let known: Vec<Known> =
            known.into_iter().map(|(session, generation)| Known { session, generation }).collect();
        let asked = Instant::now();
        let snapshot = host.ask("ask what is wanted", me, host.uplink.snapshot(me, &known)).await?;
        let knew_time = host.knows_time();
        host.told_time(snapshot.taken_at, asked);
        if !knew_time {
            // Starts wait for it.
            for (_, door) in host.doors.all() {
                door.knock();
            }
        }
        wanted::note(host, &snapshot).await;
        // Lost with us, it is noted after the next one.
        drop(host.journal.catch_up());
        host.snapshots.modify(|count| *count += 1);
        Ok(snapshot)
    }

    /// Asks which ends are on record; also whether our registration still holds. Those of
    /// attempts are told by a snapshot.
    async fn receipts(&mut self) -> Result<()> {
        let host = self.host.clone();
        let me = host.me()?;
        let ends: Vec<AttemptId> = host.journal.look(|state| {
            let ended = |session: SessionId| {
                let end = state.sessions.get(&session)?.memory.end.as_ref()?;
                Some(AttemptId::new(session, end.attempt))
            };
            host.reports.unreceipted().into_iter().filter_map(ended).collect()
        });
        let on_record = host.ask("ask what has arrived", me, host.uplink.receipts(me, &ends)).await?;
        for run in on_record {
            // Lost with us, it is asked again.
            drop(host.journal.change(run.session, |entry| {
                if let Some(end) = &mut entry.memory.end {
                    end.receipted = true;
                }
            }));
            host.reports.forget(run.session);
            if let Some(door) = host.doors.of(run.session) {
                door.knock();
            }
        }
        // After a while the next snapshot will do: whoever is to put them on record is away.
        if self.receipts_wait < host.config.fence() && host.reports.await_attempts(&host.journal) {
            self.snapshot().await?;
        }
        Ok(())
    }

    /// Looks for what nobody wants any more, unless the engine was not looked at: then that
    /// is for later, and not the control plane's fault. Returns whether it did.
    async fn sweep(&mut self) -> Result<bool> {
        let inventory = self.host.engine.inventory.look().clone();
        let Some((inventory, _)) = inventory.filter(|_| self.host.engine.is_answering()) else {
            return Ok(false);
        };
        let snapshot = self.snapshot().await?;
        self.sweep.look(&self.host, &inventory, &snapshot);
        Ok(true)
    }
}
