//! What a host's report makes of a session.

use super::{Change, cut};
use crate::{
    clock::Timestamp,
    id::Epoch,
    model::{
        Phase, Reason, Session, State, Want,
        reason::ReasonCode,
        session::{Attempt, Event, Rejected},
    },
    store::Source,
    wire::{End, SessionReport},
};

/// The most last lines that are kept of a console, and the most bytes of one.
const LAST_LINES: (usize, usize) = (20, 500);

/// Whether `report` does not count: its sender was replaced by the registration `current`, or
/// was never registered.
///
/// What became of a command counts all the same. Only who took it can say so, it says so once and
/// keeps nothing of it, and it may wait at the broker while its host registers anew. It moves
/// nothing but its command, and that only once.
pub fn is_fenced(report: &SessionReport, source: Source, current: Option<Epoch>) -> bool {
    current.is_none_or(|current| match report {
        SessionReport::Outcome { .. } => source.epoch > current,
        _ => source.epoch != current,
    })
}

/// Whether `report` is older than the `last` one that was applied to its session, so
/// that it must not win over it. What is said only once is never outdated.
pub fn is_outdated(report: &SessionReport, source: Source, last: Option<(Epoch, i64)>) -> bool {
    let latest_wins = matches!(report, SessionReport::Phase { .. } | SessionReport::Running { .. });
    latest_wins && last.is_some_and(|last| (source.epoch, source.sequence) < last)
}

/// `session` after `report`, by the state table; unchanged if the report says what is known.
///
/// Times of the host are taken as far as they can be true by the store's clock, `now`.
pub fn apply(session: &Session, report: &SessionReport, now: Timestamp) -> Result<Change, Rejected> {
    match report {
        SessionReport::Phase { attempt, phase, progress, reason, .. } => {
            let event = Event::Starting { attempt: *attempt, phase: *phase };
            let mut change = heard(session, event, reason.as_ref(), now)?;
            if change.session.state == State::Starting {
                change.session.progress = progress.as_deref().map(|text| cut(text, 200));
                if let Some(reason) = reason {
                    change.session.reason = bounded(reason);
                }
            }
            Ok(change)
        }
        SessionReport::Running { attempt, started_at, image_digest, spec_hash, manager_version, .. } => {
            let stopping = session.state == State::Stopping && *attempt >= session.attempt;
            let mut change = if stopping {
                // It came up while its stop was on the way: that it ran is on record, and no more.
                Change::of(session)
            } else {
                heard(session, Event::Running { attempt: *attempt }, None, now)?
            };
            change.session.attempt = change.session.attempt.max(*attempt);
            let possible = (*started_at).clamp(session.created_at.min(now), now);
            change.session.started_at.get_or_insert(possible);
            if change.session.state == State::Running {
                change.session.exit_code = None;
            }
            change.attempt = Some(Attempt {
                image_digest: word(image_digest),
                spec_hash: word(spec_hash),
                manager_version: word(manager_version),
                started_at: Some(possible),
                ..Attempt::new(*attempt)
            });
            Ok(change)
        }
        SessionReport::AttemptEnded { attempt, exit_code, reason, .. } => {
            let known = Attempt {
                ended_at: Some(now),
                exit_code: *exit_code,
                reason: Some(bounded(reason)),
                ..Attempt::new(*attempt)
            };
            if session.attempt > *attempt && !session.state.is_end() {
                // A later attempt is on record, and with it that this one has ended.
                return Ok(Change { attempt: Some(known), ..Change::of(session) });
            }
            // Only what the restart policy does is waited for.
            let phase = if reason.code == ReasonCode::Restarted { Phase::Accepted } else { Phase::Backoff };
            let next = Event::Starting { attempt: attempt.saturating_add(1), phase };
            let transition = session.standing().after(next)?;
            let mut change = Change::of(session);
            change.session.attempt = session.attempt.max(*attempt);
            change.session.exit_code = *exit_code;
            change.attempt = Some(known);
            change.walk(&transition, &bounded(reason), now);
            stop_again(change, now)
        }
        SessionReport::Ended { .. } => ended(session, report, now),
        SessionReport::Outcome { .. } => Ok(Change::of(session)),
    }
}

/// A sign of life.
fn heard(
    session: &Session,
    event: Event,
    reason: Option<&Reason>,
    now: Timestamp,
) -> Result<Change, Rejected> {
    let transition = session.standing().after(event)?;
    let was_lost = session.state == State::Lost;
    let reason = match reason {
        Some(reason) => bounded(reason),
        None if was_lost => Reason::new(ReasonCode::HostReturned, "its host is heard again"),
        None => session.reason.clone(),
    };
    let mut change = Change::of(session);
    change.walk(&transition, &reason, now);
    stop_again(change, now)
}

/// What was lost while it was to be stopped is being stopped when it is heard of.
fn stop_again(mut change: Change, now: Timestamp) -> Result<Change, Rejected> {
    let goes_on = matches!(change.session.state, State::Starting | State::Running);
    if goes_on && matches!(change.session.want, Want::Stop(_)) {
        let transition = change.session.standing().after(Event::StopAsked)?;
        let reason = Reason::new(ReasonCode::Asked, "its stop was asked for before");
        change.walk(&transition, &reason, now);
    }
    Ok(change)
}

fn ended(session: &Session, report: &SessionReport, now: Timestamp) -> Result<Change, Rejected> {
    let SessionReport::Ended { attempt, end, exit_code, out_of_memory, at, reason, last_lines, .. } = report
    else {
        return Ok(Change::of(session));
    };
    let event = match (session.state, end) {
        // As asked, whatever the code: its host may have seen the end before it heard of the stop.
        (State::Stopping, _) | (_, End::Stopped) => Event::Stopped,
        (_, End::Completed) => Event::Completed,
        (_, End::Crashed) => Event::Crashed,
        (_, End::Failed) => Event::Failed,
    };
    let transition = session.standing().after(event)?;
    let mut change = Change::of(session);
    if !transition.changed {
        return Ok(change);
    }
    let earliest = session.started_at.unwrap_or(session.created_at).min(now);
    change.session.attempt = session.attempt.max(*attempt);
    change.session.ended_at = Some((*at).clamp(earliest, now));
    change.session.exit_code = *exit_code;
    change.session.out_of_memory = *out_of_memory;
    change.session.last_lines = tail(last_lines);
    // None where it never came to an attempt.
    change.attempt = (*attempt >= 1).then(|| Attempt {
        ended_at: change.session.ended_at,
        exit_code: *exit_code,
        reason: Some(bounded(reason)),
        ..Attempt::new(*attempt)
    });
    let mut transition = transition;
    transition.to.attempt = change.session.attempt;
    change.walk(&transition, &bounded(reason), now);
    Ok(change)
}

/// The last of `lines`, as many and as long as are kept.
fn tail(lines: &[String]) -> Vec<String> {
    let (most, longest) = LAST_LINES;
    let last = &lines[lines.len().saturating_sub(most)..];
    last.iter().map(|line| cut(line, longest)).collect()
}

/// A digest, a hash or a version that was said.
fn word(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cut(text, 255))
}

/// What comes over the wire is bounded again.
fn bounded(reason: &Reason) -> Reason {
    Reason::new(reason.code, &reason.text)
}

#[cfg(test)]
mod tests;
