//! What is wanted of a session, and how that may change.

use std::time::Duration;

use super::Change;
use crate::{
    clock::Timestamp,
    id::{Generation, ServerId, SessionId, SgcId},
    model::{
        Reason, Session, State, StopMode, Want,
        reason::ReasonCode,
        session::{Event, Standing},
    },
    store::{Actor, DeedError, WantChange, asked_by},
    wire::Command,
};

/// A session that `actor` just asked for. It may begin until `valid_for` is over.
pub fn begun(
    id: SessionId,
    sgc: SgcId,
    server: ServerId,
    valid_for: Duration,
    actor: &Actor,
    now: Timestamp,
) -> Change {
    let reason = asked_by(actor);
    let session = Session {
        id,
        sgc,
        server,
        want: Want::Run { restarts: 0 },
        generation: Generation(1),
        state: Standing::NEW.state,
        phase: None,
        progress: None,
        attempt: Standing::NEW.attempt,
        reason: reason.clone(),
        revision: 0,
        created_at: now,
        not_after: now.plus(valid_for),
        started_at: None,
        ready_at: None,
        ended_at: None,
        exit_code: None,
        out_of_memory: false,
        last_lines: Vec::new(),
    };
    let mut change = Change::of(&session);
    change.note(&reason, now);
    change
}

/// What a change of what is wanted leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// It is wanted already, or there is nothing left to want: nothing changes.
    Already,
    /// It changes, and the host is to be told.
    Told {
        /// What becomes of the session.
        change: Box<Change>,
        /// The hint to its host.
        hint: Command,
    },
    /// It ends here and now; what was to be told its host is withdrawn.
    Withdrawn(Box<Change>),
}

/// What becomes of `session` when `actor` wants `change` of it. `never_left` says that no
/// start of it was ever handed to a relay.
pub fn want(
    session: &Session,
    change: WantChange,
    never_left: bool,
    actor: &Actor,
    now: Timestamp,
) -> Result<Wanted, DeedError> {
    match (change, session.want) {
        (WantChange::To(Want::Stop(_)), _) if session.state.is_end() => Ok(Wanted::Already),
        (WantChange::To(Want::Stop(mode)), Want::Stop(before)) if mode <= before => Ok(Wanted::Already),
        (WantChange::To(Want::Stop(mode)), _) => Ok(stop(session, mode, never_left, actor, now)),

        (WantChange::To(Want::Run { .. }) | WantChange::Restart, _) if session.state.is_end() => {
            Err(DeedError::SessionEnded { session: session.id, state: session.state })
        }
        (WantChange::To(Want::Run { .. }) | WantChange::Restart, Want::Stop(_)) => {
            Err(DeedError::SessionStopping { session: session.id })
        }
        (WantChange::To(Want::Run { restarts }), Want::Run { restarts: before }) if restarts <= before => {
            Ok(Wanted::Already)
        }
        (WantChange::To(Want::Run { restarts }), Want::Run { .. }) => {
            Ok(restart(session, restarts, actor, now))
        }
        (WantChange::Restart, Want::Run { restarts }) => {
            Ok(restart(session, restarts.saturating_add(1), actor, now))
        }
    }
}

fn restart(session: &Session, restarts: u32, actor: &Actor, now: Timestamp) -> Wanted {
    let mut change = Change::of(session);
    change.session.want = Want::Run { restarts };
    change.session.generation.0 += 1;
    change.note(&Reason::new(ReasonCode::Restarted, format!("restart asked by {actor}")), now);
    Wanted::Told { change: Box::new(change), hint: Command::Restart { session: session.id } }
}

fn stop(session: &Session, mode: StopMode, never_left: bool, actor: &Actor, now: Timestamp) -> Wanted {
    let (verb, hint) = match mode {
        StopMode::Graceful => ("stop", Command::Stop { session: session.id }),
        StopMode::Kill => ("kill", Command::Kill { session: session.id }),
    };
    let reason = Reason::new(ReasonCode::Asked, format!("{verb} asked by {actor}"));
    let mut change = Change::of(session);
    change.session.want = Want::Stop(mode);
    change.session.generation.0 += 1;
    let withdrawn = never_left && session.state == State::Pending;
    let event = if withdrawn { Event::StopAskedBeforeSent } else { Event::StopAsked };
    match session.standing().after(event) {
        Ok(transition) if transition.changed => change.walk(&transition, &reason, now),
        // Stopping already: only how hard it is stopped changes.
        _ => {
            change.session.reason = reason.clone();
            change.note(&reason, now);
        }
    }
    let change = Box::new(change);
    if withdrawn { Wanted::Withdrawn(change) } else { Wanted::Told { change, hint } }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    const GRACEFUL: WantChange = WantChange::To(Want::Stop(StopMode::Graceful));
    const KILL: WantChange = WantChange::To(Want::Stop(StopMode::Kill));

    fn after(session: &Session, change: WantChange, never_left: bool) -> Wanted {
        want(session, change, never_left, &Actor("bob".into()), Timestamp::from_micros(2_000_000)).unwrap()
    }

    fn told(session: &Session, change: WantChange) -> (Session, Command) {
        match after(session, change, false) {
            Wanted::Told { change, hint } => (change.session, hint),
            other => panic!("{other:?}"),
        }
    }

    fn ended() -> Session {
        match after(&sample(), GRACEFUL, true) {
            Wanted::Withdrawn(change) => change.session,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_session_has_its_first_entry() {
        let session = sample();
        assert_eq!((session.revision, session.generation), (1, Generation(1)));
        assert_eq!(session.reason.text, "asked by alice");
        assert_eq!(session.not_after, Timestamp::from_micros(61_000_000));
    }

    #[test]
    fn a_pending_session_whose_start_never_left_is_stopped_at_once() {
        let session = ended();
        assert_eq!(session.state, State::Stopped);
        assert_eq!(session.ended_at, Some(Timestamp::from_micros(2_000_000)));
        assert_eq!(session.reason.text, "stop asked by bob");
    }

    #[test]
    fn one_whose_start_left_is_stopping() {
        let (session, hint) = told(&sample(), GRACEFUL);
        assert_eq!(
            (session.state, session.want, session.generation),
            (State::Stopping, Want::Stop(StopMode::Graceful), Generation(2))
        );
        assert_eq!(hint, Command::Stop { session: session.id });
    }

    #[test]
    fn a_kill_overtakes_a_stop_and_never_the_other_way_round() {
        let (stopping, _) = told(&sample(), GRACEFUL);
        assert_eq!(after(&stopping, GRACEFUL, false), Wanted::Already);
        let (killed, hint) = told(&stopping, KILL);
        assert_eq!(
            (killed.state, killed.generation, killed.revision),
            (State::Stopping, Generation(3), stopping.revision + 1)
        );
        assert_eq!(hint, Command::Kill { session: killed.id });
        assert_eq!(after(&killed, GRACEFUL, false), Wanted::Already);
        assert_eq!(after(&killed, KILL, false), Wanted::Already);
    }

    #[test]
    fn a_restart_counts_up_and_leaves_the_state() {
        let (session, hint) = told(&sample(), WantChange::Restart);
        assert_eq!((session.want, session.state), (Want::Run { restarts: 1 }, State::Pending));
        assert_eq!(hint, Command::Restart { session: session.id });
        for known in [0, 1] {
            let to = WantChange::To(Want::Run { restarts: known });
            assert_eq!(after(&session, to, false), Wanted::Already);
        }
    }

    #[test]
    fn what_ends_or_has_ended_is_not_restarted() {
        let now = Timestamp::from_micros(3_000_000);
        let refused = |session: &Session| want(session, WantChange::Restart, false, &Actor::system(), now);
        let (stopping, _) = told(&sample(), GRACEFUL);
        assert!(matches!(refused(&stopping), Err(DeedError::SessionStopping { .. })));
        assert!(matches!(refused(&ended()), Err(DeedError::SessionEnded { .. })));
        assert_eq!(after(&ended(), KILL, false), Wanted::Already);
    }
}
