//! What a snapshot says is wanted, ended and on record.

use std::sync::Arc;

use super::host::Host;
use crate::{
    clock::Timestamp,
    host::plan::Stage,
    model::{Reason, State, Want, reason::ReasonCode},
    uplink::{Desired, Snapshot},
    wire::{End, SessionReport},
};

/// Notes what is wanted, and wakes whom it concerns.
pub(super) async fn note(host: &Arc<Host>, snapshot: &Snapshot) {
    let mut noted = Vec::new();
    for desired in &snapshot.wanted {
        let session = desired.session;
        attempts_on_record(host, desired);
        noted.push(match host.journal.session(session) {
            None if host.journal.look(|state| state.forgotten.contains(&session)) => {
                host.reports.latest(ended_before(desired, host.now()));
                continue;
            }
            None => host.journal.take_up(desired.clone()),
            Some(entry) if entry.desired.generation < desired.generation => {
                host.journal.change(session, |entry| entry.desired = desired.clone())
            }
            Some(_) => {
                say_again(host, desired);
                continue;
            }
        });
        if let Some(door) = host.doors.of(session) {
            door.knock();
        } else if host.journal.look(|state| state.sessions.contains_key(&session)) {
            host.attend(session);
        }
    }
    for &session in &snapshot.ended {
        noted.push(host.journal.change(session, |entry| match &mut entry.memory.end {
            Some(end) => end.receipted = true,
            None => entry.memory.disowned = true,
        }));
        host.reports.forget(session);
        if let Some(door) = host.doors.of(session) {
            door.knock();
        }
    }
    for session in &snapshot.unknown {
        let message = format!(
            "session {session} is here, and the control plane cannot have given it out: it is left alone"
        );
        host.warn_once("unknown session", message);
    }
    for written in noted {
        // Acted upon all the same: it is asked for again after a death.
        let _ = host.noted(written).await;
    }
}

/// The end of a session that was on record as ended, and is not any more: a store that was
/// restored from an old copy would wait for it for ever.
fn ended_before(desired: &Desired, now: Timestamp) -> SessionReport {
    let end = match desired.want {
        Want::Stop(_) => End::Stopped,
        Want::Run { .. } => End::Crashed,
    };
    let text = "it ended here, and that was on record: the control plane's store was restored from an old copy, \
                and how it ended is not known any more";
    SessionReport::Ended {
        session: desired.session,
        attempt: desired.attempt,
        end,
        exit_code: None,
        out_of_memory: false,
        at: now,
        reason: Reason::new(ReasonCode::Exited, text),
        last_lines: Vec::new(),
    }
}

/// Notes which ends of a session's attempts are on record: of those before the highest one that
/// is, since an end is said before anything of the attempt after it, under each registration.
fn attempts_on_record(host: &Host, desired: &Desired) {
    let receipted = host.reports.receipted(desired.session, desired.attempt);
    if receipted.is_empty() {
        return;
    }
    // Lost with us, it is said again.
    drop(host.journal.change(desired.session, |entry| {
        for attempt in receipted {
            if let Some(known) = entry.memory.attempts.get_mut(&attempt)
                && let Stage::Over { receipted, .. } = &mut known.stage
            {
                *receipted = true;
            }
        }
    }));
    if let Some(door) = host.doors.of(desired.session) {
        door.knock();
    }
}

/// Has a session that is on record as something that it is not said again.
fn say_again(host: &Host, desired: &Desired) {
    let lost = desired.state == State::Lost;
    if (lost || desired.state == State::Pending)
        && let Some(door) = host.doors.of(desired.session)
    {
        door.say_again(lost);
    }
}
