//! Looks at the engine: that it answers, that it is the one it was, and all that is there.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering::SeqCst},
};

use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep_until};

use super::host::Host;
use crate::{
    error::{Chain, Error, ErrorKind, Result},
    host::{HostEvent, journal::Ground, plan::Stage},
    id::SessionId,
    runtime::{AttemptState, Foreign, RuntimeEvent},
};

/// Events of the engine, while it tells them.
type Hints = Option<BoxStream<'static, RuntimeEvent>>;

/// Looks at everything at its pace, at once when events get lost or somebody asks, and
/// again and again while the engine does not answer.
pub(super) async fn run(host: Arc<Host>) {
    let mut backoff = host.backoff();
    let mut hints: Hints = None;
    let mut doubt = true;
    let mut deaf = false;
    loop {
        if hints.is_none() {
            hints = match host.call("listen to the engine", host.runtime.events()).await {
                Ok(stream) => Some(stream),
                Err(error) => {
                    // One that is away is said by the look below.
                    if host.engine.is_answering() && !deaf {
                        tracing::warn!(error = %Chain(&error),
                            "the engine tells no events, so its games are looked at every {:?}", host.config.poll());
                        deaf = true;
                    }
                    None
                }
            };
            deaf &= hints.is_none();
        }
        let wait = match look(&host, doubt).await {
            Ok(()) => {
                backoff.reset();
                host.config.poll()
            }
            Err(_) => backoff.delay(),
        };
        doubt = pause(&host, Instant::now() + wait, &mut hints).await;
    }
}

/// Passes hints on until it is time to look at everything. `true` if there is cause to
/// doubt that the engine is the one it was.
async fn pause(host: &Host, until: Instant, hints: &mut Hints) -> bool {
    loop {
        let hint = async {
            match hints {
                Some(stream) => stream.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = host.engine.look.notified() => return false,
            hint = hint => match hint {
                Some(RuntimeEvent::Attempt(run)) => {
                    if let Some(door) = host.doors.of(run.session) {
                        door.look();
                    }
                }
                Some(RuntimeEvent::Resync) => return false,
                None => {
                    // It goes, or only its stream broke: looking tells.
                    *hints = None;
                    host.engine.gone();
                    return true;
                }
            },
            () = sleep_until(until) => return false,
        }
    }
}

/// Looks at everything, and wakes whoever has not seen it yet.
async fn look(host: &Arc<Host>, doubt: bool) -> Result<()> {
    if doubt || !host.engine.is_answering() {
        check(host).await?;
    }
    let inventory = match host.call("list containers", host.runtime.list()).await {
        Ok(inventory) => inventory,
        Err(error) => {
            away(host, &error);
            // It may be a slow list and no more.
            check(host).await?;
            return Err(error);
        }
    };
    let mut listed: BTreeMap<SessionId, BTreeMap<u32, AttemptState>> = BTreeMap::new();
    for found in &inventory.found {
        listed.entry(found.run.session).or_default().insert(found.run.attempt, found.state.clone());
    }
    say_foreign(host, &inventory.foreign);
    let first = host.engine.inventory.replace(Some((Arc::new(inventory), Instant::now()))).is_none();
    for (session, door) in host.doors.all() {
        let listed = listed.remove(&session).unwrap_or_default();
        if first || !door.has_seen(&listed) {
            door.look();
        }
    }
    if first {
        // What is here and not in the journal is asked about.
        host.snapshot.notify_one();
    }
    Ok(())
}

/// Says what is not ours; what is left alone for one reason, in one sentence, and once: a
/// neighbour's games come and go.
fn say_foreign(host: &Host, foreign: &[Foreign]) {
    const NAMED: usize = 5;
    let mut news: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for foreign in foreign.iter().filter(|it| host.is_news(&format!("{}: {}", it.name, it.why))) {
        news.entry(&foreign.why).or_default().push(&foreign.name);
    }
    for (why, names) in news {
        let named = names[..names.len().min(NAMED)].join(", ");
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!("leaving alone {named}{more}: {why}");
        if host.is_news(why) {
            host.warn("foreign", message);
        } else {
            tracing::debug!("foreign: {message}");
        }
    }
}

/// Asks the engine who it is. What ran on one that was restarted, and that takes games
/// with it, is marked before anybody can take its end for one of its own.
pub(super) async fn check(host: &Arc<Host>) -> Result<()> {
    let info = match host.call("ask the engine", host.runtime.engine()).await {
        Ok(info) => info,
        Err(error) => {
            away(host, &error);
            return Err(error);
        }
    };
    let before = host.journal.look(|state| state.ground.clone());
    let now = Ground {
        engine: info.id.clone(),
        engine_boot: info.boot.clone(),
        survives_restart: info.survives_restart,
        machine_boot: host.config.boot_id.clone(),
    };
    if took_games(&before, &now, host.engine.was_gone()) {
        mark(host);
    }
    // Not waited for: known too late, it is noticed twice, which harms nothing.
    drop(host.journal.stand_on(now));
    for warning in &info.warnings {
        host.warn_once("engine", warning.clone());
    }
    *host.engine.info.lock().unwrap_or_else(PoisonError::into_inner) = Some(info);
    if host.engine.answers.replace(Some(true)) == Some(false) {
        host.well("engine");
        host.events.tell(HostEvent::EngineBack);
        tracing::info!("the engine answers again");
        for (_, door) in host.doors.all() {
            door.look();
        }
    }
    Ok(())
}

/// Whether what ran before ended with the engine or the machine.
fn took_games(before: &Ground, now: &Ground, was_gone: bool) -> bool {
    let differ = |before: &str, now: &str| !before.is_empty() && !now.is_empty() && before != now;
    if differ(&before.machine_boot, &now.machine_boot) {
        return true;
    }
    let restarted = if differ(&before.engine, &now.engine) {
        true
    } else if before.engine_boot.is_empty() || now.engine_boot.is_empty() {
        was_gone
    } else {
        before.engine_boot != now.engine_boot
    };
    // The one that goes lets them live, and the one that comes takes them over; or not.
    restarted && !(before.survives_restart && now.survives_restart)
}

/// Marks what was running as gone with the engine, until it is seen alive.
fn mark(host: &Host) {
    let sessions: Vec<SessionId> = host.journal.look(|state| state.sessions.keys().copied().collect());
    for session in sessions {
        // What is decided on it later is waited for; records keep their order.
        drop(host.journal.change(session, |entry| {
            for attempt in entry.memory.attempts.values_mut() {
                attempt.engine_lost |= matches!(attempt.stage, Stage::Starting | Stage::Running);
            }
        }));
    }
    host.engine.marks.fetch_add(1, SeqCst);
}

/// The engine did not answer.
pub(super) fn away(host: &Host, error: &Error) {
    if error.kind() == ErrorKind::Unavailable {
        host.engine.gone();
    }
    if host.engine.answers.replace(Some(false)) != Some(false) {
        let message = Chain(error).to_string();
        host.condition("engine", format!("the engine does not answer: {message}"));
        host.events.tell(HostEvent::EngineAway(message));
        for (_, door) in host.doors.all() {
            door.knock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn games_go_with_an_engine_that_was_restarted_and_does_not_keep_them() {
        let ground = |engine: &str, boot: &str, machine: &str, survives: bool| Ground {
            engine: engine.to_owned(),
            engine_boot: boot.to_owned(),
            machine_boot: machine.to_owned(),
            survives_restart: survives,
        };
        let takes = ground("e", "1", "m", false);
        let keeps = ground("e", "1", "m", true);
        for (before, now, was_gone, took) in [
            (&takes, ground("e", "1", "m", false), false, false),
            // It was silent and is the same: it was frozen, or the way to it was.
            (&takes, ground("e", "1", "m", false), true, false),
            (&takes, ground("e", "2", "m", false), false, true),
            (&keeps, ground("e", "2", "m", true), true, false),
            // The one that went took them, or the one that came did not want them.
            (&takes, ground("e", "2", "m", true), true, true),
            (&keeps, ground("e", "2", "m", false), true, true),
            (&takes, ground("f", "1", "m", false), false, true),
            // Nothing outlives a reboot.
            (&keeps, ground("e", "2", "n", true), false, true),
            // Where a boot cannot be told, having been gone must do.
            (&takes, ground("e", "", "m", false), true, true),
            (&takes, ground("e", "", "m", false), false, false),
        ] {
            assert_eq!(took_games(before, &now, was_gone), took, "{before:?} {now:?} {was_gone}");
        }
        assert!(!took_games(&Ground::default(), &takes, false));
    }
}
