//! What becomes of sessions that nobody reports on.

use super::Change;
use crate::{
    clock::Timestamp,
    model::{Reason, Session, State, reason::ReasonCode, session::Event},
    store::Actor,
};

/// `session` when its host fell silent; `None` if that changes nothing.
pub fn lost(session: &Session, now: Timestamp) -> Option<Change> {
    let reason = Reason::new(ReasonCode::HostSilent, "its host fell silent");
    after(session, Event::HostSilent, &reason, now)
}

/// A pending `session` that no host took up in time; `None` if it is not pending.
pub fn expired(session: &Session, now: Timestamp) -> Option<Change> {
    if session.state != State::Pending {
        return None;
    }
    let reason = Reason::new(
        ReasonCode::Expired,
        format!("command expired: no host took the start up by {}", session.not_after),
    );
    after(session, Event::Failed, &reason, now)
}

/// A live `session` whose machine `actor` gave up; `None` if it has ended.
pub fn abandoned(session: &Session, actor: &Actor, now: Timestamp) -> Option<Change> {
    if session.state.is_end() {
        return None;
    }
    // Through lost, from wherever it is: nobody saw it run or end.
    let mut change = lost(session, now).unwrap_or_else(|| Change::of(session));
    change.events.clear();
    let reason = Reason::new(ReasonCode::Abandoned, format!("its machine was abandoned by {actor}"));
    let transition = change.session.standing().after(Event::Crashed).ok()?;
    change.walk(&transition, &reason, now);
    Some(change)
}

fn after(session: &Session, event: Event, reason: &Reason, now: Timestamp) -> Option<Change> {
    let transition = session.standing().after(event).ok().filter(|transition| transition.changed)?;
    let mut change = Change::of(session);
    change.walk(&transition, reason, now);
    Some(change)
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    const NOW: Timestamp = Timestamp::from_micros(90_000_000);

    fn at(state: State) -> Session {
        Session { state, ..sample() }
    }

    #[test]
    fn every_live_session_of_a_silent_host_is_lost_once() {
        for &state in State::ALL {
            let change = lost(&at(state), NOW);
            if state.is_end() || state == State::Lost {
                assert_eq!(change, None);
            } else {
                let change = change.unwrap();
                assert_eq!((change.session.state, change.session.ended_at), (State::Lost, None));
                assert_eq!(change.events.len(), 1);
            }
        }
    }

    #[test]
    fn only_what_is_pending_expires() {
        for &state in State::ALL {
            let change = expired(&at(state), NOW);
            assert_eq!(change.is_some(), state == State::Pending);
            if let Some(change) = change {
                assert_eq!((change.session.state, change.session.ended_at), (State::Failed, Some(NOW)));
                assert_eq!(change.session.reason.code, ReasonCode::Expired);
            }
        }
    }

    #[test]
    fn every_live_session_of_an_abandoned_machine_crashes() {
        for &state in State::ALL {
            let change = abandoned(&at(state), &Actor("alice".into()), NOW);
            assert_eq!(change.is_none(), state.is_end());
            if let Some(change) = change {
                assert_eq!(change.session.state, State::Crashed);
                assert_eq!(change.session.reason.code, ReasonCode::Abandoned);
                assert_eq!(change.events.len(), 1);
                assert!(change.entries.iter().all(|entry| !entry.not_seen));
            }
        }
    }
}
