//! The state table: what may follow what.

use std::fmt;

use super::{Phase, State};

/// What the state table looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where the session is.
    pub state: State,
    /// The highest attempt that was seen; 0 before the first.
    pub attempt: u32,
    /// What it is at while it is starting.
    pub phase: Option<Phase>,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A host is at this attempt's start.
    Starting {
        /// The attempt, from 1.
        attempt: u32,
        /// What it is at.
        phase: Phase,
    },
    /// A host saw this attempt's game run.
    Running {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A stop was asked for; the host may have heard of the start.
    StopAsked,
    /// A stop was asked for while the start had not left the control plane.
    StopAskedBeforeSent,
    /// The game ended after it was asked to, or never came to run after that.
    Stopped,
    /// The game ended by itself with exit code 0.
    Completed,
    /// The game ended in any other way.
    Crashed,
    /// It cannot become what was asked.
    Failed,
    /// The host fell silent.
    HostSilent,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { attempt, phase } => write!(f, "starting (attempt {attempt}, {phase})"),
            Self::Running { attempt } => write!(f, "running (attempt {attempt})"),
            Self::StopAsked | Self::StopAskedBeforeSent => f.write_str("a stop request"),
            Self::Stopped => f.write_str("stopped"),
            Self::Completed => f.write_str("completed"),
            Self::Crashed => f.write_str("crashed"),
            Self::Failed => f.write_str("failed"),
            Self::HostSilent => f.write_str("silence of its host"),
        }
    }
}

/// What an event makes of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Where the session is now.
    pub to: Standing,
    /// Whether anything differs from before; `false` for a report that says what is known.
    pub changed: bool,
    /// States that were passed through and that nobody reported, in order.
    pub skipped: Vec<State>,
}

/// An event that cannot happen to a session where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow {} (attempt {})", from.state, from.attempt)]
pub struct Rejected {
    /// Where the session is, and stays.
    pub from: Standing,
    /// What was reported or asked.
    pub event: Event,
}

impl Standing {
    /// A session that was just asked for.
    pub const NEW: Self = Self { state: State::Pending, attempt: 0, phase: None };

    /// The state after `event`, or why there is none.
    ///
    /// The table of what may follow what:
    ///
    /// | from | may become |
    /// |---|---|
    /// | pending | starting, running*, stopping, stopped (only if the start never left), completed*, crashed*, failed, lost |
    /// | starting | starting (a later phase or a higher attempt), running, stopping, completed, crashed, failed, lost |
    /// | running | starting (higher attempt), running (higher attempt), stopping, completed, crashed, failed, lost |
    /// | stopping | stopped, lost |
    /// | lost | starting, running, stopping, stopped, completed, crashed, failed |
    /// | an end | nothing, ever |
    ///
    /// \* jumps over states that a host passed through unseen; they are in
    /// [`Transition::skipped`]. What is known already is accepted and changes nothing.
    pub fn after(self, event: Event) -> Result<Transition, Rejected> {
        use State::*;
        let rejected = Err(Rejected { from: self, event });
        if self.state.is_end() {
            return if self.state.is_said_by(event) { Ok(self.unchanged()) } else { rejected };
        }
        match (self.state, event) {
            (_, Event::Starting { attempt: 0, .. } | Event::Running { attempt: 0 }) => rejected,

            (Pending | Starting | Running | Lost, Event::Starting { attempt, .. })
                if attempt < self.attempt =>
            {
                rejected
            }
            (Pending | Lost, Event::Starting { attempt, phase }) => {
                Ok(self.to(Starting, attempt, Some(phase), &[]))
            }
            (Starting, Event::Starting { attempt, phase }) => {
                Ok(self.to(Starting, attempt, Some(phase), &[]))
            }
            (Running, Event::Starting { attempt, phase }) if attempt > self.attempt => {
                Ok(self.to(Starting, attempt, Some(phase), &[]))
            }

            (Pending | Starting | Running | Lost, Event::Running { attempt }) if attempt < self.attempt => {
                rejected
            }
            (Pending, Event::Running { attempt }) => Ok(self.to(Running, attempt, None, &[Starting])),
            (Running, Event::Running { attempt }) if attempt > self.attempt => {
                Ok(self.to(Running, attempt, None, &[Starting]))
            }
            (Starting | Running | Lost, Event::Running { attempt }) => {
                Ok(self.to(Running, attempt, None, &[]))
            }

            (Pending | Starting | Running | Stopping | Lost, Event::StopAsked) => Ok(self.at(Stopping, &[])),
            (Pending, Event::StopAskedBeforeSent) => Ok(self.at(Stopped, &[])),

            (Stopping | Lost, Event::Stopped) => Ok(self.at(Stopped, &[])),
            // Asked for, and since forgotten: the store was restored from an old copy.
            (Pending | Starting | Running, Event::Stopped) => Ok(self.at(Stopped, &[Stopping])),

            (Pending, Event::Completed) => Ok(self.at(Completed, &[Starting, Running])),
            (Starting, Event::Completed) => Ok(self.at(Completed, &[Running])),
            (Running | Lost, Event::Completed) => Ok(self.at(Completed, &[])),

            (Pending, Event::Crashed) => Ok(self.at(Crashed, &[Starting, Running])),
            (Starting, Event::Crashed) => Ok(self.at(Crashed, &[Running])),
            (Running | Lost, Event::Crashed) => Ok(self.at(Crashed, &[])),

            (Pending | Starting | Running | Lost, Event::Failed) => Ok(self.at(Failed, &[])),

            (Pending | Starting | Running | Stopping | Lost, Event::HostSilent) => Ok(self.at(Lost, &[])),

            _ => rejected,
        }
    }

    fn to(self, state: State, attempt: u32, phase: Option<Phase>, skipped: &[State]) -> Transition {
        let to = Self { state, attempt, phase };
        Transition { to, changed: to != self, skipped: skipped.to_vec() }
    }

    fn at(self, state: State, skipped: &[State]) -> Transition {
        self.to(state, self.attempt, None, skipped)
    }

    fn unchanged(self) -> Transition {
        Transition { to: self, changed: false, skipped: Vec::new() }
    }
}

impl State {
    /// Whether `event` reports just this end.
    fn is_said_by(self, event: Event) -> bool {
        matches!(
            (self, event),
            (Self::Stopped, Event::Stopped)
                | (Self::Completed, Event::Completed)
                | (Self::Crashed, Event::Crashed)
                | (Self::Failed, Event::Failed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let mut events = vec![
            Event::StopAsked,
            Event::StopAskedBeforeSent,
            Event::Stopped,
            Event::Completed,
            Event::Crashed,
            Event::Failed,
            Event::HostSilent,
        ];
        for attempt in 0..=3 {
            events.push(Event::Running { attempt });
            events.extend(Phase::ALL.iter().map(|&phase| Event::Starting { attempt, phase }));
        }
        events
    }

    fn standings() -> Vec<Standing> {
        let mut all = Vec::new();
        for &state in State::ALL {
            for attempt in 0..=2 {
                let phases: Vec<_> = match state {
                    State::Starting => Phase::ALL.iter().copied().map(Some).collect(),
                    _ => vec![None],
                };
                all.extend(phases.into_iter().map(|phase| Standing { state, attempt, phase }));
            }
        }
        all
    }

    /// The table above, as pairs, written a second time and by hand.
    fn listed(from: State) -> &'static [State] {
        use State::*;
        match from {
            Pending => &[Starting, Running, Stopping, Stopped, Completed, Crashed, Failed, Lost],
            Starting => &[Starting, Running, Stopping, Stopped, Completed, Crashed, Failed, Lost],
            Running => &[Starting, Running, Stopping, Stopped, Completed, Crashed, Failed, Lost],
            Stopping => &[Stopped, Lost],
            Lost => &[Starting, Running, Stopping, Stopped, Completed, Crashed, Failed],
            Stopped | Completed | Crashed | Failed => &[],
        }
    }

    #[test]
    fn every_change_is_in_the_table_and_every_row_is_reachable() {
        for &from in State::ALL {
            let mut reached: Vec<State> = Vec::new();
            for standing in standings().into_iter().filter(|standing| standing.state == from) {
                for event in events() {
                    if let Ok(transition) = standing.after(event)
                        && transition.changed
                    {
                        assert!(
                            listed(from).contains(&transition.to.state),
                            "{standing:?} {event:?} {transition:?}"
                        );
                        reached.push(transition.to.state);
                    }
                }
            }
            for to in listed(from) {
                assert!(reached.contains(to), "{from} never becomes {to}");
            }
        }
    }

    #[test]
    fn nothing_follows_an_end() {
        for standing in standings().into_iter().filter(|standing| standing.state.is_end()) {
            for event in events() {
                assert!(
                    standing.after(event).map_or(true, |transition| !transition.changed),
                    "{standing:?} {event:?}"
                );
            }
        }
    }

    #[test]
    fn attempts_never_go_back() {
        for standing in standings() {
            for event in events() {
                if let Ok(transition) = standing.after(event) {
                    assert!(transition.to.attempt >= standing.attempt, "{standing:?} {event:?}");
                    let running_has_phase =
                        transition.to.state != State::Starting && transition.to.phase.is_some();
                    assert!(!running_has_phase, "{standing:?} {event:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_known_changes_nothing() {
        for standing in standings() {
            for event in events() {
                if let Ok(transition) = standing.after(event) {
                    assert_eq!(transition.changed, transition.to != standing);
                    // Said twice is said once.
                    if let Ok(again) = transition.to.after(event) {
                        assert!(!again.changed, "{standing:?} {event:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_jump_names_what_it_passed() {
        let jump = Standing::NEW.after(Event::Crashed).unwrap();
        assert_eq!(jump.skipped, [State::Starting, State::Running]);
        let jump = Standing::NEW.after(Event::Running { attempt: 1 }).unwrap();
        assert_eq!(jump.skipped, [State::Starting]);
    }

    #[test]
    fn a_pending_session_is_stopped_only_if_its_start_never_left() {
        assert_eq!(Standing::NEW.after(Event::StopAsked).unwrap().to.state, State::Stopping);
        assert_eq!(Standing::NEW.after(Event::StopAskedBeforeSent).unwrap().to.state, State::Stopped);
        let starting = Standing { state: State::Starting, attempt: 1, phase: Some(Phase::Accepted) };
        assert!(starting.after(Event::StopAskedBeforeSent).is_err());
    }

    #[test]
    fn a_stop_that_only_its_host_remembers_was_one() {
        for from in [State::Pending, State::Starting, State::Running] {
            let standing = Standing { state: from, attempt: 1, phase: None };
            let transition = standing.after(Event::Stopped).unwrap();
            assert_eq!(
                (transition.to.state, &transition.skipped[..]),
                (State::Stopped, &[State::Stopping][..])
            );
        }
    }

    #[test]
    fn a_lost_session_seen_again_is_running() {
        let lost = Standing { state: State::Lost, attempt: 1, phase: None };
        assert_eq!(lost.after(Event::Running { attempt: 1 }).unwrap().to.state, State::Running);
    }
}
